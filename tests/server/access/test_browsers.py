"""Pages of other sites may not ask, and bodies are said to be what they are."""

import aiohttp
import pytest

from extender.settings import AdminAccess
from tests.kit import services
from tests.kit.rigs.gate_server import opened, status

# ---------------------------------------------------------------- pages of other sites


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param({}, 200, id="no browser"),
        pytest.param({"Sec-Fetch-Site": "none"}, 200, id="typed"),
        pytest.param({"Sec-Fetch-Site": "same-origin"}, 200, id="our own page"),
        pytest.param({"Sec-Fetch-Site": "cross-site"}, 403, id="another site"),
        pytest.param({"Sec-Fetch-Site": "same-site"}, 403, id="a neighbour"),
        pytest.param(
            {
                "Sec-Fetch-Site": "cross-site",
                "Sec-Fetch-Mode": "navigate",
                "Sec-Fetch-Dest": "document",
            },
            200,
            id="a link on another site",
        ),
        pytest.param(
            {
                "Sec-Fetch-Site": "cross-site",
                "Sec-Fetch-Mode": "navigate",
                "Sec-Fetch-Dest": "iframe",
            },
            403,
            id="a frame on another site",
        ),
        pytest.param({"Origin": "http://evil.example"}, 403, id="another origin"),
        pytest.param({"Origin": "null"}, 403, id="no origin"),
        pytest.param({"Host": "evil.example"}, 421, id="a name that was made to point here"),
        pytest.param({"Host": "evil.svc.example:8889"}, 421, id="one that looks like ours"),
        pytest.param({"Host": "localhost:8889"}, 200, id="this machine"),
        pytest.param({"Host": "[::1]:8889"}, 200, id="an address"),
        pytest.param({"Host": "10.1.2.3:8889"}, 200, id="another address"),
        pytest.param({"Host": "railyard:8889"}, 200, id="a short name"),
        pytest.param({"Host": "railyard.railyard.svc:8889"}, 200, id="a Service"),
        pytest.param({"Host": "Railyard.Example.:443"}, 200, id="a name that was given"),
    ],
)
async def test_only_our_own_page_may_ask(headers, expected):
    async with opened(AdminAccess(hosts=frozenset({"railyard.example"}))) as sites:
        assert await status(sites, headers=headers) == expected


async def test_the_own_origin_may_ask_and_no_answer_allows_another():
    async with opened(AdminAccess()) as sites:
        url = f"http://{sites.admin_bound}"
        async with (
            aiohttp.ClientSession(headers={"Origin": url}) as session,
            session.get(f"{url}/v1/topology") as response,
        ):
            assert response.status == 200
            assert "Access-Control-Allow-Origin" not in response.headers
            assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
            assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert await status(sites, method="OPTIONS", headers={"Origin": url}) == 405


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        pytest.param("application/json", 200, id="JSON"),
        pytest.param("application/json; charset=utf-8", 200, id="JSON with a charset"),
        pytest.param("text/plain", 415, id="text"),
        pytest.param("application/x-www-form-urlencoded", 415, id="a form"),
        pytest.param("multipart/form-data; boundary=x", 415, id="a form with files"),
    ],
)
async def test_a_body_is_said_to_be_json(kind, expected):
    body = b'{"kind": "Pod"}'
    async with opened(AdminAccess()) as sites:
        given = {"method": "POST", "data": body, "headers": {"Content-Type": kind}}
        assert await status(sites, "/v1/explain", **given) == expected


async def test_a_body_of_no_kind_is_refused():
    asked = services.post("/v1/explain", b'{"kind": "Pod"}', "Connection: close")
    bare = asked.replace(b"Content-Type: application/json\r\n", b"")
    async with opened(AdminAccess()) as sites:
        assert (await services.exchange(sites.admin_bound, asked)).startswith(b"HTTP/1.1 200")
        assert (await services.exchange(sites.admin_bound, bare)).startswith(b"HTTP/1.1 415")
