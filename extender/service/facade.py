"""What the two ports ask: the Judge of the verbs and the Admin of questions, by one engine."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from extender import errors
from extender.decisions import answers, engine, explain
from extender.hardware.shape import Shape
from extender.hardware.usage import Usage
from extender.kube import objects
from extender.kube.collection import KindStatus
from extender.server import metrics, replies

Statuses = Callable[[], Mapping[str, KindStatus]]


_SIZES = (1, 2, 4, 8)  # GPUs of a pod, as most are


class Facade:
    """One engine behind both ports, which may be another one after the start.

    `waiting` tells what is not read yet, and why (empty when ready); `degraded` what we do without;
    `restarts` how often each background task was started again.
    """

    def __init__(
        self,
        judging: engine.Engine,
        *,
        waiting: Callable[[], Mapping[str, str]] = dict,
        degraded: Callable[[], Mapping[str, str]] = dict,
        restarts: Callable[[], Mapping[str, int]] = dict,
        statuses: Statuses = dict,
        policy: Callable[[], metrics.PolicyFigures] = metrics.PolicyFigures,
        notes: Callable[[], tuple[str, ...]] = tuple,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.engine = judging
        self._waiting = waiting
        self._degraded = degraded
        self._restarts = restarts
        self._statuses = statuses
        self._policy = policy
        self._notes = notes
        self._clock = clock
        self._began = clock()

    # ------------------------------------------------------------ the verbs

    def waiting_for(self) -> Mapping[str, str]:
        return self._waiting()

    def concerns(self, pod: objects.Pod) -> bool:
        return self.engine.concerns(pod)

    def scores(self, pod: objects.Pod) -> bool:
        return self.engine.scores(pod)

    def filter(self, pod: objects.Pod, names: list[str]) -> answers.Filtered:
        return self.engine.filter(pod, names)

    def prioritize(self, pod: objects.Pod, names: list[str]) -> replies.Scores:
        return self.engine.prioritize(pod, names)

    def prepare(self, pod: objects.Pod, names: list[str]) -> replies.Scores:
        return self.engine.prepare(pod, names)

    def settle(self) -> None:
        if not self._waiting():
            self.engine.settle()

    def preempt(
        self, pod: objects.Pod, victims: dict[str, answers.Victims]
    ) -> dict[str, answers.Victims]:
        return self.engine.preempt(pod, victims)

    # ------------------------------------------------------------ the questions

    def picture(self) -> metrics.Picture:
        self.engine.expire()
        index = self.engine.index
        waiting = self._waiting()
        counts = self.engine.store.counts()
        free, total = self.engine.room.inventory.totals()
        return metrics.Picture(
            ready=not waiting,
            waiting=waiting,
            degraded=self._degraded(),
            restarts=dict(self._restarts()),
            generation=index.generation,
            nodes=len(index.rows),
            states=len(index.states),
            reservations=len(index.reservations),
            free_gpus=free,
            fed_gpus=free * min(self.engine.room.fed, 1.0),
            gpus=total,
            unknown_predictions=self.engine.judge.unknown,
            unjudged=self.engine.unjudged,
            room={
                str(n): gpus for n, gpus in self.engine.room.inventory.whole_sets(_SIZES).items()
            },
            kinds={
                kind: metrics.KindFigures(
                    synced=status.synced,
                    objects=counts.get(kind, 0),
                    age_seconds=self._age(status),
                    detail=status.problem or status.state,
                    decode_failures=status.decode_failures,
                    sink_failures=status.sink_failures,
                )
                for kind, status in self._statuses().items()
            },
            policy=self._policy(),
            notes=self._notes(),
        )

    def topology(self) -> dict[str, Any]:
        """Each node by its state, each state once."""
        self._must_be_ready()
        self.engine.settle()
        index = self.engine.index
        numbers = {name: int(index.state[row]) for name, row in sorted(index.rows.items())}
        used = Counter(numbers.values())
        return {
            "generation": index.generation,
            "nodes": {
                name: {"state": number, "cpuMilli": float(index.cpu[index.rows[name]]),
                       "memoryBytes": float(index.memory[index.rows[name]])}
                for name, number in numbers.items()
            },
            "states": {
                str(number): {"nodes": used[number], **_state(*index.states[number])}
                for number in sorted(used)
            },
        }  # fmt: skip

    def explain_pod(self, namespace: str, name: str, node: str | None) -> dict[str, Any]:
        self._must_be_ready()
        pod = self.engine.store.pods.get((namespace, name))
        if pod is None:
            raise errors.WireError(404, f"no pod {namespace}/{name} is known here")
        return self._explained(pod, node)

    def explain_manifest(self, manifest: bytes, node: str | None) -> dict[str, Any]:
        """Explain a pod given as JSON; its claims and templates must be in the cluster."""
        self._must_be_ready()
        try:
            pod = msgspec.json.decode(manifest, type=objects.Pod, strict=False)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise errors.WireError(400, f"the body is not a Pod: {error}") from error
        return self._explained(pod, node)

    def verify(self) -> dict[str, Any]:
        self._must_be_ready()
        problems = self.engine.index.verify()
        return {"equal": not problems, "problems": problems}

    def mismatches(self) -> list[dict[str, Any]]:
        return [mismatch.as_json() for mismatch in self.engine.journal.mismatches]

    def _explained(self, pod: objects.Pod, node: str | None) -> dict[str, Any]:
        found = explain.explain(self.engine, pod, None if node is None else [node])
        notes = (*found.notes, *self._policy().notes, *self._notes())
        return found.as_json() | {"notes": notes, "staleSeconds": self._staleness()}

    def _age(self, status: KindStatus) -> float:
        """Seconds since what we have of the kind was current; of what is not served, none is."""
        if status.state == "absent":
            return 0.0
        return self._clock() - (self._began if status.last_event is None else status.last_event)

    def _must_be_ready(self) -> None:
        if waiting := self._waiting():
            what = "; ".join(f"{name}: {why}" for name, why in waiting.items())
            raise errors.WireError(503, f"still waiting for {what}")

    def _staleness(self) -> dict[str, float]:
        return {
            kind: round(self._age(status), 1)
            for kind, status in self._statuses().items()
            if status.last_event is not None
        }


def _state(hardware: Shape, usage: Usage) -> dict[str, Any]:
    return {
        "product": hardware.product,
        "platform": hardware.platform,
        "sources": sorted(hardware.sources),
        "devices": [
            {
                "name": device.name,
                "driver": device.driver,
                "kind": device.kind.value,
                "numa": hardware.numa[place],
                "pcieRoot": hardware.root[place],
                "taken": bool(usage.taken >> place & 1),
                "consumed": dict(dict(usage.shared).get(place, ())),
            }
            for place, device in enumerate(hardware.devices)
        ],
        "resources": {
            resource.name: {"count": resource.count, "held": held}
            for resource, held in zip(
                hardware.resources, usage.held or (0,) * len(hardware.resources), strict=True
            )
        },
        "inferred": usage.inferred,
    }
