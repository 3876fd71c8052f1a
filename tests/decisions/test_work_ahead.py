"""What is worked out ahead changes no answer, and ends."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extender.demand import work
from tests.kit.builders import make_claim, make_class, make_node, make_pod, make_slice
from tests.kit.worlds import GPU, NIC, engine, feed, held, p4d

NODES = [f"n{number}" for number in range(8)]


def gpus(name, size):
    found = make_slice(f"{name}-g", GPU).on(name)
    for number in range(size):
        found.device(f"gpu-{number}", type="gpu", pcieRoot=f"pci000{number // 2}:00")
    return found


def cluster():
    judging = engine()
    feed(judging, make_class(GPU))
    for place, name in enumerate(NODES):
        feed(judging, make_node(name).allocatable(cpu=32, memory="64Gi"), gpus(name, 2 + place % 3))
    for count in (1, 2, 3):
        feed(judging, make_claim(f"claim-{count}").request("g", GPU, count))
    return judging


def worked_ahead(judging):
    """All turns; how many there were."""
    for turn in range(1000):
        if not judging.ahead.unfinished:
            return turn
        judging.ahead.step()
    raise AssertionError("it does not end")


def asking(number, count):
    pod = make_pod(f"p{number}").claim(f"claim-{count}").request("cpu", count)
    return pod.request("memory", "1Gi")


def test_a_pod_that_the_watch_shows_is_judged_before_anybody_asks():
    judging = cluster()
    feed(judging, asking(0, 2))
    judging.settle()

    assert worked_ahead(judging) > 0

    resolved = judging.resolver.resolve(asking(1, 2).obj(), judging.policy)
    table = judging.table(resolved.question)
    states = judging.index.state[judging.index.in_use()]
    assert table.code[states].all()
    assert table.judged >= len(set(states.tolist()))


def test_with_all_worked_out_there_is_nothing_to_do():
    judging = cluster()
    judging.filter(asking(0, 1).obj(), NODES)
    worked_ahead(judging)

    judging.filter(asking(1, 1).obj(), NODES)

    assert worked_ahead(judging) == 0


def test_more_kinds_than_are_kept_end_as_well():
    judging = cluster()
    for number in range(60):
        pod = make_pod(f"p{number}").claim("claim-1").request("cpu", f"{100 + number}m")
        judging.filter(pod.obj(), NODES)

    assert worked_ahead(judging) > 0


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("seen"), st.integers(1, 3)),
        st.tuples(st.just("asked"), st.integers(1, 3)),
        st.tuples(st.just("node"), st.sampled_from(NODES)),
        st.tuples(st.just("held"), st.sampled_from(NODES)),
    ),
    max_size=14,
)


@settings(max_examples=40, deadline=None)
@given(STEPS, st.data())
def test_worked_ahead_or_not_the_answers_are_the_same(steps, data):
    ahead, plain = cluster(), cluster()
    for number, (what, which) in enumerate(steps):
        if what == "asked":
            pod = asking(number, which).obj()
            found = [judging.filter(pod, NODES) for judging in (ahead, plain)]
            assert found[0] == found[1]
            passing = found[0].passing(NODES)
            scores = [judging.prioritize(pod, passing).tolist() for judging in (ahead, plain)]
            assert scores[0] == scores[1]
        for judging in (ahead, plain):
            if what == "seen":
                feed(judging, asking(number, which))
            elif what == "node":
                feed(judging, make_node(which).allocatable(cpu=16 + number, memory="64Gi"))
            elif what == "held":
                holding = make_claim(f"held-{which}").allocated(which, ("r", GPU, which, "gpu-0"))
                feed(judging, holding)
            judging.settle()
        for _ in range(data.draw(st.integers(0, 6))):
            ahead.ahead.step()
    worked_ahead(ahead)
    assert ahead.index.verify() == plain.index.verify() == []


def uneven_cluster(count):
    """Machines of eight GPUs and four NICs, each with others of them taken, asked in a hurry."""
    judging = engine(patient=False)
    feed(judging, make_class(GPU), make_class(NIC))
    for number in range(count):
        name = f"n{number}"
        taken = [f"gpu-{gpu}" for gpu in range(8) if number * 37 >> gpu & 1]
        feed(judging, *p4d(name), *([held(name, *taken)] if taken else []))
    pair = make_claim("claim-pair").request("g", GPU, 1).request("n", NIC, 1)
    feed(judging, pair.match("resource.kubernetes.io/pcieRoot", "g", "n"))
    feed(judging, make_claim("claim-2").request("g", GPU, 2))
    return judging, [f"n{number}" for number in range(count)]


def wanting(number, kind):
    return make_pod(f"p{number}").claim(f"claim-{kind}").request("cpu", 2).request("memory", "1Gi")


@pytest.mark.parametrize("kind", ["pair", "2"])
def test_after_the_turns_a_call_judges_nothing_and_works_out_no_loss(kind, monkeypatch):
    monkeypatch.setattr(work, "IDLE", 20)  # a turn's allowance ends in the middle of most rows
    judging, names = uneven_cluster(60)
    feed(judging, wanting(0, kind), wanting(1, "pair"))
    for _ in range(3000):
        judging.settle()
        judging.ahead.step()
        if not judging.unsettled:
            break
    table = judging.table(judging.resolver.resolve(wanting(2, kind).obj(), judging.policy).question)
    rows = judging.index.rows_of(names)
    size = judging.resolver.resolve(wanting(2, kind).obj(), judging.policy).requests
    before = table.judged, judging.work.done

    assert not judging.ahead.unfinished
    assert judging.pricer.losses.knows((table.question, size.cpu, size.memory), rows).all()
    found = judging.filter(wanting(2, kind).obj(), names)
    judging.prepare(found.ticket)
    assert (table.judged, judging.work.done) == before


@pytest.mark.parametrize("allowance", [1, 20, 120, 250])
def test_settling_between_calls_comes_to_an_end_however_little_a_turn_may_do(
    allowance, monkeypatch
):
    monkeypatch.setattr(work, "IDLE", allowance)
    monkeypatch.setattr(work, "BETWEEN", allowance)
    judging, _ = uneven_cluster(12)
    feed(judging, *(wanting(number, kind) for number, kind in enumerate(["pair", "2", "pair"])))
    turns = 0
    while judging.unsettled and turns < 20_000:
        judging.settle(between=True)
        judging.ahead.step()
        turns += 1

    assert not judging.unsettled
    assert judging.unlearnt == 0


def test_a_new_kind_is_caught_up_with_and_a_changed_row_is_not_a_new_kind():
    judging = cluster()
    judging.filter(asking(0, 1).obj(), NODES)
    assert judging.ahead.catching_up

    worked_ahead(judging)
    feed(judging, make_node("n3").allocatable(cpu=8, memory="64Gi"))
    judging.settle()

    assert judging.ahead.unfinished
    assert not judging.ahead.catching_up
