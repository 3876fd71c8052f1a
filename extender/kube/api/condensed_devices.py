"""The devices of a slice in a tenth of their memory: what machines have in common, and the rest.

Machines of one kind publish the same devices but for serial numbers and addresses. As objects, 48
devices take 37 KB on each machine; the values that are its own take 2.5 KB of JSON, and one list of
devices serves all machines. Reading them makes the objects anew, 25 us for 48, so what asks about
nothing that is a machine's own goes through `alike`.
"""

from __future__ import annotations

import array
import copy
from collections.abc import Iterator, Sequence
from typing import Any, overload

import msgspec

from extender.kube.api import objects

# Stands for a value that is each machine's own; known by its identity.
HOLE = objects.DeviceAttribute()
_MOST_POSITIONS = 64  # machines of one kind repeat their values in one way
_NONE: tuple[objects.Device, ...] = ()
_VALUES = msgspec.json.Decoder(tuple[objects.DeviceAttribute, ...])
_set = msgspec.structs.force_setattr


class SharedDevices:
    """Devices with `HOLE` where a machine has its own value, and for each device these names."""

    __slots__ = ("__weakref__", "devices", "names", "positions")

    def __init__(self, devices: tuple[objects.Device, ...]) -> None:
        self.devices = devices
        self.names = tuple(
            [
                tuple([name for name, value in (each.attributes or {}).items() if value is HOLE])
                for each in devices
            ]
        )
        self.positions: dict[bytes, bytes] = {}  # those of its users, which most have alike


class CondensedDevices(Sequence[objects.Device]):
    """The devices that are `shared`, with the holes filled by `own`, in their order.

    Partitions of one GPU repeat its serial number: then each value is kept once, and `_positions`
    has that of each hole.
    """

    __slots__ = ("_own", "_positions", "shared")
    __hash__ = None  # type: ignore[assignment]  # as of a tuple of devices, which have maps

    def __init__(self, shared: SharedDevices, own: Sequence[objects.DeviceAttribute]) -> None:
        self.shared = shared
        number = {value: position for position, value in enumerate(dict.fromkeys(own))}
        self._own = msgspec.json.encode(tuple(number))
        self._positions = b""
        if len(number) < len(own):
            positions = array.array("I", [number[value] for value in own]).tobytes()
            if len(shared.positions) >= _MOST_POSITIONS:
                shared.positions.clear()
            self._positions = shared.positions.setdefault(positions, positions)

    def __len__(self) -> int:
        return len(self.shared.devices)

    def __iter__(self) -> Iterator[objects.Device]:
        values = self._values()
        for device, names in zip(self.shared.devices, self.shared.names, strict=True):
            yield _filled(device, names, values) if names else device

    def _values(self) -> Iterator[objects.DeviceAttribute]:
        found = _VALUES.decode(self._own)
        return (
            map(found.__getitem__, array.array("I", self._positions))
            if self._positions
            else iter(found)
        )

    @overload
    def __getitem__(self, index: int) -> objects.Device: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[objects.Device, ...]: ...
    def __getitem__(self, index: int | slice) -> objects.Device | tuple[objects.Device, ...]:
        return tuple(self)[index]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, CondensedDevices) and self.shared is other.shared:
            return (self._own, self._positions) == (other._own, other._positions)
        return isinstance(other, (CondensedDevices, tuple)) and tuple(self) == tuple(other)


def _filled(
    device: objects.Device, names: tuple[str, ...], values: Iterator[objects.DeviceAttribute]
) -> objects.Device:
    attributes = dict(device.attributes or {})
    for name in names:
        attributes[name] = next(values)
    found = copy.copy(device)
    _set(found, "attributes", attributes)
    return found


def alike(devices: Sequence[objects.Device] | None) -> Sequence[objects.Device]:
    """The devices for who reads no attributes: with holes in these, and without making any."""
    if isinstance(devices, CondensedDevices):
        return devices.shared.devices
    return devices or _NONE


def to_builtins(item: objects.Object) -> Any:  # noqa: ANN401 - what JSON has
    """The object as JSON has it, its devices whole."""
    return msgspec.to_builtins(item, enc_hook=_whole)


def _whole(value: object) -> tuple[objects.Device, ...]:
    if isinstance(value, CondensedDevices):
        return tuple(value)
    raise NotImplementedError(type(value).__name__)
