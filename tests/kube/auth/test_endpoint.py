import base64

import pytest

from extender import errors
from extender.kube.auth import credentials, endpoint

CLUSTER = {"server": "https://10.0.0.1:6443/"}


def server(user=None, cluster=None, folder="/etc/kube"):
    return endpoint.from_entries(
        endpoint.Entry({**CLUSTER, **(cluster or {})}, folder),
        endpoint.Entry(user or {}, folder),
    )


def plugin(**fields):
    return {"exec": {"command": "aws", "apiVersion": "client.authentication.k8s.io/v1", **fields}}


async def header(made):
    return await made.credentials.authorization()


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ({}, ""),
        ({"token": "abc\n"}, "Bearer abc"),
        ({"username": "me", "password": "pw"}, "Basic " + base64.b64encode(b"me:pw").decode()),
        ({"username": "me"}, "Basic " + base64.b64encode(b"me:").decode()),
        ({"token": "abc", "username": "me", "password": "pw"}, "Bearer abc"),
    ],
)
async def test_a_user_is_known_by_its_fields(user, expected):
    assert await header(server(user)) == expected


async def test_a_token_file_wins_over_a_token_and_is_found_beside_the_kubeconfig(tmp_path):
    (tmp_path / "token").write_text("from the file")
    made = server({"tokenFile": "token", "token": "abc"}, folder=str(tmp_path))
    assert await header(made) == "Bearer from the file"


def test_a_plugin_is_started_as_the_kubeconfig_says():
    user = plugin(
        command="./bin/aws",
        args=["eks", 7],
        env=[{"name": "AWS_PROFILE", "value": "p"}],
        installHint=" install it ",
        provideClusterInfo=True,
    )
    cluster = {
        "certificate-authority-data": base64.b64encode(b"PEM").decode(),
        "tls-server-name": "kubernetes",
        "extensions": [{"name": "client.authentication.k8s.io/exec", "extension": {"a": 1}}],
    }
    made = server(user, cluster).credentials
    assert isinstance(made, credentials.ExecPlugin)
    command = made._command
    assert command.arguments == ("/etc/kube/bin/aws", "eks", "7")
    assert command.environment == {"AWS_PROFILE": "p"}
    assert command.hint == "install it"
    assert command.cluster == {
        "server": "https://10.0.0.1:6443/",
        "tls-server-name": "kubernetes",
        "certificate-authority-data": base64.b64encode(b"PEM").decode(),
        "config": {"a": 1},
    }


def test_a_plugin_without_a_path_is_looked_up_in_the_path_and_given_no_cluster():
    command = server(plugin()).credentials._command
    assert command.arguments == ("aws",)
    assert command.cluster is None


@pytest.mark.parametrize(
    ("user", "cluster", "words"),
    [
        ({"auth-provider": {"name": "oidc", "config": {}}}, {}, "oidc left .* use an exec plugin"),
        ({"auth-provider": {"name": "gcp"}}, {}, "gcp left"),
        (plugin(interactiveMode="Always"), {}, "no terminal"),
        ({"exec": {"command": "x"}}, {}, "apiVersion"),
        ({"client-certificate": "c.pem"}, {}, "needs its key"),
        ({"client-key-data": "AAAA"}, {}, "needs its key"),
        ({}, {"server": ""}, "missing"),
        ({}, {"certificate-authority-data": "%%%"}, "certificate-authority-data"),
        ({}, {"insecure-skip-tls-verify": True, "certificate-authority": "x"}, "contradicts"),
    ],
)
def test_what_cannot_work_is_refused(user, cluster, words):
    with pytest.raises(errors.ConfigError, match=words):
        server(user, cluster)


@pytest.mark.parametrize(
    ("value", "verified"), [(True, False), (False, True), ("true", True), (1, True), (None, True)]
)
def test_only_a_plain_true_switches_verification_off(value, verified):
    made = server(cluster={"insecure-skip-tls-verify": value})
    assert made.trust.context().check_hostname is verified


def test_a_cluster_says_where_and_as_whom_it_is_reached():
    made = server(cluster={"tls-server-name": "kubernetes", "proxy-url": "http://proxy:3128"})
    assert (made.url, made.tls_name, made.proxy) == (
        "https://10.0.0.1:6443",
        "kubernetes",
        "http://proxy:3128",
    )


def test_plain_http_has_no_trust():
    assert server(cluster={"server": "http://127.0.0.1:8001"}).trust is None


# ---------------------------------------------------------------- in a cluster


@pytest.fixture
def account(tmp_path):
    (tmp_path / "token").write_text("service account\n")
    (tmp_path / "namespace").write_text("railyard\n")
    return tmp_path


@pytest.mark.parametrize(
    ("host", "url"), [("10.96.0.1", "https://10.96.0.1:443"), ("fd00::1", "https://[fd00::1]:443")]
)
async def test_in_a_cluster_the_service_account_is_used(account, host, url):
    environment = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": "443"}
    made = endpoint.in_cluster(environment, str(account))
    assert made.url == url
    assert made.namespace == "railyard"
    assert await header(made) == "Bearer service account"


@pytest.mark.parametrize("missing", ["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "token"])
def test_outside_of_a_cluster_it_is_said_what_to_give(account, missing):
    environment = {"KUBERNETES_SERVICE_HOST": "h", "KUBERNETES_SERVICE_PORT": "443"}
    environment.pop(missing, None)
    if missing == "token":
        (account / "token").unlink()
    with pytest.raises(errors.ConfigError, match="--kubeconfig FILE or --snapshot FILE"):
        endpoint.in_cluster(environment, str(account))
