"""What every test may ask for."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

GOLDEN = pathlib.Path(__file__).parent / "golden"


@pytest.fixture
def golden():
    return GOLDEN
