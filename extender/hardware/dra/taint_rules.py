"""The taints that DeviceTaintRules add to the devices of a pool."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from extender.hardware.dra import resource_pools
from extender.kube.api import objects

# (the only device that it is for, taint) of each rule that selects a pool
PoolTaints: TypeAlias = tuple[tuple[str | None, objects.DeviceTaint], ...]


class TaintRules:
    """The rules of one reading; what they add to a pool is found once."""

    def __init__(self, rules: Sequence[objects.DeviceTaintRule]) -> None:
        self._rules = rules
        self._by_pool: dict[resource_pools.PoolName, PoolTaints] = {}  # (driver, pool)

    def of(self, spec: objects.ResourceSliceSpec) -> PoolTaints:
        """Those that select devices of the slice, in the rules' order; without a selector none."""
        if not self._rules:
            return ()
        key = spec.driver, spec.pool.name
        found = self._by_pool.get(key)
        if found is None:
            found = self._by_pool[key] = tuple(self._selecting(spec))
        return found

    def taints(
        self, spec: objects.ResourceSliceSpec, device: objects.Device
    ) -> tuple[objects.DeviceTaint, ...]:
        """The device's own taints and those of the rules that select it, without their time."""
        added = [taint for only, taint in self.of(spec) if only in {None, device.name}]
        return (*map(_without_time, device.taints or ()), *added)

    def _selecting(
        self, spec: objects.ResourceSliceSpec
    ) -> Iterable[tuple[str | None, objects.DeviceTaint]]:
        for rule in self._rules:
            selector = rule.spec.device_selector
            if (
                selector is not None
                and selector.driver in {None, spec.driver}
                and selector.pool in {None, spec.pool.name}
            ):
                yield selector.device, _without_time(rule.spec.taint)


def _without_time(taint: objects.DeviceTaint) -> objects.DeviceTaint:
    return objects.DeviceTaint(key=taint.key, value=taint.value, effect=taint.effect)
