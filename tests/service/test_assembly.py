import dataclasses

import pytest
import yaml

from extender import errors
from extender.hardware import allocator_features
from extender.kube.api import objects
from extender.policy import config
from extender.service import assembly
from extender.service.policy_source import policy_text
from tests.kit.builders import make_node, make_pod, make_slice

POLICY = "profiles:\n- name: mine\n"


def config_map(data):
    meta = objects.ObjectMeta(name="railyard-policy", namespace="railyard")
    return objects.ConfigMap(metadata=meta, data=data)


def test_without_a_file_the_policy_that_ships_is_used():
    assert assembly.read_policy(None) == config.DEFAULT


def test_a_policy_is_read_from_a_file_and_through_its_config_map(tmp_path):
    plain, wrapped = tmp_path / "policy.yaml", tmp_path / "map.yaml"
    plain.write_text(POLICY)
    wrapped.write_text(yaml.safe_dump({"kind": "ConfigMap", "data": {"policy.yaml": POLICY}}))

    assert assembly.read_policy(plain) == assembly.read_policy(wrapped)
    assert assembly.read_policy(plain).profiles[0].name == "mine"


def test_the_policy_of_a_config_map_object():
    found = policy_text.of_config_map(config_map({"policy.yaml": POLICY}), source="x")

    assert found.profiles[0].name == "mine"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(None, "holds no policy", id="no data"),
        pytest.param({"other": "x"}, "holds no policy", id="another key"),
        pytest.param({"policy.yaml": "a: ["}, "is not YAML", id="no YAML"),
        pytest.param({"policy.yaml": "- a"}, "is not a policy", id="a list"),
        pytest.param({"policy.yaml": "x: 1"}, "is not a usable policy", id="an unknown field"),
    ],
)
def test_a_config_map_without_a_usable_policy_is_refused(data, message):
    with pytest.raises(errors.ConfigError, match=message):
        policy_text.of_config_map(config_map(data), source="x")


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(errors.ConfigError, match="cannot be read"):
        assembly.read_policy(path)


def test_the_catalogue_that_ships_knows_platforms_with_their_calibration():
    found = assembly.read_catalogue()

    assert found.platforms
    assert all(isinstance(found.calibration(p.name), dict) for p in found.platforms)


def test_a_snapshot_makes_an_engine_that_judges(tmp_path):
    documents = [
        {"apiVersion": "v1", "kind": "Node"} | make_node("a").gpus("NVIDIA-H100", 8).body,
        {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice"} | make_slice("s").body,
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}},
    ]
    (tmp_path / "c.yaml").write_text(yaml.safe_dump_all(documents))

    judging, snapshot = assembly.from_snapshot([tmp_path], policy=config.DEFAULT)

    assert snapshot.ignored == {"Deployment": 1}
    refused = judging.filter(make_pod("p").gpus(9).obj(), ["a"])
    assert refused.unresolvable == {"a": "needs 9 GPUs; node has 8 GPUs"}


@pytest.mark.parametrize(
    ("version", "known"), [("", True), ("1.36", True), ("v1.35.2-eks-1", False), ("9.9", True)]
)
def test_the_version_sets_the_allocators_switches(version, known):
    assert assembly.features_for(version).pool_order_known is known


def test_without_a_version_the_newest_is_meant():
    assert assembly.features_for("") == allocator_features.AllocatorFeatures()


def test_gates_that_were_given_stand_against_the_versions_defaults():
    gates = {"DRAPartitionableDevices": True, "DRAAdminAccess": False, "NodeSwap": True}

    reported = assembly.features_for("1.35", gates)

    assert reported == dataclasses.replace(
        assembly.features_for("1.35"), partitionable=True, admin_access=False
    )


def test_a_version_that_is_none_names_the_flag():
    with pytest.raises(errors.ConfigError) as refused:
        assembly.features_for("latest")

    assert refused.value.problems[0][0] == "--kubernetes-version"


def test_the_policys_version_counts_where_no_flag_says_otherwise(tmp_path):
    (tmp_path / "n.yaml").write_text("{apiVersion: v1, kind: Node, metadata: {name: a}}")
    policy = config.Policy(kubernetes_version="1.34")

    reported, _ = assembly.from_snapshot([tmp_path], policy=policy, kubernetes_version="1.36")
    untold, _ = assembly.from_snapshot([tmp_path], policy=policy)

    assert reported.index.builder.features.pool_order_known
    assert not untold.index.builder.features.pool_order_known
