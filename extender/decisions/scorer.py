"""The cost of each node for a pod: the parts, weighed by the profile, smaller is better."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from extender.cluster import index
from extender.cluster.pods import gangs, rails
from extender.policy import config, preference, proximity
from extender.pricing import headroom
from extender.verdicts import evaluator, resolver, verdict_table

Floats = NDArray[np.float64]
Numbers = NDArray[np.int32]

# A node that the pod would fit by the API's picture but not by the expected one costs this much
# more than any other: it may be tried last, it is not refused.
EXPECTED_FULL = 1e3
# One of which we cannot tell is tried after all of which we can.
NOT_JUDGED = 500.0
# what a pod wants → by what a node offers: the cost
_MISFITS = {
    wants: np.array([preference.misfit(wants, offers) for offers in preference.Sandbox])
    for wants in preference.Sandbox
}


@dataclasses.dataclass(frozen=True, slots=True)
class CandidateNodes:
    """The nodes that a pod may go to; arrays are parallel.

    `rows` of unknown nodes are -1; `states` are the expected ones, numbered as in the `table` of
    the pod's verdicts.
    """

    table: verdict_table.VerdictTable
    rows: Numbers
    states: Numbers


@dataclasses.dataclass(frozen=True, slots=True)
class NodeCosts:
    """Per node: the sum, its parts by name where they were asked for, and the key of ties.

    `priced` are the parts that rest on prices, kept without further work: they move on with the
    cluster, and `Scorer.parts_of` finds the others later.
    """

    total: Floats
    parts: dict[str, Floats]
    tie: Floats
    priced: dict[str, Floats] = dataclasses.field(default_factory=dict)


class Scorer:
    """Adds up the parts; what a node's labels and conditions say is kept per row."""

    def __init__(
        self, cluster: index.TopologyIndex, priced: headroom.HeadroomPricer, together: gangs.Gangs
    ) -> None:
        self._index = cluster
        self._pricer = priced
        self._gangs = together
        self._conditions: tuple[str, ...] = ()
        # levels → row → domains
        self._domains_of: dict[tuple[str, ...], dict[int, proximity.Domains]] = {}
        self._read: dict[int, index.Row] = {}  # row → what was read of it last
        self._uneven = False  # whether any row says something of its health, or of what it is for
        self._degraded: Floats = np.zeros(0)  # row → cost of its health
        self._sandbox: NDArray[np.int8] = np.zeros(0, dtype=np.int8)  # row → what it is set up for

    @property
    def conditions(self) -> tuple[str, ...]:
        """The policy's own conditions that mark a degraded node."""
        return self._conditions

    def configure(self, conditions: tuple[str, ...], *, at_once: bool = True) -> None:
        """Take the policy's own list of conditions that mark a degraded node.

        All rows are read again, `at_once` or when the caller refreshes them.
        """
        self._conditions = conditions
        self._read.clear()
        if not at_once:
            return
        self.refresh(range(len(self._index.details)))

    def refresh(self, rows: Iterable[int]) -> None:
        """Read again what the nodes of these rows say of themselves, where it is not as before."""
        size = len(self._index.state)
        if len(self._degraded) < size:
            missing = size - len(self._degraded)
            self._degraded = np.concatenate([self._degraded, np.zeros(missing)])
            self._sandbox = np.concatenate([self._sandbox, np.zeros(missing, dtype=np.int8)])
        fresh = self.unread(rows)
        for row in fresh:
            detail = self._index.details[row]
            for known in self._domains_of.values():
                known.pop(row, None)
            self._read.pop(row, None)
            if detail is not None:
                self._read[row] = detail
                labels = detail.node.metadata.labels or {}
                hardware = detail.machine.shape
                self._degraded[row] = preference.degraded(detail.node, self._conditions, hardware)
                self._sandbox[row] = preference.offered(labels, hardware)
        if fresh:
            self._uneven = bool(self._degraded.any() or self._sandbox.any())

    def unread(self, rows: Iterable[int]) -> list[int]:
        """Those of the rows to read again; of the others only what pods hold has changed."""
        details, read = self._index.details, self._read
        return [row for row in rows if details[row] is not read.get(row)]

    def total_cost(self, resolved: resolver.ResolvedPod, candidates: CandidateNodes) -> NodeCosts:
        """`cost_by_part` without the parts: what a request needs, in a third of the steps."""
        if resolved.together:
            return self.cost_by_part(resolved, candidates)
        total = _cost_of_states(candidates, resolved.profile)
        weight = resolved.profile.preference.weight
        if weight and (self._uneven or resolved.wants):
            total += weight * self._suiting(resolved, candidates.rows)
        priced = dict(self._packing(resolved, candidates))
        for part in priced.values():
            total += part
        return NodeCosts(total, {}, self._tie(resolved, candidates), priced)

    def cost_by_part(self, resolved: resolver.ResolvedPod, candidates: CandidateNodes) -> NodeCosts:
        """The costs for a pod that asks for devices."""
        priced = dict(self._packing(resolved, candidates))
        parts = self.parts_of(resolved, candidates, priced)
        tie = self._tie(resolved, candidates)
        total = np.zeros(len(candidates.rows))
        for part in parts.values():
            total += part
        return NodeCosts(total, parts, tie, priced)

    def parts_of(
        self, resolved: resolver.ResolvedPod, candidates: CandidateNodes, priced: dict[str, Floats]
    ) -> dict[str, Floats]:
        """The parts of the costs of these candidates, of which prices gave those in `priced`."""
        table, states = candidates.table, candidates.states
        weights = resolved.profile.locality.weight, resolved.profile.preference.weight
        parts = {"locality": weights[0] * (1 - table.locality[states]), **priced}
        parts |= dict(self._proximity(resolved, candidates))
        if weights[1]:
            suiting = self._suiting(resolved, candidates.rows)
            parts["preference"] = weights[1] * (table.preference[states] + suiting)
        parts |= {name: cost for name, cost in _doubts(table.code[states]) if cost.any()}
        return parts

    def cost_of_cpu_pod(
        self, resolved: resolver.ResolvedPod, candidates: CandidateNodes
    ) -> NodeCosts:
        """The costs for a pod without devices: the headroom for GPU pods that its CPU takes away.

        Nodes without GPUs cost nothing and come first.
        """
        cpu, memory = resolved.requests.cpu, resolved.requests.memory
        loss = self._pricer.cost(candidates.table, candidates.rows, cpu=cpu, memory=memory)
        has_gpus = self._pricer.inventory.gpus(candidates.states) > 0
        tie = self._pricer.inventory.tightness(candidates.rows, candidates.states, cpu=cpu)
        tie = np.where(has_gpus, tie, -1.0)
        return NodeCosts(loss, {"packing": loss}, tie)

    # ------------------------------------------------------------ parts

    def _packing(
        self, resolved: resolver.ResolvedPod, candidates: CandidateNodes
    ) -> Iterator[tuple[str, Floats]]:
        """The parts that packing has, where it counts at all."""
        weight = resolved.profile.packing.weight
        if weight:
            yield "packing", weight * self._priced(resolved, candidates)
            following = self._next(resolved, candidates)
            if following is not None:
                yield "next partition", weight * following

    def _priced(self, resolved: resolver.ResolvedPod, candidates: CandidateNodes) -> Floats:
        """Lost headroom in GPUs per GPU asked, so that the weight means the same for all pods.

        A member that opens a node does so for those of its gang that still wait, too.
        """
        cpu, memory = resolved.requests.cpu, resolved.requests.memory
        loss = self._pricer.cost(candidates.table, candidates.rows, cpu=cpu, memory=memory)
        name = resolved.together
        members = 1 + (self._gangs.waiting(name, resolved.uid) if name else 0)
        return loss / max(self._pricer.gpus_asked(resolved.question) * members, 1.0)

    def _next(self, resolved: resolver.ResolvedPod, candidates: CandidateNodes) -> Floats | None:
        """What the next partition would cost more, per GPU asked as the packing is."""
        cpu, memory = resolved.requests.cpu, resolved.requests.memory
        loss = self._pricer.lookahead.next_loss(
            resolved.question, candidates.rows, cpu=cpu, memory=memory
        )
        if loss is None:
            return None
        found: Floats = loss.sum(axis=1) / max(self._pricer.gpus_asked(resolved.question), 1.0)
        return found

    def _tie(self, resolved: resolver.ResolvedPod, candidates: CandidateNodes) -> Floats:
        """The second key: a partition's position in its node, else how tight the node is."""
        cpu = resolved.requests.cpu
        tie = self._pricer.inventory.tightness(candidates.rows, candidates.states, cpu=cpu)
        position = self._pricer.lookahead.position(resolved.question, candidates.rows)
        return tie if position is None else np.where(np.isnan(position), tie, position)

    def _proximity(
        self, resolved: resolver.ResolvedPod, candidates: CandidateNodes
    ) -> Iterator[tuple[str, Floats]]:
        """Distance to the members that have a node, and of those that wait if this one goes first.

        The first member of a gang would else go where one pod fits best, and the others not.
        """
        name, setting, rows = resolved.together, resolved.profile.proximity, candidates.rows
        if not name or not setting.weight or not setting.labels:
            return
        here = {
            self._index.rows[node]: count
            for node, count in self._gangs.nodes(name).items()
            if node in self._index.rows
        }
        waiting = self._gangs.waiting(name, resolved.uid)
        more = np.zeros(0)
        if waiting:
            more = self._pricer.pods_that_fit(resolved.question, rows, candidates.states)
        waiting = waiting if more.any() else 0
        placed = sum(here.values())
        if not placed and not waiting:
            return
        off = self.off_rail(name, candidates) if placed else np.zeros(0)
        number_of: dict[proximity.Domains, int] = {}  # domains → their number
        domains = [self._domains(row, setting.labels) for row in rows.tolist()]
        kind = np.array([number_of.setdefault(each, len(number_of)) for each in domains])
        far = placed * self._distances(list(number_of), kind, rows, here, setting.labels)
        if waiting:
            far += waiting * proximity.distance_of_waiting(
                list(number_of), kind, more, waiting=waiting
            )
        if off.any():
            far += off / len(setting.labels)
        far[rows < 0] = 0.0
        yield "proximity", setting.weight * far / (placed + waiting)

    def off_rail(self, name: str, candidates: CandidateNodes) -> Floats:
        """How many members on other nodes have no rail in common with the NICs predicted here."""
        members = list(rails.of_members(self._index, self._gangs, name))
        if not members:
            return np.zeros(len(candidates.rows))
        distinct, position = np.unique(candidates.states, return_inverse=True)
        mine = [_rails(candidates.table, state) for state in distinct.tolist()]
        # A gang may have a member on every node: each set of rails is compared once.
        theirs: Counter[rails.Rails] = Counter(used for _, used in members)
        apart = {one: proximity.off_rail(one, theirs) for one in set(mine)}
        far = np.array([apart[one] for one in mine], dtype=np.float64)[position]
        own: dict[int, Counter[rails.Rails]] = {}
        for row, used in members:
            own.setdefault(row, Counter())[used] += 1
        for number, row in enumerate(candidates.rows.tolist()):
            if row in own:
                far[number] -= proximity.off_rail(mine[position[number]], own[row])
        return far

    def _distances(
        self,
        kinds: list[proximity.Domains],
        kind: NDArray[np.intp],
        rows: Numbers,
        here: dict[int, int],
        levels: tuple[str, ...],
    ) -> Floats:
        """Mean distance of each row to the members on the rows of `here`."""
        members: Counter[proximity.Domains] = Counter()
        for row, count in here.items():
            members[self._domains(row, levels)] += count
        far = proximity.distances(kinds, members)[kind]
        nearest = np.array([proximity.between(each, each) for each in kinds])[kind]
        present = np.array([here.get(row, 0) for row in rows.tolist()])
        found: Floats = far - present * nearest / max(members.total(), 1)
        return found

    def _domains(self, row: int, levels: tuple[str, ...]) -> proximity.Domains:
        """The row's domains, read once until its node changes."""
        known = self._domains_of.setdefault(levels, {})
        domains = known.get(row)
        if domains is None:
            domains = known[row] = proximity.domains(self._labels(row), levels)
        return domains

    def _suiting(self, resolved: resolver.ResolvedPod, rows: Numbers) -> Floats:
        """What the health of each row's node costs, and what it is set up for."""
        found: Floats = self._degraded[rows] + _MISFITS[resolved.wants][self._sandbox[rows]]
        return found

    def _labels(self, row: int) -> dict[str, str]:
        detail = self._index.details[row] if row >= 0 else None
        return (detail.node.metadata.labels or {}) if detail is not None else {}


def _cost_of_states(candidates: CandidateNodes, profile: config.Profile) -> Floats:
    """What the candidates' states cost by themselves: locality, waste, and that it may not do."""
    table, states = candidates.table, candidates.states
    costs: Floats = profile.locality.weight * (1 - table.locality[states])
    costs += profile.preference.weight * table.preference[states]
    for _, cost in _doubts(table.code[states]):
        costs += cost
    return costs


def _doubts(codes: NDArray[np.int8]) -> Iterator[tuple[str, Floats]]:
    """What keeps a state from being tried before others, by the codes of its verdicts."""
    yield "expected full", np.where(codes >= evaluator.REFUSED_FROM, EXPECTED_FULL, 0.0)
    unjudged = (codes == evaluator.UNSEEN) | (codes == evaluator.UNJUDGED)
    yield "not judged", np.where(unjudged, NOT_JUDGED, 0.0)


def _rails(table: verdict_table.VerdictTable, state: int) -> rails.Rails:
    """The rails of the NICs that a pod would get."""
    rail, verdict = table.states[state].shape.rail, table.known(state)
    if not rail or verdict is None:
        return frozenset()
    return frozenset(rail[device] for device in verdict.devices()) - {""}
