"""Recorded and generated bodies of extender/v1, by name."""

import pytest

from tests import conftest

WIRE = conftest.GOLDEN / "wire"
CAPTURED = sorted((WIRE / "captured").glob("*/*.json"))


def captured(*, verbs="*", mode="*"):
    return [
        pytest.param(path, id=f"{path.parent.name}/{path.stem}")
        for path in CAPTURED
        if path.match(f"{verbs}-{mode}-*.json")
    ]


def body(name):
    return (WIRE / f"{name}.json").read_bytes()
