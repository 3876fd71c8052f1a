"""What headroom is counted by, as one value that is replaced and never changed."""

from __future__ import annotations

import dataclasses
import functools

from extender.cluster.states import States
from extender.pricing import formula
from extender.pricing.mix.demand_mix import DemandClasses


@dataclasses.dataclass(frozen=True, eq=False)
class Generation:
    """The demand classes, the formula's constants, and the states by whose numbers caches go.

    A new one for any change: whoever keeps what was counted by one asks whether it is this one, and
    need not know what of it changed.
    """

    classes: DemandClasses
    form: formula.Constants
    states: States

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
