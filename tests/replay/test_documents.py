import gzip
import json

import pytest
from hypothesis import given, strategies

from extender.replay import documents, snapshots


def read(path, text):
    path.write_text(text)
    report = documents.ReadingReport()
    return list(documents.read(path, report)), [*report.problems, *report.skipped]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("kind: A\n---\nkind: B\n---\n# nothing\n---\nkind: C\n", id="YAML"),
        pytest.param('{"kind": "A"}\n{"kind": "B"}\n\n{"kind": "C"}', id="JSON in a row"),
        pytest.param('{"kind": "List", "items": [{"kind": "A"},\n{"kind": "B"},\n\n\n'
                     '{"kind": "C"}]}', id="a List in JSON"),
        pytest.param("{kind: A}\n---\n{kind: B}\n---\n{kind: C}", id="YAML in braces"),
        pytest.param("kind: List\nitems: [{kind: A},\n {kind: B},\n\n\n {kind: C}]", id="in YAML"),
    ],
)  # fmt: skip
def test_every_document_has_the_line_where_it_starts(tmp_path, text):
    found, problems = read(tmp_path / "file", text)
    assert not problems
    assert [document.kind for document in found] == ["A", "B", "C"]
    lines = [int(document.location.rpartition(":")[2]) for document in found]
    for document, line in zip(found, lines, strict=True):
        assert document.kind in text.splitlines()[line - 1]
    assert lines == sorted(set(lines))


def test_a_block_of_text_that_holds_a_separator_is_cut_as_yaml_cuts_it(tmp_path):
    found, problems = read(tmp_path / "file", "kind: A\ntext: |\n  ---\n  more\n---\nkind: B\n")
    assert not problems
    assert [document.kind for document in found] == ["A", "B"]
    assert found[0].body["text"] == "---\nmore\n"


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ('{"kind": "PodList", "apiVersion": "v1", "items": [{}]}', ["Pod"]),
        ('{"kind": "PodList", "apiVersion": "v1", "items": null}', []),
        ('{"kind": "List", "apiVersion": "v1"}', []),
        ('{"kind": "AllowList", "apiVersion": "x/v1", "spec": {}}', ["AllowList"]),
        ('{"kind": "List", "items": [{}, {}], "items": [{"kind": "A"}]}', ["A"]),
    ],
)
def test_lists_are_known_by_their_kind_and_items(tmp_path, text, kinds):
    for form in (text, f"# YAML\n{text}"):
        found, problems = read(tmp_path / "file", form)
        assert not problems
        assert [document.kind for document in found] == kinds


def test_lists_of_lists_of_lists_have_an_end(tmp_path):
    text = '{"kind": "A"}'
    for _ in range(6):
        text = json.dumps({"kind": "List", "items": [json.loads(text)]})
    found, ((place, what),) = read(tmp_path / "file", text)
    assert not found
    assert place.endswith(":1")
    assert "nested too deeply" in what


def test_json_that_ends_too_early_loses_only_its_last_value(tmp_path):
    found, ((place, what),) = read(tmp_path / "file", '{"kind": "A"}\n\n{"kind": ')
    assert "cut short" in what
    assert [document.kind for document in found] == ["A"]
    assert place == f"{tmp_path / 'file'}:3"
    assert "not JSON" in what


def test_a_broken_gzip_file_is_a_problem(tmp_path):
    path = tmp_path / "a.yaml.gz"
    path.write_bytes(gzip.compress(b"kind: Pod")[:-6])
    report = documents.ReadingReport()
    assert not list(documents.read(path, report))
    assert [place for place, _ in report.problems] == [str(path)]


@given(data=strategies.binary(max_size=60) | strategies.text("{}[]-:\n kPod&*a,'\"", max_size=40))
def test_no_file_content_stops_the_reader(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("noise") / "noise.yaml"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    snapshot, _ = snapshots.scan([path])
    assert isinstance(snapshot, snapshots.Snapshot)
