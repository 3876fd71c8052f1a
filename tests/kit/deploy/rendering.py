"""What Helm and kustomize make of deploy/, as objects that can be compared."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from tests.kit.controlplane import build
from tests.kit.deploy import tools

Object = dict[str, Any]
Key = tuple[str, str, str]  # kind, namespace, name

COMPONENTS = tools.ROOT / "deploy" / "components"
# What only Helm knows: which release and chart an object is of, and that it is a hook.
_HELM_ALONE = ("app.kubernetes.io/managed-by", "app.kubernetes.io/version", "helm.sh/")
_HELM_ALONE += ("app.kubernetes.io/instance", "app.kubernetes.io/name", "checksum/")


def helm(
    home: pathlib.Path, values: Mapping[str, Any] | None = None, *options: str
) -> dict[Key, Object]:
    """Return what `helm template` makes of these values, named `railyard` unless options say."""
    text = helm_text(home, values, *options)
    return keyed(text)


def helm_text(home: pathlib.Path, values: Mapping[str, Any] | None = None, *options: str) -> str:
    home.mkdir(parents=True, exist_ok=True)
    given = home / "values.json"
    given.write_text(json.dumps(values or {}))
    named = options or ("--name-template", "railyard", "--namespace", "railyard")
    # a helm built from its module takes itself for one of Kubernetes 1.20
    version = ("--kube-version", build.default_version())
    command = [tools.binary(), "template", tools.CHART, "--values", given, *named, *version]
    return tools.run(*command, home=home)


def kustomize(home: pathlib.Path, folder: pathlib.Path) -> dict[Key, Object]:
    """Return what `kubectl kustomize` makes of a folder."""
    binary = build.binary(build.default_version())
    return keyed(tools.run(binary, "kubectl", "kustomize", folder, home=home))


def overlay(folder: pathlib.Path, components: Sequence[str]) -> pathlib.Path:
    """Write a user's overlay, the Service with these components, and return its folder."""
    folder.mkdir(parents=True)
    lines = ["apiVersion: kustomize.config.k8s.io/v1beta1", "kind: Kustomization", "resources:"]
    lines += [f"  - {relative(tools.ROOT / 'deploy/overlays/service', folder)}"]
    if components:
        lines += ["components:"]
        lines += [f"  - {relative(COMPONENTS / name, folder)}" for name in components]
    (folder / "kustomization.yaml").write_text("\n".join(lines) + "\n")
    return folder


def relative(path: pathlib.Path, start: pathlib.Path) -> str:
    return str(pathlib.Path(*[".."] * (len(start.resolve().parts) - 1), *path.resolve().parts[1:]))


def keyed(text: str) -> dict[Key, Object]:
    """Return the objects of a stream of YAML documents; AssertionError where two have one name."""
    objects: dict[Key, Object] = {}
    for document in yaml.safe_load_all(text):
        if document:
            named = document["metadata"]
            key = (document["kind"], named.get("namespace", ""), named["name"])
            assert key not in objects, f"{key} stands twice"
            objects[key] = document
    return objects


def plain(objects: Mapping[Key, Object]) -> dict[Key, Object]:
    """Return the objects without what a namespace or a tool adds to them.

    Helm makes no namespaces and labels all; texts that hold YAML or JSON are compared as data.
    """
    return {key: _plain(body) for key, body in objects.items() if key[0] != "Namespace"}


def _plain(body: Object) -> Object:
    metadata = dict(body["metadata"])
    for field in ("labels", "annotations"):
        metadata[field] = _others(metadata.get(field))
    done: Object = {**body, "metadata": metadata}
    if body["kind"] == "ConfigMap":
        done["data"] = {name: yaml.safe_load(text) for name, text in body["data"].items()}
    if body["kind"] == "Deployment":
        template = json.loads(json.dumps(body["spec"]["template"]))
        template["metadata"]["annotations"] = _others(template["metadata"].get("annotations"))
        for container in template["spec"]["containers"]:
            container.setdefault("imagePullPolicy", "IfNotPresent")  # what a tag gets by default
        done["spec"] = {**body["spec"], "template": template}
    return done


def _others(labels: Mapping[str, str] | None) -> dict[str, str]:
    return {name: text for name, text in (labels or {}).items() if not name.startswith(_HELM_ALONE)}
