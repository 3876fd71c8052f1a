import asyncio
import datetime as dt
import json
import os
import sys

import pytest

from extender import errors
from extender.kube.auth import credentials
from tests.kit.clock import Clock

V1 = "client.authentication.k8s.io/v1"
NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def token(tmp_path):
    path = tmp_path / "token"
    path.write_text("one\n")
    return path


async def test_a_token_is_read_again_after_50_seconds_and_trimmed(token, clock):
    source = credentials.TokenFile(str(token), clock=clock)
    assert await source.authorization() == "Bearer one"
    token.write_text("  two \n")
    clock.advance(49)
    assert await source.authorization() == "Bearer one"
    clock.advance(1)
    assert await source.authorization() == "Bearer two"


@pytest.mark.parametrize("damage", ["gone", "empty", "binary", "two lines"])
async def test_a_token_is_kept_while_its_file_cannot_be_read(token, clock, damage):
    source = credentials.TokenFile(str(token), clock=clock)
    await source.authorization()
    clock.advance(60)
    if damage == "gone":
        token.unlink()
    else:
        texts = {"empty": b"\n", "binary": b"\xff\xfe", "two lines": b"a\nb"}
        token.write_bytes(texts[damage])
    assert await source.authorization() == "Bearer one"
    token.write_text("two")
    assert await source.authorization() == "Bearer two"


async def test_a_token_file_that_never_was_is_an_error(tmp_path, clock):
    source = credentials.TokenFile(str(tmp_path / "none"), clock=clock)
    with pytest.raises(errors.CredentialsError, match="none"):
        await source.authorization()


async def test_a_rejected_token_is_read_again_at_once(token, clock):
    source = credentials.TokenFile(str(token), clock=clock)
    header = await source.authorization()
    token.write_text("two")
    source.rejected(header)
    assert await source.authorization() == "Bearer two"


async def test_a_late_rejection_of_an_older_token_changes_nothing(token, clock):
    source = credentials.TokenFile(str(token), clock=clock)
    await source.authorization()
    token.write_text("two")
    source.rejected("Bearer zero")
    assert await source.authorization() == "Bearer one"


# ---------------------------------------------------------------- exec plugins


class Plugin:
    """A program that prints what `answers` says, a line a run, and notes how it was called."""

    def __init__(self, folder):
        self.answers = folder / "answers"
        self.calls = folder / "calls"
        self.script = folder / "plugin.py"
        self.calls.write_text("")
        self.script.write_text(
            "import os, pathlib, sys\n"
            f"calls = pathlib.Path({str(self.calls)!r})\n"
            "count = len(calls.read_text().splitlines())\n"
            f"answers = pathlib.Path({str(self.answers)!r}).read_text().splitlines()\n"
            "with calls.open('a') as file:\n"
            "    print(os.environ['KUBERNETES_EXEC_INFO'], file=file)\n"
            "print(answers[min(count, len(answers) - 1)].replace('$WORD', os.environ['WORD']))\n"
        )

    def answer(self, *statuses, kind="ExecCredential", version=V1):
        bodies = [{"kind": kind, "apiVersion": version, "status": each} for each in statuses]
        self.answers.write_text("\n".join(map(json.dumps, bodies)))

    def source(self, now=lambda: NOON, cluster=None):
        command = credentials.Command(
            arguments=(sys.executable, str(self.script)),
            environment={"WORD": "secret"},
            api_version=V1,
            cluster=cluster,
        )
        return credentials.ExecPlugin(command, now=now)

    @property
    def infos(self):
        return [json.loads(each) for each in self.calls.read_text().splitlines()]


@pytest.fixture
def plugin(tmp_path):
    return Plugin(tmp_path)


async def test_a_plugin_runs_once_for_all_who_ask(plugin):
    plugin.answer({"token": "$WORD-1"}, {"token": "$WORD-2"})
    source = plugin.source()
    found = await asyncio.gather(*(source.authorization() for _ in range(5)))
    assert found == ["Bearer secret-1"] * 5
    assert plugin.infos == [
        {"apiVersion": V1, "kind": "ExecCredential", "spec": {"interactive": False}}
    ]


async def test_a_plugin_runs_again_shortly_before_its_credential_ends(plugin):
    end = "2026-01-01T12:10:00Z"
    plugin.answer({"token": "1", "expirationTimestamp": end}, {"token": "2"})
    now = [NOON]
    source = plugin.source(now=lambda: now[0])
    assert await source.authorization() == "Bearer 1"
    now[0] = NOON + dt.timedelta(minutes=9, seconds=49)
    assert await source.authorization() == "Bearer 1"
    now[0] = NOON + dt.timedelta(minutes=9, seconds=50)
    assert await source.authorization() == "Bearer 2"


@pytest.mark.parametrize("end", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", None])
async def test_an_end_at_the_edge_of_time_is_no_trouble(plugin, end):
    plugin.answer({"token": "1", **({"expirationTimestamp": end} if end else {})})
    source = plugin.source()
    assert [await source.authorization() for _ in range(2)] == ["Bearer 1"] * 2


async def test_a_plugin_runs_again_after_a_rejection_of_its_last_token_only(plugin):
    plugin.answer({"token": "1"}, {"token": "2"})
    source = plugin.source()
    await source.authorization()
    source.rejected("Bearer 0")
    assert await source.authorization() == "Bearer 1"
    source.rejected("Bearer 1")
    assert await source.authorization() == "Bearer 2"


async def test_a_plugin_may_bring_a_certificate(plugin):
    plugin.answer({"clientCertificateData": "CERT", "clientKeyData": "KEY"})
    source = plugin.source()
    assert source.certificate is None
    assert await source.authorization() == ""
    assert source.certificate == (b"CERT", b"KEY")


async def test_a_plugin_is_given_the_cluster_where_it_asks(plugin):
    plugin.answer({"token": "1"})
    await plugin.source(cluster={"server": "https://here"}).authorization()
    assert plugin.infos[0]["spec"]["cluster"] == {"server": "https://here"}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda plugin: plugin.answer({}), "neither a token nor a certificate"),
        (lambda plugin: plugin.answer({"clientKeyData": "KEY"}), "needs its key"),
        (lambda plugin: plugin.answer({"token": "x"}, kind="Pod"), "not .* ExecCredential"),
        (lambda plugin: plugin.answer({"token": "x"}, version="v0"), "printed v0"),
        (lambda plugin: plugin.answer({"token": 5}), "not an ExecCredential"),
        (lambda plugin: plugin.answers.write_text("token: x"), "not an ExecCredential"),
        (lambda plugin: plugin.answers.write_text("[" * 100_000), "not an ExecCredential"),
        (lambda plugin: plugin.answer(None), "not an ExecCredential"),
        (lambda plugin: plugin.answer({"token": "a\r\nX-Forged: b"}), "no token has"),
        (
            lambda plugin: plugin.answer(
                {"token": "x", "expirationTimestamp": "2026-01-01T12:10:00"}
            ),
            "timezone",
        ),
        (
            lambda plugin: plugin.answer({"token": "x", "expirationTimestamp": "tomorrow"}),
            "expirationTimestamp",
        ),
        (lambda plugin: plugin.script.write_text("import sys; sys.exit('no VPN')"), "no VPN"),
    ],
)
async def test_a_plugin_that_fails_is_an_error_and_runs_again(plugin, answer, words):
    answer(plugin)
    source = plugin.source()
    with pytest.raises(errors.CredentialsError, match=words):
        await source.authorization()
    Plugin(plugin.script.parent).answer({"token": "better"})
    assert await source.authorization() == "Bearer better"


async def test_a_plugin_that_is_not_installed_says_how_to_get_it():
    command = credentials.Command(
        arguments=("/nowhere/plugin",), environment={}, api_version=V1, hint="ask your admin"
    )
    with pytest.raises(errors.CredentialsError, match="ask your admin"):
        await credentials.ExecPlugin(command).authorization()


async def test_a_plugin_that_hangs_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(credentials, "_PLUGIN_SECONDS", 0.5)
    mark = tmp_path / "pid"
    command = credentials.Command(
        arguments=("sh", "-c", f"echo $$ > {mark}; exec sleep 60"), environment={}, api_version=V1
    )
    with pytest.raises(errors.CredentialsError, match="no answer"):
        await credentials.ExecPlugin(command).authorization()
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


async def test_a_secret_in_a_plugins_broken_output_is_not_repeated(plugin):
    plugin.answers.write_text('{"status": {"token": "hunter2"}')
    with pytest.raises(errors.CredentialsError) as caught:
        await plugin.source().authorization()
    assert "hunter2" not in str(caught.value)
