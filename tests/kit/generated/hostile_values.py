"""Hostile JSON: values that no sane writer puts anywhere, and bodies with some of them put in."""

from __future__ import annotations

import copy

import msgspec

_DEEP = 3000
VALUES = (
    None, "", " ", 0, -1, 1, True, False, 1.5, -0.0, [], {}, [None], [[]], [{}], {"": None},
    {"": ""},
    {"a": {"a": {"a": None}}}, 2**31, -(2**31) - 1, 2**53 + 1, 2**63 - 1, 2**63, -(2**63),
    -(2**63) - 1, 2**64, 10**30,
    "0", "1", "-1", "64", "1m", "1n", "0.5", "NaN", "nan", "inf", "-Infinity", "1e400", "10e399",
    "-10e399", "100e4998", "1e2147483647", "1e-400", "9e18", "9223372036854775807",
    "9223372036854775808", "-9223372036854775808", "18446744073709551616", "16Ei", "1Ki", "0" * 99
    + "1Gi", "0" * 5000 + "64", "9" * 5000, "٣", "½", "0x10", "1_000", "\x00", "\u202e", "\ufffd",
    "a" * 5000, "/", "a/", "/b", "a/b/c", "nvidia.com/gpu", "nvidia.com/mig-" + "9" * 50 + "g.5gb",
    "nvidia.com/gpu=" + "9" * 5000, "nvidia.com/gpu=0,99999999999", "nvidia.com/gpu=-1", "node-" +
    "9" * 5000, "node-٣", "0001-01-01T00:00:00Z", "9999-99-99T99:99:99Z", "2026-13-45", "In", "Gt",
    "Exists", "ExactCount", "All", "Always", "Node", "NoSchedule", "device.driver == ''", "device.",
    "true", "(" * 500, "1 in [" + "1," * 400 + "1]",
    "device.capacity['x'].x.compareTo(quantity('1e999'))",
    ["x"] * 300, [1] * 300, {f"k{n}": "v" for n in range(300)},
    {f"a.b/k{n}": "1" for n in range(99)},
    msgspec.Raw(b"1e400"), msgspec.Raw(b"-1e400"), msgspec.Raw(b"9" * 5000), msgspec.Raw(b"1e-400"),
    msgspec.Raw(b'"\\ud800"'), msgspec.Raw(b'"\xff"'), msgspec.Raw(b"[" * _DEEP + b"]" * _DEEP),
    msgspec.Raw(b'{"a":' * _DEEP + b"1" + b"}" * _DEEP),
)  # fmt: skip


def places(body):
    """Every place below the body: (map or list, key or index)."""
    found = []
    todo = [body]
    while todo:
        part = todo.pop()
        keys = part if isinstance(part, dict) else range(len(part))
        for key in keys:
            found.append((part, key))
            if isinstance(part[key], dict | list):
                todo.append(part[key])
    return found


def mutated(body, rng, *, spared=frozenset()):
    """The body with one to three values put in, taken away, doubled or moved; keys too.

    Maps directly below the top that hold one of the `spared` keys keep these.
    """
    changed = copy.deepcopy(body)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        part, key = rng.choice([each for each in places(changed) if each[1] not in spared])
        way = rng.random()
        if way < 0.72:
            # Mostly of the type that is there: else next to everything ends at the decoder.
            alike = [value for value in VALUES if type(value) is type(part[key])]
            # Deep: a value that later mutations change must not be that of all others.
            part[key] = copy.deepcopy(rng.choice(alike if alike and way < 0.55 else VALUES))
        elif way < 0.80:
            del part[key]
        elif way < 0.86 and isinstance(part, dict):
            text = rng.choice([value for value in VALUES if isinstance(value, str)])
            part[text] = part.pop(key)
        elif way < 0.93 and isinstance(part, list):
            part += [copy.deepcopy(part[key]) for _ in range(rng.choice((1, 40)))]
        else:
            other, place = rng.choice(places(changed))
            part[key] = copy.deepcopy(other[place])
    return changed
