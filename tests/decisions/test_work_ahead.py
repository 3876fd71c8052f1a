"""What is worked out ahead changes no answer, and ends."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.builders import make_claim, make_class, make_node, make_pod, make_slice
from tests.kit.worlds import GPU, engine, feed

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
    assert len(table.verdicts) >= len(set(states.tolist()))


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
