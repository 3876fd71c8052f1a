"""What the tests of per_node share."""

from extender.cluster import machines
from extender.policy import config
from extender.service import assembly
from tests.kit.builders import make_slice

DRIVER = "gpu.example.com"


CATALOGUE = assembly.read_catalogue()


def engine(kind=machines.Builder, *, patient=True):
    found = assembly.assemble(
        policy=config.DEFAULT,
        features=assembly.features_for("1.36"),
        hardware=CATALOGUE,
        clock=lambda: 0.0,
        patient=patient,
    )
    found.index.builder.__class__ = kind
    return found


def feed(judging, *items):
    for item in items:
        judging.store.apply(type(item).__name__, "ADDED", item)


def gpus(node, count=2, **attributes):
    """A node's slice; of each attribute the value is made from node and number where callable."""
    found = make_slice(f"{node}-gpus", DRIVER).on(node)
    for number in range(count):
        found.device(f"gpu-{number}", uuid=f"{node}-{number}", model="H100", **attributes)
    return found.obj()


def passing(judging, pod, names):
    """The nodes that pass once all that was put off is done."""
    for _ in range(1000):
        before = judging.unjudged["unfinished"]
        judging.filter_only(pod, names)
        if judging.unjudged["unfinished"] == before and not judging.verdicts.single.unfinished:
            break
        judging.settle()
        judging.verdicts.single.advance()
    return judging.filter_only(pod, names).passing(names)
