"""How near the predicted devices are, as an expected slow-down of the job.

The cost model is packing.md §3.4, fitted to published measurements (kubernetes-sigs/dranet
examples, Azure AKS): a GPU–NIC pair behind one PCIe root, or on one NUMA node where that is the
best the machine has, runs at 1.0 of the bandwidth; one on another NUMA node at 0.5 (measured
0.45–0.58); k GPUs that share a path across sockets get 0.5/k each, floor 0.14. A job's slow-down is
(1 - f) + f/r, with f its share of communication and r the rate of its slowest member. Which NIC
serves which GPU is an assignment, not a greedy pairing, so uneven machines come out right.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from extender.hardware.shape import Kind, Level, Shape


@dataclasses.dataclass(frozen=True, slots=True)
class Calibration:
    """Bandwidth factors of one platform; the defaults are the model's starting values."""

    same_numa: float = 0.8  # same NUMA node, another root: between the two, unmeasured
    other_root: float = 0.65  # another root, NUMA nodes unknown: p4d measures 0.53, same NUMA more
    other_numa: float = 0.5  # measured 0.45 (GB300), 0.53 (p4d), 0.54 (GB200), 0.58 (B200)
    unknown: float = 0.8  # nothing is published: not far, but not promised either
    floor: float = 0.14  # four GPUs behind one cross-socket link (MI300X)
    # GPU–GPU without NVLink on a machine that has it: PCIe 24 GB/s against NVLink 240 and more
    # (NCCL's link model, packing.md §3.2).
    no_nvlink: float = 0.1
    # GPU–GPU across sockets on a machine without NVLink: 6/5 cost through the CPU, and shared.
    gpu_other_numa: float = 0.6


DEFAULT = Calibration()


@dataclasses.dataclass(frozen=True, slots=True)
class Assessment:
    """How near the devices are: `rate` is the expected bandwidth factor, `score` is 1/slow-down.

    `worst` is the farthest GPU–NIC level of the best assignment (None without such a pair), and
    `why` says it in plain words. `unknown` is set where part of it is not published.
    """

    score: float
    rate: float
    worst: Level | None
    unknown: bool
    nearness: str  # of GPUs and NICs, the refusal's words; empty without such a pair
    why: str
    counts: tuple[int, int] = (0, 0)  # GPUs, NICs
    pairs: tuple[tuple[int, int], ...] = ()  # (GPU, NIC) as assigned, device indices
    other_root: bool = False  # some pair is known to sit behind different PCIe roots


def assess(
    shape: Shape,
    devices: Sequence[int],
    *,
    communication_share: float,
    calibration: Calibration = DEFAULT,
) -> Assessment:
    """Judge the devices that a pod would get together."""
    gpus = [i for i in devices if shape.devices[i].kind in {Kind.GPU, Kind.PARTITION}]
    nics = [i for i in devices if shape.devices[i].kind is Kind.NIC]
    pairs = assign(shape, gpus, nics, calibration) if gpus and nics else ()
    nic_rate, worst = _nic_rate(shape, pairs, calibration)
    gpu_rate = _gpu_rate(shape, gpus, calibration)
    rate = min(nic_rate, gpu_rate)
    slow_down = (1 - communication_share) + communication_share / rate
    nearness = "" if worst is None else _nearness(shape, pairs, worst)
    unknown = worst is Level.UNKNOWN or (len(gpus) > 1 and not _published(shape, gpus))
    return Assessment(
        score=1 / slow_down,
        rate=rate,
        worst=worst,
        unknown=unknown,
        nearness=nearness,
        why=_why(shape, gpus, nearness=nearness, nic_rate=nic_rate, gpu_rate=gpu_rate),
        counts=(len(gpus), len(nics)),
        pairs=pairs,
        other_root=any(other_root(shape, gpu, nic) for gpu, nic in pairs),
    )


def possible(shape: Shape, *, gpus: int, nics: int, level: Level) -> bool:
    """Whether the machine, empty, has that many GPUs and NICs that can be paired within `level`."""
    if not gpus or not nics:
        return True
    all_gpus = [i for i, device in enumerate(shape.devices) if device.kind is Kind.GPU]
    all_gpus = all_gpus or [i for i, d in enumerate(shape.devices) if d.kind is Kind.PARTITION]
    all_nics = [i for i, device in enumerate(shape.devices) if device.kind is Kind.NIC]
    near = [
        [column for column, nic in enumerate(all_nics) if shape.levels[gpu][nic] <= level]
        for gpu in all_gpus
    ]
    if gpus >= nics:
        # Several GPUs share a NIC: enough NICs must each have a share of the GPUs near.
        share = -(-gpus // nics)
        return _matching(near, len(all_nics), room=share) >= gpus
    return _matching(near, len(all_nics), room=1) >= gpus


def assign(
    shape: Shape, gpus: Sequence[int], nics: Sequence[int], calibration: Calibration = DEFAULT
) -> tuple[tuple[int, int], ...]:
    """Give each GPU a NIC so that the slowest pair is as fast as can be, then the sum largest."""
    room = -(-len(gpus) // len(nics))
    seats = [nic for nic in nics for _ in range(room)]
    rates = [[_pair_rate(shape, gpu, nic, calibration) for nic in seats] for gpu in gpus]
    bottleneck = _bottleneck(rates)
    cost = [[1 - rate if rate >= bottleneck else 1e3 for rate in row] for row in rates]
    return tuple((gpus[i], seats[j]) for i, j in enumerate(_assignment(cost)))


# ---------------------------------------------------------------- rates


def _pair_rate(shape: Shape, gpu: int, nic: int, calibration: Calibration) -> float:
    level = Level(shape.levels[gpu][nic])
    if level <= Level.PHB:
        return 1.0
    if level is Level.NODE:
        return 1.0 if _best_level(shape) is Level.NODE else calibration.same_numa
    if level is Level.SYS:
        return calibration.other_numa
    return calibration.other_root if other_root(shape, gpu, nic) else calibration.unknown


def other_root(shape: Shape, left: int, right: int) -> bool:
    """Whether both PCIe roots are published, and differ."""
    roots = shape.root[left], shape.root[right]
    return None not in roots and roots[0] != roots[1]


def _best_level(shape: Shape) -> Level:
    """The nearest that a GPU and a NIC are on this machine."""
    nics = [i for i, device in enumerate(shape.devices) if device.kind is Kind.NIC]
    found = (
        shape.levels[i][j]
        for i, device in enumerate(shape.devices)
        if device.kind in {Kind.GPU, Kind.PARTITION}
        for j in nics
    )
    return Level(min(found, default=Level.UNKNOWN))


def _nic_rate(
    shape: Shape, pairs: Sequence[tuple[int, int]], calibration: Calibration
) -> tuple[float, Level | None]:
    if not pairs:
        return 1.0, None
    levels = [Level(shape.levels[gpu][nic]) for gpu, nic in pairs]
    across = levels.count(Level.SYS)
    rates = [_pair_rate(shape, gpu, nic, calibration) for gpu, nic in pairs]
    if across:
        rates.append(max(calibration.floor, calibration.other_numa / across))
    return min(rates), max(levels)


def _gpu_rate(shape: Shape, gpus: Sequence[int], calibration: Calibration) -> float:
    if len(gpus) < 2:
        return 1.0
    levels = {shape.levels[a][b] for i, a in enumerate(gpus) for b in gpus[i + 1 :]}
    if _has_nvlink(shape):
        return 1.0 if levels == {Level.NVLINK} else calibration.no_nvlink
    if Level.SYS in levels:
        return calibration.gpu_other_numa
    return 1.0


def _has_nvlink(shape: Shape) -> bool:
    return any(Level.NVLINK in row for row in shape.levels)


def _published(shape: Shape, gpus: Sequence[int]) -> bool:
    return all(
        shape.levels[a][b] != Level.UNKNOWN for i, a in enumerate(gpus) for b in gpus[i + 1 :]
    )


# ---------------------------------------------------------------- words


def _why(
    shape: Shape, gpus: Sequence[int], *, nearness: str, nic_rate: float, gpu_rate: float
) -> str:
    parts = [f"{nearness}; bandwidth factor {nic_rate:.2f}"] if nearness else []
    if len(gpus) > 1:
        if _has_nvlink(shape):
            linked = "all GPUs are linked by NVLink"
            parts.append(linked if gpu_rate == 1.0 else "some GPUs are not linked by NVLink")
        elif gpu_rate < 1:
            parts.append("GPUs on several NUMA nodes")
    return ", ".join(parts) or "one device: nothing to be near to"


def _nearness(shape: Shape, pairs: Sequence[tuple[int, int]], worst: Level) -> str:
    if worst <= Level.PHB:
        return f"GPU and NIC share a pcieRoot ({worst.name})"
    if worst is Level.NODE:
        return "GPU and NIC share a NUMA node, not a pcieRoot (NODE)"
    if worst is Level.SYS:
        return "GPU and NIC sit on different NUMA nodes (SYS)"
    if any(other_root(shape, gpu, nic) for gpu, nic in pairs):
        return "GPU and NIC do not share a pcieRoot"
    return "nearness of GPU and NIC is not published"


# ---------------------------------------------------------------- matching


def _matching(near: Sequence[Sequence[int]], columns: int, *, room: int) -> int:
    """Largest number of rows that get a column, each column serving at most `room` rows (Kuhn)."""
    holders: list[list[int]] = [[] for _ in range(columns)]

    def seat(row: int, tried: set[int]) -> bool:
        for column in near[row]:
            if column in tried:
                continue
            tried.add(column)
            if len(holders[column]) < room:
                holders[column].append(row)
                return True
            for place, holder in enumerate(holders[column]):
                if seat(holder, tried):
                    holders[column][place] = row
                    return True
        return False

    return sum(seat(row, set()) for row in range(len(near)))


def _bottleneck(rates: Sequence[Sequence[float]]) -> float:
    """The largest rate such that every row can have a column of at least that rate."""
    for rate in sorted({rate for row in rates for rate in row}, reverse=True):
        near = [[j for j, value in enumerate(row) if value >= rate] for row in rates]
        if _matching(near, len(rates[0]), room=1) == len(rates):
            return rate
    return 0.0


def _assignment(cost: Sequence[Sequence[float]]) -> list[int]:
    """Column of each row with the smallest total cost, columns ≥ rows.

    The Hungarian method with potentials (Kuhn 1955; Jonker and Volgenant 1987), O(rows²·columns).
    """
    rows, columns = len(cost), len(cost[0])
    row_potential, column_potential = [0.0] * (rows + 1), [0.0] * (columns + 1)
    owner = [0] * (columns + 1)  # column → row, 1-based; 0 is nobody
    for row in range(1, rows + 1):
        owner[0], column = row, 0
        slack, came_from = [float("inf")] * (columns + 1), [0] * (columns + 1)
        done = [False] * (columns + 1)
        while owner[column]:
            done[column] = True
            current, delta, following = owner[column], float("inf"), 0
            for j in range(1, columns + 1):
                if done[j]:
                    continue
                reduced = cost[current - 1][j - 1] - row_potential[current] - column_potential[j]
                if reduced < slack[j]:
                    slack[j], came_from[j] = reduced, column
                if slack[j] < delta:
                    delta, following = slack[j], j
            for j in range(columns + 1):
                if done[j]:
                    row_potential[owner[j]] += delta
                    column_potential[j] -= delta
                else:
                    slack[j] -= delta
            column = following
        while column:
            owner[column] = owner[came_from[column]]
            column = came_from[column]
    found = [0] * rows
    for j in range(1, columns + 1):
        if owner[j]:
            found[owner[j] - 1] = j - 1
    return found
