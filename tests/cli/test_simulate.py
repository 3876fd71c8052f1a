"""`railyard simulate`, as somebody types it."""

import importlib.util
import json
import re
import xml.etree.ElementTree as ET

import pytest

from extender import cli
from extender.cli.planning import progress, simulation_table
from extender.replay import workloads
from extender.simulation import comparison
from tests.cli.test_cli import write
from tests.kit.builders import (
    make_class,
    make_node,
    make_pod,
    make_slice,
    make_template,
)

GPU = "gpu.example.com"


@pytest.fixture
def run(capsys):
    def command(*arguments):
        status = cli.main(["simulate", *map(str, arguments)])
        said = capsys.readouterr()
        return status, said.out, said.err

    return command


@pytest.fixture
def cluster(tmp_path):
    """Two nodes of two GPUs; a template."""
    slices = [make_slice(f"{n}-s", GPU).on(n).device("gpu-0").device("gpu-1") for n in ("a", "b")]
    return write(
        tmp_path / "cluster.yaml",
        *(make_node(name) for name in ("a", "b")), *slices, make_class(GPU),
        make_template("one").request("gpu", GPU), make_template("two").request("gpu", GPU, 2),
    )  # fmt: skip


@pytest.fixture
def pods(tmp_path):
    """Six pods a second apart: five do not all fit."""
    path = tmp_path / "pods.jsonl"
    made = [make_pod(f"p{n}").template("two" if n % 2 else "one").obj() for n in range(6)]
    path.write_bytes(b"".join(workloads.line_of(float(n), None, p, ()) for n, p in enumerate(made)))
    return str(path)


def test_two_policies_are_compared_figure_by_figure(run, cluster, pods, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    other = tmp_path / "other.yaml"
    other.write_text(
        "apiVersion: railyard.dev/v1alpha1\nkind: PlacementPolicy\n"
        "profiles: [{name: default, packing: {weight: 0}}]\n"
    )

    status, out, _ = run(
        "--snapshot", cluster, "--workload", pods, "--policy", "default", "--policy", other,
        "--seeds", 2, "-j", 1, "--shuffle",
    )  # fmt: skip

    assert status == 0
    assert max(map(len, out.splitlines())) <= 80
    assert "other.yaml against default: " in out
    (row,) = [line for line in out.splitlines() if line.startswith("allocation %")]
    assert row.count("±") == 3


def test_json_has_every_sample_and_what_stayed_pending(run, cluster, pods):
    status, out, _ = run("--snapshot", cluster, "--workload", pods, "--seeds", 1, "-o", "json")

    (seed,) = json.loads(out)["runs"]["default"]
    assert status == 0
    assert seed["figures"]["pods placed"] + len(seed["pending"]) == 6
    assert seed["samples"][-1]["arrived"] == 6
    assert seed["samples"][-1]["used"] == 4.0


def test_runs_in_processes_are_those_of_one_process(run, cluster, pods):
    asked = ("--snapshot", cluster, "--workload", pods, "--seeds", 2, "--shuffle", "-o", "json")

    _, alone, _ = run(*asked, "-j", 1)
    _, together, _ = run(*asked, "-j", 2)

    assert json.loads(alone) == json.loads(together)


def test_a_change_is_run_beside_the_cluster_as_it_is(run, cluster, pods, tmp_path):
    more = write(
        tmp_path / "more.yaml", make_node("c"), make_slice("c-s", GPU).on("c").device("gpu-0")
    )

    _, out, _ = run(
        "--snapshot", cluster, "--workload", pods, "--seeds", 1, "-j", 1, "-o", "json",
        "--drain", "a", "--add-nodes", more, "--upgrade-to", "1.37",
    )  # fmt: skip

    reported = json.loads(out)
    assert reported["changed"] == "drain a; add nodes of more.yaml; kube-scheduler 1.37"
    plain, changed = reported["runs"]["default"], reported["runs"]["default, changed"]
    assert plain[0]["samples"][-1]["used"] == 4.0
    assert changed[0]["samples"][-1]["used"] == 3.0


def test_manifests_are_a_workload_in_the_order_of_their_creation(tmp_path):
    late, early = make_pod("late"), make_pod("early").annotation("railyard.dev/life-seconds", "60")
    late.body["metadata"]["creationTimestamp"] = "2026-01-01T00:01:00Z"
    early.body["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"

    found = workloads.read(tmp_path / write(tmp_path / "pods.yaml", late, early))

    assert sorted((at, life, pod.metadata.name) for at, life, pod in found.pods) == [
        (0.0, 60.0, "early"),
        (60.0, None, "late"),
    ]


def test_a_line_that_is_broken_takes_only_itself_away(run, cluster, pods, tmp_path):
    broken = tmp_path / "broken.jsonl"
    good = (tmp_path / "pods.jsonl").read_text().splitlines()
    broken.write_text("\n".join([good[0], '{"at": 1, "pod": 3}', "{", good[1]]))

    status, _, err = run("--snapshot", cluster, "--workload", broken, "--seeds", 1)

    assert status == 0
    assert "broken.jsonl:2" in err
    assert "broken.jsonl:3" in err


WRONG = {
    "no such workload": (("--workload", "gone.jsonl"), "gone.jsonl: no such file"),
    "nothing recorded": (("--workload", "recorded"), "railyard record"),
    "no seeds": (("--workload", "{pods}", "--seeds", "0"), "--seeds: 0 is not from 1"),
    "no such policy": (("--workload", "{pods}", "--policy", "gone.yaml"), "no such file"),
    "no such node": (("--workload", "{pods}", "--drain", "gone"), "gone: no such node"),
    "an odd version": (("--workload", "{pods}", "--upgrade-to", "odd"), "odd"),
    "nowhere to write": (("--workload", "{pods}", "--report", "gone/r.html"), "no such folder"),
}


@pytest.mark.parametrize(("arguments", "why"), WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_run_is_reported_before_anything_runs(run, cluster, pods, arguments, why):
    status, out, err = run("--snapshot", cluster, *(a.format(pods=pods) for a in arguments))

    assert (status, out) == (2, "")
    assert why in err


@pytest.mark.skipif(not importlib.util.find_spec("matplotlib"), reason="the extra `report`")
def test_the_report_is_one_file_that_needs_nothing_else(run, cluster, pods, tmp_path):
    report = tmp_path / "report.html"

    status, _, _ = run(
        "--snapshot", cluster, "--workload", pods, "--seeds", 2, "-j", 1, "--report", report
    )

    text = report.read_text()
    assert status == 0
    outside = re.findall(r"""(?:src|href)=["'](?!#)[^"']*|@import|url\((?!["']?#)""", text)
    assert outside == []
    plots = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(plots) >= 8
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    for plot in plots:
        ET.fromstring(plot.replace("xlink:href", "href"))  # noqa: S314 - our own


def test_without_matplotlib_the_report_is_refused_at_once(run, cluster, pods, monkeypatch):
    known = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "matplotlib" else known(name)
    )

    status, _, err = run("--snapshot", cluster, "--workload", pods, "--report", "r.html")

    assert status == 2
    assert "railyard[report]" in err


def test_the_bar_tells_what_is_left_and_fits_the_terminal():
    line = progress.line("simulating", 0.25, 30.0, 60)

    assert " 25% 1:30 left" in line
    assert len(line) == 59
    assert len(progress.line("simulating", 0.5, 7200.0, 20)) == 19
    assert progress.clock_of(3723) == "1:02:03"


def test_many_variants_come_in_blocks_that_fit():
    figures = {"allocation %": 90.123}
    runs = {f"policy-{n}.yaml": [figures, {"allocation %": 91.0 + n}] for n in range(5)}

    lines = list(simulation_table.lines(comparison.compared(runs), seeds=2, width=80))

    assert max(map(len, lines)) <= 80
    assert all(any(f"policy-{n}.yaml" in line for line in lines) for n in range(5))
