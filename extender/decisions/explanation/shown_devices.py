"""The devices of a pod on a node by their published names: those predicted, or those allocated."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

from extender.cluster import index
from extender.verdicts import resolver
from extender.verdicts.evaluator import Verdict


@dataclasses.dataclass(frozen=True, slots=True)
class ShownDevice:
    """One predicted device by its published names; `request` is the claim's request."""

    claim: str
    request: str
    driver: str
    pool: str
    device: str
    admin: bool = False

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def allocated(resolved: resolver.ResolvedPod) -> tuple[ShownDevice, ...]:
    """The devices of the pod's claims that are allocated already."""
    return tuple(
        ShownDevice("", each.request, each.driver, each.pool, each.device, bool(each.admin_access))
        for allocation in resolved.bound_to
        for each in allocation.devices.results or ()
    )


def predicted(
    resolved: resolver.ResolvedPod, detail: index.Row, verdict: Verdict
) -> tuple[ShownDevice, ...]:
    """The verdict's devices by the names that this node publishes."""
    return tuple(itertools.starmap(ShownDevice, named(resolved, detail, verdict)))


def named(
    resolved: resolver.ResolvedPod, detail: index.Row, verdict: Verdict
) -> Iterator[tuple[str, str, str, str, str, bool]]:
    """Yield the fields of `ShownDevice` for each of the verdict's devices."""
    machine, claims = detail.machine, resolved.claims
    devices, names, pool_of = machine.shape.devices, machine.pool_names, machine.inventory.pool_of
    for pick in verdict.picks:
        claim = claims[pick.claim].name if pick.claim < len(claims) else ""
        device = devices[pick.device]
        pool = names[pool_of[pick.device]][1]
        yield claim, pick.request, device.driver, pool, device.name, pick.admin
    for name, chosen in verdict.plugin:
        for each in chosen:
            yield "", name, "device plug-in", detail.name, devices[each].name, False
