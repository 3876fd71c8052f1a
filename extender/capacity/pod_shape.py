"""A pod of a shape, such as `nvidia.com/gpu=8,cpu=32`, or one like a pod that is given.

A name with a `/` is an extended resource, `cpu`, `memory` and `ephemeral-storage` are themselves,
any other name is a DeviceClass: so many devices of it are requested by a claim of the pod's own.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable

import msgspec

from extender import errors
from extender.demand import claims
from extender.kube.api import objects, quantity

_UID = "railyard-capacity"  # of a pod that nobody has: nothing is remembered of it by name
_CLAIM = "devices"
_AMOUNTS = frozenset({"cpu", "memory", "ephemeral-storage"})
_CLASS_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_RESOURCE_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,251}/[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_MOST_DEVICES = 1024  # of one name in a shape: no machine has as many
_MOST_PARTS = 16
_FORM = "a shape is NAME=COUNT[,NAME=COUNT…], such as nvidia.com/gpu=8,cpu=32"


@dataclasses.dataclass(frozen=True, slots=True)
class PodShape:
    """What is counted: a pod that is not there yet, with the claims it would have.

    `extra` are claims and templates, by namespace and name, that the cluster need not have.
    """

    title: str
    pod: objects.Pod
    extra: Extra
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Extra:
    """Claims and templates that stand before those of the cluster."""

    claims: dict[tuple[str, str], objects.ResourceClaim]  # (namespace, name) → claim
    templates: dict[tuple[str, str], objects.ResourceClaimTemplate]


class Unallocated:
    """Claims as they were before anything was allocated: each further pod needs its own."""

    def __init__(self, extra: Extra, known: claims.Claims) -> None:
        self._extra = extra
        self._known = known

    def claim(self, namespace: str, name: str) -> objects.ResourceClaim | None:
        found = self._extra.claims.get((namespace, name)) or self._known.claim(namespace, name)
        if found is None or found.status.allocation is None:
            return found
        # Another version: what is remembered of the allocated one is not asked.
        meta = msgspec.structs.replace(found.metadata, resource_version="")
        return msgspec.structs.replace(found, metadata=meta, status=objects.ResourceClaimStatus())

    def template(self, namespace: str, name: str) -> objects.ResourceClaimTemplate | None:
        key = (namespace, name)
        return self._extra.templates.get(key) or self._known.template(namespace, name)


def parse(text: str) -> PodShape:
    """Read a shape; ConfigError says what of it cannot be read."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    amounts: dict[str, str] = {}
    devices: dict[str, int] = {}  # DeviceClass → how many
    problems = [(text or "''", _FORM)] if not parts or len(parts) > _MOST_PARTS else []
    for part in parts[:_MOST_PARTS]:
        name, _, count = (piece.strip() for piece in part.partition("="))
        if name in amounts or name in devices:
            problems.append((part, f"{name} stands there twice"))
        elif problem := _problem(name, count):
            problems.append((part, problem))
        elif name in _AMOUNTS or "/" in name:
            amounts[name] = count
        else:
            devices[name] = int(count)
    if problems:
        raise errors.ConfigError("the shape cannot be read", problems)
    return _made(",".join(parts), amounts, devices)


def like(pod: objects.Pod, others: Iterable[objects.Object] = (), *, title: str = "") -> PodShape:
    """A pod like this one that has no node yet; `others` are its claims and templates."""
    namespace = pod.metadata.namespace or "default"
    extra = Extra({}, {})
    for item in others:
        key = (item.metadata.namespace or namespace, item.metadata.name)
        if isinstance(item, objects.ResourceClaim):
            extra.claims[key] = item
        elif isinstance(item, objects.ResourceClaimTemplate):
            extra.templates[key] = item
    named = [r.resource_claim_name for r in pod.spec.resource_claims or () if r.resource_claim_name]
    notes: tuple[str, ...] = ()
    if named:
        notes = (f"each pod is counted with a claim of its own like {', '.join(sorted(named))}",)
    meta = msgspec.structs.replace(pod.metadata, uid=_UID, namespace=namespace)
    spec = msgspec.structs.replace(pod.spec, node_name="")
    pod = msgspec.structs.replace(pod, metadata=meta, spec=spec, status=objects.PodStatus())
    return PodShape(title or f"pods like {namespace}/{meta.name}", pod, extra, notes)


def _problem(name: str, count: str) -> str:
    if not name or not count:
        return _FORM
    if name in _AMOUNTS:
        try:
            amount = quantity.whole(count) if name != "cpu" else quantity.milli(count)
        except ValueError as error:
            return str(error)
        return "" if amount > 0 else f"{count} is not above 0"
    valid = _RESOURCE_NAME if "/" in name else _CLASS_NAME
    if not valid.fullmatch(name):
        return f"{name!r} is neither a resource nor a DeviceClass; {_FORM}"
    if not count.isascii() or not count.isdecimal() or not 0 < int(count[:9]) <= _MOST_DEVICES:
        return f"{count} is no whole number from 1 to {_MOST_DEVICES}"
    return ""


def _made(title: str, amounts: dict[str, str], devices: dict[str, int]) -> PodShape:
    # A limit without a request is a request; extended resources must have both.
    resources = objects.ResourceRequirements(requests=dict(amounts), limits=dict(amounts))
    container = objects.Container(name="main", resources=resources)
    extra = Extra({}, {})
    reference = None
    if devices:
        reference = objects.PodResourceClaim(name=_CLAIM, resource_claim_template_name=_CLAIM)
        extra.templates["default", _CLAIM] = _template(devices)
    pod = objects.Pod(
        metadata=objects.ObjectMeta(name="capacity", namespace="default", uid=_UID),
        spec=objects.PodSpec(
            containers=(container,), resource_claims=(reference,) if reference else None
        ),
    )
    return PodShape(title, pod, extra)


def _template(devices: dict[str, int]) -> objects.ResourceClaimTemplate:
    requests = tuple(
        objects.DeviceRequest(
            name=f"r{number}",
            exactly=objects.ExactDeviceRequest(
                device_class_name=name, allocation_mode="ExactCount", count=count
            ),
        )
        for number, (name, count) in enumerate(devices.items())
    )
    spec = objects.ResourceClaimSpec(objects.DeviceClaim(requests=requests))
    return objects.ResourceClaimTemplate(
        metadata=objects.ObjectMeta(name=_CLAIM, namespace="default"),
        spec=objects.ResourceClaimTemplateSpec(spec=spec),
    )
