"""One reflector before a fake API server, as most of these tests have it."""

import pytest

from tests.kit import apiserver
from tests.kit.rigs.reflector_rig import Rig


@pytest.fixture
async def rig():
    async with apiserver.ApiServer() as server:
        made = Rig(server)
        yield made
        await made.stop()


@pytest.fixture
async def lister(rig):
    """The same at a server that knows no WatchList, so that lists are lists."""
    rig.server.watch_lists = False
    return rig


@pytest.fixture
async def synced(rig):
    rig.start()
    await rig.watching()
    await rig.in_step()
    return rig
