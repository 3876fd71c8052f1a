"""Compare our prediction with the real allocator on fresh random cases.

    python -m tests.fuzz.fuzz_allocator [--cases 10000] [--seed S] [--kubernetes 1.36.3] [--jobs 2]

Draws cases over all features together (tests/kit/allocator/allocator_cases.py), asks the oracle
(tests/kit/controlplane/oracle) and the predictor, shrinks what differs, prints it and appends it to
the regression vectors. Exit code 1 when anything differs. The seed is printed: the same seed and
version give the same cases. Where the order of pools is random upstream (up to 1.35) answers are
compared by verdict and validity.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import json
import pathlib
import secrets
import sys
import time
from typing import Any

from tests.kit.allocator import allocator_cases, allocator_duel
from tests.kit.controlplane.oracle import build
from tests.kit.generated import shrink

ROOT = pathlib.Path(__file__).resolve().parents[2]

Json = dict[str, Any]

BATCH = 250
REGRESSIONS = ROOT / "tests" / "golden" / "allocator" / "regressions.jsonl"
# So many differences are shrunk and printed; a broken predictor would differ in thousands.
MOST_REPORTED = 20


def main() -> int:
    options = _options()
    version = build.resolve(options.kubernetes)
    binary = build.build(version)
    print(f"seed {options.seed}, Kubernetes {version}", file=sys.stderr)
    against = str(build.build(options.against)) if options.against else ""
    setting = allocator_duel.Setting(version, str(binary), options.timeout, against, options.live)
    tally: collections.Counter[str] = collections.Counter()
    differing: list[int] = []
    begin = time.monotonic()
    for done, (counts, numbers) in enumerate(_batches(options, setting), start=1):
        tally += counts
        differing += numbers
        _progress(min(done * BATCH, options.cases), len(differing), time.monotonic() - begin)
        if len(differing) >= options.stop_after:
            break
    report = ", ".join(f"{count} {kind}" for kind, count in sorted(tally.items()))
    if sys.stderr.isatty():
        print(file=sys.stderr)
    print(f"{sum(tally.values())} cases on {version}, seed {options.seed}: {report}")
    _explain(sorted(differing)[:MOST_REPORTED], options, setting)
    return 1 if differing else 0


def _progress(cases: int, differing: int, seconds: float) -> None:
    line = f"{cases} cases, {differing} different, {seconds:.0f} s"
    if sys.stderr.isatty():
        print(f"\r{line}", end="", file=sys.stderr, flush=True)
    elif cases % (20 * BATCH) == 0:
        print(line, file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=10_000, metavar="N")
    parser.add_argument("--seed", type=int, default=None, help="drawn and printed when not given")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--kubernetes", default=build.DEFAULT_VERSION, metavar="VERSION")
    parser.add_argument(
        "--against", metavar="VERSION", help="compare with this version, not with our prediction"
    )
    parser.add_argument(
        "--live", action="store_true", help="predict through store, index and predictor"
    )
    parser.add_argument("--jobs", type=int, default=2, metavar="N")
    parser.add_argument("--timeout", default="2s", help="of the oracle, per case")
    parser.add_argument("--stop-after", type=int, default=100, metavar="DIFFERENCES")
    parser.add_argument("--keep", type=pathlib.Path, default=REGRESSIONS, metavar="FILE")
    parser.add_argument("--no-keep", dest="keep", action="store_const", const=None)
    options = parser.parse_args()
    if options.seed is None:
        options.seed = secrets.randbelow(10**9)
    return options


def _batches(options: argparse.Namespace, setting: allocator_duel.Setting) -> Any:
    """Yield (verdicts counted, numbers of the cases that differ) per batch."""
    end = options.first + options.cases
    ranges = [range(start, min(start + BATCH, end)) for start in range(options.first, end, BATCH)]
    seeds = [options.seed] * len(ranges)
    settings = [setting] * len(ranges)
    if options.jobs == 1:
        yield from map(allocator_duel.batch, settings, seeds, ranges)
        return
    with concurrent.futures.ProcessPoolExecutor(options.jobs) as pool:
        yield from pool.map(allocator_duel.batch, settings, seeds, ranges)
        pool.shutdown(cancel_futures=True)


def _explain(
    numbers: list[int], options: argparse.Namespace, setting: allocator_duel.Setting
) -> None:
    if not numbers:
        return
    with allocator_duel.Duel(setting) as duel:
        for number in numbers:
            case = allocator_cases.draw(options.seed, number, version=setting.minor)
            small = shrink.shrink(case, duel.differs)
            small["name"] = f"{case['name']} on {setting.version}"
            theirs, ours = duel.answers(small)
            print(json.dumps(small["input"], sort_keys=True))
            print(f"  {small['name']}\n  upstream: {theirs}\n  ours:     {ours}", flush=True)
            if options.keep and not options.against:
                _keep(options.keep, small, setting.version, duel.expected(small))


def _keep(path: pathlib.Path, case: Json, version: str, expected: Json) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    row = {**case, "kubernetes": version, "channel": expected.get("channel"), "expected": expected}
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(row, sort_keys=True) + "\n")


if __name__ == "__main__":
    sys.exit(main())
