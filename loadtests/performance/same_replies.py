"""What a service replies to generated and recorded calls, one hash a reply, to compare two trees.

    python -m loadtests.performance.same_replies --tree . --out after.jsonl
    python -m loadtests.performance.same_replies --tree ../before --out before.jsonl
    python -m loadtests.performance.same_replies --compare before.jsonl after.jsonl

The clusters and calls come of the seed alone. Each cluster is a snapshot that a service process of
`--tree` reads (its own `.venv`, if it has one); `--url` asks a service that runs already over one
of the snapshots that `--write` leaves in a folder. Generations are left out of the hashes: they
count how often something was settled, which is nobody's answer.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time
import urllib.parse

import orjson

from loadtests.performance.clusters import reply_clusters

_WIRE = pathlib.Path(__file__).parents[2] / "tests" / "golden" / "wire"
_VERB = re.compile("filter|prioritize|preempt")
_GENERATION = re.compile(rb'"generation":\d+,?')
_BOUND = re.compile(r"verbs on ([\w.:]+), questions on ([\w.:]+)")
_START_SECONDS = 60.0
# Reservations are held for a minute: a run that takes longer would compare clocks.
_MOST_SECONDS = 55.0
_POLICY = {
    "apiVersion": "railyard.dev/v1alpha1",
    "kind": "PlacementPolicy",
    "profiles": [{"name": "default"}],
    "reservationSeconds": 60,
}


class Service:
    """A service over one snapshot, started from a tree; ends with the `with` block."""

    def __init__(self, tree, folder, items):
        (folder / "snapshot.json").write_bytes(orjson.dumps({"kind": "List", "items": items}))
        (folder / "policy.json").write_text(json.dumps(_POLICY))
        own = tree / ".venv" / "bin" / "python"
        python = own if own.exists() else pathlib.Path(sys.executable)
        self._log = folder / "log"
        free = "127.0.0.1:0"
        command = [python, "-m", "extender", "serve", "--snapshot", folder / "snapshot.json"]
        command += ["--policy", folder / "policy.json", "--bind", free, "--admin-bind", free]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, cwd=tree, stdout=log, stderr=log)

    def __enter__(self):
        until = time.monotonic() + _START_SECONDS
        while time.monotonic() < until and self._process.poll() is None:
            text = self._log.read_text()
            bound = _BOUND.search(text)
            if bound and "ready: " in text:
                return tuple(f"http://{address}" for address in bound.groups())
            time.sleep(0.05)
        self.__exit__()
        raise SystemExit(f"the service did not start:\n{self._log.read_text()}")

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait()


class Client:
    """One kept connection to each port; writes a line a reply."""

    def __init__(self, verbs, admin, out, *, bodies):
        self._verbs, self._admin = (
            http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc) if url else None
            for url in (verbs, admin)
        )
        self._out, self._bodies = out, bodies

    def call(self, label, path, body):
        """POST to the verbs' port; the reply's body."""
        self._verbs.request("POST", path, body, {"Content-Type": "application/json"})
        return self._written(f"{label}{path}", self._verbs.getresponse())

    def explain(self, label, pod):
        """Ask the other port about a pod that need not be in the cluster."""
        if self._admin is not None:
            kind = {"Content-Type": "application/json"}
            self._admin.request("POST", "/v1/explain", orjson.dumps(pod), kind)
            self._written(f"{label}/explain", self._admin.getresponse())

    def _written(self, label, answer):
        body = answer.read()
        reported = _GENERATION.sub(b"", body)
        line = {
            "call": label,
            "status": answer.status,
            "hash": hashlib.sha256(reported).hexdigest(),
        }
        if self._bodies:
            line["body"] = body.decode()
        self._out.write(json.dumps(line) + "\n")
        return body


def body_of(pod, names):
    """ExtenderArgs as Go writes them."""
    return orjson.dumps({"Pod": pod, "Nodes": None, "NodeNames": names})


def ask(client, cluster, count, rng):
    """`count` calls about the cluster's pods, in an order in which kube-scheduler may send them."""
    for number in range(0, count, 3):
        label, pod = f"{cluster.name}/{number}", rng.choice(cluster.pods)
        if rng.random() < 0.1:
            _preempt(client, label, cluster, rng)
            continue
        start = rng.randrange(len(cluster.names))
        names = cluster.names[start:] + cluster.names[:start]
        kind = rng.random()
        if kind < 0.1:
            names = names[: rng.randint(1, 4)]
        elif kind < 0.2:
            names = [*names, "not-known-here"]
        elif kind < 0.25:
            names = [*names, names[0]]
        first = orjson.loads(client.call(label, "/filter", body_of(pod, names)))
        passing = first["NodeNames"]
        other = rng.random()
        if other < 0.05:
            pod = rng.choice(cluster.pods)  # another one than filter was asked about
        elif other < 0.1:
            passing = passing[::-1]
        elif other < 0.15:
            passing = passing[1:]
        client.call(label, "/prioritize", body_of(pod, passing))
        if rng.random() < 0.1:
            client.call(f"{label}/again", "/prioritize", body_of(pod, passing))
        if rng.random() < 0.05:
            client.explain(label, pod)


def _preempt(client, label, cluster, rng):
    """Evictions for a pod of its own, so that no clock decides what was granted before."""
    pod = json.loads(json.dumps(rng.choice(cluster.pods)))
    pod["metadata"] |= {"name": label.replace("/", "-"), "uid": f"uid-{label}"}
    pod["spec"]["priority"] = 1000
    nodes = rng.sample(cluster.names, min(6, len(cluster.names)))
    victims = {
        node: {"Pods": [{"UID": uid} for uid in rng.sample(held, rng.randint(0, len(held)))]}
        for node in nodes
        for held in [cluster.bound.get(node, [])]
    }
    body = {"Pod": pod, "NodeNameToVictims": None, "NodeNameToMetaVictims": victims}
    client.call(label, "/preempt", orjson.dumps(body))
    client.call(label, "/filter", body_of(pod, cluster.names))


def recorded(client, name):
    """Every recorded request; what it is about is in no cluster, or only by chance."""
    for path in sorted(_WIRE.rglob("*.json")):
        verb = _VERB.search(path.name)
        if verb and ".response" not in path.name:
            client.call(f"{name}/{path.relative_to(_WIRE)}", f"/{verb[0]}", path.read_bytes())


def run(chosen, out):
    """Ask about every cluster, each over a service of its own."""
    for cluster in reply_clusters.clusters(chosen.seed):
        if chosen.cluster not in {None, cluster.name}:
            continue
        rng, share = random.Random(chosen.seed), chosen.calls // len(reply_clusters.CLUSTERS)
        with tempfile.TemporaryDirectory() as folder:
            if chosen.url:
                _run_one(Client(chosen.url, chosen.admin_url, out, bodies=chosen.bodies), cluster,
                         share, rng)  # fmt: skip
                continue
            with Service(chosen.tree.absolute(), pathlib.Path(folder), cluster.items) as urls:
                _run_one(Client(*urls, out, bodies=chosen.bodies), cluster, share, rng)


def _run_one(client, cluster, count, rng):
    started = time.monotonic()
    ask(client, cluster, count, rng)
    recorded(client, cluster.name)
    took = time.monotonic() - started
    print(f"{cluster.name}: {took:.1f} s", file=sys.stderr)
    if took > _MOST_SECONDS:
        raise SystemExit(f"{cluster.name} took {took:.0f} s: reservations ended on the way")


def compare(before, after):
    """Print each call that was answered otherwise; how many those are."""
    read = [
        {line["call"]: line for line in map(json.loads, path.read_text().splitlines())}
        for path in (before, after)
    ]
    differing = 0
    for call in read[0] | read[1]:
        mine, theirs = (found.get(call) for found in read)
        if mine is None or theirs is None or mine["hash"] != theirs["hash"]:
            differing += 1
            print(call)
            for line in (mine, theirs):
                print("  " + (line.get("body", line["hash"]) if line else "no such call"))
    print(f"{differing} of {len(read[0] | read[1])} replies differ")
    return differing


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tree", type=pathlib.Path, default=pathlib.Path(), help="whose service")
    parser.add_argument("--url", help="a running service's verbs instead; needs --cluster")
    parser.add_argument("--admin-url", help="its other port, to be asked for explanations, too")
    parser.add_argument("--cluster", choices=list(reply_clusters.CLUSTERS), help="only this one")
    parser.add_argument("--calls", type=int, default=2000, help="in all, about")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=pathlib.Path, help="a line a reply; default: stdout")
    parser.add_argument("--bodies", action="store_true", help="write the replies, too")
    parser.add_argument("--write", type=pathlib.Path, metavar="FOLDER", help="only the snapshots")
    parser.add_argument("--compare", type=pathlib.Path, nargs=2, metavar=("A", "B"))
    chosen = parser.parse_args()
    if chosen.compare:
        return int(compare(*chosen.compare) > 0)
    if chosen.url and not chosen.cluster:
        parser.error("--url needs --cluster: say which snapshot the service reads")
    if chosen.write:
        for cluster in reply_clusters.clusters(chosen.seed):
            items = orjson.dumps({"kind": "List", "items": cluster.items})
            (chosen.write / f"{cluster.name}.json").write_bytes(items)
        return 0
    if chosen.out is None:
        run(chosen, sys.stdout)
        return 0
    with chosen.out.open("w") as out:
        run(chosen, out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
