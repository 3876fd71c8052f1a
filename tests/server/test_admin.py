"""Probes, metrics and questions over HTTP."""

import asyncio
import collections
import contextlib

import aiohttp
import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.kit import services
from tests.kit.judge_stubs import SmallAdmin

NO_FAILURES = {"decode_failures": 0, "sink_failures": 0}
READY = {"Pod": {"synced": True, "objects": 3, "age_seconds": 1.5, "detail": "", **NO_FAILURES}}
UNREADY = {"Pod": READY["Pod"] | {"synced": False}}


async def ask(sites, path, *, method="GET", body=None):
    headers = {"Content-Type": "application/json"} if body else {}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.request(method, f"http://{sites.admin_bound}{path}", data=body) as response,
    ):
        answer = await response.read()
        return response.status, orjson.loads(answer) if method != "HEAD" else answer


@pytest.fixture
async def sites():
    async with services.running() as sites:
        yield sites


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        pytest.param("/livez", 200, {"live": True}, id="live"),
        pytest.param("/readyz", 200, {"ready": True}, id="ready"),
        pytest.param("/v1/echo?word=a", 200, {"word": "a"}, id="a route"),
        pytest.param(
            "/v1/echo?wrod=a",
            400,
            {"error": "unknown parameter 'wrod'; there are: word"},
            id="a route asked wrongly",
        ),
        pytest.param("/v1/below/a%2Fb", 200, {"": "a/b"}, id="a route below a path"),
        pytest.param("/readyz?verbose", 200, {"ready": True, "kinds": READY}, id="ready, verbose"),
        pytest.param("/v1/topology", 200, {"nodes": [{"name": "a"}]}, id="topology"),
        pytest.param("/v1/mismatches", 200, [READY["Pod"]], id="mismatches"),
        pytest.param(
            "/v1/explain?pod=ml/train", 200, {"pod": "ml/train", "node": None}, id="explain"
        ),
        pytest.param(
            "/v1/explain?pod=ml/train&node=a", 200, {"pod": "ml/train", "node": "a"}, id="on a node"
        ),
    ],
)
async def test_questions_are_answered_in_json(sites, path, status, body):
    assert await ask(sites, path) == (status, body)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        pytest.param("GET", "/", None, 404, id="nothing here"),
        pytest.param("GET", "/filter", None, 404, id="verbs are elsewhere"),
        pytest.param("POST", "/readyz", b"", 405, id="readyz by POST"),
        pytest.param("DELETE", "/v1/explain", None, 405, id="explain by DELETE"),
        pytest.param("GET", "/v1/explain", None, 400, id="no pod named"),
        pytest.param("GET", "/v1/explain?pod=train", None, 400, id="no namespace"),
        pytest.param("GET", "/v1/explain?pod=ml/", None, 400, id="no name"),
        pytest.param("GET", "/v1/explain?pod=ml/other", None, 404, id="a pod that is not there"),
        pytest.param("POST", "/v1/explain", b"kind: Pod", 400, id="a manifest that is no JSON"),
        pytest.param("POST", "/v1/explain", b"{}", 400, id="a manifest without a pod"),
        pytest.param("GET", "/v1/verify", None, 500, id="a fault of ours"),
    ],
)
async def test_questions_without_an_answer_say_why(sites, method, path, body, status):
    found, answer = await ask(sites, path, method=method, body=body)
    assert found == status
    assert answer["error"]
    assert "a fault of ours" not in answer["error"]


async def test_a_manifest_is_explained_as_it_came(sites):
    body = b'{"kind":"Pod"}'
    found = await ask(sites, "/v1/explain?node=a", method="POST", body=body)
    assert found == (200, {"bytes": len(body), "node": "a"})


async def test_a_manifest_has_a_size_limit(sites):
    large = services.post("/v1/explain", b"").replace(b"Length: 0", b"Length: 9999999")
    assert (await services.exchange(sites.admin_bound, large)).startswith(b"HTTP/1.1 413 ")


async def test_what_is_awaited_and_what_is_missing_is_said_without_being_asked():
    admin = SmallAdmin()
    admin.waiting = {"Node": "403 Forbidden"}
    admin.degraded = {"NodeResourceTopology": "500; NUMA nodes are inferred"}
    async with services.running(admin=admin) as sites:
        _, answer = await ask(sites, "/readyz")
        assert answer["waiting"] == admin.waiting
        assert answer["degraded"] == admin.degraded


async def test_not_ready_is_503_and_says_what_is_missing():
    async with services.running(admin=SmallAdmin(ready=False)) as sites:
        assert await ask(sites, "/readyz") == (503, {"ready": False, "kinds": UNREADY})
        assert (await ask(sites, "/livez"))[0] == 200


async def test_a_service_that_says_goodbye_is_not_ready(sites):
    sites.closing = True
    status, body = await ask(sites, "/readyz")
    assert status == 503
    assert body["closing"]


async def test_probes_may_ask_by_head(sites):
    assert await ask(sites, "/readyz", method="HEAD") == (200, b"")


async def test_metrics_are_served_as_prometheus_reads_them(sites):
    url = f"http://{sites.admin_bound}/metrics"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert response.headers["Content-Type"].startswith("text/plain")
        families = list(text_string_to_metric_families(await response.text()))
    assert "railyard_requests" in {family.name for family in families}


# ---------------------------------------------------------------- clients that reconnect each time


async def ask_anew(sites, path, *fields):
    """The status, on a connection of its own that is left as soon as the answer is whole."""
    reader, writer = await asyncio.open_connection(*bound(sites))
    try:
        writer.write("\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *fields, "", ""]).encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        await reader.readexactly(int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0]))
        return int(head.split(b" ")[1])
    except (ConnectionError, asyncio.IncompleteReadError):
        return "reset"
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def bound(sites):
    return sites.admin_bound.host, sites.admin_bound.port


@pytest.mark.parametrize("fields", [(), ("Connection: close",)], ids=["hangs up", "says so"])
@pytest.mark.parametrize(
    "path", ["/v1/topology", "/v1/explain?pod=ml/train", "/v1/explain?pod=ml/other", "/metrics"]
)
async def test_probes_are_answered_however_many_connections_others_open(path, fields):
    chosen = services.settings(connections=12)
    counts = collections.Counter()

    async def ask_again(asked, times):
        for _ in range(times):
            counts[asked, await ask_anew(sites, asked, *fields)] += 1

    async with services.running(chosen=chosen) as sites:
        probes = [ask_again("/livez", 25), ask_again("/readyz", 25)]
        await asyncio.gather(*probes, *(ask_again(path, 25) for _ in range(8)))
    assert counts["/livez", 200] == counts["/readyz", 200] == 25
    assert counts[path, "reset"] == 0


async def test_clients_that_stay_without_asking_make_room_for_probes():
    chosen = services.settings(connections=8)
    async with (
        services.running(chosen=chosen) as sites,
        contextlib.AsyncExitStack() as open_clients,
    ):
        for path in ["/livez", "/v1/explain?pod=ml/other"] * 8:
            reader, writer = await asyncio.open_connection(*bound(sites))
            open_clients.callback(writer.close)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert (await reader.readline()).startswith((b"HTTP/1.1 200", b"HTTP/1.1 404"))
        asked = (ask_anew(sites, "/livez") for _ in range(6))
        assert await asyncio.gather(*asked) == [200] * 6


async def test_an_answered_client_that_hangs_up_gives_its_place_back():
    async with services.running() as sites:
        for path in ["/livez", "/v1/topology", "/v1/explain?pod=ml/other"] * 3:
            assert await ask_anew(sites, path) in {200, 404}
        for _ in range(500):
            if open_connections(sites):
                await asyncio.sleep(0.01)
        assert open_connections(sites) == 0


def open_connections(sites):
    """Those on the admin port."""
    figures = {"port": "questions"}
    return sites.figures.registry.get_sample_value("railyard_connections", figures)
