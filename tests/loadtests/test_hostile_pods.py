"""A flood of pods of which no two ask the same: answers stay right, memory stays bounded."""

import pytest

from extender.decisions import engine_snapshot
from extender.demand import selectors
from extender.demand.allocator import allocator
from extender.pricing import loss_cache, placement_counts
from extender.verdicts import resolver, verdict_table
from loadtests.performance.clusters import hostile_pods
from loadtests.simulator import mixed_fleet

# Bounds so low that ten pods pass each of them.
LOW = (
    (verdict_table, "_MOST_BYTES", 40_000),
    (allocator, "_MOST_BYTES", 60_000),
    (loss_cache, "_MOST_BYTES", 10_000),
    (placement_counts, "_MOST_BYTES", 20_000),
    (selectors, "_MOST_PROGRAMS", 20_000),
    (resolver, "_MOST_QUESTIONS", 4),
    (resolver, "_MOST_DEMANDS", 8_000),
)
# The latest of these stays whatever it takes; of counts, all that the current classes need.
LATEST_STAYS = {
    "losses": 90_000,
    "verdict-tables": 40_000,
    "allocator-plans": 400_000,
    "placement-counts": 600_000,
}


@pytest.fixture(scope="module")
def unbounded():
    return [answers for answers, _ in flood()]


def flood(pods=10):
    """Yield, pod by pod, who passed and why others did not, and how full the caches are."""
    engine = mixed_fleet.cluster(14, patient=True, learn=False)
    names = sorted(engine.index.rows)
    for number in range(pods):
        case = hostile_pods.distinct(number)
        for kind, item in case.objects:
            engine.store.apply(kind, "ADDED", item)
        found = engine.filter(case.pod, names)
        passing = found.passing(names)
        scores = engine.prioritize(case.pod, passing).tolist()
        yield (found.failed, found.unresolvable, len(scores)), engine_snapshot.of(engine).caches
        for kind, item in reversed(case.objects):
            engine.store.apply(kind, "DELETED", item)


def test_low_bounds_change_no_answer_and_are_kept(monkeypatch, unbounded):
    for module, name, bound in LOW:
        monkeypatch.setattr(module, name, bound)
    full = set()
    for number, (answers, caches) in enumerate(flood()):
        assert answers == unbounded[number]
        for each in caches:
            assert each.used <= each.bound + LATEST_STAYS.get(each.name, 0), each
            full |= {each.name} if each.used > each.bound // 2 else set()
    assert {"verdict-tables", "allocator-plans", "losses", "questions", "claim-demands"} <= full
