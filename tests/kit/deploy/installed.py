"""What a kubelet would make of an installed Deployment: its process with its files, on loopback."""

from __future__ import annotations

import base64
import dataclasses
import json
import pathlib
import sys
from collections.abc import Mapping
from typing import Any

import yaml

from tests.kit.controlplane import process
from tests.kit.controlplane.plane import REPOSITORY, ControlPlane


def get(plane: ControlPlane, kind: str, name: str) -> Any:
    """Return an object of the namespace `railyard`."""
    return json.loads(plane.kubectl("-n", "railyard", "get", kind, name, "-o", "json"))


def secret_files(plane: ControlPlane, name: str, folder: pathlib.Path) -> pathlib.Path:
    """Write what a Secret holds into a folder, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in get(plane, "secret", name)["data"].items():
        (folder / file).write_bytes(base64.b64decode(text))
    return folder


def kubeconfig(plane: ControlPlane, user: str, folder: pathlib.Path) -> pathlib.Path:
    """Write the kubeconfig of a user whose namespace is `railyard`, as a pod's there is."""
    document = json.loads(plane.kubeconfig(user).read_text())
    document["contexts"][0]["context"]["namespace"] = "railyard"
    path = folder / f"{user}.kubeconfig"
    path.touch(mode=0o600)
    path.write_text(json.dumps(document))
    return path


def railyard(plane: ControlPlane, folder: pathlib.Path) -> tuple[process.Process, int, int]:
    """Return the process of the Deployment, not started, and its ports for verbs and questions."""
    spec = get(plane, "deployment", "railyard")["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    port, admin_port = process.free_port(), process.free_port()
    instead = {":8888": f"127.0.0.1:{port}", ":8889": f"127.0.0.1:{admin_port}"}
    for mount in container["volumeMounts"]:
        volume = volumes[mount["name"]]
        place = folder / mount["name"]
        place.mkdir(parents=True, exist_ok=True)
        if "secret" in volume:
            secret_files(plane, volume["secret"]["secretName"], place)
        instead[mount["mountPath"]] = str(place)
    words = container["args"]
    for here, there in instead.items():
        words = [word.replace(f"={here}", f"={there}") for word in words]
    words = [*words, f"--kubeconfig={kubeconfig(plane, 'railyard', folder)}"]
    command = [sys.executable, "-m", "extender", *words]
    started = process.Process(
        "railyard", command, folder / "railyard.log", folder=REPOSITORY, ends_by_itself=False
    )
    return started, port, admin_port


@dataclasses.dataclass(frozen=True)
class Shipped:
    """A shipped KubeSchedulerConfiguration, with our address and files in place of the cluster's.

    `path` is a file, or empty for the one in the installed ConfigMap of the GPU scheduler.
    """

    plane: ControlPlane
    url: str
    files: dict[str, pathlib.Path]  # field of tlsConfig → the file here
    path: pathlib.Path | None = None
    feature_gates: Mapping[str, bool] = dataclasses.field(default_factory=dict)

    def document(self, kubeconfig_path: pathlib.Path) -> dict[str, Any]:
        if self.path is None:
            text = get(self.plane, "configmap", "railyard-gpu-scheduler")["data"]["config.yaml"]
        else:
            text = self.path.read_text()
        document: dict[str, Any] = yaml.safe_load(text)
        (extender,) = document["extenders"]
        document["clientConnection"] = {"kubeconfig": str(kubeconfig_path)}
        named = extender["urlPrefix"].removeprefix("https://").partition(":")[0]
        extender["urlPrefix"] = self.url
        if "tlsConfig" in extender:
            # Names do not resolve here; what is verified is the name that the cluster verifies.
            extender["tlsConfig"] = {
                "serverName": extender["tlsConfig"].get("serverName", named),
                **{field: str(path) for field, path in self.files.items()},
            }
        return document
