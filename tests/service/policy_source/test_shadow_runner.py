"""A candidate policy beside a service: from file or ConfigMap, over HTTP, and what it tells."""

import asyncio

import aiohttp
import orjson
import pytest

from extender import settings
from extender.cli import entry, shadow_command
from extender.kube.api import objects
from extender.policy import config
from extender.service import live
from extender.service.policy_source import shadow_runner
from tests.kit import worlds
from tests.kit.services import FREE

SNAPSHOT = settings.embedded("demo") / "snapshot.json"
ITEMS = orjson.loads(SNAPSHOT.read_bytes())["items"]
NODES = sorted(item["metadata"]["name"] for item in ITEMS if item["kind"] == "Node")
POD = next(
    item for item in ITEMS if item["kind"] == "Pod" and item["metadata"]["name"] == "train-0"
)
CANDIDATE = "profiles: [{name: default, locality: {weight: 0}}]"


def config_map(**data):
    return objects.ConfigMap(metadata=objects.ObjectMeta(name="p", namespace="ops"), data=data)


@pytest.fixture
def beside():
    judging = worlds.engine()
    return shadow_runner.ShadowRunner(lambda: judging, lambda: True)


def test_a_key_of_the_config_map_is_the_candidate_until_it_goes(beside):
    beside.see(config_map(**{shadow_runner.KEY: CANDIDATE}))
    assert beside.as_json()["candidate"]["source"] == "shadow.yaml of the ConfigMap"

    beside.see(config_map(**{"policy.yaml": "{}"}))
    assert beside.as_json()["candidate"] is None

    beside.see(config_map(**{shadow_runner.KEY: CANDIDATE}))
    beside.see(None)
    assert beside.as_json()["candidate"] is None


def test_a_broken_candidate_is_reported_and_not_tried(beside):
    beside.see(config_map(**{shadow_runner.KEY: "profiles: [{weight: 1}]"}))

    found = beside.as_json()
    assert found["candidate"] is None
    assert "profiles[0]" in found["refused"]
    assert shadow_command.lines(found)[0].startswith(
        "No candidate policy is tried: it is refused: "
    )


async def call(client, port, verb, names):
    body = orjson.dumps({"Pod": POD, "NodeNames": names})
    headers = {"Content-Type": "application/json"}
    url = f"http://127.0.0.1:{port}/{verb}"
    async with client.post(url, data=body, headers=headers) as answer:
        return orjson.loads(await answer.read())


async def reported(client, port):
    async with client.get(f"http://127.0.0.1:{port}/v1/shadow") as answer:
        return orjson.loads(await answer.read())


async def test_live_requests_are_judged_after_their_replies(tmp_path, capsys):
    path = tmp_path / "candidate.yaml"
    path.write_text(CANDIDATE)
    chosen = settings.Settings(snapshot=(SNAPSHOT,), bind=FREE, admin_bind=FREE, shadow_policy=path)
    async with live.opened(chosen) as sites, aiohttp.ClientSession() as client:
        admin = sites.admin_bound.port
        async with asyncio.timeout(60):
            while "judged" not in (await reported(client, admin)):  # noqa: ASYNC110 - a probe
                await asyncio.sleep(0.05)
            while (found := await reported(client, admin))["judged"] < 3:
                passing = (await call(client, sites.bound.port, "filter", NODES))["NodeNames"]
                scores = await call(client, sites.bound.port, "prioritize", passing)
                assert [each["Host"] for each in scores] == passing
                await asyncio.sleep(0.1)
        assert found["failed"] == 0
        assert found["candidate"]["hash"] != found["beside"] == config.fingerprint(config.DEFAULT)
        assert len(found["differences"]) == found["judged"] - found["agreed"]
        async with client.get(f"http://127.0.0.1:{admin}/shadow") as answer:
            assert answer.status == 200
            page = await answer.text()
        status = await asyncio.to_thread(entry.main, ["shadow", "--url", f"127.0.0.1:{admin}"])

    assert found["candidate"]["hash"] in page
    assert f"{found['judged']}" in page
    assert "locality.weight" in page  # a field that the candidate writes otherwise
    printed = capsys.readouterr().out
    assert status == 0
    assert "decisions judged" in printed
    assert max(len(line) for line in printed.splitlines() if str(path) not in line) <= 80
