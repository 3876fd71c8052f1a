"""API objects for a fleet without machines: nodes, slices of GPUs and NICs, claims and pods.

Plain dicts in the API's own form. `resource.k8s.io/v1` is served by every version built here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Object = dict[str, Any]

DRA_API = "resource.k8s.io/v1"
GPU_DRIVER, NIC_DRIVER = "gpu.nvidia.com", "dra.net"
PCIE_ROOT = "resource.kubernetes.io/pcieRoot"
GPU_RESOURCE = "nvidia.com/gpu"


def node(
    name: str,
    *,
    resources: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Object:
    """Return a ready node with 64 CPUs, 256 GiB, room for 110 pods, and these resources."""
    allocatable = {"cpu": "64", "memory": "256Gi", "pods": "110", **(resources or {})}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/hostname": name, **(labels or {})},
            "annotations": dict(annotations or {}),
        },
        "status": {
            "allocatable": allocatable,
            "capacity": allocatable,
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
        },
    }


def device(name: str, *, attributes: Mapping[str, Any], **fields: Any) -> Object:
    """Return a device of a slice; attributes are Python values, typed for the API here."""
    return {
        "name": name,
        "attributes": {key: _attribute(value) for key, value in attributes.items()},
        **fields,
    }


def gpus(roots: Sequence[str], *, product: str = "H100", **attributes: Any) -> list[Object]:
    """Return one whole GPU per PCIe root named, gpu-0 first."""
    return [
        device(
            f"gpu-{number}",
            attributes={"type": "gpu", "productName": product, PCIE_ROOT: root, **attributes},
            capacity={"memory": {"value": "80Gi"}},
        )
        for number, root in enumerate(roots)
    ]


def nics(roots: Sequence[str], **attributes: Any) -> list[Object]:
    """Return one RDMA network card per PCIe root named, nic-0 first."""
    return [
        device(f"nic-{number}", attributes={"dra.net/rdma": True, PCIE_ROOT: root, **attributes})
        for number, root in enumerate(roots)
    ]


def resource_slice(node_name: str, driver: str, devices: Sequence[Object], **spec: Any) -> Object:
    """Return the one slice of a node's pool of this driver; `spec` overrides or adds fields."""
    return {
        "apiVersion": DRA_API,
        "kind": "ResourceSlice",
        "metadata": {"name": f"{node_name}-{driver}"},
        "spec": {
            "driver": driver,
            "nodeName": node_name,
            "pool": {"name": node_name, "generation": 1, "resourceSliceCount": 1},
            "devices": list(devices),
            **spec,
        },
    }


def device_class(name: str, *expressions: str, **spec: Any) -> Object:
    selectors = [{"cel": {"expression": expression}} for expression in expressions]
    return {
        "apiVersion": DRA_API,
        "kind": "DeviceClass",
        "metadata": {"name": name},
        "spec": {"selectors": selectors, **spec},
    }


def gpu_class() -> Object:
    return device_class(GPU_DRIVER, f"device.driver == '{GPU_DRIVER}'")


def nic_class() -> Object:
    return device_class(NIC_DRIVER, f"device.driver == '{NIC_DRIVER}'")


def request(name: str, class_name: str, *expressions: str, **exactly: Any) -> Object:
    """Return an exact request; without `count` or `allocationMode` it is for one device."""
    exactly = {"deviceClassName": class_name, **exactly}
    if expressions:
        exactly["selectors"] = [{"cel": {"expression": expression}} for expression in expressions]
    return {"name": name, "exactly": exactly}


def claim_template(
    name: str,
    requests: Sequence[Object],
    *,
    constraints: Sequence[Object] = (),
    namespace: str = "default",
) -> Object:
    devices = {"requests": list(requests), "constraints": list(constraints)}
    return {
        "apiVersion": DRA_API,
        "kind": "ResourceClaimTemplate",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"spec": {"devices": devices}},
    }


def gpu_with_near_nic(name: str = "gpu-near-nic", *, namespace: str = "default") -> Object:
    """Return the template of one GPU and one network card below the same PCIe root."""
    return claim_template(
        name,
        [request("gpu", GPU_DRIVER), request("nic", NIC_DRIVER)],
        constraints=[{"requests": ["gpu", "nic"], "matchAttribute": PCIE_ROOT}],
        namespace=namespace,
    )


def pod(
    name: str,
    *,
    namespace: str = "default",
    resources: Mapping[str, str] | None = None,
    claim_templates: Sequence[str] = (),
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    **spec: Any,
) -> Object:
    """Return a pod with one container that uses all these resources and claims."""
    # Extended resources must be limits as well as requests, so all are.
    quantities = {"cpu": "100m", "memory": "64Mi", **(resources or {})}
    container: Object = {
        "name": "main",
        "image": "registry.k8s.io/pause:3.10",
        "resources": {"requests": quantities, "limits": quantities},
    }
    claims = [
        {"name": f"claim-{number}", "resourceClaimTemplateName": template}
        for number, template in enumerate(claim_templates)
    ]
    if claims:
        container["resources"]["claims"] = [{"name": claim["name"]} for claim in claims]
        spec["resourceClaims"] = claims
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": dict(labels or {}),
            "annotations": dict(annotations or {}),
        },
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0, **spec},
    }


def priority_class(name: str, value: int) -> Object:
    return {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": name},
        "value": value,
    }


def namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def allocated_devices(claim: Object) -> list[tuple[str, str, str, str]]:
    """Return (request, driver, pool, device) of every result of a claim, in the API's order."""
    allocation = claim.get("status", {}).get("allocation") or {}
    results = (allocation.get("devices") or {}).get("results") or []
    return [
        (result["request"], result["driver"], result["pool"], result["device"])
        for result in results
    ]


def _attribute(value: Any) -> Object:
    # bool first: Python's True is an int as well.
    if isinstance(value, bool):
        return {"bool": value}
    if isinstance(value, int):
        return {"int": value}
    return {"string": str(value)}
