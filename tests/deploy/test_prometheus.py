"""The rules and the dashboard in a real Prometheus that scrapes a live service."""

import asyncio
import contextlib
import itertools
import json

import aiohttp
import pytest

from extender import settings
from extender.kube.watch import informers
from extender.server import metrics
from extender.service import live
from tests.kit import apiserver, kubeconfigs
from tests.kit.builders import make_claim, make_class, make_node, make_pod, make_slice
from tests.kit.deploy import dashboard, prometheus, tools

pytestmark = pytest.mark.prometheus

FREE = settings.Address("127.0.0.1", 0)
GPU, NIC = "gpu.example.com", "dra.net"
PATHS = {each.kind: each.at(each.versions[0]).path for each in informers.KINDS}
NODES = ("left", "right")
PODS = 12
# Two scrapes and two evaluations take two seconds; a busy machine takes more.
PATIENCE = 90


@pytest.fixture(autouse=True)
def _programs():
    if reason := prometheus.why_not():
        pytest.skip(reason)


def test_the_rules_are_good(tmp_path):
    assert "SUCCESS" in prometheus.promtool(
        "check", "rules", prometheus.rules(tmp_path), home=tmp_path
    )


def test_each_alert_fires_when_it_should_and_only_then(tmp_path):
    prometheus.rules(tmp_path)
    cases = tmp_path / "alerts.yaml"
    cases.write_text((tools.ROOT / "tests/deploy/rules/alerts.yaml").read_text())

    assert "SUCCESS" in prometheus.promtool("test", "rules", cases, home=tmp_path)


def put(server, builder):
    body = json.loads(json.dumps(builder.body))
    meta = body.pop("metadata")
    name, namespace = meta.pop("name"), meta.pop("namespace", "")
    server.put(PATHS[builder.kind], name, namespace=namespace, metadata=meta, **body)


class Cluster:
    """A service over two nodes of eight GPUs and one whose GPU is cut, and a scheduler.

    The scheduler follows the service's scores.
    """

    def __init__(self, server, sites, client):
        self.server, self.client = server, client
        self.verbs, self.questions = f"http://{sites.bound}", sites.admin_bound
        self.taken = dict.fromkeys(NODES, 0)  # node → GPUs, taken in the order of their slice

    async def text(self, path):
        async with self.client.get(f"http://{self.questions}{path}") as answer:
            return answer.status, await answer.text()

    async def schedule(self, number):
        pod = make_pod(f"p-{number}").claim(f"c-{number}").body
        body = {"Pod": pod, "NodeNames": list(NODES)}
        async with self.client.post(f"{self.verbs}/filter", json=body) as answer:
            body["NodeNames"] = (await answer.json())["NodeNames"]
        async with self.client.post(f"{self.verbs}/prioritize", json=body) as answer:
            scores = {each["Host"]: each["Score"] for each in await answer.json()}
        node = max(scores, key=scores.get)
        device = f"gpu-{self.taken[node]}"
        self.taken[node] += 1
        claim = make_claim(f"c-{number}").request("gpu", GPU)
        put(self.server, claim.allocated(node, ("gpu", GPU, node, device)))


@contextlib.asynccontextmanager
async def cluster(tmp_path):
    async with apiserver.ApiServer() as server:
        for each in informers.KINDS:
            server.add(PATHS[each.kind], each.kind, each.versions[0])
        put(server, make_class(GPU))
        for node in NODES:
            machine = make_node(node).label("topology.kubernetes.io/rack", f"rack-{node}")
            put(server, machine.label("nvidia.com/gpu.clique", f"domain-{node}"))
            devices = make_slice(f"s-{node}", GPU).on(node)
            nics = make_slice(f"n-{node}", NIC).on(node)
            for number in range(8):
                devices.device(f"gpu-{number}", type="gpu", pcieRoot=f"pci0000:{number}0")
                nics.device(f"nic-{number}", pcieRoot=f"pci0000:{number}0")
            put(server, devices)
            put(server, nics)
        put(server, make_node("cut").resource("nvidia.com/mig-3g.40gb", 2))
        for number in range(PODS):
            put(server, make_claim(f"c-{number}").request("gpu", GPU))
        path = tmp_path / "kubeconfig"
        path.write_text(json.dumps(kubeconfigs.of(server.url)))
        candidate = tmp_path / "shadow.yaml"
        tried = (tools.ROOT / "config/examples/least-intervention.yaml").read_text()
        candidate.write_text(f"canary: {{percent: 100}}\n{tried}")
        chosen = settings.Settings(
            kubeconfig=path, bind=FREE, admin_bind=FREE, shadow_policy=candidate
        )
        async with live.opened(chosen) as sites, aiohttp.ClientSession() as client:
            found = Cluster(server, sites, client)
            async with asyncio.timeout(30):
                while (await found.text("/readyz"))[0] != 200:  # noqa: ASYNC110 - a probe
                    await asyncio.sleep(0.05)
            yield found


def test_promtool_finds_nothing_wrong_with_the_metrics_of_a_service_that_reads(tmp_path):
    kinds = {"Pod": metrics.KindFigures(synced=False, objects=0, age_seconds=0.0)}
    shown = metrics.Metrics(lambda: metrics.ClusterFigures(kinds=kinds)).exposition().decode()

    assert prometheus.promtool("check", "metrics", home=tmp_path, text=shown) == ""


async def test_promtool_finds_nothing_wrong_with_the_metrics(tmp_path):
    async with cluster(tmp_path) as service:
        await service.schedule(0)
        _, shown = await service.text("/metrics")

    assert prometheus.promtool("check", "metrics", home=tmp_path, text=shown) == ""


async def test_every_query_of_the_dashboard_gives_data(tmp_path):
    queries = dashboard.QUERIES
    async with cluster(tmp_path) as service:
        with prometheus.scraping(str(service.questions), tmp_path) as port:
            without = set(queries)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    for number in itertools.count():
                        if number < PODS:
                            await service.schedule(number)
                        await asyncio.sleep(1)
                        without = {name for name in without if not await asked(port, queries[name])}
                        if not without:
                            break
            firing = await asked(port, "ALERTS")
    assert without == set()
    assert firing == []


async def asked(port, expression):
    expression = expression.replace('"$instance"', '".*"')
    return await asyncio.to_thread(prometheus.query, port, expression)
