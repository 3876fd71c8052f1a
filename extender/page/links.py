"""The address of everything that has a page."""

from __future__ import annotations

import urllib.parse


def node(name: str) -> str:
    return f"/nodes/{_part(name)}"


def device(node_name: str, driver: str, pool: str, name: str) -> str:
    """A device's page; one behind a device plug-in has no pool."""
    parts = [_part(driver), *map(_part, pool.split("/") if pool else ()), _part(name)]
    return f"{node(node_name)}/devices/{'/'.join(parts)}"


def pod(namespace: str, name: str) -> str:
    return f"/pods/{_part(namespace)}/{_part(name)}"


def pool(slug: str, **query: str | int) -> str:
    """A pool's list of nodes, filtered."""
    given = {key: value for key, value in query.items() if value not in {"", 1}}
    return f"/pools/{_part(slug)}" + (f"?{urllib.parse.urlencode(given)}" if given else "")


def _part(text: str) -> str:
    return urllib.parse.quote(text, safe="")
