"""What every test may ask for."""

import asyncio
import pathlib

import hypothesis
import pytest

# A busy machine is no counterexample: no test here is judged by the clock.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")

GOLDEN = pathlib.Path(__file__).parent / "golden"


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch):
    """What is printed must not depend on the terminal that the tests run in."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def golden():
    return GOLDEN


def pytest_asyncio_loop_factories(item):
    """A module that names a LOOP has its tests run in one, such as `kit.virtual_time.Loop`."""
    return {"loop": getattr(item.module, "LOOP", asyncio.new_event_loop)}


def pytest_collection_modifyitems(items):
    """A real control plane takes minutes to come up where the machine is busy."""
    for item in items:
        if item.get_closest_marker("controlplane") is not None:
            item.add_marker(pytest.mark.timeout(1200))
