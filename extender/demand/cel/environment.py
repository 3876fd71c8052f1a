"""The environment of device selectors: every function, type and variable there is.

Sources: apiserver pkg/cel/environment/base.go, dynamic-resource-allocation cel/compile.go.
"""

from __future__ import annotations

from collections.abc import Mapping

from extender.demand.cel import (
    conversions,
    formats,
    lists,
    network,
    operators,
    optionals,
    patterns,
    quantities,
    signatures,
    strings,
    temporal,
    urls,
    versions,
)
from extender.demand.cel.signatures import Implementation, Overload, Type

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


# name → overloads, without and with list attributes
FUNCTIONS = _by_function(_OVERLOADS)
FUNCTIONS_WITH_LISTS = _by_function((*_OVERLOADS, *lists.INCLUDES))

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


def fields(*, lists_allowed: bool, shares_allowed: bool) -> Mapping[str, Mapping[str, Type]]:
    """The fields of object types; `shares_allowed` adds allowMultipleAllocations."""
    value = signatures.DYN if lists_allowed else signatures.ANY
    device = {
        "driver": signatures.STRING,
        "attributes": _domains(value),
        "capacity": _domains(signatures.QUANTITY),
    }
    if shares_allowed:
        device["allowMultipleAllocations"] = signatures.BOOL
    return {signatures.DEVICE.name: device}


def _domains(value: Type) -> Type:
    return signatures.map_of(signatures.STRING, signatures.map_of(signatures.STRING, value))
