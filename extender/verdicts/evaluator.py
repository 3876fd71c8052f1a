"""One question, one node state: what the pod would get there, how good that is, or why not.

Everything here is plain Python over values: it runs once per distinct state, and the engine keeps
the verdicts.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Mapping

from extender.cluster import plugin_usage
from extender.demand.allocator import allocator
from extender.demand.allocator.outcome import Allocated, Failed, NoFit, Outcome, Pick, Unknown
from extender.demand.requests import ClaimDemand
from extender.hardware import shape
from extender.hardware.usage import NOTHING, NodeState, Usage
from extender.policy import locality
from extender.verdicts import query as questions


class VerdictCode(enum.IntEnum):
    """A verdict's kind. UNSEEN is a table's empty cell."""

    UNSEEN = 0
    FITS = 1
    UNJUDGED = 2  # passes; we cannot tell
    BUSY = 3  # refused now; something may free up
    NEVER = 4  # refused for good: the hardware cannot do it


# For comparisons with arrays of codes: to read a member off its class each time is slow.
UNSEEN, UNJUDGED, REFUSED_FROM = (
    int(VerdictCode.UNSEEN),
    int(VerdictCode.UNJUDGED),
    int(VerdictCode.BUSY),
)

# Product text, the same in FailedScheduling events, explain and metrics: short, no node names.
NOT_FREE = "no {words}"
NOT_THERE = "node has no {words}"
FAILED = "device claim cannot be evaluated here"
UNREAD = "what DRA offers here cannot be read"
NOT_YET = "not judged yet: the call had done what it may, the next one goes on"
UNKNOWN_LOCALITY = "nearness of GPU and NIC is not published"


_MOST_REFUSALS = 512  # of questions asked of late; a verdict of some words each
# Units of work: to judge a state, with so much for each resource asked; to tell how near devices
# are; and to number what the pod would leave, and weigh the devices it would get.
_JUDGING, _PER_RESOURCE, _NEARNESS, _SUITING = 15, 20, 15, 15


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of one question on one state.

    `after` is the usage once the pod is there. `claims` is how many claims the picks serve: the
    pod's own, and a last one for DRA-backed extended resources where there are any.
    """

    code: VerdictCode
    reason: str = ""
    detail: str = ""  # more words for explain: an error, a budget
    picks: tuple[Pick, ...] = ()
    plugin: tuple[tuple[str, tuple[int, ...]], ...] = ()  # resource → devices it would likely get
    after: Usage = NOTHING
    locality: locality.Assessment | None = None
    certain: bool = True
    steps: int = 0

    @property
    def fits(self) -> bool:
        return self.code in {VerdictCode.FITS, VerdictCode.UNJUDGED}

    def devices(self) -> tuple[int, ...]:
        """The devices that the pod would get together, as indices into the shape."""
        claimed = (pick.device for pick in self.picks if not pick.admin)
        return tuple(dict.fromkeys((*claimed, *(d for _, many in self.plugin for d in many))))


class Evaluator:
    """Evaluates questions on states; holds the planner and what it needs to know of the cluster."""

    def __init__(
        self,
        planner: allocator.Planner,
        *,
        extended_claim: Callable[[questions.Query, frozenset[str]], ClaimDemand | None],
        calibrations: Mapping[str, locality.Calibration],
        matches: Callable[[str, shape.Device], bool],
    ) -> None:
        self.matches = matches
        self.unknown = 0  # searches that ended without an answer
        self.planner = planner
        self.work = planner.work
        # The words of refusals are the same on all states: (question, code) → verdict.
        self._refusals: dict[tuple[questions.Query, VerdictCode], Verdict] = {}
        self._extended_claim = extended_claim
        self._calibrations = calibrations  # platform → calibration

    def by(self, planner: allocator.Planner) -> Evaluator:
        """A judge of the same rules by another planner."""
        return Evaluator(
            planner,
            extended_claim=self._extended_claim,
            calibrations=self._calibrations,
            matches=self.matches,
        )

    def configure(self, *, budget: int) -> None:
        """Search up to so many steps for a verdict from now on."""
        self.planner.configure(budget=budget)

    def verdict(
        self, question: questions.Query, state: NodeState, surroundings: shape.Broken | None
    ) -> Verdict:
        """Judge one question on one state; SpentError where the allowance ends before."""
        self.work.check()
        self.work.spend(_JUDGING + _PER_RESOURCE * len(question.extended))
        found = self._placed(question, state, surroundings)
        if found.fits:
            self.work.spend(_SUITING)
        if found.code is not VerdictCode.FITS or not question.communication_share:
            return found  # without a share of communication nearness changes nothing
        self.work.spend(_NEARNESS)
        return self._with_locality(question, state.shape, found)

    def may_pick(
        self, question: questions.Query, on: shape.Shape, number: int, picked: Mapping[str, int]
    ) -> bool:
        """Whether claim `number` could get these devices where their order is random.

        What is in use is left to kube-scheduler: here it may rest on an earlier guess.
        """
        return self.planner.may_pick(on, question.claims, number, picked)

    # ------------------------------------------------------------ would it fit

    def _placed(
        self, question: questions.Query, state: NodeState, surroundings: shape.Broken | None
    ) -> Verdict:
        hardware, usage = state
        held, plugin, missing = _plugin_part(question, state)
        by_claim = frozenset(missing)
        if by_claim and question.blind:
            return Verdict(VerdictCode.UNJUDGED, detail=UNREAD, after=usage)
        special = self._extended_claim(question, by_claim) if by_claim else None
        if by_claim and special is None:
            return self._refused(VerdictCode.NEVER, question)
        if held is None:
            return self._refused(_lack(question, hardware), question)
        claims = question.claims if special is None else (*question.claims, special)
        if held != usage.held or plugin:
            more = sum(1 << d for _, many in plugin for d in many)
            inferred = usage.inferred or bool(more)
            usage = Usage(usage.taken | more, usage.shared, usage.drawn, held, inferred)
            state = NodeState(hardware, usage)
        if not claims:
            return Verdict(VerdictCode.FITS, plugin=plugin, after=usage)
        outcome = self.planner.allocate(state, claims, surroundings=surroundings)
        return self._from_outcome(question, hardware, usage, claims, outcome, plugin)

    def _from_outcome(
        self,
        question: questions.Query,
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
                return self._lacking(question, NodeState(hardware, usage), claims, steps)
            case Failed(message):
                return Verdict(VerdictCode.BUSY, reason=FAILED, detail=message)
            case Unknown(steps, message):
                self.unknown += 1
                return Verdict(VerdictCode.UNJUDGED, detail=message, steps=steps, after=usage)

    def _lacking(
        self,
        question: questions.Query,
        state: NodeState,
        claims: tuple[ClaimDemand, ...],
        steps: int,
    ) -> Verdict:
        """Say what is missing: the first claim that does not fit alone, else all together."""
        empty = NodeState(state.shape, NOTHING)
        code = VerdictCode.BUSY
        if isinstance(self.planner.allocate(empty, claims), NoFit):
            code, state = VerdictCode.NEVER, empty
        for claim in question.claims if len(question.claims) > 1 else ():
            if isinstance(self.planner.allocate(state, (claim,)), NoFit):
                question = dataclasses.replace(question, claims=(claim,), extended=())
                break
        refused = self._refused(code, question)
        return dataclasses.replace(refused, steps=steps) if steps else refused

    def _refused(self, code: VerdictCode, question: questions.Query) -> Verdict:
        key = (question, code)
        known = self._refusals.get(key)
        if known is None:
            if len(self._refusals) >= _MOST_REFUSALS:
                self._refusals.clear()
            known = self._refusals[key] = _refused(code, question)
        return known

    # ------------------------------------------------------------ how near

    def _with_locality(
        self, question: questions.Query, hardware: shape.Shape, found: Verdict
    ) -> Verdict:
        assessment = locality.assess(
            hardware,
            found.devices(),
            communication_share=question.communication_share,
            calibration=self._calibrations.get(hardware.platform, locality.DEFAULT),
        )
        found = dataclasses.replace(found, locality=assessment)
        if question.mode != "Required" or assessment.worst is None:
            return found
        level = shape.Level[question.level]
        if assessment.worst <= level:
            return found
        gpus, nics = assessment.counts
        possible = locality.possible(hardware, gpus=gpus, nics=nics, level=level)
        if possible and any(devices for _, devices in found.plugin):
            return found  # the kubelet may do better than we think: a guess vetoes nothing
        if assessment.worst is shape.Level.UNKNOWN and not assessment.other_root:
            if question.unknown == "Accept":
                return found
            return dataclasses.replace(found, code=VerdictCode.BUSY, reason=UNKNOWN_LOCALITY)
        code = VerdictCode.BUSY if possible else VerdictCode.NEVER
        return dataclasses.replace(found, code=code, reason=assessment.nearness)


def _plugin_part(
    question: questions.Query, state: NodeState
) -> tuple[tuple[int, ...] | None, tuple[tuple[str, tuple[int, ...]], ...], list[str]]:
    """Units held after the pod (None: too few), likely devices, and names not served by a plug-in.

    A name that no plug-in here offers is the special claim's business.
    """
    hardware, usage = state
    held = list(usage.held or (0,) * len(hardware.resources))
    asked: list[tuple[int, int]] = []  # (place, units)
    missing: list[str] = []
    places = {resource.name: place for place, resource in enumerate(hardware.resources)}
    for name, count in question.extended:
        place = places.get(name)
        if place is None:
            missing.append(name)
            continue
        resource = hardware.resources[place]
        held[place] += count
        if held[place] > resource.count:
            return None, (), missing
        asked.append((place, count))
    got = plugin_usage.likely(hardware, usage.taken, tuple(asked))
    plugin = tuple([(hardware.resources[place].name, devices) for place, devices in got])
    return tuple(held), plugin, missing


def _lack(question: questions.Query, hardware: shape.Shape) -> VerdictCode:
    """Whether too few units are free, or the node never had as many."""
    counts = {resource.name: resource.count for resource in hardware.resources}
    short = any(counts.get(name, count) < count for name, count in question.extended)
    return VerdictCode.NEVER if short else VerdictCode.BUSY


def _refused(code: VerdictCode, question: questions.Query) -> Verdict:
    if code is VerdictCode.NEVER:
        return Verdict(code, reason=NOT_THERE.format(words=questions.describe(question)))
    return Verdict(code, reason=NOT_FREE.format(words=questions.describe(question, "free")))
