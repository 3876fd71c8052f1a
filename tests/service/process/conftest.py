"""The process that an operator starts, and an API server that it can read."""

import asyncio
import contextlib
import json
import os
import pathlib
import sys

import pytest

from extender.kube.watch import informers
from tests.kit import apiserver, kubeconfigs
from tests.kit.rigs.started_process import Process

ROOT = pathlib.Path(__file__).resolve().parents[3]


@pytest.fixture
async def start():
    """Start `railyard` with these arguments; whatever still runs at the end is killed."""
    running = []

    async def begin(*arguments, **environment):
        made = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "extender", *map(str, arguments)),
            cwd=ROOT,
            env={
                **{k: v for k, v in os.environ.items() if not k.startswith("KUBERNETES_SERVICE")},
                **environment,
            },
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        running.append(Process(made))
        return running[-1]

    yield begin
    for each in running:
        with contextlib.suppress(ProcessLookupError):
            each.process.kill()
        await each.ended()


@pytest.fixture
async def server():
    async with apiserver.ApiServer() as made:
        for wanted in informers.KINDS:
            made.add(wanted.at(wanted.versions[0]).path, wanted.kind, wanted.versions[0])
        made.put("/api/v1/nodes", "a")
        yield made


@pytest.fixture
def kubeconfig(tmp_path):
    def write(url):
        path = tmp_path / "kubeconfig"
        path.write_text(json.dumps(kubeconfigs.of(url)))
        return path

    return write
