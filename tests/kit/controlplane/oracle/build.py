"""Build the allocator oracle for one Kubernetes version, once, outside the tree.

    python -m tests.kit.controlplane.oracle.build [--kubernetes 1.36.3]  prints the path of the
    binary

`--kubernetes 1.36` takes the newest pinned patch of 1.36. A cold build takes one to two minutes;
afterwards the binary is found in the cache as long as the Go files and the version's go.mod and
go.sum stay the same.
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


def known_versions() -> list[str]:
    """Return the pinned versions, oldest first."""
    return sorted((folder.name for folder in (HERE / "versions").iterdir()), key=_as_numbers)


def resolve(version: str) -> str:
    """Return the pinned version meant by "1.36" or "1.36.3"; KeyError names those there are."""
    parts = _as_numbers(version)
    matching = [known for known in known_versions() if _as_numbers(known)[: len(parts)] == parts]
    if not matching:
        raise KeyError(f"no oracle for Kubernetes {version}; there are {known_versions()}")
    return matching[-1]


def binary(version: str) -> pathlib.Path:
    """Where the binary of this pinned version and these sources is, or will be once built."""
    digest = hashlib.sha256()
    for source in _sources(version):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    return cache / "railyard" / f"oracle-{version}-{digest.hexdigest()[:12]}" / "oracle"


def why_not(version: str) -> str | None:
    """Say why the tests that need the oracle cannot run, or None when it is built."""
    try:
        pinned = resolve(version)
    except KeyError as missing:
        return str(missing.args[0])
    if binary(pinned).exists():
        return None
    if shutil.which("go") is None:
        return "no Go toolchain found, so the real allocator cannot be built"
    command = f"python -m tests.kit.controlplane.oracle.build --kubernetes {version}"
    return f"the oracle is not built: {command}"


def build(version: str) -> pathlib.Path:
    """Return the binary's path, building it first if the cache lacks it."""
    pinned = resolve(version)
    target = binary(pinned)
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        work = pathlib.Path(folder)
        for source in _sources(pinned):
            shutil.copy(source, work)
        subprocess.run(_command(pinned), cwd=work, env=_environment(), check=True)
        # Moved when complete: a build cut short leaves nothing that looks like a binary.
        (work / target.name).replace(target)
    return target


def _as_numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.removeprefix("v").split("."))


def _sources(version: str) -> list[pathlib.Path]:
    pins = HERE / "versions" / version
    return [*sorted(HERE.glob("*.go")), pins / "go.mod", pins / "go.sum"]


def _command(version: str) -> list[str]:
    major, minor, _patch = _as_numbers(version)
    # The tag picks the Go file that bridges what a version's API lacks.
    options = ["-trimpath", "-buildvcs=false", "-mod=readonly", "-ldflags", "-s -w"]
    return ["go", "build", *options, "-tags", f"kubernetes_{major}_{minor}", "-o", "oracle", "."]


def _environment() -> dict[str, str]:
    # Without cgo the binary needs no C compiler and runs on any Linux.
    return {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"}


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the allocator oracle.")
    default = os.environ.get("KUBERNETES") or DEFAULT_VERSION
    parser.add_argument("--kubernetes", default=default, metavar="VERSION")
    version = parser.parse_args().kubernetes
    try:
        pinned = resolve(version)
    except KeyError as missing:
        sys.exit(str(missing.args[0]))
    if shutil.which("go") is None and not binary(pinned).exists():
        sys.exit(why_not(version))
    print(build(version))


if __name__ == "__main__":
    main()
