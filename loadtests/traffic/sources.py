"""The cluster that is asked about: what kubectl prints, in a file, or from an API server."""

from __future__ import annotations

import pathlib
import urllib.error
import urllib.request

import msgspec

from loadtests.traffic import requests, scenarios

_PATIENCE_SECONDS = 60.0  # 5,000 nodes are 90 MB


class _Meta(msgspec.Struct, frozen=True):
    name: str = ""
    uid: str = ""


class _Spec(msgspec.Struct, frozen=True):
    node_name: str = msgspec.field(name="nodeName", default="")


class _Item(msgspec.Struct):
    metadata: _Meta
    spec: _Spec = _Spec()


class _List(msgspec.Struct):
    items: list[msgspec.Raw]


def cluster(nodes: str, pods: str, *, whole: bool) -> requests.Cluster:
    """Read the nodes, and the pods that preempt is offered. Raises ScenarioError."""
    if not nodes:
        raise scenarios.ScenarioError(
            "which nodes? --nodes takes what `kubectl get nodes -o json` prints, or a name a line"
        )
    text = _content(nodes)
    if not text.lstrip().startswith(b"{"):
        if whole:
            raise scenarios.ScenarioError(f"{nodes}: whole nodes are needed, not their names")
        names = [line.strip() for line in text.decode(errors="replace").splitlines()]
        found = {name: msgspec.Raw(b"") for name in names if name}
    else:
        found = {item.metadata.name: raw for raw, item in _items(text, nodes)}
    if not found:
        raise scenarios.ScenarioError(f"{nodes}: there is no node in it")
    bound: dict[str, list[str]] = {}
    for _, item in _items(_content(pods), pods) if pods else ():
        if item.spec.node_name in found and item.metadata.uid:
            bound.setdefault(item.spec.node_name, []).append(item.metadata.uid)
    return requests.Cluster(list(found), found if whole else {}, bound)


def with_own_pods(scenario: scenarios.Scenario, manifests: dict[str, dict]) -> scenarios.Scenario:
    """The scenario with pods of these manifests, each in its own namespace, all alike."""
    spaces: dict[str, dict[str, int]] = {}
    for name, body in manifests.items():
        spaces.setdefault(body["metadata"].get("namespace", "default"), {})[name] = 1
    tenants = tuple(
        scenarios.Tenant(namespace=space, weight=len(pods), pods=pods)
        for space, pods in spaces.items()
    )
    return msgspec.structs.replace(scenario, tenants=tenants)


def _items(text: bytes, where: str) -> list[tuple[msgspec.Raw, _Item]]:
    try:
        listed = msgspec.json.decode(text, type=_List)
        return [(raw, msgspec.json.decode(raw, type=_Item)) for raw in listed.items]
    except msgspec.DecodeError as error:
        raise scenarios.ScenarioError(f"{where} is no list of objects as JSON: {error}") from None


def _content(where: str) -> bytes:
    try:
        if where.startswith(("http://", "https://")):
            with urllib.request.urlopen(where, timeout=_PATIENCE_SECONDS) as answer:  # noqa: S310 - checked
                return answer.read()
        return pathlib.Path(where).read_bytes()
    except (OSError, urllib.error.URLError) as error:
        raise scenarios.ScenarioError(f"{where} cannot be read: {error}") from None
