"""What the tests of gate share."""

import contextlib
import dataclasses

import aiohttp

from extender.server import metrics
from extender.server.http import listeners
from tests.kit import services
from tests.kit.judge_stubs import NameJudge, SmallAdmin


@contextlib.asynccontextmanager
async def opened(access, api=None):
    chosen = dataclasses.replace(services.settings(), admin=access)
    figures = metrics.Metrics(metrics.ClusterFigures)
    sites = listeners.Listeners(NameJudge(), SmallAdmin(), figures, chosen, api=api)
    await sites.start()
    try:
        yield sites
    finally:
        await sites.close()


async def status(sites, path="/v1/topology", *, method="GET", scheme="http", ssl=None, **given):
    url = f"{scheme}://{sites.admin_bound}{path}"
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, ssl=ssl or True, **given) as response,
    ):
        await response.read()
        return response.status
