"""Run the predictor on vectors: python -m tests.kit.allocator.allocator_vectors FILE…
[--kubernetes VERSION].

A file holds one JSON case per line, plain or .gz. Prints "N same, M different" and the names of
those that differ; the exit status is 1 if any differ. Where upstream's pick is random, verdict and
validity are compared instead of devices.
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import json
import pathlib
import re
import sys
from collections.abc import Iterator
from typing import Any

if __package__ in {None, ""}:
    # Started as a file: the repository's root is what makes `tests` and `extender` importable.
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3]))

import msgspec

from extender.demand import selectors
from extender.hardware import allocator_features
from extender.hardware.dra import slices
from extender.kube.api import objects
from tests.kit.allocator import allocator_replay
from tests.kit.allocator.validity import allocator_validity

Json = dict[str, Any]

_VERSION = re.compile(r"v(\d+\.\d+(?:\.\d+)?)")
# The upstream tests behind the vectors of 1.36 ran on this patch.
_PATCHES = {"1.36": "1.36.2"}
# A vector names the variant that answered; kube-scheduler goes by the gates alone.
_STABLE = {"pool_order_known": False, "permutations": True, "newer_variant": False}
_ADVANCED = {"pool_order_known": True, "permutations": False, "newer_variant": True}
# Some of upstream's cases before 1.36 have no node at all; no slice names a node without a name.
_NO_NODE = {"metadata": {"name": "", "labels": {}}}
# Upstream's own cases may take as long as upstream takes.
_BUDGET = 5_000_000


@dataclasses.dataclass(frozen=True, slots=True)
class Vector:
    """One line of a file, and the switches under which its answer was written."""

    name: str
    channel: str
    case: Json
    expected: Json
    features: allocator_features.AllocatorFeatures
    depends_on: tuple[str, ...] = ()  # defects whose repair changes the answer


def read(path: pathlib.Path, version: str = "") -> Iterator[Vector]:
    """Yield the vectors of a file; the version is given, or stands in the file's name."""
    named = _VERSION.search(path.name)
    version = version or (named[1] if named else "1.36")
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        for line in lines:
            yield _vector(json.loads(line), _PATCHES.get(version, version))


def _vector(body: Json, version: str) -> Vector:
    channel = body.get("channel") or "incubating"
    if version.startswith("1.36"):
        variant = _STABLE if channel == "stable" else _ADVANCED
    else:
        variant = {"newer_variant": channel == "experimental"}
    gates = body["input"]["features"]
    return Vector(
        name=body["name"],
        channel=channel,
        case={**body["input"], "node": body["input"]["node"] or _NO_NODE},
        expected=body["expected"],
        features=allocator_replay.switches(gates, version, **variant),
        depends_on=tuple(body.get("resultDependsOnBug") or ()),
    )


class Judges:
    """The CEL engines, one per set of gates that changes what expressions mean."""

    def __init__(self) -> None:
        self._engines: dict[tuple[bool, bool, int], selectors.Selectors] = {}

    def of(self, features: allocator_features.AllocatorFeatures) -> selectors.Selectors:
        lists = (features.list_attributes, features.selectors_refuse_lists)
        key = (*lists, features.selectors_minor)
        if key not in self._engines:
            self._engines[key] = allocator_replay.judge(features)
        return self._engines[key]


def difference(vector: Vector, judges: Judges) -> str:
    """Say how our answer differs from upstream's; empty if it does not."""
    judge = judges.of(vector.features)
    theirs = allocator_replay.upstream(vector.expected)
    ours = allocator_replay.predict(
        vector.case, features=vector.features, judge=judge, budget=_BUDGET
    )
    if ours.verdict != theirs.verdict:
        return f"{ours.verdict} ({ours.message}), upstream: {theirs.verdict} ({theirs.message})"
    if ours.picks == theirs.picks:
        return ""
    if ours.certain:
        return f"{_devices(ours)}, upstream: {_devices(theirs)}"
    broken = allocator_validity.violations(
        vector.case,
        allocator_replay.as_results(ours),
        matches=matches(judge),
        repeats=vector.features.permutations,
    )
    return "; ".join(broken)


def matches(judge: selectors.Selectors) -> allocator_validity.Matches:
    def judged(expression: str, driver: str, device: Json) -> bool:
        body = {"driver": driver, "allNodes": True, "devices": [device]}
        body["pool"] = {"name": "p", "generation": 1, "resourceSliceCount": 1}
        found = slices.inventory(
            "",
            {},
            [msgspec.convert({"spec": body}, objects.ResourceSlice, strict=False)],
            features=allocator_features.AllocatorFeatures(),
            interner=slices.Interner(),
        )
        return judge.matches(expression, found.devices[0])

    return judged


def _devices(answer: allocator_replay.Answer) -> list[list[str]]:
    return [[pick[3] for pick in claim] for claim in answer.picks]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("files", nargs="+", metavar="FILE", type=pathlib.Path)
    parser.add_argument("--kubernetes", default="", help="the version, if not in a file's name")
    chosen = parser.parse_args(arguments)
    judges = Judges()
    same, different = 0, []
    for path in chosen.files:
        for vector in read(path, chosen.kubernetes):
            found = difference(vector, judges)
            if found:
                different.append(f"{vector.name} ({vector.channel}): {found}")
            else:
                same += 1
    print(f"{same} same, {len(different)} different")
    for line in different:
        print(f"  {line}")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
