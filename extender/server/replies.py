"""extender/v1 as it is answered: complete bodies, every key there, never a null that Go trips over.

Large answers are joined from pieces of text, which is faster than building and encoding one small
object per node. Whole nodes are sent back as the bytes that came, unread.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
import numpy as np
import orjson
from numpy.typing import NDArray

from extender.decisions import refusals
from extender.decisions.verb_results import FilterResult, Victims
from extender.server.wire import Asked, NodeNames, WholeNodes

Scores: TypeAlias = Sequence[int] | NDArray[np.signedinteger[Any]]

_LARGEST = 2**63 - 1  # Score is an int64; one outside makes Go drop the whole list
# kube-scheduler takes a node that is not in the list for a 0 (prioritizeNodes: scores are added up
# per host named). To read one entry costs it about 1 µs, while the pod waits: of more nodes than
# these, those without a score are left out.
_ALL_LISTED = 128
# Whole nodes joined at a time, 10 or 20 KB each: the body is not held twice.
_NODES_A_PIECE = 64


@dataclasses.dataclass(frozen=True, slots=True)
class Pieces:
    """A body that is joined only while it is sent: `length` bytes."""

    length: int
    parts: Iterable[bytes]

    def whole(self) -> bytes:
        return b"".join(self.parts)


Body: TypeAlias = bytes | Pieces


@dataclasses.dataclass(frozen=True, slots=True)
class FilterReply:
    """An answer to filter: its body, who passes, and how these are written.

    `listed` is that list of names as JSON, or the whole nodes, each as it came.
    """

    body: Body
    passing: list[str]
    listed: bytes | list[msgspec.Raw]


def filtered(asked: Asked, answer: FilterResult) -> FilterReply:
    """ExtenderFilterResult in the mode asked; every refused node carries its reason.

    No name may be asked twice. Names that the answer invents are left out.
    """
    failed, unresolvable = answer.failed, answer.unresolvable
    passing = asked.names
    if failed or unresolvable:
        passing = answer.passing(asked.names)
        if len(passing) + len(failed) + len(unresolvable) != len(asked.names):
            passing, failed, unresolvable = _mended(asked.names, answer)
    names = orjson.dumps(passing) if isinstance(asked, NodeNames) else b"null"
    rest = b"".join(
        (
            b',"NodeNames":',
            names,
            b',"FailedNodes":',
            _reasons(failed),
            b',"FailedAndUnresolvableNodes":',
            _reasons(unresolvable),
            b',"Error":""}',
        )
    )
    if isinstance(asked, NodeNames):
        return FilterReply(b'{"Nodes":null' + rest, passing, names)
    kept = _kept(asked, passing)
    return FilterReply(_with_nodes(kept, rest), passing, kept)


def no_judgement(reason: str) -> bytes:
    """ExtenderFilterResult that says we cannot judge: kube-scheduler retries with backoff."""
    return (
        b'{"Nodes":null,"NodeNames":null,"FailedNodes":{},"FailedAndUnresolvableNodes":{},"Error":'
        + orjson.dumps(reason)
        + b"}"
    )


def priorities(names: Sequence[str], scores: Scores) -> bytes:
    """HostPriorityList: a bare array, scores parallel to names; of many nodes those with a score.

    No scores are no opinion: `[]`. Raises ValueError for a score that is no integer, and for
    lists of different lengths: Go would refuse 7.0 and drop our whole list in silence.
    """
    if len(scores) == 0:  # a numpy array has no truth value
        return b"[]"
    if len(scores) != len(names):
        raise ValueError(f"{len(scores)} scores for {len(names)} nodes")
    if len(names) > _ALL_LISTED and np.count_nonzero(scores) < len(names):
        listed = np.flatnonzero(scores)
        names, scores = (
            [names[position] for position in listed.tolist()],
            np.asarray(scores)[listed],
        )
        if not names:
            return b"[]"
    if isinstance(scores, np.ndarray) and scores.dtype.kind == "i":
        plain: list[int] = scores.tolist()
    else:
        plain = list(map(_integer, scores))
    if b"\\" in orjson.dumps(names):  # Kubernetes allows no name that must be escaped
        pairs = zip(names, plain, strict=True)
        return orjson.dumps([{"Host": name, "Score": score} for name, score in pairs])
    # Of 420 nodes: 64 µs, where one small object each takes 127.
    ends = {score: f'","Score":{score}}}' for score in set(plain)}
    entries = [name + ends[score] for name, score in zip(names, plain, strict=True)]
    return ('[{"Host":"' + ',{"Host":"'.join(entries) + "]").encode()


def preemption(victims: Mapping[str, Victims]) -> bytes:
    """ExtenderPreemptionResult: always by UID, whatever form was asked."""
    return orjson.dumps(
        {
            "NodeNameToMetaVictims": {
                name: {
                    "Pods": [{"UID": uid} for uid in each.pods],
                    "NumPDBViolations": operator.index(each.pdb_violations),
                }
                for name, each in victims.items()
            }
        }
    )


def error(message: str) -> bytes:
    """The short body of an answer that is not 200."""
    return orjson.dumps({"error": message})


def _reasons(refused: Mapping[str, str]) -> bytes:
    """Node name → reason, as JSON; of 330 nodes in a fifth of the time that a dict takes."""
    if not isinstance(refused, refusals.Refusals) or not refused.names:
        return orjson.dumps(dict(refused))
    names, texts = refused.names, refused.texts
    if b"\\" in orjson.dumps(names):  # Kubernetes allows no name that must be escaped
        return orjson.dumps(dict(refused))
    ends = {text: '":' + orjson.dumps(text).decode() + ',"' for text in set(texts)}
    pieces = [""] * (2 * len(names))
    pieces[::2] = names
    pieces[1::2] = [ends[text] for text in texts]
    return ('{"' + "".join(pieces)[:-2] + "}").encode()


def _integer(score: float | np.signedinteger[Any]) -> int:
    """The score as Go can read it; True and numpy's 7.0 are 1 and 7."""
    value = int(score)
    if value != score or abs(value) > _LARGEST:
        raise ValueError(f"the score {score!r} is not a 64-bit integer")
    return value


def _kept(asked: WholeNodes, passing: list[str]) -> list[msgspec.Raw]:
    if passing is asked.names:
        return asked.items
    kept = set(passing)
    return [item for name, item in zip(asked.names, asked.items, strict=True) if name in kept]


def _with_nodes(items: list[msgspec.Raw], rest: bytes) -> Body:
    """The nodes as they came, and the rest of the answer; joined at once where they are few."""
    start, end = b'{"Nodes":{"metadata":{},"items":[', b"]}" + rest
    size = sum(memoryview(item).nbytes for item in items) + max(len(items) - 1, 0)

    def parts() -> Iterator[bytes]:
        yield start
        for first in range(0, len(items), _NODES_A_PIECE):
            comma = b"," if first else b""
            yield comma + b",".join(map(memoryview, items[first : first + _NODES_A_PIECE]))
        yield end

    pieces = Pieces(len(start) + size + len(end), parts())
    return pieces if len(items) > _NODES_A_PIECE else pieces.whole()


def _mended(
    names: Sequence[str], answer: FilterResult
) -> tuple[list[str], Mapping[str, str], Mapping[str, str]]:
    """Each asked name once: the unresolvable reason is final, then the other, then none."""
    final = {name: answer.unresolvable[name] for name in names if name in answer.unresolvable}
    failed = {
        name: answer.failed[name] for name in names if name in answer.failed and name not in final
    }
    return [name for name in names if name not in final and name not in failed], failed, final
