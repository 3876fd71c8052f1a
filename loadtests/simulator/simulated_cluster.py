"""A cluster of openb machines as arrays, with the filters of the trace's own scheduler.

One array entry a node. GPUs of a node that has fewer than eight are -1: they fit nothing.
"""

import dataclasses

import numpy as np

from loadtests.simulator.traces import openb


@dataclasses.dataclass(slots=True)
class Cluster:
    """What is free now. `stamp[n]` grows whenever node n changes."""

    nodes: openb.Nodes
    cpu: np.ndarray
    memory: np.ndarray
    gpu: np.ndarray  # [node, slot] free thousandths
    stamp: np.ndarray
    clock: int = 0

    def feasible(self, kind):
        """A mask of the nodes on which a pod of this kind fits now."""
        fits = (self.cpu >= kind.cpu) & (self.memory >= kind.memory)
        if kind.models:
            fits &= self.accepts(kind)
        if kind.num == 1:
            fits &= self.gpu.max(axis=1) >= kind.milli
        elif kind.num:
            fits &= (self.gpu >= kind.milli).sum(axis=1) >= kind.num
        return fits

    def accepts(self, kind):
        """A mask of the nodes whose GPU model the kind accepts."""
        accepted = np.array([not kind.models or m in kind.models for m in self.nodes.models])
        return accepted[self.nodes.model]

    def place(self, node, kind, slots):
        self.add(node, kind, slots, -1)

    def remove(self, node, kind, slots):
        self.add(node, kind, slots, 1)

    def add(self, node, kind, slots, sign):
        self.cpu[node] += sign * kind.cpu
        self.memory[node] += sign * kind.memory
        if kind.num:
            self.gpu[node, slots] += sign * kind.milli
        self.clock += 1
        self.stamp[node] = self.clock


def empty(nodes):
    slots = np.arange(openb.SLOTS)
    gpu = np.where(slots[None, :] < nodes.gpus[:, None], openb.GPU, -1)
    return Cluster(
        nodes=nodes,
        cpu=nodes.cpu.copy(),
        memory=nodes.memory.copy(),
        gpu=gpu,
        stamp=np.zeros(len(nodes.names), dtype=np.int64),
    )


def tightest(gpu, kind):
    """The slots a pod takes by tightest fit, per node: [nodes, slots] mask.

    Whole GPUs: the first free ones. Shares: the fullest GPU that still fits, the first of equals.
    """
    fits = gpu >= kind.milli
    if kind.milli < openb.GPU:
        room = np.where(fits, gpu, np.iinfo(np.int64).max)
        return np.arange(gpu.shape[1]) == room.argmin(axis=1)[:, None]
    return fits & (fits.cumsum(axis=1) <= kind.num)


def first_slots(cluster, node, kind):
    """The slots that kube-scheduler's first fit takes on one node: the lowest that have room."""
    fits = cluster.gpu[node] >= kind.milli
    return np.flatnonzero(fits & (fits.cumsum() <= kind.num))


def slots_of(cluster, node, kind):
    """The slots one pod takes on one node by tightest fit."""
    if kind.num == 0:
        return np.zeros(0, dtype=np.int64)
    return np.flatnonzero(tightest(cluster.gpu[node : node + 1], kind)[0])
