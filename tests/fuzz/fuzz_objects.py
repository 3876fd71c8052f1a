"""Put hostile values into every field that is read of every kind, and ask about everybody else.

    python -m tests.fuzz.fuzz_objects [--cases 40000] [--seed S]

Each case changes one object of a small cluster (tests/kit/generated/hostile_world.py) as an API
server would show it, asks the verbs and the admin's questions about other pods, and puts the
object back. Nothing may raise, nobody else's verdict may change, and all must be as it was
before. Exit code 1 when anything differs. The seed is printed: the same seed gives the same
cases.
"""

from __future__ import annotations

import argparse
import collections
import pathlib
import random
import secrets
import sys
import traceback

import msgspec

from extender.kube.api import decoding, interning
from extender.policy import config
from extender.server import metrics, verbs
from extender.service import assembly, served_engine
from tests.kit.generated import hostile_values, hostile_world

ROOT = pathlib.Path(__file__).resolve().parents[2]

MOST_REPORTED = 20
NODES = ("plugin-0", "plugin-1", "dra-0", "dra-1")
# What decides for everybody by its meaning, whatever it holds: only faults count there.
FOR_ALL = frozenset({"DeviceTaintRule"})


class World:
    """A service's parts over the cluster, filled with JSON."""

    def __init__(self):
        self.now = 0.0
        self.engine = assembly.assemble(
            policy=config.DEFAULT,
            features=assembly.features_for(""),
            hardware=assembly.read_catalogue(),
            clock=lambda: self.now,
        )
        front = served_engine.ServedEngine(self.engine)
        self.metrics = metrics.Metrics(front.picture)
        self.verbs = verbs.Verbs(front, self.metrics, clock=lambda: self.now)
        self.front = front
        condense = interning.ObjectInterner()
        kinds = hostile_world.odd()
        self.decoders = {kind: decoding.Decoder(kind, condense) for kind in kinds}
        self.refused = collections.Counter()
        for kind, body in (*hostile_world.others(), *kinds.items()):
            assert self.show(kind, body), (kind, body)

    def show(self, kind, body):
        """Decode and apply as the reflector does; whether the object could be read."""
        decoder = self.decoders[kind]
        head = {"kind": kind, "apiVersion": "x/v1"}
        raw = msgspec.json.encode({**head, **body} if isinstance(body, dict) else body)
        try:
            item = decoder.item(msgspec.Raw(raw), named=False)
        except decoding.UndecodableError as error:
            if error.meta is not None:
                self.engine.store.apply(kind, "DELETED", decoder.nothing_but(error.meta))
            self.refused[kind] += 1
            return False
        self.engine.store.apply(kind, "MODIFIED", item)
        return True

    def remove(self, kind, body):
        item = self.decoders[kind].item(msgspec.Raw(msgspec.json.encode(body)), named=False)
        self.engine.store.apply(kind, "DELETED", item)

    def reported(self):
        """Filter's answers on everybody else's pods; prioritize is asked too."""
        found = []
        for pod in hostile_world.asked():
            body = msgspec.json.encode({"Pod": pod, "NodeNames": list(NODES)})
            found.append(self.verbs.filter(body))
            self.verbs.prepare()
            self.verbs.prioritize(body)
        return found

    def faults(self):
        """What fails open or is left out after it was decoded."""
        counters = self.metrics._counters["railyard_fail_open"].values()
        failed = sum(counter._value.get() for counter in counters)
        return failed, tuple(self.front.unusable())

    def ask_about_the_odd_one(self, pod):
        """Ask the verbs about the hostile pod itself, and on the odd node."""
        body = msgspec.json.encode({"Pod": pod, "NodeNames": ["odd", *NODES]})
        victims = {name: {"Pods": [{"UID": "uid-odd"}]} for name in ("odd", *NODES)}
        offered = msgspec.json.encode({"Pod": pod, "NodeNameToMetaVictims": victims})
        for verb, sent in (
            (self.verbs.filter, body),
            (self.verbs.prioritize, body),
            (self.verbs.preempt, offered),
        ):
            try:
                verb(sent)
            except verbs.wire.WireError:
                return


def case(world, number, seed, kinds, before):
    """One case; what is wrong with it, in words."""
    rng = random.Random(f"{seed}/{number}")
    kind = rng.choice(sorted(kinds))
    body = hostile_values.mutated(kinds[kind], rng, spared={"name", "namespace", "uid"})
    try:
        world.show(kind, body)
        during = world.reported()
        if number % 4 == 0:
            pod = body if kind == "Pod" else kinds["Pod"]
            spec = pod.get("spec")
            if isinstance(spec, dict):
                world.ask_about_the_odd_one({**pod, "spec": {**spec, "nodeName": ""}})
        if number % 64 == 0:
            world.metrics.exposition()
        faults = world.faults()
        world.remove(kind, kinds[kind])
        world.show(kind, kinds[kind])
        after = world.reported()
    except Exception:  # noqa: BLE001 - what is looked for
        return kind, body, traceback.format_exc(limit=-6)
    if faults != (0, ()):
        return kind, body, f"faults {faults}"
    if kind not in FOR_ALL and during != before:
        return kind, body, f"others' verdicts are {during}, were {before}"
    return (kind, body, f"not healed: {after}, was {before}") if after != before else None


def run(cases, seed, *, first=0, most=MOST_REPORTED):
    """Run cases; (what is wrong, how many objects could not be read by kind)."""
    world, kinds = World(), hostile_world.odd()
    before = world.reported()
    found = []
    for number in range(first, first + cases):
        if number % 1000 == 999:
            print(f"{number + 1 - first} cases, {len(found)} wrong", file=sys.stderr, flush=True)
        world.now += 100.0  # what was promised has ended
        if (wrong := case(world, number, seed, kinds, before)) is not None:
            found.append((number, *wrong))
            if len(found) >= most:
                break
            world = World()  # what went wrong must not tell of the next case
            before = world.reported()
    return found, world.refused


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=40_000, metavar="N")
    parser.add_argument("--seed", type=int, default=None, help="drawn and printed when not given")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    options = parser.parse_args()
    seed = secrets.randbelow(10**9) if options.seed is None else options.seed
    print(f"seed {seed}", file=sys.stderr)
    found, refused = run(options.cases, seed, first=options.first)
    for number, kind, body, why in found:
        print(f"case {number}, {kind}: {str(body)[:1500]}\n  {str(why)[:3000]}")
    print(f"{options.cases} cases, seed {seed}: {len(found)} wrong, {refused.total()} unreadable")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
