"""What headroom is counted and priced by, as one value that is replaced and never changed."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from extender.cluster.states import States
from extender.pricing import fleet, formula
from extender.pricing.mix.demand_mix import DemandClasses, Floats


@dataclasses.dataclass(frozen=True, eq=False)
class Generation:
    """The demand classes, the machines, the formula's constants, and the prices that follow.

    A new one for any change: whoever keeps what was counted or priced by one asks whether it is
    this one, and need not know what of it changed.
    """

    classes: DemandClasses
    form: formula.Constants  # the policy's, adapted to the coverage of the moment
    states: States  # by whose numbers caches go
    machines: fleet.Fleet
    headroom: Floats  # U, GPUs per class over the whole cluster; zeros until priced
    prices: Floats  # per class
    epoch: int = 0  # how many were priced before this one

    @classmethod
    def first(cls, form: formula.Constants, states: States) -> Generation:
        """The one before any demand was seen."""
        nothing = np.zeros(0)
        return cls(DemandClasses.none(), form, states, fleet.Fleet.none(), nothing, nothing)

    def following(
        self, classes: DemandClasses, form: formula.Constants, states: States, machines: fleet.Fleet
    ) -> Generation:
        """The next one, to be priced."""
        nothing = np.zeros(len(classes.weight))
        return Generation(classes, form, states, machines, nothing, nothing, self.epoch)

    def priced(self, headroom: Floats, prices: Floats) -> Generation:
        """The same, with its prices."""
        return dataclasses.replace(self, headroom=headroom, prices=prices, epoch=self.epoch + 1)

    def numbered_by(self, states: States) -> Generation:
        """The same for caches that go by these states' numbers."""
        return self if states is self.states else dataclasses.replace(self, states=states)

    @functools.cached_property
    def needs(self) -> formula.Needs:
        """What a loop over one row needs of the classes."""
        return formula.class_needs(self.classes, self.form)

    @functools.cached_property
    def devices(self) -> tuple[tuple[int, ...], bytes, bytes, bytes]:
        """What the classes request of devices: equal where only CPU, memory or weights differ."""
        classes = self.classes
        return (
            tuple(id(unit) for unit in classes.units),
            classes.unit.tobytes(),
            classes.count.tobytes(),
            classes.share.tobytes(),
        )

    def same_devices(self, other: Generation) -> bool:
        """Whether devices alone allow the same by both, state by state."""
        if self.form != other.form or self.states is not other.states:
            return False
        return self.devices == other.devices
