"""The oracle gives the answers that upstream's own tests and the recorded fuzz cases expect."""

from __future__ import annotations

import gzip
import json
import pathlib
import subprocess

import pytest

from tests.kit.allocator import allocator_replay
from tests.kit.controlplane.oracle import build

VECTORS = pathlib.Path(__file__).parents[2] / "golden" / "allocator"

pytestmark = pytest.mark.controlplane


def oracle(version, *arguments, lines):
    if reason := build.why_not(version):
        pytest.skip(reason)
    done = subprocess.run(
        [build.binary(build.resolve(version)), *arguments],
        input="".join(json.dumps(line) + "\n" for line in lines),
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def differing(version, channel, name):
    with gzip.open(VECTORS / name, "rt") as stream:
        cases = [json.loads(line) for line in stream]
    options = ["--channel", channel] if channel else []
    answers = oracle(version, "allocate", *options, lines=cases)
    return {
        case["name"]: (expected, found)
        for case, answer in zip(cases, answers, strict=True)
        if not (found := allocator_replay.upstream(answer)).same(
            expected := allocator_replay.upstream(case["expected"])
        )
    }


@pytest.mark.parametrize(
    ("version", "name"),
    [
        ("1.36.2", "allocator_v1.36_incubating.jsonl.gz"),
        ("1.36.2", "fuzz_v1.36.2_incubating.jsonl.gz"),
        ("1.36.3", "allocator_v1.36_incubating.jsonl.gz"),
    ],
)
def test_the_sorting_variants_pick_the_recorded_devices(version, name):
    assert differing(version, "incubating", name) == {}


@pytest.mark.parametrize(
    ("version", "channel", "name"),
    [
        ("1.34.9", "", "allocator_v1.34_experimental.jsonl.gz"),
        ("1.35.6", "incubating", "allocator_v1.35_incubating.jsonl.gz"),
        ("1.35.6", "experimental", "allocator_v1.35_experimental.jsonl.gz"),
        ("1.36.3", "stable", "allocator_v1.36_stable.jsonl.gz"),
    ],
)
def test_the_other_variants_reach_the_recorded_verdicts(version, channel, name):
    found = differing(version, channel, name)
    assert {k: v for k, v in found.items() if v[0].verdict != v[1].verdict} == {}


def test_the_real_selectors_tell_compile_errors_from_run_time_errors():
    def line(expression):
        attributes = {"model": {"string": "A"}}
        return {"expression": expression, "driver": "gpu.x.io", "attributes": attributes}

    yes, no, absent, broken = oracle(
        "1.36.3",
        "cel",
        lines=[
            line("device.attributes['gpu.x.io'].model == 'A'"),
            line("device.attributes['gpu.x.io'].model == 'B'"),
            line("device.attributes['gpu.x.io'].gone == 'A'"),
            line("device.driver =="),
        ],
    )
    assert (yes["result"], no["result"]) == (True, False)
    assert (absent["error"], broken["error"]) == ("runtime", "compile")


def test_a_case_that_cannot_be_run_is_distinguished_from_an_answer():
    case = {"name": "x", "input": {"features": ["DRANoSuchFeature"], "claims": [], "slices": []}}
    [answer] = oracle("1.36.3", "allocate", lines=[case])
    assert "no feature" in answer["failure"]
    assert allocator_replay.upstream(answer).verdict == allocator_replay.CRASH
