"""Railyard as a process beside the control plane, reached and limited as it is in a cluster."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from typing import Any, Self

from prometheus_client import parser

from tests.kit.controlplane import configuration, process
from tests.kit.controlplane.plane import REPOSITORY, ControlPlane, gate_flags

COMMAND = (
    "{python} -m extender serve --kubeconfig {kubeconfig}"
    " --bind 127.0.0.1:{port} --admin-bind 127.0.0.1:{admin_port}"
    " --tls-certificate {certificate} --tls-key {key}"
    " --client-ca {authority} --client-names system:kube-scheduler"
    # There is no Service here whose endpoints would take seconds to leave.
    " --announce-seconds 0.5"
)


class Railyard:
    """A context manager: ready on entry, stopped on exit; its log is shown with the plane's.

    `command` has placeholders for what the plane knows; `options` are added to it.
    """

    def __init__(
        self, plane: ControlPlane, *, command: str = COMMAND, options: tuple[str, ...] = ()
    ):
        self.port, self.admin_port = process.free_port(), process.free_port()
        self._pair, self._client = plane.extender_pairs()
        words = {
            "python": sys.executable,
            "kubeconfig": plane.kubeconfig("railyard"),
            "certificate": self._pair.certificate,
            "key": self._pair.key,
            "authority": self._pair.authority,
            "port": self.port,
            "admin_port": self.admin_port,
        }
        line = [word.format(**words) for word in shlex.split(command)]
        line += [*gate_flags(plane.feature_gates), *options]
        self.process = process.Process(
            "railyard",
            line,
            plane.folder / "railyard.log",
            folder=REPOSITORY,
            ends_by_itself=False,
        )
        plane.components["railyard"] = self.process

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.process.stop()

    def start(self) -> None:
        """Start and return when /readyz says yes."""
        self.process.start()
        try:
            self.process.wait_until_answers("/readyz", port=self.admin_port)
        except process.ProcessError:
            self.process.stop()
            raise

    def restart(self, *, kill: bool = False) -> None:
        self.process.stop(kill=kill)
        self.start()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def extender(self, **fields: Any) -> configuration.Extender:
        """Return the entry for kube-scheduler's configuration, mutual TLS included."""
        return configuration.Extender(self.url, tls=self._client, **fields)

    def admin(self, path: str) -> Any:
        """GET a path of the admin address; return the decoded JSON, raise if it is not a 200."""
        status, body = process.get(path, port=self.admin_port, patience=30)
        if status != 200:
            raise process.ProcessError(f"railyard {path}: {status} {body}")
        return json.loads(body)

    def metric(self, name: str, labels: Mapping[str, str] | None = None) -> float:
        """Return the sum of the samples called `name` that have these labels; 0 if none has."""
        return metric_of(self.admin_port, name, labels)


def metric_of(admin_port: int, name: str, labels: Mapping[str, str] | None = None) -> float:
    """Return the sum of the samples of a service's /metrics that have this name and labels."""
    status, body = process.get("/metrics", port=admin_port)
    if status != 200:
        raise process.ProcessError(f"railyard /metrics: {status} {body}")
    wanted = (labels or {}).items()
    return sum(
        sample.value
        for family in parser.text_string_to_metric_families(body)
        for sample in family.samples
        if sample.name == name and wanted <= sample.labels.items()
    )
