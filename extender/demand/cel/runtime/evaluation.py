"""What one evaluation needs at hand."""

from __future__ import annotations

from extender.demand.cel.runtime.meter import Meter
from extender.demand.cel.runtime.values import Map, Value


class Evaluation:
    """One evaluation: its budget, its device and the variables of its folds by number."""

    __slots__ = ("device", "meter", "slots")

    def __init__(self, meter: Meter, device: dict[str, Value], slots: int) -> None:
        self.meter = meter
        self.device = device  # field → value
        self.slots: list[Value] = [None] * slots

    def whole_device(self) -> Map:
        """The device as a value."""
        whole = Map()
        for field, value in self.device.items():
            whole.put(field, value)
        return whole
