"""From the text of a candidate policy to the candidate, read within the limits of a policy."""

from __future__ import annotations

from extender.kube.api import objects
from extender.rollout import document
from extender.service.policy_source import policy_text

KEY = "shadow.yaml"  # of the ConfigMap's data


def parse(text: str, *, source: str) -> document.Candidate:
    """The candidate in YAML or JSON text; ConfigError lists every problem."""
    found, problems = policy_text.read(text, source=source)
    return document.parse(found, source=source, found=problems)


def parse_file(text: str, *, source: str) -> document.Candidate:
    """The candidate in the text of a file: plain, or a ConfigMap manifest that holds it."""
    found, problems = policy_text.read(text, source=source)
    if found.get("kind") != "ConfigMap":
        return document.parse(found, source=source, found=problems)
    data = found.get("data")
    held = data.get(KEY) if isinstance(data, dict) else None
    if isinstance(held, str):
        return parse(held, source=f"{source}: {KEY}")
    return document.Candidate(policy_text.parse_file(text, source=source))


def of_config_map(item: objects.ConfigMap) -> str | None:
    """The text of the candidate that a ConfigMap holds; None where it holds none."""
    return (item.data or {}).get(KEY)
