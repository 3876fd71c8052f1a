"""WatchList: the list as a stream."""

from tests.kit import apiserver, virtual_time
from tests.kit.clock import eventually
from tests.kit.rigs.reflector_rig import NODES

LOOP = virtual_time.Loop


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
