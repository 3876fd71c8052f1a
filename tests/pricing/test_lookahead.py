"""Looking one partition ahead, over nodes whose GPUs are cut by counters."""

import numpy as np
import pytest

from extender.decisions.explanation import explain
from extender.hardware import allocator_features
from extender.policy import config
from extender.pricing.mig import lookahead
from extender.service import assembly
from loadtests.simulator import mig_engine, mig_streams
from tests.kit.builders import make_claim, make_class, make_node, make_pod
from tests.kit.worlds import GPU, Clock, feed, p4d

ONE, THREE, SEVEN = 0, 3, 5  # 1g.10gb, 3g.40gb, 7g.80gb


class Cluster(mig_engine.MigRailyard):
    """Nodes of MIG GPUs, and instances on them by their number."""

    def __init__(self, nodes=2, gpus=2):
        super().__init__(nodes, gpus)
        self.instances = 0

    def put(self, profile, node, gpu, start):
        self.instances += 1
        uid = str(self.instances)
        self.arrived(uid, profile)
        self.bound(uid, node, profile, (gpu, start))

    def scored(self, profile):
        self.instances += 1
        self.arrived(str(self.instances), profile)
        return self.engine.score(self.pod, self.names)


def test_an_instance_spares_the_gap_that_the_next_one_needs():
    cluster = Cluster(nodes=2, gpus=1)
    for node in (0, 1):
        cluster.put(3, node, 0, 4)  # each node has its low half free
    cluster.put(ONE, 0, 0, 0)

    found = cluster.scored(ONE)

    # on the second node it would close the last half for the next 3g.40gb
    assert found.parts["next partition"].tolist()[0] == pytest.approx(0.0)
    assert found.parts["next partition"].tolist()[1] > 0.1
    assert found.scores.argmax() == 0


def test_the_loss_is_the_plain_minimum_over_the_cluster_with_the_instance_there():
    cluster = Cluster(nodes=3, gpus=2)
    for profile, node, gpu, start in [(THREE, 0, 0, 0), (ONE, 1, 0, 2), (2, 1, 1, 4), (4, 2, 0, 0)]:
        cluster.put(profile, node, gpu, start)
    masks = np.zeros((3, 2), dtype=int)
    for (node, gpu), taken in {
        (0, 0): mig_streams.window(4, 0), (1, 0): mig_streams.window(1, 2),
        (1, 1): mig_streams.window(2, 4), (2, 0): mig_streams.window(4, 0),
    }.items():  # fmt: skip
        masks[node, gpu] = taken
    found = cluster.scored(ONE)
    room = cluster.engine.pricer
    weight = room.classes.weight / room.classes.weight.sum()
    seen = [_profile(unit) for unit in room.classes.units]
    price = room.prices * room.classes.share

    def expected(cluster_masks):
        total = 0.0
        for place, profile in enumerate(seen):
            losses = [_loss(node, profile, seen, price) for node in cluster_masks]
            total += weight[place] * min(losses)
        return total

    before = expected(masks)
    for node in range(3):
        then = masks.copy()
        gpu = next(g for g in range(2) if mig_streams.FIRST[then[node, g], ONE] != mig_streams.NONE)
        then[node, gpu] = mig_streams.AFTER[then[node, gpu], ONE]
        assert found.parts["next partition"][node] == pytest.approx(expected(then) - before)


def _profile(unit):
    (selector,) = unit.claims[0].requests[0].choices[0].selectors
    return next(n for n, (name, _, _) in enumerate(mig_streams.PROFILES) if f'"{name}"' in selector)


def _loss(gpus, profile, seen, price):
    for mask in gpus:
        if mig_streams.FIRST[mask, profile] != mig_streams.NONE:
            lost = mig_streams.LEGAL[mask].sum(axis=1) - mig_streams.LEGAL[
                mig_streams.AFTER[mask, profile]
            ].sum(axis=1)
            return float(lost[seen] @ price)
    return np.inf


def test_of_equal_losses_the_gpu_that_the_driver_tries_first_wins():
    cluster = Cluster(nodes=2, gpus=2)
    cluster.put(SEVEN, 0, 0, 0)

    found = cluster.scored(SEVEN)

    assert found.tie.tolist() == [1.0, 0.0]
    assert found.scores.argmax() == 1


def test_a_node_without_room_has_no_position():
    cluster = Cluster(nodes=2, gpus=1)
    cluster.put(SEVEN, 0, 0, 0)
    found = cluster.scored(SEVEN)

    position = cluster.engine.pricer.lookahead.position(
        found.candidates.table.question, found.candidates.rows
    )

    assert np.isnan(position).tolist() == [True, False]


def test_nothing_is_said_of_devices_without_counters():
    judging = assembly.assemble(
        policy=config.DEFAULT,
        features=allocator_features.AllocatorFeatures(),
        hardware=assembly.read_catalogue(),
        clock=Clock(),
    )
    feed(judging, *p4d("a"), make_class(GPU), make_claim("c").request("g", GPU))
    pod = make_pod("p").claim("c")
    feed(judging, pod)

    found = judging.score(pod.obj(), ["a"])

    assert "next partition" not in found.parts
    assert judging.pricer.lookahead.units == ()
    assert (
        judging.pricer.lookahead.position(found.candidates.table.question, found.candidates.rows)
        is None
    )


def test_an_allowance_runs_out_and_later_requests_go_on(monkeypatch):
    monkeypatch.setattr(lookahead, "_NO_LIMIT", 2)
    cluster = Cluster(nodes=6, gpus=1)
    for node in range(6):
        cluster.put(ONE, node, 0, node)

    first = cluster.scored(ONE)
    for _ in range(10):
        last = cluster.engine.score(cluster.pod, cluster.names)

    assert "next partition" not in first.parts
    assert "next partition" in last.parts


def test_a_node_without_cpu_for_the_next_one_does_not_count_for_it():
    cluster = Cluster(nodes=2, gpus=1)
    cluster.put(SEVEN, 0, 0, 0)
    plenty = cluster.scored(SEVEN).parts["next partition"][1]
    small = make_node("node-01").uid("node-01").allocatable(cpu="1m", memory="10Ti", pods="110")
    feed(cluster.engine, small)

    short = cluster.engine.score(cluster.pod, cluster.names).parts["next partition"][1]

    assert plenty > 0.0  # it takes the last place of the next one
    assert short == plenty  # which the pod itself would leave without CPU


def test_profiles_of_one_gpu_are_priced_by_their_common_headroom():
    cluster = Cluster(nodes=2, gpus=2)
    cluster.put(SEVEN, 0, 0, 0)
    cluster.scored(ONE)
    room = cluster.engine.pricer

    assert room.lookahead.partitioned_gpus.share_counters(room.classes).all()
    # alike but for the slack, though there are three whole GPUs and 21 places for the small one
    price = dict(zip([_profile(unit) for unit in room.classes.units], room.prices, strict=True))
    assert 0.4 < price[SEVEN] / price[ONE] < 1.0


def test_a_larger_machine_that_joins_is_read_too():
    cluster = Cluster(nodes=1, gpus=1)
    cluster.scored(SEVEN)
    feed(cluster.engine, make_node("large").allocatable(cpu="64", memory="1Ti", pods="110"))
    for body in mig_engine.slices_of("large", 3):
        cluster.show("ResourceSlice", body)
    cluster.names.append("large")
    cluster.put(SEVEN, 1, 0, 0)

    found = cluster.scored(SEVEN)

    assert found.tie.tolist() == [0.0, 1.0]


def test_a_node_that_leaves_takes_its_costs_along():
    cluster = Cluster(nodes=2, gpus=1)
    before = cluster.scored(SEVEN).parts["next partition"]
    cluster.engine.store.apply("Node", "DELETED", make_node("node-01").uid("node-01").obj())
    cluster.names.pop()

    (after,) = cluster.engine.score(cluster.pod, cluster.names).parts["next partition"]

    assert before.tolist() == [0.0, 0.0]  # the next one goes to the other node
    assert after > 0.0


def test_it_is_explained_with_the_profiles_that_lose():
    cluster = Cluster(nodes=1, gpus=1)
    cluster.put(THREE, 0, 0, 4)
    cluster.scored(ONE)

    (node,) = explain.explain(cluster.engine, cluster.pod, cluster.names).nodes

    assert "for 3g.40gb" in node.grounds["next partition"]
    assert "placed on GPU 1" in node.grounds["next partition"]


def test_a_whole_gpu_and_its_parts_are_measured_by_one_price():
    cluster = Cluster(nodes=1, gpus=2)
    cluster.put(SEVEN, 0, 0, 0)
    cluster.scored(ONE)
    classes = cluster.engine.pricer.classes

    share = {_profile(unit): size for unit, size in zip(classes.units, classes.share, strict=True)}

    assert share == {ONE: 1 / 8, SEVEN: 1.0}
