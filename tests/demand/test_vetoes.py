"""What may refuse a node, and what may not: no veto without knowledge."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extender.decisions.explanation import explain
from extender.decisions.verb_results import FilterResult
from extender.hardware import allocator_features
from tests.kit.builders import make_claim, make_class, make_node, make_pod, make_slice
from tests.kit.worlds import H100, NIC, engine, feed

EFA, HOSTDEV = "vpc.amazonaws.com/efa", "nvidia.com/hostdev"
FAKE = "fake.example.com"

# Names that look like devices and that another extender owns (`ignoredByScheduler`).
# Amounts that are no devices, whoever offers them.
AMOUNTS = [
    "huawei.com/Ascend910B4-memory",
    "huawei.com/Ascend310P-memory",
    "koordinator.sh/rdma",  # percents of a NIC
]
# Names of devices that another extender may own.
OWNED_ELSEWHERE = [
    "rdma/hca",
    "nvidia.com/mig-share",
    "example.com/gpu-nic",
    "rdma/bandwidth",
]


def p4d(name):
    """A p4d as its device plug-ins show it: two GPUs and an EFA behind each of four switches."""
    node = make_node(name).gpus("NVIDIA-A100-SXM4-40GB", 8).resource(EFA, 4)
    return node.label("node.kubernetes.io/instance-type", "p4d.24xlarge")


def refused(judging, pod, *names):
    found = judging.filter(pod.obj(), list(names))
    return {**found.failed, **found.unresolvable}


def devices(judging, pod, name):
    (node,) = explain.explain(judging, pod.obj(), [name]).nodes
    return [device.device for device in node.devices]


# ---------------------------------------------------------------- names


@pytest.mark.parametrize("name", [*AMOUNTS, *OWNED_ELSEWHERE])
def test_what_no_node_offers_is_not_ours_to_veto(name):
    judging = engine()
    feed(judging, make_node("a").gpus(H100, 8), make_node("cpu"))

    assert judging.filter(make_pod("p").request(name, 8192).obj(), ["a", "cpu"]) == FilterResult()
    with_gpu = make_pod("q").gpus(1).request(name, 8192)
    assert list(refused(judging, with_gpu, "a", "cpu")) == ["cpu"]


def test_explain_says_that_a_name_is_left_to_kube_scheduler():
    judging = engine()
    feed(judging, make_node("a").resource("example.com/dongle", 1))
    pod = make_pod("p").request("example.com/dongle", 2)

    (node,) = explain.explain(judging, pod.obj()).nodes

    assert (node.verdict, node.reason) == (
        "not judged",
        "left to kube-scheduler: 2 example.com/dongle",
    )


@pytest.mark.parametrize("name", AMOUNTS)
def test_an_amount_that_is_no_device_is_left_to_kube_scheduler_also_where_it_is_offered(name):
    judging = engine()
    feed(judging, make_node("a"), make_node("b").resource(name, 2))

    assert not refused(judging, make_pod("p").request(name, 2), "a", "b")


@pytest.mark.parametrize("name", OWNED_ELSEWHERE)
def test_the_first_node_that_offers_a_name_and_the_last_one_decide_whose_it_is(name):
    judging = engine()
    feed(judging, make_node("a"), make_node("b"))
    pod = make_pod("p").request(name, 2)
    assert not refused(judging, pod, "a", "b")

    feed(judging, make_node("b").resource(name, 2))
    assert list(refused(judging, pod, "a", "b")) == ["a"]

    feed(judging, make_node("b").resource(name, 0))
    assert not refused(judging, pod, "a", "b")


def example_cluster(judging, resource="example.com/gpu"):
    """DRA on `dra`, a plug-in on `plugin`, neither on `cpu`; the class says which resource."""
    feed(judging, make_node("dra"), make_node("cpu"), make_node("plugin").resource(resource, 2))
    feed(judging, make_slice("s", FAKE).on("dra").device("d-0").device("d-1"))
    feed(judging, make_class(FAKE).extended_resource(resource))


@pytest.mark.parametrize("resource", ["example.com/gpu", "nvidia.com/gpu", "acme.io/widget"])
@pytest.mark.parametrize(
    ("count", "passing"), [(1, {"dra", "plugin"}), (2, {"dra", "plugin"}), (3, set())]
)
def test_the_device_classes_say_which_resources_dra_serves(resource, count, passing):
    judging = engine()
    example_cluster(judging, resource)
    pod = make_pod("p").request(resource, count)

    assert {"dra", "cpu", "plugin"} - refused(
        judging, pod, "dra", "cpu", "plugin"
    ).keys() == passing
    assert devices(judging, pod, "dra") == [f"d-{n}" for n in range(count) if "dra" in passing]


def test_the_implicit_name_of_a_class_is_served_by_dra_alone():
    judging = engine()
    example_cluster(judging)
    pod = make_pod("p").request(f"deviceclass.resource.kubernetes.io/{FAKE}", 1)

    assert refused(judging, pod, "dra", "cpu", "plugin").keys() == {"cpu", "plugin"}


def test_the_units_that_a_plugin_has_of_a_class_name_are_counted():
    judging = engine()
    example_cluster(judging)
    feed(judging, make_pod("v").request("example.com/gpu", 2).node("plugin"))

    assert "plugin" in refused(judging, make_pod("p").request("example.com/gpu", 1), "plugin")


def test_a_class_that_comes_or_goes_changes_what_its_resource_means():
    judging = engine()
    example_cluster(judging)
    pod = make_pod("p").request("example.com/gpu", 3)
    assert refused(judging, pod, "dra", "plugin")

    judging.store.apply("DeviceClass", "DELETED", make_class(FAKE).obj())

    assert not refused(judging, pod, "dra", "plugin")
    assert not judging.index.verify()


def test_where_classes_serve_no_extended_resources_their_names_are_nobodys():
    judging = engine(features=allocator_features.features_of("1.34"))
    example_cluster(judging)

    assert not refused(judging, make_pod("p").request("example.com/gpu", 3), "dra", "cpu")


# ---------------------------------------------------------------- inferred devices


def test_gpus_and_nics_are_inferred_together():
    judging = engine()
    feed(judging, p4d("n"), make_pod("a").gpus(2).node("n"))
    pod = make_pod("p").gpus(2).request(EFA, 1)

    assert devices(judging, pod, "n") == ["gpu-2", "gpu-3", "efa-1"]


def test_of_equally_near_gpus_those_beside_a_free_nic_are_thought_of():
    judging = engine()
    feed(judging, p4d("n"))
    taken = f"nvidia.com/gpu=0,1; {EFA}=0,1"
    feed(
        judging,
        make_pod("a").gpus(2).request(EFA, 2).node("n").annotation("railyard.dev/devices", taken),
    )

    assert devices(judging, make_pod("p").gpus(2).request(EFA, 1), "n") == [
        "gpu-4",
        "gpu-5",
        "efa-2",
    ]


def test_the_nic_of_a_pod_whose_gpus_are_annotated_is_thought_beside_them():
    judging = engine()
    feed(judging, p4d("n"))
    reported = make_pod("a").gpus(2).request(EFA, 1).node("n")
    feed(judging, reported.annotation("railyard.dev/devices", "nvidia.com/gpu=6,7"))
    judging.settle()

    usage = judging.index.detail("n").usage
    assert [n for n in range(12) if usage.taken >> n & 1] == [6, 7, 11]


@settings(max_examples=40)
@given(
    held=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=5),
    gpus=st.integers(1, 4),
    nics=st.integers(1, 4),
    level=st.sampled_from(["PIX", "PXB", "PHB", "NODE"]),
)
def test_inferred_devices_veto_nothing(held, gpus, nics, level):
    """Required nearness refuses a plug-in node no more than the numbers of units do."""
    judging = engine()
    feed(judging, p4d("n"))
    for number, (units, efas) in enumerate(held):
        feed(judging, make_pod(f"h{number}").gpus(units).request(EFA, efas).node("n"))
    plain = make_pod("p").gpus(gpus).request(EFA, nics)
    strict = make_pod("q").gpus(gpus).request(EFA, nics).annotation("railyard.dev/locality", level)

    free = sum(u for u, _ in held) + gpus <= 8 and sum(e for _, e in held) + nics <= 4
    assert (not refused(judging, plain, "n")) is free
    # Behind a switch are two GPUs and one EFA, on a NUMA node four and two: no arrangement of
    # the machine gives a GPU more EFAs than that, or an EFA more GPUs behind its switch.
    most = 2 if level == "NODE" else 1
    possible = nics // gpus <= most and (gpus <= 2 * nics or level == "NODE")
    assert (not refused(judging, strict, "n")) is (free and possible)


def test_a_machine_that_cannot_be_as_near_whatever_is_free_is_refused():
    judging = engine()
    feed(judging, p4d("n"))
    pod = make_pod("p").gpus(1).request(EFA, 2).annotation("railyard.dev/locality", "PIX")

    assert judging.filter(pod.obj(), ["n"]).unresolvable


def test_as_many_shares_as_there_are_nics_are_not_the_nics():
    judging = engine()
    node = make_node("n").gpus(H100, 8).resource("rdma/hca", 8)
    feed(judging, node.label("node.kubernetes.io/instance-type", "Standard_ND96isr_H100_v5"))
    feed(judging, make_pod("g").gpus(1).node("n"))
    pod = make_pod("p").gpus(1).request("rdma/hca", 1).annotation("railyard.dev/locality", "PIX")

    assert devices(judging, pod, "n") == ["gpu-1"]
    assert not refused(judging, pod, "n")


def test_published_places_of_eight_gpus_on_one_numa_node_satisfy_what_requires_it():
    judging = engine()
    gpus, nics = make_slice("g", "gpu.nvidia.com").on("n"), make_slice("x", NIC).on("n")
    for number in range(8):
        root = f"pci0000:{number // 2 * 2}0"
        gpus.device(f"gpu-{number}", type="gpu", uuid=f"u{number}", numaNode=0, pcieRoot=root)
    nics.device("nic-0", numaNode=0, pcieRoot="pci0000:c0")
    feed(judging, make_node("n"), gpus, nics, make_class("gpu.nvidia.com"), make_class(NIC))
    feed(judging, make_claim("c").request("g", "gpu.nvidia.com").request("n", NIC))
    pod = make_pod("p").claim("c").annotation("railyard.dev/locality", "NODE")

    assert not refused(judging, pod, "n")
