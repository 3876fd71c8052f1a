"""Attacks from outside on `railyard serve`, one after the other; what each found, and a verdict.

The service runs over a fake API server with a few nodes. Every attack is over sockets, or by
objects that the API server shows; after each the service must live, answer kube-scheduler's kept
connection at once, and have logged no traceback. The exit status is 1 where one does not hold.

    python -m loadtests.performance.process.attacks [--nodes N] [--only WORD]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import pathlib
import sys
import tempfile
import time

import orjson
import uvloop

from loadtests.performance.clusters import hostile_pods
from loadtests.performance.process import running
from loadtests.simulator import argument_checks
from loadtests.traffic import cluster_process
from tests.kit import apiserver

_SOON = 1.0  # seconds within which a call of kube-scheduler's is answered, whatever else happens
_CONFIG_MAPS = f"/api/v1/namespaces/{cluster_process.NAMESPACE}/configmaps"
_POLICY = f"{cluster_process.NAMESPACE}/{cluster_process.CONFIG_MAP}"
_TOPOLOGIES = "/apis/topology.node.k8s.io/v1alpha2/noderesourcetopologies"
_HEAD = b"POST /filter HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


class Wrong(Exception):  # noqa: N818 - what an attack has shown
    """The attack had an effect that it must not have."""


def expect(holds: bool, what: object) -> None:
    if not holds:
        raise Wrong(str(what))


async def plain_call(over: running.Running) -> dict:
    """kube-scheduler's call on its kept connection: answered, and soon."""
    began = time.monotonic()
    status, body = await over.verbs.call(
        "/filter", running.question(hostile_pods.pod_of("plain", [{"cpu": "1"}]), over.names)
    )
    expect(status == 200, f"a plain call was answered {status}")
    took = time.monotonic() - began
    expect(took < _SOON, f"a plain call took {took:.1f} s")
    return orjson.loads(body)


async def opened(over: running.Running, sent: bytes) -> asyncio.StreamWriter:
    _, writer = await asyncio.open_connection(running.LOOPBACK, over.verbs_port)
    writer.write(sent)
    await writer.drain()
    return writer


# ---------------------------------------------------------------- over sockets


async def chunked_heads(over: running.Running) -> None:
    """Heads that announce bodies of unknown length, and send none."""
    held = [await opened(over, _HEAD + b"Transfer-Encoding: chunked\r\n\r\n") for _ in range(8)]
    for _ in range(20):
        await plain_call(over)
    for writer in held:
        writer.close()


async def promised_bodies(over: running.Running) -> None:
    """Heads that announce the largest body, and a byte of it."""
    held = [await opened(over, _HEAD + b"Content-Length: 40000000\r\n\r\n{") for _ in range(8)]
    for _ in range(20):
        await plain_call(over)
    for writer in held:
        writer.close()


async def closed_in_the_middle(over: running.Running) -> None:
    """Connections closed in the middle of a body, and of a chunk."""
    for sent in (
        _HEAD + b'Content-Length: 5000\r\n\r\n{"Pod"',
        _HEAD + b'Transfer-Encoding: chunked\r\n\r\n1000\r\n{"Pod"',
        _HEAD + b"Content-Le",
    ):
        writer = await opened(over, sent)
        await asyncio.sleep(0.05)
        writer.transport.abort()
    await plain_call(over)


async def silent_sockets(over: running.Running) -> None:
    """More connections than the port takes, on which nothing comes."""
    held = []
    for _ in range(700):
        with contextlib.suppress(OSError):
            held.append(await opened(over, b""))
    for _ in range(20):
        await plain_call(over)
    for writer in held:
        writer.transport.abort()


async def no_http(over: running.Running) -> None:
    """What is no HTTP at all is refused in our words."""
    for sent in (
        b"\x16\x03\x01\x02\x00" * 50,
        b"GET\r\n\r\n",
        b"A" * 70_000,
        b"POST / HTTP/9\r\n\r\n",
    ):
        reader, writer = await asyncio.open_connection(running.LOOPBACK, over.verbs_port)
        writer.write(sent)
        writer.write_eof()
        async with asyncio.timeout(10):
            reported = await reader.read(-1)
        writer.close()
        expect(not reported or reported.startswith(b"HTTP/1.1 4"), reported[:80])
        expect(b"aiohttp" not in reported.lower(), reported)
    await plain_call(over)
    expect("aiohttp" not in over.service.tail(200).lower(), "the log names aiohttp")


# ---------------------------------------------------------------- in bodies


async def many_violations(over: running.Running) -> None:
    """NumPDBViolations beyond 64 bits."""
    pod = hostile_pods.plain().pod
    body = orjson.loads(running.question(pod, over.names[:2]))
    for number in ("9" * 30, "-1e400", str(2**64)):
        victims = f'{{"{over.names[0]}":{{"Pods":[],"NumPDBViolations":{number}}}}}'
        sent = b'{"Pod":%b,"NodeNameToMetaVictims":%b}' % (
            orjson.dumps(body["Pod"]), victims.encode()
        )  # fmt: skip
        status, reported = await over.verbs.call("/preempt", sent)
        expect(status in {200, 400}, f"{number}: {status} {reported[:100]}")


async def names_twice(over: running.Running) -> None:
    """A refused node that is asked about twice does not pass."""
    pod = hostile_pods.pod_of("much", [{"nvidia.com/gpu": "1000"}])
    for asked in ([over.names[0]] * 2, over.names * 2, [over.names[1], *over.names, over.names[1]]):
        status, reported = await over.verbs.call("/filter", running.question(pod, asked))
        found = orjson.loads(reported)
        expect(status == 200 and not found["NodeNames"], found["NodeNames"])
        refused = {**found["FailedNodes"], **found["FailedAndUnresolvableNodes"]}
        expect(set(refused) == set(asked), "a node is neither refused nor passed")


async def amounts_beyond_numbers(over: running.Running) -> None:
    """Amounts beyond a double and an int64: asked, shown, and explained."""
    for amount in ("1e400", "10e399", "9e18", "-1e400", "0" * 90 + "1Gi", "NaN", "9" * 400):
        pod = hostile_pods.pod_of("beyond", [{"nvidia.com/gpu": amount, "cpu": amount}])
        over.show("Pod", pod)
        for path in ("/filter", "/prioritize"):
            status, reported = await over.verbs.call(path, running.question(pod, over.names))
            expect(status in {200, 400}, f"{path} {amount}: {status} {reported[:100]}")
        sent = orjson.dumps(orjson.loads(running.question(pod, []))["Pod"])
        status, reported = await over.admin.call("/v1/explain", sent)
        expect(status in {200, 400, 422}, f"explain {amount}: {status} {reported[:100]}")
        over.remove("Pod", pod)
        await plain_call(over)


async def hostile_bodies(over: running.Running) -> None:
    """Deep, large and broken bodies get an answer or a refusal."""
    for sent in (b"[" * 5_000_000, b'{"Pod":' * 100_000, b"{}", b"null", b"", b"\xff" * 100,
                 b'{"Pod":{},"NodeNames":[' + b'"a",' * 400_000 + b'"a"]}'):  # fmt: skip
        status, reported = await over.verbs.call("/filter", sent)
        expect(status == 200 or 400 <= status < 500, f"{sent[:20]!r}: {status} {reported[:100]}")
        await plain_call(over)


# ---------------------------------------------------------------- by the API server


async def hostile_policies(over: running.Running) -> None:
    """Policy documents that cannot be used are refused by name, and the one before stays."""
    good = over.server.collections[_CONFIG_MAPS].objects[
        cluster_process.NAMESPACE, cluster_process.CONFIG_MAP
    ]
    for text in (
        *("a: 2024-13-45", "a: " + "9" * 5000, "[" * 10_000, "[" * 500_000, "a: &a [*a]"),
        *("{" * 5000, "? " * 5000, "a: !!python/object:os.system {}", "x" * 900_000, "\x00"),
    ):
        over.server.put(
            _CONFIG_MAPS,
            cluster_process.CONFIG_MAP,
            namespace=cluster_process.NAMESPACE,
            data={"policy.yaml": text},
        )
        await asyncio.sleep(0.3)
        await plain_call(over)
        counters = await over.metrics()
        expect("railyard_policy_refused_since_seconds 0.0" not in counters, f"{text[:20]} is taken")
    over.server.put(
        _CONFIG_MAPS,
        cluster_process.CONFIG_MAP,
        namespace=cluster_process.NAMESPACE,
        data=good["data"],
    )
    await asyncio.sleep(0.5)
    status, reported = await over.admin.call("/readyz?verbose", method="GET")
    expect(status == 200, reported)


ATTACKS = (
    chunked_heads,
    promised_bodies,
    closed_in_the_middle,
    silent_sockets,
    no_http,
    many_violations,
    names_twice,
    amounts_beyond_numbers,
    hostile_bodies,
    hostile_policies,
)


async def attack(over: running.Running, only: str) -> list[str]:
    """Run the attacks; what was wrong with which."""
    wrong = []
    for each in ATTACKS:
        if only not in each.__name__:
            continue
        try:
            await each(over)
            await plain_call(over)
            expect(over.service.alive, "the service has ended")
            expect(
                "Traceback" not in over.service.tail(400), f"a traceback: {over.service.tail(9)}"
            )
        except Wrong as problem:
            wrong.append(f"{each.__name__}: {problem}")
        print(f"{each.__name__}: {wrong[-1] if wrong else 'holds'}", flush=True)
    return wrong


async def optional_kinds(nodes: int, folder: pathlib.Path) -> list[str]:
    """Kinds that are not required fail or drip from the start: ready all the same, in a minute."""
    wrong = []
    for name, fault in (
        ("fails", apiserver.refusal(500, "InternalError", "broken")),
        ("drips", apiserver.Fault(body=b" " * 10_000, then="drip")),
    ):
        began = time.monotonic()
        broken = {_TOPOLOGIES: fault, "/apis/resource.k8s.io/v1/deviceclasses": fault}
        try:
            async with running.running(nodes, folder, broken=broken) as over:
                took = time.monotonic() - began
                _, reply = await over.admin.call("/readyz?verbose", method="GET")
                without = json.loads(reply)["degraded"]
                print(f"a kind that {name}: ready after {took:.0f} s, {without}")
                await plain_call(over)
        except (Wrong, TimeoutError, AssertionError) as problem:
            wrong.append(f"a kind that {name}: {problem!r}")
    return wrong


async def descriptors(nodes: int, folder: pathlib.Path) -> list[str]:
    """A process with few descriptors, and more clients than it has."""
    async with running.running(nodes, folder, descriptors=96) as over:
        await plain_call(over)
        held = []
        for _ in range(300):
            with contextlib.suppress(OSError):
                held.append(await opened(over, b""))
        try:
            for _ in range(20):
                await plain_call(over)
            print("few descriptors: holds")
        except Wrong as problem:
            return [f"few descriptors: {problem}"]
        finally:
            for writer in held:
                writer.transport.abort()
    return []


async def run(given: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        async with running.running(given.nodes, folder, "--policy-config-map", _POLICY) as over:
            wrong = await attack(over, given.only)
        if not given.only:
            wrong += await descriptors(given.nodes, folder)
            wrong += await optional_kinds(given.nodes, folder)
    for each in wrong:
        print(f"WRONG {each}", file=sys.stderr)
    return 1 if wrong else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=argument_checks.count, default=40)
    parser.add_argument("--only", default="", help="only attacks with this in their name")
    sys.exit(uvloop.run(run(parser.parse_args())))


if __name__ == "__main__":
    main()
