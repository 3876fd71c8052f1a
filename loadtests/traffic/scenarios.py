"""Scenarios: what a load test sends and what happens in the cluster meanwhile, as data.

A scenario is a YAML file in `loadtests/scenarios`, named by its stem. Every field has a default; a
field that is not known, or a value that makes no sense, is an error that names the field.
"""

from __future__ import annotations

import pathlib
from typing import Annotated

import msgspec
import yaml

FOLDER = pathlib.Path(__file__).parents[1] / "scenarios"
MANIFESTS = pathlib.Path(__file__).parents[1] / "pods.yaml"

Count = Annotated[int, msgspec.Meta(ge=1)]
Amount = Annotated[int, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]


class ScenarioError(Exception):
    """A scenario that cannot be run; the message is a sentence for whoever wrote it."""


class _Section(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    pass


class Tenant(_Section):
    """Who creates pods: in which namespace, how often, and pods of which manifests."""

    namespace: str = "default"
    weight: Count = 1
    pods: dict[str, Count] = {}
    """Manifest name → how often, against the others; empty: all manifests alike."""


class Gang(_Section):
    """Pods of one job that arrive together, and the next job after a pause."""

    pods: Count
    pause_seconds: Positive = 5.0


class Scenario(_Section):
    """What is sent, and to what cluster; times are in seconds."""

    about: str
    nodes: Count = 5000
    """Of the generated cluster; a real installation has its own."""
    asked: Amount = 500
    """Names in a filter call; 0: all. Of 5,000 nodes kube-scheduler asks about 500."""
    schedulers: Count = 1
    """kube-schedulers that call at the same time; each waits for one reply at a time."""
    pods_per_second: Positive | None = None
    """Of all schedulers together; absent: the next pod as soon as one is done."""
    tenants: tuple[Tenant, ...] = (Tenant(),)
    gang: Gang | None = None
    preempt_share: Share = 0.0
    """Of the pods, those for which preempt is called too."""
    whole_nodes: bool = False
    """Bodies hold Node objects, as with `nodeCacheCapable: false`."""
    mutual_tls: bool = False
    events_per_second: Amount = 0
    """Pod events of the watch: a pod appears, is bound, ends."""
    relist_every_seconds: Positive | None = None
    """All watches end and their history is gone, so that everything is listed again."""
    policy_every_seconds: Positive | None = None
    """The policy's ConfigMap changes."""
    echo_every: Amount = 4
    """Every so many-th pod is also sent to the echo; 0: none."""


def names() -> list[str]:
    """The scenarios that come with the load tests."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read(name: str) -> Scenario:
    """Read a scenario by its name, or by its path where the name holds a slash or a suffix."""
    path = pathlib.Path(name)
    if path.suffix not in {".yaml", ".yml"} and "/" not in name:
        path = FOLDER / f"{name}.yaml"
        if name not in names():
            raise ScenarioError(f"there is no scenario {name!r}; there are {', '.join(names())}")
    return parse(_text(path), str(path))


def parse(text: str, where: str) -> Scenario:
    """Read a scenario's text. Raises ScenarioError, which says what is wrong and `where`."""
    try:
        return msgspec.convert(_loaded(text, where), Scenario)
    except msgspec.ValidationError as error:
        raise ScenarioError(f"{where}: {_in_words(str(error))}") from None


def _in_words(problem: str) -> str:
    """The field first, by its name; of a field that is not known, which there are."""
    problem, _, place = problem.replace("`", "").partition(" - at $")
    field = place.removeprefix(".")
    if "unknown field" in problem and not field:
        known = ", ".join(each.encode_name for each in msgspec.structs.fields(Scenario))
        problem = f"{problem}; there are {known}"
    problem = problem[0].lower() + problem[1:]
    return f"{field}: {problem}" if field else problem


def manifests(path: pathlib.Path = MANIFESTS) -> dict[str, dict]:
    """Read pod manifests, by name. Raises ScenarioError."""
    found = {}
    for number, body in enumerate(_documents(_text(path), str(path)), 1):
        meta = body.get("metadata") if isinstance(body, dict) else None
        name = meta.get("name") if isinstance(meta, dict) else None
        if not name or body.get("kind") != "Pod":
            raise ScenarioError(f"{path}: document {number} is no Pod with a metadata.name")
        if not (isinstance(body.get("spec"), dict) and body["spec"].get("containers")):
            raise ScenarioError(f"{path}: document {number} has no containers")
        found[name] = body
    if not found:
        raise ScenarioError(f"{path}: there is no Pod in it")
    return found


def check_pods(scenario: Scenario, known: dict[str, dict]) -> None:
    """Raise ScenarioError where a tenant's pods have no manifest."""
    asked = {name for tenant in scenario.tenants for name in tenant.pods}
    if missing := sorted(asked - set(known)):
        raise ScenarioError(
            f"there is no manifest of the pods {', '.join(missing)};"
            f" there are {', '.join(sorted(known))}"
        )


def _text(path: pathlib.Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ScenarioError(f"{path} cannot be read: {reason}") from None


def _loaded(text: str, where: str) -> object:
    return next(iter(_documents(text, where)), None)


def _documents(text: str, where: str) -> list:
    try:
        return [body for body in yaml.safe_load_all(text) if body is not None]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" in line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise ScenarioError(f"{where} is not YAML{place}: {problem}") from None
