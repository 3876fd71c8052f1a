"""The objects last seen, by kind, and which nodes a change touches.

The store is a sink of the reflectors (`replace`, `apply`) and of the snapshot reader. It keeps what
the index needs to look up quickly, and marks the nodes that are to be read anew (`marked_nodes`). A
heartbeat (a Node that differs in nothing that scheduling reads) stops here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from extender.cluster import marked_nodes, pool_slices, relevant_fields
from extender.cluster.pods import bound_pods, nominated_pods
from extender.demand import kept_objects
from extender.kube.api import objects

PoolId: TypeAlias = pool_slices.PoolId
Key: TypeAlias = tuple[str, str]  # (namespace, name)

# What listeners get of a change: (kind, the object before, the object after).
Listener: TypeAlias = Callable[[str, objects.Object | None, objects.Object | None], None]

# The objects of a kind by key, and what is called with key, old and new object.
_Kind: TypeAlias = tuple[dict[Any, Any], Callable[[Any, Any, Any], None]]


class ClusterStore:
    """What the API server last said. All methods are synchronous; see the package's docstring."""

    def __init__(self) -> None:
        self.nodes: dict[str, objects.Node] = {}  # name → node
        self.pods: dict[Key, objects.Pod] = {}
        self.pods_on: dict[str, dict[Key, objects.Pod]] = {}  # node name → its pods
        self.tenants_on: dict[str, dict[Key, bound_pods.BoundPod]] = {}  # of the same pods
        self._nominations = nominated_pods.NominatedPods()
        self.nominated_on = self._nominations.on  # node name → pods that wait for it
        self._tenant: bound_pods.BoundPod | None = None  # of the pod that is being taken in
        # (kind, key) of an object that cannot be worked into the picture → why; it is not there
        self.unreadable: dict[tuple[str, Key | str], str] = {}
        self._bound: dict[Key, str] = {}  # pod → node name under which these have it
        self.slices: dict[str, objects.ResourceSlice] = {}  # name → slice
        self.slices_on: dict[str, dict[str, objects.ResourceSlice]] = {}  # node name → name → slice
        self.slices_beyond: dict[str, objects.ResourceSlice] = {}  # name → slice without nodeName
        self._pool_slices = pool_slices.PoolSlices()
        self.claims: dict[Key, objects.ResourceClaim] = {}
        # pool → claim → its part
        self.allocated: dict[PoolId, dict[Key, relevant_fields.Results]] = {}
        self.templates: dict[Key, objects.ResourceClaimTemplate] = {}
        self.classes: dict[str, objects.DeviceClass] = {}
        self.rules: dict[str, objects.DeviceTaintRule] = {}
        self.topologies: dict[str, objects.NodeResourceTopology] = {}  # node name → topology
        self.silent: set[str] = set()  # kinds that nothing is heard of
        self.read: set[str] = set()  # kinds that were listed once
        self.ignored: Counter[str] = Counter()  # kind → objects that nobody here keeps
        self._kinds = self._kinds_by_name()
        self.marked = marked_nodes.MarkedNodes()  # what changed since the index last settled
        self.classes_gone = 0  # classes deleted or changed so far: what they brought may go
        # CEL expression → how many classes, claims and templates have it
        self.expressions: Counter[str] = Counter()
        self.offered: Counter[str] = Counter()  # extended resource → nodes that have units of it
        self.served: Counter[str] = Counter()  # extended resource → classes that name it
        self.classes_version = 0  # moves when a class, and so perhaps a demand, changes
        # moves with a class, a claim, a template, what nodes offer at all, and what can be read
        self.demands_version = 0
        self.version = 0  # moves with every change that matters
        self.listeners: list[Listener] = []

    def __repr__(self) -> str:
        dirty = len(self.marked.named)
        return (
            f"<ClusterStore {len(self.nodes)} nodes, {len(self.pods)} pods, "
            f"{len(self.slices)} slices, {len(self.claims)} claims, {dirty} dirty>"
        )

    # ------------------------------------------------------------ the sink

    def replace(self, kind: str, items: Sequence[objects.Object], resource_version: str) -> None:
        """Make `items` all there is of the kind; what is missing from them is deleted."""
        del resource_version  # the reflector keeps it
        self.retain(kind, items)
        if kind in self._kinds:
            for item in items:
                self.apply(kind, "ADDED", item)

    def retain(self, kind: str, items: Sequence[objects.Object]) -> None:
        """Delete what is not among `items`, which are all there is; they are applied after it."""
        self.silent.discard(kind)
        self.read.add(kind)
        self.demands_version += 1
        if kind not in self._kinds:
            self.ignored[kind] += len(items)
            return
        table, _ = self._kinds[kind]
        seen = {_key(kind, item) for item in items}
        for key in [key for key in table if key not in seen]:
            self.apply(kind, "DELETED", table[key])

    def apply(self, kind: str, event: str, item: objects.Object) -> None:
        """Take in one event: ADDED and MODIFIED are the same here, DELETED removes."""
        self.silent.discard(kind)
        if kind not in self._kinds:
            self.ignored[kind] += 1
            return
        table, changed = self._kinds[kind]
        item = kept_objects.as_kept(item)  # a pod may have 1.5 MB of what nobody reads
        key = _key(kind, item)
        old = table.get(key)
        new = None if event == "DELETED" else item
        if old is not None and new is not None and relevant_fields.same(old, new):
            return  # the old one stays, which the look-ups have
        self.unreadable.pop((kind, key), None)
        new = new if self._readable(kind, key, new) else None
        if old is None and new is None:
            return
        if new is None:
            del table[key]
        else:
            table[key] = new
        changed(key, old, new)
        for listener in self.listeners:
            listener(kind, old, new)

    def bookmark(self, kind: str, resource_version: str) -> None:
        """The server is heard again; a bookmark changes no object."""
        del resource_version
        self.silent.discard(kind)

    def lost(self, kind: str, reason: str) -> None:
        """Nothing is heard of the kind; its last known objects stay until a list replaces them."""
        del reason
        self.silent.add(kind)
        self.demands_version += 1

    # ------------------------------------------------------------ lookups

    def claim(self, namespace: str, name: str) -> objects.ResourceClaim | None:
        return self.claims.get((namespace, name))

    def template(self, namespace: str, name: str) -> objects.ResourceClaimTemplate | None:
        return self.templates.get((namespace, name))

    @property
    def pending(self) -> bool:
        """Whether the index has something to settle."""
        return bool(self.marked)

    def tables(self) -> dict[str, dict[Any, Any]]:
        """The objects kept: kind → key → object."""
        return {kind: table for kind, (table, _) in self._kinds.items()}

    def counts(self) -> dict[str, int]:
        """How many objects of each kind are kept."""
        return {kind: len(table) for kind, table in self.tables().items()}

    def contents(self) -> list[tuple[str, list[objects.Object]]]:
        """The objects of each kind, as they are now: what a store made anew starts from."""
        return [(kind, list(table.values())) for kind, (table, _) in self._kinds.items()]

    def slices_of(self, node_name: str) -> Iterator[objects.ResourceSlice]:
        """Yield the slices that may concern the node: its own, then those that name no node.

        Last comes what other nodes have of the same pools where these share counters: a pool is
        judged as a whole. Of the other pools `slices_elsewhere` tells what is missing here.
        """
        own = self.slices_on.get(node_name, {}).values()
        yield from own
        yield from self.slices_beyond.values()
        yield from self._pool_slices.elsewhere(node_name, own)

    def slices_elsewhere(self, node_name: str) -> dict[PoolId, Mapping[int, int]]:
        """How many slices of which generation other nodes have of the node's pools."""
        return self._pool_slices.counts(node_name, self.slices_on.get(node_name, {}).values())

    # ------------------------------------------------------------ what a change touches

    def _kinds_by_name(self) -> dict[str, _Kind]:
        """Kind → where its objects are, and what their change touches."""
        return {
            "Node": (self.nodes, self._node_changed),
            "Pod": (self.pods, self._pod_changed),
            "ResourceSlice": (self.slices, self._slice_changed),
            "ResourceClaim": (self.claims, self._claim_changed),
            "ResourceClaimTemplate": (self.templates, self._template_changed),
            "DeviceClass": (self.classes, self._class_changed),
            "DeviceTaintRule": (self.rules, self._rule_changed),
            "NodeResourceTopology": (self.topologies, self._topology_changed),
        }

    def _node_changed(self, key: str, old: objects.Node | None, new: objects.Node | None) -> None:
        if relevant_fields.moved(
            self.offered, relevant_fields.offered(old), relevant_fields.offered(new)
        ):
            self.demands_version += 1
        self.marked.dirty_shapes.add(key)
        self.version += 1

    def _readable(self, kind: str, key: Key | str, item: objects.Object | None) -> bool:
        """Work out what can fail, before anything is changed; false if it does."""
        try:
            if isinstance(item, objects.Pod):
                self._tenant = bound_pods.bound_pod(item) if bound_to(item) else None
            elif isinstance(item, objects.Node):
                relevant_fields.offered(item)
        except Exception as error:  # noqa: BLE001 - whatever one object holds, the others count
            self.unreadable[kind, key] = f"{type(error).__name__}: {error}"
            return False
        return True

    def _pod_changed(self, key: Key, _old: object, new: objects.Pod | None) -> None:
        self._nominations.see(key, new)
        before, after = self._bound.pop(key, ""), bound_to(new)
        was = bound_pods.leave(key, self.pods_on, self.tenants_on, before) if before else None
        now = self._tenant
        if new is not None and now is not None:
            self._bound[key] = after
            self.pods_on.setdefault(after, {})[key] = new
            self.tenants_on.setdefault(after, {})[key] = now
            if before == after and was == now:
                return
        for name in {before, after} - {""}:
            self.marked.dirty.add(name)
            self.version += 1

    def _slice_changed(
        self, _key: str, old: objects.ResourceSlice | None, new: objects.ResourceSlice | None
    ) -> None:
        self._update_pool_slices(old, remove=True)
        self._update_pool_slices(new, remove=False)
        if pool_slices.shown_elsewhere(old) != pool_slices.shown_elsewhere(new):
            for item in (old, new):
                self._touch_pool(item)
        self.version += 1

    def _claim_changed(
        self, key: Key, old: objects.ResourceClaim | None, new: objects.ResourceClaim | None
    ) -> None:
        if (
            old is not None
            and new is not None
            and old.spec == new.spec
            and old.status.allocation == new.status.allocation
        ):
            return  # it is reserved for somebody, or its metadata moved on
        relevant_fields.moved(
            self.expressions, relevant_fields.expressions(old), relevant_fields.expressions(new)
        )
        self._hold(key, old, remove=True)
        self._hold(key, new, remove=False)
        self.demands_version += 1
        self.version += 1

    def _class_changed(
        self, _key: str, old: objects.DeviceClass | None, new: objects.DeviceClass | None
    ) -> None:
        relevant_fields.moved(
            self.expressions, relevant_fields.expressions(old), relevant_fields.expressions(new)
        )
        before, after = relevant_fields.served(old), relevant_fields.served(new)
        if relevant_fields.moved(self.served, before, after):
            # Nodes' units of these resources count now, or no longer.
            for name in before ^ after:
                self.marked.due |= {each for each, node in self.nodes.items() if offers(node, name)}
        self.classes_gone += old is not None
        self.classes_version += 1
        self.demands_version += 1
        self.version += 1

    def _rule_changed(
        self, _key: str, old: objects.DeviceTaintRule | None, new: objects.DeviceTaintRule | None
    ) -> None:
        selected = [rule.spec.device_selector for rule in (old, new) if rule is not None]
        # A rule without a selector selects nothing.
        self.marked.due_rules += [each for each in selected if each is not None]
        self.version += 1

    def _topology_changed(self, key: str, _old: object, _new: object) -> None:
        self.marked.due_usage.add(key)
        self.version += 1

    def _template_changed(
        self,
        _key: Key,
        old: objects.ResourceClaimTemplate | None,
        new: objects.ResourceClaimTemplate | None,
    ) -> None:
        relevant_fields.moved(
            self.expressions, relevant_fields.expressions(old), relevant_fields.expressions(new)
        )
        self.demands_version += 1
        self.version += 1

    def _update_pool_slices(self, item: objects.ResourceSlice | None, *, remove: bool) -> None:
        if item is None:
            return
        name, node_name = item.metadata.name, item.spec.node_name
        (self._pool_slices.remove if remove else self._pool_slices.put)(item)
        if node_name:
            mine = self.slices_on.setdefault(node_name, {})
            mine.pop(name, None)
            if not remove:
                mine[name] = item
            if not mine:
                del self.slices_on[node_name]
            self.marked.dirty_shapes.add(node_name)
            return
        self.slices_beyond.pop(name, None)
        if not remove:
            self.slices_beyond[name] = item
        self.marked.everything_due = True

    def _touch_pool(self, item: objects.ResourceSlice | None) -> None:
        """Mark what sees another part of the slice's pool."""
        if item is None:
            return
        others = self._pool_slices.others(item)
        if pool_slices.NO_NODE in others:
            self.marked.everything_due = True
        self.marked.due |= others - {pool_slices.NO_NODE}

    def _hold(self, key: Key, claim: objects.ResourceClaim | None, *, remove: bool) -> None:
        self.marked.dirty_pools |= relevant_fields.hold(self.allocated, key, claim, remove=remove)


def offers(node: objects.Node, resource: str) -> bool:
    """Whether the node's status names the resource at all."""
    return resource in (node.status.allocatable or ())


def bound_to(pod: objects.Pod | None) -> str:
    """The node whose devices the pod holds, empty where it holds none."""
    if pod is None or pod.status.phase in relevant_fields.FINISHED:
        return ""
    return pod.spec.node_name


def _key(kind: str, item: objects.Object) -> Key | str:
    name = item.metadata.name
    if kind in {"Pod", "ResourceClaim", "ResourceClaimTemplate"}:
        return (item.metadata.namespace or "default", name)
    return name
