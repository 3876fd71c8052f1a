"""One copy of what thousands of objects say alike.

5,000 machines of one kind repeat the same attribute values, capacities, counters and node sizes;
decoding makes each of them anew. Shared, they take a third of the memory. Values that are
different everywhere (serial numbers, addresses) are found out by counting and left alone, so a
table never grows beyond its bound, whatever the objects say.

Everything here is immutable by agreement: the objects are frozen, and their maps are not written.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable
from typing import Any, TypeVar

import msgspec

from extender.kube import objects

_T = TypeVar("_T")

# More distinct values than this under one name, and the name is an identity. Above the number of
# devices and addresses that one machine has, below the number of machines where sharing matters.
_MOST_VALUES = 512
# So many names are looked at; the API allows 32 attributes a device, and drivers are few.
_MOST_NAMES = 1024


class Interner:
    """Gives equal parts of objects one identity; call it with each object right after decoding.

    The object is rewritten in place, which is safe as long as nobody else has it yet.
    """

    def __init__(self) -> None:
        # name of a field or attribute → value's key → the copy to keep; None: an identity
        self._kept: dict[str, dict[Hashable, Any] | None] = {}

    def __call__(self, item: objects.Object) -> objects.Object:
        """The same object, made of shared parts."""
        if isinstance(item, objects.ResourceSlice):
            for device in item.spec.devices or ():
                self._device(device)
        elif isinstance(item, objects.Node):
            self._node(item)
        return item

    def _device(self, device: objects.Device) -> None:
        self._values(device.attributes)
        _set(device, "name", self._shared("device name", device.name, device.name))
        if device.capacity:
            sizes: Hashable = tuple(device.capacity.items())
            _set(device, "capacity", self._shared("device capacity", sizes, device.capacity))
        if device.consumes_counters:
            key: Hashable = tuple(
                (each.counter_set, *(each.counters or {}).items())
                for each in device.consumes_counters
            )
            shared = self._shared("device counters", key, device.consumes_counters)
            _set(device, "consumes_counters", shared)

    def _node(self, node: objects.Node) -> None:
        meta, status = node.metadata, node.status
        for field in ("labels", "annotations"):
            texts = getattr(meta, field)
            if texts:
                # The decoder makes long keys anew each time; labels of node features are long.
                texts = {sys.intern(key): value for key, value in texts.items()}
                self._values(texts)
                _set(meta, field, texts)
        for field in ("allocatable", "capacity"):
            sizes = getattr(status, field)
            if sizes:
                _set(status, field, self._shared(f"node {field}", tuple(sizes.items()), sizes))
        if status.conditions:
            shared = self._shared("node conditions", status.conditions, status.conditions)
            _set(status, "conditions", shared)

    def _values(self, mapping: dict[str, Any] | None) -> None:
        """Share the values of a map one by one, each among those of its name."""
        known = self._kept
        for name, value in (mapping or {}).items():
            kept = known.get(name)
            found = kept.get(value) if kept is not None else None
            if found is None:
                found = self._shared(name, value, value)
            mapping[name] = found  # type: ignore[index]  # it has items

    def _shared(self, name: str, key: Hashable, value: _T) -> _T:
        kept = self._kept.get(name)
        if kept is None:
            if name in self._kept or len(self._kept) >= _MOST_NAMES:
                return value
            kept = self._kept[name] = {}
        found: _T = kept.setdefault(key, value)
        if len(kept) > _MOST_VALUES:
            self._kept[name] = None
        return found


_set = msgspec.structs.force_setattr
