"""Refused nodes and why, as two lists: the form that is quick to make and to write.

A request refuses hundreds of nodes for a few reasons. A dict of them takes longer to make than the
judgement itself, and only explain and preempt read one: it is made when somebody does.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from extender.verdicts import evaluator, verdict_sources


class Refusals(Mapping[str, str]):
    """Node name → reason, in the order asked; no name is there twice.

    `texts` are parallel to `names`.
    """

    __slots__ = ("_by_name", "names", "texts")

    def __init__(self, names: list[str], texts: list[str]) -> None:
        self.names = names
        self.texts = texts
        self._by_name: dict[str, str] | None = None

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __getitem__(self, name: str) -> str:
        if self._by_name is None:
            self._by_name = dict(zip(self.names, self.texts, strict=True))
        return self._by_name[name]

    def __repr__(self) -> str:
        return f"Refusals({dict(self)!r})"


def of(
    names: list[str], judged: verdict_sources.Judged, *, distinct: bool
) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """The nodes refused for now, and those refused for good; `names` as they were judged."""
    never = judged.codes == evaluator.NEVER
    return (
        _at(names, judged, judged.refused & ~never, distinct=distinct),
        _at(names, judged, judged.refused & never, distinct=distinct),
    )


def _at(
    names: list[str],
    judged: verdict_sources.Judged,
    chosen: NDArray[np.bool_],
    *,
    distinct: bool,
) -> Mapping[str, str]:
    positions = np.flatnonzero(chosen)
    if not len(positions):
        return {}
    refused = kept(names, chosen)
    texts = judged.reasons(positions)
    if distinct:
        return Refusals(refused, texts)
    return dict(zip(refused, texts, strict=True))


def moved(
    refused: Mapping[str, str], unresolvable: Mapping[str, str], elsewhere: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Both kinds of refusals where those of `elsewhere` are for good, whatever was found there."""
    final = {**unresolvable, **elsewhere}
    return {name: why for name, why in refused.items() if name not in final}, final


def kept(names: list[str], chosen: NDArray[np.bool_]) -> list[str]:
    """The names at which `chosen` is true."""
    # The bytes of a mask are its zeros and ones: no list of them is made.
    return list(itertools.compress(names, chosen.tobytes()))
