"""Slow and silent clients, on real sockets."""

import asyncio
import contextlib

import aiohttp
import orjson

from tests.kit import services

BODY = orjson.dumps({"Pod": {"metadata": {"name": "gpu"}}, "NodeNames": ["a"]})


async def good_call(sites):
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://{sites.bound}/filter", data=BODY) as response,
    ):
        return response.status


@contextlib.asynccontextmanager
async def stuck(sites, count, first_bytes=b""):
    pairs = [
        await asyncio.open_connection(sites.bound.host, sites.bound.port) for _ in range(count)
    ]
    try:
        for _, writer in pairs:
            writer.write(first_bytes)
            await writer.drain()
        yield pairs
    finally:
        for _, writer in pairs:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for _, writer in pairs), return_exceptions=True)


async def closed(reader):
    with contextlib.suppress(ConnectionError):
        return await asyncio.wait_for(reader.read(), 5) == b""
    return True


async def test_a_head_that_does_not_end_is_cut_off():
    async with services.running(chosen=services.settings(head_seconds=0.05)) as sites:
        async with stuck(sites, 1, b"POST /filter HTTP/1.1\r\nHo") as pairs:
            assert await closed(pairs[0][0])
        assert await good_call(sites) == 200


async def test_a_head_that_drips_is_cut_off_too():
    chosen = services.settings(head_seconds=0.1)
    async with services.running(chosen=chosen) as sites, stuck(sites, 1) as pairs:
        reader, writer = pairs[0]
        over = asyncio.create_task(closed(reader))
        with contextlib.suppress(ConnectionError):
            for byte in b"POST /filter HTTP/1.1\r\n" * 50:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.01)
                if over.done():
                    break
        assert await over


async def test_the_clock_of_a_head_starts_anew_for_each_request():
    async with services.running(chosen=services.settings(head_seconds=0.6)) as sites:
        reader, writer = await asyncio.open_connection(sites.bound.host, sites.bound.port)
        for _ in range(3):
            writer.write(services.post("/filter", BODY))
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            await asyncio.sleep(0.35)
            await reader.read(4096)
        writer.close()
        await writer.wait_closed()


async def test_a_silent_connection_ends_after_the_idle_time():
    chosen = services.settings(idle_seconds=0.05)
    async with services.running(chosen=chosen) as sites, stuck(sites, 1) as pairs:
        assert await closed(pairs[0][0])


async def test_at_the_cap_the_oldest_quiet_connection_gives_way():
    chosen = services.settings(connections=4)
    async with services.running(chosen=chosen) as sites, stuck(sites, 4) as pairs:
        assert await good_call(sites) == 200
        assert await closed(pairs[0][0])
        assert not pairs[1][0].at_eof()


async def test_a_client_that_calls_now_and_then_is_not_the_one_to_go():
    chosen = services.settings(connections=4)
    async with services.running(chosen=chosen) as sites:
        reader, writer = await asyncio.open_connection(sites.bound.host, sites.bound.port)
        for _ in range(5):
            async with stuck(sites, 3):
                writer.write(services.post("/filter", BODY))
                assert (await reader.readline()).startswith(b"HTTP/1.1 200")
                await asyncio.sleep(0.01)
                await reader.read(4096)
        writer.close()
        await writer.wait_closed()


async def test_half_sent_bodies_do_not_hold_the_service():
    chosen = services.settings(connections=4, body_bytes=10**6)
    half = services.post("/filter", BODY)[:-5]
    async with services.running(chosen=chosen) as sites, stuck(sites, 8, half):
        for _ in range(4):
            assert await good_call(sites) == 200


async def test_connections_that_end_are_counted_no_longer():
    async with services.running() as sites:
        async with stuck(sites, 3):
            await asyncio.sleep(0.02)
            assert sites.open_connections == 3
        await asyncio.sleep(0.05)
        assert sites.open_connections == 0
