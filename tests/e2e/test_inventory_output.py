"""Output of the inventory commands as recorded, with the changing parts masked."""

from __future__ import annotations

import json
import re

import pytest
from p11e import Client, Sandbox
from test_output import compare, masked, shape


@pytest.fixture
def mixed(client: Client, sandbox: Sandbox) -> Client:
    """One certificate that is bound, one that was revoked, and one that waits to be bound; and a reading."""
    for name in ("a.output.example", "b.output.example"):
        client.run("enroll", "--name", name)
    client.run("revoke", "2", "--reason", "superseded", "--yes")
    sandbox.set(approval="manual")
    client.run("enroll", "--name", "c.output.example", "--deadline", "0", status=11)
    sandbox.ask("POST", f"/orders/{client.json('order', 'show', '3')['ca_order']}/approve")
    client.run("inventory", "sync", "--source", "list", "--details")
    return client


COMMANDS = [
    ("sync",), ("match",), ("find", "--name", "a.output.example"), ("list", "--name", "a.output.example"),
    ("list", "--name", "b.output.example", "--details"),
]


def tidy(text: str, client: Client) -> str:
    text = re.sub(r"\b([0-9A-F]{2}:){7,}[0-9A-F]{2} *", "SERIAL ", masked(text, client))
    text = re.sub(r"20\d\d-\d\d-\d\dT[\d:.]+Z", "YYYY-MM-DDThh:mm:ss.mmmZ", text)
    text = re.sub(r"(?m)^\d{4}\b", "NNNN", text)
    return re.sub(r"(?m)^((?:Certificates|New|Changed|Asked for one by one): +)\d+$", r"\1N", text)


def test_json_and_what_people_see(mixed: Client) -> None:
    for command in COMMANDS:
        name = "inventory-" + "-".join(re.sub(r"[^a-z0-9]+", "_", w.lower().lstrip("-")) for w in command)
        compare(f"json/{name}.json", json.dumps(shape(mixed.json("inventory", *command)), indent=1) + "\n")
        compare(f"human/{name}.txt", tidy(mixed.run("inventory", *command).stdout, mixed))
