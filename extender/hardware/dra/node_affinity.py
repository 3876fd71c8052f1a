"""Whether a node is meant by a ResourceSlice or a device: by name, by selector, or all nodes.

Source: k8s.io/component-helpers scheduling/corev1/nodeaffinity.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from extender.kube.api import objects

_NAME_FIELD = "metadata.name"
# Beyond so many digits a text is no int64, whatever zeros it begins with, to anybody who means it.
_INTEGER = re.compile(r"[+-]?[0-9]{1,64}", re.ASCII)


def admits(
    node_name: str,
    node_labels: Mapping[str, str],
    *,
    name: str | None,
    selector: objects.NodeSelector | None,
    everywhere: bool | None,
) -> bool:
    """Whether a slice or device with this node name, selector or allNodes is for the node.

    The first that is set decides, in the allocator's order: name, allNodes, selector.
    """
    if name:
        return name == node_name
    if everywhere:
        return True
    return selector is not None and matches(selector, node_name, node_labels)


def matches(selector: objects.NodeSelector, node_name: str, node_labels: Mapping[str, str]) -> bool:
    """Whether some term of the selector matches; an empty term matches nothing."""
    return any(
        _term(term, node_name, node_labels)
        for term in selector.node_selector_terms or ()
        if term.match_expressions or term.match_fields
    )


def _term(term: objects.NodeSelectorTerm, name: str, labels: Mapping[str, str]) -> bool:
    fields = {_NAME_FIELD: name}
    return all(_holds(r, labels) for r in term.match_expressions or ()) and all(
        r.key == _NAME_FIELD and _holds(r, fields) for r in term.match_fields or ()
    )


def _holds(requirement: objects.NodeSelectorRequirement, labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement.key)
    wanted = requirement.values or ()
    match requirement.operator:
        case "In":
            return value is not None and value in wanted
        case "NotIn":
            return value is None or value not in wanted
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt":
            return _beyond(value, wanted, greater=requirement.operator == "Gt")
        case _:
            return False


def _beyond(value: str | None, wanted: tuple[str, ...], *, greater: bool) -> bool:
    have, limit = _int64(value), _int64(wanted[0] if wanted else None)
    if have is None or limit is None:
        return False
    return have > limit if greater else have < limit


def _int64(text: str | None) -> int | None:
    """The number as strconv.ParseInt reads it, None where it reads none."""
    if text is None or not _INTEGER.fullmatch(text):
        return None
    found = int(text)
    return found if -(2**63) <= found < 2**63 else None
