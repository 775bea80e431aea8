"""An account of the Enrollment API for the e2e tests: the client that uses it, and what it sent."""

from __future__ import annotations

from typing import Any

import pytest
from p11e import Client, Sandbox

TOKENS = "/auth/realms/apiclients/protocol/openid-connect/token"
ORDERS = "/api/v1/certificates"


@pytest.fixture
def enroller(client: Client) -> Client:
    """The client with an account of the Enrollment API."""
    assert client.sandbox is not None
    client.set("ca:sandbox", type="scm-enrollment", auth="oauth", login=None, customer_uri=None, client_cert=None,
               client_alias=None, client_password_source=None, org_id=None, client_id="sandbox-enrollment-key",
               client_secret_source=f"file:{client.sandbox.dir / 'enrollment-client-secret.txt'}",
               token_hosts="localhost")
    client.set("profile:web", product=None, term=None)
    return client


@pytest.fixture
def box(enroller: Client) -> Sandbox:
    """The sandbox behind it."""
    assert enroller.sandbox is not None
    return enroller.sandbox


def sent(box: Sandbox, method: str, path: str = ORDERS) -> list[dict[str, Any]]:
    return [r for r in box.requests() if r["method"] == method and str(r["path"]).startswith(path)]


def order(client: Client, number: str = "1") -> dict[str, Any]:
    return client.json("order", "show", number)
