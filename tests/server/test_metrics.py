"""What Prometheus scrapes."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from extender.server import metrics

KINDS = {"Pod": metrics.KindFigures(synced=True, objects=3, age_seconds=1.5)}
PICTURE = metrics.ClusterFigures(ready=True, generation=7, nodes=5, states=2, kinds=KINDS)


@pytest.fixture
def figures():
    return metrics.Metrics(lambda: PICTURE)


def families(figures):
    text = figures.exposition().decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def test_the_picture_is_taken_at_scrape_time():
    pictures = iter([metrics.ClusterFigures(nodes=1), metrics.ClusterFigures(nodes=2)])
    figures = metrics.Metrics(lambda: next(pictures))
    for count in (1, 2):
        assert families(figures)["railyard_index_nodes"].samples[0].value == count


def test_staleness_is_reported_by_kind(figures):
    sample = families(figures)["railyard_cache_age_seconds"].samples[0]
    assert (sample.labels, sample.value) == ({"kind": "Pod"}, 1.5)


@pytest.mark.parametrize("which", ["decode", "sink"])
def test_objects_that_could_not_be_taken_in_are_counted_by_kind(which):
    kind = metrics.KindFigures(synced=True, objects=3, age_seconds=0.0, **{f"{which}_failures": 4})
    figures = metrics.Metrics(lambda: metrics.ClusterFigures(kinds={"Pod": kind}))

    sample = families(figures)[f"railyard_{which}_failures"].samples[0]

    assert (sample.labels, sample.value) == ({"kind": "Pod"}, 4)


def test_only_judgements_count_in_the_durations(figures):
    figures.request("filter", 200, 0.0002)
    figures.request("filter", 400, 99.0)
    get = figures.registry.get_sample_value
    assert get("railyard_request_duration_seconds_count", {"verb": "filter"}) == 1
    bucket = {"verb": "filter", "le": "0.0001"}
    assert get("railyard_request_duration_seconds_bucket", bucket) == 0
    assert get("railyard_request_duration_seconds_bucket", bucket | {"le": "0.00025"}) == 1
    assert get("railyard_requests_total", {"verb": "filter", "code": "400"}) == 1


def test_predictions_are_counted_by_result(figures):
    for result in (*metrics.RESULTS, "same"):
        figures.prediction(result)
    get = figures.registry.get_sample_value
    assert get("railyard_predictions_total", {"result": "same"}) == 2
    assert get("railyard_predictions_total", {"result": "different"}) == 1
    with pytest.raises(KeyError):
        figures.prediction("node-17")


def test_reloads_are_counted_by_outcome(figures):
    figures.reload("certificate", good=True)
    figures.reload("policy", good=False)
    get = figures.registry.get_sample_value
    assert get("railyard_reloads_total", {"what": "certificate", "outcome": "used"}) == 1
    assert get("railyard_reloads_total", {"what": "policy", "outcome": "refused"}) == 1


def test_every_series_is_there_from_the_start(figures):
    before = figures.exposition().count(b"\n")
    for verb in metrics.VERBS:
        for code in metrics.STATUSES:
            figures.request(verb, code, 0.1)
        figures.fail_open(verb)
        figures.nodes(verb, 5)
    assert figures.exposition().count(b"\n") == before


def test_two_services_in_one_process_do_not_share_figures(figures):
    metrics.Metrics(metrics.ClusterFigures).fail_open("filter")
    get = figures.registry.get_sample_value
    assert get("railyard_fail_open_total", {"verb": "filter"}) == 0


def test_every_metric_has_help_and_every_counter_ends_in_total(figures):
    for name, family in families(figures).items():
        assert family.documentation, name
        if family.type == "counter":
            assert all(sample.name.endswith("_total") for sample in family.samples)
