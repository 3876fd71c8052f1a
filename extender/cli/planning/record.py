"""`railyard record`: a cluster and its pods as a folder that `railyard simulate` replays."""

from __future__ import annotations

import argparse
import asyncio
import pathlib
import signal
import sys
import time

from extender import errors
from extender.cli import printing
from extender.cli.planning import dump
from extender.cluster import store
from extender.kube import client
from extender.kube.auth import endpoint
from extender.kube.watch import informers
from extender.service import workload_recording

_MEBIBYTE = 1 << 20
_FLUSH_SECONDS = 60.0
_READING_SECONDS = 120.0
_POLL_SECONDS = 0.1
_EPILOG = """\
Ends on Ctrl-C, SIGTERM or after --minutes. What is written is redacted as by `railyard dump`.
Replay: railyard simulate --snapshot FOLDER --workload recorded --policy A --policy B
Exit status: 0, 2 for what you must mend.
"""


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "record", help="record a cluster and its pods for `simulate`", epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    dump.add_source(parser)
    parser.add_argument("-o", "--output", type=pathlib.Path, required=True, metavar="FOLDER")
    parser.add_argument(
        "--minutes", type=float, metavar="N", help="how long; default: until stopped"
    )
    parser.add_argument(
        "--max-mib", type=int, default=256, metavar="N",
        help="of ended pods, compressed: the oldest go (256)",
    )  # fmt: skip
    parser.add_argument("--force", action="store_true", help="replace an earlier recording")
    parser.set_defaults(run=_record)


def _record(arguments: argparse.Namespace) -> int:
    minutes = arguments.minutes
    if minutes is not None and not 0 < minutes < 1e6:
        raise errors.ConfigError(
            "nothing is recorded", [("--minutes", f"{minutes} is not above 0")]
        )
    if not 1 <= arguments.max_mib <= 1 << 20:
        problem = [("--max-mib", f"{arguments.max_mib} is not from 1 to {1 << 20}")]
        raise errors.ConfigError("nothing is recorded", problem)
    folder = arguments.output
    dump.check(folder, force=arguments.force)
    server = dump.server_of(arguments)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in workload_recording.files_of(folder):
            path.unlink()
        asyncio.run(_run(server, folder, arguments))
    except OSError as error:
        problem = [(str(error.filename or folder), error.strerror or str(error))]
        raise errors.ConfigError("the recording cannot be written", problem) from error
    return printing.OK


async def _run(
    server: endpoint.Server, folder: pathlib.Path, arguments: argparse.Namespace
) -> None:
    picture = store.ClusterStore()
    recorder = workload_recording.WorkloadRecorder(
        folder, picture, clock=time.monotonic, most_bytes=arguments.max_mib * _MEBIBYTE
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with client.Client(server) as api:
        reading = informers.Informers(api, picture)
        task = asyncio.create_task(reading.run())
        try:
            await _ready(reading, stop)
            recorder.begin()
            print(f"recording {recorder.alive} pods and what comes", file=sys.stderr)
            await _until(stop, recorder, arguments.minutes)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    recorder.flush()
    print(f"ended: {recorder.ended}, still running or waiting: {recorder.alive}")
    if recorder.withdrawn:
        printing.note(f"{recorder.withdrawn} pods were withdrawn before they ran, and are left out")


async def _ready(reading: informers.Informers, stop: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(_READING_SECONDS):
            while (waiting := reading.waiting_for()) and not stop.is_set():
                await asyncio.sleep(_POLL_SECONDS)
                refused = [
                    (kind, reading.statuses[kind].problem)
                    for kind in waiting
                    if reading.statuses[kind].refused
                ]
                if refused:
                    raise errors.ConfigError("the cluster cannot be read", refused)
    except TimeoutError:
        problems = list(reading.waiting_for().items())
        raise errors.ConfigError("the cluster cannot be read", problems) from None


async def _until(
    stop: asyncio.Event, recorder: workload_recording.WorkloadRecorder, minutes: float | None
) -> None:
    end = time.monotonic() + minutes * 60 if minutes is not None else float("inf")
    while not stop.is_set() and (left := end - time.monotonic()) > 0:
        try:
            await asyncio.wait_for(stop.wait(), min(left, _FLUSH_SECONDS))
        except TimeoutError:
            recorder.flush()
