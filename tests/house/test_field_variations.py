"""The kinds of fault that people reported, in other clothes: each variation is a row of data."""

import pathlib

import msgspec
import pytest
import yaml

from extender import cli
from extender.policy import config
from extender.server import metrics
from extender.service import assembly, served_engine

FILE = pathlib.Path(__file__).parents[1] / "golden" / "field_variations.yaml"
FOLDER = FILE.parent / "field"
USUAL = {"cpu": 64, "memory": "512Gi", "pods": 110}


class Variation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A cluster in short, a pod, and what must be answered; what is not said may be anything."""

    name: str
    of: str  # the case that it varies
    nodes: list[dict] = []
    objects: str = ""  # more of the cluster, as YAML
    bound: list[dict] = []  # pods: {node, requests, phase}
    requests: dict[str, object] = {}
    claims: list[str] = []
    spec: dict = {}  # more of the pod's
    exit: int | None = None
    verdicts: dict[str, str] = {}  # "refused" is for now, or for good
    reasons: dict[str, str] = {}
    says: list[str] = []
    never: list[str] = []
    metrics: dict[str, float] = {}


CASES = msgspec.convert(yaml.safe_load(FILE.read_text()), list[Variation])


def node(name, *, labels=None, taints=(), allocatable=None, cordoned=False):
    amounts = {key: str(value) for key, value in (USUAL | (allocatable or {})).items()}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **(labels or {})}},
        "spec": {"taints": list(taints), "unschedulable": cordoned},
        "status": {
            "allocatable": amounts,
            "capacity": amounts,
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def pod(name, requests, *, claims=(), phase="Pending", **spec):
    amounts = {key: str(value) for key, value in requests.items()}
    devices = {key: value for key, value in amounts.items() if "/" in key or "hugepages" in key}
    container = {"name": "c", "resources": {"requests": amounts, "limits": devices}}
    container["resources"]["claims"] = [{"name": each} for each in claims]
    named = [{"name": each, "resourceClaimName": each} for each in claims]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}"},
        "spec": {"containers": [container], "resourceClaims": named, **spec},
        "status": {"phase": phase},
    }


@pytest.fixture
def files(tmp_path, request):
    """The snapshot and the pod of a variation, as files."""
    case = request.getfixturevalue("case")
    made = [node(**each) for each in case.nodes]
    for number, held in enumerate(case.bound):
        phase = held.get("phase", "Running")
        made.append(pod(f"b{number}", held["requests"], nodeName=held["node"], phase=phase))
    made += [each for each in yaml.safe_load_all(case.objects) if each]
    snapshot, asked = tmp_path / "cluster.yaml", tmp_path / "pod.yaml"
    snapshot.write_text(yaml.safe_dump_all(made))
    asked.write_text(yaml.safe_dump(pod("p", case.requests, claims=case.claims, **case.spec)))
    return snapshot, asked


ASKED = [each for each in CASES if each.requests or each.claims]
COUNTED = [each for each in CASES if each.metrics]


@pytest.mark.parametrize("case", ASKED, ids=lambda case: case.name)
def test_the_command_line_answers(case, files, capsys):
    snapshot, asked = map(str, files)
    status = cli.main(["explain", "--snapshot", snapshot, "--pod", asked, "--all", "--wide"])
    table = capsys.readouterr().out
    cli.main(["explain", "--snapshot", snapshot, "--pod", asked, "-o", "json"])
    nodes = {each["node"]: each for each in msgspec.json.decode(capsys.readouterr().out)["nodes"]}

    assert case.exit in {None, status}, table
    verdicts = {name: nodes[name]["verdict"].split()[0] for name in case.verdicts}
    assert verdicts == case.verdicts
    for name, text in case.reasons.items():
        assert text in nodes[name]["reason"]
    for text in case.says:
        assert text in table
    for text in case.never:
        assert text not in table


@pytest.mark.parametrize("case", COUNTED, ids=lambda case: case.name)
def test_physical_gpus_are_counted(case, files):
    judging, _ = assembly.from_snapshot([files[0]], policy=config.DEFAULT)
    text = metrics.Metrics(served_engine.ServedEngine(judging).picture).exposition().decode()
    found = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))

    assert {name: float(found[name]) for name in case.metrics} == case.metrics


def test_each_varies_a_case_that_there_is_and_asks_something():
    assert {case.of for case in CASES} <= {path.name for path in FOLDER.iterdir()}
    assert [case.name for case in CASES if case not in ASKED + COUNTED] == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", "the pod's file holds no objects"),
        ("kind: Pod\napiVersion: v1\nspec: {}\n", "Pod has no name"),
        ("kind: Deployment\napiVersion: apps/v1\nmetadata: {name: d}\n", "holds no Pod, but Depl"),
    ],
)
def test_a_pods_file_that_is_of_no_use_is_not_called_the_snapshot(tmp_path, capsys, text, shown):
    (tmp_path / "pod.yaml").write_text(text)

    assert cli.main(["explain", "--pod", str(tmp_path / "pod.yaml")]) == 2

    error = capsys.readouterr().err
    assert shown in error
    assert "snapshot" not in error
