"""What the commands about domains print, as recorded."""

from __future__ import annotations

import json
import re
import secrets

from p11e import Client
from test_output import compare, masked, shape


def hidden(text: str, client: Client, *names: str) -> str:
    for name in names:
        text = text.replace(name, "DOMAIN")
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "MOMENT", text)
    text = re.sub(r"\d{4}-\d\d-\d\d", "YYYY-MM-DD", text)
    text = re.sub(r"\b[0-9a-fA-F]{64}\b", "SHA256", text)
    text = re.sub(r"[0-9a-f]{32}\.[0-9a-f]{32}\.sectigo", "HASH.HASH.sectigo", text)
    text = re.sub(r"_[0-9a-f]{32}\.", "_HASH.", text)
    text = re.sub(r"[0-9A-F]{32}\.txt", "HASH.txt", text)
    text = re.sub(r"[0-9a-f]{20}(\"\S+?;)[0-9a-f]{8}", r"RANDOM\1RANDOM", text)
    return masked(text, client)


def record(client: Client, name: str, *command: str, masks: tuple[str, ...] = (), status: int = 0) -> None:
    text = client.run(*command, status=status).stdout
    compare(f"human/{name}.txt", hidden(text, client, *masks))
    compare(f"json/{name}.json", json.dumps(shape(client.json(*command, status=status)), indent=1) + "\n")


def test_lists_and_one_domain(client: Client) -> None:
    record(client, "domain-list", "domain", "list", "--org", "105")
    record(client, "domain-list-details", "domain", "list", "--details", "--name", "requested.example")
    record(client, "domain-show", "domain", "show", "soon.example")
    record(client, "dcv-list", "dcv", "list", "--expires-in", "30")


def test_one_validation(client: Client) -> None:
    assert client.sandbox is not None
    name = f"d{secrets.token_hex(4)}.example"
    client.sandbox.ask("POST", "/domains", {"name": name, "org": 103})
    client.sandbox.set(dcv_polls=100)
    for method in ("email", "http", "cname"):
        record(client, f"dcv-start-{method}", "dcv", "start", name, "--method", method, masks=(name,))
    text = hidden(client.run("dcv", "submit", name).stdout, client, name)
    compare("human/dcv-submit.txt", text)
    record(client, "dcv-status", "dcv", "status", name, masks=(name,))
    record(client, "dcv-recheck", "dcv", "recheck", name, masks=(name,))
    record(client, "dcv-clear-refused", "dcv", "clear", name, masks=(name,), status=2)
    record(client, "dcv-clear", "dcv", "clear", name, "--yes", masks=(name,))
    submitted = client.json("dcv", "submit", name, "--method", "txt")
    compare("json/dcv-submit-txt.json", json.dumps(shape(submitted), indent=1) + "\n")


def test_an_order(client: Client) -> None:
    assert client.sandbox is not None
    client.sandbox.set(approval="manual")
    client.run("enroll", "--name", "www.example.org", "--deadline", "0", status=11)
    text = re.sub(r"\d\d:\d\d:\d\d", "hh:mm:ss", hidden(client.run("dcv", "order", "1").stdout, client))
    compare("human/dcv-order.txt", text)
    compare("json/dcv-order.json", json.dumps(shape(client.json("dcv", "order", "1")), indent=1) + "\n")


def test_what_publishing_reports(client: Client) -> None:
    assert client.sandbox is not None
    command = ("dcv", "publish", "sandbox.example", "nowhere.example", "--hook", "/bin/true")
    done = client.run(*command, status=34)
    compare("human/dcv-publish.txt", hidden(done.stdout + "--\n" + done.stderr, client))
    compare("json/dcv-publish.json", json.dumps(shape(client.json(*command, status=34)), indent=1) + "\n")
