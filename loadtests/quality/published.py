"""Does the harness give the published results? `python -m loadtests.quality.published --help`.

Runs the published policies with the published fixed rank among equals, over the published arrival
orders, and compares the allocation at seven arrival levels (loadtests/data/SOURCES.md).
"""

import argparse
import csv
import json
import sys
import time

import numpy as np

from loadtests.quality import packing
from loadtests.simulator import baselines
from loadtests.simulator.traces import openb

ROUNDING = 0.0101  # both sides are rounded to 0.01


def read():
    with (openb.DATA / "published.csv").open() as stream:
        return list(csv.DictReader(stream))


def compared(nodes, row):
    """The largest difference of one published run over its levels, in points."""
    trace = openb.read_trace(row["trace"])
    order, ranks = openb.published_order(trace, nodes, int(row["seed"]))
    tally = packing.run(
        trace,
        nodes,
        order,
        ranks,
        baselines.named(row["policy"], trace, nodes),
        wire=packing.Wire(ties="rank"),
        rng=np.random.default_rng(0),
    )
    found = tally.report()["allocation"]
    return max(abs(value - float(row[level])) for level, value in found.items())


def main(arguments=None):
    parse = argparse.ArgumentParser(description=__doc__)
    parse.add_argument("--pods", action="append", help="only these pod lists")
    parse.add_argument("--policy", action="append", help="only these policies")
    parse.add_argument("--seed", type=int, action="append", help="only these seeds")
    parse.add_argument("--json", action="store_true")
    options = parse.parse_args(arguments)
    nodes = openb.read_nodes()
    began = time.monotonic()
    runs = []
    for row in read():
        chosen = (
            (not options.pods or row["trace"] in options.pods)
            and (not options.policy or row["policy"] in options.policy)
            and (not options.seed or int(row["seed"]) in options.seed)
        )
        if chosen:
            off = compared(nodes, row)
            runs.append({key: row[key] for key in ("trace", "policy", "seed")} | {"off": off})
            name = f"{row['trace']} {row['policy']} {row['seed']}"
            print(f"{name}: largest difference {off:.3f}", file=sys.stderr, flush=True)
    if not runs:
        parse.error("no published run is of that pod list, policy and seed")
    equal = sum(run["off"] < ROUNDING for run in runs)
    report = {"benchmark": "published", "runs": runs, "equal": equal}
    report["seconds"] = round(time.monotonic() - began, 1)
    if options.json:
        print(json.dumps(report))
    else:
        print(f"{equal} of {len(runs)} runs are within 0.01 of the published ones at every level")
    return 0 if equal == len(runs) else 1


if __name__ == "__main__":
    sys.exit(main())
