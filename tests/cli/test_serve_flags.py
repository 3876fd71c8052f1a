"""Flags, environment and defaults."""

import argparse
import pathlib

import pytest

from extender import settings
from extender.cli import flag_values, serve_flags
from extender.errors import ConfigError


def parsed(*flags, **environment):
    parser = argparse.ArgumentParser()
    serve_flags.add_arguments(parser)
    variables = {f"RAILYARD_{name.upper()}": value for name, value in environment.items()}
    return serve_flags.from_arguments(parser.parse_args(flags), variables)


def problems(*flags, **environment):
    with pytest.raises(ConfigError) as refused:
        parsed(*flags, **environment)
    return dict(refused.value.problems)


def test_without_flags_the_defaults_hold():
    assert parsed() == settings.Settings()
    assert parsed().bind.loopback
    assert parsed().limits.idle_seconds > 90


def test_flags_go_before_the_environment_and_it_before_defaults():
    found = parsed("--bind", "127.0.0.1:1", bind="127.0.0.1:2", admin_bind=":3")
    assert found.bind == settings.Address("127.0.0.1", 1)
    assert found.admin_bind == settings.Address("0.0.0.0", 3)  # noqa: S104 - what ":3" means


def test_several_snapshots_are_kept_in_order():
    paths = (pathlib.Path("a"), pathlib.Path("b"))
    assert parsed("--snapshot", "a", "--snapshot", "b").snapshot == paths
    assert parsed(snapshot="a,b").snapshot == paths


def test_limits_and_stages_are_read():
    found = parsed("--max-body", "8", "--max-connections", "9", announce_seconds="0.5")
    assert found.limits == settings.Limits(body_bytes=8 * 1024 * 1024, connections=9)
    assert found.drain.announce_seconds == 0.5


def test_feature_gates_are_read_in_the_form_of_kubernetes():
    gates = {"DRAPartitionableDevices": True, "DRAAdminAccess": False}
    given = "DRAPartitionableDevices=true, DRAAdminAccess=False,"
    assert parsed("--feature-gates", given).feature_gates == gates
    assert parsed(feature_gates=given).feature_gates == gates


def test_tls_is_read_as_one():
    found = parsed(
        *("--tls-certificate", "c", "--tls-key", "k", "--client-ca", "ca"),
        *("--client-names", "system:kube-scheduler, other", "--bind", "0.0.0.0:8443"),
    )
    assert found.tls == settings.Tls(
        pathlib.Path("c"),
        pathlib.Path("k"),
        pathlib.Path("ca"),
        frozenset({"system:kube-scheduler", "other"}),
    )


def test_who_may_ask_is_read_as_one():
    found = parsed(
        *("--admin-tls-certificate", "c", "--admin-tls-key", "k", "--admin-client-ca", "ca"),
        *("--admin-client-names", "prometheus", "--admin-token-file", "t"),
        *("--admin-auth", "kubernetes", "--admin-hosts", "Railyard.Example"),
    ).admin
    paths = (pathlib.Path("c"), pathlib.Path("k"), pathlib.Path("ca"))
    assert found.tls == settings.Tls(*paths, frozenset({"prometheus"}), clients_optional=True)
    assert (found.token_file, found.kubernetes) == (pathlib.Path("t"), True)
    assert found.hosts == {"railyard.example"}


@pytest.mark.parametrize(
    "flags",
    [
        ("--admin-auth", "kubernetes"),
        ("--admin-token-file", "t"),
    ],
)
def test_tokens_do_not_cross_the_network_in_the_clear_unless_given_leave(flags):
    assert "--admin-bind" in problems("--admin-bind", ":8889", *flags)
    assert parsed("--admin-bind", "127.0.0.1:8889", *flags).admin
    assert parsed("--admin-bind", ":8889", "--insecure-bind", *flags).admin
    pair = ("--admin-tls-certificate", "c", "--admin-tls-key", "k")
    assert parsed("--admin-bind", ":8889", *pair, *flags).admin


@pytest.mark.parametrize(
    ("flags", "place"),
    [
        pytest.param(["--bind", "nowhere"], "--bind", id="no port"),
        pytest.param(["--bind", "127.0.0.1:65536"], "--bind", id="port out of range"),
        pytest.param(["--bind", "::1:80"], "--bind", id="IPv6 without brackets"),
        pytest.param(["--admin-auth", "ldap"], "--admin-auth", id="an authority unknown"),
        pytest.param(["--admin-tls-key", "k"], "--admin-tls-certificate", id="an admin key alone"),
        pytest.param(["--admin-client-ca", "c"], "--admin-client-ca", id="an admin CA without TLS"),
        pytest.param(["--admin-client-names", "n"], "--admin-client-names", id="names of no CA"),
        pytest.param(
            ["--admin-auth", "kubernetes", "--snapshot", "s"],
            "--admin-auth",
            id="no cluster to ask",
        ),
        pytest.param(["--max-body", "0"], "--max-body", id="no body"),
        pytest.param(["--max-body", "much"], "--max-body", id="no number"),
        pytest.param(["--idle-seconds", "-1"], "--idle-seconds", id="negative time"),
        pytest.param(["--idle-seconds", "nan"], "--idle-seconds", id="no time"),
        pytest.param(["--feature-gates", "DRAAdminAccess"], "--feature-gates", id="gate unset"),
        pytest.param(["--feature-gates", "A=true,B=1"], "--feature-gates", id="neither on nor off"),
        pytest.param(["--log-level", "loud"], "--log-level", id="unknown level"),
        pytest.param(["--tls-key", "k"], "--tls-certificate", id="key alone"),
        pytest.param(["--client-ca", "ca"], "--client-ca", id="CA without certificate"),
        pytest.param(["--client-names", "x"], "--client-names", id="names without CA"),
        pytest.param(["--snapshot", "a", "--kubeconfig", "k"], "--snapshot", id="two sources"),
        pytest.param(
            ["--policy", "a", "--policy-config-map", "n/m"], "--policy", id="two policies"
        ),
        pytest.param(["--bind", ":8888"], "--bind", id="plain HTTP to the world"),
    ],
)
def test_what_cannot_be_used_is_named(flags, place):
    assert place in problems(*flags)


def test_every_problem_is_listed_at_once_with_its_source():
    found = problems("--max-body", "0", bind="nowhere", insecure_bind="perhaps")
    assert set(found) == {"--max-body", "RAILYARD_BIND", "RAILYARD_INSECURE_BIND"}


def test_plain_http_to_other_machines_must_be_asked_for():
    assert not parsed("--bind", "10.0.0.1:80", "--insecure-bind").bind.loopback
    assert not parsed(bind=":80", insecure_bind="true").bind.loopback


@pytest.mark.parametrize(
    ("text", "loopback"),
    [
        pytest.param("127.0.0.1:80", True, id="IPv4 loopback"),
        pytest.param("127.9.9.9:80", True, id="all of 127"),
        pytest.param("[::1]:80", True, id="IPv6 loopback"),
        pytest.param("localhost:80", True, id="localhost"),
        pytest.param("[::]:80", False, id="IPv6 any"),
        pytest.param(":80", False, id="any"),
        pytest.param("localhost.example.com:80", False, id="a name"),
    ],
)
def test_loopback_is_distinguished_from_the_rest(text, loopback):
    assert flag_values.address(text).loopback is loopback
    assert flag_values.address(str(flag_values.address(text))) == flag_values.address(text)


def test_files_that_ship_are_found_in_a_checkout_and_where_installed(tmp_path, monkeypatch):
    package = tmp_path / "extender"
    monkeypatch.setattr(settings, "__file__", str(package / "settings.py"))
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "policy.yaml").write_text("checkout")
    assert settings.embedded("policy.yaml").read_text() == "checkout"
    (package / "embedded").mkdir(parents=True)
    (package / "embedded" / "policy.yaml").write_text("installed")
    assert settings.embedded("policy.yaml").read_text() == "installed"


def test_a_missing_file_of_the_installation_is_said():
    with pytest.raises(ConfigError, match="no-such-file"):
        settings.embedded("no-such-file")
