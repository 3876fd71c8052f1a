"""Everything that a few clusters answer, as bytes: run under different hash seeds by a test."""

import random
import sys

import msgspec
import orjson

from extender import settings
from extender.decisions.explanation import explain
from extender.hardware import allocator_features
from extender.policy import config
from extender.service import assembly
from extender.verdicts import resolver
from tests.kit.builders import (
    make_claim,
    make_class,
    make_node,
    make_pod,
    make_slice,
    make_template,
)

GPU, NIC = "gpu.example.com", "nic.example.com"
GANG = ("jobset.sigs.k8s.io/jobset-name", "job")
MODELS = ("NVIDIA-H100-80GB-HBM3", "NVIDIA-A100-SXM4-80GB", "NVIDIA-L4")


def fresh():
    """An engine over nothing, whose clock stands still."""
    return assembly.assemble(
        policy=config.DEFAULT,
        features=allocator_features.AllocatorFeatures(),
        hardware=assembly.read_catalogue(),
        clock=lambda: 0.0,
    )


def generated(seed):
    """The objects of a small cluster: plug-ins and DRA, claims, a gang, several namespaces."""
    rng = random.Random(seed)
    found = [make_class(GPU), make_class(NIC)]
    found.append(make_template("pair").request("g", GPU).request("n", NIC))
    for number in range(rng.randint(4, 7)):
        name = f"plain-{number}"
        node = make_node(name).allocatable(cpu=rng.choice([32, 64]), memory="256Gi")
        found.append(node.gpus(rng.choice(MODELS), rng.choice([4, 8])))
    for number in range(rng.randint(3, 5)):
        name = f"dra-{number}"
        gpus, nics = make_slice(f"{name}-g", GPU).on(name), make_slice(f"{name}-n", NIC).on(name)
        for place in range(4):
            gpus.device(
                f"gpu-{place}", type="gpu", pcieRoot=f"pci000{place}:00", model=f"m{number}"
            )
            nics.device(f"nic-{place}", pcieRoot=f"pci000{rng.randrange(4)}:00")
        node = make_node(name).allocatable(cpu=64, memory="256Gi")
        found += [node, gpus, nics]
    for number in range(rng.randint(12, 20)):
        found += _pod(rng, number)
    return [item.obj() for item in found]


def _pod(rng, number):
    pod = make_pod(f"seen-{number}", rng.choice(["a", "b"]))
    pod.body["metadata"]["creationTimestamp"] = f"2026-01-01T00:00:{rng.randrange(30):02}Z"
    pod = pod.request("cpu", rng.randint(1, 12))
    kind = rng.randrange(5)
    if kind == 0:
        return [pod]
    if kind == 1:
        pod = pod.gpus(rng.choice([1, 2, 4, 8]))
        return [pod.node(f"plain-{rng.randrange(3)}") if rng.random() < 0.3 else pod]
    if kind == 2:
        return [pod.gpus(2).label(*GANG)]
    claim = make_claim(f"claim-{number}", pod.body["metadata"]["namespace"]).request("g", GPU)
    if kind == 3:
        claim = claim.request("n", NIC)
    return [pod.claim(f"claim-{number}"), claim]


def answers(judging):
    """What filter, prioritize and explain answer to pods that wait, and to some more, as bytes."""
    judging.settle(rest=True)
    waiting = [pod for _, pod in sorted(judging.store.pods.items()) if not pod.spec.node_name]
    pods = waiting[:6]
    pods += [make_pod(f"new-{gpus}").gpus(gpus).request("cpu", 4).obj() for gpus in (1, 4, 8)]
    names = sorted(judging.index.rows)
    reported = []
    for pod in pods:
        found = judging.filter_only(pod, names)
        scored = judging.score(pod, found.passing(names))
        reported.append(
            {
                "pod": pod.metadata.name,
                "failed": dict(found.failed),
                "never": dict(found.unresolvable),
                "scores": None if scored is None else scored.scores.tolist(),
                "explained": explain.explain(judging, pod).as_json() | {"generation": 0},
            }
        )
        if not isinstance(judging.resolver.resolve(pod, judging.policy), resolver.NotJudged):
            reported[-1]["verbs"] = judging.prioritize(pod, found.passing(names)).tolist()
            judging.assumed.withdraw(pod.metadata.uid)
    return orjson.dumps(reported, msgspec.to_builtins, orjson.OPT_SORT_KEYS)


def show(judging, items):
    """Show objects as the watch would."""
    for item in items:
        judging.store.apply(type(item).__name__, "ADDED", item)


def main():
    demo, _ = assembly.from_snapshot([settings.embedded("demo")], policy=config.DEFAULT)
    sys.stdout.buffer.write(answers(demo))
    for seed in (1, 2):
        judging = fresh()
        show(judging, generated(seed))
        sys.stdout.buffer.write(answers(judging))


if __name__ == "__main__":
    main()
