"""How close the predicted devices are, as an expected slow-down of the job.

The cost model is fitted to the measurements that kubernetes-sigs/dranet publishes with its
examples (EKS p4d, GKE A4, AKS GB300, H100 and MI300X, OKE GB200): a GPU–NIC pair behind one PCIe
root, or on one NUMA node where that is the best the machine has, runs at 1.0 of the bandwidth; one
on another NUMA node at 0.5 (measured 0.45–0.58); k GPUs that share a path across sockets get 0.5/k
each, floor 0.14. A job's slow-down is (1 - f) + f/r, with f its share of communication and r the
rate of its slowest member. Which NIC serves which GPU is an assignment, not a greedy pairing, so
uneven machines come out right. What is not published is neither close nor far.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from extender import bounded_cache
from extender.hardware import fabric, resource_names
from extender.hardware.shape import Kind, Level, Shape
from extender.policy import bipartite_matching

Pairs: TypeAlias = tuple[tuple[int, int], ...]  # (GPU, NIC), device indices


@dataclasses.dataclass(frozen=True, slots=True)
class Calibration:
    """Bandwidth factors of one platform; the defaults are the model's starting values."""

    same_numa: float = 0.8  # same NUMA node, another root: between the two, unmeasured
    other_root: float = 0.65  # another root, NUMA nodes unknown: p4d measures 0.53, same NUMA more
    other_numa: float = 0.5  # measured 0.45 (GB300), 0.53 (p4d), 0.54 (GB200), 0.58 (B200)
    unknown: float = 0.8  # nothing is published: not far, but not promised either
    floor: float = 0.14  # four GPUs behind one cross-socket link (MI300X)
    # GPU–GPU without NVLink on a machine that has it: PCIe 24 GB/s against NVLink 240 and more
    # (NCCL's link model, NVIDIA/nccl src/graph/topo.h).
    no_nvlink: float = 0.1
    # GPU–GPU across sockets on a machine without NVLink: 6/5 cost through the CPU, and shared.
    gpu_other_numa: float = 0.6


DEFAULT = Calibration()


@dataclasses.dataclass(frozen=True, slots=True)
class Assessment:
    """How close the devices are: `rate` is the expected bandwidth factor, `score` is 1/slow-down.

    `worst` is the farthest GPU–NIC level of the best assignment (None without such a pair), and
    `why` says it in plain words. `unknown` is set where part of it is not published.
    """

    score: float
    rate: float
    worst: Level | None
    unknown: bool
    level_words: str  # of GPUs and NICs, the refusal's words; empty without such a pair
    why: str
    counts: tuple[int, int] = (0, 0)  # GPUs, NICs
    pairs: Pairs = ()  # as assigned
    other_root: bool = False  # some pair is known to sit behind different PCIe roots


def assess(
    shape: Shape,
    devices: Sequence[int],
    *,
    communication_share: float,
    calibration: Calibration = DEFAULT,
) -> Assessment:
    """Judge the devices that a pod would get together."""
    return _assessed(shape, tuple(devices), communication_share, calibration)


# Many states of a machine lead to the same devices.
@bounded_cache.remembered("localities", 8192)
def _assessed(
    shape: Shape, devices: tuple[int, ...], communication_share: float, calibration: Calibration
) -> Assessment:
    machine = _machine(shape, calibration)
    gpus = [i for i in devices if machine.kinds[i] in _GPUS]
    nics = [i for i in devices if machine.kinds[i] is Kind.NIC]
    pairs = _assign(machine, gpus, nics)
    levels = [Level(shape.levels[gpu][nic]) for gpu, nic in pairs]
    worst = max(levels, default=None)
    nic_rate = _nic_rate(machine, pairs, levels, calibration)
    gpu_levels = {shape.levels[a][b] for i, a in enumerate(gpus) for b in gpus[i + 1 :]}
    linked = bool(machine.link) and all(machine.kinds[i] is Kind.GPU for i in gpus)
    divided = linked and fabric.divided(shape.partitions, gpus)
    gpu_rate = (
        calibration.no_nvlink if divided else _gpu_rate(gpu_levels, calibration, linked=linked)
    )
    rate = min(nic_rate, gpu_rate)
    apart = any(other_root(shape, gpu, nic) for gpu, nic in pairs)
    level_words = "" if worst is None else _level_words(worst, apart=apart)
    guess = " (an estimate)" if _between(machine, pairs, levels) else ""
    words = [f"{level_words}; bandwidth factor {nic_rate:.2f}{guess}"] if level_words else []
    words += [_DIVIDED] if divided else _gpu_words(gpu_levels, machine.link if linked else "")
    return Assessment(
        score=1 / (1 - communication_share + communication_share / rate),
        rate=rate,
        worst=worst,
        unknown=Level.UNKNOWN in levels or Level.UNKNOWN in gpu_levels,
        level_words=level_words,
        why=", ".join(words) or "no other device to be close to",
        counts=(len(gpus), len(nics)),
        pairs=pairs,
        other_root=apart,
    )


def assign(
    shape: Shape, gpus: Sequence[int], nics: Sequence[int], calibration: Calibration = DEFAULT
) -> Pairs:
    """Give GPUs their NICs so that the slowest pair is as fast as can be, then the sum largest.

    With more GPUs than NICs a NIC serves several. With more NICs each GPU has as many as all can
    have; those left over serve nobody (a machine's ninth and tenth are for storage).
    """
    return _assign(_machine(shape, calibration), gpus, nics)


@bounded_cache.remembered("possible-pairs", 4096)
def possible(shape: Shape, *, gpus: int, nics: int, level: Level) -> bool:
    """Whether the machine, empty, has that many GPUs and NICs that can be paired within `level`.

    Exact where locality divides the machine into parts, as roots and NUMA nodes do; else it may
    say yes too often.
    """
    if not gpus or not nics:
        return True
    kinds = [device.kind for device in shape.devices]
    kind = Kind.GPU if Kind.GPU in kinds else Kind.PARTITION
    columns = [i for i, found in enumerate(kinds) if found is Kind.NIC]
    close = [
        frozenset(j for j, nic in enumerate(columns) if shape.levels[gpu][nic] <= level)
        for gpu, found in enumerate(kinds)
        if found is kind
    ]
    share, capacity = max(nics // gpus, 1), -(-gpus // nics)
    if not bipartite_matching.blocks(close):
        rows = [sorted(row) for row in close for _ in range(share)]
        return bipartite_matching.matching(rows, len(columns), capacity=capacity) >= gpus * share
    parts = [(close.count(part), len(part)) for part in set(close) if part]
    if nics >= gpus:
        return sum(min(here, there // share) for here, there in parts) >= gpus
    served = (
        max(0, min(capacity, here - number * capacity))
        for here, there in parts
        for number in range(there)
    )
    return sum(sorted(served, reverse=True)[:nics]) >= gpus


def other_root(shape: Shape, left: int, right: int) -> bool:
    """Whether both PCIe roots are published, and differ."""
    roots = shape.root[left], shape.root[right]
    return None not in roots and roots[0] != roots[1]


# ---------------------------------------------------------------- a machine at a glance

_GPUS = frozenset({Kind.GPU, Kind.PARTITION})
_NO_PAIR = 255


@dataclasses.dataclass(frozen=True, slots=True)
class _MachineDevices:
    """What the model needs of one shape under one calibration, worked out once.

    `ranks[gpu][nic]` places the pair in `rates`, the best first. `tree`: locality divides the
    machine into parts within parts, so that giving each GPU the nearest free NIC is optimal.
    """

    kinds: tuple[Kind, ...]
    ranks: dict[int, bytes]
    rates: tuple[float, ...]
    costs: tuple[float, ...]
    tree: bool
    link: str  # "NVLink", "XGMI" or "NeuronLink", empty where no GPUs are joined


@bounded_cache.remembered("distances", 1024)
def _machine(shape: Shape, calibration: Calibration) -> _MachineDevices:
    kinds = tuple(device.kind for device in shape.devices)
    gpus = [i for i, kind in enumerate(kinds) if kind in _GPUS]
    nics = [i for i, kind in enumerate(kinds) if kind is Kind.NIC]
    best = min((shape.levels[i][j] for i in gpus for j in nics), default=Level.UNKNOWN)
    # (1 - rate, level): of equal rates the nearer level goes first, for the sake of `worst`.
    steps = {
        (gpu, nic): (1 - _pair_rate(shape, gpu, nic, best, calibration), shape.levels[gpu][nic])
        for gpu in gpus
        for nic in nics
    }
    order = sorted(set(steps.values()))
    rank = {step: number for number, step in enumerate(order)}
    ranks = {}
    for gpu in gpus:  # a machine cut into partitions has two hundred of them, and few NICs
        row = bytearray([_NO_PAIR]) * len(kinds)
        for nic in nics:
            row[nic] = rank[steps[gpu, nic]]
        ranks[gpu] = bytes(row)
    tree = all(
        bipartite_matching.blocks(
            [frozenset(n for n in nics if ranks[gpu][n] <= most) for gpu in gpus]
        )
        for most in range(len(order))
    )
    return _MachineDevices(
        kinds=kinds,
        ranks=ranks,
        rates=tuple(1 - lost for lost, _ in order),
        costs=tuple(lost + level * bipartite_matching.SAME / 10 for lost, level in order),
        tree=tree,
        link=_link(shape),
    )


def _pair_rate(shape: Shape, gpu: int, nic: int, best: int, calibration: Calibration) -> float:
    level = shape.levels[gpu][nic]
    if level <= Level.PHB:
        return 1.0
    if level == Level.NODE:
        return 1.0 if best == Level.NODE else calibration.same_numa
    if level == Level.SYS:
        return calibration.other_numa
    return calibration.other_root if other_root(shape, gpu, nic) else calibration.unknown


def _link(shape: Shape) -> str:
    """How the vendor calls what joins the GPUs of this machine, if anything does."""
    if not any(Level.NVLINK in row for row in shape.levels):
        return ""
    drivers = {device.driver for device in shape.devices if device.kind is Kind.GPU}
    vendors = {resource_names.vendor_of(driver) for driver in drivers}
    if "aws.com" in vendors:
        return "NeuronLink"
    amd = "amd.com" in vendors or "instinct" in shape.product.lower()
    return "XGMI" if amd else "NVLink"


# ---------------------------------------------------------------- pairs


def _assign(machine: _MachineDevices, gpus: Sequence[int], nics: Sequence[int]) -> Pairs:
    if not gpus or not nics:
        return ()
    share, capacity = max(len(nics) // len(gpus), 1), -(-len(gpus) // len(nics))
    rows = [gpu for gpu in gpus for _ in range(share)]
    seats = [nic for nic in nics for _ in range(capacity)]
    if machine.tree:
        return tuple(_nearest_first(machine, rows, seats))
    ranks = [[machine.ranks[gpu][nic] for nic in seats] for gpu in rows]
    found = bipartite_matching.fairest(ranks, machine.costs)
    return tuple((gpu, seats[position]) for gpu, position in zip(rows, found, strict=True))


def _nearest_first(
    machine: _MachineDevices, rows: Sequence[int], seats: list[int]
) -> Iterator[tuple[int, int]]:
    """Pairs by rank: within a part any choice is as good, and what is left over moves up."""
    free = list(seats)
    waiting: Sequence[int] = rows
    for rank in range(len(machine.rates)):
        left = []
        for gpu in waiting:
            row = machine.ranks[gpu]
            for position, nic in enumerate(free):
                if row[nic] == rank:
                    del free[position]
                    yield gpu, nic
                    break
            else:
                left.append(gpu)
        if not left:
            return
        waiting = left


# ---------------------------------------------------------------- rates


def _nic_rate(
    machine: _MachineDevices, pairs: Pairs, levels: Sequence[Level], calibration: Calibration
) -> float:
    """The rate of the slowest GPU; one with several NICs has the mean of them."""
    across = len({gpu for (gpu, _), level in zip(pairs, levels, strict=True) if level is Level.SYS})
    far = max(calibration.floor, calibration.other_numa / max(across, 1))
    of_gpu: dict[int, list[float]] = {}
    for (gpu, nic), level in zip(pairs, levels, strict=True):
        rate = far if level is Level.SYS else machine.rates[machine.ranks[gpu][nic]]
        of_gpu.setdefault(gpu, []).append(rate)
    return min((sum(rates) / len(rates) for rates in of_gpu.values()), default=1.0)


def _between(machine: _MachineDevices, pairs: Pairs, levels: Sequence[Level]) -> bool:
    """Whether some pair is neither of the nearest nor of the farthest: none such was measured."""
    return any(
        level in {Level.NODE, Level.UNKNOWN} and machine.rates[machine.ranks[gpu][nic]] < 1
        for (gpu, nic), level in zip(pairs, levels, strict=True)
    )


def _gpu_rate(levels: set[int], calibration: Calibration, *, linked: bool) -> float:
    """The rate among the GPUs; parts of GPUs have no links (MIG user guide: no peer to peer)."""
    if linked:
        if levels <= {Level.NVLINK}:
            return 1.0
        return calibration.unknown if levels <= _MAYBE_LINKED else calibration.no_nvlink
    if Level.SYS in levels:
        return calibration.gpu_other_numa
    return calibration.unknown if Level.UNKNOWN in levels else 1.0


_MAYBE_LINKED = {Level.NVLINK, Level.UNKNOWN}


# ---------------------------------------------------------------- words


_DIVIDED = "the GPUs are no NVSwitch partition of their own: the driver will not prepare them"


def _gpu_words(levels: set[int], link: str) -> list[str]:
    if link and levels:
        if levels == {Level.NVLINK}:
            return [f"all GPUs are linked by {link}"]
        if levels <= _MAYBE_LINKED:
            return [f"whether {link} joins all GPUs is not published"]
        return [f"some GPUs are not linked by {link}"]
    if Level.SYS in levels:
        return ["GPUs on several NUMA nodes"]
    if Level.UNKNOWN in levels:
        return ["how close the GPUs are to each other is not published"]
    where = "on one NUMA node" if Level.NODE in levels else "behind one PCIe root"
    return [f"GPUs {where}"] * bool(levels)


def _level_words(worst: Level, *, apart: bool) -> str:
    if worst <= Level.PHB:
        return f"GPU and NIC share a PCIe root ({worst.name})"
    if worst is Level.NODE:
        return "GPU and NIC share a NUMA node, not a PCIe root (NODE)"
    if worst is Level.SYS:
        return "GPU and NIC sit on different NUMA nodes (SYS)"
    if apart:
        return "GPU and NIC do not share a PCIe root"
    return "locality of GPU and NIC is not published"
