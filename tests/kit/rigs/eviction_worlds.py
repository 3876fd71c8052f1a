"""What the tests of victims share."""

from extender.decisions.verb_results import Victims
from tests.kit.builders import make_claim, make_class, make_node, make_pod, make_slice
from tests.kit.worlds import GPU, feed


def started(pod, second):
    pod.body["status"]["startTime"] = f"2026-01-01T00:00:{second:02d}Z"
    return pod


def leaving(pod):
    pod.body["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return pod


def nominated(pod, node):
    pod.body["status"]["nominatedNodeName"] = node
    return pod


def holding(name, *devices, node="n", users=None):
    """A claim that holds devices of the node for its users, by default the pod of its name."""
    claim = make_claim(name).allocated(node, *(("r", GPU, node, device) for device in devices))
    claim.body["status"]["reservedFor"] = [
        {"resource": "pods", "name": user, "uid": f"uid-{user}"} for user in users or [name]
    ]
    return claim


def dra_node(judging, gpus, *pods, cpu="96"):
    devices = make_slice("gpus", GPU).on("n")
    for number in range(gpus):
        devices.device(f"gpu-{number}", type="gpu")
    feed(judging, make_node("n").allocatable(cpu=cpu), devices, make_class(GPU))
    feed(judging, *(pod.node("n") for pod in pods))


def claims(judging, gpus, priority=9):
    feed(judging, make_claim("wanted").request("r", GPU, gpus))
    return make_pod("urgent").claim("wanted").priority(priority)


def answer(judging, pod, *offered, violations=0):
    """Who dies on the node, by name; None where the node is not kept."""
    uids = tuple(f"uid-{name}" for name in offered)
    kept = judging.preempt(pod.obj(), {"n": Victims(uids, violations)})
    return [uid.removeprefix("uid-") for uid in kept["n"].pods] if "n" in kept else None


def urgent(name="urgent"):
    return make_pod(name).gpus(4).priority(9).obj()
