"""Helm and kubectl, with which the tests render and install what is in deploy/.

    python -m tests.kit.deploy.tools      builds helm, prints its path

Helm is built once, outside the tree, from the versions pinned in helm/ (two minutes of two cores on
a quiet machine). kubectl is part of the control plane's binary.
"""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
CHART = ROOT / "deploy" / "charts" / "railyard"
PINS = pathlib.Path(__file__).resolve().parent / "helm"
PACKAGE = "helm.sh/helm/v3/cmd/helm"
# Definitions of the kinds that are not Kubernetes' own: module@version → files in it.
DEFINITIONS = {
    "github.com/cert-manager/cert-manager@v1.21.2": (
        "deploy/crds/cert-manager.io_certificates.yaml",
        "deploy/crds/cert-manager.io_issuers.yaml",
    ),
    "github.com/prometheus-operator/prometheus-operator@v0.85.0": (
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
    ),
}


class ToolError(Exception):
    """A tool ended with an error; the message is what it said."""


def binary() -> pathlib.Path:
    """Where helm of the pinned versions is, or will be once built."""
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum"):
        digest.update((PINS / name).read_bytes())
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    return cache / "railyard" / f"helm-{digest.hexdigest()[:12]}" / "helm"


def why_not() -> str | None:
    """Say why the tests that need helm cannot run, or None when it is there."""
    if binary().exists():
        return None
    if shutil.which("go") is None:
        return "no Go toolchain found, so helm cannot be built"
    return "helm is not built: make controlplane"


def build() -> pathlib.Path:
    """Return the path of helm, building it first if the cache lacks it."""
    target = binary()
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        work = pathlib.Path(folder)
        for name in ("go.mod", "go.sum"):
            shutil.copy(PINS / name, work)
        options = ["-trimpath", "-buildvcs=false", "-mod=readonly", "-ldflags=-s -w"]
        # Without cgo it needs no C compiler and runs on any Linux.
        environment = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"}
        command = ["go", "build", *options, "-o", "helm", PACKAGE]
        subprocess.run(command, cwd=work, env=environment, check=True)
        # Moved when complete: a build cut short leaves nothing that looks like a binary.
        (work / "helm").replace(target)
    return target


def definitions() -> list[pathlib.Path]:
    """Return the files with the CustomResourceDefinitions, from Go's module cache."""
    found = []
    for module, files in DEFINITIONS.items():
        command = ["go", "mod", "download", "-json", module]
        done = subprocess.run(command, capture_output=True, check=True, cwd="/")
        found += [pathlib.Path(json.loads(done.stdout)["Dir"]) / file for file in files]
    return found


def run(*command: object, kubeconfig: pathlib.Path | None = None, home: pathlib.Path) -> str:
    """Return what a command printed; raise ToolError with all it said if it failed.

    Its caches and settings go to `home`; it reaches the cluster of `kubeconfig`, or none.
    """
    reach = str(kubeconfig) if kubeconfig else os.devnull
    environment = {"HOME": str(home), "PATH": os.environ["PATH"], "KUBECONFIG": reach}
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise ToolError(done.stderr + done.stdout)
    return done.stdout


if __name__ == "__main__":
    if not binary().exists() and shutil.which("go") is None:
        sys.exit(why_not())
    print(build())
