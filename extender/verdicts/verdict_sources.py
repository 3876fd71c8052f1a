"""Where a pod's verdicts come from: the states that nodes share, or each node by itself."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from extender.cluster import index
from extender.verdicts import evaluator, per_node, resolver, verdict_table


@dataclasses.dataclass(frozen=True, slots=True)
class Judged:
    """The verdicts on the rows of a request, by their positions in it.

    `reasons` has the reasons of refused positions, in their order.
    """

    codes: NDArray[np.int8]  # UNSEEN where the node is not known
    refused: NDArray[np.bool_]
    reasons: Callable[[NDArray[np.intp]], list[str]]


class VerdictSources:
    """Judges what was asked by the tables, or node by node where these cannot answer."""

    def __init__(
        self,
        cluster: index.TopologyIndex,
        shared: verdict_table.VerdictTables,
        single: per_node.PerNodeVerdicts,
    ) -> None:
        self._index = cluster
        self._tables = shared
        self.single = single
        self.passed_unread = False  # whether `judged` passed nodes that are still to be read anew

    @property
    def unfinished(self) -> bool:
        """Whether somebody asked for verdicts that are still to be found."""
        return self._tables.unfinished or self.single.unfinished

    def advance(self) -> None:
        """Go on with what was asked for, as far as the allowance goes."""
        self._tables.advance()
        self.single.advance()

    def judged(
        self, asked: resolver.ResolvedPod, rows: NDArray[np.int32], known: NDArray[np.bool_]
    ) -> Judged:
        """Judge the known ones of these rows, as far as the call's allowance goes."""
        found = self._judged(asked, rows, known)
        self.passed_unread = False
        if asked.question.extended and (unread := self._unread(asked)):
            late = np.isin(rows, np.array(unread, dtype=np.int32)) & found.refused
            self.passed_unread = bool(late.any())
            codes = np.where(late, found.codes.dtype.type(evaluator.UNSEEN), found.codes)
            return dataclasses.replace(found, codes=codes, refused=found.refused & ~late)
        return found

    def _unread(self, asked: resolver.ResolvedPod) -> list[int]:
        """The rows that lack a resource asked for, which their nodes offer.

        It has only now become one that is judged (a class or the policy names it), and the node is
        still to be read again.
        """
        cluster, found = self._index, []
        names = [name for name, _ in asked.question.extended]
        for node in cluster.outdated.unread():
            detail = cluster.detail(node)
            if detail is None:
                continue
            offered = detail.node.status.allocatable or {}
            read = {resource.name for resource in detail.machine.shape.resources}
            if any(name in offered and name not in read for name in names):
                found.append(cluster.rows[node])
        return found

    def _judged(
        self, asked: resolver.ResolvedPod, rows: NDArray[np.int32], known: NDArray[np.bool_]
    ) -> Judged:
        if asked.by_node is not None:
            single = self.single.of(asked.by_node)
            codes = single.fill(rows)
            return Judged(
                codes,
                codes >= evaluator.REFUSED_FROM,
                lambda positions: [single.refusal(row)[1] for row in rows[positions].tolist()],
            )
        table, states = self.table(asked), self._index.state[rows]
        all_known = bool(known.all())
        table.fill(states if all_known else states[known])
        codes = table.code[states]
        if not all_known:
            codes[~known] = evaluator.UNSEEN
        return Judged(
            codes,
            codes >= evaluator.REFUSED_FROM,
            lambda positions: table.reasons(states[positions]),
        )

    def of(self, asked: resolver.ResolvedPod) -> Callable[[str], verdict_table.Verdicts]:
        """The verdicts by node."""
        return functools.partial(self.on, asked)

    def on(self, asked: resolver.ResolvedPod, name: str) -> verdict_table.Verdicts:
        """The verdicts by state as they are for one node."""
        row = self._index.rows.get(name, -1)
        if asked.by_node is None or row < 0:
            return self.table(asked)
        return self.single.of(asked.by_node).on(row)

    def table(self, asked: resolver.ResolvedPod) -> verdict_table.VerdictTable:
        """The verdicts by state on the pod's question, as far as states can answer it."""
        cluster = self._index
        return self._tables.of(asked.question, cluster.states, cluster.surroundings)
