import json

import msgspec
import pytest

from extender import errors
from extender.kube.watch.api_resource import KindStatus
from extender.service import served_engine
from tests.kit.builders import make_claim, make_class, make_node, make_pod
from tests.kit.clock import Clock
from tests.kit.worlds import GPU, H100, engine, feed, p4d

POD = make_pod("p", "ml").gpus(1)


def answered(turns):
    """The answer that the turns come to, read as JSON."""
    while True:
        try:
            next(turns)
        except StopIteration as over:
            return json.loads(b"".join(over.value))


@pytest.fixture
def judging():
    found = engine()
    feed(found, make_node("a").gpus(H100, 8), make_node("b").gpus(H100, 8), *p4d("c"), POD)
    feed(found, make_class(GPU), make_pod("holder").gpus(2).node("a"))
    found.settle()
    return found


@pytest.fixture
def front(judging):
    return served_engine.ServedEngine(judging)


def test_a_service_over_a_snapshot_waits_for_nothing(front):
    assert list(front.waiting_for()) == []
    assert front.picture().ready


def test_the_picture_says_how_each_kind_stands(judging):
    clock = Clock(100.0)
    node = KindStatus(kind="Node", synced=True, last_event=97.5)
    pod = KindStatus(kind="Pod")
    front = served_engine.ServedEngine(
        judging,
        waiting=lambda: {"Pod": "is listing"},
        statuses=lambda: {"Node": node, "Pod": pod},
        clock=clock,
    )

    picture = front.picture()

    assert not picture.ready
    assert picture.nodes == 3
    assert picture.kinds["Node"].age_seconds == 2.5
    assert picture.kinds["Node"].objects == 3
    assert not picture.kinds["Pod"].synced


def test_topology_describes_each_state_once(front):
    found = answered(front.topology())

    assert set(found["nodes"]) == {"a", "b", "c"}
    assert sum(state["nodes"] for state in found["states"].values()) == 3
    a = found["states"][str(found["nodes"]["a"]["state"])]
    assert a["inferred"] is True
    assert a["resources"]["nvidia.com/gpu"] == {"count": 8, "held": 2}
    assert sum(device["taken"] for device in a["devices"]) == 2
    assert found["nodes"]["b"]["cpuMilli"] == 96_000


def test_a_known_pod_is_explained_on_all_nodes_or_one(front):
    assert len(answered(front.explain_pod("ml", "p", None))["nodes"]) == 3
    (only,) = answered(front.explain_pod("ml", "p", "b"))["nodes"]
    assert only["node"] == "b"


def test_a_pod_that_is_not_there_is_404(front):
    with pytest.raises(errors.WireError) as refused:
        answered(front.explain_pod("ml", "nobody", None))

    assert refused.value.status == 404


def test_a_manifest_is_explained_although_nobody_has_seen_it(front):
    body = msgspec.json.encode(make_pod("new").gpus(9).obj())

    nodes = answered(front.explain_manifest(body, None))["nodes"]

    assert {node["reason"] for node in nodes} == {
        "needs 9 GPUs; node has 8 GPUs",
        "needs 9 GPUs; node has none",
    }


@pytest.mark.parametrize("body", [b"", b"[]", b'{"spec": 3}', b"\xff", b"[" * 100_000])
def test_a_manifest_that_is_no_pod_is_400(front, body):
    with pytest.raises(errors.WireError) as refused:
        answered(front.explain_manifest(body, None))

    assert refused.value.status == 400


@pytest.mark.parametrize("kind", ["Node", "List", "PodList"])
def test_a_manifest_of_another_kind_is_400_and_says_which(front, kind):
    body = msgspec.json.encode({"apiVersion": "v1", "kind": kind, "items": []})

    with pytest.raises(errors.WireError, match=f"the body is a {kind}, not a Pod") as refused:
        answered(front.explain_manifest(body, None))

    assert refused.value.status == 400


def test_an_explanation_says_how_old_the_picture_is(judging):
    status = KindStatus(kind="Pod", synced=True, last_event=10.0)
    front = served_engine.ServedEngine(judging, statuses=lambda: {"Pod": status}, clock=Clock(14.0))

    assert answered(front.explain_pod("ml", "p", "a"))["staleSeconds"] == {"Pod": 4.0}


def test_verify_finds_the_index_true_and_a_falsified_one_not(front, judging):
    assert answered(front.verify()) == {"equal": True, "problems": []}

    judging.index.detail("b").usage = judging.index.detail("a").usage
    judging.index.mark_changed(["b"])
    found = answered(front.verify())

    assert not found["equal"]
    assert all(problem.startswith("b: ") for problem in found["problems"])


def test_mismatches_are_listed_with_both_picks(front, judging):
    feed(judging, make_claim("c").request("r", GPU))
    front.engine.filter(make_pod("q").claim("c").obj(), ["c"])
    feed(judging, make_claim("c").request("r", GPU).allocated("c", ("r", GPU, "c", "gpu-6")))

    (found,) = answered(front.mismatches())

    assert found["predicted"] == [["r", GPU, "c", "gpu-0"]]
    assert found["allocated"] == [["r", GPU, "c", "gpu-6"]]


@pytest.mark.parametrize(
    ("reported", "why"),
    [
        ("nvidia.com/gpu=" + "9" * 60, "is not RESOURCE=NUMBER,NUMBER,…"),
        ("nvidia.com/gpu=1", "it names 1 of nvidia.com/gpu, and the pod holds 2"),
        ("nvidia.com/gpu=7,8", "it names 8 of nvidia.com/gpu, and the node has 0 to 7"),
        (
            "nvidia.com/gpu=0,1",
            "it names devices of nvidia.com/gpu that another pod holds: default/honest",
        ),
        ("amd.com/gpu=0,1", "the pod does not request 'amd.com/gpu'"),
        ("x" * 5000, "it has more than 4096 characters"),
    ],
)
def test_an_annotation_that_is_not_believed_is_noted_until_it_is_right(
    judging, front, reported, why
):
    def liar(devices):
        return make_pod("liar").gpus(2).node("a").annotation("railyard.dev/devices", devices)

    feed(judging, make_pod("honest").gpus(2).node("a").annotation(
        "railyard.dev/devices", "nvidia.com/gpu=0,1"))  # fmt: skip
    judging.store.apply("Pod", "DELETED", make_pod("holder").gpus(2).node("a").obj())
    feed(judging, liar(reported))
    judging.settle()
    [note] = front.standing().notes
    assert "default/liar: " in note
    assert why in note
    assert len(note) < 400

    feed(judging, liar("nvidia.com/gpu=2,3"))
    judging.settle()
    assert front.standing().notes == ()


def test_of_many_annotations_that_are_not_believed_three_are_named(judging, front):
    for number in range(6):
        pod = make_pod(f"liar-{number}").gpus(1).node("a")
        feed(judging, pod.annotation("railyard.dev/devices", "nonsense"))
    judging.settle()
    [note] = front.standing().notes
    assert note.count("default/liar-") == 3
    assert "and 3 more; correct it" in note
