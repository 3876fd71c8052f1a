"""`railyard explain` and `railyard predict`: what a pod would get on each node of a snapshot."""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
from typing import Any

from extender import errors, settings
from extender.cli import flag_values, printing, snapshot_notes
from extender.decisions import engine
from extender.decisions.explanation import explain, explain_all_filters, explain_table
from extender.kube.api import objects
from extender.policy import config
from extender.replay import files, snapshots
from extender.service import assembly

_EPILOG = """\
SCORE is what kube-scheduler gets: 10 for the best node, less for others, none where the node is
refused or all are alike. COST is what the order comes from, in GPUs: the least is the best.
How close devices are, the closest first: PIX (one PCIe switch), PXB (several switches), PHB (one
PCIe root), NODE (one NUMA node), SYS (across NUMA nodes).
Exit status: 0, 1 where no node is known to fit some pod, 2 for what you must mend.
"""


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands to the command line."""
    for name, run, words in (
        ("explain", _explain, "say per node what a pod would get, and why"),
        ("predict", _predict, "print the devices that a pod would get"),
    ):
        parser = commands.add_parser(
            name, help=words, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        _add_arguments(parser)
        parser.set_defaults(run=run)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--snapshot", action="append", type=pathlib.Path, metavar="PATH",
        help="what `kubectl get … -A -o yaml` prints: a file, a folder (a must-gather, a"
        " cluster-info dump), a tar archive, or - for standard input; may be repeated;"
        " default: the demo",
    )  # fmt: skip
    parser.add_argument(
        "--pod", required=True, metavar="FILE|NAMESPACE/NAME",
        help="manifests of pods (with their claims and templates), - for standard input, or a pod"
        " of the snapshot",
    )  # fmt: skip
    parser.add_argument("--node", action="append", metavar="NAME", help="only this node")
    parser.add_argument("--policy", type=pathlib.Path, metavar="FILE", help="default: built in")
    add_version(parser)
    parser.add_argument("-o", "--output", choices=("table", "json", "yaml"), default="table")
    parser.add_argument("--wide", action="store_true", help="do not fit the table to the terminal")
    parser.add_argument("--all", action="store_true", help="a row for each node that is refused")
    parser.add_argument(
        "--strict", action="store_true", help="end with 2 if some document cannot be read"
    )


def add_version(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say whose kube-scheduler predictions go by."""
    parser.add_argument("--kubernetes-version", default="", metavar="1.36", help="default: newest")
    parser.add_argument(
        "--feature-gates", type=flag_values.gates, metavar="NAME=true,…",
        help="of kube-scheduler, where they are not its version's defaults",
    )  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True)
class _OpenedSnapshot:
    judging: engine.Engine
    pods: list[objects.Pod]
    notes: tuple[str, ...]


def _explain(arguments: argparse.Namespace) -> int:
    opened = _open(arguments)
    found = [_answer(arguments, opened, pod) for pod in opened.pods]
    if arguments.output == "table":
        layout = printing.layout(arguments)
        for number, each in enumerate(found):
            if number:
                print()
            print("\n".join(explain_table.lines(each, layout)))
    else:
        bodies = [each.as_json() for each in found]
        printing.structured(bodies[0] if len(bodies) == 1 else bodies, arguments.output)
    return _status(found)


def _predict(arguments: argparse.Namespace) -> int:
    opened = _open(arguments)
    found = [_answer(arguments, opened, pod) for pod in opened.pods]
    if arguments.output == "table":
        for each in found:
            if len(found) > 1:
                print(f"pod {each.pod}:")
            for node in sorted(each.nodes, key=lambda node: node.node):
                print(f"{node.node}: {_devices(node) or node.reason or node.verdict}")
    else:
        bodies: list[Any] = [{"pod": each.pod, "nodes": _predicted(each)} for each in found]
        printing.structured(bodies if len(bodies) > 1 else bodies[0]["nodes"], arguments.output)
    for text in dict.fromkeys(note for each in found for note in each.notes):
        printing.note(text)
    return _status(found)


def _devices(node: explain.Explained) -> str:
    if node.verdict.startswith("refused"):
        return ""
    return " ".join(f"{d.request}={d.driver}/{d.pool}/{d.device}" for d in node.devices)


def _predicted(found: explain.Explanation) -> list[dict[str, Any]]:
    return [
        {
            "node": node.node,
            "verdict": node.verdict,
            "devices": [device.as_json() for device in node.devices],
            "reason": node.reason,
            "notes": node.notes,
        }
        for node in sorted(found.nodes, key=lambda node: node.node)
    ]


def _status(found: list[explain.Explanation]) -> int:
    fits = all(any(node.verdict == explain.FITS for node in each.nodes) for each in found)
    return printing.OK if fits else printing.NO_FIT


# ---------------------------------------------------------------- reading


def _answer(
    arguments: argparse.Namespace, opened: _OpenedSnapshot, pod: objects.Pod
) -> explain.Explanation:
    found = explain_all_filters.explained(opened.judging, pod, arguments.node)
    return dataclasses.replace(found, notes=(*found.notes, *opened.notes))


def open_snapshot(arguments: argparse.Namespace) -> tuple[engine.Engine, list[str]]:
    """The engine over `--snapshot`, or the demo, and what is to be said of it."""
    paths = arguments.snapshot or [settings.embedded("demo")]
    if arguments.pod and [*paths, pathlib.Path(arguments.pod)].count(files.STDIN) > 1:
        problem = [("-", "standard input can be read only once")]
        raise errors.SnapshotError("the snapshot cannot be read", problem)
    policy = assembly.read_policy(arguments.policy)
    judging, snapshot = assembly.from_snapshot(
        paths,
        policy=policy,
        kubernetes_version=arguments.kubernetes_version,
        feature_gates=arguments.feature_gates,
        strict=arguments.strict,
    )
    return judging, [
        *snapshot_notes.of_snapshot(snapshot),
        *config.warnings(policy),
        *assembly.notes(arguments.kubernetes_version, arguments.feature_gates),
    ]


def _open(arguments: argparse.Namespace) -> _OpenedSnapshot:
    """The engine over the snapshot, and the pods, whose manifests' other objects are added."""
    judging, remarks = open_snapshot(arguments)
    path = pathlib.Path(arguments.pod)
    if path != files.STDIN and not path.exists():
        pods = [known(judging, arguments.pod)]
    else:
        given = snapshots.read([path], what="the pod's file")
        pods = given_pods(path, given)
        assembly.feed(judging, [(kind, item) for kind, item in given.objects if kind != "Pod"])
        remarks += snapshot_notes.of_snapshot(given)
    if len(pods) > 1:
        remarks.append("each pod is answered as if it came alone")
    if not judging.store.nodes:
        remarks.append("the snapshot holds no node")
    return _OpenedSnapshot(judging, pods, (*remarks, *snapshot_notes.of_claims(judging.store)))


def known(judging: engine.Engine, title: str) -> objects.Pod:
    namespace, slash, name = title.rpartition("/")
    pod = judging.store.pods.get((namespace if slash else "default", name))
    if pod is None:
        problem = [(title, "neither a file nor a pod of the snapshot")]
        raise errors.SnapshotError("the pod cannot be found", problem)
    return pod


def given_pods(path: pathlib.Path, given: snapshots.Snapshot) -> list[objects.Pod]:
    pods = [item for _, item in given.objects if isinstance(item, objects.Pod)]
    if not pods:
        kinds = sorted({*given.ignored, *(kind for kind, _ in given.objects)})
        has = f"holds no Pod, but {', '.join(kinds)}" if kinds else "holds no Pod"
        templates = " (give the Pod that it would make)" if given.ignored else ""
        raise errors.SnapshotError("the pod cannot be read", [(str(path), has + templates)])
    return pods
