"""Nodes, pods and ConfigMaps, as far as they are read. Source: k8s.io/api core/v1."""

from __future__ import annotations

import msgspec

from extender.kube.api.meta import Int32, Int64, NodeSelector, ObjectMeta, Quantities, Struct

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


class TooLarge(Struct, frozen=True):
    """Of a pod that is not kept whole: why not, and what it asks of a node in all.

    `total` is by resource name, CPU in milli, all else in whole units; None where an amount is
    malformed.
    """

    why: str = ""
    total: dict[str, Int64] | None = None


class Pod(Struct, frozen=True):
    """`too_large` is our own, where the rest is not kept; the API has no such field."""

    metadata: ObjectMeta = ObjectMeta()
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()
    too_large: TooLarge | None = None


# ---------------------------------------------------------------- ConfigMaps


class ConfigMap(Struct, frozen=True):
    metadata: ObjectMeta = ObjectMeta()
    data: dict[str, str] | None = None
    binary_data: dict[str, str] | None = None
