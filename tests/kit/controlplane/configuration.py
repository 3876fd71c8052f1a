"""The files that the components read: kubeconfigs, the token file, the scheduler's configuration.

Written as JSON, which is YAML too.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from tests.kit.controlplane import certificates

SCHEDULER_NAME = "default-scheduler"


@dataclasses.dataclass(frozen=True)
class User:
    name: str
    token: str
    groups: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Extender:
    """An extender as kube-scheduler is given it; an empty verb is not called."""

    url: str
    weight: int = 1
    tls: certificates.KeyPair | None = None  # the client's pair; needed when url is https
    node_cache_capable: bool = True
    filter_verb: str = "filter"
    prioritize_verb: str = "prioritize"
    preempt_verb: str = "preempt"
    timeout: str = "5s"
    ignorable: bool = False

    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = {
            "urlPrefix": self.url,
            "filterVerb": self.filter_verb,
            "prioritizeVerb": self.prioritize_verb,
            "preemptVerb": self.preempt_verb,
            "weight": self.weight,
            "nodeCacheCapable": self.node_cache_capable,
            "httpTimeout": self.timeout,
            "ignorable": self.ignorable,
            # Empty: a pod with claims only would never reach an extender that names resources.
            "managedResources": [],
        }
        if self.tls is not None:
            document["enableHTTPS"] = True
            document["tlsConfig"] = {
                "caFile": str(self.tls.authority),
                "certFile": str(self.tls.certificate),
                "keyFile": str(self.tls.key),
            }
        return document


@dataclasses.dataclass(frozen=True)
class Scheduling:
    """How kube-scheduler shall run: its extenders, and what else a test varies."""

    extenders: Sequence[Extender] = ()
    percentage_of_nodes_to_score: int = 0  # 0: kube-scheduler's own formula
    max_backoff_seconds: int = 2  # a refused pod comes back soon; 10 in production
    plugins: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # of the one profile
    plugin_config: Sequence[Mapping[str, Any]] = ()  # of the same: name and args
    feature_gates: Mapping[str, bool] = dataclasses.field(default_factory=dict)
    """Gate → on; kube-scheduler's alone, beside those of the whole control plane."""

    def document(self, kubeconfig: pathlib.Path) -> dict[str, Any]:
        return {
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "leaderElection": {"leaderElect": False},
            # The client's own throttle (50 a second) would be what a throughput test measures.
            "clientConnection": {"kubeconfig": str(kubeconfig), "qps": 5000, "burst": 10000},
            "podInitialBackoffSeconds": 1,
            "podMaxBackoffSeconds": self.max_backoff_seconds,
            "percentageOfNodesToScore": self.percentage_of_nodes_to_score,
            "profiles": [
                {
                    "schedulerName": SCHEDULER_NAME,
                    "plugins": dict(self.plugins),
                    "pluginConfig": list(self.plugin_config),
                }
            ],
            "extenders": [extender.document() for extender in self.extenders],
        }


def write_json(path: pathlib.Path, document: Mapping[str, Any]) -> pathlib.Path:
    path.write_text(json.dumps(document, indent=2) + "\n")
    return path


def write_kubeconfig(
    path: pathlib.Path, user: User, *, port: int, authority: pathlib.Path
) -> pathlib.Path:
    """Write a kubeconfig with one context, named after the user, to a loopback API server."""
    cluster = {
        "server": f"https://127.0.0.1:{port}",
        "certificate-authority": str(authority),
    }
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "controlplane", "cluster": cluster}],
        "users": [{"name": user.name, "user": {"token": user.token}}],
        "contexts": [
            {"name": user.name, "context": {"cluster": "controlplane", "user": user.name}}
        ],
        "current-context": user.name,
    }
    path.touch(mode=0o600)
    return write_json(path, document)


def write_tokens(path: pathlib.Path, users: Sequence[User]) -> pathlib.Path:
    """Write kube-apiserver's token file: token, user, uid, "groups"."""
    path.touch(mode=0o600)
    path.write_text(
        "".join(
            f'{user.token},{user.name},uid-{number},"{",".join(user.groups)}"\n'
            for number, user in enumerate(users)
        )
    )
    return path
