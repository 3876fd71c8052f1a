"""How much work one call may be: counted in units, so that the same call stops at the same place.

No clock is read. A unit is one to two microseconds of one core, and what costs more is charged
more: the constants beside each charge are measured, and `python -m loadtests.performance.hostile`
shows the processor time that comes of them. What a call leaves undone the next call goes on with.
"""

from __future__ import annotations

from extender import errors

# Units that one call may spend on what it asks, and on taking in what has happened before it. Both
# together, and the one piece of work that passes the limit, stay below 20 ms also on a core that
# others share.
JUDGING = 2_500
SETTLING = 1_000
# Units of a preempt, which comes once for a pod that fits nowhere: about 25 nodes of 8 pods. On the
# others the offered victims stand.
PREEMPTING = 3_000
# Units of a turn between two requests, for what was not finished: half a millisecond.
IDLE = 250
# Units of a settling that no call waits for. Each one renews the prices, whatever it finds out, so
# that little at a time is most of it renewal.
BETWEEN = 500
# One turn in so many may do as much as a call: what is done in one piece and takes more than a turn
# gets done. A call that comes in the middle waits a few milliseconds, which are to be less than
# a hundredth of the time: turns are 5 ms apart while calls come. Odd, as two kinds alternate.
_LONG_TURN = 129
# The part of its allowance that a call has however much settling took.
_LEAST_PART = 2
_NO_LIMIT = 1 << 62


class SpentError(errors.RailyardError):
    """The call has done what it may; the next call goes on from here."""


class Work:
    """What is left of a call's allowance. A patient one has no limit: offline nobody waits."""

    def __init__(self, *, patient: bool = True) -> None:
        self._patient = patient
        self.left = _NO_LIMIT
        self.done = 0  # units spent in all
        self._turns = 0
        self._over = 0  # what taking in what has happened took beyond its allowance

    def allow(self, units: int) -> None:
        """Begin with so many units."""
        self.left = _NO_LIMIT if self._patient else units

    def allow_turn(self, units: int) -> None:
        """Begin a turn between two calls, of so many units or, now and then, of a call's."""
        self._turns += 1
        self.allow(units if self._turns % _LONG_TURN else JUDGING)

    def allow_settling(self, *, between: bool) -> None:
        """Begin to take in what has happened, before a call or `between` two."""
        if between:
            self.allow_turn(BETWEEN)
        else:
            self.allow(SETTLING)

    def settled(self) -> None:
        """End what `allow_settling` began; what it took beyond its allowance is owed."""
        self._over = max(-self.left, 0)

    def allow_call(self, units: int) -> None:
        """Begin what the call came for, with so many units less what settling owes.

        A part of them in any case: a call that always comes after much has happened gets on.
        """
        self.allow(max(units - self._over, units // _LEAST_PART))

    def spend(self, units: int) -> None:
        """Note work that is done, or is about to be."""
        self.left -= units
        self.done += units

    @property
    def spent(self) -> bool:
        """Whether nothing is left."""
        return self.left <= 0

    def check(self) -> None:
        """SpentError where nothing is left."""
        if self.left <= 0:
            raise SpentError("the call's allowance is spent")
