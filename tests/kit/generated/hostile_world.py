"""A small cluster in JSON in which one object of each kind has every field that is read.

Those objects are the odd ones: they concern the node `odd` and the driver odd.example.com. Whatever
they hold, verdicts on the pods of everybody else stay as they are, on every node but `odd`.
"""

from __future__ import annotations

GPU, ODD = "gpu.example.com", "odd.example.com"
_META = {
    "uid": "uid-odd", "resourceVersion": "7", "generation": 3, "generateName": "odd-",
    "creationTimestamp": "2026-01-01T00:00:00Z", "deletionTimestamp": "2026-01-02T00:00:00Z",
    "labels": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "nvidia.com/gpu.count": "8",
               "nvidia.com/gpu.replicas": "1", "nvidia.com/mig.strategy": "single", "zone": "7",
               "scheduling.x-k8s.io/pod-group": "gang", "kubernetes.io/hostname": "odd"},
    "annotations": {"railyard.dev/devices": "nvidia.com/gpu=0,1", "pod-group-name": "gang",
                    "railyard.dev/locality": "required"},
    "ownerReferences": [{"kind": "Job", "name": "j", "uid": "u", "controller": True}],
}  # fmt: skip
_SELECTOR = {"nodeSelectorTerms": [{
    "matchExpressions": [{"key": "zone", "operator": "Gt", "values": ["3"]}],
    "matchFields": [{"key": "metadata.name", "operator": "In", "values": ["odd"]}],
}]}  # fmt: skip
_TAINT = {"key": "k", "value": "v", "effect": "NoSchedule", "timeAdded": "2026-01-01T00:00:00Z"}
_TOLERATIONS = [{"key": "k", "operator": "Exists", "value": "", "effect": "NoSchedule"}]
_AMOUNTS = {"cpu": "4", "memory": "8Gi", "nvidia.com/gpu": "2"}
_RESOURCES = {"limits": {"cpu": "8", "nvidia.com/gpu": "2"}, "requests": dict(_AMOUNTS)}
_CEL = [{"cel": {"expression": f"device.driver == '{ODD}'"}}]


def _meta(name, namespace=""):
    return {"name": name, **({"namespace": namespace} if namespace else {}), **_META}


def _exactly(**more):
    return {
        "deviceClassName": "odd", "selectors": _CEL, "allocationMode": "ExactCount", "count": 1,
        "tolerations": _TOLERATIONS, "capacity": {"requests": {"memory": "10Gi"}}, **more,
    }  # fmt: skip


def _requests():
    return {
        "requests": [
            {"name": "a", "exactly": _exactly(adminAccess=False)},
            {"name": "b", "firstAvailable": [{"name": "c", **_exactly()}]},
            {"name": "old", **_exactly(adminAccess=False)},
        ],
        "constraints": [
            {"requests": ["a", "old"], "matchAttribute": "resource.kubernetes.io/pcieRoot"},
            {"requests": ["a", "b"], "distinctAttribute": f"{ODD}/index"},
        ],
    }


def _device(name):
    return {
        "attributes": {
            "index": {"int": 3}, "type": {"string": "gpu"}, "ok": {"bool": True},
            "driverVersion": {"version": "1.2.3"}, "resource.kubernetes.io/numaNode": {"ints": [0]},
            "resource.kubernetes.io/pcieRoot": {"strings": ["pci0000:00"]},
            "flags": {"bools": [True]},
            "versions": {"versions": ["1.0.0"]}, "uuid": {"string": name},
            "resource.kubernetes.io/pciBusID": {"string": "0000:01:00.0"}, "partition2": {"int": 1},
        },
        "capacity": {"memory": {"value": "80Gi", "requestPolicy": {
            "default": "1Gi", "validValues": ["1Gi", "2Gi"],
            "validRange": {"min": "1Gi", "max": "80Gi", "step": "1Gi"}}}},
        "consumesCounters": [{"counterSet": "set", "counters": {"slices": {"value": "1"}}}],
        "nodeName": "odd", "nodeSelector": _SELECTOR, "allNodes": False, "taints": [_TAINT],
        "bindsToNode": True, "bindingConditions": ["ready"], "bindingFailureConditions": ["broken"],
        "allowMultipleAllocations": True,
    }  # fmt: skip


def _pod():
    container = {
        "name": "main", "resources": _RESOURCES, "restartPolicy": "Always",
        "ports": [{"hostPort": 80}],
    }  # fmt: skip
    term = {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "zone"}]}
    claim = {
        "name": "c", "resourceClaimName": "odd", "resourceClaimTemplateName": "odd",
        "podGroupResourceClaim": "odd", "source": {},
    }  # fmt: skip
    wanted = {"key": "zone", "operator": "In", "values": ["7"]}
    nodes = {"matchExpressions": [wanted], "matchFields": [wanted]}
    required = {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [nodes]},
    }  # fmt: skip
    return {
        "metadata": _meta("odd", "ml"),
        "spec": {
            "nodeName": "odd", "schedulerName": "default-scheduler", "priority": 7,
            "priorityClassName": "high", "preemptionPolicy": "Never", "runtimeClassName": "kata",
            "nodeSelector": {"zone": "7"}, "containers": [container], "initContainers": [container],
            "resources": {"limits": {"cpu": "9"}, "requests": {"cpu": "9"}},
            "overhead": {"cpu": "100m"}, "resourceClaims": [claim], "tolerations": _TOLERATIONS,
            "schedulingGroup": {"podGroupName": "gang"},
            "affinity": {
                "nodeAffinity": required, "podAffinity": term, "podAntiAffinity": term,
            },
            "topologySpreadConstraints": [{"whenUnsatisfiable": "DoNotSchedule"}],
            "volumes": [{"persistentVolumeClaim": {"claimName": "v"}, "ephemeral": {}}],
            "workloadRef": {"name": "w", "podGroup": "g", "podGroupReplicaKey": "0"},
        },
        "status": {
            "startTime": "2026-01-01T00:00:00Z", "phase": "Pending", "nominatedNodeName": "odd",
            "resourceClaimStatuses": [{"name": "c", "resourceClaimName": "odd"}],
            "extendedResourceClaimStatus": {"resourceClaimName": "odd"},
        },
    }  # fmt: skip


def _claim():
    result = {
        "request": "a", "driver": ODD, "pool": "odd", "device": "d0", "adminAccess": False,
        "shareID": "s", "consumedCapacity": {"memory": "1Gi"},
    }  # fmt: skip
    user = {"apiGroup": "", "resource": "pods", "name": "odd", "uid": "uid-odd"}
    allocation = {"devices": {"results": [result, {**result, "shareID": "t", "device": "d1"}]}}
    return {
        "metadata": _meta("odd", "ml"),
        "spec": {"devices": _requests()},
        "status": {"allocation": {**allocation, "nodeSelector": _SELECTOR}, "reservedFor": [user]},
    }


def odd():
    """Kind → the odd object of that kind, with every field that is read."""
    slice_spec = {
        "driver": ODD, "pool": {"name": "odd", "generation": 1, "resourceSliceCount": 1},
        "nodeName": "odd", "nodeSelector": _SELECTOR, "allNodes": False,
        "perDeviceNodeSelection": False,
        "devices": [{"name": "d0", **_device("d0")}, {"name": "d1", "basic": _device("d1")}],
        "sharedCounters": [{"name": "set", "counters": {"slices": {"value": "7"}}}],
    }  # fmt: skip
    rule = {"deviceSelector": {"driver": ODD, "pool": "odd", "device": "d0"}, "taint": _TAINT}
    zone = {"name": "node-0", "type": "Node", "resources": [
        {"name": "nvidia.com/gpu", "capacity": "8", "allocatable": "8",
         "available": "6"}]}  # fmt: skip
    amounts = {**_AMOUNTS, "nvidia.com/gpu": "8", "rdma/hca": "4", "nvidia.com/mig-1g.5gb": "7"}
    return {
        "Node": {
            "metadata": _meta("odd"),
            "spec": {"unschedulable": False, "providerID": "p", "taints": [_TAINT]},
            "status": {
                "allocatable": amounts, "capacity": amounts,
                "conditions": [{"type": "Ready", "status": "True", "reason": "r"}],
            },
        },
        "Pod": _pod(),
        "ResourceSlice": {"metadata": _meta("odd"), "spec": slice_spec},
        "ResourceClaim": _claim(),
        "ResourceClaimTemplate": {
            "metadata": _meta("odd", "ml"),
            "spec": {"metadata": _META, "spec": {"devices": _requests()}},
        },
        "DeviceClass": {
            "metadata": _meta("odd"),
            "spec": {"selectors": _CEL, "extendedResourceName": "example.com/odd"},
        },
        "DeviceTaintRule": {"metadata": _meta("odd"), "spec": rule},
        "NodeResourceTopology": {
            "metadata": _meta("odd"), "zones": [zone, {**zone, "name": "node-1"}]},
    }  # fmt: skip


def others():
    """(kind, object) of everybody else: two kinds of machine, pods and claims on them."""
    for name in ("plugin-0", "plugin-1"):
        labels = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "nvidia.com/gpu.count": "8"}
        amounts = {"cpu": "96", "memory": "512Gi", "nvidia.com/gpu": "8"}
        status = {"allocatable": amounts, "capacity": amounts}
        yield "Node", {"metadata": {"name": name, "labels": labels}, "status": status}
    for name in ("dra-0", "dra-1"):
        amounts = {"cpu": "96", "memory": "512Gi"}
        yield "Node", {"metadata": {"name": name}, "status": {"allocatable": amounts}}
        devices = [{"name": f"gpu-{n}", "attributes": {"index": {"int": n}}} for n in range(4)]
        pool = {"name": name, "generation": 1, "resourceSliceCount": 1}
        spec = {"driver": GPU, "pool": pool, "nodeName": name, "devices": devices}
        yield "ResourceSlice", {"metadata": {"name": f"slice-{name}"}, "spec": spec}
    selector = {"cel": {"expression": f"device.driver == '{GPU}'"}}
    yield "DeviceClass", {"metadata": {"name": GPU}, "spec": {"selectors": [selector]}}
    exactly = {"deviceClassName": GPU, "allocationMode": "ExactCount", "count": 3}
    wanted = {"devices": {"requests": [{"name": "gpu", "exactly": exactly}]}}
    held = [
        {"request": "gpu", "driver": GPU, "pool": "dra-0", "device": f"gpu-{n}"} for n in (0, 1)
    ]
    meta = {"name": "held", "namespace": "ml"}
    status = {"allocation": {"devices": {"results": held}}}
    yield "ResourceClaim", {"metadata": meta, "spec": wanted, "status": status}
    yield "ResourceClaim", {"metadata": {"name": "wanted", "namespace": "ml"}, "spec": wanted}
    yield "Pod", pod("holder", uid="h", gpus="4", node="plugin-0")


def asked():
    """The pods of everybody else that are asked about: through a plug-in, and by a claim."""
    claim = pod("claiming", uid="c")
    claim["spec"]["resourceClaims"] = [{"name": "gpu", "resourceClaimName": "wanted"}]
    return [pod("plain", uid="p", gpus="6"), claim, pod("cpu", uid="u")]


def pod(name, *, uid, gpus="", node=""):
    amounts = {"cpu": "1", **({"nvidia.com/gpu": gpus} if gpus else {})}
    spec = {"nodeName": node, "containers": [{"name": "m", "resources": {"requests": amounts}}]}
    return {"metadata": {"name": name, "namespace": "ml", "uid": uid}, "spec": spec}
