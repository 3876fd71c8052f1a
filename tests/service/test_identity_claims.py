"""A claim on what tells devices apart is answered beside the states, and leaves none behind."""

import asyncio
import json

import aiohttp
import pytest

from extender import settings
from extender.kube.watch import informers
from extender.service import live
from tests.kit import apiserver, builders, kubeconfigs

FREE = settings.Address("127.0.0.1", 0)
PATHS = {wanted.kind: wanted.at(wanted.versions[0]).path for wanted in informers.KINDS}
DRIVER = "gpu.example.com"
NODES = [f"n{number}" for number in range(6)]
SELECTORS = [
    (f'device.attributes["{DRIVER}"].uuid == "n3-1"', {"n3"}),
    (f'device.attributes["{DRIVER}"].uuid.endsWith("-1")', set(NODES)),
    ("device.attributes.exists(d, true)", set(NODES)),
]


def put(server, made):
    body = made.body
    meta = dict(body["metadata"])
    rest = {name: value for name, value in body.items() if name not in {"metadata", "kind"}}
    rest.pop("apiVersion", None)
    name, namespace = meta.pop("name"), meta.pop("namespace", "")
    server.put(PATHS[made.kind], name, namespace=namespace, metadata=meta, **rest)


def fleet(server):
    for wanted in informers.KINDS:
        server.add(PATHS[wanted.kind], wanted.kind, wanted.versions[0])
    put(server, builders.make_class("gpus", f'device.driver == "{DRIVER}"'))
    put(server, builders.make_claim("plain").request("r", "gpus"))
    for name in NODES:
        made = builders.make_slice(f"{name}-gpus", DRIVER).on(name)
        for place in range(2):
            made.device(f"gpu-{place}", uuid=f"{name}-{place}", model="M")
        put(server, builders.make_node(name))
        put(server, made)


class Service:
    def __init__(self, sites, client):
        self._verbs = f"http://127.0.0.1:{sites.bound.port}"
        self._admin = f"http://127.0.0.1:{sites.admin_bound.port}"
        self._client = client

    async def ready(self):
        async with asyncio.timeout(20):
            while True:
                async with self._client.get(f"{self._admin}/readyz") as answer:
                    if answer.status == 200:
                        return
                await asyncio.sleep(0.02)

    async def figure(self, series):
        async with self._client.get(f"{self._admin}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        return next(float(line.split(" ")[-1]) for line in lines if line.startswith(series))

    async def filter(self, claim):
        pod = builders.make_pod(claim).claim(claim).body
        body = {"Pod": pod, "NodeNames": NODES}
        async with self._client.post(f"{self._verbs}/filter", json=body) as answer:
            return await answer.read()


@pytest.mark.parametrize(("selector", "passing"), SELECTORS)
async def test_such_a_claim_makes_no_state_for_each_node_and_changes_no_other_verdict(
    tmp_path, selector, passing
):
    async with apiserver.ApiServer() as server:
        fleet(server)
        path = tmp_path / "kubeconfig"
        path.write_text(json.dumps(kubeconfigs.of(server.url)))
        chosen = settings.Settings(kubeconfig=path, bind=FREE, admin_bind=FREE)
        async with live.opened(chosen) as sites, aiohttp.ClientSession() as client:
            service = Service(sites, client)
            await service.ready()
            before = await service.filter("plain")
            # What the claim leaves of a node, and of one where it is reserved; no node of its own.
            most = await service.figure("railyard_index_states") + 2

            own = builders.make_claim("own").request("r", "gpus", selectors=[selector])
            put(server, own)
            async with asyncio.timeout(20):
                while set(json.loads(await service.filter("own"))["NodeNames"]) != passing:  # noqa: ASYNC110 - a probe
                    await asyncio.sleep(0.02)
            assert await service.filter("plain") == before
            assert await service.figure("railyard_index_states") <= most

            server.delete(
                PATHS["ResourceClaim"], "own", namespace=own.body["metadata"]["namespace"]
            )
            async with asyncio.timeout(20):
                while await service.figure('railyard_objects{kind="ResourceClaim"}') != 1:  # noqa: ASYNC110 - a probe
                    await asyncio.sleep(0.02)
            assert await service.filter("plain") == before
            assert await service.figure("railyard_index_states") <= most
