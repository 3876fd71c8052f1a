"""The product's engine on a small openb cluster, against the simulator's arrays."""

import dataclasses

import numpy as np
import pytest

from extender.pricing import formula
from extender.pricing.mix import demand_mix
from loadtests.quality import churn, packing
from loadtests.simulator import engine, oracle
from loadtests.simulator.traces import openb

PODS = 120


@pytest.fixture(scope="module")
def nodes():
    """Eight machines of the trace: one of every model but one, and the first kind twice."""
    whole = openb.read_nodes()
    rows = [int(np.flatnonzero(whole.model == m)[0]) for m in range(len(whole.models))]
    rows.append(int(np.flatnonzero(whole.model == whole.models.index("G2"))[1]))
    columns = {name: getattr(whole, name)[rows] for name in ("cpu", "memory", "gpus", "model")}
    names = tuple(whole.names[row] for row in rows)
    return dataclasses.replace(whole, names=names, **columns)


@pytest.fixture(scope="module")
def run(nodes):
    """The engine after the first pods of a model-bound mix, and the cluster they filled."""
    trace = openb.read_trace("gpuspec33")
    policy = engine.Railyard(nodes)
    seen = {}
    scores = policy.scores

    def watched(cluster, kind, rows):
        seen["cluster"] = cluster
        return scores(cluster, kind, rows)

    policy.scores = watched
    order = np.random.default_rng(5).permutation(len(trace.pods))[:PODS]
    ranks = np.arange(len(nodes.names))
    rng = np.random.default_rng(1)
    tally = packing.run(trace, nodes, order, ranks, policy, wire=packing.Wire(), rng=rng)
    return policy, seen["cluster"], tally


def test_the_engine_refuses_no_node_that_fits(run):
    policy, _, tally = run
    assert policy.disagreed == 0
    assert 0 < tally.rejected < PODS


def test_the_engine_knows_what_is_free(run, nodes):
    policy, cluster, _ = run
    index = policy.engine.index
    policy.engine.settle()
    rows = index.rows_of(nodes.names)
    assert index.cpu[rows].tolist() == cluster.cpu.tolist()
    assert (index.memory[rows] / engine.MIB).tolist() == cluster.memory.tolist()


def test_the_engine_counts_the_headroom_that_the_simulator_counts(run, nodes):
    policy, cluster, _ = run
    room = policy.engine.pricer
    policy.engine.settle()
    units = []
    for unit in room.classes.units:
        if unit == demand_mix.WHOLE_GPU:
            units.append(unit)
            continue
        choice = unit.claims[0].requests[0].choices[0]
        milli = dict(choice.capacity)["milli"] // 10**9
        models = tuple(m for m in nodes.models if any(f'"{m}"' in s for s in choice.selectors))
        units.append((milli, models))
    states = oracle.States(nodes.models, ordered=True)
    state = np.array(
        [states.number(m, g) for m, g in zip(nodes.model, cluster.gpu.tolist(), strict=True)]
    )
    form = formula.Constants()
    classes = dataclasses.replace(room.classes, units=tuple(units))
    parts = states.parts(classes, form).take(state)
    memory = cluster.memory * float(engine.MIB)
    expected = formula.headroom(parts, cluster.cpu.astype(float), memory, classes, form)
    rows = policy.engine.index.rows_of(nodes.names).astype(np.int64)
    found = room._rows.now(rows, None)
    assert len(units) > 5
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_departures_give_everything_back(nodes):
    trace = openb.read_trace("default")
    policy = engine.Railyard(nodes)
    churn.run(trace, nodes, policy, wire=packing.Wire(), load=0.2, arrivals=60, seed=3)
    for uid in list(policy.bound_pods):
        policy.left(uid)
    policy.engine.settle()
    index = policy.engine.index
    rows = index.rows_of(nodes.names)
    assert index.cpu[rows].tolist() == nodes.cpu.tolist()
    assert not any(index.states[int(state)].usage.shared for state in index.expected[rows])


def test_a_size_that_shall_never_be_learnt_is_placed_and_not_learnt(nodes):
    trace = openb.read_trace("multigpu50")
    policy, eight = engine.Railyard(nodes), 8
    run = {"wire": packing.Wire(), "load": 0.2, "arrivals": 300, "seed": 3, "unseen": eight}
    tally = churn.run(trace, nodes, policy, **run)
    learnt = policy.engine.pricer.mix.classes()
    units = [learnt.units[number] for number in learnt.unit[learnt.count == eight]]
    assert tally.large > 0
    assert len(learnt.weight) > eight
    assert set(units) == {
        demand_mix.WHOLE_GPU
    }  # whole machines are expected, these pods were not learnt
