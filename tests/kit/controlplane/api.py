"""A small asynchronous client for what the tests do: create quickly, look, wait, clean up."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
import urllib.parse
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Self

import aiohttp
import orjson

Object = dict[str, Any]

# kind → (API prefix, plural, namespaced)
KINDS: dict[str, tuple[str, str, bool]] = {
    "Node": ("api/v1", "nodes", False),
    "Namespace": ("api/v1", "namespaces", False),
    "Pod": ("api/v1", "pods", True),
    "ConfigMap": ("api/v1", "configmaps", True),
    "Event": ("api/v1", "events", True),
    "PriorityClass": ("apis/scheduling.k8s.io/v1", "priorityclasses", False),
    "DeviceClass": ("apis/resource.k8s.io/v1", "deviceclasses", False),
    "ResourceSlice": ("apis/resource.k8s.io/v1", "resourceslices", False),
    "ResourceClaim": ("apis/resource.k8s.io/v1", "resourceclaims", True),
    "ResourceClaimTemplate": ("apis/resource.k8s.io/v1", "resourceclaimtemplates", True),
    "CustomResourceDefinition": (
        "apis/apiextensions.k8s.io/v1",
        "customresourcedefinitions",
        False,
    ),
}
# Enough to keep the API server busy; more only queue in it.
IN_FLIGHT = 64
# A restarted API server is back after 3 s on a quiet machine.
RETRIES, RETRY_SECONDS = 150, 0.2
AWAY = {429, 500, 503}  # 500: etcd was away, or a post-start hook has not run


class ApiError(Exception):
    """The API server answered with an error; `status` is the HTTP status."""

    def __init__(self, status: int, message: str):
        super().__init__(f"{status}: {message}")
        self.status = status


class Api:
    """A client as one user. Objects are plain dicts in the API's own form."""

    def __init__(self, server: str, *, token: str, tls: ssl.SSLContext):
        self._server, self._token, self._tls = server, token, tls
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            self._server,
            headers={"Authorization": f"Bearer {self._token}"},
            connector=aiohttp.TCPConnector(ssl=self._tls, limit=IN_FLIGHT + 16),
            timeout=aiohttp.ClientTimeout(total=60),
        )
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self._session.close()

    async def request(
        self, method: str, path: str, body: Any = None, *, content_type: str = "application/json"
    ) -> Object:
        """Send one request to `path`; return the decoded answer or raise ApiError.

        While the API server is away or overloaded the request is sent again, for some time.
        """
        data = None if body is None else orjson.dumps(body)
        headers = {"Content-Type": content_type}
        for attempt in range(RETRIES):
            try:
                async with self._session.request(method, path, data=data, headers=headers) as got:
                    answer, status = await got.read(), got.status
            except aiohttp.ClientConnectionError:
                if attempt == RETRIES - 1:
                    raise
            else:
                if status < 400:
                    return orjson.loads(answer)
                if status == 409 and method == "POST" and attempt:
                    return body  # an earlier attempt got through, only its answer was lost
                if status not in AWAY or attempt == RETRIES - 1:
                    raise ApiError(status, answer.decode(errors="replace"))
            await asyncio.sleep(RETRY_SECONDS)
        raise AssertionError("the last attempt has returned or raised")

    async def create(self, item: Object) -> Object:
        """Create an object, in its own namespace or else in `default`."""
        namespace = item["metadata"].get("namespace", "default")
        return await self.request("POST", path_of(item["kind"], namespace), item)

    async def create_all(self, items: Iterable[Object], *, in_flight: int = IN_FLIGHT) -> None:
        """Create all, `in_flight` at a time, started in the order given."""
        await gather(self.create, items, in_flight)

    async def get(self, kind: str, name: str, namespace: str = "default") -> Object:
        return await self.request("GET", path_of(kind, namespace, name))

    async def list(
        self, kind: str, namespace: str | None = "default", **query: str
    ) -> list[Object]:
        """List a kind; `namespace=None` is all namespaces. The query has the API's own names."""
        terms = urllib.parse.urlencode(query)
        answer = await self.request("GET", f"{path_of(kind, namespace)}?{terms}")
        return answer["items"] or []

    async def patch(
        self,
        kind: str,
        name: str,
        patch: Object,
        *,
        namespace: str = "default",
        subresource: str = "",
    ) -> Object:
        """Merge-patch an object, or with `subresource="status"` its status."""
        path = path_of(kind, namespace, name) + (f"/{subresource}" if subresource else "")
        return await self.request("PATCH", path, patch, content_type="application/merge-patch+json")

    async def delete(self, kind: str, name: str, namespace: str = "default") -> None:
        """Delete at once (grace 0: there is no kubelet to end a pod); absent is fine."""
        try:
            await self.request("DELETE", path_of(kind, namespace, name), {"gracePeriodSeconds": 0})
        except ApiError as error:
            if error.status != 404:
                raise

    async def clear(
        self, kind: str, namespace: str | None = "default", patience: float = 60
    ) -> None:
        """Delete every object of a kind in one namespace and return when none is left."""
        async with asyncio.timeout(patience):
            while names := [item["metadata"]["name"] for item in await self.list(kind, namespace)]:
                await self.request("DELETE", path_of(kind, namespace), {"gracePeriodSeconds": 0})
                await asyncio.sleep(0.05 if len(names) < 50 else 0.3)

    async def watch(
        self, kind: str, namespace: str | None = "default", *, seconds: float = 600
    ) -> AsyncIterator[tuple[str, Object]]:
        """Yield (event type, object) for what there is now and what changes, for some seconds.

        A stream that ends is resumed where it ended: kube-apiserver cuts off a watcher that reads
        slowly, which in a burst is any watcher that shares its processor.
        """
        deadline = time.monotonic() + seconds
        version = ""  # empty: begin with all there is
        while (left := deadline - time.monotonic()) > 0:
            query = {"watch": "1", "timeoutSeconds": str(int(left) + 1)}
            if version:
                query["resourceVersion"] = version
            try:
                async for event in self._stream(path_of(kind, namespace), query, left):
                    if event["type"] == "ERROR":
                        version = ""  # usually 410: too old to resume
                        break
                    version = event["object"]["metadata"]["resourceVersion"]
                    yield event["type"], event["object"]
            except (aiohttp.ClientError, TimeoutError):
                await asyncio.sleep(RETRY_SECONDS)

    async def _stream(
        self, path: str, query: dict[str, str], seconds: float
    ) -> AsyncIterator[Object]:
        timeout = aiohttp.ClientTimeout(total=seconds)
        async with self._session.get(path, params=query, timeout=timeout) as response:
            if response.status >= 400:
                raise ApiError(response.status, await response.text())
            rest = b""
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield orjson.loads(line)

    async def wait(
        self,
        kind: str,
        condition: Callable[[list[Object]], Any],
        *,
        namespace: str | None = "default",
        patience: float = 60,
    ) -> list[Object]:
        """List until `condition(objects)` holds and return the list; raise TimeoutError if late."""
        objects: list[Object] = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while True:
                    objects = await self.list(kind, namespace)
                    if condition(objects):
                        return objects
                    await asyncio.sleep(0.1)
        raise TimeoutError(
            f"{len(objects)} {kind} objects did not meet the condition: {objects[:1]}"
        )

    async def wait_bound(
        self, count: int, *, namespace: str = "default", patience: float = 60
    ) -> dict[str, Object]:
        """Return the pods of a namespace by name, once at least `count` have a node."""

        def bound(pods: list[Object]) -> bool:
            return sum(1 for pod in pods if node_of(pod)) >= count

        pods = await self.wait("Pod", bound, namespace=namespace, patience=patience)
        return {pod["metadata"]["name"]: pod for pod in pods}


def node_of(pod: Object) -> str:
    return pod["spec"].get("nodeName", "")


def scheduling_failure(pod: Object) -> str:
    """Return the message of a pod's PodScheduled=False condition, or an empty string."""
    for condition in pod["status"].get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return condition.get("message", "")
    return ""


def path_of(kind: str, namespace: str | None, name: str = "") -> str:
    prefix, plural, namespaced = KINDS[kind]
    parts = [prefix]
    if namespaced and namespace is not None:
        parts += ["namespaces", namespace]
    parts += [plural, *([name] if name else [])]
    return "/" + "/".join(parts)


async def gather(action: Callable[[Any], Any], items: Iterable[Any], in_flight: int) -> None:
    """Await `action(item)` for every item, at most `in_flight` at a time; the first error wins."""
    pending = iter(items)

    async def work() -> None:
        for item in pending:
            await action(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(work())
