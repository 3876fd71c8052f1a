"""A canary in a running service: over HTTP, its steps, and what a restart remembers."""

import asyncio

import aiohttp
import orjson
import pytest

from extender import settings
from extender.cli import entry, shadow_command
from extender.kube.api import objects
from extender.policy import config
from extender.rollout import canary, candidate_engine
from extender.server import policy_figures
from extender.service import live
from extender.service.policy_source import canary_runner, shadow_runner
from tests.kit import worlds
from tests.kit.builders import make_class, make_pod, make_template
from tests.kit.services import FREE
from tests.service.policy_source.test_shadow_runner import NODES, POD, SNAPSHOT, call

CANDIDATE = """\
canary: {percent: 100}
profiles: [{name: tried, locality: {mode: Required, level: PIX}}]
"""
FIGURES = policy_figures.PolicyFigures()
PLAIN = "profiles: [{name: tried, locality: {mode: Required, level: PIX}}]"


def config_map(text=CANDIDATE, version="7"):
    meta = objects.ObjectMeta(name="p", namespace="ops", resource_version=version, uid="m")
    return objects.ConfigMap(metadata=meta, data={shadow_runner.KEY: text} if text else {})


def world():
    judging = worlds.engine()
    worlds.feed(judging, *worlds.p4d("aligned"), *worlds.p4d("other"))
    worlds.feed(judging, make_class(worlds.GPU), make_template("gpu").request("gpu", worlds.GPU))
    judging.settle()
    return judging


class Beside:
    """A candidate beside an engine, ticked by hand."""

    def __init__(self, judging, kept=None, **given):
        self.judging, self.announced = judging, []
        self.shadowing = shadow_runner.ShadowRunner(
            lambda: self.judging,
            lambda: True,
            kept=kept,
            announced=lambda _, reason, reported: self.announced.append((reason, reported)),
            **given,
        )
        self.rollout = self.shadowing.rollout

    def tick(self, times=20):
        for _ in range(times):
            self.shadowing._tick()

    def decide(self, number=1):
        answering = self.rollout.engine(self.judging)
        pod = make_pod(f"p{number}").uid(f"u{number}").template("gpu").obj()
        found = answering.filter(pod, ["aligned", "other"])
        return answering.prioritize(pod, ["aligned", "other"], found.ticket)

    @property
    def state(self):
        return self.rollout.as_json()["state"]


def break_(monkeypatch):
    def raises(*_, **__):
        raise ZeroDivisionError("a fault of the candidate")

    monkeypatch.setattr(candidate_engine.CandidateEngine, "filter", raises)


def test_the_canary_waits_until_the_candidate_is_ready_and_then_answers():
    beside = Beside(world())
    beside.shadowing.see(config_map())
    assert beside.state == canary.WAITING
    assert beside.rollout.engine(beside.judging) is beside.judging

    beside.tick()
    assert len(beside.decide()) == 2

    assert beside.state == canary.ANSWERING
    reported = beside.rollout.as_json()
    assert (reported["callsAnswered"], reported["callsFailed"], reported["podsAnswered"]) == (
        2,
        0,
        1,
    )
    assert [reason for reason, _ in beside.announced] == ["CanaryAnswers"]


def test_each_step_of_a_rollback_is_reported(monkeypatch, caplog):
    beside = Beside(world())
    beside.shadowing.see(config_map())
    beside.tick()
    break_(monkeypatch)

    for number in range(3):
        assert len(beside.decide(number)) == 2

    assert beside.state == canary.ROLLED_BACK
    why = "2 of its last 2 calls failed, the last one in filter: ZeroDivisionError"
    assert why in caplog.text
    assert beside.announced[-1][0] == "CanaryRolledBack"
    assert why in beside.announced[-1][1]
    figures = beside.shadowing.figures_beside(lambda: FIGURES)()
    assert why in figures.notes[0]
    assert figures.canary == {"waiting": 0, "answering": 0, "rolled back": 1}
    assert figures.canary_calls == {"answered": 0, "slow": 0, "failed": 2}
    assert figures.canary_pods == 0
    assert figures.canary_recent == {"failed": 0.02, "slow": 0.0}  # of a hundred
    assert figures.canary_limits == {"failed": 0.01, "slow": 0.05}
    assert any(why in line for line in shadow_command.lines(beside.shadowing.as_json()))


def test_a_candidate_stays_rolled_back_until_its_document_changes(monkeypatch, tmp_path):
    kept = canary_runner.beside(tmp_path / "last-good.yaml")
    beside = Beside(world(), kept)
    beside.shadowing.see(config_map())
    beside.tick()
    with monkeypatch.context() as broken:
        break_(broken)
        for number in range(3):
            beside.decide(number)

    beside.tick()
    beside.shadowing.see(config_map(version="8"))
    beside.judging.use(config.parse({"cpuPods": "Ignore"}, source="another policy in force"))
    beside.tick()
    assert beside.state == canary.ROLLED_BACK

    restarted = Beside(world(), kept)
    restarted.shadowing.see(config_map())
    restarted.tick()
    assert restarted.state == canary.ROLLED_BACK
    assert restarted.rollout.engine(restarted.judging) is not None
    assert len(restarted.decide()) == 2
    assert restarted.rollout.as_json()["callsAnswered"] == 0

    restarted.shadowing.see(config_map(CANDIDATE + "# another try\n"))
    restarted.tick()
    assert restarted.state == canary.ANSWERING


def test_without_a_canary_or_without_a_candidate_the_engine_answers():
    beside = Beside(world())
    for item in (config_map(PLAIN), config_map(""), config_map("canary: {}"), None):
        beside.shadowing.see(item)
        beside.tick()

        assert beside.rollout.engine(beside.judging) is beside.judging
        assert beside.rollout.as_json() is None


def test_a_broken_candidate_is_announced():
    beside = Beside(world())

    beside.shadowing.see(config_map("canary: {}"))

    (reported,) = beside.announced
    assert reported[0] == "CandidateRefused"
    assert "canary: names no pods: set percent, or namespaces" in reported[1]


def test_with_another_policy_in_force_the_engine_answers_until_the_candidate_is_ready_again():
    beside = Beside(world())
    beside.shadowing.see(config_map())
    beside.tick()

    beside.judging.use(config.parse({"cpuPods": "Ignore"}, source="another policy in force"))
    assert beside.rollout.engine(beside.judging) is beside.judging
    beside.tick()

    assert beside.rollout.engine(beside.judging) is not beside.judging
    states = [step["state"] for step in beside.rollout.as_json()["steps"]]
    assert states == ["waiting", "answering", "waiting", "answering"]


def test_a_candidate_that_has_to_be_stopped_is_left_alone_and_the_engine_built_anew():
    halted = []
    beside = Beside(world(), halted=lambda: halted.append(1))
    beside.shadowing.see(config_map())
    beside.tick()
    beside.shadowing._halt()
    beside.judging = world()
    beside.tick()

    assert halted == [1]
    assert beside.state == canary.ROLLED_BACK
    assert beside.shadowing.as_json()["state"] == "stopped: it took far too long"
    assert len(beside.decide()) == 2


async def reported(client, port, path):
    async with client.get(f"http://127.0.0.1:{port}{path}") as answer:
        return await answer.read()


async def test_a_pod_of_the_canary_is_answered_over_http_and_its_decision_names_the_policy(
    tmp_path, capsys
):
    path = tmp_path / "candidate.yaml"
    path.write_text(CANDIDATE)
    chosen = settings.Settings(snapshot=(SNAPSHOT,), bind=FREE, admin_bind=FREE, shadow_policy=path)
    async with live.opened(chosen) as sites, aiohttp.ClientSession() as client:
        admin = sites.admin_bound.port
        async with asyncio.timeout(60):
            while (  # noqa: ASYNC110 - a probe
                orjson.loads(await reported(client, admin, "/v1/shadow"))
                .get("canary", {})
                .get("state")
                != canary.ANSWERING
            ):
                await asyncio.sleep(0.05)
        passing = (await call(client, sites.bound.port, "filter", NODES))["NodeNames"]
        await call(client, sites.bound.port, "prioritize", passing)
        metrics = (await reported(client, admin, "/metrics")).decode()
        policy = orjson.loads(await reported(client, admin, "/v1/policy"))
        meta = POD["metadata"]
        where = f"/v1/decisions?pod={meta.get('namespace', 'default')}/{meta['name']}"
        decided = orjson.loads(await reported(client, admin, where))
        status = await asyncio.to_thread(entry.main, ["shadow", "--url", f"127.0.0.1:{admin}"])

    hash_ = config.fingerprint(config.parse({**PARSED}, source="x"))
    assert decided["decisions"][0]["policy"] == policy["canary"]["hash"] == hash_
    assert policy["canary"]["state"] == "answering"
    assert policy["hash"] == config.fingerprint(config.DEFAULT)
    assert 'railyard_canary_state{state="answering"} 1.0' in metrics
    assert 'railyard_canary_calls_total{result="answered"} ' in metrics
    assert status == 0
    assert "canary" in capsys.readouterr().out


PARSED = {"profiles": [{"name": "tried", "locality": {"mode": "Required", "level": "PIX"}}]}


@pytest.mark.parametrize("limit", ["slow", "errors"])
async def test_over_http_no_call_fails_while_a_candidate_is_rolled_back(
    tmp_path, monkeypatch, limit
):
    if limit == "errors":
        break_(monkeypatch)
        text = CANDIDATE
    else:
        rollback = "{percent: 100, rollback: {slowMilliseconds: 0.000001}}"
        text = CANDIDATE.replace("{percent: 100}", rollback)
    path = tmp_path / "candidate.yaml"
    path.write_text(text)
    chosen = settings.Settings(snapshot=(SNAPSHOT,), bind=FREE, admin_bind=FREE, shadow_policy=path)
    async with live.opened(chosen) as sites, aiohttp.ClientSession() as client:
        admin, port = sites.admin_bound.port, sites.bound.port
        async with asyncio.timeout(60):
            while True:
                found = await call(client, port, "filter", NODES)
                assert not found["Error"]
                scores = await call(client, port, "prioritize", found["NodeNames"])
                assert len(scores) == len(found["NodeNames"])
                state = orjson.loads(await reported(client, admin, "/v1/shadow"))["canary"]["state"]
                if state == canary.ROLLED_BACK:
                    break
        ready = orjson.loads(await reported(client, admin, "/readyz"))
        metrics = (await reported(client, admin, "/metrics")).decode()

    assert ready["ready"]
    assert any("was rolled back" in note for note in ready["notes"])
    assert 'railyard_canary_state{state="rolled back"} 1.0' in metrics
    assert 'railyard_fail_open_total{verb="filter"} 0.0' in metrics
