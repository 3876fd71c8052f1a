"""Why the devices of a node cannot satisfy claims, in words: the text for each cause."""

from __future__ import annotations

import functools
import operator
from collections.abc import Hashable

from extender.demand import requests
from extender.demand.allocator import unschedulable
from extender.demand.allocator.claims_on_shape import ClaimsOnShape
from extender.demand.allocator.unschedulable import Candidates, Shortfall
from extender.hardware import bitmask, gpu_count
from extender.hardware.shape import Kind
from extender.hardware.usage import NOTHING, Usage
from extender.verdicts import query as queries
from extender.verdicts import reasons, selector_words, share_reasons
from extender.verdicts.reasons import ReasonText

_MOST_PLACEMENTS = 3  # kinds of partitions that are listed
_MOST_UNITS = 2  # resources of device plug-ins that are named
_BLOCKING = {"NoSchedule", "NoExecute"}
_COUNTED = {unschedulable.NO_DEVICE, unschedulable.IN_USE}
_KINDS = {Kind.GPU: "GPU", Kind.PARTITION: "GPU partition", Kind.NIC: "NIC"}


def of_claims(query: queries.Query, prepared: ClaimsOnShape, usage: Usage, *, never: bool) -> str:
    """The reason where claims cannot be satisfied; `never`: not on the unused node either.

    Raises work.SpentError.
    """
    found = unschedulable.shortfall(prepared, usage)
    if found is None:
        return reasons.unclear(query)
    words = _ClaimWords(query, prepared, usage, found, never=never)
    return reasons.bounded(words.reason())


def basis(prepared: ClaimsOnShape, usage: Usage) -> Hashable:
    """What of a usage the reason depends on. Raises work.SpentError."""
    try:
        return unschedulable.relevant(prepared, usage)
    except unschedulable.UNJUDGEABLE:
        return ()


class _ClaimWords:
    """The words for one shortfall."""

    def __init__(
        self,
        query: queries.Query,
        prepared: ClaimsOnShape,
        usage: Usage,
        found: Shortfall,
        *,
        never: bool,
    ) -> None:
        self._needs = queries.describe(query)
        self._units = reasons.units(query, prepared.machine)
        self._prepared = prepared
        self._machine = prepared.machine
        self._usage = usage
        self._found = found
        self._never = never

    def reason(self) -> str:
        found = self._found
        culprit = None if found.culprit is None else found.candidates[found.culprit]
        if found.why == unschedulable.COUNTERS:
            return self._counters(culprit)
        if found.why in _COUNTED and culprit is not None and self._profile(culprit):
            return self._counters(culprit)
        if found.why == unschedulable.CONSTRAINT:
            return self._constraints()
        if culprit is None:
            return self._together()
        match found.why:
            case unschedulable.NO_DEVICE:
                return self._with_pools(self._no_device(culprit), culprit)
            case unschedulable.TAINTED:
                return self._tainted(culprit)
            case unschedulable.CAPACITY:
                return share_reasons.too_little_capacity(
                    self._prepared,
                    self._usage,
                    culprit,
                    needs=self._needs,
                    word=self._word(culprit),
                )
        return self._with_pools(self._in_use(culprit), culprit)

    # ------------------------------------------------------------ too few devices

    def _no_device(self, culprit: Candidates) -> str:
        left_out = culprit.similar & ~culprit.admitted
        if not left_out:
            counts = self._counts()
            reason = ReasonText.THERE.format(needs=self._needs, there=reasons.there(counts))
            others = self._of_plugins({word for word, count in counts.items() if not count})
            return ReasonText.PLUGIN.format(reason=reason, devices=others) if others else reason
        if not culprit.admitted:
            return self._no_match(culprit, all_free=not left_out & self._usage.taken)
        word, count = self._word(culprit), culprit.admitted.bit_count()
        return ReasonText.FEW_MATCH.format(
            needs=self._needs,
            count=f"{queries.counted(count, word)} {'matches' if count == 1 else 'match'}",
            selector=_selector(culprit),
            others=self._others(left_out, culprit, free=False),
        )

    def _no_match(self, culprit: Candidates, *, all_free: bool) -> str:
        """No device, or no free one, is selected, but others are there."""
        left_out = culprit.similar & ~culprit.admitted
        shown = left_out & ~self._usage.taken if all_free else left_out
        word = queries.one(self._word(culprit))
        return ReasonText.NO_MATCH.format(
            device=f"free {word}" if all_free else word,
            selector=_selector(culprit),
            others=self._others(shown, culprit, free=all_free),
        )

    def _others(self, devices: int, culprit: Candidates, *, free: bool) -> str:
        texts = culprit.choice.selectors
        if not culprit.by_class:
            texts = texts[culprit.choice.of_class :]
        return selector_words.others(devices.bit_count(), texts, free=free)

    def _of_plugins(self, words: set[str]) -> str:
        """Devices of the kinds missing here that a device plug-in has, out of reach of claims."""
        found = {
            resource.name: resource.count
            for resource in self._machine.resources
            if resource.kind and resource.count and _KINDS.get(resource.kind) in words
        }
        return " + ".join(f"{count} {name}" for name, count in sorted(found.items())[:_MOST_UNITS])

    def _counts(self) -> dict[str, int]:
        """How many devices there are for the requests, by their word."""
        masks: dict[str, int] = {}
        for each in self._found.candidates:
            word = self._word(each)
            masks[word] = masks.get(word, 0) | (each.admitted or each.similar)
        return self._units | {word: mask.bit_count() for word, mask in masks.items()}

    def _in_use(self, culprit: Candidates) -> str:
        left_out = culprit.similar & ~culprit.admitted & ~self._usage.taken
        if not culprit.free and left_out and culprit.need == 1:
            return self._no_match(culprit, all_free=True)
        word = self._word(culprit)
        free = reasons.free_of(culprit.free.bit_count(), culprit.roomy.bit_count(), word)
        tainted = (culprit.admitted & ~culprit.tolerated).bit_count()
        if left_out:
            free += f" of those that match the {_selector(culprit)}"
        if tainted:
            free += f", {tainted} {'is' if tainted == 1 else 'are'} tainted"
        return ReasonText.FREE.format(needs=self._needs, free=free)

    def _tainted(self, culprit: Candidates) -> str:
        devices = culprit.admitted & ~culprit.tolerated
        keys = selector_words.listed(
            taint.key
            for device in bitmask.positions(devices)
            for taint in self._machine.devices[device].taints
            if taint.effect in _BLOCKING
        )
        if not keys:  # what cannot be used here for another reason: it shares counters
            return ReasonText.UNCLEAR.format(needs=self._needs)
        count, word = devices.bit_count(), self._word(culprit)
        verb = "is" if count == 1 else "are"
        if not culprit.tolerated:
            return ReasonText.TAINTED.format(
                count=f"{queries.counted(count, word)} {verb}", keys=keys
            )
        there = queries.counted(culprit.admitted.bit_count(), word)
        return ReasonText.SOME_TAINTED.format(
            needs=self._needs, count=f"{count} of {there} {verb}", keys=keys
        )

    def _with_pools(self, reason: str, culprit: Candidates) -> str:
        """The reason with a word on pools of the driver whose devices are not used."""
        text = " ".join(culprit.choice.selectors)
        broken = next(
            (p.broken for p in self._machine.pools if p.broken is not None and p.driver in text),
            None,
        )
        return (
            reason if broken is None else ReasonText.POOL.format(reason=reason, broken=broken.value)
        )

    def _capacity(self, culprit: Candidates) -> str:
        word = self._word(culprit)
        return share_reasons.too_little_capacity(
            self._prepared, self._usage, culprit, needs=self._needs, word=word
        )

    # ------------------------------------------------------------ partitions

    def _counters(self, culprit: Candidates | None) -> str:
        wanted = culprit or max(self._found.candidates, key=lambda each: each.need)
        devices = bitmask.positions(wanted.admitted)
        if {self._machine.devices[d].kind for d in devices} == {Kind.GPU}:
            free, there = wanted.drawable.bit_count(), len(devices)
            text = ReasonText.FREE if there == 1 else ReasonText.PARTITIONED
            words = reasons.free_of(free, there, self._word(wanted))
            words += " as partitions" if there == 1 and not free else ""
            return text.format(needs=self._needs, free=words)
        name = self._profile(wanted) or queries.one(self._word(wanted))
        partition = f"a {name}" if wanted.need == 1 else f"{wanted.need} of {name}"
        return ReasonText.PARTITION.format(partition=partition, placements=self._placements())

    def _profile(self, wanted: Candidates) -> str:
        """The profile of the partitions that would do; empty unless all have one and the same."""
        devices = [self._machine.devices[d] for d in bitmask.positions(wanted.admitted)]
        profiles = {
            gpu_count.profile(each) if each.kind is Kind.PARTITION else "" for each in devices
        }
        return profiles.pop() if len(profiles) == 1 else ""

    def _placements(self) -> str:
        """What could still be cut, the largest first: "2 of 1g.10gb"."""
        counts: dict[str, int] = {}
        sizes: dict[str, int] = {}
        for number in bitmask.positions(unschedulable.free_placements(self._prepared, self._usage)):
            device = self._machine.devices[number]
            profile = gpu_count.profile(device)
            if device.kind is Kind.PARTITION and profile:
                counts[profile] = counts.get(profile, 0) + 1
                sizes[profile] = sum(amount for _, amount in self._prepared.draws(number))
        largest = sorted(counts, key=lambda profile: (-sizes[profile], profile))
        return ", ".join(f"{counts[p]} of {p}" for p in largest[:_MOST_PLACEMENTS]) or "none"

    # ------------------------------------------------------------ constraints

    def _constraints(self) -> str:
        for number, claim in enumerate(self._prepared.claims):
            for constraint in claim.constraints:
                under = [c for c in self._found.candidates if _is_under(c, number, constraint)]
                if not constraint.distinct and under and (why := self._unmet(constraint, under)):
                    return why
        return ReasonText.CONSTRAINTS.format(needs=self._needs)

    def _unmet(self, constraint: requests.Constraint, under: list[Candidates]) -> str:
        """Why no value of the attribute has enough of all; empty where one has."""
        thing, _ = queries.group(constraint.attribute)
        used = NOTHING.taken if self._never else self._usage.taken
        masks = self._prepared.with_value(constraint)
        some = functools.reduce(operator.or_, masks, 0)
        for each in under:
            if each.need and not each.roomy & some:
                word = queries.one(self._word(each))
                return ReasonText.NOT_PUBLISHED.format(needs=self._needs, device=word, group=thing)
        needs = [each.need for each in under]
        rows = [[(each.roomy & ~used & mask).bit_count() for each in under] for mask in masks]
        met = [sum(map(min, needs, row)) for row in rows]
        if not met or max(met) == sum(needs):
            return ""
        best = rows[met.index(max(met))]
        counts: dict[str, int] = {}
        for each, have in zip(under, best, strict=True):
            word = self._word(each)
            counts[word] = max(counts.get(word, 0), have)
        text = ReasonText.NOT_TOGETHER if self._never else ReasonText.NOT_FREE_TOGETHER
        return text.format(needs=self._needs, group=thing, most=reasons.there(counts))

    def _together(self) -> str:
        """Each request could be had alone, all together not."""
        masks: dict[str, tuple[int, int, int]] = {}  # word → need, devices, free ones
        for each in self._found.candidates:
            need, there, free = masks.get(self._word(each), (0, 0, 0))
            masks[self._word(each)] = need + each.need, there | each.roomy, free | each.free
        short = {
            word: (there.bit_count(), free.bit_count())
            for word, (need, there, free) in masks.items()
            if free.bit_count() < need
        }
        if not short:
            return ReasonText.COMPETING.format(needs=self._needs)
        if self._never:
            return ReasonText.THERE.format(needs=self._needs, there=reasons.there(self._counts()))
        few = [reasons.free_of(free, there, word) for word, (there, free) in short.items()]
        return ReasonText.FREE.format(needs=self._needs, free=", ".join(few))

    def _word(self, candidates: Candidates) -> str:
        """What the devices are called: by the class, else by what they are."""
        word = queries.noun(candidates.choice.device_class)
        if queries.named(word) or not candidates.similar:
            return word
        first = bitmask.positions(candidates.similar)[0]
        return _KINDS.get(self._machine.devices[first].kind, word)


def _selector(culprit: Candidates) -> str:
    return "device class" if culprit.by_class and culprit.choice.of_class else "selector"


def _is_under(candidates: Candidates, claim: int, constraint: requests.Constraint) -> bool:
    if candidates.claim != claim:
        return False
    name = candidates.choice.name
    named = constraint.requests
    return not named or name in named or name.partition("/")[0] in named
