"""Reads kubeconfig files by the `kubernetes` package, and refuses in one sentence what it cannot.

The package merges the files and finds what a context names. It raises TypeError or AttributeError
for many wrong files, and its messages quote whole entries with their secrets: so each file is
checked against its types first, and names are looked up here before it is asked for them.

Sources: client-go tools/clientcmd/api/v1/types.go (the form), loader.go (the first file that sets a
value wins, relative paths start at the file's folder), validation.go.

The only module that imports `kubernetes`; imported by those who read a kubeconfig, as that costs
half a second and 20 MB.
"""

from __future__ import annotations

import os
import pathlib
from typing import Annotated, Any

import msgspec
import yaml
from kubernetes.aio.config import kube_config

from extender import errors
from extender.kube.auth import endpoint

# A kubeconfig of a hundred clusters has 0.5 MB. YAML may grow by aliases; these are refused.
_LONGEST_BYTES = 8 << 20
_KINDS = ("contexts", "clusters", "users")

_Named = Annotated[str, msgspec.Meta(min_length=1)]


class _NamedEntry(msgspec.Struct):
    name: _Named
    cluster: dict[str, Any] | None = None
    user: dict[str, Any] | None = None
    context: _Context | None = None


class _Context(msgspec.Struct):
    cluster: str | None = None
    user: str | None = None
    namespace: str | None = None


class _KubeconfigFile(msgspec.Struct, rename={"current": "current-context"}):
    clusters: list[_NamedEntry] | None = None
    users: list[_NamedEntry] | None = None
    contexts: list[_NamedEntry] | None = None
    current: str | None = None


class _KubeconfigLoader(yaml.SafeLoader):
    """YAML as Kubernetes reads it: no aliases, no dates (a token or name may look like one)."""

    def compose_node(self, parent: Any, index: Any) -> Any:  # noqa: ANN401 - an untyped package
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not read")
        return super().compose_node(parent, index)


_KubeconfigLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if not tag.endswith(":timestamp")]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read(path: str, context: str = "") -> endpoint.Server:
    """The API server that a kubeconfig names, by the context or its current one.

    `path` may be several files, separated as in KUBECONFIG. `ConfigError` says what is wrong.
    """
    files = [each for each in path.split(os.pathsep) if each]
    if not any(os.access(each, os.F_OK) for each in files):
        _file(files[0] if files else path)  # says why
    merged = _Merger(path).config  # type: ignore[no-untyped-call]  # an untyped package
    chosen = context or merged.value["current-context"]
    if not chosen:
        known = _known(merged, "context")
        raise _unusable(path, f"no current-context: name one by --context (contexts: {known})")
    where = _found(path, merged, "context", chosen).fields
    if not where.get("cluster"):
        raise _unusable(path, f"context {chosen!r} names no cluster")
    cluster = _found(path, merged, "cluster", where["cluster"])
    user = where.get("user")
    identity = _found(path, merged, "user", user) if user else endpoint.Entry()
    try:
        server = endpoint.from_entries(
            cluster, identity, namespace=where.get("namespace") or "default"
        )
        endpoint.check(server)
        return server
    except errors.ConfigError as error:
        problems = [(": ".join(filter(None, (path, p))), text) for p, text in error.problems]
        raise errors.ConfigError(error.what, problems) from error


class _Merger(kube_config.KubeConfigMerger):
    """The package's merger, over files that were checked.

    Differs where the package does from kubectl: the first `current-context` wins, not the last.
    """

    def load_config(self, path: str) -> None:
        document = _file(path)
        if self.config_merged is None:
            empty: dict[str, Any] = {"current-context": "", **{kind: [] for kind in _KINDS}}
            self.config_merged = kube_config.ConfigNode(path, empty, path)  # type: ignore[no-untyped-call]
        merged = self.config_merged.value
        merged["current-context"] = merged["current-context"] or document.get("current-context")
        for kind in _KINDS:
            self._merge(kind, document.get(kind) or [], path)  # type: ignore[no-untyped-call]


def _file(path: str) -> dict[str, Any]:
    """The document in a file, of the right types."""
    try:
        text = pathlib.Path(path).read_bytes()
    except FileNotFoundError:
        raise _unusable(path, "no such file") from None
    except (OSError, ValueError) as error:
        raise _unusable(path, getattr(error, "strerror", None) or str(error)) from error
    if len(text) > _LONGEST_BYTES:
        raise _unusable(path, f"larger than {_LONGEST_BYTES >> 20} MiB")
    try:
        document = yaml.load(text, Loader=_KubeconfigLoader)  # noqa: S506 - a SafeLoader
        if document is None:
            raise _unusable(path, "the file is empty")
        msgspec.convert(document, _KubeconfigFile)
        checked: dict[str, Any] = document
        return checked
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f"line {mark.line + 1}: " if mark is not None else ""
        raise _unusable(path, f"{line}not YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError, TypeError, RecursionError, OverflowError) as error:
        # msgspec.ValidationError is a ValueError. yaml's own words may span lines.
        raise _unusable(path, " ".join(str(error).split()) or type(error).__name__) from error


def _found(path: str, merged: kube_config.ConfigNode, what: str, name: str) -> endpoint.Entry:
    """The context, cluster or user of this name, and the folder of its file."""
    node = merged[f"{what}s"].get_with_name(name, safe=True)
    if node is None:
        raise _unusable(path, f"there is no {what} {name!r} ({what}s: {_known(merged, what)})")
    return endpoint.Entry(node.safe_get(what) or {}, str(pathlib.Path(node.path).absolute().parent))


def _known(merged: kube_config.ConfigNode, what: str) -> str:
    return ", ".join(sorted(each["name"] for each in merged.value[f"{what}s"])) or "none"


def _unusable(path: str, problem: str) -> errors.ConfigError:
    return errors.ConfigError("the kubeconfig cannot be used", [(path, problem)])
