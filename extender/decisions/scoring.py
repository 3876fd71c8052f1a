"""The cost of each node for a pod: the parts, weighed by the profile, smaller is better."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from extender.cluster import gangs, index
from extender.decisions import asking, room, tables
from extender.decisions.judge import Code
from extender.demand import gang
from extender.kube import objects
from extender.policy import config, preference, proximity

Floats = NDArray[np.float64]
Numbers = NDArray[np.int32]

# A node that the pod would fit by the API's picture but not by the expected one costs this much
# more than any other: it may be tried last, it is not refused.
EXPECTED_FULL = 1e3


@dataclasses.dataclass(frozen=True, slots=True)
class Costs:
    """Per node: the sum, its parts by name, and the key that breaks ties."""

    total: Floats
    parts: dict[str, Floats]
    tie: Floats


class Scoring:
    """Adds up the parts; what a node's labels and conditions say is kept per row."""

    def __init__(
        self, cluster: index.TopologyIndex, priced: room.Room, together: gangs.Gangs
    ) -> None:
        self._index = cluster
        self._room = priced
        self._gangs = together
        self._conditions: tuple[str, ...] = ()
        self._degraded: Floats = np.zeros(0)  # row → cost of its health
        self._passthrough: NDArray[np.bool_] = np.zeros(0, dtype=np.bool_)  # row → GPUs for VMs

    @property
    def conditions(self) -> tuple[str, ...]:
        """The policy's own conditions that mark a degraded node."""
        return self._conditions

    def configure(self, conditions: tuple[str, ...]) -> None:
        """Take the policy's own list of conditions that mark a degraded node."""
        self._conditions = conditions
        self.refresh(range(len(self._index.details)))

    def refresh(self, rows: Iterable[int]) -> None:
        """Read again what the nodes of these rows say of themselves."""
        size = len(self._index.state)
        if len(self._degraded) < size:
            missing = size - len(self._degraded)
            self._degraded = np.concatenate([self._degraded, np.zeros(missing)])
            more = np.zeros(missing, dtype=np.bool_)
            self._passthrough = np.concatenate([self._passthrough, more])
        for row in rows:
            detail = self._index.details[row]
            if detail is not None:
                labels = detail.node.metadata.labels or {}
                self._degraded[row] = preference.degraded(detail.node, self._conditions)
                self._passthrough[row] = preference.passthrough(labels)

    def of_devices(
        self,
        pod: objects.Pod,
        asked: asking.Asked,
        table: tables.Table,
        rows: Numbers,
        states: Numbers,
    ) -> Costs:
        """The costs for a pod that asks for devices; `rows` of unknown nodes are -1."""
        profile = asked.profile
        fits = table.after[states] >= 0
        parts = {"locality": profile.locality.weight * (1 - table.locality[states])}
        if profile.packing.weight:
            parts["packing"] = profile.packing.weight * self._priced(asked, table, rows)
        self._add_proximity(parts, pod, profile, rows)
        self._add_preference(parts, pod, profile, table, rows, states)
        if not fits.all():
            parts["expected full"] = np.where(table.code[states] >= Code.BUSY, EXPECTED_FULL, 0.0)
        tie = self._room.tightness(rows, states, cpu=asked.requests.cpu)
        total = np.zeros(len(rows))
        for part in parts.values():
            total += part
        return Costs(total, parts, tie)

    def of_cpu(
        self, asked: asking.Asked, table: tables.Table, rows: Numbers, states: Numbers
    ) -> Costs:
        """The costs for a pod without devices: the room for GPU pods that its CPU takes away.

        Nodes without GPUs cost nothing and come first.
        """
        cpu, memory = asked.requests.cpu, asked.requests.memory
        loss = self._room.cost(table, rows, cpu=cpu, memory=memory)
        has_gpus = self._room.gpus(states) > 0
        tie = np.where(has_gpus, self._room.tightness(rows, states, cpu=cpu), -1.0)
        return Costs(loss, {"packing": loss}, tie)

    # ------------------------------------------------------------ parts

    def _priced(self, asked: asking.Asked, table: tables.Table, rows: Numbers) -> Floats:
        """Lost room in GPUs per GPU asked, so that the weight means the same for all pods."""
        cpu, memory = asked.requests.cpu, asked.requests.memory
        loss = self._room.cost(table, rows, cpu=cpu, memory=memory)
        return loss / max(self._room.gpus_asked(table.question), 1.0)

    def _add_proximity(
        self, parts: dict[str, Floats], pod: objects.Pod, profile: config.Profile, rows: Numbers
    ) -> None:
        name = gang.of_pod(pod)
        levels = profile.proximity.labels
        members = self._gangs.nodes(name) if name and profile.proximity.weight else {}
        here = {
            self._index.rows[node]: n for node, n in members.items() if node in self._index.rows
        }
        places = [
            (proximity.domains(self._labels(row), levels), count) for row, count in here.items()
        ]
        if not places:
            return
        known: dict[proximity.Domains, float] = {}  # a place → its distance from another node
        found = np.zeros(len(rows))
        for number, row in enumerate(rows.tolist()):
            if row < 0:
                continue
            place = proximity.domains(self._labels(row), levels)
            if place not in known:
                known[place] = proximity.distance(place, places)
            found[number] = known[place]
            if row in here:
                found[number] = proximity.distance(place, places, here=here[row])
        parts["proximity"] = profile.proximity.weight * found

    def _add_preference(
        self,
        parts: dict[str, Floats],
        pod: objects.Pod,
        profile: config.Profile,
        table: tables.Table,
        rows: Numbers,
        states: Numbers,
    ) -> None:
        weight = profile.preference.weight
        if not weight:
            return
        found = table.preference[states] + self._degraded[rows]
        found += self._passthrough[rows] != preference.sandboxed(pod)
        parts["preference"] = weight * found

    def _labels(self, row: int) -> dict[str, str]:
        detail = self._index.details[row]
        return (detail.node.metadata.labels or {}) if detail is not None else {}
