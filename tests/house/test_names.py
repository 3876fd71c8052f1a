"""One name, one thing: modules and classes have names that say what they are, each its own."""

import ast
import collections
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODULES = sorted((ROOT / "extender").rglob("*.py"))
VAGUE = {"utils", "util", "helpers", "common", "manager", "base", "core", "types", "misc"}
# Class name → why two classes have it.
SHARED = {"Device": "the API's object, and what a shape keeps of it: the same thing, read once"}


def named(module):
    return module.relative_to(ROOT / "extender").as_posix()


def classes():
    """Class name without underscores → the modules that define one."""
    found = collections.defaultdict(list)
    for module in MODULES:
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.ClassDef):
                found[node.name.lstrip("_")].append(named(module))
    return found


@pytest.mark.parametrize("module", MODULES, ids=named)
def test_a_module_has_a_name_that_says_something(module):
    assert module.stem not in VAGUE


@pytest.mark.parametrize("module", MODULES, ids=named)
def test_a_module_says_what_it_is_for(module):
    text = module.read_text()

    assert not text.strip() or ast.get_docstring(ast.parse(text))


def test_no_two_classes_have_one_name():
    twice = {name: modules for name, modules in classes().items() if len(modules) > 1}

    assert {name: modules for name, modules in twice.items() if name not in SHARED} == {}
    assert SHARED.keys() <= twice.keys()
