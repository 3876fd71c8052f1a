"""API objects, as far as they are read: typed, frozen, and out of the garbage collector's sight.

The types lie in a module per API group (`core_v1`, `resource_v1`); everything else says
`objects.Pod`, so that moving one to another API version is a change of one line here.
"""

from __future__ import annotations

from typing import TypeAlias

from extender.kube.api.core_v1 import (
    Affinity,
    ConfigMap,
    Container,
    ContainerPort,
    ExtendedResourceClaimStatus,
    Node,
    NodeAffinity,
    NodeCondition,
    NodeSpec,
    NodeStatus,
    NodeTaint,
    Pod,
    PodAffinity,
    PodResourceClaim,
    PodResourceClaimStatus,
    PodSpec,
    PodStatus,
    PodToleration,
    Present,
    ResourceRequirements,
    SchedulingGroup,
    TooLarge,
    TopologySpreadConstraint,
    Volume,
    WorkloadReference,
)
from extender.kube.api.meta import (
    Int32,
    Int64,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    ObjectMeta,
    OwnerReference,
    Quantities,
    Quantity,
    Struct,
)
from extender.kube.api.resource_v1 import (
    AllocationResult,
    BasicDevice,
    CapacityRequestPolicy,
    CapacityRequestPolicyRange,
    CapacityRequirements,
    CELDeviceSelector,
    Counter,
    CounterSet,
    Device,
    DeviceAllocationResult,
    DeviceAttribute,
    DeviceCapacity,
    DeviceClaim,
    DeviceClass,
    DeviceClassSpec,
    DeviceConstraint,
    DeviceCounterConsumption,
    DeviceRequest,
    DeviceRequestAllocationResult,
    DeviceSelector,
    DeviceSubRequest,
    DeviceTaint,
    DeviceTaintRule,
    DeviceTaintRuleSpec,
    DeviceTaintSelector,
    DeviceToleration,
    ExactDeviceRequest,
    ResourceClaim,
    ResourceClaimConsumerReference,
    ResourceClaimSpec,
    ResourceClaimStatus,
    ResourceClaimTemplate,
    ResourceClaimTemplateSpec,
    ResourcePool,
    ResourceSlice,
    ResourceSliceSpec,
)

__all__ = [
    "KINDS",
    "Affinity",
    "AllocationResult",
    "BasicDevice",
    "CELDeviceSelector",
    "CapacityRequestPolicy",
    "CapacityRequestPolicyRange",
    "CapacityRequirements",
    "ConfigMap",
    "Container",
    "ContainerPort",
    "Counter",
    "CounterSet",
    "Device",
    "DeviceAllocationResult",
    "DeviceAttribute",
    "DeviceCapacity",
    "DeviceClaim",
    "DeviceClass",
    "DeviceClassSpec",
    "DeviceConstraint",
    "DeviceCounterConsumption",
    "DeviceRequest",
    "DeviceRequestAllocationResult",
    "DeviceSelector",
    "DeviceSubRequest",
    "DeviceTaint",
    "DeviceTaintRule",
    "DeviceTaintRuleSpec",
    "DeviceTaintSelector",
    "DeviceToleration",
    "ExactDeviceRequest",
    "ExtendedResourceClaimStatus",
    "Int32",
    "Int64",
    "Node",
    "NodeAffinity",
    "NodeCondition",
    "NodeResourceTopology",
    "NodeSelector",
    "NodeSelectorRequirement",
    "NodeSelectorTerm",
    "NodeSpec",
    "NodeStatus",
    "NodeTaint",
    "Object",
    "ObjectMeta",
    "OwnerReference",
    "Pod",
    "PodAffinity",
    "PodResourceClaim",
    "PodResourceClaimStatus",
    "PodSpec",
    "PodStatus",
    "PodToleration",
    "Present",
    "Quantities",
    "Quantity",
    "ResourceClaim",
    "ResourceClaimConsumerReference",
    "ResourceClaimSpec",
    "ResourceClaimStatus",
    "ResourceClaimTemplate",
    "ResourceClaimTemplateSpec",
    "ResourcePool",
    "ResourceRequirements",
    "ResourceSlice",
    "ResourceSliceSpec",
    "SchedulingGroup",
    "Struct",
    "TooLarge",
    "TopologySpreadConstraint",
    "Volume",
    "WorkloadReference",
    "Zone",
    "ZoneResource",
]


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
