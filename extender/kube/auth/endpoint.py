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
from urllib import parse

import msgspec

from extender import errors
from extender.kube.auth import credentials, tls_context

SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """One API server, and how to talk to it."""

    url: str
    credentials: credentials.Credentials = dataclasses.field(default_factory=credentials.Fixed)
    trust: tls_context.TlsTrust | None = None  # None for plain HTTP
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
        trust=tls_context.TlsTrust(authority=tls_context.Pem(path=str(account / "ca.crt"))),
        namespace=namespace,
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """A cluster or a user of a kubeconfig, and the folder that its relative paths start from."""

    fields: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    folder: str = ""

    def text(self, name: str) -> str:
        """The field, empty where it is not there; ConfigError where it is no text."""
        value = self.fields.get(name)
        if value is not None and not isinstance(value, str):
            raise _refused(name, f"expected text, found a {type(value).__name__}")
        return value or ""

    def path(self, name: str) -> str:
        value = self.text(name)
        return str(pathlib.Path(self.folder, value)) if value else ""

    def pem(self, name: str) -> tls_context.Pem | None:
        """The PEM text of `name` (a path) or `name-data` (base64, which wins), if there is any."""
        if data := self.text(f"{name}-data"):
            try:
                return tls_context.Pem(text=base64.b64decode("".join(data.split()), validate=True))
            except (binascii.Error, ValueError) as error:
                raise _refused(f"{name}-data", f"not base64: {error}") from error
        path = self.path(name)
        return tls_context.Pem(path=path) if path else None


def from_entries(cluster: Entry, user: Entry, *, namespace: str = "default") -> Server:
    """The server of a kubeconfig's cluster, for its user; `ConfigError` for what we refuse."""
    url = cluster.text("server").rstrip("/")
    if not url:
        raise _refused("cluster.server", "missing")
    _check_url("cluster.server", url)
    if proxy := cluster.text("proxy-url"):
        _check_url("cluster.proxy-url", proxy)  # SOCKS needs a package that we do not have
    identity = _identity(cluster, user)
    return Server(
        url=url,
        credentials=identity,
        trust=_trust(cluster, user, identity) if url.startswith("https://") else None,
        tls_name=cluster.text("tls-server-name"),
        proxy=proxy,
        namespace=namespace,
    )


def check(server: Server) -> None:
    """Find out now what would fail at the first request: files, certificates, programs."""
    try:
        if server.trust is not None:
            server.trust.context()
        server.credentials.check()
    except errors.CredentialsError as error:
        raise errors.ConfigError("the kubeconfig cannot be used", [("", error.message)]) from error


def _check_url(location: str, url: str) -> None:
    try:
        parts = parse.urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none, a bracket that is not closed
        good = False
    if not good or not url.isprintable() or " " in url:
        raise _refused(location, f"{url[:100]!r} is not http://HOST:PORT or https://HOST:PORT")


def _trust(cluster: Entry, user: Entry, identity: credentials.Credentials) -> tls_context.TlsTrust:
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
    return tls_context.TlsTrust(authority=authority, certificate=pair, verify=skip is not True)


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
    if path := user.path("tokenFile"):
        return credentials.TokenFile(path)
    if token := user.text("token").strip():
        if not credentials.fits_a_header(token):
            raise _refused("user.token", "holds characters that no token has")
        return credentials.Fixed(f"Bearer {token}")
    if name := user.text("username"):
        text = f"{name}:{user.text('password')}"
        return credentials.Fixed("Basic " + base64.b64encode(text.encode()).decode())
    if fields.get("exec"):
        return credentials.ExecPlugin(_command(cluster, user))
    return credentials.Fixed()


class _Variable(msgspec.Struct):
    name: str
    value: str | int | float


class _Plugin(msgspec.Struct, rename="camel"):
    """ExecConfig of a kubeconfig's user."""

    command: str = ""
    api_version: str = ""
    args: list[str | int | float] | None = None
    env: list[_Variable] | None = None
    interactive_mode: str | None = None
    provide_cluster_info: bool = False
    install_hint: str | None = None


def _command(cluster: Entry, user: Entry) -> credentials.Command:
    try:
        plugin = msgspec.convert(user.fields["exec"], _Plugin, strict=False)
    except msgspec.ValidationError as error:
        raise _refused("user.exec", str(error)) from error
    program = plugin.command
    if not program or not plugin.api_version:
        raise _refused("user.exec", "command and apiVersion are needed")
    if plugin.interactive_mode == "Always":
        raise _refused("user.exec.interactiveMode", "Always: a service has no terminal to ask at")
    if "/" in program:  # a bare name is looked up in PATH
        program = str(pathlib.Path(user.folder, program))
    return credentials.Command(
        arguments=(program, *map(str, plugin.args or ())),
        environment={each.name: str(each.value) for each in plugin.env or ()},
        api_version=plugin.api_version,
        cluster=_cluster_info(cluster) if plugin.provide_cluster_info else None,
        hint=(plugin.install_hint or "").strip(),
    )


def _cluster_info(cluster: Entry) -> dict[str, Any]:
    """The cluster as an exec plugin gets it (ExecCredentialSpec.cluster)."""
    names = ("server", "tls-server-name", "insecure-skip-tls-verify", "proxy-url")
    info = {name: cluster.fields[name] for name in names if cluster.fields.get(name)}
    authority = cluster.pem("certificate-authority")
    if authority is not None:
        try:
            info["certificate-authority-data"] = base64.b64encode(authority.read()).decode()
        except OSError as error:
            raise _refused("cluster.certificate-authority", tls_context.words(error)) from error
    extensions = cluster.fields.get("extensions")
    for extension in extensions if isinstance(extensions, list) else ():
        named = extension.get("name") if isinstance(extension, dict) else None
        if named == "client.authentication.k8s.io/exec":
            info["config"] = extension.get("extension")
    return info


def _refused(location: str, problem: str) -> errors.ConfigError:
    return errors.ConfigError("the kubeconfig cannot be used", [(location, problem)])
