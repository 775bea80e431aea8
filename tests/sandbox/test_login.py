"""Logging in by headers and by client certificate."""

from __future__ import annotations

import json
import ssl

import pytest

from support import Client, Running

TYPES = "/ssl/v1/types"


def unknown_user(reply) -> bool:
    return reply.status == 401 and reply.json == {"code": -16, "description": "Unknown user"}


# --- headers

def test_right_headers(client: Client) -> None:
    assert client.get(TYPES).status == 200


def test_header_names_in_any_case(client: Client) -> None:
    client.headers = {name.upper(): value for name, value in client.headers.items()}
    assert client.get(TYPES).status == 200


@pytest.mark.parametrize("name", ["login", "password", "customerUri"])
@pytest.mark.parametrize("value", [None, "", "wrong", "\u00e9"])
def test_wrong_or_missing_header(client: Client, name: str, value: str | None) -> None:
    client.headers.pop(name)
    if value is not None:
        client.headers[name] = value.encode("latin-1").decode("latin-1")
    assert unknown_user(client.get(TYPES))


def test_customer_uri_is_case_sensitive(client: Client) -> None:
    client.headers["customerUri"] = "SANDBOX"
    assert unknown_user(client.get(TYPES))


def test_client_certificate_does_not_replace_the_password(sandbox: Running) -> None:
    client = Client(sandbox, cert="client")
    assert unknown_user(client.get(TYPES, root="/api"))


def test_login_comes_before_everything_else(client: Client) -> None:
    client.headers["password"] = "wrong"
    assert unknown_user(client.get("/nothing"))
    assert unknown_user(client.post("/ssl/v1/enroll", b"x"))


def test_inactive_admin(sandbox: Running, client: Client) -> None:
    accounts = sandbox.directory / "accounts.json"
    before = accounts.read_text()
    accounts.write_text(before.replace('"active": true', '"active": false'))
    try:
        assert unknown_user(client.get(TYPES))
    finally:
        accounts.write_text(before)


def test_change_password(fresh) -> None:
    running = fresh()
    client = Client(running)
    path = "/admin/v1/changepassword"
    for new, code in (("short", -976), ("my-sandbox-admin-1", -982),
                      (client.headers["password"], -220), (None, -1001), (5, -1002)):
        assert client.post(path, {"newPassword": new}).code == code
    assert client.post(path, {"newPassword": "another secret"}).status == 204
    assert unknown_user(client.get(TYPES))
    assert Client(running).get(TYPES).status == 200        # from admin-password.txt
    assert "another secret" not in running.text("log.jsonl")


def test_accounts_can_be_edited_while_it_runs(fresh) -> None:
    running = fresh()
    client = Client(running)
    accounts = json.loads(running.text("accounts.json"))
    accounts[0]["password"] = "gr\u00fcn und blau"
    (running.directory / "accounts.json").write_text(json.dumps(accounts))
    assert unknown_user(client.get(TYPES))
    client.headers["password"] = "gr\u00fcn und blau".encode().decode("latin-1")
    assert client.get(TYPES).status == 200


# --- client certificates

@pytest.mark.parametrize("cert", ["client", "client-rsa"])
def test_bound_certificate(sandbox: Running, cert: str) -> None:
    mark = sandbox.mark()
    assert Client(sandbox, cert=cert).get(TYPES).status == 200
    row = sandbox.requests(mark)[-1]
    assert row["auth"] == "certificate" and row["password_sent"] is False
    assert row["client_serial"] in json.dumps(json.loads(sandbox.text("accounts.json")))


def private(sandbox: Running, **headers: str) -> int:
    """Over TLS without a client certificate."""
    client = Client(sandbox)
    del client.headers["password"]
    client.headers.update(headers)
    connection = client.connect()
    connection.request("GET", "/private/api" + TYPES, None, client.headers)
    return connection.getresponse().status


def test_serial_from_a_front_end(sandbox: Running) -> None:
    mark = sandbox.mark()
    assert Client(sandbox, cert="client").get(TYPES).status == 200
    serial = sandbox.requests(mark)[-1]["client_serial"]
    sandbox.set(front_header="X-Client-Serial")
    assert private(sandbox, **{"X-Client-Serial": "0" + serial.lower()}) == 200
    assert private(sandbox, **{"X-Client-Serial": "1234"}) == 401
    assert private(sandbox) == 401
    assert Client(sandbox, cert="client").get(TYPES).status == 401  # it came to us itself


def test_header_of_a_front_end_is_not_believed_by_itself(sandbox: Running) -> None:
    mark = sandbox.mark()
    Client(sandbox, cert="client").get(TYPES)
    serial = sandbox.requests(mark)[-1]["client_serial"]
    assert private(sandbox, **{"X-Client-Serial": serial}) == 401


def test_unbound_certificate(sandbox: Running) -> None:
    assert unknown_user(Client(sandbox, cert="client-other").get(TYPES))


def test_certificate_of_another_admin(sandbox: Running) -> None:
    client = Client(sandbox, cert="client")
    client.headers["login"] = "sandbox-approver"
    assert unknown_user(client.get(TYPES))


@pytest.mark.parametrize("name", ["login", "customerUri"])
def test_certificate_still_needs_headers(sandbox: Running, name: str) -> None:
    client = Client(sandbox, cert="client")
    del client.headers[name]
    assert unknown_user(client.get(TYPES))


def test_password_on_private_is_tolerated_and_logged(sandbox: Running) -> None:
    client = Client(sandbox, cert="client")
    client.headers["password"] = "superfluous secret"
    mark = sandbox.mark()
    assert client.get(TYPES).status == 200
    assert sandbox.requests(mark)[-1]["password_sent"] is True
    assert "superfluous secret" not in sandbox.text("log.jsonl")


@pytest.mark.parametrize("value, status, kind", [
    ("401", 401, "application/json"), ("403", 403, "application/json"),
    ("400-html", 400, "text/html; charset=utf-8")])
def test_private_no_cert(sandbox: Running, client: Client, value: str, status: int, kind: str
                         ) -> None:
    sandbox.set(private_no_cert=value)
    reply = client.get(TYPES, root="/private/api")
    assert (reply.status, reply.headers["Content-Type"]) == (status, kind)


def test_certificate_without_client_auth_is_refused_by_tls(sandbox: Running) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        Client(sandbox, cert="client-noeku").get(TYPES)


# --- switches

@pytest.mark.parametrize("shape, status, check", [
    ("json", 401, lambda r: r.code == -16), ("empty", 401, lambda r: r.data == b""),
    ("html", 401, lambda r: r.data.startswith(b"<!DOCTYPE")),
    ("403", 403, lambda r: r.code == -37)])
def test_auth_refuse_in_each_shape(sandbox: Running, client: Client, shape: str, status: int,
                                   check) -> None:
    sandbox.set(auth="refuse", auth_reply=shape)
    reply = client.get(TYPES)
    assert reply.status == status and check(reply)
