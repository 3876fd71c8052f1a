"""The cost model of nearness: measured ratios, assignments against brute force, real machines."""

import dataclasses

import pytest

from extender.hardware import shape
from tests.kit.rigs.locality_machines import Kind, assess, device, machine

MIG, NOWHERE = Kind.PARTITION, (None, None)


# ---------------------------------------------------------------- the model

FOUR_PER_SOCKET = [(f"r{n}", n // 4) for n in range(8)]


HGX = machine(FOUR_PER_SOCKET, FOUR_PER_SOCKET, islands=[range(8)])


@pytest.mark.parametrize(
    ("gpus", "nics", "rate"),
    [
        pytest.param([0], [8], 1.0, id="one root"),
        pytest.param([0], [9], 0.8, id="same NUMA node, another root"),
        pytest.param([0], [12], 0.5, id="across sockets"),
        pytest.param([0, 1], [12, 13], 0.25, id="two share the way across"),
        pytest.param([0, 1, 2, 3], [12, 13, 14, 15], 0.14, id="four: the floor"),
        pytest.param([0, 1, 2, 3], [8, 9, 10, 15], 0.5, id="one of four across"),
        pytest.param([0], [8, 9], 0.9, id="one GPU has the mean of its NICs"),
        pytest.param([0], [8, 12], 0.75, id="one of its two NICs across"),
        pytest.param([0, 1, 2], [], 1.0, id="GPUs linked"),
        pytest.param([], [8, 15], 1.0, id="NICs alone"),
    ],
)
def test_the_rate_follows_the_way_between_gpu_and_nic(gpus, nics, rate):
    assert assess(HGX, [*gpus, *nics]).rate == pytest.approx(rate)


@pytest.mark.parametrize(
    ("platform", "across", "rate", "measured"),
    [
        # kubernetes-sigs/dranet: examples and their tables, GB/s or ms per step.
        pytest.param("gb300", 1, 25 / 56, 0.05, id="AKS GB300 all_reduce"),
        pytest.param("gb200", 1, 25 / 46, 0.05, id="OKE GB200 all_reduce"),
        pytest.param("aws-p4d", 1, 6.04 / 11.35, 0.05, id="EKS p4d all_reduce"),
        pytest.param("gke-a4", 1, 0.58, 0.05, id="GKE A4 all_reduce 8 GB"),
        pytest.param("azure-nd-h100-v5", 4, 27.54 / 39.07, 0.01, id="AKS H100 NIXL, 4 + 4"),
        pytest.param("azure-nd-mi300x-v5", 4, 6.10 / 42.53, 0.05, id="AKS MI300X, 4 + 4"),
    ],
)
def test_platforms_have_the_ratios_that_were_measured_across_sockets(
    platform, across, rate, measured
):
    devices = [*range(across), *range(12, 12 + across)]
    assert assess(HGX, devices, platform=platform).rate == pytest.approx(rate, rel=measured)


def test_a_factor_that_was_measured_nowhere_is_called_an_estimate():
    near, between, apart = (assess(HGX, [0, nic]).why for nic in (8, 9, 12))
    assert between.endswith("bandwidth factor 0.80 (an estimate)")
    assert "estimate" not in near + apart


def test_the_slow_down_of_a_training_step_is_the_measured_one():
    # AKS H100, BF16 DDP on 2 x 4 GPUs: 55.50 ms a step aligned, 60.95 ms unaligned.
    apart = assess(HGX, [*range(4), *range(12, 16)], platform="azure-nd-h100-v5")
    assert 1 / apart.score == pytest.approx(60.95 / 55.50, rel=0.01)


def test_a_job_that_only_communicates_slows_down_as_the_bandwidth_does():
    found = assess(HGX, [0, 12], share=1.0)
    assert found.score == found.rate == 0.5


def test_one_numa_node_is_as_near_as_can_be_where_no_root_is_shared():
    grace = machine([("a", 0), ("b", 1)], [(None, 0), (None, 1)])
    assert assess(grace, [0, 2]).rate == 1.0
    assert assess(grace, [0, 3]).rate == 0.5


def test_what_is_not_published_is_neither_near_nor_far():
    bare = machine([NOWHERE], [NOWHERE])
    found = assess(bare, [0, 1])
    assert assess(HGX, [0, 12]).rate < found.rate < assess(HGX, [0, 8]).rate
    assert found.unknown
    assert found.level_words == "locality of GPU and NIC is not published"


def test_roots_that_differ_without_numa_nodes_are_less_than_not_known():
    roots = machine([("a", None)], [("b", None)])
    found = assess(roots, [0, 1])
    assert 0.5 < found.rate < assess(machine([NOWHERE], [NOWHERE]), [0, 1]).rate
    assert found.other_root
    assert found.level_words == "GPU and NIC do not share a PCIe root"


# ---------------------------------------------------------------- GPUs among themselves


def test_gpus_of_one_island_are_near_and_those_of_two_are_not():
    pairs = machine([(None, n) for n in range(4)], islands=[(0, 1), (2, 3)])
    assert assess(pairs, [0, 1]).rate == 1.0
    assert assess(pairs, [1, 2]).rate == 0.1
    assert assess(pairs, [0, 1]).why == "all GPUs are linked by NVLink"
    assert assess(pairs, [1, 2]).why == "some GPUs are not linked by NVLink"


def test_gpus_of_a_divided_nvswitch_are_linked_as_whole_partitions_only():
    pairs = dataclasses.replace(
        HGX, partitions=tuple(((2, n // 2), (8, 0)) if n < 8 else () for n in range(16))
    )
    whole, broken = assess(pairs, [2, 3]), assess(pairs, [3, 4])
    assert (whole.rate, broken.rate) == (1.0, 0.1)
    assert whole.why == "all GPUs are linked by NVLink"
    assert "no NVSwitch partition" in broken.why


def test_a_link_that_is_not_reported_is_not_taken_for_missing():
    mixed = machine([NOWHERE] * 3, islands=[(0, 1)])
    found = assess(mixed, [0, 2])
    assert found.rate == 0.8
    assert found.unknown
    assert found.why == "whether NVLink joins all GPUs is not published"


def test_gpus_without_links_prefer_one_socket():
    plain = machine([("a", 0), ("b", 0), ("c", 1), NOWHERE])
    rates = [assess(plain, devices).rate for devices in ([0, 1], [0, 3], [1, 2])]
    assert rates == sorted(rates, reverse=True)
    assert len(set(rates)) == 3
    words = [assess(plain, devices).why for devices in ([1, 2], [0, 3], [0, 1])]
    assert words == [
        "GPUs on several NUMA nodes",
        "how close the GPUs are to each other is not published",
        "GPUs on one NUMA node",
    ]


def test_parts_of_gpus_have_no_links_to_miss():
    parts = machine([("a", 0), ("a", 0), ("b", 1)], kind=MIG)
    joined = shape.Shape(
        devices=(*parts.devices, device(Kind.GPU, 8), device(Kind.GPU, 9)),
        levels=(*(row + bytes([6, 6]) for row in parts.levels), bytes([6] * 3 + [6, 0]),
            bytes([6] * 3 + [0, 6])),
        numa=(*parts.numa, 0, 0),
        root=(*parts.root, "c", "d"),
    )  # fmt: skip
    assert assess(joined, [0, 1]).rate == 1.0
    assert assess(joined, [0, 2]).rate == 0.6


@pytest.mark.parametrize(
    ("product", "driver", "word"),
    [
        ("NVIDIA H100 80GB HBM3", "gpu.nvidia.com", "NVLink"),
        ("AMD_Instinct_MI300X_OAM", "amd.com", "XGMI"),
        ("", "gpu.amd.com", "XGMI"),
    ],
)
def test_links_have_their_makers_name(product, driver, word):
    eight = machine(FOUR_PER_SOCKET, islands=[range(8)], product=product, driver=driver)
    assert assess(eight, [0, 1]).why == f"all GPUs are linked by {word}"


def test_a_single_device_has_nothing_to_be_near_to():
    found = assess(HGX, [3])
    assert (found.score, found.worst, found.unknown) == (1.0, None, False)
    assert found.why == "no other device to be close to"
