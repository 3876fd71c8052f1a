"""Signals at any moment of the start, while serving and offline."""

import asyncio
import os
import signal

import pytest
import yaml

SERVE = ("serve", "--bind", "127.0.0.1:0", "--admin-bind", "127.0.0.1:0")
GPU_POD = {
    "metadata": {"name": "p", "namespace": "d", "uid": "u"},
    "spec": {"containers": [{"resources": {"limits": {"nvidia.com/gpu": "1"}}}]},
}


# ---------------------------------------------------------------- signals


@pytest.fixture
def pipe(tmp_path):
    """A file that never ends: whoever opens it waits for a writer."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


@pytest.mark.parametrize(
    ("stuck", "number"),
    [
        ("imports", signal.SIGTERM),
        ("imports", signal.SIGINT),
        ("policy", signal.SIGTERM),
        ("certificate", signal.SIGINT),
        ("kubeconfig", signal.SIGTERM),
        ("snapshot", signal.SIGINT),
    ],
)
async def test_a_signal_ends_whatever_the_start_is_at(start, pipe, tmp_path, stuck, number):
    small = tmp_path / "node.yaml"
    small.write_text("{apiVersion: v1, kind: Node, metadata: {name: a}}")
    arguments = {
        "imports": ("--snapshot", small),
        "policy": ("--snapshot", small, "--policy", pipe),
        "certificate": ("--snapshot", small, "--tls-certificate", pipe, "--tls-key", pipe),
        "kubeconfig": ("--kubeconfig", pipe),
        "snapshot": ("--snapshot", pipe),
    }
    railyard = await start(*SERVE, *arguments[stuck])
    if stuck == "snapshot":
        await railyard.listening()
        assert (await railyard.get("/livez"))[0] == 200
        assert (await railyard.get("/readyz"))[1]["waiting"] == {"the snapshot": "is being read"}
    else:
        await railyard.handling(signal.SIGTERM)
        await asyncio.sleep(0.2 if stuck == "imports" else 4)
    railyard.signal(number)
    assert await railyard.ended(20) == 0
    assert railyard.sentences == []


async def test_a_snapshot_ends_at_once(start, tmp_path):
    small = tmp_path / "node.yaml"
    small.write_text("{apiVersion: v1, kind: Node, metadata: {name: a}}")
    railyard = await (await start(*SERVE, "--snapshot", small)).listening()
    await railyard.ready()
    railyard.signal(signal.SIGINT)
    assert await railyard.ended(4) == 0
    assert railyard.sentences == []


async def test_a_drain_is_cut_short_by_a_second_signal(start, server, kubeconfig):
    arguments = (*SERVE, "--announce-seconds", "60", "--kubeconfig", kubeconfig(server.url))
    railyard = await (await start(*arguments)).listening()
    await railyard.ready()
    railyard.signal(signal.SIGTERM)
    await railyard.saying("stopping")
    assert (await railyard.get("/readyz"))[1]["closing"]
    railyard.signal(signal.SIGINT)
    assert await railyard.ended(10) == 128 + signal.SIGINT
    assert railyard.sentences == []


async def test_a_question_asked_offline_ends_on_ctrl_c_without_a_trace(start, pipe, tmp_path):
    manifest = tmp_path / "pod.yaml"
    manifest.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Pod", **GPU_POD}))
    asked = await start("explain", "--snapshot", pipe, "--pod", manifest)
    await asyncio.sleep(4)
    asked.signal(signal.SIGINT)
    assert await asked.ended(10) == 128 + signal.SIGINT
    assert asked.said == ""
