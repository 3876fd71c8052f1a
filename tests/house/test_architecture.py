"""The house rules that a machine can check, and documents that must not fall behind the code."""

import ast
import collections
import importlib.metadata
import json
import pathlib
import re
import subprocess
import sys
import tomllib

import msgspec
import prometheus_client
import pytest
import yaml

from extender import settings
from extender.kube.watch import informers
from extender.policy import config
from extender.server import metrics
from extender.service import assembly

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODULES = sorted((ROOT / "extender").rglob("*.py"))
DOCS = ROOT / "docs"
LONGEST = 350
MOST_FILES = 12
LINES = {"__init__": 60}  # function → its most lines, where not 40
WRITTEN = (
    path
    for folder in ("extender", "config", "deploy", "docs", "loadtests", "tests")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in {".py", ".md", ".yaml", ".toml", ".go", ".json"}
    and not {"golden", "data", "out", "__pycache__"} & set(path.relative_to(ROOT).parts)
)
SOURCES = [*WRITTEN, ROOT / "Makefile", ROOT / "pyproject.toml", *sorted(ROOT.glob("*.md"))]


def pages():
    """README.md and the pages of docs/ in one text."""
    return "\n".join([read("README.md"), *(p.read_text() for p in sorted(DOCS.rglob("*.md")))])


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def named(module):
    return module.relative_to(ROOT / "extender").as_posix()


# ---------------------------------------------------------------- rooms and modules


def test_rooms_import_only_rooms_below_them():
    command = [pathlib.Path(sys.executable).parent / "lint-imports", "--no-cache"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("module", MODULES, ids=named)
def test_a_module_has_one_subject_and_so_an_end(module):
    assert len(module.read_text().splitlines()) <= LONGEST


def test_a_room_is_not_crowded():
    rooms = collections.Counter(
        module.parent.relative_to(ROOT).as_posix()
        for module in MODULES
        if module.name != "__init__.py"
    )

    assert {room: files for room, files in rooms.items() if files > MOST_FILES} == {}


@pytest.mark.parametrize("module", MODULES, ids=named)
def test_a_function_fits_on_a_screen(module):
    """A constructor may be longer: it declares what the object holds."""
    long = {
        node.name: length
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := node.end_lineno - node.lineno + 1) > LINES.get(node.name, 40)
    }

    assert long == {}


def test_every_package_is_installed():
    listed = tomllib.loads(read("pyproject.toml"))["tool"]["setuptools"]["packages"]
    found = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for path in (ROOT / "extender").rglob("__init__.py")
    }

    assert set(listed) == found | {"extender.embedded"}


def test_the_version_is_the_same_everywhere():
    project = tomllib.loads(read("pyproject.toml"))["project"]

    assert importlib.import_module("extender").__version__ == project["version"]
    image = yaml.safe_load(read("deploy/base/deployment.yaml"))["spec"]["template"]["spec"]
    assert image["containers"][0]["image"] == f"railyard:{project['version']}"


# ---------------------------------------------------------------- documents


def test_every_flag_is_documented():
    text = pages()

    missing = [name for name in settings._OPTIONS if f"`--{name.replace('_', '-')}" not in text]

    assert missing == []


def fields(section):
    for field in msgspec.structs.fields(section):
        yield field.encode_name
        kinds = (field.type, *getattr(field.type, "__args__", ()))
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, config.Section):
                yield from fields(kind)


def test_every_field_of_the_policy_is_described():
    text = read("config/README.md")

    missing = [name for name in fields(config.Policy) if not re.search(rf"[`.]{name}[`.]", text)]

    assert missing == []


@pytest.mark.parametrize(
    ("section", "heading"),
    [
        (config.Locality, "profiles[].locality"),
        (config.Packing, "profiles[].packing"),
        (config.ClusterPacking, "packing"),
        (config.Proximity, "profiles[].proximity"),
        (config.Preference, "profiles[].preference"),
    ],
)
def test_the_defaults_in_the_document_are_the_defaults(section, heading):
    text = read("config/README.md").partition(f"### `{heading}`")[2].partition("###")[0]

    for field in msgspec.structs.fields(section):
        if isinstance(field.default, str | float | int):
            assert f"| `{field.encode_name}` | `{field.default}` |" in text


def test_the_schema_is_current():
    assert json.loads(read("config/policy.schema.json")) == json.loads(
        msgspec.json.encode(config.schema())
    )


def test_every_metric_is_documented():
    text = pages()
    kinds = {"Pod": metrics.KindFigures(synced=True, objects=1, age_seconds=0.0)}
    registry = metrics.Metrics(lambda: metrics.ClusterFigures(kinds=kinds)).registry

    names = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in registry.collect()
        if family.name.startswith("railyard_")
    }

    assert {name for name in names if f"`{name}`" not in text} == set()
    assert isinstance(registry, prometheus_client.CollectorRegistry)


def test_what_each_kind_is_needed_for_is_documented_as_in_the_code():
    rows = [
        f"| {each.kind} | {'required' if each.required else 'optional'} | {each.without} |"
        for each in (*informers.KINDS, informers.config_map("", ""))
    ]

    assert "\n".join(rows) in read("docs/operating.md")


@pytest.mark.parametrize(
    "document",
    [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("*/README.md")), *sorted(DOCS.rglob("*.md"))],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_what_a_document_links_to_is_there(document):
    targets = re.findall(r"\]\(([^)#:]+)\)", document.read_text())

    assert [target for target in targets if not (document.parent / target).exists()] == []


def test_every_make_target_in_a_document_exists():
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    spoken = {
        target
        for name in ("README.md", "docs/quickstart.md", "CONTRIBUTING.md", ".ci/run")
        for target in re.findall(r"(?:^|`)\s*make ([a-z-]+)", read(name), re.MULTILINE)
    }

    assert spoken <= targets
    assert {"demo", "test", "lint"} <= spoken


def test_every_benchmark_in_a_document_exists():
    modules = re.findall(r"python -m (loadtests\.[a-z_.]+[a-z])", pages())

    assert modules
    assert [name for name in modules if not (ROOT / f"{name.replace('.', '/')}.py").exists()] == []


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

    known = {"--" + name.replace("_", "-") for name in settings._OPTIONS}
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


def test_the_scheduler_is_told_of_verbs_that_we_serve():
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
