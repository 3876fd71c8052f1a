"""Send mutated bodies of extender/v1 to the verbs: each gets an answer, or a 400.

    python -m tests.fuzz.fuzz_wire [--cases 110000] [--seed S]

Bodies recorded from kube-schedulers and generated ones (tests/golden/wire) get hostile values put
in, or bytes cut out, doubled or changed. Only a refusal of the caller's (4xx) or an answer that
kube-scheduler can read may come back; a fault of ours, which lets every node pass, fails the case.
Exit code 1 when one does. The seed is printed: the same seed gives the same cases.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import pathlib
import random
import secrets
import sys
import traceback

import msgspec

from extender import errors
from tests.fuzz import fuzz_objects
from tests.kit.generated import hostile_values, hostile_world

ROOT = pathlib.Path(__file__).resolve().parents[2]

MOST_REPORTED = 20
_LARGEST = 20_000  # bytes of a recorded body; larger ones hold more of the same
_INT64 = range(-(2**63), 2**63)


class Filtered(msgspec.Struct):
    """What is read of filter's answer."""

    Error: str
    FailedNodes: dict[str, str]
    FailedAndUnresolvableNodes: dict[str, str]
    NodeNames: list[str] | None
    Nodes: msgspec.Raw


def originals():
    """(verb, body) to start from: recorded ones, and some about nodes of the small cluster."""
    folder = ROOT / "tests" / "golden" / "wire"
    for path in sorted((*folder.glob("*request.json"), *folder.glob("captured/*/*.json"))):
        verb = next((verb for verb in ("filter", "prioritize", "preempt") if verb in path.name), "")
        if verb and path.stat().st_size <= _LARGEST:
            body = json.loads(path.read_bytes())
            if isinstance(body, dict) and ("Pod" in body or "pod" in body):
                yield verb, body
    names = ["odd", *fuzz_objects.NODES]
    nodes = [{"metadata": {"name": name}} for name in names]
    for pod in (*hostile_world.asked(), hostile_world.odd()["Pod"]):
        for verb in ("filter", "prioritize"):
            yield verb, {"Pod": pod, "Nodes": None, "NodeNames": names}
        yield "filter", {"Pod": pod, "Nodes": {"items": nodes}, "NodeNames": None}
        victims = {name: {"Pods": [{"UID": "h"}], "NumPDBViolations": 1} for name in names}
        yield "preempt", {"Pod": pod, "NodeNameToMetaVictims": victims}
        full = {name: {"Pods": [pod], "NumPDBViolations": 1} for name in names}
        yield "preempt", {"Pod": pod, "NodeNameToVictims": full}


def drawn(starts, rng):
    """A verb and the bytes to send to it."""
    verb, body = rng.choice(starts)
    if rng.random() < 0.85:
        with contextlib.suppress(RecursionError):  # nested deeper than can be written from here
            return verb, msgspec.json.encode(hostile_values.mutated(body, rng))
    data = bytearray(msgspec.json.encode(body))
    for _ in range(rng.choice((1, 2, 8))):
        place = rng.randrange(len(data) + 1)
        end = place + rng.choice((0, 1, 1, 8, 200))
        data[place:end] = rng.choice(
            (b"", bytes(data[place:end]) * 2, rng.randbytes(1), b"\xff", b"[" * 2000)
        )
    return verb, bytes(data)


def readable(verb, reply):
    """Whether kube-scheduler's own types take the answer."""
    if verb == "filter":
        reported = msgspec.json.decode(reply, type=Filtered)  # whole nodes go back as they came
        return reported.Error == "" and reported.Nodes is not None
    answer = msgspec.json.decode(reply)
    if verb == "prioritize":
        return all(isinstance(e["Host"], str) and e["Score"] in _INT64 for e in answer)
    victims = answer["NodeNameToMetaVictims"].values()
    return all(each["NumPDBViolations"] in _INT64 for each in victims)


def run(cases, seed, *, first=0):
    """Send cases; (what is wrong, how many of each outcome)."""
    world, starts = fuzz_objects.World(), list(originals())
    found, outcomes = [], collections.Counter()
    for number in range(first, first + cases):
        verb, body = drawn(starts, random.Random(f"{seed}/{number}"))
        world.now += 1.0
        try:
            good = readable(verb, getattr(world.verbs, verb)(body))
            outcomes["answered"] += 1
            if number % 5 == 0:
                world.verbs.prepare()
        except errors.WireError as refused:
            outcomes[str(refused.status)] += 1
            good = 400 <= refused.status < 500
        except Exception:  # noqa: BLE001 - what is looked for
            found.append((number, verb, body, traceback.format_exc(limit=-5)))
            good = True
        if not good or world.faults()[0]:
            found.append((number, verb, body, "an unreadable answer, or a fault that opens"))
            world = fuzz_objects.World()
        if len(found) >= MOST_REPORTED:
            break
    return found, outcomes


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=110_000, metavar="N")
    parser.add_argument("--seed", type=int, default=None, help="drawn and printed when not given")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    options = parser.parse_args()
    seed = secrets.randbelow(10**9) if options.seed is None else options.seed
    print(f"seed {seed}", file=sys.stderr)
    found, outcomes = run(options.cases, seed, first=options.first)
    for number, verb, body, why in found:
        print(f"case {number}, {verb}: {body[:1500]!r}\n  {why[:3000]}")
    print(f"{options.cases} bodies, seed {seed}: {len(found)} wrong, {dict(outcomes)}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
