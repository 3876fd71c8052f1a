"""`railyard check` and `railyard schema`: policies in files, in ConfigMaps, in streams of both."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import pathlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from extender import errors
from extender.cli import asking, printing
from extender.kube.api import objects
from extender.policy import config
from extender.replay import documents, files, snapshots
from extender.service import assembly
from extender.service.policy_source import policy_text


@dataclasses.dataclass(frozen=True, slots=True)
class _Checked:
    """One policy, or what is wrong with it; `source` is the file, and the object in it."""

    source: str
    policy: config.Policy | None = None
    error: errors.ConfigError | None = None


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands to the command line."""
    checked = commands.add_parser("check", help="check policies")
    checked.add_argument(
        "policy", type=pathlib.Path, nargs="+",
        help="a policy, manifests among which ConfigMaps hold one (`kubectl kustomize`), or - for"
        " standard input",
    )  # fmt: skip
    asking.add_version(checked)
    checked.add_argument("-o", "--output", choices=("text", "json", "yaml"), default="text")
    checked.set_defaults(run=_check)
    schema = commands.add_parser("schema", help="print the JSON schema of a policy")
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
    maps = list(_config_maps(text))
    for where, item in maps:
        name = f"{item.metadata.namespace or 'default'}/{item.metadata.name}"
        source = f"{where} (ConfigMap {name})"
        yield _checked(source, functools.partial(policy_text.of_config_map, item, source=source))
    if not maps:
        source = text.name
        yield _checked(source, functools.partial(policy_text.parse_file, text.text, source=source))


def _config_maps(text: files.FileText) -> Iterator[tuple[str, objects.ConfigMap]]:
    """The ConfigMaps with a policy among several documents; a single document is read strictly."""
    found = list(documents.of_text(text, documents.ReadingReport()))
    if len(found) < 2:
        return
    for document in found:
        if document.kind != "ConfigMap":
            continue
        try:
            item = snapshots.decoded(document.body, objects.ConfigMap)
        except (msgspec.DecodeError, ValueError, RecursionError):
            continue
        if isinstance(item, objects.ConfigMap) and policy_text.KEY in {
            *(item.data or ()),
            *(item.binary_data or ()),
        }:
            yield document.location, item


def _broken(source: str, problem: str) -> _Checked:
    error = errors.ConfigError("the policy cannot be read", [(source, problem)])
    return _Checked(source, error=error)


def _schema(_: argparse.Namespace) -> int:
    printing.structured(config.schema(), "json")
    return printing.OK


def _checked(source: str, parse: Callable[[], config.Policy]) -> _Checked:
    try:
        return _Checked(source, policy=parse())
    except errors.ConfigError as error:
        return _Checked(source, error=error)
