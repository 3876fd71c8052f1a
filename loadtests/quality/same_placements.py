"""Do two trees place the pods of a trace alike? `python -m loadtests.quality.same_placements A B`.

A and B are checkouts of two commits. In each, `packing` plays the same arrivals through the
engine of that tree; the reports, and the node of every single pod, are compared.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

TRACES = ("default", "multigpu50", "cpu250")
SEED = 42
_SECONDS = 900
# Run in each tree; older ones have the module elsewhere.
_PLAY = """
import contextlib, hashlib, importlib, io, json, sys
sys.path.insert(0, ".")
try:
    packing = importlib.import_module("loadtests.quality.packing")
except ModuleNotFoundError:
    packing = importlib.import_module("loadtests.packing")
picked, pick = [], packing.pick
def kept(*arguments):
    picked.append(pick(*arguments))
    return picked[-1]
packing.pick = kept
printed = io.StringIO()
sys.argv[:] = ["packing", "--policy", "railyard", "--json", "--pods", *sys.argv[1:]]
with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
    packing.main()
report = json.loads(printed.getvalue())
report["placements"] = hashlib.sha256(json.dumps(picked).encode()).hexdigest()[:16]
report["placed"] = len(picked)
print(json.dumps(report))
"""


def played(tree, trace):
    """The report of one tree, and the hash of all its placements."""
    command = [sys.executable, "-c", _PLAY, trace, "--seed", str(SEED)]
    done = subprocess.run(
        command, cwd=tree, capture_output=True, text=True, timeout=_SECONDS, check=True
    )
    report = json.loads(done.stdout)
    del report["seconds"]
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trees", nargs=2, metavar="TREE")
    parser.add_argument("--pods", nargs="+", default=TRACES, metavar="TRACE")
    options = parser.parse_args()
    different = 0
    for trace in options.pods:
        one, other = (played(tree, trace) for tree in options.trees)
        different += one != other
        words = "the same" if one == other else "different"
        print(f"{trace}: {words}", flush=True)
        for tree, report in zip(options.trees, (one, other), strict=True):
            levels = report["allocation"]
            print(f"  {tree}: {report['placed']} placed, {report['placements']}, {levels}")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
