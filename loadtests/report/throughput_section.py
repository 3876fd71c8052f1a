"""The throughput of the real kube-scheduler, as a table of ratios."""

import collections
import statistics

from loadtests.report import tables

# load → its pods in words
LOADS = {
    "plugin": "1 GPU of a device plug-in",
    "plugin-node": "8 GPUs of a device plug-in, a whole node",
    "cpu": "CPU only",
    "cpu-node": "CPU only, a whole node",
    "claims": "a claim: 1 GPU + the NIC near it",
}
# leg → the column's title
LEGS = {
    "default": "alone, as it comes",
    "batching": "alone, may batch",
    "unbatched": "alone, batching off",
    "railyard": "Railyard",
}


def section(found):
    """Yield lines: per version, nodes and load, the median ratio to the echo of the same round."""
    rounds = collections.defaultdict(list)  # (version, nodes, load) → rounds of all reports
    for report in found:
        for load, reported in report["loads"].items():
            asked = (report["kubernetes"], report["nodes"], load, reported["pods"])
            rounds[asked] += reported["rounds"]
    order = list(LOADS)
    rows = [
        row_of(asked, several)
        for asked, several in sorted(
            rounds.items(), key=lambda each: (each[0][:2], order.index(each[0][2]))
        )
        if several
    ]
    dates = sorted({report["date"] for report in found})
    cores = sorted({str(report["cores"]) for report in found})
    yield "## Pods per second of the real kube-scheduler, as ratios to an extender that only echoes"
    yield ""
    yield (
        f"`python -m loadtests.realscheduler.throughput --output loadtests/out/throughput.jsonl`:"
        f" {', '.join(dates)}, {', '.join(cores)} cores, other"
    )
    yield "work beside it, so ratios are of legs of one round. A load's pods are identical. All"
    yield "legs but `as it comes` run without PodTopologySpread's default constraints: with them"
    yield "kube-scheduler batches no pod, which its own metric shows (`batched`: the share of pods"
    yield "that it placed by what it had found for the one before). Two guesses that no run has"
    yield "tested: with 250 pods Railyard is slower than with 500 because it has just started in"
    yield "each leg and still counts headroom; pods without devices are placed sooner than with the"
    yield "echo because it says less about them."
    yield ""
    head = (
        *("Kubernetes", "nodes", "each pod", "pods", *LEGS.values()),
        *("range", "batched where it may", "rounds"),
    )
    yield from tables.table(head, rows)


def row_of(asked, rounds):
    version, nodes, load, pods = asked
    ratios = {
        leg: [
            one[leg]["pods_per_second"] / one["echo"]["pods_per_second"]
            for one in rounds
            if leg in one
        ]
        for leg in LEGS
    }
    cells = [
        tables.number(statistics.median(values)) if values else "–" for values in ratios.values()
    ]
    hinted = [one["batching"]["batched"] for one in rounds if "batching" in one]
    share = f"{100 * statistics.median(hinted):.0f} %" if hinted else "–"
    spread = tables.span(ratios["railyard"], 2) if ratios["railyard"] else "–"
    plan = [version, str(nodes), LOADS[load], str(pods)]
    return [*plan, *cells, spread, share, str(len(rounds))]
