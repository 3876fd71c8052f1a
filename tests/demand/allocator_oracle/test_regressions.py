"""What once differed from the real allocator, kept small; the fuzzer appends what it finds."""

from __future__ import annotations

import json
import pathlib

import pytest

from tests.kit.allocator import allocator_live, allocator_replay

FILE = pathlib.Path(__file__).parents[2] / "golden" / "allocator" / "regressions.jsonl"
ROWS = [json.loads(line) for line in FILE.read_text().splitlines()]


@pytest.mark.parametrize("row", ROWS, ids=[row["name"] for row in ROWS])
@pytest.mark.parametrize(
    "predict",
    [
        pytest.param(allocator_replay.predict, id="replay"),
        pytest.param(allocator_live.predict, id="live"),
    ],
)
def test_a_difference_that_was_found_stays_closed(row, predict):
    features = allocator_replay.switches(row["input"]["features"], row["kubernetes"])
    ours = predict(row["input"], features=features, judge=allocator_replay.judge(features))
    theirs = allocator_replay.upstream(row["expected"])
    if features.pool_order_known:
        assert ours.same(theirs), ours
    else:
        assert ours.verdict == theirs.verdict, ours
