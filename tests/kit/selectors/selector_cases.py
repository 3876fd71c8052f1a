"""Random cases for selectors: a device in the API's JSON, and an expression, sometimes damaged."""

from __future__ import annotations

import random
from typing import Any

from tests.kit.selectors import selector_words, selector_writer

Json = dict[str, Any]


def case(rng: random.Random) -> Json:
    """A case as the oracle reads it."""
    lists = rng.random() < 0.2
    given = device(rng, lists=lists)
    writer = selector_writer.Writer(rng, lists=lists)
    drawn = rng.random()
    if drawn < 0.3:
        text = writer.single(given)
    elif drawn < 0.5:
        text = writer.equation(given)
    else:
        text = writer.expression()
    if rng.random() < 0.03:
        text = _damaged(rng, text)
    found: Json = {"expression": text, **given}
    if lists:
        found["features"] = ["DRAConsumableCapacity", "DRAListTypeAttributes"]
    return found


def device(rng: random.Random, *, lists: bool) -> Json:
    """A device in the API's JSON."""
    attributes = {
        _name(rng, one): _attribute(rng, one, lists=lists)
        for one in selector_words.IDS[:5]
        if rng.random() < 0.7
    }
    capacity = {
        _name(rng, one): {"value": rng.choice(selector_words.QUANTITIES)}
        for one in ("memory", "cores") if rng.random() < 0.8
    }  # fmt: skip
    found: Json = {"driver": selector_words.DRIVER, "attributes": attributes, "capacity": capacity}
    if rng.random() < 0.5:
        found["allowMultipleAllocations"] = rng.random() < 0.5
    return found


def _name(rng: random.Random, identifier: str) -> str:
    domain = rng.choice(("", "", selector_words.DRIVER, "resource.example.org"))
    return f"{domain}/{identifier}" if domain else identifier


def _attribute(rng: random.Random, identifier: str, *, lists: bool) -> Json:
    usual = {"index": "int", "healthy": "bool", "driverVersion": "version"}.get(
        identifier, "string"
    )
    kind = usual if rng.random() < 0.8 else rng.choice(("int", "bool", "version", "string"))
    if lists and rng.random() < 0.3:
        return {f"{kind}s": [_scalar(rng, kind) for _ in range(rng.randint(1, 3))]}
    return {kind: _scalar(rng, kind)}


def _scalar(rng: random.Random, kind: str) -> Any:
    if kind == "int":
        return rng.choice((0, 1, 2, 7, -1, 4096))
    if kind == "bool":
        return rng.random() < 0.6
    return rng.choice(selector_words.VERSIONS if kind == "version" else selector_words.STRINGS)


def _damaged(rng: random.Random, text: str) -> str:
    """The text with a piece dropped, doubled or replaced."""
    start = rng.randrange(len(text))
    end = min(len(text), start + rng.randint(0, 3))
    piece = rng.choice(
        ("", "", text[start:end] * 2, "(", ")", ".", "?", "'", "!", "\\", "@", "in ")
    )
    return text[:start] + piece + text[end:]
