"""A live service without one of its kinds, or with a task that fails: what it still does."""

import asyncio
import contextlib
import json

import aiohttp
import pytest

from extender import settings
from extender.decisions import engine
from extender.kube.watch import informers
from extender.service import live
from tests.kit import apiserver, kubeconfigs
from tests.kit.builders import make_claim, make_class, make_node, make_pod, make_slice

FREE = settings.Address("127.0.0.1", 0)
GPU = "gpu.example.com"
PATHS = {each.kind: each.at(each.versions[0]).path for each in informers.KINDS}


class Service:
    """A service over a cluster of two nodes: `plugin` has a device plug-in, `slices` has DRA."""

    def __init__(self, server, sites, client):
        self.server = server
        self.client = client
        self.verbs = f"http://{sites.bound}"
        self.questions = f"http://{sites.admin_bound}"

    async def ready(self):
        async with asyncio.timeout(30):
            while (found := await self.get("/readyz"))[0] != 200:  # noqa: ASYNC110 - a probe
                await asyncio.sleep(0.02)
        return found[1]

    async def get(self, path):
        async with self.client.get(self.questions + path) as answer:
            return answer.status, await answer.json()

    async def metrics(self):
        async with self.client.get(self.questions + "/metrics") as answer:
            return await answer.text()

    async def passing(self, pod):
        body = {"Pod": pod, "NodeNames": ["plugin", "slices"]}
        async with self.client.post(self.verbs + "/filter", json=body) as answer:
            found = await answer.json()
            return found["Error"] or set(found["NodeNames"])


def put(server, builder):
    body = json.loads(json.dumps(builder.body))
    meta = body.pop("metadata")
    name, namespace = meta.pop("name"), meta.pop("namespace", "")
    server.put(PATHS[builder.kind], name, namespace=namespace, metadata=meta, **body)


@contextlib.asynccontextmanager
async def serving(tmp_path, *broken, fault=None):
    async with apiserver.ApiServer() as server:
        for each in informers.KINDS:
            server.add(PATHS[each.kind], each.kind, each.versions[0])
        put(server, make_node("plugin").resource("nvidia.com/gpu", 8))
        put(server, make_node("slices"))
        put(server, make_slice("s", GPU).on("slices").device("gpu-0"))
        put(server, make_class(GPU))
        put(server, make_claim("c").request("gpu", GPU))
        for kind in broken:
            server.broken[PATHS[kind]] = fault or apiserver.refusal(500, "InternalError")
        path = tmp_path / "kubeconfig"
        path.write_text(json.dumps(kubeconfigs.of(server.url)))
        chosen = settings.Settings(kubeconfig=path, bind=FREE, admin_bind=FREE)
        async with live.opened(chosen) as sites, aiohttp.ClientSession() as client:
            yield Service(server, sites, client)


PLUGIN_POD = make_pod("p").gpus(1).body
CLAIM_POD = make_pod("q").claim("c").body
BOTH = {"plugin", "slices"}


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(informers, "PATIENCE_SECONDS", 1.0)


async def test_with_every_kind_each_pod_gets_its_node(tmp_path):
    async with serving(tmp_path) as service:
        assert "degraded" not in await service.ready()
        assert await service.passing(PLUGIN_POD) == {"plugin"}
        assert await service.passing(CLAIM_POD) == {"slices"}


@pytest.mark.parametrize(
    "kind",
    [
        *("ResourceSlice", "ResourceClaim", "DeviceClass"),
        *("ResourceClaimTemplate", "DeviceTaintRule", "NodeResourceTopology"),
    ],
)
@pytest.mark.parametrize("fault", ["fails", "forbidden", "drips"])
async def test_without_a_kind_only_what_needs_it_is_lost(tmp_path, kind, fault):
    faults = {
        "fails": apiserver.refusal(500, "InternalError"),
        "forbidden": apiserver.refusal(403, "Forbidden"),
        "drips": apiserver.Fault(body=b" " * 6000, then="drip"),
    }
    async with serving(tmp_path, kind, fault=faults[fault]) as service:
        if fault != "forbidden":
            assert (await service.get("/readyz"))[0] == 503
        answer = await service.ready()
        wanted = next(each for each in informers.KINDS if each.kind == kind)
        assert wanted.without in answer["degraded"][kind]
        # Without these three nobody knows what DRA would give on a node without a plug-in.
        blind = kind in {"ResourceSlice", "ResourceClaim", "DeviceClass"}
        assert await service.passing(PLUGIN_POD) == (BOTH if blind else {"plugin"})
        assert await service.passing(CLAIM_POD) == (BOTH if blind else {"slices"})
        found = await service.metrics()
        assert f'railyard_degraded{{kind="{kind}"}} 1.0' in found


async def test_a_kind_that_comes_late_is_taken_in(tmp_path):
    async with serving(tmp_path, "ResourceSlice") as service:
        await service.ready()
        assert await service.passing(CLAIM_POD) == BOTH
        service.server.broken.clear()
        async with asyncio.timeout(40):
            while await service.passing(CLAIM_POD) != {"slices"}:  # noqa: ASYNC110 - the same
                await asyncio.sleep(0.05)
        assert "degraded" not in await service.ready()


async def test_a_background_task_that_fails_is_started_again_and_reported(tmp_path, monkeypatch):
    failures = [RuntimeError("one"), RuntimeError("two")]
    settle = engine.Engine.settle

    def failing(self, **options):
        if failures:
            raise failures.pop(0)
        return settle(self, **options)

    monkeypatch.setattr(engine.Engine, "settle", failing)
    async with serving(tmp_path) as service:
        answer = await service.ready()
        assert answer["degraded"]["settling"] == "started again after RuntimeError: two (2 times)"
        assert await service.passing(PLUGIN_POD) == {"plugin"}
        assert 'railyard_task_restarts_total{task="settling"} 2.0' in await service.metrics()


async def test_what_cannot_be_read_is_counted_by_kind(tmp_path):
    async with serving(tmp_path) as service:
        await service.ready()
        service.server.put(PATHS["Pod"], "odd", namespace="d", spec=5)
        async with asyncio.timeout(10):
            while 'decode_failures_total{kind="Pod"} 1.0' not in await service.metrics():  # noqa: ASYNC110 - a probe
                await asyncio.sleep(0.02)
        assert 'railyard_sink_failures_total{kind="Pod"} 0.0' in await service.metrics()
