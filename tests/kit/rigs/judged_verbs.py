"""What the tests of verbs share."""

import orjson

from extender.server import metrics, verbs
from tests.kit.judge_stubs import NameJudge


def service(judge=None, clock=lambda: 0.0):
    figures = metrics.Metrics(metrics.ClusterFigures)
    return verbs.Verbs(judge or NameJudge(), figures, clock=clock), figures


def args(*names, pod="gpu"):
    return orjson.dumps({"Pod": {"metadata": {"name": pod}}, "Nodes": None, "NodeNames": names})


def whole(*names, pod="gpu"):
    items = [{"metadata": {"name": name, "managedFields": [1]}} for name in names]
    nodes = {"metadata": {}, "items": items}
    return orjson.dumps({"Pod": {"metadata": {"name": pod}}, "Nodes": nodes, "NodeNames": None})


def value(figures, name, **labels):
    return figures.registry.get_sample_value(name, labels)
