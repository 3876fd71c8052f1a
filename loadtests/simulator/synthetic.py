"""Synthetic clusters: many nodes of a few kinds, partly taken, as API objects of ours."""

from __future__ import annotations

import random

from extender.hardware import allocator_features
from extender.kube.api import objects
from extender.policy import config
from extender.service import assembly

GPU, NIC = "gpu.nvidia.com", "dra.net"
_ROOT = "resource.kubernetes.io/pcieRoot"


def names(count):
    return [f"gpu-h100-r{number // 32:03}-n{number % 32:03}" for number in range(count)]


def node(name):
    allocatable = {"cpu": "192", "memory": "2Ti", "pods": "110"}
    return objects.Node(
        metadata=objects.ObjectMeta(name=name, uid=f"uid-{name}", labels={"zone": name[-1]}),
        status=objects.NodeStatus(allocatable=allocatable),
    )


def slices(name, *, gpus=8, nics=8):
    """One NIC behind the root of each GPU, as on an HGX H100."""
    for driver, prefix, count in ((GPU, "gpu", gpus), (NIC, "nic", nics)):
        devices = tuple(
            objects.Device(
                name=f"{prefix}-{number}",
                attributes={
                    _ROOT: objects.DeviceAttribute(string=f"pci0000:{number:02}"),
                    "type": objects.DeviceAttribute(string=prefix),
                    "uuid": objects.DeviceAttribute(string=f"{name}-{prefix}-{number}"),
                },
            )
            for number in range(count)
        )
        yield objects.ResourceSlice(
            metadata=objects.ObjectMeta(name=f"{name}-{driver}"),
            spec=objects.ResourceSliceSpec(
                driver=driver,
                pool=objects.ResourcePool(name=name, generation=1, resource_slice_count=1),
                node_name=name,
                devices=devices,
            ),
        )


def held(name, devices):
    """A claim that holds these (driver, device) pairs of the node."""
    results = tuple(
        objects.DeviceRequestAllocationResult(request="r", driver=driver, pool=name, device=device)
        for driver, device in devices
    )
    allocation = objects.AllocationResult(devices=objects.DeviceAllocationResult(results=results))
    return objects.ResourceClaim(
        metadata=objects.ObjectMeta(name=f"held-{name}", namespace="default"),
        status=objects.ResourceClaimStatus(allocation=allocation),
    )


def device_class(driver):
    expression = f'device.driver == "{driver}"'
    selector = objects.DeviceSelector(cel=objects.CELDeviceSelector(expression=expression))
    return objects.DeviceClass(
        metadata=objects.ObjectMeta(name=driver),
        spec=objects.DeviceClassSpec(selectors=(selector,)),
    )


def template(name, gpus, nics, *, aligned=True, namespace="default"):
    requests = tuple(
        objects.DeviceRequest(
            name=title,
            exactly=objects.ExactDeviceRequest(
                device_class_name=driver, allocation_mode="ExactCount", count=count
            ),
        )
        for title, driver, count in (("gpu", GPU, gpus), ("nic", NIC, nics))
        if count
    )
    constraints = (objects.DeviceConstraint(match_attribute=_ROOT),) if aligned else ()
    spec = objects.ResourceClaimSpec(
        objects.DeviceClaim(requests=requests, constraints=constraints)
    )
    return objects.ResourceClaimTemplate(
        metadata=objects.ObjectMeta(name=name, namespace=namespace),
        spec=objects.ResourceClaimTemplateSpec(spec=spec),
    )


def pod(name, template_name):
    claim = objects.PodResourceClaim(name="d", resource_claim_template_name=template_name)
    return objects.Pod(
        metadata=objects.ObjectMeta(name=name, namespace="default", uid=f"uid-{name}"),
        spec=objects.PodSpec(
            containers=(objects.Container(name="main"),), resource_claims=(claim,)
        ),
    )


def cluster(count, *, seed=7, share=0.4, node_names=None):
    """An engine over `count` nodes with a random `share` of their GPUs and NICs taken."""
    rng = random.Random(seed)
    judging = assembly.assemble(
        policy=config.DEFAULT,
        features=allocator_features.AllocatorFeatures(),
        hardware=assembly.read_catalogue(),
    )
    apply = judging.store.apply
    for name in node_names or names(count):
        apply("Node", "ADDED", node(name))
        for item in slices(name):
            apply("ResourceSlice", "ADDED", item)
        taken = [
            (driver, f"{prefix}-{number}")
            for driver, prefix in ((GPU, "gpu"), (NIC, "nic"))
            for number in range(8)
            if rng.random() < share
        ]
        apply("ResourceClaim", "ADDED", held(name, taken))
    for driver in (GPU, NIC):
        apply("DeviceClass", "ADDED", device_class(driver))
    for title, gpus, nics, aligned in (
        ("one", 1, 0, False),
        ("pair", 1, 1, True),
        ("two-pairs", 2, 2, False),
        ("four", 4, 0, False),
    ):
        apply("ResourceClaimTemplate", "ADDED", template(title, gpus, nics, aligned=aligned))
    for number in range(40):
        kind = ("one", "pair", "four", "two-pairs")[number % 4]
        apply("Pod", "ADDED", pod(f"seen-{number}", kind))
    judging.settle()
    return judging
