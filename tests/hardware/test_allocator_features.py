"""A version's switches are those of its allocator."""

from __future__ import annotations

import pytest

from extender.hardware import allocator_features


@pytest.mark.parametrize(
    ("text", "same"),
    [
        pytest.param("v1.36.3+k3s1", "1.36.3", id="a distribution's version"),
        pytest.param("1.36", "1.36.9", id="no patch is the newest patch"),
        pytest.param("1.40.1", "1.37", id="later than known"),
        pytest.param("1.31", "1.34", id="earlier than known"),
        pytest.param("v1.37.0-beta.0", "1.37", id="a pre-release"),
    ],
)
def test_versions_are_read_as_api_servers_write_them(text, same):
    assert allocator_features.features_of(text) == allocator_features.features_of(same)


def test_what_is_no_version_is_refused():
    with pytest.raises(ValueError, match="latest"):
        allocator_features.features_of("latest")


def test_the_newest_version_has_no_known_defect_and_a_known_order():
    newest = allocator_features.features_of("1.37")
    assert newest == allocator_features.AllocatorFeatures()
    assert newest.pool_order_known


def test_the_leak_is_gone_from_1_36_3_on():
    assert allocator_features.features_of("1.36.2").leak
    assert not allocator_features.features_of("1.36.3").leak
    assert allocator_features.features_of("1.36.3").key


@pytest.mark.parametrize(
    ("version", "gates", "known", "newer"),
    [
        pytest.param("1.36", {}, True, True, id="1.36"),
        pytest.param(
            "1.36",
            {"DRAConsumableCapacity": False, "DRADeviceBindingConditions": False},
            False,
            False,
            id="1.36 with few gates falls back to the stable variant",
        ),
        pytest.param("1.35", {}, False, False, id="1.35"),
        pytest.param("1.35", {"DRAConsumableCapacity": True}, False, True, id="1.35, more gates"),
        pytest.param("1.34", {}, False, True, id="1.34 needs its newest variant by default"),
        pytest.param(
            "1.34", {"DRAResourceClaimDeviceStatus": False}, False, False, id="1.34, fewer"
        ),
    ],
)
def test_gates_decide_which_variant_runs(version, gates, known, newer):
    features = allocator_features.features_of(version, gates=gates)
    assert (features.pool_order_known, features.newer_variant) == (known, newer)


@pytest.mark.parametrize(
    ("version", "gate", "followed"),
    [
        pytest.param("1.34", "DRADeviceTaints", True, id="1.34 has one gate for both"),
        pytest.param("1.35", "DRADeviceTaints", False, id="taints alone"),
        pytest.param("1.35", "DRADeviceTaintRules", True, id="rules"),
    ],
)
def test_taint_rules_have_a_gate_of_their_own_from_1_35_on(version, gate, followed):
    assert allocator_features.features_of(version, gates={gate: True}).taint_rules is followed


def test_gates_that_are_not_the_allocators_are_passed_over():
    assert allocator_features.features_of(
        "1.36", gates={"Other": True}
    ) == allocator_features.features_of("1.36")
