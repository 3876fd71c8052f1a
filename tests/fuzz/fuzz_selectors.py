"""Compare our CEL with the real one on fresh random selectors and devices.

    python -m tests.fuzz.fuzz_selectors [--cases 20000] [--seed S] [--kubernetes 1.36.3]
        [--keep FILE]

Draws cases (tests/kit/selectors/selector_cases.py), asks the oracle
(tests/kit/controlplane/oracle, or the binary given by --oracle) and `Selectors`, and prints totals
and what differs: another result, another class of error. What we refuse to judge is counted
as unknown. Upstream iterates over maps in random order; answers that it does not repeat are
counted as unstable. Exit code 1 when anything differs.
"""

from __future__ import annotations

import argparse
import collections
import functools
import json
import pathlib
import random
import resource
import secrets
import subprocess
import sys
from typing import Any

from extender import errors
from extender.demand import selectors
from tests.kit.controlplane.oracle import build
from tests.kit.selectors import selector_cases, selector_values

ROOT = pathlib.Path(__file__).resolve().parents[2]

Json = dict[str, Any]

BATCH = 1000
# Upstream's answers to a case that differs are drawn so often before it counts.
REPEATS = 12
MOST_REPORTED = 20
MEMORY = 3 * 2**30


def main() -> int:
    options = _options()
    version = build.resolve(options.kubernetes)
    print(f"seed {options.seed}, Kubernetes {version}", file=sys.stderr)
    rng = random.Random(options.seed)
    tally: collections.Counter[str] = collections.Counter()
    different: list[tuple[Json, str, Json]] = []
    for start in range(0, options.cases, BATCH):
        cases = [selector_cases.case(rng) for _ in range(min(BATCH, options.cases - start))]
        for case, theirs in zip(cases, ask(options.oracle, cases), strict=True):
            kind = judged(options.oracle, case, theirs, version)
            tally[kind] += 1
            tally[f"({verdict(theirs)})"] += 1
            if kind == "different":
                different.append((case, ours(case, version), theirs))
    _report(options, tally, different)
    return 1 if different else 0


def ask(oracle: str, cases: list[Json]) -> list[Json]:
    """The oracle's answers, in order."""
    text = "".join(json.dumps(case) + "\n" for case in cases)
    done = subprocess.run(
        [oracle, "cel"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        preexec_fn=_limit_memory,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    if done.returncode:
        # The oracle dies of the case after its last answer: that is upstream's, too.
        fault = {"error": "panic", "message": done.stderr[:300]}
        rest = cases[len(answers) + 1 :]
        answers += [fault, *(ask(oracle, rest) if rest else [])]
    return answers


def _limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def verdict(answer: Json) -> str:
    """ "true", "false", "compile" or "runtime"; whatever else an oracle says is its fault."""
    return str(answer["result"]).lower() if "result" in answer else str(answer["error"])


def ours(case: Json, version: str = build.DEFAULT_VERSION) -> str:
    """Our verdict for a version of Kubernetes, or "unknown"."""
    engine = engine_of(version, "DRAListTypeAttributes" in case.get("features", ()))
    try:
        return str(engine.matches(case["expression"], selector_values.as_device(case))).lower()
    except errors.SelectorError as problem:
        return "runtime" if problem.compiled else "compile"
    except errors.UnknownSelectorError:
        return "unknown"


@functools.cache
def engine_of(version: str, lists: bool) -> selectors.Selectors:
    """Our engine as that version has it."""
    minor = int(version.split(".")[1])
    return selectors.Selectors(list_attributes=lists and minor >= 36, minor=minor)


def judged(oracle: str, case: Json, theirs: Json, version: str) -> str:
    """ "same", "different", "unknown", "unstable" or "oracle panicked"."""
    kind = compared(ours(case, version), theirs)
    if kind == "different" and not _repeats(oracle, case, theirs):
        return "unstable"
    return kind


def compared(mine: str, theirs: Json) -> str:
    if theirs.get("error") == "panic":
        return "oracle panicked"
    if mine == "unknown":
        return "unknown"
    return "same" if mine == verdict(theirs) else "different"


def _repeats(oracle: str, case: Json, theirs: Json) -> bool:
    return all(verdict(again) == verdict(theirs) for again in ask(oracle, [case] * REPEATS))


def _report(
    options: argparse.Namespace, tally: collections.Counter[str], different: list[Any]
) -> None:
    for case, mine, theirs in different[:MOST_REPORTED]:
        print(json.dumps(case))
        print(f"  ours {mine}, theirs {verdict(theirs)}: {theirs.get('message', '')[:300]}")
    if options.keep:
        with pathlib.Path(options.keep).open("a") as kept:
            kept.writelines(json.dumps(case) + "\n" for case, _, _ in different)
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(tally.items()))
    print(f"{options.cases} cases, seed {options.seed}: {counts}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare our CEL with the real one.")
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    parser.add_argument("--kubernetes", default=build.DEFAULT_VERSION)
    parser.add_argument("--oracle", help="path of the oracle's binary; built if not given")
    parser.add_argument("--keep", help="append what differs to this file, as JSON lines")
    options = parser.parse_args()
    if options.oracle is None:
        options.oracle = str(build.build(build.resolve(options.kubernetes)))
    return options


if __name__ == "__main__":
    sys.exit(main())
