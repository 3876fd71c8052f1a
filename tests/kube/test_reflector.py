"""The reflector's contract: client-go's rules and the faults that API servers and networks make.

The name of the upstream test (tools/cache/reflector_test.go, unless noted) that asks for the same
stands in each test's comment.
"""

import asyncio
import random

import msgspec
import pytest

from extender import errors
from extender.kube import client
from extender.kube.api import objects
from extender.kube.auth import endpoint
from extender.kube.watch import api_resource, recovery, reflector
from tests.kit import apiserver
from tests.kit.clock import Clock, eventually

NODES = "/api/v1/nodes"
PODS = "/api/v1/pods"


class Sink:
    """Keeps what it is told, as the store does, and the order of it."""

    def __init__(self):
        self.items = {}  # name → object
        self.calls = []
        self.kinds = set()
        self.breaks = 0  # so many calls raise

    def _note(self, kind, *call):
        self.kinds.add(kind)
        self.calls.append(call)
        if self.breaks:
            self.breaks -= 1
            raise RuntimeError("the sink broke")

    def replace(self, kind, items, resource_version):
        self._note(kind, "replace", sorted(item.metadata.name for item in items), resource_version)
        self.items = {item.metadata.name: item for item in items}

    def apply(self, kind, event, item):
        self._note(kind, event, item.metadata.name)
        self.items.pop(item.metadata.name, None)
        if event != "DELETED":
            self.items[item.metadata.name] = item

    def bookmark(self, kind, resource_version):
        self._note(kind, "bookmark", resource_version)

    def lost(self, kind, reason):
        self._note(kind, "lost", reason)

    @property
    def state(self):
        return {name: item.metadata.resource_version for name, item in self.items.items()}

    def named(self, name):
        return [call for call in self.calls if call[0] == name]


class Rig:
    """A fake server with two nodes, and a reflector of them on a clock of its own."""

    def __init__(self, server):
        self.server = server
        self.clock = Clock()
        self.sink = Sink()
        server.add(NODES, "Node")
        server.put(NODES, "a")
        server.put(NODES, "b")
        self.api = client.Client(endpoint.Server(url=server.url))
        self.reflector = reflector.Reflector(
            self.api,
            api_resource.ApiResource(kind="Node", path=NODES),
            self.sink,
            clock=self.clock,
            sleep=self.clock.sleep,
            rng=random.Random(1),
        )
        self.status = self.reflector.status
        self.task = None

    def start(self):
        self.task = asyncio.create_task(self.reflector.run())

    async def stop(self):
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
        await self.api.close()

    async def watching(self, count=1):
        """Wait until the `count`-th watch is open on both sides.

        The server may have answered what is not read here yet: then a clock that moves on takes it
        for a server that does not answer.
        """

        def is_open():
            asked = len(self.server.of("watch")) + len(self.server.of("watchlist"))
            there = asked >= count and self.server.collections[NODES].watchers
            return there and self.reflector._answered

        await eventually(is_open, f"watch {count}")

    async def waiting(self):
        pausing = lambda: self.status.state == "waiting" and self.clock.asleep  # noqa: E731 - short
        await eventually(pausing, "a pause")

    async def wake(self):
        """Let the pause that the reflector makes pass; its length in seconds."""
        await self.waiting()
        pause = self.clock.next_deadline - self.clock.now
        self.status.state = "woken"
        self.clock.advance(pause)
        return pause

    async def until(self, condition, what="it"):
        """Wait until the condition holds, letting pauses pass (not the 70 s of silence)."""
        for _ in range(50):
            await eventually(lambda: condition() or self.status.state == "waiting", what)
            if condition():
                return
            await self.wake()
        raise AssertionError(f"{what} did not happen")

    async def in_step(self):
        await self.until(
            lambda: self.status.synced and self.sink.state == self.server.state(NODES),
            "being in step with the server",
        )


@pytest.fixture
async def rig():
    async with apiserver.ApiServer() as server:
        made = Rig(server)
        yield made
        await made.stop()


@pytest.fixture
async def lister(rig):
    """The same at a server that knows no WatchList, so that lists are lists."""
    rig.server.watch_lists = False
    return rig


@pytest.fixture
async def synced(rig):
    rig.start()
    await rig.watching()
    await rig.in_step()
    return rig


# ---------------------------------------------------------------- lists


async def test_a_first_list_asks_for_any_version_and_a_relist_for_the_last_one_seen(lister):
    # TestReflectorResyncWithResourceVersion
    lister.start()
    await lister.in_step()
    await lister.watching(2)
    seen = lister.server.put(NODES, "a")
    await lister.in_step()
    lister.server.compact(NODES)
    lister.server.script["watch"].append(apiserver.refusal(410, "Expired"))
    lister.server.send(NODES, "close")
    await lister.until(lambda: len(lister.server.of("list")) >= 2)
    versions = [each.query.get("resourceVersion") for each in lister.server.of("list")]
    assert versions == ["0", seen]
    await lister.in_step()


@pytest.mark.parametrize(
    "refusal",
    [
        pytest.param(
            apiserver.refusal(410, "Expired"), id="TestReflectorExpiredExactResourceVersion"
        ),
        pytest.param(apiserver.refusal(410, "Gone"), id="Gone"),
        pytest.param(apiserver.too_large(), id="TestReflectorFullListIfTooLarge"),
        pytest.param(
            apiserver.refusal(504, "Timeout", "Too large resource version: 9, current: 1"),
            id="TestReflectorFullListIfTooLarge by its message",
        ),
    ],
)
async def test_a_list_that_is_refused_its_version_is_asked_at_once_without_one(lister, refusal):
    lister.server.script["list"].append(refusal)
    lister.start()
    await eventually(lambda: lister.status.synced)
    versions = [each.query.get("resourceVersion") for each in lister.server.of("list")]
    assert versions == ["0", None]
    assert lister.clock.now == 10_000.0


async def test_a_watch_list_that_is_refused_its_version_is_asked_at_once_without_one(synced):
    # TestWatchList
    for verb in ("watch", "watchlist"):
        synced.server.script[verb].append(apiserver.refusal(410, "Expired"))
    synced.server.send(NODES, "close")
    await synced.until(lambda: len(synced.server.of("watchlist")) >= 3)
    versions = [each.query.get("resourceVersion") for each in synced.server.of("watchlist")]
    assert versions == [None, "1002", None]


async def test_a_list_is_read_in_pages(lister):
    # TestReflectorWatchListPageSize
    lister.server.pages_cached_lists = True
    for number in range(250):
        lister.server.put(NODES, f"node-{number}")
    lister.start()
    await lister.in_step()
    queries = [each.query for each in lister.server.of("list")]
    assert [each["limit"] for each in queries] == ["100"] * 3
    assert [each.get("resourceVersion") for each in queries] == ["0", None, None]
    assert [call[0] for call in lister.sink.calls] == ["replace"]


async def test_a_list_at_a_version_is_not_paged(lister):
    # TestReflectorNotPaginatingNotConsistentReads
    lister.start()
    await lister.watching(2)
    lister.server.script["watch"].append(apiserver.refusal(410, "Expired"))
    lister.server.send(NODES, "close")
    await lister.until(lambda: len(lister.server.of("list")) >= 2)
    assert "limit" not in lister.server.of("list")[1].query


async def test_a_server_that_pages_its_cached_lists_is_asked_for_pages_again(lister):
    # TestReflectorPaginatingNonConsistentReadsIfWatchCacheDisabled
    lister.server.pages_cached_lists = True
    for number in range(120):
        lister.server.put(NODES, f"node-{number}")
    lister.start()
    await lister.watching(2)
    lister.server.script["watch"].append(apiserver.refusal(410, "Expired"))
    lister.server.send(NODES, "close")
    await lister.until(lambda: len(lister.server.of("list")) >= 4)
    whole = [each for each in lister.server.of("list") if "fieldSelector" not in each.query]
    assert whole[2].query["limit"] == "100"


async def test_pages_that_expire_are_followed_by_one_whole_list(lister):
    # TestReflectorFullListIfExpired
    lister.server.pages_cached_lists = True
    lister.server.continues_expired = True
    for number in range(120):
        lister.server.put(NODES, f"node-{number}")
    lister.start()
    await lister.in_step()
    queries = [each.query for each in lister.server.of("list")]
    assert [("limit" in each, "continue" in each) for each in queries] == [
        (True, False),
        (True, True),
        (False, False),
    ]
    assert [len(names) for _, names, _ in lister.sink.named("replace")] == [122]


async def test_a_new_list_replaces_everything_at_once(lister):
    # TestReflectorReplacesStoreOnUnsafeDelete, TestRealFIFO_ReplaceAtomic
    lister.start()
    await lister.watching(2)
    before = len(lister.sink.calls)
    lister.server.script["watch"].append(apiserver.refusal(410, "Expired"))
    lister.server.send(NODES, "close")
    await lister.waiting()
    lister.server.delete(NODES, "a")
    lister.server.put(NODES, "c")
    lister.server.compact(NODES)
    await lister.in_step()
    changes = [call for call in lister.sink.calls[before:] if call[0] != "lost"]
    assert [call[:2] for call in changes] == [("replace", ["b", "c"])]


async def test_an_empty_list_synchronises_too(rig):
    # TestDeltaFIFO_HasSynced
    rig.server.delete(NODES, "a")
    rig.server.delete(NODES, "b")
    rig.start()
    await eventually(lambda: rig.status.synced)
    assert rig.sink.named("replace") == [("replace", [], "1004")]


async def test_synced_is_said_only_after_the_sink_has_the_list(rig):
    # TestSharedInformerInitializationRace
    rig.sink.breaks = 1
    rig.start()
    await rig.waiting()
    assert not rig.status.synced
    assert rig.status.sink_failures == 1
    await rig.in_step()


async def test_a_list_whose_body_is_cut_keeps_what_there_is(lister):
    lister.start()
    await lister.watching(2)
    state = lister.sink.state
    lister.server.script["watch"].append(apiserver.refusal(410, "Expired"))
    lister.server.script["list"].append(
        apiserver.Fault(body=b'{"kind":"NodeList","items":[{"metadata":{"na', then="reset")
    )
    lister.server.script["list"].append(apiserver.Fault(body=b'{"kind":"NodeList","items":[{"me'))
    lister.server.send(NODES, "close")
    await lister.until(lambda: len(lister.server.of("list")) >= 3)
    assert lister.sink.state == state
    await lister.in_step()


async def test_a_table_in_place_of_a_list_is_not_taken(lister):
    # TestIsUnsupportedTableObject
    lister.server.script["list"].append(apiserver.Fault(body=b'{"kind":"Table","rows":[]}'))
    lister.start()
    await lister.waiting()
    assert "Table" in lister.status.problem
    assert not lister.status.synced
    await lister.in_step()


# ---------------------------------------------------------------- WatchList


async def test_a_watch_list_is_one_stream_for_the_list_and_the_watch(synced):
    # TestWatchList, TestWatchListResourceVersion
    (asked,) = synced.server.requests
    assert asked.query["sendInitialEvents"] == "true"
    assert asked.query["resourceVersionMatch"] == "NotOlderThan"
    assert "resourceVersion" not in asked.query
    assert synced.sink.calls == [("replace", ["a", "b"], "1002")]
    assert synced.sink.kinds == {"Node"}
    synced.server.put(NODES, "c")
    await synced.in_step()
    assert len(synced.server.requests) == 1


async def test_a_server_without_watch_list_is_asked_once_and_then_listed(lister):
    lister.start()
    await lister.in_step()
    await lister.watching(2)
    lister.server.script["watch"].append(apiserver.refusal(410, "Expired"))
    lister.server.send(NODES, "close")
    await lister.until(lambda: len(lister.server.of("list")) >= 2)
    assert len(lister.server.of("watchlist")) == 1


async def test_a_watch_list_that_ends_early_is_followed_by_a_list(rig):
    # TestWatchList
    first = apiserver.line("ADDED", {"kind": "Node", "metadata": {"name": "ghost"}})
    rig.server.script["watchlist"].append(apiserver.Fault(body=first))
    rig.start()
    await rig.in_step()
    assert [each.verb for each in rig.server.requests][:2] == ["watchlist", "list"]
    assert "ghost" not in rig.sink.items
    assert "ListIncomplete" in rig.sink.named("lost")[0][1]


async def test_a_watch_list_that_never_ends_its_list_is_given_up(rig):
    # TestInitialEventsEndBookmarkTicker
    first = apiserver.line("ADDED", {"kind": "Node", "metadata": {"name": "ghost"}})
    rig.server.script["watchlist"].append(apiserver.Fault(body=first, then="silence"))
    rig.start()
    await eventually(lambda: rig.status.events == 1)
    rig.clock.advance(70)
    await rig.in_step()
    assert [each.verb for each in rig.server.requests][:2] == ["watchlist", "list"]


async def test_changes_among_the_initial_events_count(rig):
    def node(name, **meta):
        return {"kind": "Node", "metadata": {"name": name, "resourceVersion": "9", **meta}}

    mark = {"resourceVersion": "9", "annotations": apiserver.END_OF_LIST}
    body = b"".join(
        [
            apiserver.line("ADDED", node("kept")),
            apiserver.line("ADDED", node("gone")),
            apiserver.line("MODIFIED", node("kept", uid="new")),
            apiserver.line("DELETED", node("gone")),
            apiserver.line("BOOKMARK", {"kind": "Node", "metadata": mark}),
        ]
    )
    rig.server.script["watchlist"].append(apiserver.Fault(body=body, then="silence"))
    rig.start()
    await eventually(lambda: rig.status.synced)
    assert rig.sink.calls == [("replace", ["kept"], "9")]
    assert rig.sink.items["kept"].metadata.uid == "new"


# ---------------------------------------------------------------- watches


async def test_a_watch_asks_for_bookmarks_and_a_random_end_of_5_to_10_minutes(lister):
    # TestWatchTimeout
    lister.start()
    for count in range(2, 12):
        await lister.watching(count)
        lister.clock.advance(10)
        lister.server.bookmark(NODES)
        await lister.until(lambda: lister.status.resource_version == str(lister.server.version))
        lister.server.send(NODES, "close")
    await lister.watching(12)
    queries = [each.query for each in lister.server.of("watch")]
    assert {each["allowWatchBookmarks"] for each in queries} == {"true"}
    timeouts = [int(each["timeoutSeconds"]) for each in queries]
    assert all(300 <= each < 600 for each in timeouts)
    assert len(set(timeouts)) > 5


async def test_events_are_applied_in_their_order(synced):
    # TestReflectorWatchHandler, TestHammerController, TestRealFIFO_basic
    for number in range(300):
        synced.server.put(NODES, f"node-{number % 7}")
        if number % 5 == 0:
            synced.server.delete(NODES, f"node-{number % 7}")
    log = [msgspec.json.decode(data) for _, data in synced.server.collections[NODES].log[2:]]
    sent = [(each["type"], each["object"]["metadata"]["name"]) for each in log]
    await eventually(lambda: len(synced.sink.calls) == 1 + len(sent))
    assert synced.sink.calls[1:] == sent
    await synced.in_step()


@pytest.mark.parametrize("ending", ["close", "reset"])
async def test_a_watch_that_ended_is_resumed_from_the_last_event(synced, ending):
    # TestReflectorStopWatch, TestReflectorListAndWatch, TestReflectorListAndWatchWithErrors
    seen = synced.server.put(NODES, "c")
    await synced.in_step()
    synced.clock.advance(30)
    synced.server.send(NODES, ending)
    await synced.until(lambda: synced.server.of("watch"))
    synced.server.put(NODES, "d")
    await synced.in_step()
    assert synced.server.of("watch")[0].query["resourceVersion"] == seen
    assert [each.verb for each in synced.server.requests] == ["watchlist", "list", "watch"]


@pytest.mark.parametrize("event", ["ADDED", "MODIFIED", "DELETED", "BOOKMARK"])
async def test_every_kind_of_event_moves_the_version_to_resume_from(synced, event):
    # TestReflectorResourceVersionUpdate, TestReflectorWatchHandler
    body = {"kind": "Node", "metadata": {"name": "x", "resourceVersion": "1005"}}
    synced.server.send(NODES, apiserver.line(event, body))
    await eventually(lambda: synced.status.resource_version == "1005")
    synced.clock.advance(30)
    synced.server.version = 1005
    synced.server.send(NODES, "close")
    await synced.watching(2)
    assert synced.server.of("watch")[0].query["resourceVersion"] == "1005"


async def test_an_event_without_a_version_does_not_lose_the_last_one(synced):
    synced.server.send(
        NODES, apiserver.line("MODIFIED", {"kind": "Node", "metadata": {"name": "x"}})
    )
    await eventually(lambda: "x" in synced.sink.items)
    assert synced.status.resource_version == "1002"


async def test_a_bookmark_changes_no_object(synced):
    state = synced.sink.state
    synced.server.bookmark(NODES)
    await eventually(lambda: synced.sink.named("bookmark"))
    assert synced.sink.calls[1:] == [("bookmark", "1003")]
    assert synced.sink.state == state


async def test_added_events_of_a_watch_without_a_version_give_none(lister):
    # TestReflectorWatchHandler: synthetic ADDED events are not in the order of their versions
    lister.server.script["list"].append(
        apiserver.Fault(body=b'{"kind":"NodeList","metadata":{},"items":null}')
    )
    lister.start()
    await lister.watching(2)
    lister.server.put(NODES, "c")
    await eventually(lambda: "c" in lister.sink.items)
    assert not lister.status.resource_version
    lister.server.put(NODES, "c")
    await eventually(lambda: lister.status.resource_version == "1004")


async def test_an_object_deleted_while_the_watch_was_expired_is_removed(synced):
    # The watch is answered with 410; reliability scenario "HTTP 410 on watch"
    synced.clock.advance(30)
    synced.server.script["watch"].append(apiserver.refusal(410, "Expired"))
    synced.server.send(NODES, "close")
    await synced.waiting()
    synced.server.delete(NODES, "a")
    synced.server.compact(NODES)
    await synced.in_step()
    assert set(synced.sink.items) == {"b"}


async def test_a_watch_that_expires_in_its_stream_is_listed_again(synced):
    # TestReflectorWatchHandler; scenario "ERROR 410 in stream"
    refusal = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
    synced.server.send(NODES, apiserver.line("ERROR", refusal))
    await synced.waiting()
    synced.server.delete(NODES, "a")
    await synced.in_step()
    assert [each.verb for each in synced.server.requests] == ["watchlist", "watchlist"]
    assert synced.server.requests[1].query["resourceVersion"] == "1002"


@pytest.mark.parametrize(
    "refusal",
    [
        pytest.param(apiserver.refusal(429, "TooManyRequests"), id="TestNoRelistOnTooManyRequests"),
        pytest.param(apiserver.refusal(500, "InternalError"), id="TestRetryInternalError"),
        pytest.param(apiserver.refusal(503, "ServiceUnavailable"), id="unavailable"),
        pytest.param(apiserver.Fault(then="reset"), id="TestConnectionResetByPeerIsRetried"),
    ],
)
async def test_a_refused_watch_is_tried_again_without_a_new_list(synced, refusal):
    synced.clock.advance(30)
    synced.server.script["watch"].extend([refusal] * 3)
    synced.server.send(NODES, "close")
    await synced.until(lambda: len(synced.server.of("watch")) >= 4)
    synced.server.put(NODES, "c")
    await synced.in_step()
    assert synced.status.lists == 1
    assert {each.query["resourceVersion"] for each in synced.server.of("watch")} == {"1002"}


async def test_an_internal_error_in_the_stream_is_resumed_from(synced):
    # TestRetryInternalError
    error = {"kind": "Status", "code": 500, "reason": "InternalError", "message": "etcd is away"}
    synced.server.send(NODES, apiserver.line("ERROR", error))
    await synced.waiting()
    synced.server.put(NODES, "c")
    await synced.in_step()
    assert [each.verb for each in synced.server.requests] == ["watchlist", "list", "watch"]


async def test_internal_errors_that_stay_lead_to_a_new_list(synced):
    # TestRetryInternalError, after MaxInternalErrorRetryDuration
    synced.clock.advance(30)
    synced.server.always["watch"] = apiserver.refusal(500, "InternalError")
    synced.server.send(NODES, "close")
    await synced.until(lambda: synced.status.lists >= 2)
    assert len(synced.server.of("watch")) == 5


async def test_a_server_that_is_away_is_never_listed_again_for_that(synced):
    # TestReflectorListAndWatchInitConnBackoff
    synced.clock.advance(30)
    await synced.server.stop()
    for _ in range(12):
        await synced.wake()
    assert "Unreachable" in synced.status.problem
    await synced.waiting()
    await synced.server.start()
    synced.server.put(NODES, "c")
    await synced.in_step()
    assert synced.status.lists == 1


async def test_the_time_that_a_server_names_is_waited(synced):
    # rest/TestCheckRetryHandles429And5xx, TestBackoffOnTooManyRequests
    synced.clock.advance(30)
    synced.server.script["watch"].append(apiserver.refusal(429, "TooManyRequests", retry_after=17))
    synced.server.script["watch"].append(
        apiserver.refusal(503, "ServiceUnavailable", retry_after=9)
    )
    synced.server.send(NODES, "close")
    assert [await synced.wake(), await synced.wake()] == [17, 9]
    await synced.watching(2)


async def test_a_very_short_watch_is_a_failure(synced):
    # TestReflectorHandleWatchResultChanClosedBefore, …After
    synced.clock.advance(30)
    synced.server.script["watch"].append(apiserver.Fault())
    synced.server.send(NODES, "close")
    await synced.waiting()
    assert "VeryShortWatch" in synced.status.problem
    synced.server.put(NODES, "c")
    await synced.in_step()
    assert synced.status.lists == 1


async def test_watches_that_stay_very_short_lead_to_a_new_list(synced):
    synced.clock.advance(30)
    synced.server.always["watch"] = apiserver.Fault()
    synced.server.send(NODES, "close")
    await synced.until(lambda: synced.status.lists >= 2)
    assert len(synced.server.of("watch")) == 5


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
    for _ in range(10):
        await asyncio.sleep(0.005)
        synced.clock.advance(30)
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
        synced.clock.advance(1)
        await asyncio.sleep(0.005)
    assert synced.clock.now - synced.status.last_event <= 1


async def test_a_quiet_kind_has_recovered_once_its_watch_lasts(synced):
    await synced.server.stop()
    await synced.waiting()
    for _ in range(30):
        synced.clock.advance(4)
        await asyncio.sleep(0.002)
    assert "no connection" in synced.status.problem
    await synced.server.start()
    back = synced.clock.now
    for _ in range(80):
        if not synced.status.problem:
            break
        synced.clock.advance(0.5)
        await asyncio.sleep(0.005)
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
    shared = recovery.Recovery(rig.clock.sleep)
    made = []
    for kind, path, seed in (("Node", NODES, 1), ("Pod", PODS, 2)):
        found = reflector.Reflector(
            rig.api,
            api_resource.ApiResource(kind=kind, path=path),
            rig.sink,
            clock=rig.clock,
            sleep=rig.clock.sleep,
            rng=random.Random(seed),
            others=shared,
        )
        made.append((found, asyncio.create_task(found.run())))
    rig.reflector, rig.status = made[0][0], made[0][0].status
    await rig.server.stop()
    await eventually(lambda: all(each.status.state == "waiting" for each, _ in made))
    for _ in range(20):  # two minutes without a server
        rig.clock.advance(6)
        await asyncio.sleep(0.005)
    await rig.server.start()
    back = rig.clock.now
    for _ in range(240):
        if any(each.status.synced for each, _ in made):
            break
        rig.clock.advance(0.1)
        await asyncio.sleep(0.005)
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


# ---------------------------------------------------------------- what the stream may hold


async def test_a_watch_cut_in_the_middle_of_an_event_is_resumed(synced):
    synced.clock.advance(30)
    whole = apiserver.line("ADDED", {"kind": "Node", "metadata": {"name": "c"}})
    synced.server.send(NODES, whole[: len(whole) // 2])
    synced.server.send(NODES, "close")
    await eventually(lambda: synced.server.of("watch"))
    synced.server.put(NODES, "c")
    await synced.in_step()
    assert synced.status.lists == 1


@pytest.mark.parametrize(
    "junk",
    [
        pytest.param(b'{"type":"ADDED","object":{"kind"\n', id="malformed line"),
        pytest.param(
            b'{"type":"ADDED","object":{"kind":"Node","metadata":{"name":"\xff"}}}\n', id="UTF-8"
        ),
        pytest.param(b"\x00\n", id="not JSON at all"),
    ],
)
async def test_a_damaged_line_makes_the_watch_be_resumed(synced, junk):
    synced.server.send(NODES, junk)
    synced.server.put(NODES, "c")
    await synced.in_step()
    assert [each.verb for each in synced.server.requests] == ["watchlist", "list", "watch"]
    assert synced.server.of("watch")[0].query["resourceVersion"] == "1002"


@pytest.mark.parametrize("junk", [b"\n", b"\r\n", b"  \n\n\n"])
async def test_blank_lines_are_nothing(synced, junk):
    synced.server.send(NODES, junk)
    synced.server.put(NODES, "c")
    await synced.in_step()
    assert len(synced.server.requests) == 1
    assert synced.status.decode_failures == 0


NAMED = {"kind": "Node", "metadata": {"name": "x", "resourceVersion": "1002"}}


@pytest.mark.parametrize(
    "junk",
    [
        pytest.param(apiserver.line("SURPRISE", NAMED), id="unknown type"),
        pytest.param(apiserver.line("ADDED", {**NAMED, "kind": "Pod"}), id="wrong kind"),
        pytest.param(
            apiserver.line("ADDED", {"metadata": {"name": "x"}, "kind": "Table"}),
            id="TestIsUnsupportedTableObject",
        ),
        pytest.param(apiserver.line("ADDED", {"metadata": {"name": "x"}}), id="no kind"),
        pytest.param(apiserver.line("ADDED", {"kind": "Node"}), id="no metadata"),
        pytest.param(apiserver.line("DELETED", {"kind": "Node"}), id="deleted, no metadata"),
        pytest.param(apiserver.line("BOOKMARK", {"kind": "Node"}), id="bookmark, no version"),
        pytest.param(apiserver.line("ADDED", {**NAMED, "spec": []}), id="another shape"),
        pytest.param(apiserver.line("MODIFIED", ["Node"]), id="not an object"),
        pytest.param(b"[]\n", id="not an event"),
        pytest.param(
            b'{"type":"ADDED","object":' + b"[" * 2000 + b"]" * 2000 + b"}\n", id="deeply nested"
        ),
    ],
)
async def test_what_is_not_understood_is_skipped_and_counted(synced, junk):
    # TestReflectorWatchHandler
    synced.server.send(NODES, junk)
    synced.server.version += 1
    synced.server.put(NODES, "c")
    await synced.in_step()
    assert synced.status.decode_failures == 1
    assert len(synced.server.requests) == 1


async def test_objects_of_a_list_that_are_not_understood_are_left_out(lister):
    lister.server.put(NODES, "odd", spec={"unschedulable": "perhaps"})
    lister.start()
    await eventually(lambda: lister.status.synced)
    assert set(lister.sink.items) == {"a", "b"}
    assert lister.status.decode_failures == 1


async def test_a_deleted_object_of_another_shape_is_deleted_all_the_same(synced):
    # TestDeletedObjectGetKey
    body = {"kind": "Node", "metadata": {"name": "a", "resourceVersion": "1003"}, "spec": []}
    synced.server.send(NODES, apiserver.line("DELETED", body))
    await eventually(lambda: set(synced.sink.items) == {"b"})


async def test_a_sink_that_fails_on_one_object_gets_the_next(synced):
    # TestEventPanics
    synced.sink.breaks = 1
    synced.server.put(NODES, "bad")
    synced.server.put(NODES, "good")
    await eventually(lambda: "good" in synced.sink.items)
    assert synced.status.sink_failures == 1
    assert len(synced.server.requests) == 1


async def test_characters_cut_in_two_are_whole_again(synced):
    body = {"kind": "Node", "metadata": {"name": "c", "labels": {"k": "žluťoučký kůň 🐎"}}}
    data = apiserver.line("ADDED", body)
    for cut in range(len(data)):
        synced.server.send(NODES, data[cut : cut + 1])
    await eventually(lambda: "c" in synced.sink.items)
    assert synced.sink.items["c"].metadata.labels == {"k": "žluťoučký kůň 🐎"}


@pytest.mark.parametrize("megabytes", [1.4, 3, 6])
async def test_an_event_of_megabytes_is_taken(synced, megabytes):
    padding = "x" * int(megabytes * 1e6)
    synced.server.put(NODES, "c", metadata={"annotations": {"note": padding}})
    await synced.in_step()
    assert len(synced.sink.items["c"].metadata.annotations["note"]) == len(padding)


async def test_a_line_without_an_end_does_not_fill_the_memory(synced, monkeypatch):
    monkeypatch.setattr("extender.kube.watch.line_splitter._LONGEST_BYTES", 1 << 20)
    for _ in range(40):
        synced.server.send(NODES, b"x" * (64 << 10))
    await synced.waiting()
    synced.server.put(NODES, "c")
    await synced.in_step()
    assert [each.verb for each in synced.server.requests] == ["watchlist", "list", "watch"]


async def test_a_custom_object_says_its_version_before_its_kind():
    path = "/apis/topology.node.k8s.io/v1alpha2/noderesourcetopologies"
    async with apiserver.ApiServer() as server:
        rig = Rig(server)
        server.add(path, "NodeResourceTopology", "topology.node.k8s.io/v1alpha2")
        body = {"apiVersion": "topology.node.k8s.io/v1alpha2", "kind": "NodeResourceTopology"}
        body["metadata"] = {"name": "n", "resourceVersion": "5000"}
        where = api_resource.ApiResource(kind="NodeResourceTopology", path=path)
        made = reflector.Reflector(rig.api, where, rig.sink)
        task = asyncio.create_task(made.run())
        await eventually(lambda: made.status.synced)
        server.send(path, apiserver.line("ADDED", body))
        await eventually(lambda: "n" in rig.sink.items)
        assert isinstance(rig.sink.items["n"], objects.NodeResourceTopology)
        task.cancel()
        await rig.stop()


async def test_older_versions_of_an_object_arrive_in_the_newest_shape(rig):
    path = "/apis/resource.k8s.io/v1beta1/resourceslices"
    rig.server.add(path, "ResourceSlice", "resource.k8s.io/v1beta1")
    device = {"name": "gpu-0", "basic": {"attributes": {"index": {"int": 3}}}}
    rig.server.put(path, "s", spec={"driver": "d", "devices": [device]})
    where = api_resource.ApiResource(kind="ResourceSlice", path=path)
    made = reflector.Reflector(rig.api, where, rig.sink, condense=lambda item: item)
    rig.task = asyncio.create_task(made.run())
    await eventually(lambda: made.status.synced)
    (found,) = rig.sink.items["s"].spec.devices
    assert found.attributes["index"].int_ == 3
    assert found.basic is None


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
