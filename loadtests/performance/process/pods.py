"""Streams of pods of which no two are alike, and bodies that no kube-scheduler sends."""

from __future__ import annotations

import random
from collections.abc import Iterator

import msgspec
import orjson

from loadtests.performance.clusters import hostile_pods
from loadtests.performance.clusters.hostile_pods import GPU, MIG, NIC, ROOT, Case

# Kinds that take turns: most pods of a cluster ask for device plug-ins' resources or for CPU alone.
# 0 to 7 have claims (3: annotations instead), each of which asks for what no other does.
_TURNS = (8, 9, 10, 11, 8, 3, 10, 0, 8, 9, 10, 11, 8, 11, 10, 1, 8, 9, 10, 11, 8, 3, 10, 2)
_TURNS += (8, 9, 10, 11, 8, 11, 10, 4, 8, 9, 10, 11, 8, 3, 10, 5, 8, 9, 10, 11, 8, 11, 10, 6, 8, 7)
_NUMBERS_BELOW = 10_000_000  # of the others: names are by number
_MIG_SIZES = ("1g.10gb", "2g.20gb", "3g.40gb", "7g.80gb")


def distinct(number: int) -> Case:
    """Pods that differ in names, uids, annotations, and in what they ask for."""
    kind, own = _TURNS[number % len(_TURNS)], f"distinct-{number}"
    if kind < 4:
        return hostile_pods.distinct(4 * (_NUMBERS_BELOW + number) + kind)
    if kind in _BY_KIND:
        return hostile_pods.claiming(own, [_BY_KIND[kind](number)])
    return hostile_pods.alone(own, _without_claims(kind, number, own))


def _by_uuid(number: int):
    text = f'device.attributes["{GPU}"].uuid.contains("{number}")'
    return hostile_pods.spec([hostile_pods.request("one", GPU, selectors=[text])])


def _by_choice(number: int):
    choices = [("a", GPU, 8, ()), ("b", GPU, 1 + number % 7, ()), ("c", MIG, 1, ())]
    return hostile_pods.spec([hostile_pods.first(f"first-{number}", choices)])


def _partitions(number: int):
    text = f'device.attributes["{GPU}"].profile != "{number}"'
    asked = hostile_pods.request(f"m{number}", MIG, count=1 + number % 5, selectors=[text])
    return hostile_pods.spec([asked])


def _pairs(number: int):
    asked = [
        hostile_pods.request("gpu", GPU, count=1 + number % 8),
        hostile_pods.request("nic", NIC, count=1 + number // 8 % 8),
    ]
    return hostile_pods.spec(asked, [hostile_pods.match(ROOT)] if number % 2 else ())


_BY_KIND = {4: _by_uuid, 5: _by_choice, 6: _partitions, 7: _pairs}


def _without_claims(kind: int, number: int, own: str):
    """Device plug-ins in all sizes, MIG by name, gangs, and pods that ask for no device."""
    cpu = {"cpu": f"{100 + number}m", "memory": f"{number + 1}Mi"}
    labels = {f"label-{number}": own, "app": own}
    if kind == 8:
        amounts = cpu | {"nvidia.com/gpu": str(1 + number % 8)}
    elif kind == 9:
        amounts = cpu | {f"nvidia.com/mig-{_MIG_SIZES[number % 4]}": str(1 + number % 3)}
    elif kind == 10:
        amounts = cpu | {"nvidia.com/gpu": str(1 + number % 4)}
        labels |= {"jobset.sigs.k8s.io/jobset-name": f"job-{number // 32}"}
    else:
        amounts = cpu
    notes = {f"example.com/{own}-{n}": "x" * 50 for n in range(number % 20)}
    return hostile_pods.pod_of(own, [amounts], labels=labels, annotations=notes)


def hostile_bodies(names: list[str], rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """Yield (path, body) without end: too large, broken, deep, and full of what is not read."""
    plain = msgspec.to_builtins(hostile_pods.plain().pod)
    many = [f"node-{number:07}-of-another-cluster" for number in range(150_000)]
    env = [{"name": f"E{n}", "value": "x" * 900} for n in range(2000)]
    large = {**plain, "spec": {"containers": [{"name": "c", "env": env}]}}
    whole = orjson.dumps({"Pod": plain, "Nodes": {"items": [
        {"metadata": {"name": name, "annotations": {"a": "x" * 18_000}}} for name in names[:500]
    ]}, "NodeNames": None})  # fmt: skip
    asked = orjson.dumps({"Pod": plain, "Nodes": None, "NodeNames": names})
    while True:
        yield "/filter", orjson.dumps({"Pod": plain, "NodeNames": many})
        yield "/prioritize", orjson.dumps({"Pod": plain, "NodeNames": many})
        yield "/filter", asked[: rng.randrange(len(asked))]
        yield "/filter", orjson.dumps({"Pod": large, "NodeNames": names})
        yield "/filter", b'{"Pod":' + b"[" * 3_000_000
        yield "/filter", whole
        yield "/filter", b'{"Pod":{},"Nodes":{"items":[' + b"{}," * 2_000_000 + b"{}]}}"
        yield "/preempt", orjson.dumps({"Pod": plain, "NodeNameToMetaVictims": {
            name: {"Pods": [{"UID": f"{name}-{n}"} for n in range(20)]} for name in names
        }})  # fmt: skip
        yield "/filter", b'{"NodeNames":["' + b"x" * 7_000_000 + b'"]}'
        changed = bytearray(asked)
        for _ in range(20):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        yield "/filter", bytes(changed)
