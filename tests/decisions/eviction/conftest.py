"""An engine that has seen nothing yet."""

import pytest

from tests.kit.worlds import engine


@pytest.fixture
def judging():
    return engine()
