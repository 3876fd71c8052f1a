"""Explanations as a whole kube-scheduler would give them: its own filters first, then ours.

Offline nobody else has asked its filters. A node that they refuse is not scored, as an extender
would not hear of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from extender.decisions import engine
from extender.decisions.explanation import explain, explain_demand, in_tree_filters
from extender.kube.api import objects
from extender.verdicts import resolver

_NOT_JUDGED = "kube-scheduler also looks at {names}, which is not judged here"


def explained(
    judging: engine.Engine, pod: objects.Pod, names: Sequence[str] | None = None
) -> explain.Explanation:
    """The explanation, with what kube-scheduler's own filters say of each node."""
    judging.settle()
    resolved = judging.resolver.resolve(pod, judging.policy)
    judged = (
        {name for name, _ in resolved.question.extended}
        if isinstance(resolved, resolver.ResolvedPod)
        else set()
    )
    filters = in_tree_filters.InTreeFilters(pod, judging.store, judged)
    answers = {name: filters.answer(node) for name, node in judging.store.nodes.items()}
    excluded = {name for name, answer in answers.items() if answer.refusals}
    found = explain.explain(judging, pod, names, excluded=excluded)
    unknown = bool(filters.unknown_names)
    nodes = [_with(node, answers.get(node.node), unknown=unknown) for node in found.nodes]
    remarks = found.notes
    if others := filters.not_judged():
        remarks = (*remarks, _NOT_JUDGED.format(names=", ".join(others)))
    meta = pod.metadata
    title = f"{meta.namespace or 'default'}/{meta.name or meta.generate_name + '*'}"
    nodes.sort(key=lambda node: node.verdict.startswith("refused"))  # stable: the best come first
    return dataclasses.replace(found, pod=title, nodes=tuple(nodes), notes=remarks)


def _with(
    node: explain.Explained, answer: in_tree_filters.NodeAnswer | None, *, unknown: bool
) -> explain.Explained:
    if answer is None:
        return node
    notes = (*node.notes, *answer.notes)
    refused = node.verdict.startswith("refused") and node.reason
    if answer.refusals:
        reasons = [node.reason] if refused else []
        return dataclasses.replace(
            node,
            verdict=node.verdict if refused else explain.REFUSED,
            reason="; ".join([*reasons, *answer.refusals]),
            score=None, cost=None, tie=None, near="", parts={}, grounds={}, devices=(),
            notes=answer.notes,
        )  # fmt: skip
    left = node.verdict == explain.NOT_JUDGED and node.reason.startswith(
        explain_demand.LEFT.partition("{")[0]
    )
    if left and not unknown:
        # All that is left to kube-scheduler was counted as it counts.
        return dataclasses.replace(node, verdict=explain.FITS, reason="", notes=notes)
    return dataclasses.replace(node, notes=notes)
