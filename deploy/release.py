"""Builds what a release consists of into dist/, and checks it as somebody who installs it would.

    python -m deploy.release [--draft]    wheel, sdist, chart, SBOM, SHA256SUMS
    python -m deploy.release sbom         the SBOM alone

The version is that of the tag `v<version>` on the commit; wherever else it is written it must be
the same. A draft is made before there is a tag: of any commit, with changes, and without the chart
where helm is not built. Reproducible: times in archives are those of the commit.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator

from deploy import containerfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
_SECONDS = 900.0  # of any one command: installing the lock over a slow line takes minutes


class ReleaseError(Exception):
    """Something that must be mended before there can be a release."""


def written_versions(root: pathlib.Path) -> Iterator[tuple[str, str]]:
    """Where a version is written, and which; pyproject.toml's first."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    yield "pyproject.toml", project["version"]
    for name, pattern in (
        ("extender/__init__.py", r'^__version__ = "([^"]+)"'),
        ("deploy/charts/railyard/Chart.yaml", r"^version: (\S+)"),
        ("deploy/charts/railyard/Chart.yaml", r"^appVersion: (\S+)"),
        ("deploy/base/deployment.yaml", r"^ +image: railyard:(\S+)"),
        ("deploy/overlays/service/kustomization.yaml", r"^ +newTag: (\S+)"),
        ("deploy/overlays/control-plane/static-pod.yaml", r"^ +image: \S*railyard:(\S+)"),
    ):
        found = re.search(pattern, (root / name).read_text(encoding="utf-8"), re.MULTILINE)
        yield name, found[1] if found else "none"


def check_versions(root: pathlib.Path, *, tag: str | None) -> str:
    """The version; ReleaseError names each place that says another, or a changelog without it.

    `tag` is None for a draft.
    """
    (first, version), *others = written_versions(root)
    problems = [f"{name} says {found}" for name, found in others if found != version]
    if tag is not None:
        if tag != f"v{version}":
            problems.append(f"the commit's tag is {tag or 'missing'}, not v{version}")
        changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
        heading = rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$"
        if not re.search(heading, changelog, re.MULTILINE):
            problems.append(f"CHANGELOG.md has no heading '## [{version}] - DATE'")
    if problems:
        raise ReleaseError(f"{first} says {version}, but\n  " + "\n  ".join(problems))
    return version


def run(
    *command: object, folder: pathlib.Path = ROOT, environment: dict[str, str] | None = None
) -> str:
    """What a command printed; ReleaseError with all that it said where it failed."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    )
    if done.returncode:
        raise ReleaseError(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def commit_seconds() -> str:
    """When the commit was made, in seconds since 1970: the time in all archives."""
    return run("git", "log", "-1", "--format=%ct").strip()


def build_packages(version: str) -> pathlib.Path:
    """Build the sdist, and the wheel from it; the wheel comes back."""
    variables = {"SOURCE_DATE_EPOCH": commit_seconds()}
    # From a copy: setuptools takes over what an earlier build left in build/.
    with tempfile.TemporaryDirectory() as folder:
        clean = pathlib.Path(folder) / "railyard"
        ignored = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "out")
        shutil.copytree(ROOT, clean, ignore=ignored)
        run(
            sys.executable,
            "-m",
            "build",
            "--no-isolation",
            "--outdir",
            DIST,
            clean,
            environment=variables,
        )
    return DIST / f"railyard-{version}-py3-none-any.whl"


def build_chart(*, draft: bool) -> None:
    """Package the chart, and render the package."""
    # Imported where it is needed: helm is the tests' tool, and built on demand.
    from tests.kit.controlplane import build  # noqa: PLC0415
    from tests.kit.deploy import tools  # noqa: PLC0415

    if draft and tools.why_not():
        print(f"without the chart: {tools.why_not()}")
        return
    helm = tools.build()
    with tempfile.TemporaryDirectory() as home:
        variables = {"HOME": home, "SOURCE_DATE_EPOCH": commit_seconds()}
        run(helm, "package", tools.CHART, "--destination", DIST, environment=variables)
        (chart,) = DIST.glob("railyard-*.tgz")
        newest = ("--kube-version", build.default_version())
        shown = run(helm, "template", "railyard", chart, *newest, environment=variables)
    if "kind: Deployment" not in shown:
        raise ReleaseError(f"{chart.name} renders no Deployment")


def build_sbom(version: str) -> pathlib.Path:
    """Write the CycloneDX bill of the runtime lock: each package with version and hashes."""
    DIST.mkdir(exist_ok=True)
    file = DIST / f"railyard-{version}.cdx.json"
    bill = pathlib.Path(sys.executable).parent / "cyclonedx-py"
    options = ("--pyproject", "pyproject.toml", "--output-reproducible", "--output-file", file)
    variables = {"SOURCE_DATE_EPOCH": commit_seconds()}
    run(bill, "requirements", *options, "requirements.txt", environment=variables)
    check_sbom(file)
    return file


def check_sbom(file: pathlib.Path) -> None:
    """ReleaseError where the bill does not list what is locked, package by package."""
    lock = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    locked = set(re.findall(r"^([a-z0-9-]+)==([^\s;]+)", lock, re.MULTILINE))
    listed = json.loads(file.read_text(encoding="utf-8"))["components"]
    found = {(each["name"], each["version"]) for each in listed}
    if found != locked:
        raise ReleaseError(f"the SBOM and the lock differ: {sorted(found ^ locked)}")


def check_wheel(wheel: pathlib.Path, version: str) -> None:
    """Install the wheel as the image does, and use it: nothing of this checkout is reached."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = pathlib.Path(folder).resolve()
        stage, _ = containerfile.stages(ROOT / "deploy" / "Containerfile")
        try:
            containerfile.run_stage(stage, context=ROOT, folder=fresh)
        except subprocess.CalledProcessError as error:
            raise ReleaseError(f"the image's {error.cmd[-1]}\n{error.stderr}") from error
        programs = fresh / "opt" / "railyard" / "bin"
        pip = (fresh / "opt/build/bin/pip", "--python", programs / "python", "install", "--quiet")
        run(*pip, "--no-index", "--no-deps", "--force-reinstall", wheel, folder=fresh)
        railyard = programs / "railyard"
        printed = run(railyard, "--version", folder=fresh).strip()
        if printed != f"railyard {version}":
            raise ReleaseError(f"the wheel says {printed!r}, not 'railyard {version}'")
        if "prioritize: best is" not in run(railyard, "demo", "--once", folder=fresh):
            raise ReleaseError("the wheel's demo ranks nothing")
        run(railyard, "check", ROOT / "config" / "policy.yaml", folder=fresh)
        run(railyard, "explain", "--pod", "default/train-0", folder=fresh)
        size = sum(path.lstat().st_size for path in (fresh / "opt" / "railyard").rglob("*"))
        print(f"installed: {size / 1e6:.0f} MB")


def write_sums() -> None:
    """Write SHA256SUMS, which `sha256sum --check` reads."""
    files = sorted(path for path in DIST.iterdir() if path.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (DIST / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")


def release(*, draft: bool) -> None:
    """Build and check everything."""
    tag = None
    if not draft:
        tag = run("git", "tag", "--points-at", "HEAD", "--list", "v*").strip()
        if changed := run("git", "status", "--porcelain"):
            raise ReleaseError(f"there are changes that are not committed:\n{changed}")
    version = check_versions(ROOT, tag=tag)
    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir()
    wheel = build_packages(version)
    build_chart(draft=draft)
    build_sbom(version)
    check_wheel(wheel, version)
    write_sums()
    print((DIST / "SHA256SUMS").read_text(encoding="utf-8"), end="")


def main() -> int:
    """Run the command line; the exit status is 1 with one message where there can be no release."""
    parser = argparse.ArgumentParser(prog="deploy.release")
    parser.add_argument("what", nargs="?", choices=["all", "sbom"], default="all")
    parser.add_argument("--draft", action="store_true", help="before there is a tag")
    chosen = parser.parse_args()
    try:
        if chosen.what == "sbom":
            print(build_sbom(check_versions(ROOT, tag=None)).relative_to(ROOT))
        else:
            release(draft=chosen.draft)
    except ReleaseError as error:
        print(f"no release: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
