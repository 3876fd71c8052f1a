"""The fuzzer finds a planted difference, makes it small, and finds none where there is none."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import pytest

from tests.kit.allocator import allocator_cases, allocator_duel
from tests.kit.controlplane.oracle import build
from tests.kit.generated import shrink

ROOT = pathlib.Path(__file__).resolve().parents[3]

pytestmark = pytest.mark.controlplane


def binary(version):
    if reason := build.why_not(version):
        pytest.skip(reason)
    return str(build.binary(version))


def run(*arguments):
    command = [sys.executable, "-m", "tests.fuzz.fuzz_allocator", "--jobs", "1", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("more", [[], ["--live"]], ids=["replay", "live"])
def test_our_prediction_is_the_real_allocators_pick(more):
    binary("1.36.3")
    done = run("--cases", "150", "--kubernetes", "1.36.3", "--no-keep", *more)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "seed" in done.stderr


def test_a_difference_between_two_versions_fails_the_run_and_is_not_kept(tmp_path):
    binary("1.36.3"), binary("1.37.1")
    kept = tmp_path / "kept.jsonl"
    # Some cases of the sequence are decided unlike by the two versions.
    options = ["--seed", "1", "--cases", "400", "--kubernetes", "1.37.1", "--keep", str(kept)]
    done = run(*options, "--against", "1.36.3", "--stop-after", "1")
    assert done.returncode == 1
    assert " different" in done.stdout
    assert not kept.exists(), "two versions of upstream are no regression of ours"


def test_a_defect_that_the_profile_denies_is_found_and_made_small():
    # The profile is of 1.36.3, the answers are of 1.36.2, which still has the leak.
    setting = allocator_duel.Setting("1.36.3", binary("1.36.2"), "2s")
    with allocator_duel.Duel(setting) as duel:
        found = next(
            case
            for case in (allocator_cases.draw(1, n, version=(1, 36)) for n in range(3000))
            if duel.differs(case)
        )
        small = shrink.shrink(found, duel.differs)
        assert duel.differs(small)
    assert len(json.dumps(small)) < len(json.dumps(found)) / 2
