"""Hostile pods: whatever a tenant writes, a call does a bounded amount of work, and raises nothing.

Work is counted in units (`demand.work`), so nothing here depends on the machine that runs it.
"""

import hypothesis
import pytest
from hypothesis import strategies

from extender.decisions.explanation import explain
from extender.demand import pod_size_limits, work
from extender.verdicts import resolver
from loadtests.performance.clusters import hostile_pods
from loadtests.simulator import mixed_fleet

# What one more piece of work may take beyond an allowance: to evaluate the costliest selector, a
# third of what the longest takes to compile, or what a search remembers of its dead ends.
PIECE = 6_000
MOST = work.SETTLING + work.JUDGING + 2 * PIECE
CASES = {case.name: case for case in hostile_pods.cases()}
TITLES = sorted(name for name, case in CASES.items() if case.asked)


@pytest.fixture(scope="module")
def judging():
    """A hurried engine over 14 machines, one of each kind."""
    return mixed_fleet.cluster(14)


def shown(judging, case):
    for kind, item in case.objects:
        judging.store.apply(kind, "ADDED", item)
    judging.index.settle()


def removed(judging, case):
    for kind, item in reversed(case.objects):
        judging.store.apply(kind, "DELETED", item)


def worked(judging, call, *arguments):
    before = judging.work.done
    answer = call(*arguments)
    return answer, judging.work.done - before


@pytest.mark.parametrize("title", TITLES)
def test_no_call_for_a_hostile_pod_does_more_than_its_allowance(judging, title):
    case, names = CASES[title], sorted(judging.index.rows)
    shown(judging, case)
    try:
        for _ in range(3):
            found, spent = worked(judging, judging.filter, case.pod, names)
            assert spent <= MOST
            kept = found.passing(names)
            _, spent = worked(judging, judging.prioritize, case.pod, kept)
            assert spent <= MOST
            _, spent = worked(judging, judging.settle)
            assert spent <= MOST
    finally:
        removed(judging, case)


@pytest.mark.parametrize(
    ("title", "what"),
    [
        ("20,000 resource names", "20001 resource amounts, at most 1024 are"),
        ("10,000 containers", "10000 containers, at most 256 are"),
        ("10,000 labels", "10000 labels, at most 256 are"),
        ("100 claims of 32", "100 claims, at most 32 are"),
        ("a claim at every limit: 8,192 selectors", "256 requests and choices, at most 96 are"),
        ("1,000 capacities in 8 requests", "8000 tolerations and capacities, at most 512 are"),
        ("32 selectors of 10 KB each", "characters of selectors, at most 12288 are"),
    ],
)
def test_a_pod_beyond_the_sizes_passes_is_counted_and_says_why(judging, title, what):
    case, names = CASES[title], sorted(judging.index.rows)
    shown(judging, case)
    before = judging.unjudged[resolver.TOO_LARGE]
    learnt = judging.pricer.mix.seen
    found = judging.filter(case.pod, names)
    reported = explain.explain(judging, case.pod, names)
    removed(judging, case)
    assert found.passing(names) == names
    assert judging.unjudged[resolver.TOO_LARGE] == before + 1
    assert judging.pricer.mix.seen == learnt
    assert what in reported.notes[0]
    assert {node.verdict for node in reported.nodes} == {"not judged"}


@pytest.mark.parametrize("pod", ["six names", "eight pairs"])
def test_what_real_pods_ask_for_is_judged_to_the_end_call_by_call(pod):
    hurried, patient = mixed_fleet.cluster(14), mixed_fleet.cluster(14, patient=True)
    case, names = LEGITIMATE[pod], sorted(hurried.index.rows)
    shown(hurried, case)
    shown(patient, case)
    expected = patient.filter(case.pod, names)
    for _ in range(400):
        if hurried.filter(case.pod, names) == expected:
            break
    assert hurried.filter(case.pod, names) == expected
    assert not expected.passing(names) or expected.failed or expected.unresolvable


def pairs():
    requests, constraints = [], []
    for number in range(8):
        requests.append(hostile_pods.request(f"g{number}", hostile_pods.GPU))
        requests.append(hostile_pods.request(f"n{number}", hostile_pods.NIC))
        constraints.append(hostile_pods.match(hostile_pods.ROOT, f"g{number}", f"n{number}"))
    return hostile_pods.claiming("eight pairs", [hostile_pods.spec(requests, constraints)])


LEGITIMATE = {
    "six names": hostile_pods.alone(
        "six names",
        hostile_pods.pod_of("six", [{"nvidia.com/gpu": "8", "cpu": "8", "memory": "8Gi"}]),
    ),
    "eight pairs": pairs(),
}


CLASSES = strategies.sampled_from([hostile_pods.GPU, hostile_pods.NIC, hostile_pods.MIG, "none"])
TEXTS = strategies.sampled_from(
    [
        "device.driver == 'gpu.nvidia.com'",
        "lists.range(100).exists(x, lists.range(100).exists(y, x + y == -1))",
        "device.attributes['gpu.nvidia.com'].type == 'mig'",
        "'" + "a" * 2000 + "'.split('').size() > 1",
        "size(device.attributes) > 0 &&" * 40 + " true",
        "not CEL",
    ]
)
COUNTS = strategies.sampled_from([0, 1, 2, 7, 31, 32, 33, 2**31])


@strategies.composite
def claims(draw):
    requests = []
    for number in range(draw(strategies.integers(0, 33))):
        name, texts = f"r{number}", draw(strategies.lists(TEXTS, max_size=4))
        if draw(strategies.booleans()):
            mode = draw(strategies.sampled_from(["ExactCount", "All"]))
            requests.append(
                hostile_pods.request(
                    name, draw(CLASSES), count=draw(COUNTS), mode=mode, selectors=texts
                )
            )
            continue
        choices = [
            (f"c{place}", draw(CLASSES), draw(COUNTS), texts)
            for place in range(draw(strategies.integers(1, 8)))
        ]
        requests.append(hostile_pods.first(name, choices))
    attributes = strategies.sampled_from([hostile_pods.ROOT, "a.b/c", "gpu.nvidia.com/uuid", ""])
    makers = strategies.sampled_from([hostile_pods.match, hostile_pods.distinct_in])
    constraints = [draw(makers)(draw(attributes)) for _ in range(draw(strategies.integers(0, 5)))]
    return hostile_pods.spec(requests, constraints)


@hypothesis.given(specs=strategies.lists(claims(), min_size=1, max_size=3))
@hypothesis.settings(max_examples=15, deadline=None)
def test_whatever_claims_ask_a_call_stays_within_its_allowance(judging, specs):
    case, names = hostile_pods.claiming("drawn", specs), sorted(judging.index.rows)
    shown(judging, case)
    try:
        for _ in range(2):
            found, spent = worked(judging, judging.filter, case.pod, names)
            assert spent <= MOST
            kept = found.passing(names)
            _, spent = worked(judging, judging.prioritize, case.pod, kept)
            assert spent <= MOST
    finally:
        removed(judging, case)


@hypothesis.given(
    counts=strategies.lists(strategies.integers(0, 1200), min_size=1, max_size=4),
    labels=strategies.integers(0, 300),
)
@hypothesis.settings(max_examples=20, deadline=None)
def test_a_pod_is_too_large_exactly_beyond_the_sizes(counts, labels):
    amounts = [{f"a.b/r{n}": "1" for n in range(count)} for count in counts]
    pod = hostile_pods.pod_of("p", amounts, labels={f"l{n}": "" for n in range(labels)})
    small = (
        sum(counts) <= pod_size_limits.MOST_AMOUNTS
        and max(counts) <= pod_size_limits.MOST_RESOURCES
        and labels <= pod_size_limits.MOST_LABELS
    )
    assert (pod_size_limits.excess_of_pod(pod) == "") is small
