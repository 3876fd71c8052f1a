"""What kube-scheduler writes when a pod gets its node: allocations of claims, and the binding."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from extender.cluster import index
from extender.demand.allocator.outcome import Pick
from extender.kube.api import objects, quantity
from extender.verdicts import resolver
from extender.verdicts.evaluator import Verdict

_SPECIAL = "-extended-resources"  # the claim that stands behind extended resources served by DRA


def bound(pod: objects.Pod, node: str) -> objects.Pod:
    """The pod on its node."""
    return msgspec.structs.replace(pod, spec=msgspec.structs.replace(pod.spec, node_name=node))


def claims_of(
    pod: objects.Pod, asked: resolver.ResolvedPod, detail: index.Row, verdict: Verdict
) -> list[objects.ResourceClaim]:
    """The pod's claims as allocated on the node, with the devices of the verdict."""
    by_claim: dict[int, list[Pick]] = {}
    for pick in verdict.picks:
        by_claim.setdefault(pick.claim, []).append(pick)
    found: list[objects.ResourceClaim] = []
    for number, picks in sorted(by_claim.items()):
        known = asked.claims[number].claim if number < len(asked.claims) else None
        claim = known if known is not None else _special(pod, number)
        results = [_result(pod, detail, pick) for pick in picks]
        status = status_of(pod, detail.name, results)
        found.append(msgspec.structs.replace(claim, status=status))
    return found


def status_of(
    pod: objects.Pod, node: str, results: Iterable[objects.DeviceRequestAllocationResult]
) -> objects.ResourceClaimStatus:
    """The allocation of these devices on the node, reserved for the pod."""
    here = objects.NodeSelectorRequirement(key="metadata.name", operator="In", values=(node,))
    allocation = objects.AllocationResult(
        devices=objects.DeviceAllocationResult(results=tuple(results)),
        node_selector=objects.NodeSelector(
            node_selector_terms=(objects.NodeSelectorTerm(match_fields=(here,)),)
        ),
    )
    user = objects.ResourceClaimConsumerReference(
        resource="pods", name=pod.metadata.name, uid=pod.metadata.uid
    )
    return objects.ResourceClaimStatus(allocation=allocation, reserved_for=(user,))


def _special(pod: objects.Pod, number: int) -> objects.ResourceClaim:
    name = f"{pod.metadata.name}{_SPECIAL}-{number}"
    namespace = pod.metadata.namespace or "default"
    return objects.ResourceClaim(
        metadata=objects.ObjectMeta(name=name, namespace=namespace, uid=f"{namespace}/{name}")
    )


def _result(
    pod: objects.Pod, detail: index.Row, pick: Pick
) -> objects.DeviceRequestAllocationResult:
    machine = detail.machine
    device = machine.shape.devices[pick.device]
    consumed: dict[str, objects.Quantity] = {n: _amount(nano) for n, nano in pick.consumed}
    return objects.DeviceRequestAllocationResult(
        request=pick.request,
        driver=device.driver,
        pool=machine.pool_names[machine.inventory.pool_of[pick.device]][1],
        device=device.name,
        admin_access=True if pick.admin else None,
        share_id=f"{pod.metadata.uid}-{pick.claim}-{pick.device}" if pick.shared else None,
        consumed_capacity=consumed or None,
    )


def _amount(nano: int) -> str:
    whole, rest = divmod(nano, quantity.NANO)
    return f"{nano}n" if rest else str(whole)
