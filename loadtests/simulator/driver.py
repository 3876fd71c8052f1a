"""Pods through the product's engine, one after the other: what kube-scheduler would do with it.

A pod and its claim are shown as the watch would show them, filtered and prioritized; the best
score wins, equal ones at random; the devices that the engine predicts there (kube-scheduler's
first fit) are written back as the claim's allocation, and the pod as bound.
"""

import dataclasses
import itertools

import msgspec
import numpy as np

from extender.decisions.explanation import shown_devices
from extender.hardware import allocator_features
from extender.kube.api import objects
from extender.service import assembly
from extender.simulation import binding
from extender.verdicts import resolver
from loadtests.simulator import machines

NAMESPACE = "default"


@dataclasses.dataclass(slots=True)
class Choice:
    """Where a pod went: `rates` are the bandwidth factors of all nodes that could have it."""

    node: str
    rate: float
    rates: list


class Driver:
    """An engine over nodes, and the pods on them."""

    def __init__(self, policy, rng):
        self.engine = assembly.assemble(
            policy=policy,
            features=allocator_features.AllocatorFeatures(),
            hardware=assembly.read_catalogue(),
            clock=itertools.count().__next__,
        )
        self.rng = rng
        self.names = []
        self.waiting = {}  # uid → (pod, claim)
        self.held = {}  # uid → (pod, claim), no pod where only the devices are taken
        for name, expression in (("gpu", machines.GPU_CLASS), ("nic", machines.NIC_CLASS)):
            self.show("DeviceClass", machines.device_class(name, expression))

    def show(self, kind, item, event="ADDED"):
        self.engine.store.apply(kind, event, item)

    def add_node(self, name, kind, **labels):
        self.names.append(name)
        self.show("Node", machines.node(name, kind, **labels))
        for item in machines.slices_on(name, kind):
            self.show("ResourceSlice", item)

    def arrive(self, uid, gpus, nics=0, *, labels=None):
        """Show a pod and its claim, still to be placed."""
        claim, pod = claim_of(uid, gpus, nics), pod_of(uid, labels)
        self.show("ResourceClaim", claim)
        self.show("Pod", pod)
        self.waiting[uid] = (pod, claim)

    def place(self, uid, *, choose=None):
        """Try to place a pod that arrived; None where it fits nowhere, and it is gone again.

        `choose` takes the feasible names instead of the scores, and returns one of them.
        """
        pod, claim = self.waiting.pop(uid)
        engine = self.engine
        kept = engine.filter(pod, self.names).passing(self.names)
        if not kept:
            self.show("Pod", pod, "DELETED")
            self.show("ResourceClaim", claim, "DELETED")
            return None
        scores = np.asarray(engine.prioritize(pod, kept))
        if choose is None:
            best = (
                kept
                if not len(scores)
                else [kept[n] for n in np.flatnonzero(scores == scores.max())]
            )
            name = best[int(self.rng.integers(len(best)))]
        else:
            name = choose(kept)
        asked = engine.resolver.resolve(pod, engine.policy)
        assert isinstance(asked, resolver.ResolvedPod)
        table = engine.table(asked.question)
        verdicts = [table.verdict(int(engine.index.state[engine.index.rows[n]])) for n in kept]
        rates = [v.locality.rate if v.locality is not None else 1.0 for v in verdicts]
        verdict = verdicts[kept.index(name)]
        devices = shown_devices.predicted(asked, engine.index.detail(name), verdict)
        self.bind(uid, pod, claim, name, devices)
        return Choice(name, rates[kept.index(name)], rates)

    def bind(self, uid, pod, claim, name, devices):
        claim = msgspec.structs.replace(claim, status=status_of(uid, name, devices))
        spec = msgspec.structs.replace(pod.spec, node_name=name)
        pod = msgspec.structs.replace(pod, spec=spec)
        self.show("ResourceClaim", claim, "MODIFIED")
        self.show("Pod", pod, "MODIFIED")
        self.held[uid] = (pod, claim)

    def take(self, uid, name, devices):
        """Take (driver, device) pairs of a node by a claim of somebody's."""
        claim = claim_of(uid, 1, 0)
        found = [
            shown_devices.ShownDevice("", "gpu", driver, pool=name, device=device)
            for driver, device in devices
        ]
        claim = msgspec.structs.replace(claim, status=status_of(uid, name, found))
        self.show("ResourceClaim", claim)
        self.held[uid] = (None, claim)

    def remove(self, uid):
        pod, claim = self.held.pop(uid)
        if pod is not None:
            self.show("Pod", pod, "DELETED")
        self.show("ResourceClaim", claim, "DELETED")


def pod_of(uid, labels):
    claim = objects.PodResourceClaim(name="devices", resource_claim_name=f"claim-{uid}")
    return objects.Pod(
        metadata=objects.ObjectMeta(name=f"pod-{uid}", namespace=NAMESPACE, uid=uid, labels=labels),
        spec=objects.PodSpec(
            containers=(objects.Container(name="main"),), resource_claims=(claim,)
        ),
    )


def claim_of(uid, gpus, nics):
    requests = tuple(
        objects.DeviceRequest(
            name=name,
            exactly=objects.ExactDeviceRequest(
                device_class_name=name, allocation_mode="ExactCount", count=count
            ),
        )
        for name, count in (("gpu", gpus), ("nic", nics))
        if count
    )
    return objects.ResourceClaim(
        metadata=objects.ObjectMeta(name=f"claim-{uid}", namespace=NAMESPACE, uid=f"claim-{uid}"),
        spec=objects.ResourceClaimSpec(objects.DeviceClaim(requests=requests)),
    )


def status_of(uid, name, devices):
    """The allocation of these devices on the node, reserved for the pod."""
    results = [
        objects.DeviceRequestAllocationResult(
            request=one.request, driver=one.driver, pool=one.pool, device=one.device
        )
        for one in devices
    ]
    return binding.status_of(pod_of(uid, None), name, results)
