"""The product's own engine on the MIG benchmark: partitions as a DRA driver publishes them.

A node's slices list every legal placement of every GPU as a device that draws one counter a memory
slice, GPU after GPU; a claim asks for one device of a profile. What is written back is what the
benchmark's driver made.
"""

from loadtests.simulator import engine, mig_streams

DRIVER = "gpu.mig.example"


class MigRailyard(engine.Shown):
    """An engine as a score of the benchmark: the smallest cost wins, so scores are negated."""

    def __init__(self, nodes, gpus):
        super().__init__()
        self.names = names_of(nodes)
        self.show("DeviceClass", {"metadata": {"name": engine.CLASS}, "spec": {}})
        for name in self.names:
            allocatable = {"cpu": "1000", "memory": "10Ti", "pods": engine.MOST_PODS}
            node = {"metadata": {"name": name, "uid": name}, "spec": {}}
            self.show("Node", node | {"status": {"allocatable": allocatable}})
            for body in slices_of(name, gpus):
                self.show("ResourceSlice", body)
        self.engine.settle()

    def arrived(self, uid, profile):
        self.drop_pending()
        claim = claim_of(uid, mig_streams.PROFILES[profile][0])
        self.await_pod(uid, pod_of(uid), claim)
        self.engine.settle()  # the watch shows a pod, and its demand is learnt, placed or not

    def __call__(self, view, profile, rows):  # noqa: ARG002 - the shape of a score
        names = [self.names[row] for row in rows.tolist()]
        return -self.scored(names)

    def bound(self, uid, node, profile, place):
        gpu, start = place
        device = device_name(gpu, mig_streams.PROFILES[profile][0], start)
        result = {"request": "gpu", "driver": DRIVER, "pool": self.names[node], "device": device}
        self.bind(uid, self.names[node], [result])


def names_of(nodes):
    return [f"node-{number:02}" for number in range(nodes)]


def device_name(gpu, profile, start):
    return f"gpu-{gpu}-mig-{profile.replace('.', '-')}-{start}"


def slices_of(node, gpus):
    """One slice with the counters of all GPUs, one a GPU with its placements."""
    pool = {"name": node, "generation": 1, "resourceSliceCount": gpus + 1}
    spec = {"driver": DRIVER, "nodeName": node, "pool": pool}
    counters = {f"memory-slice-{s}": {"value": "1"} for s in range(mig_streams.SLICES)}
    sets = [{"name": f"gpu-{gpu}", "counters": counters} for gpu in range(gpus)]
    yield named(f"{node}-counters") | {"spec": spec | {"sharedCounters": sets}}
    for gpu in range(gpus):
        devices = [
            placement(gpu, profile, size, start)
            for profile, size, starts in mig_streams.PROFILES
            for start in starts
        ]
        yield named(f"{node}-gpu-{gpu}") | {"spec": spec | {"devices": devices}}


def placement(gpu, profile, size, start):
    taken = {f"memory-slice-{s}": {"value": "1"} for s in range(start, start + size)}
    return {
        "name": device_name(gpu, profile, start),
        "attributes": {"type": {"string": "mig"}, "profile": {"string": profile}},
        "consumesCounters": [{"counterSet": f"gpu-{gpu}", "counters": taken}],
    }


def named(name):
    return {"metadata": {"name": name, "uid": name}}


def claim_of(uid, profile):
    wanted = f'device.attributes["{DRIVER}"].profile == "{profile}"'
    exactly = {
        "deviceClassName": engine.CLASS,
        "allocationMode": "ExactCount",
        "count": 1,
        "selectors": [{"cel": {"expression": wanted}}],
    }
    return engine.claim(uid, exactly)


def pod_of(uid):
    return engine.pod(uid, {"cpu": "1m", "memory": "1Mi"}, claimed=True)
