"""What the tests of reflector share."""

import asyncio
import random

from extender.kube import client
from extender.kube.auth import endpoint
from extender.kube.watch import api_resource, reflector
from tests.kit.clock import eventually
from tests.kit.virtual_time import Clock

NODES = "/api/v1/nodes"


class Sink:
    """Keeps what it is given, as the store does, and the order of it."""

    def __init__(self):
        self.items = {}  # name → object
        self.calls = []
        self.kinds = set()
        self.breaks = 0  # so many calls raise

    def _note(self, kind, *call):
        self.kinds.add(kind)
        self.calls.append(call)
        if self.breaks:
            self.breaks -= 1
            raise RuntimeError("the sink broke")

    def replace(self, kind, items, resource_version):
        self._note(kind, "replace", sorted(item.metadata.name for item in items), resource_version)
        self.items = {item.metadata.name: item for item in items}

    def apply(self, kind, event, item):
        self._note(kind, event, item.metadata.name)
        self.items.pop(item.metadata.name, None)
        if event != "DELETED":
            self.items[item.metadata.name] = item

    def bookmark(self, kind, resource_version):
        self._note(kind, "bookmark", resource_version)

    def lost(self, kind, reason):
        self._note(kind, "lost", reason)

    @property
    def state(self):
        return {name: item.metadata.resource_version for name, item in self.items.items()}

    def named(self, name):
        return [call for call in self.calls if call[0] == name]


class Rig:
    """A fake server with two nodes, and a reflector of them on a clock of its own."""

    def __init__(self, server):
        self.server = server
        self.clock = Clock()
        self.sink = Sink()
        server.add(NODES, "Node")
        server.put(NODES, "a")
        server.put(NODES, "b")
        self.api = client.Client(endpoint.Server(url=server.url))
        self.reflector = reflector.Reflector(
            self.api,
            api_resource.ApiResource(kind="Node", path=NODES),
            self.sink,
            rng=random.Random(1),
        )
        self.status = self.reflector.status
        self.task = None

    def start(self):
        self.task = asyncio.create_task(self.reflector.run())

    async def stop(self):
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
        await self.api.close()

    async def watching(self, count=1):
        """Wait until the `count`-th watch is open on both sides.

        The server may have answered what is not read here yet: then a clock that moves on takes it
        for a server that does not answer.
        """

        def is_open():
            asked = len(self.server.of("watch")) + len(self.server.of("watchlist"))
            there = asked >= count and self.server.collections[NODES].watchers
            return there and self.reflector._answered

        await eventually(is_open, f"watch {count}")

    async def waiting(self):
        pausing = lambda: self.status.state == "waiting" and self.clock.asleep  # noqa: E731 - short
        await eventually(pausing, "a pause")

    async def wake(self):
        """Let the pause that the reflector makes pass; its length in seconds."""
        await self.waiting()
        pause = self.clock.next_deadline - self.clock.now
        self.status.state = "woken"
        self.clock.advance(pause)
        return pause

    async def until(self, condition, what="it"):
        """Wait until the condition holds, letting pauses pass (not the 70 s of silence)."""
        for _ in range(50):
            await eventually(lambda: condition() or self.status.state == "waiting", what)
            if condition():
                return
            await self.wake()
        raise AssertionError(f"{what} did not happen")

    async def in_step(self):
        await self.until(
            lambda: self.status.synced and self.sink.state == self.server.state(NODES),
            "being in step with the server",
        )
