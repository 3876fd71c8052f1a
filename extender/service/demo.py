"""The demo: serve the embedded snapshot, ask it over HTTP about a GPU+NIC pod, show the ranking."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import msgspec
import uvloop

from extender import errors, settings
from extender.decisions.explanation import explain, explain_table
from extender.kube.api import objects
from extender.replay import snapshots
from extender.service import assembly, demo_traffic, snapshot
from extender.service.process import logs, stopping

POD = ("default", "train-0")


def run(*, once: bool, frozen: bool = False) -> int:
    """Serve on free loopback ports, ask, print; stay until Ctrl-C unless `once`.

    Pods come and go meanwhile, unless `frozen`.
    """
    logs.set_up("warning")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_demonstrate(once=once, frozen=frozen))
    return 0


async def _demonstrate(*, once: bool, frozen: bool) -> None:
    folder = settings.embedded("demo")
    found = snapshots.read([folder]).objects
    pod = next((item for _, item in found if _is_asked(item)), None)
    if pod is None:
        raise errors.SnapshotError("the demo cannot run", [(str(folder), f"no pod {POD[1]}")])
    names = sorted(item.metadata.name for _, item in found if isinstance(item, objects.Node))
    free = settings.Address("127.0.0.1", 0)
    candidate = settings.embedded("examples/least-intervention.yaml")
    chosen = settings.Settings(
        snapshot=(folder,), bind=free, admin_bind=free, shadow_policy=candidate
    )
    async with snapshot.opened(chosen, assembly.read_policy(None)) as service:
        url, admin = f"http://{service.sites.bound}", f"http://{service.sites.admin_bound}"
        if not once:
            print(
                f"Open {admin}/ in a browser: the cluster, and pods that come and go.\n", flush=True
            )
        await service.reading
        async with aiohttp.ClientSession() as session:
            await _ask(session, url, admin, pod, names)
            if once:
                return
            print(f"\nverbs      {url}/filter {url}/prioritize {url}/preempt")
            print(f"questions  {admin}/v1/explain?pod={POD[0]}/{POD[1]} {admin}/v1/topology")
            print(f"metrics    {admin}/metrics")
            print(f"page       {admin}/\nCtrl-C ends the demo.", flush=True)
            traffic = demo_traffic.Traffic(service.front, session, verbs=url, questions=admin)
            flowing = asyncio.create_task(asyncio.sleep(0) if frozen else traffic.flow())
            try:
                with stopping.asked() as signalled:
                    await signalled()
            finally:
                flowing.cancel()
                await asyncio.gather(flowing, return_exceptions=True)


async def _ask(
    session: aiohttp.ClientSession, url: str, admin: str, pod: objects.Object, names: list[str]
) -> None:
    """One filter, one prioritize, as kube-scheduler sends them; then the explanation."""
    asked = {"Pod": msgspec.to_builtins(pod), "Nodes": None, "NodeNames": names}
    filtered = await _posted(session, f"{url}/filter", asked)
    asked["NodeNames"] = filtered["NodeNames"]
    scores = await _posted(session, f"{url}/prioritize", asked)
    async with session.get(f"{admin}/v1/explain", params={"pod": "/".join(POD)}) as answer:
        explained = await answer.json()
    print(
        f"filter: {len(filtered['NodeNames'])} of {len(names)} nodes pass, "
        f"{len(filtered['FailedNodes'])} are busy, "
        f"{len(filtered['FailedAndUnresolvableNodes'])} can never take the pod"
    )
    best = max(scores, key=lambda each: each["Score"])
    print(f"prioritize: best is {best['Host']} with {best['Score']}\n")
    found = msgspec.convert(explained, explain.Explanation, strict=False)
    print("\n".join(explain_table.lines(found)))


async def _posted(session: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
    async with session.post(url, json=body) as answer:
        answer.raise_for_status()
        return await answer.json()


def _is_asked(item: objects.Object) -> bool:
    return isinstance(item, objects.Pod) and item.metadata.name == POD[1]
