"""The command line: serve, and ask the same questions offline."""

from __future__ import annotations

import argparse
import dataclasses
import os
import pathlib
import sys
from collections.abc import Sequence

import orjson

import extender
from extender import errors, settings
from extender.decisions import engine, explain, explain_table
from extender.kube.api import objects
from extender.policy import config
from extender.replay import snapshots
from extender.service import assembly, demo, live

OK, NO_FIT, USAGE = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, 1 for "no", 2 for what the operator must mend."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    if not hasattr(chosen, "run"):
        parser.print_help()
        return USAGE
    try:
        status: int = chosen.run(chosen)
    except errors.RailyardError as error:
        print(f"railyard: {_sentence(error)}", file=sys.stderr)
        return USAGE
    except BrokenPipeError:
        # The reader of a pipe (head, say) has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    return status


def _sentence(error: errors.RailyardError) -> str:
    """What is wrong: on one line where it is one thing."""
    if isinstance(error, errors.ProblemsError) and len(error.problems) == 1:
        return ": ".join(filter(None, (error.what.rstrip(":"), *error.problems[0])))
    return str(error)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="railyard",
        description="A kube-scheduler extender that ranks nodes by the devices a pod would get.",
    )
    parser.add_argument("--version", action="version", version=f"railyard {extender.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    serve = commands.add_parser("serve", help="answer a kube-scheduler over HTTP")
    settings.add_arguments(serve)
    serve.set_defaults(run=_serve)

    demo = commands.add_parser("demo", help="serve the embedded snapshot and ask it about a pod")
    demo.add_argument("--once", action="store_true", help="exit after the ranking")
    demo.set_defaults(run=_demo)

    asked = commands.add_parser("explain", help="say per node what a pod would get, and why")
    _asking(asked)
    asked.set_defaults(run=_explain)

    predicted = commands.add_parser("predict", help="print the devices that a pod would get")
    _asking(predicted)
    predicted.set_defaults(run=_predict)

    checked = commands.add_parser("check", help="check a policy file")
    checked.add_argument(
        "policy", type=pathlib.Path, help="a policy, or a ConfigMap that holds one"
    )
    _predicting_as(checked)
    checked.set_defaults(run=_check)

    schema = commands.add_parser("schema", help="print the JSON schema of a policy")
    schema.set_defaults(run=_schema)
    return parser


def _asking(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--snapshot", action="append", type=pathlib.Path, metavar="PATH",
        help="a file or folder of `kubectl get … -A -o yaml`; may be repeated; default: the demo",
    )  # fmt: skip
    parser.add_argument(
        "--pod", required=True, metavar="FILE|NAMESPACE/NAME",
        help="a Pod manifest (its claims and templates may stand beside it), or a pod there",
    )  # fmt: skip
    parser.add_argument("--node", action="append", metavar="NAME", help="only this node")
    parser.add_argument("--policy", type=pathlib.Path, metavar="FILE", help="default: built in")
    _predicting_as(parser)
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")


def _predicting_as(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kubernetes-version", default="", metavar="1.36", help="default: newest")
    parser.add_argument(
        "--feature-gates", type=settings.gates, metavar="NAME=true,…",
        help="of kube-scheduler, where they are not its version's defaults",
    )  # fmt: skip


# ---------------------------------------------------------------- serve, demo


def _serve(arguments: argparse.Namespace) -> int:
    chosen = settings.from_arguments(arguments, os.environ)
    return live.run(chosen)


def _demo(arguments: argparse.Namespace) -> int:
    return demo.run(once=arguments.once)


# ---------------------------------------------------------------- explain, predict


def _explain(arguments: argparse.Namespace) -> int:
    judging, pod = _opened(arguments)
    found = _remarked(arguments, explain.explain(judging, pod, arguments.node))
    if arguments.output == "json":
        _print_json(found.as_json())
    else:
        print("\n".join(explain_table.lines(found)))
    return OK if any(node.score is not None for node in found.nodes) else NO_FIT


def _predict(arguments: argparse.Namespace) -> int:
    judging, pod = _opened(arguments)
    found = explain.explain(judging, pod, arguments.node)
    nodes = sorted(found.nodes, key=lambda node: node.node)
    if arguments.output == "json":
        _print_json([
            {
                "node": node.node,
                "devices": [device.as_json() for device in node.devices],
                "reason": node.reason,
                "notes": node.notes,
            }
            for node in nodes
        ])  # fmt: skip
    else:
        for node in nodes:
            picks = [f"{d.request}={d.driver}/{d.pool}/{d.device}" for d in node.devices]
            fits = node.score is not None
            print(f"{node.node}: {' '.join(picks) if fits and picks else node.reason or 'fits'}")
    return OK if any(node.score is not None for node in nodes) else NO_FIT


def _remarked(arguments: argparse.Namespace, found: explain.Explanation) -> explain.Explanation:
    """The explanation, with what is to be said of the policy, the version and the gates."""
    policy = assembly.read_policy(arguments.policy)
    gates = arguments.feature_gates
    notes = (*config.warnings(policy), *assembly.notes(arguments.kubernetes_version, gates))
    return dataclasses.replace(found, notes=(*found.notes, *notes))


def _opened(arguments: argparse.Namespace) -> tuple[engine.Engine, objects.Pod]:
    """The engine over the snapshot, and the pod, whose manifest's other objects are fed too."""
    policy = assembly.read_policy(arguments.policy)
    judging, _ = assembly.from_snapshot(
        arguments.snapshot or [settings.embedded("demo")],
        policy=policy,
        kubernetes_version=arguments.kubernetes_version,
        feature_gates=arguments.feature_gates,
    )
    path = pathlib.Path(arguments.pod)
    if not path.is_file():
        namespace, slash, name = arguments.pod.rpartition("/")
        pod = judging.store.pods.get((namespace if slash else "default", name))
        if pod is None:
            problem = [(arguments.pod, "neither a file nor a pod of the snapshot")]
            raise errors.SnapshotError("the pod cannot be found", problem)
        return judging, pod
    given = snapshots.read([path])
    pods = [item for _, item in given.objects if isinstance(item, objects.Pod)]
    if not pods:
        raise errors.SnapshotError("the pod cannot be read", [(str(path), "holds no Pod")])
    assembly.feed(judging, [(kind, item) for kind, item in given.objects if kind != "Pod"])
    return judging, pods[0]


# ---------------------------------------------------------------- check, schema


def _check(arguments: argparse.Namespace) -> int:
    policy, gates = assembly.read_policy(arguments.policy), arguments.feature_gates
    names = ", ".join(profile.name for profile in policy.profiles)
    print(f"{arguments.policy}: good; profiles: {names}; hash {config.fingerprint(policy)}")
    notes = (*config.warnings(policy), *assembly.notes(arguments.kubernetes_version, gates))
    for note in notes:
        print(f"warning: {note}")
    return OK


def _schema(_: argparse.Namespace) -> int:
    _print_json(config.schema())
    return OK


def _print_json(value: object) -> None:
    print(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
