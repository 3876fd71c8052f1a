"""Pods for the demo cluster: they arrive, are placed by the service, stay a while and leave.

What kube-scheduler and the controllers would do is done here in their stead: its own filters, the
calls over HTTP, the allocation of the devices that were predicted, and the events of the watch.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import random
from typing import Any

import aiohttp
import msgspec

from extender.decisions.explanation import in_tree_filters
from extender.kube.api import objects
from extender.service import served_engine

NAMESPACE = "default"
SECONDS = 1.5  # between two arrivals, on average
_STAYS = 75.0  # seconds that a pod runs, on average
_MOST_WAITING = 4  # that fit nowhere; the oldest gives up, as people do
# Name, template (none: device plug-in), its requests, and how often it comes.
_KINDS: tuple[tuple[str, str, dict[str, str], int], ...] = (
    ("serve", "gpu", {"cpu": "8", "memory": "64Gi"}, 6),
    ("notebook", "mig-1g-10gb", {"cpu": "4", "memory": "16Gi"}, 6),
    ("infer", "mig-3g-40gb", {"cpu": "8", "memory": "48Gi"}, 2),
    ("train", "gpu-nic", {"cpu": "12", "memory": "64Gi"}, 4),
    ("rank", "gpu-efa-aligned", {"cpu": "12", "memory": "64Gi"}, 3),
    ("tune", "two-gpus", {"cpu": "16", "memory": "128Gi"}, 3),
    ("pretrain", "four-gpus-four-nics", {"cpu": "32", "memory": "256Gi"}, 2),
    ("rocm", "two-amd-gpus", {"cpu": "16", "memory": "128Gi"}, 3),
    ("vision", "", {"cpu": "8", "memory": "64Gi", "nvidia.com/gpu": "2"}, 3),
    ("sweep", "", {"cpu": "64", "memory": "512Gi", "nvidia.com/gpu": "8"}, 1),
)

# The first to come: three machines are free for such a pod, and taken for long, so that the fourth
# one waits, and the page has something to say on why.
_FIRST = ("sweep",) * 4
_FIRST_STAYS = 10 * _STAYS
# After all pods of the snapshot: the older ones are thought to have got their devices first.
_BEGINS = dt.datetime(2026, 11, 21, tzinfo=dt.UTC)


@dataclasses.dataclass(slots=True)
class _Guest:
    """A pod, its claim where it has one, when it leaves, and how long it stays, in seconds."""

    pod: objects.Pod
    claim: objects.ResourceClaim | None
    leaves: float = 0.0
    stays: float = _STAYS


class Traffic:
    """Sends pods to a service over a snapshot; a seed and a clock make it the same each time."""

    def __init__(
        self,
        front: served_engine.ServedEngine,
        session: aiohttp.ClientSession,
        *,
        verbs: str,
        questions: str,
        seed: int = 7,
    ) -> None:
        self._front = front
        self._session = session
        self._verbs, self._questions = verbs, questions
        self._random = random.Random(seed)  # noqa: S311 - a demo is to be the same each time
        self._number = 0
        self._running: list[_Guest] = []
        self._waiting: list[_Guest] = []

    async def flow(self) -> None:
        """Let pods come and go until cancelled."""
        now = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(min(self._random.expovariate(1 / SECONDS), 4 * SECONDS))
            await self.step(now())

    async def step(self, now: float) -> None:
        """One arrival; those leave whose time is up, and those that wait try again."""
        for guest in [each for each in self._running if each.leaves <= now]:
            self._running.remove(guest)
            self._gone(guest)
        self._waiting.append(self._arrival())
        for guest in list(self._waiting):
            node = await self._chosen(guest.pod)
            if node:
                self._waiting.remove(guest)
                guest.leaves = now + self._random.expovariate(1 / guest.stays)
                await self._bind(guest, node)
                self._running.append(guest)
        while len(self._waiting) > _MOST_WAITING:
            self._gone(self._waiting.pop(0))

    # ------------------------------------------------------------ what users and controllers do

    def _arrival(self) -> _Guest:
        weights = [often for *_, often in _KINDS]
        ((kind, template, requests, _),) = self._random.choices(_KINDS, weights)
        stays = _STAYS
        if self._number < len(_FIRST):
            first, stays = _FIRST[self._number], _FIRST_STAYS
            kind, template, requests, _ = next(each for each in _KINDS if each[0] == first)
        self._number += 1
        name = f"{kind}-live-{self._number}"
        claim = self._claim(name, template) if template else None
        limits = {key: value for key, value in requests.items() if "/" in key}
        body: dict[str, Any] = {
            "metadata": {
                "name": name,
                "namespace": NAMESPACE,
                "uid": f"uid-{name}",
                "creationTimestamp": (_BEGINS + dt.timedelta(seconds=self._number)).isoformat(),
            },
            "spec": {
                "schedulerName": "default-scheduler",
                "containers": [
                    {"name": "main", "resources": {"requests": requests, "limits": limits}}
                ],
            },
            "status": {"phase": "Pending"},
        }
        if claim is not None:
            own = {"name": "devices", "resourceClaimName": claim.metadata.name}
            body["spec"]["resourceClaims"] = [own]
            self._show("ADDED", claim)
        pod = msgspec.convert(body, objects.Pod)
        self._show("ADDED", pod)
        return _Guest(pod, claim, stays=stays)

    def _claim(self, name: str, template: str) -> objects.ResourceClaim:
        known = self._front.engine.store.templates[NAMESPACE, template]
        meta = objects.ObjectMeta(
            name=f"{name}-devices", namespace=NAMESPACE, uid=f"uid-{name}-devices"
        )
        return objects.ResourceClaim(metadata=meta, spec=known.spec.spec)

    def _gone(self, guest: _Guest) -> None:
        self._show("DELETED", guest.pod)
        if guest.claim is not None:
            self._show("DELETED", guest.claim)

    def _show(self, event: str, item: objects.Object) -> None:
        self._front.engine.store.apply(type(item).__name__, event, item)

    # ------------------------------------------------------------ what kube-scheduler does

    async def _chosen(self, pod: objects.Pod) -> str:
        """The node with the highest score, of equal ones any; empty where none takes the pod."""
        source = self._front.engine.store
        judged = {name for name in source.offered if "/" in name}
        filters = in_tree_filters.InTreeFilters(pod, source, judged)
        names = [name for name, node in source.nodes.items() if not filters.answer(node).refusals]
        asked = {"Pod": msgspec.to_builtins(pod), "Nodes": None, "NodeNames": names}
        left = (await self._posted("filter", asked))["NodeNames"] if names else []
        if not left:
            return ""
        scores = await self._posted("prioritize", asked | {"NodeNames": left})
        best = max(each["Score"] for each in scores)
        hosts: list[str] = [each["Host"] for each in scores if each["Score"] == best]
        return self._random.choice(hosts)

    async def _bind(self, guest: _Guest, node: str) -> None:
        """Allocate what is predicted for the node, and bind the pod to it."""
        if guest.claim is not None:
            results = await self._predicted(guest.pod, node)
            by_name = objects.NodeSelectorRequirement("metadata.name", "In", (node,))
            term = objects.NodeSelectorTerm(match_fields=(by_name,))
            allocation = objects.AllocationResult(
                devices=objects.DeviceAllocationResult(results=results),
                node_selector=objects.NodeSelector(node_selector_terms=(term,)),
            )
            status = objects.ResourceClaimStatus(allocation=allocation)
            guest.claim = msgspec.structs.replace(guest.claim, status=status)
            self._show("MODIFIED", guest.claim)
        guest.pod = msgspec.structs.replace(
            guest.pod,
            spec=msgspec.structs.replace(guest.pod.spec, node_name=node),
            status=msgspec.structs.replace(guest.pod.status, phase="Running"),
        )
        self._show("MODIFIED", guest.pod)

    async def _predicted(
        self, pod: objects.Pod, node: str
    ) -> tuple[objects.DeviceRequestAllocationResult, ...]:
        explained = await self._explained({"pod": f"{NAMESPACE}/{pod.metadata.name}", "node": node})
        return tuple(
            objects.DeviceRequestAllocationResult(
                request=each["request"],
                driver=each["driver"],
                pool=each["pool"],
                device=each["device"],
            )
            for each in explained["devices"]
            if each["claim"]
        )

    async def _explained(self, asked: dict[str, str]) -> Any:  # noqa: ANN401 - JSON
        """What is answered for one node; whoever is sent away for another question waits."""
        while True:
            async with self._session.get(f"{self._questions}/v1/explain", params=asked) as answer:
                if answer.status != 429:
                    answer.raise_for_status()
                    return (await answer.json())["nodes"][0]
            await asyncio.sleep(0.1)

    async def _posted(self, verb: str, body: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
        async with self._session.post(f"{self._verbs}/{verb}", json=body) as answer:
            answer.raise_for_status()
            return await answer.json()
