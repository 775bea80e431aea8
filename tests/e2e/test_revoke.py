"""Revocation: by our order, by the CA's number, by serial number; once, and known in the journal."""

from __future__ import annotations

import json
import ssl
import urllib.request

import pytest
from p11e import Client, Sandbox, Token


def enrolled(client: Client) -> dict[str, object]:
    client.run("enroll", "--name", "www.example.org")
    return client.json("order", "show", "1")


def revocations(sandbox: Sandbox) -> list[dict[str, object]]:
    return [r for r in sandbox.requests() if r["method"] == "POST" and "/revoke/" in str(r["path"])]


def ca_status(client: Client) -> str:
    assert client.sandbox is not None
    return str(client.sandbox.orders()[-1]["status"])


def test_without_yes_it_is_shown_and_nothing_is_sent(client: Client) -> None:
    order = enrolled(client)
    assert client.sandbox is not None
    done = client.run("revoke", "1", "--reason", "superseded", status=2)
    assert "nothing was revoked" in done.stderr and "--yes" in done.stderr
    assert "www.example.org" in done.stdout and str(order["ca_order"]) in done.stdout
    assert revocations(client.sandbox) == [] and ca_status(client) == "Issued"


@pytest.mark.parametrize("which", ["order", "ca-order", "serial", "serial-with-colons"])
def test_it_is_revoked_and_the_journal_knows(client: Client, which: str) -> None:
    order = enrolled(client)
    assert client.sandbox is not None
    serial = str(order["serial"])
    args = {"order": ["1"], "ca-order": ["--ca-order", str(order["ca_order"])], "serial": ["--serial", serial],
            "serial-with-colons": ["--serial", ":".join(serial[i:i + 2] for i in range(0, len(serial), 2)).upper()]}[which]
    result = client.json("revoke", *args, "--reason", "keyCompromise", "--comment", "the server was stolen", "--yes")
    assert (result["revoked"], result["was_revoked"], result["order"]) == (True, False, 1)
    assert ca_status(client) == "Revoked" and len(revocations(client.sandbox)) == 1
    shown = client.json("order", "show", "1")
    assert shown["state"] == "revoked"
    texts = [str(event["text"]) for event in shown["events"]]
    assert "asking the CA to revoke" in texts[-2] and "the server was stolen" in texts[-2] and texts[-1] == "revoked at the CA"


def test_a_second_time_says_that_it_was_revoked(client: Client) -> None:
    enrolled(client)
    client.run("revoke", "1", "--reason", "superseded", "--yes")
    result = client.json("revoke", "1", "--reason", "superseded", "--yes")
    assert result["was_revoked"] is True and client.json("order", "show", "1")["state"] == "revoked"


def test_a_revoked_certificate_is_not_in_the_way_of_a_new_order(client: Client) -> None:
    enrolled(client)
    client.run("revoke", "1", "--reason", "superseded", "--yes")
    client.run("enroll", "--name", "www.example.org")
    assert client.json("order", "show", "2")["state"] == "done"


def test_a_lost_answer_is_looked_up_and_not_sent_again(client: Client) -> None:
    enrolled(client)
    assert client.sandbox is not None
    client.sandbox.once("POST", "/revoke/", cut="before-reply", fault_when="after")
    assert client.json("revoke", "1", "--reason", "superseded", "--yes")["revoked"] is True
    assert len(revocations(client.sandbox)) == 1 and client.json("order", "show", "1")["state"] == "revoked"


def test_a_lost_request_is_ambiguous_and_can_be_asked_again(client: Client) -> None:
    enrolled(client)
    assert client.sandbox is not None
    client.sandbox.once("POST", "/revoke/", cut="before-reply", fault_when="before")
    done = client.run("revoke", "1", "--reason", "superseded", "--yes", status=None)
    assert done.returncode != 0 and "it is not known whether the CA revoked the certificate" in done.stderr
    shown = client.json("order", "show", "1")
    assert shown["state"] == "done" and "not known" in str(shown["events"][-1]["text"])
    assert client.json("revoke", "1", "--reason", "superseded", "--yes")["revoked"] is True


def test_a_refusal_is_told_and_journaled(client: Client) -> None:
    assert client.sandbox is not None
    client.sandbox.set(pending_polls=1000)
    client.run("enroll", "--name", "www.example.org", "--deadline", "1s", status=10)
    done = client.run("revoke", "1", "--reason", "superseded", "--yes", status=None)
    assert done.returncode != 0 and "(code -102)" in done.stderr
    shown = client.json("order", "show", "1")
    assert shown["state"] == "pending" and "-102" in str(shown["events"][-1]["text"])


def test_an_unknown_serial_number_is_not_sent(client: Client) -> None:
    assert client.sandbox is not None
    done = client.run("revoke", "--serial", "00ff00ff", "--reason", "superseded", "--yes", status=None)
    assert done.returncode != 0 and "lists no certificate of the kind 'ssl' with the serial number 00ff00ff" in done.stderr
    assert revocations(client.sandbox) == []


@pytest.mark.parametrize(("args", "says"), [
    (["1"], "--reason is missing"),
    (["1", "--reason", "mood"], "'mood' is none of: unspecified, keyCompromise"),
    (["--reason", "superseded"], "say which certificate, one way"),
    (["1", "--serial", "01", "--reason", "superseded"], "say which certificate, one way"),
    (["--ca-order", "x", "--reason", "superseded"], "'x' is not a number"),
    (["--serial", "01", "--reason", "superseded", "--comment", ""], "1 to 512 characters"),
    (["--serial", "", "--reason", "superseded"], "'' is no serial number"),
    (["--serial", "12 34", "--reason", "superseded"], "'12 34' is no serial number"),
])
def test_wrong_usage_is_told(client: Client, args: list[str], says: str) -> None:
    enrolled(client)
    assert says in client.run("revoke", *args, "--yes", status=2).stderr


def test_a_certificate_that_was_replaced_at_the_ca_is_not_taken_for_ours(client: Client, token: Token) -> None:
    order = enrolled(client)
    assert client.sandbox is not None
    ca_order = order["ca_order"]
    csr = client.run("csr", "create", str(order["key_uri"]), "--name", "www.example.org").stdout
    password = (client.sandbox.dir / "admin-password.txt").read_text().strip()
    request = urllib.request.Request(
        f"{client.settings['ca:sandbox']['url']}/api/ssl/v1/replace/{ca_order}", method="POST",
        data=json.dumps({"csr": csr, "reason": "another one"}).encode(),
        headers={"login": "sandbox-admin", "password": password, "customerUri": "sandbox", "Content-Type": "application/json"})
    context = ssl.create_default_context(cafile=str(client.sandbox.dir / "tls-ca.pem"))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    assert opener.open(request, timeout=20).status == 204
    client.json("inventory", "list", "--details", "--serial", str(order["serial"]))  # lets the sandbox go on
    done = client.run("revoke", "1", "--reason", "superseded", "--yes", status=None)
    assert done.returncode != 0 and "so nothing was revoked" in done.stderr
    assert revocations(client.sandbox) == []
