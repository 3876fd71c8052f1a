"""Kubeconfig files that lead to a fake API server."""

from __future__ import annotations


def of(url: str) -> dict:
    """A kubeconfig without users: its one cluster is at the URL."""
    return {
        "current-context": "fake",
        "contexts": [{"name": "fake", "context": {"cluster": "fake"}}],
        "clusters": [{"name": "fake", "cluster": {"server": url}}],
        "users": [],
    }
