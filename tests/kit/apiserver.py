"""A fake API server over HTTP: lists, pages, watches, WatchList, bookmarks, and scripted faults.

It keeps objects as the real one does (one resource version for all, a log of events, a horizon
behind which watches have expired), so that a client can be checked for being in step with it. A
`Fault` scripted for a verb ("list", "watchlist", "watch", "get") answers in its place, once.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import socket

import msgspec
from aiohttp import web

from tests.kit import apiserver_streams

END_OF_LIST = {"k8s.io/initial-events-end": "true"}
encode = msgspec.json.encode


@dataclasses.dataclass
class Seen:
    """A request that arrived."""

    verb: str
    path: str
    query: dict
    headers: dict


@dataclasses.dataclass
class Fault:
    """How one request is answered instead of properly."""

    status: int = 200
    body: bytes = b""
    headers: dict = dataclasses.field(default_factory=dict)
    # Or "reset", "silence" (nothing more, the connection stays open), "drip" (a byte, and again).
    then: str = "close"
    mute: bool = False  # not even a status line comes


def refusal(status, reason, message="", *, retry_after=None, causes=()):
    """A Status object, as the API server answers with."""
    body = {"kind": "Status", "code": status, "reason": reason, "message": message}
    if causes:
        body["details"] = {"causes": [{"reason": cause} for cause in causes]}
    headers = {"Content-Type": "application/json"}
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    return Fault(status=status, body=encode(body), headers=headers)


def line(event, body):
    """One event of a watch."""
    return encode({"type": event, "object": body}) + b"\n"


class Collection:
    """The objects at one path, their history, and who watches them."""

    def __init__(self, kind, api_version):
        self.kind = kind
        self.api_version = api_version
        self.objects = {}  # (namespace, name) → body
        self.log = []  # (version, event line)
        self.horizon = 0  # watches from before it have expired
        self.watchers = set()  # queues of bytes, or of "close", "reset", "mute"


class ApiServer:
    """Serves on 127.0.0.1 between `start` and `stop`; may be started again on the same port."""

    def __init__(self):
        self.version = 1000
        self.collections = {}  # path → collection
        self.served = {}  # group version → plural names, for discovery
        self.requests = []
        self.script = collections.defaultdict(collections.deque)  # verb → faults, each once
        self.always = {}  # verb → the fault of every request
        self.forbidden = set()  # paths
        self.proxied = {}  # path of a service proxy → (status, JSON) that the service answers
        self.broken = {}  # path → the fault of every request to it
        self.reviewer = None  # what answers TokenReviews and the like: a `reviewer.Reviewer`
        self.tokens = None  # who is let in; None for everybody
        self.watch_lists = True  # whether sendInitialEvents is understood
        self.pages_cached_lists = False  # whether a limit is kept at resourceVersion=0
        self.continues_expired = False
        self.port = 0
        self._runner = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    async def start(self, ssl_context=None):
        app = web.Application()
        app.router.add_get("/{path:.*}", self._handle)
        app.router.add_post("/{path:.*}", self._create)
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True
        )
        await self._runner.setup()
        listener = socket.create_server(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        await web.SockSite(self._runner, listener, ssl_context=ssl_context).start()

    async def stop(self):
        for collection in self.collections.values():
            for watcher in collection.watchers:
                watcher.put_nowait("reset")
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self):
        await self.start()
        return self

    async def __aexit__(self, *_):
        await self.stop()

    # ------------------------------------------------------------ what is there

    def add(self, path, kind, api_version="v1"):
        """Serve a collection, and say so in discovery."""
        self.collections[path] = Collection(kind, api_version)
        plural = path.rsplit("/", 1)[1]
        self.served.setdefault(api_version, set()).add(plural)

    def put(self, path, name, *, namespace="", **fields):
        """Create or change an object; returns its resource version."""
        collection = self.collections[path]
        key = (namespace, name)
        self.version += 1
        meta = {"name": name, "uid": f"uid-{name}", **fields.pop("metadata", {})}
        if namespace:
            meta["namespace"] = namespace
        meta["resourceVersion"] = str(self.version)
        event = "MODIFIED" if key in collection.objects else "ADDED"
        head = {"kind": collection.kind, "apiVersion": collection.api_version}
        body = {**head, "metadata": meta, **fields}
        collection.objects[key] = body
        self._publish(collection, event, body)
        return str(self.version)

    def preload(self, path, name, data):
        """Keep an encoded object as it is: thousands of large ones would not fit as maps."""
        self.collections[path].objects["", name] = msgspec.Raw(data)

    def delete(self, path, name, *, namespace=""):
        collection = self.collections[path]
        body = dict(collection.objects.pop((namespace, name)))
        self.version += 1
        body["metadata"] = {**body["metadata"], "resourceVersion": str(self.version)}
        self._publish(collection, "DELETED", body)

    def bookmark(self, path):
        """Time has passed elsewhere: tell the watchers the new version."""
        self.version += 1
        self.send(path, line("BOOKMARK", self._mark(self.collections[path])))

    def compact(self, path):
        """Forget the history: watches from before now have expired."""
        collection = self.collections[path]
        collection.log.clear()
        collection.horizon = self.version

    def send(self, path, data):
        """Put bytes, or "close", "reset" or "mute", on every open watch."""
        for watcher in self.collections[path].watchers:
            watcher.put_nowait(data)

    def state(self, path):
        """Name → resource version, as a client in step has it."""
        return {
            name: body["metadata"]["resourceVersion"]
            for (_, name), body in self.collections[path].objects.items()
        }

    def of(self, verb):
        return [seen for seen in self.requests if seen.verb == verb]

    def _publish(self, collection, event, body):
        data = line(event, body)
        collection.log.append((self.version, data))
        for watcher in collection.watchers:
            watcher.put_nowait(data)

    def _mark(self, collection, **meta):
        meta["resourceVersion"] = str(self.version)
        return {"kind": collection.kind, "apiVersion": collection.api_version, "metadata": meta}

    # ------------------------------------------------------------ answers

    async def _handle(self, request):
        path, query = request.path, dict(request.query)
        collection = self.collections.get(path)
        verb = "get"
        if collection is not None:
            watch = "watchlist" if "sendInitialEvents" in query else "watch"
            verb = watch if query.get("watch") == "true" else "list"
        self.requests.append(Seen(verb, path, query, dict(request.headers)))
        fault = self.script[verb].popleft() if self.script[verb] else self.always.get(verb)
        fault = self.broken.get(path, fault)
        if fault is not None:
            return await self._misbehave(request, fault)
        if self.tokens is not None and request.headers.get("Authorization") not in self.tokens:
            return _answer(refusal(401, "Unauthorized"))
        if path in self.forbidden:
            return _answer(refusal(403, "Forbidden", f"cannot list {path}"))
        if path in self.proxied:
            status, body = self.proxied[path]
            return _json(body, status=status)
        if collection is None:
            return self._discovery(path)
        if verb == "list":
            return self._list(collection, query)
        return await self._watch(request, collection, query)

    async def _create(self, request):
        self.requests.append(Seen("create", request.path, {}, dict(request.headers)))
        if self.tokens is not None and request.headers.get("Authorization") not in self.tokens:
            return _answer(refusal(401, "Unauthorized"))
        if request.path in self.collections and request.path not in self.forbidden:
            return await self._created(request)
        if self.reviewer is None or request.path in self.forbidden:
            return _answer(refusal(403, "Forbidden", f"cannot create {request.path}"))
        return _json(self.reviewer.answer(request.path, await request.json()), status=201)

    async def _created(self, request):
        body = await request.json()
        namespace, name = body["metadata"].get("namespace", ""), body["metadata"]["name"]
        if (namespace, name) in self.collections[request.path].objects:
            return _answer(refusal(409, "AlreadyExists", f"{name} already exists"))
        fields = {key: body[key] for key in body.keys() - {"kind", "apiVersion", "metadata"}}
        self.put(request.path, name, namespace=namespace, **fields)
        return _json(body, status=201)

    def _discovery(self, path):
        if path == "/version":
            return _json({"major": "1", "minor": "36", "gitVersion": "v1.36.3"})
        names = self.served.get(path.removeprefix("/apis/").removeprefix("/api/"))
        if names is None:
            return _answer(refusal(404, "NotFound", "the server could not find it"))
        resources = [{"name": each} for name in sorted(names) for each in (name, f"{name}/status")]
        return _json({"kind": "APIResourceList", "resources": resources})

    def _list(self, collection, query):
        version, token = query.get("resourceVersion", ""), query.get("continue")
        if version.isdecimal() and int(version) > self.version:
            return _answer(too_large())
        if token and self.continues_expired:
            return _answer(refusal(410, "Expired", "the continue token is too old"))
        start, at = map(int, token.split(".")) if token else (0, self.version)
        kept = collection.objects.items()
        items = [body for key, body in kept if apiserver_streams.selected(key, body, query)][start:]
        limit = int(query.get("limit", 0))
        meta = {"resourceVersion": str(at)}
        if limit and len(items) > limit and (version != "0" or self.pages_cached_lists):
            items = items[:limit]
            meta["continue"] = f"{start + limit}.{at}"
        bare = [apiserver_streams.bare(body) for body in items]
        return _json({"kind": f"{collection.kind}List", "metadata": meta, "items": bare or None})

    async def _watch(self, request, collection, query):
        version = query.get("resourceVersion", "")
        initial = "sendInitialEvents" in query
        if initial and not self.watch_lists:
            return _answer(refusal(422, "Invalid", "sendInitialEvents is forbidden for watch"))
        if initial and version.isdecimal() and int(version) > self.version:
            return _answer(too_large())
        since = int(version or 0)  # one of the future is accepted, and waited for in silence
        if not initial and since < collection.horizon:
            return _answer(refusal(410, "Expired", f"too old resource version: {version}"))
        queue = asyncio.Queue()
        if initial:
            for key, body in collection.objects.items():
                if apiserver_streams.selected(key, body, query):
                    queue.put_nowait(line("ADDED", body))
            end = self._mark(collection, annotations=END_OF_LIST)
            queue.put_nowait(line("BOOKMARK", end))
        else:
            for at, data in collection.log:
                if at > since:
                    queue.put_nowait(data)
        if since <= self.version:
            collection.watchers.add(queue)
        try:
            return await self._feed(request, queue)
        finally:
            collection.watchers.discard(queue)

    async def _feed(self, request, queue):
        stream = await apiserver_streams.begin(request)
        muted = False
        with contextlib.suppress(ConnectionError):
            while (data := await queue.get()) != "close":
                if data == "reset":
                    apiserver_streams.reset(request)
                    break
                muted = muted or data == "mute"
                if not muted:
                    await stream.write(data)
        return stream

    async def _misbehave(self, request, fault):
        if fault.mute:
            await asyncio.Event().wait()
        if fault.status != 200:
            return _answer(fault)
        stream = await apiserver_streams.begin(request, fault.headers)
        if fault.body and fault.then != "drip":
            await stream.write(fault.body)
        with contextlib.suppress(ConnectionError):
            for byte in fault.body if fault.then == "drip" else ():
                await stream.write(bytes([byte]))
                await asyncio.sleep(0.01)
        if fault.then in {"silence", "drip"}:
            await asyncio.Event().wait()
        if fault.then == "reset":
            await asyncio.sleep(0.01)  # so that the client has the first part
            apiserver_streams.reset(request)
        return stream


def too_large():
    message = "Too large resource version: 9999, current: 1000"
    return refusal(504, "Timeout", message, causes=["ResourceVersionTooLarge"])


def _answer(fault):
    return web.Response(status=fault.status, body=fault.body, headers=fault.headers)


def _json(body, status=200):
    return web.Response(
        status=status, body=encode(body), headers={"Content-Type": "application/json"}
    )
