"""Output as recorded, of organizations, ACME accounts and approvals."""

from __future__ import annotations

import json
import re
from pathlib import Path

from p11e import Client
from test_approval import Person, approve, ask, require
from test_output import compare, masked, shape


def record(client: Client, name: str, *command: str, status: int = 0) -> None:
    """JSON by its shape; what people see with the changing parts masked."""
    compare(f"json/{name}.json", json.dumps(shape(client.json(*command, status=status)), indent=1) + "\n")
    text = masked(client.run(*command, status=status).stdout, client)
    text = re.sub(r"\b[A-Za-z0-9_-]{22}\b", "KID", text)
    compare(f"human/{name}.txt", text)


def test_organizations(client: Client) -> None:
    record(client, "org-list", "org", "list")
    record(client, "org-show", "org", "show", "203")


def test_acme_accounts(client: Client) -> None:
    assert client.sandbox is not None
    client_of = {"id": 7, "accountId": "a7", "userAgent": "certbot/2", "ipAddress": "192.0.2.1", "status": "valid",
                 "lastActivity": "2026-11-01T00:00:00.000Z", "contacts": "mailto:a@b"}
    row = {"id": 100, "name": "web", "acmeServer": "Sandbox OV", "organizationId": 103, "status": "valid", "certValidationType": "OV",
           "macId": "K" * 22, "macKey": "S" * 86, "domains": ["a.example.org"], "clients": [client_of]}
    (client.sandbox.dir / "acme.json").write_text(json.dumps({"next": 101, "accounts": [row]}))
    for name, *words in (("list",), ("show", "100"), ("domains", "100"), ("clients", "100")):
        record(client, f"account-acme-{name}", "account", "acme", name, *words)
    for name, *words in (("deactivate", "100", "7", "--yes"), ("delete", "100", "--yes")):
        done = client.json("account", "acme", name, *words)
        compare(f"json/account-acme-{name}.json", json.dumps(shape(done), indent=1) + "\n")


def test_approvals(client: Client, tmp_path: Path) -> None:
    alice = Person(tmp_path, "alice")
    require(client, f"alice={alice.cert}", "user:security", approval_time="7d")
    ask(client)
    record(client, "order-request", "order", "request", "1", "--out", str(client.dir / "request.json"))
    approve(client, alice)
    record(client, "order-approvals", "order", "approvals", "1")
    ask(client, "b.example.org")
    ask(client, "c.example.org")
    for verb, order in (("approve", "2"), ("decline", "3")):
        path = tmp_path / verb
        client.run("order", "request", order, "--out", str(path), *(["--decline"] if verb == "decline" else []))
        done = client.json("order", verb, order, "--signature", str(alice.sign(path)))
        compare(f"json/order-{verb}.json", json.dumps(shape(done), indent=1) + "\n")
