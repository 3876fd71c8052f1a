"""The reflector's contract: client-go's rules and the faults that API servers and networks make.

The name of the upstream test (tools/cache/reflector_test.go, unless noted) that asks for the same
stands in each test's comment.
"""

import asyncio

import pytest

from tests.kit import apiserver, virtual_time
from tests.kit.clock import eventually
from tests.kit.rigs.reflector_rig import NODES

LOOP = virtual_time.Loop


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


async def test_others_get_their_turn_while_a_kind_is_listed_again(rig):
    turns = []

    def replacing(*_):
        for turn in range(3):
            asyncio.get_running_loop().call_soon(turns.append, turn)
            yield
        turns.append("done")

    rig.sink.replace = replacing
    rig.start()
    await rig.until(lambda: "done" in turns)

    assert turns == [0, 1, 2, "done"]
