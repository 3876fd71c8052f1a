"""Builders of API objects: a fixture fits on one line, `.obj()` ends it."""

from __future__ import annotations

import msgspec

from extender.kube.api import conversion, objects


class _Builder:
    kind = ""

    def __init__(self, name, namespace=""):
        self.body = {"metadata": {"name": name, "uid": f"uid-{name}"}}
        if namespace:
            self.body["metadata"]["namespace"] = namespace

    def label(self, key, value):
        self.body["metadata"].setdefault("labels", {})[key] = value
        return self

    def annotation(self, key, value):
        self.body["metadata"].setdefault("annotations", {})[key] = value
        return self

    def uid(self, value):
        self.body["metadata"]["uid"] = value
        return self

    def obj(self):
        kind = objects.KINDS[self.kind]
        return conversion.convert_to_v1(msgspec.convert(self.body, kind, strict=False))


class NodeBuilder(_Builder):
    """A Node; `gpus("H100", 8)` adds what a device plug-in and feature discovery publish."""

    kind = "Node"

    def __init__(self, name):
        super().__init__(name)
        self.body["spec"] = {}
        self.body["status"] = {
            "allocatable": {"cpu": "96", "memory": "512Gi", "pods": "110"},
            "conditions": [{"type": "Ready", "status": "True"}],
        }

    def allocatable(self, **amounts):
        self.body["status"]["allocatable"] |= amounts
        return self

    def resource(self, name, count):
        self.body["status"]["allocatable"][name] = str(count)
        return self

    def gpus(self, product, count):
        self.label("nvidia.com/gpu.product", product).label("nvidia.com/gpu.count", str(count))
        return self.resource("nvidia.com/gpu", count)

    def condition(self, name, status="True"):
        self.body["status"]["conditions"].append({"type": name, "status": status})
        return self

    def unschedulable(self):
        self.body["spec"]["unschedulable"] = True
        return self


class PodBuilder(_Builder):
    """A Pod of one container."""

    kind = "Pod"

    def __init__(self, name, namespace="default"):
        super().__init__(name, namespace)
        self.container = {"name": "main", "resources": {"requests": {}}}
        self.body["spec"] = {"containers": [self.container]}
        self.body["status"] = {"phase": "Pending"}

    def request(self, name, amount):
        self.container["resources"]["requests"][name] = str(amount)
        return self

    def gpus(self, count):
        return self.request("nvidia.com/gpu", count)

    def claim(self, name):
        entry = {"name": name, "resourceClaimName": name}
        self.body["spec"].setdefault("resourceClaims", []).append(entry)
        return self

    def template(self, name, *, claim=None):
        entry = {"name": name, "resourceClaimTemplateName": name}
        self.body["spec"].setdefault("resourceClaims", []).append(entry)
        if claim is not None:
            status = {"name": name, "resourceClaimName": claim}
            self.body["status"].setdefault("resourceClaimStatuses", []).append(status)
        return self

    def node(self, name):
        self.body["spec"]["nodeName"] = name
        return self

    def phase(self, value):
        self.body["status"]["phase"] = value
        return self

    def priority(self, value):
        self.body["spec"]["priority"] = value
        return self


class SliceBuilder(_Builder):
    """A ResourceSlice of one pool; `on(node)` makes it local, and the pool the node's own."""

    kind = "ResourceSlice"

    def __init__(self, name, driver="gpu.example.com"):
        super().__init__(name)
        self.spec = {
            "driver": driver,
            "pool": {"name": name, "generation": 1, "resourceSliceCount": 1},
            "devices": [],
        }
        self.body["spec"] = self.spec

    def on(self, node):
        self.spec["nodeName"] = node
        self.spec["pool"]["name"] = node
        return self

    def pool(self, name=None, *, generation=1, slices=1):
        self.spec["pool"] = {
            "name": name or self.spec["pool"]["name"],
            "generation": generation,
            "resourceSliceCount": slices,
        }
        return self

    def everywhere(self):
        self.spec["allNodes"] = True
        return self

    def device(self, name, *, capacity=None, consumes=None, taints=None, multi=False, **attributes):
        """Add a device; attributes are keyword (`pcieRoot="pci0"` becomes the standard name)."""
        body = {"name": name, "attributes": {}}
        for key, value in attributes.items():
            standard = key in {"pcieRoot", "numaNode", "pciBusID"}
            full = f"resource.kubernetes.io/{key}" if standard else key
            body["attributes"][full] = _attribute(value)
        if capacity:
            body["capacity"] = {key: {"value": value} for key, value in capacity.items()}
        if consumes:
            body["consumesCounters"] = [
                {"counterSet": name, "counters": {k: {"value": v} for k, v in counters.items()}}
                for name, counters in consumes.items()
            ]
        if taints:
            body["taints"] = taints
        if multi:
            body["allowMultipleAllocations"] = True
        self.spec["devices"].append(body)
        return self

    def counters(self, **sets):
        self.spec["sharedCounters"] = [
            {"name": name, "counters": {k: {"value": v} for k, v in counters.items()}}
            for name, counters in sets.items()
        ]
        return self


class _RequestsBuilder(_Builder):
    def devices(self):
        raise AssertionError("a claim or a template says where its requests are")

    def request(self, name, device_class, count=1, *, selectors=(), mode="ExactCount", **more):
        exactly = {"deviceClassName": device_class, "allocationMode": mode, **more}
        if mode == "ExactCount":
            exactly["count"] = count
        if selectors:
            exactly["selectors"] = [{"cel": {"expression": text}} for text in selectors]
        self.devices().setdefault("requests", []).append({"name": name, "exactly": exactly})
        return self

    def first_available(self, name, *choices):
        entries = [
            {"name": sub, "deviceClassName": device_class, "count": count}
            for sub, device_class, count in choices
        ]
        self.devices().setdefault("requests", []).append({"name": name, "firstAvailable": entries})
        return self

    def match(self, attribute, *requests):
        entry = {"matchAttribute": attribute, "requests": list(requests)}
        self.devices().setdefault("constraints", []).append(entry)
        return self


class ClaimBuilder(_RequestsBuilder):
    kind = "ResourceClaim"

    def __init__(self, name, namespace="default"):
        super().__init__(name, namespace)
        self.body["spec"] = {"devices": {}}

    def devices(self):
        return self.body["spec"]["devices"]

    def allocated(self, node, *results):
        """Allocate (request, driver, pool, device) tuples on a node."""
        self.body["status"] = {
            "allocation": {
                "devices": {
                    "results": [
                        {"request": request, "driver": driver, "pool": pool, "device": device}
                        for request, driver, pool, device in results
                    ]
                },
                "nodeSelector": {
                    "nodeSelectorTerms": [
                        {
                            "matchFields": [
                                {"key": "metadata.name", "operator": "In", "values": [node]}
                            ]
                        }
                    ]
                },
            }
        }
        return self


class TemplateBuilder(_RequestsBuilder):
    kind = "ResourceClaimTemplate"

    def __init__(self, name, namespace="default"):
        super().__init__(name, namespace)
        self.body["spec"] = {"spec": {"devices": {}}}

    def devices(self):
        return self.body["spec"]["spec"]["devices"]


class ClassBuilder(_Builder):
    kind = "DeviceClass"

    def __init__(self, name, *expressions):
        super().__init__(name)
        self.body["spec"] = {"selectors": [{"cel": {"expression": text}} for text in expressions]}

    def extended_resource(self, name):
        self.body["spec"]["extendedResourceName"] = name
        return self


class TaintRuleBuilder(_Builder):
    kind = "DeviceTaintRule"

    def __init__(self, name, **selector):
        super().__init__(name)
        taint = {"key": "bad", "effect": "NoExecute"}
        self.body["spec"] = {"deviceSelector": selector, "taint": taint}


make_node = NodeBuilder
make_pod = PodBuilder
make_slice = SliceBuilder
make_claim = ClaimBuilder
make_template = TemplateBuilder
make_taint_rule = TaintRuleBuilder


def make_class(name, *expressions):
    """Build a DeviceClass; without expressions it admits the driver of the same name."""
    return ClassBuilder(name, *(expressions or (f'device.driver == "{name}"',)))


def _attribute(value):
    if isinstance(value, dict):
        return value  # as the API writes it: {"version": "1.2.3"}
    if isinstance(value, bool):
        return {"bool": value}
    if isinstance(value, int):
        return {"int": value}
    return {"string": value}
