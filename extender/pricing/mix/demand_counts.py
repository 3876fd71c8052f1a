"""How the observed pods count in the demand mix, with the machines that there are now."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from extender.demand import work
from extender.policy import config
from extender.pricing.mix import demand_mix, demand_size, tally
from extender.verdicts.query import Query, single_unit

MOST_GPUS = 8.0  # of one node, as most are


class DemandCounts:
    """The demand mix of the pods of the watch; each counts once, at its creation time."""

    def __init__(self, sized: demand_size.DemandSizes, spending: work.Work) -> None:
        self._sizes = sized
        self._work = spending
        self._version = -1  # of the sizes by which pods were counted
        self._declared: tuple[config.DeclaredClass, ...] = ()
        self._machine_reserve = 0.0
        self.mix = demand_mix.DemandMix(resolve=self._counted)

    @property
    def outdated(self) -> bool:
        """Whether pods may count in another way than when they were counted last."""
        return self._sizes.outdated or self._sizes.version != self._version

    def configure(self, settings: config.ClusterPacking) -> None:
        """Take the constants of a policy; what was learnt so far is kept."""
        self.mix.configure(
            horizon=settings.horizon_pods, namespace_share=settings.max_namespace_share
        )
        self._declared = settings.reserve
        self._machine_reserve = settings.machine_reserve

    def learn(
        self,
        uid: str,
        question: Query,
        *,
        cpu: int,
        memory: int,
        together: str = "",
        age: tuple[str, ...] | None = None,
        namespace: str = "",
    ) -> bool:
        """Count a pod of the watch; false where it was counted before.

        A gang (`together` is its name) is one demand for as many of its members as one node can
        hold: headroom for them one by one, all over the cluster, is no headroom for the gang.
        """
        return self.mix.learn(
            uid,
            question or None,
            count=1 if question else 0,
            cpu=float(cpu),
            memory=float(memory),
            age=age,
            namespace=namespace,
            group=together,
        )

    def refreshed(self) -> demand_mix.DemandMix:
        """The mix by the machines of now; where they changed, all is counted anew."""
        self._sizes.refresh()
        if self._sizes.version != self._version:
            self._version = self._sizes.version
            self.mix.unresolve()
        return self.mix

    def classes(
        self, machine_shares: Callable[[float], Mapping[int, float]]
    ) -> demand_mix.DemandClasses:
        """The mix now, with what the policy declares and reserves.

        `machine_shares` splits a reserve over the sizes of machines (`fleet.Fleet`).
        """
        self._declare()
        self.mix.reserve_machines(machine_shares(self._machine_reserve))
        return self.mix.classes()

    def _declare(self) -> None:
        """Give the policy's declared sizes their share, of each kind of whole GPU requested."""
        self.mix.forget_reserved()
        units = self.mix.whole_gpu_units() if self._declared else []
        for each in self._declared:
            for unit in units:
                self.mix.reserve(
                    unit,
                    count=each.gpus,
                    share=1.0,
                    cpu=1000 * each.cpu_per_gpu * each.gpus,
                    memory=0.0,
                    weight=each.share / len(units),
                )

    def _check(self, *, known: bool = False) -> None:
        if self._work.spent and not known:
            raise LookupError

    def _counted(self, wanted: tally.PodDemand, members: int) -> tally.PodDemand | None:
        """How so many pods of this demand count; None where no machine here could ever serve one.

        LookupError where the call's allowance ends before that is known.
        """
        sized, question = self._sizes, wanted.unit
        if wanted.cpu > sized.most_cpu or wanted.memory > sized.most_memory:
            return None
        if not isinstance(question, Query):
            return wanted
        self._check()
        question = sized.known(question)
        if not question:
            return tally.PodDemand(None, cpu=wanted.cpu, memory=wanted.memory)
        unit, count = single_unit(question)
        size = sized.of_unit(unit)
        served = sized.serves(dataclasses.replace(question, mode="Preferred"))
        self._check(known=bool(size) and served)
        if size <= 0.0:
            return tally.PodDemand(None, cpu=wanted.cpu, memory=wanted.memory)
        if not served:
            return None
        many = max(1, min(members, int(MOST_GPUS / (size * count))))
        if wanted.cpu * many > sized.most_cpu or wanted.memory * many > sized.most_memory:
            many = 1
        return tally.PodDemand(unit, count * many, size, wanted.cpu * many, wanted.memory * many)
