"""Settings of one process, with their defaults; `cli.serve_flags` reads what is given.

What concerns scheduling is policy and lives in the policy document; here is only where to listen,
what to read, and how much to put up with.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import pathlib
from collections.abc import Mapping

from extender.errors import ConfigError


@dataclasses.dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; port 0 takes a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """What one client may cost us; times are in seconds."""

    # 781 whole nodes, the most asked about unless percentageOfNodesToScore is set, take 15 MB.
    body_bytes: int = 40 << 20
    # Bodies up to this size share an amount of memory; of larger ones one is read at a time. Names
    # of 5,000 nodes and a pod, 3 MiB at the most, are well below.
    small_body_bytes: int = 8 << 20
    small_bodies_bytes: int = 32 << 20
    # A larger one that has taken longer gives way: 40 MB come in 0.4 s over 1 Gbit/s.
    large_body_seconds: float = 2.0
    head_seconds: float = 5.0
    body_seconds: float = 10.0
    # Go keeps idle connections for 90 s and does not repeat a POST that met a closing one.
    idle_seconds: float = 180.0
    connections: int = 512


@dataclasses.dataclass(frozen=True, slots=True)
class Tls:
    """The service's certificate, and who may call; without `client_ca` anybody may."""

    certificate: pathlib.Path
    key: pathlib.Path
    client_ca: pathlib.Path | None = None
    client_names: frozenset[str] = frozenset()
    """Common names and subject alternative names let in; empty lets in all that the CA signed."""
    clients_optional: bool = False
    """Shake hands also with clients that show no certificate; `gate` decides what they may ask."""


@dataclasses.dataclass(frozen=True, slots=True)
class AdminAccess:
    """Who may ask on the admin port; with none of these, everybody who reaches it."""

    tls: Tls | None = None
    token_file: pathlib.Path | None = None
    kubernetes: bool = False
    """Let in whose token the API server knows, and whom RBAC lets read the path."""
    hosts: frozenset[str] = frozenset()
    """Names that this port answers to, beside addresses and names of Services; `*` for all."""


@dataclasses.dataclass(frozen=True, slots=True)
class Drain:
    """The stages of stopping, in seconds."""

    # Endpoints take a second or more to leave; until then new calls still arrive here.
    announce_seconds: float = 5.0
    finish_seconds: float = 5.0


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """Everything a process is given when it starts."""

    snapshot: tuple[pathlib.Path, ...] = ()
    kubeconfig: pathlib.Path | None = None
    context: str | None = None
    policy: pathlib.Path | None = None
    policy_config_map: str | None = None
    policy_fallback: str | None = None
    """"builtin", or a file: the policy where the ConfigMap's cannot be used from the start."""
    policy_last_good: pathlib.Path | None = None
    """Where the ConfigMap's policy is kept for a restart."""
    policy_events: bool = False
    """Whether Events on the ConfigMap tell of its use; takes RBAC that nothing else does."""
    shadow_policy: pathlib.Path | None = None
    bind: Address = Address("127.0.0.1", 8888)
    admin_bind: Address = Address("127.0.0.1", 8889)
    insecure_bind: bool = False
    tls: Tls | None = None
    admin: AdminAccess = AdminAccess()
    limits: Limits = Limits()
    drain: Drain = Drain()
    kubernetes_version: str | None = None
    feature_gates: Mapping[str, bool] = dataclasses.field(default_factory=dict)
    """Gates of kube-scheduler set against their version's defaults, by name."""
    log_level: str = "info"
    decisions: int = 2000
    """The last decisions that are kept; 0 keeps none."""
    decisions_minutes: float = 60.0
    log_decisions: bool = False
    capacity_shapes: tuple[str, ...] = ()


def embedded(name: str) -> pathlib.Path:
    """The path of a file or folder that ships with the program, such as "policy.yaml" or "demo".

    Raises ConfigError when it is not there.
    """
    here = pathlib.Path(__file__).parent
    for folder in (here / "embedded", here.parent / "config"):  # installed, or a checkout
        if (folder / name).exists():
            return folder / name
    raise ConfigError("a file of the installation is missing", [(f"config/{name}", "not found")])
