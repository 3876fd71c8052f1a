"""What a first refusal costs, in several trees: `python -m loadtests.performance.refusals --help`.

    python -m loadtests.performance.refusals --tree ../before --tree .

Every node refuses the pods, and nearly every node is in a state of its own, so that a call judges
hundreds of states and words each refusal. `new`: a question that nobody asked before; `again`: a
known question, all states met anew. Figures are microseconds of processor time a node, medians over
the questions. The trees take turns, question by question, so that a busy machine burdens them
alike; `ratio` is the median of the ratios to the first tree. A tree runs by its own `.venv`, if it
has one.
"""

from __future__ import annotations

import argparse
import gc
import json
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

NODES = 600
QUESTIONS = 40
GPU, NIC = "gpu.example.com", "nic.example.com"
OTHER_MODEL = f'device.attributes["{GPU}"].model == "other"'
# kind of refusal → (GPUs, NICs, selector) that each pod requests, all behind one PCIe root
KINDS = {
    "in-use": (8, 0, ""),
    "not-together": (2, 2, ""),
    "no-match": (1, 0, OTHER_MODEL),
    "units": (0, 0, ""),  # of a device plug-in, more than there are
}
MODES = ("new", "again")
_WORKER = "--worker"


def snapshot(rng):
    """Machines of eight GPUs and NICs, by DRA and by plug-in, each used in another way."""
    # A worker runs this file in a tree that may have no such module.
    from loadtests.performance.clusters import reply_clusters  # noqa: PLC0415
    from tests.kit import builders  # noqa: PLC0415

    made = [builders.make_class(GPU), builders.make_class(NIC)]
    for number in range(NODES):
        name = f"n{number}"
        made.append(builders.make_node(name).allocatable(cpu=64).resource("nvidia.com/gpu", 8))
        gpus = builders.make_slice(f"{name}-g", GPU).on(name)
        nics = builders.make_slice(f"{name}-n", NIC).on(name)
        for place in range(8):
            root = f"pci000{place // 2}:00"
            gpus.device(f"gpu-{place}", pcieRoot=root, type="gpu", model="this")
            nics.device(f"nic-{place}", pcieRoot=root)
        held = [("g", GPU, name, f"gpu-{2 * root + rng.randrange(2)}") for root in range(4)]
        held += [("n", NIC, name, f"nic-{place}") for place in range(8) if rng.random() < 0.5]
        claim = builders.make_claim(f"held-{number}").request("g", GPU, 4)
        pod = builders.make_pod(f"p-{number}").gpus(1 + number % 7).node(name).phase("Running")
        made += [gpus, nics, claim.allocated(name, *held), pod]
    for kind in KINDS:
        for number in range(QUESTIONS):
            made += _question(builders, kind, number)
    return [reply_clusters.as_json(each) for each in made]


def _question(builders, kind, number):
    """A pod that no node can take, and its claim; no two ask the same."""
    name = f"ask-{kind}-{number}"
    gpus, nics, selector = KINDS[kind]
    pod = builders.make_pod(name)
    if not gpus:
        return [pod.gpus(9 + number)]
    own = f'device.driver != "d{number}"'
    template = builders.make_template(name)
    template.request("g", GPU, gpus, selectors=[each for each in (selector, own) if each])
    if nics:
        template.request("n", NIC, nics, selectors=[own])
    return [pod.template(name), template.match("resource.kubernetes.io/pcieRoot")]


# ---------------------------------------------------------------- in each tree


def work(path):
    """Answer each line "KIND NUMBER MODE" with the microseconds a node; runs in the tree."""
    from extender.policy import config  # noqa: PLC0415 - the tree's own
    from extender.service import assembly  # noqa: PLC0415

    judging, read = assembly.from_snapshot([pathlib.Path(path)], policy=config.DEFAULT)
    pods = {
        item.metadata.name: item
        for kind, item in read.objects
        if kind == "Pod" and item.metadata.name.startswith("ask-")
    }
    names = [f"n{number}" for number in range(NODES)]
    gc.collect()
    gc.freeze()  # as the service does once it has read everything
    print("ready", flush=True)
    for line in sys.stdin:
        kind, number, mode = line.split()
        pod = pods[f"ask-{kind}-{number}"]
        if mode == "again":
            judging.filter_only(pod, names)
            judging.tables.clear()
        judging.settle()
        begin = time.thread_time()
        found = judging.filter_only(pod, names)
        taken = time.thread_time() - begin
        refused = {**found.failed, **found.unresolvable}
        assert len(refused) == NODES, refused
        print(json.dumps([taken * 1e6 / NODES, len(set(refused.values()))]), flush=True)


class Worker:
    """A process of a tree that answers question by question."""

    def __init__(self, tree, path):
        own = tree / ".venv" / "bin" / "python"
        python = str(own if own.exists() else pathlib.Path(sys.executable))
        self._process = subprocess.Popen(
            [python, str(pathlib.Path(__file__).resolve()), _WORKER, str(path)],
            cwd=tree,
            env={"PYTHONPATH": str(tree.resolve()), "PYTHONHASHSEED": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if self._process.stdout.readline() != "ready\n":
            raise SystemExit(f"{tree}: the worker did not start")

    def ask(self, *words):
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def end(self):
        self._process.stdin.close()
        self._process.wait()


# ---------------------------------------------------------------- side by side


def measure(workers):
    """One report a kind and mode."""
    for kind in KINDS:
        for mode in MODES:
            times = [[] for _ in workers]
            texts = [0 for _ in workers]
            for number in range(QUESTIONS):
                order = list(range(len(workers)))
                random.Random(number).shuffle(order)
                for place in order:
                    taken, texts[place] = workers[place].ask(kind, number, mode)
                    times[place].append(taken)
            yield {
                "benchmark": "refusals",
                "kind": kind,
                "mode": mode,
                "microseconds": [round(statistics.median(each), 2) for each in times],
                "ratio": [
                    round(statistics.median(b / a for a, b in zip(times[0], each, strict=True)), 3)
                    for each in times
                ],
                "reasons": texts,
            }


def main(arguments=None):
    parse = argparse.ArgumentParser(description=__doc__)
    parse.add_argument("--tree", type=pathlib.Path, action="append", help="may be repeated")
    parse.add_argument("--json", action="store_true", help="one JSON line a kind and mode")
    options = parse.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "snapshot.json"
        path.write_text(json.dumps({"kind": "List", "items": snapshot(random.Random(1))}))
        workers = [Worker(tree, path) for tree in options.tree or [pathlib.Path()]]
        try:
            for report in measure(workers):
                print(json.dumps(report) if options.json else report, flush=True)
        finally:
            for worker in workers:
                worker.end()
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == [_WORKER]:
        work(sys.argv[2])
    else:
        sys.exit(main())
