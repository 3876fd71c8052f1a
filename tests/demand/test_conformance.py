"""The service and the scheduler's side of the protocol together, on the demo cluster."""

import random
import re

import aiohttp
import orjson
import pytest

from extender import settings
from extender.service import live
from tests.kit import scheduler, services
from tests.kit.judge_stubs import NameJudge

SNAPSHOT = settings.embedded("demo") / "snapshot.json"
ITEMS = orjson.loads(SNAPSHOT.read_bytes())["items"]
NODES = sorted(item["metadata"]["name"] for item in ITEMS if item["kind"] == "Node")
PENDING = {
    item["metadata"]["name"]: item
    for item in ITEMS
    if item["kind"] == "Pod" and not item["spec"].get("nodeName")
}


class Favourite(NameJudge):
    """Gives one node the best score and the others the worst."""

    def __init__(self, name):
        super().__init__()
        self._name = name

    def prioritize(self, _pod, names, _ticket=None):
        return [10 if name == self._name else 0 for name in names]


@pytest.fixture
async def session():
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture(scope="module")
def devices():
    """The pending pods that ask for devices."""
    return [pod for name, pod in sorted(PENDING.items()) if name != "web-9"]


@pytest.fixture
async def railyard(session):
    free = settings.Address("127.0.0.1", 0)
    chosen = settings.Settings(snapshot=(SNAPSHOT,), bind=free, admin_bind=free)
    async with live.opened(chosen) as sites:
        yield scheduler.Extender(session, sites.bound)


async def test_every_node_is_let_through_or_refused_with_a_reason(railyard, devices):
    for pod in devices:
        passing, failed, unresolvable = await railyard.filter(pod, NODES)
        assert sorted([*passing, *failed, *unresolvable]) == NODES
        assert all([*failed.values(), *unresolvable.values()])


async def test_reasons_are_short_and_name_no_node(railyard, devices):
    for pod in devices:
        _, failed, unresolvable = await railyard.filter(pod, NODES)
        reasons = {*failed.values(), *unresolvable.values()}
        assert len(reasons) <= 12  # kube-scheduler counts nodes by reason
        for reason in reasons:
            assert len(reason) <= 160
            assert not any(name in reason for name in NODES)


async def test_scores_are_whole_numbers_from_0_to_10_one_for_each_name(session, railyard, devices):
    for pod in devices:
        passing, _, _ = await railyard.filter(pod, NODES)
        scores = await railyard.prioritize(pod, passing)
        assert list(scores) in ([], passing)
        assert all(0 <= score <= 100 and score % 10 == 0 for score in scores.values())


async def test_the_order_of_names_changes_nothing(railyard, devices):
    for pod in devices:
        shuffled = random.Random(4).sample(NODES, len(NODES))
        first, again = await railyard.filter(pod, NODES), await railyard.filter(pod, shuffled)
        assert set(first[0]) == set(again[0])
        assert first[1:] == again[1:]


async def test_a_node_alone_gets_the_verdict_it_has_among_all(railyard, devices):
    pod = PENDING["train-0"]
    passing, failed, unresolvable = await railyard.filter(pod, NODES)
    for name in (passing[0], next(iter(failed)), next(iter(unresolvable))):
        alone = await railyard.filter(pod, [name])
        assert alone == (
            [name] if name in passing else [],
            {name: failed[name]} if name in failed else {},
            {name: unresolvable[name]} if name in unresolvable else {},
        )


async def test_nodes_without_the_hardware_are_not_worth_an_eviction(railyard):
    _, failed, unresolvable = await railyard.filter(PENDING["train-0"], NODES)
    assert "cpu-0" in unresolvable
    assert "gb300-3" in failed


async def test_a_name_that_is_not_known_passes_as_it_was_written(railyard):
    passing, _, _ = await railyard.filter(PENDING["train-0"], ["Not.Known", "cpu-0"])
    assert passing == ["Not.Known"]


async def test_a_pod_without_devices_passes_everywhere_and_is_not_scored(railyard):
    passing, failed, unresolvable = await railyard.filter(PENDING["web-9"], NODES)
    assert (passing, failed, unresolvable) == (NODES, {}, {})


async def test_a_resource_that_is_managed_brings_the_pod_here_and_a_claim_does_not(session):
    extender = scheduler.Extender(session, "127.0.0.1:1", managed=["nvidia.com/gpu"])
    assert extender.interested(PENDING["vision-9"])
    assert not extender.interested(PENDING["train-0"])
    assert await scheduler.feasible([extender], PENDING["train-0"], NODES) == NODES


async def test_of_two_extenders_the_heavier_decides(session):
    async with (
        services.running(Favourite("a")) as light,
        services.running(Favourite("b")) as heavy,
    ):
        both = [
            scheduler.Extender(session, light.bound, weight=1),
            scheduler.Extender(session, heavy.bound, weight=5),
        ]
        pod = PENDING["train-0"]
        total = await scheduler.totals(both, pod, ["a", "b", "c"], {})
        assert total == {"a": 100, "b": 500, "c": 0}
        assert scheduler.winners(total) == {"b"}


@pytest.mark.parametrize(
    ("weight", "winner"),
    [pytest.param(1, "b", id="outvoted in tree"), pytest.param(15, "a", id="dominating")],
)
async def test_what_the_scheduler_itself_prefers_outweighs_a_light_extender(
    session, weight, winner
):
    async with services.running(Favourite("a")) as sites:
        extender = scheduler.Extender(session, sites.bound, weight=weight)
        in_tree = {"a": 0, "b": 1200}
        total = await scheduler.totals([extender], PENDING["train-0"], ["a", "b"], in_tree)
        assert scheduler.winners(total) == {winner}


async def test_before_the_first_sync_the_attempt_fails_unless_we_are_ignorable(session):
    async with services.running(NameJudge(waiting=("Pod",))) as sites:
        strict = scheduler.Extender(session, sites.bound)
        with pytest.raises(scheduler.CallError, match="still reading: Pod"):
            await scheduler.feasible([strict], PENDING["train-0"], NODES)
        ignorable = scheduler.Extender(session, sites.bound, ignorable=True)
        assert await scheduler.feasible([ignorable], PENDING["train-0"], NODES) == NODES
        assert await strict.prioritize(PENDING["train-0"], NODES) == {}


async def test_a_refusal_is_no_error_so_an_ignorable_extender_still_refuses(session):
    async with services.running() as sites:
        extender = scheduler.Extender(session, sites.bound, ignorable=True)
        names = ["a", "busy-1", "never-1"]
        assert await scheduler.feasible([extender], PENDING["train-0"], names) == ["a"]


async def test_an_extender_that_is_gone_stops_the_attempt_unless_ignorable(session):
    async with services.running() as sites:
        address = sites.bound
    for ignorable in (False, True):
        extender = scheduler.Extender(session, address, ignorable=ignorable)
        if ignorable:
            assert await scheduler.feasible([extender], PENDING["train-0"], NODES) == NODES
        else:
            with pytest.raises(scheduler.CallError):
                await scheduler.feasible([extender], PENDING["train-0"], NODES)


async def test_no_number_in_an_answer_has_a_fraction_or_an_exponent(session, railyard, devices):
    for pod in devices:
        body = orjson.dumps({"Pod": pod, "Nodes": None, "NodeNames": NODES})
        async with session.post(f"{railyard._url}/prioritize", data=body) as response:
            text = await response.text()
        scores = re.findall(r'"Score":([^},]*)', text)
        assert all(re.fullmatch(r"\d+", score) for score in scores)
