"""How large one unit of a demand is, in GPUs, and how much of a node's GPUs can serve it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from extender.cluster import index
from extender.demand.allocator.outcome import Pick
from extender.hardware import gpu_count
from extender.hardware.shape import Device, Kind, Shape
from extender.hardware.usage import NOTHING
from extender.verdicts import verdict_table
from extender.verdicts.evaluator import Verdict

_GPUS = frozenset({Kind.GPU, Kind.PARTITION})
_MOST_KINDS = 256  # of machines tried for a demand; a fleet has tens


def size(
    table: verdict_table.VerdictTable, cluster: index.TopologyIndex, machines: Sequence[Shape]
) -> float:
    """GPUs that one unit takes on the first of these that can serve it empty; 0 if none can.

    A unit of a plug-in's resource is as large as on the machine where it is largest: elsewhere the
    same name stands for shares.
    """
    question = table.question
    if not question.claims and len(question.extended) == 1:
        name, count = question.extended[0]
        found = max((gpu_count.of_resource(each, name) for each in machines), default=0.0)
        if found:
            return found * count
    tried = 0
    for hardware in machines:
        if not hardware.devices and not hardware.resources:
            continue
        verdict = table.verdict(cluster.states.number(hardware, NOTHING))
        if verdict.fits and (verdict.picks or verdict.plugin):
            return taken(hardware, verdict, question.extended)
        tried += 1
        # A search that ended without an answer is as dear on the next kind of machine.
        if tried == _MOST_KINDS or verdict.fits:
            break
    return 0.0


def served(
    table: verdict_table.VerdictTable, cluster: index.TopologyIndex, machines: Sequence[Shape]
) -> bool:
    """Whether one of these machines could serve the demand empty; true where not known."""
    for tried, hardware in enumerate(machines):
        if tried == _MOST_KINDS or table.verdict(cluster.states.number(hardware, NOTHING)).fits:
            return True
    return False


def taken(hardware: Shape, verdict: Verdict, extended: Iterable[tuple[str, int]] = ()) -> float:
    """GPUs that the placement of a verdict takes: shares and partitions by their fraction.

    `extended` are (resource, count) requested of device plug-ins.
    """
    claimed = sum(_of_pick(hardware, pick) for pick in verdict.picks if not pick.admin)
    return claimed + sum(gpu_count.of_resource(hardware, name) * count for name, count in extended)


def free(table: verdict_table.VerdictTable, number: int, whole: float) -> float:
    """GPUs in parts large enough for one unit; `whole` is what whole placements can use.

    For shares of a device that is everything left of the devices that hold one more, which is
    more than whole placements use (the A of `pricing.formula`).
    """
    if table.takes_whole_devices(number):
        return whole
    verdict = table.verdict(number)
    hardware, usage = table.states[number]
    share = next(
        (
            pick
            for pick in verdict.picks
            if pick.shared and pick.consumed and hardware.devices[pick.device].kind in _GPUS
        ),
        None,
    )
    if share is None:
        return whole
    consumed = {device: dict(amounts) for device, amounts in usage.shared}
    model = hardware.devices[share.device]
    total = 0.0
    for position, device in enumerate(hardware.devices):
        if not device.allow_multiple_allocations or usage.taken >> position & 1:
            continue
        if device.driver != model.driver or _product(device) != _product(model):
            continue
        left = _left(device, consumed.get(position, {}), share)
        total += left or 0.0
    return max(total, whole)


def _left(device: Device, used: dict[str, int], share: Pick) -> float | None:
    """The free fraction of a shared device, None where one more share does not fit."""
    fraction = 1.0
    for name, wanted in share.consumed:
        capacity = device.capacity.get(name)
        if capacity is None or used.get(name, 0) + wanted > capacity.value:
            return None
        if capacity.value:
            fraction = min(fraction, 1 - used.get(name, 0) / capacity.value)
    return fraction


def _product(device: Device) -> object:
    return device.attributes.get("productName") or device.attributes.get("model")


def _of_pick(hardware: Shape, pick: Pick) -> float:
    device = hardware.devices[pick.device]
    if device.kind is Kind.GPU:
        return gpu_count.part_of(device, pick.consumed, otherwise=1.0) if pick.shared else 1.0
    if device.kind is Kind.PARTITION:
        return gpu_count.of_partition(hardware, pick.device) or gpu_count.SMALLEST_PART
    return 0.0
