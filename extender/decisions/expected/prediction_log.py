"""What was predicted for pods whose claims are not allocated yet, and whether it came true.

A decision keeps, per node asked, the state it was judged in; when kube-scheduler writes a claim's
allocation, the devices there are compared with the verdict on that state. This is the service's
measure of its own honesty.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from extender import bounded_cache
from extender.cluster import index, machines, store
from extender.cluster.states import States
from extender.demand import work
from extender.demand.allocator.outcome import Pick
from extender.hardware import shape
from extender.kube.api import objects
from extender.verdicts import resolver, verdict_table
from extender.verdicts.evaluator import Verdict
from extender.verdicts.query import Query

SAME, DIFFERENT, ELSEWHERE, EXPIRED = "same", "different", "elsewhere", "expired"
POSSIBLE = "possible"  # other devices, where this version of Kubernetes chooses at random

# (request, driver, pool, device), …
Picks: TypeAlias = tuple[tuple[str, str, str, str], ...]

# Of all decisions kept: 200 of 5,000 nodes each. A burst holds 10–30 undecided ones.
_MOST_BYTES = 4 * bounded_cache.MIB
_OVERHEAD = 2048  # bytes of a decision without its arrays
_MOST_MISMATCHES = 100
# kube-scheduler writes an allocation within a second, or waits up to ten minutes for binding
# conditions; later than that nothing is learnt from a comparison.
PATIENCE_SECONDS = 600.0


@dataclasses.dataclass(frozen=True, slots=True)
class _PendingPrediction:
    """One decision: in which state each node was judged.

    `rows` are those of the index, sorted, and `states` parallel to them. The verdicts are not
    kept: what tells a table is, and it may have to judge the one state again.
    """

    uid: str
    pod: str
    rows: NDArray[np.int32]
    states: NDArray[np.int32]
    question: Query
    surroundings: shape.Broken | None
    numbered: States  # by whom the states are numbered
    claims: tuple[store.Key, ...]  # of the question's claims, in order; ("", "") has no object yet
    deadline: float

    def state_on(self, row: int) -> int:
        """The state that the row was judged in; -1 where it was not asked about."""
        at = int(np.searchsorted(self.rows, row))
        found = at < len(self.rows) and self.rows[at] == row
        return int(self.states[at]) if found else -1

    @property
    def size(self) -> int:
        """Bytes, about."""
        return self.rows.nbytes + self.states.nbytes + _OVERHEAD


@dataclasses.dataclass(frozen=True, slots=True)
class Mismatch:
    """A claim that got other devices than predicted, as (request, driver, pool, device)."""

    claim: str
    pod: str
    node: str
    predicted: Picks
    allocated: Picks
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


class PredictionLog:
    """Pending predictions by claim; `on_result` hears each comparison once."""

    def __init__(
        self,
        cluster: index.TopologyIndex,
        judging: verdict_table.VerdictTables,
        on_result: Callable[[str, Mismatch | None], None],
    ) -> None:
        self._tables = judging
        self.bytes = 0  # of what is pending, about
        self._index = cluster
        self._on_result = on_result
        self.on_pod: Callable[[str, str], None] = lambda *_: None  # hears (pod uid, result)
        self._pending: OrderedDict[str, _PendingPrediction] = OrderedDict()  # pod uid → decision
        self._of_claim: dict[store.Key, tuple[str, int]] = {}  # claim → pod uid, claim's number
        self.mismatches: deque[Mismatch] = deque(maxlen=_MOST_MISMATCHES)

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def figures(self) -> bounded_cache.Figures:
        """How much the pending predictions take."""
        return bounded_cache.Figures("predictions", self.bytes, _MOST_BYTES)

    def predicted(
        self,
        pod: objects.Pod,
        resolved: resolver.ResolvedPod,
        rows: NDArray[np.int32],
        states: NDArray[np.int32],
        table: verdict_table.VerdictTable,
        *,
        now: float,
    ) -> None:
        """Keep a decision until its claims are allocated; a newer one replaces an older one.

        `rows` are those of the nodes asked about, -1 for one that is not known; `states` is
        parallel to them.
        """
        namespace = pod.metadata.namespace or "default"
        keys = tuple((namespace, claim.claim_name) for claim in resolved.claims)
        if not any(name for _, name in keys) or not pod.metadata.uid:
            return
        self._drop(pod.metadata.uid)
        known = rows >= 0
        order = np.argsort(rows[known], kind="stable")
        pending = _PendingPrediction(
            uid=pod.metadata.uid,
            pod=f"{namespace}/{pod.metadata.name}",
            rows=rows[known][order].astype(np.int32),
            states=states[known][order].astype(np.int32),
            question=table.question,
            surroundings=table.surroundings,
            numbered=table.states,
            claims=keys,
            deadline=now + PATIENCE_SECONDS,
        )
        while self._pending and self.bytes + pending.size > _MOST_BYTES:
            self._expire(next(iter(self._pending)))
        self._pending[pod.metadata.uid] = pending
        self.bytes += pending.size
        for number, key in enumerate(keys):
            self._of_claim[key] = (pod.metadata.uid, number)

    def allocated(self, claim: objects.ResourceClaim) -> str:
        """Compare a claim's allocation with what was predicted, if anything was.

        Returns the uid of the pod whose last open claim this was, else "".
        """
        key = (claim.metadata.namespace or "default", claim.metadata.name)
        found = self._of_claim.pop(key, None)
        if found is None or claim.status.allocation is None:
            return ""
        uid, number = found
        pending = self._pending[uid]
        complete = not any(self._of_claim.get(k, ("", 0))[0] == uid for k in pending.claims)
        if complete:
            self._drop(uid)
        node = node_of(claim.status.allocation)
        state = pending.state_on(self._index.rows.get(node, -1))
        detail = self._index.detail(node)
        if state < 0 or detail is None:
            self._report(uid, ELSEWHERE)
        else:
            self._compare(pending, number, state, detail, claim)
        return uid if complete else ""

    def forget(self, pod_uid: str) -> None:
        """The pod is gone: nothing will be allocated to it."""
        self._drop(pod_uid)

    def expire(self, now: float) -> None:
        """Give up on decisions past their deadline."""
        while self._pending:
            uid, pending = next(iter(self._pending.items()))
            if pending.deadline > now:
                return
            self._expire(uid)

    def _compare(
        self,
        pending: _PendingPrediction,
        number: int,
        state: int,
        detail: index.Row,
        claim: objects.ResourceClaim,
    ) -> None:
        machine, judged_in = detail.machine, pending.numbered[state]
        if machine.shape is not judged_in.shape:
            self._report(pending.uid, EXPIRED)  # the node's hardware changed
            return
        states = self._index.states
        state = states.number(*judged_in)
        table = self._tables.of(pending.question, states, pending.surroundings)
        verdict = table.verdict(state)
        if table.is_unseen(state):
            self._report(pending.uid, EXPIRED)  # too costly to judge again
            return
        predicted = _predicted(machine, verdict.picks, number)
        actual = _allocated(claim)
        if predicted == actual:
            self._report(pending.uid, SAME)
            return
        picked = _as_bits(machine, actual)
        try:
            if not verdict.certain and picked and table.may_pick(state, number, picked):
                self._report(pending.uid, POSSIBLE)
                return
        except work.SpentError:
            self._report(pending.uid, EXPIRED)  # too costly to say
            return
        mismatch = _mismatch(pending, detail.name, claim, predicted, actual, verdict)
        self.mismatches.append(mismatch)
        self._report(pending.uid, DIFFERENT, mismatch)

    def _report(self, uid: str, result: str, mismatch: Mismatch | None = None) -> None:
        self._on_result(result, mismatch)
        self.on_pod(uid, result)

    def _expire(self, uid: str) -> None:
        for _ in range(self._drop(uid)):
            self._report(uid, EXPIRED)

    def _drop(self, uid: str) -> int:
        """Forget the pod's decision; how many of its claims were still open."""
        pending = self._pending.pop(uid, None)
        if pending is None:
            return 0
        self.bytes -= pending.size
        dropped = 0
        for key in pending.claims:
            if self._of_claim.get(key, ("", 0))[0] == uid:
                del self._of_claim[key]
                dropped += 1
        return dropped


def _mismatch(
    pending: _PendingPrediction,
    node: str,
    claim: objects.ResourceClaim,
    predicted: Picks,
    allocated: Picks,
    verdict: Verdict,
) -> Mismatch:
    return Mismatch(
        claim=f"{claim.metadata.namespace}/{claim.metadata.name}",
        pod=pending.pod,
        node=node,
        predicted=predicted,
        allocated=allocated,
        note=verdict.reason or verdict.detail,
    )


def _predicted(machine: machines.Machine, picks: Iterable[Pick], number: int) -> Picks:
    """The picks of the pod's claim of this number, as an allocation would name them."""
    return tuple(
        (
            pick.request,
            machine.shape.devices[pick.device].driver,
            machine.pool_names[machine.inventory.pool_of[pick.device]][1],
            machine.shape.devices[pick.device].name,
        )
        for pick in picks
        if pick.claim == number
    )


def _allocated(claim: objects.ResourceClaim) -> Picks:
    allocation = claim.status.allocation
    results = allocation.devices.results if allocation is not None else ()
    return tuple((found.request, found.driver, found.pool, found.device) for found in results or ())


def _as_bits(machine: machines.Machine, picks: Picks) -> dict[str, int]:
    """The devices of each request as bits; empty if the machine does not have one of them."""
    found: dict[str, int] = {}  # request → devices
    for request, driver, pool, device in picks:
        number = machine.inventory.number((driver, pool, device))
        if number is None:
            return {}
        found[request] = found.get(request, 0) | 1 << number
    return found


def node_of(allocation: objects.AllocationResult) -> str:
    """The node that the allocation is bound to, empty where it is usable on several."""
    selector = allocation.node_selector
    for term in (selector.node_selector_terms or ()) if selector is not None else ():
        for field in term.match_fields or ():
            if field.key == "metadata.name" and field.operator == "In" and field.values:
                return field.values[0]
    return ""
