"""A policy is changed, broken, tried and rolled out on a real control plane, with our own commands.

Times are measured and written down (RAILYARD_FIGURES names a file); the limits asserted here are
wider than what the documentation says, for a machine that is busy with other things.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import pathlib
import time

import pytest

from extender.cli import entry
from extender.policy import config
from tests.kit.controlplane import api as kube_api
from tests.kit.controlplane import configuration, fleet, machines
from tests.kit.controlplane.plane import REPOSITORY
from tests.kit.controlplane.railyard import Railyard

pytestmark = pytest.mark.controlplane

READ_BACK, FOUND_OUT = 30, 60  # seconds; 2 and 10 are what is documented
PATIENCE = 600
PODS = 510  # two calls each: filter and prioritize
SHADOW_SECONDS = 120  # until what was skipped while pods came has been caught up with
MAP = "railyard-policy"
CANARY_PODS = 120


def document(weight, **more):
    return {"profiles": [{"name": "default", "locality": {"weight": weight}}], **more}


def hash_of(weight):
    return config.fingerprint(config.parse(document(weight), source="a test"))


def noted(name, value):
    """Write a figure down where somebody wants to have it."""
    if path := os.environ.get("RAILYARD_FIGURES"):
        with pathlib.Path(path).open("a") as file:
            file.write(json.dumps({"figure": name, "value": value}) + "\n")


class Operator:
    """What an operator does: kubectl, and our commands against the admin port."""

    def __init__(self, plane, folder):
        self.plane = plane
        self._file = folder / "policy.json"
        options = ("--policy-config-map", f"railyard/{MAP}", "--policy-events")
        kept = ("--policy-last-good", str(folder / "last-good.yaml"))
        self.railyard = Railyard(plane, options=(*options, *kept))

    def apply(self, policy, **candidate):
        """Apply the ConfigMap; texts are taken as they are."""
        data = {"policy.yaml": policy, **candidate}
        texts = {
            name.replace("_", "."): text if isinstance(text, str) else json.dumps(text)
            for name, text in data.items()
        }
        meta = {"name": MAP, "namespace": "railyard"}
        item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": texts}
        self._file.write_text(json.dumps(item))
        self.plane.kubectl("apply", "--filename", self._file)

    def asks(self, *arguments):
        """What a command of ours prints."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            entry.main([*arguments, "--url", f"http://127.0.0.1:{self.railyard.admin_port}"])
        return out.getvalue()

    def answer(self, *arguments):
        return json.loads(self.asks(*arguments, "-o", "json"))

    async def until(self, true, seconds):
        """How long it takes until it is true."""
        began = time.monotonic()
        while not true():
            assert time.monotonic() - began < seconds
            await asyncio.sleep(0.05)
        return time.monotonic() - began


@pytest.fixture
def operator(plane, api, tmp_path):
    plane.kubectl("apply", "-f", REPOSITORY / "deploy/components/policy-events/rbac.yaml")
    (tmp_path / "canaries.json").write_text(json.dumps(fleet.namespace("canaries")))
    plane.kubectl("apply", "-f", tmp_path / "canaries.json")
    found = Operator(plane, tmp_path)
    found.apply(document(3))
    yield found
    plane.kubectl("--namespace", "railyard", "delete", "configmap", MAP)


async def test_a_weight_is_read_back_with_its_hash_and_a_broken_policy_is_found_out(operator):
    with operator.railyard as railyard:
        assert operator.answer("policy")["hash"] == hash_of(3)
        seconds = []
        for weight in (4, 5, 6):
            began = time.monotonic()
            operator.apply(document(weight))
            known = lambda: operator.answer("policy")["hash"] == hash_of(weight)  # noqa: B023, E731
            await operator.until(known, READ_BACK)
            seconds.append(time.monotonic() - began)
        noted("a weight is read back with its hash, seconds", seconds)

        began = time.monotonic()
        operator.apply("profiles: [{name: default, weight: heavy}]")
        await operator.until(lambda: operator.answer("policy")["refused"], FOUND_OUT)
        noted("a broken policy is found out from /v1/policy, seconds", time.monotonic() - began)
        await operator.until(lambda: "PolicyRefused" in described(operator.plane), FOUND_OUT)
        noted("… from kubectl describe configmap, seconds", time.monotonic() - began)
        assert "profiles[0].weight: unknown field" in described(operator.plane)
        refused = operator.answer("policy")
        assert refused["hash"] == hash_of(6)
        assert refused["refused"]["problems"][0]["place"] == "profiles[0].weight"

        railyard.restart(kill=True)
        after = operator.answer("policy")
        assert (after["hash"], after["sourceKind"]) == (hash_of(6), "last-good")
        assert after["refused"]
        operator.apply(document(7))
        await operator.until(lambda: operator.answer("policy")["hash"] == hash_of(7), READ_BACK)
        assert operator.answer("policy")["refused"] is None


def described(plane):
    return plane.kubectl("--namespace", "railyard", "describe", "configmap", MAP)


async def test_a_candidate_is_tried_on_a_thousand_real_requests_and_reported(operator, api):
    await api.create_all(item for n in range(70) for item in machines.plugin(f"node-{n:02}"))
    operator.apply(document(3), shadow_yaml=document(0))
    with operator.railyard as railyard:
        extender = railyard.extender(weight=10)
        with operator.plane.scheduling(configuration.Scheduling(extenders=[extender])):
            await api.create_all(
                fleet.pod(f"pod-{n}", resources={fleet.GPU_RESOURCE: "1"}) for n in range(PODS)
            )
            await api.wait_bound(PODS, patience=PATIENCE)
        calls = sum(
            railyard.metric("railyard_requests_total", {"verb": verb, "code": "200"})
            for verb in ("filter", "prioritize")
        )
        report = operator.answer("shadow")
        text = operator.asks("shadow")
    met = report["judged"] + report["skipped"] + report["unfinished"]
    noted("requests under a candidate in shadow", calls)
    noted("the candidate's report", {k: v for k, v in report.items() if k != "differences"})
    assert calls >= 1000
    assert met >= PODS - 1  # the last decision may still be open
    assert report["judged"] > 0
    assert report["failed"] == 0
    assert "decisions judged" in text


async def test_why_a_pod_is_not_on_a_node_before_and_after_binding(operator, api, gpu_nodes):
    await api.create(fleet.claim_template("four", [fleet.request("g", fleet.GPU_DRIVER, count=4)]))
    await api.create(fleet.claim_template("six", [fleet.request("g", fleet.GPU_DRIVER, count=6)]))
    full = gpu_nodes[0]
    holder = fleet.pod(
        "holder", claim_templates=["four"], nodeSelector={"kubernetes.io/hostname": full}
    )
    with operator.railyard as railyard:
        extender = railyard.extender(weight=100)
        with operator.plane.scheduling(configuration.Scheduling(extenders=[extender])):
            await api.create(holder)
            await api.wait_bound(1, patience=PATIENCE)
        await api.create(fleet.pod("asked", claim_templates=["four"]))
        command = ("why", "default/asked", "--node", full)
        known = lambda: "is waiting" in operator.asks(*command)  # noqa: E731 - a probe
        await operator.until(known, READ_BACK)
        before = operator.asks(*command)
        with operator.plane.scheduling(configuration.Scheduling(extenders=[extender])):
            await api.wait_bound(2, patience=PATIENCE)
            bound = kube_api.node_of(await api.get("Pod", "asked"))
            bound_here = lambda: f"is on {bound}" in operator.asks(*command)  # noqa: E731
            await operator.until(bound_here, READ_BACK)
            after = operator.asks(*command)
            passed = next(name for name in gpu_nodes[1:] if name != bound)
            elsewhere = operator.asks("why", "default/asked", "--node", passed)
    assert bound != full
    for text in (before, after):
        assert "needs 4 GPUs" in text
        assert "if default/holder (4 GPUs" in text
    assert passed in elsewhere
    noted("why, before binding", before)
    noted("why, after binding", after)


async def test_a_canary_answers_for_its_namespace_and_goes_back_without_an_unbound_pod(
    operator, api
):
    await api.create_all(item for n in range(40) for item in machines.plugin(f"node-{n:02}"))
    canary = {"namespaces": ["canaries"], "rollback": {"slowMilliseconds": 1000}}
    operator.apply(document(3), shadow_yaml=document(0, canary=canary))
    tried = hash_of(0)
    with operator.railyard as railyard:
        state = lambda: (operator.answer("shadow")["canary"] or {}).get("state")  # noqa: E731
        await operator.until(lambda: state() == "answering", READ_BACK)
        extender = railyard.extender(weight=10)
        with operator.plane.scheduling(configuration.Scheduling(extenders=[extender])):
            half = CANARY_PODS // 2
            for prefix in ("first", "second"):
                await api.create_all(
                    fleet.pod(
                        f"{prefix}-{n}",
                        namespace="canaries" if n % 2 else "default",
                        resources={fleet.GPU_RESOURCE: "1"},
                    )
                    for n in range(half)
                )
                for namespace in ("default", "canaries"):
                    await all_bound(api, namespace)
                # No call is quick enough for it any more.
                slow = {"namespaces": ["canaries"], "rollback": {"slowMilliseconds": 1e-6}}
                operator.apply(document(3), shadow_yaml=document(0, canary=slow))
                await operator.until(lambda: state() in {"answering", "rolled back"}, READ_BACK)
        decisions = railyard.admin("/v1/decisions?limit=500")["decisions"]
        first = [made for made in decisions if made["pod"]["name"].startswith("first")]
        by = {(made["pod"]["namespace"], made["policy"]) for made in first}
        assert by == {("default", hash_of(3)), ("canaries", tried)}
        assert state() == "rolled back"
        assert any("rolled back" in note for note in railyard.admin("/readyz")["notes"])
        await operator.until(lambda: "CanaryRolledBack" in described(operator.plane), FOUND_OUT)
        assert "CanaryAnswers" in described(operator.plane)
        assert railyard.metric("railyard_fail_open_total") == 0
        noted("canary, last step", operator.answer("shadow")["canary"]["steps"][-1])
    await api.clear("Pod", "canaries")


async def all_bound(api, namespace):
    async with asyncio.timeout(PATIENCE):
        while not all(map(kube_api.node_of, await api.list("Pod", namespace))):  # noqa: ASYNC110 - a probe
            await asyncio.sleep(0.2)
