import collections
import pathlib
import subprocess
import sys

import pytest

from extender.hardware import device_topology, plugin_devices, shape
from extender.hardware.catalogue import catalogue
from extender.hardware.dra import device_facts
from extender.kube.api import objects
from extender.replay import snapshots

ROOT = pathlib.Path(__file__).parents[3]
DEMO = ROOT / "config" / "demo"
SNAPSHOT = snapshots.read([DEMO])
FILES = (ROOT / "config" / "hardware").iterdir()
CATALOGUE = catalogue.parse({path.name: path.read_bytes() for path in FILES})
NVIDIA, NICS = "gpu.nvidia.com", "dra.net"
Level = shape.Level


def of(kind):
    return {value.metadata.name: value for found, value in SNAPSHOT.objects if found == kind}


NODES, PODS, SLICES = of("Node"), of("Pod"), of("ResourceSlice")
CLAIMS, TEMPLATES, CLASSES = of("ResourceClaim"), of("ResourceClaimTemplate"), of("DeviceClass")


def results():
    for name, claim in CLAIMS.items():
        if claim.status.allocation is not None:
            for result in claim.status.allocation.devices.results:
                yield name, result


def published(node):
    """(driver, device) of the node's slices, in the order of slice names."""
    for name in sorted(SLICES):
        spec = SLICES[name].spec
        if spec.node_name == node:
            yield from ((spec.driver, device) for device in spec.devices or ())


def test_the_snapshot_is_what_the_script_writes():
    again = "import generate, sys; sys.stdout.buffer.write(generate.snapshot())"
    done = subprocess.run(
        [sys.executable, "-c", again],
        env={"PYTHONPATH": f"{ROOT}:{DEMO}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        check=True,
    )
    assert done.stdout == (DEMO / "snapshot.json").read_bytes()


def test_it_is_a_cluster_of_the_size_that_is_promised():
    assert len(NODES) == 24
    assert (DEMO / "snapshot.json").stat().st_size < 1_000_000
    assert SNAPSHOT.ignored == {}
    assert SNAPSHOT.duplicates == 0
    kinds = collections.Counter(name.rpartition("-")[0] for name in NODES)
    assert kinds == {
        "p4d": 6, "gb300": 4, "mi300x": 3, "gb200": 3, "h100-mig": 2, "dgx-a100": 4, "cpu": 2,
    }  # fmt: skip


def test_every_allocated_device_is_published_and_nobody_else_has_it():
    there = {(driver, node, device.name) for node in NODES for driver, device in published(node)}
    held = [(result.driver, result.pool, result.device) for _, result in results()]
    assert set(held) <= there
    assert len(held) == len(set(held)) > 60


def test_counters_are_never_overdrawn():
    held = {(result.pool, result.device) for _, result in results()}
    there = {
        (piece.spec.node_name, one.name, name): amount(counter)
        for piece in SLICES.values()
        for one in piece.spec.shared_counters or ()
        for name, counter in one.counters.items()
    }
    drawn = collections.Counter()
    for node in NODES:
        for _, device in published(node):
            for consumed in device.consumes_counters or ():
                for name, counter in consumed.counters.items():
                    key = (node, consumed.counter_set, name)
                    assert amount(counter) <= there[key]
                    if (node, device.name) in held:
                        drawn[key] += amount(counter)
    assert len(drawn) > 50
    assert all(drawn[key] <= there[key] for key in drawn)


def amount(counter):
    return int(counter.value.removesuffix("Mi"))


def test_a_pool_has_all_its_slices_and_a_slice_keeps_the_limits_of_the_api():
    pools = collections.Counter((s.spec.driver, s.spec.pool.name) for s in SLICES.values())
    for piece in SLICES.values():
        assert pools[piece.spec.driver, piece.spec.pool.name] == (
            piece.spec.pool.resource_slice_count
        )
        devices = piece.spec.devices or ()
        counted = piece.spec.shared_counters or any(d.consumes_counters for d in devices)
        assert len(devices) <= (64 if counted else 128)
        assert not (devices and piece.spec.shared_counters)


def test_pods_and_claims_point_at_each_other():
    for name, claim in CLAIMS.items():
        (owner,) = claim.metadata.owner_references
        pod = PODS[owner.name]
        assert owner.controller
        assert owner.uid == pod.metadata.uid
        (status,) = pod.status.resource_claim_statuses
        assert status.resource_claim_name == name
        (asked,) = pod.spec.resource_claims
        assert TEMPLATES[asked.resource_claim_template_name].spec.spec == claim.spec
        assert bool(pod.spec.node_name) == (claim.status.allocation is not None)
        assert all(result.pool == pod.spec.node_name for of, result in results() if of == name)
        for request in claim.spec.devices.requests:
            assert request.exactly.device_class_name in CLASSES
    assert all(pod.spec.node_name in {"", *NODES} for pod in PODS.values())


def test_the_pod_of_the_demo_asks_for_a_gpu_and_a_nic():
    pod = PODS["train-0"]
    assert pod.spec.node_name == ""
    claim = CLAIMS[pod.status.resource_claim_statuses[0].resource_claim_name]
    classes = [one.exactly.device_class_name for one in claim.spec.devices.requests]
    assert classes == [NVIDIA, "rdma.dranet"]


def first_fit(node, wanted):
    """The first free device of each driver and test, and how near they are."""
    held = {(r.driver, r.device) for _, r in results() if r.pool == node}
    devices = list(published(node))
    facts = [device_facts.device_facts(driver, device) for driver, device in devices]
    picked = []
    for driver, fits in wanted:
        for place, (of, device) in enumerate(devices):
            if of == driver and fits(device) and (of, device.name) not in held:
                picked.append(place)
                break
    if len(picked) < len(wanted):
        return None
    return Level(device_topology.levels(facts, linked=CATALOGUE.linked)[picked[0]][picked[1]])


def is_rdma(device):
    return device.attributes.get("dra.net/rdma", objects.DeviceAttribute()).bool_ is True


@pytest.mark.parametrize(
    ("node", "level"),
    [
        pytest.param("p4d-0", Level.PHB, id="empty: one root"),
        pytest.param("p4d-1", Level.NODE, id="other root, one NUMA node"),
        pytest.param("p4d-2", Level.SYS, id="other NUMA node"),
        pytest.param("p4d-3", Level.PHB, id="occupied, and one root again"),
        pytest.param("p4d-4", Level.SYS, id="no free pair shares a root"),
        pytest.param("p4d-5", None, id="full"),
        pytest.param("gb300-0", Level.NODE, id="GB300: nearest there is"),
        pytest.param("gb300-1", Level.NODE, id="GB300: second half"),
        pytest.param("gb300-2", Level.SYS, id="GB300: across"),
        pytest.param("gb300-3", None, id="GB300: full"),
        pytest.param("gb200-0", Level.NODE, id="GB200"),
        pytest.param("gb200-1", Level.SYS, id="GB200: across"),
        pytest.param("gb200-2", None, id="GB200: full"),
        pytest.param("h100-mig-0", None, id="no NICs"),
    ],
)
def test_occupancy_makes_nodes_of_one_kind_differ_for_the_pod_of_the_demo(node, level):
    assert first_fit(node, [(NVIDIA, lambda _: True), (NICS, is_rdma)]) == level


def test_on_one_node_no_free_pair_shares_a_root_whichever_is_chosen():
    held = {result.device for _, result in results() if result.pool == "p4d-4"}
    free = [(driver, device_facts.device_facts(driver, d)) for driver, d in published("p4d-4")
            if d.name not in held and (driver == NVIDIA or is_rdma(d))]  # fmt: skip
    roots = [{fact.roots for of, fact in free if of == driver} for driver in (NVIDIA, NICS)]
    assert all(roots)
    assert not roots[0] & roots[1]


def test_the_pool_with_device_plug_ins_is_recognised():
    found = {
        name: plugin_devices.inventory(
            plugin_devices.node_facts(node, CATALOGUE.resources), CATALOGUE
        )
        for name, node in NODES.items()
        if name.startswith("dgx")
    }
    assert {one.platform for one in found.values()} == {"dgx-a100"}
    assert [len(one.devices) for one in found.values()] == [18, 18, 8, 0]
    assert [one.resources[0].name for one in found.values()][:2] == ["nvidia.com/gpu"] * 2
    assert found["dgx-a100-2"].resources[0].replicas == 4


def test_no_pod_asks_for_more_than_its_node_has():
    used = collections.Counter()
    for pod in PODS.values():
        for container in pod.spec.containers if pod.spec.node_name else ():
            for name, amount in container.resources.requests.items():
                if name != "memory":
                    used[pod.spec.node_name, name] += int(amount)
    for (node, name), amount in used.items():
        assert amount <= int(NODES[node].status.allocatable[name])
