"""Pods decided but not yet seen: which devices they will hold, softly and for a short time.

kube-scheduler tells us nothing after prioritize, and the watch shows a placement 40–200 ms later,
when 10–30 further decisions of a burst have been made. So the predicted devices are reserved on the
node that we ranked first. Reservations lower scores and sharpen predictions; they never veto. They
are volatile: each replica has its own, and a restart forgets them.

            assume (prioritize)         pod and each claim seen on that node
  unknown ──────────────────► assumed ──────────────────────► confirmed (the store has it)
     ▲                          │  deadline passed; seen on another node; pod deleted
     └──────────────────────────┴───────────────────────────► forgotten

Pods and claims come by different watches, so a bound pod may be seen before the allocation of its
claims, or after: what is seen is no longer held, the rest still is.
"""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Iterator
from typing import TypeAlias

from extender import bounded_cache
from extender.demand.allocator.outcome import Pick

ClaimKey: TypeAlias = tuple[str, str]  # (namespace, name)


@dataclasses.dataclass(frozen=True, slots=True)
class Reservation:
    """One pod's soft hold: `picks` of DRA devices, `held` units and `taken` mask of plug-ins."""

    pod: str  # uid
    node: str
    deadline: float  # seconds, on the clock whose `now` is passed in
    cpu: int  # milli
    memory: int  # bytes
    picks: tuple[Pick, ...] = ()
    held: tuple[int, ...] = ()  # units, per Shape.resources
    taken: int = 0  # mask of devices behind plug-ins
    claims: tuple[ClaimKey, ...] = ()  # those that `Pick.claim` counts; what is beyond has no key

    def without_pod(self) -> Reservation:
        """What is left to hold once the store has the bound pod."""
        return dataclasses.replace(self, cpu=0, memory=0, held=(), taken=0)

    def without_claim(self, key: ClaimKey) -> Reservation:
        """What is left to hold once the store has the claim's allocation."""
        known = self.claims.index(key) if key in self.claims else len(self.claims)
        left = tuple(pick for pick in self.picks if min(pick.claim, len(self.claims)) != known)
        return dataclasses.replace(self, picks=left)

    @property
    def empty(self) -> bool:
        return not (self.picks or self.cpu or self.memory or any(self.held) or self.taken)


class Reservations:
    """The live reservations, by pod and by node. At most `limit` are kept, oldest dropped first."""

    def __init__(self, *, limit: int = 4096) -> None:
        self._limit = limit
        self._of: dict[str, Reservation] = {}  # pod uid → reservation, oldest first
        self._on: dict[str, dict[str, Reservation]] = {}  # node name → pod uid → reservation
        # (deadline, pod uid), the earliest first: of every reservation, and some that have ended
        self._deadlines: list[tuple[float, str]] = []

    def __repr__(self) -> str:
        return f"<Reservations {len(self._of)} pods on {len(self._on)} nodes>"

    def __len__(self) -> int:
        return len(self._of)

    @property
    def figures(self) -> bounded_cache.Figures:
        """How many pods hold something."""
        entries = bounded_cache.ENTRIES
        return bounded_cache.Figures("reservations", len(self._of), self._limit, entries)

    def copy(self) -> Reservations:
        """The same reservations, which change no more."""
        other = Reservations(limit=self._limit)
        other._of, other._deadlines = dict(self._of), list(self._deadlines)  # its own kind
        other._on = {node: dict(held) for node, held in self._on.items()}
        return other

    def assume(self, reservation: Reservation) -> set[str]:
        """Hold for the pod, in place of what it held before; return the nodes that changed."""
        touched = self.forget(reservation.pod)
        while len(self._of) >= self._limit:
            touched |= self.forget(next(iter(self._of)))
        self._of[reservation.pod] = reservation
        if len(self._deadlines) >= 2 * self._limit:
            self._deadlines = sorted((each.deadline, pod) for pod, each in self._of.items())
        else:
            heapq.heappush(self._deadlines, (reservation.deadline, reservation.pod))
        self._on.setdefault(reservation.node, {})[reservation.pod] = reservation
        return touched | {reservation.node}

    def pod_seen(self, pod: str, node: str) -> set[str]:
        """Stop holding what the pod bound to `node` now shows; return the nodes that changed."""
        reservation = self._of.get(pod)
        if reservation is None:
            return set()
        if not reservation.picks:
            return self.forget(pod)
        return self._confirmed(reservation, reservation.without_pod(), node)

    def claim_seen(self, pod: str, claim: ClaimKey, node: str) -> set[str]:
        """Stop holding what the pod's claim, allocated on `node`, now shows; as `pod_seen`."""
        reservation = self._of.get(pod)
        if reservation is None:
            return set()
        return self._confirmed(reservation, reservation.without_claim(claim), node)

    def _confirmed(self, reservation: Reservation, left: Reservation, node: str) -> set[str]:
        if node != reservation.node or left.empty:
            return self.forget(reservation.pod)
        if left == reservation:
            return set()
        self._of[left.pod] = self._on[left.node][left.pod] = left
        return {left.node}

    def forget(self, pod: str) -> set[str]:
        """Drop the pod's reservation, if any; return the nodes that changed."""
        reservation = self._of.pop(pod, None)
        if reservation is None:
            return set()
        held = self._on[reservation.node]
        del held[pod]
        if not held:
            del self._on[reservation.node]
        return {reservation.node}

    def overdue(self, now: float) -> bool:
        """Whether one may be past its deadline."""
        return bool(self._deadlines) and now >= self._deadlines[0][0]

    def expire(self, now: float) -> set[str]:
        """Drop what is past its deadline; return the nodes that changed."""
        touched: set[str] = set()
        while self.overdue(now):
            _, pod = heapq.heappop(self._deadlines)
            reservation = self._of.get(pod)
            if reservation is not None and reservation.deadline <= now:
                touched |= self.forget(pod)
        return touched

    def of(self, pod: str) -> Reservation | None:
        return self._of.get(pod)

    def on(self, node: str) -> Iterator[Reservation]:
        """Yield the reservations on a node, oldest first."""
        yield from self._on.get(node, {}).values()
