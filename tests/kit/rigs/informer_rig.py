"""What the tests of informers share."""

import asyncio
import random

from extender.cluster import store
from extender.kube import client
from extender.kube.auth import endpoint
from extender.kube.watch import informers
from tests.kit.clock import eventually
from tests.kit.virtual_time import Clock

CORE = {"Node": "nodes", "Pod": "pods"}


class Rig:
    """A cluster's API server, its informers feeding the real store, and a clock of their own."""

    def __init__(self, server):
        self.server = server
        self.clock = Clock()
        self.store = store.ClusterStore()
        self.api = client.Client(endpoint.Server(url=server.url))
        self.task = None
        self.serve("v1", CORE)

    def serve(self, version, kinds):
        prefix = "/apis/" if "/" in version else "/api/"
        for kind, plural in kinds.items():
            self.server.add(f"{prefix}{version}/{plural}", kind, version)

    def start(self, *extra):
        self.informers = informers.Informers(
            self.api,
            self.store,
            kinds=(*informers.KINDS, *extra),
            rng=random.Random(1),
        )
        self.task = asyncio.create_task(self.informers.run())

    async def ready(self, pace=0):
        """Wait until nothing is waited for, while `pace` seconds pass at each look.

        By then the next look for what is missing is 300 s away.
        """

        def is_ready():
            self.clock.advance(pace)
            return not self.informers.waiting_for()

        await eventually(is_ready, "readiness")
        await eventually(lambda: self.clock.longest_sleep > 290, "the end of discovery")

    async def stop(self):
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
        await self.api.close()

    @property
    def paths(self):
        return {seen.path for seen in self.server.requests if seen.verb != "get"}
