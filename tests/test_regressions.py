"""What once differed from the real allocator, kept small; the fuzzer appends what it finds."""

from __future__ import annotations

import json
import pathlib

import pytest

from tests import allocator_replay

FILE = pathlib.Path(__file__).parent / "golden" / "allocator" / "regressions.jsonl"
ROWS = [json.loads(line) for line in FILE.read_text().splitlines()]


@pytest.mark.parametrize("row", ROWS, ids=[row["name"] for row in ROWS])
def test_a_difference_that_was_found_stays_closed(row):
    features = allocator_replay.switches(row["input"]["features"], row["kubernetes"])
    ours = allocator_replay.predict(
        row["input"], features=features, judge=allocator_replay.judge(features)
    )
    theirs = allocator_replay.upstream(row["expected"])
    if features.pool_order_known:
        assert ours.same(theirs), ours
    else:
        assert ours.verdict == theirs.verdict, ours
