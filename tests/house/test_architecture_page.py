"""ARCHITECTURE.md names every room, and nothing that is not there."""

import pathlib
import re
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
PACKAGE = ROOT / "extender"


def rooms():
    """Room → what its row of the table says to look at."""
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|", PAGE, re.MULTILINE)
    return {room: re.findall(r"`([\w/]+)`", where) for room, where in rows}


def test_every_room_has_a_row():
    there = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}

    assert set(rooms()) == there


def test_what_a_row_names_is_in_its_room():
    missing = [
        f"{room}/{name}"
        for room, names in rooms().items()
        for name in names
        if not name.startswith("config/")
        and not (PACKAGE / room / name).is_dir()
        and not list((PACKAGE / room).rglob(f"{name}.py"))
        and not (PACKAGE / room / f"{name}.py").exists()
    ]

    assert missing == []


def test_the_chain_of_rooms_is_the_one_that_is_enforced():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    first = contracts["contracts"][0]
    enforced = [set(re.findall(r"extender\.(\w+)", layer)) for layer in first["layers"]]
    (drawn,) = re.findall(r"```\n(cli .+?)\n```", PAGE, re.DOTALL)

    assert [set(re.findall(r"\w+", layer)) for layer in drawn.split("→")] == enforced
