"""What the two ports ask: the Judge of the verbs and the Admin of questions, by one engine."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import msgspec

from extender import errors
from extender.cluster.pods import bound_pods
from extender.decisions import engine, engine_snapshot
from extender.decisions.explanation import explain
from extender.hardware.shape import Shape
from extender.hardware.usage import Usage
from extender.history import decision, decision_history, past_explanation
from extender.kube.api import objects
from extender.kube.watch.api_resource import KindStatus
from extender.page import site
from extender.policy import config
from extender.server import admin_routes, admin_turns, metrics, policy_figures
from extender.service.questions import capacity_route, pool_sampling

_LOG = logging.getLogger(__name__)
T = TypeVar("T")
Statuses = Callable[[], Mapping[str, KindStatus]]
_MOST_DOUBTED = 3  # pods that a note names


class _Manifest(msgspec.Struct):
    """What a manifest says it is."""

    kind: str | None = None


class ServedEngine:
    """One engine behind both ports, which may be another one after the start.

    `waiting` tells what is not read yet, and why (empty when ready); `degraded` what we do without;
    `restarts` how often each background task was started again; `shadow` what a candidate policy
    would have changed, and `candidate` is that policy.
    """

    def __init__(
        self,
        judging: engine.Engine,
        *,
        waiting: Callable[[], Mapping[str, str]] = dict,
        degraded: Callable[[], Mapping[str, str]] = dict,
        restarts: Callable[[], Mapping[str, int]] = dict,
        statuses: Statuses = dict,
        policy: Callable[[], policy_figures.PolicyFigures] = policy_figures.PolicyFigures,
        notes: Callable[[], tuple[str, ...]] = tuple,
        routes: Iterable[admin_routes.Route] = (),
        shadow: Callable[[], Mapping[str, Any]] = lambda: {"candidate": None, "refused": None},
        candidate: Callable[[], config.Policy | None] = lambda: None,
        history: decision_history.DecisionHistory | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.engine = judging
        self._routes = tuple(routes)
        self.decisions = history
        self.shadow, self.candidate = shadow, candidate
        self.sampling = pool_sampling.PoolSampling(lambda: self)
        self.pages = site.Site(lambda: self, self.sampling.history)
        self._history = history
        self._waiting = waiting
        self._degraded = degraded
        self._restarts = restarts
        self._statuses = statuses
        self._policy = policy
        self._notes = notes
        self._clock = clock
        self._began = clock()
        self._named: set[str] = set()  # what was logged because it cannot be used

    def waiting_for(self) -> Mapping[str, str]:
        return self._waiting()

    # ------------------------------------------------------------ the questions

    def standing(self) -> metrics.ClusterFigures:
        """How ready we are: the part of the picture that is at hand."""
        waiting, counts = self._waiting(), self.engine.store.counts()
        return metrics.ClusterFigures(
            ready=not waiting,
            waiting=waiting,
            degraded=self._degraded(),
            restarts=dict(self._restarts()),
            unreadable=self.unreadable(),
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
            notes=(*self._notes(), *self._doubts()),
        )

    def _doubts(self) -> Iterator[str]:
        """Yield a sentence on annotations of bound pods that are not believed, if there are any."""
        details = (row for row in self.engine.index.details if row is not None)
        found = [doubt for row in details if row.doubted for doubt in row.doubted]
        if found:
            named = "; ".join(f"{pod}: {why}" for pod, why in sorted(found)[:_MOST_DOUBTED])
            rest = f" and {len(found) - _MOST_DOUBTED} more" if len(found) > _MOST_DOUBTED else ""
            name = bound_pods.DEVICES_ANNOTATION
            yield (
                f"the annotation {name} is not believed where it must be wrong: {named}{rest}; "
                "correct it or remove it there"
            )

    def picture(self) -> metrics.ClusterFigures:
        found = engine_snapshot.of(self.engine)
        figures = {each.name: getattr(found, each.name) for each in dataclasses.fields(found)}
        return dataclasses.replace(self.standing(), **figures, pools=self.sampling.latest)

    def moment(self) -> Hashable | None:
        """What answers rest on; None while the index has something to settle."""
        if self.engine.store.pending:
            return None
        return self.engine.index.generation, self.engine.moment

    def unreadable(self) -> dict[str, dict[str, str]]:
        """Objects that count as not there because they cannot be read: kind → name → why."""
        found = {
            kind: dict(status.unreadable)
            for kind, status in self._statuses().items()
            if status.unreadable
        }
        for kind, name, why in self.unusable():
            found.setdefault(kind, {})[name] = why
        return found

    def unusable(self) -> Iterator[tuple[str, str, str]]:
        """Yield (kind, name, why) of objects that were decoded and have no place in the picture."""
        for (kind, key), why in self.engine.store.unreadable.items():
            yield kind, key if isinstance(key, str) else "/".join(key), why
        for name, why in self.engine.index.unreadable.items():
            yield "Node", name, why

    def log_unusable(self) -> None:
        """Name what was decoded and still cannot be used; what is not decoded is named there."""
        found = {f"{kind} {name}": why for kind, name, why in self.unusable()}
        for name in found.keys() - self._named:
            _LOG.error("%s cannot be used and is left out: %s", name, found[name])
        self._named = set(found)

    def routes(self) -> tuple[admin_routes.Route, ...]:
        """What else the admin port answers; known before it opens."""
        capacity = capacity_route.route(self._ready_engine)
        return (*self._routes, capacity, *self.pages.routes())

    def topology(self) -> admin_turns.Turns:
        """Each node by its state, each state once."""
        self._must_be_ready()
        self.engine.settle()
        index = self.engine.index.frozen()
        yield
        used: Counter[int] = Counter(index.state[index.in_use()].tolist())
        yield
        names = sorted(index.rows)
        yield
        text = admin_turns.ChunkedText()
        text.add(b'{"generation":%d,"nodes":{' % index.generation)
        for comma, name in _listed(names):
            row = index.rows[name]
            text.add(comma, admin_turns.encoded(name), b":")
            text.json({
                "state": int(index.state[row]),
                "cpuMilli": float(index.cpu[row]),
                "memoryBytes": float(index.memory[row]),
            })  # fmt: skip
            yield
        text.add(b'},"states":{')
        for comma, number in _listed(sorted(used)):
            text.add(comma, b'"%d":' % number)
            text.json({"nodes": used[number], **_state(*index.states[number])})
            yield
        text.add(b"}}\n")
        return text.pieces()

    def explain_pod(self, namespace: str, name: str, node: str | None) -> admin_turns.Turns:
        self._must_be_ready()
        pod = self.engine.store.pods.get((namespace, name))
        if pod is None:
            raise errors.WireError(404, f"no pod {namespace}/{name} is known here")
        return self._explained(pod, node)

    def explain_manifest(self, manifest: bytes, node: str | None) -> admin_turns.Turns:
        """Explain a pod given as JSON; its claims and templates must be in the cluster."""
        self._must_be_ready()
        try:
            kind = msgspec.json.decode(manifest, type=_Manifest).kind
            pod = msgspec.json.decode(manifest, type=objects.Pod, strict=False)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise errors.WireError(400, f"the body is not a Pod: {error}") from error
        if kind not in {None, "", "Pod"}:
            raise errors.WireError(400, f"the body is a {kind[:64]}, not a Pod")
        return self._explained(pod, node)

    def verify(self) -> admin_turns.Turns:
        self._must_be_ready()
        problems: list[str] = []
        yield from self.engine.index.verifying(problems)
        return [admin_turns.encoded({"equal": not problems, "problems": problems}) + b"\n"]

    def mismatches(self) -> admin_turns.Turns:
        text = admin_turns.ChunkedText()
        text.add(b"[")
        for comma, mismatch in _listed(list(self.engine.predictions.mismatches)):
            text.add(comma)
            text.json(mismatch.as_json())
            yield
        text.add(b"]\n")
        return text.pieces()

    def _explained(self, pod: objects.Pod, node: str | None) -> admin_turns.Turns:
        shown = None if node is None else [node]
        made = self._decided(pod)
        if made is not None:
            names = shown if shown is not None else sorted(self.engine.index.rows)
            found = yield from past_explanation.explained(made, names)
        else:
            found = yield from explain.explaining(self.engine, pod, shown)
        notes = (*found.notes, *self._policy().notes, *self._notes())
        rest = found.as_json(nodes=False) | {"notes": notes, "staleSeconds": self._staleness()}
        left = list(reversed(found.nodes))
        del found  # each node goes when it is written: all at once would take milliseconds
        text = admin_turns.ChunkedText()
        text.add(b'{"nodes":[')
        for comma, _ in _listed(range(len(left))):
            text.add(comma)
            text.json(left.pop())
            yield
        text.add(b"],", admin_turns.encoded(rest)[1:], b"\n")
        return text.pieces()

    def _decided(self, pod: objects.Pod) -> decision.Decision | None:
        """The decision by which the pod got its node, if it has one and it is kept."""
        if self._history is None or not pod.spec.node_name or not pod.metadata.uid:
            return None
        self.engine.recorder.complete()
        made = self._history.latest(pod.metadata.uid)
        return made if made is not None and made.answers is not None else None

    def _age(self, status: KindStatus) -> float:
        """Seconds since what we have of the kind was current; of what is not served, none is."""
        if status.state == "absent":
            return 0.0
        return self._clock() - (self._began if status.last_event is None else status.last_event)

    def _must_be_ready(self) -> None:
        if waiting := self._waiting():
            what = "; ".join(f"{name}: {why}" for name, why in waiting.items())
            raise errors.WireError(503, f"still waiting for {what}")

    def _ready_engine(self) -> engine.Engine:
        self._must_be_ready()
        return self.engine

    def _staleness(self) -> dict[str, float]:
        return {
            kind: round(self._age(status), 1)
            for kind, status in self._statuses().items()
            if status.last_event is not None
        }


def _listed(items: Iterable[T]) -> Iterator[tuple[bytes, T]]:
    """The items of a list or an object, with what is written before each."""
    return zip(itertools.chain((b"",), itertools.repeat(b",")), items, strict=False)


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
                "numa": hardware.numa[number],
                "pcieRoot": hardware.root[number],
                "taken": bool(usage.taken >> number & 1),
                # In billionths; as floats, for JSON holds no integer of any size.
                "consumed": {
                    name: float(amount) for name, amount in dict(usage.shared).get(number, ())
                },
            }
            for number, device in enumerate(hardware.devices)
        ],
        "resources": {
            resource.name: {"count": resource.count, "held": held}
            for resource, held in zip(
                hardware.resources, usage.held or (0,) * len(hardware.resources), strict=True
            )
        },
        "inferred": usage.inferred,
    }
