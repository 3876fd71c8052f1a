"""`railyard check` and `railyard schema`: policies in files, in ConfigMaps, in streams of both."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import pathlib
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from extender import errors
from extender.cli import explain_commands, printing
from extender.kube.api import objects
from extender.policy import config
from extender.replay import documents, files, snapshots
from extender.rollout import canary, document
from extender.service import assembly
from extender.service.policy_source import candidate_text, policy_text


@dataclasses.dataclass(frozen=True, slots=True)
class _Checked:
    """One policy, or what is wrong with it; `source` is the file, and the object in it."""

    source: str
    policy: config.Policy | None = None
    canary: document.Canary | None = None
    error: errors.ConfigError | None = None


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands to the command line."""
    checked = commands.add_parser("check", help="check policies")
    checked.add_argument(
        "policy", type=pathlib.Path, nargs="+",
        help="a policy, manifests among which ConfigMaps hold one (`kubectl kustomize`), or - for"
        " standard input",
    )  # fmt: skip
    explain_commands.add_version(checked)
    checked.add_argument("-o", "--output", choices=("text", "json", "yaml"), default="text")
    checked.set_defaults(run=_check)
    schema = commands.add_parser("schema", help="print the JSON schema of a policy")
    schema.add_argument(
        "--candidate", action="store_true", help="that of a candidate policy, with its canary"
    )
    schema.set_defaults(run=_schema)


def sentence(error: errors.RailyardError) -> str:
    """What is wrong: on one line where it is one thing."""
    if isinstance(error, errors.ProblemsError) and len(error.problems) == 1:
        return ": ".join(filter(None, (error.what.rstrip(":"), *error.problems[0])))
    return str(error)


def _check(arguments: argparse.Namespace) -> int:
    found = [each for path in arguments.policy for each in _read(path)]
    beside = assembly.notes(arguments.kubernetes_version, arguments.feature_gates)
    if arguments.output != "text":
        printing.structured([_as_json(each, beside) for each in found], arguments.output)
    else:
        _print(found, beside)
    return printing.USAGE if any(each.policy is None for each in found) else printing.OK


def _print(found: list[_Checked], beside: tuple[str, ...]) -> None:
    for each in found:
        if each.error is not None:
            print(f"railyard: {sentence(each.error)}", file=sys.stderr)
        elif each.policy is not None:
            names = ", ".join(profile.name for profile in each.policy.profiles)
            text = f"good; profiles: {names}; hash {config.fingerprint(each.policy)}"
            if each.canary is not None:
                text += f"; canary for {canary.pods_in_words(each.canary)}"
            print(f"{each.source}: {text}")
            for note in config.warnings(each.policy):
                print(f"warning: {note}")
    for note in beside:
        print(f"warning: {note}")


def _as_json(each: _Checked, beside: tuple[str, ...]) -> dict[str, Any]:
    body: dict[str, Any] = {"source": each.source, "good": each.policy is not None}
    if each.policy is not None:
        body["hash"] = config.fingerprint(each.policy)
        body["profiles"] = [profile.name for profile in each.policy.profiles]
        body["canary"] = msgspec.to_builtins(each.canary)
        body["warnings"] = [*config.warnings(each.policy), *beside]
    if each.error is not None:
        body["what"] = each.error.what
        body["problems"] = [
            {"place": where, "problem": problem} for where, problem in each.error.problems
        ]
    return body


# ---------------------------------------------------------------- reading


def _read(path: pathlib.Path) -> Iterator[_Checked]:
    """The policies of one file: those in the ConfigMaps of a stream, or the file itself."""
    if path.is_dir():
        problem = f"a folder: `kubectl kustomize {path} | railyard check -` checks what it makes"
        yield _broken(str(path), problem)
        return
    if path != files.STDIN and not path.exists():
        yield _broken(str(path), "no such file")
        return
    for text in files.texts(path):
        if isinstance(text, files.FileText):
            yield from _policies(text)
        else:
            yield _broken(text[0], str(text[1]))


def _policies(text: files.FileText) -> Iterator[_Checked]:
    found = list(documents.of_text(text, documents.ReadingReport()))
    maps = list(_config_maps(found))
    for location, item in maps:
        name = f"{item.metadata.namespace or 'default'}/{item.metadata.name}"
        source = f"{location} (ConfigMap {name})"
        # A single document is read strictly, below.
        if len(found) > 1 and policy_text.KEY in {*(item.data or ()), *(item.binary_data or ())}:
            read = functools.partial(policy_text.of_config_map, item, source=source)
            yield _checked(source, read)
        tried = candidate_text.of_config_map(item)
        if tried is not None:
            source = f"{source}: {candidate_text.KEY}"
            yield _checked_candidate(
                source, functools.partial(candidate_text.parse, tried, source=source)
            )
    source = text.name
    if not maps and _is_candidate(text.text):
        read_candidate = functools.partial(candidate_text.parse_file, text.text, source=source)
        yield _checked_candidate(source, read_candidate)
    elif not maps or len(found) < 2:
        yield _checked(source, functools.partial(policy_text.parse_file, text.text, source=source))


def _is_candidate(text: str) -> bool:
    """Whether the text is a candidate's document by itself, which has a canary."""
    try:
        return document.CANARY in policy_text.read(text, source="")[0]
    except errors.ConfigError:
        return False  # what is wrong with it is reported elsewhere


def _config_maps(
    found: Iterable[documents.WrittenObject],
) -> Iterator[tuple[str, objects.ConfigMap]]:
    """The ConfigMaps with a policy or a candidate among these documents."""
    for each in found:
        if each.kind != "ConfigMap":
            continue
        try:
            item = snapshots.decoded(each.body, objects.ConfigMap)
        except (msgspec.DecodeError, ValueError, RecursionError):
            continue
        if isinstance(item, objects.ConfigMap) and {policy_text.KEY, candidate_text.KEY} & {
            *(item.data or ()),
            *(item.binary_data or ()),
        }:
            yield each.location, item


def _broken(source: str, problem: str) -> _Checked:
    error = errors.ConfigError("the policy cannot be read", [(source, problem)])
    return _Checked(source, error=error)


def _schema(arguments: argparse.Namespace) -> int:
    found = document.schema() if arguments.candidate else config.schema()
    printing.structured(found, "json")
    return printing.OK


def _checked(source: str, parse: Callable[[], config.Policy]) -> _Checked:
    try:
        return _Checked(source, policy=parse())
    except errors.ConfigError as error:
        return _Checked(source, error=error)


def _checked_candidate(source: str, parse: Callable[[], document.Candidate]) -> _Checked:
    try:
        found = parse()
    except errors.ConfigError as error:
        return _Checked(source, error=error)
    return _Checked(source, policy=found.policy, canary=found.canary)
