"""Large bodies, looked at before they are decoded: what decoding them may cost in memory.

Of `"a",` four bytes become sixty, of `{},` three become hundreds. Bodies up to a mebibyte are
decoded as they are; of larger ones the parts are found first, unread, and counted. What is beyond
the bounds raises WireError 413. In such bodies keys must be spelt as Go spells them. The usual
large body, that of whole nodes, is counted while it is read (`named_nodes`).
"""

from __future__ import annotations

import dataclasses

import msgspec

from extender.errors import WireError

UNCHECKED_BYTES = 1024 * 1024
MOST_NODES = 131_072  # twenty-six times what Kubernetes supports
_POD_BYTES = 4 * 1024 * 1024  # the API server takes 3 MiB, before anything in it is escaped
# Members and elements of a pod: 10,000 annotations, say, or 2,000 containers of ten fields each.
_POD_VALUES = 200_000
_META_VALUES = 4 * MOST_NODES  # of victims by UID: a list and a number per node, a UID per pod

_ABSENT = msgspec.Raw(b"null")


class _Left:
    """How many more objects may be read."""

    objects = 0


class _Counted(msgspec.Struct):
    """Raises once there are too many, while the list is read: nothing piles up."""

    def __post_init__(self) -> None:
        _Left.objects -= 1
        if _Left.objects < 0:
            raise ValueError(f"there are more than {MOST_NODES} of them")


class _Nodes(msgspec.Struct):
    items: list[_Counted | None] | None = None


class _ItemMeta(msgspec.Struct, frozen=True):
    name: str = ""


class _NamedItem(_Counted):
    metadata: _ItemMeta = _ItemMeta()


class _NamedItems(msgspec.Struct):
    items: list[_NamedItem] = msgspec.field(default_factory=list)


class _CountedVictims(_Counted, rename="pascal"):
    pods: list[_Counted | None] | None = None


class _Outline(msgspec.Struct, rename="pascal"):
    pod: msgspec.Raw = _ABSENT
    nodes: msgspec.Raw = _ABSENT
    node_names: msgspec.Raw = _ABSENT
    full: msgspec.Raw = msgspec.field(name="NodeNameToVictims", default=_ABSENT)
    meta: msgspec.Raw = msgspec.field(name="NodeNameToMetaVictims", default=_ABSENT)


class _RawItems(msgspec.Struct):
    items: list[msgspec.Raw]


class _NodesRequest(msgspec.Struct, rename="pascal"):
    """A request as kube-scheduler sends it with whole nodes, each of which is named."""

    pod: msgspec.Raw
    nodes: _NamedItems
    node_names: None = None


class _RawNodes(msgspec.Struct, rename="pascal"):
    nodes: _RawItems


@dataclasses.dataclass(frozen=True, slots=True)
class NamedNodes:
    """Whole nodes, none twice, and the pod they are asked for, unread."""

    pod: msgspec.Raw
    names: list[str]
    items: list[msgspec.Raw]


_OUTLINE = msgspec.json.Decoder(_Outline)
_LISTED = msgspec.json.Decoder(_NodesRequest)
_ITEMS = msgspec.json.Decoder(_RawNodes)
_NODES = msgspec.json.Decoder(_Nodes | None)
_FULL = msgspec.json.Decoder(dict[str, _CountedVictims | None] | None)


def named_nodes(body: bytes) -> NamedNodes | None:
    """Whole nodes as kube-scheduler sends them, in two passes; None for whatever else it is.

    What is not JSON raises msgspec's errors, a pod beyond the bounds WireError 413. That no more
    nodes are there than may be is seen in the first pass, before the second keeps their places.
    """
    _Left.objects = MOST_NODES
    try:
        listed = _LISTED.decode(body)
    except msgspec.ValidationError:
        return None
    names = [each.metadata.name for each in listed.nodes.items]
    known = set(names)
    if len(known) < len(names) or "" in known:
        return None
    _check_pod(listed.pod)
    return NamedNodes(listed.pod, names, _ITEMS.decode(body).nodes.items if names else [])


def check(body: bytes) -> None:
    """Raise WireError 413 for a body that must not be decoded, msgspec's errors for no JSON."""
    outline = _OUTLINE.decode(body)
    _check_pod(outline.pod)
    if _more(outline.node_names, b",", MOST_NODES - 1, body):
        raise WireError(413, f"more than {MOST_NODES} nodes are named")
    if _more(outline.meta, b",", _META_VALUES, body):
        raise WireError(413, f"more than {MOST_NODES} victims are named")
    for raw, decoder in ((outline.nodes, _NODES), (outline.full, _FULL)):
        _count(raw, decoder, body)


def _check_pod(raw: msgspec.Raw) -> None:
    if len(memoryview(raw)) > _POD_BYTES:
        raise _large_pod()
    pod = bytes(raw)
    if pod.count(b",") + pod.count(b"{") > _POD_VALUES:
        raise _large_pod()


def _large_pod() -> WireError:
    return WireError(413, "the pod is larger than any that the API server keeps")


def _more(raw: msgspec.Raw, mark: bytes, most: int, body: bytes) -> bool:
    """Whether the part has the mark more often; it is copied only where the body has."""
    if len(memoryview(raw)) <= most * len(mark):
        return False  # looked at first: to count in 10 MB takes 7 ms
    return body.count(mark) > most and bytes(raw).count(mark) > most


def _count(raw: msgspec.Raw, decoder: msgspec.json.Decoder[object], body: bytes) -> None:
    _Left.objects = MOST_NODES
    # A null costs as much as an object, and is counted by its letters.
    if _more(raw, b"null", MOST_NODES, body):
        raise WireError(413, f"more than {MOST_NODES} are null")
    try:
        decoder.decode(raw)
    except msgspec.ValidationError as error:
        if _Left.objects < 0:
            raise WireError(413, f"more than {MOST_NODES} objects are sent") from error
        raise
