"""How long the event loop of `railyard serve` is held up, by what it does ahead and by a relist.

The service runs over a fake API server with a mixed cluster. Phases: work ahead right after the
start; pods of new kinds that the informer shows; calls about them; a relist of everything. Of each,
the longest time between two ticks and the longest garbage collection, both in processor time of
the service's thread, so that neighbours on the machine do not count. Of kinds that were shown 100
ms earlier: what the first filter takes, over one that is warm and comes after a pause of 100 ms as
well, and over those that follow each other. The machine must be quiet for that.

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
from typing import Any

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

    async def look(self) -> dict[str, Any]:
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


async def firsts(found: running.Running, kinds: list[dict]) -> list[tuple[float, float, float]]:
    """Milliseconds of filter: the first of each kind, shown just before; a warm one after a pause
    as long; and the median of some that follow each other.
    """
    names, rng, took = found.names, random.Random(3), []
    rng.shuffle(names)

    async def filtered(kind: dict) -> float:
        start = rng.randrange(len(names))
        body = running.question(kind, (names[start:] + names[:start])[:_ASKED])
        began = time.perf_counter()
        status, _ = await found.verbs.call("/filter", body)
        assert status == 200
        return 1000 * (time.perf_counter() - began)

    for kind in kinds:
        found.show("Pod", kind)
        await asyncio.sleep(_AHEAD_SECONDS)
        first = await filtered(kind)
        await asyncio.sleep(_AHEAD_SECONDS)
        rested = await filtered(kind)
        took.append((first, rested, statistics.median([await filtered(kind) for _ in range(5)])))
        found.remove("Pod", kind)
    return took


def reported(took: list[tuple[float, float, float]]) -> dict[str, float]:
    """Medians in milliseconds, and the ratios of the first of each kind to its warm ones."""
    first, rested, warm = ([each[place] for each in took] for place in range(3))
    figures = {
        f"{title}_ms": round(statistics.median(each), 2)
        for title, each in (("first", first), ("rested", rested), ("warm", warm))
    }
    for title, others in (("rested", rested), ("warm", warm)):
        ratios = sorted(one / other for one, other in zip(first, others, strict=True))
        figures |= {
            f"to_{title}": round(statistics.median(ratios), 2),
            f"to_{title}_p90": round(ratios[int(0.9 * len(ratios))], 2),
        }
    return figures


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
            phases[f"new kinds, {title}"] |= reported(pairs)
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
    for phase, reported in report["phases"].items():
        figures = {key: value for key, value in reported.items() if key != "where"}
        print(f"{phase}: {', '.join(f'{key} {value:g}' for key, value in figures.items())}")
        for stack in reported.get("where", ()):
            print(f"    {stack}")
    print(f"RSS {report['rss_mb']} MB")


if __name__ == "__main__":
    main()
