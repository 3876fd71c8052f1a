"""Pods with GPUs and NICs that come and go: `python -m loadtests.quality.turnover`.

Nodes of five published kinds of machines, or of H100 alone; pods of the sizes that
`loadtests.quality.locality` fills nodes with arrive one by one, stay for a random time, and ask
for so much at once that `--load` of all GPUs would be in use if all fitted. What is counted after
the warm-up: how much of what was asked for was accepted, how near the devices were (the
expected bandwidth factor), and how near they would have been on the best node at each moment.

`--distance` is the weight by which the distance of later pods is priced: as a rule that of
locality; 0 is what the engine would do if it did not look ahead.
"""

import argparse
import heapq
import json
import sys
import time

import numpy as np

from extender.policy import config
from loadtests.quality import locality
from loadtests.simulator import argument_checks, driver, machines

WARM_UP = 0.35  # of the arrivals: over one mean life at the sizes used here
# Of H100 alone, which have as many NICs as GPUs: (GPUs, NICs) and shares.
PLAIN = ((1, 1), (1, 0), (2, 2), (2, 0), (4, 4), (8, 8))
PLAIN_SHARES = (0.3, 0.3, 0.1, 0.1, 0.1, 0.1)
MIXES = {
    "published": (machines.KINDS, locality.FILLING, locality.FILLING_SHARES),
    "h100": (("h100",), PLAIN, PLAIN_SHARES),
}


def cluster(kinds, count, distance, rng):
    driving = driver.Driver(config.DEFAULT, rng)
    if distance is not None:
        packing = config.ClusterPacking(distance_weight=distance)
        driving.engine.pricer.configure(packing, cpu_pods_scored=True)
    for number in range(count):
        kind = kinds[number % len(kinds)]
        driving.add_node(f"{kind}-{number:03}", kind)
    return driving


def run(mix, *, count, load, arrivals, distance, seed):
    """Play the arrivals of one seed; the three figures of the report."""
    kinds, sizes, shares = MIXES[mix]
    draws, ties = np.random.default_rng([seed, 4]), np.random.default_rng([seed, 5])
    driving = cluster(kinds, count, distance, ties)
    everything = sum(machines.GPUS[kinds[number % len(kinds)]] for number in range(count))
    mean = float(np.dot([gpus for gpus, _ in sizes], shares))
    life = load * everything / mean  # in arrivals
    leaving, rates, best = [], [], []
    asked = accepted = 0
    for number in range(arrivals):
        gpus, nics = sizes[int(draws.choice(len(sizes), p=shares))]
        stays = draws.exponential(life)
        while leaving and leaving[0][0] <= number:
            driving.remove(heapq.heappop(leaving)[1])
        uid = f"{seed}-{number}"
        driving.arrive(uid, gpus, nics)
        chosen = driving.place(uid)
        counts = number >= WARM_UP * arrivals
        asked += gpus * counts
        if chosen is None:
            continue
        heapq.heappush(leaving, (number + stays, uid))
        accepted += gpus * counts
        if nics and counts:
            rates.append(chosen.rate)
            best.append(max(chosen.rates))
    return {
        "accepted": round(100 * accepted / asked, 3),
        "rate": round(float(np.mean(rates)), 4),
        "best": round(float(np.mean(best)), 4),
    }


def main(arguments=None):
    parse = argparse.ArgumentParser(description=__doc__)
    parse.add_argument("--mix", choices=MIXES, default="published")
    parse.add_argument("--nodes", type=argument_checks.count, default=40)
    parse.add_argument("--load", type=argument_checks.positive, default=0.9)
    parse.add_argument("--arrivals", type=argument_checks.count, default=1200)
    parse.add_argument("--seeds", type=argument_checks.count, default=10)
    parse.add_argument("--distance", type=float, action="append", help="may be repeated")
    parse.add_argument("--json", action="store_true")
    options = parse.parse_args(arguments)
    weight = config.DEFAULT.profiles[-1].locality.weight
    for seed in range(options.seeds):
        for distance in options.distance or [0.0, weight]:
            began = time.monotonic()
            asked = {key: getattr(options, key) for key in ("load", "arrivals")}
            found = run(options.mix, count=options.nodes, distance=distance, seed=seed, **asked)
            report = {"benchmark": "turnover", "mix": options.mix, "nodes": options.nodes, **asked,
                "distance": distance, "seed": seed, **found}  # fmt: skip
            report["seconds"] = round(time.monotonic() - began, 1)
            words = ", ".join(f"{key} {value}" for key, value in found.items())
            print(
                f"seed {seed} distance {distance}: {words}, {report['seconds']} s", file=sys.stderr
            )
            if options.json:
                print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
