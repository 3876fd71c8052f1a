"""`railyard capacity`: how many more pods of a shape fit, where, and what blocks the next one."""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
from typing import Any

import msgspec

from extender import errors
from extender.capacity import answer, capacity_table, counting, draining, pod_shape
from extender.cli import admin_client, explain_commands, printing, snapshot_notes
from extender.decisions import engine
from extender.kube.api import objects
from extender.replay import files, snapshots

_EPILOG = """\
A shape is NAME=COUNT[,NAME=COUNT…]: a name with a / is an extended resource, cpu and memory are
themselves, any other name is a DeviceClass, of which a claim asks so many devices.
FITS is what kube-scheduler would still place. DEFRAG is an upper bound: what would fit if pods
could be moved at will within the row's nodes. EMPTY is what the nodes take without any other pod.
Exit status: 0, 1 where no pod of some shape fits, 2 for what you must mend.
"""


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "capacity", help="count how many more pods fit, and say what blocks the next one",
        epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "--shape", action="append", metavar="NAME=COUNT,…", help="what each pod asks for;"
        " may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--pod", metavar="FILE|NAMESPACE/NAME",
        help="count pods like these: manifests with their claims and templates, - for standard"
        " input, or a pod of the snapshot",
    )  # fmt: skip
    parser.add_argument("--drain", metavar="NODE", help="also tell what draining this node changes")
    parser.add_argument(
        "--snapshot", action="append", type=pathlib.Path, metavar="PATH",
        help="what `kubectl get … -A -o yaml` prints, as for explain; default: the demo",
    )  # fmt: skip
    parser.add_argument(
        "--url", metavar="ADMIN", help="the admin port of a running Railyard, instead of a snapshot"
    )
    parser.add_argument("--policy", type=pathlib.Path, metavar="FILE", help="default: built in")
    explain_commands.add_version(parser)
    parser.add_argument("-o", "--output", choices=("table", "json", "yaml"), default="table")
    parser.add_argument("--wide", action="store_true", help="do not fit the table to the terminal")
    parser.add_argument("--all", action="store_true", help="list every node that takes some")
    parser.add_argument(
        "--strict", action="store_true", help="end with 2 if some document cannot be read"
    )
    parser.set_defaults(run=_capacity)


def _capacity(arguments: argparse.Namespace) -> int:
    if not arguments.shape and not arguments.pod:
        raise errors.ConfigError(
            "nothing to count", [("capacity", "give --shape NAME=COUNT,… or --pod FILE")]
        )
    for text in arguments.shape or ():
        pod_shape.parse(text)  # whatever is wrong is said before anything is read
    found, remarks = _online(arguments) if arguments.url else _offline(arguments)
    if arguments.output == "table":
        layout = printing.layout(argparse.Namespace(**vars(arguments) | {"node": None}))
        for number, each in enumerate(found):
            if number:
                print()
            print("\n".join(capacity_table.lines(each, width=layout.width, every=arguments.all)))
    else:
        bodies: list[Any] = [each.as_json() for each in found]
        printing.structured(bodies[0] if len(bodies) == 1 else bodies, arguments.output)
    for text in remarks:
        printing.note(text)
    return printing.OK if all(each.fits for each in found) else printing.NO_FIT


def _offline(arguments: argparse.Namespace) -> tuple[list[answer.ShapeCapacity], list[str]]:
    judging, remarks, like = _open(arguments)
    shapes = [*(pod_shape.parse(text) for text in arguments.shape or ()), *like]
    found = [counting.count(judging, shape) for shape in shapes]
    if arguments.drain:
        found = [
            dataclasses.replace(each, drained=_drained(arguments, shape))
            for each, shape in zip(found, shapes, strict=True)
        ]
    return found, remarks


def _drained(arguments: argparse.Namespace, shape: pod_shape.PodShape) -> answer.Drained:
    """Drain the node of a cluster that is read anew for it: nothing of it is used afterwards."""
    if files.STDIN in (arguments.snapshot or ()):
        problem = [("--drain", "needs a snapshot that can be read again, not standard input")]
        raise errors.SnapshotError("the node cannot be drained", problem)
    judging, _, _ = _open(argparse.Namespace(**vars(arguments) | {"pod": None}))
    turns = draining.draining(judging, shape, arguments.drain)
    while True:
        try:
            next(turns)
        except StopIteration as over:
            found: answer.Drained = over.value
            return found


def _online(arguments: argparse.Namespace) -> tuple[list[answer.ShapeCapacity], list[str]]:
    """As the service counts: by its policy, and the cluster as it has it."""
    if arguments.snapshot or arguments.policy:
        problem = [("--url", "the service has its own cluster and policy: leave out the others")]
        raise errors.ConfigError("the arguments contradict each other", problem)
    if arguments.pod and pathlib.Path(arguments.pod).exists():
        problem = [(arguments.pod, "give NAMESPACE/NAME of a pod that the service knows")]
        raise errors.ConfigError("a manifest is counted with --snapshot only", problem)
    wanted = [("shape", text) for text in arguments.shape or ()]
    drain = {"drain": arguments.drain} if arguments.drain else {}
    wanted += [("pod", arguments.pod)] if arguments.pod else []
    return [
        msgspec.convert(
            admin_client.get(arguments.url, "/v1/capacity", {name: text, **drain}),
            answer.ShapeCapacity,
        )
        for name, text in wanted
    ], []


def _open(
    arguments: argparse.Namespace,
) -> tuple[engine.Engine, list[str], list[pod_shape.PodShape]]:
    """The engine over the snapshot, what is to be said of it, and the shapes of `--pod`."""
    judging, remarks = explain_commands.open_snapshot(arguments)
    remarks += snapshot_notes.of_claims(judging.store)
    if not judging.store.nodes:
        remarks.append("the snapshot holds no node")
    return judging, remarks, _like(arguments.pod, judging) if arguments.pod else []


def _like(named: str, judging: engine.Engine) -> list[pod_shape.PodShape]:
    path = pathlib.Path(named)
    if path != files.STDIN and not path.exists():
        return [pod_shape.like(explain_commands.known(judging, named))]
    given = snapshots.read([path], what="the pod's file")
    others = [item for _, item in given.objects if not isinstance(item, objects.Pod)]
    return [pod_shape.like(pod, others) for pod in explain_commands.given_pods(path, given)]
