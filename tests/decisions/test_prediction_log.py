"""Predictions against allocations, through an engine."""

import pytest

from extender.decisions.expected import prediction_log
from extender.hardware import allocator_features
from extender.policy import config
from extender.service import assembly
from tests.kit.builders import make_claim, make_class, make_node, make_pod, make_slice
from tests.kit.worlds import GPU, Clock, p4d
from tests.kit.worlds import feed as apply


class Watched:
    """An engine over two equal nodes, and what its prediction log reported."""

    def __init__(self, features=None):
        self.heard = []
        self.clock = Clock()
        self.engine = assembly.assemble(
            policy=config.DEFAULT,
            features=features or allocator_features.AllocatorFeatures(),
            hardware=assembly.read_catalogue(),
            clock=self.clock,
            on_prediction=lambda result, mismatch: self.heard.append((result, mismatch)),
        )
        apply(self.engine, *p4d("a"), *p4d("b"), make_class(GPU))

    def decide(self, name, nodes=("a", "b")):
        """A pod with a claim of that name is filtered and prioritized."""
        apply(self.engine, make_claim(name).request("r", GPU))
        pod = make_pod(name).claim(name).obj()
        self.engine.prioritize(pod, self.engine.filter(pod, list(nodes)).passing(list(nodes)))
        return pod

    def allocate(self, name, node, device):
        apply(
            self.engine,
            make_claim(name).request("r", GPU).allocated(node, ("r", GPU, node, device)),
        )

    @property
    def results(self):
        return [result for result, _ in self.heard]


@pytest.fixture
def watched():
    return Watched()


def test_the_predicted_devices_are_the_same(watched):
    watched.decide("c")

    watched.allocate("c", "b", "gpu-0")

    assert watched.results == ["same"]
    assert list(watched.engine.predictions.mismatches) == []


def test_other_devices_are_kept_with_both_picks(watched):
    watched.decide("c")

    watched.allocate("c", "b", "gpu-7")

    ((result, mismatch),) = watched.heard
    assert result == "different"
    assert mismatch.as_json()["predicted"] == (("r", GPU, "b", "gpu-0"),)
    assert mismatch.as_json()["allocated"] == (("r", GPU, "b", "gpu-7"),)
    assert (mismatch.claim, mismatch.pod, mismatch.node) == ("default/c", "default/c", "b")


def result_of(picked):
    """What is said of a claim that got this one of three devices, each in a slice of its own."""
    watched = Watched(allocator_features.features_of("1.35"))
    for name in ("first", "second", "small"):
        item = make_slice(name, GPU).on("c").pool("c", slices=3)
        apply(watched.engine, item.device(name, size=1 if name == "small" else 2))
    selector = f"device.attributes['{GPU}'].size == 2"
    claim = make_claim("p").request("r", GPU, selectors=[selector])
    apply(watched.engine, make_node("c"), claim)
    watched.engine.filter(make_pod("p").claim("p").obj(), ["c"])
    watched.allocate("p", "c", picked)
    (result,) = watched.results
    return result


def test_where_the_order_is_random_another_pick_that_keeps_the_rules_is_possible():
    assert {result_of("first"), result_of("second")} == {"same", "possible"}


def test_where_the_order_is_random_a_shared_device_may_serve_twice_or_beside_another():
    heard = [result_of_two(picked) for picked in (["shared", "shared"], ["shared", "single"])]

    assert sorted(heard) == ["possible", "same"]


def result_of_two(picked):
    """What is said of a claim for two that got these of a device for one and a shared one."""
    gates = {"DRAConsumableCapacity": True}
    watched = Watched(allocator_features.features_of("1.35", gates=gates))
    for name in ("shared", "single"):
        item = make_slice(name, GPU).on("c").pool(name)
        apply(watched.engine, item.device(name, multi=name == "shared"))
    claim = make_claim("p").request("r", GPU, count=2)
    apply(watched.engine, make_node("c"), claim)
    watched.engine.filter(make_pod("p").claim("p").obj(), ["c"])
    apply(watched.engine, claim.allocated("c", *(("r", GPU, name, name) for name in picked)))
    (result,) = watched.results
    return result


@pytest.mark.parametrize("picked", ["small", "unheard-of"])
def test_where_the_order_is_random_a_pick_against_the_rules_is_still_different(picked):
    assert result_of(picked) == "different"


def test_a_node_that_was_not_asked_about_is_elsewhere(watched):
    watched.decide("c", nodes=["a"])

    watched.allocate("c", "b", "gpu-0")

    assert watched.results == ["elsewhere"]


def test_an_allocation_that_nobody_predicted_is_not_counted(watched):
    watched.allocate("stranger", "a", "gpu-0")

    assert watched.results == []


def test_a_decision_that_is_never_carried_out_expires(watched):
    watched.decide("c")

    watched.clock.now = prediction_log.PATIENCE_SECONDS + 1
    watched.engine.settle()

    assert watched.results == ["expired"]
    assert len(watched.engine.predictions) == 0


def test_a_newer_decision_replaces_the_older_one(watched):
    watched.decide("c")
    watched.decide("c")

    watched.allocate("c", "a", "gpu-0")

    assert watched.results == ["same"]


def test_a_deleted_pod_leaves_nothing_to_compare(watched):
    pod = watched.decide("c")
    watched.engine.store.apply("Pod", "ADDED", pod)
    watched.engine.store.apply("Pod", "DELETED", pod)

    watched.allocate("c", "a", "gpu-0")

    assert watched.results == []


def test_hardware_that_changed_in_between_says_nothing_about_the_prediction(watched):
    watched.decide("c")
    _, gpus, _ = p4d("a")
    apply(watched.engine, gpus.device("gpu-8"))
    watched.engine.settle()

    watched.allocate("c", "a", "gpu-0")

    assert watched.results == ["expired"]


def test_only_so_many_mismatches_are_kept(watched):
    for number in range(prediction_log._MOST_MISMATCHES + 5):
        name = f"c{number}"
        watched.decide(name, nodes=["a"])
        watched.allocate(name, "a", "gpu-7")
        watched.engine.store.apply("ResourceClaim", "DELETED", make_claim(name).obj())

    assert len(watched.engine.predictions.mismatches) == prediction_log._MOST_MISMATCHES


@pytest.mark.parametrize(
    ("claim", "node"),
    [
        pytest.param(make_claim("c").allocated("a"), "a", id="one node"),
        pytest.param(make_claim("c"), None, id="none"),
    ],
)
def test_the_node_of_an_allocation_is_the_one_it_is_bound_to(claim, node):
    allocation = claim.obj().status.allocation

    assert (prediction_log.node_of(allocation) if allocation else None) == node


@pytest.mark.parametrize("device", ["gpu-0", "gpu-5"])
def test_a_prediction_outlives_the_numbers_of_the_states(watched, device):
    watched.engine.filter(make_pod("before").claim("none").obj(), ["a"])
    watched.decide("c")
    watched.engine.index.compact()
    apply(watched.engine, *p4d("n"))  # takes a number that meant something else

    watched.allocate("c", "b", device)

    assert watched.results == ["same" if device == "gpu-0" else "different"]
