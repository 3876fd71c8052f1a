"""An engine that answers by a candidate policy, over everything that another engine has.

Cluster, verdicts, reservations, evictions and the decision history are the other engine's own: a
pod placed by one policy counts for the next pod under the other. Profiles, prices and scores are
the candidate's.
"""

from __future__ import annotations

import itertools

from extender.decisions import engine, recorder_interface
from extender.demand import work
from extender.shadow import candidate

_numbers = itertools.count(-1, -1)  # the policies in force count upwards from 1


class CandidateEngine(engine.Engine):
    """Hears nothing of the watch by itself; what the candidate has not learnt yet, it settles."""

    def __init__(
        self, trying: candidate.CandidatePolicy
    ) -> None:  # the parts exist: none is made anew
        self._shared = trying.engine
        self._trying = trying
        vars(self).update(
            (name, part) for name, part in vars(trying.engine).items() if name != "recorder"
        )
        self.policy = trying.policy
        self.pricer = trying.pricer
        self.scoring = trying.scoring
        self._policies = next(_numbers)

    @property
    def recorder(self) -> recorder_interface.Recorder:
        """The other engine's, whoever that is by now."""
        return self._shared.recorder

    @recorder.setter
    def recorder(self, recorder: recorder_interface.Recorder) -> None:
        self._shared.recorder = recorder

    def settle(self, *, rest: bool = False, between: bool = False) -> None:
        """Take in what has happened, in both engines."""
        self._shared.settle(rest=rest, between=between)
        self._trying.settle(whole=True)
        self.work.allow(work.JUDGING)
