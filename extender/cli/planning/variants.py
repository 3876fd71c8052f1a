"""What `railyard simulate` runs: each policy, with and without the change, once per seed.

Runs are processes of their own, as many at a time as there are processors.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import itertools
import multiprocessing
import os
import pathlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing import queues

import numpy as np

from extender.decisions import engine
from extender.replay import snapshots, workloads
from extender.service import assembly
from extender.simulation import changes, in_tree, placer, run, workload

_PROGRESS_SECONDS = 0.5  # between two words of a run on how far it is


@dataclasses.dataclass(frozen=True, slots=True)
class Inputs:
    """What all runs have in common."""

    snapshot: tuple[pathlib.Path, ...]
    workload: pathlib.Path
    kubernetes_version: str
    feature_gates: Mapping[str, bool] | None
    weight: int
    shuffle: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Variant:
    """A policy (None: the one that ships), with what is changed, under a name for people."""

    title: str
    policy: pathlib.Path | None
    drained: tuple[str, ...] = ()
    cordoned: tuple[str, ...] = ()
    added: tuple[pathlib.Path, ...] = ()
    upgrade_to: str = ""


def opened(inputs: Inputs, variant: Variant) -> tuple[engine.Engine, list[workload.Arrival]]:
    """The engine of a variant over its cluster, and the pods that come."""
    ticks = itertools.count()
    version = variant.upgrade_to or inputs.kubernetes_version
    judging, _ = assembly.from_snapshot(
        inputs.snapshot,
        policy=assembly.read_policy(variant.policy),
        kubernetes_version=version,
        feature_gates=inputs.feature_gates,
        clock=lambda: float(next(ticks)),
    )
    arrivals, _ = arrivals_of(inputs, judging)
    added = snapshots.read(variant.added).objects if variant.added else ()
    wanted = changes.Changes(variant.drained, variant.cordoned, tuple(added))
    began = arrivals[0].at if arrivals else 0.0
    evicted = changes.apply(judging, wanted, at=began) if wanted else []
    return judging, [*evicted, *arrivals]


def arrivals_of(
    inputs: Inputs, judging: engine.Engine
) -> tuple[list[workload.Arrival], list[tuple[str, str]]]:
    """The pods of the workload; claims and templates that it lacks are the cluster's."""
    read = workloads.read(inputs.workload)
    source = judging.store
    found, problems = workload.arrivals_of(
        read.pods,
        {**source.claims, **read.claims},
        lambda namespace, name: (
            read.templates.get((namespace, name)) or source.template(namespace, name)
        ),
    )
    return found, [*read.problems, *problems]


def play(
    inputs: Inputs, variant: Variant, seed: int, progress: Callable[[int, int], None]
) -> run.RunOutcome:
    """One run; `progress` hears how many pods of how many have come."""
    judging, arrivals = opened(inputs, variant)
    if inputs.shuffle:
        arrivals = workload.shuffled(arrivals, np.random.default_rng([seed, 0]))
    version = variant.upgrade_to or inputs.kubernetes_version
    rules = placer.Rules(weight=inputs.weight, kubernetes=in_tree.balance_of(version))
    playing = run.Run(judging, arrivals, draws=np.random.default_rng([seed, 1]), rules=rules)
    last = 0.0
    for done in playing.play():
        now = time.monotonic()
        if now - last >= _PROGRESS_SECONDS:
            progress(done, len(arrivals))
            last = now
    progress(len(arrivals), len(arrivals))
    return playing.outcome()


def play_all(
    inputs: Inputs,
    variants: Sequence[Variant],
    seeds: Sequence[int],
    *,
    jobs: int,
    progress: Callable[[float], None],
) -> dict[str, list[run.RunOutcome]]:
    """Variant → its runs by seed. `progress` hears the share of all pods that have come."""
    asked = [(variant, seed) for variant in variants for seed in seeds]
    shares = [0.0] * len(asked)

    def heard(number: int, share: float) -> None:
        shares[number] = share
        progress(sum(shares) / len(shares))

    if min(jobs, len(asked)) < 2:
        outcomes = [
            play(inputs, variant, seed, lambda done, all_, n=number: heard(n, done / max(all_, 1)))  # type: ignore[misc]
            for number, (variant, seed) in enumerate(asked)
        ]
    else:
        outcomes = _in_processes(inputs, asked, jobs, heard)
    found: dict[str, list[run.RunOutcome]] = {variant.title: [] for variant in variants}
    for (variant, _), outcome in zip(asked, outcomes, strict=True):
        found[variant.title].append(outcome)
    return found


def _in_processes(
    inputs: Inputs,
    asked: Sequence[tuple[Variant, int]],
    jobs: int,
    heard: Callable[[int, float], None],
) -> list[run.RunOutcome]:
    context = multiprocessing.get_context("spawn")
    words: queues.SimpleQueue[tuple[int, float]] = context.SimpleQueue()
    with concurrent.futures.ProcessPoolExecutor(
        min(jobs, len(asked)), mp_context=context, initializer=_begin, initargs=(words,)
    ) as pool:
        waiting = [
            pool.submit(_work, inputs, variant, seed, number)
            for number, (variant, seed) in enumerate(asked)
        ]
        try:
            while not all(each.done() for each in waiting):
                concurrent.futures.wait(waiting, timeout=_PROGRESS_SECONDS / 2)
                for number, share in _said(words):
                    heard(number, share)
            return [each.result() for each in waiting]
        except BaseException:
            for each in waiting:
                each.cancel()
            raise


def _said(words: queues.SimpleQueue[tuple[int, float]]) -> Iterator[tuple[int, float]]:
    while not words.empty():
        yield words.get()


_words: list[
    queues.SimpleQueue[tuple[int, float]]
] = []  # of a worker: where it tells how far it is


def _begin(words: queues.SimpleQueue[tuple[int, float]]) -> None:
    _words.append(words)
    with contextlib.suppress(OSError):
        os.nice(5)  # a simulation gives way to whoever serves on this machine


def _work(inputs: Inputs, variant: Variant, seed: int, number: int) -> run.RunOutcome:
    def progress(done: int, of_all: int) -> None:
        _words[0].put((number, done / max(of_all, 1)))

    return play(inputs, variant, seed, progress)
