"""Kubeconfig files of every shape: read as kubectl reads them, or refused in one sentence."""

import base64
import copy
import pathlib
import ssl
import subprocess
import sys

import hypothesis
import pytest
import trustme
import yaml
from hypothesis import strategies as st

from extender import errors
from extender.kube import client
from extender.kube.auth import kubeconfig

NODES = "/api/v1/nodes"


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def tls(authority, *, clients):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    context.verify_mode = ssl.CERT_REQUIRED
    clients.configure_trust(context)
    return context


@pytest.fixture
def written(tmp_path):
    """Write a kubeconfig of two contexts; the keywords replace its parts."""

    def write(name="config", **parts):
        body = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "one",
            "contexts": [
                {"name": "one", "context": {"cluster": "c1", "user": "u1"}},
                {"name": "two", "context": {"cluster": "c2", "user": "u2", "namespace": "ns"}},
            ],
            "clusters": [
                {"name": "c1", "cluster": {"server": "https://one:6443"}},
                {"name": "c2", "cluster": {"server": "https://two:6443"}},
            ],
            "users": [
                {"name": "u1", "user": {"token": "first"}},
                {"name": "u2", "user": {"token": "second"}},
            ],
        } | parts
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(body))
        return str(path)

    return write


@pytest.mark.parametrize(
    ("context", "url", "header", "namespace"),
    [
        ("", "https://one:6443", "Bearer first", "default"),
        ("two", "https://two:6443", "Bearer second", "ns"),
    ],
)
async def test_a_context_names_the_server_and_the_user(written, context, url, header, namespace):
    found = kubeconfig.read(written(), context)
    assert (found.url, found.namespace) == (url, namespace)
    assert await found.credentials.authorization() == header


async def test_several_files_are_merged_and_paths_start_at_their_own(written, tmp_path):
    folder = written("other/config", **{"current-context": "", "contexts": []})
    user = {"name": "u3", "user": {"tokenFile": "token"}}
    third = {"name": "three", "context": {"cluster": "c2", "user": "u3"}}
    second = written("second/config", users=[user], contexts=[third], clusters=[])
    (tmp_path / "second" / "token").write_text("from a file")
    found = kubeconfig.read(f"{folder}:{second}", "three")
    assert found.url == "https://two:6443"
    assert await found.credentials.authorization() == "Bearer from a file"


def test_of_several_files_the_first_current_context_counts(written, tmp_path):
    first = written("first", **{"current-context": "two"})
    second = written("second", **{"current-context": "one"})
    assert kubeconfig.read(f"{tmp_path / 'none'}:{first}:{second}").url == "https://two:6443"


def test_the_kubernetes_package_is_imported_for_a_kubeconfig_only():
    script = "import sys, extender.service.live; print('kubernetes' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.strip() == b"False"


async def test_a_kubeconfig_with_certificates_reaches_its_server(secure, authority, written):
    clients = trustme.CA()
    _, url = await secure(tls(authority, clients=clients))
    leaf = clients.issue_cert("railyard")

    def data(blob):
        return base64.b64encode(blob.bytes()).decode()

    cluster = {"server": url, "certificate-authority-data": data(authority.cert_pem)}
    user = {
        "client-certificate-data": data(leaf.cert_chain_pems[0]),
        "client-key-data": data(leaf.private_key_pem),
    }
    path = written(
        clusters=[{"name": "c1", "cluster": cluster}], users=[{"name": "u1", "user": user}]
    )
    async with client.Client(kubeconfig.read(path)) as api:
        assert await api.get(NODES)


@pytest.mark.parametrize("text", ["", "[]", "a: [", "5", "contexts: 7", "\x00"])
def test_a_file_that_is_no_kubeconfig_says_so(tmp_path, text):
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(errors.ConfigError, match="kubeconfig"):
        kubeconfig.read(str(path))


def test_a_missing_kubeconfig_says_so(tmp_path):
    with pytest.raises(errors.ConfigError, match="no such file"):
        kubeconfig.read(str(tmp_path / "none"))


V1 = "client.authentication.k8s.io/v1"
PLUGIN = {"command": "sh", "apiVersion": V1}


def user(**fields):
    return {"users": [{"name": "u1", "user": fields}]}


def bearer(token):
    return {"users": [{"name": "u1", "user": {"token": token}}]}


def cluster(**fields):
    return {"clusters": [{"name": "c1", "cluster": {"server": "https://one:6443", **fields}}]}


@pytest.mark.parametrize(
    ("parts", "context", "words"),
    [
        ({}, "nowhere", r"no context 'nowhere' \(contexts: one, two\)"),
        ({"current-context": ""}, "", r"no current-context: .* \(contexts: one, two\)"),
        ({"current-context": None}, "", "no current-context"),
        (
            {"current-context": 5},
            "",
            r"Expected `str \| null`, got `int` - at `\$.current-context`",
        ),
        ({"contexts": None}, "", r"no context 'one' \(contexts: none\)"),
        ({"contexts": {"one": {}}}, "", "Expected `array"),
        ({"contexts": [{"name": "one"}]}, "", "context 'one' names no cluster"),
        ({"contexts": [{"name": "one", "context": {"user": "u1"}}]}, "", "names no cluster"),
        ({"clusters": []}, "", r"no cluster 'c1' \(clusters: none\)"),
        ({"clusters": [{"name": "c1"}]}, "", "cluster.server: missing"),
        ({"clusters": [{"cluster": {}}]}, "", "missing required field `name`"),
        ({"users": []}, "", r"no user 'u1'"),
        (cluster(server="one:6443"), "", "'one:6443' is not http://HOST:PORT"),
        (cluster(server="https://one:port"), "", "is not http://HOST:PORT"),
        (cluster(server="https://[one"), "", "is not http://HOST:PORT"),
        (cluster(server="unix:///x"), "", "is not http://HOST:PORT"),
        (cluster(server=7), "", "server: expected text, found a int"),
        (cluster(**{"proxy-url": "socks5://one:1080"}), "", "proxy-url: 'socks5://one:1080'"),
        (cluster(**{"tls-server-name": []}), "", "tls-server-name: expected text"),
        (cluster(**{"certificate-authority": "/none/ca.crt"}), "", "/none/ca.crt: No such file"),
        (cluster(**{"certificate-authority-data": "%%%"}), "", "data: not base64"),
        (cluster(**{"certificate-authority-data": "eA=="}), "", "TLS certificates: "),
        (user(**{"auth-provider": {"name": "oidc"}}), "", "use an exec plugin"),
        (user(tokenFile="none"), "", "token file .*none: No such file or directory"),
        (user(tokenFile=["a"]), "", "tokenFile: expected text"),
        (user(token=5), "", "token: expected text, found a int"),
        (bearer("a\nb"), "", "user.token: holds characters that no token has"),
        (bearer("t\u00f6ken"), "", "holds characters"),
        (user(**{"client-certificate-data": "eA=="}), "", "a certificate needs its key"),
        (
            user(**{"client-certificate-data": "eA==", "client-key-data": "eA=="}),
            "",
            "TLS certificates: ",
        ),
        (
            user(**{"client-certificate": "/none/tls.crt", "client-key": "/none/tls.key"}),
            "",
            "/none/tls.crt: No such file",
        ),
        (user(exec={"apiVersion": V1}), "", "command and apiVersion are needed"),
        (user(exec="aws"), "", "user.exec: Expected `object`, got `str`"),
        (user(exec={**PLUGIN, "args": "eks"}), "", r"Expected `array \| null`, got `str`"),
        (user(exec={**PLUGIN, "env": [{"name": "A"}]}), "", "missing required field `value`"),
        (
            user(exec={**PLUGIN, "command": "no-such-program", "installHint": "get\nit"}),
            "",
            "exec plugin no-such-program: no such program; get it",
        ),
        (user(exec={**PLUGIN, "interactiveMode": "Always"}), "", "no terminal"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_says_why_in_one_sentence(written, parts, context, words):
    with pytest.raises(errors.ConfigError, match=words) as refused:
        kubeconfig.read(written(**parts), context)
    ((_, text),) = refused.value.problems
    assert "\n" not in text


async def test_a_user_without_credentials_is_nobody(written):
    found = kubeconfig.read(written(**user()))
    assert await found.credentials.authorization() == ""


async def test_what_looks_like_a_date_is_text(tmp_path):
    path = tmp_path / "config"
    path.write_text(
        "{current-context: 2026-01-01, contexts: [{name: 2026-01-01, context: {cluster: c}}], "
        "clusters: [{name: c, cluster: {server: https://one}}]}"
    )
    assert kubeconfig.read(str(path)).url == "https://one"


def test_what_cannot_be_read_says_so(tmp_path):
    with pytest.raises(errors.ConfigError, match="Is a directory"):
        kubeconfig.read(str(tmp_path))
    path = tmp_path / "bomb"
    path.write_text("a: &a [x, x]\nb: &b [*a, *a]\n")
    with pytest.raises(errors.ConfigError, match="aliases are not read"):
        kubeconfig.read(str(path))
    path.write_text("[" * 100_000)
    with pytest.raises(errors.ConfigError):
        kubeconfig.read(str(path))


def places(value, path=()):
    """Every place in a document."""
    yield path
    if isinstance(value, list):
        value = dict(enumerate(value))
    for key, child in value.items() if isinstance(value, dict) else ():
        yield from places(child, (*path, key))


WHOLE = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "one",
    "contexts": [
        {"name": "one", "context": {"cluster": "c1", "user": "u1", "namespace": "n"}},
    ],
    "clusters": [
        {
            "name": "c1",
            "cluster": {
                "server": "https://one:6443",
                "certificate-authority-data": "",
                "insecure-skip-tls-verify": False,
                "proxy-url": "http://proxy:3128",
                "tls-server-name": "kubernetes",
                "extensions": [{"name": "client.authentication.k8s.io/exec", "extension": {}}],
            },
        }
    ],
    "users": [
        {
            "name": "u1",
            "user": {
                "token": "",
                "tokenFile": "",
                "username": "",
                "password": "",
                "client-certificate-data": "",
                "client-key-data": "",
                "exec": {
                    **PLUGIN,
                    "args": ["a"],
                    "env": [{"name": "A", "value": "b"}],
                    "interactiveMode": "Never",
                    "provideClusterInfo": True,
                    "installHint": "get it",
                },
            },
        }
    ],
}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=5,
)


@hypothesis.given(place=st.sampled_from(list(places(WHOLE))[1:]), value=ANYTHING)
@hypothesis.settings(max_examples=400)
def test_anything_anywhere_is_a_server_or_one_sentence(tmp_path_factory, place, value):
    body = copy.deepcopy(WHOLE)
    parent = body
    for step in place[:-1]:
        parent = parent[step]
    parent[place[-1]] = value
    path = pathlib.Path(tmp_path_factory.getbasetemp(), "mutated")
    path.write_bytes(yaml.safe_dump(body, allow_unicode=True).encode("utf-8", "replace"))
    problems = []
    try:
        found = kubeconfig.read(str(path))
    except errors.ConfigError as error:
        problems = [text for _, text in error.problems]
    else:
        assert found.url.startswith(("http://", "https://"))
    assert not [text for text in problems if "\n" in text or not text]
