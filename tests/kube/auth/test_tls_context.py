import logging
import ssl

import pytest
import trustme

from extender import errors
from extender.kube.auth import tls_context


@pytest.fixture(scope="module")
def authorities():
    return trustme.CA(), trustme.CA()


@pytest.fixture
def file(tmp_path, authorities):
    path = tmp_path / "ca.crt"
    path.write_bytes(authorities[0].cert_pem.bytes())
    return path


def pair(authority):
    leaf = authority.issue_cert("client")
    return leaf.cert_chain_pems[0].bytes(), leaf.private_key_pem.bytes()


def test_certificates_are_verified_by_the_given_authority_only(file):
    context = tls_context.TlsTrust(authority=tls_context.Pem(path=str(file))).context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert len(context.get_ca_certs()) == 1


def test_a_context_is_built_again_only_when_its_files_change(file, authorities):
    made = tls_context.TlsTrust(authority=tls_context.Pem(path=str(file)))
    first = made.context()
    assert made.context() is first
    file.write_bytes(authorities[1].cert_pem.bytes())
    second = made.context()
    assert second is not first
    assert second.get_ca_certs() != first.get_ca_certs()


@pytest.mark.parametrize("damage", [b"", b"half a certi", None])
def test_the_last_good_context_is_kept_while_a_file_is_broken(file, authorities, damage):
    made = tls_context.TlsTrust(authority=tls_context.Pem(path=str(file)))
    first = made.context()
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage)
    assert made.context() is first
    file.write_bytes(authorities[1].cert_pem.bytes())
    assert made.context() is not first


def test_half_a_rotated_pair_leaves_the_old_one_in_use(authorities):
    old, new = pair(authorities[0]), pair(authorities[0])
    shown = [old]
    authority = tls_context.Pem(text=authorities[0].cert_pem.bytes())
    made = tls_context.TlsTrust(authority=authority, certificate=lambda: shown[0])
    first = made.context()
    shown[0] = (new[0], old[1])
    assert made.context() is first
    shown[0] = new
    assert made.context() is not first


@pytest.mark.parametrize("text", [b"", b"not PEM"])
def test_a_context_that_never_was_good_is_an_error(tmp_path, text):
    (tmp_path / "ca.crt").write_bytes(text)
    with pytest.raises(errors.CredentialsError):
        tls_context.TlsTrust(authority=tls_context.Pem(path=str(tmp_path / "ca.crt"))).context()


def test_no_verification_is_complained_about(caplog):
    with caplog.at_level(logging.WARNING):
        context = tls_context.TlsTrust(verify=False).context()
    assert context.verify_mode is ssl.CERT_NONE
    assert "NOT VERIFIED" in caplog.text
