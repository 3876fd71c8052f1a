"""One query, one node state: what the pod would get there, how good that is, or why not.

Everything here is plain Python over values: it runs once per distinct state, and the engine keeps
the verdicts.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Hashable, Mapping

from extender.cluster import plugin_usage
from extender.demand.allocator import allocator
from extender.demand.allocator.outcome import Allocated, Failed, NoFit, Outcome, Pick, Unknown
from extender.demand.requests import ClaimDemand
from extender.hardware import shape
from extender.hardware.usage import NOTHING, NodeState, Usage
from extender.policy import locality
from extender.verdicts import claim_reasons, reasons
from extender.verdicts import query as queries


class VerdictCode(enum.IntEnum):
    """A verdict's kind. UNSEEN is a table's empty cell."""

    UNSEEN = 0
    FITS = 1
    UNJUDGED = 2  # passes; we cannot tell
    BUSY = 3  # refused now; something may free up
    NEVER = 4  # refused for good: the hardware cannot do it


# For comparisons with arrays of codes: to read a member off its class each time is slow.
UNSEEN, UNJUDGED, REFUSED_FROM, NEVER = (
    int(VerdictCode.UNSEEN),
    int(VerdictCode.UNJUDGED),
    int(VerdictCode.BUSY),
    int(VerdictCode.NEVER),
)

UNREAD = "what DRA offers here cannot be read"
NOT_YET = "not judged yet: the call had done what it may, the next one goes on"

# Units of work: to judge a state, with so much for each resource requested; its locality; to number
# what the pod would leave and weigh the devices it would get; to find whether a reason is worded
# already, and to word it.
_JUDGING, _PER_RESOURCE, _LOCALITY, _SUITING, _COMPARING, _WORDING = 15, 20, 15, 15, 6, 14


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of one query on one state.

    `words` are the reason of a refusal, made when `reason` is read first. `after` is the usage once
    the pod is there. `claims` is how many claims the picks serve: the pod's own, and a last one for
    DRA-backed extended resources where there are any.
    """

    code: VerdictCode
    words: str | reasons.Lazy = ""
    detail: str = ""  # more words for explain: an error, a budget
    picks: tuple[Pick, ...] = ()
    plugin: tuple[tuple[str, tuple[int, ...]], ...] = ()  # resource → devices it would likely get
    after: Usage = NOTHING
    locality: locality.Assessment | None = None
    certain: bool = True
    steps: int = 0

    @property
    def reason(self) -> str:
        """Why the node is refused, as people read it; empty where it is not."""
        return str(self.words)

    @property
    def fits(self) -> bool:
        return self.code < REFUSED_FROM

    def devices(self) -> tuple[int, ...]:
        """The devices that the pod would get together, as indices into the shape."""
        claimed = (pick.device for pick in self.picks if not pick.admin)
        return tuple(dict.fromkeys((*claimed, *(d for _, many in self.plugin for d in many))))


class Evaluator:
    """Evaluates queries on states; holds the predictor and what it needs to know of the cluster."""

    def __init__(
        self,
        predictor: allocator.Predictor,
        *,
        extended_claim: Callable[[queries.Query, frozenset[str]], ClaimDemand | None],
        calibrations: Mapping[str, locality.Calibration],
        matches: Callable[[str, shape.Device], bool],
    ) -> None:
        self.matches = matches
        self.unknown = 0  # searches that ended without an answer
        self.predictor = predictor
        self.work = predictor.work
        self._extended_claim = extended_claim
        self._calibrations = calibrations  # platform → calibration

    def by(self, predictor: allocator.Predictor) -> Evaluator:
        """An evaluator of the same rules by another predictor."""
        return Evaluator(
            predictor,
            extended_claim=self._extended_claim,
            calibrations=self._calibrations,
            matches=self.matches,
        )

    def configure(self, *, budget: int) -> None:
        """Search up to so many steps for a verdict from now on."""
        self.predictor.configure(budget=budget)

    def verdict(
        self, query: queries.Query, state: NodeState, surroundings: shape.Broken | None
    ) -> Verdict:
        """Judge one query on one state; SpentError where the allowance ends before."""
        self.work.check()
        self.work.spend(_JUDGING + _PER_RESOURCE * len(query.extended))
        found = self._placed(query, state, surroundings)
        if found.fits:
            self.work.spend(_SUITING)
        if found.code is not VerdictCode.FITS or not query.communication_share:
            return found  # without a share of communication locality changes nothing
        self.work.spend(_LOCALITY)
        return self._with_locality(query, state, found)

    def may_pick(
        self, query: queries.Query, on: shape.Shape, number: int, picked: Mapping[str, int]
    ) -> bool:
        """Whether claim `number` could get these devices where their order is random.

        What is in use is left to kube-scheduler: here it may rest on an earlier guess.
        """
        return self.predictor.may_pick(on, query.claims, number, picked)

    # ------------------------------------------------------------ would it fit

    def _placed(
        self, query: queries.Query, state: NodeState, surroundings: shape.Broken | None
    ) -> Verdict:
        hardware, usage = state
        held, plugin, missing = _plugin_part(query, state)
        by_claim = frozenset(missing)
        if by_claim and query.blind:
            if held is None:  # whatever DRA offers
                return _too_few_units(_lack(query, hardware), query, state)
            return Verdict(VerdictCode.UNJUDGED, detail=UNREAD, after=usage)
        special = self._extended_claim(query, by_claim) if by_claim else None
        if by_claim and special is None:
            return _too_few_units(VerdictCode.NEVER, query, state, missing=by_claim)
        if held is None:
            return _too_few_units(_lack(query, hardware), query, state)
        claims = query.claims if special is None else (*query.claims, special)
        if held != usage.held or plugin:
            more = sum(1 << d for _, many in plugin for d in many)
            inferred = usage.inferred or bool(more)
            usage = Usage(usage.taken | more, usage.shared, usage.drawn, held, inferred)
            state = NodeState(hardware, usage)
        if not claims:
            return Verdict(VerdictCode.FITS, plugin=plugin, after=usage)
        outcome = self.predictor.allocate(state, claims, surroundings=surroundings)
        return self._from_outcome(query, hardware, usage, claims, outcome, plugin)

    def _from_outcome(
        self,
        query: queries.Query,
        hardware: shape.Shape,
        usage: Usage,
        claims: tuple[ClaimDemand, ...],
        outcome: Outcome,
        plugin: tuple[tuple[str, tuple[int, ...]], ...],
    ) -> Verdict:
        match outcome:
            case Allocated(picks, steps, certain):
                after = allocator.after(hardware, usage, picks)
                return Verdict(
                    VerdictCode.FITS,
                    picks=picks,
                    plugin=plugin,
                    after=after,
                    certain=certain,
                    steps=steps,
                )
            case NoFit(steps):
                return self._refused(query, NodeState(hardware, usage), claims, steps)
            case Failed(message):
                return Verdict(VerdictCode.BUSY, reasons.failed(message), detail=message)
            case Unknown(steps, message):
                self.unknown += 1
                return Verdict(VerdictCode.UNJUDGED, detail=message, steps=steps, after=usage)

    def _refused(
        self,
        query: queries.Query,
        state: NodeState,
        claims: tuple[ClaimDemand, ...],
        steps: int,
    ) -> Verdict:
        words = _OfClaims(self.predictor, query, state, claims)
        return Verdict(self.refusal(state.shape, claims), words, steps=steps)

    def refusal(self, hardware: shape.Shape, claims: tuple[ClaimDemand, ...]) -> VerdictCode:
        """How claims that do not fit are refused: for good where the unused node would not do."""
        never = self.predictor.never_fits(hardware, claims)
        return VerdictCode.NEVER if never else VerdictCode.BUSY

    def refused(self, query: queries.Query, state: NodeState, code: VerdictCode) -> Verdict:
        """The verdict on a state where the query's claims do not fit; its words come later."""
        return Verdict(code, _OfClaims(self.predictor, query, state, query.claims))

    # ------------------------------------------------------------ locality

    def _with_locality(self, query: queries.Query, state: NodeState, found: Verdict) -> Verdict:
        hardware = state.shape
        assessment = locality.assess(
            hardware,
            found.devices(),
            communication_share=query.communication_share,
            calibration=self._calibrations.get(hardware.platform, locality.DEFAULT),
        )
        found = dataclasses.replace(found, locality=assessment)
        if query.mode != "Required" or assessment.worst is None:
            return found
        level = shape.Level[query.level]
        if assessment.worst <= level:
            return found
        gpus, nics = assessment.counts
        possible = locality.possible(hardware, gpus=gpus, nics=nics, level=level)
        if possible and any(devices for _, devices in found.plugin):
            return found  # the kubelet may do better than we think: a guess vetoes nothing
        if assessment.worst is shape.Level.UNKNOWN and not assessment.other_root:
            if query.unknown == "Accept":
                return found
            words = str(reasons.ReasonText.LOCALITY_NOT_PUBLISHED)
            return dataclasses.replace(found, code=VerdictCode.BUSY, words=words)
        code = VerdictCode.BUSY if possible else VerdictCode.NEVER
        taken = state.usage.taken if possible else 0
        nearest = _nearest_pair(hardware, taken)
        words = reasons.of_locality(level, assessment.worst, nearest, free=possible)
        return dataclasses.replace(found, code=code, words=words)


class _OfClaims(reasons.Lazy):
    """The reason for which claims are refused, made later."""

    __slots__ = ("_claims", "_predictor", "_query", "_state")

    def __init__(
        self,
        predictor: allocator.Predictor,
        query: queries.Query,
        state: NodeState,
        claims: tuple[ClaimDemand, ...],
    ) -> None:
        super().__init__()
        self._predictor, self._query, self._state, self._claims = predictor, query, state, claims

    def make(self) -> str:
        predictor, (hardware, usage) = self._predictor, self._state
        predictor.work.check()
        predictor.work.spend(_WORDING)
        return claim_reasons.of_claims(
            self._query,
            predictor.options(hardware, self._claims),
            usage,
            never=predictor.never_fits(hardware, self._claims),
        )

    def basis(self) -> Hashable:
        self._predictor.work.check()
        self._predictor.work.spend(_COMPARING)
        prepared = self._predictor.options(self._state.shape, self._claims)
        return self._state.shape, claim_reasons.basis(prepared, self._state.usage)

    def meanwhile(self) -> str:
        return reasons.unclear(self._query)


def _plugin_part(
    query: queries.Query, state: NodeState
) -> tuple[tuple[int, ...] | None, tuple[tuple[str, tuple[int, ...]], ...], list[str]]:
    """Units held after the pod (None: too few), likely devices, and names not served by a plug-in.

    A name that no plug-in here offers is the special claim's business. All such are named, also
    where units of another are too few: what a node never has outlasts what others hold of it.
    """
    hardware, usage = state
    if not query.extended:
        return usage.held or (0,) * len(hardware.resources), (), []
    held = list(usage.held or (0,) * len(hardware.resources))
    requested: list[tuple[int, int]] = []  # (position, units)
    missing: list[str] = []
    short = False
    indices = {resource.name: index for index, resource in enumerate(hardware.resources)}
    for name, count in query.extended:
        index = indices.get(name)
        if index is None:
            missing.append(name)
            continue
        resource = hardware.resources[index]
        held[index] += count
        short |= held[index] > resource.count
        requested.append((index, count))
    if short:
        return None, (), missing
    got = plugin_usage.likely(hardware, usage.taken, tuple(requested))
    plugin = tuple([(hardware.resources[index].name, devices) for index, devices in got])
    return tuple(held), plugin, missing


def _lack(query: queries.Query, hardware: shape.Shape) -> VerdictCode:
    """Whether too few units are free, or the node never had as many."""
    requested = dict(query.extended)
    for resource in hardware.resources:
        if resource.count < requested.get(resource.name, 0):
            return VerdictCode.NEVER
    return VerdictCode.BUSY


def _too_few_units(
    code: VerdictCode,
    query: queries.Query,
    state: NodeState,
    missing: frozenset[str] = frozenset(),
) -> Verdict:
    """A refusal; `missing` are names that nothing here offers, however much of the rest is free."""
    return Verdict(code, reasons.OfUnits(query, *state, for_good=bool(missing)))


def _nearest_pair(hardware: shape.Shape, taken: int) -> shape.Level:
    """The level of the closest GPU and NIC of those that are not taken."""
    kinds = [None if taken >> i & 1 else each.kind for i, each in enumerate(hardware.devices)]
    gpus = [i for i, kind in enumerate(kinds) if kind in {shape.Kind.GPU, shape.Kind.PARTITION}]
    nics = [i for i, kind in enumerate(kinds) if kind is shape.Kind.NIC]
    found = min((hardware.levels[gpu][nic] for gpu in gpus for nic in nics), default=6)
    return shape.Level(found)
