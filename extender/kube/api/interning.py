"""One copy of what thousands of objects say alike.

5,000 machines of one kind repeat the same attribute values, capacities, counters and node sizes;
decoding makes each of them anew. Values that are different everywhere (serial numbers, addresses)
are found out by counting and left alone, so a table never grows beyond its bound, whatever the
objects say. What is left of a machine's devices without these values is one object for all machines
of its kind (`condensed_devices`).

Everything here is immutable by agreement: the objects are frozen, and their maps are not written.
"""

from __future__ import annotations

import hashlib
import sys
import weakref
from collections.abc import Hashable
from typing import Any, TypeAlias, TypeVar

import msgspec

from extender.kube.api import condensed_devices, objects

_T = TypeVar("_T")

# More distinct values than this under one name, and the name is an identity. Above the number of
# devices and addresses that one machine has, below the number of machines where sharing matters.
_MOST_VALUES = 512
# So many names are looked at; the API allows 32 attributes a device, and drivers are few.
_MOST_NAMES = 1024


# What a name that was never met has.
_NOTHING: dict[Hashable, Any] = {}
# name of a field or attribute → value's key → the copy to keep; None: an identity
_Kept: TypeAlias = dict[str, dict[Hashable, Any] | None]


class ObjectInterner:
    """Gives equal parts of objects one identity; call it with each object right after decoding.

    The object is rewritten in place, which is safe as long as nobody else has it yet.
    """

    def __init__(self) -> None:
        # Of devices' attributes: texts, versions, integers, and what else there may be.
        self._attributes: tuple[_Kept, _Kept, _Kept, _Kept] = ({}, {}, {}, {})
        self._others: _Kept = {}
        self._own: set[str] = set()  # attributes whose values are each machine's own
        # Checksum → devices without such values, for as long as a slice has them.
        self._devices_met: weakref.WeakValueDictionary[bytes, condensed_devices.SharedDevices] = (
            weakref.WeakValueDictionary()
        )

    def __call__(self, item: objects.Object) -> objects.Object:
        """The same object, made of shared parts."""
        if isinstance(item, objects.ResourceSlice):
            self._slice(item)
        elif isinstance(item, objects.Node):
            self._node(item)
        return item

    def _slice(self, item: objects.ResourceSlice) -> None:
        spec = item.spec
        _set(spec, "driver", sys.intern(spec.driver))
        _set(spec.pool, "name", sys.intern(spec.pool.name))  # most often the node's
        if spec.node_name is not None:
            _set(spec, "node_name", sys.intern(spec.node_name))
        for owner in item.metadata.owner_references or ():
            _set(owner, "kind", sys.intern(owner.kind))
            _set(owner, "name", sys.intern(owner.name))
        if isinstance(spec.devices, tuple):
            _set(spec, "devices", self._condensed(spec.devices))
        if spec.shared_counters:
            sets = spec.shared_counters
            key = tuple([(each.name, *(each.counters or {}).items()) for each in sets])
            _set(spec, "shared_counters", _shared(self._others, "counter sets", key, sets))

    def _condensed(self, devices: tuple[objects.Device, ...]) -> condensed_devices.CondensedDevices:
        """What this machine's devices share with others, and what is its own."""
        own: list[objects.DeviceAttribute] = []
        is_own = self._own.__contains__
        for device in devices:
            attributes = device.attributes or {}
            for name in filter(is_own, attributes):
                own.append(attributes[name])
                attributes[name] = condensed_devices.HOLE
        # A hole is written as an empty value is: their number tells them apart, as names only ever
        # become own.
        text = msgspec.json.encode((len(own), devices))
        key = hashlib.sha256(text).digest()
        shared = self._devices_met.get(key)
        if shared is None:
            self._devices(devices)
            shared = self._devices_met[key] = condensed_devices.SharedDevices(devices)
        return condensed_devices.CondensedDevices(shared, own)

    def _devices(self, devices: tuple[objects.Device, ...]) -> None:
        """Share the parts with other kinds of machines, and find out what is each machine's own."""
        sizes: dict[str, Any] | None = None
        for device in devices:
            if device.attributes:
                self._values(device.attributes)
            _set(device, "name", sys.intern(device.name))
            if device.capacity:
                if device.capacity != sizes:  # else as its neighbour's, which most are
                    key = tuple(device.capacity.items())
                    sizes = _shared(self._others, "device capacity", key, device.capacity)
                _set(device, "capacity", sizes)
            if device.consumes_counters:
                drawn: Hashable = tuple(
                    [
                        (each.counter_set, *(each.counters or {}).items())
                        for each in device.consumes_counters
                    ]
                )
                counters = _shared(self._others, "device counters", drawn, device.consumes_counters)
                _set(device, "consumes_counters", counters)

    def _values(self, attributes: dict[str, objects.DeviceAttribute]) -> None:
        """Share the values one by one, each among those of its name.

        An attribute has one value, and to look that up is quicker than to look up the struct.
        """
        texts, versions, numbers, others = self._attributes
        for name, value in attributes.items():
            if value is condensed_devices.HOLE:
                continue
            known = texts
            key: Hashable = value.string
            if key is None:
                known, key = versions, value.version
            if key is None:
                known, key = numbers, value.int_
            if key is None:
                known, key = others, value
            attributes[name] = _shared(known, name, key, value)
            if known.get(name, _NOTHING) is None:
                self._own.add(name)

    def _node(self, node: objects.Node) -> None:
        meta, status = node.metadata, node.status
        _set(meta, "name", sys.intern(meta.name))
        for field in ("labels", "annotations"):
            texts = getattr(meta, field)
            if texts:
                _set(meta, field, self._texts(texts))
        for field in ("allocatable", "capacity"):
            sizes = getattr(status, field)
            if sizes:
                key = tuple(sizes.items())
                _set(status, field, _shared(self._others, f"node {field}", key, sizes))
        if status.conditions:
            conditions = _shared(
                self._others, "node conditions", status.conditions, status.conditions
            )
            _set(status, "conditions", conditions)

    def _texts(self, texts: dict[str, str]) -> dict[str, str]:
        """The map of shared keys and values; the decoder makes long keys anew each time."""
        known = self._others
        found: dict[str, str] = {}
        for name, text in texts.items():
            kept = known.get(name, _NOTHING)
            same = text if kept is None else kept.get(text)
            found[sys.intern(name)] = _shared(known, name, text, text) if same is None else same
        return found


def _shared(known: _Kept, name: str, key: Hashable, value: _T) -> _T:
    """The copy to keep of this value."""
    kept = known.get(name)
    if kept is None:
        if name in known or len(known) >= _MOST_NAMES:
            return value
        kept = known[name] = {}
    found: _T = kept.setdefault(key, value)
    if len(kept) > _MOST_VALUES:
        known[name] = None
    return found


_set = msgspec.structs.force_setattr
