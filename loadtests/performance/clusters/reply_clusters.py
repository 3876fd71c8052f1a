"""Three generated clusters as snapshots, and the pods to ask about: claims, plug-ins, MIG."""

from __future__ import annotations

import dataclasses
import random

from loadtests.simulator import mig_engine, mig_streams
from tests.kit.builders import (
    make_claim,
    make_class,
    make_node,
    make_pod,
    make_slice,
    make_template,
)

GPU, NIC = "gpu.example.com", "nic.example.com"
MODELS = ("NVIDIA-H100-80GB-HBM3", "NVIDIA-A100-SXM4-80GB", "NVIDIA-L4")
GANG = "jobset.sigs.k8s.io/jobset-name"
_NODES = 24
_SEEN, _UNSEEN = 40, 20  # pods to ask about that the snapshot shows, and that it does not
_BUILT = ("Node", "Pod")


@dataclasses.dataclass
class Cluster:
    """A snapshot's items, the nodes' names, the pods to ask about, and who is bound where."""

    name: str
    items: list
    names: list
    pods: list = dataclasses.field(default_factory=list)
    bound: dict = dataclasses.field(default_factory=dict)  # node → uids

    def add(self, *builders):
        self.items += [as_json(each) for each in builders]

    def bind(self, pod, node):
        """A pod of low priority that holds devices of the node."""
        self.add(pod.node(node).priority(0).phase("Running"))
        self.bound.setdefault(node, []).append(pod.body["metadata"]["uid"])

    def ask_about(self, make, rng):
        """Pods made by number, of which the snapshot shows the first."""
        for number in range(_SEEN + _UNSEEN):
            pod = make(number).request("cpu", rng.choice([1, 4, 12])).request("memory", "8Gi")
            pod.body["metadata"]["creationTimestamp"] = f"2026-01-01T00:00:{number:02}Z"
            if rng.random() < 0.3:
                pod.label(GANG, f"job-{rng.randrange(4)}")
            self.pods.append(as_json(pod))
            if number < _SEEN:
                self.add(pod)


def as_json(builder):
    version = "v1" if builder.kind in _BUILT else "resource.k8s.io/v1"
    return {"apiVersion": version, "kind": builder.kind, **builder.body}


def claims(rng):
    """GPUs and NICs by DRA behind shared PCIe roots, some held, by templates."""
    cluster = Cluster("claims", [], [f"dra-{number:02}" for number in range(_NODES)])
    cluster.add(make_class(GPU), make_class(NIC))
    for title, gpus, nics in (("one", 1, 0), ("pair", 1, 1), ("two", 2, 2), ("eight", 8, 0)):
        template = make_template(title).request("g", GPU, gpus)
        if nics:
            template.request("n", NIC, nics)
        cluster.add(
            template.match("resource.kubernetes.io/pcieRoot") if title == "pair" else template
        )
    for name in cluster.names:
        rack = f"rack-{rng.randrange(4)}"
        cluster.add(make_node(name).label("topology.kubernetes.io/rack", rack))
        gpus, nics = make_slice(f"{name}-g", GPU).on(name), make_slice(f"{name}-n", NIC).on(name)
        for place in range(8):
            gpus.device(f"gpu-{place}", pcieRoot=f"pci000{place // 2}:00", type="gpu")
            nics.device(f"nic-{place}", pcieRoot=f"pci000{rng.randrange(4)}:00")
        cluster.add(gpus, nics)
        for place in rng.sample(range(8), rng.randint(0, 6)):
            _hold(cluster, name, f"{name}-{place}", (GPU, f"gpu-{place}"))
    cluster.ask_about(
        lambda number: make_pod(f"ask-{number}").template(
            rng.choice(["one", "pair", "two", "eight"])
        ),
        rng,
    )
    return cluster


def plugin(rng):
    """GPUs behind a device plug-in, whole nodes of three models; some pods ask for CPU alone."""
    cluster = Cluster("plugin", [], [f"plain-{number:02}" for number in range(_NODES)])
    for name in cluster.names:
        size = rng.choice([4, 8])
        node = make_node(name).gpus(rng.choice(MODELS), size)
        cluster.add(node.allocatable(cpu=str(rng.choice([32, 64, 96]))))
        for number in range(rng.randint(0, 3)):
            pod = make_pod(f"{name}-{number}").gpus(rng.choice([1, 1, 2])).request("cpu", 4)
            cluster.bind(pod, name)

    def pod(number):
        made = make_pod(f"ask-{number}")
        return made.gpus(rng.choice([1, 2, 4, 8])) if rng.random() < 0.85 else made

    cluster.ask_about(pod, rng)
    return cluster


def mig(rng):
    """H100s whose every legal MIG placement is published as a device; claims ask for a profile."""
    cluster = Cluster("mig", [], [f"mig-{number:02}" for number in range(_NODES // 2)])
    cluster.add(make_class(mig_engine.DRIVER))
    for name in cluster.names:
        cluster.add(make_node(name))
        for body in mig_engine.slices_of(name, 2):
            cluster.items.append(
                {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", **body}
            )
        for gpu in range(2):
            profile, _, starts = rng.choice(mig_streams.PROFILES[:4])
            if rng.random() < 0.6:
                device = mig_engine.device_name(gpu, profile, rng.choice(starts))
                _hold(cluster, name, f"{name}-{gpu}", (mig_engine.DRIVER, device))
    for profile, _, _ in mig_streams.PROFILES:
        wanted = f'device.attributes["{mig_engine.DRIVER}"].profile == "{profile}"'
        title = profile.replace(".", "-")
        cluster.add(make_template(title).request("g", mig_engine.DRIVER, selectors=[wanted]))
    titles = [profile.replace(".", "-") for profile, _, _ in mig_streams.PROFILES]
    cluster.ask_about(lambda number: make_pod(f"ask-{number}").template(rng.choice(titles)), rng)
    return cluster


def _hold(cluster, node, title, device):
    """A bound pod, and its claim that holds the device."""
    pod, claim = make_pod(f"holds-{title}"), make_claim(f"held-{title}").request("r", device[0])
    claim.allocated(node, ("r", device[0], node, device[1]))
    claim.body["status"]["reservedFor"] = [
        {"resource": "pods", "name": f"holds-{title}", "uid": f"uid-holds-{title}"}
    ]
    cluster.add(claim)
    cluster.bind(pod.claim(f"held-{title}"), node)


CLUSTERS = {"claims": claims, "plugin": plugin, "mig": mig}


def clusters(seed):
    """Make each of them, from the seed alone."""
    for make in CLUSTERS.values():
        yield make(random.Random(seed))
