"""The environment of device selectors: every function, type and variable there is.

Sources: apiserver pkg/cel/environment/base.go, dynamic-resource-allocation cel/compile.go.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from extender.demand.cel.library import (
    conversions,
    formats,
    lists,
    network,
    optionals,
    patterns,
    quantities,
    strings,
    temporal,
    urls,
    versions,
)
from extender.demand.cel.runtime import operators
from extender.demand.cel.typecheck import signatures
from extender.demand.cel.typecheck.signatures import Implementation, Overload, Type

# The authoriser's functions type-check on a dyn, and then always fail.
_AUTHORIZER = (
    "Authorizer::path(string) -> PathCheck",
    "Authorizer::group(string) -> GroupCheck",
    "Authorizer::serviceAccount(string, string) -> Authorizer",
    "GroupCheck::resource(string) -> ResourceCheck",
    "ResourceCheck::subresource(string) -> ResourceCheck",
    "ResourceCheck::namespace(string) -> ResourceCheck",
    "ResourceCheck::name(string) -> ResourceCheck",
    "PathCheck::check(string) -> Decision",
    "ResourceCheck::check(string) -> Decision",
    "Decision::errored() -> bool",
    "Decision::error() -> string",
    "Decision::allowed() -> bool",
    "Decision::reason() -> string",
    "ResourceCheck::fieldSelector(string) -> ResourceCheck",
    "ResourceCheck::labelSelector(string) -> ResourceCheck",
)
_FOLDING = (
    "@put(map(A, B), A, B) -> map(A, B)",
    "@put(map(A, B), map(A, B)) -> map(A, B)",
)

# In upstream's order: it decides what the type variables of an empty list become.
_OVERLOADS: tuple[Overload, ...] = (
    *map(signatures.overload, operators.SIGNATURES),
    *conversions.OVERLOADS,
    *temporal.OVERLOADS,
    *urls.OVERLOADS,
    *patterns.OVERLOADS,
    *lists.OVERLOADS,
    *map(signatures.overload, _AUTHORIZER),
    *optionals.OVERLOADS,
    *quantities.OVERLOADS,
    *strings.OVERLOADS,
    *network.OVERLOADS,
    *formats.OVERLOADS,
    *map(signatures.overload, _FOLDING),
    *versions.OVERLOADS,
)


def _by_function(overloads: tuple[Overload, ...]) -> Mapping[str, tuple[Overload, ...]]:
    found: dict[str, tuple[Overload, ...]] = {}
    for overload in overloads:
        found[overload.function] = (*found.get(overload.function, ()), overload)
    return found


_DROPPED = (conversions.DURATION_OF_INT, *strings.INDEX_OF)

# name → overloads: before 1.36, in 1.36, since 1.37
_FUNCTIONS = _by_function(_OVERLOADS)
_FUNCTIONS_36 = _by_function((*_OVERLOADS, *lists.INCLUDES))
_FUNCTIONS_37 = _by_function((
    *(one for one in _OVERLOADS if one not in _DROPPED), *strings.NEWER_INDEX_OF, *lists.INCLUDES,
))  # fmt: skip

SINGLETONS: Mapping[str, Implementation] = {**operators.IMPLEMENTATIONS, **lists.IMPLEMENTATIONS}

_TYPES = (
    signatures.BOOL, signatures.BYTES, signatures.DOUBLE, signatures.DURATION, signatures.INT,
    signatures.list_of(signatures.DYN), signatures.map_of(signatures.DYN, signatures.DYN),
    signatures.NULL, signatures.STRING, signatures.TIMESTAMP, signatures.TYPE, signatures.UINT,
    signatures.optional_of(signatures.DYN), signatures.IP, signatures.CIDR,
)  # fmt: skip

# variables and types by name
NAMES: Mapping[str, Type] = {
    **{one.name: signatures.type_of(one) for one in _TYPES},
    "device": signatures.DEVICE,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Dialect:
    """What versions and feature gates of Kubernetes change.

    `minor`: of Kubernetes 1.x; 1.36 adds `includes`, 1.37 a newer cel-go. `shares`:
    `device.allowMultipleAllocations` is known. `dynamic`: attributes are dyn, so that they can be
    iterated over, rather than any.
    """

    minor: int = 36
    shares: bool = True
    dynamic: bool = False

    @property
    def newer(self) -> bool:
        """Whether it is the cel-go of 1.37."""
        return self.minor >= 37

    @property
    def functions(self) -> Mapping[str, tuple[Overload, ...]]:
        """Name → overloads, in the order in which they are tried."""
        if self.newer:
            return _FUNCTIONS_37
        return _FUNCTIONS_36 if self.minor == 36 else _FUNCTIONS

    @property
    def fields(self) -> Mapping[str, Mapping[str, Type]]:
        """Name of an object type → field → type."""
        device = {
            "driver": signatures.STRING,
            "attributes": _domains(signatures.DYN if self.dynamic else signatures.ANY),
            "capacity": _domains(signatures.QUANTITY),
        }
        if self.shares:
            device["allowMultipleAllocations"] = signatures.BOOL
        return {signatures.DEVICE.name: device}

    @property
    def results(self) -> frozenset[str]:
        """Kinds of types that a selector may have."""
        return frozenset({"bool", "dyn" if self.dynamic else "any"})


def _domains(value: Type) -> Type:
    return signatures.map_of(signatures.STRING, signatures.map_of(signatures.STRING, value))
