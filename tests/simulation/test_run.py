"""A workload through one policy, and what several come to."""

import numpy as np
import pytest

from extender import errors
from extender.simulation import changes, comparison, placer, run, workload
from tests.kit.builders import make_claim, make_class, make_node, make_pod
from tests.kit.worlds import GPU, H100, engine, feed, p4d


def arrivals(*pods):
    found, problems = workload.arrivals_of(
        [(at, life, pod.obj()) for at, life, pod in pods], {}, lambda *_: None
    )
    assert not problems
    return found


def played(judging, pods):
    judging.settle()
    playing = run.Run(judging, pods, draws=np.random.default_rng(0), rules=placer.Rules())
    assert list(playing.play()) == list(range(1, len(pods) + 1))
    return playing.outcome()


def node(name="a"):
    return make_node(name).gpus(H100, 8)


def test_a_pod_that_waits_gets_what_becomes_free():
    judging = engine()
    feed(judging, node())

    found = played(
        judging,
        arrivals(
            (0.0, 10.0, make_pod("first").gpus(8)),
            (1.0, None, make_pod("large").gpus(8)),
            (2.0, None, make_pod("small").gpus(1)),
        ),
    )

    assert found.pending == ("default/small",)
    assert found.tally.placed == 2
    assert found.tally.waited == 9.0
    figures = found.figures()
    assert figures["allocation %"] == 100.0
    assert figures["GPUs pending"] == 1.0
    assert figures["pods pending"] == 1.0


def test_the_time_that_gpus_are_in_use_is_counted():
    judging = engine()
    feed(judging, node())

    found = played(
        judging,
        arrivals((0.0, 4.0, make_pod("p").gpus(4)), (8.0, None, make_pod("q").gpus(8))),
    )

    assert found.figures()["mean allocation %"] == 25.0


def test_samples_tell_pools_and_headroom():
    judging = engine()
    feed(judging, node(), make_node("b").gpus("NVIDIA-L4", 4))

    found = played(judging, arrivals((0.0, None, make_pod("p").gpus(8))))

    assert found.samples[-1].pools == {H100: 8.0, "NVIDIA-L4": 0.0}
    assert found.samples[-1].headroom == {1: 4.0, 2: 4.0, 4: 4.0, 8: 0.0}


def test_a_drained_node_sends_its_pods_elsewhere():
    judging = engine()
    held = make_claim("mine").request("r", GPU, 2).allocated("a", ("r", GPU, "a", "gpu-0"))
    daemon = make_pod("daemon").node("a")
    daemon.body["metadata"]["ownerReferences"] = [{"kind": "DaemonSet", "name": "d"}]
    feed(judging, *p4d("a"), *p4d("b"), make_class(GPU), held, daemon)
    feed(judging, make_pod("user").claim("mine").node("a"))

    evicted = changes.apply(judging, changes.Changes(drained=("a",)))
    found = played(judging, evicted)

    assert [each.pod.metadata.name for each in evicted] == ["user"]
    assert judging.store.pods["default", "user"].spec.node_name == "b"
    assert judging.store.pods["default", "daemon"].spec.node_name == "a"
    assert found.pending == ()
    assert judging.index.verify() == []


def test_a_claim_that_others_use_stays_allocated():
    judging = engine()
    shared = make_claim("ours").request("r", GPU, 1).allocated("a", ("r", GPU, "a", "gpu-0"))
    shared.body["status"]["reservedFor"] = [
        {"resource": "pods", "name": "user", "uid": "uid-user"},
        {"resource": "pods", "name": "other", "uid": "uid-other"},
    ]
    feed(judging, *p4d("a"), make_class(GPU), shared, make_pod("user").claim("ours").node("a"))

    changes.apply(judging, changes.Changes(drained=("a",)))

    assert judging.store.claims["default", "ours"].status.allocation is not None


def test_nodes_that_are_added_take_pods_and_cordoned_ones_do_not():
    judging = engine()
    feed(judging, node("a"))
    added = (("Node", node("new").obj()),)

    changes.apply(judging, changes.Changes(cordoned=("a",), added=added))
    played(judging, arrivals((0.0, None, make_pod("p").gpus(8))))

    assert judging.store.pods["default", "p"].spec.node_name == "new"


def test_a_node_that_is_not_there_cannot_be_drained():
    with pytest.raises(errors.ConfigError, match="gone: no such node"):
        changes.apply(engine(), changes.Changes(drained=("gone",)))


# ---------------------------------------------------------------- comparing


def test_a_difference_beyond_two_errors_of_the_mean_is_reported():
    runs = {
        "a": [{"allocation %": v, "pods pending": 5.0} for v in (90.0, 91.0, 92.0)],
        "b": [{"allocation %": v, "pods pending": 5.0} for v in (91.0, 92.1, 92.9)],
    }

    first, second = comparison.compared(runs)

    assert first.differences == {}
    assert first.figures["allocation %"].mean == pytest.approx(91.0)
    assert first.figures["allocation %"].error == pytest.approx(3**-0.5)
    # seeds are paired: the runs differ by 1.0, 1.1 and 0.9
    assert second.differences["allocation %"].mean == pytest.approx(1.0)
    assert second.differences["allocation %"].error == pytest.approx(0.1 / 3**0.5)
    assert second.differences["allocation %"].verdict == "better"
    assert second.differences["pods pending"].verdict == "same"


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ((1.0, -1.0, 0.5), "same"),
        ((0.0, 0.0, 0.0), "same"),
        ((1e-9, -1e-9, 0.0), "same"),
        ((-1.0, -1.1, -0.9), "worse"),
        ((2.0, 2.0, 2.0), ""),
        ((2.0,), ""),
    ],
)
def test_noise_is_not_called_a_difference(values, verdict):
    runs = {
        "a": [{"allocation %": 50.0} for _ in values],
        "b": [{"allocation %": 50.0 + value} for value in values],
    }

    assert comparison.compared(runs)[1].differences["allocation %"].verdict == verdict
