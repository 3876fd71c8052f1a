"""What shells and kubectl complete: the commands, flags and values that there are."""

import os
import pathlib
import shutil
import subprocess
import sys

import orjson
import pytest

from extender import completion
from extender.cli import completion_command, entry

ROOT = pathlib.Path(__file__).resolve().parents[2]
TABLE = orjson.loads((ROOT / "config" / "completion.json").read_bytes())


def answers(*words):
    *lines, directive = completion.answer(words, TABLE)
    return [line.partition("\t")[0] for line in lines], directive


def test_the_table_is_current():
    parser = entry._parser()
    (commands,) = (action for action in parser._actions if action.dest == "==SUPPRESS==")

    assert completion_command.table(commands) == TABLE


CASES = {
    ("",): (sorted(TABLE), ":4"),
    ("ca",): (["capacity"], ":4"),
    ("why", "ml/train-0", "--no"): (["--node"], ":4"),
    ("why", "ml/train-0", "-o", ""): (["text", "json", "yaml"], ":4"),
    ("why", "ml/train-0", "-o", "j"): (["json"], ":4"),
    ("why", "ml/train-0", "--output=y"): (["--output=yaml"], ":4"),
    ("why", "ml/train-0", ""): ([], ":4"),
    ("why", "--node", "n", ""): ([], ":4"),
    ("check", ""): ([], ":0"),
    ("check", "one.yaml", ""): ([], ":0"),
    ("serve", "--policy", ""): ([], ":0"),
    ("serve", "--snapshot", "config/"): ([], ":0"),
    ("completion", ""): (["bash", "zsh", "fish", "json"], ":4"),
    ("completion", "bash", ""): ([], ":4"),
    ("--version", "sha"): (["shadow"], ":4"),
    ("no-such-command", ""): (sorted(TABLE), ":4"),
}


@pytest.mark.parametrize("words", CASES, ids=" ".join)
def test_what_may_come_next(words):
    found, directive = answers(*words)

    expected = CASES[words]
    assert (sorted(found), directive) == (sorted(expected[0]), expected[1])


@pytest.mark.parametrize("command", sorted(TABLE))
def test_every_flag_of_every_command_is_completed(command):
    found, _ = answers(command, "-")

    assert set(found) == set(TABLE[command]["options"])
    assert "--help" in found


@pytest.fixture
def path(tmp_path):
    """A PATH on which `railyard` is this checkout."""
    for name, function in (("railyard", "main"), ("kubectl_complete-railyard", "complete")):
        program = tmp_path / name
        start = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from extender import __main__"
        program.write_text(f"#!{sys.executable}\n{start}\nsys.exit(__main__.{function}())\n")
        program.chmod(0o755)
    return f"{tmp_path}:{os.environ['PATH']}"


def run(path, *command, cwd=ROOT):
    done = subprocess.run(
        command,
        env={"PATH": path, "HOME": str(cwd), "TERM": "dumb"},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


BASH = """
source <(railyard completion bash)
complete -p railyard
COMP_WORDS=({words})
COMP_CWORD={last}
_railyard
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def bash(path, *words):
    quoted = " ".join(f"'{word}'" for word in words)
    script = BASH.format(words=quoted, last=len(words) - 1)
    first, *found = run(path, "bash", "--norc", "-c", script).splitlines()
    assert first == "complete -F _railyard railyard"
    return [line for line in found if line]


def test_bash_completes_commands_flags_and_values(path):
    assert bash(path, "railyard", "cap") == ["capacity"]
    assert bash(path, "railyard", "shadow", "--out") == ["--output"]
    assert bash(path, "railyard", "why", "a/b", "-o", "") == ["text", "json", "yaml"]
    assert bash(path, "railyard", "check", "") == []


def test_kubectl_completes_the_plugin_by_its_own_protocol(path):
    reported = run(path, "kubectl_complete-railyard", "why", "a/b", "--n").splitlines()

    assert reported[-1] == ":4"
    assert reported[0].startswith("--node\t")


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_completes(path, tmp_path):
    (tmp_path / "here.yaml").touch()

    def fish(line):
        script = f"railyard completion fish | source; complete -C '{line}'"
        lines = run(path, "fish", "--no-config", "-c", script, cwd=tmp_path).splitlines()
        return [line.partition("\t")[0] for line in lines]

    assert fish("railyard cap") == ["capacity"]
    assert fish("railyard why a/b -o ") == ["json", "text", "yaml"]
    assert fish("railyard check he") == ["here.yaml"]


ZSH = """
autoload -Uz compinit && compinit -u
compdef() {{ print -r -- "compdef $*" }}
_describe() {{ print -rl -- "${{(@P)2}}" }}
_files() {{ print files }}
source <(railyard completion zsh)
words=({words}) CURRENT=${{#words}}
_railyard
"""


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_completes(path, tmp_path):
    def zsh(*words):
        script = ZSH.format(words=" ".join(f"'{word}'" for word in words))
        first, *found = run(path, "zsh", "-f", "-c", script, cwd=tmp_path).splitlines()
        assert first == "compdef _railyard railyard"
        return [line.partition(":")[0] for line in found]

    assert zsh("railyard", "cap") == ["capacity"]
    assert zsh("railyard", "shadow", "--out") == ["--output"]
    assert zsh("railyard", "check", "") == ["files"]
