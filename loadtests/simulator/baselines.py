"""Scores of others, as published, for the openb benchmark.

FGD, BestFit, DotProd, GpuPacking, GpuClustering: "Beware of Fragmentation" (USENIX ATC 2023) and
its simulator, hkust-adsl/kubernetes-scheduler-simulator; integers 0..100 where a larger one wins.
kube-default: LeastAllocated + BalancedAllocation of kube-scheduler.
"""

import numpy as np

from extender.simulation import in_tree as intree
from loadtests.simulator import simulated_cluster
from loadtests.simulator.traces import openb

MOST_CPU = 128000  # the simulator's largest node: thousandths of a core,
MOST_GPU = 8000  # and thousandths of a GPU
POPULAR = 0.95  # FGD looks at the most frequent demands that make up this share of pods
STEPS = 100  # scores are 0..100
BALANCES, NEWEST = intree.BALANCES, intree.NEWEST
INT_MAX = np.iinfo(np.int64).max


class BestFit:
    """What is left of CPU and GPU, weighed equally; the least wins."""

    slots = staticmethod(simulated_cluster.slots_of)

    def scores(self, cluster, kind, rows):
        cpu = (cluster.cpu[rows] - kind.cpu) / MOST_CPU * 0.5
        gpu = (free(cluster.gpu[rows]) - kind.gpu) / MOST_GPU * 0.5
        return np.trunc((1.0 - (cpu + gpu)) * STEPS)


class DotProd:
    """Tetris' alignment of what is asked with what is left; the least aligned wins."""

    slots = staticmethod(simulated_cluster.slots_of)

    def scores(self, cluster, kind, rows):
        cpu = (cluster.cpu[rows] / MOST_CPU) * (kind.cpu / MOST_CPU)
        gpu = (free(cluster.gpu[rows]) / MOST_GPU) * (kind.gpu / MOST_GPU)
        return np.trunc(STEPS * (1 - (cpu + gpu) / 2))


class GpuPacking:
    """Shared GPUs first, then free GPUs of used nodes, then free nodes."""

    slots = staticmethod(simulated_cluster.slots_of)

    def scores(self, cluster, kind, rows):
        if kind.num == 0:
            return np.zeros(len(rows))
        gpu = cluster.gpu[rows]
        whole = (gpu == openb.GPU).sum(axis=1)
        fits = gpu >= kind.milli
        room = np.where(fits, gpu, INT_MAX).min(axis=1)
        shared = np.maximum(STEPS - (room * 100 // openb.GPU) // 10, STEPS // 2)
        opened = max(STEPS // 2 - kind.num, STEPS // 3)
        untouched = np.maximum(STEPS // 3 - whole, whole)
        takes_whole = room == openb.GPU
        used = np.where(takes_whole, opened, shared)
        return np.where(whole == cluster.nodes.gpus[rows], untouched, used).astype(float)


class GpuClustering:
    """Demands of one size together (Gandiva's affinity)."""

    slots = staticmethod(simulated_cluster.slots_of)

    def __init__(self, nodes):
        self.tags = {}  # demand's tag → pods per node
        self.size = len(nodes.names)

    def scores(self, cluster, kind, rows):
        if kind.num == 0:
            return np.zeros(len(rows))
        packed = (STEPS // 4) * (MOST_GPU - free(cluster.gpu[rows])) // MOST_GPU
        present = np.zeros(len(rows), dtype=np.int64)
        for counts in self.tags.values():
            present += counts[rows] > 0
        same = self.tags[kind.tag][rows] > 0 if kind.tag in self.tags else present < 0
        alone = np.where(present == 1, 3 * STEPS // 4, 2 * STEPS // 4)
        other = np.where(present == 0, STEPS // 4, 0)
        return (packed + np.where(same, alone, other)).astype(float)

    def clustered(self, node, kind, sign):
        if kind.num:
            self.tags.setdefault(kind.tag, np.zeros(self.size, dtype=np.int64))[node] += sign


class Random:
    """Any node that fits."""

    slots = staticmethod(simulated_cluster.slots_of)

    def scores(self, cluster, kind, rows):  # noqa: ARG002 - the shape of a policy
        return np.zeros(len(rows))


class KubeDefault:
    """NodeResourcesFit's LeastAllocated plus NodeResourcesBalancedAllocation, weight 1 each."""

    slots = staticmethod(simulated_cluster.slots_of)

    def scores(self, cluster, kind, rows):
        return in_tree(cluster, kind, rows).astype(float)


class MostAllocated:
    """NodeResourcesFit's MostAllocated with CPU and memory weight 1 and GPUs 3."""

    slots = staticmethod(simulated_cluster.slots_of)

    def scores(self, cluster, kind, rows):
        nodes = cluster.nodes
        used_gpu = nodes.gpus[rows] * openb.GPU - free(cluster.gpu[rows]) + kind.gpu
        cpu = (nodes.cpu[rows] - cluster.cpu[rows] + kind.cpu) * STEPS // nodes.cpu[rows]
        memory = nodes.memory[rows] - cluster.memory[rows] + kind.memory
        memory = memory * STEPS // nodes.memory[rows]
        gpu = used_gpu * STEPS // (nodes.gpus[rows] * openb.GPU)
        if kind.num == 0:
            return ((cpu + memory) // 2).astype(float)
        return ((cpu + memory + 3 * gpu) // 5).astype(float)


class Fgd:
    """The drop of expected fragmentation, 100 x sigmoid, truncated; scores kept while a node rests.

    `tie` adds BestFit below the integer, for schedulers that pick among equals at random.
    """

    def __init__(self, trace, nodes, *, tie=False):
        self.classes = popular(trace, nodes)
        self.tie = BestFit() if tie else None
        self.amount = None  # node → fragments now
        self.amount_stamp = None
        self.table = {}  # kind → (score, slot, stamp) per node

    def scores(self, cluster, kind, rows):
        score, _, _ = self.settled(cluster, kind, rows)
        if self.tie is None:
            return score[rows]
        return score[rows] + self.tie.scores(cluster, kind, rows) / (2 * STEPS)

    def slots(self, cluster, node, kind):
        if kind.num == 1 and kind.milli < openb.GPU:
            return np.array([self.table[kind][1][node]])
        return simulated_cluster.slots_of(cluster, node, kind)

    def settled(self, cluster, kind, rows):
        if kind not in self.table:
            size = len(cluster.cpu)
            self.table[kind] = (
                np.zeros(size),
                np.zeros(size, dtype=np.int64),
                np.full(size, -1),
            )
        score, slot, stamp = self.table[kind]
        stale = rows[stamp[rows] != cluster.stamp[rows]]
        if len(stale):
            score[stale], slot[stale] = self.judged(cluster, kind, stale)
            stamp[stale] = cluster.stamp[stale]
        return self.table[kind]

    def judged(self, cluster, kind, rows):
        before = self.fragments(cluster, rows)
        gpu = np.maximum(cluster.gpu[rows], 0)
        cpu = cluster.cpu[rows] - kind.cpu
        model = cluster.nodes.model[rows]
        if kind.num == 1 and kind.milli < openb.GPU:
            after = np.repeat(gpu[:, None, :], openb.SLOTS, axis=1)
            diagonal = np.arange(openb.SLOTS)
            after[:, diagonal, diagonal] -= kind.milli
            found, where = np.nonzero(cluster.gpu[rows] >= kind.milli)
            amount = fragments(self.classes, cpu[found], after[found, where], model[found])
            options = np.full((len(rows), openb.SLOTS), -1.0)
            options[found, where] = truncated(before[found] - amount)
            slot = options.argmax(axis=1)
            return options[np.arange(len(rows)), slot], slot
        taken = (
            simulated_cluster.tightest(gpu, kind) if kind.num else np.zeros_like(gpu, dtype=bool)
        )
        amount = fragments(self.classes, cpu, gpu - taken * kind.milli, model)
        return truncated(before - amount), np.zeros(len(rows), dtype=np.int64)

    def fragments(self, cluster, rows):
        if self.amount is None:
            self.amount = np.zeros(len(cluster.cpu))
            self.amount_stamp = np.full(len(cluster.cpu), -1)
        stale = rows[self.amount_stamp[rows] != cluster.stamp[rows]]
        if len(stale):
            gpu = np.maximum(cluster.gpu[stale], 0)
            self.amount[stale] = fragments(
                self.classes, cluster.cpu[stale], gpu, cluster.nodes.model[stale]
            )
            self.amount_stamp[stale] = cluster.stamp[stale]
        return self.amount[rows]


class Classes:
    """FGD's typical demands as columns; `accepts[class, model]`."""

    def __init__(self, kinds, shares, models):
        self.share = np.array(shares)
        self.cpu = np.array([kind[0] for kind in kinds])
        self.milli = np.array([kind[1] for kind in kinds])
        self.num = np.array([kind[2] for kind in kinds])
        self.accepts = np.array([[not kind[3] or m in kind[3] for m in models] for kind in kinds])


def popular(trace, nodes):
    """The most frequent demands of the whole list, up to 95 % of its pods, shares renormalised."""
    counts = {}  # (CPU, milli, GPUs, models as written) → pods
    for number in trace.pods:
        kind = trace.kinds[number]
        key = (kind.cpu, kind.milli, kind.num, kind.models)
        counts[key] = counts.get(key, 0) + 1
    ranked = sorted(counts.items(), key=lambda item: (item[1], item[0]), reverse=True)
    total = len(trace.pods)
    kept, seen = [], 0
    for key, count in ranked:
        if seen >= POPULAR * total:
            break
        kept.append((key, count / total))
        seen += count
    shares = [share / (seen / total) for _, share in kept]
    return Classes([key for key, _ in kept], shares, nodes.models)


def fragments(classes, cpu, gpu, model):
    """Expected GPU thousandths that a typical demand cannot use, per node state.

    Six buckets are summed one class after the other, as in the original: the truncation of the
    score shows the last bit of a sum.
    """
    total = gpu.sum(axis=1)[:, None]
    small = gpu[:, None, :] < classes.milli[None, :, None]
    room = cpu[:, None] >= classes.cpu
    fits = (~small).sum(axis=2) >= classes.num
    accepted = classes.accepts[:, model].T
    needs_gpu = classes.milli > 0
    useless = np.where(small, gpu[:, None, :], 0).sum(axis=2)
    met = fits & room & accepted & needs_gpu
    amount = classes.share * np.where(met, useless, total)
    bucket = np.where(
        ~needs_gpu,
        np.where(room, 3, 4),
        np.where(~accepted, 5, np.where(fits, np.where(room, 1, 2), np.where(room, 1, 0))),
    )
    out = np.zeros(len(cpu))
    for number in range(6):
        out += np.where(bucket == number, amount, 0.0).cumsum(axis=1)[:, -1]
    return out


def truncated(delta):
    return np.trunc(1.0 / (1.0 + np.exp(-delta / openb.GPU)) * STEPS)


def free(gpu):
    return np.maximum(gpu, 0).sum(axis=1)


def in_tree(cluster, kind, rows, kubernetes=NEWEST):
    """kube-scheduler's default resource scores, 0..200: LeastAllocated + BalancedAllocation."""
    nodes = cluster.nodes
    return intree.scores(
        (nodes.cpu[rows], cluster.cpu[rows], kind.cpu),
        (nodes.memory[rows], cluster.memory[rows], kind.memory),
        kubernetes,
    )


NAMES = ("BestFit", "DotProd", "GpuPacking", "GpuClustering", "Random", "kube", "MostAllocated")
FGD_NAMES = ("FGD", "FGD+BestFit")


def named(name, trace, nodes):
    """A baseline by name; raises KeyError for a name there is not."""
    plain = {
        "BestFit": BestFit,
        "DotProd": DotProd,
        "GpuPacking": GpuPacking,
        "Random": Random,
        "kube": KubeDefault,
        "MostAllocated": MostAllocated,
    }
    if name in FGD_NAMES:
        return Fgd(trace, nodes, tie=name == "FGD+BestFit")
    return GpuClustering(nodes) if name == "GpuClustering" else plain[name]()
