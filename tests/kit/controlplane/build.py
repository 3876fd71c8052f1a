"""Build the control plane binary for one Kubernetes version, once, outside the tree.

    python -m tests.kit.controlplane.build [--kubernetes 1.36.3]      prints the path of the binary

A cold build takes some four minutes of two cores; afterwards the binary is found in the cache as
long as main.go and the version's go.mod and go.sum stay the same.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
DEFAULT_VERSION = "1.36.3"
# The components print and negotiate by this variable; unset it says v0.0.0-master.
VERSION_VARIABLE = "k8s.io/component-base/version.gitVersion"


def default_version() -> str:
    return os.environ.get("KUBERNETES") or DEFAULT_VERSION


def known_versions() -> list[str]:
    return sorted(folder.name for folder in (HERE / "versions").iterdir() if folder.is_dir())


def binary(version: str) -> pathlib.Path:
    """Where the binary of this version and these sources is, or will be once built."""
    digest = hashlib.sha256()
    for source in _sources(version):
        digest.update(source.read_bytes())
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    name = f"controlplane-{version}-{digest.hexdigest()[:12]}"
    return cache / "railyard" / name / "controlplane"


def why_not(version: str) -> str | None:
    """Say why the tests that need the binary cannot run, or None when it is there."""
    if version not in known_versions():
        return f"no go.mod for Kubernetes {version}; there are {', '.join(known_versions())}"
    if binary(version).exists():
        return None
    if shutil.which("go") is None:
        return "no Go toolchain found, so the real control plane cannot be built"
    return f"the control plane is not built: make controlplane KUBERNETES={version}"


def build(version: str) -> pathlib.Path:
    """Return the binary's path, building it first if the cache lacks it."""
    target = binary(version)
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        work = pathlib.Path(folder)
        for source in _sources(version):
            shutil.copy(source, work)
        subprocess.run(_command(version), cwd=work, env=_environment(), check=True)
        # Moved when complete: a build cut short leaves nothing that looks like a binary.
        (work / target.name).replace(target)
    return target


def _sources(version: str) -> list[pathlib.Path]:
    pins = HERE / "versions" / version
    return [HERE / "main.go", pins / "go.mod", pins / "go.sum"]


def _command(version: str) -> list[str]:
    flags = f"-s -w -X {VERSION_VARIABLE}=v{version}"
    options = ["-trimpath", "-buildvcs=false", "-mod=readonly", "-ldflags", flags]
    return ["go", "build", *options, "-o", "controlplane", "."]


def _environment() -> dict[str, str]:
    # Without cgo the binary needs no C compiler and runs on any Linux.
    return {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"}


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the control plane for the tests.")
    parser.add_argument("--kubernetes", default=default_version(), choices=known_versions())
    version = parser.parse_args().kubernetes
    if shutil.which("go") is None and not binary(version).exists():
        sys.exit(why_not(version))
    print(build(version))


if __name__ == "__main__":
    main()
