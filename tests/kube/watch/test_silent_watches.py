"""Watches on which nothing is heard, and versions that go back."""

import asyncio
import random

import pytest

from extender import errors
from extender.kube.watch import api_resource, recovery, reflector
from tests.kit import apiserver, virtual_time
from tests.kit.clock import eventually
from tests.kit.rigs.reflector_rig import NODES

LOOP = virtual_time.Loop

PODS = "/api/v1/pods"


async def test_failures_are_counted_only_until_the_next_event(synced):
    for round_number in range(3):
        synced.clock.advance(30)
        synced.server.script["watch"].extend([apiserver.Fault()] * 4)
        synced.server.send(NODES, "close")
        await synced.until(lambda: not synced.server.script["watch"])
        synced.server.put(NODES, f"node-{round_number}")
        await synced.in_step()
    assert synced.status.lists == 1


async def test_a_silent_watch_is_noticed_within_75_seconds(synced):
    # HTTP2_READ_IDLE_TIMEOUT_SECONDS in apimachinery's util/net/http.go
    synced.server.send(NODES, "mute")
    synced.server.put(NODES, "c")
    synced.clock.advance(69)
    await asyncio.sleep(0.01)
    assert synced.status.state == "watching"
    synced.clock.advance(1)
    await eventually(lambda: synced.sink.state == synced.server.state(NODES))
    assert [each.verb for each in synced.server.requests] == ["watchlist", "list", "watch"]
    assert synced.clock.now == 10_070.0


async def test_a_kind_on_which_nothing_happens_is_asked_for_anew_but_not_read_again(synced):
    # A real API server sends no bookmark to a watch at a version that etcd has not passed.
    for count in range(50):
        await synced.watching(count + 1)
        await eventually(lambda: synced.status.state == "watching")
        synced.clock.advance(70)
        await eventually(lambda count=count: len(synced.server.of("watch")) == count + 1)
    assert len(synced.server.of("watchlist")) == 1
    assert synced.status.lists == 1
    assert len(synced.server.requests) <= 0.03 * 50 * 70
    assert synced.sink.calls == [("replace", ["a", "b"], "1002")]
    probes = {each.query["fieldSelector"] for each in synced.server.of("list")}
    assert probes == {"metadata.name=-"}


@pytest.mark.parametrize("ending", ["close", "reset"])
async def test_a_version_of_the_future_is_given_up_at_once(synced, ending):
    # A restore of etcd takes the version back; a watch beyond it is accepted, and silent.
    synced.clock.advance(30)
    synced.server.version = 500
    synced.server.delete(NODES, "a")
    synced.server.put(NODES, "c")
    synced.server.send(NODES, ending)
    restored = synced.clock.now
    await synced.in_step()
    assert set(synced.sink.items) == {"b", "c"}
    assert synced.clock.now - restored <= 10
    assert not synced.server.of("watch")
    assert [each.query.get("resourceVersion") for each in synced.server.of("watchlist")] == [
        None,
        None,
    ]


async def test_a_version_that_went_back_under_an_open_watch_is_listed_anew(synced):
    synced.server.version = 500
    synced.server.put(NODES, "c")
    await synced.in_step()
    assert set(synced.sink.items) == {"a", "b", "c"}
    assert "WentBack" in synced.sink.named("lost")[0][1]


async def test_a_bookmark_that_went_back_is_listed_anew(synced):
    synced.server.version = 500
    synced.server.delete(NODES, "a")
    synced.server.collections[NODES].log.clear()
    synced.server.bookmark(NODES)
    await synced.in_step()
    assert set(synced.sink.items) == {"b"}


@pytest.mark.parametrize("kind", ["watch", "watchlist"])
async def test_the_age_goes_on_while_a_server_says_nothing_new(synced, kind):
    known = synced.status.last_event
    fault = apiserver.Fault() if kind == "watch" else apiserver.Fault(then="silence")
    synced.server.always = {"watch": fault, "watchlist": fault, "list": fault}
    synced.server.put(NODES, "c")
    synced.server.compact(NODES)
    synced.server.send(NODES, "close")
    synced.sink.calls.clear()
    for _ in range(300):
        await synced.clock.let_pass(1)
    assert synced.status.last_event - known <= 1


async def test_a_quiet_kind_is_as_old_as_the_last_watch_that_lasted(synced):
    # Without bookmarks nothing says so, but a watch from a version that the server has reached.
    await synced.watching(1)
    for count in range(5):
        synced.clock.advance(70)
        await synced.watching(count + 2)
        await eventually(lambda: synced.status.state == "watching")
    assert synced.clock.now - synced.status.last_event <= 140
    before = synced.status.last_event
    for _ in range(60):
        if synced.status.last_event != before:
            break
        await synced.clock.let_pass(1)
    assert synced.clock.now - synced.status.last_event <= 1


async def test_a_quiet_kind_has_recovered_once_its_watch_lasts(synced):
    await synced.server.stop()
    await synced.waiting()
    for _ in range(30):
        await synced.clock.let_pass(4)
    assert "no connection" in synced.status.problem
    await synced.server.start()
    back = synced.clock.now
    for _ in range(80):
        if not synced.status.problem:
            break
        await synced.clock.let_pass(0.5)
    assert not synced.status.problem
    assert synced.clock.now - back <= 35
    assert synced.status.last_event >= back


async def test_a_list_that_drips_is_given_up_and_asked_for_again(lister):
    drip = asyncio.Event()

    class Dripping:
        """A body that brings a byte at each look, for ever."""

        def __init__(self, clock):
            self.clock = clock

        async def read(self):
            await asyncio.sleep(0)
            drip.set()
            self.clock.advance(0.5)
            return b" "

    lister.start()
    await lister.in_step()
    silence = lister.reflector._silence

    async def work():
        body = Dripping(lister.clock)
        while chunk := await body.read():
            silence.received(len(chunk))

    began = lister.clock.now
    with pytest.raises(errors.UnreachableError, match="nothing heard for 70 s"):
        await silence.guard(work())
    assert lister.clock.now - began <= 80


async def test_one_kind_that_hears_the_server_ends_the_pauses_of_the_others(rig):
    rig.server.add(PODS, "Pod")
    shared = recovery.Recovery()
    made = []
    for kind, path, seed in (("Node", NODES, 1), ("Pod", PODS, 2)):
        found = reflector.Reflector(
            rig.api,
            api_resource.ApiResource(kind=kind, path=path),
            rig.sink,
            rng=random.Random(seed),
            others=shared,
        )
        made.append((found, asyncio.create_task(found.run())))
    rig.reflector, rig.status = made[0][0], made[0][0].status
    await rig.server.stop()
    await eventually(lambda: all(each.status.state == "waiting" for each, _ in made))
    for _ in range(20):  # two minutes without a server
        await rig.clock.let_pass(6)
    await rig.server.start()
    back = rig.clock.now
    for _ in range(240):
        if any(each.status.synced for each, _ in made):
            break
        await rig.clock.let_pass(0.1)
    await eventually(lambda: all(each.status.synced for each, _ in made))
    assert rig.clock.now - back <= 24
    for _, task in made:
        task.cancel()
    await asyncio.gather(*(task for _, task in made), return_exceptions=True)


async def test_a_watch_with_bookmarks_is_not_silent(synced):
    for _ in range(10):
        synced.clock.advance(60)
        synced.server.bookmark(NODES)
        version = str(synced.server.version)
        await eventually(lambda version=version: synced.status.resource_version == version)
    assert len(synced.server.requests) == 1


async def test_a_request_that_is_never_answered_is_given_up(synced):
    synced.clock.advance(30)
    synced.server.script["watch"].append(apiserver.Fault(mute=True))
    synced.server.send(NODES, "close")
    await eventually(lambda: len(synced.server.of("watch")) == 1)
    synced.clock.advance(70)
    await synced.waiting()
    assert "nothing heard" in synced.status.problem
    synced.server.put(NODES, "c")
    await synced.in_step()
