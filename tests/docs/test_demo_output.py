"""What the pages print of `railyard demo --once` is what it prints."""

import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPACES = re.compile(r"\s+")


@pytest.fixture(scope="module")
def printed():
    command = [sys.executable, "-m", "extender", "demo", "--once"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [SPACES.sub(" ", line).strip() for line in done.stdout.splitlines()]


def quoted(page):
    """The lines of the block that shows the demo; what a line leaves out at its end is "…"."""
    blocks = BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    (block,) = [each for each in blocks if "prioritize: best is" in each]
    return [SPACES.sub(" ", line).strip() for line in block.splitlines() if line.strip(" …")]


@pytest.mark.parametrize("page", ["README.md", "docs/quickstart.md"])
def test_a_page_quotes_the_demo_as_it_is(page, printed):
    lines = quoted(page)

    assert len(lines) >= 2
    missing = [
        line
        for line in lines
        if not any(
            each == line or ("…" in line and each.startswith(line.partition("…")[0].strip()))
            for each in printed
        )
    ]
    assert missing == []
