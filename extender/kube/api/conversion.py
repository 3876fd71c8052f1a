"""From older forms of resource.k8s.io to that of v1, the one that everything else reads.

v1alpha3 and v1beta1 have a device's fields one level lower, under `basic`, and a request's fields
on the request itself.
"""

from __future__ import annotations

import msgspec

from extender.kube.api import objects


def convert_to_v1(value: objects.Object) -> objects.Object:
    """The object in the shape of resource.k8s.io/v1: `basic` and inline requests are lifted."""
    if isinstance(value, objects.ResourceSlice):
        return _slice(value)
    if isinstance(value, objects.ResourceClaim):
        spec = _claim(value.spec)
        return value if spec is value.spec else msgspec.structs.replace(value, spec=spec)
    if isinstance(value, objects.ResourceClaimTemplate):
        spec = _claim(value.spec.spec)
        if spec is value.spec.spec:
            return value
        return msgspec.structs.replace(value, spec=msgspec.structs.replace(value.spec, spec=spec))
    return value


def _slice(value: objects.ResourceSlice) -> objects.ResourceSlice:
    devices = value.spec.devices or ()
    if not any(device.basic is not None for device in devices):
        return value
    lifted = tuple(
        device
        if device.basic is None
        else objects.Device(name=device.name, **msgspec.structs.asdict(device.basic))
        for device in devices
    )
    return msgspec.structs.replace(value, spec=msgspec.structs.replace(value.spec, devices=lifted))


def _claim(spec: objects.ResourceClaimSpec) -> objects.ResourceClaimSpec:
    requests = spec.devices.requests or ()
    if not any(request.device_class_name and request.exactly is None for request in requests):
        return spec
    lifted = tuple(_request(request) for request in requests)
    devices = msgspec.structs.replace(spec.devices, requests=lifted)
    return msgspec.structs.replace(spec, devices=devices)


def _request(request: objects.DeviceRequest) -> objects.DeviceRequest:
    if request.exactly is not None or not request.device_class_name:
        return request
    fields = {name: getattr(request, name) for name in objects.ExactDeviceRequest.__struct_fields__}
    return objects.DeviceRequest(name=request.name, exactly=objects.ExactDeviceRequest(**fields))
