"""How often a server is asked, and that any run of faults ends in step."""

import asyncio
import random

import pytest

from tests.kit import apiserver, virtual_time
from tests.kit.clock import eventually
from tests.kit.rigs.reflector_rig import NODES, Sink

LOOP = virtual_time.Loop


NAMED = {"kind": "Node", "metadata": {"name": "x", "resourceVersion": "1002"}}


# ---------------------------------------------------------------- manners


FAULTS = [
    pytest.param({"watch": apiserver.Fault()}, id="every watch closes at once"),
    pytest.param({"watch": apiserver.refusal(410, "Expired")}, id="every watch has expired"),
    pytest.param({"watch": apiserver.refusal(500, "InternalError")}, id="watches fail"),
    pytest.param(
        {verb: apiserver.refusal(500, "InternalError") for verb in ("watch", "watchlist", "list")},
        id="everything fails",
    ),
    pytest.param(
        {
            verb: apiserver.refusal(429, "TooManyRequests", retry_after=1)
            for verb in ("watch", "watchlist", "list")
        },
        id="too many requests, retry after a second",
    ),
    pytest.param(
        {verb: apiserver.refusal(403, "Forbidden") for verb in ("watch", "watchlist", "list")},
        id="everything is forbidden",
    ),
    pytest.param(
        {verb: apiserver.refusal(410, "Expired") for verb in ("watch", "watchlist", "list")},
        id="everything has expired",
    ),
    pytest.param(
        {verb: apiserver.Fault(then="reset") for verb in ("watch", "watchlist", "list")},
        id="every connection is reset",
    ),
    pytest.param(
        {
            "watch": apiserver.Fault(body=apiserver.line("BOOKMARK", NAMED)),
            "watchlist": apiserver.refusal(422, "Invalid"),
        },
        id="every watch brings one event and closes",
    ),
]


@pytest.mark.parametrize("faults", FAULTS)
async def test_a_broken_server_gets_at_most_3_requests_in_10_seconds(rig, faults):
    # TestReflectorListAndWatchInitConnBackoff, TestNewReflectorWithCustomBackoff; in place of
    # rest/TestRequestMaxRetries: tries have a pace, not an end
    rig.server.watch_lists = "watchlist" in faults  # else its stream would be a watch that works
    rig.server.always.update(faults)
    rig.start()
    began = rig.clock.now
    while rig.clock.now < began + 600:
        await rig.wake()
    assert 10 <= len(rig.server.requests) <= 0.3 * 600


@pytest.mark.parametrize("faults", FAULTS)
async def test_a_server_that_recovers_is_followed_again_within_35_seconds(rig, faults):
    rig.server.watch_lists = "watchlist" in faults  # else its stream would be a watch that works
    rig.server.always.update(faults)
    rig.start()
    began = rig.clock.now
    while rig.clock.now < began + 600:
        await rig.wake()
    rig.server.always.clear()
    rig.server.put(NODES, "c")
    recovered = rig.clock.now
    await rig.in_step()
    assert rig.clock.now - recovered <= 35


async def test_pauses_grow_to_12_seconds_and_start_anew_after_two_quiet_minutes(synced):
    # TestNewReflectorWithCustomBackoff, TestBackoffOnTooManyRequests
    synced.clock.advance(30)
    synced.server.always["watch"] = apiserver.refusal(429, "TooManyRequests")
    synced.server.send(NODES, "close")
    pauses = [await synced.wake() for _ in range(9)]
    bases = [0.8, 1.6, 3.2, 6.4, 12, 12, 12, 12, 12]
    assert all(base <= pause <= 2 * base for base, pause in zip(bases, pauses, strict=True))
    synced.server.always.clear()
    await synced.watching(2)
    for _ in range(3):
        synced.clock.advance(60)
        synced.server.bookmark(NODES)
        version = str(synced.server.version)
        await eventually(lambda version=version: synced.status.resource_version == version)
    synced.server.script["watch"].append(apiserver.refusal(429, "TooManyRequests"))
    synced.server.send(NODES, "close")
    assert 0.8 <= await synced.wake() <= 1.6


async def test_a_quiet_hour_makes_no_request_but_watches(synced):
    # TestReflectorResync, TestRealFIFO_Resync: nothing is asked for that is known
    for minute in range(60):
        synced.clock.advance(60)
        if minute % 7 == 6:
            count = len(synced.server.requests)
            synced.server.send(NODES, "close")
            await synced.watching(count + 1)
        synced.server.bookmark(NODES)
        version = str(synced.server.version)
        await eventually(lambda version=version: synced.status.resource_version == version)
    assert [each.verb for each in synced.server.requests] == ["watchlist"] + ["watch"] * 8
    assert [call[0] for call in synced.sink.calls] == ["replace"] + ["bookmark"] * 60


async def test_losing_the_watch_is_said_once_and_forgotten_when_the_server_is_heard(synced):
    synced.clock.advance(30)
    synced.server.script["watch"].extend([apiserver.refusal(500, "InternalError")] * 3)
    synced.server.send(NODES, "close")
    await synced.until(lambda: len(synced.server.of("watch")) >= 4)
    assert len(synced.sink.named("lost")) == 1
    assert "500" in synced.status.problem
    synced.server.put(NODES, "c")
    await synced.in_step()
    assert not synced.status.problem
    assert synced.status.last_event == synced.clock.now
    assert synced.status.watch_restarts == 4


async def test_stopping_leaves_no_task_and_no_connection(synced):
    # TestShutdown, TestReflectorStopWatch
    await synced.stop()
    names = {task.get_coro().__qualname__ for task in asyncio.all_tasks()}
    assert not any("Reflector" in name or "Silence" in name for name in names)
    await eventually(lambda: not synced.server.collections[NODES].watchers)


async def test_a_burst_leaves_turns_to_others(rig):
    for number in range(2000):
        rig.server.put(NODES, f"node-{number}", metadata={"labels": {"k": "v" * 500}})
    turns = []

    class Counting(Sink):
        def apply(self, kind, event, item):
            super().apply(kind, event, item)
            turns[-1] += 1

    async def tick():
        while True:
            turns.append(0)
            await asyncio.sleep(0)

    rig.reflector._sink = Counting()
    rig.start()
    await rig.watching()
    await eventually(lambda: rig.status.synced)
    other = asyncio.create_task(tick())
    for number in range(2000):
        rig.server.put(NODES, f"node-{number}", metadata={"labels": {"k": "w" * 500}})
    await eventually(lambda: sum(turns) == 2000)
    other.cancel()
    assert max(turns) <= 64  # 64 KiB a turn, at a KiB and a half each


@pytest.mark.parametrize("seed", range(20))
async def test_any_run_of_faults_ends_in_step_with_the_server(rig, seed):
    # TestReflectorListAndWatchWithErrors
    rng = random.Random(seed)
    rig.start()
    faults = [
        lambda: rig.server.send(NODES, "close"),
        lambda: rig.server.send(NODES, "reset"),
        lambda: rig.server.send(NODES, b'{"type":"ADD'),
        lambda: rig.server.send(NODES, b"{]\n"),
        lambda: rig.server.compact(NODES),
        lambda: rig.server.bookmark(NODES),
        lambda: rig.server.script["watch"].append(apiserver.refusal(410, "Expired")),
        lambda: rig.server.script["watchlist"].append(apiserver.refusal(500, "InternalError")),
        lambda: rig.server.script["list"].append(apiserver.Fault(then="reset")),
        lambda: rig.server.script["watch"].append(apiserver.Fault()),
    ]
    for _ in range(40):
        name = f"node-{rng.randrange(6)}"
        if ("", name) in rig.server.collections[NODES].objects and rng.random() < 0.4:
            rig.server.delete(NODES, name)
        else:
            rig.server.put(NODES, name)
        if rng.random() < 0.5:
            rng.choice(faults)()
        if rng.random() < 0.5:
            await asyncio.sleep(0.001)
        if rig.status.state == "waiting":
            await rig.wake()
    rig.server.send(NODES, "close")  # a line begun above would wait for its end
    await rig.in_step()
