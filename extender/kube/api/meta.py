"""What all API objects are made of: metadata, Go's integers, quantities, node selectors.

Field names are the API's, in Python's spelling (`nodeName` → `node_name`). Unknown fields are
skipped by the decoder, so that newer API servers do no harm. Every list or map may also arrive as
null (Go prints nil so); `decoding` and the snapshot reader accept both.

Sources: k8s.io/apimachinery meta/v1, k8s.io/api core/v1.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

# Go's types: a number beyond them is refused there, and so here.
Int32: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
Int64: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]

Quantity: TypeAlias = str | int | float
Quantities: TypeAlias = dict[str, Quantity]  # resource name → quantity


class Struct(msgspec.Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """A piece of an API object."""


class OwnerReference(Struct, frozen=True):
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None


class ObjectMeta(Struct, frozen=True):
    name: str = ""
    namespace: str = ""
    generate_name: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: Int64 = 0
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: tuple[OwnerReference, ...] | None = None


class NodeSelectorRequirement(Struct, frozen=True):
    key: str = ""
    operator: str = ""
    values: tuple[str, ...] | None = None


class NodeSelectorTerm(Struct, frozen=True):
    match_expressions: tuple[NodeSelectorRequirement, ...] | None = None
    match_fields: tuple[NodeSelectorRequirement, ...] | None = None


class NodeSelector(Struct, frozen=True):
    node_selector_terms: tuple[NodeSelectorTerm, ...] | None = None
