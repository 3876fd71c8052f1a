"""The devices of a pod on a node by their published names: those predicted, or those allocated."""

from __future__ import annotations

import dataclasses
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
    machine = detail.machine
    found = [
        ShownDevice(
            claim=resolved.claims[pick.claim].name if pick.claim < len(resolved.claims) else "",
            request=pick.request,
            driver=machine.shape.devices[pick.device].driver,
            pool=machine.pool_names[machine.inventory.pool_of[pick.device]][1],
            device=machine.shape.devices[pick.device].name,
            admin=pick.admin,
        )
        for pick in verdict.picks
    ]
    for name, devices in verdict.plugin:
        found += [
            ShownDevice("", name, "device plug-in", detail.name, machine.shape.devices[each].name)
            for each in devices
        ]
    return tuple(found)
