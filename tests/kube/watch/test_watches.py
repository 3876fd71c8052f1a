"""Watches, resumed and expired."""

import msgspec
import pytest

from tests.kit import apiserver, virtual_time
from tests.kit.clock import eventually
from tests.kit.rigs.reflector_rig import NODES

LOOP = virtual_time.Loop


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
