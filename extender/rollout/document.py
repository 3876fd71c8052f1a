"""The document of a candidate policy: the policy, for which pods it answers, what its trial costs.

`canary` stands beside the candidate and not in a document of its own: who applies a candidate says
in the same step how far it reaches, and "rolled back until the document changes" has one meaning.
The policy's hash leaves both out, so that a candidate keeps its hash when it is promoted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import msgspec

from extender.policy import config, validation
from extender.shadow import budget

CANARY, SHADOW = "canary", "shadow"
_MOST_NAMESPACES = 1000

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Rollback(config.Section, frozen=True):
    """When a candidate is taken back, counted over its last `calls` calls.

    An error is a call in which it raised an error or took so long that it was stopped; the policy
    in force answers such a call. A slow call took more than `slow_milliseconds` of processor time.
    A share of 0.01 of 100 calls lets one pass; the second takes the candidate back.
    """

    calls: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 100
    error_rate: Share = 0.01
    slow_milliseconds: Annotated[float, msgspec.Meta(gt=0, le=1000)] = 50.0
    slow_rate: Share = 0.05


class Canary(config.Section, frozen=True):
    """The pods that the candidate answers for.

    `percent` of all pods, by a hash of their UID, or those of the `namespaces`; with both, so many
    of the pods of these namespaces. The members of a gang are taken together or not at all.
    """

    percent: Annotated[float, msgspec.Meta(ge=0, le=100)] | None = None
    namespaces: tuple[str, ...] = ()
    rollback: Rollback = Rollback()


class Trial(config.Section, frozen=True):
    """What the trial may cost.

    `cpu_percent` of one core while calls come: more of it judges more of the decisions, and more
    calls meet a candidate at work.
    """

    cpu_percent: Annotated[float, msgspec.Meta(ge=0.1, le=20)] = budget.PERCENT


class _CandidateDocument(config.Policy, frozen=True):
    canary: Canary | None = None
    shadow: Trial = Trial()


@dataclasses.dataclass(frozen=True, slots=True)
class Candidate:
    """A policy to be tried, in shadow and, where `canary` says so, on a part of the pods."""

    policy: config.Policy
    canary: Canary | None = None
    trial: Trial = dataclasses.field(default_factory=Trial)


def parse(
    document: Mapping[str, Any],
    *,
    source: str,
    found: Sequence[validation.Problem] = (),
) -> Candidate:
    """Check a candidate's document already read from YAML; ConfigError lists every problem."""
    rest = dict(document)
    section = rest.pop(CANARY, None)
    problems = list(found)
    if CANARY in document:
        problems += _problems(section)
    trial = rest.pop(SHADOW, {})
    problems += validation.problems(trial, Trial, SHADOW)
    policy = config.parse(rest, source=source, found=problems)
    answers = msgspec.convert(section, Canary) if section is not None else None
    return Candidate(policy, answers, msgspec.convert(trial, Trial))


def schema() -> dict[str, Any]:
    """The JSON schema of a candidate, for editors and for `config/candidate.schema.json`."""
    found = msgspec.json.schema(_CandidateDocument)
    found["$defs"]["Candidate"] = found["$defs"].pop("_CandidateDocument")
    found["$ref"] = "#/$defs/Candidate"
    found["$defs"]["Candidate"]["title"] = "Candidate"
    return config.titled(found, "Railyard candidate policy", document="Candidate")


def _problems(section: object) -> Iterator[validation.Problem]:
    yield from validation.problems(section, Canary, CANARY)
    if not isinstance(section, Mapping):
        return
    if section.get("percent") is None and not section.get("namespaces"):
        yield CANARY, "names no pods: set percent, or namespaces"
    names = section.get("namespaces")
    names = names if isinstance(names, list) else []
    if len(names) > _MOST_NAMESPACES:
        yield (
            f"{CANARY}.namespaces",
            f"{len(names)} namespaces; at most {_MOST_NAMESPACES} are read",
        )
        return
    for number, name in enumerate(names):
        if isinstance(name, str) and not name.strip():
            yield f"{CANARY}.namespaces[{number}]", "is empty"
        elif name in names[:number]:
            yield f"{CANARY}.namespaces[{number}]", f"{str(name)[:60]!r} stands there twice"
