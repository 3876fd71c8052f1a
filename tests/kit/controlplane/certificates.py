"""Throw-away certificates: an authority, and the key pairs it issues as files."""

from __future__ import annotations

import dataclasses
import pathlib
import ssl

import trustme

# What kube-scheduler calls itself towards extenders: the name that `system:kube-scheduler` has in
# the certificates kubeadm makes.
SCHEDULER_NAME = "system:kube-scheduler"


@dataclasses.dataclass(frozen=True)
class KeyPair:
    """PEM files: the authority that signed, the certificate with its chain, its private key."""

    authority: pathlib.Path
    certificate: pathlib.Path
    key: pathlib.Path

    def server_context(self, *, verify_clients: bool) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        if verify_clients:
            context.load_verify_locations(self.authority)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.authority))
        context.load_cert_chain(self.certificate, self.key)
        return context


class Authority:
    """A certificate authority whose files live in `folder`."""

    def __init__(self, folder: pathlib.Path):
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._authority = trustme.CA()
        self.certificate = folder / "ca.crt"
        self._authority.cert_pem.write_to_path(str(self.certificate))

    def issue(self, *identities: str, name: str) -> KeyPair:
        """Issue a certificate for these host names or addresses, with common name `name`."""
        stem = name.replace(":", "-")
        pair = KeyPair(self.certificate, self._folder / f"{stem}.crt", self._folder / f"{stem}.key")
        leaf = self._authority.issue_cert(*identities, common_name=name)
        pair.certificate.write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
        pair.key.touch(mode=0o600)
        leaf.private_key_pem.write_to_path(str(pair.key))
        return pair

    def trusting_context(self) -> ssl.SSLContext:
        """Return what a client without a certificate uses to verify our servers."""
        return ssl.create_default_context(cafile=str(self.certificate))
