"""Make the runs that loadtests/RESULTS.md is written from: `python -m loadtests.report.suite
--help`.

Each run is a command of its own; its report is one JSON line in loadtests/out, with the command
beside it. A command that has a line there is not made again, so the suite goes on where it was
stopped. `python -m loadtests.report.results` then writes the tables.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import time

from loadtests.simulator import argument_checks

AGAIN = "again"  # the file, and the benchmark, of runs made once more
OUT = pathlib.Path(__file__).parents[1] / "out"
# benchmark → the folder of loadtests it is in; all others are in `quality`
ROOM = {
    "coldstart": "performance",
    "events": "performance",
    "growth": "performance",
    "wire": "performance",
    "wire_ratio": "performance",
    "published": "simulator",
    "realtrace": "realscheduler",
    "throughput": "realscheduler",
}
TRACES = (
    *("default", "cpu050", "cpu100", "cpu200", "cpu250"),
    *("gpushare40", "gpushare60", "gpushare80", "gpushare100"),
    *("gpuspec10", "gpuspec20", "gpuspec25", "gpuspec33"),
    *("multigpu20", "multigpu30", "multigpu40", "multigpu50"),
)
FIXED = ("BestFit", "DotProd", "GpuPacking", "GpuClustering", "FGD")  # published without chance
# policy → its file in OUT
COMPARED = {
    "FGD+BestFit": "baselines",
    "BestFit": "baselines",
    "kube": "baselines",
    "prices": "fast",
    "railyard": "engine",
}
ORDERS = range(42, 52)  # the published seeds
STREAMS = range(1, 11)
CHURNED = ("default", "cpu200", "cpu250", "gpuspec33", "multigpu30", "multigpu40", "multigpu50")
SHIFTED = ("default", "multigpu30", "multigpu50")
MIG_SCORES = ("most", "placements", "ahead", "railyard-fast")


def commands():
    """(file in OUT, command) of every run, the quick ones first."""
    for policy in FIXED:
        for trace in TRACES:
            yield "published", f"published --pods {trace} --policy {policy}"
    yield from saturation()
    yield from departures()
    yield from partitions()
    for nodes in (80, 160):
        yield "locality", f"locality --nodes {nodes} --weight 10"
    for mix in ("published", "h100"):
        yield "turnover", f"turnover --mix {mix} --distance 0 --distance 10"
    yield "gang", "gang --nodes 32 --jobs 800 --load 1.0 --seeds 10"


def partitions():
    for load in (1.0, 0.85):
        yield "mig", f"mig_churn --load {load} --policy repack --seeds 20"
        for driver in ("first", "last", "random"):
            for score in MIG_SCORES:
                run = f"mig_churn --load {load} --policy {score} --driver {driver}"
                yield "mig", f"{run} --seeds 20"
    yield "mig", "mig_churn --policy railyard-fast --seeds 200"
    yield "mig", "mig_churn --policy railyard --seeds 20"


def saturation():
    for policy, name in COMPARED.items():
        for trace in TRACES:
            for seed in ORDERS:
                yield name, f"packing --pods {trace} --seed {seed} --policy {policy}"
    for trace in ("default", "cpu200", "cpu250", "multigpu30"):
        for seed in ORDERS:
            run = f"packing --pods {trace} --seed {seed} --policy railyard --cpu-pods intree"
            yield "engine", run
            yield "engine", f"{run} --kubernetes 1.35"
    for weight in (1, 10):
        for seed in ORDERS:
            run = f"packing --seed {seed} --policy railyard --intree default --wire 10"
            yield "engine", f"{run} --weight {weight}"


def departures():
    for policy, name in COMPARED.items():
        for trace in CHURNED:
            for load in (0.95, 1.1):
                for seed in STREAMS:
                    run = f"churn --pods {trace} --load {load} --seed {seed}"
                    yield name, f"{run} --policy {policy}"
    for seed in STREAMS:
        for policy in ("FGD+BestFit", "railyard"):
            run = f"churn --load 0.95 --seed {seed} --policy {policy}"
            yield COMPARED[policy], f"{run} --cpu-pods intree"
            yield COMPARED[policy], f"{run} --cpu-pods intree --kubernetes 1.35"
    for seed in STREAMS:
        run = f"churn --load 1.1 --seed {seed} --policy railyard --intree default --wire 10"
        yield "engine", f"{run} --weight 10"
    for policy in ("BestFit", "FGD+BestFit", "prices", "railyard"):
        for trace in SHIFTED:
            for change in ("shift", "unseen"):
                for seed in STREAMS:
                    run = f"churn --pods {trace} --load 0.95 --seed {seed} --policy {policy}"
                    yield COMPARED[policy], f"{run} --{change} 8"


def lines(folder):
    """The lines of all files, as read."""
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            if line.strip():
                yield json.loads(line)


def made(folder):
    """The commands that have a line already."""
    return {line["command"] for line in lines(folder) if "command" in line}


def make(folder, name, command):
    """Run one command and keep what it reports; returns seconds, or why there is no report.

    Under the name AGAIN the report stands beside the allocation of the line that was there.
    """
    began = time.monotonic()
    module, *arguments = shlex.split(command)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            f"loadtests.{ROOM.get(module, 'quality')}.{module}",
            *arguments,
            "--json",
        ],
        cwd=folder_of_tree(),
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    found = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not found:
        return f"no report: {done.stderr.strip().splitlines()[-1:]}"
    more = {"command": command}
    if name == AGAIN:
        more = again(command, lines(folder))
    with (folder / f"{name}.jsonl").open("a") as stream:
        for line in found:
            stream.write(json.dumps(json.loads(line) | more) + "\n")
    return f"{time.monotonic() - began:.0f} s"


def again(command, known):
    """What a report of a command that was run before says besides: no line of its own."""
    before = next(each for each in known if each.get("command") == command)
    return {"benchmark": AGAIN, "run_again": command, "before": before["allocation"]}


def folder_of_tree():
    return pathlib.Path(__file__).parents[2]


def main(arguments=None):
    parse = argparse.ArgumentParser(description=__doc__)
    parse.add_argument("--jobs", type=argument_checks.count, default=1, help="runs at once")
    parse.add_argument("--only", default="", help="commands in which this pattern is found")
    parse.add_argument(
        "--again", action="store_true", help="run packing anew where a line is there, and compare"
    )
    parse.add_argument("--list", action="store_true", help="print what is left to do, do nothing")
    parse.add_argument("--out", type=pathlib.Path, default=OUT)
    options = parse.parse_args(arguments)
    known = made(options.out)
    left = [
        (name, command)
        for name, command in commands()
        if (command in known) == options.again and re.search(options.only, command)
    ]
    if options.again:
        left = [(AGAIN, command) for _, command in left if command.startswith("packing ")]
    if options.list:
        print("\n".join(command for _, command in left))
        return 0
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        running = {pool.submit(make, options.out, *run): run[1] for run in left}
        for number, future in enumerate(concurrent.futures.as_completed(running), start=1):
            reported = future.result()
            failed += reported.startswith("no report")
            print(
                f"{number}/{len(left)} {running[future]}: {reported}", file=sys.stderr, flush=True
            )
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
