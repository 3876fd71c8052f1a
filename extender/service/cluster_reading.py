"""A cluster read once: every kind that Railyard reads, as the API server has it now."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable

from extender import errors
from extender.cluster import store
from extender.kube import client
from extender.kube.api import objects
from extender.kube.watch import informers

_POLL_SECONDS = 0.05


@dataclasses.dataclass(frozen=True, slots=True)
class Read:
    """The objects, the API server's version, and what could not be read: kind → why."""

    objects: list[tuple[str, objects.Object]]
    version: str
    missing: dict[str, str]


async def read(
    api: client.Client,
    *,
    patience: float,
    progress: Callable[[str, int], None],
) -> Read:
    """Read all kinds; `progress` hears of each kind when it is there, with how many objects it has.

    ConfigError where nodes or pods cannot be read within `patience` seconds; any other kind may be
    missing, and is named.
    """
    try:
        version = await api.version()
    except errors.ApiError as error:
        raise errors.ConfigError(
            "the cluster cannot be read", [(api.server.url, str(error))]
        ) from error
    picture = store.ClusterStore()
    reading = informers.Informers(api, picture)
    task = asyncio.create_task(reading.run())
    heard: set[str] = set()
    try:
        async with asyncio.timeout(patience):
            while _open(reading, picture, heard, progress):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        if waiting := _required(reading):
            raise errors.ConfigError(
                f"the cluster cannot be read within {patience:g} s", list(waiting.items())
            ) from None
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    missing = {
        kind: status.problem or f"is {status.state}"
        for kind, status in reading.statuses.items()
        if not status.synced
    }
    found = [(kind, item) for kind, items in picture.contents() for item in items]
    return Read(found, version, missing)


def _open(
    reading: informers.Informers,
    picture: store.ClusterStore,
    heard: set[str],
    progress: Callable[[str, int], None],
) -> bool:
    """Whether a kind may still come; tells of those that have."""
    for kind, status in reading.statuses.items():
        if status.synced and kind not in heard:
            heard.add(kind)
            progress(kind, picture.counts().get(kind, 0))
    if refused := {k: s.problem for k, s in reading.statuses.items() if s.refused}:
        required = {each.kind for each in informers.KINDS if each.required}
        if problems := [(kind, why) for kind, why in refused.items() if kind in required]:
            raise errors.ConfigError("the cluster cannot be read", problems)
    return any(
        not (status.synced or status.refused or status.state == "absent")
        for status in reading.statuses.values()
    )


def _required(reading: informers.Informers) -> dict[str, str]:
    required = {each.kind for each in informers.KINDS if each.required}
    return {
        kind: status.problem or f"is {status.state}"
        for kind, status in reading.statuses.items()
        if kind in required and not status.synced
    }
