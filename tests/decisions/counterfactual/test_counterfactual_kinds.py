"""The change that is named flips the answer, however devices are counted and whatever else lacks.

Worlds are drawn as for evictions; whether a change does is counted by the world itself, and then
asked of a cluster that is built anew with the change in it.
"""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extender.decisions.counterfactual import changes, passing_node, why_node
from extender.policy import config
from tests.decisions.counterfactual.test_counterfactual import best, passes, why, world
from tests.decisions.eviction.test_victim_worlds import CPUS, DEVICES, Units
from tests.kit.builders import make_claim, make_class, make_node, make_pod
from tests.kit.worlds import GPU, H100, NIC, p4d


def sized(devices):
    node = devices.node if isinstance(devices, Units) else make_node("n")
    return node.allocatable(cpu=str(CPUS), pods="110")


class DrawnWorld:
    """A node, the pods on it, and one that wants to go there."""

    def __init__(self, draw, kind):
        self.devices = DEVICES[kind](draw)
        self.pods, self.built, left = {}, [], CPUS  # name → (CPUs, what it holds)
        for number in range(draw(st.integers(1, 5))):
            name, cpu = f"p{number}", draw(st.integers(0, left))
            pod = make_pod(name).request("cpu", cpu).priority(draw(st.integers(0, 3)))
            self.pods[name] = cpu, self.devices.hold(draw, pod)
            left -= cpu
            self.built.append(pod.node("n"))
        self.cpu = draw(st.integers(0, CPUS))
        self.wanting = make_pod("wanting").request("cpu", self.cpu).priority(2)
        self.claims = self.devices.ask(draw, self.wanting)

    def fits(self, gone):
        used = sum(cpu for name, (cpu, _) in self.pods.items() if name not in gone)
        return used + self.cpu <= CPUS and self.devices.fits([self.pods[n][1] for n in gone])

    def items(self, gone=()):
        rest = [each for each in self.devices.objects() if each.kind != "Node"]
        held = [
            each
            for each in getattr(self.devices, "claims", ())
            if each.body["metadata"]["name"] not in gone
        ]
        staying = [each for each in self.built if each.body["metadata"]["name"] not in gone]
        return [sized(self.devices), *rest, *held, *self.claims, *staying]


def takes(judging, pod):
    """Whether both filters let the pod go to the node."""
    return passes(judging, pod, "n") and why(judging, pod, "n").verdict == why_node.BEST


@pytest.mark.parametrize("kind", DEVICES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_pods_named_are_enough_and_no_fewer_would_do(kind, data):
    drawn = DrawnWorld(data.draw, kind)
    judging = world(drawn.items())
    found = why(judging, drawn.wanting, "n")
    if found.verdict not in {why_node.REFUSED, why_node.SCHEDULER}:
        assert drawn.fits(())
        return

    pods = [each for each in found.changes if each.kind == changes.PODS]
    assert bool(pods) == drawn.fits(drawn.pods)
    for each in pods:
        gone = {uid.removeprefix("uid-") for uid in each.pods}
        assert drawn.fits(gone)
        assert takes(world(drawn.items(gone)), drawn.wanting)
        smaller = itertools.combinations(drawn.pods, len(gone) - 1)
        assert not [some for some in smaller if drawn.fits(some)]


@pytest.mark.parametrize("kind", DEVICES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_count_named_fits_and_one_more_does_not(kind, data):
    drawn = DrawnWorld(data.draw, kind)
    found = why(world(drawn.items()), drawn.wanting, "n")

    for each in found.changes:
        if each.kind != changes.COUNT:
            continue
        assert takes(*requesting(drawn, each, each.value))
        assert not takes(*requesting(drawn, each, each.value + 1))


def requesting(drawn, change, count):
    """A copy of the world in which the pod requests so many, and the pod."""
    pod = make_pod("wanting").request("cpu", drawn.cpu).priority(2)
    if isinstance(drawn.devices, Units):
        for name, amount in drawn.devices.asked.items():
            wanted = count if name == change.field else amount
            if wanted:
                pod.request(name, wanted)
        return world(drawn.items()), pod
    assert change.field == "wanted/r"
    (claim,) = drawn.claims
    (request,) = claim.body["spec"]["devices"]["requests"]
    before, request["exactly"]["count"] = request["exactly"]["count"], count
    copy = world(drawn.items())
    request["exactly"]["count"] = before
    return copy, pod.claim("wanted")


@pytest.mark.parametrize("keeps", ["a cordon", "a label", "CPU"])
def test_nothing_is_named_that_would_not_do_alone(keeps):
    node = make_node("n").resource("nvidia.com/gpu", 8).allocatable(cpu="8", pods="110")
    pod = make_pod("p").gpus(4).request("cpu", 6)
    if keeps == "a cordon":
        node.unschedulable()
    if keeps == "a label":
        pod.body["spec"]["nodeSelector"] = {"zone": "elsewhere"}
    holds = make_pod("h").gpus(6).node("n").request("cpu", 1)
    busy = make_pod("busy").node("n").request("cpu", 2 if keeps == "CPU" else 0)

    found = why(world([node, holds, busy]), pod, "n")

    if keeps != "CPU":
        assert found.changes == ()
        return
    assert [each.kind for each in found.changes] == [changes.PODS]
    assert set(found.changes[0].pods) == {"uid-h"}


def test_a_pod_without_devices_that_takes_the_cpu_is_named():
    node = make_node("n").resource("nvidia.com/gpu", 8).allocatable(cpu="8", pods="110")
    items = [node, make_pod("cpu").node("n").request("cpu", 6)]

    found = why(world(items), make_pod("p").gpus(1).request("cpu", 4), "n")

    assert found.verdict == why_node.SCHEDULER
    (change,) = found.changes
    assert change.pods == ("uid-cpu",)


# ---------------------------------------------------------------- ranked behind another node

NAMES = ("x", "y", "z")
HELD = st.sets(
    st.sampled_from([*(f"gpu-{n}" for n in range(8)), *(f"nic-{n}" for n in range(4))]), max_size=9
)


@settings(max_examples=60, deadline=None)
@given(st.tuples(HELD, HELD, HELD), st.integers(1, 4), st.sampled_from(NAMES))
def test_a_weight_or_cordon_named_for_claims_makes_the_node_the_best(held, gpus, node):
    items = [make_class(GPU), make_class(NIC)]
    for name, devices in zip(NAMES, held, strict=True):
        items += p4d(name)
        for device in sorted(devices):
            driver = GPU if device.startswith("gpu") else NIC
            claim = make_claim(f"{name}-{device}").allocated(name, ("r", driver, name, device))
            items.append(claim)
    items.append(make_claim("c").request("g", GPU, gpus).request("n", NIC, 1))
    pod = make_pod("p").claim("c")
    judging = world(items)

    found = why(judging, pod, node)

    if found.verdict == why_node.PASSES:
        assert best(judging, pod, list(NAMES)) != node
        become_the_best(items, pod, node, found.changes)


def become_the_best(items, pod, node, named):
    """Each change named, in a cluster that is built anew, makes the node the first of all."""
    for change in named:
        copy, left = world(items), list(NAMES)
        if change.kind == changes.WEIGHT:
            part = change.field.partition(".")[0]
            other = passing_node.with_weight(config.Profile(name="default"), part, change.value)
            copy.use(config.Policy(profiles=(other,)))
        else:
            assert change.kind == changes.OTHERS
            left = [name for name in NAMES if name not in change.nodes]
        assert best(copy, pod, left) == node


RACK, GANG = "fabric.topograph.run/tier-0", ("jobset.sigs.k8s.io/jobset-name", "job")


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(*[st.lists(st.integers(1, 2), max_size=2)] * 3),
    st.tuples(*[st.sampled_from("12")] * 3),
    st.integers(1, 2),
    st.sampled_from(NAMES),
    st.sampled_from(NAMES),
)
def test_a_weight_or_cordon_named_for_a_member_of_a_gang_makes_the_node_the_best(
    held, racks, gpus, first, node
):
    items = []
    for name, amounts, rack in zip(NAMES, held, racks, strict=True):
        items.append(make_node(name).gpus(H100, 8).label(RACK, rack))
        items += [
            make_pod(f"{name}-{number}").gpus(amount).node(name)
            for number, amount in enumerate(amounts)
        ]
    items.append(make_pod("first").gpus(1).label(*GANG).node(first))
    pod = make_pod("next").gpus(gpus).label(*GANG)
    judging = world(items)

    found = why(judging, pod, node)

    there = best(judging, pod, list(NAMES))
    assert found.verdict == (why_node.BEST if there == node else why_node.PASSES)
    become_the_best(items, pod, node, found.changes)


@settings(max_examples=60, deadline=None)
@given(st.tuples(HELD, HELD, HELD), st.integers(1, 4), st.sampled_from(NAMES))
def test_a_node_that_refuses_a_bound_pod_does_so_as_if_the_pod_had_not_come(held, gpus, node):
    items = [make_class(GPU), make_class(NIC)]
    for name, devices in zip(NAMES, held, strict=True):
        items += p4d(name)
        items += [
            make_claim(f"{name}-{each}").allocated(
                name, ("r", GPU if each.startswith("gpu") else NIC, name, each)
            )
            for each in sorted(devices)
        ]
    pod = make_pod("p").claim("c")
    before = world([*items, make_claim("c").request("g", GPU, gpus)])
    asked = why(before, pod, node)
    there = asked.best
    if not there:
        return
    free = [f"gpu-{n}" for n in range(8) if f"gpu-{n}" not in held[NAMES.index(there)]][:gpus]
    claim = make_claim("c").request("g", GPU, gpus)
    claim.allocated(there, *(("g", GPU, there, each) for each in free))
    user = {"resource": "pods", "name": "p", "uid": "uid-p"}
    claim.body["status"]["reservedFor"] = [user]

    after = why(world([*items, claim, pod.node(there)]), pod, node)

    if asked.verdict != why_node.REFUSED:
        assert after.verdict in {why_node.BEST, why_node.PASSES}  # prices are of the moment
        return
    assert (after.verdict, after.reason) == (asked.verdict, asked.reason)
    assert after.changes == asked.changes
