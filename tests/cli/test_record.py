"""`railyard record`: what happened in a cluster, as a workload that can be simulated again."""

import argparse
import asyncio
import json

import pytest

from extender import cli
from extender.cli.planning import record
from extender.cluster import store
from extender.kube.auth import kubeconfig
from extender.replay import snapshots, workloads
from extender.service import workload_recording
from tests.cli.test_dump import FOLDER
from tests.kit import apiserver, kubeconfigs
from tests.kit.builders import (
    make_claim,
    make_class,
    make_node,
    make_pod,
    make_slice,
    make_template,
)
from tests.kit.clock import Clock

GPU = "gpu.example.com"


class Recorded:
    """A recorder over a store, and a clock."""

    def __init__(self, folder, *items, most_bytes=1 << 20):
        self.clock, self.store = Clock(100.0), store.ClusterStore()
        self.recorder = workload_recording.WorkloadRecorder(
            folder, self.store, clock=self.clock, most_bytes=most_bytes
        )
        self.show(*items)
        self.recorder.begin()

    def show(self, *items, event="ADDED"):
        for item in items:
            built = item.obj()
            self.store.apply(type(built).__name__, event, built)

    def at(self, seconds):
        self.clock.now = 100.0 + seconds


def times(folder):
    found = workloads.read(folder)
    assert found.problems == []
    return {pod.metadata.name: (at, life) for at, life, pod in found.pods}


def test_a_pod_is_written_with_when_it_came_and_how_long_it_ran(tmp_path):
    recorded = Recorded(tmp_path, make_node("a"), make_pod("old").node("a"))
    recorded.at(5.0)
    recorded.show(make_pod("new"))
    recorded.at(7.0)
    recorded.show(make_pod("new").node("a"))
    recorded.at(17.0)
    recorded.show(make_pod("new").node("a"), event="DELETED")
    recorded.show(make_pod("old").node("a"), event="DELETED")
    recorded.show(make_pod("waits"))
    recorded.recorder.flush()

    assert times(tmp_path) == {"old": (0.0, 17.0), "new": (5.0, 10.0), "waits": (17.0, None)}


def test_a_pod_that_was_withdrawn_before_it_ran_is_counted_and_left_out(tmp_path):
    recorded = Recorded(tmp_path, make_node("a"), make_pod("stays").node("a"))
    recorded.show(make_pod("gone"))
    recorded.show(make_pod("gone"), event="DELETED")
    recorded.recorder.flush()

    assert set(times(tmp_path)) == {"stays"}
    assert recorded.recorder.withdrawn == 1


def test_the_cluster_is_written_without_the_pods_that_come_again(tmp_path):
    daemon = make_pod("daemon").node("a")
    daemon.body["metadata"]["ownerReferences"] = [{"kind": "DaemonSet", "name": "d"}]
    made = make_claim("made").request("r", GPU).allocated("a", ("r", GPU, "a", "gpu-0"))
    made.body["metadata"]["ownerReferences"] = [{"kind": "Pod", "name": "p"}]
    Recorded(
        tmp_path, make_node("a"), daemon, made,
        make_template("one").request("r", GPU),
        make_pod("p").template("one", claim="made").node("a"),
    )  # fmt: skip

    held = snapshots.read([tmp_path]).objects

    assert sorted((kind, item.metadata.name) for kind, item in held) == [
        ("Node", "a"), ("Pod", "daemon"), ("ResourceClaimTemplate", "one"),
    ]  # fmt: skip


def test_what_is_written_is_bounded(tmp_path):
    recorded = Recorded(tmp_path, make_node("a"), most_bytes=8 * 1000)
    for number in range(600):
        pod = make_pod(f"p{number}").annotation("railyard.dev/devices", f"x={number}").node("a")
        recorded.show(pod)
        recorded.show(pod, event="DELETED")
        recorded.recorder.flush()

    ended = list(tmp_path.glob("ended-*"))
    assert len(ended) <= 8
    assert sum(path.stat().st_size for path in ended) < 2 * 8 * 1000
    assert "p599" in times(tmp_path)
    assert "p0" not in times(tmp_path)


@pytest.fixture
def server():
    found = apiserver.ApiServer()
    for kind, path in FOLDER.items():
        found.add(path, kind, "v1" if path.startswith("/api/") else "resource.k8s.io/v1")
    for item in (
        make_node("a"), make_slice("s", GPU).on("a").device("gpu-0"), make_class(GPU),
        make_template("one").request("r", GPU),
        make_pod("first").template("one").node("a"),
    ):  # fmt: skip
        put(found, item)
    return found


def put(server, item):
    body = dict(item.body)
    meta = dict(body.pop("metadata"))
    name, namespace = meta.pop("name"), meta.pop("namespace", "")
    server.put(FOLDER[item.kind], name, namespace=namespace, metadata=meta, **body)


async def test_a_recorded_cluster_is_simulated_again(server, tmp_path, capsys):
    folder = tmp_path / "recording"
    folder.mkdir()
    async with server:
        config = tmp_path / "kubeconfig"
        config.write_text(json.dumps(kubeconfigs.of(server.url)))
        asked = argparse.Namespace(max_mib=1, minutes=4 / 60)
        running = asyncio.create_task(record._run(kubeconfig.read(str(config)), folder, asked))
        async with asyncio.timeout(60):
            while not (folder / workload_recording.CLUSTER).exists():  # noqa: ASYNC110 - a file tells nobody
                await asyncio.sleep(0.05)
        put(server, make_pod("second").template("one"))
        server.delete(FOLDER["Pod"], "first", namespace="default")
        await running

    asked = ("--snapshot", str(folder), "--workload", "recorded", "--seeds", "1", "-j", "1")
    status = await asyncio.to_thread(cli.main, ["simulate", *asked, "-o", "json"])

    reported = json.loads(capsys.readouterr().out.partition("\n")[2])
    assert status == 0
    assert reported["runs"]["default"][0]["figures"]["pods placed"] == 2.0
    assert set(times(folder)) == {"first", "second"}


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--minutes", "0"), "--minutes: 0.0 is not above 0"),
        (("--max-mib", "0"), "--max-mib: 0 is not from 1"),
        (("--kubeconfig", "gone"), "gone"),
    ],
)
def test_what_cannot_be_recorded_is_an_error(tmp_path, capsys, arguments, why):
    status = cli.main(["record", "-o", str(tmp_path / "out"), *arguments])

    assert status == 2
    assert why in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
