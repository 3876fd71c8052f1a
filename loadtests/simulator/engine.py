"""The product's own engine on openb: what it answers is what the benchmark places by.

Every machine is a Node with a ResourceSlice of GPUs that several claims may share (capacity
`milli`, 1000 a GPU); every pod is a Pod with a ResourceClaim, or with CPU and memory alone. A pod
is shown as the watch would show it, filtered and prioritized, and its placement is written back
as an allocation and a binding. Devices are taken first-fit, as kube-scheduler does.
"""

import datetime as dt
import itertools

import msgspec
import numpy as np

from extender.hardware import allocator_features
from extender.kube.api import conversion, objects
from extender.policy import config
from extender.service import assembly
from loadtests.simulator import simulated_cluster
from loadtests.simulator.traces import openb

DRIVER = "gpu.openb.example"
CLASS = "gpu"
NAMESPACE = "openb"
MIB = 1 << 20
EPOCH = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
MOST_PODS = "1000000"  # the trace has no limit on pods


class Shown:
    """An engine and what it was shown.

    `disagreed` counts nodes that fit by the simulator and were refused by the engine; 0 is true.
    """

    def __init__(self, *, policy=config.DEFAULT):
        self.engine = assembly.assemble(
            policy=policy,
            features=allocator_features.AllocatorFeatures(),
            hardware=assembly.read_catalogue(),
            clock=itertools.count().__next__,
        )
        self.disagreed = 0
        self.shown = 0  # pods, each created a second after the last
        self.pending = None  # (pod, claim) of the pod being placed
        self.bound_pods = {}  # uid → (pod, claim) as last written

    def show(self, kind, body, event="ADDED"):
        item = built(kind, body)
        self.engine.store.apply(kind, event, item)
        return item

    def await_pod(self, uid, pod, claim):
        """Show a pending pod and its claim; one that found no node before goes away."""
        self.drop_pending()
        if claim is not None:
            self.show("ResourceClaim", claim)
        self.shown += 1
        created = EPOCH + dt.timedelta(seconds=self.shown)
        pod = pod | {"metadata": pod["metadata"] | {"creationTimestamp": created.isoformat()}}
        self.pending = (uid, pod, claim)
        self.pod = self.show("Pod", pod)

    def drop_pending(self):
        if self.pending is not None:
            self.forget(*self.pending[1:])
            self.pending = None

    def scored(self, names):
        """What kube-scheduler would get for these nodes; -1 where filter refused one."""
        found = self.engine.filter(self.pod, names)
        kept = found.passing(names)
        self.disagreed += len(names) - len(kept)
        given = np.asarray(self.engine.prioritize(self.pod, kept, found.ticket), dtype=float)
        if not len(given):
            given = np.zeros(len(kept))
        if len(kept) == len(names):
            return given
        score = dict(zip(kept, given.tolist(), strict=True))
        return np.array([score.get(name, -1.0) for name in names])

    def bind(self, uid, node, results):
        """Write the allocation and the binding, as kube-scheduler does."""
        _, pod, claim = self.pending
        self.pending = None
        if claim is not None:
            claim = claim | {"status": status(uid, node, results)}
            self.show("ResourceClaim", claim, "MODIFIED")
        pod = pod | {"spec": pod["spec"] | {"nodeName": node}}
        self.show("Pod", pod, "MODIFIED")
        self.bound_pods[uid] = (pod, claim)

    def left(self, uid):
        self.forget(*self.bound_pods.pop(uid))

    def forget(self, pod, claim):
        self.show("Pod", pod, "DELETED")
        if claim is not None:
            self.show("ResourceClaim", claim, "DELETED")


class Railyard(Shown):
    """An engine over the trace's cluster, as a policy of the benchmark."""

    def __init__(self, nodes, *, policy=config.DEFAULT):
        super().__init__(policy=policy)
        self.nodes = nodes
        self.show("DeviceClass", {"metadata": {"name": CLASS}, "spec": {}})
        for number, name in enumerate(nodes.names):
            self.show("Node", node_of(nodes, number))
            self.show("ResourceSlice", slice_of(nodes, number, name))
        self.engine.settle()

    def arrived(self, uid, kind):
        requests = {"cpu": f"{kind.cpu}m", "memory": str(kind.memory * MIB)}
        wanted = claim(uid, exactly_of(kind)) if kind.num else None
        self.await_pod(uid, pod(uid, requests, claimed=kind.num > 0), wanted)

    def unseen(self, uid, kind):
        """Show a pod that is not learnt from: the mix counts each once, and this one as nothing."""
        self.engine.pricer.mix.learn(uid, None)
        self.arrived(uid, kind)

    def scores(self, cluster, kind, rows):  # noqa: ARG002 - the shape of a policy
        return self.scored([self.nodes.names[row] for row in rows.tolist()])

    slots = staticmethod(simulated_cluster.first_slots)

    def bound(self, uid, node, kind, slots):
        name = self.nodes.names[node]
        results = [
            {
                "request": "gpu",
                "driver": DRIVER,
                "pool": name,
                "device": f"gpu-{slot}",
                "shareID": f"{uid}-{slot}",
                "consumedCapacity": {"milli": str(kind.milli)},
            }
            for slot in (slots.tolist() if kind.num else ())
        ]
        self.bind(uid, name, results)


def built(kind, body):
    return conversion.convert_to_v1(msgspec.convert(body, objects.KINDS[kind], strict=False))


def node_of(nodes, number):
    allocatable = {
        "cpu": f"{nodes.cpu[number]}m",
        "memory": str(nodes.memory[number] * MIB),
        "pods": MOST_PODS,
    }
    name = nodes.names[number]
    return {
        "metadata": {"name": name, "uid": name},
        "spec": {},
        "status": {"allocatable": allocatable},
    }


def slice_of(nodes, number, name):
    device = {
        "attributes": {
            "type": {"string": "gpu"},
            "productName": {"string": nodes.models[nodes.model[number]]},
        },
        "capacity": {"milli": {"value": str(openb.GPU)}},
        "allowMultipleAllocations": True,
    }
    return {
        "metadata": {"name": f"{name}-gpus", "uid": f"{name}-gpus"},
        "spec": {
            "driver": DRIVER,
            "nodeName": name,
            "pool": {"name": name, "generation": 1, "resourceSliceCount": 1},
            "devices": [device | {"name": f"gpu-{slot}"} for slot in range(nodes.gpus[number])],
        },
    }


def exactly_of(kind):
    """The request of a claim: so many GPUs, or one share of one."""
    exactly = {
        "deviceClassName": CLASS,
        "allocationMode": "ExactCount",
        "count": kind.num,
        "capacity": {"requests": {"milli": str(kind.milli)}},
    }
    if kind.models:
        product = f'device.attributes["{DRIVER}"].productName'
        wanted = " || ".join(f'{product} == "{model}"' for model in sorted(set(kind.models)))
        exactly["selectors"] = [{"cel": {"expression": wanted}}]
    return exactly


def claim(uid, exactly):
    return {
        "metadata": {"name": f"claim-{uid}", "namespace": NAMESPACE, "uid": f"claim-{uid}"},
        "spec": {"devices": {"requests": [{"name": "gpu", "exactly": exactly}]}},
    }


def pod(uid, requests, *, claimed):
    container = {"name": "main", "resources": {"requests": requests}}
    spec = {"containers": [container]}
    if claimed:
        spec["resourceClaims"] = [{"name": "gpu", "resourceClaimName": f"claim-{uid}"}]
    return {"metadata": {"name": f"pod-{uid}", "namespace": NAMESPACE, "uid": uid}, "spec": spec}


def status(uid, node, results):
    on_node = {"key": "metadata.name", "operator": "In", "values": [node]}
    return {
        "allocation": {
            "devices": {"results": results},
            "nodeSelector": {"nodeSelectorTerms": [{"matchFields": [on_node]}]},
        },
        "reservedFor": [{"resource": "pods", "name": f"pod-{uid}", "uid": uid}],
    }
