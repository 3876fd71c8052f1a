"""`railyard simulate`: pods of a workload on a snapshot, under one policy or several."""

from __future__ import annotations

import argparse
import dataclasses
import os
import pathlib
from collections.abc import Sequence

from extender import errors, settings
from extender.cli import explain_commands, printing
from extender.cli.planning import progress, report, simulation_table, variants
from extender.replay import workloads
from extender.service import assembly
from extender.simulation import comparison, run

_BUILT_IN = "default"
_RECORDED = "recorded"
_MOST_SEEDS = 100
_EPILOG = """\
Each policy is run once per seed; a seed draws among equal totals as kube-scheduler does, and with
--shuffle the order of arrival. What-ifs (--drain, --cordon, --add-nodes, --upgrade-to) are run
beside the cluster as it is. Figures are means with the error of the mean; a difference is called
better or worse where it is more than two errors of the mean from nothing.
Not modelled: preemption, pod affinity, topology spread, volumes.
Exit status: 0, 2 for what you must mend.
"""


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "simulate", help="try policies and changes on a snapshot and a workload", epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "--snapshot", action="append", type=pathlib.Path, metavar="PATH",
        help="the cluster: what `kubectl get … -A -o yaml` prints, a dump or a recording;"
        " default: the demo",
    )  # fmt: skip
    parser.add_argument(
        "--workload", required=True, metavar="FILE|recorded",
        help="the pods that come: JSON lines, manifests, or what the recording in --snapshot has",
    )  # fmt: skip
    parser.add_argument(
        "--policy", action="append", metavar="FILE", help="a policy to try, or `default`;"
        " may be repeated",
    )  # fmt: skip
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="runs of each (3)")
    parser.add_argument("--shuffle", action="store_true", help="each seed has its own order")
    parser.add_argument(
        "--weight", type=int, default=15, metavar="N",
        help="of the extender in kube-scheduler's configuration (15, as shipped)",
    )  # fmt: skip
    _add_changes(parser)
    explain_commands.add_version(parser)
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count() or 1, metavar="N",
        help="runs at a time (one a processor)")  # fmt: skip
    parser.add_argument("-o", "--output", choices=("table", "json", "yaml"), default="table")
    parser.add_argument(
        "--report", type=pathlib.Path, metavar="FILE.html", help="write a report with plots"
    )
    parser.set_defaults(run=_simulate)


def _add_changes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--drain", action="append", metavar="NODE", default=[],
        help="what if the node is drained: its pods come again",
    )  # fmt: skip
    parser.add_argument(
        "--cordon", action="append", metavar="NODE", default=[], help="what if it takes no more"
    )
    parser.add_argument(
        "--add-nodes", action="append", type=pathlib.Path, metavar="FILE", default=[],
        help="what if there were these Nodes, with their ResourceSlices",
    )  # fmt: skip
    parser.add_argument(
        "--upgrade-to", default="", metavar="1.37", help="what if kube-scheduler were this version"
    )


def _simulate(arguments: argparse.Namespace) -> int:
    arguments.snapshot = arguments.snapshot or [settings.embedded("demo")]
    if arguments.report is not None:
        report.check(arguments.report)  # before hours of work
    inputs, wanted = _inputs(arguments), _variants(arguments)
    remarks = _checked(inputs, wanted)
    bar = progress.Bar("simulating")
    try:
        outcomes = variants.play_all(
            inputs, wanted, range(arguments.seeds), jobs=arguments.jobs, progress=bar.show
        )
    finally:
        bar.close()
    figures = {name: [each.figures() for each in runs] for name, runs in outcomes.items()}
    found = comparison.compared(figures)
    if arguments.output == "table":
        layout = printing.layout(argparse.Namespace(wide=False, all=False, node=None))
        print("\n".join(simulation_table.lines(found, seeds=arguments.seeds, width=layout.width)))
    else:
        printing.structured(_as_json(arguments, found, outcomes), arguments.output)
    if arguments.report is not None:
        report.write(arguments.report, found, outcomes, facts=_facts(arguments, outcomes))
        printing.note(f"the report is in {arguments.report}")
    for text in remarks:
        printing.note(text)
    return printing.OK


def _inputs(arguments: argparse.Namespace) -> variants.Inputs:
    problems = [
        (flag, f"{value} is not from 1 to {most}")
        for flag, value, most in (
            ("--seeds", arguments.seeds, _MOST_SEEDS),
            ("--jobs", arguments.jobs, 1024),
            ("--weight", arguments.weight, 1 << 31),
        )
        if not 1 <= value <= most
    ]
    if problems:
        raise errors.ConfigError("the simulation cannot be run", problems)
    workload = pathlib.Path(arguments.workload)
    if arguments.workload == _RECORDED:
        folders = [path for path in arguments.snapshot if list(path.glob(f"*{workloads.RECORDED}"))]
        if len(folders) != 1:
            problem = [
                ("--workload", "--snapshot must name one folder that `railyard record` wrote")
            ]
            raise errors.ConfigError("there is no recorded workload", problem)
        workload = folders[0]
    return variants.Inputs(
        snapshot=tuple(arguments.snapshot),
        workload=workload,
        kubernetes_version=arguments.kubernetes_version,
        feature_gates=arguments.feature_gates,
        weight=arguments.weight,
        shuffle=arguments.shuffle,
    )


def _variants(arguments: argparse.Namespace) -> list[variants.Variant]:
    """Each policy as it is, and with what is changed."""
    changed = {
        "drained": tuple(arguments.drain),
        "cordoned": tuple(arguments.cordon),
        "added": tuple(arguments.add_nodes),
        "upgrade_to": arguments.upgrade_to,
    }
    found: list[variants.Variant] = []
    for name in arguments.policy or [_BUILT_IN]:
        path = None if name == _BUILT_IN else pathlib.Path(name)
        title = name if path is None else path.name
        while any(each.title == title for each in found):
            title = f"{title}'" if title == name else name
        plain = variants.Variant(title, path)
        found.append(plain)
        if any(changed.values()):
            found.append(dataclasses.replace(plain, title=f"{title}, changed", **changed))
    return found


def _checked(inputs: variants.Inputs, wanted: Sequence[variants.Variant]) -> list[str]:
    """Read everything once, so that what is wrong is said before anything runs; what to note."""
    for variant in wanted:
        assembly.read_policy(variant.policy)
    judging, arrivals = variants.opened(inputs, wanted[0])
    for variant in wanted[1:2]:
        if variant.policy == wanted[0].policy:
            variants.opened(inputs, variant)
    _, problems = variants.arrivals_of(inputs, judging)
    if not arrivals:
        raise errors.SnapshotError("no pod of the workload can be simulated", problems)
    if not judging.store.nodes:
        problem = [(str(path), "holds no node") for path in inputs.snapshot]
        raise errors.SnapshotError("the cluster cannot be simulated", problem)
    notes = [f"left out: {where}: {why}" for where, why in problems[:5]]
    if len(problems) > 5:
        notes.append(f"left out: {len(problems) - 5} more pods")
    return notes


def _facts(
    arguments: argparse.Namespace, outcomes: dict[str, list[run.RunOutcome]]
) -> dict[str, str]:
    """What the report says of how it was made."""
    first = next(iter(outcomes.values()))[0]
    changed = [
        *(f"drain {name}" for name in arguments.drain),
        *(f"cordon {name}" for name in arguments.cordon),
        *(f"add nodes of {path.name}" for path in arguments.add_nodes),
        *([f"kube-scheduler {arguments.upgrade_to}"] if arguments.upgrade_to else []),
    ]
    return {
        "cluster": ", ".join(str(path) for path in arguments.snapshot),
        "workload": f"{arguments.workload}: {first.tally.arrived} pods",
        "GPUs": f"{first.samples[-1].gpus:g}",
        "seeds": f"{arguments.seeds}{', shuffled arrivals' if arguments.shuffle else ''}",
        "extender weight": str(arguments.weight),
        **({"changed": "; ".join(changed)} if changed else {}),
    }


def _as_json(
    arguments: argparse.Namespace,
    found: list[comparison.Compared],
    outcomes: dict[str, list[run.RunOutcome]],
) -> dict[str, object]:
    return {
        **{name.replace(" ", "_"): text for name, text in _facts(arguments, outcomes).items()},
        "variants": [each.as_json() for each in found],
        "runs": {
            name: [
                {
                    "seed": seed,
                    "figures": each.figures(),
                    "pending": list(each.pending),
                    "samples": [
                        {
                            **dataclasses.asdict(one),
                            "headroom": {str(k): v for k, v in one.headroom.items()},
                        }
                        for one in each.samples
                    ],
                }
                for seed, each in enumerate(runs)
            ]
            for name, runs in outcomes.items()
        },
    }
