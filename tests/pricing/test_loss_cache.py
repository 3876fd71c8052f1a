"""Losses kept by row and class are what they would be if worked out anew."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from extender.demand import work
from extender.pricing import formula, headroom_cache, loss_cache
from extender.pricing.mix import demand_mix
from tests.kit.builders import make_node, make_pod
from tests.kit.worlds import H100, engine, feed

NODES = ("a", "b", "c")
SIZES = ((1, 2), (2, 8), (8, 32))  # GPUs and CPUs of the pods that are priced


def cluster(*, patient=True):
    judging = engine(patient=patient)
    for name in NODES:
        feed(judging, make_node(name).gpus(H100, 8).allocatable(cpu="64"))
    judging.settle()
    return judging


def priced(judging, gpus, cpu):
    """The losses of a size as requests get them, and as they are worked out from nothing."""
    room, index = judging.pricer, judging.index
    asked = judging.resolver.resolve(
        make_pod("asks").gpus(gpus).request("cpu", cpu).obj(), judging.policy
    )
    table = judging.table(asked.question)
    rows = index.rows_of(NODES)
    found = room.cost(table, rows, cpu=asked.requests.cpu, memory=asked.requests.memory)
    states = index.expected[rows]
    after = table.after[states]
    now, then = (
        room._states.of(these, index.cpu[rows] - less, index.memory[rows], None)
        for these, less in ((states, 0), (np.maximum(after, 0), asked.requests.cpu))
    )
    return found, np.where(after >= 0, (now - then) @ room.prices, 0.0)


events = st.one_of(
    st.tuples(st.just("bound"), st.sampled_from(NODES), st.sampled_from([1, 2, 4])),
    st.tuples(st.just("seen"), st.sampled_from([1, 2, 4, 8]), st.integers(1, 64)),
    st.tuples(st.just("gone"), st.integers(0, 9), st.none()),
)


@settings(max_examples=30)
@given(st.lists(events, max_size=25), st.integers(2, 8))
def test_losses_kept_from_before_equal_those_worked_out_anew(happened, most_classes):
    judging = cluster()
    judging.pricer.mix._most_classes = most_classes
    bound = []
    for number, (what, one, other) in enumerate(happened):
        if what == "bound":
            pod = make_pod(f"p-{number}").gpus(other).node(one)
            feed(judging, pod)
            bound.append(pod.obj())
        elif what == "seen":
            feed(judging, make_pod(f"p-{number}").gpus(one).request("cpu", other))
        elif bound:
            judging.store.apply("Pod", "DELETED", bound.pop(one % len(bound)))
        judging.settle()
        for gpus, cpu in SIZES if len(judging.pricer.prices) else ():
            found, anew = priced(judging, gpus, cpu)
            assert found == pytest.approx(anew, abs=1e-12)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(events, max_size=25))
def test_renewed_a_few_rows_a_call_prices_and_losses_end_the_same(monkeypatch, happened):
    monkeypatch.setattr(loss_cache, "_SLICE_CELLS", 1)
    monkeypatch.setattr(loss_cache, "_LEAST_SLICE", 1)
    monkeypatch.setattr(loss_cache, "_CELLS_A_UNIT", 0.01)  # a row is more than a call may do
    patient, hurried = cluster(), cluster(patient=False)
    for judging in (patient, hurried):
        for number, (what, one, other) in enumerate(happened):
            if what == "bound":
                feed(judging, make_pod(f"p-{number}").gpus(other).node(one))
            elif what == "seen":
                feed(judging, make_pod(f"p-{number}").gpus(one).request("cpu", other))
            judging.settle()
        for _ in range(200):
            judging.settle(rest=True)
            if not judging.unfinished:
                break
        assert not judging.unfinished
    assert hurried.pricer.prices == pytest.approx(patient.pricer.prices, abs=1e-12)
    for gpus, cpu in SIZES if len(patient.pricer.prices) else ():
        for _ in range(2 * len(NODES)):
            hurried.work.allow(work.JUDGING)
            found, anew = priced(hurried, gpus, cpu)
        assert found == pytest.approx(anew, abs=1e-12)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(events, max_size=12))
def test_losses_worked_out_in_a_loop_are_those_of_arrays_to_the_bit(monkeypatch, happened):
    found = []
    for few in (0, 1_000_000):
        monkeypatch.setattr(headroom_cache, "FEW_CELLS", few)
        judging = cluster()
        for number, (what, one, other) in enumerate(happened):
            if what == "bound":
                feed(judging, make_pod(f"p-{number}").gpus(other).node(one))
            elif what == "seen":
                feed(judging, make_pod(f"p-{number}").gpus(one).request("cpu", other))
            judging.settle()
        found.append([losses(judging, gpus, cpu) for gpus, cpu in SIZES])

    assert found[0] == found[1]


def losses(judging, gpus, cpu):
    """What a pod of that size costs on each node, by class."""
    pod = make_pod("asks").gpus(gpus).request("cpu", cpu).obj()
    asked = judging.resolver.resolve(pod, judging.policy)
    return judging.pricer.cost_by_class(
        judging.table(asked.question),
        judging.index.rows_of(NODES),
        cpu=asked.requests.cpu,
        memory=asked.requests.memory,
    ).tolist()


def test_a_call_works_out_one_slice_beyond_its_allowance_and_the_next_goes_on(monkeypatch):
    monkeypatch.setattr(loss_cache, "_SLICE_CELLS", 1)
    monkeypatch.setattr(loss_cache, "_LEAST_SLICE", 1)
    monkeypatch.setattr(loss_cache, "_CELLS_A_UNIT", 1)
    judging, renewals = cluster(), loss_cache.ClassVersions()
    classes = demand_mix.DemandMix()
    classes.learn("x", "x", count=1)
    renewals.take(classes.classes(), formula.Constants())
    spending = work.Work(patient=False)
    matrix = loss_cache.RowClassMatrix(judging.index, renewals, spending)
    rows, done = judging.index.rows_of(NODES), []
    for _ in NODES:
        spending.allow(0)
        done += matrix.refresh(rows, lambda rows, _: np.full((len(rows), 1), 5.0))[0].tolist()
        assert len(matrix.behind()) == len(NODES) - len(done)
        assert matrix.known(rows).sum() == len(done)
    assert sorted(done) == rows.tolist()


def test_only_changed_rows_and_classes_are_worked_out_again():
    judging = cluster()
    renewals = loss_cache.ClassVersions()
    classes = demand_mix.DemandMix()
    for ask in ("x", "y", "z"):
        classes.learn(ask, ask, count=1, cpu=1000.0)
    renewals.take(classes.classes(), formula.Constants())
    matrix = loss_cache.RowClassMatrix(judging.index, renewals)
    asked = []

    def work(rows, places):
        asked.append((rows.tolist(), None if places is None else places.tolist()))
        return np.ones((len(rows), 3 if places is None else len(places)))

    rows = judging.index.rows_of(NODES)
    matrix.refresh(rows, work)
    matrix.refresh(rows, work)
    assert asked == [([0, 1, 2], None)]

    feed(judging, make_pod("p").gpus(1).node("b"))
    judging.settle()
    matrix.refresh(rows, work)
    assert asked[1:] == [([judging.index.rows["b"]], None)]

    for number in range(50):
        classes.learn(f"more-{number}", "y", count=1, cpu=1400.0)
    renewals.take(classes.classes(), formula.Constants())
    matrix.refresh(rows, work)
    assert asked[2:] == [([0, 1, 2], [1])]


def test_what_is_not_known_yet_is_asked_for_again():
    judging = cluster()
    renewals = loss_cache.ClassVersions()
    classes = demand_mix.DemandMix()
    classes.learn("x", "x", count=1)
    renewals.take(classes.classes(), formula.Constants())
    matrix = loss_cache.RowClassMatrix(judging.index, renewals)
    rows = judging.index.rows_of(NODES)
    matrix.refresh(rows, lambda rows, _: np.where(rows == 1, np.nan, 5.0)[:, None])
    assert matrix.values[:3, 0].tolist() == [5.0, 0.0, 5.0]
    stale, _ = matrix.refresh(rows, lambda rows, _: np.full((len(rows), 1), 7.0))
    assert stale.tolist() == [1]
    assert matrix.values[:3, 0].tolist() == [5.0, 7.0, 5.0]
