"""`railyard shadow`: what the candidate policy would have changed so far."""

from __future__ import annotations

import argparse
from typing import Any

from extender.cli import admin_client, printing

_EPILOG = """\
A candidate policy is the key shadow.yaml of the policy's ConfigMap, or the file of --shadow-policy.
It judges pods after the reply is written and changes no answer, but for the pods of its canary.
REGRET is what the other policy's
node costs more than the own one, in GPUs, as COST of `railyard explain`.
Exit status: 0, 1 where no candidate is tried, 2 for what you must mend.
"""
_MOST_SHOWN = 10


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "shadow", help="compare the candidate policy with the one in force",
        epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    admin_client.add_url(parser)
    parser.add_argument("-o", "--output", choices=("table", "json", "yaml"), default="table")
    parser.set_defaults(run=_shadow)


def _shadow(arguments: argparse.Namespace) -> int:
    found = admin_client.ask(arguments, "/v1/shadow", {})
    if arguments.output == "table":
        print("\n".join(lines(found)))
    else:
        printing.structured(found, arguments.output)
    return printing.OK if found["candidate"] else printing.NO_FIT


def lines(found: dict[str, Any]) -> list[str]:
    """The answer of /v1/shadow in words, no line wider than 80 columns but for names."""
    candidate = found["candidate"]
    if candidate is None:
        why = f"it is refused: {found['refused']}" if found["refused"] else "there is none"
        return [f"No candidate policy is tried: {why}."]
    text = [
        f"candidate {candidate['hash']}: {found['state']}",
        f"from {candidate['source']}",
        f"beside {found['beside']}, the policy in force" if "beside" in found else "",
    ]
    text += _canary(found["canary"])
    if "judged" not in found:
        return text
    text += _figures(found)
    text += _projected(found["projected"])
    if found["fault"]:
        text.append(f"last error: {found['fault']}")
    if found["notTried"]:
        text.append(f"not tried, needs another engine: {', '.join(found['notTried'])}")
    return [*text, *_differences(found["differences"])]


def _canary(found: dict[str, Any] | None) -> list[str]:
    """The candidate's canary, and its last step."""
    if found is None:
        return []
    share = "all" if found["percent"] is None else f"{found['percent']:g}%"
    names = found["namespaces"]
    where = f" in {', '.join(names[:3])}{', …' if len(names) > 3 else ''}" if names else ""
    last = found["steps"][-1]
    return [
        "",
        f"canary              {found['state']:>10}   since {last['time']}: {last['why']}",
        f"pods it is to take  {share:>10}{where}",
        f"filters answered    {found['podsAnswered']:>10,}",
        f"calls slow          {found['callsSlow']:>10,}   of {found['callsAnswered']:,} answered",
        f"calls failed        {found['callsFailed']:>10,}   answered by the policy in force",
        *([f"last error of a call: {found['fault']}"] if found["fault"] else []),
    ]


def _figures(found: dict[str, Any]) -> list[str]:
    return [
        "",
        f"decisions judged    {found['judged']:>10,}",
        f"same node           {_share(found['agreement']):>10}",
        f"same node, of all   {_share(found.get('agreementOfAll')):>10}   an estimate",
        f"rank correlation    {_number(found['rankCorrelation']):>10}",
        "",
        f"{'':20}{'IN FORCE':>10}{'CANDIDATE':>12}",
        (
            f"{'mean regret':20}{_number(found['meanRegretActive']):>10}"
            f"{_number(found['meanRegretCandidate']):>12}"
        ),
        (
            f"{'locality cost':20}{_number(found['meanLocalityCostActive']):>10}"
            f"{_number(found['meanLocalityCostCandidate']):>12}"
        ),
        "",
        (
            f"It would refuse {found['nodesItRefuses']:,} nodes that passed, in "
            f"{found['decisionsWithNodesItRefuses']:,} decisions."
        ),
        (
            f"Not judged: {found['skipped']:,} without time, {found['unfinished']:,} not ready, "
            f"{found['failed']:,} errors. CPU: {found['cpuSeconds']:.2f} s."
        ),
    ]


def _projected(found: dict[str, Any]) -> list[str]:
    """Each policy's hypothetical cluster: the pair of the moment, else the one before."""
    pair = found
    if not found["active"]["placed"] and found["last"]:
        pair = found["last"]
    active, tried = pair["active"], pair["candidate"]
    met = active["placed"] + active["refused"]
    if not met:
        return ["", "Each policy's own cluster: nothing is placed in it yet."]
    rows = [
        ("pods placed", f"{active['placed']:,}", f"{tried['placed']:,}"),
        ("GPUs allocated", _share(active["allocation"]), _share(tried["allocation"])),
        ("locality cost", _number(active["localityCost"]), _number(tried["localityCost"])),
        *(
            (f"GPUs in sets of {size}", f"{gpus:,.0f}", f"{tried['headroomGpus'][size]:,.0f}")
            for size, gpus in active["headroomGpus"].items()
        ),
    ]
    return [
        "",
        f"Each policy's own cluster after the same {met:,} pods:",
        *(f"{name:20}{first:>10}{second:>12}" for name, first, second in rows),
    ]


def _differences(found: list[dict[str, Any]]) -> list[str]:
    if not found:
        return []
    rows = [("POD", "IN FORCE", "CANDIDATE", "REGRET", "DECIDED BY")]
    for each in found[:_MOST_SHOWN]:
        gains = {name: part["active"] - part["candidate"] for name, part in each["parts"].items()}
        most = max(gains, key=lambda name: gains[name], default="")
        regret = _number(each["regretCandidate"])
        rows.append((each["pod"], each["active"], each["candidate"], regret, most))
    wide = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    table = [
        "  ".join(cell.ljust(size) for cell, size in zip(row, wide, strict=True)).rstrip()
        for row in rows
    ]
    return ["", f"The last decisions that differ, of {len(found)} kept:", *table]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
