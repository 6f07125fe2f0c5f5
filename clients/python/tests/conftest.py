"""The service that the tests drive; `dev/with-server.sh` starts one and says where it is."""

from __future__ import annotations

import os

import pytest

from agentevals_client.client import AuthenticatedClient, Client


def setting(name: str) -> str:
    """A variable that `dev/with-server.sh` sets."""
    value = os.environ.get(name)
    assert value, f"{name} is not set; run `just clients-test`"
    return value


@pytest.fixture
def api() -> AuthenticatedClient:
    return AuthenticatedClient(base_url=setting("AGENTEVALS_URL"), token=setting("AGENTEVALS_TOKEN"))


@pytest.fixture
def stranger() -> AuthenticatedClient:
    """A client whose token nobody knows."""
    return AuthenticatedClient(base_url=setting("AGENTEVALS_URL"), token="nonsense")


@pytest.fixture
def anyone() -> Client:
    """A client without a token."""
    return Client(base_url=setting("AGENTEVALS_URL"))
