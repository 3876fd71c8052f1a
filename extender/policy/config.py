"""What operators write: the placement policy, its defaults, and every problem with its path.

The file is the content of a ConfigMap (`policy.yaml`); msgspec checks names, types and ranges, and
`parse` the rest. All problems that can be found in one reading are reported together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from extender import errors
from extender.hardware.shape import Level
from extender.policy import checking

API_VERSION = "railyard.dev/v1alpha1"
KIND = "PlacementPolicy"

Weight = Annotated[float, msgspec.Meta(ge=0, le=100)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Section(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A part of the policy; an unknown field is an error, as it is in Kubernetes' own configs."""


class Locality(Section, frozen=True):
    """How near the predicted devices must or should be.

    `mode: Required` refuses a node whose predicted GPUs and NICs are farther apart than `level`
    (an `nvidia-smi topo -m` word); `Preferred` only scores. `communication_share` is the share of
    a job's time spent communicating (0.23 fits the pair of all-reduce results published for H100).
    `unknown` says what Required makes of devices whose nearness is not published.

    The weight lets nearness decide before packing does: distant devices cost a job for as long as
    it runs, and among equally near nodes packing still chooses.
    """

    weight: Weight = 10.0
    mode: Literal["Preferred", "Required"] = "Preferred"
    level: Literal["PIX", "PXB", "PHB", "NODE"] = "PHB"
    unknown: Literal["Accept", "Refuse"] = "Refuse"
    communication_share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.23


class DeclaredClass(Section, frozen=True):
    """A size of pod to keep room for although none was seen yet: its share of the mix."""

    gpus: Annotated[int, msgspec.Meta(ge=1, le=64)]
    share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.002
    cpu_per_gpu: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class Packing(Section, frozen=True):
    """What the placement leaves behind, priced by scarcity (`policy.prices`).

    `half_life_pods` is H of the learnt mix, `alpha` the steepness of prices, `cliff_share` a,
    `part_credit` beta. `machine_reserve` is the share of the GPUs asked that pods of whole machines
    count for until they are seen; `reserve` lists other sizes to keep room for before that.
    """

    weight: Weight = 1.0
    alpha: Annotated[float, msgspec.Meta(ge=0, le=6)] = 4.0
    cliff_share: Share = 0.45
    part_credit: Annotated[float, msgspec.Meta(ge=1, le=16)] = 5.0
    half_life_pods: Annotated[int, msgspec.Meta(ge=100, le=1_000_000)] = 2000
    machine_reserve: Share = 0.05
    reserve: tuple[DeclaredClass, ...] = ()


class Proximity(Section, frozen=True):
    """How near a gang's members should be: node labels from the nearest level to the farthest.

    The labels are the GPU operator's NVLink clique and those that Topograph writes (its
    docs/reference/node-labels.md): tier 0 is the switch that a node hangs off.

    As with locality, the weight lets nearness decide before packing does: of Philly's gangs fewer
    lie on more nodes than they must than with 3 or 1 (`python -m loadtests.gang`).
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
    """Match of hardware to need.

    `avoid_conditions` are node conditions that mark a degraded node: a type, or a pattern of types,
    that is bad when True, or `TYPE=STATUS`.
    """

    weight: Weight = 0.25
    avoid_conditions: tuple[str, ...] = ()


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
    api_version: Literal["railyard.dev/v1alpha1"] = "railyard.dev/v1alpha1"
    kind: Literal["PlacementPolicy"] = "PlacementPolicy"
    profiles: tuple[Profile, ...] = (Profile(name="default"),)
    scores: Scores = Scores()
    cpu_pods: Literal["Score", "Ignore"] = "Score"
    pod_annotations: Literal["Allow", "Ignore"] = "Allow"
    reservation_seconds: Annotated[float, msgspec.Meta(ge=0, le=60)] = 5.0
    step_budget: Annotated[int, msgspec.Meta(ge=100, le=10_000_000)] = 1_500
    kubernetes_version: str = ""


DEFAULT = Policy()


def parse(document: Mapping[str, Any] | None, *, source: str) -> Policy:
    """Check a policy document already read from YAML; ConfigError lists every problem."""
    document = dict(document or {})
    problems = list(checking.problems(document, Policy))
    if problems:
        raise errors.ConfigError(f"{source} is not a usable policy", problems)
    policy = msgspec.convert(document, Policy)
    problems = list(_cross_checked(policy))
    if problems:
        raise errors.ConfigError(f"{source} is not a usable policy", problems)
    return policy


def _cross_checked(policy: Policy) -> list[tuple[str, str]]:
    problems: list[tuple[str, str]] = []
    if not policy.profiles:
        problems.append(("profiles", "at least one profile is needed"))
    names = [profile.name for profile in policy.profiles]
    problems += [
        (f"profiles[{number}].name", f"{name!r} is used twice")
        for number, name in enumerate(names)
        if name in names[:number]
    ]
    for number, profile in enumerate(policy.profiles[:-1]):
        if profile.match == Match():
            problems.append(
                (f"profiles[{number}].match", "matches every pod, so no later profile is reached")
            )
    return problems


def level_of(locality: Locality) -> Level:
    """The farthest level that Required accepts."""
    return Level[locality.level]


def schema() -> dict[str, Any]:
    """The JSON schema of a policy, for editors and for `config/policy.schema.json`."""
    return msgspec.json.schema(Policy)
