"""kube-scheduler's calls over real sockets."""

import asyncio
import gzip
import io

import aiohttp
import orjson
import pytest

from extender.decisions.verb_results import FilterResult
from extender.server import metrics
from tests.kit import bodies, services
from tests.kit.judge_stubs import NameJudge

BODY = orjson.dumps({"Pod": {"metadata": {"name": "gpu"}}, "Nodes": None, "NodeNames": ["a", "b"]})
GO = {
    "User-Agent": "Go-http-client/1.1",
    "Content-Type": "application/json",
    "Accept-Encoding": "gzip",
}


@pytest.fixture
async def serving():
    async with services.running() as sites:
        yield sites


@pytest.fixture
async def client(serving):
    async with aiohttp.ClientSession(f"http://{serving.bound}", headers=GO) as session:
        yield session


def answered(sites, verb, code):
    labels = {"verb": verb, "code": str(code)}
    return sites.figures.registry.get_sample_value("railyard_requests_total", labels)


async def test_a_judgement_is_200_with_a_body_of_known_length(client):
    async with client.post("/filter", data=BODY) as response:
        body = await response.read()
        assert response.status == 200
        assert response.headers["Content-Length"] == str(len(body))
        assert "Transfer-Encoding" not in response.headers
        assert "Content-Encoding" not in response.headers
        assert response.headers["Content-Type"] == "application/json"
        assert orjson.loads(body)["NodeNames"] == ["a", "b"]


async def test_go_s_bare_request_is_answered(serving):
    head = services.post("/prioritize", BODY, *(f"{k}: {v}" for k, v in GO.items()))
    answer = await services.exchange(
        serving.bound, head + services.post("/filter", b"", "Connection: close")
    )
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b'[{"Host":"a","Score":9},{"Host":"b","Score":9}]' in answer


async def test_ten_calls_take_one_connection(serving):
    opened = []

    async def count(*_):
        opened.append(1)

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(count)
    url = f"http://{serving.bound}/filter"
    async with aiohttp.ClientSession(trace_configs=[trace]) as session:
        for _ in range(10):
            async with session.post(url, data=BODY) as response:
                assert response.status == 200
    assert len(opened) == 1


async def test_idle_connections_outlive_those_of_go():
    assert services.settings().limits.idle_seconds > 90


@pytest.mark.parametrize("path", bodies.captured())
async def test_whatever_real_schedulers_sent_is_answered(client, path):
    verb, mode, _ = path.stem.split("-", 2)
    sent = orjson.loads(path.read_bytes())
    async with client.post(f"/{verb}", data=path.read_bytes()) as response:
        assert response.status == 200
        answer = orjson.loads(await response.read())
    if verb == "preempt":
        assert answer == {"NodeNameToMetaVictims": {}}
        return
    items = (sent["Nodes"] or {}).get("items")
    names = [item["metadata"]["name"] for item in items] if items else sent["NodeNames"]
    if verb == "prioritize":
        assert [entry["Host"] for entry in answer] == names
    elif mode == "nodes":
        assert answer["Nodes"]["items"] == items
    else:
        assert answer["NodeNames"] == names


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        pytest.param("POST", "/filter", b"{", {}, 400, id="malformed"),
        pytest.param("POST", "/filter", b"", {}, 400, id="empty"),
        pytest.param("POST", "/bind", BODY, {}, 404, id="a verb not served"),
        pytest.param("POST", "/filter/", BODY, {}, 404, id="no redirect for a slash"),
        pytest.param("POST", "/", BODY, {}, 404, id="no verb"),
        pytest.param("GET", "/filter", b"", {}, 405, id="by GET"),
        pytest.param("PUT", "/preempt", BODY, {}, 405, id="by PUT"),
        pytest.param(
            "POST", "/filter", gzip.compress(BODY), {"Content-Encoding": "gzip"}, 415, id="gzip"
        ),
    ],
)
async def test_what_cannot_be_judged_gets_a_short_reason(
    serving, client, method, path, body, headers, status
):
    async with client.request(method, path, data=body, headers=headers) as response:
        assert response.status == status
        answer = await response.read()
        assert orjson.loads(answer)["error"]
        assert len(answer) < 300
        assert response.headers["Content-Length"] == str(len(answer))
    verb = path.strip("/") if path.strip("/") in metrics.VERBS and path != "/filter/" else "other"
    assert answered(serving, verb, status) == 1
    async with client.post("/filter", data=BODY) as response:
        assert response.status == 200


async def test_a_body_over_the_limit_is_refused_before_it_is_read():
    async with services.running(chosen=services.settings(body_bytes=1000)) as sites:
        head = f"POST /filter HTTP/1.1\r\nHost: x\r\nContent-Length: {10**12}\r\n\r\n"
        answer = await services.exchange(sites.bound, head.encode())
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"larger than 1000 bytes" in answer
        assert answered(sites, "filter", 413) == 1


async def test_a_chunked_body_over_the_limit_is_refused_too():
    async def pieces():
        for _ in range(30):
            yield b" " * 100

    async with (
        services.running(chosen=services.settings(body_bytes=1000)) as sites,
        aiohttp.ClientSession() as session,
        session.post(f"http://{sites.bound}/filter", data=pieces()) as response,
    ):
        assert response.status == 413


async def test_a_chunked_body_within_the_limit_is_read(client):
    async def pieces():
        yield BODY[:20]
        yield BODY[20:]

    async with client.post("/filter", data=pieces()) as response:
        assert response.status == 200


async def test_a_body_larger_than_the_usual_limits_is_read(client):
    names = [f"node-{number:020d}" for number in range(130_000)]
    pod = {"metadata": {"name": "plain"}}
    body = orjson.dumps({"Pod": pod, "Nodes": None, "NodeNames": names})
    assert len(body) > 3_000_000
    async with client.post("/filter", data=io.BytesIO(body)) as response:
        assert orjson.loads(await response.read())["NodeNames"] == names


async def test_a_client_that_asks_whether_to_continue_is_answered(serving):
    head = services.post("/filter", BODY, "Expect: 100-continue", "Connection: close")
    split = len(head) - len(BODY)
    answer = await services.exchange(serving.bound, head[:split], head[split:])
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")


async def test_a_slow_body_is_given_up():
    async with services.running(chosen=services.settings(body_seconds=0.05)) as sites:
        whole = services.post("/filter", BODY)
        answer = await services.exchange(sites.bound, whole[:-10])
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert answered(sites, "filter", 408) == 1


async def test_a_client_that_hangs_up_leaves_nothing_behind(serving, client, caplog):
    for cut in (10, 60, len(BODY)):
        _, writer = await asyncio.open_connection(serving.bound.host, serving.bound.port)
        writer.write(services.post("/filter", BODY)[:-cut])
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    await asyncio.sleep(0.05)
    async with client.post("/filter", data=BODY) as response:
        assert response.status == 200
    assert caplog.records == []


async def test_many_calls_at_once_are_all_answered(client):
    async def call(number):
        names = [f"n-{number}"]
        body = orjson.dumps({"Pod": {"metadata": {"name": "gpu"}}, "NodeNames": names})
        async with client.post("/filter", data=body) as response:
            return orjson.loads(await response.read())["NodeNames"] == names

    assert all(await asyncio.gather(*(call(number) for number in range(32))))


async def test_a_client_of_http_1_0_is_answered_and_left(serving):
    request = services.post("/filter", BODY).replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    head, _, body = (await services.exchange(serving.bound, request)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200")
    assert orjson.loads(body)["NodeNames"] == ["a", "b"]


async def test_a_client_that_asks_to_close_is_answered_and_left(serving):
    request = services.post("/filter", BODY, "Connection: close")
    head, _, body = (await services.exchange(serving.bound, request)).partition(b"\r\n\r\n")
    assert b"Connection: close" in head
    assert orjson.loads(body)["NodeNames"] == ["a", "b"]


class Freeing(NameJudge):
    """Has room on every node from the second call on."""

    def filter(self, pod, names):
        before = [verb for verb, *_ in self.asked]
        found = super().filter(pod, names)
        return FilterResult() if "filter" in before else found


def busy(*names):
    return orjson.dumps({"Pod": {"metadata": {"name": "gpu"}}, "Nodes": None, "NodeNames": names})


async def test_room_that_the_watch_tells_of_a_moment_later_is_found():
    judge = Freeing()
    async with (
        services.running(judge) as sites,
        aiohttp.ClientSession(f"http://{sites.bound}") as session,
        session.post("/filter", data=busy("busy-1", "busy-2")) as response,
    ):
        answer = orjson.loads(await response.read())

    assert answer["NodeNames"] == ["busy-1", "busy-2"]
    assert [verb for verb, *_ in judge.asked][:2] == ["filter", "filter"]
    looks = sites.figures.registry.get_sample_value
    assert looks("railyard_filter_retries_total", {"outcome": "fits"}) == 1
    assert answered(sites, "filter", 200) == 1


async def test_a_pod_refused_everywhere_soon_after_is_not_held_up(serving, client):
    for _ in range(2):
        async with client.post("/filter", data=busy("busy-1")) as response:
            assert orjson.loads(await response.read())["FailedNodes"] == {"busy-1": "busy"}

    looks = serving.figures.registry.get_sample_value
    assert looks("railyard_filter_retries_total", {"outcome": "refused"}) == 1
