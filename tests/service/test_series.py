"""The number of series does not grow with what passes through the cluster."""

import itertools
import re

import msgspec

from extender.kube.api import objects
from extender.server import metrics
from extender.service import served_engine
from tests.kit.builders import make_node, make_pod
from tests.kit.worlds import H100, engine, feed

PODS = 100_000
SERIES = re.compile(r"^(\w+(?:\{[^}]*\})?) ", re.MULTILINE)


def series(front, figures):
    for _ in front.sampling.sampling():
        pass
    return set(SERIES.findall(figures.exposition().decode()))


def pods(count):
    """Pods of ever new names, namespaces, uids and sizes, one after the other on two nodes."""
    plain: objects.Pod = make_pod("p").gpus(1).node("n-0").obj()
    sizes = [
        make_pod("p").gpus(number % 8 + 1).request("cpu", number).obj() for number in range(97)
    ]
    for number in range(count):
        name = f"p-{number}"
        meta = msgspec.structs.replace(
            plain.metadata, name=name, namespace=f"team-{number}", uid=f"uid-{number}"
        )
        spec = msgspec.structs.replace(sizes[number % 97].spec, node_name=f"n-{number % 2}")
        yield msgspec.structs.replace(plain, metadata=meta, spec=spec)


def test_a_hundred_thousand_distinct_pods_add_no_series():
    judging = engine()
    front = served_engine.ServedEngine(judging)
    figures = metrics.Metrics(front.picture)
    feed(judging, *(make_node(f"n-{number}").gpus(H100, 8) for number in range(2)))
    first = next(pods(1))
    judging.store.apply("Pod", "ADDED", first)
    judging.settle(rest=True)
    before = series(front, figures)

    stream = pods(PODS)
    while some := list(itertools.islice(stream, 1000)):
        for pod in some:
            judging.store.apply("Pod", "ADDED", pod)
        judging.settle()
        for pod in some:
            judging.store.apply("Pod", "DELETED", pod)
        judging.settle()
    judging.settle(rest=True)

    assert series(front, figures) - before == set()
    assert len(before) > 100
