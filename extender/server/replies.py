"""extender/v1 as it is answered: complete bodies, every key there, never a null that Go trips over.

Large answers are joined from ready pieces, which is several times faster than building and
encoding one small object per node. Whole nodes are sent back as the bytes that came, unread.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence

import orjson

from extender.decisions.answers import Filtered, Victims
from extender.server.wire import Asked, Names

_LARGEST = 2**63 - 1  # Score is an int64; one outside makes Go drop the whole list
_TAILS_KEPT = 4096  # distinct scores are few; the bound is for a policy that thinks otherwise
_NEXT = ',{"Host":"'


class _Tails(dict[int, str]):
    """score → what follows a host's name, up to the next host's name.

    Equal keys share an entry, so True and numpy's 7.0 come out as 1 and 7, as plain integers.
    """

    def __missing__(self, score: int) -> str:
        value = int(score)
        if value != score or abs(value) > _LARGEST:
            raise ValueError(f"the score {score!r} is not a 64-bit integer")
        tail = f'","Score":{value}}}{_NEXT}'
        if len(self) < _TAILS_KEPT:
            self[value] = tail
        return tail


_TAILS = _Tails()


def filtered(asked: Asked, answer: Filtered) -> bytes:
    """ExtenderFilterResult in the mode asked; every refused node carries its reason."""
    if not answer.failed and not answer.unresolvable:
        return _filter_result(_feasible(asked, None), b"{}", b"{}")
    failed, unresolvable = _reasons(asked.names, answer)
    passing = answer.passing(asked.names)
    return _filter_result(
        _feasible(asked, passing), orjson.dumps(failed), orjson.dumps(unresolvable)
    )


def everything(asked: Asked) -> bytes:
    """ExtenderFilterResult that lets every asked node through."""
    return filtered(asked, Filtered())


def no_judgement(reason: str) -> bytes:
    """ExtenderFilterResult that says we cannot judge: kube-scheduler retries with backoff."""
    return (
        b'{"Nodes":null,"NodeNames":null,"FailedNodes":{},"FailedAndUnresolvableNodes":{},"Error":'
        + orjson.dumps(reason)
        + b"}"
    )


def priorities(names: Sequence[str], scores: Sequence[int]) -> bytes:
    """HostPriorityList: a bare array, scores parallel to names.

    No scores are no opinion: `[]`. Raises ValueError for a score that is no integer, and for
    lists of different lengths: Go would refuse 7.0 and drop our whole list in silence.
    """
    if len(scores) == 0:  # a numpy array has no truth value
        return b"[]"
    if len(scores) != len(names):
        raise ValueError(f"{len(scores)} scores for {len(names)} nodes")
    quoted: Sequence[str] = names
    if b"\\" in orjson.dumps(names):  # a name that JSON must escape; Kubernetes allows none
        quoted = [orjson.dumps(name).decode()[1:-1] for name in names]
    pieces = [""] * (2 * len(names))
    pieces[0::2] = quoted
    pieces[1::2] = map(_TAILS.__getitem__, scores)
    return ('[{"Host":"' + "".join(pieces)[: -len(_NEXT)] + "]").encode()


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


def _filter_result(feasible: bytes, failed: bytes, unresolvable: bytes) -> bytes:
    return b"".join(
        (
            b"{",
            feasible,
            b',"FailedNodes":',
            failed,
            b',"FailedAndUnresolvableNodes":',
            unresolvable,
            b',"Error":""}',
        )
    )


def _feasible(asked: Asked, passing: list[str] | None) -> bytes:
    """`Nodes` and `NodeNames`; None passes all."""
    if isinstance(asked, Names):
        names = asked.names if passing is None else passing
        return b'"Nodes":null,"NodeNames":' + orjson.dumps(names)
    items = asked.items
    if passing is not None:
        kept = set(passing)
        items = [item for name, item in zip(asked.names, items, strict=True) if name in kept]
    whole = b",".join(map(memoryview, items))
    return b'"Nodes":{"metadata":{},"items":[' + whole + b']},"NodeNames":null'


def _reasons(names: Sequence[str], answer: Filtered) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Both maps for asked nodes only, and each node in one: the unresolvable reason is final."""
    failed, unresolvable = answer.failed, answer.unresolvable
    asked = set(names)
    if failed.keys() & unresolvable.keys() or not asked.issuperset(failed):
        failed = {
            name: reason
            for name, reason in failed.items()
            if name in asked and name not in unresolvable
        }
    if not asked.issuperset(unresolvable):
        unresolvable = {name: why for name, why in unresolvable.items() if name in asked}
    return failed, unresolvable
