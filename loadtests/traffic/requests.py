"""The requests of one kube-scheduler: distinct pods, and bodies as its HTTPExtender writes them."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import random
from collections.abc import Iterator, Mapping, Sequence

import msgspec
import orjson

from loadtests.traffic import scenarios

# Pods of real users carry some 5 KB of variables, mounts and probes, which the verbs must read.
_VARIABLES = [{"name": f"VARIABLE_{number}", "value": "x" * 40} for number in range(60)]
_JOB_LABEL = "jobset.sigs.k8s.io/jobset-name"
_CREATED = "2026-11-01T08:00:00Z"
_PRIORITY = 1000  # of pods that may evict others
_OFFERED = 8  # nodes in a preempt call


@dataclasses.dataclass(frozen=True)
class Cluster:
    """What the calls are about. Whole nodes as JSON where bodies hold them."""

    names: Sequence[str]
    nodes: Mapping[str, msgspec.Raw] = dataclasses.field(default_factory=dict)  # by name
    bound: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    """node name → UIDs of pods there, which preempt is offered"""


class Pods:
    """An endless stream of pods, each with a name and UID of its own.

    `caller` tells schedulers, and runs, apart: no two may send one UID.
    """

    def __init__(
        self, scenario: scenarios.Scenario, manifests: Mapping[str, dict], *, caller: str
    ) -> None:
        self._scenario = scenario
        self._manifests = manifests
        self._caller = caller
        self._rng = random.Random(caller)
        self._numbers = itertools.count()

    def __iter__(self) -> Iterator[dict]:
        scenario = self._scenario
        weights = [tenant.weight for tenant in scenario.tenants]
        for number in self._numbers:
            tenant = self._rng.choices(scenario.tenants, weights)[0]
            kinds = tenant.pods or dict.fromkeys(self._manifests, 1)
            kind = self._rng.choices(list(kinds), list(kinds.values()))[0]
            job = number // scenario.gang.pods if scenario.gang else None
            yield self._pod(kind, number, tenant.namespace, job)

    def _pod(self, kind: str, number: int, namespace: str, job: int | None) -> dict:
        pod = copy.deepcopy(self._manifests[kind])
        name = f"load-{kind}-{self._caller}-{number:06}"
        pod["metadata"] |= {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-{name}",
            "creationTimestamp": _CREATED,
        }
        if job is not None:
            labels = {_JOB_LABEL: f"load-{self._caller}-{job}"}
            pod["metadata"]["labels"] = pod["metadata"].get("labels", {}) | labels
        first = pod["spec"]["containers"][0]
        first["env"] = [*first.get("env", []), *_VARIABLES]
        pod["status"] = {"phase": "Pending"}
        return pod


class Windows:
    """The nodes that each pod is asked about: kube-scheduler goes on where it stopped before."""

    def __init__(self, names: Sequence[str], asked: int) -> None:
        self._names = list(names)
        self._asked = min(asked or len(names), len(names))
        self._start = 0

    def __iter__(self) -> Iterator[list[str]]:
        while True:
            window = self._names[self._start : self._start + self._asked]
            window += self._names[: self._asked - len(window)]
            self._start = (self._start + self._asked) % len(self._names)
            yield window


def question(
    pod: dict, names: Sequence[str], nodes: Mapping[str, msgspec.Raw] | None = None
) -> bytes:
    """ExtenderArgs; with `nodes`, whole ones."""
    if nodes is None:
        return orjson.dumps({"Pod": pod, "Nodes": None, "NodeNames": names})
    items = [nodes[name] for name in names]
    listed = {"kind": "NodeList", "apiVersion": "v1", "metadata": {}, "items": items}
    return msgspec.json.encode({"Pod": pod, "Nodes": listed, "NodeNames": None})


def eviction(pod: dict, offered: Mapping[str, Sequence[str]]) -> bytes:
    """ExtenderPreemptionArgs for a pod that outranks the others."""
    urgent = {**pod, "spec": {**pod["spec"], "priority": _PRIORITY}}
    victims = {
        node: {"Pods": [{"UID": uid} for uid in uids], "NumPDBViolations": 0}
        for node, uids in offered.items()
    }
    return orjson.dumps(
        {"Pod": urgent, "NodeNameToVictims": None, "NodeNameToMetaVictims": victims}
    )


def offer(cluster: Cluster, rng: random.Random) -> dict[str, Sequence[str]]:
    """Some nodes with the pods there, as kube-scheduler's own dry run would offer them."""
    nodes = rng.sample(sorted(cluster.bound), min(_OFFERED, len(cluster.bound)))
    return {node: cluster.bound[node] for node in nodes}
