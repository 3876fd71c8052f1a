"""What a right reply to a verb looks like; everything else is a failure, in a sentence.

The checks are those whose breach would mislead kube-scheduler: a node that was asked about and is
in no list, one that was not, an Error, a score that is no integer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson

_SHOWN = 3  # node names in a failure's sentence


class WrongAnswer(Exception):  # noqa: N818 - the reply is wrong, not we
    """The reply is not what the verb has to be."""


def decoded(status: int, body: bytes) -> object:
    """The JSON of a reply with status 200. Raises WrongAnswer."""
    if status != 200:
        raise WrongAnswer(f"status {status}" if status else "no reply")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise WrongAnswer(f"invalid JSON: {error}") from None


def passing(reply: object, asked: Sequence[str]) -> list[str]:
    """The nodes that pass filter, where the reply tells of each asked node once.

    Names in NodeNames, or Node objects in Nodes.items, whichever the reply uses.
    """
    found = _object(reply)
    if found.get("Error"):
        raise WrongAnswer(f"Error: {found['Error']}")
    kept = found.get("NodeNames")
    if kept is None:
        items = (found.get("Nodes") or {}).get("items") or []
        kept = [item["metadata"]["name"] for item in items]
    refused = [*(found.get("FailedNodes") or {}), *(found.get("FailedAndUnresolvableNodes") or {})]
    reported = [*kept, *refused]
    if len(reported) != len(set(reported)):
        raise WrongAnswer("a node is in the reply twice")
    _same("missing from the reply", set(asked) - set(reported))
    _same("in the reply, and were not asked about", set(reported) - set(asked))
    return kept


def check_scores(reply: object, asked: Sequence[str]) -> None:
    """A list of hosts asked about, each once, with integers that are not negative.

    How high they go is the policy's choice (`scores.maximum`).
    """
    if not isinstance(reply, list):
        raise WrongAnswer("the reply is no list")
    hosts = [_object(entry).get("Host") for entry in reply]
    if len(hosts) != len(set(hosts)):
        raise WrongAnswer("a host is in the reply twice")
    _same("in the reply, and were not asked about", set(hosts) - set(asked))
    for entry in reply:
        score = entry.get("Score")
        if type(score) is not int or score < 0:
            raise WrongAnswer(f"the score {score!r} is no integer from 0 on")


def check_victims(reply: object, offered: Mapping[str, Sequence[str]]) -> None:
    """Nodes that were offered, each with a list of pods by UID."""
    found = _object(reply).get("NodeNameToMetaVictims")
    if not isinstance(found, dict):
        raise WrongAnswer("there is no NodeNameToMetaVictims in the reply")
    _same("in the reply, and were not offered", set(found) - set(offered))
    for victims in found.values():
        if not all(pod.get("UID") for pod in _object(victims).get("Pods") or []):
            raise WrongAnswer("a victim has no UID")


def _object(reply: object) -> dict:
    if not isinstance(reply, dict):
        raise WrongAnswer("what should be an object is none")
    return reply


def _same(what: str, names: set[str]) -> None:
    if names:
        shown = ", ".join(sorted(map(str, names))[:_SHOWN])
        raise WrongAnswer(f"{len(names)} nodes are {what} (such as {shown})")
