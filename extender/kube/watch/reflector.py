"""Keeps a sink equal to one collection of the API server: list it, watch it, never go back in time.

The rules are client-go's (tools/cache/reflector.go), whose tests ours are named after. One task
per kind makes one request at a time:

    nothing listed ──WatchList or pages──► resumable ──watch from the last version──► resumable
          ▲                                    │
          └─── 410, or five fruitless watches ─┘

Time is the running loop's, which tests fake; chance is `rng`.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

from extender import errors
from extender.kube import client
from extender.kube.api import decoding, objects, status_errors
from extender.kube.watch import (
    arriving_list,
    backoff,
    idle_timeout,
    line_splitter,
    lister,
    recovery,
    unreadable,
)
from extender.kube.watch.api_resource import ApiResource, KindStatus, ObjectSink, goes_back

_log = logging.getLogger(__name__)

# The server ends a watch after so long, times 1 to 2, so that reconnects spread.
_WATCH_SECONDS = 300
# client-go's VeryShortWatchError: a watch that ends so soon and brings nothing has failed.
_VERY_SHORT_SECONDS = 1.0
# A watch that ended sooner is followed by a pause: a server that is going down ends them all.
_SHORT_SECONDS = 5.0
# So many watches in a row without an event: the version may be what is wrong, so list again.
_FRUITLESS_WATCHES = 5
_FREED_AT_ONCE = 16  # objects of a list that is as it was before; slices take 5 us each
# How servers without WatchList answer it: BadRequest, Invalid.
_NOT_UNDERSTOOD = frozenset({400, 422})


class Reflector:
    """Fills `sink` from `resource` until its task is cancelled.

    `condense` is applied to each object right after decoding (see `interning`). `status` is kept
    up to date. `others` are the reflectors that share the server: when it is back for one, none
    waits any longer. No fault of the server, of an object or of the sink ends `run`.
    """

    def __init__(
        self,
        api: client.Client,
        resource: ApiResource,
        sink: ObjectSink,
        *,
        status: KindStatus | None = None,
        condense: Callable[[objects.Object], objects.Object] = lambda item: item,
        rng: random.Random | None = None,
        patience: float = idle_timeout.SECONDS,
        others: recovery.Recovery | None = None,
    ) -> None:
        self._api = api
        self._resource = resource
        self._sink = sink
        self.status = status or KindStatus(kind=resource.kind)
        self._others = others or recovery.Recovery()
        self._silence = idle_timeout.IdleTimeout(patience=patience)
        self._rng = rng or random.Random()  # noqa: S311 - spreads requests, guards nothing
        self._backoff = backoff.Backoff(rng=self._rng)
        self._decoder = decoding.Decoder(resource.kind, condense)
        self._lister = lister.Lister(
            api, resource, self._decoder, received=self._silence.received, skip=self._skip
        )
        self._turns = lister.YieldTurns()
        self._version = ""  # last seen: of a list, an event or a bookmark
        self._version_refused = False  # the last list could not be served at `_version`
        self._ordered = False  # events carry versions to resume from (synthetic ADDED do not)
        self._resumable = False  # a watch from `_version` continues what the sink has
        self._streams_lists = True  # whether the server knows WatchList
        self._list_instead = False  # the last WatchList broke: use pages once
        # The last watch did not end by its own timeout: the server may have been restarted, and
        # after a restore of etcd `_version` is of the future.
        self._doubtful = False
        self._away = False  # the last request found no server, or one that is not up
        self._arriving = arriving_list.ArrivingList()
        self._unreadable = unreadable.Unreadable(resource.kind, self.status.unreadable)
        self._fruitless = 0  # watches in a row that failed without an event
        self._taken = 0  # events and bookmarks of this watch
        self._answered = False  # the server has begun to answer this request

    def __repr__(self) -> str:
        return f"<Reflector {self._resource.kind} {self.status.state} at {self._version or 'none'}>"

    async def run(self) -> None:
        """Reflect until cancelled."""
        while True:
            pause = await self._turn()
            if pause:
                self.status.state = "waiting"
                await (self._others.pause if self._away else asyncio.sleep)(pause)

    # ------------------------------------------------------------ one request, and what follows

    async def _turn(self) -> float:
        """One list or watch from start to end; the seconds to wait before the next."""
        self._answered = False
        try:
            soon = idle_timeout.ANSWER_SECONDS
            if self._resumable:
                return await self._silence.guard(self._watch(), answer=soon)
            self.status.lists += 1
            self._unreadable.listing()
            if self._streams_lists and not self._list_instead:
                return await self._silence.guard(self._watch(initial=True), answer=soon)
            return await self._silence.guard(self._list())
        except errors.ExpiredError as error:
            return self._expired(error)
        except idle_timeout.IdleTimeoutError as error:
            return self._quiet() if self._resumable and self._answered else self._failed(error)
        except errors.ApiError as error:
            return self._failed(error)
        except Exception:  # noqa: BLE001 - logged with its trace; see the next line
            # A bug of ours must not leave the sink to go stale: start from a list.
            _log.exception("%s: reflecting failed", self._resource.kind)
            self._resumable = False
            return self._failed(errors.ApiError(0, "InternalError", "see the log"))
        finally:
            self._arriving.drop()

    def _expired(self, error: errors.ExpiredError) -> float:
        if not self._resumable and not self._version_refused:
            _log.info("%s: %s", self._resource.kind, error)
            self._version_refused = True
            return 0.0
        pause = self._failed(error)
        # A list "not older than" the last version is served even where a watch from it is not.
        self._resumable = False
        return pause

    def _quiet(self) -> float:
        """An accepted watch fell silent: its path is dead, or nothing happens; ask anew at once."""
        self.status.watch_restarts += 1
        self._doubtful = True
        self._well()  # dead or not, there was no refusal
        return 0.0

    def _failed(self, error: errors.ApiError) -> float:
        # One that names the time to wait is up, and is not asked sooner.
        busy = isinstance(error, errors.TooManyRequestsError)
        self._away = isinstance(error, errors.UnreachableError) or (
            error.status >= 500 and not busy
        )
        if self._resumable:
            self.status.watch_restarts += 1
            self._doubtful = True
            # At a server that is down, or says how long to wait, the version is not to blame.
            if not (busy or isinstance(error, errors.UnreachableError)):
                self._fruitless += 1
                self._resumable = self._fruitless < _FRUITLESS_WATCHES
        elif error.status in _NOT_UNDERSTOOD and self._streams_lists and not self._list_instead:
            self._streams_lists = False
            return 0.0
        elif self._answered:
            self._list_instead = True
        if not self.status.problem:
            self._sink.lost(self._resource.kind, str(error))
        self.status.failed(error)
        named = error.retry_after if isinstance(error, errors.TooManyRequestsError) else None
        return max(self._backoff.next(), named or 0.0)

    async def _list(self) -> float:
        self.status.state = "listing"
        version = "" if self._version_refused else self._version or "0"
        await self._replace(*await self._lister.read(version))
        return 0.0

    async def _replace(self, items: list[objects.Object], version: str) -> None:
        """Hand a whole list over, and empty it; a sink that fails gets a new one later."""
        try:
            for _ in self._sink.replace(self._resource.kind, items, version) or ():
                await asyncio.sleep(0)
        except Exception as error:
            _log.exception("%s: the sink could not take a list", self._resource.kind)
            self.status.sink_failures += 1
            raise errors.ApiError(0, "SinkFailed", type(error).__name__) from error
        self._unreadable.listed()
        self._resumable = True
        self._version_refused = self._list_instead = False
        self._ordered = version not in {"", "0"}
        self._fruitless = 0
        self.status.synced = True
        self._advance(version)
        while items:
            del items[-_FREED_AT_ONCE:]
            await asyncio.sleep(0)

    async def _watch(self, *, initial: bool = False) -> float:
        """One watch from start to end; with `initial`, of what exists first (WatchList)."""
        self.status.state = "listing" if initial else "watching"
        self.status.watches += 1
        if initial:
            self._arriving.begin()
        self._taken = 0
        confirmed = self._doubtful and not initial
        if confirmed:
            await self._probe()
        started = _now()
        split = line_splitter.LineSplitter()
        async with self._api.stream(self._resource.path, self._watch_query(initial)) as stream:
            self._answered = True
            self._silence.answered()
            lasting = asyncio.ensure_future(self._current()) if confirmed else None
            try:
                while chunk := await stream.read():
                    self._silence.received(len(chunk))
                    for line in split.feed(chunk):
                        self._silence.heard()
                        self._take(line)
                        if (arrived := self._arriving.taken()) is not None:
                            await self._replace(*arrived)
                            self.status.state = "watching"
                        await self._turns.spend(len(line))
            finally:
                if lasting is not None:
                    lasting.cancel()
        if self._arriving.open:
            raise errors.ApiError(200, "ListIncomplete", "the WatchList ended before its last item")
        lived = _now() - started
        if lived < _VERY_SHORT_SECONDS and not self._taken:
            raise errors.ApiError(200, "VeryShortWatch", f"a watch of {lived:.3f} s and no event")
        self.status.watch_restarts += 1
        self._doubtful = lived < _WATCH_SECONDS
        return self._backoff.next() if lived < _SHORT_SECONDS else 0.0

    async def _probe(self) -> None:
        """Have the server confirm that it has reached our version; `ExpiredError` if it has not.

        A watch of the future is accepted and never says a word; a list is refused.
        """
        try:
            await self._lister.probe(self._version)
        except errors.ExpiredError:
            self._version_refused = True  # the next list takes whatever there is
            raise
        self._silence.heard()

    async def _current(self) -> None:
        """A watch from a confirmed version that lasts has brought by now what it had to bring."""
        await asyncio.sleep(_SHORT_SECONDS)
        self.status.last_event = _now()
        self._well()

    def _watch_query(self, initial: bool) -> dict[str, str]:
        query = self._resource.query(
            watch="true",
            allowWatchBookmarks="true",
            timeoutSeconds=str(int(_WATCH_SECONDS * (1 + self._rng.random()))),
            resourceVersion="" if self._version_refused else self._version,
        )
        if initial:
            query |= {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        return query

    def _take(self, line: bytes) -> None:
        if not line.strip():
            return
        if (change := self._decoder.change(line)) is not None:
            self._change(change.type, change.object)
            return
        try:
            event = self._decoder.event(line)
            if event.type == "ERROR":
                raise status_errors.from_body(0, event.object)
            if event.type == "BOOKMARK":
                self._bookmark(*decoding.bookmark(event.object))
            elif event.type == "DELETED":
                self._change(event.type, self._decoder.deleted(event.object))
            elif event.type in {"ADDED", "MODIFIED"}:
                self._change(event.type, self._decoder.item(event.object, named=True))
            else:
                self._skip(decoding.UndecodableError(f"an event of type {event.type[:32]!r}"))
        except decoding.UndecodableError as error:
            self._skip(error)

    def _bookmark(self, version: str, ends_list: bool) -> None:
        if not self._arriving.open:
            self._never_back(version)
            self._sink.bookmark(self._resource.kind, version)
            self._ordered = True
            self._advance(version)
        elif ends_list:
            self._arriving.end(version)

    def _change(self, event: str, item: objects.Object) -> None:
        meta = item.metadata
        self.status.events += 1
        self._unreadable.heal(meta)
        if self._arriving.open:
            self._arriving.take(event, item)
            return
        self._never_back(meta.resource_version)
        try:
            self._sink.apply(self._resource.kind, event, item)
        except Exception:  # noqa: BLE001 - logged with its trace; see the next line
            # One object that the sink cannot take must not keep the others from it.
            _log.exception("%s: the sink could not take %s", self._resource.kind, event)
            self.status.sink_failures += 1
        self._ordered = self._ordered or event != "ADDED"
        self._advance(meta.resource_version if self._ordered else "")

    def _never_back(self, version: str) -> None:
        """Raise `ExpiredError` where the server's history is another than it was."""
        if self._ordered and goes_back(version, self._version):
            self._version_refused = True
            what = f"version {version} came after {self._version}"
            raise errors.ExpiredError(410, "WentBack", what)

    def _advance(self, version: str) -> None:
        """The server was heard; `version` (if any) is where to resume from."""
        self._taken += 1
        self._fruitless = 0
        self._version = version or self._version
        self.status.resource_version = self._version
        self.status.last_event = _now()
        self._doubtful = False
        self._well()

    def _well(self) -> None:
        self.status.well()
        if self._away:
            self._away = False
            self._others.heard()

    def _skip(self, error: decoding.UndecodableError) -> None:
        """Go on without what cannot be read; what it was before does not stand in for it."""
        self.status.decode_failures += 1
        if error.meta is not None and (self._resumable or self._arriving is not None):
            self._change("DELETED", self._decoder.nothing_but(error.meta))
        self._unreadable.note(error.meta, str(error))


def _now() -> float:
    return asyncio.get_running_loop().time()
