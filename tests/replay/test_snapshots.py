import collections
import gzip
import json
import pathlib

import msgspec
import pytest
from hypothesis import given, strategies

from extender import errors
from extender.kube.api import objects
from extender.replay import snapshots

GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "dra"


def rows(name):
    lines = (GOLDEN / name).read_text().splitlines()
    names = lines[0].split("\t")
    return [dict(zip(names, line.split("\t"), strict=True)) for line in lines[1:]]


def written(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


POD = """\
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec: {{containers: [{{name: main, resources: {{limits: {{cpu: {cpu}}}}}}}]}}
"""


# ---------------------------------------------------------------- the published collection


def test_every_published_manifest_loads_or_is_named_as_broken():
    files = [row["file"] for row in rows("SOURCES.tsv")]
    kinds, ignored, broken = collections.Counter(), collections.Counter(), []
    for file in files:
        snapshot, problems = snapshots.scan([GOLDEN / file])
        kinds.update(kind for kind, _ in snapshot.objects)
        ignored.update(snapshot.ignored)
        broken += [(file, place.rpartition(":")[2]) for place, _ in [*problems, *snapshot.skipped]]
        assert snapshot.duplicates == 0

    assert len(files) == 344
    assert broken == [(row["file"], row["line"]) for row in rows("BROKEN.tsv")]
    assert len({file for file, _ in broken}) == 37
    assert kinds == {  # three objects stand in documents that are themselves broken
        "ResourceClaimTemplate": 180,
        "Pod": 152,
        "ResourceClaim": 71,
        "DeviceClass": 49,
        "ResourceSlice": 21,
        "DeviceTaintRule": 4,
    }
    assert ignored["Namespace"] == 72
    assert ignored["ResourceClaim (resource.k8s.io/v1alpha2)"] == 9
    assert ignored.total() == 242


def test_every_published_object_survives_writing_and_reading(tmp_path):
    for row in rows("SOURCES.tsv"):
        snapshot, _ = snapshots.scan([GOLDEN / row["file"]])
        snapshots.write(tmp_path / "again.json", snapshot.objects)
        assert snapshots.scan([tmp_path / "again.json"])[0].objects == snapshot.objects, row["file"]


def test_old_versions_have_the_newest_form():
    snapshot, _ = snapshots.scan([GOLDEN])
    slices = [value for kind, value in snapshot.objects if kind == "ResourceSlice"]
    devices = [device for one in slices for device in one.spec.devices or ()]
    assert len(devices) > 50
    assert all(device.basic is None for device in devices)
    claims = [value.spec for kind, value in snapshot.objects if kind == "ResourceClaim"]
    requests = [request for spec in claims for request in spec.devices.requests or ()]
    assert len(requests) > 60
    assert not any(request.device_class_name for request in requests)


# ---------------------------------------------------------------- forms


def test_a_folder_is_read_through_with_all_its_suffixes(tmp_path):
    pod = POD.format(name="{}", cpu=1)
    written(tmp_path / "a" / "one.yaml", pod.replace("{}", "one"))
    written(tmp_path / "a" / "b" / "two.yml", pod.replace("{}", "two"))
    written(tmp_path / "three.json", '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"three"}}')
    (tmp_path / "four.yaml.gz").write_bytes(gzip.compress(pod.replace("{}", "four").encode()))
    written(tmp_path / "notes.txt", "not: [read")
    written(tmp_path / ".git" / "config.yaml", "not: [read")

    snapshot = snapshots.read([tmp_path])

    assert snapshot.files == 4
    names = {value.metadata.name for _, value in snapshot.objects}
    assert names == {"one", "two", "three", "four"}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(POD.format(name="a", cpu=1) + "---\n" + POD.format(name="b", cpu=1), id="---"),
        pytest.param(
            "kind: List\napiVersion: v1\nitems:\n"
            "- {apiVersion: v1, kind: Pod, metadata: {name: a}}\n"
            "- {apiVersion: v1, kind: Pod, metadata: {name: b}}\n",
            id="YAML List",
        ),
        pytest.param(
            '{"kind":"PodList","apiVersion":"v1","items":'
            '[{"metadata":{"name":"a"}},{"metadata":{"name":"b"}}]}',
            id="typed list, members without a kind",
        ),
        pytest.param(
            '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}\n'
            ' {"apiVersion":"v1","kind":"Pod","metadata":{"name":"b"}}\n',
            id="JSON values in a row",
        ),
        pytest.param(
            '\ufeff{"kind":"List","apiVersion":"v1","items":[{"kind":"List","apiVersion":"v1",'
            '"items":[{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}]},'
            '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"b"}}]}',
            id="List in List, with a byte order mark",
        ),
    ],
)
def test_several_objects_in_one_file_are_all_read(tmp_path, text):
    snapshot = snapshots.read([written(tmp_path / "some.yaml", text)])
    found = [(kind, value.metadata.name) for kind, value in snapshot.objects]
    assert found == [("Pod", "a"), ("Pod", "b")]


def test_objects_without_a_namespace_are_in_the_default_one(tmp_path):
    snapshot = snapshots.read([written(tmp_path / "pod.yaml", POD.format(name="a", cpu=1))])
    assert snapshot.objects[0][1].metadata.namespace == "default"


def test_the_last_of_several_objects_of_one_name_wins_and_is_counted(tmp_path):
    text = "---\n".join(POD.format(name="a", cpu=cpu) for cpu in (1, 2, 3))
    snapshot = snapshots.read([written(tmp_path / "pods.yaml", text)])
    assert snapshot.duplicates == 2
    ((_, pod),) = snapshot.objects
    assert pod.spec.containers[0].resources.limits == {"cpu": 3}


def test_nulls_are_absences_and_texts_are_numbers_where_numbers_are_wanted(tmp_path):
    text = """\
{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "labels": null, "generation": "7"},
 "spec": {"containers": null, "nodeName": null}, "status": null}"""
    ((_, pod),) = snapshots.read([written(tmp_path / "pod.json", text)]).objects
    assert pod.spec == objects.PodSpec()
    assert pod.metadata.generation == 7


def test_dates_and_addresses_stay_text_in_yaml(tmp_path):
    text = """\
apiVersion: v1
kind: Pod
metadata:
  name: a
  creationTimestamp: 2026-01-02T03:04:05Z
  labels: {pci: 10:20, exponent: 1e3}
"""
    ((_, pod),) = snapshots.read([written(tmp_path / "pod.yaml", text)]).objects
    assert pod.metadata.creation_timestamp == "2026-01-02T03:04:05Z"
    assert pod.metadata.labels == {"pci": "10:20", "exponent": "1e3"}


def test_objects_with_a_generated_name_are_not_one_another(tmp_path):
    text = "apiVersion: v1\nkind: Pod\nmetadata: {generateName: a-}\n---\n" * 2
    snapshot = snapshots.read([written(tmp_path / "pods.yaml", text)])
    assert len(snapshot.objects) == 2


# ---------------------------------------------------------------- problems


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        pytest.param("\n\nkind: [\n", 4, "not YAML", id="broken YAML"),
        pytest.param("kind: {{ .Values.kind }}\n", 1, "template", id="a template"),
        pytest.param('{"kind": "Pod",\n "a": }\n', 2, "not JSON", id="broken JSON"),
        pytest.param("[1]\n", 1, "no API object, but a number", id="no mapping"),
        pytest.param("# words\n- a\n", 2, "no API object, but text", id="a YAML list"),
        pytest.param("kind: Pod\nmetadata: {name: a}\n", 1, "has no apiVersion", id="no version"),
        pytest.param("apiVersion: v1\nspec: {}\n", 1, "has no kind", id="no kind"),
        pytest.param("apiVersion: v1\nkind: Pod\n", 1, "Pod has no name", id="no name"),
        pytest.param(
            "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: 5}\n",
            1,
            "Pod a: Expected `array | null`, got `int` - at `$.spec.containers`",
            id="a wrong type",
        ),
        pytest.param(
            POD.format(name="a", cpu="12many"),
            1,
            "Pod a: container main, limits[cpu]: '12many' is not a quantity",
            id="a quantity",
        ),
        pytest.param(
            "kind: List\napiVersion: v1\nitems:\n- kind: Pod\n  apiVersion: v1\n"
            "  metadata: {name: a}\n- kind: Pod\n  apiVersion: v1\n  spec: {}\n",
            7,
            "Pod has no name",
            id="a member of a List",
        ),
        pytest.param(
            '{"kind": "List", "apiVersion": "v1", "items": [\n'
            '{"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a"}},\n'
            '{"kind": "Pod", "apiVersion": "v1", "metadata": {"name": 5}}]}\n',
            3,
            "Pod 5: Expected `str`, got `int` - at `$.metadata.name`",
            id="a member of a JSON List",
        ),
        pytest.param("a: &a [*a]\n", 1, "", id="YAML that holds itself"),
        pytest.param(
            "kind: Pod\napiVersion: v1\nmetadata: &a {name: a, labels: *a}\n",
            1,
            "Pod a: Expected `str`, got `object`",
            id="an object that holds itself",
        ),
        pytest.param("kind: List\nitems: 5\n", 1, "Expected `array | null`", id="no items"),
    ],
)
def test_a_broken_document_is_named_with_its_line_and_reason(tmp_path, text, line, reason):
    path = written(tmp_path / "some.yaml", text)
    with pytest.raises(errors.SnapshotError) as caught:
        snapshots.read([path])
    ((place, what),) = caught.value.problems
    assert place == f"{path}:{line}"
    assert reason in what


SLICE = {
    "apiVersion": "resource.k8s.io/v1",
    "kind": "ResourceSlice",
    "metadata": {"name": "s"},
    "spec": {"driver": "d", "pool": {"name": "p"}},
}


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"sharedCounters": [{"name": "c", "counters": {"x": {"value": "1x"}}}]}, "set c[x]"),
        ({"devices": [{"name": "d", "capacity": {"x": {"value": "1x"}}}]}, "device d[x]"),
        ({"devices": [{"name": "d", "basic": {"capacity": {"x": "1x"}}}]}, "device d[x]"),
        (
            {"devices": [{"name": "d", "capacity": {"x": {"value": 1, "requestPolicy": {
                "validRange": {"step": "1x"}}}}}]},
            "device d[x], requestPolicy",
        ),
        (
            {"devices": [{"name": "d", "consumesCounters": [
                {"counterSet": "c", "counters": {"x": {"value": "1x"}}}]}]},
            "device d, counter set c[x]",
        ),
    ],
)  # fmt: skip
def test_a_malformed_quantity_deep_in_a_slice_is_a_problem(tmp_path, spec, reason):
    body = SLICE | {"spec": SLICE["spec"] | spec}
    _, problems = snapshots.scan([written(tmp_path / "slice.json", json.dumps(body))])
    ((_, what),) = problems
    assert what.startswith("ResourceSlice s: ")
    assert f"{reason}: '1x' is not a quantity" in what


def test_all_problems_of_all_files_are_collected_and_the_rest_is_read(tmp_path):
    good = POD.format(name="good", cpu=1)
    written(tmp_path / "a.yaml", f"kind: [\n---\n{good}---\napiVersion: v1\nkind: Pod\n")
    written(tmp_path / "b.json", '{"apiVersion": "v1", "kind": "Node", "metadata": 5}')
    snapshot, problems = snapshots.scan([tmp_path, tmp_path / "missing.yaml"])
    assert [value.metadata.name for _, value in snapshot.objects] == ["good"]
    places = [place.removeprefix(f"{tmp_path}/") for place, _ in problems]
    assert places == ["a.yaml:2", "a.yaml:8", "b.json:1", "missing.yaml"]


def test_an_empty_folder_is_a_problem(tmp_path):
    with pytest.raises(errors.SnapshotError, match="holds no file"):
        snapshots.read([tmp_path])


# ---------------------------------------------------------------- properties

texts = strategies.text(max_size=8)
names = strategies.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
nodes = strategies.builds(
    objects.Node,
    metadata=strategies.builds(
        objects.ObjectMeta,
        name=names,
        labels=strategies.none() | strategies.dictionaries(texts, texts, max_size=3),
    ),
    status=strategies.builds(
        objects.NodeStatus,
        allocatable=strategies.none()
        | strategies.dictionaries(names, strategies.integers(0, 99) | strategies.just("1Gi")),
    ),
)


@given(
    values=strategies.lists(
        nodes, min_size=1, max_size=4, unique_by=lambda node: node.metadata.name
    )
)
def test_what_is_written_is_read_again(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("dump") / "nodes.json"
    written_objects = [("Node", value) for value in values]
    snapshots.write(path, written_objects)
    assert snapshots.read([path]).objects == written_objects


def test_an_object_is_written_with_the_names_of_the_api(tmp_path):
    attribute = objects.DeviceAttribute(int_=3)
    device = objects.Device(name="d", attributes={"a": attribute}, allow_multiple_allocations=True)
    spec = objects.ResourceSliceSpec(driver="x", node_name="n", devices=(device,))
    snapshots.write(tmp_path / "s.json", [("ResourceSlice", objects.ResourceSlice(spec=spec))])
    body = msgspec.json.decode((tmp_path / "s.json").read_bytes())
    assert body["items"] == [
        {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "ResourceSlice",
            "spec": {
                "driver": "x",
                "nodeName": "n",
                "devices": [
                    {
                        "name": "d",
                        "attributes": {"a": {"int": 3}},
                        "allowMultipleAllocations": True,
                    }
                ],
            },
        }
    ]
