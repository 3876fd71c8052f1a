"""The Containerfile, read as a builder would read it, and a small one that is run without one."""

import fnmatch
import pathlib
import re
import subprocess

import pytest

from deploy import containerfile
from extender import settings

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILE = ROOT / "deploy" / "Containerfile"
BUILDS, RUNS = containerfile.stages(FILE)


def of(stage, name):
    return [each for each in stage if each.name == name]


def test_both_stages_stand_on_the_base_that_is_given():
    for stage in (BUILDS, RUNS):
        assert stage[0].words[0] == "${BASE}"
    assert re.search(r"^ARG BASE=\S+$", FILE.read_text(), re.MULTILINE)


def test_a_base_without_a_digest_builds_no_image():
    command = ["make", "--dry-run", "image", "BASE=python:3.14-slim"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "*@sha256:*" in done.stdout  # what refuses it
    command = ["make", "image", "BASE=python:3.14-slim"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "pins the base image" in done.stdout


def test_whoever_runs_is_nobody_and_has_no_shell_before_it():
    (user,) = of(RUNS, "USER")
    (entry,) = of(RUNS, "ENTRYPOINT")
    assert all(int(part) >= 1000 for part in user.text.split(":"))
    assert RUNS.index(user) > max(RUNS.index(each) for each in of(RUNS, "COPY"))
    assert entry.text.startswith("[")


def test_nothing_is_installed_that_is_not_locked_by_hash():
    for each in of(BUILDS, "RUN"):
        for command in re.split(r" && ", each.text):
            if " install " in command:
                assert "--require-hashes" in command or "--no-index" in command
    assert not of(RUNS, "RUN")
    text = FILE.read_text()
    assert not re.search(r"\b(apt-get|apk|gcc|curl|wget)\b", text)
    assert not of(BUILDS, "ADD") + of(RUNS, "ADD")


def test_what_is_copied_is_there_and_reaches_the_builder():
    rules = (ROOT / ".dockerignore").read_text().split("\n")
    let_in = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = {source for each in of(BUILDS, "COPY") for source in each.words[:-1]}
    assert all((ROOT / name).exists() for name in copied)
    assert copied == let_in
    assert "*" in rules
    assert any(fnmatch.fnmatch("extender/x.pyc", rule.replace("**/", "*/")) for rule in rules)


def test_what_runs_is_what_was_built():
    (copied,) = of(RUNS, "COPY")
    (entry,) = of(RUNS, "ENTRYPOINT")
    flag, source, target = copied.words
    assert flag == "--from=build"
    assert BUILDS[0].text.endswith("AS build")
    assert source == target
    assert f'["{target}/bin/railyard"]' == entry.text


def test_labels_say_what_it_is_and_ports_are_those_of_the_program():
    labels = dict(word.split("=", 1) for each in of(RUNS, "LABEL") for word in each.words)
    wanted = {"title", "version", "revision", "licenses", "description"}
    assert {f"org.opencontainers.image.{name}" for name in wanted} <= labels.keys()
    (exposed,) = of(RUNS, "EXPOSE")
    defaults = settings.Settings()
    assert exposed.words == [str(defaults.bind.port), str(defaults.admin_bind.port)]


# ---------------------------------------------------------------- running one without a container


def test_a_stage_is_run_below_a_folder(tmp_path):
    context = tmp_path / "context"
    (context / "inside").mkdir(parents=True)
    (context / "inside" / "a").write_text("A")
    (context / "b").write_text("B")
    file = context / "Containerfile"
    file.write_text(
        "ARG BASE=x\nFROM ${BASE} AS build\nENV WORD=said\nWORKDIR /src\n# a comment\n"
        "COPY b ./\nCOPY inside inside\n"
        "RUN mkdir /opt \\\n && cat b inside/a > /opt/found \\\n && echo $WORD >> /opt/found\n"
        "RUN python -c 'print(1)' > /wheel\nFROM ${BASE}\nUSER 1:1\n"
    )

    stage, last = containerfile.stages(file)
    containerfile.run_stage(stage, context=context, folder=tmp_path / "root")

    assert [each.name for each in last] == ["FROM", "USER"]
    assert (tmp_path / "root" / "opt" / "found").read_text() == "BAsaid\n"
    assert (tmp_path / "root" / "wheel").read_text() == "1\n"


def test_a_command_that_fails_ends_the_build(tmp_path):
    file = tmp_path / "Containerfile"
    file.write_text("FROM x AS build\nRUN false ; true\n")
    (stage,) = containerfile.stages(file)
    with pytest.raises(subprocess.CalledProcessError):
        containerfile.run_stage(stage, context=tmp_path, folder=tmp_path / "root")
