"""Each policy's hypothetical cluster holds what it would hold, and the real one does not move."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from extender.policy import config
from extender.shadow import projection
from tests.kit.builders import make_class, make_pod, make_template
from tests.kit.worlds import GPU, NIC, engine, feed, held, p4d

NODES = ["aligned", "apart", "full", "spare"]
APART = config.parse(
    {"profiles": [{"name": "default", "locality": {"weight": 0}}]}, source="a test"
)


def world(active=config.DEFAULT):
    judging = engine(active)
    for name in NODES:
        feed(judging, *p4d(name))
    feed(judging, make_class(GPU), make_class(NIC))
    feed(judging, held("apart", "nic-0"), held("full", *(f"gpu-{n}" for n in range(8))))
    feed(judging, make_template("pair").request("gpu", GPU).request("nic", NIC))
    feed(judging, make_template("four").request("gpu", GPU, count=4))
    judging.settle()
    return judging


def pod(number, template="pair"):
    return make_pod(f"p{number}").uid(f"u{number}").template(template).obj()


def begun(judging, policy=APART):
    found = projection.Projections(judging, policy)
    for _ in range(500):
        found.settle()
        if found.ready:
            return found
    raise AssertionError


@settings(max_examples=25)
@given(st.lists(st.sampled_from(["pair", "four"]), max_size=14))
def test_it_holds_what_the_policy_alone_would_have_placed(templates):
    judging = world()
    found = begun(judging)
    before = judging.index.state.copy(), judging.index.expected.copy(), judging.index.writes

    for number, template in enumerate(templates):
        found.place(pod(number, template), NODES)

    reported = found.as_json()
    for name, policy in (("active", config.DEFAULT), ("candidate", APART)):
        alone, placed = world(policy), 0
        for number, template in enumerate(templates):
            asked = pod(number, template)
            names = alone.filter(asked, NODES).passing(NODES)
            names = [n for n in names if fits_expected(alone, asked, n)]
            if names:
                placed += 1
                alone.prioritize(asked, names)
                # A clock that stands still ends no reservation: it is held as if it were bound.
                assert alone.index.reservations.of(asked.metadata.uid) is not None
        total = alone.pricer.inventory.totals()[1]
        assert reported[name]["placed"] == placed
        assert reported[name]["placed"] + reported[name]["refused"] == len(templates)
        assert reported[name]["gpus"] == total == 32
    after = judging.index.state, judging.index.expected, judging.index.writes
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))


def fits_expected(judging, asked, name):
    judging.settle()
    resolved = judging.resolver.resolve(asked, judging.policy)
    table = judging.table(resolved.question)
    state = int(judging.index.expected[judging.index.rows[name]])
    return table.verdict(state).fits


def test_two_policies_part_ways_and_the_cost_of_it_is_reported():
    found = begun(world())

    for number in range(6):
        found.place(pod(number), NODES)

    reported = found.as_json()
    assert reported["active"]["allocatedGpus"] == reported["candidate"]["allocatedGpus"] == 8 + 6
    assert reported["active"]["localityCost"] < reported["candidate"]["localityCost"]
    assert reported["active"]["headroomGpus"]["1"] == 32 - 14
    assert reported["last"] is None


def test_it_begins_anew_after_so_many_pods_and_keeps_how_it_stood(monkeypatch):
    monkeypatch.setattr(projection, "MOST_PLACED", 3)
    found = begun(world())

    for number in range(3):
        found.place(pod(number), NODES)
    assert not found.ready
    for _ in range(50):
        found.settle()

    reported = found.as_json()
    assert reported["last"]["active"]["placed"] == 3
    assert reported["active"]["placed"] == 0
    assert not reported["learning"]


def test_states_that_are_numbered_anew_begin_another_pair():
    judging = world()
    found = begun(judging)
    found.place(pod(1), NODES)

    judging.index.compact()
    assert not found.ready
    found.place(pod(2), NODES)
    for _ in range(50):
        found.settle()
    found.place(pod(3), NODES)

    assert found.as_json()["active"]["placed"] == 1


def test_of_a_burst_that_is_too_large_each_pod_is_as_likely_to_be_placed(monkeypatch):
    monkeypatch.setattr(projection, "MOST_WAITING", 8)
    judging = world()
    seen = np.zeros(32)
    for seed in range(200):
        found = begun(judging)
        found._chance = np.random.default_rng(seed)
        for number in range(len(seen)):
            found.wait(pod(number), NODES)
        assert (found.waiting, found.left_out) == (8, 24)
        seen[[int(each.resolved[0].uid[1:]) for each in found._waiting]] += 1

    mean = 200 * 8 / 32
    assert seen.min() > mean / 2
    assert seen.max() < mean * 2


def test_a_pod_that_fits_nowhere_and_a_node_that_came_later_change_nothing():
    found = begun(world())

    found.place(pod(1, "four"), ["full"])
    found.place(pod(2, "four"), ["later"])

    reported = found.as_json()
    assert (reported["active"]["placed"], reported["active"]["refused"]) == (0, 2)
