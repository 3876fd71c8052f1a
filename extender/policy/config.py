"""What operators write: the placement policy, its defaults, and every problem with its path.

The file is the content of a ConfigMap (`policy.yaml`); msgspec checks names, types and ranges, and
`parse` the rest. All problems that can be found in one reading are reported together.
"""

from __future__ import annotations

import hashlib
import inspect
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec

from extender import errors
from extender.hardware import allocator_features, resource_names
from extender.hardware.shape import Level
from extender.policy import crosschecks, misplaced_fields, validation

API_VERSION = "railyard.dev/v1alpha1"
KIND = "PlacementPolicy"

Weight = Annotated[float, msgspec.Meta(ge=0, le=100)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Section(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A part of the policy; an unknown field is an error, as it is in Kubernetes' own configs."""


class Locality(Section, frozen=True):
    """How close the predicted devices must or should be.

    `mode: Required` refuses a node whose predicted GPUs and NICs are farther apart than `level`
    (an `nvidia-smi topo -m` word); `Preferred` only scores. `communication_share` is the share of
    a job's time spent communicating (0.23 fits the pair of all-reduce results published for H100).
    `unknown` says what Required makes of devices whose locality is not published.

    The weight lets locality decide before packing does: devices far apart cost a job for as long as
    it runs, and among equally good nodes packing still chooses.
    """

    weight: Weight = 10.0
    mode: Literal["Preferred", "Required"] = "Preferred"
    level: Literal["PIX", "PXB", "PHB", "NODE"] = "PHB"
    unknown: Literal["Accept", "Refuse"] = "Refuse"
    communication_share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.23


class DeclaredClass(Section, frozen=True):
    """A size of pod to keep headroom for although none was seen yet: its share of the mix."""

    gpus: Annotated[int, msgspec.Meta(ge=1, le=64)]
    share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.002
    cpu_per_gpu: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class Packing(Section, frozen=True):
    """How much a profile weighs what the placement leaves behind; the constants are the cluster's.

    See `ClusterPacking` for these.
    """

    weight: Weight = 1.0


class ClusterPacking(Section, frozen=True):
    """What headroom is worth in this cluster, priced by scarcity (`pricing.prices`), for all pods.

    `alpha` is the steepness of prices, `fits_now_share` a, `part_credit` beta. `horizon_pods` is H
    of the learnt mix: a pod weighs 1 - 1/H as much as the next one seen. `max_namespace_share`
    bounds what the pods of one namespace weigh in it. `machine_reserve` is the share of the GPUs
    asked that pods of whole machines count for until they are seen; `reserve` lists other sizes to
    keep headroom for before that. `distance_weight` is the locality weight of the pods that come
    later.
    """

    alpha: Annotated[float, msgspec.Meta(ge=0, le=6)] = 4.0
    fits_now_share: Share = 0.45
    part_credit: Annotated[float, msgspec.Meta(ge=1, le=16)] = 5.0
    horizon_pods: Annotated[int, msgspec.Meta(ge=100, le=1_000_000)] = 2000
    max_namespace_share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.5
    machine_reserve: Share = 0.05
    distance_weight: Weight = 10.0
    reserve: tuple[DeclaredClass, ...] = ()


class Proximity(Section, frozen=True):
    """How close a gang's members should be: node labels from the nearest level to the farthest.

    The labels are the GPU operator's NVLink clique and those that Topograph writes (its
    docs/reference/node-labels.md): tier 0 is the switch that a node hangs off.

    As with locality, the weight lets proximity decide before packing does: of Philly's gangs fewer
    lie on more nodes than they must than with 3 or 1 (`python -m loadtests.quality.gang`).
    """

    weight: Weight = 10.0
    labels: tuple[str, ...] = (
        "nvidia.com/gpu.clique",
        "accelerator.topograph.run/sub-domain",
        "accelerator.topograph.run/domain",
        "fabric.topograph.run/tier-0",
        "fabric.topograph.run/tier-1",
        "fabric.topograph.run/tier-2",
        "fabric.topograph.run/tier-3",
    )


class Preference(Section, frozen=True):
    """Match of hardware to need."""

    weight: Weight = 0.25


class Match(Section, frozen=True):
    """Which pods a profile is for; every given field must hold, an empty match takes all."""

    namespaces: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    priority_class_names: tuple[str, ...] = ()
    device_class_names: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()


class Profile(Section, frozen=True):
    name: str
    match: Match = Match()
    locality: Locality = Locality()
    packing: Packing = Packing()
    proximity: Proximity = Proximity()
    preference: Preference = Preference()


class Scores(Section, frozen=True):
    """The mapping to the wire: integers from 0 to `maximum`.

    0..10 is the range that the extender API documents; kube-scheduler checks no bound, and a wider
    one tells more nodes apart.
    """

    maximum: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 10


class Policy(Section, frozen=True):
    """The whole document: profiles judge pods, everything else holds for the cluster.

    `avoid_conditions` are node conditions that mark a degraded node: a type, or a pattern of types,
    that is bad when True, or `TYPE=STATUS`.
    """

    api_version: Literal["railyard.dev/v1alpha1"] = "railyard.dev/v1alpha1"
    kind: Literal["PlacementPolicy"] = "PlacementPolicy"
    profiles: tuple[Profile, ...] = (Profile(name="default"),)
    packing: ClusterPacking = ClusterPacking()
    scores: Scores = Scores()
    avoid_conditions: tuple[str, ...] = ()
    cpu_pods: Literal["Score", "Ignore"] = "Score"
    pod_annotations: Literal["Allow", "Ignore"] = "Allow"
    reservation_seconds: Annotated[float, msgspec.Meta(ge=0, le=60)] = 5.0
    step_budget: Annotated[int, msgspec.Meta(ge=100, le=10_000_000)] = 1_500
    kubernetes_version: str = ""
    device_resources: tuple[resource_names.Resource, ...] = ()


DEFAULT = Policy()
SCHEMA = "$schema"  # names the JSON schema for editors, and changes nothing
# More problems than that are not mended in one go; finding all of a hostile document takes long.
_MOST_PROBLEMS = 50


def parse(
    document: Mapping[str, Any] | None,
    *,
    source: str,
    found: Sequence[validation.Problem] = (),
) -> Policy:
    """Check a policy document already read from YAML; ConfigError lists every problem.

    `found` are problems that reading has found before, reported together with the others.
    """
    document = dict(document or {})
    every = itertools.chain(
        found,
        _of_the_schema(document.pop(SCHEMA, "")),
        misplaced_fields.problems(document),
        crosschecks.problems(document),
        validation.problems(misplaced_fields.without(document), Policy),
    )
    problems = list(itertools.islice(every, _MOST_PROBLEMS + 1))
    if problems:
        if len(problems) > _MOST_PROBLEMS:
            problems[_MOST_PROBLEMS:] = [("", "and more")]
        raise errors.ConfigError(f"{source} is not a usable policy", problems)
    return msgspec.convert(document, Policy)


def _of_the_schema(value: object) -> Iterator[validation.Problem]:
    if not isinstance(value, str):
        yield SCHEMA, "expected the address of the JSON schema, a text"


def fingerprint(policy: Policy) -> str:
    """Twelve hexadecimal digits that equal policies have in common, however they were written."""
    return hashlib.sha256(msgspec.json.encode(policy, order="deterministic")).hexdigest()[:12]


def warnings(policy: Policy) -> tuple[str, ...]:
    """What is allowed and probably not meant, in sentences."""
    remark = (
        allocator_features.remark(policy.kubernetes_version) if policy.kubernetes_version else ""
    )
    return (f"kubernetesVersion: {remark}",) if remark else ()


def level_of(locality: Locality) -> Level:
    """The farthest level that Required accepts."""
    return Level[locality.level]


def schema() -> dict[str, Any]:
    """The JSON schema of a policy, for editors and for `config/policy.schema.json`."""
    return titled(msgspec.json.schema(Policy), "Railyard placement policy", document="Policy")


def titled(found: dict[str, Any], title: str, *, document: str) -> dict[str, Any]:
    """A schema with a title for each field; the whole document may name its schema.

    Descriptions are docstrings, whose indentation is the source's before Python 3.13.
    """
    for section in found["$defs"].values():
        if "description" in section:
            section["description"] = inspect.cleandoc(section["description"])
        for name, field in section.get("properties", {}).items():
            field.setdefault("title", _spaced(name))
    found["$defs"][document]["properties"][SCHEMA] = {
        "title": "The JSON schema, for editors",
        "type": "string",
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **found}


def _spaced(name: str) -> str:
    """A field's name as words: "Max namespace share"."""
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name)
    return words[0].upper() + words[1:]
