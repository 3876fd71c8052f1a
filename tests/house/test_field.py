"""Cases from the field: what people reported, and the right answer as data beside each.

A question that is not answered rightly yet is marked `pending`; whoever mends it removes the mark,
as a right answer there fails the suite, too.
"""

import json
import pathlib
import re

import aiohttp
import msgspec
import pytest
import yaml

from extender import cli, settings
from extender.service import live

FIELD = pathlib.Path(__file__).parents[1] / "golden" / "field"
FREE = settings.Address("127.0.0.1", 0)


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Asked(_Section, frozen=True):
    """One question and what must hold in the answer; what is not said may be anything.

    `ask` is a command of the command line, a path of the verbs ("/filter"), or "metrics". `answer`
    of a verb is shown whole, or with `part` only what must be in it.
    """

    ask: str = "explain"
    pod: str = "pod.yaml"
    snapshot: tuple[str, ...] = ("cluster.yaml",)
    flags: tuple[str, ...] = ()
    body: str = ""  # of a verb
    pending: str = ""  # why it is not right yet

    exit: int | None = None
    verdicts: dict[str, str] = {}  # node → verdict; "refused" is for now, or for good
    devices: dict[str, tuple[str, ...]] = {}  # node → its devices
    reasons: dict[str, tuple[str, ...]] = {}  # node → what its reason, or nearness, says
    costs: tuple[str, ...] = ()  # nodes, the cheapest first
    alike: tuple[str, ...] = ()  # nodes that cost the same
    best: str = ""
    says: tuple[str, ...] = ()  # in the table that is printed
    never: tuple[str, ...] = ()  # not in it
    error: tuple[str, ...] = ()  # on standard error
    status: int | None = None
    answer: dict[str, object] | list[object] | None = None
    part: dict[str, object] | None = None
    metrics: dict[str, float] = {}  # name with its labels → value


class Case(_Section, frozen=True):
    """A report: where it is from, what is right and why, and the questions."""

    source: str
    right: str
    asked: tuple[Asked, ...]


def _read():
    for path in sorted(FIELD.glob("*/expect.yaml")):
        case = msgspec.convert(yaml.safe_load(path.read_text()), Case)
        for number, asked in enumerate(case.asked):
            marks = (
                [pytest.mark.xfail(reason=asked.pending, raises=AssertionError, strict=True)]
                if asked.pending
                else []
            )
            name = f"{path.parent.name}-{number}"
            yield pytest.param(path.parent, asked, id=name, marks=marks)


QUESTIONS = list(_read())
COMMANDS = [each for each in QUESTIONS if each.values[1].ask in {"explain", "predict", "check"}]
REQUESTS = [each for each in QUESTIONS if each not in COMMANDS]


def test_every_case_has_its_right_answer():
    assert {path.parent for path in FIELD.glob("*/expect.yaml")} == {
        path for path in FIELD.iterdir() if path.is_dir()
    }


# ---------------------------------------------------------------- the command line


def _arguments(folder, asked):
    if asked.ask == "check":
        return [str(folder / asked.pod)]
    snapshots = [part for name in asked.snapshot for part in ("--snapshot", str(folder / name))]
    pod = folder / asked.pod
    return [*snapshots, "--pod", str(pod if pod.exists() else asked.pod), *asked.flags]


@pytest.mark.parametrize(("folder", "asked"), COMMANDS)
def test_the_command_line_answers(folder, asked, capsys):
    arguments = _arguments(folder, asked)
    status = cli.main([asked.ask, *arguments])
    table, error = capsys.readouterr()

    for text in asked.says:
        assert text in table
    for text in asked.never:
        assert text not in table
    for text in asked.error:
        assert text in error
    if asked.exit is not None:
        assert status == asked.exit
    if asked.ask == "explain" and table:
        cli.main([asked.ask, *arguments, "-o", "json"])
        found = json.loads(capsys.readouterr().out)
        one = found if isinstance(found, dict) else found[0]  # of several pods the first
        _check_nodes(asked, {node["node"]: node for node in one["nodes"]})


def _check_nodes(asked, nodes):
    for name, verdict in asked.verdicts.items():
        shown = nodes[name]["verdict"]
        assert (name, shown if verdict != "refused" else shown.split()[0]) == (name, verdict)
    for name, devices in asked.devices.items():
        assert (name, [d["device"] for d in nodes[name]["devices"]]) == (name, list(devices))
    for name, texts in asked.reasons.items():
        for text in texts:
            assert text in f"{nodes[name]['reason']}; {nodes[name]['near']}", name
    costs = [nodes[name]["cost"] for name in asked.costs]
    assert costs == sorted(set(costs)), asked.costs
    assert len({nodes[name]["cost"] for name in asked.alike}) <= 1
    if asked.best:
        assert max(nodes, key=lambda name: nodes[name]["score"] or 0) == asked.best


# ---------------------------------------------------------------- the verbs and the metrics


@pytest.mark.parametrize(("folder", "asked"), REQUESTS)
async def test_the_service_answers(folder, asked):
    snapshot = tuple(folder / name for name in asked.snapshot)
    chosen = settings.Settings(snapshot=snapshot, bind=FREE, admin_bind=FREE)
    async with live.opened(chosen) as sites, aiohttp.ClientSession() as session:
        if asked.ask == "metrics":
            async with session.get(f"http://{sites.admin_bound}/metrics") as answer:
                _check_metrics(asked, await answer.text())
            return
        asking = session.post(f"http://{sites.bound}{asked.ask}", data=asked.body)
        async with asking as answer:
            text = await answer.text()
            assert answer.status == (asked.status or 200), text
    for said in asked.says:
        assert said in text
    if asked.answer is not None:
        assert json.loads(text) == asked.answer
    for key, value in (asked.part or {}).items():
        assert (key, json.loads(text)[key]) == (key, value)


def _check_metrics(asked, text):
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    shown = {re.sub(r"\s", "", name): float(value) for name, _, value in lines}
    for name, value in asked.metrics.items():
        assert (name, shown[name]) == (name, pytest.approx(value))
