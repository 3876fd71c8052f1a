"""Every known defect and change of upstream's allocator, shown by a smallest case.

`golden/allocator/defects.jsonl` has, per switch of the version profile, a case and what upstream
answers with and without it, as printed by the oracle of the version that the row names.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib

import pytest

from extender.hardware import allocator_features
from tests.kit.allocator import allocator_cases, allocator_duel, allocator_replay
from tests.kit.controlplane.oracle import build

FILE = pathlib.Path(__file__).parents[2] / "golden" / "allocator" / "defects.jsonl"
ROWS = [json.loads(line) for line in FILE.read_text().splitlines()]
CLEAN = allocator_features.AllocatorFeatures()


@pytest.mark.parametrize("row", ROWS, ids=[row["name"] for row in ROWS])
@pytest.mark.parametrize("shown", ["with", "without"])
def test_a_switch_alone_makes_the_difference(row, shown):
    gates = row["input"]["features"]
    chosen = allocator_replay.switches(gates, "1.37")
    chosen = dataclasses.replace(chosen, **{row["name"]: shown == "with"})
    ours = allocator_replay.predict(
        row["input"], features=chosen, judge=allocator_replay.judge(chosen)
    )
    assert ours.same(allocator_replay.upstream(row[shown])), ours


def test_the_newest_version_has_no_known_defect():
    for row in ROWS:
        assert getattr(CLEAN, row["name"]) is False


@pytest.mark.controlplane
@pytest.mark.parametrize("version", build.known_versions())
def test_every_version_answers_as_its_profile_says(version):
    if reason := build.why_not(version):
        pytest.skip(reason)
    setting = allocator_duel.Setting(version, str(build.binary(version)), "2s")
    with allocator_duel.Duel(setting) as duel:
        found = {
            row["name"]: duel.verdict(_for(row, setting.minor))
            for row in ROWS
            # Shares were an early form in 1.34, off by default, and are not modelled for it.
            if setting.minor > (1, 34) or not row["input"]["allocatedSharedDeviceIDs"]
        }
    differing = {name: verdict for name, verdict in found.items() if verdict == "different"}
    assert not differing


def _for(row, minor):
    gates = [gate for gate in row["input"]["features"] if _knows(minor, gate)]
    case = {**row["input"], "features": gates}
    if minor == (1, 34):
        case["slices"] = _merged(case["slices"])
    return {"name": row["name"], "input": case}


def _merged(slices):
    """Return one slice per pool: in 1.34 counters stand beside the devices that draw them."""
    pools = {}
    for item in slices:
        spec = item["spec"]
        name = (spec["driver"], spec["pool"]["name"])
        first = pools.setdefault(name, {**item, "spec": {}})["spec"]
        first |= spec | {"pool": {**spec["pool"], "resourceSliceCount": 1}}
    return list(pools.values())


def _knows(minor, gate):
    first = {allocator_cases.FRACTIONS: (1, 37), allocator_cases.LISTS: (1, 36)}
    return minor >= first.get(gate, (1, 34))
