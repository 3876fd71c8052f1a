"""A small cluster behind the admin port, and its pages as a browser gets them."""

import contextlib

import aiohttp

from extender.server import metrics
from extender.server.http import listeners
from extender.service import served_engine
from tests.kit import services
from tests.kit.builders import make_claim, make_class, make_node, make_pod
from tests.kit.worlds import GPU, H100, engine, feed, held, p4d

TEMPLATED = make_claim("wanted", "ml").request("r", GPU, 9)


def cluster():
    judging = engine()
    feed(judging, make_class(GPU), *p4d("p4d-1"), held("p4d-1", "gpu-0"))
    feed(judging, make_node("h-1").gpus(H100, 8).label("node-pool", "research"))
    feed(judging, make_pod("train", "ml").gpus(3).request("cpu", 4).node("h-1").phase("Running"))
    feed(judging, TEMPLATED, make_pod("big", "ml").claim("wanted"), make_pod("more", "ml").gpus(6))
    judging.settle()
    return judging


@contextlib.asynccontextmanager
async def serving(judging, *, waiting=None, history=None):
    front = served_engine.ServedEngine(judging, waiting=lambda: waiting or {}, history=history)
    figures = metrics.Metrics(front.picture)
    sites = listeners.Listeners(front, front, figures, services.settings())
    await sites.start()
    try:
        async with aiohttp.ClientSession(f"http://{sites.admin_bound}") as session:
            session.front = front
            yield session
    finally:
        await sites.close()


async def got(session, path):
    async with session.get(path) as answer:
        return answer, await answer.text()
