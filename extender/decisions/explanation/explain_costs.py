"""What each part of a node's cost was worked out from, in plain words, for people who ask why."""

from __future__ import annotations

from collections import Counter
from typing import TypeAlias

import numpy as np

from extender.decisions import engine, scored_nodes, scorer
from extender.demand import gang
from extender.kube.api import objects
from extender.policy import preference, proximity
from extender.verdicts import query as queries
from extender.verdicts.evaluator import Verdict

_MOST_CLASSES = 2  # named per node: what a placement costs others is mostly one size of pod
_NOTHING_LOST = 0.005  # GPUs; less is 0.00 in print
Words: TypeAlias = dict[str, str]  # part of the cost → what it was worked out from


def words_by_part(
    judging: engine.Engine, pod: objects.Pod, scored: scored_nodes.ScoredNodes
) -> list[Words]:
    """The words per node of a prioritize; empty where the node is not known."""
    packing, following = _packing(judging, scored), _next_partition(judging, scored)
    off_rail = _off_rail(judging, pod, scored)
    found: list[Words] = []
    for number, row in enumerate(scored.candidates.rows.tolist()):
        detail = judging.index.details[row] if row >= 0 else None
        if detail is None:
            found.append({})
            continue
        words: Words = {}
        if scored.resolved.question:
            verdict = scored.candidates.table.verdict(int(scored.candidates.states[number]))
            words["locality"] = verdict.locality.why if verdict.locality else "not judged"
            words["proximity"] = _proximity(judging, pod, scored, detail.node)
            if off_rail[number]:
                words["proximity"] += f"; {off_rail[number]} on other rails than its NICs here"
            words["preference"] = _preference(judging, detail.node, scored, verdict, number)
        words["packing"] = packing[number]
        if following:
            words["next partition"] = following[number]
        if "not judged" in scored.parts:
            open_ = bool(scored.parts["not judged"][number])
            words["not judged"] = "the search ended without an answer" if open_ else "judged"
        if "expected full" in scored.parts:
            full = bool(scored.parts["expected full"][number])
            words["expected full"] = "taken by pods decided and not yet seen" if full else "free"
        found.append({part: text for part, text in words.items() if part in scored.parts})
    return found


# ---------------------------------------------------------------- packing


def _packing(judging: engine.Engine, scored: scored_nodes.ScoredNodes) -> list[str]:
    pricer, resolved = judging.pricer, scored.resolved
    if not len(pricer.prices):
        return ["no demand was seen yet"] * len(scored.candidates.rows)
    known = np.maximum(scored.candidates.rows, 0)
    losses = pricer.cost_by_class(
        scored.candidates.table, known, cpu=resolved.requests.cpu, memory=resolved.requests.memory
    )
    whom = [_class(judging, number) for number in range(len(pricer.prices))]
    short = ""
    if pricer.cpu_or_memory_is_short:
        short = f"; free CPU and memory cover {pricer.coverage:.0%} of the free GPUs"
    charged = scored.parts.get("packing", np.zeros(len(losses)))
    return [
        _taken(row * (part / row.sum() if row.any() else 1.0), whom) + short
        for row, part in zip(losses, charged.tolist(), strict=True)
    ]


def _taken(losses: scorer.Floats, whom: list[str]) -> str:
    """The sizes of pods that lose most, each once: classes differ in CPU and memory too.

    `losses` add up to the part of the cost.
    """
    totals: Counter[str] = Counter()
    for lost, name in zip(losses.tolist(), whom, strict=True):
        totals[name] += lost
    most = [(n, lost) for n, lost in totals.most_common(_MOST_CLASSES) if lost >= _NOTHING_LOST]
    if not most:
        return "takes no headroom that other pods could use"
    listed = ", ".join(f"{name} ({lost:.2f})" for name, lost in most)
    return f"takes headroom from {listed}"


def _next_partition(judging: engine.Engine, scored: scored_nodes.ScoredNodes) -> list[str]:
    """What the next partition would cost more, and where on the node this one goes."""
    lookahead, resolved = judging.pricer.lookahead, scored.resolved
    known = np.maximum(scored.candidates.rows, 0)
    losses = lookahead.next_loss(
        resolved.question, known, cpu=resolved.requests.cpu, memory=resolved.requests.memory
    )
    if losses is None:
        return []
    names = lookahead.names()
    position = lookahead.position(resolved.question, known)
    found = []
    for number, row in enumerate(losses.tolist()):
        most = sorted(zip(row, names, strict=True), key=lambda pair: -abs(pair[0]))[:_MOST_CLASSES]
        listed = [f"{lost:+.2f} for {name}" for lost, name in most if abs(lost) >= _NOTHING_LOST]
        text = "what the next partition will cost, in GPUs, if it may be any of the mix: "
        text += ", ".join(listed) or "no more than now"
        if position is not None and not np.isnan(position[number]):
            text += f"; placed on GPU {int(position[number]) + 1} in the driver's order"
        found.append(text)
    return found


def _class(judging: engine.Engine, number: int) -> str:
    """The pods of one class in words: "pods of 8 GPUs", "pods of 1 GPU + 25 of a NIC"."""
    classes = judging.pricer.classes
    unit = classes.units[int(classes.unit[number])]
    count = round(float(classes.count[number]))
    if isinstance(unit, queries.Query):
        return f"pods of {queries.describe(unit, times=count)}"
    return f"pods of {queries.counted(count, str(unit))}"


# ---------------------------------------------------------------- proximity


def _proximity(
    judging: engine.Engine, pod: objects.Pod, scored: scored_nodes.ScoredNodes, node: objects.Node
) -> str:
    levels = scored.resolved.profile.proximity.labels
    here = proximity.domains(node.metadata.labels or {}, levels)
    found: Counter[str] = Counter()
    for name, count in judging.gangs.nodes(gang.of_pod(pod)).items():
        member = judging.index.detail(name)
        if member is None:
            continue
        there = proximity.domains(member.node.metadata.labels or {}, levels)
        level = proximity.shared_level(here, there)
        if name == node.metadata.name:
            found["on this node"] += count
        elif level is None:
            found["with no label in common"] += count
        else:
            found[f"with the same {levels[level]}"] += count
    waiting = judging.gangs.waiting(gang.of_pod(pod), pod.metadata.uid)
    if waiting:
        found["still to be placed"] = waiting
    total = sum(found.values())
    listed = ", ".join(f"{count} {where}" for where, count in found.most_common())
    return f"of {total} other member{'s' * (total != 1)} of its group: {listed}"


def _off_rail(
    judging: engine.Engine, pod: objects.Pod, scored: scored_nodes.ScoredNodes
) -> list[int]:
    """Per node, how many members it is off the rails of."""
    name = gang.of_pod(pod)
    if not name or not scored.resolved.question:
        return [0] * len(scored.candidates.rows)
    found = judging.scoring.off_rail(name, scored.candidates)
    return [int(number) for number in found]


# ---------------------------------------------------------------- preference


def _preference(
    judging: engine.Engine,
    node: objects.Node,
    scored: scored_nodes.ScoredNodes,
    verdict: Verdict,
    number: int,
) -> str:
    hardware = scored.candidates.table.states[int(scored.candidates.states[number])].shape
    devices = verdict.devices()
    used, joined = preference.linked(hardware, devices)
    found = [f"uses {used} of {joined} linked GPUs"] if used < joined else []
    for device in (hardware.devices[number] for number in devices):
        if device.taints:
            keys = ", ".join(dict.fromkeys(taint.key for taint in device.taints))
            found.append(f"{device.name} is tainted ({keys})")
    later = preference.later_choices(scored.resolved.question.claims, verdict.picks)
    if later:
        found.append(f"takes later choices of firstAvailable ({later} down the list)")
    if preference.shared(hardware, scored.resolved.question.extended):
        found.append("a unit is a share of a GPU here, not a whole one")
    found += preference.troubles(node, judging.scoring.conditions, hardware)
    found += _sandbox(
        scored.resolved.wants, preference.offered(node.metadata.labels or {}, hardware)
    )
    return ", ".join(found) or "nothing speaks against it"


_WAYS = {
    preference.Sandbox.VIRTUAL: "pass GPUs through to virtual machines",
    preference.Sandbox.CONFIDENTIAL: "pass GPUs through to confidential virtual machines",
}


def _sandbox(wants: preference.Sandbox, offers: preference.Sandbox) -> list[str]:
    if wants > offers:
        return [f"the pod needs a node that can {_WAYS[wants]}, this one is not set up for it"]
    if offers > wants:
        return [f"the node is set up to {_WAYS[offers]}, the pod has no use of it"]
    return []
