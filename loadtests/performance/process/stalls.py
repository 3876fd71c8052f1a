"""How long the event loop of `railyard serve` is held up, by what it does ahead and by a relist.

The service runs over a fake API server with a mixed cluster. Phases: work ahead right after the
start; pods of new kinds that the informer shows; calls about them; a relist of everything. Of each,
the longest time between two ticks and the longest garbage collection, both in processor time of
the service's thread, so that neighbours on the machine do not count. Of kinds that were shown 100
ms earlier: what the first filter takes, over the second's. The machine must be quiet for that.

    python -m loadtests.performance.process.stalls [--nodes N] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import json
import os
import pathlib
import random
import signal
import statistics
import tempfile
import time

import uvloop

from loadtests.performance import wire
from loadtests.performance.process import running
from loadtests.simulator import argument_checks

OBSERVED = "loadtests.performance.process.observed"
_AHEAD_SECONDS, _RELIST_SECONDS = 0.1, 12.0
_ASKED = 500
_PODS = 60
# Requests that no pod had before: what a kind is told apart by is what it asks for.
_AMOUNTS = ("1", "2", "3", "4", "5", "6", "7", "8")


class Observed:
    """A running service, and what was seen of it since the last look."""

    def __init__(self, found: running.Running, output: pathlib.Path) -> None:
        self.found = found
        self._output = output
        self._seen = 0

    async def look(self) -> dict[str, float]:
        """What was seen since the last look: longest turn and collection, in milliseconds."""
        assert self.found.service.pid is not None
        os.kill(self.found.service.pid, signal.SIGUSR2)
        self._seen += 1
        while True:
            lines = self._output.read_text().splitlines() if self._output.exists() else []
            if len(lines) >= self._seen:
                return json.loads(lines[self._seen - 1])
            await asyncio.sleep(0.01)


def pod(number: int) -> dict:
    """A pod of a kind of its own: so many GPUs of a plug-in, and so much CPU."""
    amounts = {
        "nvidia.com/gpu": _AMOUNTS[number % len(_AMOUNTS)],
        "cpu": f"{1000 + 37 * number}m",
        "memory": f"{1 + number}Gi",
    }
    meta = {"name": f"kind-{number}", "namespace": "default", "uid": f"uid-kind-{number}"}
    container = {"name": "main", "resources": {"requests": amounts, "limits": amounts}}
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": meta,
        "spec": {"containers": [container]},
    }


def claiming(number: int) -> dict:
    """A pod whose claims are of one of the templates that the cluster has."""
    claim = {"name": "d", "resourceClaimTemplateName": wire.KINDS[number % len(wire.KINDS)]}
    meta = {"name": f"claim-{number}", "namespace": "default", "uid": f"uid-claim-{number}"}
    spec = {"containers": [{"name": "main"}], "resourceClaims": [claim]}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": meta, "spec": spec}


async def firsts(found: running.Running, kinds: list[dict]) -> list[tuple[float, float]]:
    """Milliseconds of the first filter of each kind, shown just before, and of a warm one."""
    names, rng, took = found.names, random.Random(3), []
    rng.shuffle(names)
    for kind in kinds:
        found.show("Pod", kind)
        await asyncio.sleep(_AHEAD_SECONDS)
        times = []
        for _ in range(6):
            start = rng.randrange(len(names))
            body = running.question(kind, (names[start:] + names[:start])[:_ASKED])
            began = time.perf_counter()
            status, _ = await found.verbs.call("/filter", body)
            times.append(1000 * (time.perf_counter() - began))
            assert status == 200
        took.append((times[0], statistics.median(times[1:])))
        found.remove("Pod", kind)
    return took


async def measure(nodes: int, folder: pathlib.Path) -> dict:
    output = folder / "observed.jsonl"
    os.environ["RAILYARD_OBSERVED"] = str(output)
    async with running.running(nodes, folder, program=OBSERVED) as found:
        seen, phases = Observed(found, output), {}
        phases["until ready"] = await seen.look()
        await found.until_idle()
        phases["work ahead after the start"] = await seen.look()
        for title, make in (("plug-ins", pod), ("templates", claiming)):
            count = _PODS if make is pod else len(wire.KINDS)
            pairs = await firsts(found, [make(number) for number in range(count)])
            phases[f"new kinds, {title}"] = await seen.look()
            ratios = sorted(first / warm for first, warm in pairs)
            phases[f"new kinds, {title}"] |= {
                "first_ms": round(statistics.median(first for first, _ in pairs), 2),
                "warm_ms": round(statistics.median(warm for _, warm in pairs), 2),
                "ratio": round(statistics.median(ratios), 2),
                "ratio_p90": round(ratios[int(0.9 * len(ratios))], 2),
            }
        found.cluster.forget_history()
        await asyncio.sleep(_RELIST_SECONDS)
        phases["relist"] = await seen.look()
        await found.until_idle()
        phases["after the relist"] = await seen.look()
        rss = found.memory_mb()
    return {
        "benchmark": "stalls",
        "nodes": nodes,
        "phases": phases,
        "rss_mb": rss,
        "machine": f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=argument_checks.count, default=5000)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        report = uvloop.run(measure(given.nodes, pathlib.Path(name)))
    if given.json:
        print(json.dumps(report))
        return
    for phase, told in report["phases"].items():
        print(f"{phase}: {', '.join(f'{key} {value:g}' for key, value in told.items())}")
    print(f"RSS {report['rss_mb']} MB")


if __name__ == "__main__":
    main()
