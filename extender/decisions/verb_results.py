"""What is answered to kube-scheduler, before it is put on the wire, as plain values."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from extender.decisions import ticket as tickets

_NONE: Mapping[str, str] = {}


@dataclasses.dataclass(frozen=True, slots=True)
class FilterResult:
    """Which of the asked nodes are refused, and why; every other asked node passes.

    `FilterResult()` is "all of them, unchanged", without a list.
    """

    failed: Mapping[str, str] = dataclasses.field(default_factory=lambda: _NONE)
    """node name → reason that may go away: devices are busy now"""
    unresolvable: Mapping[str, str] = dataclasses.field(default_factory=lambda: _NONE)
    """node name → reason that evictions cannot change: the hardware is not there"""
    unknown: int = 0
    """How many of the asked nodes are not known here; they pass unjudged."""
    ticket: tickets.Ticket | None = dataclasses.field(default=None, compare=False)
    """The names that pass, in the order asked, and what prioritize can use of this judgement."""
    distinct: bool = False
    """Whether the judge saw that no name was asked twice; else the caller looks, at a cost."""
    judged: tuple[NDArray[np.int32], NDArray[np.int8]] | None = dataclasses.field(
        default=None, compare=False
    )
    """Rows of the asked nodes and codes of their verdicts, where equal states are judged alike."""

    def passing(self, names: Sequence[str]) -> list[str]:
        """The asked names that pass, in the order asked."""
        if self.ticket is not None:
            return self.ticket.names
        found = names
        for refused in (self.failed, self.unresolvable):
            if refused:
                found = list(itertools.filterfalse(refused.__contains__, found))
        return list(found)


@dataclasses.dataclass(frozen=True, slots=True)
class Victims:
    """Pods to evict from one node, by UID, the highest priority first.

    `pdb_violations` counts those whose eviction breaks a PodDisruptionBudget.
    """

    pods: tuple[str, ...] = ()
    pdb_violations: int = 0
