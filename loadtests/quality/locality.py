"""How near the devices are that pods get, and what that costs: `python -m
loadtests.quality.locality`.

Nodes of five published kinds of machines. Part one, at a random occupancy that stays: pods ask for
1 + 1, 2 + 2 or 4 + 4 GPUs and NICs without any constraint, and go where the engine's scores send
them; the expected bandwidth factor of the devices that first fit gives there is set against the
mean over all nodes that could have had the pod (a random one) and the best of them (the oracle).
Part two, from empty to full: the same arrivals for every weight of locality; how many GPUs are
allocated in the end, and how near the devices were, also against the best node at each moment.
"""

import argparse
import collections
import json
import sys
import time

import msgspec
import numpy as np

from extender.policy import config
from loadtests.simulator import argument_checks, driver, machines

SIZES = (1, 2, 4)  # GPUs, and as many NICs
SHARES = (0.5, 0.3, 0.2)
# Part two: (GPUs, NICs) and shares. Large pods show what fragmentation costs; some ask for no NIC,
# for some machines have fewer NICs than GPUs.
FILLING = ((1, 1), (1, 0), (2, 2), (2, 0), (4, 4), (4, 0), (8, 8), (8, 0))
FILLING_SHARES = (0.25, 0.15, 0.15, 0.1, 0.15, 0.1, 0.05, 0.05)
OCCUPANCIES = (0.3, 0.5, 0.7)
OVERLOAD = 1.3  # GPUs asked for in part two, of all there are


def policy_of(weight):
    """The default policy with another weight of locality; None leaves it."""
    if weight is None:
        return config.DEFAULT
    change = msgspec.structs.replace
    profiles = tuple(
        change(profile, locality=change(profile.locality, weight=weight))
        for profile in config.DEFAULT.profiles
    )
    return change(config.DEFAULT, profiles=profiles)


def cluster(count, weight, rng):
    driving = driver.Driver(policy_of(weight), rng)
    for number in range(count):
        kind = machines.KINDS[number % len(machines.KINDS)]
        driving.add_node(f"{kind}-{number:03}", kind)
    return driving


def capacity(count):
    return sum(machines.GPUS[machines.KINDS[n % len(machines.KINDS)]] for n in range(count))


def occupy(driving, share, rng):
    """Take each GPU and NIC with that chance, in the claims of one to four devices."""
    for name in driving.names:
        devices = [
            (item.spec.driver, device.name)
            for item in machines.slices(name.partition("-")[0])
            for device in item.spec.devices
        ]
        taken = [device for device in devices if rng.random() < share]
        rng.shuffle(taken)
        while taken:
            some = int(rng.integers(1, 5))
            driving.take(f"before-{name}-{len(taken)}", name, [tuple(d) for d in taken[:some]])
            taken = taken[some:]


def nearness(count, weight, *, occupancy, pods, seed):
    """Size → (chosen, random, oracle) factors summed, and how many."""
    draws, ties = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1])
    driving = cluster(count, weight, ties)
    occupy(driving, occupancy, draws)
    found = collections.defaultdict(lambda: np.zeros(4))
    for number in range(pods):
        size = int(draws.choice(SIZES, p=SHARES))
        leave = draws.random()
        driving.arrive(f"{seed}-{number}", size, size)
        chosen = driving.place(f"{seed}-{number}")
        if chosen is None:
            continue
        found[size] += (chosen.rate, np.mean(chosen.rates), max(chosen.rates), 1)
        # As many devices go as came, in the mean: the occupancy stays where it is.
        held = list(driving.held)
        released = 0
        while released < 2 * size and held:
            uid = held.pop(int(leave * len(held)))
            released += len(driving.held[uid][1].status.allocation.devices.results)
            driving.remove(uid)
    return found


def filled(count, weight, *, seed):
    """GPUs allocated in % when 100 and 130 % were asked for, and two mean factors.

    They are of all placements with NICs: where they went, and the best of the nodes that had room.
    """
    draws, ties = np.random.default_rng([seed, 2]), np.random.default_rng([seed, 3])
    driving = cluster(count, weight, ties)
    everything = capacity(count)
    asked = allocated = number = 0
    rates, best, at_full = [], [], None
    while asked < OVERLOAD * everything:
        size, nics = FILLING[int(draws.choice(len(FILLING), p=FILLING_SHARES))]
        asked += size
        number += 1
        driving.arrive(f"{seed}-{number}", size, nics)
        chosen = driving.place(f"{seed}-{number}")
        if chosen is not None:
            allocated += size
            if nics:
                rates.append(chosen.rate)
                best.append(max(chosen.rates))
        if at_full is None and asked >= everything:
            at_full = 100 * allocated / everything
    return at_full, 100 * allocated / everything, float(np.mean(rates)), float(np.mean(best))


def measure(count, weight, *, pods, seed):
    """Both parts of one seed, as a report."""
    began = time.monotonic()
    sums = collections.defaultdict(lambda: np.zeros(4))
    for occupancy in OCCUPANCIES:
        found = nearness(count, weight, occupancy=occupancy, pods=pods, seed=seed)
        for size, one in found.items():
            sums[f"{size}+{size}"] += one
    sums["all"] = sum(sums.values())
    at_full, allocation, rate, best = filled(count, weight, seed=seed)
    shown = config.DEFAULT.profiles[-1].locality.weight if weight is None else weight
    return {
        "benchmark": "locality",
        "policy": "railyard",
        "locality_weight": shown,
        "nodes": count,
        "seed": seed,
        "bandwidth": {
            size: {
                "chosen": round(one[0] / one[3], 4),
                "random": round(one[1] / one[3], 4),
                "oracle": round(one[2] / one[3], 4),
                "of_oracle": round(one[0] / one[2], 4),
                "pods": int(one[3]),
            }
            for size, one in sorted(sums.items())
        },
        "allocation_at_100": round(at_full, 3),
        "allocation": round(allocation, 3),
        "filled_rate": round(rate, 4),
        "filled_best": round(best, 4),
        "seconds": round(time.monotonic() - began, 1),
    }


def main(arguments=None):
    parse = argparse.ArgumentParser(description=__doc__)
    parse.add_argument("--nodes", type=argument_checks.count, default=50)
    parse.add_argument(
        "--pods", type=argument_checks.count, default=100, help="of part one, each time"
    )
    parse.add_argument("--seeds", type=argument_checks.count, default=10)
    parse.add_argument("--first-seed", type=int, default=0)
    parse.add_argument("--weight", type=float, action="append", help="of locality; 0 is always run")
    parse.add_argument("--json", action="store_true")
    options = parse.parse_args(arguments)
    weights = options.weight or [None]
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        without = measure(options.nodes, 0.0, pods=options.pods, seed=seed)
        for weight in [0.0, *weights]:
            report = without
            if weight != 0.0:
                report = measure(options.nodes, weight, pods=options.pods, seed=seed)
            cost = round(without["allocation"] - report["allocation"], 3)
            report |= {"allocation_cost": cost}
            every = report["bandwidth"]["all"]
            line = (
                f"seed {seed} weight {report['locality_weight']}: {every['chosen']} of"
                f" {every['oracle']} ({every['of_oracle']:.1%}; random {every['random']}),"
                f" {report['allocation']} % allocated, cost {cost}, {report['seconds']} s"
            )
            print(line, file=sys.stderr, flush=True)
            if options.json:
                print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
