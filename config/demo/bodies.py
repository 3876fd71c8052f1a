"""API objects of the demo cluster, in few words: nodes, slices, classes, claims, pods."""
# ruff: noqa: INP001  (a script; the folder ships as data)

from __future__ import annotations

import copy
import hashlib
import uuid
from collections.abc import Sequence
from typing import Any, TypeAlias

Body: TypeAlias = dict[str, Any]  # an object of the API
Held: TypeAlias = tuple[str, str, str]  # (request, driver, device)

RESOURCE = "resource.k8s.io/v1"


def digest(*parts: str) -> str:
    return hashlib.sha256("/".join(parts).encode()).hexdigest()


def uid(*parts: str) -> str:
    return str(uuid.UUID(digest(*parts)[:32]))


def node(name: str, cpu: int, memory: str, labels: Body, **resources: str) -> Body:
    offered = {"cpu": str(cpu), "memory": memory, "pods": "110"} | {
        key.replace("__", "/").replace("_", "."): amount for key, amount in resources.items()
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "uid": uid("node", name),
            "labels": {"kubernetes.io/hostname": name} | labels,
        },
        "spec": {"providerID": f"demo:///{name}"},
        "status": {
            "allocatable": offered,
            "capacity": offered,
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
        },
    }


def cloud(instance_type: str, zone: str, **more: str) -> Body:
    return {
        "node.kubernetes.io/instance-type": instance_type,
        "topology.kubernetes.io/zone": zone,
    } | {f"nvidia.com/{key.replace('_', '.')}": value for key, value in more.items()}


def resource_slice(name: str, driver: str, on: str, spec: Body, *, of: int = 1) -> Body:
    pool = {"name": on, "generation": 1, "resourceSliceCount": of}
    return {
        "apiVersion": RESOURCE,
        "kind": "ResourceSlice",
        "metadata": {"name": name, "uid": uid("slice", name)},
        "spec": {"driver": driver, "nodeName": on, "pool": pool} | spec,
    }


def device_class(name: str, expression: str, resource: str = "") -> Body:
    spec: Body = {"selectors": [{"cel": {"expression": expression}}]}
    if resource:
        spec["extendedResourceName"] = resource
    return {
        "apiVersion": RESOURCE,
        "kind": "DeviceClass",
        "metadata": {"name": name, "creationTimestamp": "2026-03-02T08:00:00Z"},
        "spec": spec,
    }


def request(name: str, device_class_name: str, count: int = 1, selector: str = "") -> Body:
    exactly: Body = {"deviceClassName": device_class_name, "count": count}
    if selector:
        exactly["selectors"] = [{"cel": {"expression": selector}}]
    return {"name": name, "exactly": exactly}


def template(name: str, *requests: Body, match: str = "") -> Body:
    devices: Body = {"requests": list(requests)}
    if match:
        names = [one["name"] for one in requests]
        devices["constraints"] = [{"requests": names, "matchAttribute": match}]
    return {
        "apiVersion": RESOURCE,
        "kind": "ResourceClaimTemplate",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"spec": {"devices": devices}},
    }


def pod(name: str, on: str = "", **resources: str) -> Body:
    amounts = {key.replace("__", "/").replace("_", "."): value for key, value in resources.items()}
    limits = {key: value for key, value in amounts.items() if "/" in key}
    main = {"name": "main", "image": "registry.example.com/work:1"}
    spec: Body = {
        "containers": [main | {"resources": {"requests": amounts, "limits": limits}}],
        "schedulerName": "default-scheduler",
    }
    if on:
        spec["nodeName"] = on
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": uid("pod", name),
            "creationTimestamp": "2026-11-20T10:00:00Z",
        },
        "spec": spec,
        "status": {"phase": "Running" if on else "Pending"},
    }


def with_claim(body: Body, of: Body, held: Sequence[Held] = ()) -> tuple[Body, Body]:
    """The pod with a claim generated from the template, and the claim, allocated where held."""
    name = body["metadata"]["name"]
    claim_name = f"{name}-devices-{digest(name)[:5]}"
    body["spec"]["resourceClaims"] = [
        {"name": "devices", "resourceClaimTemplateName": of["metadata"]["name"]}
    ]
    body["spec"]["containers"][0]["resources"]["claims"] = [{"name": "devices"}]
    body["status"]["resourceClaimStatuses"] = [{"name": "devices", "resourceClaimName": claim_name}]
    owner = {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": body["metadata"]["uid"]}
    claim: Body = {
        "apiVersion": RESOURCE,
        "kind": "ResourceClaim",
        "metadata": {
            "name": claim_name,
            "namespace": "default",
            "uid": uid("claim", name),
            "annotations": {"resource.kubernetes.io/pod-claim-name": "devices"},
            "ownerReferences": [owner | {"controller": True, "blockOwnerDeletion": True}],
        },
        "spec": copy.deepcopy(of["spec"]["spec"]),
    }
    if held:
        claim["status"] = _status(body, held)
    return body, claim


def _status(body: Body, held: Sequence[Held]) -> Body:
    on = body["spec"]["nodeName"]
    by_name = {"key": "metadata.name", "operator": "In", "values": [on]}
    metadata = body["metadata"]
    return {
        "allocation": {
            "devices": {
                "results": [
                    {"request": one, "driver": driver, "pool": on, "device": device}
                    for one, driver, device in held
                ]
            },
            "nodeSelector": {"nodeSelectorTerms": [{"matchFields": [by_name]}]},
        },
        "reservedFor": [{"resource": "pods", "name": metadata["name"], "uid": metadata["uid"]}],
    }
