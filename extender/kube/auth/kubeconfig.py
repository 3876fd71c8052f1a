"""Reads kubeconfig files: merged and typed as kubectl does, and refused in one sentence.

Sources: client-go tools/clientcmd/api/v1/types.go (the form), loader.go (the first file that sets a
value wins, relative paths start at the file's folder), validation.go.
"""

from __future__ import annotations

import os
import pathlib
from typing import Annotated, Any, TypeVar

import msgspec
import yaml

from extender import errors
from extender.kube.auth import endpoint

_T = TypeVar("_T")
# A kubeconfig of a hundred clusters has 0.5 MB. YAML may grow by aliases; these are refused.
_LONGEST_BYTES = 8 << 20

_Named = Annotated[str, msgspec.Meta(min_length=1)]


class _Entry(msgspec.Struct):
    name: _Named
    cluster: dict[str, Any] | None = None
    user: dict[str, Any] | None = None
    context: _Context | None = None


class _Context(msgspec.Struct):
    cluster: str | None = None
    user: str | None = None
    namespace: str | None = None


class _File(msgspec.Struct, rename={"current": "current-context"}):
    clusters: list[_Entry] | None = None
    users: list[_Entry] | None = None
    contexts: list[_Entry] | None = None
    current: str | None = None


class _Loader(yaml.SafeLoader):
    """YAML as Kubernetes reads it: no aliases, no dates (a token or name may look like one)."""

    def compose_node(self, parent: Any, index: Any) -> Any:  # noqa: ANN401 - an untyped package
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not read")
        return super().compose_node(parent, index)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if not tag.endswith(":timestamp")]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read(path: str, context: str = "") -> endpoint.Server:
    """The API server that a kubeconfig names, by the context or its current one.

    `path` may be several files, separated as in KUBECONFIG. `ConfigError` says what is wrong.
    """
    files = [each for each in path.split(os.pathsep) if each]
    parts = [
        (each, _file(each)) for each in files if len(files) == 1 or pathlib.Path(each).exists()
    ]
    if not parts:
        raise _unusable(path, "no such file")
    merged = _Merged(parts)
    chosen = context or merged.current
    if not chosen:
        known = ", ".join(sorted(merged.contexts)) or "none"
        raise _unusable(path, f"no current-context: name one by --context (contexts: {known})")
    where = _found(path, "context", chosen, merged.contexts)[1]
    if not where.cluster:
        raise _unusable(path, f"context {chosen!r} names no cluster")
    cluster = _found(path, "cluster", where.cluster, merged.clusters)
    user = _found(path, "user", where.user, merged.users) if where.user else ("", {})
    try:
        server = endpoint.from_entries(
            _entry(cluster), _entry(user), namespace=where.namespace or "default"
        )
        endpoint.check(server)
        return server
    except errors.ConfigError as error:
        problems = [(": ".join(filter(None, (path, p))), text) for p, text in error.problems]
        raise errors.ConfigError(error.what, problems) from error


class _Merged:
    """Several files as one: name → (file, what stands there), the first file wins."""

    def __init__(self, parts: list[tuple[str, _File]]) -> None:
        self.current = next((each.current for _, each in parts if each.current), "")
        self.contexts: dict[str, tuple[str, _Context]] = {}
        self.clusters: dict[str, tuple[str, dict[str, Any]]] = {}
        self.users: dict[str, tuple[str, dict[str, Any]]] = {}
        for path, each in parts:
            for entry in each.contexts or ():
                self.contexts.setdefault(entry.name, (path, entry.context or _Context()))
            for entry in each.clusters or ():
                self.clusters.setdefault(entry.name, (path, entry.cluster or {}))
            for entry in each.users or ():
                self.users.setdefault(entry.name, (path, entry.user or {}))


def _file(path: str) -> _File:
    try:
        text = pathlib.Path(path).read_bytes()
    except FileNotFoundError:
        raise _unusable(path, "no such file") from None
    except (OSError, ValueError) as error:
        raise _unusable(path, getattr(error, "strerror", None) or str(error)) from error
    if len(text) > _LONGEST_BYTES:
        raise _unusable(path, f"larger than {_LONGEST_BYTES >> 20} MiB")
    try:
        document = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
        if document is None:
            raise _unusable(path, "the file is empty")
        return msgspec.convert(document, _File)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f"line {mark.line + 1}: " if mark is not None else ""
        raise _unusable(path, f"{line}not YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError, TypeError, RecursionError, OverflowError) as error:
        # msgspec.ValidationError is a ValueError. yaml's own words may span lines.
        raise _unusable(path, " ".join(str(error).split()) or type(error).__name__) from error


def _found(path: str, what: str, name: str, among: dict[str, tuple[str, _T]]) -> tuple[str, _T]:
    if name not in among:
        known = ", ".join(sorted(among)) or "none"
        raise _unusable(path, f"there is no {what} {name!r} ({what}s: {known})")
    return among[name]


def _entry(found: tuple[str, dict[str, Any]]) -> endpoint.Entry:
    path, fields = found
    return endpoint.Entry(fields, str(pathlib.Path(path).absolute().parent) if path else "")


def _unusable(path: str, problem: str) -> errors.ConfigError:
    return errors.ConfigError("the kubeconfig cannot be used", [(path, problem)])
