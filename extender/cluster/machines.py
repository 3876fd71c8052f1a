"""From a node's objects to its machine: an interned shape, and what names its devices.

DRA devices come first, in the allocator's order, then the units behind device plug-ins. Where
devices sit is read from the published attributes before the shape forgets values.

An attribute's value stays in the shape as long as all machines that are alike in everything else
agree on it. Once two of them differ (uuid, serial, a driver's version while it is being upgraded),
its values are apart: renumbered in all shapes, so that they split none. What a claim asks about
them is answered from the published devices, node by node.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from extender.cluster import plugin_usage, pool_slices, relevant_fields, store
from extender.cluster.pods import bound_pods, reservations
from extender.demand.allocator import allocator
from extender.hardware import (
    allocator_features,
    device_topology,
    gpu_count,
    plugin_devices,
    resource_names,
    shape,
)
from extender.hardware.catalogue import catalogue
from extender.hardware.dra import device_facts, layout_cache, slices
from extender.hardware.shape import Broken, Shape
from extender.hardware.usage import Usage
from extender.kube.api import objects, quantity

_MOST_KNOWN = 4096  # distinct machines remembered; a fleet has tens
# Units of work (see `demand.work`) after which a turn takes up no other node; one that is new here
# may take as much by itself.
TURN = 4_000
# Units of work: to read a node, and each of its devices, as the like of it was read before; and
# so many pairs of devices of a new machine, of which is found how close they are.
_NODE, _KNOWN_DEVICE, _PAIRS = 50, 3, 6


@dataclasses.dataclass(frozen=True, slots=True)
class Machine:
    """One node's hardware: its shape, and the names that the shape leaves out."""

    inventory: slices.NodeDevices
    shape: Shape
    broken: Broken | None = None  # the worst of its own counter pools, for other nodes

    def is_like(self, other: Machine) -> bool:
        """Whether it has the same devices in the same places, whatever values these publish."""
        mine, theirs = self.inventory, other.inventory
        return self.shape is other.shape or (
            (mine.layout.bare, mine.pools, self.shape.resources)
            == (theirs.layout.bare, theirs.pools, other.shape.resources)
        )

    @property
    def pool_names(self) -> tuple[slices.PoolName, ...]:
        return self.inventory.pool_names


class Builder:
    """Builds machines; interns devices and shapes, and finds out which attributes tell them apart.

    `apart` are the identifiers (the part after the slash) of these. It only grows, and is replaced
    when it does. No claim or class has a say in it.
    """

    def __init__(
        self,
        *,
        features: allocator_features.AllocatorFeatures,
        hardware: catalogue.Catalogue,
    ) -> None:
        self.features = features
        self.hardware = hardware
        self._table = hardware.resources  # without the policy's own entries
        self.apart: frozenset[str] = frozenset()
        self._interner = slices.Interner()
        self._shapes: dict[tuple[object, ...], shape.Shape] = {}  # content → shape
        # What was read of a node's devices, its pools, what it says of plug-ins → shape
        self._by_facts: dict[
            tuple[layout_cache.Layout, tuple[shape.Pool, ...], plugin_devices.NodeFacts],
            shape.Shape,
        ] = {}
        self._links: dict[tuple[device_facts.DeviceFacts, ...], device_topology.DeviceTopology] = {}
        self._linked = hardware.linked
        self._work = 0
        # Content without values of attributes → the first shape with that content
        self._first: dict[tuple[object, ...], shape.Shape] = {}

    def anew(self) -> Builder:
        """A builder with the same knowledge and nothing interned, for verification."""
        fresh = Builder(features=self.features, hardware=self.hardware)
        fresh.apart = self.apart
        return fresh

    def extend(self, own: tuple[resource_names.Resource, ...]) -> bool:
        """Know these resources of plug-ins, too; true if machines must be read anew."""
        table = self._table.extended(own)
        if table == self.hardware.resources:
            return False
        self.hardware = dataclasses.replace(self.hardware, resources=table)
        self._by_facts.clear()
        return True

    @property
    def work(self) -> int:
        """Units (see `demand.work`) that building machines has taken so far."""
        return self._work + self._interner.work

    def machine(self, node: objects.Node, source: store.ClusterStore) -> Machine:
        """Build the node's machine from its slices, its labels and the catalogue."""
        facts = plugin_devices.node_facts(
            node, self.hardware.resources, served=source.served.keys()
        )
        inventory = self._inventory(node, source)
        self._work += _NODE + len(inventory.devices) * _KNOWN_DEVICE
        while (found := self._shape(inventory, facts)) is None:
            inventory = self._inventory(node, source)  # it showed another attribute to be apart
        return Machine(
            shape=found, inventory=inventory, broken=self._broken(node.metadata.name, source)
        )

    def is_outdated(self, machine: Machine) -> bool:
        """Whether its shape has values that are apart by now; it is right, but alone."""
        return not self.apart.isdisjoint(machine.inventory.layout.kept)

    def _inventory(self, node: objects.Node, source: store.ClusterStore) -> slices.NodeDevices:
        name = node.metadata.name
        return slices.inventory(
            name,
            node.metadata.labels or {},
            source.slices_of(name),
            elsewhere=source.slices_elsewhere(name),
            features=self.features,
            interner=self._interner,
            rules=source.rules.values(),
            apart=self.apart,
        )

    def _shape(
        self, inventory: slices.NodeDevices, node: plugin_devices.NodeFacts
    ) -> shape.Shape | None:
        """The interned shape; equal machines cost a look-up each.

        None where it shows that another attribute is apart: then the inventory is out of date.
        """
        key = (inventory.layout, inventory.pools, node)
        found = self._by_facts.get(key)
        if found is not None:
            return found
        content = self._content(inventory, node)
        self._work += len(content.devices) ** 2 // _PAIRS
        bare = inventory.layout.bare + content.devices[len(inventory.devices) :]
        if len(self._first) >= _MOST_KNOWN:
            self._first.clear()
        first = self._first.setdefault(_key(content, bare), content)
        varied = self.differing(first, content) - self.apart
        if varied:
            self.apart |= varied
            return None
        if len(self._by_facts) >= _MOST_KNOWN:
            self._by_facts.clear()
        found = self._by_facts[key] = self._shapes.setdefault(
            _key(content, content.devices), content
        )
        return found

    def differing(self, one: shape.Shape, other: shape.Shape) -> frozenset[str]:
        """Identifiers of the attributes whose values differ between two otherwise equal shapes."""
        return frozenset(
            name.rpartition("/")[2]
            for mine, theirs in zip(one.devices, other.devices, strict=True)
            if mine is not theirs
            for name, value in mine.attributes.items()
            if theirs.attributes[name] != value
        )

    def _broken(self, name: str, source: store.ClusterStore) -> shape.Broken | None:
        """How the node's own counter pools are broken in the eyes of other nodes.

        A pool of which others have a part is passed over: to them it may be whole, and they must
        not be refused for what the rest sees. (The rest kube-scheduler has failed by itself.)
        """
        own = source.slices_on.get(name, {}).values()
        counting = {pool_slices.pool_of(item) for item in own if item.spec.shared_counters}
        if not counting or not self.features.counters_everywhere:
            return None
        whole = [item for item in source.slices_of(name) if pool_slices.pool_of(item) in counting]
        spread = {pool_slices.pool_of(item) for item in whole if item.spec.node_name != name}
        whole = [item for item in whole if pool_slices.pool_of(item) not in spread]
        return slices.worst(slices.broken_pools(whole, features=self.features).values())

    def _topology(
        self, facts: tuple[device_facts.DeviceFacts, ...]
    ) -> device_topology.DeviceTopology:
        """The links of these devices; layouts with the same facts share them."""
        found = self._links.get(facts)
        if found is None:
            if len(self._links) >= _MOST_KNOWN:
                self._links.clear()
            found = self._links[facts] = device_topology.device_topology(facts, linked=self._linked)
        return found

    def _content(
        self, inventory: slices.NodeDevices, node: plugin_devices.NodeFacts
    ) -> shape.Shape:
        plugin = plugin_devices.inventory(node, self.hardware, first=len(inventory.devices))
        facts = inventory.layout.facts
        topology = self._topology(facts)
        whole = [f for f in facts if f.kind is shape.Kind.GPU]
        product = next((f.product for f in whole if f.product), "")
        tags = dict(node.labels)
        if not product and inventory.devices:
            known = plugin_devices.product_of(tags, self.hardware)
            product = known.name if known is not None and whole else ""
        sources = {"ResourceSlice"} if inventory.devices else set()
        return shape.Shape(
            devices=inventory.devices + plugin.devices,
            pools=inventory.pools,
            resources=plugin.resources,
            levels=_joined(topology, plugin),
            numa=topology.numa + plugin.numa,
            root=topology.root + plugin.root,
            body=gpu_count.gpu_bodies(facts),
            rail=topology.rail and topology.rail + ("",) * len(plugin.devices),
            partitions=topology.partitions and topology.partitions + ((),) * len(plugin.devices),
            product=product or plugin.product,
            platform=(
                self.hardware.platform(product, tags, gpus=len(whole))
                if product
                else plugin.platform
            ),
            sources=frozenset(sources) | plugin.sources,
        )


def usage(
    machine: Machine,
    allocated: Mapping[store.PoolId, Mapping[store.Key, relevant_fields.Results]],
    bound: Iterable[bound_pods.BoundPod],
    *,
    features: allocator_features.AllocatorFeatures,
    topology: objects.NodeResourceTopology | None = None,
    doubted: list[tuple[str, str]] | None = None,
) -> Usage:
    """What allocated claims and bound pods take of the machine.

    `topology` is the node's NodeResourceTopology, where there is one. To `doubted` goes which pod's
    annotation is not believed, and why.
    """
    results = [
        result
        for pool in dict.fromkeys(machine.pool_names)
        for held in allocated.get(pool, {}).values()
        for result in held
    ]
    used = slices.used(machine.inventory, results, features=features)
    if not machine.shape.resources:
        return used
    held, taken, inferred = plugin_usage.held_by(bound, machine.shape, topology, doubted)
    return Usage(used.taken | taken, used.shared, used.drawn, held, inferred)


def with_reservation(hardware: shape.Shape, used: Usage, held: reservations.Reservation) -> Usage:
    """The usage with a soft reservation on top; units are never counted beyond what there is."""
    if held.picks:
        used = allocator.after(hardware, used, held.picks)
    if not held.held:
        return used
    counts = tuple(
        [
            min(resource.count, now + more)
            for resource, now, more in zip(hardware.resources, used.held, held.held, strict=True)
        ]
    )
    inferred = used.inferred or bool(held.taken)
    return Usage(used.taken | held.taken, used.shared, used.drawn, counts, inferred)


def allocatable(node: objects.Node) -> tuple[int, int]:
    """CPU in milli and memory in bytes that the node offers; 0 where it does not say."""
    offered = node.status.allocatable or {}
    return quantity.milli(offered.get("cpu", 0)), quantity.whole(offered.get("memory", 0))


def _joined(
    left: device_topology.DeviceTopology, right: plugin_devices.PluginInventory
) -> tuple[bytes, ...]:
    """Two level matrices side by side; across sources only the NUMA node says how close."""

    def between(one: int | None, other: int | None) -> int:
        if one is None or other is None:
            return shape.Level.UNKNOWN
        return shape.Level.NODE if one == other else shape.Level.SYS

    across = [bytes(between(one, other) for other in right.numa) for one in left.numa]
    back = [bytes(between(one, other) for other in left.numa) for one in right.numa]
    return tuple(
        [row + more for row, more in zip(left.levels, across, strict=True)]
        + [more + row for row, more in zip(right.levels, back, strict=True)]
    )


def contents(hardware: shape.Shape) -> tuple[object, ...]:
    """The shape as plain values: equal for equal machines, whoever interned them."""
    devices = tuple(
        tuple(
            tuple(sorted(value.items())) if isinstance(value, dict) else value
            for value in (getattr(device, field.name) for field in dataclasses.fields(device))
        )
        for device in hardware.devices
    )
    return _key(hardware, devices)


class ShapeComparison:
    """Whether two values say the same: shapes by their contents, each pair compared once."""

    def __init__(self) -> None:
        self._same: dict[tuple[int, int], bool] = {}  # identities of two shapes that stay

    def __call__(self, one: object, other: object) -> bool:
        if not (isinstance(one, shape.Shape) and isinstance(other, shape.Shape)):
            return one == other
        pair = id(one), id(other)
        if pair not in self._same:
            self._same[pair] = contents(one) == contents(other)
        return self._same[pair]


def _key(content: shape.Shape, devices: tuple[object, ...]) -> tuple[object, ...]:
    """What makes two shapes equal; interned devices stand for themselves."""
    pools = tuple(
        (
            pool.driver,
            pool.name,
            pool.start,
            pool.stop,
            pool.broken,
            tuple((name, tuple(sorted(c.items()))) for name, c in sorted(pool.counters.items())),
        )
        for pool in content.pools
    )
    rest: tuple[object, ...] = (content.resources, content.levels, content.numa, content.root)
    rest += (content.body, content.rail, content.partitions)
    return (devices, pools, *rest, content.product, content.platform, content.sources)
