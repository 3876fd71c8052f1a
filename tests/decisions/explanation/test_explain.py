"""Verdicts in words."""

import msgspec
import orjson
import pytest

from extender.decisions.explanation import explain, explain_demand, explain_table
from extender.hardware import allocator_features
from extender.policy import config
from extender.service import assembly
from tests.kit.builders import make_claim, make_class, make_node, make_pod, make_slice
from tests.kit.worlds import GPU, H100, NIC, engine, feed, held, p4d


@pytest.fixture
def judging():
    found = engine()
    feed(found, *p4d("near"), *p4d("far"), make_node("bare"), make_class(GPU), make_class(NIC))
    feed(found, held("far", "nic-0"), make_claim("c").request("g", GPU).request("n", NIC))
    return found


def asked(judging, pod=None, names=None):
    return explain.explain(judging, (pod or make_pod("p").claim("c")).obj(), names)


def finished(turns, *, meanwhile):
    while True:
        try:
            next(turns)
        except StopIteration as over:
            return over.value
        meanwhile()


def by_name(found):
    return {node.node: node for node in found.nodes}


def test_the_best_node_comes_first_and_the_refused_ones_last(judging):
    found = asked(judging)

    assert [node.node for node in found.nodes] == ["near", "far", "bare"]
    assert found.demand == "1 GPU + 1 NIC"
    assert found.profile == "default"


def test_the_parts_add_up_to_the_cost(judging):
    for node in asked(judging).nodes:
        if node.score is not None:
            assert sum(node.parts.values()) == pytest.approx(node.cost, abs=1e-5)


def test_explaining_leaves_nothing_behind(judging):
    before = judging.index.generation
    asked(judging)
    asked(judging)

    assert len(judging.index.reservations) == 0
    assert judging.index.generation <= before + 1
    assert len(judging.predictions) == 0


def test_it_says_what_filter_and_prioritize_answer(judging):
    found = by_name(asked(judging))
    names = sorted(found)
    pod = make_pod("p").claim("c").obj()

    refused = judging.filter_only(pod, names)
    passing = refused.passing(names)
    scores = judging.score(pod, passing).scores.tolist()

    assert {n: node.score for n, node in found.items() if node.score is not None} == dict(
        zip(passing, scores, strict=True)
    )
    assert found["bare"].reason == refused.unresolvable["bare"]


def test_devices_have_their_published_names(judging):
    gpu, nic = by_name(asked(judging))["near"].devices

    assert (gpu.claim, gpu.request, gpu.driver, gpu.pool, gpu.device) == (
        "c", "g", GPU, "near", "gpu-0",
    )  # fmt: skip
    assert (nic.driver, nic.device) == (NIC, "nic-0")


def test_an_unknown_node_is_not_judged(judging):
    (found,) = asked(judging, names=["moon"]).nodes

    assert (found.verdict, found.reason, found.score) == ("not judged", explain.NOT_KNOWN, None)


def test_a_pod_whose_claim_is_missing_is_not_judged_anywhere(judging):
    found = asked(judging, make_pod("q").claim("late"))

    assert {node.verdict for node in found.nodes} == {"not judged"}
    assert found.notes == ("ResourceClaim late is not known here",)


def test_a_pod_without_devices_fits_everywhere(judging):
    found = asked(judging, make_pod("web").request("cpu", 1))

    assert {node.verdict for node in found.nodes} == {"fits"}
    assert found.demand == explain_demand.NO_DEVICES


def test_guesses_are_marked_as_such():
    judging = engine()
    feed(judging, make_node("a").gpus(H100, 8), make_pod("holder").gpus(2).node("a"))

    (found,) = asked(judging, make_pod("p").gpus(1)).nodes

    assert any("inferred" in note for note in found.notes)


def test_a_random_order_is_marked_as_such():
    judging = assembly.assemble(
        policy=config.DEFAULT,
        features=allocator_features.features_of("1.35"),
        hardware=assembly.read_catalogue(),
        clock=lambda: 0.0,
    )
    feed(judging, make_node("a"), make_class(GPU), make_claim("c").request("r", GPU))
    for number in range(2):
        feed(judging, make_slice(f"s{number}", GPU).on("a").pool(f"p{number}").device("gpu-0"))

    (found,) = asked(judging).nodes

    assert any("random order" in note for note in found.notes)


def test_it_goes_through_json_and_back(judging):
    found = asked(judging)

    body = orjson.loads(orjson.dumps(found.as_json()))

    assert msgspec.convert(body, explain.Explanation, strict=False) == found


def test_the_table_has_a_line_for_each_node(judging):
    title, header, *rows = explain_table.lines(asked(judging))

    assert title == "pod default/p: 1 GPU + 1 NIC (profile default)"
    assert header.startswith("NODE")
    assert [row.split()[0] for row in rows] == ["near", "far", "bare"]
    assert not any(row.endswith(" ") for row in rows)


# ---------------------------------------------------------------- the same answer as filter's


def some_cluster():
    """Nodes that differ in how much is free, and a gang of which one member has a node."""
    judging = engine()
    for number in range(6):
        node = (
            make_node(f"n{number}").gpus(H100, 8).label("nvidia.com/gpu.clique", f"c{number % 2}")
        )
        feed(judging, node)
        feed(
            judging, *[make_pod(f"p{number}-{n}").gpus(1).node(f"n{number}") for n in range(number)]
        )
    feed(judging, make_pod("m0").gpus(1).label(*GANG).node("n1"))
    judging.settle()
    return judging


GANG = ("jobset.sigs.k8s.io/jobset-name", "job")


@pytest.mark.parametrize("labels", [(), GANG], ids=["alone", "in a gang"])
@pytest.mark.parametrize("gpus", [1, 4, 8])
def test_what_the_pod_itself_has_reserved_does_not_stand_in_its_way(gpus, labels):
    judging = some_cluster()
    pod = make_pod("p").gpus(gpus)
    pod = (pod.label(*labels) if labels else pod).obj()
    names = sorted(judging.index.rows)
    feed(judging, pod)
    before = explain.explain(judging, pod).as_json()

    for _ in range(2):
        kept = judging.filter(pod, names).passing(names)
        scores = judging.prioritize(pod, kept).tolist()
        assert judging.index.reservations.of(pod.metadata.uid)
        found = explain.explain(judging, pod).as_json()
        assert found["nodes"] == before["nodes"]
        assert {each["node"]: each["score"] for each in found["nodes"] if each["node"] in kept} == (
            dict(zip(kept, scores, strict=True))
        )
        assert judging.index.reservations.of(pod.metadata.uid)  # it is still held for the others


@pytest.mark.parametrize("gpus", [1, 4, 8])
def test_asking_about_one_node_gives_the_answer_of_asking_about_all(gpus):
    judging = some_cluster()
    pod = make_pod("p").gpus(gpus).obj()
    everywhere = {node.node: node for node in explain.explain(judging, pod).nodes}

    for name, expected in everywhere.items():
        assert explain.explain(judging, pod, [name]).nodes == (expected,)
    some = explain.explain(judging, pod, ["n3", "elsewhere", "n3", "n1"]).nodes
    assert {node.node for node in some} == {"n1", "n3", "elsewhere"}
    assert [everywhere[node.node] for node in some if node.node in everywhere] == [
        node for node in some if node.node in everywhere
    ]


@pytest.mark.parametrize(
    ("annotation", "value", "reported"),
    [
        ("railyard.dev/locality", "near", "'near' is not required, PIX, PXB, PHB or NODE"),
        ("railyard.dev/locality", "required", ""),
        ("railyard.dev/locality", "phb", ""),
        ("railyard.dev/localty", "required", "did you mean railyard.dev/locality?"),
        ("railyard.dev/devices", "nvidia.com/gpu=0,1; a/b=2", ""),
        ("railyard.dev/devices", "nvidia.com/gpu=" + "9" * 5000, "is not of the form"),
        ("railyard.dev/devices", "gpu0", "is not of the form"),
        ("railyard.dev/other", "x", "annotation railyard.dev/other is not read"),
        ("example.com/other", "x", ""),
    ],
)
def test_an_annotation_that_means_nothing_is_reported(annotation, value, reported):
    judging = some_cluster()
    found = explain.explain(judging, make_pod("p").gpus(1).annotation(annotation, value).obj())

    assert bool(found.notes) is bool(reported)
    assert reported in " ".join(found.notes)
    assert [line for line in explain_table.lines(found) if line.startswith("note: ")] == [
        f"note: {note}" for note in found.notes
    ]
    assert len(" ".join(found.notes)) < 300


def test_states_that_are_numbered_anew_between_two_turns_change_no_word(judging):
    feed(judging, *p4d("other"))
    judging.settle()
    feed(judging, held("near", "gpu-3"), held("other", "gpu-0", "nic-1"))  # states left behind
    expected = asked(judging)
    turns = explain.explaining(judging, make_pod("p").claim("c").obj())

    found = finished(turns, meanwhile=judging.index.compact)

    assert found.nodes == expected.nodes
    assert sum(bool(node.grounds) for node in expected.nodes) == 3
