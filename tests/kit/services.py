"""Our service on free loopback ports, for as long as a test needs it."""

import asyncio
import contextlib

from extender.server import metrics
from extender.server.http import listeners
from extender.settings import Address, Drain, Limits, Settings
from tests.kit.judge_stubs import NameJudge, SmallAdmin

FREE = Address("127.0.0.1", 0)


def settings(*, tls=None, drain=None, **limits):
    return Settings(
        bind=FREE,
        admin_bind=FREE,
        tls=tls,
        limits=Limits(**limits),
        drain=drain or Drain(0.0, 0.5),
    )


@contextlib.asynccontextmanager
async def running(judge=None, admin=None, chosen=None):
    figures = metrics.Metrics(metrics.ClusterFigures)
    sites = listeners.Listeners(
        judge or NameJudge(), admin or SmallAdmin(), figures, chosen or settings()
    )
    await sites.start()
    sites.figures = figures
    try:
        yield sites
    finally:
        await sites.close()


async def exchange(address, *pieces, patience=5.0):
    """Send pieces on a connection of our own; everything that comes back until it is closed."""
    reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)
        return await asyncio.wait_for(reader.read(), patience)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


_JSON = "Content-Type: application/json"  # as kube-scheduler says


def post(path, body, *headers):
    head = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers]
    if not any(each.startswith("Content-Type:") for each in headers):
        head.append(_JSON)
    return "\r\n".join([*head, "", ""]).encode() + body
