"""The part of kube-scheduler that calls extenders: how Go reads answers, and what then happens.

Follows HTTPExtender and the calls around it as they are documented in the tests of upstream:
unknown names fail the call, a score that is no integer loses the list, scores count weight times
ten, an ignorable extender that fails lets every node through.
"""

import aiohttp
import orjson

MAX_NODE_SCORE, MAX_EXTENDER_PRIORITY = 100, 10


class CallError(Exception):
    """The call failed; kube-scheduler ends the attempt unless the extender is ignorable."""


class Extender:
    def __init__(self, session, address, *, weight=1, ignorable=False, managed=()):
        self._session = session
        self._url = f"http://{address}"
        self.weight = weight
        self.ignorable = ignorable
        self.managed = frozenset(managed)

    def interested(self, pod):
        """Only names of resources count; claims are never looked at."""
        containers = [*pod["spec"].get("containers", []), *pod["spec"].get("initContainers", [])]
        named = set()
        for container in containers:
            for kind in ("requests", "limits"):
                named |= set(container.get("resources", {}).get(kind) or {})
        return not self.managed or bool(self.managed & named)

    async def filter(self, pod, names):
        """(feasible names, failed, unresolvable); raises CallError."""
        answer = await self._call("filter", pod, names)
        if not isinstance(answer, dict) or answer["Error"]:
            raise CallError(answer["Error"])
        feasible = answer["NodeNames"]
        if feasible is None:
            feasible = []
        for name in feasible:
            if name not in names:
                raise CallError(f"{name} was not asked")
        return feasible, answer["FailedNodes"], answer["FailedAndUnresolvableNodes"]

    async def prioritize(self, pod, names):
        """Host → what it adds to the total; a list that Go cannot read adds nothing."""
        answer = await self._call("prioritize", pod, names)
        if any(type(entry["Score"]) is not int for entry in answer):
            return {}
        factor = self.weight * (MAX_NODE_SCORE // MAX_EXTENDER_PRIORITY)
        return {entry["Host"]: entry["Score"] * factor for entry in answer}

    async def _call(self, verb, pod, names):
        body = orjson.dumps({"Pod": pod, "Nodes": None, "NodeNames": names})
        try:
            async with self._session.post(f"{self._url}/{verb}", data=body) as response:
                if response.status != 200:
                    raise CallError(f"status {response.status}")
                return orjson.loads(await response.read())
        except aiohttp.ClientError as error:
            raise CallError(str(error)) from error


async def feasible(extenders, pod, names):
    """The names that every interested extender lets through; raises CallError."""
    for extender in extenders:
        if names and extender.interested(pod):
            try:
                names, _, _ = await extender.filter(pod, names)
            except CallError:
                if not extender.ignorable:
                    raise
    return names


async def totals(extenders, pod, names, in_tree):
    """Name → total score: the in-tree scores and what the extenders add."""
    total = {name: in_tree.get(name, 0) for name in names}
    for extender in extenders:
        if extender.interested(pod):
            for name, score in (await extender.prioritize(pod, names)).items():
                total[name] += score
    return total


def winners(total):
    """The names with the highest total; kube-scheduler takes one of them at random."""
    best = max(total.values())
    return {name for name, score in total.items() if score == best}
