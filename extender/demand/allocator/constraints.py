"""matchAttribute and distinctAttribute, as state that grows and shrinks with the search.

Source: k8s.io/dynamic-resource-allocation allocator_experimental.go and constraint.go.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Protocol

from extender.hardware import allocator_features, shape


class Rule(Protocol):
    """One constraint of a claim: devices are added as they are picked, and removed again."""

    def add(self, value: shape.Value | None, request: str) -> bool:
        """Take in a device by its value of the attribute; false, and nothing changed, if not."""

    def remove(self, request: str) -> None:
        """Undo the last `add` that was true; `request` is its request."""

    def state(self) -> Hashable:
        """All that the answers of later calls depend on."""


def rule(*, distinct: bool, features: allocator_features.AllocatorFeatures) -> Rule:
    """Make the state of one constraint."""
    if not distinct:
        return _MatchAttribute(features)
    return _DistinctByRequest(features) if features.distinct else _Distinct(features)


def lookup(attribute: str, device: shape.Device) -> shape.Value | None:
    """The device's value: under the full name, or under the bare id in the driver's own domain."""
    found = device.attributes.get(attribute)
    if found is None:
        domain, _, identifier = attribute.partition("/")
        if domain == device.driver and identifier:
            found = device.attributes.get(identifier)
    return found


class _MatchAttribute:
    """All devices have one value in common; the first device sets it."""

    def __init__(self, features: allocator_features.AllocatorFeatures) -> None:
        self._lists = features.list_attributes
        self._keeps = features.list_undo
        self._count = 0
        self._value: shape.Value | None = None
        self._common: list[frozenset[object]] = []  # one per device; lists only

    def add(self, value: shape.Value | None, request: str) -> bool:  # noqa: ARG002 (protocol)
        if value is None:
            return False
        if self._lists:
            return self._add_set(_members(value))
        if self._count == 0:
            self._value = value
        elif value != self._value or _is_list(value):
            return False
        self._count += 1
        return True

    def _add_set(self, members: frozenset[object]) -> bool:
        if not members:
            return False
        if self._count == 0:
            self._common = [members]
        else:
            common = self._common[-1] & members
            if not common:
                return False
            self._common.append(common)
        self._count += 1
        return True

    def remove(self, request: str) -> None:  # noqa: ARG002 (protocol)
        self._count -= 1
        if self._lists and not self._keeps:
            self._common.pop()

    def state(self) -> Hashable:
        if not self._count:
            return None
        return self._common[-1] if self._lists else self._value


class _Distinct:
    """No two devices have a value in common."""

    def __init__(self, features: allocator_features.AllocatorFeatures) -> None:
        self._lists = features.list_attributes
        self._values: list[shape.Value] = []

    def add(self, value: shape.Value | None, request: str) -> bool:  # noqa: ARG002 (protocol)
        if value is None or not _differs(value, self._values, lists=self._lists):
            return False
        self._values.append(value)
        return True

    def remove(self, request: str) -> None:  # noqa: ARG002 (protocol)
        self._values.pop()

    def state(self) -> Hashable:
        return frozenset(self._values)


class _DistinctByRequest:
    """The same with its defect: one value per request is remembered, and undo forgets it."""

    def __init__(self, features: allocator_features.AllocatorFeatures) -> None:
        self._lists = features.list_attributes
        self._count = 0
        self._values: dict[str, shape.Value] = {}  # request → its last value

    def add(self, value: shape.Value | None, request: str) -> bool:
        if value is None:
            return False
        if self._count and not _differs(value, self._values.values(), lists=self._lists):
            return False
        self._values[request] = value
        self._count += 1
        return True

    def remove(self, request: str) -> None:
        self._values.pop(request, None)
        self._count -= 1

    def state(self) -> Hashable:
        return (self._count > 0, frozenset(self._values.items()))


def _differs(value: shape.Value, others: Iterable[shape.Value], *, lists: bool) -> bool:
    """Whether the value may stand beside the others; a type nobody knows may beside none."""
    if lists:
        members = _members(value)
        return bool(members) and all(members.isdisjoint(_members(other)) for other in others)
    return all(value != other and not _is_list(value) for other in others)


def _is_list(value: shape.Value) -> bool:
    return isinstance(value[1], tuple)


def _members(value: shape.Value) -> frozenset[object]:
    """The values as a set, each with its type; a single value is a set of one."""
    kind, content = value
    if isinstance(content, tuple):
        return frozenset((kind[:-1], member) for member in content)
    return frozenset(((kind, content),))
