"""The command line asks a running service through the API server's service proxy."""

import asyncio
import json
import os

import pytest

from extender import __main__
from extender.cli import entry
from tests.kit import apiserver, kubeconfigs

PROXY = "/api/v1/namespaces/ops/services/rail:admin/proxy"
NONE = {"candidate": None, "refused": None}


@pytest.fixture
async def server():
    async with apiserver.ApiServer() as made:
        yield made


@pytest.fixture
def ask(server, tmp_path, monkeypatch):
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(kubeconfigs.of(server.url)))
    monkeypatch.setenv("KUBECONFIG", str(path))

    async def run(*arguments):
        return await asyncio.to_thread(entry.main, arguments)

    return run


async def test_a_service_is_asked_with_the_rights_of_the_kubeconfig(server, ask, capsys):
    server.proxied[f"{PROXY}/v1/shadow"] = 200, NONE

    status = await ask("shadow", "--url", "k8s://ops/rail")

    assert (status, capsys.readouterr().out) == (
        1,
        "No candidate policy is tried: there is none.\n",
    )
    assert server.requests[-1].path == f"{PROXY}/v1/shadow"


async def test_parameters_reach_the_service(server, ask, capsys):
    server.proxied[f"{PROXY}/v1/why"] = 404, {"error": "no pod ml/p is known here"}

    status = await ask("why", "ml/p", "--node", "a", "--url", "k8s://ops/rail")

    assert status == 2
    assert "404" in capsys.readouterr().err
    assert server.requests[-1].query == {"pod": "ml/p", "node": "a"}


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("k8s://rail", "write k8s://NAMESPACE/SERVICE[:PORT]"),
        ("k8s:///rail", "write k8s://NAMESPACE/SERVICE[:PORT]"),
        ("k8s://ops/a/b", "write k8s://NAMESPACE/SERVICE[:PORT]"),
        ("k8s://ops/another", "404"),
    ],
)
async def test_what_cannot_be_asked_is_reported_in_a_sentence(ask, capsys, url, words):
    assert await ask("policy", "--url", url) == 2

    reported = capsys.readouterr().err
    assert words in reported
    assert reported.startswith("railyard: the service cannot be asked")


def test_as_a_plugin_of_kubectl_the_service_of_the_cluster_is_meant(monkeypatch):
    environment = {"KUBECONFIG": "/nowhere", "PATH": os.environ["PATH"]}
    monkeypatch.setattr("os.environ", environment)
    monkeypatch.setattr("sys.argv", ["kubectl-railyard", "policy"])
    monkeypatch.setattr("signal.signal", lambda *_: None)

    assert __main__.plugin() == 2
    assert environment["RAILYARD_URL"] == "k8s://railyard/railyard"
