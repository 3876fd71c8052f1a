"""How many more pods of a shape fit: what is asked, and the shapes that are offered to ask."""

from __future__ import annotations

from collections.abc import Generator

from extender import errors
from extender.capacity import answer, counting, pod_shape
from extender.decisions import engine

_COUNTS = (1, 2, 4, 8)
_MOST_NAMES = 6
_DEVICE_WORDS = ("gpu", "mig", "gaudi", "tpu", "neuron", "xpu", "i915")


def counted(
    judging: engine.Engine, shape: str, pod: str
) -> Generator[None, None, answer.ShapeCapacity | None]:
    """Count for a shape or for pods like one that is there; WireError where that cannot be."""
    if not shape and not pod:
        return None
    try:
        found = yield from counting.counting(judging, _shape(judging, shape, pod))
    except errors.ConfigError as error:
        text = "; ".join(f"{where}: {why}" for where, why in error.problems)
        raise errors.WireError(400, text) from error
    return found


def _shape(judging: engine.Engine, shape: str, pod: str) -> pod_shape.PodShape:
    if shape:
        return pod_shape.parse(shape)
    namespace, _, name = pod.partition("/")
    known = judging.store.pods.get((namespace, name))
    if known is None:
        raise errors.WireError(404, f"no pod {pod} is known here")
    return pod_shape.like(known)


def offered(judging: engine.Engine) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Name of a resource or class → shapes of it that many pods have."""
    source = judging.store
    resources = [name for name, nodes in source.offered.most_common() if nodes and _device(name)]
    names = [*resources[:_MOST_NAMES], *sorted(source.classes)[:_MOST_NAMES]]
    return tuple((name, tuple(f"{name}={count}" for count in _COUNTS)) for name in names)


def _device(name: str) -> bool:
    return any(word in name for word in _DEVICE_WORDS)
