"""An API server that knows two users, and a client of it."""

import pytest

from extender.kube import client
from extender.kube.auth import endpoint
from tests.kit import apiserver
from tests.kit.access.reviewer import Reviewer


@pytest.fixture
async def server():
    async with apiserver.ApiServer() as made:
        users = {
            "scraper-token": {"username": "prometheus", "groups": ["scrapers"], "uid": "1"},
            "person-token": {"username": "ana", "groups": ["people"], "extra": {"a": ["b"]}},
        }
        rules = [("scrapers", "get", "/metrics"), ("people", "get", "/v1/*")]
        made.reviewer = Reviewer(users, rules)
        yield made


@pytest.fixture
async def api(server):
    async with client.Client(endpoint.Server(url=server.url)) as made:
        yield made
