import socket
import ssl
import sys

import msgspec
import pytest
import trustme

from extender import errors
from extender.kube import client
from extender.kube.auth import credentials, endpoint, tls_context
from tests.kit import apiserver
from tests.kit.clock import eventually

NODES = "/api/v1/nodes"


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
async def server():
    async with apiserver.ApiServer() as made:
        made.add(NODES, "Node")
        made.put(NODES, "a")
        yield made


@pytest.fixture
async def api(server):
    async with client.Client(endpoint.Server(url=server.url)) as made:
        yield made


def tls(authority, *, clients=None, name="127.0.0.1"):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        clients.configure_trust(context)
    return context


def pem(authority):
    return tls_context.Pem(text=authority.cert_pem.bytes())


# ---------------------------------------------------------------- requests


async def test_a_get_says_who_asks_and_wants_no_compression(server):
    where = endpoint.Server(url=server.url, credentials=credentials.Fixed("Bearer abc"))
    async with client.Client(where) as api:
        body = msgspec.json.decode(await api.get(NODES, {"limit": "5"}))
    assert [each["metadata"]["name"] for each in body["items"]] == ["a"]
    (seen,) = server.requests
    assert seen.query == {"limit": "5"}
    assert seen.headers["Authorization"] == "Bearer abc"
    assert seen.headers["Accept-Encoding"] == "identity"
    assert seen.headers["User-Agent"].startswith("railyard/")


async def test_nobody_sends_no_header(server, api):
    await api.get(NODES)
    assert "Authorization" not in server.requests[0].headers


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (apiserver.refusal(401, "Unauthorized"), errors.UnauthorizedError),
        (apiserver.refusal(403, "Forbidden"), errors.ForbiddenError),
        (apiserver.refusal(404, "NotFound"), errors.NotFoundError),
        (apiserver.refusal(410, "Expired"), errors.ExpiredError),
        (apiserver.refusal(429, "TooManyRequests"), errors.TooManyRequestsError),
        (apiserver.refusal(500, "InternalError"), errors.ApiError),
        (apiserver.Fault(status=302, headers={"Location": "/elsewhere"}), errors.ApiError),
        (apiserver.Fault(body=b"{", then="reset"), errors.UnreachableError),
    ],
)
async def test_what_goes_wrong_is_known_by_its_meaning(server, api, fault, expected):
    server.script["list"].append(fault)
    with pytest.raises(errors.ApiError) as caught:
        await api.get(NODES)
    assert type(caught.value) is expected
    assert len(server.requests) == 1


async def test_a_server_that_is_away_is_unreachable(server, api):
    await server.stop()
    with pytest.raises(errors.UnreachableError):
        await api.get(NODES)
    with pytest.raises(errors.UnreachableError):
        async with api.stream(NODES, {}):
            raise AssertionError("nobody answered")


async def test_a_rejected_token_is_fetched_anew_for_the_next_request(server, tmp_path):
    path = tmp_path / "token"
    path.write_text("old")
    server.tokens = {"Bearer old"}
    where = endpoint.Server(url=server.url, credentials=credentials.TokenFile(str(path)))
    async with client.Client(where) as api:
        await api.get(NODES)
        path.write_text("new")
        server.tokens = {"Bearer new"}
        with pytest.raises(errors.UnauthorizedError):
            await api.get(NODES)
        await api.get(NODES)


async def test_no_token_means_no_request(server, tmp_path):
    token = credentials.TokenFile(str(tmp_path / "none"))
    async with client.Client(endpoint.Server(url=server.url, credentials=token)) as api:
        with pytest.raises(errors.CredentialsError):
            await api.get(NODES)
    assert server.requests == []


async def test_discovery_names_what_a_version_serves(server, api):
    server.served["resource.k8s.io/v1"] = {"resourceslices", "deviceclasses"}
    assert await api.resources("v1") == {"nodes"}
    assert await api.resources("resource.k8s.io/v1") == {"resourceslices", "deviceclasses"}
    with pytest.raises(errors.NotFoundError):
        await api.resources("resource.k8s.io/v9")


async def test_the_servers_version_is_reported_and_empty_where_it_is_not(server, api):
    assert await api.version() == "v1.36.3"
    server.script["get"].append(apiserver.Fault(body=b"{}"))
    assert await api.version() == ""
    server.script["get"].append(apiserver.Fault(body=b"not JSON"))
    assert await api.version() == ""


@pytest.mark.parametrize("body", [b"", b"[]", b'{"resources": 5}'])
async def test_a_discovery_that_is_no_discovery_is_an_error(server, api, body):
    server.script["get"].append(apiserver.Fault(body=body))
    with pytest.raises(errors.ApiError, match="v1"):
        await api.resources("v1")


# ---------------------------------------------------------------- streams


async def test_a_stream_gives_what_comes_and_then_its_end(server, api):
    server.script["watch"].append(apiserver.Fault(body=b"x" * 600_000))
    async with api.stream(NODES, {"watch": "true"}) as stream:
        parts = []
        while part := await stream.read():
            parts.append(part)
    assert b"".join(parts) == b"x" * 600_000
    assert max(map(len, parts)) <= 256 << 10


@pytest.mark.skipif(sys.platform != "linux", reason="the options have other names elsewhere")
def test_a_path_that_swallows_packets_is_given_up_within_75_seconds():
    # HTTP2_READ_IDLE_TIMEOUT_SECONDS and HTTP2_PING_TIMEOUT_SECONDS in apimachinery's http.go
    with client._socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 0))) as made:
        found = {
            name: made.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
            for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
        }
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert found["TCP_KEEPIDLE"] + found["TCP_KEEPINTVL"] * found["TCP_KEEPCNT"] <= 75
    assert found["TCP_USER_TIMEOUT"] <= 75_000


async def test_a_stream_that_is_cut_says_so(server, api):
    server.script["watch"].append(apiserver.Fault(body=b"x", then="reset"))
    async with api.stream(NODES, {"watch": "true"}) as stream:
        assert await stream.read() == b"x"
        with pytest.raises(errors.UnreachableError):
            await stream.read()


async def test_a_burst_is_taken_from_the_socket_before_it_is_read(server, api):
    async with api.stream(NODES, {"watch": "true"}) as stream:
        await eventually(lambda: server.collections[NODES].watchers)
        for _ in range(60):
            server.send(NODES, b"x" * 100_000)
        await eventually(lambda: stream._content.total_bytes >= 6_000_000)


async def test_what_is_taken_ahead_has_a_bound(server, api):
    async with api.stream(NODES, {"watch": "true"}) as stream:
        await eventually(lambda: server.collections[NODES].watchers)
        for _ in range(400):
            server.send(NODES, b"x" * 100_000)
        await eventually(lambda: stream._content.total_bytes >= 8_000_000)
        for _ in range(50):
            await eventually(lambda: True)
        assert stream._content.total_bytes < 12_000_000


async def test_leaving_a_stream_ends_its_connection(server, api):
    async with api.stream(NODES, {"watch": "true"}):
        await eventually(lambda: server.collections[NODES].watchers)
    await eventually(lambda: not server.collections[NODES].watchers)


async def test_one_connection_serves_many_gets(server, api):
    for _ in range(3):
        await api.get(NODES)
    assert len(api._session.connector._conns) == 1


# ---------------------------------------------------------------- TLS


async def test_a_server_of_our_authority_is_believed(secure, authority):
    server, url = await secure(tls(authority))
    where = endpoint.Server(url=url, trust=tls_context.TlsTrust(authority=pem(authority)))
    async with client.Client(where) as api:
        assert await api.get(NODES)
    assert len(server.requests) == 1


@pytest.mark.parametrize("wrong", ["authority", "name", "system"])
async def test_any_other_server_is_not(secure, authority, wrong):
    name = "elsewhere.example" if wrong == "name" else "127.0.0.1"
    server, url = await secure(tls(authority, name=name))
    believed = {"authority": pem(trustme.CA()), "name": pem(authority), "system": None}[wrong]
    where = endpoint.Server(url=url, trust=tls_context.TlsTrust(authority=believed))
    async with client.Client(where) as api:
        with pytest.raises(errors.UnreachableError, match=r"(?i)certificate"):
            await api.get(NODES)
    assert server.requests == []


async def test_a_server_may_have_another_name_than_its_address(secure, authority):
    _, url = await secure(tls(authority, name="kubernetes"))
    made = tls_context.TlsTrust(authority=pem(authority))
    async with client.Client(endpoint.Server(url=url, trust=made, tls_name="kubernetes")) as api:
        assert await api.get(NODES)


async def test_a_client_certificate_is_shown_and_a_new_one_used_without_a_restart(
    secure, authority
):
    clients = trustme.CA()
    _, url = await secure(tls(authority, clients=clients))
    shown = [trustme.CA().issue_cert("stranger"), clients.issue_cert("railyard")]

    def pair():
        leaf = shown[0]
        return leaf.cert_chain_pems[0].bytes(), leaf.private_key_pem.bytes()

    made = tls_context.TlsTrust(authority=pem(authority), certificate=pair)
    async with client.Client(endpoint.Server(url=url, trust=made)) as api:
        with pytest.raises(errors.UnreachableError):
            await api.get(NODES)
        shown.pop(0)
        assert await api.get(NODES)


@pytest.mark.parametrize("url", ["http://10.0.0.1:8080", "http://api.example"])
def test_plain_http_is_for_this_machine_only(url):
    with pytest.raises(errors.ConfigError, match="this machine only"):
        client.Client(endpoint.Server(url=url))
