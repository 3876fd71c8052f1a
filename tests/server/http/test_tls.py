"""Certificates in use, callers let in, and files that change, shown by real handshakes."""

import asyncio
import datetime as dt
import logging
import ssl

import pytest
import trustme

from extender.errors import ConfigError
from extender.server.http import tls
from extender.settings import Tls

SCHEDULER = "system:kube-scheduler"


@pytest.fixture
def authority():
    return trustme.CA()


class Files:
    """A certificate, a key and a client CA on disk, as a mounted secret."""

    def __init__(self, folder):
        self.tls = Tls(folder / "tls.crt", folder / "tls.key", folder / "ca.crt")

    def certificate(self, issued):
        chain = b"".join(part.bytes() for part in issued.cert_chain_pems)
        self.tls.certificate.write_bytes(chain)
        self.tls.key.write_bytes(issued.private_key_pem.bytes())

    def client_ca(self, authority):
        self.tls.client_ca.write_bytes(authority.cert_pem.bytes())


@pytest.fixture
def files(tmp_path, authority):
    files = Files(tmp_path)
    files.certificate(authority.issue_cert("railyard"))
    files.client_ca(authority)
    return files


def client(trusts, *, signed_by=None, name="railyard", common_name=SCHEDULER):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusts.configure_trust(context)
    if signed_by is not None:
        signed_by.issue_cert("scheduler.example", common_name=common_name).configure_cert(context)
    if name is None:
        context.check_hostname = False
    return context, name


def handshake(server, caller):
    """The certificate that the server saw and whether both sides ended well; raises SSLError."""
    context, name = caller
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = context.wrap_bio(to_client, to_server, server_hostname=name)
    far = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(6):
        for side in (near, far):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    near.write(b"hello")
    assert far.read() == b"hello"
    return far.getpeercert()


def serving(files, reloads=None):
    heard = reloads if reloads is not None else []
    return tls.Certificates(files.tls, reloaded=heard.append)


def test_a_caller_signed_by_the_client_ca_is_let_in(files, authority):
    seen = handshake(serving(files).context, client(authority, signed_by=authority))
    assert ((("commonName", SCHEDULER),)) in [part[-1:] for part in seen["subject"]]


@pytest.mark.parametrize(
    "stranger", [pytest.param(None, id="none"), pytest.param("other", id="other CA")]
)
def test_a_caller_without_a_certificate_of_ours_is_turned_away(files, authority, stranger):
    signer = trustme.CA() if stranger else None
    with pytest.raises(ssl.SSLError):
        handshake(serving(files).context, client(authority, signed_by=signer))


def test_old_protocol_versions_are_refused(files, authority):
    caller, name = client(authority, signed_by=authority)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        caller.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        handshake(serving(files).context, (caller, name))


def test_without_a_client_ca_anybody_may_call(files, authority):
    files.tls = Tls(files.tls.certificate, files.tls.key)
    assert not handshake(serving(files).context, client(authority))


@pytest.mark.parametrize("name", ["railyard", None])
def test_a_new_certificate_and_a_new_client_ca_are_taken_into_use(files, authority, name):
    reloads = []
    certificates = serving(files, reloads)
    fresh = trustme.CA()
    files.certificate(fresh.issue_cert("railyard"))
    files.client_ca(fresh)
    certificates.refresh()
    assert handshake(certificates.context, client(fresh, signed_by=fresh, name=name))
    with pytest.raises(ssl.SSLError):
        handshake(certificates.context, client(fresh, signed_by=authority, name=name))
    with pytest.raises(ssl.SSLError):
        handshake(certificates.context, client(authority, signed_by=fresh, name=name))
    assert reloads == [True]


def mismatched(files):
    files.tls.key.write_bytes(trustme.CA().issue_cert("x").private_key_pem.bytes())


def half_written(files):
    files.tls.certificate.write_bytes(files.tls.certificate.read_bytes()[:300])


def gone(files):
    files.tls.key.unlink()


def expired(files):
    past = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    files.certificate(trustme.CA().issue_cert("railyard", not_before=past, not_after=past))


def no_ca(files):
    files.tls.client_ca.write_text("no certificate here")


SPOILERS = [mismatched, half_written, gone, expired, no_ca]


@pytest.mark.parametrize("spoil", SPOILERS)
def test_files_that_do_not_work_leave_the_old_certificate_serving(files, authority, spoil, caplog):
    reloads = []
    certificates = serving(files, reloads)
    spoil(files)
    with caplog.at_level(logging.ERROR):
        certificates.refresh()
        certificates.refresh()
    assert handshake(certificates.context, client(authority, signed_by=authority))
    assert reloads == [False]
    assert len(caplog.records) == 1
    files.certificate(authority.issue_cert("railyard"))
    files.client_ca(authority)
    certificates.refresh()
    assert handshake(certificates.context, client(authority, signed_by=authority))
    assert reloads == [False, True]


@pytest.mark.parametrize("spoil", SPOILERS)
def test_files_that_do_not_work_stop_the_start(files, spoil):
    spoil(files)
    with pytest.raises(ConfigError, match=r"tls\.crt"):
        serving(files)


def test_unchanged_files_are_not_loaded_again(files):
    reloads = []
    certificates = serving(files, reloads)
    certificates.refresh()
    assert reloads == []


async def test_changes_are_followed_in_the_background(files, authority):
    changed = asyncio.Queue()
    certificates = tls.Certificates(files.tls, reloaded=changed.put_nowait)
    following = asyncio.create_task(certificates.follow(0.001))
    files.certificate(authority.issue_cert("railyard"))
    assert await asyncio.wait_for(changed.get(), 10) is True
    following.cancel()


NAMED = {
    "subject": ((("organizationName", "x"),), (("commonName", SCHEDULER),)),
    "subjectAltName": (("DNS", "scheduler.example"), ("URI", "spiffe://x")),
}


@pytest.mark.parametrize(
    ("certificate", "names", "let_in"),
    [
        pytest.param(NAMED, {SCHEDULER}, True, id="common name"),
        pytest.param(NAMED, {"spiffe://x", "y"}, True, id="alternative name"),
        pytest.param(NAMED, {"x"}, False, id="an organisation is no name"),
        pytest.param(NAMED, {"example"}, False, id="part of a name"),
        pytest.param(NAMED, set(), True, id="no list"),
        pytest.param({}, {SCHEDULER}, False, id="nameless"),
        pytest.param(None, {SCHEDULER}, False, id="no certificate"),
    ],
)
def test_only_listed_names_are_permitted(files, certificate, names, let_in):
    listed = Tls(files.tls.certificate, files.tls.key, files.tls.client_ca, frozenset(names))
    assert tls.permitted(certificate, listed) is let_in


def test_without_tls_there_is_nobody_to_ask():
    assert tls.permitted(None, None)
