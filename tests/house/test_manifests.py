"""Policies and manifests that we ship are good, and no file says what only its author knows."""

import importlib.metadata
import pathlib
import re
import tomllib

import pytest
import yaml

from extender import settings
from extender.cli import serve_flags
from extender.policy import config
from extender.server import metrics
from extender.service import assembly
from tests.kit.house_files import ROOT, read

WRITTEN = (
    path
    for folder in ("extender", "config", "deploy", "docs", "loadtests", "tests")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in {".py", ".md", ".yaml", ".toml", ".go", ".json"}
    and not {"golden", "data", "out", "__pycache__"} & set(path.relative_to(ROOT).parts)
)


SOURCES = [*WRITTEN, ROOT / "Makefile", ROOT / "pyproject.toml", *sorted(ROOT.glob("*.md"))]


# ---------------------------------------------------------------- policies and manifests


@pytest.mark.parametrize(
    "path",
    [
        ROOT / "config/policy.yaml",
        ROOT / "deploy/base/policy.yaml",
        *sorted((ROOT / "config/examples").glob("*.yaml")),
    ],
    ids=lambda path: path.name,
)
def test_a_policy_that_we_ship_is_good(path):
    assert assembly.read_policy(path).profiles


@pytest.mark.parametrize("name", ["config/policy.yaml", "deploy/base/policy.yaml"])
def test_the_default_policy_is_the_default(name):
    assert assembly.read_policy(ROOT / name) == config.DEFAULT


def manifests():
    for path in sorted((ROOT / "deploy/base").glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            yield path.name, document


def test_the_kustomization_lists_every_manifest():
    listed = yaml.safe_load(read("deploy/base/kustomization.yaml"))["resources"]

    there = {name for name, _ in manifests()} - {"kustomization.yaml"}
    assert set(listed) == there


def test_the_role_only_reads_and_sees_no_secrets():
    roles = [body for _, body in manifests() if body["kind"] in {"ClusterRole", "Role"}]

    rules = [rule for role in roles for rule in role["rules"]]
    assert rules
    for rule in rules:
        assert set(rule["verbs"]) <= {"get", "list", "watch"}
        assert not {"*", "secrets"} & {*rule["resources"], *rule["apiGroups"]}


def pod_template():
    deployment = yaml.safe_load(read("deploy/base/deployment.yaml"))
    return deployment["spec"]["template"]


def test_the_deployment_starts_the_service_with_flags_it_has():
    (container,) = pod_template()["spec"]["containers"]
    command, *flags = container["args"]

    known = {"--" + name.replace("_", "-") for name in serve_flags.OPTIONS}
    assert command == "serve"
    assert {flag.partition("=")[0] for flag in flags} <= known


def test_the_pod_is_as_restricted_as_its_namespace_wants():
    spec = pod_template()["spec"]
    (container,) = spec["containers"]

    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_the_token_is_projected_and_short_lived():
    spec = pod_template()["spec"]
    (token,) = [volume["projected"] for volume in spec["volumes"] if "projected" in volume]

    assert spec["automountServiceAccountToken"] is False
    (account,) = [s["serviceAccountToken"] for s in token["sources"] if "serviceAccountToken" in s]
    assert account["expirationSeconds"] <= 3600


def test_probes_and_services_name_ports_that_are_there():
    (container,) = pod_template()["spec"]["containers"]
    ports = {port["name"] for port in container["ports"]}
    probes = (container["livenessProbe"], container["readinessProbe"])
    services = [body for _, body in manifests() if body["kind"] == "Service"]

    assert {probe["httpGet"]["port"] for probe in probes} <= ports
    for service in services:
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports


def test_stopping_has_the_time_it_takes():
    spec = pod_template()["spec"]
    options = (argument.partition("=") for argument in spec["containers"][0]["args"])
    given = {name: value for name, _, value in options}

    stages = float(given["--announce-seconds"]) + settings.Drain().finish_seconds

    assert spec["terminationGracePeriodSeconds"] >= stages + 5


def test_the_scheduler_is_given_the_verbs_that_we_serve():
    document = yaml.safe_load(read("deploy/scheduler/kube-scheduler-config.yaml"))
    (extender,) = document["extenders"]

    spoken = {extender[verb] for verb in ("filterVerb", "prioritizeVerb", "preemptVerb")}
    assert spoken == set(metrics.VERBS)
    assert extender["nodeCacheCapable"] is True
    assert extender["managedResources"] == []
    assert extender["enableHTTPS"] is True


# ---------------------------------------------------------------- what must not be in here


# Spelt in parts, so that this file does not find itself.
PRIVATE = (
    ("/" + "work/", "a path of somebody's machine"),
    ("../" + "shared", "a folder beside the repository"),
    ("/" + "home/", "a path of somebody's machine"),
    ("py" + "pi.org", "a package registry"),
    ("proxy." + "golang", "a package registry"),
    ("npm" + "js.", "a package registry"),
)


NOTES = re.compile(
    "|".join(
        rf"\b{name}\.md"
        for name in (
            "dra",
            "packing",
            "reliability",
            "latency",
            "extender-protocol",
            "control" + "plane",
            "peers",
            "design",
            "style",
        )
    )
)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_file_names_nothing_that_only_its_author_has(path):
    text = path.read_text(encoding="utf-8")

    assert [why for word, why in PRIVATE if word in text] == []
    if path != pathlib.Path(__file__).resolve():
        assert NOTES.findall(text) == []


@pytest.mark.parametrize("name", sorted(path.name for path in ROOT.glob("requirements*.txt")))
def test_a_lock_file_has_hashes_and_names_no_index(name):
    text = read(name)
    pinned = re.findall(r"^[a-z0-9].*==", text, re.MULTILINE)

    assert pinned
    assert text.count("--hash=sha256:") >= len(pinned)
    assert "://" not in text
    assert "--index" not in text


def test_every_dependency_is_locked():
    project = tomllib.loads(read("pyproject.toml"))["project"]
    locked = set(re.findall(r"^([a-z0-9-]+)==", read("requirements.txt"), re.MULTILINE))

    wanted = {re.split(r"[<>=]", text)[0] for text in project["dependencies"]}

    assert wanted <= locked
    assert importlib.metadata.version("msgspec")
