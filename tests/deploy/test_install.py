"""From nothing to a scored pod, by the commands of the install page, on the real control plane."""

import shutil
import ssl

import pytest

from tests.kit.controlplane import build, features, fleet, process, railyard
from tests.kit.controlplane.plane import ControlPlane
from tests.kit.deploy import installed, page, rendering, tools

pytestmark = pytest.mark.controlplane

FILES = {"caFile": "ca.crt", "certFile": "tls.crt", "keyFile": "tls.key"}
# What an installation leaves outside its namespace.
OUTSIDE = ("clusterrole/railyard", "clusterrolebinding/railyard")
OUTSIDE_ACCESS = (
    "clusterrole/railyard-reviews",
    "clusterrolebinding/railyard-reviews",
    "clusterrole/railyard-metrics-reader",
    "clusterrole/railyard-viewer",
    "clusterrolebinding/scraping",
)
OUTSIDE_SCHEDULER = (
    "clusterrolebinding/railyard-gpu-scheduler",
    "clusterrolebinding/railyard-gpu-scheduler-volumes",
)
WAYS = {
    "Helm": ["### With Helm"],
    "kustomize": ["### With kustomize"],
}


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    """A control plane of this module's own, on which nothing of ours is installed."""
    version = build.default_version()
    for reason in (tools.why_not(), build.why_not(version)):
        if reason:
            pytest.skip(reason)
    with ControlPlane(
        build.binary(version),
        tmp_path_factory.mktemp("plane"),
        feature_gates=features.gates(version),
        runtime_config=features.runtime_config(version),
    ) as cluster:
        yield cluster


@pytest.fixture
def empty(plane):
    remove(plane)
    yield plane
    remove(plane)


def remove(plane):
    plane.kubectl("delete", "--ignore-not-found", *OUTSIDE, *OUTSIDE_ACCESS, *OUTSIDE_SCHEDULER)
    binding = "rolebinding/railyard-gpu-scheduler-authentication"
    plane.kubectl("-n", "kube-system", "delete", "--ignore-not-found", binding)
    plane.kubectl("delete", "--ignore-not-found", "--wait", "namespace/railyard")


@pytest.fixture
def shell(empty, tmp_path):
    return page.Shell(
        tmp_path / "shell",
        controlplane=build.binary(build.default_version()),
        kubeconfig=empty.kubeconfig("admin"),
    )


@pytest.fixture
async def api(empty):
    async with empty.api() as client:
        yield client
        await client.clear("Pod")
        await client.clear("Node", None)


def install(shell, way):
    for heading in ("## 2. Namespace and certificates", *WAYS[way]):
        for block in page.commands(heading):
            shell.run(block)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("scheduler", ["the cluster's", "of its own"])
async def test_a_pod_is_scored(empty, shell, api, tmp_path, way, scheduler):
    install(shell, way)
    own = scheduler == "of its own"
    if own and way == "kustomize":
        components = rendering.overlay(tmp_path / "overlay", ["gpu-scheduler"])
        empty.kubectl("apply", "-k", components)
    for number in range(2):
        await api.create(fleet.node(f"node-{number}", resources={fleet.GPU_RESOURCE: "8"}))
    started, port, admin_port = installed.railyard(empty, tmp_path)
    client = installed.secret_files(empty, "railyard-scheduler-client", tmp_path / "client")
    shipped = installed.Shipped(
        empty,
        f"https://127.0.0.1:{port}",
        {field: client / name for field, name in FILES.items()},
        None if own else tools.ROOT / "deploy/scheduler/kube-scheduler-config.yaml",
    )
    name = "gpu-scheduler" if own else "default-scheduler"
    started.start()
    try:
        started.wait_until_answers("/readyz", port=admin_port)
        user = "gpu-scheduler" if own else "kube-scheduler"
        with empty.scheduling(shipped, user=user):
            pod = fleet.pod("train", resources={fleet.GPU_RESOURCE: "1"}, schedulerName=name)
            await api.create(pod)
            await api.wait_bound(1)
        asked = {
            verb: railyard.metric_of(
                admin_port, "railyard_requests_total", {"verb": verb, "code": "200"}
            )
            for verb in ("filter", "prioritize")
        }
    finally:
        started.stop(kill=True)
    assert asked == {"filter": 1, "prioritize": 1}


STRANGER = """
openssl ecparam -name prime256v1 -genkey -noout -out stranger.key
openssl req -new -key stranger.key -subj /CN=stranger -out stranger.csr
openssl x509 -req -in stranger.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 1 \
  -extfile extensions.cnf -extensions scheduler -out stranger.crt
"""


def test_who_has_no_certificate_or_another_name_is_not_let_in(empty, shell, tmp_path):
    install(shell, "Helm")
    shell.run(STRANGER)
    started, port, admin_port = installed.railyard(empty, tmp_path)
    without = ssl.create_default_context(cafile=str(shell.folder / "ca.crt"))
    without.check_hostname = False
    named = ssl.create_default_context(cafile=str(shell.folder / "ca.crt"))
    named.check_hostname = False
    named.load_cert_chain(shell.folder / "stranger.crt", shell.folder / "stranger.key")
    started.start()
    try:
        started.wait_until_answers("/readyz", port=admin_port)
        with pytest.raises(OSError, match=r"certificate required|reset|closed"):
            process.get("/filter", port=port, tls=without)
        status, _ = process.get("/filter", port=port, tls=named)
    finally:
        started.stop(kill=True)
    assert status == 403


def test_rbac_says_who_may_scrape_and_ask(empty, shell, tmp_path):
    install(shell, "Helm")
    shell.run(
        "helm upgrade railyard deploy/charts/railyard -n railyard --set adminAuth.enabled=true\n"
        "kubectl -n railyard create serviceaccount prometheus\n"
        "kubectl create clusterrolebinding scraping --clusterrole=railyard-metrics-reader"
        " --serviceaccount=railyard:prometheus"
    )
    token = empty.kubectl("-n", "railyard", "create", "token", "prometheus").strip()
    started, _, port = installed.railyard(empty, tmp_path)
    tls = ssl.create_default_context(cafile=str(shell.folder / "ca.crt"))
    tls.check_hostname = False
    started.start()
    try:
        started.wait_until_answers("/readyz", port=port, tls=tls)
        asked = [
            process.get(path, port=port, tls=tls, token=shown)
            for path, shown in (
                ("/metrics", token),
                ("/v1/topology", token),
                ("/metrics", f"{token}x"),
                ("/metrics", ""),
            )
        ]
    finally:
        started.stop(kill=True)
    assert [status for status, _ in asked] == [200, 403, 401, 401]
    assert "railyard_requests_total" in asked[0][1]
    assert "/v1/topology" in asked[1][1]


CHANGED = '{"data": {"policy.yaml": "{scores: {maximum: 100}}"}}'


def changed_policy(plane):
    return installed.get(plane, "configmap", "railyard-policy")["data"]["policy.yaml"]


def test_a_changed_policy_is_kept(empty, shell):
    install(shell, "Helm")
    empty.kubectl("-n", "railyard", "patch", "configmap", "railyard-policy", "--patch", CHANGED)
    upgrade = "helm upgrade railyard deploy/charts/railyard -n railyard --set announceSeconds=20"

    for step in (
        upgrade,
        "helm rollback railyard 1 -n railyard",
        "helm uninstall -n railyard railyard",
    ):
        shell.run(step)
        assert changed_policy(empty) == "{scores: {maximum: 100}}", step


def test_an_installation_over_a_policy_that_stayed_says_so_and_loses_nothing(empty, shell):
    install(shell, "Helm")
    empty.kubectl("-n", "railyard", "patch", "configmap", "railyard-policy", "--patch", CHANGED)
    shell.run("helm uninstall -n railyard railyard")

    again = "helm install railyard deploy/charts/railyard -n railyard"
    with pytest.raises(tools.ToolError) as refused:
        shell.run(again)
    assert '"railyard-policy" already exists' in str(refused.value)
    shell.run("helm uninstall -n railyard railyard")
    shell.run(f"{again} --set policy.create=Existing")

    assert changed_policy(empty) == "{scores: {maximum: 100}}"


def test_a_managed_policy_is_written_by_every_upgrade(empty, shell):
    shell.run(page.commands("## 2. Namespace and certificates")[0])
    managed = "deploy/charts/railyard -n railyard --set policy.create=Managed"
    shell.run(f"helm install railyard {managed}")

    shell.run(f"helm upgrade railyard {managed} --set policy.document='scores: {{maximum: 7}}'")

    assert changed_policy(empty).strip() == "scores: {maximum: 7}"


def test_the_api_server_accepts_every_manifest(empty, shell):
    shell.run(page.commands("## 2. Namespace and certificates")[0])
    if shutil.which("go") is None:
        pytest.skip("the definitions of other projects' kinds come from Go's module cache")
    for path in tools.definitions():
        empty.kubectl("apply", "--server-side", "--filename", path)
    empty.kubectl("wait", "--for=condition=Established", "--all", "crd", "--timeout=60s")
    everything = rendering.overlay(
        shell.folder / "overlay", sorted(each.name for each in rendering.COMPONENTS.iterdir())
    )
    paths = (everything, tools.ROOT / "deploy/overlays/control-plane")

    for path in paths:
        shown = empty.kubectl("apply", "--dry-run=server", "--validate=strict", "-k", path)
        assert "railyard" in shown
    pod = tools.ROOT / "deploy/overlays/control-plane/static-pod.yaml"
    assert empty.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", pod)
