"""Instance types of clouds: the label that names a node's, and what machines of one have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec

from extender.hardware.catalogue import entry

INSTANCE_TYPE = "node.kubernetes.io/instance-type"
OLD_INSTANCE_TYPE = "beta.kubernetes.io/instance-type"  # before Kubernetes 1.17
LABELS = (INSTANCE_TYPE, OLD_INSTANCE_TYPE)


class InstanceType(entry.CatalogueEntry, frozen=True):
    """What instances of a cloud have: `types` are patterns of the label INSTANCE_TYPE."""

    types: tuple[str, ...]
    product: str
    gpus: Annotated[int, msgspec.Meta(ge=1, le=64)]
    source: str
    vendor: str = "nvidia.com"


def of(labels: Mapping[str, str]) -> str:
    """The node's instance type; empty where no label names it."""
    return labels.get(INSTANCE_TYPE) or labels.get(OLD_INSTANCE_TYPE, "")
