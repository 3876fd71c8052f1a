"""Every form in which people have a cluster at hand: read, or refused with what to run instead."""

import json
import tarfile

import pytest
from hypothesis import given, strategies

from extender import errors
from extender.replay import snapshots


def node(name, version=""):
    meta = {"name": name} | ({"resourceVersion": version} if version else {})
    return {"apiVersion": "v1", "kind": "Node", "metadata": meta}


def lines(*values):
    return "\n".join(map(json.dumps, values))


def event(kind, value):
    return {"type": kind, "object": value}


LIST = {"apiVersion": "v1", "kind": "List", "items": [node("a"), node("b")]}
PRETTY = json.dumps(LIST, indent=4)
YAML = """\
apiVersion: v1
items:
- apiVersion: v1
  kind: Node
  metadata: {name: a}
- apiVersion: v1
  kind: Node
  metadata: {name: b}
kind: List
"""
BOOKMARK = event("BOOKMARK", {"kind": "Node", "metadata": {"resourceVersion": "5"}})
_OF = "logs for container c of pod x/y ===="
LOG = f"==== START {_OF}\n%s\n==== END {_OF}"


def read(path, data, **options):
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return snapshots.read([path], **options)


def names(snapshot):
    return [value.metadata.name for _, value in snapshot.objects]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(json.dumps([node("a"), node("b")]), id="an array"),
        pytest.param(f"# YAML\n{json.dumps([node('a'), node('b')])}", id="an array in YAML"),
        pytest.param(lines(event("ADDED", node("a")), BOOKMARK, event("MODIFIED", node("b"))),
                     id="watch events"),
        pytest.param(lines(*(event("ADDED", node(n)) for n in "axb"), event("DELETED", node("x"))),
                     id="a watch that deletes"),
        pytest.param(f"{PRETTY}\n{LOG % lines(node('logged'))}\n", id="a dump with logs"),
        pytest.param(f"Warning: v1 is deprecated\n{PRETTY}", id="a warning before"),
        pytest.param(f"$ kubectl get nodes -o yaml\n{YAML}", id="a prompt before"),
        pytest.param(f"{json.dumps(node('a'))}\n---\n{json.dumps(node('b'))}\n", id="JSON and ---"),
        pytest.param(YAML.replace("name: b", "name: b, labels: {x: =}"), id="a bare ="),
        pytest.param(YAML.replace("name: b", "name: b, labels: {x: <<}"), id="a bare <<"),
    ],
)  # fmt: skip
def test_forms_that_hold_whole_objects_are_read(tmp_path, text):
    assert names(read(tmp_path / "given", text)) == ["a", "b"]


@pytest.mark.parametrize("text", [PRETTY, YAML], ids=["JSON", "YAML"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"],
)
def test_the_encoding_and_the_line_ends_change_nothing(tmp_path, text, ending, encoding):
    data = text.replace("\n", ending).encode(encoding)
    assert names(read(tmp_path / "given", data)) == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        pytest.param(PRETTY[: PRETTY.index('"b"') + 2], ["a"], id="JSON cut short"),
        pytest.param(PRETTY.replace('"v1"', "v1", 2).replace("v1", '"v1"', 1), ["b"], id="in JSON"),
        pytest.param(YAML[: YAML.index("b}") + 1], ["a"], id="YAML cut short"),
        pytest.param(YAML.replace("  metadata: {name: a}", "\tmetadata: {name: a}"), ["b"],
                     id="a tab in YAML"),
        pytest.param(lines(node("a")) + "\n{broken\n" + lines(node("b")), ["a", "b"], id="a line"),
        pytest.param(YAML.replace("{name: a}", "{name: a, labels: {x: 5}}"), ["b"], id="a number"),
    ],
)  # fmt: skip
def test_what_is_broken_takes_only_itself_away_and_is_a_problem(tmp_path, text, kept):
    snapshot = read(tmp_path / "given", text, strict=False)

    assert names(snapshot) == kept
    assert len(snapshot.problems) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("NAME   STATUS   AGE   VERSION\nn1     Ready    5d    v1.36.1\n", "`-o yaml`"),
        ("NAMESPACE   NAME   READY   NOMINATED NODE   READINESS GATES\nx   y   1/1\n", "`-o yaml`"),
        ("LAST SEEN   TYPE   REASON\n5m   Normal   Pulled\n", "`-o yaml`"),
        ("NAME   CPU(cores)   CPU(%)   MEMORY(bytes)\nn1   5m   1%   2Gi\n", "`-o yaml`"),
        ("node/n1\nnode/n2\n", "`kubectl get -o name`"),
        ("Name:         n1\nRoles:        <none>\nLabels:       a=b\n              c=d\n",
         "`kubectl describe`"),
        ("Name:  x\nLabels:  <none>\nAPI Version:  resource.k8s.io/v1\nKind:  ResourceSlice\n",
         "`kubectl describe`"),
        ('Error from server (Forbidden): nodes is forbidden: User "x" cannot list\n',
         "nodes is forbidden"),
        ('{"kind": "Status", "message": "nodes is forbidden", "code": 403}', "nodes is forbidden"),
        ('{"kind": "Status", "status": "Failure"}', "an error that the API server answered"),
        ('{"kind": "Table", "rows": [{"cells": ["n1"]}]}', "`-o yaml`"),
        ("gpus: 8\n", "it has no kind"),
        ("", "empty"),
        ("# nothing\n---\n", "holds no objects"),
    ],
)  # fmt: skip
def test_other_text_is_refused_with_what_to_run_instead(tmp_path, text, expected):
    with pytest.raises(errors.SnapshotError) as caught:
        read(tmp_path / "given", text, strict=False)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x28\xb5\x2f\xfdmore", "zstd -d"),
        (b"PK\x03\x04more", "unpack it"),
        (b"kind: caf\xe9\n", "not UTF-8 text"),
        (b"\x1f\x8bmore", "damaged or cut short"),
        (b"a\nb\0c", "binary"),
    ],
)
def test_files_that_are_no_text_are_said_to_be_none(tmp_path, data, expected):
    with pytest.raises(errors.SnapshotError, match=expected):
        read(tmp_path / "given", data)


def test_members_that_are_no_objects_are_skipped_with_their_lines(tmp_path):
    text = json.dumps(LIST | {"items": [None, node("a"), 5, {"x": 1}]}, indent=1)

    snapshot = read(tmp_path / "given", text)

    assert names(snapshot) == ["a"]
    assert [what for _, what in snapshot.skipped] == [
        "null, not an API object",
        "no API object, but a number",
        "no API object: it has no kind",
    ]


def test_a_tar_archive_is_read_like_its_folder(tmp_path):
    (tmp_path / "mg").mkdir()
    (tmp_path / "mg" / "nodes.json").write_text(PRETTY)
    (tmp_path / "mg" / "version").write_text("4.19")
    with tarfile.open(tmp_path / "mg.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "mg", "mg")

    snapshot = snapshots.read([tmp_path / "mg.tar.gz"])

    assert snapshot.objects == snapshots.read([tmp_path / "mg"]).objects
    assert not snapshot.skipped


@given(versions=strategies.permutations(["9", "10", "11"]))
def test_of_an_object_that_comes_again_the_newest_is_used(tmp_path_factory, versions):
    path = tmp_path_factory.mktemp("again") / "given"
    snapshot = read(path, lines(*(node("a", version) for version in versions)))

    assert [value.metadata.resource_version for _, value in snapshot.objects] == ["11"]
    assert snapshot.duplicates == 2


@given(data=strategies.data())
def test_a_file_cut_anywhere_keeps_the_members_before_the_cut(tmp_path_factory, data):
    many = LIST | {"items": [node(f"n{number}") for number in range(6)]}
    text = json.dumps(many, indent=data.draw(strategies.sampled_from([None, 1, 4])))
    cut = data.draw(strategies.integers(0, len(text) - 1))

    path = tmp_path_factory.mktemp("cut") / "given"
    path.write_text(text[:cut])
    found, _ = snapshots.scan([path])

    begun = [f'"n{number}"' in text[:cut] for number in range(6)].count(True)
    assert begun - 1 <= len(found.objects) <= begun
    assert names(found) == [f"n{number}" for number in range(len(found.objects))]
