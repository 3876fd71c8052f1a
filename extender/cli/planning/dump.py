"""`railyard dump`: what Railyard reads of a cluster, for an issue, for a colleague, for later."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import pathlib
import sys
from typing import Any

import msgspec
import yaml

import extender
from extender import errors
from extender.cli import admin_client, printing
from extender.kube import client
from extender.kube.api import objects
from extender.kube.auth import endpoint
from extender.policy import config
from extender.replay import hashed_names, redaction, snapshots
from extender.service import assembly, cluster_reading

_PATIENCE_SECONDS = 120.0
_CLUSTER, _POLICY, _VERSIONS, _METRICS = (
    "cluster.json",
    "policy.yaml",
    "versions.txt",
    "metrics.txt",
)
_FILES = (_CLUSTER, _POLICY, _VERSIONS, _METRICS)
_EPILOG = """\
Written are Nodes, Pods, resource.k8s.io objects and NodeResourceTopologies, each with the fields
that Railyard reads: no environment, arguments, images, volumes, Secrets or ConfigMaps, and of
annotations only those that it reads. Labels, taints and CEL selectors are written as they are.
--hash-names replaces names of objects, namespaces and uids, and pods' label values, by ranks: the
same name by the same rank, in the same order, so that answers stay equal.
Exit status: 0, 2 for what you must mend.
"""


@dataclasses.dataclass(frozen=True, slots=True)
class _Found:
    objects: list[tuple[str, objects.Object]]
    version: str = ""
    missing: dict[str, str] = dataclasses.field(default_factory=dict)


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "dump", help="write what Railyard reads of a cluster into a folder, without secrets",
        epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add_source(parser)
    parser.add_argument(
        "--snapshot", action="append", type=pathlib.Path, metavar="PATH",
        help="write an existing snapshot again, without what is not read",
    )  # fmt: skip
    parser.add_argument("--url", metavar="ADMIN", help="a Railyard whose metrics are added")
    parser.add_argument("--policy", type=pathlib.Path, metavar="FILE", help="the policy in use")
    parser.add_argument("-o", "--output", type=pathlib.Path, required=True, metavar="FOLDER")
    parser.add_argument("--hash-names", action="store_true", help="replace names consistently")
    parser.add_argument("--force", action="store_true", help="write over an earlier dump")
    parser.set_defaults(run=_dump)


def add_source(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say which cluster is read."""
    parser.add_argument(
        "--kubeconfig", type=pathlib.Path, metavar="FILE",
        help="how to reach the cluster; default: the cluster it runs in",
    )  # fmt: skip
    parser.add_argument("--context", metavar="NAME", help="of the kubeconfig")


def _dump(arguments: argparse.Namespace) -> int:
    check(arguments.output, force=arguments.force)
    policy = assembly.read_policy(arguments.policy)
    metrics = admin_client.text(arguments.url, "/metrics") if arguments.url else ""
    found = _from_snapshot(arguments) if arguments.snapshot else _from_cluster(arguments)
    kept = [
        (kind, item) for kind, one in found.objects if (item := redaction.redacted(one)) is not None
    ]
    policy_json: Any = msgspec.to_builtins(policy)
    if arguments.hash_names:
        names = hashed_names.HashedNames(kept)
        kept = [(kind, names.hashed(kind, item)) for kind, item in kept]
        policy_json = _hashed_policy(policy_json, names)
    _write(arguments.output, kept, policy_json, _versions(found), metrics)
    counts = {kind: sum(1 for each, _ in kept if each == kind) for kind, _ in kept}
    for kind, count in counts.items():
        print(f"{kind}: {count}")
    for kind, why in found.missing.items():
        printing.note(f"{kind} could not be read: {why}")
    printing.note(f"written to {arguments.output}: look through it before you hand it on")
    return printing.OK


def check(folder: pathlib.Path, *, force: bool) -> None:
    """ConfigError where something may not be written over."""
    if folder.exists() and not folder.is_dir():
        raise errors.ConfigError("nothing is written", [(str(folder), "is no folder")])
    if folder.exists() and any(folder.iterdir()) and not force:
        problem = [(str(folder), "is not empty; --force writes over an earlier dump in it")]
        raise errors.ConfigError("nothing is written", problem)


def _from_snapshot(arguments: argparse.Namespace) -> _Found:
    if arguments.kubeconfig or arguments.context:
        problem = [("--snapshot", "is read instead of a cluster; leave out --kubeconfig")]
        raise errors.ConfigError("the arguments contradict each other", problem)
    snapshot = snapshots.read(arguments.snapshot, strict=False)
    return _Found(snapshot.objects)


def _from_cluster(arguments: argparse.Namespace) -> _Found:
    read = asyncio.run(_read(server_of(arguments)))
    return _Found(read.objects, read.version, read.missing)


def server_of(arguments: argparse.Namespace) -> endpoint.Server:
    """The API server that `add_source`'s arguments name."""
    if not arguments.kubeconfig:
        return endpoint.in_cluster()
    # Imported where it is needed: it brings `kubernetes`, half a second and 20 MB.
    from extender.kube.auth import kubeconfig  # noqa: PLC0415

    return kubeconfig.read(str(arguments.kubeconfig), arguments.context or "")


async def _read(server: endpoint.Server) -> cluster_reading.Read:
    async with client.Client(server) as api:
        return await cluster_reading.read(api, patience=_PATIENCE_SECONDS, progress=_progress)


def _progress(kind: str, count: int) -> None:
    print(f"read {count} {kind}", file=sys.stderr)


def _versions(found: _Found) -> str:
    lines = [f"railyard {extender.__version__}", f"python {sys.version.split()[0]}"]
    lines += [f"kubernetes {found.version}"] if found.version else []
    lines += [f"not read: {kind}: {why}" for kind, why in found.missing.items()]
    return "\n".join(lines) + "\n"


def _hashed_policy(policy_json: dict[str, Any], names: hashed_names.HashedNames) -> dict[str, Any]:
    """The policy, whose profiles match pods by the names that they have in the dump."""
    for profile in policy_json.get("profiles", ()):
        match = profile.get("match", {})
        for key in ("namespaces", "priorityClassNames"):
            if key in match:
                match[key] = [names.of(name) for name in match[key]]
        if "labels" in match:
            match["labels"] = {key: names.of(value) for key, value in match["labels"].items()}
    return policy_json


def _write(
    folder: pathlib.Path,
    kept: list[tuple[str, objects.Object]],
    policy: dict[str, Any],
    versions: str,
    metrics: str,
) -> None:
    head = {"apiVersion": config.Policy().api_version, "kind": config.KIND}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in _FILES:
            (folder / name).unlink(missing_ok=True)
        snapshots.write(folder / _CLUSTER, kept)
        text = yaml.safe_dump(head | policy, sort_keys=False, allow_unicode=True)
        (folder / _POLICY).write_text(text, encoding="utf-8")
        (folder / _VERSIONS).write_text(versions, encoding="utf-8")
        if metrics:
            (folder / _METRICS).write_text(metrics, encoding="utf-8")
    except OSError as error:
        problem = [(str(error.filename or folder), error.strerror or str(error))]
        raise errors.ConfigError("the dump cannot be written", problem) from error
