"""The pages of docs/ say what the program does: flags, log lines, alerts, and commands that run."""

import argparse
import ast
import fnmatch
import importlib
import os
import pathlib
import re
import subprocess
import sys

import pytest
import yaml

from extender.cli import entry

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = {path.name: path.read_text() for path in sorted(DOCS.glob("*.md"))}
TEXT = "\n".join([*PAGES.values(), (ROOT / "config" / "README.md").read_text()])
LOGGERS = {"_LOG", "_log", "_limited_log"}
LEVELS = {"debug", "info", "warning", "warn", "error", "exception", "fault"}


# ---------------------------------------------------------------- flags


def commands():
    """Each command's name and the flags that it has."""
    parser = entry._parser()
    (chosen,) = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    for name, command in chosen.choices.items():
        flags = [
            option
            for action in command._actions
            for option in action.option_strings
            if option.startswith("--") and option != "--help"
        ]
        yield name, flags


@pytest.mark.parametrize(("command", "flags"), list(commands()))
def test_every_command_and_flag_is_documented(command, flags):
    assert f"railyard {command}" in TEXT or f"`{command}`" in TEXT
    assert [flag for flag in flags if not re.search(rf"{flag}(?![\w-])", TEXT)] == [], command


# ---------------------------------------------------------------- log lines


def log_lines():
    """The text of each log line of the program, `…` for what differs."""
    for module in sorted((ROOT / "extender").rglob("*.py")):
        for node in ast.walk(ast.parse(module.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            owner = node.func.value
            name = getattr(owner, "id", None) or getattr(owner, "attr", "")
            if name not in LOGGERS or node.func.attr not in LEVELS:
                continue
            text = node.args[0].value if isinstance(node.args[0], ast.Constant) else ""
            line = re.sub(r"%[srd]", "…", text)
            if re.search(r"[a-z]", line):  # else all of it differs
                yield line


def test_every_log_line_is_listed_and_no_other():
    rows = [line.split(" | ") for line in PAGES["log-lines.md"].splitlines()]
    listed = {text for row in rows if row[0].startswith("| `") for text in row[0].split("`")[1::2]}
    found = set(log_lines())

    assert len(found) > 30
    assert found - listed == set()
    assert listed - found == set()


# ---------------------------------------------------------------- alerts


def test_every_alert_has_its_section_and_every_section_its_alert():
    rules = yaml.safe_load(
        (ROOT / "deploy/charts/railyard/monitoring/prometheusrule.yaml").read_text()
    )
    alerts = {
        rule["alert"]
        for group in rules["spec"]["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }
    sections = set(re.findall(r"^## (Railyard\w+)$", PAGES["runbooks.md"], re.MULTILINE))

    assert alerts
    assert sections == alerts


# ---------------------------------------------------------------- commands that are printed


@pytest.fixture
def folder(tmp_path):
    """An empty folder in which `.venv/bin/railyard` is the program of this checkout."""
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    program = programs / "railyard"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m extender "$@"\n')
    program.chmod(0o755)
    return tmp_path


def run(folder, block):
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=folder,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_commands_of_the_quick_start_run(folder):
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGES["quickstart.md"], re.MULTILINE | re.DOTALL)
    (folder / "config").symlink_to(ROOT / "config")
    assert len(blocks) == 3
    for block, reported in zip(blocks, ("fits", "fits", "4 seeds each"), strict=True):
        done = run(folder, block)
        assert done.returncode == 0, done.stdout + done.stderr
        assert reported in done.stdout


def test_the_demo_prints_what_the_quick_start_shows(folder):
    printed = run(folder, ".venv/bin/railyard demo --once").stdout
    shown = re.search(
        r"^```\n(filter: .*?)\n```$", PAGES["quickstart.md"], re.MULTILINE | re.DOTALL
    )

    assert shown
    for line in shown[1].splitlines():
        assert line in printed


# ---------------------------------------------------------------- figures


def test_the_figures_of_what_one_gains_are_those_of_the_records():
    records = (ROOT / "loadtests" / "RESULTS.md").read_text()
    shown = set(re.findall(r"\b\d+\.\d{2,3}\b(?!\.\d)", PAGES["gains.md"])) - {"0.11"}

    assert len(shown) > 8
    assert {figure for figure in shown if f" {figure} " not in records} == set()
    for name in ("gain-allocation", "gain-locality", "gain-mig"):
        drawn = re.findall(r">(\d+\.\d+)", (DOCS / "images" / f"{name}.svg").read_text())
        assert len(drawn) >= 2
        assert set(drawn) <= shown


# ---------------------------------------------------------------- building


@pytest.fixture
def pages(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    return importlib.import_module("repository_pages")


def test_no_page_is_left_out_of_the_contents_and_no_pattern_stays(pages):
    found = {path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.md")}
    found = found - {"README", "index"} | {"page-of-tomorrow"}

    contents = pages.contents((DOCS / "index.md").read_text(), found | {"index"}).splitlines()

    named = [line for line in contents if re.fullmatch(r"[\w*/-]+", line)]
    listed = {name for name in found for line in named if fnmatch.fnmatchcase(name, line)}
    assert listed == found
    assert [line for line in named if not fnmatch.filter(found, line)] == []


def test_links_of_a_document_that_lives_elsewhere_are_kept(pages):
    text = (
        "[a](overlays/service/kustomization.yaml) [b](../docs/runbooks.md#x)"
        " [c](../config/README.md#y) [d](charts) [e](https://example.com) [f](#here)"
        "\n```\n[g](x)\n```\n"
    )

    linked = pages.linked(text, at=ROOT / "deploy", page=DOCS / "install.md")

    assert linked == (
        "[a](../deploy/overlays/service/kustomization.yaml) [b](runbooks.md#x) [c](policy.md#y)"
        " d [e](https://example.com) [f](#here)\n```\n[g](x)\n```\n"
    )


def test_every_document_that_is_taken_is_there(pages):
    for document, page in pages.PAGES.items():
        assert (ROOT / document).exists()
        assert (DOCS / page).exists()
