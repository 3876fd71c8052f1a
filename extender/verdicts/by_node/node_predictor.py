"""Predicts for one node at a time, by what selectors were found to say of its own devices."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from extender.demand import selectors
from extender.demand.allocator import allocator, outcome_cache
from extender.demand.requests import ClaimDemand
from extender.hardware import shape
from extender.verdicts import selector_matches


class NodeSelectors:
    """Answers for the devices of one node: what was found there, else what their shape tells."""

    def __init__(self, shared: selectors.Shared) -> None:
        self._shared = shared
        # device of the variant → that of the shape, what its selectors say
        self._found: dict[shape.Device, tuple[shape.Device, dict[str, selectors.Result]]] = {}

    def take(self, hardware: shape.Shape, found: selector_matches.Found) -> shape.Shape:
        """Answer so from now on; returns the shape with devices of its own."""
        devices = list(hardware.devices)
        self._found = {}
        for position, said in selector_matches.by_device(found).items():
            devices[position] = dataclasses.replace(hardware.devices[position])
            self._found[devices[position]] = hardware.devices[position], said
        return dataclasses.replace(hardware, devices=tuple(devices))

    def matches(self, expression: str, device: shape.Device) -> bool:
        original, said = self._found.get(device, (device, None))
        if said is None or expression not in said:
            return self._shared.matches(expression, original)
        result = said[expression]
        if isinstance(result, bool):
            return result
        raise selectors.again(result)


class NodePredictor(allocator.Predictor):
    """Plans for one node at a time, whose devices stand in for those of its shape."""

    variant = shape.Shape()

    def _cache_of(
        self, _: shape.Shape, claims: tuple[ClaimDemand, ...]
    ) -> outcome_cache.OutcomeCache:
        return super()._cache_of(self.variant, claims)

    def may_pick(
        self,
        machine: shape.Shape,  # noqa: ARG002 (its devices are stood in for)
        claims: tuple[ClaimDemand, ...],
        number: int,
        picked: Mapping[str, int],
    ) -> bool:
        return super().may_pick(self.variant, claims, number, picked)
