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

from extender.cli import serve_flags
from extender.kube.watch import informers
from extender.policy import config
from extender.rollout import document as candidate_document
from extender.server import metrics
from tests.kit.house_files import ROOT, read

MODULES = sorted((ROOT / "extender").rglob("*.py"))


OF_TESTS = [
    path for folder in ("tests", "loadtests") for path in sorted((ROOT / folder).rglob("*.py"))
]


DOCS = ROOT / "docs"


LONGEST, LONGEST_FUNCTION = 350, 40  # lines


MOST_FILES = 12


def pages():
    """README.md and the pages of docs/ in one text."""
    return "\n".join([read("README.md"), *(p.read_text() for p in sorted(DOCS.rglob("*.md")))])


def named(module):
    return module.relative_to(ROOT / "extender").as_posix()


# ---------------------------------------------------------------- rooms and modules


def test_rooms_import_only_rooms_below_them():
    command = [pathlib.Path(sys.executable).parent / "lint-imports", "--no-cache"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_no_room_of_tests_is_left_out_of_the_contracts():
    contracts = tomllib.loads(read("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    independent = next(each["modules"] for each in contracts if each["type"] == "independence")
    there = {f"tests.{path.parent.name}" for path in (ROOT / "tests").glob("*/__init__.py")}

    assert set(independent) == there - {"tests.kit"}


@pytest.mark.parametrize("module", MODULES, ids=named)
def test_a_module_has_one_subject_and_so_an_end(module):
    assert len(module.read_text().splitlines()) <= LONGEST


@pytest.mark.parametrize(
    "module",
    OF_TESTS,
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_so_have_modules_of_tests_and_load_tests(module):
    assert len(module.read_text().splitlines()) <= LONGEST


def test_a_room_is_not_crowded():
    rooms = collections.Counter(
        module.parent.relative_to(ROOT).as_posix()
        for module in [*MODULES, *OF_TESTS]
        if module.name not in {"__init__.py", "conftest.py"}
    )

    assert {room: files for room, files in rooms.items() if files > MOST_FILES} == {}


@pytest.mark.parametrize(
    "module", [*MODULES, *OF_TESTS], ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_a_function_fits_on_a_screen(module):
    long = {
        node.name: length
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := node.end_lineno - node.lineno + 1) > LONGEST_FUNCTION
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

    missing = [name for name in serve_flags.OPTIONS if f"`--{name.replace('_', '-')}" not in text]

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
    assert json.loads(read("config/candidate.schema.json")) == json.loads(
        msgspec.json.encode(candidate_document.schema())
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
