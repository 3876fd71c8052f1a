"""Which kinds are reflected, from where, and what the lack of one means.

`KINDS` is the one table of it. Without a required kind nothing can be decided. Any other kind may
be not served (an older cluster, no such CRD), not permitted, or broken in any way: it is waited for
while the service starts, for no longer than `PATIENCE_SECONDS`, and then takes away only what needs
it, until it comes. Versions are discovered, as clusters of different ages serve different ones.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import random
from collections.abc import Callable

from extender import errors
from extender.kube import client
from extender.kube.api import interning, objects
from extender.kube.watch import backoff, recovery, reflector, supervisor
from extender.kube.watch.api_resource import ApiResource, KindStatus, ObjectSink

_log = logging.getLogger(__name__)

# How long a kind that is not required is waited for: 5,000 slices take 5 s, and an API server that
# has just started is slow for 10 to 20 s. Longer, and one broken CRD keeps every pod waiting.
PATIENCE_SECONDS = 30.0
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
    without: str  # what is lost while it cannot be read, as the operator reads it
    required: bool = False
    namespace: str = ""  # empty for all
    field_selector: str = ""

    def at(self, version: str) -> ApiResource:
        """The collection as served in `version`."""
        prefix = "/apis/" if "/" in version else "/api/"
        scope = f"namespaces/{self.namespace}/" if self.namespace else ""
        path = f"{prefix}{version}/{scope}{self.plural}"
        return ApiResource(kind=self.kind, path=path, field_selector=self.field_selector)


KINDS = (
    Wanted(
        kind="Node",
        plural="nodes",
        versions=("v1",),
        required=True,
        without="pods that ask for devices are not judged: they are tried again until it is read",
    ),
    Wanted(
        kind="Pod",
        plural="pods",
        versions=("v1",),
        required=True,
        field_selector=_UNFINISHED,
        without="pods that ask for devices are not judged: they are tried again until it is read",
    ),
    Wanted(
        kind="ResourceSlice",
        plural="resourceslices",
        versions=_DRA_VERSIONS,
        without="pods with claims still to be allocated pass unjudged, as do extended resources on "
        "nodes without a device plug-in for them",
    ),
    Wanted(
        kind="ResourceClaim",
        plural="resourceclaims",
        versions=_DRA_VERSIONS,
        without="pods with claims pass unjudged, as do extended resources on "
        "nodes without a device plug-in for them",
    ),
    Wanted(
        kind="ResourceClaimTemplate",
        plural="resourceclaimtemplates",
        versions=_DRA_VERSIONS,
        without="a pod whose claim has not been made yet passes unjudged",
    ),
    Wanted(
        kind="DeviceClass",
        plural="deviceclasses",
        versions=_DRA_VERSIONS,
        without="pods with claims still to be allocated pass unjudged, as do extended resources on "
        "nodes without a device plug-in for them",
    ),
    Wanted(
        kind="DeviceTaintRule",
        plural="devicetaintrules",
        versions=_DRA_VERSIONS,
        without="devices that only a rule taints count as untainted",
    ),
    Wanted(
        kind="NodeResourceTopology",
        plural="noderesourcetopologies",
        versions=("topology.node.k8s.io/v1alpha2",),
        without="on which NUMA node the devices of a device plug-in are taken is inferred",
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
        without="the policy in force stays",
    )


class Informers:
    """One reflector task per kind, all feeding `sink`; `statuses` says how far each is.

    Each object passes `condense` right after decoding: by default what they have in common is
    shared. No failure of one kind, and no bug in what follows it, ends another.
    """

    def __init__(
        self,
        api: client.Client,
        sink: ObjectSink,
        *,
        kinds: tuple[Wanted, ...] = KINDS,
        condense: Callable[[objects.Object], objects.Object] | None = None,
        rng: random.Random | None = None,
        background: supervisor.Supervisor | None = None,
    ) -> None:
        self._api = api
        self._sink = sink
        self._kinds = kinds
        self._condense = condense or interning.ObjectInterner()
        self._rng = rng or random.Random()  # noqa: S311 - spreads requests, guards nothing
        self._backoff = backoff.Backoff(rng=self._rng)
        self._recovery = recovery.Recovery()
        self._background = background or supervisor.Supervisor(rng=self._rng)
        self.statuses = {each.kind: KindStatus(kind=each.kind) for each in kinds}
        self._running: dict[str, tuple[ApiResource, asyncio.Task[None]]] = {}  # by kind
        self._patient = True  # kinds that are not required are still waited for

    async def run(self) -> None:
        """Discover and reflect until cancelled; kinds that are not there are looked for again."""
        self._running.clear()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._end_of_patience(), name="patience")
            await self._background.keep("discovery", lambda: self._discover(tasks))

    def waiting_for(self) -> dict[str, str]:
        """Kind → why it must still come before anything can be decided; empty when ready."""
        return {
            each.kind: status.problem or f"is {status.state}"
            for each, status in self._by_kind()
            if not status.synced and (each.required or (self._patient and not _is_absent(status)))
        }

    def degraded(self) -> dict[str, str]:
        """Kind → why we do without it, and what that takes away unless there is none of it."""
        return {
            each.kind: status.problem
            if status.state == "absent"
            else f"{status.problem or f'is {status.state}'}; {each.without}"
            for each, status in self._by_kind()
            if not each.required and not status.synced and (_is_absent(status) or not self._patient)
        }

    def _by_kind(self) -> list[tuple[Wanted, KindStatus]]:
        return [(each, self.statuses[each.kind]) for each in self._kinds]

    async def _end_of_patience(self) -> None:
        """Go on without the kinds that have not come by now; each is taken in when it comes."""
        await asyncio.sleep(PATIENCE_SECONDS)
        self._patient = False
        for each, status in self._by_kind():
            if not (each.required or status.synced or status.state == "absent"):
                why = status.problem or f"not read within {PATIENCE_SECONDS:g} s"
                self._sink.lost(each.kind, f"{why}; {each.without}")

    # ------------------------------------------------------------ discovery

    async def _discover(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            pause, away = await self._round(tasks)
            await (self._recovery.pause if away else asyncio.sleep)(pause)

    async def _round(self, tasks: asyncio.TaskGroup) -> tuple[float, bool]:
        """Start what is served and not yet reflected; the seconds to the next look, if it failed.

        The kinds are looked for side by side: one that is not answered holds up no other.
        """
        # group version → plural names, for this round; None where we may not ask
        served: dict[str, asyncio.Task[frozenset[str] | None]] = {}
        found = await asyncio.gather(
            *(
                self._start_or_stop(tasks, wanted, status, served)
                for wanted, status in self._by_kind()
                if wanted.kind not in self._running or status.problem_code == 404
            )
        )
        if not all(found):
            return self._backoff.next(), True
        return _REDISCOVER_SECONDS * (1 + 0.1 * self._rng.random()), False

    async def _start_or_stop(
        self,
        tasks: asyncio.TaskGroup,
        wanted: Wanted,
        status: KindStatus,
        served: dict[str, asyncio.Task[frozenset[str] | None]],
    ) -> bool:
        """Start or stop one kind; whether its version could be found out."""
        try:
            version = await self._version(wanted, served)
        except errors.ApiError as error:
            if status.problem != str(error):
                _log.warning("%s: its version cannot be discovered: %s", wanted.kind, error)
            status.failed(error)
            return False
        if version:
            self._start(tasks, wanted.at(version), status)
        else:
            self._stop(wanted, status)
        return True

    async def _version(
        self, wanted: Wanted, served: dict[str, asyncio.Task[frozenset[str] | None]]
    ) -> str:
        """The best version that serves the kind, empty if none does."""
        if wanted.versions == ("v1",):
            return "v1"  # every cluster serves it
        for version in wanted.versions:
            if version not in served:
                served[version] = asyncio.ensure_future(self._plurals(version))
            plurals = await served[version]
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

    def _start(self, tasks: asyncio.TaskGroup, resource: ApiResource, status: KindStatus) -> None:
        old, task = self._running.get(resource.kind, (None, None))
        if old == resource:
            return  # served again at the same place: its reflector finds out by itself
        if task is not None:
            task.cancel()
        _log.info("%s: reflecting %s", resource.kind, resource.path)
        status.well()
        status.state = "starting"
        made = reflector.Reflector(
            self._api,
            resource,
            self._sink,
            status=status,
            condense=self._condense,
            rng=self._rng,
            others=self._recovery,
        )
        name = f"reflector {resource.kind}"
        kept = self._background.keep(name, made.run)
        self._running[resource.kind] = (resource, tasks.create_task(kept, name=name))

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


def _now() -> float:
    return asyncio.get_running_loop().time()
