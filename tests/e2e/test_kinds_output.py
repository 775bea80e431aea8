"""Output of the commands about devices and persons as recorded, with the changing parts masked."""

from __future__ import annotations

import json
import re

from p11e import Client, Sandbox
from test_inventory_output import tidy
from test_output import compare, shape


def check(client: Client, name: str, *command: str) -> None:
    compare(f"json/{name}.json", json.dumps(shape(client.json(*command)), indent=1) + "\n")
    text = re.sub(r"(?m)^(Number at the CA: +)\d+$", r"\1NNNN", client.run(*command).stdout)
    text = re.sub(r"(?m)^\d{4,}\b *", "NNNN  ", text)
    compare(f"human/{name}.txt", tidy(text, client))


def test_devices(client: Client, sandbox: Sandbox) -> None:
    client.set("profile:web", kind="device", product="2001", term="365")
    client.run("enroll", "--name", "meter.output.example")
    args = ["--common-name", "meter.output.example", "--limit", "1"]
    check(client, "inventory-list-device", "inventory", "list", *args)
    check(client, "inventory-list-device-details", "inventory", "list", *args, "--details")
    client.run("inventory", "sync")
    serial = client.json("order", "show", "1")["serial"]
    check(client, "inventory-find-device", "inventory", "find", "--serial", serial)
    sandbox.set(approval="manual")
    client.run("enroll", "--name", "meter2.output.example", "--deadline", "0", status=11)
    sandbox.ask("POST", f"/orders/{client.json('order', 'show', '2')['ca_order']}/approve")
    client.run("inventory", "sync")
    check(client, "inventory-match-device", "inventory", "match")


def test_persons(client: Client) -> None:
    client.set("profile:web", kind="smime", product="3001", term="365", person="Ada Lovelace")
    client.run("enroll", "--name", "ada@output.example")
    args = ["--name", "ada@output.example", "--limit", "1"]
    check(client, "inventory-list-smime", "inventory", "list", *args)
    check(client, "inventory-list-smime-details", "inventory", "list", *args, "--details")
    number = client.json("order", "show", "1")["ca_order"]
    check(client, "request-update-smime", "request", "update", number, "--set-comments", "moved")
