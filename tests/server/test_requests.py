"""Requests as bytes: the same however they are cut; what has two meanings is refused."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extender.errors import WireError
from extender.server.http import requests

LIMIT = 4096


def chunked(body, size, extension=b"", trailer=b""):
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    chunks = b"".join(b"%x%b\r\n%b\r\n" % (len(part), extension, part) for part in parts)
    return chunks + b"0\r\n" + trailer + b"\r\n"


def sized(body, path=b"/filter"):
    return b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (path, len(body), body)


def in_chunks(body, size, extension=b"", trailer=b""):
    head = b"POST /filter HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + chunked(body, size, extension, trailer)


def read(pieces, limit=LIMIT):
    """(path, body) of each whole request."""
    reader, head, found = requests.Reader(), None, []
    for piece in pieces:
        reader.feed(piece)
        while True:
            if head is None:
                head = reader.head()
                if head is None:
                    break
                reader.begin(head, limit)
            body = reader.body()
            if body is None and reader.behind:
                continue
            if body is None:
                break
            found.append((head.path, body))
            head = None
    return found


BODIES = st.binary(max_size=1500)
EXTENSIONS = st.sampled_from([b"", b";a", b";a=b;c", b"  ;long=" + b"x" * 200])
TRAILERS = st.sampled_from([b"", b"A: b\r\n", b"A: b\r\nC: d\r\n"])
WHOLE = st.one_of(
    BODIES.map(lambda body: (body, sized(body))),
    st.tuples(BODIES, st.integers(1, 400), EXTENSIONS, TRAILERS).map(
        lambda drawn: (drawn[0], in_chunks(*drawn))
    ),
)


@given(st.lists(WHOLE, max_size=4), st.lists(st.integers(1, 300), max_size=60))
def test_requests_are_the_same_however_their_bytes_are_cut(sent, cuts):
    wire, pieces = b"".join(raw for _, raw in sent), []
    for cut in cuts:
        pieces.append(wire[:cut])
        wire = wire[cut:]

    assert read([*pieces, wire], limit=1 << 20) == [("/filter", body) for body, _ in sent]


@given(st.binary(max_size=400), st.lists(st.integers(1, 50), max_size=20))
def test_any_bytes_are_read_waited_for_or_refused(noise, cuts):
    pieces = [noise[at : at + 7] for at in range(0, len(noise), 7)] if cuts else [noise]
    with contextlib.suppress(WireError):
        read(pieces)


def head_of(*lines):
    return "\r\n".join(["POST /filter HTTP/1.1", *lines, "", ""]).encode()


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
        pytest.param(head_of("Transfer-Encoding: gzip, chunked"), 501, id="another coding"),
        pytest.param(head_of("Transfer-Encoding: identity"), 501, id="no coding"),
        pytest.param(head_of("Transfer-Encoding: xchunked"), 501, id="nearly chunked"),
        pytest.param(head_of("Expect: 200-ok"), 417, id="another expectation"),
        pytest.param(head_of(*["A: b"] * 101), 431, id="101 fields"),
        pytest.param(head_of("A: " + "b" * 17_000), 431, id="a long field"),
        pytest.param(b"POST /filter HTTP/1.1\r\nA: " + b"b" * 17_000, 431, id="a head without end"),
        pytest.param(head_of("A : b"), 400, id="a space before the colon"),
        pytest.param(head_of("A: b", " folded"), 400, id="a folded field"),
        pytest.param(head_of("A: b\nB: c"), 400, id="a bare line feed"),
        pytest.param(head_of("A: b\0"), 400, id="a null byte"),
        pytest.param(b"hello\r\n\r\n", 400, id="no HTTP"),
        pytest.param(b"\x16\x03\x01\x02\x00\r\n\r\n", 400, id="a TLS handshake"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, id="HTTP/2"),
        pytest.param(b"POST  /filter HTTP/1.1\r\n\r\n", 400, id="two spaces"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(raw, status):
    with pytest.raises(WireError) as refused:
        read([raw])

    assert refused.value.status == status


@pytest.mark.parametrize(
    ("chunks", "status"),
    [
        pytest.param(b"5\r\nhello world\r\n", 400, id="longer than it says"),
        pytest.param(b"-5\r\nhello\r\n", 400, id="a negative size"),
        pytest.param(b"0x5\r\nhello\r\n", 400, id="a prefixed size"),
        pytest.param(b"\r\nhello\r\n", 400, id="no size"),
        pytest.param(b"f" * 16 + b"\r\n", 400, id="sixteen digits"),
        pytest.param(b"fffffff\r\n", 413, id="a size over the limit"),
        pytest.param(b"5;" + b"x" * 300, 400, id="a long extension"),
        pytest.param(b"5\nhello\n" * 60, 400, id="bare line feeds"),
        pytest.param(b"1;" + b"x" * 200 + b"\r\na\r\n", 413, id="much framing, little in it"),
        pytest.param(b"0\r\n" + b"A: b\r\n" * 1000, 431, id="a trailer without end"),
    ],
)
def test_chunks_are_bounded_as_they_are_sent(chunks, status):
    head = b"POST /filter HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    repeated = chunks * (60 if status == 413 and b";" in chunks else 1)

    with pytest.raises(WireError) as refused:
        read([head + repeated])

    assert refused.value.status == status


def test_many_small_chunks_are_read_in_turns_and_have_an_end():
    reader = requests.Reader()
    reader.feed(in_chunks(b"x" * 50_000, 1))
    head = reader.head()
    reader.begin(head, 1 << 20)
    turns = 0

    def to_its_end():
        nonlocal turns
        while reader.body() is None:
            turns += 1
            assert reader.behind

    with pytest.raises(WireError, match="too many small chunks"):
        to_its_end()
    assert turns > 100


@pytest.mark.parametrize(
    ("lines", "stays"),
    [
        pytest.param((), True, id="1.1 stays"),
        pytest.param(("Connection: close",), False, id="unless it says otherwise"),
        pytest.param(("Connection: Keep-Alive, Close",), False, id="in any spelling"),
    ],
)
def test_a_connection_stays_as_the_client_wishes(lines, stays):
    assert requests.parse(head_of(*lines)[:-4]).keep_alive is stays
