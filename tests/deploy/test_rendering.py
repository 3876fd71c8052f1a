"""The chart and the kustomization: the same objects, by whichever way they are installed."""

import json
import re

import pytest
import yaml

from extender.cli import serve_flags
from tests.kit.controlplane import build
from tests.kit.deploy import rendering, tools

pytestmark = pytest.mark.controlplane

ADDRESS = {"service": {"clusterIP": "10.96.0.88"}}  # the overlay's
# what is installed beside the service: component → the values that do the same
OPTIONS = {
    "cert-manager": {"certificates": {"certManager": {"enabled": True}}},
    "gpu-scheduler": {"gpuScheduler": {"enabled": True}},
    "network-policy": {"networkPolicy": {"enabled": True}},
    "monitoring": {
        "serviceMonitor": {"enabled": True},
        "prometheusRule": {"enabled": True},
        "dashboards": {"enabled": True},
    },
    "policy-events": {"policy": {"events": True}},
    "admin-auth": {"adminAuth": {"enabled": True}},  # last: it changes what the others made
}
EVERYTHING = {name: value for each in OPTIONS.values() for name, value in each.items()}


@pytest.fixture(autouse=True)
def _tools():
    for reason in (tools.why_not(), build.why_not(build.default_version())):
        if reason:
            pytest.skip(reason)


@pytest.mark.parametrize(
    "components", [(), *((name,) for name in OPTIONS), tuple(OPTIONS)], ids="+".join
)
def test_helm_and_kustomize_make_the_same_objects(tmp_path, components):
    values = dict(ADDRESS)
    for name in components:
        values |= OPTIONS[name]

    by_helm = rendering.plain(rendering.helm(tmp_path, values))
    overlay = rendering.overlay(tmp_path / "overlay", components)
    by_kustomize = rendering.plain(rendering.kustomize(tmp_path, overlay))

    assert by_helm.keys() == by_kustomize.keys()
    for key, body in by_helm.items():
        assert body == by_kustomize[key]


def test_every_component_has_values_that_do_the_same():
    assert {folder.name for folder in rendering.COMPONENTS.iterdir()} == OPTIONS.keys()


def test_a_chart_rendered_twice_is_the_same_text(tmp_path):
    once = rendering.helm_text(tmp_path, ADDRESS | EVERYTHING)

    assert rendering.helm_text(tmp_path, ADDRESS | EVERYTHING) == once


def test_the_chart_asks_the_cluster_nothing_and_draws_nothing():
    text = "".join(path.read_text() for path in (tools.CHART / "templates").iterdir())
    words = set(re.findall(r"[A-Za-z0-9]+", " ".join(re.findall(r"{{.*?}}", text, re.DOTALL))))

    drawn = {word for word in words if word.startswith(("rand", "gen", "uuid", "shuffle"))}
    assert drawn | words & {"lookup", "now", "date", "IsInstall", "IsUpgrade"} == set()


def test_the_chart_passes_helms_own_lint(tmp_path):
    options = ("--strict", "--kube-version", build.default_version())
    done = tools.run(tools.binary(), "lint", tools.CHART, *options, home=tmp_path)

    assert "0 chart(s) failed" in done


@pytest.mark.parametrize("way", ["helm", "kustomize"])
def test_whatever_selects_finds_what_it_looks_for(tmp_path, way):
    if way == "helm":
        objects = rendering.helm(tmp_path, ADDRESS | EVERYTHING)
    else:
        overlay = rendering.overlay(tmp_path / "overlay", tuple(OPTIONS))
        objects = rendering.kustomize(tmp_path, overlay)

    of = {(kind, name): body for (kind, _, name), body in objects.items()}
    pods = of["Deployment", "railyard"]["spec"]["template"]["metadata"]["labels"]
    service = of["Service", "railyard"]
    for selector, labels in (
        (service["spec"]["selector"], pods),
        (of["PodDisruptionBudget", "railyard"]["spec"]["selector"]["matchLabels"], pods),
        (of["NetworkPolicy", "railyard"]["spec"]["podSelector"]["matchLabels"], pods),
        (
            of["ServiceMonitor", "railyard"]["spec"]["selector"]["matchLabels"],
            service["metadata"]["labels"],
        ),
    ):
        assert selector.items() <= labels.items()
    (endpoint,) = of["ServiceMonitor", "railyard"]["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    scheduler = of["Deployment", "railyard-gpu-scheduler"]["spec"]["template"]["metadata"]["labels"]
    assert not service["spec"]["selector"].items() <= scheduler.items()
    callers = of["NetworkPolicy", "railyard"]["spec"]["ingress"][0]["from"]
    (inside,) = [each["podSelector"]["matchLabels"] for each in callers if "podSelector" in each]
    assert inside.items() <= scheduler.items()


@pytest.mark.parametrize("values", [{}, ADDRESS | EVERYTHING], ids=["default", "everything"])
def test_another_name_and_namespace_reach_every_reference(tmp_path, values):
    named = ("--name-template", "blue", "--namespace", "gpu-system")
    objects = rendering.helm(tmp_path, values, *named)

    own = {name for _, _, name in objects}
    kinds = {(kind, name) for kind, _, name in objects}
    assert {namespace for _, namespace, _ in objects} <= {"", "gpu-system", "kube-system"}
    for (kind, _, name), body in objects.items():
        assert name.startswith("blue-railyard") or name == "railyard-policy"
        if kind.endswith("Binding"):
            role = body["roleRef"]
            known = role["name"].startswith(("system:", "extension-apiserver"))
            assert known or (role["kind"], role["name"]) in kinds
            for subject in body["subjects"]:
                assert ("ServiceAccount", subject["name"]) in kinds
                assert subject["namespace"] == "gpu-system"
        if kind == "Deployment":
            assert body["spec"]["template"]["spec"]["serviceAccountName"] in own
    text = json.dumps(list(objects.values()))
    assert "railyard.railyard.svc" not in text


@pytest.mark.parametrize(
    ("values", "reported"),
    [
        ({"replica": 3}, "replica"),
        ({"replicas": 0}, "replicas"),
        ({"replicas": "2"}, "replicas"),
        ({"policy": {"create": "Always"}}, "create"),
        ({"policy": {"create": "once"}}, "create"),
        ({"image": {"digest": "sha256:abc"}}, "digest"),
        ({"extraArgs": ["debug"]}, "extraArgs"),
        ({"clientNames": []}, "clientNames"),
        ({"service": {"clusterIp": "10.96.0.88"}}, "clusterIp"),
        ({"service": {"clusterIP": "railyard"}}, "clusterIP"),
        ({"featureGates": "A=yes"}, "featureGates"),
        ({"networkPolicy": {"schedulerCIDRs": ["10.0.0.1"]}}, "schedulerCIDRs"),
        ({"networkPolicy": {"schedulerCIDRs": []}}, "schedulerCIDRs"),
        ({"gpuScheduler": {"schedulerName": "default-scheduler"}}, "schedulerName"),
    ],
    ids=str,
)
def test_a_value_that_is_wrong_is_named(tmp_path, values, reported):
    with pytest.raises(tools.ToolError) as refused:
        rendering.helm(tmp_path, values)

    assert reported in str(refused.value)


def described(values, schema, path=()):
    for name, value in values.items():
        inside = schema["properties"].get(name)
        if inside is None:
            yield ".".join((*path, name))
        elif isinstance(value, dict) and "properties" in inside:
            yield from described(value, inside, (*path, name))


def test_every_value_is_in_the_schema():
    values = yaml.safe_load((tools.CHART / "values.yaml").read_text())
    schema = json.loads((tools.CHART / "values.schema.json").read_text())

    assert list(described(values, schema)) == []


@pytest.mark.parametrize(
    ("values", "where", "expected"),
    [
        ({"imagePullSecrets": [{"name": "mine"}]}, ("imagePullSecrets",), [{"name": "mine"}]),
        ({"priorityClassName": ""}, ("priorityClassName",), None),
        ({"nodeSelector": {"a": "b"}}, ("nodeSelector",), {"a": "b"}),
        ({"affinity": None}, ("affinity",), None),
        ({"announceSeconds": 60}, ("terminationGracePeriodSeconds",), 75),
        (
            {"image": {"repository": "r/x", "digest": "sha256:" + "0" * 64}},
            ("containers", 0, "image"),
            "r/x@sha256:" + "0" * 64,
        ),
        ({"image": {"tag": "2"}}, ("containers", 0, "image"), "railyard:2"),
    ],
    ids=str,
)
def test_a_value_arrives_in_the_pod(tmp_path, values, where, expected):
    spec = pod_spec(rendering.helm(tmp_path, values))

    for step in where[:-1]:
        spec = spec[step]
    assert spec.get(where[-1]) == expected


def pod_spec(objects):
    return objects["Deployment", "railyard", "railyard"]["spec"]["template"]["spec"]


def test_flags_of_the_user_come_last_and_so_win(tmp_path):
    values = {"extraArgs": ["--log-level=debug", "--announce-seconds=1"], "featureGates": "A=true"}

    (container,) = pod_spec(rendering.helm(tmp_path, values))["containers"]

    assert container["args"][-3:] == ["--feature-gates=A=true", *values["extraArgs"]]
    known = {"--" + name.replace("_", "-") for name in serve_flags.OPTIONS}
    assert {flag.partition("=")[0] for flag in container["args"][1:]} <= known


@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["default", "everything"])
def test_every_pod_is_as_restricted_as_pods_can_be(tmp_path, values):
    for (kind, _, _), body in rendering.helm(tmp_path, values).items():
        if kind == "Deployment":
            spec = body["spec"]["template"]["spec"]
            assert spec["securityContext"]["runAsNonRoot"] is True
            assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            for container in spec["containers"]:
                security = container["securityContext"]
                assert security["allowPrivilegeEscalation"] is False
                assert security["readOnlyRootFilesystem"] is True
                assert security["capabilities"] == {"drop": ["ALL"]}
                assert {"startupProbe", "livenessProbe", "readinessProbe"} <= container.keys()


def test_beside_kube_scheduler_there_is_nothing_that_a_scheduler_must_place(tmp_path):
    folder = tools.ROOT / "deploy/overlays/control-plane"
    objects = rendering.kustomize(tmp_path, folder)

    kinds = {kind for kind, _, _ in objects}
    assert kinds == {
        "ClusterRole",
        "ClusterRoleBinding",
        "ConfigMap",
        "Namespace",
        "Role",
        "RoleBinding",
    }
    subjects = [s for body in objects.values() for s in body.get("subjects", ())]
    assert {(subject["kind"], subject["name"]) for subject in subjects} == {("User", "railyard")}


def test_the_static_pod_refers_to_nothing_that_lives_in_the_api():
    pod = yaml.safe_load((tools.ROOT / "deploy/overlays/control-plane/static-pod.yaml").read_text())

    (container,) = pod["spec"]["containers"]
    assert {kind for volume in pod["spec"]["volumes"] for kind in volume} <= {
        "name",
        "hostPath",
        "emptyDir",
    }
    assert "serviceAccountName" not in pod["spec"]
    bound = [flag for flag in container["args"] if flag.startswith(("--bind", "--admin-bind"))]
    assert bound == ["--bind=127.0.0.1:8888", "--admin-bind=127.0.0.1:8889"]
