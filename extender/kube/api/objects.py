"""API objects, as far as we read them: typed, frozen, and out of the garbage collector's sight.

Field names are the API's, in Python's spelling (`nodeName` → `node_name`). Unknown fields are
skipped by the decoder, so that newer API servers do no harm. Every list or map may also arrive as
null (Go prints nil so); `decoding` and the snapshot reader accept both.

Sources: k8s.io/api core/v1, resource/v1 (and v1beta1, v1alpha3 for older slices and claims).
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

# Go's types: a number beyond them is refused there, and so here.
Int32: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
Int64: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]

Quantity: TypeAlias = str | int | float
Quantities: TypeAlias = dict[str, Quantity]  # resource name → quantity


class Struct(msgspec.Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """A piece of an API object."""


class OwnerReference(Struct, frozen=True):
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None


class ObjectMeta(Struct, frozen=True):
    name: str = ""
    namespace: str = ""
    generate_name: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: Int64 = 0
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: tuple[OwnerReference, ...] | None = None


# ---------------------------------------------------------------- nodes


class NodeTaint(Struct, frozen=True):
    key: str = ""
    value: str = ""
    effect: str = ""


class NodeCondition(Struct, frozen=True):
    type: str = ""
    status: str = ""
    reason: str = ""


class NodeSpec(Struct, frozen=True):
    unschedulable: bool = False
    provider_id: str = msgspec.field(name="providerID", default="")
    taints: tuple[NodeTaint, ...] | None = None


class NodeStatus(Struct, frozen=True):
    allocatable: Quantities | None = None
    capacity: Quantities | None = None
    conditions: tuple[NodeCondition, ...] | None = None


class Node(Struct, frozen=True):
    metadata: ObjectMeta = ObjectMeta()
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


# ---------------------------------------------------------------- pods


class ResourceRequirements(Struct, frozen=True):
    limits: Quantities | None = None
    requests: Quantities | None = None


class ContainerPort(Struct, frozen=True):
    host_port: int = 0


class Container(Struct, frozen=True):
    name: str = ""
    resources: ResourceRequirements = ResourceRequirements()
    restart_policy: str | None = None
    ports: tuple[ContainerPort, ...] | None = None


class Present(Struct, frozen=True):
    """Something of which only matters that it is there."""


class NodeSelectorRequirement(Struct, frozen=True):
    key: str = ""
    operator: str = ""
    values: tuple[str, ...] | None = None


class NodeSelectorTerm(Struct, frozen=True):
    match_expressions: tuple[NodeSelectorRequirement, ...] | None = None
    match_fields: tuple[NodeSelectorRequirement, ...] | None = None


class NodeSelector(Struct, frozen=True):
    node_selector_terms: tuple[NodeSelectorTerm, ...] | None = None


class NodeAffinity(Struct, frozen=True):
    required: NodeSelector | None = msgspec.field(
        name="requiredDuringSchedulingIgnoredDuringExecution", default=None
    )


class PodAffinity(Struct, frozen=True):
    """Affinity to pods, or anti-affinity: the terms that must hold."""

    required: tuple[Present, ...] | None = msgspec.field(
        name="requiredDuringSchedulingIgnoredDuringExecution", default=None
    )


class Affinity(Struct, frozen=True):
    node_affinity: NodeAffinity | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAffinity | None = None


class TopologySpreadConstraint(Struct, frozen=True):
    when_unsatisfiable: str = ""


class Volume(Struct, frozen=True):
    persistent_volume_claim: Present | None = None
    ephemeral: Present | None = None


class PodResourceClaim(Struct, frozen=True):
    """`source` is the form before Kubernetes 1.31; `pod_group_resource_claim` is alpha."""

    name: str = ""
    resource_claim_name: str | None = None
    resource_claim_template_name: str | None = None
    source: Present | None = None
    pod_group_resource_claim: str | None = None


class SchedulingGroup(Struct, frozen=True):
    pod_group_name: str = ""


class WorkloadReference(Struct, frozen=True):
    name: str = ""
    pod_group: str = ""
    pod_group_replica_key: str = ""


class PodToleration(Struct, frozen=True):
    key: str = ""
    operator: str = ""
    value: str = ""
    effect: str = ""


class PodSpec(Struct, frozen=True):
    node_name: str = ""
    scheduler_name: str = ""
    priority: Int32 | None = None
    priority_class_name: str = ""
    preemption_policy: str | None = None
    runtime_class_name: str | None = None
    node_selector: dict[str, str] | None = None
    containers: tuple[Container, ...] | None = None
    init_containers: tuple[Container, ...] | None = None
    resources: ResourceRequirements | None = None
    overhead: Quantities | None = None
    resource_claims: tuple[PodResourceClaim, ...] | None = None
    tolerations: tuple[PodToleration, ...] | None = None
    scheduling_group: SchedulingGroup | None = None
    workload_ref: WorkloadReference | None = None
    affinity: Affinity | None = None
    topology_spread_constraints: tuple[TopologySpreadConstraint, ...] | None = None
    volumes: tuple[Volume, ...] | None = None


class PodResourceClaimStatus(Struct, frozen=True):
    name: str = ""
    resource_claim_name: str | None = None


class ExtendedResourceClaimStatus(Struct, frozen=True):
    resource_claim_name: str = ""


class PodStatus(Struct, frozen=True):
    phase: str = ""
    nominated_node_name: str = ""
    start_time: str | None = None
    resource_claim_statuses: tuple[PodResourceClaimStatus, ...] | None = None
    extended_resource_claim_status: ExtendedResourceClaimStatus | None = None


class Pod(Struct, frozen=True):
    metadata: ObjectMeta = ObjectMeta()
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


# ---------------------------------------------------------------- ResourceSlice


class DeviceAttribute(Struct, frozen=True, cache_hash=True):
    int_: Int64 | None = msgspec.field(name="int", default=None)
    bool_: bool | None = msgspec.field(name="bool", default=None)
    string: str | None = None
    version: str | None = None
    ints: tuple[Int64, ...] | None = None
    bools: tuple[bool, ...] | None = None
    strings: tuple[str, ...] | None = None
    versions: tuple[str, ...] | None = None


class CapacityRequestPolicyRange(Struct, frozen=True):
    min: Quantity | None = None
    max: Quantity | None = None
    step: Quantity | None = None


class CapacityRequestPolicy(Struct, frozen=True):
    default: Quantity | None = None
    valid_values: tuple[Quantity, ...] | None = None
    valid_range: CapacityRequestPolicyRange | None = None


class DeviceCapacity(Struct, frozen=True, cache_hash=True):
    value: Quantity = 0
    request_policy: CapacityRequestPolicy | None = None


class Counter(Struct, frozen=True):
    value: Quantity = 0


class DeviceCounterConsumption(Struct, frozen=True):
    counter_set: str = ""
    counters: dict[str, Counter] | None = None


class DeviceTaint(Struct, frozen=True):
    key: str = ""
    value: str = ""
    effect: str = ""
    time_added: str | None = None


class BasicDevice(Struct, frozen=True):
    """The fields of a device; v1alpha3 and v1beta1 put them one level lower, under `basic`."""

    attributes: dict[str, DeviceAttribute] | None = None
    # A bare quantity is v1alpha3's form.
    capacity: dict[str, DeviceCapacity | Quantity] | None = None
    consumes_counters: tuple[DeviceCounterConsumption, ...] | None = None
    node_name: str | None = None
    node_selector: NodeSelector | None = None
    all_nodes: bool | None = None
    taints: tuple[DeviceTaint, ...] | None = None
    binds_to_node: bool | None = None
    binding_conditions: tuple[str, ...] | None = None
    binding_failure_conditions: tuple[str, ...] | None = None
    allow_multiple_allocations: bool | None = None


class Device(BasicDevice, frozen=True):
    name: str = ""
    basic: BasicDevice | None = None


class CounterSet(Struct, frozen=True):
    name: str = ""
    counters: dict[str, Counter] | None = None


class ResourcePool(Struct, frozen=True):
    name: str = ""
    generation: Int64 = 0
    resource_slice_count: Int64 = 0


class ResourceSliceSpec(Struct, frozen=True):
    driver: str = ""
    pool: ResourcePool = ResourcePool()
    node_name: str | None = None
    node_selector: NodeSelector | None = None
    all_nodes: bool | None = None
    per_device_node_selection: bool | None = None
    devices: tuple[Device, ...] | None = None
    shared_counters: tuple[CounterSet, ...] | None = None


class ResourceSlice(Struct, frozen=True):
    metadata: ObjectMeta = ObjectMeta()
    spec: ResourceSliceSpec = ResourceSliceSpec()


# ---------------------------------------------------------------- ResourceClaim


class CELDeviceSelector(Struct, frozen=True):
    expression: str = ""


class DeviceSelector(Struct, frozen=True):
    cel: CELDeviceSelector | None = None


class DeviceToleration(Struct, frozen=True):
    key: str = ""
    operator: str = ""
    value: str = ""
    effect: str = ""


class CapacityRequirements(Struct, frozen=True):
    requests: Quantities | None = None


class DeviceSubRequest(Struct, frozen=True):
    name: str = ""
    device_class_name: str = ""
    selectors: tuple[DeviceSelector, ...] | None = None
    allocation_mode: str = ""
    count: Int64 = 0
    tolerations: tuple[DeviceToleration, ...] | None = None
    capacity: CapacityRequirements | None = None


class ExactDeviceRequest(Struct, frozen=True):
    device_class_name: str = ""
    selectors: tuple[DeviceSelector, ...] | None = None
    allocation_mode: str = ""
    count: Int64 = 0
    admin_access: bool | None = None
    tolerations: tuple[DeviceToleration, ...] | None = None
    capacity: CapacityRequirements | None = None


class DeviceRequest(ExactDeviceRequest, frozen=True):
    """One request; v1alpha3 and v1beta1 have the fields of `exactly` on the request itself."""

    name: str = ""
    exactly: ExactDeviceRequest | None = None
    first_available: tuple[DeviceSubRequest, ...] | None = None


class DeviceConstraint(Struct, frozen=True):
    requests: tuple[str, ...] | None = None
    match_attribute: str | None = None
    distinct_attribute: str | None = None


class DeviceClaim(Struct, frozen=True):
    requests: tuple[DeviceRequest, ...] | None = None
    constraints: tuple[DeviceConstraint, ...] | None = None


class ResourceClaimSpec(Struct, frozen=True):
    devices: DeviceClaim = DeviceClaim()


class DeviceRequestAllocationResult(Struct, frozen=True):
    request: str = ""
    driver: str = ""
    pool: str = ""
    device: str = ""
    admin_access: bool | None = None
    share_id: str | None = msgspec.field(name="shareID", default=None)
    consumed_capacity: Quantities | None = None


class DeviceAllocationResult(Struct, frozen=True):
    results: tuple[DeviceRequestAllocationResult, ...] | None = None


class AllocationResult(Struct, frozen=True):
    devices: DeviceAllocationResult = DeviceAllocationResult()
    node_selector: NodeSelector | None = None


class ResourceClaimConsumerReference(Struct, frozen=True):
    api_group: str = ""
    resource: str = ""
    name: str = ""
    uid: str = ""


class ResourceClaimStatus(Struct, frozen=True):
    allocation: AllocationResult | None = None
    reserved_for: tuple[ResourceClaimConsumerReference, ...] | None = None


class ResourceClaim(Struct, frozen=True):
    metadata: ObjectMeta = ObjectMeta()
    spec: ResourceClaimSpec = ResourceClaimSpec()
    status: ResourceClaimStatus = ResourceClaimStatus()


class ResourceClaimTemplateSpec(Struct, frozen=True):
    metadata: ObjectMeta = ObjectMeta()
    spec: ResourceClaimSpec = ResourceClaimSpec()


class ResourceClaimTemplate(Struct, frozen=True):
    metadata: ObjectMeta = ObjectMeta()
    spec: ResourceClaimTemplateSpec = ResourceClaimTemplateSpec()


# ---------------------------------------------------------------- DeviceClass, DeviceTaintRule


class DeviceClassSpec(Struct, frozen=True):
    selectors: tuple[DeviceSelector, ...] | None = None
    extended_resource_name: str | None = None


class DeviceClass(Struct, frozen=True):
    metadata: ObjectMeta = ObjectMeta()
    spec: DeviceClassSpec = DeviceClassSpec()


class DeviceTaintSelector(Struct, frozen=True):
    driver: str | None = None
    pool: str | None = None
    device: str | None = None


class DeviceTaintRuleSpec(Struct, frozen=True):
    device_selector: DeviceTaintSelector | None = None
    taint: DeviceTaint = DeviceTaint()


class DeviceTaintRule(Struct, frozen=True):
    metadata: ObjectMeta = ObjectMeta()
    spec: DeviceTaintRuleSpec = DeviceTaintRuleSpec()


# ---------------------------------------------------------------- NodeResourceTopology, ConfigMap


class ZoneResource(Struct, frozen=True):
    name: str = ""
    capacity: Quantity = 0
    allocatable: Quantity = 0
    available: Quantity = 0


class Zone(Struct, frozen=True):
    name: str = ""
    type: str = ""
    resources: tuple[ZoneResource, ...] | None = None


class NodeResourceTopology(Struct, frozen=True):
    """topology.node.k8s.io/v1alpha2; the object's name is the node's."""

    metadata: ObjectMeta = ObjectMeta()
    zones: tuple[Zone, ...] | None = None


class ConfigMap(Struct, frozen=True):
    metadata: ObjectMeta = ObjectMeta()
    data: dict[str, str] | None = None
    binary_data: dict[str, str] | None = None


Object: TypeAlias = (
    Node
    | Pod
    | ResourceSlice
    | ResourceClaim
    | ResourceClaimTemplate
    | DeviceClass
    | DeviceTaintRule
    | NodeResourceTopology
    | ConfigMap
)

# kind → type, for what the store keeps
KINDS: dict[str, type[Object]] = {
    "Node": Node,
    "Pod": Pod,
    "ResourceSlice": ResourceSlice,
    "ResourceClaim": ResourceClaim,
    "ResourceClaimTemplate": ResourceClaimTemplate,
    "DeviceClass": DeviceClass,
    "DeviceTaintRule": DeviceTaintRule,
    "NodeResourceTopology": NodeResourceTopology,
    "ConfigMap": ConfigMap,
}
