"""What the admin port tells of decisions, over HTTP."""

import asyncio
import contextlib
import json

import aiohttp
import pytest

from extender import settings
from extender.cli import entry
from extender.service import live
from tests.kit.builders import make_node, make_pod
from tests.kit.worlds import H100

FREE = settings.Address("127.0.0.1", 0)
NODES = ["a", "b", "c"]


@contextlib.asynccontextmanager
async def serving(tmp_path, *pods, **more):
    kind = {"kind": "Node", "apiVersion": "v1"}
    items = [make_node(name).gpus(H100, 8).body | kind for name in NODES]
    items += [pod.body | {"kind": "Pod", "apiVersion": "v1"} for pod in pods]
    (tmp_path / "nodes.json").write_text(
        json.dumps({"kind": "List", "apiVersion": "v1", "items": items})
    )
    chosen = settings.Settings(snapshot=(tmp_path,), bind=FREE, admin_bind=FREE, **more)
    async with live.opened(chosen) as sites, aiohttp.ClientSession() as session:
        yield Asked(session, f"http://{sites.bound}", f"http://{sites.admin_bound}")


class Asked:
    def __init__(self, session, verbs, admin):
        self.session, self.verbs, self.admin = session, verbs, admin

    async def get(self, path):
        async with self.session.get(self.admin + path) as answer:
            return answer.status, await answer.json()

    async def judge(self, name, gpus):
        body = {"Pod": make_pod(name).gpus(gpus).body, "Nodes": None, "NodeNames": NODES}
        async with self.session.post(self.verbs + "/filter", json=body) as answer:
            body["NodeNames"] = (await answer.json())["NodeNames"]
        if len(body["NodeNames"]) > 1:
            async with self.session.post(self.verbs + "/prioritize", json=body) as answer:
                await answer.read()


async def test_decisions_are_answered_newest_first_within_a_limit(tmp_path):
    async with serving(tmp_path) as asked:
        for number in range(3):
            await asked.judge(f"p{number}", 1 + number)
        status, found = await asked.get("/v1/decisions?limit=2")

        assert status == 200
        assert [each["pod"]["name"] for each in found["decisions"]] == ["p2", "p1"]
        assert found["decisions"][0]["best"][0]["score"] == 10
        assert found["kept"]["decisions"] == 3


async def test_a_node_asked_for_is_distinguished(tmp_path):
    async with serving(tmp_path) as asked:
        await asked.judge("p", 9)
        _, found = await asked.get("/v1/decisions?pod=default/p&node=b")

        assert found["decisions"][0]["onNode"]["verdict"] == "refused for good"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("limit=0", "limit is '0'"),
        ("limit=many", "a number from 1 to"),
        ("since=yesterday", "a time such as"),
        ("pods=x", "unknown parameter 'pods'"),
    ],
)
async def test_a_question_that_cannot_be_read_is_refused_in_words(tmp_path, query, words):
    async with serving(tmp_path) as asked:
        status, found = await asked.get(f"/v1/decisions?{query}")

        assert status == 400
        assert words in json.dumps(found)


async def test_no_decisions_are_kept_where_none_are_wanted(tmp_path):
    async with serving(tmp_path, decisions=0) as asked:
        await asked.judge("p", 1)
        _, found = await asked.get("/v1/decisions")

        assert found["decisions"] == []


async def test_the_policy_in_force_is_reported_with_its_defaults(tmp_path):
    async with serving(tmp_path) as asked:
        _, found = await asked.get("/v1/policy")

        assert found["sourceKind"] == "builtin"
        assert found["policy"]["profiles"][0]["locality"]["weight"] == 10.0
        assert len(found["hash"]) == 12
        assert found["refused"] is None


async def test_each_decision_is_a_line_of_the_log_where_that_is_wanted(tmp_path, caplog):
    caplog.set_level("INFO")
    async with serving(tmp_path, log_decisions=True) as asked:
        await asked.judge("p", 1)
        await asked.get("/v1/decisions")

    (record,) = [r for r in caplog.records if hasattr(r, "fields")]
    assert record.fields["decision"]["pod"]["name"] == "p"


async def test_why_tells_of_a_pod_before_binding_what_was_decided_and_what_would_do(tmp_path):
    pods = (make_pod("p").gpus(4).priority(1), make_pod("h").gpus(6).node("a").priority(0))
    async with serving(tmp_path, *pods) as asked:
        await asked.judge("p", 4)
        status, found = await asked.get("/v1/why?pod=default/p&node=a")

    assert status == 200
    assert (found["state"], found["demand"]) == ("waiting", "4 GPUs")
    assert found["onNode"]["reason"] == "needs 4 GPUs; 2 of 8 GPUs are free"
    (node,) = found["now"]
    assert node["changes"][0]["pods"] == ["uid-h"]
    assert node["changes"][0]["preemptible"] is True


async def test_why_of_a_bound_pod_without_a_decision_judges_it_as_if_it_were_not_there(tmp_path):
    pods = (make_pod("p").gpus(4).node("b"), make_pod("h").gpus(6).node("a"))
    async with serving(tmp_path, *pods) as asked:
        _, found = await asked.get("/v1/why?pod=default/p&node=a")

    assert (found["state"], found["node"], found["decision"]) == ("bound", "b", None)
    assert found["now"][0]["verdict"] == "refused"
    assert "no decision on this pod is kept" in found["notes"][0]
    assert "as if the pod were not there" in found["notes"][1]


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("", 400, "name the pod"),
        ("pod=default/nobody", 404, "no pod default/nobody is known here"),
        ("pod=default/p&node=nowhere", 404, "no node nowhere"),
    ],
)
async def test_why_of_what_is_not_there_says_so(tmp_path, query, status, words):
    async with serving(tmp_path, make_pod("p").gpus(4)) as asked:
        found = await asked.get(f"/v1/why?{query}")

    assert found[0] == status
    assert words in json.dumps(found[1])


@pytest.mark.parametrize("command", [["why", "p"], ["why", "default/p", "--node", "b"], ["policy"]])
async def test_the_commands_ask_a_running_service_and_fit_the_terminal(tmp_path, capsys, command):
    async with serving(tmp_path, make_pod("p").gpus(4), make_pod("h").gpus(6).node("b")) as asked:
        await asked.judge("p", 4)
        status = await asyncio.to_thread(entry.main, [*command, "--url", asked.admin])

    reported = capsys.readouterr().out
    assert status == 0
    assert max(map(len, reported.splitlines())) <= 80
    assert "policy" in reported or "since" in reported


async def test_a_command_that_reaches_nobody_says_which_address(capsys):
    status = await asyncio.to_thread(entry.main, ["why", "p", "--url", "http://127.0.0.1:9"])

    assert status == 2
    assert "http://127.0.0.1:9" in capsys.readouterr().err
