"""From the API's devices to interned ones: values typed, quantities exact, taint rules merged.

Source: resource/v1 types.go; k8s.io/dynamic-resource-allocation resourceslice/tracker for rules.
"""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias, TypeVar, cast

from extender.hardware import allocator_features, shape
from extender.hardware.dra import device_facts, layout_cache, resource_pools, taint_rules
from extender.kube.api import condensed_devices, objects, quantity

# (name, qualified name, whether the real value is kept)
_Plan: TypeAlias = tuple[tuple[str, str, bool], ...]
_Key = TypeVar("_Key")
_Entry = TypeVar("_Entry")
# Units of work: to read a device, and each of its attributes.
_DEVICE, _ATTRIBUTE = 20, 5
# Capacities and taints as published repeat over a fleet; this many different ones are kept.
_MOST = 4096


class Interner:
    """Equal devices and pools become one object, for as long as somebody holds it.

    What was read of whole machines is kept too, so all are read by the same `Features`.
    """

    def __init__(self) -> None:
        self._devices: weakref.WeakValueDictionary[tuple[object, ...], shape.Device] = (
            weakref.WeakValueDictionary()
        )
        self._pools: weakref.WeakValueDictionary[tuple[object, ...], shape.Pool] = (
            weakref.WeakValueDictionary()
        )
        self.layouts = layout_cache.Layouts()
        self.work = 0  # units (see `demand.work`) that reading devices has taken so far
        # Conversions of published pieces, each bounded by _MOST.
        self._numberings: dict[tuple[int, tuple[str, ...]], dict[str, int]] = {}
        self._pool_of: dict[tuple[int, ...], tuple[int, ...]] = {}
        self._capacities: dict[objects.DeviceCapacity | objects.Quantity, shape.Capacity] = {}
        # (driver, attribute names, those apart) → how to read the attributes
        self._plans: dict[tuple[str, tuple[str, ...], layout_cache.Apart], _Plan] = {}

    def __len__(self) -> int:
        """How many devices and pools somebody holds."""
        return len(self._devices) + len(self._pools)

    def device(self, key: tuple[object, ...], build: Callable[[], shape.Device]) -> shape.Device:
        """Return the device of this content; `build` makes it when nobody holds one."""
        found = self._devices.get(key)
        if found is None:
            found = self._devices[key] = build()
        return found

    def pool(
        self,
        driver: str,
        name: str,
        start: int,
        stop: int,
        counters: resource_pools.Counters,
        broken: shape.Broken | None,
        slices: int,
    ) -> shape.Pool:
        """Return the pool of this content."""
        contents = tuple((s, tuple(sorted(c.items()))) for s, c in sorted(counters.items()))
        key = (driver, name, start, stop, contents, broken, slices)
        found = self._pools.get(key)
        if found is None:
            found = shape.Pool(driver, name, start, stop, counters, broken, slices)
            self._pools[key] = found
        return found

    def pool_of(self, lengths: tuple[int, ...]) -> tuple[int, ...]:
        """Device → index of its pool, for pools with so many devices that follow each other."""
        found = self._pool_of.get(lengths)
        if found is None:
            _empty_if_full(self._pool_of)
            found = tuple([i for i, length in enumerate(lengths) for _ in range(length)])
            self._pool_of[lengths] = found
        return found

    def numbering(self, start: int, names: tuple[str, ...]) -> dict[str, int]:
        """Return name → index for devices that stand one after the other from `start`."""
        key = (start, names)
        found = self._numberings.get(key)
        if found is None:
            _empty_if_full(self._numberings)
            found = {name: start + i for i, name in enumerate(names)}
            self._numberings[key] = found
        return found

    def capacity(self, value: objects.DeviceCapacity | objects.Quantity) -> shape.Capacity:
        """Convert a published capacity; a bare quantity is v1alpha3's form."""
        found = self._capacities.get(value)
        if found is None:
            _empty_if_full(self._capacities)
            found = self._capacities[value] = _capacity(value)
        return found

    def plan(self, driver: str, names: tuple[str, ...], apart: layout_cache.Apart) -> _Plan:
        """Return the attributes in a canonical order: name, qualified name, keep the value."""
        key = (driver, names, apart)
        found = self._plans.get(key)
        if found is None:
            _empty_if_full(self._plans)
            found = tuple(
                (
                    name,
                    name if "/" in name else f"{driver}/{name}",
                    not layout_cache.is_apart(name, apart),
                )
                for name in sorted(names)
            )
            self._plans[key] = found
        return found


class Reader:
    """Reads the devices of one node; renumbers what is apart, consistently over them."""

    def __init__(
        self,
        node_name: str,
        node_labels: Mapping[str, str],
        *,
        interner: Interner,
        rules: tuple[objects.DeviceTaintRule, ...],
        apart: layout_cache.Apart,
        features: allocator_features.AllocatorFeatures,
    ) -> None:
        self._node_name = node_name
        self._node_labels = node_labels
        self._interner = interner
        self._rules = taint_rules.TaintRules(rules)
        self._apart = apart
        self._features = features
        # (qualified name, type of a single value) → value → its number
        self._numbers: dict[tuple[str, str], dict[object, int]] = {}

    def layout(self, specs: Sequence[objects.ResourceSliceSpec]) -> layout_cache.Layout:
        """Return the devices of these slices, in their order."""
        known = self._interner.layouts
        signature = known.signature(specs, apart=self._apart, rest=self._rest)
        return known.find(signature, lambda: self._read(specs))

    def _rest(self, spec: objects.ResourceSliceSpec) -> object:
        """What of the slice's devices depends on the slice, on the node, and on taint rules."""
        rules = self._rules.of(spec)
        if not spec.per_device_node_selection:
            return rules, spec.node_name is not None
        devices = condensed_devices.alike(spec.devices)
        return rules, tuple([self._node_rule(spec, device) for device in devices])

    def _read(self, specs: Sequence[objects.ResourceSliceSpec]) -> layout_cache.Layout:
        published = [device for spec in specs for device in condensed_devices.alike(spec.devices)]
        attributes = sum([len(device.attributes or ()) for device in published])
        self._interner.work += _DEVICE * len(published) + _ATTRIBUTE * attributes
        devices: list[shape.Device] = []
        bare: list[shape.Device] = []
        names: set[str] = set()
        facts: list[device_facts.DeviceFacts] = []
        bodies: dict[str | device_facts.PciAddress, str] = {
            "": ""
        }  # physical device → its number here
        for spec in specs:
            for device in spec.devices or ():
                fact = device_facts.device_facts(spec.driver, device)
                body = bodies.setdefault(fact.body, str(len(bodies)))
                facts.append(dataclasses.replace(fact, body=body))
                names.update(name.rpartition("/")[2] for name in device.attributes or ())
                kept, renumbered = self._device(spec, device, fact.kind)
                devices.append(kept)
                bare.append(renumbered)
        kept_names = frozenset(
            name for name in names if not layout_cache.is_apart(name, self._apart)
        )
        return layout_cache.Layout(tuple(devices), tuple(facts), tuple(bare), kept_names)

    def _device(
        self, spec: objects.ResourceSliceSpec, device: objects.Device, kind: shape.Kind
    ) -> tuple[shape.Device, shape.Device]:
        """Return the interned device, and the one with all attributes renumbered."""
        published = device.attributes or {}
        kept = self._attributes(spec.driver, published, self._apart)
        bare = self._attributes(spec.driver, published, None)
        capacity = tuple(
            (name, self._interner.capacity(value))
            for name, value in sorted((device.capacity or {}).items())
        )
        rest = (
            _draws(device) if device.consumes_counters else (),
            self._rules.taints(spec, device),
            bool(device.allow_multiple_allocations) and self._features.newer_variant,
            bool(device.binds_to_node),
            tuple(device.binding_conditions or ()),
            tuple(device.binding_failure_conditions or ()),
            *self._node_rule(spec, device),
            kind,
        )

        def interned(attributes: tuple[tuple[str, shape.Value], ...]) -> shape.Device:
            return self._interner.device(
                (spec.driver, device.name, attributes, capacity, rest),
                lambda: shape.Device(
                    spec.driver, device.name, dict(attributes), dict(capacity), *rest
                ),
            )

        return interned(kept), interned(bare)

    def _node_rule(
        self, spec: objects.ResourceSliceSpec, device: objects.Device
    ) -> tuple[bool, bool]:
        """Whether a claim on the device is bound to the node, and whether the node may use it."""
        own_rule = bool(spec.per_device_node_selection)
        node = device.node_name if own_rule else spec.node_name
        admitted = not own_rule or resource_pools.device_admits(
            device, self._node_name, self._node_labels
        )
        known = self._features.binding_conditions or not device.binding_conditions
        return node is not None or bool(device.binds_to_node), admitted and known

    def _attributes(
        self,
        driver: str,
        attributes: Mapping[str, objects.DeviceAttribute],
        apart: layout_cache.Apart,
    ) -> tuple[tuple[str, shape.Value], ...]:
        plan = self._interner.plan(driver, tuple(attributes), apart)
        return tuple(
            (name, value_of(attributes[name]) if keep else self._renumbered(full, attributes[name]))
            for name, full, keep in plan
        )

    def _renumbered(self, name: str, attribute: objects.DeviceAttribute) -> shape.Value:
        """Replace the value by its number of first appearance; the type stays."""
        kind, value = value_of(attribute)
        if isinstance(value, tuple):
            single = kind[:-1]
            return kind, cast(
                "tuple[int | bool | str, ...]",
                tuple(self._number(name, single, member) for member in value),
            )
        return kind, self._number(name, kind, value)

    def _number(self, name: str, kind: str, value: int | bool | str) -> int | bool | str:
        if kind == "bool":
            return value
        known = self._numbers.setdefault((name, kind), {})
        number = known.setdefault(value, len(known))
        if kind == "int":
            return number
        # A version stays one that can be parsed.
        return f"{number}.0.0" if kind == "version" else str(number)


def with_values(device: shape.Device, published: objects.Device) -> shape.Device:
    """A copy of the device, not interned, with the attributes as the API has them."""
    attributes = {name: value_of(value) for name, value in (published.attributes or {}).items()}
    return dataclasses.replace(device, attributes=attributes)


def value_of(attribute: objects.DeviceAttribute) -> shape.Value:
    """The typed value; the API guarantees that exactly one is set."""
    if attribute.string is not None:
        return "string", attribute.string
    if attribute.int_ is not None:
        return "int", attribute.int_
    if attribute.bool_ is not None:
        return "bool", attribute.bool_
    if attribute.version is not None:
        return "version", attribute.version
    for kind in ("ints", "bools", "strings", "versions"):
        values = getattr(attribute, kind)
        if values is not None:
            return kind, tuple(values)
    # A type of a newer API, which the allocator of today does not know either.
    return "unknowns", ()


def _draws(device: objects.Device) -> tuple[tuple[str, tuple[tuple[str, int], ...]], ...]:
    return tuple(
        (
            drawn.counter_set,
            tuple(
                (name, quantity.nano(counter.value))
                for name, counter in sorted((drawn.counters or {}).items())
            ),
        )
        for drawn in device.consumes_counters or ()
    )


def _capacity(value: objects.DeviceCapacity | objects.Quantity) -> shape.Capacity:
    if not isinstance(value, objects.DeviceCapacity):
        return shape.Capacity(quantity.nano(value))
    policy = value.request_policy
    if policy is None:
        return shape.Capacity(quantity.nano(value.value))
    within = policy.valid_range
    return shape.Capacity(
        quantity.nano(value.value),
        shape.RequestPolicy(
            default=_nano(policy.default),
            valid_values=tuple(quantity.nano(v) for v in policy.valid_values or ()),
            minimum=_nano(within.min) if within else None,
            maximum=_nano(within.max) if within else None,
            step=_nano(within.step) if within else None,
        ),
    )


def _nano(value: objects.Quantity | None) -> int | None:
    return None if value is None else quantity.nano(value)


def _empty_if_full(cache: dict[_Key, _Entry]) -> None:
    """Empty a full cache: its content is derived and comes back as it is asked for."""
    if len(cache) >= _MOST:
        cache.clear()
