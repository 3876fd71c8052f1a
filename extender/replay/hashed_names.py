"""Names that tell nothing, in the order of those that they stand for.

Answers depend on how names sort (ties, the order of pools), and the last tie between nodes on a
checksum of theirs. So a name becomes its rank among all names, and a node's name ends in three
characters that put its checksum in the same order. Equal names stay equal in every object of a
dump; another dump has other ranks.
"""

from __future__ import annotations

import itertools
import string
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
import numpy as np

from extender.kube.api import condensed_devices, objects

_ALPHABET = string.ascii_lowercase + string.digits
_SUFFIX = 3  # characters: 46,656 of them hit the place of each of 5,000 nodes nine times over
_FULL = 1 << 32  # checksums
# Fields whose text is a name, wherever they stand.
_NAMES = frozenset({
    *("namespace", "generateName", "uid", "nodeName", "nominatedNodeName", "providerID", "pool"),
    *("resourceClaimName", "resourceClaimTemplateName", "podGroupResourceClaim", "shareID"),
    *("podGroupName", "podGroup", "podGroupReplicaKey", "priorityClassName"),
})  # fmt: skip
# Lists whose members' `name` is the hardware's, a driver's or Kubernetes' own.
_OF_HARDWARE = frozenset({"devices", "sharedCounters", "zones", "resources"})
_HOSTNAME = "kubernetes.io/hostname"

_Map = Callable[[str], str]


class HashedNames:
    """The names of a dump: name → what stands for it."""

    def __init__(self, items: Iterable[tuple[str, objects.Object]]) -> None:
        bodies = [(kind, condensed_devices.to_builtins(item)) for kind, item in items]
        found: set[str] = set()

        def collect(text: str) -> str:
            found.add(text)
            return text

        for kind, body in bodies:
            _walked(body, kind, collect, frozenset())
        self._known = frozenset(found)
        nodes = {body["metadata"]["name"] for kind, body in bodies if kind == "Node"}
        self.table: Mapping[str, str] = _ranked(found - {""}, nodes)

    def hashed(self, kind: str, item: objects.Object) -> objects.Object:
        """The object under its new names."""
        body = _walked(condensed_devices.to_builtins(item), kind, self.of, self._known)
        return msgspec.convert(body, type(item))

    def of(self, name: str) -> str:
        """What stands for a name; a name that is not in the dump stays."""
        return self.table.get(name, name)


def _ranked(names: set[str], nodes: set[str]) -> dict[str, str]:
    ordered = sorted(names)
    width = len(str(len(ordered)))
    table = {name: f"x{rank:0{width}}" for rank, name in enumerate(ordered)}
    suffixes = ["".join(each) for each in itertools.product(_ALPHABET, repeat=_SUFFIX)]
    # The checksum of equally long texts is linear: one table serves every prefix.
    sums = np.array([zlib.crc32(each.encode()) for each in suffixes], dtype=np.uint64)
    low = 0
    by_sum = sorted(nodes, key=lambda name: (zlib.crc32(name.encode()), name))
    for number, name in enumerate(by_sum):
        prefix = f"{table[name]}-"
        whole = zlib.crc32((prefix + suffixes[0]).encode())
        checksums = sums ^ np.uint64(whole ^ int(sums[0]))
        high = (number + 1) * _FULL // len(by_sum)
        inside = np.where((checksums >= low) & (checksums < high), checksums, _FULL)
        chosen = int(inside.argmin())
        table[name] = prefix + suffixes[chosen]
        low = min(int(inside[chosen]) + 1, high)
    return table


def _walked(body: Any, kind: str, named: _Map, known: frozenset[str]) -> Any:  # noqa: ANN401 - JSON
    """The body with its names mapped; `known` are names that count as such in labels too."""
    found = _value(body, "", named, kind)
    meta = found.get("metadata", {})
    if kind == "DeviceClass":
        meta["name"] = body["metadata"]["name"]  # policies and reasons speak of it
    if isinstance(labels := meta.get("labels"), dict):
        every = kind == "Pod"
        meta["labels"] = {
            key: _label(key, v, named, known, every=every) for key, v in labels.items()
        }
    if isinstance(texts := meta.get("annotations"), dict) and kind == "Pod":
        meta["annotations"] = {
            key: text if key.startswith("railyard.dev/") else named(text)
            for key, text in texts.items()
        }
    if kind == "Pod" and (selector := found.get("spec", {}).get("nodeSelector")):
        found["spec"]["nodeSelector"] = {
            key: _label(key, v, named, known) for key, v in selector.items()
        }
    return _selected(found, named, known)


def _label(key: str, value: str, named: _Map, known: frozenset[str], *, every: bool = False) -> str:
    return named(value) if every or key == _HOSTNAME or value in known else value


def _value(value: Any, key: str, named: _Map, kind: str, of: str = "") -> Any:  # noqa: ANN401
    """`key` is the field that holds the value, `of` the list that it is a member of."""
    if isinstance(value, dict):
        return {name: _value(each, name, named, kind, of or key) for name, each in value.items()}
    if isinstance(value, list | tuple):
        if key == "requests" and all(isinstance(each, str) for each in value):
            return [named(each) for each in value]
        return [_value(each, "", named, kind, key) for each in value]
    if not isinstance(value, str) or not value:
        return value
    if key == "request":
        return "/".join(named(part) for part in value.split("/"))
    if key == "name" and not (
        kind in {"ResourceSlice", "NodeResourceTopology"} and of in _OF_HARDWARE
    ):
        return named(value)
    return named(value) if key in _NAMES else value


def _selected(value: Any, named: _Map, known: frozenset[str]) -> Any:  # noqa: ANN401 - JSON
    """Map what node selectors say of names."""
    if isinstance(value, dict):
        if "operator" in value and isinstance(value.get("values"), list | tuple):
            label = value.get("key", "")
            every = label == "metadata.name"
            values = [_label(label, v, named, known, every=every) for v in value["values"]]
            return value | {"values": values}
        return {key: _selected(each, named, known) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_selected(each, named, known) for each in value]
    return value
