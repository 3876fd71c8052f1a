"""Which kinds are reflected, from where, and what the lack of one means.

Nodes and Pods are vital: without them there is nothing to decide about. Any other kind may not be
served (an older cluster, no such CRD) or not be permitted; that is reported, and takes away only
what needs it. Versions are discovered, as clusters of different ages serve different ones.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import random
import time
from collections.abc import Awaitable, Callable

from extender import errors
from extender.kube import backoff, client, interning, objects, reflector
from extender.kube.collection import KindStatus, Resource, Sink

_log = logging.getLogger(__name__)

# A CRD may be installed, and a version go away with an upgrade, while we run.
_REDISCOVER_SECONDS = 300.0
_DRA = "resource.k8s.io"
_DRA_VERSIONS = (f"{_DRA}/v1", f"{_DRA}/v1beta2", f"{_DRA}/v1beta1", f"{_DRA}/v1alpha3")
# Finished pods hold nothing; a long-lived cluster has more of them than of the others.
_UNFINISHED = "status.phase!=Succeeded,status.phase!=Failed"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """A kind that we would like to see."""

    kind: str
    plural: str
    versions: tuple[str, ...]  # group versions, the best first
    vital: bool = False
    namespace: str = ""  # empty for all
    field_selector: str = ""

    def at(self, version: str) -> Resource:
        """The collection as served in `version`."""
        prefix = "/apis/" if "/" in version else "/api/"
        place = f"namespaces/{self.namespace}/" if self.namespace else ""
        path = f"{prefix}{version}/{place}{self.plural}"
        return Resource(kind=self.kind, path=path, field_selector=self.field_selector)


KINDS = (
    Wanted(kind="Node", plural="nodes", versions=("v1",), vital=True),
    Wanted(kind="Pod", plural="pods", versions=("v1",), vital=True, field_selector=_UNFINISHED),
    Wanted(kind="ResourceSlice", plural="resourceslices", versions=_DRA_VERSIONS),
    Wanted(kind="ResourceClaim", plural="resourceclaims", versions=_DRA_VERSIONS),
    Wanted(kind="ResourceClaimTemplate", plural="resourceclaimtemplates", versions=_DRA_VERSIONS),
    Wanted(kind="DeviceClass", plural="deviceclasses", versions=_DRA_VERSIONS),
    Wanted(kind="DeviceTaintRule", plural="devicetaintrules", versions=_DRA_VERSIONS),
    Wanted(
        kind="NodeResourceTopology",
        plural="noderesourcetopologies",
        versions=("topology.node.k8s.io/v1alpha2",),
    ),
)


def config_map(namespace: str, name: str) -> Wanted:
    """One ConfigMap, which needs no permission on any other."""
    return Wanted(
        kind="ConfigMap",
        plural="configmaps",
        versions=("v1",),
        namespace=namespace,
        field_selector=f"metadata.name={name}",
    )


class Informers:
    """One reflector task per kind, all feeding `sink`; `statuses` says how far each is.

    Each object passes `condense` right after decoding: by default what they have in common is
    shared.
    """

    def __init__(
        self,
        api: client.Client,
        sink: Sink,
        *,
        kinds: tuple[Wanted, ...] = KINDS,
        condense: Callable[[objects.Object], objects.Object] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        rng: random.Random | None = None,
    ) -> None:
        self._api = api
        self._sink = sink
        self._kinds = kinds
        self._condense = condense or interning.Interner()
        self._clock = clock
        self._sleep = sleep
        self._rng = rng or random.Random()  # noqa: S311 - spreads requests, guards nothing
        self._backoff = backoff.Backoff(clock=clock, rng=self._rng)
        self.statuses = {each.kind: KindStatus(kind=each.kind) for each in kinds}
        self._running: dict[str, tuple[Resource, asyncio.Task[None]]] = {}  # by kind

    async def run(self) -> None:
        """Discover and reflect until cancelled; kinds that are not there are looked for again."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._sleep(await self._round(tasks))

    def waiting_for(self) -> dict[str, str]:
        """Kind → why it must still come before anything can be decided; empty when ready."""
        return {
            each.kind: status.problem or f"is {status.state}"
            for each, status in self._by_kind()
            if not status.synced and (each.vital or not _is_absent(status))
        }

    def degraded(self) -> dict[str, str]:
        """Kind → why we do without it (not served or not permitted)."""
        return {
            each.kind: status.problem
            for each, status in self._by_kind()
            if not each.vital and _is_absent(status)
        }

    def _by_kind(self) -> list[tuple[Wanted, KindStatus]]:
        return [(each, self.statuses[each.kind]) for each in self._kinds]

    # ------------------------------------------------------------ discovery

    async def _round(self, tasks: asyncio.TaskGroup) -> float:
        """Start what is served and not yet reflected; the seconds until the next look."""
        # group version → plural names, for this round; None where we may not ask
        served: dict[str, frozenset[str] | None] = {}
        failed = False
        for wanted, status in self._by_kind():
            if wanted.kind in self._running and status.problem_code != 404:
                continue
            try:
                version = await self._version(wanted, served)
            except errors.ApiError as error:
                _log.warning("%s: its version cannot be discovered: %s", wanted.kind, error)
                status.problem, status.problem_code = str(error), error.status
                failed = True
                continue
            if version:
                self._start(tasks, wanted.at(version), status)
            else:
                self._stop(wanted, status)
        if failed:
            return self._backoff.next()
        return _REDISCOVER_SECONDS * (1 + 0.1 * self._rng.random())

    async def _version(self, wanted: Wanted, served: dict[str, frozenset[str] | None]) -> str:
        """The best version that serves the kind, empty if none does."""
        if wanted.versions == ("v1",):
            return "v1"  # every cluster serves it
        for version in wanted.versions:
            if version not in served:
                served[version] = await self._plurals(version)
            plurals = served[version]
            if plurals is None or wanted.plural in plurals:
                return version  # where we may not ask, the list itself will tell
        return ""

    async def _plurals(self, version: str) -> frozenset[str] | None:
        try:
            return await self._api.resources(version)
        except errors.NotFoundError:
            return frozenset()
        except errors.ForbiddenError:
            return None

    def _start(self, tasks: asyncio.TaskGroup, resource: Resource, status: KindStatus) -> None:
        old, task = self._running.get(resource.kind, (None, None))
        if old == resource:
            return  # served again at the same place: its reflector finds out by itself
        if task is not None:
            task.cancel()
        _log.info("%s: reflecting %s", resource.kind, resource.path)
        status.problem, status.problem_code, status.state = "", 0, "starting"
        made = reflector.Reflector(
            self._api,
            resource,
            self._sink,
            status=status,
            condense=self._condense,
            clock=self._clock,
            sleep=self._sleep,
            rng=self._rng,
        )
        name = f"reflector {resource.kind}"
        self._running[resource.kind] = (resource, tasks.create_task(made.run(), name=name))

    def _stop(self, wanted: Wanted, status: KindStatus) -> None:
        """The kind is not served (any more): then there is none of it."""
        if status.state != "absent":
            _log.warning("%s: not served in any of %s", wanted.kind, ", ".join(wanted.versions))
        _, task = self._running.pop(wanted.kind, (None, None))
        if task is not None:
            task.cancel()
            self._sink.replace(wanted.kind, [], "")
        status.state, status.synced = "absent", False
        status.problem, status.problem_code = "not served", 404


def _is_absent(status: KindStatus) -> bool:
    return not status.synced and (status.state == "absent" or status.problem_code in {403, 404})
