"""`railyard why` and `railyard policy`: what a running Railyard decided, and by which policy."""

from __future__ import annotations

import argparse
import pathlib
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from extender import errors
from extender.cli import admin_client, explain_commands, printing
from extender.history import why
from extender.service import assembly

_EPILOG = """\
Without --node it tells of the nodes that are ranked first, or of one node for each main reason.
A change is the smallest of its kind which alone would flip the answer for the node; each was tried.
Exit status: 0, 1 where no node can take the pod now, 2 for what you must mend.
"""
_WIDTH = 80  # columns of text where nobody says otherwise; longer lines are read badly


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands to the command line."""
    asked = commands.add_parser(
        "why", help="say why a pod is where it is, and what would have to change",
        epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    asked.add_argument("pod", metavar="NAMESPACE/NAME", help="the pod, before or after binding")
    asked.add_argument("--node", default="", metavar="NAME", help="why is it not on this node")
    asked.add_argument(
        "--snapshot", action="append", type=pathlib.Path, metavar="PATH",
        help="ask about a snapshot instead, where no decisions are known",
    )  # fmt: skip
    asked.add_argument("--policy", type=pathlib.Path, metavar="FILE", help="with --snapshot")
    _add_common(asked)
    asked.set_defaults(run=_why)
    policy = commands.add_parser("policy", help="show the policy in force, its source and hash")
    _add_common(policy)
    policy.set_defaults(run=_policy)


def _add_common(parser: argparse.ArgumentParser) -> None:
    admin_client.add_url(parser)
    parser.add_argument("-o", "--output", choices=("text", "json", "yaml"), default="text")


# ---------------------------------------------------------------- why


def _why(arguments: argparse.Namespace) -> int:
    namespace, slash, name = arguments.pod.rpartition("/")
    title = f"{namespace if slash else 'default'}/{name}"
    if arguments.snapshot:
        found = _of_snapshot(arguments, title)
    else:
        found = admin_client.ask(arguments, "/v1/why", {"pod": title, "node": arguments.node})
    if arguments.output == "text":
        print("\n".join(lines(found)))
    else:
        printing.structured(found, arguments.output)
    takes = any(node["of"] for node in found["now"])
    return printing.OK if takes or not found["now"] else printing.NO_FIT


def _of_snapshot(arguments: argparse.Namespace, title: str) -> dict[str, Any]:
    policy = assembly.read_policy(arguments.policy)
    judging, _ = assembly.from_snapshot(arguments.snapshot, policy=policy)
    pod = explain_commands.known(judging, title)
    if arguments.node and arguments.node not in judging.index.rows:
        problem = [(arguments.node, "is no node of the snapshot")]
        raise errors.SnapshotError("the node cannot be found", problem)
    turns = why.why(judging, pod, None, arguments.node)
    while True:
        try:
            next(turns)
        except StopIteration as over:
            found: dict[str, Any] = over.value
            return found


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The answer as text of at most 80 columns."""
    where = f"is on {found['node']}" if found["node"] else f"is {found['state']}"
    yield from _wrapped(f"pod {found['pod']} {where}: {found['demand']}")
    made = found["decision"]
    if made is not None:
        yield from _wrapped(f"decided {made['time']} by policy {made['policy']}:", "")
        for text in found["said"]:
            yield from _wrapped(text, "  ")
        for refused in made["refused"]:
            yield from _wrapped(f"{_nodes(refused['nodes'])}: {refused['reason']}", "  ")
    if (then := found["onNode"]) is not None:
        yield from _wrapped(f"{then['node']} then: {_then(then)}", "  ")
    if found["now"] or found["refusedNow"]:
        yield "now:"
    for node in found["now"]:
        yield from _node(node)
    if not any(node["of"] for node in found["now"]):
        for refused in found["refusedNow"]:
            yield from _wrapped(f"{_nodes(refused['nodes'])}: {refused['reason']}", "  ")
    for note in found["notes"]:
        yield from _wrapped(f"note: {note}")


def _nodes(count: int) -> str:
    return f"{count} node{'s' * (count != 1)}"


def _then(answer: Mapping[str, Any]) -> str:
    """What was answered for the node in the decision."""
    match answer["verdict"]:
        case "not asked":
            return (
                "kube-scheduler did not ask about it: its own filters refused it,"
                " or it had enough nodes"
            )
        case "forgotten":
            return "what was answered is not kept any more"
        case "passed" if "score" in answer:
            return f"could take the pod; score {answer['score']}, cost {answer['cost']:.2f}"
        case "passed":
            return "could take the pod"
        case verdict:
            return f"{verdict}: {answer['reason']}"


def _node(node: Mapping[str, Any]) -> Iterator[str]:
    yield from _wrapped(f"{node['node']}: {_verdict(node)}", "  ")
    if node["differences"]:
        parts = [
            f"{each['part']} {each['here']:.2f} (there {each['best']:.2f})"
            for each in node["differences"]
            if each["here"] or each["best"]
        ]
        yield from _wrapped(f"cost in parts: {', '.join(parts) or 'all 0'}", "    ")
    if node["holders"]:
        yield from _wrapped("held by:", "    ")
    for holder in node["holders"]:
        state = "may be preempted" if holder["preemptible"] else "not preemptible"
        state = "is being deleted" if holder["leaving"] else state
        text = f"{holder['pod']}: {holder['holds']}, priority {holder['priority']}, {state}"
        yield from _wrapped(text, "      ")
    if node["changes"]:
        takes = "take the pod" if node["verdict"] == "refused" else "be the best"
        yield from _wrapped(f"would {takes}:", "    ")
    for change in node["changes"]:
        yield from _wrapped(f"- {change['words']}", "      ")


def _verdict(node: Mapping[str, Any]) -> str:
    reasons = "; ".join(filter(None, (node["reason"], *node["scheduler"])))
    if node["cost"] is None:
        return f"{node['verdict']}: {reasons}" if reasons else str(node["verdict"])
    rank = f"cost {node['cost']:.2f}, number {node['rank']} of {node['of']}"
    if node["rank"] == 1:
        return f"the best, {rank}"
    return f"{rank}; {node['best']} is the best with {node['bestCost']:.2f}"


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


# ---------------------------------------------------------------- the policy in force


def _policy(arguments: argparse.Namespace) -> int:
    found = admin_client.ask(arguments, "/v1/policy", {})
    if arguments.output == "text":
        print("\n".join(_policy_lines(found)))
    else:
        printing.structured(found, arguments.output)
    return printing.OK if found["refused"] is None else printing.NO_FIT


def _policy_lines(found: Mapping[str, Any]) -> Iterator[str]:
    if found["hash"] is None:
        yield "no policy is in force"
    else:
        version = f", resourceVersion {found['resourceVersion']}" * bool(found["resourceVersion"])
        yield from _wrapped(f"{found['hash']} since {found['since']}: {found['source']}{version}")
        for profile in found["policy"]["profiles"]:
            weights = ", ".join(
                f"{part} {profile[part]['weight']:g}"
                for part in ("locality", "packing", "proximity", "preference")
            )
            locality = profile["locality"]
            text = f"{locality['mode']} {locality['level']}"
            yield from _wrapped(f"profile {profile['name']}: weights {weights}; {text}", "  ")
    for text in found["warnings"]:
        yield from _wrapped(f"warning: {text}")
    for word in ("refused", "lastRefused"):
        refused = found[word]
        if refused is not None and (word == "refused" or found["refused"] is None):
            since = "refused since" if word == "refused" else "last refused"
            yield from _wrapped(f"{since} {refused['since']}: {refused['why']}")
