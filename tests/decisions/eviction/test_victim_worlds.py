"""Who is evicted where devices are counted otherwise than one by one: units of several resources,
time-sliced units, shares of a device, and partitions that draw on one set of counters.
"""

import collections

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extender.decisions.verb_results import Victims
from tests.decisions.eviction.test_victims import holding, started
from tests.kit.builders import make_claim, make_class, make_node, make_pod, make_slice
from tests.kit.worlds import GPU, H100, engine, feed

CPUS, PODS = 16, 8
SLICES = 4  # of a GPU that can be cut
WIDTHS = (1, 2, 4)


class Units:
    """Units of a plug-in's resources; `labels` tell what a unit is."""

    def __init__(self, draw, names, labels=None):
        self.free = {name: draw(st.integers(1, 8)) for name in names}
        self.node = make_node("n")
        for name, count in self.free.items():
            self.node.resource(name, count)
        for label, value in (labels or {}).items():
            self.node.label(label, value)

    def objects(self):
        return [self.node]

    def hold(self, draw, pod):
        held = {name: draw(st.integers(0, min(left, 3))) for name, left in self.free.items()}
        for name, count in held.items():
            self.free[name] -= count
            if count:
                pod.request(name, count)
        return held

    def ask(self, draw, pod):
        name = draw(st.sampled_from(sorted(self.free)))
        self.asked = {each: draw(st.integers(0, 6)) for each in self.free} | {
            name: draw(st.integers(1, 8))
        }
        for each, count in self.asked.items():
            if count:
                pod.request(each, count)
        return []

    def fits(self, freed):
        left = collections.Counter(self.free)
        for held in freed:
            left.update(held)
        return all(left[name] >= count for name, count in self.asked.items())


class Shares:
    """Devices of which several claims may have a part of the memory."""

    whole = 8

    def __init__(self, draw):
        self.free = dict.fromkeys(range(draw(st.integers(1, 3))), self.whole)

    def objects(self):
        devices = make_slice("s", GPU).on("n")
        for number in self.free:
            devices.device(f"d{number}", capacity={"mem": str(self.whole)}, multi=True)
        return [make_node("n"), devices, make_class(GPU)]

    def hold(self, draw, pod):
        device, amount = draw(st.sampled_from(sorted(self.free))), draw(st.integers(0, self.whole))
        amount = min(amount, self.free[device])
        if not amount:
            return None
        self.free[device] -= amount
        name = pod.body["metadata"]["name"]
        claim = holding(name, f"d{device}")
        (result,) = claim.body["status"]["allocation"]["devices"]["results"]
        result |= {"shareID": f"share-{name}", "consumedCapacity": {"mem": str(amount)}}
        pod.claim(name)
        self.claims = [*getattr(self, "claims", ()), claim]
        return device, amount

    def ask(self, draw, pod):
        self.asked = draw(st.integers(1, self.whole)), draw(st.integers(1, len(self.free)))
        amount, count = self.asked
        pod.claim("wanted")
        wanted = {"requests": {"mem": str(amount)}}
        return [make_claim("wanted").request("r", GPU, count, capacity=wanted)]

    def fits(self, freed):
        left = collections.Counter(self.free)
        for device, amount in filter(None, freed):
            left[device] += amount
        amount, count = self.asked
        return sum(there >= amount for there in left.values()) >= count


class Partitions:
    """GPUs of four slices, published as all the partitions that they can be cut into."""

    def __init__(self, draw):
        self.free = dict.fromkeys(range(draw(st.integers(1, 2))), SLICES)
        self.used = collections.Counter()  # (GPU, width) → devices taken

    def objects(self):
        devices = make_slice("s", GPU).on("n").pool("n", slices=2)
        for number in self.free:
            for width in WIDTHS:
                for place in range(SLICES // width):
                    drawn = {f"set{number}": {"m": str(width)}}
                    name = f"d{number}-{width}-{place}"
                    devices.device(name, width=width, consumes=drawn)
        sets = {f"set{number}": {"m": str(SLICES)} for number in self.free}
        counters = make_slice("c", GPU).on("n").pool("n", slices=2).counters(**sets)
        return [make_node("n"), devices, counters, make_class(GPU)]

    def hold(self, draw, pod):
        held = draw(st.sampled_from(sorted(self.free))), draw(st.sampled_from(WIDTHS))
        number, width = held
        if self.free[number] < width:
            return None
        name = pod.body["metadata"]["name"]
        claim = holding(name, f"d{number}-{width}-{self.used[held]}")
        self.free[number] -= width
        self.used[held] += 1
        pod.claim(name)
        self.claims = [*getattr(self, "claims", ()), claim]
        return held

    def ask(self, draw, pod):
        self.asked = draw(st.sampled_from(WIDTHS)), draw(st.integers(1, 2))
        width, count = self.asked
        chosen = f'device.attributes["{GPU}"].width == {width}'
        pod.claim("wanted")
        return [make_claim("wanted").request("r", GPU, count, selectors=[chosen])]

    def fits(self, freed):
        left, used = collections.Counter(self.free), self.used.copy()
        for number, width in filter(None, freed):
            left[number] += width
            used[number, width] -= 1
        width, count = self.asked
        most = SLICES // width
        found = (min(left[n] // width, most - used[n, width]) for n in self.free)
        return sum(found) >= count


SLICED = {"nvidia.com/gpu.product": H100, "nvidia.com/gpu.replicas": "4"}
MIG = {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB", "nvidia.com/mig.strategy": "mixed"}
DEVICES = {
    "GPUs and NICs of plug-ins": lambda draw: Units(draw, ["nvidia.com/gpu", "rdma/hca"]),
    "time-sliced GPUs": lambda draw: Units(draw, ["nvidia.com/gpu"], SLICED),
    "MIG": lambda draw: Units(draw, ["nvidia.com/mig-1g.10gb", "nvidia.com/mig-3g.40gb"], MIG),
    "shares of a device": Shares,
    "partitions of a GPU": Partitions,
}


@pytest.mark.parametrize("kind", DEVICES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_who_dies_is_enough_and_lower_and_needed_however_devices_are_counted(kind, data):
    draw, devices = data.draw, DEVICES[kind](data.draw)
    pods, cpu = {}, CPUS  # name → (priority, CPUs, what it holds)
    judging, built = engine(), []
    for number in range(draw(st.integers(1, 6))):
        name, priority, asked = f"p{number}", draw(st.integers(0, 4)), draw(st.integers(0, cpu))
        pod = started(make_pod(name).priority(priority).request("cpu", asked), number)
        pods[name] = priority, asked, devices.hold(draw, pod)
        cpu -= asked
        built.append(pod.node("n"))
    mine, wanted = draw(st.integers(1, 5)), draw(st.integers(0, CPUS))
    urgent = make_pod("urgent").priority(mine).request("cpu", wanted)
    claims = devices.ask(draw, urgent)
    feed(judging, *devices.objects(), *getattr(devices, "claims", ()), *claims, *built)
    feed(judging, _sized(devices))

    def amounts_fit(gone):
        staying = [each for name, each in pods.items() if name not in gone]
        return sum(each[1] for each in staying) + wanted <= CPUS and len(staying) < PODS

    def fits(gone):
        return amounts_fit(gone) and devices.fits([pods[name][2] for name in gone])

    lower = {name for name, each in pods.items() if each[0] < mine}
    # kube-scheduler counts the units of plug-ins, and nothing of claims.
    offered = dry_run(pods, lower, fits if isinstance(devices, Units) else amounts_fit)
    if offered is None:
        return
    victims = Victims(tuple(sorted(f"uid-{name}" for name in offered)))
    kept = judging.preempt(urgent.obj(), {"n": victims})

    if "n" not in kept:
        assert not devices.fits([pods[name][2] for name in lower])
        return
    dying = {uid.removeprefix("uid-") for uid in kept["n"].pods}
    assert dying <= lower
    assert_enough_and_needed(dying, offered, fits)


def assert_enough_and_needed(dying, offered, fits):
    """The pod fits without these victims, and would not if one of them stayed."""
    assert fits(dying)
    if fits(set()):
        assert dying == offered  # what made kube-scheduler offer it is not known
    else:
        assert [name for name in dying if fits(dying - {name})] == []


def _sized(devices):
    node = devices.node if isinstance(devices, Units) else make_node("n")
    return node.allocatable(cpu=str(CPUS), pods=str(PODS))


def dry_run(pods, lower, fits):
    """What kube-scheduler offers; None where it finds nothing."""
    gone = set(lower)
    if not fits(gone):
        return None
    for name in sorted(lower, key=lambda name: (-pods[name][0], name)):
        if fits(gone - {name}):
            gone -= {name}
    return gone
