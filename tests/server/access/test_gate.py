"""Who may ask on the admin port, over HTTP; the API server that is asked is a fake one."""

import asyncio
import dataclasses
import ssl

import aiohttp
import pytest
import trustme

from extender.errors import ConfigError
from extender.settings import AdminAccess, Tls
from tests.kit.rigs.gate_server import opened, status

TOKEN = "correct-horse-battery"  # noqa: S105 - of nothing


OTHER = "another-horse-battery"


QUESTIONS = ["/metrics", "/v1/topology", "/v1/explain?pod=ml/train", "/v1/echo", "/nothing"]


PROBES = ["/livez", "/readyz", "/readyz?verbose"]


KUBERNETES = AdminAccess(kubernetes=True)


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


# ---------------------------------------------------------------- tokens of a file


@pytest.fixture
def tokens(tmp_path):
    file = tmp_path / "tokens"
    file.write_text(f"# the scraper\n{TOKEN}\n\n")
    return file


async def test_probes_need_no_token(tokens):
    async with opened(AdminAccess(token_file=tokens)) as sites:
        for path in PROBES:
            assert await status(sites, path) == 200
            assert await status(sites, path, headers={"Host": "evil.example"}) == 200


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="none"),
        pytest.param(bearer(OTHER), id="another"),
        pytest.param(bearer(TOKEN[:-1]), id="a part"),
        pytest.param(bearer(""), id="an empty one"),
        pytest.param({"Authorization": TOKEN}, id="no scheme"),
        pytest.param({"Authorization": "Basic !!!"}, id="no base64"),
        pytest.param(bearer("ärger-ärger-ärger-ärger"), id="no ASCII"),
    ],
)
async def test_without_the_token_nothing_is_answered(tokens, headers):
    async with opened(AdminAccess(token_file=tokens)) as sites:
        for path in QUESTIONS:
            assert await status(sites, path, headers=headers) == 401


async def test_with_the_token_questions_are_answered_also_as_a_password(tokens):
    async with opened(AdminAccess(token_file=tokens)) as sites:
        assert await status(sites, headers=bearer(TOKEN)) == 200
        assert await status(sites, "/metrics", headers=bearer(TOKEN)) == 200
        assert await status(sites, headers={"Authorization": f"bearer  {TOKEN}"}) == 200
        password = aiohttp.encode_basic_auth("anybody", TOKEN)
        assert await status(sites, headers={"Authorization": password}) == 200


async def test_a_refusal_says_how_to_ask(tokens):
    async with (
        opened(AdminAccess(token_file=tokens)) as sites,
        aiohttp.ClientSession() as session,
        session.get(f"http://{sites.admin_bound}/metrics") as response,
    ):
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
        assert "Basic" in response.headers["WWW-Authenticate"]
        assert await response.json() == {"error": "show a bearer token"}


async def test_a_rotated_token_is_noticed_and_a_broken_file_changes_nothing(tokens):
    async with opened(AdminAccess(token_file=tokens)) as sites:
        tokens.write_text("")
        await asyncio.sleep(1.1)
        assert await status(sites, headers=bearer(TOKEN)) == 200
        tokens.write_text(f"{OTHER}\n")
        await asyncio.sleep(1.1)
        assert await status(sites, headers=bearer(OTHER)) == 200
        assert await status(sites, headers=bearer(TOKEN)) == 401


@pytest.mark.parametrize("text", ["", "# nobody\n", "short\n", "ä" * 70_000])
async def test_a_file_that_lets_nobody_in_is_an_error_at_the_start(tmp_path, text):
    file = tmp_path / "tokens"
    file.write_text(text)
    with pytest.raises(ConfigError):
        async with opened(AdminAccess(token_file=file)):
            pass


# ---------------------------------------------------------------- client certificates


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def secured(authority, folder, **given):
    pair = authority.issue_cert("127.0.0.1")
    for name, blob in (("tls.crt", pair.cert_chain_pems[0]), ("tls.key", pair.private_key_pem)):
        blob.write_to_path(str(folder / name))
    authority.cert_pem.write_to_path(str(folder / "ca.crt"))
    tls = Tls(folder / "tls.crt", folder / "tls.key", clients_optional=True)
    return dataclasses.replace(tls, **given)


def caller(authority, name=None):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if name:
        authority.issue_cert(name, common_name=name).configure_cert(context)
    return context


async def test_a_client_certificate_lets_in_and_probes_need_none(authority, tmp_path):
    names = frozenset({"prometheus"})
    tls = secured(authority, tmp_path, client_ca=tmp_path / "ca.crt", client_names=names)
    async with opened(AdminAccess(tls=tls)) as sites:
        known, wrong = caller(authority, "prometheus"), caller(authority, "grafana")
        nobody = caller(authority)
        assert await status(sites, scheme="https", ssl=known) == 200
        assert await status(sites, scheme="https", ssl=wrong) == 403
        assert await status(sites, scheme="https", ssl=nobody) == 403
        for path in PROBES:
            assert await status(sites, path, scheme="https", ssl=nobody) == 200


async def test_without_names_any_certificate_of_the_authority_will_do(authority, tmp_path):
    tls = secured(authority, tmp_path, client_ca=tmp_path / "ca.crt")
    async with opened(AdminAccess(tls=tls)) as sites:
        assert await status(sites, scheme="https", ssl=caller(authority, "anybody")) == 200
        assert await status(sites, scheme="https", ssl=caller(authority)) == 403
        context = caller(authority)
        trustme.CA().issue_cert("prometheus").configure_cert(context)
        with pytest.raises(aiohttp.ClientError):
            await status(sites, scheme="https", ssl=context)


async def test_a_token_lets_in_where_there_is_no_certificate(authority, tmp_path, tokens):
    tls = secured(authority, tmp_path, client_ca=tmp_path / "ca.crt")
    async with opened(AdminAccess(tls=tls, token_file=tokens)) as sites:
        nobody = caller(authority)
        assert await status(sites, scheme="https", ssl=nobody, headers=bearer(TOKEN)) == 200
        assert await status(sites, scheme="https", ssl=nobody) == 401


# ---------------------------------------------------------------- the API server


@pytest.mark.parametrize(
    ("token", "method", "path", "expected"),
    [
        pytest.param("scraper-token", "GET", "/metrics", 200, id="the scraper scrapes"),
        pytest.param("scraper-token", "HEAD", "/metrics", 200, id="HEAD is a kind of GET"),
        pytest.param("scraper-token", "GET", "/v1/topology", 403, id="and asks nothing else"),
        pytest.param("person-token", "GET", "/v1/topology", 200, id="people ask"),
        pytest.param("person-token", "GET", "/v1/echo?word=x", 200, id="the query is no path"),
        pytest.param("person-token", "POST", "/v1/explain", 403, id="POST is a verb of its own"),
        pytest.param("stranger", "GET", "/metrics", 401, id="nobody knows the token"),
        pytest.param("x" * 8000, "GET", "/metrics", 401, id="a long one"),
    ],
)
async def test_rbac_decides_by_verb_and_path(api, token, method, path, expected):
    json = {"Pod": {}} if method == "POST" else None
    async with opened(KUBERNETES, api) as sites:
        found = await status(sites, path, method=method, headers=bearer(token), json=json)
    assert found == expected


async def test_the_api_server_is_given_who_asks_for_what(server, api):
    async with opened(KUBERNETES, api) as sites:
        assert await status(sites, headers=bearer("person-token")) == 200
    token, access = server.reviewer.asked
    assert token == {"token": "person-token"}
    assert access["nonResourceAttributes"] == {"path": "/v1/topology", "verb": "get"}
    assert (access["user"], access["groups"]) == ("ana", ["people"])
    assert access["extra"] == {"a": ["b"]}


async def test_answers_are_kept_for_a_while(server, api):
    async with opened(KUBERNETES, api) as sites:
        for _ in range(3):
            assert await status(sites, headers=bearer("person-token")) == 200
            assert await status(sites, "/metrics", headers=bearer("stranger")) == 401
    assert len(server.reviewer.asked) == 3  # two for the person, one for the stranger


async def test_who_was_let_in_stays_so_while_the_api_server_is_away(server, api, monkeypatch):
    from extender.server.access import reviews  # noqa: PLC0415 - only its patience is changed

    monkeypatch.setattr(reviews, "_ALLOWED_SECONDS", 0.0)
    async with opened(KUBERNETES, api) as sites:
        assert await status(sites, headers=bearer("person-token")) == 200
        await server.stop()
        assert await status(sites, headers=bearer("person-token")) == 200
        assert await status(sites, "/metrics", headers=bearer("scraper-token")) == 503
        assert await status(sites, "/livez") == 200


async def test_a_missing_permission_of_ours_is_reported(server, api):
    server.reviewer = None
    async with (
        opened(KUBERNETES, api) as sites,
        aiohttp.ClientSession(headers=bearer("person-token")) as session,
        session.get(f"http://{sites.admin_bound}/metrics") as response,
    ):
        assert response.status == 503
        assert "TokenReviews" in (await response.json())["error"]
