"""Requests as bytes: the same however they are cut; what has two meanings is refused."""

import asyncio
import contextlib

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit import services
from tests.kit.clock import eventually

LIMIT = 4096


def chunked(body, size, extension=b"", trailer=b""):
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    chunks = b"".join(b"%x%b\r\n%b\r\n" % (len(part), extension, part) for part in parts)
    return chunks + b"0\r\n" + trailer + b"\r\n"


def sized(body):
    return services.post("/filter", body)


def in_chunks(body, size, extension=b"", trailer=b""):
    head = b"POST /filter HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + chunked(body, size, extension, trailer)


def call(name):
    return orjson.dumps({"Pod": {"metadata": {"name": "gpu"}}, "NodeNames": [name]})


def small():
    return services.settings(body_bytes=LIMIT, body_seconds=1.0, head_seconds=1.0)


async def status_of(*pieces):
    """The status of the answer to these bytes."""
    async with services.running(chosen=small()) as sites:
        reader, writer = await asyncio.open_connection(sites.bound.host, sites.bound.port)
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.02)
        line = await asyncio.wait_for(reader.readline(), 5)
        writer.close()
        await eventually(lambda: sites.open_connections == 0, "the end of the connection")
        return int(line.split()[1])


NAMES = st.text("abcdefgh", min_size=1, max_size=900)
EXTENSIONS = st.sampled_from([b"", b";a", b";a=b;c", b";long=" + b"x" * 200])
TRAILERS = st.sampled_from([b"", b"A: b\r\n", b"A: b\r\nC: d\r\n"])
WHOLE = st.one_of(
    NAMES.map(lambda name: (name, sized(call(name)))),
    st.tuples(NAMES, st.integers(20, 400), EXTENSIONS, TRAILERS).map(
        lambda drawn: (drawn[0], in_chunks(call(drawn[0]), *drawn[1:]))
    ),
)


@given(st.lists(WHOLE, max_size=4), st.lists(st.integers(1, 300), max_size=8))
@settings(max_examples=30, deadline=None)
def test_requests_are_the_same_however_their_bytes_are_cut(sent, cuts):
    wire, pieces = b"".join(raw for _, raw in sent), []
    for cut in cuts:
        pieces.append(wire[:cut])
        wire = wire[cut:]
    pieces = [piece for piece in (*pieces, wire, b"GET / HTTP/1.0\r\n\r\n") if piece]

    async def exchanged():
        async with services.running() as sites:
            return await services.exchange(sites.bound, *pieces)

    answers = asyncio.run(exchanged()).split(b"HTTP/1.")[1:]
    assert [answer.split()[1] for answer in answers] == [b"200"] * len(sent) + [b"404"]
    for (name, _), answer in zip(sent, answers, strict=False):
        assert orjson.loads(answer.partition(b"\r\n\r\n")[2])["NodeNames"] == [name]


@given(st.binary(max_size=400), st.lists(st.integers(1, 50), max_size=3))
@settings(max_examples=30, deadline=None)
def test_any_bytes_are_refused_or_waited_for(noise, cuts):
    pieces = [noise[at : at + 150] for at in range(0, len(noise), 150)] if cuts else [noise]

    async def exchanged():
        async with services.running(chosen=services.settings(head_seconds=0.1)) as sites:
            with contextlib.suppress(ConnectionError):
                await services.exchange(sites.bound, *pieces, b"\r\n\r\n\r\n\r\n")
            await eventually(lambda: sites.open_connections == 0, "the end of the connection")

    asyncio.run(exchanged())


def head_of(*lines):
    return "\r\n".join(["POST /filter HTTP/1.1", "Host: x", *lines, "", ""]).encode()


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        pytest.param(head_of("Content-Length: 5", "Content-Length: 5"), 400, id="two lengths"),
        pytest.param(head_of("Content-Length: 5, 5"), 400, id="two lengths in one"),
        pytest.param(head_of("Content-Length: -1"), 400, id="a negative length"),
        pytest.param(head_of("Content-Length: +1"), 400, id="a signed length"),
        pytest.param(head_of("Content-Length: 0x10"), 400, id="a hexadecimal length"),
        pytest.param(head_of("Content-Length: ٣"), 400, id="a digit of another script"),
        pytest.param(head_of("Content-Length: " + "9" * 30), 400, id="a length of 30 digits"),
        pytest.param(head_of("Content-Length:"), 400, id="no length"),
        pytest.param(head_of("Content-Length: 999999"), 413, id="a length over the limit"),
        pytest.param(
            head_of("Content-Length: 5", "Transfer-Encoding: chunked"), 400, id="length and chunks"
        ),
        pytest.param(head_of("Transfer-Encoding: gzip"), 400, id="another coding"),
        pytest.param(head_of("Transfer-Encoding: identity"), 400, id="no coding"),
        pytest.param(head_of("Transfer-Encoding: xchunked"), 400, id="nearly chunked"),
        pytest.param(head_of("Expect: 200-ok"), 417, id="another expectation"),
        pytest.param(head_of(*["A: b"] * 101), 431, id="101 fields"),
        pytest.param(head_of("A: " + "b" * 17_000), 431, id="a long field"),
        pytest.param(head_of(*["A: " + "b" * 6000] * 3), 431, id="three fields of 6 KB"),
        pytest.param(
            b"POST /filter HTTP/1.1\r\n" + b"A: bbbbbbb\r\n" * 2000, 431, id="a head without end"
        ),
        pytest.param(b"POST /" + b"a" * 9000, 431, id="a long path"),
        pytest.param(head_of("A : b"), 400, id="a space before the colon"),
        pytest.param(head_of("A: b", " folded"), 400, id="a folded field"),
        pytest.param(head_of("A: b\nB: c"), 400, id="a bare line feed"),
        pytest.param(head_of("A: b\0"), 400, id="a null byte"),
        pytest.param(b"POST /filter HTTP/1.1\r\n\r\n", 400, id="no host"),
        pytest.param(b"hello\r\n\r\n", 400, id="no HTTP"),
        pytest.param(b"\x16\x03\x01\x02\x00\r\n\r\n", 400, id="a TLS handshake"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, id="HTTP/2"),
        pytest.param(b"POST  /filter HTTP/1.1\r\n\r\n", 400, id="two spaces"),
    ],
)
async def test_what_could_be_read_in_two_ways_is_refused(raw, status):
    assert await status_of(raw) == status


@pytest.mark.parametrize(
    ("chunks", "status"),
    [
        pytest.param(b"5\r\nhello world\r\n", 400, id="longer than it says"),
        pytest.param(b"-5\r\nhello\r\n", 400, id="a negative size"),
        pytest.param(b"0x5\r\nhello\r\n", 400, id="a prefixed size"),
        pytest.param(b"\r\nhello\r\n", 400, id="no size"),
        pytest.param(b"f" * 17 + b"\r\n", 400, id="seventeen digits"),
        pytest.param(b"fffffff\r\n" + b"x" * 5000, 413, id="a size over the limit"),
        pytest.param(b"5\nhello\n" * 60, 400, id="bare newlines"),
        pytest.param(b"1;" + b"x" * 25_000 + b"\r\na\r\n", 413, id="much framing, little in it"),
        pytest.param(b"0\r\n" + b"A: b\r\n" * 1000, 431, id="a trailer without end"),
    ],
)
@pytest.mark.parametrize("cut", [False, True], ids=["at once", "after the head"])
async def test_chunks_are_bounded_as_they_are_sent(chunks, status, cut):
    head = head_of("Transfer-Encoding: chunked")
    assert await status_of(*([head, chunks] if cut else [head + chunks])) == status


async def test_many_small_chunks_have_an_end_and_hold_nobody_up():
    body = b"x" * 50_000
    async with services.running() as sites:
        sending = asyncio.create_task(
            services.exchange(sites.bound, in_chunks(body, 1), patience=20)
        )
        turns = 0
        while not sending.done():
            turns += 1
            await asyncio.sleep(0)
        assert b"too many small chunks" in await sending
    assert turns > 100


@pytest.mark.parametrize(
    ("lines", "stays"),
    [
        pytest.param((), True, id="1.1 stays"),
        pytest.param(("Connection: close",), False, id="unless it says otherwise"),
        pytest.param(("Connection: Keep-Alive, Close",), False, id="in any spelling"),
    ],
)
async def test_a_connection_stays_as_the_client_wishes(lines, stays):
    async with services.running() as sites:
        reader, writer = await asyncio.open_connection(sites.bound.host, sites.bound.port)
        writer.write(services.post("/filter", call("a"), *lines))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        await asyncio.sleep(0.05)
        assert (sites.open_connections == 1) is stays
        writer.close()
        await writer.wait_closed()


async def test_a_usual_call_is_answered_as_any_other():
    usual, other = (services.post("/filter", call("a"), *more) for more in ((), ("Te: x",)))
    async with services.running() as sites:
        reader, writer = await asyncio.open_connection(sites.bound.host, sites.bound.port)
        answers = []
        for sent in (usual, usual, other, usual):
            writer.write(sent)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0])
            lines = {line for line in head.split(b"\r\n") if not line.startswith(b"Date")}
            answers.append((lines, await reader.readexactly(length)))
        assert answers == [answers[0]] * 4
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("cut", range(1, 60, 7))
async def test_a_usual_call_within_another_request_is_no_call(cut):
    first, inner = services.post("/filter", call("a")), services.post("/filter", call("b"))
    outer = services.post("/filter", inner)
    async with services.running() as sites:
        answer = await services.exchange(
            sites.bound, first, first + outer[: -len(inner)], inner, b"GET / HTTP/1.0\r\n\r\n"
        )
        split = await services.exchange(
            sites.bound, first + first[:cut], inner, b"\r\n\r\nGET / HTTP/1.0\r\n\r\n"
        )
    assert [each.split()[1] for each in answer.split(b"HTTP/1.")[1:]][:3] == [
        b"200",
        b"200",
        b"400",
    ]
    assert b'"b"' not in split
