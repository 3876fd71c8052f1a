"""Opening and closing both ports, with clients that call all the while."""

import asyncio
import ssl

import aiohttp
import orjson
import pytest
import trustme

from extender.server.http import listeners
from extender.settings import Drain, Tls
from tests.kit import services
from tests.kit.judge_stubs import NameJudge, SmallAdmin

BODY = orjson.dumps({"Pod": {"metadata": {"name": "gpu"}}, "NodeNames": ["a", "b"]})


async def test_a_drain_loses_no_call():
    """Two schedulers call without pause while endpoints move from one replica to another."""
    drain = Drain(announce_seconds=1.5, finish_seconds=2.0)
    async with (
        services.running(chosen=services.settings(drain=drain)) as leaving,
        services.running() as staying,
        aiohttp.ClientSession() as session,
    ):
        target = [leaving]
        calls = {leaving: 0, staying: 0}
        over = asyncio.Event()

        async def scheduler():
            while not over.is_set():
                chosen = target[0]
                async with session.post(f"http://{chosen.bound}/filter", data=BODY) as response:
                    assert response.status == 200
                    assert orjson.loads(await response.read())["NodeNames"] == ["a", "b"]
                calls[chosen] += 1

        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                group.create_task(scheduler())
            await asyncio.sleep(0.1)
            draining = group.create_task(leaving.drain())
            await asyncio.sleep(0.2)  # endpoints take a while to follow readiness
            before_move = calls[leaving]
            target[0] = staying
            await draining
            over.set()
        assert 0 < before_move <= calls[leaving]
        assert calls[staying] > 0
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.post(f"http://{leaving.bound}/filter", data=BODY)


async def test_while_draining_answers_ask_to_reconnect_and_readiness_is_down():
    drain = Drain(announce_seconds=1.0, finish_seconds=1.0)
    async with (
        services.running(chosen=services.settings(drain=drain)) as sites,
        aiohttp.ClientSession() as session,
    ):
        url = f"http://{sites.bound}/filter"
        async with session.post(url, data=BODY) as response:
            assert "Connection" not in response.headers
        draining = asyncio.create_task(sites.drain())
        await asyncio.sleep(0.05)
        async with session.post(url, data=BODY) as response:
            assert response.status == 200
            assert response.headers["Connection"] == "close"
        async with session.get(f"http://{sites.admin_bound}/readyz") as response:
            assert response.status == 503
        await draining


async def test_a_call_in_flight_is_finished():
    drain = Drain(announce_seconds=0.0, finish_seconds=5.0)
    async with services.running(chosen=services.settings(drain=drain)) as sites:
        whole = services.post("/filter", BODY)
        reader, writer = await asyncio.open_connection(sites.bound.host, sites.bound.port)
        writer.write(whole[:-5])
        await asyncio.sleep(0.05)
        draining = asyncio.create_task(sites.drain())
        await asyncio.sleep(0.7)
        writer.write(whole[-5:])
        assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 200 ")
        await draining
        writer.close()
        await writer.wait_closed()


async def test_an_idle_connection_does_not_hold_the_drain():
    drain = Drain(announce_seconds=0.0, finish_seconds=60.0)
    async with services.running(chosen=services.settings(drain=drain)) as sites:
        reader, writer = await asyncio.open_connection(sites.bound.host, sites.bound.port)
        await asyncio.sleep(0.02)
        await asyncio.wait_for(sites.drain(), 10)
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


async def test_a_call_that_never_ends_is_cut_off():
    drain = Drain(announce_seconds=0.0, finish_seconds=0.1)
    async with services.running(chosen=services.settings(drain=drain)) as sites:
        reader, writer = await asyncio.open_connection(sites.bound.host, sites.bound.port)
        writer.write(services.post("/filter", BODY)[:-5])
        await asyncio.sleep(0.05)
        await asyncio.wait_for(sites.drain(), 10)
        assert b"200" not in await reader.read()
        writer.close()
        await writer.wait_closed()


async def test_an_address_in_use_is_an_error_and_leaves_nothing_open():
    async with services.running() as sites:
        chosen = services.settings()
        taken = type(chosen)(bind=sites.bound, admin_bind=chosen.admin_bind)
        second = listeners.Listeners(NameJudge(), SmallAdmin(), sites.figures, taken)
        with pytest.raises(OSError, match="address already in use"):
            await second.start()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(second.admin_bound.host, second.admin_bound.port)


@pytest.fixture
def secured(tmp_path):
    authority = trustme.CA()
    served = authority.issue_cert("127.0.0.1")
    files = Tls(
        tmp_path / "tls.crt",
        tmp_path / "tls.key",
        tmp_path / "ca.crt",
        frozenset({"system:kube-scheduler"}),
    )
    served.cert_chain_pems[0].write_to_path(files.certificate)
    served.private_key_pem.write_to_path(files.key)
    authority.cert_pem.write_to_path(files.client_ca)
    return authority, files


def caller(authority, common_name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    if common_name is not None:
        authority.issue_cert("scheduler.example", common_name=common_name).configure_cert(context)
    return context


@pytest.mark.parametrize(
    ("name", "status"),
    [
        pytest.param("system:kube-scheduler", 200, id="the scheduler"),
        pytest.param("system:anonymous", 403, id="somebody else"),
    ],
)
async def test_only_the_named_caller_is_answered(secured, name, status):
    authority, files = secured
    async with (
        services.running(chosen=services.settings(tls=files)) as sites,
        aiohttp.ClientSession() as session,
        session.post(
            f"https://{sites.bound}/filter", data=BODY, ssl=caller(authority, name)
        ) as response,
    ):
        assert response.status == status


async def test_a_caller_without_a_certificate_gets_no_answer(secured):
    authority, files = secured
    async with (
        services.running(chosen=services.settings(tls=files)) as sites,
        aiohttp.ClientSession() as session,
    ):
        with pytest.raises(aiohttp.ClientError):
            await session.post(
                f"https://{sites.bound}/filter", data=BODY, ssl=caller(authority, None)
            )
        async with session.get(f"http://{sites.admin_bound}/livez") as response:
            assert response.status == 200
