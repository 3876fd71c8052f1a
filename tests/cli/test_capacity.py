"""Capacity from the command line and from the admin port of a running service."""

import asyncio
import json

import aiohttp
import pytest

from extender import cli, settings
from extender.service import live
from tests.kit.services import FREE


@pytest.fixture
def run(capsys):
    def command(*arguments):
        status = cli.main(["capacity", *arguments])
        said = capsys.readouterr()
        return status, said.out, said.err

    return command


def test_the_table_fits_eighty_columns(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")

    status, out, _ = run("--shape", "nvidia.com/gpu=8", "--shape", "gpu.nvidia.com=1")

    assert status == 0
    assert max(map(len, out.splitlines())) <= 80
    assert "5 more pods fit" in out
    assert "what blocks the next pod" in out


def test_a_pod_of_the_snapshot_is_counted_too(run):
    status, out, _ = run("--pod", "default/train-0", "-o", "json")

    assert status == 0
    assert json.loads(out)["shape"] == "pods like default/train-0"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ((), 2, "give --shape"),
        (("--shape", "gpu"), 2, "a shape is NAME=COUNT"),
        (("--shape", "amd.com/gpu=64"), 1, ""),
        (("--shape", "cpu=1", "--url", "127.0.0.1:1"), 2, "cannot be asked"),
        (("--shape", "cpu=1", "--url", "127.0.0.1:1", "--snapshot", "x"), 2, "contradict"),
        (("--shape", "cpu=1", "--url", "file:///etc/passwd"), 2, "is no http address"),
    ],
)
def test_the_exit_status_says_whether_some_fit(run, arguments, status, said):
    found, _, err = run(*arguments)

    assert found == status
    assert said in err


@pytest.fixture
async def site():
    chosen = settings.Settings(snapshot=(settings.embedded("demo"),), bind=FREE, admin_bind=FREE)
    async with live.opened(chosen) as sites:
        yield str(sites.admin_bound)


async def asked(site, query):
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{site}/v1/capacity{query}") as response,
    ):
        return response.status, json.loads(await response.read())


async def test_a_service_counts_as_a_snapshot_does(site, run):
    _, out, _ = run("--shape", "nvidia.com/gpu=1,cpu=4", "-o", "json")

    status, found = await asked(site, "?shape=nvidia.com/gpu=1,cpu=4")

    offline = json.loads(out)
    assert status == 200
    assert found | {"generation": 0} == offline | {"generation": 0}


async def test_the_command_asks_a_service(site, run):
    status, out, _ = await asyncio.to_thread(run, "--url", site, "--shape", "nvidia.com/gpu=8")

    assert status == 0
    assert "5 more pods fit" in out


async def test_a_drain_is_reported_by_a_service_as_by_a_snapshot(site, run):
    _, out, _ = run("--shape", "nvidia.com/gpu=4", "--drain", "dgx-a100-1", "-o", "json")

    status, found = await asked(site, "?shape=nvidia.com/gpu=4&drain=dgx-a100-1")

    drained = json.loads(out)["drained"]
    assert status == 200
    assert found["drained"] == drained
    assert len(drained["moved"]) == 2
    assert "" not in {each["node"] for each in drained["moved"]}
    assert drained["freed"] == 2
    assert drained["fits_elsewhere"] == 16


QUESTIONS = {
    "?shape=cpu=1&drain=nope": (400, "nope: no such node"),
    "": (400, "name the shape"),
    "?shape=x": (400, "a shape is NAME=COUNT"),
    "?shape=nope.example=1": (400, "could not retrieve device class"),
    "?pod=a/b": (404, "no pod a/b"),
    "?pod=a": (404, "no pod a"),
    "?shape=cpu=1&pod=a/b": (400, "name the shape"),
    "?shap=cpu=1": (400, "unknown parameter 'shap'"),
}


async def test_a_question_that_cannot_be_answered_says_why(site):
    for query, (status, why) in QUESTIONS.items():
        found, body = await asked(site, query)
        assert (found, why in body["error"]) == (status, True), (query, body)
