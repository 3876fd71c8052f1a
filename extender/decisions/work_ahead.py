"""What is done ahead, in turns between requests, so that the next request finds it done.

All of it may be left undone: a request does by itself what it needs, with the same answer.
"""

from __future__ import annotations

from extender.cluster import index, name_layout
from extender.demand import work
from extender.verdicts import verdict_sources


class WorkAhead:
    """The turns of one engine: each is less than half a millisecond."""

    def __init__(
        self,
        cluster: index.TopologyIndex,
        verdicts: verdict_sources.VerdictSources,
        spending: work.Work,
    ) -> None:
        self.names = name_layout.NameLayout(cluster)
        self._verdicts = verdicts
        self._work = spending

    @property
    def unfinished(self) -> bool:
        """Whether there is something to do."""
        return self._verdicts.unfinished or self.names.unfinished

    def step(self) -> None:
        """Do a turn; verdicts that requests asked for in vain come first."""
        if self._verdicts.unfinished:
            self._work.allow(work.IDLE)
            self._verdicts.advance()
        else:
            self.names.step()
