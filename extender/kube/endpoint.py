"""Where the API server is, whom it must be, and who we are to it.

Sources: client-go rest/config.go (in-cluster), tools/clientcmd/api/v1/types.go (kubeconfig).
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from extender import errors
from extender.kube import credentials, trust

SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """One API server, and how to talk to it."""

    url: str
    credentials: credentials.Credentials = dataclasses.field(default_factory=credentials.Fixed)
    trust: trust.Trust | None = None  # None for plain HTTP
    tls_name: str = ""  # the name its certificate must be for, where it is not the URL's
    proxy: str = ""
    namespace: str = "default"  # where we run, or the context's


def in_cluster(
    environment: Mapping[str, str] = os.environ, folder: str = SERVICE_ACCOUNT
) -> Server:
    """The API server of the cluster this process runs in; `ConfigError` outside of one."""
    host = environment.get("KUBERNETES_SERVICE_HOST", "")
    port = environment.get("KUBERNETES_SERVICE_PORT", "")
    account = pathlib.Path(folder)
    if not (host and port and (account / "token").exists()):
        raise errors.ConfigError(
            "no cluster to talk to",
            [("", "not running in a cluster: give --kubeconfig FILE or --snapshot FILE")],
        )
    try:
        namespace = (account / "namespace").read_text(encoding="utf-8").strip()
    except OSError:
        namespace = "default"
    return Server(
        url=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        credentials=credentials.TokenFile(str(account / "token")),
        trust=trust.Trust(authority=trust.Pem(path=str(account / "ca.crt"))),
        namespace=namespace,
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """A cluster or a user of a kubeconfig, and the folder that its relative paths start from."""

    fields: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    folder: str = ""

    def path(self, name: str) -> str:
        value = str(self.fields.get(name) or "")
        return str(pathlib.Path(self.folder, value)) if value else ""

    def pem(self, name: str) -> trust.Pem | None:
        """The PEM text of `name` (a path) or `name-data` (base64, which wins), if there is any."""
        data = self.fields.get(f"{name}-data")
        if data:
            try:
                return trust.Pem(text=base64.b64decode(data, validate=True))
            except (binascii.Error, ValueError) as error:
                raise _refused(f"{name}-data", str(error)) from error
        path = self.path(name)
        return trust.Pem(path=path) if path else None


def from_entries(cluster: Entry, user: Entry, *, namespace: str = "default") -> Server:
    """The server of a kubeconfig's cluster, for its user; `ConfigError` for what we refuse."""
    url = str(cluster.fields.get("server") or "").rstrip("/")
    if not url:
        raise _refused("cluster.server", "missing")
    identity = _identity(cluster, user)
    return Server(
        url=url,
        credentials=identity,
        trust=_trust(cluster, user, identity) if url.startswith("https://") else None,
        tls_name=str(cluster.fields.get("tls-server-name") or ""),
        proxy=str(cluster.fields.get("proxy-url") or ""),
        namespace=namespace,
    )


def _trust(cluster: Entry, user: Entry, identity: credentials.Credentials) -> trust.Trust:
    authority = cluster.pem("certificate-authority")
    skip = cluster.fields.get("insecure-skip-tls-verify") or False
    if skip is True and authority is not None:
        raise _refused(
            "cluster.insecure-skip-tls-verify", "contradicts certificate-authority: drop one"
        )
    certificate, key = user.pem("client-certificate"), user.pem("client-key")
    if (certificate is None) != (key is None):
        raise _refused("user.client-certificate", "a certificate needs its key, and a key its own")

    def pair() -> tuple[bytes, bytes] | None:
        if certificate is not None and key is not None:
            return certificate.read(), key.read()
        return identity.certificate

    # Only a plain `true` switches verification off: "yes" or 1 may be a slip.
    return trust.Trust(authority=authority, certificate=pair, verify=skip is not True)


def _identity(cluster: Entry, user: Entry) -> credentials.Credentials:
    """Who the user is, in client-go's order: a token file wins over a token, both over the rest."""
    fields = user.fields
    provider = fields.get("auth-provider")
    if provider:
        name = provider.get("name", "") if isinstance(provider, Mapping) else ""
        raise _refused(
            "user.auth-provider",
            f"{name or 'auth providers'} left Kubernetes in 1.26: use an exec plugin",
        )
    if fields.get("tokenFile"):
        return credentials.TokenFile(user.path("tokenFile"))
    if fields.get("token"):
        return credentials.Fixed(f"Bearer {str(fields['token']).strip()}")
    if fields.get("username"):
        text = f"{fields['username']}:{fields.get('password') or ''}"
        return credentials.Fixed("Basic " + base64.b64encode(text.encode()).decode())
    if fields.get("exec"):
        return credentials.ExecPlugin(_command(cluster, user))
    return credentials.Fixed()


def _command(cluster: Entry, user: Entry) -> credentials.Command:
    plugin = user.fields["exec"]
    program = str(plugin.get("command") or "")
    version = str(plugin.get("apiVersion") or "")
    if not program or not version:
        raise _refused("user.exec", "command and apiVersion are needed")
    if plugin.get("interactiveMode") == "Always":
        raise _refused("user.exec.interactiveMode", "Always: a service has no terminal to ask at")
    if "/" in program:  # a bare name is looked up in PATH
        program = str(pathlib.Path(user.folder, program))
    return credentials.Command(
        arguments=(program, *(str(each) for each in plugin.get("args") or ())),
        environment={str(each["name"]): str(each["value"]) for each in plugin.get("env") or ()},
        api_version=version,
        cluster=_cluster_info(cluster) if plugin.get("provideClusterInfo") else None,
        hint=str(plugin.get("installHint") or "").strip(),
    )


def _cluster_info(cluster: Entry) -> dict[str, Any]:
    """The cluster as an exec plugin is told of it (ExecCredentialSpec.cluster)."""
    names = ("server", "tls-server-name", "insecure-skip-tls-verify", "proxy-url")
    info = {name: cluster.fields[name] for name in names if cluster.fields.get(name)}
    authority = cluster.pem("certificate-authority")
    if authority is not None:
        info["certificate-authority-data"] = base64.b64encode(authority.read()).decode()
    for extension in cluster.fields.get("extensions") or ():
        if extension.get("name") == "client.authentication.k8s.io/exec":
            info["config"] = extension.get("extension")
    return info


def _refused(place: str, problem: str) -> errors.ConfigError:
    return errors.ConfigError("the kubeconfig cannot be used", [(place, problem)])
