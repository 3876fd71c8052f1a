"""The flags of `railyard serve`: flags first, then RAILYARD_* of the environment, then defaults."""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from extender import settings
from extender.cli import flag_values
from extender.errors import ConfigError

# field → (how to read its text, what the operator reads about it). The flag is the field's name.
OPTIONS: dict[str, tuple[Callable[[str], Any], str]] = {
    "snapshot": (flag_values.paths, "a file or folder of kubectl output to serve; may be repeated"),
    "kubeconfig": (pathlib.Path, "how to reach the cluster; without it, the cluster we run in"),
    "context": (str, "the kubeconfig context to use"),
    "policy": (pathlib.Path, "the policy file; without it, the default policy"),
    "policy_config_map": (str, "NAMESPACE/NAME of a ConfigMap that holds the policy"),
    "policy_fallback": (
        str,
        "`builtin` or a FILE: the policy to start with where the ConfigMap's cannot be used",
    ),
    "policy_last_good": (
        pathlib.Path,
        "a file that keeps the ConfigMap's policy, for a restart that finds it broken",
    ),
    "policy_events": (flag_values.yes, "write Events on the ConfigMap: used, or refused and why"),
    "shadow_policy": (pathlib.Path, "a candidate policy to try beside the one in force"),
    "bind": (flag_values.address, "HOST:PORT for kube-scheduler"),
    "admin_bind": (flag_values.address, "HOST:PORT for probes, metrics and questions"),
    "insecure_bind": (flag_values.yes, "allow plain HTTP on an address that other machines reach"),
    "tls_certificate": (pathlib.Path, "the certificate chain (PEM)"),
    "tls_key": (pathlib.Path, "its private key (PEM)"),
    "client_ca": (pathlib.Path, "require client certificates signed by this CA (PEM)"),
    "client_names": (
        flag_values.names,
        "let in only these names of client certificates (comma separated)",
    ),
    "admin_auth": (
        flag_values.authority,
        "none, or kubernetes: the API server knows callers of --admin-bind",
    ),
    "admin_token_file": (pathlib.Path, "a file of bearer tokens that may ask, one a line"),
    "admin_tls_certificate": (pathlib.Path, "the certificate chain of --admin-bind (PEM)"),
    "admin_tls_key": (pathlib.Path, "its private key (PEM)"),
    "admin_client_ca": (pathlib.Path, "let in client certificates signed by this CA (PEM)"),
    "admin_client_names": (flag_values.names, "only these names of them (comma separated)"),
    "admin_hosts": (flag_values.hosts, "further names of --admin-bind (comma separated)"),
    "max_body": (flag_values.mebibytes, "the largest request body, in MiB"),
    "head_seconds": (flag_values.seconds, "how long the head of a request may take"),
    "body_seconds": (flag_values.seconds, "how long the body of a request may take"),
    "idle_seconds": (
        flag_values.seconds,
        "how long an idle connection is kept; Go clients need over 90",
    ),
    "max_connections": (flag_values.positive, "open connections per port"),
    "announce_seconds": (flag_values.seconds, "on SIGTERM, how long to serve while saying goodbye"),
    "finish_seconds": (flag_values.seconds, "then how long requests in flight may take"),
    "kubernetes_version": (str, "predict as the scheduler of this version, such as 1.36"),
    "feature_gates": (
        flag_values.gates,
        "kube-scheduler's own --feature-gates, where it has some",
    ),
    "log_level": (flag_values.level, "debug, info, warning or error"),
    "decisions": (
        flag_values.count,
        "how many of the last decisions are kept for `railyard why`; 0: none",
    ),
    "decisions_minutes": (flag_values.minutes, "for how long decisions are kept"),
    "log_decisions": (flag_values.yes, "log a line for each decision"),
    "capacity_shapes": (flag_values.shapes, "shapes to count in railyard_capacity_pods (A; B)"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of a serving process; they are read by `from_arguments`."""
    for field, (read, text) in OPTIONS.items():
        flag = "--" + field.replace("_", "-")
        if read is flag_values.yes:
            parser.add_argument(flag, action="store_const", const="true", help=text)
        elif read is flag_values.paths:
            parser.add_argument(flag, action="append", metavar="PATH", help=text)
        else:
            parser.add_argument(
                flag, metavar="FILE" if read is pathlib.Path else "VALUE", help=text
            )


def from_arguments(
    arguments: argparse.Namespace, environment: Mapping[str, str]
) -> settings.Settings:
    """Settings from parsed flags and RAILYARD_* variables (--admin-bind: RAILYARD_ADMIN_BIND).

    Raises ConfigError that lists every value that cannot be used.
    """
    values: dict[str, Any] = {}  # field → value that was given
    problems: list[tuple[str, str]] = []
    for field, (read, _) in OPTIONS.items():
        variable = f"RAILYARD_{field.upper()}"
        given = getattr(arguments, field, None)
        source = "--" + field.replace("_", "-")
        if given is None and variable in environment:
            given, source = environment[variable], variable
        if given is None:
            continue
        try:
            texts = given if isinstance(given, list) else [given]
            parsed = [read(text) for text in texts]
            values[field] = sum(parsed, ()) if read is flag_values.paths else parsed[-1]
        except ValueError as error:
            problems.append((source, str(error)))
    found = _settings(values)
    problems += _contradictions(values, found)
    if problems:
        raise ConfigError("the settings cannot be used", problems)
    return found


def _settings(values: Mapping[str, Any]) -> settings.Settings:
    limits = {
        "max_body": "body_bytes",
        "head_seconds": "head_seconds",
        "body_seconds": "body_seconds",
        "idle_seconds": "idle_seconds",
        "max_connections": "connections",
    }
    plain = {field.name for field in dataclasses.fields(settings.Settings)}
    return settings.Settings(
        tls=_tls(values, ""),
        admin=settings.AdminAccess(
            _tls(values, "admin_"),
            values.get("admin_token_file"),
            values.get("admin_auth", False),
            values.get("admin_hosts", frozenset()),
        ),
        limits=settings.Limits(**{limits[name]: values[name] for name in limits if name in values}),
        drain=settings.Drain(
            **{n: values[n] for n in ("announce_seconds", "finish_seconds") if n in values}
        ),
        **{name: value for name, value in values.items() if name in plain},
    )


def _tls(values: Mapping[str, Any], port: str) -> settings.Tls | None:
    """The TLS settings of a port, whose flags begin with `port`."""
    if f"{port}tls_certificate" not in values or f"{port}tls_key" not in values:
        return None
    return settings.Tls(
        values[f"{port}tls_certificate"],
        values[f"{port}tls_key"],
        values.get(f"{port}client_ca"),
        values.get(f"{port}client_names", frozenset()),
        clients_optional=bool(port),  # probes of the kubelet have none
    )


# Settings that say how the ConfigMap is followed: field → flag
_OF_CONFIG_MAP = {
    "policy_fallback": "--policy-fallback",
    "policy_last_good": "--policy-last-good",
    "policy_events": "--policy-events",
}


def _contradictions(values: Mapping[str, Any], found: settings.Settings) -> list[tuple[str, str]]:
    sources = bool(found.snapshot and found.kubeconfig)
    policies = bool(found.policy and found.policy_config_map)
    unneeded = found.policy_config_map is None
    followed = bool(found.policy_config_map and found.snapshot)
    exposed = found.tls is None and not found.bind.loopback and not found.insecure_bind
    admin = found.admin
    readable = admin.tls is None and not found.admin_bind.loopback and not found.insecure_bind
    rules = (
        *_tls_rules(values, found.tls, ""),
        *_tls_rules(values, admin.tls, "admin-"),
        (
            readable and bool(admin.token_file or admin.kubernetes),
            "--admin-bind",
            "would carry tokens over plain HTTP: use --admin-tls-certificate, or --insecure-bind",
        ),
        (
            admin.kubernetes and bool(found.snapshot),
            "--admin-auth",
            "kubernetes needs a cluster; with --snapshot give --admin-token-file",
        ),
        (sources, "--snapshot", "is read instead of a cluster; leave out --kubeconfig"),
        (policies, "--policy", "is read instead of --policy-config-map; give one"),
        (followed, "--policy-config-map", "is the cluster's; with --snapshot give --policy"),
        *(
            (bool(values.get(field)) and unneeded, flag, "needs --policy-config-map")
            for field, flag in _OF_CONFIG_MAP.items()
        ),
        (exposed, "--bind", "is plain HTTP for other machines: use TLS, or --insecure-bind"),
    )
    return [(source, text) for broken, source, text in rules if broken]


def _tls_rules(
    values: Mapping[str, Any], tls: settings.Tls | None, port: str
) -> tuple[tuple[bool, str, str], ...]:
    """What does not go together among the TLS flags of a port, which begin with `port`."""
    given = {name for name in values if values[name] is not None}
    field = port.replace("-", "_")
    lone = (f"{field}tls_certificate" in given) != (f"{field}tls_key" in given)
    unsigned = f"{field}client_ca" in given and tls is None
    nameless = f"{field}client_names" in given and f"{field}client_ca" not in given
    pair = f"--{port}tls-certificate and --{port}tls-key"
    return (
        (lone, f"--{port}tls-certificate", f"goes together with --{port}tls-key"),
        (unsigned, f"--{port}client-ca", f"needs {pair}"),
        (nameless, f"--{port}client-names", f"needs --{port}client-ca"),
    )
