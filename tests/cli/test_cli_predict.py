"""The command line: predict, what the operator must mend, check, schema, demo."""

import json
import re

import msgspec
import pytest
import yaml

from extender.policy import config
from tests.kit.builders import (
    make_class,
    make_node,
    make_pod,
    make_slice,
    make_template,
)
from tests.kit.rigs.cli_run import write

GPU = "gpu.example.com"


OK, NO_FIT, USAGE = 0, 1, 2


# ---------------------------------------------------------------- predict


def test_predict_prints_the_devices_or_why_there_are_none(run, snapshot):
    status, out, _ = run("predict", "--snapshot", snapshot, "--pod", "waiting")

    assert status == OK
    assert out.splitlines() == [
        f"free: gpu={GPU}/free/gpu-0",
        "full: needs 1 GPU; its only GPU is in use",
        "plain: needs 1 GPU; node has none",
    ]


def test_predict_in_json_says_the_same(run, snapshot):
    _, out, _ = run("predict", "--snapshot", snapshot, "--pod", "waiting", "-o", "json")

    free, full, _ = json.loads(out)
    assert [device["device"] for device in free["devices"]] == ["gpu-0"]
    assert (full["devices"], full["reason"]) == ([], "needs 1 GPU; its only GPU is in use")


def test_an_older_version_says_that_its_pick_is_one_of_several(run, tmp_path):
    two = [make_slice(f"s{n}", GPU).on("a").pool(f"pool-{n}").device("gpu-0") for n in range(2)]
    template = make_template("one").request("gpu", GPU)
    path = write(
        tmp_path / "c.yaml", make_node("a"), *two, make_class(GPU), template,
        make_pod("p").template("one"),
    )  # fmt: skip
    asked = ("predict", "--snapshot", path, "--pod", "p", "-o", "json", "--kubernetes-version")

    (old,) = json.loads(run(*asked, "1.35")[1])
    (new,) = json.loads(run(*asked, "1.36")[1])

    assert any("random order" in note for note in old["notes"])
    assert new["notes"] == []


def test_gates_that_are_given_decide_what_the_allocator_can_do(run, tmp_path):
    counters = make_slice("s0", GPU).on("a").pool("a", slices=2).counters(whole={"memory": "80"})
    half = make_slice("s1", GPU).on("a").pool("a", slices=2)
    half.device("half", consumes={"whole": {"memory": "40"}})
    path = write(
        tmp_path / "c.yaml", make_node("a"), counters, half, make_class(GPU),
        make_template("one").request("gpu", GPU), make_pod("p").template("one"),
    )  # fmt: skip
    asked = ("predict", "--snapshot", path, "--pod", "p", "--kubernetes-version", "1.35")

    assert run(*asked)[0] == NO_FIT
    assert run(*asked, "--feature-gates", "DRAPartitionableDevices=true")[0] == OK


# ---------------------------------------------------------------- what the operator must mend


def test_a_snapshot_that_is_not_there_is_named(run, tmp_path):
    missing = str(tmp_path / "nowhere.yaml")

    status, out, err = run("explain", "--snapshot", missing, "--pod", "p")

    assert (status, out) == (USAGE, "")
    assert err.startswith("railyard: the snapshot cannot be read:")
    assert missing in err


def test_broken_yaml_is_named_with_file_and_line(run, tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_text("apiVersion: v1\nkind: Node\nmetadata:\n  name: [a\n")

    status, _, err = run("explain", "--snapshot", str(path), "--pod", "p")

    assert status == USAGE
    assert f"{path}:" in err
    assert any(f"{path}:{line}" in err for line in (4, 5))


def test_every_object_that_cannot_be_read_is_named(run, tmp_path):
    bad = [make_node("one").allocatable(cpu="lots"), make_node("two").allocatable(memory="?")]
    path = write(tmp_path / "bad.yaml", *bad)

    status, _, err = run("explain", "--snapshot", path, "--pod", "p")

    assert status == USAGE
    assert "Node one" in err
    assert "Node two" in err


@pytest.mark.parametrize("name", ["nobody", "elsewhere/waiting"])
def test_a_pod_that_is_neither_file_nor_known_is_said_so(run, snapshot, name):
    status, _, err = run("explain", "--snapshot", snapshot, "--pod", name)

    assert status == USAGE
    assert f"{name}: neither a file nor a pod of the snapshot" in err


def test_a_manifest_without_a_pod_is_said_so(run, snapshot, tmp_path):
    path = write(tmp_path / "node.yaml", make_node("n"))

    status, _, err = run("explain", "--snapshot", snapshot, "--pod", path)

    assert status == USAGE
    assert "holds no Pod" in err


def test_a_version_that_is_none_is_refused(run, snapshot):
    arguments = ("--snapshot", snapshot, "--pod", "waiting", "--kubernetes-version", "latest")

    status, _, err = run("predict", *arguments)

    assert status == USAGE
    assert "--kubernetes-version: 'latest' is not a Kubernetes version" in err


def test_settings_that_contradict_each_other_are_all_named(run):
    status, _, err = run("serve", "--bind", "10.0.0.1:1", "--tls-key", "k", "--head-seconds", "x")

    assert status == USAGE
    for place in ("--bind", "--tls-certificate", "--head-seconds"):
        assert f"{place}: " in err


# ---------------------------------------------------------------- check, schema


def test_check_names_the_profiles_of_a_good_policy(run, tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text("profiles:\n- {name: a, match: {namespaces: [x]}}\n- {name: b}\n")

    status, out, err = run("check", str(path))
    assert (status, err) == (OK, "")
    assert re.fullmatch(rf"{path}: good; profiles: a, b; hash [0-9a-f]{{12}}\n", out)


def test_check_reads_the_policy_in_a_config_map(run, tmp_path):
    path = tmp_path / "map.yaml"
    inner = "scores: {maximum: 0}\n"
    path.write_text(yaml.safe_dump({"kind": "ConfigMap", "data": {"policy.yaml": inner}}))

    status, _, err = run("check", str(path))

    assert status == USAGE
    assert "map.yaml: policy.yaml is not a usable policy" in err
    assert "scores.maximum" in err


def test_check_lists_every_problem_of_a_policy(run, tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(
        "profiles:\n- {name: a, locality: {mode: Sometimes}}\n- {name: b, packing: {alpha: 9}}\n"
        "packing: {alpha: 99}\ncpuPods: Maybe\nkubernetesVersion: latest\n"
    )

    status, out, err = run("check", str(path))

    assert (status, out) == (USAGE, "")
    places = [line.strip().partition(":")[0] for line in err.splitlines()[1:]]
    assert places == [
        "profiles[1].packing.alpha",
        "kubernetesVersion",
        "profiles[1].match",
        "profiles[0].locality.mode",
        "packing.alpha",
        "cpuPods",
    ]
    assert "holds for the whole cluster: set it at packing.alpha" in err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a: [", "is not YAML", id="not YAML"),
        pytest.param("- a", "is not a policy", id="a list"),
        pytest.param("kind: ConfigMap", "holds no policy", id="an empty ConfigMap"),
        pytest.param("weight: 3", "weight", id="an unknown field"),
        pytest.param("profiles: {}", "expected a list", id="profiles that are no list"),
        pytest.param("profiles: []", "at least one profile", id="no profile"),
        pytest.param("profiles: [{name: a}, {name: b}]", "is never reached", id="unreachable"),
    ],
)
def test_check_says_what_is_wrong(run, tmp_path, text, expected):
    path = tmp_path / "policy.yaml"
    path.write_text(text)

    status, _, err = run("check", str(path))

    assert status == USAGE
    assert expected in err


def test_check_reads_all_files_and_tells_all_that_is_wrong(run, tmp_path):
    good, bad, worse = (tmp_path / f"{name}.yaml" for name in ("good", "bad", "worse"))
    good.write_text("{}")
    bad.write_text("cpuPods: Maybe\n")
    worse.write_text("weight: 3\n")

    status, out, err = run("check", str(good), str(bad), str(worse))
    found = json.loads(run("check", str(good), str(bad), str(worse), "-o", "json")[1])

    assert status == USAGE
    assert "good.yaml: good" in out
    assert "cpuPods" in err
    assert "weight" in err
    assert [each["good"] for each in found] == [True, False, False]
    assert [each.get("problems", [{}])[0].get("place") for each in found][1:] == [
        "cpuPods",
        "weight",
    ]


def test_check_finds_the_policies_in_a_stream_of_manifests(run, tmp_path):
    maps = [
        {"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "d"}},
        {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "a", "namespace": "x"},
         "data": {"policy.yaml": "{}"}},
        {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "b"}, "data": {"c": "d"}},
        {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "c"},
         "data": {"policy.yaml": "cpuPods: Maybe"}},
    ]  # fmt: skip
    stream = tmp_path / "all.yaml"
    stream.write_text(yaml.safe_dump_all(maps))

    status, out, err = run("check", str(stream))

    assert status == USAGE
    assert "(ConfigMap x/a): good" in out
    assert "(ConfigMap default/c)" in err
    assert "cpuPods" in err


def test_check_of_a_file_that_is_not_there_says_so(run, tmp_path):
    status, _, err = run("check", str(tmp_path / "no.yaml"))

    assert status == USAGE
    assert "the policy cannot be read" in err


def test_schema_prints_what_editors_need(run):
    status, out, _ = run("schema")

    assert status == OK
    assert json.loads(out)["$defs"]["Policy"]["required"] == []
    properties = json.loads(out)["$defs"]["Policy"]["properties"]
    fields = {field.encode_name for field in msgspec.structs.fields(config.Policy)}
    assert properties.keys() == fields | {"$schema"}  # editors write which schema it is


# ---------------------------------------------------------------- demo


def test_the_demo_asks_itself_over_http_and_prints_the_ranking(run):
    status, out, _ = run("demo", "--once")

    assert status == OK
    assert out.startswith("filter: ")
    assert "prioritize: best is" in out
    assert "pod default/train-0: 1 GPU + 1 NIC" in out
