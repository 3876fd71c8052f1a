"""A fake API server over TLS, as several of these tests have it."""

import pytest

from tests.kit import apiserver

NODES = "/api/v1/nodes"


@pytest.fixture
async def secure():
    """Start a server over TLS."""
    made = apiserver.ApiServer()
    made.add(NODES, "Node")

    async def start(context):
        await made.start(ssl_context=context)
        return made, f"https://127.0.0.1:{made.port}"

    yield start
    await made.stop()
