"""What the throughput of a real kube-scheduler is measured with: nodes, and identical pods."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from tests.kit.controlplane import fleet

CPUS = 64  # of a node


@dataclasses.dataclass(frozen=True)
class Kind:
    """Identical pods: what each asks for, what nodes have, and how many pods a leg binds."""

    amounts: dict[str, str]
    pods: int = 500
    gpus: bool = False  # behind a device plug-in
    claims: bool = False
    whole_node: bool = False  # one pod fills a node


KINDS = {
    "plugin": Kind({fleet.GPU_RESOURCE: "1"}, gpus=True),
    "plugin-node": Kind({fleet.GPU_RESOURCE: "8"}, gpus=True, whole_node=True),
    "cpu": Kind({"cpu": "100m"}),
    "cpu-node": Kind({"cpu": str(CPUS - 4)}, whole_node=True),
    "claims": Kind({}, pods=80, claims=True),
}


@dataclasses.dataclass(frozen=True)
class Load:
    """One kind of pods on so many nodes."""

    name: str
    nodes: int
    wanted: int = 0  # pods; 0: as many as the kind's default

    @property
    def kind(self) -> Kind:
        return KINDS[self.name]

    @property
    def pods(self) -> int:
        wanted = self.wanted or self.kind.pods
        return min(wanted, self.nodes) if self.kind.whole_node else wanted

    def objects(self) -> Iterator[fleet.Object]:
        """Yield what the cluster holds before the first leg."""
        if self.kind.claims:
            yield from (fleet.gpu_class(), fleet.nic_class(), fleet.gpu_with_near_nic())
        for number in range(self.nodes):
            name = f"node-{number:05}"
            if not self.kind.claims:
                gpus = {fleet.GPU_RESOURCE: "8"} if self.kind.gpus else {}
                yield fleet.node(name, resources={"cpu": str(CPUS), **gpus})
                continue
            yield fleet.node(name)
            roots = [f"pci{number:04x}:00" for number in range(8)]
            yield fleet.resource_slice(name, fleet.GPU_DRIVER, fleet.gpus(roots))
            yield fleet.resource_slice(name, fleet.NIC_DRIVER, fleet.nics(roots))

    def pod(self, number: int) -> fleet.Object:
        name = f"pod-{number:05}"
        if self.kind.claims:
            return fleet.pod(name, claim_templates=["gpu-near-nic"])
        return fleet.pod(name, resources=self.kind.amounts)
