"""extender/v1 as it arrives: bodies decoded as far as they are read, and no further.

The types of k8s.io/kube-scheduler/extender/v1 carry no JSON tags, so their keys are the Go field
names (`NodeNames`) and Go reads them in any case. Keys as Go writes them take one typed pass; a
body that lacks an expected key is read once more with its keys matched regardless of case, and so
is one with null where Go has no nil. Unknown keys are skipped, so that newer schedulers do no harm.
A body that cannot be read raises WireError with status 400.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

import msgspec

from extender.decisions.verb_results import Victims
from extender.errors import WireError
from extender.kube.api import objects
from extender.server import case_insensitive_json, decode_limits

_ABSENT = msgspec.Raw()
_MESSAGE_LENGTH = 200  # an error answer is read in a log line


class _Args(msgspec.Struct, rename="pascal"):
    pod: objects.Pod | None = None
    nodes: msgspec.Raw = _ABSENT
    node_names: list[str] | msgspec.UnsetType | None = msgspec.UNSET


class _NodeList(msgspec.Struct):
    items: list[msgspec.Raw] | msgspec.UnsetType | None = msgspec.UNSET


class _NodeMeta(msgspec.Struct):
    name: str = ""


class _NamedNode(msgspec.Struct):
    metadata: _NodeMeta = msgspec.field(default_factory=_NodeMeta)


class _MetaPod(msgspec.Struct):
    uid: str = msgspec.field(name="UID", default="")


class _VictimMeta(msgspec.Struct):
    uid: str = ""


class _VictimPod(msgspec.Struct):
    metadata: _VictimMeta = msgspec.field(default_factory=_VictimMeta)


class _MetaVictims(msgspec.Struct, rename="pascal"):
    pods: list[_MetaPod] | None = None
    violations: objects.Int64 = msgspec.field(name="NumPDBViolations", default=0)


class _FullVictims(msgspec.Struct, rename="pascal"):
    pods: list[_VictimPod] | None = None
    violations: objects.Int64 = msgspec.field(name="NumPDBViolations", default=0)


class _RawPreemptionArgs(msgspec.Struct, rename="pascal"):
    pod: objects.Pod | None = None
    full: dict[str, _FullVictims | None] | msgspec.UnsetType | None = msgspec.field(
        name="NodeNameToVictims", default=msgspec.UNSET
    )
    meta: dict[str, _MetaVictims | None] | msgspec.UnsetType | None = msgspec.field(
        name="NodeNameToMetaVictims", default=msgspec.UNSET
    )


_ARGS = msgspec.json.Decoder(_Args)
_POD = msgspec.json.Decoder(objects.Pod)
_NODE_LIST = msgspec.json.Decoder(_NodeList)
_NODE = msgspec.json.Decoder(_NamedNode)
_PREEMPTION = msgspec.json.Decoder(_RawPreemptionArgs)


@dataclasses.dataclass(frozen=True, slots=True)
class NodeNames:
    """The nodes of a request by name (nodeCacheCapable: true)."""

    names: list[str]

    def once(self) -> NodeNames:
        """Each name once; this very object where none is repeated, as kube-scheduler sends it."""
        # Comparing sizes first: a set costs less than a dict.
        if len(set(self.names)) == len(self.names):
            return self
        return NodeNames(list(dict.fromkeys(self.names)))


@dataclasses.dataclass(frozen=True, slots=True)
class WholeNodes:
    """The nodes of a request as objects (nodeCacheCapable: false), each once.

    `items` is parallel to `names` and holds each node's bytes as they were sent.
    """

    names: list[str]
    items: list[msgspec.Raw]

    def once(self) -> WholeNodes:
        """This very object: reading left out what was repeated."""
        return self


Asked: TypeAlias = NodeNames | WholeNodes


@dataclasses.dataclass(frozen=True, slots=True)
class ExtenderArgs:
    """A filter or prioritize request."""

    pod: objects.Pod
    asked: Asked


@dataclasses.dataclass(frozen=True, slots=True)
class PreemptionArgs:
    """A preempt request: what kube-scheduler would evict."""

    pod: objects.Pod
    victims: dict[str, Victims]  # node name → victims, each once


def question(body: bytes) -> ExtenderArgs:
    """Read the body of filter or prioritize: ExtenderArgs."""
    with _readable():
        if (usual := _named_nodes(body)) is not None:
            return usual
        large = _bounded(body)
        try:
            args = _ARGS.decode(body)
        except msgspec.ValidationError:
            if b"null" not in body:
                raise
            args = _respelled_args(body)
        unspelt = args.pod is None or (args.node_names is msgspec.UNSET and _is_null(args.nodes))
        if unspelt and not large:
            args = _respelled_args(body)
        if args.pod is None:
            raise WireError(400, "the request has no Pod")
        if isinstance(args.node_names, list):
            return ExtenderArgs(args.pod, NodeNames(args.node_names))
        if _is_null(args.nodes):
            return ExtenderArgs(args.pod, NodeNames([]))
        return ExtenderArgs(args.pod, _whole_nodes(args.nodes))


def preemption(body: bytes) -> PreemptionArgs:
    """Read the body of preempt: ExtenderPreemptionArgs, with meta or whole victims."""
    with _readable():
        large = _bounded(body)
        try:
            args = _PREEMPTION.decode(body)
        except msgspec.ValidationError:
            if b"null" not in body:
                raise
            args = case_insensitive_json.convert(body, _RawPreemptionArgs)
        absent = args.meta is msgspec.UNSET or args.full is msgspec.UNSET
        if not large and (args.pod is None or (absent and not args.meta and not args.full)):
            args = case_insensitive_json.convert(body, _RawPreemptionArgs)
        if args.pod is None:
            raise WireError(400, "the request has no Pod")
        victims: dict[str, Victims] = {}
        if isinstance(args.full, dict):
            for name, full in args.full.items():
                pods = (full.pods if full else None) or []
                uids = tuple(dict.fromkeys(pod.metadata.uid for pod in pods))
                victims[name] = Victims(uids, full.violations if full else 0)
        if isinstance(args.meta, dict):
            for name, meta in args.meta.items():
                held = (meta.pods if meta else None) or []
                uids = tuple(dict.fromkeys(pod.uid for pod in held))
                victims[name] = Victims(uids, meta.violations if meta else 0)
        return PreemptionArgs(args.pod, victims)


def _named_nodes(body: bytes) -> ExtenderArgs | None:
    """The usual large body; None for any other, which is read with more care."""
    if len(body) <= decode_limits.UNCHECKED_BYTES:
        return None
    found = decode_limits.named_nodes(body)
    if found is None:
        return None
    try:
        return ExtenderArgs(_POD.decode(found.pod), WholeNodes(found.names, found.items))
    except msgspec.ValidationError:
        return None


def _bounded(body: bytes) -> bool:
    """Whether the body is a large one, which is then within bounds, and spelt as Go does."""
    if len(body) <= decode_limits.UNCHECKED_BYTES:
        return False
    decode_limits.check(body)
    return True


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError:
        raise WireError(400, "the body is not UTF-8") from None
    except RecursionError:
        raise WireError(400, "the body is nested too deeply") from None
    except msgspec.DecodeError as error:
        raise WireError(400, str(error)[:_MESSAGE_LENGTH]) from None


def _respelled_args(body: bytes) -> _Args:
    fields = case_insensitive_json.members(body)
    pod = fields.get("pod", _ABSENT)
    names = fields.get("nodenames", _ABSENT)
    return _Args(
        pod=None if _is_null(pod) else case_insensitive_json.convert(pod, objects.Pod),
        nodes=fields.get("nodes", _ABSENT),
        node_names=None if _is_null(names) else case_insensitive_json.convert(names, list[str]),
    )


def _whole_nodes(raw: msgspec.Raw) -> WholeNodes:
    items = _NODE_LIST.decode(raw).items
    if items is msgspec.UNSET and len(memoryview(raw)) <= decode_limits.UNCHECKED_BYTES:
        held = case_insensitive_json.members(raw).get("items", _ABSENT)
        items = None if _is_null(held) else msgspec.json.decode(held, type=list[msgspec.Raw])
    by_name: dict[str, msgspec.Raw] = {}
    for item in items if isinstance(items, list) else ():
        try:
            name = _NODE.decode(item).metadata.name
        except msgspec.ValidationError:
            name = ""
        name = name or case_insensitive_json.convert(item, _NamedNode).metadata.name
        by_name.setdefault(name, item)
    return WholeNodes(list(by_name), list(by_name.values()))


def _is_null(raw: msgspec.Raw) -> bool:
    return len(memoryview(raw)) == 0 or bytes(memoryview(raw)[:4]) == b"null"
