"""The command line, as an operator types it: output, messages, exit statuses."""

import json
import pathlib

import pytest
import yaml

import extender
from extender import cli
from tests.kit.builders import (
    make_pod,
    make_template,
)
from tests.kit.rigs.cli_run import write

GPU = "gpu.example.com"


OK, NO_FIT, USAGE = 0, 1, 2


# ---------------------------------------------------------------- help


def test_without_a_command_it_says_what_there_is(run):
    status, out, _ = run()

    assert status == USAGE
    for name in ("serve", "demo", "explain", "predict", "check", "schema"):
        assert name in out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param(["--help"], "COMMAND", id="help"),
        pytest.param(["--version"], extender.__version__, id="version"),
        pytest.param(["serve", "--help"], "--policy-config-map", id="serve"),
        pytest.param(["explain", "--help"], "--kubernetes-version", id="explain"),
        pytest.param(["predict", "--help"], "--node", id="predict"),
    ],
)
def test_help_and_version_are_no_failure(capsys, arguments, expected):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)

    assert ended.value.code == OK
    assert expected in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["sing"], ["explain"], ["explain", "--pod", "p", "-o", "x"]])
def test_what_it_does_not_understand_ends_with_2(capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)

    assert ended.value.code == USAGE
    assert "usage: railyard" in capsys.readouterr().err


# ---------------------------------------------------------------- explain


def test_explain_ranks_every_node_with_the_reason(run, snapshot):
    status, out, _ = run("explain", "--snapshot", snapshot, "--pod", "default/waiting")

    assert status == OK
    title, header, *rows = out.splitlines()
    assert title == "pod default/waiting: 1 GPU (profile default)"
    assert header.split() == ["NODE", "VERDICT", "SCORE", "COST", "DEVICES", "WHY"]
    assert rows[0].split()[:5] == ["free", "fits", "10", "1.21", "gpu-0"]
    words = {row.split()[0]: row for row in rows}
    assert words["full"].endswith("needs 1 GPU; its only GPU is in use")
    assert words["plain"].endswith("needs 1 GPU; node has none")


def test_a_pod_without_a_namespace_is_looked_for_in_default(run, snapshot):
    assert run("explain", "--snapshot", snapshot, "--pod", "waiting")[0] == OK


def test_explain_in_json_has_every_part_of_the_cost(run, snapshot):
    _, out, _ = run("explain", "--snapshot", snapshot, "--pod", "waiting", "-o", "json")

    best = json.loads(out)["nodes"][0]
    assert best["node"] == "free"
    assert sum(best["parts"].values()) == pytest.approx(best["cost"], abs=1e-5)
    assert best["devices"][0] == {
        "claim": "one-gpu", "request": "gpu", "driver": GPU, "pool": "free", "device": "gpu-0",
        "admin": False,
    }  # fmt: skip


def test_explain_looks_at_the_named_nodes_only(run, snapshot):
    arguments = ("explain", "--snapshot", snapshot, "--pod", "waiting", "-o", "json")

    _, out, _ = run(*arguments, "--node", "full", "--node", "plain")

    assert {node["node"] for node in json.loads(out)["nodes"]} == {"full", "plain"}


def test_no_node_that_fits_is_1(run, snapshot):
    status, _, _ = run("explain", "--snapshot", snapshot, "--pod", "waiting", "--node", "full")

    assert status == NO_FIT


def test_a_node_that_is_not_there_is_said_to_be_unknown(run, snapshot):
    status, out, _ = run("explain", "--snapshot", snapshot, "--pod", "waiting", "--node", "moon")

    assert status == NO_FIT
    assert "node is not known here" in out


def test_a_manifest_may_bring_its_own_templates(run, snapshot, tmp_path):
    two = make_template("two-gpus").request("gpu", GPU, 2)
    pod = write(tmp_path / "pod.yaml", two, make_pod("new").template("two-gpus"))

    status, out, _ = run("explain", "--snapshot", snapshot, "--pod", pod, "-o", "json")

    assert status == OK
    fitting = [node for node in json.loads(out)["nodes"] if node["score"] is not None]
    assert [node["node"] for node in fitting] == ["free"]
    assert [device["device"] for device in fitting[0]["devices"]] == ["gpu-0", "gpu-1"]


def test_the_demo_cluster_is_asked_where_no_snapshot_is_named(run):
    status, out, _ = run("explain", "--pod", "default/train-0", "--all")

    assert status == OK
    assert "share a PCIe root" in out
    assert len(out.splitlines()) == 26


def test_nodes_refused_for_one_reason_are_one_line(run):
    _, out, _ = run("explain", "--pod", "default/train-0")

    assert "\n3 nodes: needs 1 GPU + 1 NIC; node has 8 NICs, but no GPU\n" in out
    assert len(out.splitlines()) == 21


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_the_table_is_no_wider_than_the_terminal(run, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))

    _, narrow, _ = run("explain", "--pod", "default/train-0", "--all")
    _, wide, _ = run("explain", "--pod", "default/train-0", "--all", "--wide")

    assert max(map(len, narrow.splitlines())) <= columns
    assert max(map(len, wide.splitlines())) > 100
    assert "\x1b" not in narrow


def test_yaml_says_what_json_says(run, snapshot):
    asked = ("explain", "--snapshot", snapshot, "--pod", "waiting", "-o")

    assert yaml.safe_load(run(*asked, "yaml")[1]) == json.loads(run(*asked, "json")[1])


def test_all_pods_of_a_file_are_answered(run, snapshot, tmp_path):
    pods = write(tmp_path / "pods.yaml", make_pod("a").template("one-gpu"), make_pod("b"))
    asked = ("predict", "--snapshot", snapshot, "--pod", pods)

    status, out, err = run(*asked)
    first, second = json.loads(run(*asked, "-o", "json")[1])

    assert status == OK
    assert [x for x in out.splitlines() if x[:4] == "pod "] == ["pod default/a:", "pod default/b:"]
    assert (first["pod"], second["pod"]) == ("default/a", "default/b")
    assert "as if it came alone" in err


def test_one_pod_that_fits_nowhere_is_1(run, snapshot, tmp_path):
    pods = (
        make_pod("a"),
        make_template("six").request("gpu", GPU, 6),
        make_pod("b").template("six"),
    )
    path = write(tmp_path / "pods.yaml", *pods)

    assert run("predict", "--snapshot", snapshot, "--pod", path)[0] == NO_FIT


# ---------------------------------------------------------------- what snapshots are made of


def test_what_was_not_read_is_named_beside_the_answer(run, snapshot, tmp_path):
    (tmp_path / "values.yaml").write_text("gpus: 8\n")
    (tmp_path / "table.txt").write_text("NAME   STATUS   AGE\nn1     Ready    5d\n")
    (tmp_path / "cut.json").write_text('{"kind": "Node", "apiVersion": "v1", "metadata": {')
    others = [str(tmp_path / name) for name in ("values.yaml", "table.txt", "cut.json")]
    snapshots = [part for path in (snapshot, *others) for part in ("--snapshot", path)]

    status, out, _ = run("explain", *snapshots, "--pod", "waiting")
    predicted, _, err = run("predict", *snapshots, "--pod", "waiting")

    assert (status, predicted) == (OK, OK)
    for text in (out, err):
        assert f"{others[0]}:1" in text
        assert "`kubectl get` prints it" in text
        assert "cut.json:1: not JSON" in text
        assert "the file is cut short" in text


def test_strict_refuses_a_snapshot_of_which_something_is_broken(run, snapshot, tmp_path):
    (tmp_path / "cut.json").write_text('{"kind": "Node"')
    paths = ("--snapshot", snapshot, "--snapshot", str(tmp_path / "cut.json"))

    assert run("explain", *paths, "--pod", "waiting")[0] == OK
    assert run("explain", *paths, "--pod", "waiting", "--strict")[0] == USAGE


def test_a_snapshot_may_come_by_standard_input(run, snapshot, monkeypatch):
    with pathlib.Path(snapshot).open(encoding="utf-8") as file:
        monkeypatch.setattr("sys.stdin", file)
        assert run("predict", "--snapshot", "-", "--pod", "waiting")[0] == OK


def test_standard_input_is_read_once(run):
    status, _, err = run("predict", "--snapshot", "-", "--pod", "-")

    assert status == USAGE
    assert "can be read only once" in err


def test_claims_that_pods_hold_and_the_snapshot_lacks_are_reported(run, snapshot, tmp_path):
    holder = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "holder"},
        "spec": {"nodeName": "free", "containers": [],
                 "resourceClaims": [{"name": "g", "resourceClaimName": "unseen"}]},
    }  # fmt: skip
    (tmp_path / "holder.json").write_text(json.dumps(holder))
    paths = ("--snapshot", snapshot, "--snapshot", str(tmp_path / "holder.json"))

    _, out, _ = run("explain", *paths, "--pod", "waiting")

    assert "1 claim of pods on nodes not in the snapshot" in out
    assert "default/unseen" in out


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        ({"source": {"resourceClaimTemplateName": "one-gpu"}}, "before Kubernetes 1.31"),
        ({"podGroupResourceClaim": "shared"}, "podGroupResourceClaim"),
        ({}, "neither a ResourceClaim nor a ResourceClaimTemplate"),
    ],
)
def test_claims_in_a_form_that_is_not_read_are_named(run, snapshot, tmp_path, claim, expected):
    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"containers": [], "resourceClaims": [{"name": "g", **claim}]},
    }  # fmt: skip
    (tmp_path / "pod.json").write_text(json.dumps(pod))

    asked = ("explain", "--snapshot", snapshot, "--pod", str(tmp_path / "pod.json"))
    status, out, _ = run(*asked)

    assert status == NO_FIT
    assert "resourceClaims[g]" in out
    assert expected in out
