"""The metric of declared shapes says what a count says, follows the cluster, and stays bounded."""

import asyncio

import aiohttp
import pytest

from extender import errors, settings
from extender.capacity import answer, counting, pod_shape
from extender.service import live
from extender.service.questions import capacity_metric
from tests.kit import worlds
from tests.kit.builders import make_node, make_pod
from tests.kit.services import FREE

GPUS = "nvidia.com/gpu=8"


def world(nodes=3):
    judging = worlds.engine()
    for number in range(nodes):
        node = make_node(f"n{number}").allocatable(cpu="64", memory="1Ti", pods="110")
        node = node.gpus(worlds.H100, 8)
        worlds.feed(judging, node)
    judging.settle()
    return judging


def declared(judging, *texts, ready=lambda: True):
    wall = iter(range(1000, 10**6))
    return capacity_metric.DeclaredShapes(
        texts, lambda: judging, ready, wall=lambda: float(next(wall)), spent=lambda: 0.0
    )


async def counted(found):
    for each in found._counted:
        await found.count(each)
    return found


def series(found, name="railyard_capacity_pods"):
    (family,) = (family for family in found.collect() if family.name == name)
    return {tuple(sample.labels.values()): sample.value for sample in family.samples}


async def test_it_says_what_a_count_says_and_follows_the_cluster():
    judging = world()
    found = await counted(declared(judging, GPUS, "nvidia.com/gpu=1,cpu=8"))

    for text in (GPUS, "nvidia.com/gpu=1,cpu=8"):
        asked = counting.count(judging, pod_shape.parse(text))
        reported = {labels: value for labels, value in series(found).items() if labels[0] == text}
        assert reported == {(text, pool.model, pool.source): pool.fits for pool in asked.pools}
    assert sum(v for k, v in series(found).items() if k[0] == GPUS) == 3

    pod = make_pod("held").uid("h").node("n0").gpus(1)
    worlds.feed(judging, pod)
    judging.settle()
    await counted(found)
    assert sum(v for k, v in series(found).items() if k[0] == GPUS) == 2


async def test_a_shape_that_fits_nowhere_is_a_series_of_0():
    found = await counted(declared(world(), "nvidia.com/gpu=16"))

    assert list(series(found).values()) == [0.0]


async def test_a_shape_that_cannot_be_judged_has_no_figure_and_is_reported_once(caplog):
    found = declared(world(), "no-such-class=1")
    await counted(found)
    await counted(found)

    assert sum(series(found).values()) == 0
    assert series(found, "railyard_capacity_counted_seconds") == {("no-such-class=1",): 0.0}
    assert caplog.text.count("capacity for no-such-class=1 cannot be counted") == 1


async def test_nothing_is_counted_before_the_cluster_is_read():
    found = await counted(declared(world(), GPUS, ready=lambda: False))

    assert series(found, "railyard_capacity_counted_seconds") == {(GPUS,): 0.0}


def test_many_models_are_at_most_so_many_series():
    pools = [answer.PoolCapacity(f"m{n}", "s", 1, 1, 1, 2, 3, 1, {}) for n in range(99)]

    found = list(capacity_metric._bounded(pools))

    assert len(found) == capacity_metric.MOST_POOLS + 1
    assert sum(pool.fits for pool in found) == 198
    assert found[-1].model == "other"


@pytest.mark.parametrize("texts", [("gpu=many",), tuple(f"x/y={n}" for n in range(1, 18))])
def test_shapes_that_cannot_be_read_or_are_too_many_are_reported_at_the_start(texts):
    with pytest.raises(errors.ConfigError):
        declared(world(), *texts)


async def test_over_http_it_is_among_the_metrics():
    chosen = settings.Settings(
        snapshot=(settings.embedded("demo"),),
        bind=FREE,
        admin_bind=FREE,
        capacity_shapes=("gpu.nvidia.com=1",),
    )
    async with live.opened(chosen) as sites, aiohttp.ClientSession() as client:
        url = f"http://127.0.0.1:{sites.admin_bound.port}/metrics"
        async with asyncio.timeout(60):
            while True:
                async with client.get(url) as reply:
                    text = await reply.text()
                if 'railyard_capacity_pods{model="' in text:
                    break
                await asyncio.sleep(0.1)
