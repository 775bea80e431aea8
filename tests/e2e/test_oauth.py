"""Logging in with an API key: a token, in memory alone, fetched again when it has to be."""

from __future__ import annotations

import pytest
from p11e import Client, Sandbox

PATH = "/auth/realms/apiclients/protocol/openid-connect/token"


@pytest.fixture
def keyed(client: Client) -> Client:
    """The client with an API key in place of its client certificate."""
    assert client.sandbox is not None
    client.set("ca:sandbox", auth="oauth", login=None, customer_uri=None, client_cert=None, client_alias=None,
               client_password_source=None, client_id="sandbox-admin-key",
               client_secret_source=f"file:{client.sandbox.dir / 'admin-client-secret.txt'}",
               token_hosts="localhost")
    return client


def token_requests(sandbox: Sandbox) -> int:
    return sum(r["path"] == PATH for r in sandbox.requests())


def test_enrollment_with_an_api_key(keyed: Client) -> None:
    assert keyed.sandbox is not None
    keyed.run("enroll", "--name", "www.example.org")
    assert keyed.json("order", "show", "1")["state"] == "done"
    assert {r["auth"] for r in keyed.sandbox.requests() if "/ssl/" in r["path"]} == {"none", "token"}
    assert token_requests(keyed.sandbox) == 1


def test_check_names_the_key(keyed: Client) -> None:
    text = keyed.run("check").stdout
    assert "logged in as 'sandbox-admin-key' with an OAuth token" in text


def test_a_configured_server_is_not_asked_for(keyed: Client) -> None:
    assert keyed.sandbox is not None
    keyed.set("ca:sandbox", token_url=keyed.settings["ca:sandbox"]["url"] + PATH, token_hosts=None)
    keyed.run("products")
    assert [r["auth"] for r in keyed.sandbox.requests() if "/ssl/" in r["path"]] == ["token"]


def test_a_token_that_was_taken_back_is_fetched_anew_once(keyed: Client) -> None:
    assert keyed.sandbox is not None
    keyed.sandbox.once("GET", "/organization/v1$", fail_status=401)
    keyed.run("check")
    assert token_requests(keyed.sandbox) == 2


def test_a_refused_order_is_sent_again_with_a_new_token_and_ordered_once(keyed: Client) -> None:
    assert keyed.sandbox is not None
    keyed.sandbox.once("POST", "/enroll$", fail_status=401)
    keyed.run("enroll", "--name", "www.example.org")
    assert len(keyed.sandbox.orders()) == 1 and keyed.sandbox.posts() == 2


def test_a_refusal_that_stays_is_told(keyed: Client) -> None:
    assert keyed.sandbox is not None
    keyed.sandbox.set(auth="refuse")
    done = keyed.run("products", status=42)
    assert "HTTP 401" in done.stderr and token_requests(keyed.sandbox) == 2


def test_tokens_are_renewed_before_they_end(keyed: Client) -> None:
    assert keyed.sandbox is not None
    keyed.sandbox.set(oauth_life_s=2, delay_s=0.4)
    keyed.run("enroll", "--name", "www.example.org")
    requests = keyed.sandbox.requests()
    assert token_requests(keyed.sandbox) > 1
    assert [r["status"] for r in requests if "/ssl/" in r["path"]].count(401) == 1  # the one that asks for the server


def test_a_server_that_does_not_say_how_long_is_believed(keyed: Client) -> None:
    assert keyed.sandbox is not None
    keyed.sandbox.set(oauth="no-expiry")
    keyed.run("products")
    assert token_requests(keyed.sandbox) == 1


def test_a_refused_key_is_told(keyed: Client) -> None:
    assert keyed.sandbox is not None
    keyed.sandbox.set(oauth="refuse")
    done = keyed.run("products", status=42)
    assert "token of 'sandbox-admin-key' from https://localhost:" in done.stderr
    assert "HTTP 401: invalid_client: Invalid client or Invalid client credentials" in done.stderr


@pytest.mark.parametrize("named", ["https://elsewhere.example/token", "http://localhost/token", "https://localhost@elsewhere.example/token"])
def test_the_secret_is_sent_to_no_server_that_is_not_allowed(keyed: Client, named: str) -> None:
    assert keyed.sandbox is not None
    keyed.sandbox.set(oauth_names=named)
    done = keyed.run("products", status=42)
    assert named in done.stderr and "'token_hosts'" in done.stderr
    assert token_requests(keyed.sandbox) == 0


def test_the_secret_appears_nowhere(keyed: Client) -> None:
    assert keyed.sandbox is not None
    secret = (keyed.sandbox.dir / "admin-client-secret.txt").read_text().strip()
    done = keyed.run("products", "--log-level", "debug")
    assert "token" in done.stderr and secret not in done.stderr + done.stdout and "Bearer" not in done.stderr + done.stdout


@pytest.mark.parametrize(("setting", "says"), [
    ({"client_id": None}, "no client id is configured"),
    ({"client_secret_source": None}, "'client_secret_source'"),
    ({"token_url": "http://localhost/token"}, "is no https:// URL to get tokens from"),
])
def test_what_is_missing_is_told(keyed: Client, setting: dict[str, str | None], says: str) -> None:
    keyed.set("ca:sandbox", **setting)
    done = keyed.run("products", status=3)
    assert says in done.stderr


def test_the_usual_server_is_asked_only_if_it_is_allowed(keyed: Client) -> None:
    assert keyed.sandbox is not None
    keyed.sandbox.once("GET", "/ssl/v1/types", fail_status=401)  # names no server
    done = keyed.run("products", status=42)
    assert "auth.sso.sectigo.com" in done.stderr and "'token_hosts'" in done.stderr and token_requests(keyed.sandbox) == 0


def test_an_answer_that_is_no_refusal_names_no_server(keyed: Client) -> None:
    assert keyed.sandbox is not None
    keyed.sandbox.set(fault_path="/ssl/v1/types", fail_status=502)
    done = keyed.run("products", status=None)
    assert done.returncode != 0 and "HTTP 502" in done.stderr and token_requests(keyed.sandbox) == 0
