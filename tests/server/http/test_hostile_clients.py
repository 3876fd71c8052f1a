"""Clients that mean harm, on real sockets against the real server; its limits are data."""

import asyncio
import contextlib
import resource
import ssl

import aiohttp
import orjson
import pytest
import trustme

from extender.server.http import descriptors, ports
from extender.settings import Tls
from tests.kit import services
from tests.kit.clock import eventually
from tests.kit.judge_stubs import NameJudge

BODY = orjson.dumps({"Pod": {"metadata": {"name": "gpu"}}, "NodeNames": ["a", "b"]})
CALL = services.post("/filter", BODY)
CHUNKED = b"POST /filter HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


class Client:
    """One connection, on which calls are made one after the other."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    async def call(self, sent=CALL):
        """The status and the body of the answer."""
        self.writer.write(sent)
        return await self.answer()

    async def answer(self):
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)
        length = int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0])
        return int(head.split(b" ")[1]), await self.reader.readexactly(length)

    async def gone(self):
        """Whether the server closed it."""
        with contextlib.suppress(ConnectionError):
            return await asyncio.wait_for(self.reader.read(), 10) == b""
        return True


@contextlib.asynccontextmanager
async def clients(address, count=1, first_bytes=b""):
    found = [
        Client(*await asyncio.open_connection(address.host, address.port)) for _ in range(count)
    ]
    try:
        for client in found:
            client.writer.write(first_bytes)
        yield found
    finally:
        for client in found:
            client.writer.close()
        waits = (client.writer.wait_closed() for client in found)
        await asyncio.gather(*waits, return_exceptions=True)


async def held(sites):
    """Bytes of bodies that the server holds now."""
    figures = {"what": "bodies"}
    return sites.figures.registry.get_sample_value("railyard_held_bytes", figures)


# ---------------------------------------------------------------- bodies


async def test_heads_that_announce_bodies_take_no_room():
    async with services.running() as sites:
        length = 127 * 1024 * 1024
        announced = f"POST /filter HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()
        for head in (
            CHUNKED,
            announced,
            announced.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"),
        ):
            async with clients(sites.bound, 20, head), clients(sites.bound) as (scheduler,):
                assert (await scheduler.call())[0] == 200
                assert await held(sites) == 0


async def test_bodies_that_arrive_are_bounded_and_the_slowest_gives_way():
    chosen = services.settings(small_body_bytes=50_000, small_bodies_bytes=100_000)
    part = services.post("/filter", b" " * 50_000)[:-10_000]
    async with services.running(chosen=chosen) as sites, clients(sites.bound, 4) as found:
        for client in found:
            client.writer.write(part)
            await eventually(lambda: sites.open_connections == 4, "the connections")
            await asyncio.sleep(0.05)
        assert [await found[place].answer() for place in (0, 1)] == [
            (503, b'{"error":"too many large bodies at once"}')
        ] * 2
        assert await held(sites) <= 100_000
        async with clients(sites.bound) as (scheduler,):
            assert (await scheduler.call())[0] == 200


async def test_of_large_bodies_one_is_read_at_a_time_and_a_slow_one_gives_way():
    chosen = services.settings(small_body_bytes=10_000, large_body_seconds=0.3)
    large = services.post("/filter", b" " * 60_000)[:-10_000]
    async with services.running(chosen=chosen) as sites, clients(sites.bound, 3) as found:
        first, second, third = found
        first.writer.write(large)
        await asyncio.sleep(0.05)
        assert (await second.call(large))[0] == 503
        await asyncio.sleep(0.4)
        third.writer.write(large)
        assert (await first.answer())[0] == 503
        third.writer.write(b" " * 10_000)
        assert (await third.answer())[0] == 400  # spaces are no JSON, but all of them were read


async def test_what_was_held_is_let_go_when_a_client_hangs_up_in_the_middle(caplog):
    async with services.running() as sites:
        for sent in (CALL[:-5], CHUNKED + b"400\r\n" + b" " * 500):
            async with clients(sites.bound, 1, sent) as (client,):
                await asyncio.sleep(0.05)
                assert await held(sites) > 0
                client.writer.transport.abort()
                await eventually(lambda: sites.open_connections == 0, "its end")
            assert await held(sites) == 0
        count = sites.figures.registry.get_sample_value
        assert count("railyard_requests_total", {"verb": "filter", "code": "400"}) == 2
        assert count("railyard_requests_total", {"verb": "filter", "code": "500"}) == 0
    assert caplog.records == []


async def test_a_body_that_was_never_begun_after_100_continue_is_timed_out():
    chosen = services.settings(body_seconds=0.2)
    head = CALL[: -len(BODY)].replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
    async with services.running(chosen=chosen) as sites, clients(sites.bound, 1, head) as (client,):
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert (await client.answer())[0] == 408


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "gzip, identity"])
async def test_encoded_bodies_are_refused_before_a_byte_is_read(coding):
    head = CHUNKED.replace(b"Host: x", f"Host: x\r\nContent-Encoding: {coding}".encode())
    async with services.running() as sites, clients(sites.bound, 1, head) as (client,):
        assert (await client.answer())[0] == 415
        assert await held(sites) == 0


# ---------------------------------------------------------------- places


async def test_a_kept_connection_is_never_the_one_to_go():
    chosen = services.settings(connections=16)
    async with services.running(chosen=chosen) as sites, clients(sites.bound) as (scheduler,):
        for _ in range(3):
            assert (await scheduler.call())[0] == 200
        async with clients(sites.bound, 100), contextlib.AsyncExitStack() as idle_go_clients:
            for _ in range(20):
                (client,) = await idle_go_clients.enter_async_context(clients(sites.bound))
                assert (await client.call())[0] == 200
            assert sites.open_connections <= 16
            assert (await scheduler.call())[0] == 200
            async with clients(sites.bound) as (newcomer,):
                assert (await newcomer.call())[0] == 200


async def test_where_all_places_are_kept_a_newcomer_is_answered_and_asked_to_reconnect():
    chosen = services.settings(connections=8)
    async with services.running(chosen=chosen) as sites, clients(sites.bound, 7) as kept:
        for client in kept:
            for _ in range(2):
                await client.call()
        async with clients(sites.bound) as (newcomer,):
            newcomer.writer.write(CALL)
            answer = await asyncio.wait_for(newcomer.reader.read(), 10)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"Connection: close\r\n" in answer
        for client in kept:
            assert (await client.call())[0] == 200


async def test_thousands_of_silent_sockets_hold_nobody_up():
    chosen = services.settings(connections=64)
    async with services.running(chosen=chosen) as sites, clients(sites.bound) as (scheduler,):
        await scheduler.call()
        for _ in range(10):
            async with clients(sites.bound, 200):
                assert (await scheduler.call())[0] == 200
                assert sites.open_connections <= 64


async def test_pipelined_requests_are_answered_one_after_the_other():
    async with services.running() as sites, clients(sites.bound) as (client,):
        client.writer.write(CALL * 200)
        for _ in range(200):
            assert (await client.answer())[0] == 200


async def test_a_client_that_never_reads_its_answers_is_left(caplog):
    names = [f"busy-{number:0200}" for number in range(20_000)]
    body = orjson.dumps({"Pod": {"metadata": {"name": "gpu"}}, "NodeNames": names})
    chosen = services.settings(body_seconds=1.0)
    async with services.running(chosen=chosen) as sites:
        sent = services.post("/filter", body) * 4
        async with clients(sites.bound) as (client,):
            client.writer.transport.pause_reading()
            client.writer.write(sent)
            await eventually(lambda: sites.open_connections == 1, "its connection")
            await eventually(lambda: sites.open_connections == 0, "its end")
    assert caplog.records == []


async def test_requests_that_cannot_be_read_are_logged_once_in_a_while(caplog):
    caplog.set_level("INFO")
    async with services.running() as sites:
        for _ in range(50):
            answer = await services.exchange(sites.bound, b"\x16\x03\x01 hello\r\n\r\n")
            assert answer.startswith(b"HTTP/1.0 400 ")  # the least that it may know
            assert b"railyard" in answer
            assert b"aiohttp" not in answer
    (record,) = [each for each in caplog.records if each.name.startswith("extender")]
    assert record.exc_info in {None, False} or not record.exc_info[0]


# ---------------------------------------------------------------- descriptors


@pytest.fixture
def few_descriptors():
    """A limit that leaves room for few connections; what the test's own clients take is counted."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)

    def lower(most):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, before[1]))

    yield lower
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        pytest.param((1024, 4096), (512, 64), id="enough"),
        pytest.param((64, 4096), (512, 64), id="enough once the soft limit is raised"),
        pytest.param((-1, -1), (512, 64), id="no limit"),
    ],
)
def test_descriptors_decide_how_many_clients_there_may_be(monkeypatch, limit, expected):
    raised = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: limit)
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: raised.append(limits))

    assert descriptors.shared(512, 64) == expected


def test_where_they_are_scarce_both_ports_get_less(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (200, 200))

    calls, admin = descriptors.shared(512, 64)

    assert 4 <= admin < 64
    assert admin < calls < 200 - admin


async def test_running_out_of_descriptors_refuses_newcomers_only(few_descriptors):
    async with services.running() as sites, clients(sites.bound) as (scheduler,):
        await scheduler.call()
        in_use = len(list(descriptors._IN_USE.iterdir()))
        few_descriptors(in_use + 12)
        async with contextlib.AsyncExitStack() as stack:
            with contextlib.suppress(OSError):
                while True:
                    await stack.enter_async_context(clients(sites.bound))
            for _ in range(3):
                assert (await scheduler.call())[0] == 200
                await asyncio.sleep(ports._OUT_SECONDS)
        async with clients(sites.bound) as (newcomer,):
            assert (await newcomer.call())[0] == 200


# ---------------------------------------------------------------- TLS


@pytest.fixture
def secured(tmp_path):
    authority = trustme.CA()
    served = authority.issue_cert("127.0.0.1")
    files = Tls(tmp_path / "tls.crt", tmp_path / "tls.key", tmp_path / "ca.crt")
    served.cert_chain_pems[0].write_to_path(files.certificate)
    served.private_key_pem.write_to_path(files.key)
    authority.cert_pem.write_to_path(files.client_ca)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    authority.issue_cert("scheduler.example").configure_cert(context)
    return files, context


async def test_handshakes_that_do_not_end_count_and_are_cut_off(secured):
    files, context = secured
    chosen = services.settings(tls=files, connections=16, head_seconds=0.5)
    hello = b"\x16\x03\x01\x02\x00\x01\x00"  # the start of a ClientHello
    async with services.running(chosen=chosen) as sites:
        async with clients(sites.bound, 60, hello) as found:
            await eventually(lambda: sites.open_connections > 0, "the handshakes")
            assert sites.open_connections <= 16
            async with (
                aiohttp.ClientSession() as session,
                session.post(f"https://{sites.bound}/filter", data=BODY, ssl=context) as answer,
            ):
                assert answer.status == 200
            assert await found[-1].gone()
        await eventually(lambda: sites.open_connections == 0, "their end")


async def test_plain_http_on_the_tls_port_gets_nothing(secured):
    files, _ = secured
    async with services.running(chosen=services.settings(tls=files)) as sites:
        async with clients(sites.bound, 1, CALL) as (client,):
            assert b"HTTP" not in await asyncio.wait_for(client.reader.read(), 10)
        await eventually(lambda: sites.open_connections == 0, "its end")


async def test_faults_of_ours_are_answered_and_not_distinguished():
    class Broken(NameJudge):
        def waiting_for(self):
            raise RuntimeError("a fault of ours")

    async with services.running(Broken()) as sites, clients(sites.bound) as (client,):
        status, body = await client.call()
        assert status == 200
        assert b"a fault" not in body
