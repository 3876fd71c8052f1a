"""kube-scheduler's own resource scores of a default profile, 0..200, on arrays of nodes.

Source: pkg/scheduler/framework/plugins/noderesources (least_allocated.go,
balanced_allocation.go), with the default resources cpu and memory, weight 1 each.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

STEPS = 100  # a plug-in's scores are 0..100
BALANCES = ("1.35", "1.36")  # the Kubernetes whose BalancedAllocation is meant, or one like it
NEWEST = BALANCES[-1]

Array = NDArray[Any]


def balance_of(version: str) -> str:
    """Which of BALANCES a Kubernetes version has; an empty one is the newest."""
    parts = version.removeprefix("v").split(".")[:2]
    if len(parts) < 2 or not all(part.isdecimal() for part in parts):
        return NEWEST
    return BALANCES[0] if (int(parts[0]), int(parts[1])) < (1, 36) else NEWEST


def scores(
    cpu: tuple[Array, Array, Array | int],
    memory: tuple[Array, Array, Array | int],
    kubernetes: str = NEWEST,
) -> Array:
    """LeastAllocated + BalancedAllocation; each argument is (all there is, free, asked for).

    The latter is the balance of a node with the pod; from Kubernetes 1.36 on it is how much the pod
    betters it.
    """
    (cpu_all, cpu_free, cpu_asked), (memory_all, memory_free, memory_asked) = cpu, memory
    cpu_left, memory_left = cpu_free - cpu_asked, memory_free - memory_asked
    least = (cpu_left * STEPS // cpu_all + memory_left * STEPS // memory_all) // 2
    then = balance(cpu_left / cpu_all, memory_left / memory_all)
    found: Array = least + then
    if kubernetes == NEWEST:
        now = balance(cpu_free / cpu_all, memory_free / memory_all)
        found = least + STEPS // 2 + (STEPS // 2 + then - now) // 2
    return found


def balance(cpu_left: Array, memory_left: Array) -> Array:
    """1 less the standard deviation of the two shares in use, in whole steps."""
    found: Array = np.trunc((1 - np.abs(cpu_left - memory_left) / 2) * STEPS).astype(np.int64)
    return found
