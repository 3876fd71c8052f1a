"""A mixed cluster: 14 kinds of machines, as many nodes as asked for, each partly taken at random.

Nine kinds are those of the demo cluster (config/demo/SOURCES.md says where they were published),
five are HGX-like machines of `loadtests.simulator.synthetic` with other numbers of GPUs and NICs.
"""

import json
import pathlib
import random

import msgspec

from extender.hardware import allocator_features
from extender.kube.api import conversion, interning, objects
from extender.policy import config
from extender.service import assembly
from loadtests.simulator import synthetic

DEMO = pathlib.Path(__file__).parents[2] / "config" / "demo" / "snapshot.json"
# Of the demo's nodes one for each kind of machine; the last has no devices.
COPIED = (
    *("p4d-0", "gb300-0", "mi300x-0", "gb200-0", "h100-mig-0"),
    *("dgx-a100-0", "dgx-a100-2", "dgx-a100-3", "cpu-0"),
)
WRITTEN = ((8, 8), (8, 4), (4, 4), (2, 2), (8, 0))  # (GPUs, NICs)
# Of 5,000 nodes; machines whose GPUs are partitioned are few, and have 208 devices each.
_WEIGHT = {"h100-mig-0": 0.4, "cpu-0": 0.5}
_MOST_TAKEN = 0.7  # of a node's devices


class Kind:
    """One kind of machine, as the API objects of a node that are renamed for the next one."""

    def __init__(self, name, bodies):
        self.name = name
        self.text = json.dumps(bodies)

    def on(self, name):
        """The (kind, object) pairs of a node of that name."""
        for body in json.loads(self.text.replace(self.name, name)):
            kind = objects.KINDS[body["kind"]]
            yield body["kind"], conversion.convert_to_v1(msgspec.convert(body, kind, strict=False))


def kinds():
    """All kinds, by name; `None` for those written down here."""
    items = json.loads(DEMO.read_text())["items"]
    found = {}
    for name in COPIED:
        own = [each for each in items if each["kind"] == "Node" and _name(each) == name]
        own += [
            each
            for each in items
            if each["kind"] == "ResourceSlice" and each["spec"].get("nodeName") == name
        ]
        found[name] = Kind(name, own)
    return found


def _name(body):
    return body["metadata"]["name"]


def classes():
    """The demo's device classes and claim templates."""
    for body in json.loads(DEMO.read_text())["items"]:
        if body["kind"] in {"DeviceClass", "ResourceClaimTemplate"}:
            kind = objects.KINDS[body["kind"]]
            yield body["kind"], conversion.convert_to_v1(msgspec.convert(body, kind, strict=False))


def cluster(count, *, seed=7, patient=False, learn=True):
    """A settled engine over `count` nodes."""
    judging = assembly.assemble(
        policy=config.DEFAULT,
        features=allocator_features.AllocatorFeatures(),
        hardware=assembly.read_catalogue(),
        patient=patient,
    )
    sharing = interning.ObjectInterner()
    for kind, item in contents(count, seed=seed):
        judging.store.apply(kind, "ADDED", sharing(item))
    if learn:
        for number in range(200):
            title = ("gpu", "gpu-nic", "four-gpus", "mig-1g-10gb")[number % 4]
            judging.store.apply("Pod", "ADDED", synthetic.pod(f"seen-{number}", title))
    settle(judging)
    return judging


def contents(count, *, seed=7):
    """Yield the (kind, object) pairs of `count` nodes and of what holds their devices."""
    rng = random.Random(seed)
    known = kinds()
    titles = [*COPIED, *WRITTEN]
    weights = [_WEIGHT.get(title, 1.0) for title in titles]
    for number in range(count):
        title = titles[number] if number < len(titles) else rng.choices(titles, weights)[0]
        name = f"n{number:05}"
        devices = []
        for kind, item in _machine(known, title, name):
            yield kind, item
            if kind == "ResourceSlice":
                devices += [
                    (item.spec.driver, device.name)
                    for device in item.spec.devices or ()
                    if not device.consumes_counters
                ]
        share = rng.random() * _MOST_TAKEN
        taken = [device for device in devices if rng.random() < share]
        if taken:
            yield "ResourceClaim", synthetic.held(name, taken)
        if isinstance(title, str) and title.startswith("dgx"):
            for pod in _tenants(name, rng):
                yield "Pod", pod
    yield from classes()


def _machine(known, title, name):
    """The node and its slices; the title is a kind's name, or how many GPUs and NICs."""
    if isinstance(title, str):
        yield from known[title].on(name)
        return
    gpus, nics = title
    yield "Node", synthetic.node(name)
    for item in synthetic.slices(name, gpus=gpus, nics=nics):
        yield "ResourceSlice", item


def settle(judging):
    """Settle until all room is counted, as a service does while nobody asks."""
    judging.settle()
    for _ in range(10_000):
        if not judging.unfinished:
            break
        judging.settle()


def _tenants(name, rng):
    """Pods that hold GPUs of a device plug-in."""
    for number in range(rng.randrange(0, 4)):
        amounts = {"nvidia.com/gpu": "1", "cpu": "4"}
        container = objects.Container(
            name="main", resources=objects.ResourceRequirements(requests=amounts)
        )
        yield objects.Pod(
            metadata=objects.ObjectMeta(
                name=f"{name}-{number}", namespace="default", uid=f"uid-{name}-{number}"
            ),
            spec=objects.PodSpec(node_name=name, containers=(container,)),
            status=objects.PodStatus(phase="Running"),
        )
