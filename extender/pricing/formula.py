"""What a node can still give to each demand class, and what a placement takes away.

Source: scarcity prices, first and second form (FGD's measure of what fits now, USENIX ATC 2023,
blended with a count that CPU and memory limit). For class m on a node with free CPU c and memory q:

    A_m = the free GPU parts large enough for m, in GPUs; 0 where not one pod of m fits now
    k_m = how many devices of m's kind the node can still give, one after the other
    B_m = g_m * min(k_m / count_m, c / cpu_m, q / memory_m)
    u_m = a * A_m + (1 - a) * B_m

k_m / count_m counts whole pods, plus ((k mod count) / count)^beta for classes of several devices:
it says which broken node is closest to being whole again.

The device part (A, k) belongs to a node *state* and a *unit*, the demand for one device; CPU and
memory are columns beside it. All arrays are float64; rows are nodes, columns classes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from extender.policy import config
from extender.pricing.mix.demand_mix import DemandClasses, Floats, Ints, MeanDemand

_TINY = 1e-9  # a class that requests no CPU or memory is not limited by it
# The most that a and alpha may be where kube-scheduler places the pods without devices, and takes
# CPU anywhere. Openb at 130 % of demand: an alpha of 3 costs 0.4 points on cpu200, 0.5 on cpu250,
# and one of 2.5 costs 0.1 on the default mix.
LIMITS_BESIDE_IN_TREE = (0.35, 2.75)
# Where idle CPU covers less than the first share of the idle GPUs, a is at most the least blend; it
# rises to the policy's where all are covered and some CPU is left. Measured on openb at 130 % of
# demand: cpu250 95.31 % allocated, 95.00 without; with 1.35 times the CPU a GPU, 92.3 and 88.9;
# nothing changes where CPU is no shorter than in the default mix.
_LEAST_BLEND = 0.2
_LOW_COVERAGE, _FULL_COVERAGE = 0.95, 1.15
_STEPS = 5  # between the two: few, as a new blend has the headroom of all nodes computed anew
_LEAST_PODS = 200  # a tenth of the mix's horizon: fewer are no basis for a mean


@dataclasses.dataclass(frozen=True, slots=True)
class Constants:
    """The constants of the score; the defaults are best in their worst case over openb's mixes.

    A steepness of 3 loses 0.3 points of accepted GPUs to FGD where large pods come and go
    (multigpu50), one of 5 loses 0.4 where pods are bound to models (gpuspec33); a blend of 0.3
    loses 0.4 where large pods come and go, and gains only where CPU is short (see
    `adapted_to_coverage`).

    `blend` is a: 1 counts only what fits now, 0 only what CPU and memory could cover. `steepness`
    is alpha of the prices, `part_credit` is beta, `slack` is eps in pods. `locality_weight` is what
    later pods lose where the devices left to them are in different localities.
    """

    blend: float = 0.45
    steepness: float = 4.0
    part_credit: float = 5.0
    slack: float = 0.5
    locality_weight: float = 10.0


def constants_of(settings: config.ClusterPacking, *, cpu_pods_scored: bool) -> Constants:
    """The constants of a policy; gentler where others place the pods without devices."""
    most_blend, most_steep = (1.0, math.inf) if cpu_pods_scored else LIMITS_BESIDE_IN_TREE
    return Constants(
        blend=min(settings.fits_now_share, most_blend),
        steepness=min(settings.alpha, most_steep),
        part_credit=settings.part_credit,
        locality_weight=settings.distance_weight,
    )


def coverage(
    idle: float, idle_elsewhere: float, *, gpus: float, per_gpu: float, bare_per_gpu: float
) -> float:
    """Which share of the idle GPUs CPU (or memory) covers if pods go on asking as they do.

    `per_gpu` is requested with each GPU, and `bare_per_gpu` by the pods without devices that arrive
    meanwhile. Those take what is idle on machines without GPUs (`idle_elsewhere`) first. `idle` is
    what is left on the machines of the idle `gpus`. Infinite where nothing is needed.
    """
    need = gpus * per_gpu + max(gpus * bare_per_gpu - idle_elsewhere, 0.0)
    return max(idle, 0.0) / need if need > 0.0 else math.inf


def tells(demand: MeanDemand) -> bool:
    """Whether enough pods were observed for a mean."""
    return demand.gpus > 0.0 and demand.pods >= _LEAST_PODS


def coverage_by(
    demand: MeanDemand, *, gpus: float, cpu: tuple[float, float], memory: tuple[float, float]
) -> float:
    """Which share of the idle GPUs both CPU and memory cover: `coverage` by the scarcer.

    `cpu` and `memory` are (idle on machines with GPUs, idle on machines without). Infinite until
    enough pods were observed for a mean.
    """
    if not tells(demand):
        return math.inf
    kinds = ((cpu, demand.cpu, demand.bare_cpu), (memory, demand.memory, demand.bare_memory))
    return min(
        coverage(*idle, gpus=gpus, per_gpu=wanted / demand.gpus, bare_per_gpu=bare / demand.gpus)
        for idle, wanted, bare in kinds
    )


def adapted_to_coverage(form: Constants, share: float) -> Constants:
    """The constants for this share of the idle GPUs covered (see `coverage`): blend falls with it.

    Where GPUs will be left stranded, what fits now predicts little; what CPU and memory cover tells
    which they are. Source: the adaptive blend of the second form, here by the CPU of all pods, not
    only of those with GPUs, and only ever below the policy's.
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
    """Headroom before CPU and memory limit it, per state (row) and class (column), in GPUs.

    `fits_now` is a * A and `count` is (1 - a) * g * k / count of the module's formula.

    `mean_worth` is the mean worth of the placements counted, None where all are worth 1.
    """

    fits_now: Floats
    count: Floats
    mean_worth: Floats | None = None

    def take(self, states: Ints) -> DeviceHeadroom:
        """Of these states, one row each."""
        mean_worth = None if self.mean_worth is None else self.mean_worth[states]
        return DeviceHeadroom(
            fits_now=self.fits_now[states], count=self.count[states], mean_worth=mean_worth
        )

    def for_classes(self, columns: Ints) -> DeviceHeadroom:
        """Of these classes alone."""
        mean_worth = None if self.mean_worth is None else self.mean_worth[:, columns]
        return DeviceHeadroom(
            fits_now=self.fits_now[:, columns], count=self.count[:, columns], mean_worth=mean_worth
        )

    def weighted(self) -> DeviceHeadroom:
        """The same with each placement counted by its worth.

        The worth of a placement is `future_worth`. A pod without NICs pays for the aligned
        pairs of GPU and NIC that it breaks; one with NICs pays for its own locality instead.
        """
        if self.mean_worth is None:
            return self
        return DeviceHeadroom(
            fits_now=self.fits_now * self.mean_worth, count=self.count * self.mean_worth
        )


def future_worth(score: float, locality_weight: float) -> float:
    """What a placement is worth to a pod that comes later: 1, less what poor locality will cost it.

    `score` is that of `locality.assess`; both are in GPUs per GPU requested, as prices are. Source:
    our own, measured by `loadtests.quality.turnover`.
    """
    return max(0.0, 1.0 - locality_weight * (1.0 - score))


def device_headroom(
    free: Floats,
    chain: Floats,
    classes: DemandClasses,
    form: Constants,
    mean_worth: Floats | None = None,
) -> DeviceHeadroom:
    """Blend what devices alone allow, from `free` (A) and `chain` (k) per state and *unit*.

    `free[s, i]`: GPUs of state s in parts large enough for unit i. `chain[s, i]`: how many of
    unit i can be placed there one after the other, and `mean_worth[s, i]` their mean worth.
    """
    free, chain = free[:, classes.unit], chain[:, classes.unit]
    pods = chain / classes.count
    whole = np.floor(pods)
    counted = whole.copy()
    several = classes.count >= 2.0  # a power is dear, and a class of one device has no part
    counted[:, several] += (pods[:, several] - whole[:, several]) ** form.part_credit
    return DeviceHeadroom(
        fits_now=np.where(whole >= 1.0, form.blend * free, 0.0),
        count=(1.0 - form.blend) * classes.size * counted,
        mean_worth=None if mean_worth is None else mean_worth[:, classes.unit],
    )


def headroom(
    device: DeviceHeadroom, cpu: Floats, memory: Floats, classes: DemandClasses, form: Constants
) -> Floats:
    """What each row can still give to each class (u), in GPUs.

    `device` has one row per row of `cpu` and `memory`; their units are those of the classes.
    """
    cpu, memory = np.maximum(cpu, 0.0)[:, None], np.maximum(memory, 0.0)[:, None]
    fits = (cpu >= classes.cpu) & (memory >= classes.memory)
    worth = (1.0 - form.blend) * classes.size
    covered = np.minimum(
        cpu * (worth / np.maximum(classes.cpu, _TINY)),
        memory * (worth / np.maximum(classes.memory, _TINY)),
    )
    return np.where(fits, device.fits_now, 0.0) + np.minimum(device.count, covered)


# Per class: CPU and memory of a pod, and GPUs that one millicore or byte of it free covers.
Needs: TypeAlias = Sequence[tuple[float, float, float, float]]


def class_needs(classes: DemandClasses, form: Constants) -> Needs:
    """What `headroom_of_row` needs of the classes, computed once."""
    worth = (1.0 - form.blend) * classes.size
    per_cpu = worth / np.maximum(classes.cpu, _TINY)
    per_memory = worth / np.maximum(classes.memory, _TINY)
    columns = (classes.cpu, classes.memory, per_cpu, per_memory)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def headroom_of_row(
    fits_now: Sequence[float], count: Sequence[float], cpu: float, memory: float, needs: Needs
) -> list[float]:
    """`headroom` of one row, to the bit: for few cells a loop takes a fifth of what arrays take."""
    cpu, memory = max(cpu, 0.0), max(memory, 0.0)
    return [
        (whole if cpu >= least_cpu and memory >= least_memory else 0.0)
        + min(some, cpu * per_cpu, memory * per_memory)
        for whole, some, (least_cpu, least_memory, per_cpu, per_memory) in zip(
            fits_now, count, needs, strict=True
        )
    ]


def cost(before: Floats, after: Floats, prices: Floats) -> Floats:
    """The priced loss of a placement per row, in GPUs: smallest wins."""
    loss: Floats = (before - after) @ prices
    return loss


def tightness(cpu_left: Floats, gpus_left: Floats, *, most_cpu: float, most_gpus: float) -> Floats:
    """BestFit (USENIX ATC 2023): CPU and GPUs left after the placement; the least is tightest."""
    return 0.5 * cpu_left / max(most_cpu, _TINY) + 0.5 * gpus_left / max(most_gpus, _TINY)
