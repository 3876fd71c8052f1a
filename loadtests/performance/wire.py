"""What a pod's two calls take beside peers that judge nothing, as ratios of one run.

    python -m loadtests.performance.wire [--names 500 5000] [--whole 500] [--gap 0 1] [--pods 80]
    [--nodes 5000] [--tree ../before] [--python ../venv/bin/python] [--json]

    floor     C: blocking, no look-ups, no JSON; what comes is written back
    noop      aiohttp and orjson: all decoded, every node passes, all encoded
    go        Go, as extenders do it: typed decode and encode by the standard library
    railyard  the product over a mixed cluster, its decision history included; `before` is that of
              another tree, `python` the same by another interpreter

The floor needs `cc`, the Go peer `go`; each is left out where its compiler is missing. A pair is
filter and then prioritize about the names that filter let through, as bytes that are at hand;
`--gap` is the time between the calls in milliseconds, in which kube-scheduler does its own work.

Pods come in blocks of 20. Each peer is asked about a block back to back, as a scheduler with a
queue does it, and then nobody is asked for half a second, in which it works ahead if it does: that
does not run beside the next peer on the second core, and is reported by itself (`after`).
(Pod by pod in turn, with 3 ms between them, every cache was cold and the no-op took 5.5 times the
floor, where it takes 2.3 times that by itself.) The order of peers is random for a block, and the
reverse of it for the next: of two trees each is asked as often before the other as after it. Kinds
of pods take turns, and the first of each kind are counted in `p90` as well. CPU time is that of all
blocks, per pod.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import pathlib
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time

import orjson

from loadtests.performance import wire_ratio
from loadtests.performance.peers import services
from loadtests.simulator import large_objects

KINDS = ("gpu", "gpu-nic", "four-gpus", "two-gpus", "mig-1g-10gb", "efa")
TREE = pathlib.Path(__file__).parents[2]
BLOCK = 20  # pods that a peer is asked about back to back
_LAST_SECONDS = 0.003  # what it does after its last answer is still the pod's
_QUIET_SECONDS = 0.5


class Peer:
    """A service in its process, its one client, and what its pairs took."""

    def __init__(self, name, command, tree=TREE):
        # One hash seed: sets and dicts lie in memory alike in two trees.
        environment = os.environ | {"PYTHONPATH": str(tree), "PYTHONHASHSEED": "1"}
        self.name = name
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, cwd=tree, env=environment
        )
        self.client = None
        # Linux's clock of another process's CPU time.
        self._cpu_clock = (~self._process.pid << 3) | 2
        self.walls, self.cpu, self.after = [], 0.0, 0.0  # microseconds

    def connect(self):
        """Wait until it is ready."""
        self.client = wire_ratio.Client(int(self._process.stdout.readline()))

    def forget(self):
        """Begin another setting."""
        self.walls.clear()
        self.cpu = self.after = 0.0

    def block(self, pods, *, whole, gap):
        """Ask about pods, each a start and what is asked of it, back to back; then be quiet."""
        moments = [time.clock_gettime(self._cpu_clock)]
        for start, asked in pods:
            self._pair(start, asked, whole=whole, gap=gap)
        for pause in (_LAST_SECONDS, _QUIET_SECONDS):
            time.sleep(pause)
            moments.append(time.clock_gettime(self._cpu_clock))
        self.cpu += (moments[1] - moments[0]) * 1e6
        self.after += (moments[2] - moments[1]) * 1e6

    def _pair(self, start, asked, *, whole, gap):
        """One pod: filter, the gap, prioritize."""
        began = time.perf_counter()
        shown = self.client.post("/filter", start + asked)
        first = time.perf_counter() - began
        second = start + passing(shown, whole=whole)
        if gap:
            time.sleep(gap / 1000)
        began = time.perf_counter()
        self.client.post("/prioritize", second)
        self.walls.append((first + time.perf_counter() - began) * 1e6)

    def stop(self):
        """End the process."""
        if self.client is not None:
            self.client.close()
        self._process.terminate()
        self._process.wait()
        self._process.stdout.close()


def passing(shown, *, whole):
    """What filter let through, as the body of prioritize has it."""
    if whole:
        start, end = shown.index(b'"Nodes":'), shown.index(b',"NodeNames":')
        return shown[start:end] + b',"NodeNames":null}'
    start, end = shown.index(b'"NodeNames":'), shown.index(b',"FailedNodes":')
    return b'"Nodes":null,' + shown[start:end] + b"}"


def head(number):
    """The body of one pod, about 5 KB, up to its nodes."""
    env = [{"name": f"VARIABLE_{index}", "value": "x" * 40} for index in range(60)]
    claim = {"name": "d", "resourceClaimTemplateName": KINDS[number % len(KINDS)]}
    container = {"name": "main", "image": "registry.example.com/ml/trainer:1", "env": env}
    meta = {"name": f"train-{number}", "namespace": "default", "uid": f"uid-train-{number}"}
    spec = {"containers": [container], "resourceClaims": [claim]}
    pod = {"metadata": meta, "spec": spec, "status": {"phase": "Pending"}}
    return b'{"Pod":' + orjson.dumps(pod) + b","


class Windows:
    """Windows of the node list in the scheduler's order, which is not that of our rows."""

    def __init__(self, nodes, *, whole):
        self._rng = random.Random(3)
        self._names = [f"n{number:05}" for number in range(nodes)]
        self._rng.shuffle(self._names)
        self._whole = whole
        self._made = {}

    def next(self, count):
        start = self._rng.randrange(len(self._names))
        asked = (self._names[start:] + self._names[:start])[:count]
        if not self._whole:
            return b'"Nodes":null,"NodeNames":' + orjson.dumps(asked) + b"}"
        items = b",".join(map(self._node, asked))
        return b'"Nodes":{"metadata":{},"items":[' + items + b']},"NodeNames":null}'

    def _node(self, name):
        if name not in self._made:
            body = large_objects.node(int(name[1:]), self._rng)
            body["metadata"]["name"] = name
            self._made[name] = orjson.dumps(body)
        return self._made[name]


def blocks(first, count):
    """The numbers of `count` pods, in blocks."""
    for start in range(first, first + count, BLOCK):
        yield range(start, min(start + BLOCK, first + count))


def measure(peers, given, *, count, whole, gap, number):
    """The report of one setting; `number` is that of its first pod."""
    windows, rng = Windows(given.nodes, whole=whole), random.Random(5)
    for peer in peers:
        peer.forget()
    order = []
    for begun, pods in enumerate(blocks(number, given.pods)):
        asked = [(head(pod), windows.next(count)) for pod in pods]
        order = order[::-1] if begun % 2 else rng.sample(peers, len(peers))
        for peer in order:
            peer.block(asked, whole=whole, gap=gap)
    rows = {}
    for peer in peers:
        cuts = statistics.quantiles(peer.walls, n=10)
        rows[peer.name] = {
            "p50": round(statistics.median(peer.walls)),
            "p90": round(cuts[-1]),
            "cpu": round(peer.cpu / len(peer.walls)),
            "after": round(peer.after / len(peer.walls)),
        }
    return {
        "benchmark": "wire",
        "nodes": given.nodes,
        "names": count,
        "sent": "whole nodes" if whole else "names",
        "gap_ms": gap,
        "block": BLOCK,
        "pods": given.pods,
        "us": rows,
        "machine": f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "python": f"{platform.python_version()} ({platform.python_build()[1]})",
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
    }


def _version_of(python):
    """Its version, and when it was built."""
    ask = "import platform as p; print(f'{p.python_version()} ({p.python_build()[1]})')"
    return subprocess.check_output([python, "-c", ask], text=True).strip()


def ratios(report):
    """Railyard's medians over those of the others, wall and CPU."""
    mine = report["us"]["railyard"]
    return {
        other: (mine["p50"] / theirs["p50"], mine["cpu"] / max(theirs["cpu"], 1))
        for other, theirs in report["us"].items()
        if other != "railyard"
    }


def printed(report):
    """The report as a line for people."""
    shown = ", ".join(
        f"{wall:.2f}x {other} (CPU {cpu:.2f}x)" for other, (wall, cpu) in ratios(report).items()
    )
    mine = report["us"]["railyard"]
    tail = mine["p90"] / mine["p50"]
    sent = f"{report['names']} {report['sent']}, gap {report['gap_ms']:g} ms"
    return f"{sent}: {mine['p50']} us, p90 {tail:.1f}x of p50; {shown}"


def parsed():
    """What was given on the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--names", type=int, nargs="*", default=[500, 5000])
    parser.add_argument("--whole", type=int, nargs="*", default=[500], help="whole nodes a call")
    parser.add_argument("--gap", type=float, nargs="+", default=[0.0, 1.0], help="milliseconds")
    parser.add_argument("--pods", type=int, default=80, help="of each setting")
    parser.add_argument("--nodes", type=int, default=5000)
    parser.add_argument("--tree", type=pathlib.Path, help="measure this tree as well, as `before`")
    parser.add_argument("--python", help="measure by this interpreter as well, as `python`")
    parser.add_argument("--json", action="store_true", help="print a JSON line for each setting")
    return parser.parse_args()


def main():
    given = parsed()
    script = [sys.executable, services.__file__]
    with tempfile.TemporaryDirectory() as folder:
        commands = services.build(pathlib.Path(folder))
        peers = [Peer(name, command) for name, command in commands.items()]
        peers.append(Peer("noop", [*script, "noop"]))
        peers.append(Peer("railyard", [*script, "railyard", str(given.nodes)]))
        if given.tree:
            tree = given.tree.absolute()
            peers.append(Peer("before", [*script, "railyard", str(given.nodes)], tree))
        if given.python:
            script = [given.python, services.__file__]
            peers.append(Peer("python", [*script, "railyard", str(given.nodes)]))
        try:
            for peer in peers:
                peer.connect()
            number, other = 0, {}
            if given.python:
                other["other_python"] = _version_of(given.python)
            sizes = [(n, False) for n in given.names] + [(n, True) for n in given.whole]
            for count, whole in sizes:
                for gap in given.gap:
                    report = measure(peers, given, count=count, whole=whole, gap=gap, number=number)
                    number += given.pods
                    report |= other
                    print(json.dumps(report) if given.json else printed(report), flush=True)
        finally:
            for peer in peers:
                peer.stop()


if __name__ == "__main__":
    main()
