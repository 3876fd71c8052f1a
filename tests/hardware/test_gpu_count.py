"""How many GPUs a machine has, and how much of them nobody holds."""

import pytest

from extender.hardware import gpu_count
from extender.hardware.shape import Device, Kind, PluginResource, Shape
from extender.hardware.usage import NOTHING, Usage
from tests.kit.builders import make_claim, make_class, make_node, make_slice
from tests.kit.worlds import GPU, engine, feed

EIGHT = {f"memory-slice-{number}": "1" for number in range(8)}
LOW = {f"memory-slice-{number}": "1" for number in range(4)}


def machine(*kinds, **options):
    devices = tuple(Device("d", f"d{n}", {}, {}, kind=kind) for n, kind in enumerate(kinds))
    return Shape(devices=devices, **options)


def published(*objects, taken=()):
    """(free, all) GPUs of a node with these slices, once the devices of these names are taken."""
    judging = engine()
    feed(judging, make_node("a"), make_class(GPU), *objects)
    for name in taken:
        feed(judging, make_claim(name).request("r", GPU).allocated("a", ("r", GPU, "a", name)))
    judging.settle()
    return judging.pricer.inventory.totals()


def on_a(name, slices=1):
    return make_slice(name, GPU).on("a").pool("a", slices=slices)


def counters(**sets):
    return on_a("counters", 2).counters(**sets)


@pytest.mark.parametrize(
    ("usage", "left"),
    [
        pytest.param(NOTHING, 2.0, id="all"),
        pytest.param(Usage(taken=0b01), 1.0, id="one is taken"),
        pytest.param(Usage(taken=0b100), 2.0, id="a NIC is taken"),
    ],
)
def test_gpus_left_are_those_that_nobody_holds(usage, left):
    assert gpu_count.GpuCounter(machine(Kind.GPU, Kind.GPU, Kind.NIC)).left(usage) == left


def test_units_without_devices_behind_them_count_too():
    resource = PluginResource("nvidia.com/gpu", 8, replicas=4, kind=Kind.GPU, share=0.25, gpus=2.0)
    found = gpu_count.GpuCounter(Shape(resources=(resource,)))

    assert (found.total, found.whole, found.left(Usage(held=(2,)))) == (2.0, 0, 1.5)


def test_more_units_in_use_than_are_offered_leave_none():
    resource = PluginResource("nvidia.com/gpu", 5, kind=Kind.GPU, share=1.0, gpus=5.0)

    assert gpu_count.GpuCounter(Shape(resources=(resource,))).left(Usage(held=(8,))) == 0.0


def test_names_of_one_group_count_the_same_devices():
    chips = PluginResource("aws.amazon.com/neuron", 16, share=1.0, gpus=16.0, same="neuron")
    cores = PluginResource("aws.amazon.com/neuroncore", 32, share=0.5, gpus=16.0, same="neuron")
    found = gpu_count.GpuCounter(Shape(resources=(chips, cores)))

    assert found.total == 16.0
    assert found.left(Usage(held=(4, 8))) == 8.0


def test_gpus_that_a_plug_in_and_dra_publish_are_the_same_ones():
    devices = tuple(Device("gpu.nvidia.com", f"gpu-{n}", {}, {}, kind=Kind.GPU) for n in range(8))
    behind = tuple(Device("nvidia.com", f"gpu-{n}", {}, {}, kind=Kind.GPU) for n in range(8))
    resource = PluginResource(
        "nvidia.com/gpu", 8, tuple(range(8, 16)), kind=Kind.GPU, share=1.0, gpus=8.0
    )
    found = gpu_count.GpuCounter(Shape(devices=devices + behind, resources=(resource,)))

    assert (found.total, found.whole) == (8.0, 8)
    assert found.left(Usage(taken=0b11, held=(3,))) == 3.0
    assert found.left(Usage(taken=0xFF, held=(8,))) == 0.0


@pytest.mark.parametrize(("taken", "free"), [((), 2.0), (("gpu-0",), 1.0), (("gpu-vfio-1",), 1.0)])
@pytest.mark.parametrize(
    "reported", [{"uuid": "GPU-{}"}, {"pciBusID": "0000:0{}:00.0"}], ids=["uuid", "address"]
)
def test_a_gpu_published_once_more_for_passthrough_is_one_gpu(reported, taken, free):
    twins = on_a("s")
    for number in range(2):
        same = {name: text.format(number + 1) for name, text in reported.items()}
        twins.device(f"gpu-{number}", type="gpu", **same)
        twins.device(f"gpu-vfio-{number}", type="vfio", **same)

    assert published(twins, taken=taken) == (free, 2.0)


@pytest.mark.parametrize(
    ("taken", "free"),
    [((), 2.0), (("mig-low-0",), 1.5), (("mig-low-0", "mig-low-1"), 1.0), (("gpu-1",), 1.0)],
)
def test_a_partition_in_use_leaves_the_rest_of_its_gpu(taken, free):
    devices = on_a("s", 2)
    for number in range(2):
        same = {"uuid": f"GPU-{number}"}
        devices.device(f"gpu-{number}", type="gpu", consumes={f"set-{number}": EIGHT}, **same)
        part = {"type": "mig", "parentUUID": f"GPU-{number}"}
        devices.device(f"mig-low-{number}", consumes={f"set-{number}": LOW}, **part)
    sets = counters(**{f"set-{number}": EIGHT for number in range(2)})

    assert published(devices, sets, taken=taken) == (free, 2.0)


@pytest.mark.parametrize(("taken", "free"), [((), 1.0), (("mig-low",), 0.5)])
def test_a_gpu_of_which_only_partitions_are_published_is_one_gpu(taken, free):
    devices = on_a("s", 2).device("mig-low", type="mig", consumes={"set": LOW})
    devices.device("mig-all", type="mig", consumes={"set": EIGHT})

    assert published(devices, counters(set=EIGHT), taken=taken) == (free, 1.0)


def test_partitions_made_beforehand_are_parts_of_their_gpu_by_their_profiles():
    devices = on_a("s")
    for profile in ("4g.40gb", "2g.20gb", "1g.10gb"):
        devices.device(f"mig-{profile}", type="mig", parentUUID="GPU-0", profile=profile)

    asking = [f"device.attributes['{GPU}'].profile == '2g.20gb'"]
    claim = make_claim("other").request("r", GPU, selectors=asking)

    assert published(devices, claim, taken=["mig-2g.20gb"]) == (pytest.approx(5 / 7), 1.0)
    assert published(devices, taken=["mig-2g.20gb"]) == (pytest.approx(5 / 7), 1.0)


def test_a_lone_partition_of_an_unknown_gpu_counts_by_its_profile():
    lone = on_a("s").device("mig-0", type="mig", profile="3g.40gb")
    asking = [f"device.attributes['{GPU}'].profile == '3g.40gb'"]
    reported = make_claim("other").request("r", GPU, selectors=asking)

    assert published(lone, reported)[1] == pytest.approx(3 / 7)


def test_a_gpu_may_draw_of_several_counter_sets():
    both = {"memory": {"slices": "8"}, "compute": {"engines": "7"}}
    devices = on_a("s", 2).device("gpu-0", type="gpu", consumes=both)
    part = {"memory": {"slices": "2"}, "compute": {"engines": "3"}}
    devices.device("mig-0", type="mig", consumes=part)

    free, total = published(devices, counters(**both), taken=["mig-0"])

    assert (free, total) == (pytest.approx(4 / 7), 1.0)


def test_a_device_that_spans_gpus_takes_its_part_of_each():
    devices = on_a("s", 2)
    for number in range(2):
        devices.device(f"gpu-{number}", type="gpu", consumes={f"set-{number}": EIGHT})
    devices.device("mig-pair", type="mig", consumes={"set-0": EIGHT, "set-1": LOW})
    sets = counters(**{f"set-{number}": EIGHT for number in range(2)})

    assert published(devices, sets, taken=["mig-pair"]) == (0.5, 2.0)


def test_a_shared_gpu_is_free_by_what_is_left_of_it():
    device = make_slice("s", GPU).on("a").device("gpu-0", capacity={"memory": "80Gi"}, multi=True)
    judging = engine()
    feed(judging, make_node("a"), make_class(GPU), device)
    judging.settle()
    (hardware,) = judging.index.states.shapes
    used = (0, (("memory", 60 * 1024**3 * 10**9),))

    assert gpu_count.GpuCounter(hardware).left(Usage(shared=(used,))) == pytest.approx(0.25)
