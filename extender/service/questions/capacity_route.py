"""`/v1/capacity`: how many more pods of a shape fit, worked out in turns beside the calls."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Mapping

from extender import errors
from extender.capacity import counting, draining, pod_shape
from extender.decisions import engine
from extender.server import admin_routes, admin_turns
from extender.service import assembly

_USAGE = "name the shape: ?shape=nvidia.com/gpu=8, or a pod to count like it: ?pod=NAMESPACE/NAME"


def route(judging: Callable[[], engine.Engine]) -> admin_routes.Route:
    """The route; `judging` gives the engine of the moment, or raises a WireError."""

    def answer(parameters: Mapping[str, str]) -> admin_turns.Turns:
        return _answered(judging(), parameters)

    return admin_routes.Route(
        "/v1/capacity", answer, parameters=frozenset({"shape", "pod", "drain"}), kept=True
    )


def _answered(judging: engine.Engine, parameters: Mapping[str, str]) -> admin_turns.Turns:
    shape = _shape(judging, parameters)
    try:
        found = yield from counting.counting(judging, shape)
        if "drain" in parameters:
            copied = yield from _copied(judging)
            drained = yield from draining.draining(copied, shape, parameters["drain"])
            found = dataclasses.replace(found, drained=drained)
    except errors.ConfigError as error:
        raise _refused(error) from error
    text = admin_turns.ChunkedText()
    text.json(found.as_json())
    text.add(b"\n")
    return text.pieces()


def _copied(judging: engine.Engine) -> Generator[None, None, engine.Engine]:
    """An engine over the same objects, which may be changed."""
    copied = assembly.assemble(
        policy=judging.policy,
        features=judging.index.builder.features,
        hardware=assembly.read_catalogue(),
        clock=lambda: 0.0,
        patient=False,
    )
    for kind, items in judging.store.contents():
        for item in items:
            copied.store.apply(kind, "ADDED", item)
            yield
    while copied.index.settle(most=1):
        yield
    copied.settle()
    while copied.unlearnt or copied.unfinished:
        yield
        copied.settle()
    return copied


def _shape(judging: engine.Engine, parameters: Mapping[str, str]) -> pod_shape.PodShape:
    if ("shape" in parameters) == ("pod" in parameters):
        raise errors.WireError(400, _USAGE)
    if "shape" in parameters:
        try:
            return pod_shape.parse(parameters["shape"])
        except errors.ConfigError as error:
            raise _refused(error) from error
    namespace, slash, name = parameters["pod"].partition("/")
    pod = judging.store.pods.get((namespace, name)) if slash else None
    if pod is None:
        raise errors.WireError(404, f"no pod {parameters['pod']} is known here")
    return pod_shape.like(pod)


def _refused(error: errors.ConfigError) -> errors.WireError:
    return errors.WireError(400, "; ".join(f"{field}: {why}" for field, why in error.problems))
