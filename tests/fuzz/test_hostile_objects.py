"""Whatever one object holds, the service lives and everybody else's verdicts stay as they are."""

import asyncio
import json
import logging
import secrets

import aiohttp
import msgspec
import pytest
from msgspec import inspect

from extender import settings
from extender.kube.api import objects
from extender.kube.watch import informers
from extender.service import live
from tests.fuzz import fuzz_objects, fuzz_wire
from tests.kit import apiserver, kubeconfigs
from tests.kit.generated import hostile_world

FREE = settings.Address("127.0.0.1", 0)
PATHS = {wanted.kind: wanted.at(wanted.versions[0]).path for wanted in informers.KINDS}


def fields_of(kind, seen):
    """The names in JSON of all fields below a type."""
    if isinstance(kind, inspect.UnionType):
        for member in kind.types:
            fields_of(member, seen)
    elif isinstance(kind, inspect.StructType):
        for field in kind.fields:
            seen.add(field.encode_name)
            fields_of(field.type, seen)
    elif isinstance(kind, inspect.DictType):
        fields_of(kind.value_type, seen)
    elif isinstance(kind, inspect.VarTupleType):
        fields_of(kind.item_type, seen)
    return seen


def keys_of(value):
    if isinstance(value, dict):
        return set(value).union(*map(keys_of, value.values()))
    return set().union(*map(keys_of, value)) if isinstance(value, list) else set()


@pytest.mark.parametrize("kind", sorted(hostile_world.odd()))
def test_every_field_that_is_read_stands_in_the_world(kind):
    wanted = fields_of(inspect.type_info(objects.KINDS[kind]), set())

    # What is said of an object that is too large is our own: no API server sends it.
    assert wanted - {"namespace", "tooLarge", "why", "total"} <= keys_of(hostile_world.odd()[kind])


def test_hostile_values_in_any_field_raise_nothing_and_change_nobody_elses_verdict():
    seed = secrets.randbelow(10**9)

    found, _ = fuzz_objects.run(150, seed, most=1)

    assert found == [], f"seed {seed}"


def test_mutated_bodies_are_answered_or_refused():
    seed = secrets.randbelow(10**9)

    found, outcomes = fuzz_wire.run(600, seed)

    assert found == [], f"seed {seed}"
    assert min(outcomes["answered"], outcomes["400"]) > 50  # it is not all refused at the door


# Objects as the API server stores them, or as only another server could send them.
HOSTILE = [
    pytest.param("Pod", {"spec": {"nodeName": "odd", "containers": [{"name": "m", "resources": {
        "requests": {"cpu": "10e399", "memory": "10e399", "nvidia.com/gpu": "10e399"}}}]}},
        False, id="a pod beyond a double"),
    pytest.param("Pod", {"metadata": {"annotations": {
        "railyard.dev/devices": "nvidia.com/gpu=" + "9" * 5000}}, "spec": {"nodeName": "odd",
        "containers": [{"resources": {"requests": {"nvidia.com/gpu": "2"}}}]}},
        False, id="an annotation of 5,000 digits"),
    pytest.param("Pod", {"spec": {"nodeName": "odd", "containers": [{"resources": {"requests": {
        "cpu": "0" * 80 + "64"}}}]}}, False, id="zeros before a number"),
    pytest.param("Pod", {"spec": {"priority": 2**63}}, True, id="a priority beyond 32 bits"),
    pytest.param("Node", {"status": {"allocatable": {"nvidia.com/gpu": "10e399"}}},
                 False, id="a node beyond a double"),
    pytest.param("Node", {"status": {"allocatable": {"cpu": "NaN"}}}, True, id="no quantity"),
    pytest.param("Node", {"status": {"x": msgspec.Raw(b"[" * 1_000_000 + b"]" * 1_000_000)}},
                 True, id="nested too deeply"),
    pytest.param("ResourceSlice", {"spec": {"driver": "odd.example.com", "nodeName": "odd", "pool":
        {"name": "odd", "generation": 1, "resourceSliceCount": 1}, "devices": [{"name": "d",
        "capacity": {"m": {"value": "100e4998"}, "n": {"value": "0" * 80 + "1Gi"}}}]}},
        False, id="a capacity beyond a double"),
    pytest.param("ResourceClaim", {"spec": {"devices": {"requests": [{"name": "r", "exactly": {
        "deviceClassName": "c", "count": 10**30}}]}}}, True, id="a count beyond 64 bits"),
    pytest.param("NodeResourceTopology", {"zones": [{"name": "node-" + "9" * 5000, "type": "Node",
        "resources": [{"name": "nvidia.com/gpu", "capacity": "8", "allocatable": "8",
                       "available": "8"}]}]}, False, id="a zone of 5,000 digits"),
]  # fmt: skip


CASES = [
    pytest.param(*each.values, when, id=f"{each.id}, {when}")
    for number, each in enumerate(HOSTILE)
    for when in ("before it starts", "while it runs")
    if when == "while it runs" or number in {0, 6}
]


def put(server, kind, name, body):
    meta = dict(body.get("metadata", {}))
    namespace = "ml" if kind in {"Pod", "ResourceClaim"} else ""
    fields = {key: value for key, value in body.items() if key != "metadata"}
    meta.pop("namespace", None)
    server.put(PATHS[kind], meta.pop("name", name), namespace=namespace, metadata=meta, **fields)


class Service:
    def __init__(self, sites, client):
        self._verbs = f"http://127.0.0.1:{sites.bound.port}"
        self._admin = f"http://127.0.0.1:{sites.admin_bound.port}"
        self._client = client

    async def readiness(self):
        async with self._client.get(f"{self._admin}/readyz") as answer:
            return answer.status, await answer.json()

    async def metrics(self):
        async with self._client.get(f"{self._admin}/metrics") as answer:
            return await answer.text()

    async def verdicts(self):
        found = []
        for pod in hostile_world.asked():
            body = {"Pod": pod, "NodeNames": list(fuzz_objects.NODES)}
            async with self._client.post(f"{self._verbs}/filter", json=body) as answer:
                found.append((answer.status, await answer.read()))
        return found

    async def until(self, condition):
        async with asyncio.timeout(20):
            while not condition(*await self.readiness()):  # noqa: ASYNC110 - a probe
                await asyncio.sleep(0.02)


def fill(server):
    """Have it serve all kinds, and objects that nothing is wrong with."""
    for wanted in informers.KINDS:
        server.add(PATHS[wanted.kind], wanted.kind, wanted.versions[0])
    for each, other in hostile_world.others():
        put(server, each, "", other)


@pytest.mark.parametrize(("kind", "body", "unreadable", "when"), CASES)
async def test_a_hostile_object_takes_only_itself_away(
    tmp_path, caplog, kind, body, unreadable, when
):
    async with apiserver.ApiServer() as server:
        fill(server)
        if when == "before it starts":
            put(server, kind, "bad", body)
        path = tmp_path / "kubeconfig"
        path.write_text(json.dumps(kubeconfigs.of(server.url)))
        chosen = settings.Settings(kubeconfig=path, bind=FREE, admin_bind=FREE)
        with caplog.at_level(logging.WARNING):
            async with live.opened(chosen) as sites, aiohttp.ClientSession() as client:
                service = Service(sites, client)
                await service.until(lambda status, _: status == 200)
                during = await service.verdicts()
                if when == "while it runs":
                    before, _ = during, put(server, kind, "bad", body)
                    put(server, "Node", "last", {})
                    if unreadable:
                        await service.until(
                            lambda _, reported: kind in reported.get("unreadable", {})
                        )
                    else:
                        await asyncio.sleep(0.2)
                    during = await service.verdicts()
                    assert during == before
                _, reported = await service.readiness()
                name = "ml/bad" if kind in {"Pod", "ResourceClaim"} else "bad"
                assert (name in reported.get("unreadable", {}).get(kind, {})) is unreadable
                count = f'railyard_unreadable_objects{{kind="{kind}"}} {float(unreadable)}'
                assert count in await service.metrics()
                server.delete(PATHS[kind], "bad", namespace="ml" if "/" in name else "")
                await service.until(
                    lambda status, reported: status == 200 and "unreadable" not in reported
                )
                assert await service.verdicts() == during
                assert "railyard_fail_open_total" in await service.metrics()
    reported = [text for text in caplog.messages if "left out" in text]
    assert [f"{kind} {name}" in line for line in reported] == [True] * unreadable
    assert not [record for record in caplog.records if record.exc_info]
