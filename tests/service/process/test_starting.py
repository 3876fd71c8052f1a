"""The process as an operator starts and stops it: ports, sentences, exit statuses, signals."""

import json
import re
import signal
import socket

import pytest

from extender import cli
from tests.kit import apiserver

SERVE = ("serve", "--bind", "127.0.0.1:0", "--admin-bind", "127.0.0.1:0")
GPU_POD = {
    "metadata": {"name": "p", "namespace": "d", "uid": "u"},
    "spec": {"containers": [{"resources": {"limits": {"nvidia.com/gpu": "1"}}}]},
}


# ---------------------------------------------------------------- before the cluster is read


@pytest.mark.parametrize("way", ["down", "never answers", "500", "drips"])
async def test_without_an_api_server_the_ports_are_open_and_say_what_is_awaited(
    start, server, kubeconfig, way
):
    faults = {
        "never answers": apiserver.Fault(mute=True),
        "500": apiserver.refusal(500, "InternalError"),
        "drips": apiserver.Fault(body=b" " * 6000, then="drip"),
    }
    if way == "down":
        await server.stop()
    else:
        server.always = dict.fromkeys(("get", "list", "watchlist", "watch"), faults[way])
    railyard = await (await start(*SERVE, "--kubeconfig", kubeconfig(server.url))).listening()
    assert await railyard.get("/livez") == (200, {"live": True})
    status, answer = await railyard.get("/readyz")
    assert status == 503
    assert "the API server's version" in answer["waiting"]
    assert (await railyard.get("/v1/explain?pod=d/p"))[0] == 503
    assert (await railyard.filter(GPU_POD))[1]["Error"].startswith("Railyard is still reading: ")
    _, plain = await railyard.filter({"metadata": {"name": "plain"}, "spec": {}})
    assert (plain["Error"], plain["NodeNames"]) == ("", ["a"])
    if way in {"down", "500"}:
        await railyard.saying("the API server http://")
        assert "Traceback" not in railyard.said
        if way == "down":
            await server.start()
        server.always = {}
        await railyard.ready()
    railyard.signal(signal.SIGTERM)
    assert await railyard.ended(20) == 0
    assert railyard.sentences == []


@pytest.mark.parametrize(
    ("way", "words"), [("401", "401 Unauthorized"), ("403", "Node: 403 Forbidden")]
)
async def test_a_server_that_refuses_us_is_reported_and_then_ends_the_process(
    start, server, kubeconfig, way, words
):
    if way == "401":
        server.tokens = {"Bearer another"}
    else:
        server.forbidden.update({*server.collections, "/version"})
    railyard = await (await start(*SERVE, "--kubeconfig", kubeconfig(server.url))).listening()
    _, answer = await railyard.get("/readyz")
    assert answer["waiting"]
    assert await railyard.ended() == 2
    (sentence,) = railyard.sentences
    assert sentence.startswith(f"railyard: no access to the API server {server.url}: {words}")


async def test_an_exec_plugin_that_fails_is_reported_and_then_ends_the_process(
    start, server, kubeconfig, tmp_path
):
    path = kubeconfig(server.url)
    body = json.loads(path.read_text())
    version = "client.authentication.k8s.io/v1"
    plugin = {"command": "sh", "apiVersion": version, "args": ["-c", "echo no VPN >&2; exit 3"]}
    body["users"] = [{"name": "u", "user": {"exec": plugin}}]
    body["contexts"][0]["context"]["user"] = "u"
    path.write_text(json.dumps(body))
    railyard = await (await start(*SERVE, "--kubeconfig", path)).listening()
    assert await railyard.ended() == 2
    (sentence,) = railyard.sentences
    assert sentence.endswith("exec plugin sh ended with 3: no VPN")


async def test_a_permission_that_comes_late_is_used(start, server, kubeconfig):
    server.forbidden.update(server.collections)
    railyard = await (await start(*SERVE, "--kubeconfig", kubeconfig(server.url))).listening()
    await railyard.saying("403 Forbidden")
    server.forbidden.clear()
    await railyard.ready()


async def test_a_kind_that_is_refused_takes_only_itself_away(start, server, kubeconfig):
    topologies = "/apis/topology.node.k8s.io/v1alpha2/noderesourcetopologies"
    server.forbidden.add(topologies)
    railyard = await (await start(*SERVE, "--kubeconfig", kubeconfig(server.url))).listening()
    await railyard.ready()
    _, answer = await railyard.get("/readyz")
    assert "403 Forbidden" in answer["degraded"]["NodeResourceTopology"]
    assert "inferred" in answer["degraded"]["NodeResourceTopology"]


# ---------------------------------------------------------------- what the operator must mend


@pytest.fixture
def mistakes(tmp_path):
    """Name → arguments that cannot work."""
    taken = socket.create_server(("127.0.0.1", 0))
    address = f"127.0.0.1:{taken.getsockname()[1]}"
    small = tmp_path / "node.yaml"
    small.write_text("{apiVersion: v1, kind: Node, metadata: {name: a}}")
    torn = tmp_path / "torn.yaml"
    torn.write_text("a: [")
    yield {
        "a port in use": ("--snapshot", small, "--bind", address),
        "an admin port in use": ("--snapshot", small, "--admin-bind", address),
        "no such host": ("--snapshot", small, "--bind", "nowhere.invalid:80", "--insecure-bind"),
        "no snapshot": ("--snapshot", tmp_path / "none.yaml"),
        "a torn snapshot": ("--snapshot", torn),
        "no policy": ("--snapshot", small, "--policy", tmp_path / "none.yaml"),
        "no kubeconfig": ("--kubeconfig", tmp_path / "none"),
        "a torn kubeconfig": ("--kubeconfig", torn),
        "no certificate": (
            *("--snapshot", small, "--tls-certificate", tmp_path / "none.crt"),
            *("--tls-key", tmp_path / "none.key"),
        ),
        "not in a cluster": (),
        "a version": ("--snapshot", small, "--kubernetes-version", "latest"),
    }
    taken.close()


def test_what_must_be_mended_is_one_sentence_and_status_2(mistakes, capsys, monkeypatch):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    for name, arguments in mistakes.items():
        assert (name, cli.main([*SERVE, *map(str, arguments)])) == (name, 2)
        (sentence,) = (
            line for line in capsys.readouterr().err.splitlines() if not line.startswith("{")
        )
        assert sentence.startswith("railyard: ")
        assert "Errno" not in sentence
        if "port in use" in name:
            assert re.search(r"127\.0\.0\.1:\d+: address already in use", sentence)
