"""What of an object may leave a cluster: what Railyard reads, and nothing else.

The types of `kube.api.objects` hold neither environment values nor arguments, images, commands,
Secrets or volumes' contents, so an object that was read as one has none. What remains are
annotations, of which those on the list below stay.
"""

from __future__ import annotations

import msgspec

from extender.cluster import relevant_fields
from extender.cluster.pods import bound_pods
from extender.demand import gang
from extender.hardware.catalogue import label_evidence
from extender.kube.api import objects
from extender.policy import profile

# Annotations whose values are read; of others even the name goes.
POD_ANNOTATIONS = frozenset(
    {bound_pods.DEVICES_ANNOTATION, profile.LOCALITY_ANNOTATION, *gang.ANNOTATIONS}
)
NODE_ANNOTATIONS = frozenset(label_evidence.REGISTERS)


def redacted(item: objects.Object) -> objects.Object | None:
    """The object with what is read of it; None for kinds that hold other people's texts."""
    if isinstance(item, objects.ConfigMap):
        return None
    allowed: frozenset[str] = frozenset()
    if isinstance(item, objects.Pod):
        if item.status.phase in relevant_fields.FINISHED:
            return None  # it holds nothing, and nothing is read of it
        allowed = POD_ANNOTATIONS
    elif isinstance(item, objects.Node):
        allowed = NODE_ANNOTATIONS
    if isinstance(item, objects.ResourceClaimTemplate):
        # What its claims are given: their annotations are nobody's business here, either.
        inner = msgspec.structs.replace(
            item.spec, metadata=_with_annotations(item.spec.metadata, allowed)
        )
        item = msgspec.structs.replace(item, spec=inner)
    return msgspec.structs.replace(item, metadata=_with_annotations(item.metadata, allowed))


def _with_annotations(meta: objects.ObjectMeta, allowed: frozenset[str]) -> objects.ObjectMeta:
    """The metadata with these annotations alone."""
    annotations = meta.annotations or {}
    kept = {name: text for name, text in annotations.items() if name in allowed}
    return msgspec.structs.replace(meta, annotations=kept or None)
