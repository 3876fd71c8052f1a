"""The install page, and its commands run as they are printed."""

from __future__ import annotations

import os
import pathlib
import re
import shlex
import subprocess

from tests.kit.deploy import tools

PAGE = tools.ROOT / "deploy" / "README.md"


def commands(heading: str) -> list[str]:
    """Return the `sh` blocks under a heading, first first; AssertionError where it has none."""
    text = PAGE.read_text(encoding="utf-8")
    _, found, section = text.partition(f"\n{heading}\n")
    assert found, f"the page has no heading {heading!r}"
    section = re.split(r"^#{2,} ", section, maxsplit=1, flags=re.MULTILINE)[0]
    blocks = re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert blocks, f"no commands under {heading!r}"
    return blocks


class Shell:
    """A folder with the repository's deploy/ in it, and helm and kubectl that reach one cluster."""

    def __init__(self, folder: pathlib.Path, *, controlplane: pathlib.Path, kubeconfig: object):
        self.folder = folder
        self._programs = folder / ".bin"
        self._programs.mkdir(parents=True)
        (folder / "deploy").symlink_to(tools.ROOT / "deploy")
        (self._programs / "helm").symlink_to(tools.binary())
        kubectl = self._programs / "kubectl"
        kubectl.write_text(f'#!/bin/sh\nexec {shlex.quote(str(controlplane))} kubectl "$@"\n')
        kubectl.chmod(0o755)
        self._kubeconfig = str(kubeconfig)

    def run(self, block: str) -> str:
        """Return what a block of commands printed; raise ToolError where one of them failed."""
        environment = {
            "HOME": str(self.folder),
            "PATH": f"{self._programs}:{os.environ['PATH']}",
            "KUBECONFIG": self._kubeconfig,
        }
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise tools.ToolError(f"{block}\n{done.stderr}{done.stdout}")
        return done.stdout
