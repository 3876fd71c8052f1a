"""Reads deploy/Containerfile, and runs its first stage without a container: in a folder.

No container runtime is needed to know that its commands work: paths from the root of the image
(/opt, /src, /wheel) are put below the folder, and `python` is the one that runs this.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

_ROOTS = re.compile(r"(?<![\w./*'])/(?=(?:opt|src|wheel)\b)")
_SECONDS = 1200.0  # installing the lock over a slow line takes minutes


@dataclasses.dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction; continued lines are joined."""

    name: str
    text: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text)


def stages(path: pathlib.Path) -> list[list[Instruction]]:
    """The instructions of each stage, FROM first; those before the first FROM are left out."""
    joined = re.sub(
        r"\\\n", " ", re.sub(r"^#.*\n", "", path.read_text("utf-8"), flags=re.MULTILINE)
    )
    found: list[list[Instruction]] = []
    for line in filter(None, map(str.strip, joined.splitlines())):
        name, _, text = line.partition(" ")
        if name == "FROM":
            found.append([])
        if found:
            found[-1].append(Instruction(name, " ".join(text.split())))
    return found


def run_stage(stage: list[Instruction], *, context: pathlib.Path, folder: pathlib.Path) -> None:
    """Run ENV, WORKDIR, COPY and RUN below `folder`; CalledProcessError where one fails."""
    environment = dict(os.environ)
    programs = folder / "bin"
    programs.mkdir(parents=True)
    base = pathlib.Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    (programs / "python").symlink_to(base)  # not a virtual environment's: the image has none
    environment["PATH"] = f"{programs}:{environment['PATH']}"
    workdir = folder
    for each in stage:
        if each.name == "ENV":
            environment.update(word.split("=", 1) for word in each.words)
        elif each.name == "WORKDIR":
            workdir = folder / each.text.lstrip("/")
            workdir.mkdir(parents=True, exist_ok=True)
        elif each.name == "COPY":
            *sources, target = each.words
            for source in sources:
                _copy(context / source, workdir / target)
        elif each.name == "RUN":
            command = ["sh", "-euc", _ROOTS.sub(f"{folder}/", each.text)]
            subprocess.run(
                command,
                cwd=workdir,
                env=environment,
                check=True,
                capture_output=True,
                text=True,
                timeout=_SECONDS,
            )


def _copy(source: pathlib.Path, target: pathlib.Path) -> None:
    if source.is_dir():
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, target, ignore=ignored, dirs_exist_ok=True)
    else:
        shutil.copy(source, target)
