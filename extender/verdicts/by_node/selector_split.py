"""What of a question shared states can answer, and what has to be asked node by node."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TypeAlias

from extender import bounded_cache
from extender.demand import extended_resources, selectors
from extender.demand.requests import ClaimDemand
from extender.verdicts.query import Query

# The selectors of a choice, those of its class first.
Chain: TypeAlias = tuple[str, ...]


class Splitter:
    """Tells what of a question shared states can answer."""

    def __init__(
        self, shared: selectors.Shared, classes: extended_resources.ExtendedResourceClasses
    ) -> None:
        self._shared = shared
        self._classes = classes

    @property
    def version(self) -> object:
        """Another object whenever answers of `split` may be others."""
        return self._shared.apart

    @property
    def figures(self) -> bounded_cache.Figures:
        """How full the cache of special claims is."""
        return self._classes.figures

    def split(self, question: Query) -> tuple[Query, Query | None]:
        """The part that shared states can answer, and the question if that is not all of it.

        The part leaves out the selectors that read what is apart: good enough to weigh what the
        pod will take, not to refuse anything.
        """
        reads = self._shared.reads_apart
        if not any(reads(text) for chain in self.chains(question) for text in chain):
            return question, None
        claims = tuple(_without(claim, reads) for claim in question.claims)
        return dataclasses.replace(question, claims=claims), question

    def chains(self, question: Query) -> tuple[Chain, ...]:
        """The selectors of each choice, in the order in which they are asked."""
        names = frozenset(name for name, _ in question.special)
        special = self._classes.claim(question, names) if names else None
        claims = question.claims if special is None else (*question.claims, special)
        return tuple(
            dict.fromkeys(
                choice.selectors
                for claim in claims
                for request in claim.requests
                for choice in request.choices
            )
        )


def _without(claim: ClaimDemand, left_out: Callable[[str], bool]) -> ClaimDemand:
    """The claim without these selectors."""
    requests = tuple(
        dataclasses.replace(
            request,
            choices=tuple(
                dataclasses.replace(
                    choice,
                    selectors=tuple(t for t in choice.selectors if not left_out(t)),
                    of_class=sum(not left_out(t) for t in choice.selectors[: choice.of_class]),
                )
                for choice in request.choices
            ),
        )
        for request in claim.requests
    )
    return dataclasses.replace(claim, requests=requests)
