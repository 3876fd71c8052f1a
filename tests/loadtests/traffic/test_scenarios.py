"""Scenarios of the load tests: those that come with them are good, and a bad one says why."""

import pytest

from loadtests.traffic import scenarios

SPOILT = {
    "podsPerSecond: fast": "podsPerSecond: expected",
    "podsPerSecnd: 3": "unknown field podsPerSecnd; there are about, nodes",
    "nodes: 0": "nodes: expected `int` >= 1",
    "preemptShare: 2": "preemptShare: expected `float` <= 1",
    "eventsPerSecond: -1": "eventsPerSecond: expected `int` >= 0",
    "tenants: [{namespace: ml, pods: {cpu: 0}}]": "tenants[0].pods[...]: expected",
    "gang: {pauseSeconds: 1}": "gang: object missing required field pods",
}


@pytest.mark.parametrize("name", scenarios.names())
def test_a_scenario_that_comes_with_us_can_be_run(name):
    found = scenarios.read(name)

    scenarios.check_pods(found, scenarios.manifests())
    assert found.about.endswith(".")


def test_the_shapes_that_a_release_is_measured_by_are_there():
    found = {name: scenarios.read(name) for name in scenarios.names()}

    assert found["gang"].gang.pods == 512
    assert found["tenants"].schedulers > 1
    assert found["policy-reload"].policy_every_seconds
    assert found["relist"].relist_every_seconds
    assert [found[f"churn-{rate}"].events_per_second for rate in (1000, 5000)] == [1000, 5000]
    assert found["whole-nodes"].whole_nodes
    assert found["mutual-tls"].mutual_tls
    assert found["steady"].nodes == 5000


@pytest.mark.parametrize(("line", "words"), SPOILT.items())
def test_a_bad_field_is_named_with_what_is_wrong(line, words):
    with pytest.raises(scenarios.ScenarioError) as caught:
        scenarios.parse(f"about: a test.\n{line}\n", "mine.yaml")

    assert str(caught.value).startswith("mine.yaml: ")
    assert words.replace("`", "") in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("about: x\nnodes: [", "mine.yaml is not YAML in line 2"),
        ("", "mine.yaml: expected object"),
        ("- about: x", "mine.yaml: expected object"),
        ("nodes: 5", "mine.yaml: object missing required field about"),
    ],
)
def test_a_file_that_is_no_scenario_says_so(text, words):
    with pytest.raises(scenarios.ScenarioError) as caught:
        scenarios.parse(text, "mine.yaml")

    assert words in str(caught.value)


def test_an_unknown_scenario_names_those_that_there_are():
    with pytest.raises(scenarios.ScenarioError) as caught:
        scenarios.read("stedy")

    assert str(caught.value).startswith("there is no scenario 'stedy'; there are churn-1000, ")


def test_a_scenario_of_ones_own_is_read_by_its_path(tmp_path):
    (tmp_path / "own.yaml").write_text("about: mine.\nasked: 7\n")

    assert scenarios.read(str(tmp_path / "own.yaml")).asked == 7


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(scenarios.ScenarioError, match=r"gone\.yaml cannot be read: No such file"):
        scenarios.read(str(tmp_path / "gone.yaml"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind: Node\nmetadata: {name: n}\n", "document 1 is no Pod"),
        (
            "kind: Pod\nmetadata: {name: p}\nspec: {containers: [{}]}\n---\nkind: Pod\n",
            "document 2 is no Pod",
        ),
        ("kind: Pod\nmetadata: {name: p}\nspec: {}\n", "document 1 has no containers"),
        ("kind: Pod\nmetadata: [p]\n", "document 1 is no Pod"),
        ("", "there is no Pod in it"),
    ],
)
def test_manifests_that_are_no_pods_are_refused(tmp_path, text, words):
    (tmp_path / "pods.yaml").write_text(text)

    with pytest.raises(scenarios.ScenarioError, match=words):
        scenarios.manifests(tmp_path / "pods.yaml")


def test_pods_without_a_manifest_are_named():
    wanted = scenarios.parse("about: x.\ntenants: [{pods: {gpu-9: 1, cpu: 1}}]\n", "mine.yaml")

    with pytest.raises(scenarios.ScenarioError, match=r"no manifest of the pods gpu-9; there are "):
        scenarios.check_pods(wanted, scenarios.manifests())
