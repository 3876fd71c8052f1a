"""The services of `loadtests.performance.wire`, each in a process of its own on loopback.

    python -m loadtests.performance.peers.services noop
    python -m loadtests.performance.peers.services railyard NODES

Each prints its port when it is ready; the product not before it has worked out what it was shown,
as a service has a second or two after its start. `noop` is what an extender on aiohttp cannot do
without: all is decoded by orjson, every node passes with the same score, all is encoded. `railyard`
is the product over a mixed cluster, with the turns between requests that the service takes.
"""

from __future__ import annotations

import asyncio
import gc
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time

import orjson
import uvloop
from aiohttp import web

from extender.history import decision_history
from extender.server import metrics
from extender.server.http import listeners
from extender.service import startup
from extender.settings import Address, Settings
from loadtests.performance import wire_ratio
from loadtests.simulator import mixed_fleet

try:
    from extender.service.served_engine import ServedEngine
except ImportError:  # a tree before it
    from extender.service.facade import Facade as ServedEngine

try:
    from extender.history import decision_recorder
except ImportError:  # a tree before its name
    from extender.history import recorder as decision_recorder
try:
    from extender.service.process import pauses
except ImportError:  # a tree before it
    pauses = None

HERE = pathlib.Path(__file__).parent
LOOPBACK = "127.0.0.1"
_AHEAD_SECONDS = 0.002  # between turns of a tree that does not pace them
THRESHOLDS = (2_000, 5, 2_500)  # of the collector, as the service sets them


def build(folder):
    """Compile the peers that can be compiled here: name → command."""
    found = {}
    if compiler := shutil.which("cc"):
        command = [compiler, "-O2", "-o", str(folder / "floor"), str(HERE / "floor.c")]
        subprocess.run(command, check=True)
        found["floor"] = [str(folder / "floor")]
    if go := shutil.which("go", path=f"{os.environ.get('PATH', '')}:/usr/local/go/bin"):
        subprocess.run(
            [go, "build", "-o", str(folder / "peer"), "."], cwd=HERE / "typed", check=True
        )
        found["go"] = [str(folder / "peer")]
    return found


class Questions(wire_ratio.NoQuestions):
    """Nobody asks the admin port here, of whatever tree it is."""

    routes = staticmethod(tuple)


async def noop(sock):
    """Decode and encode, and nothing else."""

    async def answer(request):
        asked = orjson.loads(await request.read())
        if request.path == "/filter":
            nodes, names = asked.get("Nodes"), asked.get("NodeNames")
            reported = {"Nodes": nodes, "NodeNames": names, "FailedNodes": {}}
            reported |= {"FailedAndUnresolvableNodes": {}, "Error": ""}
        else:
            names = asked["NodeNames"]
            if names is None:
                names = [each["metadata"]["name"] for each in asked["Nodes"]["items"]]
            reported = [{"Host": name, "Score": 1} for name in names]
        return web.Response(body=orjson.dumps(reported), content_type="application/json")

    app = web.Application(client_max_size=2**28)
    app.add_routes([web.post("/filter", answer), web.post("/prioritize", answer)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.SockSite(runner, sock).start()
    print(sock.getsockname()[1], flush=True)
    await asyncio.Event().wait()


def paced(sites):
    """How long the service rests between two turns; None where the tree does not say."""
    if pauses is None:
        return None
    try:
        return pauses.Pauses(lambda: sites.calls)
    except TypeError:  # a tree where the engine counts the calls
        return pauses.Pauses()


def recorded(judging):
    """Keep its decisions as the service does; what goes on with them in a quiet moment."""
    history = decision_history.DecisionHistory(wall=time.time)
    try:
        decision_recorder.DecisionRecorder(judging, history, in_turns=True).attach()
    except TypeError:  # a tree that keeps each at once
        decision_recorder.DecisionRecorder(judging, history).attach()
        return lambda: None
    return judging.recorder.advance


async def railyard(count):
    """The product; what is done between requests is done as `service.live` does."""
    judging = mixed_fleet.cluster(count)
    advance = recorded(judging)
    free = Address(LOOPBACK, 0)
    settings = Settings(bind=free, admin_bind=free)
    judge, questions = ServedEngine(judging), Questions()
    sites = listeners.Listeners(judge, questions, metrics.Metrics(metrics.ClusterFigures), settings)
    await sites.start()
    startup.settled_memory()
    pacing, connected = paced(sites), False
    while True:
        if not connected and not judging.ahead.unfinished:
            connected = True
            print(sites.bound.port, flush=True)
        pause = pacing.next(judging) if pacing else _AHEAD_SECONDS
        await asyncio.sleep(pause)
        if judging.unsettled:
            judging.settle()
            judging.ahead.step()
        advance()


def main():
    what, *rest = sys.argv[1:]
    gc.set_threshold(*THRESHOLDS)
    if what == "noop":
        with socket.create_server((LOOPBACK, 0)) as sock:
            uvloop.run(noop(sock))
    else:
        uvloop.run(railyard(int(rest[0])))


if __name__ == "__main__":
    main()
