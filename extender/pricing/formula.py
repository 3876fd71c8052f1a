"""What a node can still give to each demand class, and what a placement takes away.

Source: scarcity prices, first and second form (FGD's cliff, USENIX ATC 2023, blended with a count
that CPU and memory limit). For class m on a node with free CPU c and memory q:

    A_m = the free GPU parts large enough for m, in GPUs; 0 where not one pod of m fits (the cliff)
    k_m = how many devices of m's kind the node can still give, one after the other
    B_m = g_m * min(k_m / count_m, c / cpu_m, q / memory_m)
    u_m = a * A_m + (1 - a) * B_m

k_m / count_m counts whole pods, plus ((k mod count) / count)^beta for classes of several devices:
it says which broken node is closest to being whole again.

The device part (A, k) belongs to a node *state* and a device ask; CPU and memory are columns
beside it. All arrays are float64; rows are nodes, columns classes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from extender.policy import config
from extender.pricing.mix.demand_mix import DemandClasses, Floats, Ints, MeanDemand

_TINY = 1e-9  # a class that asks no CPU or memory is not limited by it
# The most that a and alpha may be where kube-scheduler places the pods without devices, and takes
# CPU anywhere. Openb at 130 % of demand: an alpha of 3 costs 0.4 points on cpu200, 0.5 on cpu250,
# and one of 2.5 costs 0.1 on the default mix.
LIMITS_BESIDE_IN_TREE = (0.35, 2.75)
# Where idle CPU feeds less than the first share of the idle GPUs, a is at most the least blend; it
# rises to the policy's where they are fed and some is left. Measured on openb at 130 % of demand:
# cpu250 95.31 % allocated, 95.00 without; with 1.35 times the CPU a GPU, 92.3 and 88.9; nothing
# changes where CPU is no shorter than in the default mix.
_LEAST_BLEND = 0.2
_LOW_COVERAGE, _FULL_COVERAGE = 0.95, 1.15
_STEPS = 5  # from one to the other: a new blend has all rooms counted anew, so it moves seldom
_LEAST_PODS = 200  # a tenth of the mix's horizon: fewer do not tell what pods ask on average


@dataclasses.dataclass(frozen=True, slots=True)
class Constants:
    """The constants of the score; the defaults are best in their worst case over openb's mixes.

    A steepness of 3 loses 0.3 points of accepted GPUs to FGD where large pods come and go
    (multigpu50), one of 5 loses 0.4 where pods are bound to models (gpuspec33); a blend of 0.3
    loses 0.4 where large pods come and go, and gains only where CPU is short (see `adapted`).

    `blend` is a: 1 counts only what fits now, 0 only what CPU and memory could feed. `steepness`
    is alpha of the prices, `part` is beta of the part credit, `slack` is eps in pods. `distance`
    is the weight of locality: what a pod that comes later loses where its devices are distant.
    """

    blend: float = 0.45
    steepness: float = 4.0
    part: float = 5.0
    slack: float = 0.5
    distance: float = 10.0


def constants_of(settings: config.ClusterPacking, *, cpu_pods_scored: bool) -> Constants:
    """The form that a policy asks for; gentler where others place the pods without devices."""
    most_blend, most_steep = (1.0, math.inf) if cpu_pods_scored else LIMITS_BESIDE_IN_TREE
    return Constants(
        blend=min(settings.cliff_share, most_blend),
        steepness=min(settings.alpha, most_steep),
        part=settings.part_credit,
        distance=settings.distance_weight,
    )


def coverage(idle: float, idle_beside: float, *, gpus: float, asked: float, beside: float) -> float:
    """Which part of the idle GPUs can be fed with CPU (or memory) if pods go on asking as they do.

    `asked` goes with each GPU asked for, and `beside` is what pods without devices ask meanwhile.
    These take what is idle on machines without GPUs (`idle_beside`) first. `idle` is what is left
    on the machines of the idle `gpus`. Infinite where nothing is needed.
    """
    need = gpus * asked + max(gpus * beside - idle_beside, 0.0)
    return max(idle, 0.0) / need if need > 0.0 else math.inf


def coverage_by(
    asked: MeanDemand, *, gpus: float, cpu: tuple[float, float], memory: tuple[float, float]
) -> float:
    """Which part of the idle GPUs both CPU and memory can feed: `fed` of the scarcer.

    Each is (idle beside the idle GPUs, idle on machines without any). Infinite until enough pods
    were seen to tell.
    """
    if asked.gpus <= 0.0 or asked.pods < _LEAST_PODS:
        return math.inf
    kinds = ((cpu, asked.cpu, asked.bare_cpu), (memory, asked.memory, asked.bare_memory))
    return min(
        coverage(*idle, gpus=gpus, asked=wanted / asked.gpus, beside=bare / asked.gpus)
        for idle, wanted, bare in kinds
    )


def adapted_to_coverage(form: Constants, share: float) -> Constants:
    """The form where this share of the idle GPUs can be fed (see `fed`): blend falls with it.

    What fits now says little where GPUs will be left that nothing feeds; what could be fed says
    which. Source: the adaptive blend of the second form, here told by all pods' CPU, not only that
    of pods with GPUs, and only ever below the policy's.
    """
    if form.blend <= _LEAST_BLEND:
        return form
    risen = min(max((share - _LOW_COVERAGE) / (_FULL_COVERAGE - _LOW_COVERAGE), 0.0), 1.0)
    step = round(risen * _STEPS)
    if step == _STEPS:
        return form
    blend = _LEAST_BLEND + step / _STEPS * (form.blend - _LEAST_BLEND)
    return dataclasses.replace(form, blend=blend)


@dataclasses.dataclass(frozen=True, slots=True)
class DeviceHeadroom:
    """The device part per state (row) and class (column), already blended, in GPUs.

    `near` is the mean worth of the placements counted, None where all are worth 1.
    """

    cliff: Floats
    count: Floats
    near: Floats | None = None

    def take(self, states: Ints) -> DeviceHeadroom:
        """The parts of these states, one row each."""
        near = None if self.near is None else self.near[states]
        return DeviceHeadroom(cliff=self.cliff[states], count=self.count[states], near=near)

    def of_classes(self, places: Ints) -> DeviceHeadroom:
        """The parts for these classes alone."""
        near = None if self.near is None else self.near[:, places]
        return DeviceHeadroom(cliff=self.cliff[:, places], count=self.count[:, places], near=near)

    def weighed(self) -> DeviceHeadroom:
        """The parts with each placement counted by its worth.

        The worth of a placement is `later`. A pod that asks for no NIC pays for the aligned pairs
        of GPU and NIC that it breaks; one that asks for them pays for its own distance instead.
        """
        if self.near is None:
            return self
        return DeviceHeadroom(cliff=self.cliff * self.near, count=self.count * self.near)


def future_worth(score: float, distance: float) -> float:
    """What a placement is worth to a pod that comes later: 1, less what distance will cost it.

    `score` is that of `locality.assess`; both are in GPUs per GPU asked, as prices are. Source: our
    own, measured by `loadtests.quality.turnover`.
    """
    return max(0.0, 1.0 - distance * (1.0 - score))


def device_headroom(
    free: Floats, chain: Floats, classes: DemandClasses, form: Constants, near: Floats | None = None
) -> DeviceHeadroom:
    """Blend the device part of states, from `free` (A) and `chain` (k) per state and *ask*.

    `free[s, i]`: GPUs of state s in parts large enough for ask i. `chain[s, i]`: how many single
    devices of ask i can be taken there one after the other, and `near[s, i]` their mean worth.
    """
    free, chain = free[:, classes.ask], chain[:, classes.ask]
    pods = chain / classes.count
    whole = np.floor(pods)
    counted = whole.copy()
    several = classes.count >= 2.0  # a power is dear, and a class of one device has no part
    counted[:, several] += (pods[:, several] - whole[:, several]) ** form.part
    return DeviceHeadroom(
        cliff=np.where(whole >= 1.0, form.blend * free, 0.0),
        count=(1.0 - form.blend) * classes.size * counted,
        near=None if near is None else near[:, classes.ask],
    )


def headroom(
    device: DeviceHeadroom, cpu: Floats, memory: Floats, classes: DemandClasses, form: Constants
) -> Floats:
    """What each row can still give to each class (u), in GPUs.

    `device` has one row per row of `cpu` and `memory`; their units are those of the classes.
    """
    cpu, memory = np.maximum(cpu, 0.0)[:, None], np.maximum(memory, 0.0)[:, None]
    feeds = (cpu >= classes.cpu) & (memory >= classes.memory)
    worth = (1.0 - form.blend) * classes.size
    fed = np.minimum(
        cpu * (worth / np.maximum(classes.cpu, _TINY)),
        memory * (worth / np.maximum(classes.memory, _TINY)),
    )
    return np.where(feeds, device.cliff, 0.0) + np.minimum(device.count, fed)


# Per class: CPU and memory a pod asks, and GPUs fed by one unit of free CPU, and of free memory.
Needs: TypeAlias = Sequence[tuple[float, float, float, float]]


def class_needs(classes: DemandClasses, form: Constants) -> Needs:
    """What `usable_at` asks about the classes, worked out once."""
    worth = (1.0 - form.blend) * classes.size
    per_cpu = worth / np.maximum(classes.cpu, _TINY)
    per_memory = worth / np.maximum(classes.memory, _TINY)
    columns = (classes.cpu, classes.memory, per_cpu, per_memory)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def headroom_of_row(
    cliff: Sequence[float], count: Sequence[float], cpu: float, memory: float, asked: Needs
) -> list[float]:
    """`usable` of one row, to the bit: for few cells a loop takes a fifth of what arrays take."""
    cpu, memory = max(cpu, 0.0), max(memory, 0.0)
    return [
        (whole if cpu >= least_cpu and memory >= least_memory else 0.0)
        + min(some, cpu * per_cpu, memory * per_memory)
        for whole, some, (least_cpu, least_memory, per_cpu, per_memory) in zip(
            cliff, count, asked, strict=True
        )
    ]


def cost(before: Floats, after: Floats, prices: Floats) -> Floats:
    """The priced loss of a placement per row, in GPUs: smallest wins."""
    loss: Floats = (before - after) @ prices
    return loss


def tightness(cpu_left: Floats, gpus_left: Floats, *, most_cpu: float, most_gpus: float) -> Floats:
    """BestFit (USENIX ATC 2023): CPU and GPUs left after the placement; the least is tightest."""
    return 0.5 * cpu_left / max(most_cpu, _TINY) + 0.5 * gpus_left / max(most_gpus, _TINY)
