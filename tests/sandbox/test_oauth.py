"""Tokens for API keys: given, refused, run out."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlencode

import pytest
from support import Answer, Client, Running
from tokens import PATH


def ask(client: Client, **form: str) -> Answer:
    return client.call("POST", PATH, urlencode(form).encode(), {"Content-Type": "application/x-www-form-urlencoded"}, root="")


def given(client: Client, sandbox: Running) -> dict[str, Any]:
    reply = ask(client, grant_type="client_credentials", client_id="sandbox-admin-key",
                client_secret=sandbox.text("admin-client-secret.txt"))
    assert reply.status == 200
    return reply.json


def products(client: Client, token: str) -> Answer:
    return client.get("/ssl/v1/types", headers={"Authorization": f"Bearer {token}"})


def test_a_token_opens_the_api(client: Client, sandbox: Running) -> None:
    answer = given(client, sandbox)
    assert answer["token_type"] == "Bearer" and answer["expires_in"] == 300
    assert products(client, answer["access_token"]).status == 200


def test_a_token_runs_out(client: Client, sandbox: Running) -> None:
    sandbox.set(oauth_life_s=1)
    token = given(client, sandbox)["access_token"]
    time.sleep(1.1)
    reply = products(client, token)
    assert reply.status == 401 and f'{PATH}"' in reply.headers["WWW-Authenticate"]


@pytest.mark.parametrize(("form", "error"), [
    ({"grant_type": "password"}, "unsupported_grant_type"),
    ({"grant_type": "client_credentials"}, "invalid_client"),
    ({"grant_type": "client_credentials", "client_id": "sandbox-admin-key", "client_secret": "wrong"}, "invalid_client"),
])
def test_a_wrong_request_gets_none(client: Client, form: dict[str, str], error: str) -> None:
    reply = ask(client, **form)
    assert reply.status in (400, 401) and reply.json["error"] == error


def test_a_wrong_token_opens_nothing(client: Client) -> None:
    assert products(client, "wrong").status == 401


def test_a_server_may_give_none_at_all(client: Client, sandbox: Running) -> None:
    sandbox.set(oauth="refuse")
    reply = ask(client, grant_type="client_credentials", client_id="sandbox-admin-key",
                client_secret=sandbox.text("admin-client-secret.txt"))
    assert reply.status == 401 and reply.json["error"] == "invalid_client"


def test_a_server_may_not_say_how_long(client: Client, sandbox: Running) -> None:
    sandbox.set(oauth="no-expiry")
    assert "expires_in" not in given(client, sandbox)
    sandbox.set(oauth="give")
    assert "expires_in" in given(client, sandbox)


def test_another_server_may_be_named(client: Client, sandbox: Running) -> None:
    sandbox.set(oauth_names="https://elsewhere.example/token")
    assert 'authorization_uri="https://elsewhere.example/token"' in products(client, "wrong").headers["WWW-Authenticate"]
