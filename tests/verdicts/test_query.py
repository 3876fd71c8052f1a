import pytest
from hypothesis import given
from hypothesis import strategies as st

from extender.demand import pod as pods
from extender.demand import requests
from extender.hardware import allocator_features
from extender.kube.api import objects
from extender.policy import config
from extender.verdicts import query
from tests.kit.builders import make_claim, make_class, make_pod

GPU, NIC, MIG = "gpu.nvidia.com", "rdma.dranet", "mig.nvidia.com"
CLASSES = {name: make_class(name).obj() for name in (GPU, NIC, MIG)}
MODEL = 'device.attributes["gpu.nvidia.com"].productName == "H100"'
ROOT = "resource.kubernetes.io/pcieRoot"


def demand(claim):
    return requests.claim_demand(
        claim.obj().spec, CLASSES, features=allocator_features.AllocatorFeatures()
    )


def share(**amounts):
    return {"capacity": {"requests": amounts}}


def asked(*claims, pod=None):
    body = (pod or make_pod("p")).obj()
    return query.query_of(
        tuple(map(demand, claims)), pods.requests_of(body), body, config.Locality()
    )


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("gpu.nvidia.com", "GPU"),
        ("nvidia.com/gpu", "GPU"),
        ("mig.nvidia.com", "GPU partition"),
        ("nvidia.com/mig-1g.5gb", "GPU partition"),
        ("efa.networking.k8s.aws", "NIC"),
        ("rdma/hca_shared", "NIC"),
        ("dra.net", "NIC"),
        ("google.com/tpu", "TPU"),
        ("habana.ai/gaudi", "Gaudi accelerator"),
        ("neuron.aws.com", "Neuron device"),
        ("aws.amazon.com/neuroncore", "Neuron core"),
        ("hami-core-gpu.project-hami.io", "GPU"),
        ("gpu-default", "GPU"),
        ("compute-domain-default-channel.nvidia.com", "channel"),
        ("openshift.io/mlx5_ib", "NIC"),
        ("nvidia.com/gpumem", "nvidia.com/gpumem"),
        ("koordinator.sh/gpu", "koordinator.sh/gpu"),
        ("gpu.intel.com/memory.max", "gpu.intel.com/memory.max"),
        ("gpu.intel.com/i915", "GPU"),
        ("fpga.example.com", "fpga.example.com"),
    ],
)
def test_a_class_or_resource_is_called_what_people_call_it(name, word):
    assert query.noun(name) == word


@pytest.mark.parametrize(
    ("found", "words"),
    [
        pytest.param(asked(make_claim("c").request("r", GPU)), "1 GPU", id="one"),
        pytest.param(asked(make_claim("c").request("r", GPU, 4)), "4 GPUs", id="4"),
        pytest.param(
            asked(make_claim("c").request("g", GPU, 2).request("n", NIC)),
            "2 GPUs + 1 NIC",
            id="two kinds",
        ),
        pytest.param(
            asked(make_claim("c").request("g", GPU).request("n", NIC).match(ROOT)),
            "1 GPU + 1 NIC behind one PCIe root",
            id="behind one root",
        ),
        pytest.param(
            asked(make_claim("c").request("g", GPU, 2).match("example.com/rack")),
            "2 GPUs with the same rack",
            id="an attribute of somebody",
        ),
        pytest.param(asked(make_claim("c").request("r", GPU, mode="All")), "all GPUs", id="all"),
        pytest.param(
            asked(make_claim("c").request("r", GPU, 2, selectors=[MODEL])),
            "2 GPUs selected by model",
            id="a selector",
        ),
        pytest.param(
            asked(make_claim("c").first_available("r", ("a", GPU, 1), ("b", MIG, 2))),
            "1 GPU or 2 GPU partitions",
            id="firstAvailable",
        ),
        pytest.param(
            asked(make_claim("c").request("g", GPU).request("n", NIC, **share(bandwidth="25"))),
            "1 GPU + 25 of a NIC",
            id="a share",
        ),
        pytest.param(
            asked(make_claim("c").request("r", GPU, **share(cores="30", memory="30Gi"))),
            "30 cores + 30Gi memory of a GPU",
            id="a share by two capacities",
        ),
        pytest.param(
            asked(make_claim("c").request("r", NIC, 2, **share(bandwidth="500m"))),
            "2 × 500m of a NIC",
            id="two shares",
        ),
        pytest.param(asked(pod=make_pod("p").gpus(3)), "3 GPUs", id="extended resource"),
        pytest.param(
            asked(
                pod=make_pod("p")
                .request("koordinator.sh/gpu-core", 200)
                .request("koordinator.sh/gpu-memory-ratio", 200)
            ),
            "200 koordinator.sh/gpu-core + 200 koordinator.sh/gpu-memory-ratio",
            id="amounts of what a GPU has",
        ),
    ],
)
def test_a_demand_is_described_in_words(found, words):
    assert query.describe(found) == words


def test_so_many_of_a_unit_are_described_together():
    unit, count = query.single_unit(asked(make_claim("c").request("r", GPU, 4)))

    assert query.describe(unit, times=count) == "4 GPUs"


def test_a_pod_without_devices_is_no_question():
    assert not asked()
    assert asked(pod=make_pod("p").gpus(1))


def test_equal_demands_of_different_pods_are_one_question():
    first = asked(make_claim("one").request("r", GPU), pod=make_pod("p"))
    second = asked(make_claim("two").request("r", GPU), pod=make_pod("q").request("cpu", 9))

    assert first == second
    assert hash(first) == hash(second)


def test_a_rule_of_the_profile_makes_another_question():
    body = make_pod("p").gpus(1).obj()
    found = {
        query.query_of((), pods.requests_of(body), body, config.Locality(mode=mode))
        for mode in ("Preferred", "Required")
    }

    assert len(found) == 2


def test_the_device_classes_of_every_choice_are_listed_once():
    claim = make_claim("c").first_available("r", ("a", GPU, 1), ("b", MIG, 1)).request("s", GPU)

    assert query.device_classes((demand(claim),)) == (GPU, MIG)


@given(st.integers(1, 16))
def test_equal_devices_without_constraints_are_so_many_units(count):
    by_claim, n = query.single_unit(asked(make_claim("c").request("r", GPU, count)))
    by_plugin, m = query.single_unit(asked(pod=make_pod("p").gpus(count)))

    assert (n, m) == (count, count)
    assert by_claim.claims[0].requests[0].choices[0].count == 1
    assert by_plugin.extended == (("nvidia.com/gpu", 1),)
    assert query.single_unit(by_claim) == (by_claim, 1)


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(asked(make_claim("c").request("r", GPU, 2).match(ROOT)), id="constraint"),
        pytest.param(asked(make_claim("c").request("r", GPU, mode="All")), id="all"),
        pytest.param(asked(make_claim("c").first_available("r", ("a", GPU, 2))), id="choices"),
        pytest.param(asked(make_claim("a").request("r", GPU), make_claim("b").request("r", GPU)),
                     id="two claims"),
    ],
)  # fmt: skip
def test_any_other_demand_is_its_own_unit(found):
    unit, count = query.single_unit(found)

    assert count == 1
    assert unit.claims == found.claims


def test_a_unit_knows_no_locality():
    strict = config.Locality(mode="Required")
    body = make_pod("p").gpus(2).obj()

    unit, _ = query.single_unit(query.query_of((), pods.requests_of(body), body, strict))

    assert unit.mode == "Preferred"
    assert unit.communication_share == 0.0


def test_an_init_container_asks_only_for_what_the_containers_leave_it_short_of():
    pod = make_pod("p").gpus(1)
    pod.body["spec"]["initContainers"] = [
        {"name": "i", "resources": {"requests": {"nvidia.com/gpu": "2"}}}
    ]

    found = asked(pod=pod)

    assert found.special == (
        ("nvidia.com/gpu", (("container-0-request-0", 1), ("container-1-request-0", 1))),
    )
    assert isinstance(pod.obj(), objects.Pod)
