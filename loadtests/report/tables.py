"""Rows of reports as tables of text: grouping, means over seeds with their errors, layout."""

import collections
import statistics

PLAIN = {
    "refresh": 20,
    "devices": "tightest",
    "ties": "random",
    "intree": "none",
    "cpu_pods": "ours",
    "top": 0,
    "weight": 1,
    "kubernetes": "1.36",
    "unseen": 0,
    "shift": 0,
}
WORDS = {
    "refresh": "prices every {} placements",
    "devices": "{}-fit devices",
    "ties": "ties by {}",
    "intree": "in-tree scores on",
    "cpu_pods": "CPU-only pods left to kube-scheduler",
    "top": "scores 0..{}",
    "weight": "weight {}",
    "kubernetes": "in-tree scores of Kubernetes {}",
    "unseen": "{}-GPU pods never learnt from",
    "shift": "{}-GPU pods from the count on only",
}
YARDSTICK = (
    "FGD+BestFit"  # the best all-round policy of others, by loadtests.quality.packing and churn
)
POLICIES = {
    "railyard": "Railyard's engine, default policy",
    "prices": "scarcity prices (fast model)",
    "kube": "kube-scheduler's defaults",
}


def named(report):
    """A policy with what was changed about its setting, in words."""
    words = [POLICIES.get(report["policy"], report["policy"])]
    fast = report["policy"].startswith("prices")
    for key, plain in PLAIN.items():
        value = report.get(key, plain)
        reported = value != plain or (key == "weight" and report.get("intree") == "default")
        if reported and (fast or key not in {"refresh", "devices"}):
            words.append(WORDS[key].format(value))
    return ", ".join(words)


def grouped(found, *keys):
    """Reports by (keys…, policy in words), each seed once: the last report wins."""
    groups = collections.defaultdict(dict)
    for report in found:
        groups[*(report[key] for key in keys), named(report)][report["seed"]] = report
    return dict(groups)


def paired(groups, key, read):
    """By how much a row is above the yardstick of the same setting, over the seeds of both."""
    *place, words = key
    seeds = groups[key]
    setting = named(next(iter(seeds.values())) | {"policy": YARDSTICK})
    base = groups.get((*place, setting), {})
    both = [seed for seed in seeds if seed in base and setting != words]
    return with_error([read(seeds[seed]) - read(base[seed]) for seed in both])


def mean(seeds, read):
    values = [read(report) for report in seeds.values()]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def number(value, digits=2):
    return "–" if value is None else f"{value:.{digits}f}"


def with_error(values, digits=2):
    """The mean, with its standard error where there are several values."""
    if len(values) < 2:
        return number(sum(values), digits) if values else "–"
    error = statistics.stdev(values) / len(values) ** 0.5
    return f"{number(statistics.mean(values), digits)} ± {number(error, digits)}"


def seeds_of(seeds):
    """The seeds, those in a row as "first–last"."""
    runs = []
    for seed in sorted(seeds):
        if runs and seed == runs[-1][1] + 1:
            runs[-1][1] = seed
        else:
            runs.append([seed, seed])
    return ", ".join(str(a) if a == b else f"{a}–{b}" for a, b in runs)


def table(head, rows):
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def span(values, digits=1):
    return f"{number(min(values), digits)} to {number(max(values), digits)}"
