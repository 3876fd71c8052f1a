"""docs/openapi.yaml against a live service: every route is described, every description answers."""

import fnmatch
import pathlib

import aiohttp
import pytest
import yaml

from extender import settings
from extender.service import live

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENT = yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text())
PATHS = DOCUMENT["paths"]
TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}


@pytest.fixture
async def sites():
    free = settings.Address("127.0.0.1", 0)
    chosen = settings.Settings(snapshot=(settings.embedded("demo"),), bind=free, admin_bind=free)
    async with live.opened(chosen) as opened:
        yield opened


def resolved(schema):
    if "$ref" not in schema:
        return schema
    found = DOCUMENT
    for step in schema["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return found


def differences(value, schema, place="answer"):
    """Where a value is not what a schema says, as far as the document uses JSON Schema."""
    schema = resolved(schema)
    allowed = schema.get("type", [])
    kinds = [allowed] if isinstance(allowed, str) else allowed
    fits = [
        k for k in kinds if isinstance(value, TYPES[k]) and (k == "boolean" or value is not True)
    ]
    if kinds and not fits:
        yield f"{place} is {type(value).__name__}, not {allowed}"
        return
    if value is not None and "enum" in schema and value not in schema["enum"]:
        yield f"{place} is {value!r}"
    if isinstance(value, dict):
        for name in schema.get("required", ()):
            if name not in value:
                yield f"{place}.{name} is missing"
        known = schema.get("properties", {})
        for name, each in value.items():
            inside = known.get(name, schema.get("additionalProperties"))
            if inside:
                yield from differences(each, inside, f"{place}.{name}")
    if isinstance(value, list) and "items" in schema:
        for number, each in enumerate(value):
            yield from differences(each, schema["items"], f"{place}[{number}]")


def test_differences_are_found():
    schema = {"type": "object", "required": ["a"], "properties": {"b": {"type": "integer"}}}
    assert list(differences({"b": "1"}, schema)) == [
        "answer.a is missing",
        "answer.b is str, not integer",
    ]
    assert list(differences({"a": None, "b": 1}, schema)) == []
    assert list(differences([], schema)) == ["answer is list, not object"]


def routes(sites):
    handler = sites._admin
    return [*handler._routes._exact.values(), *handler._routes._below.values()]


async def test_every_question_in_json_is_described(sites):
    questions = {route.path for route in routes(sites) if route.path.startswith("/v1/")}
    questions |= {"/livez", "/readyz", "/v1/explain", *sites._admin._questions}

    assert {path.partition("{")[0] for path in PATHS} == questions


async def test_the_parameters_described_are_those_that_are_read(sites):
    for route in routes(sites):
        if route.path in PATHS:
            reported = {each["name"] for each in PATHS[route.path]["get"].get("parameters", ())}
            assert reported == route.parameters, route.path


async def answered(sites, method, path, about):
    query = {
        each["name"]: str(each["example"])
        for each in about.get("parameters", ())
        if "example" in each
    }
    body = None
    if "requestBody" in about:
        body = about["requestBody"]["content"]["application/json"]["example"]
    url = f"http://{sites.admin_bound}{path}"
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, params=query, json=body) as response,
    ):
        kind = response.content_type
        return response.status, kind, await (response.json() if "json" in kind else response.text())


async def test_what_is_described_is_answered_as_described(sites):
    found = {}
    for path, methods in PATHS.items():
        for method, about in methods.items():
            status, kind, answer = await answered(sites, method, path, about)
            content = about["responses"]["200"]["content"]
            assert (status, kind in content) == (200, True), answer
            found[method, path] = list(differences(answer, content[kind]["schema"]))

    assert {asked: wrong for asked, wrong in found.items() if wrong} == {}


async def test_who_may_see_the_pages_may_see_every_route(sites):
    documents = yaml.safe_load_all((ROOT / "deploy/components/admin-auth/rbac.yaml").read_text())
    (viewer,) = [each for each in documents if each["metadata"]["name"] == "railyard-viewer"]
    allowed = [url for rule in viewer["rules"] for url in rule["nonResourceURLs"]]
    asked = [*(route.path for route in routes(sites)), "/v1/explain", *sites._admin._questions]

    shut = [p for p in asked if not any(fnmatch.fnmatchcase(p, url) for url in allowed)]
    assert shut == []


def test_the_page_lists_every_path():
    page = (ROOT / "docs" / "api.md").read_text()

    assert [path for path in PATHS if f"`{path}" not in page] == []
