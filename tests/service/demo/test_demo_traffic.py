"""The demo's pods: placed by the service over HTTP, on devices that nobody else holds."""

import collections
import contextlib

import aiohttp

from extender import settings
from extender.service import assembly, demo_traffic, snapshot
from tests.kit.services import FREE


@contextlib.asynccontextmanager
async def demo(seed):
    chosen = settings.Settings(snapshot=(settings.embedded("demo"),), bind=FREE, admin_bind=FREE)
    async with (
        snapshot.opened(chosen, assembly.read_policy(None)) as service,
        aiohttp.ClientSession() as session,
    ):
        await service.reading
        verbs, questions = f"http://{service.sites.bound}", f"http://{service.sites.admin_bound}"
        traffic = demo_traffic.Traffic(
            service.front, session, verbs=verbs, questions=questions, seed=seed
        )
        yield service.front.engine, traffic


def live_pods(source):
    return {name: pod for (_, name), pod in source.pods.items() if "-live-" in name}


async def test_pods_come_are_placed_and_leave_and_no_device_is_held_twice():
    async with demo(seed=7) as (judging, traffic):
        seen, placed = set(), set()
        for minute in range(40):
            await traffic.step(now=minute * 10.0)
            found = live_pods(judging.store)
            seen |= found.keys()
            placed |= {name for name, pod in found.items() if pod.spec.node_name}
            held = collections.Counter(
                (each.driver, each.pool, each.device)
                for claims in judging.store.allocated.values()
                for results in claims.values()
                for each in results
            )
            assert max(held.values()) == 1

        assert len(seen) == 40
        assert len(placed) > 30
        assert len(live_pods(judging.store)) < 25  # the others have left
        judging.settle()
        assert judging.index.verify() == []


async def test_a_seed_makes_the_same_pods():
    names = []
    for _ in range(2):
        async with demo(seed=3) as (judging, traffic):
            for minute in range(5):
                await traffic.step(now=minute * 10.0)
            names.append({n: pod.spec.node_name for n, pod in live_pods(judging.store).items()})

    assert names[0] == names[1]


async def test_a_pod_waits_from_the_start_so_that_the_page_can_say_why():
    async with demo(seed=7) as (judging, traffic):
        for second in range(20):
            await traffic.step(now=second * 1.5)
        waiting = {name for name, pod in live_pods(judging.store).items() if not pod.spec.node_name}

        assert "sweep-live-4" in waiting
