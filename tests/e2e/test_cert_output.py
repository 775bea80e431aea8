"""What the commands of certificates print, as recorded."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from p11e import Client, Token
from test_bind import certificate, made_key
from test_output import compare, masked, shape

REMOVE = ("cert", "remove", "pkcs11:object=www")
BOUND = [(("cert", "list"), 0), (("cert", "show", "pkcs11:object=www"), 0),
         (("cert", "export", "pkcs11:object=www"), 0), (REMOVE, 2), (("cert", "check"), 28),
         (("cert", "emit", "pkcs11:object=www", "java"), 0), (("cert", "emit", "pkcs11:object=www", "nss"), 0),
         *((("cert", "emit", "pkcs11:object=www", kind, "--dir", "DIR/tls"), 0) for kind in ("nginx", "httpd", "haproxy"))]


@pytest.fixture
def bound(client: Client, token: Token) -> Client:
    """A client with a bound certificate, and a key that has none."""
    uri = made_key(client)
    client.run("cert", "bind", "--key", uri, "--cert", str(certificate(client, uri, "www.example.org")))
    token.make_key("EC:prime256v1", "0102", "alone")
    return client


def steady(text: str, client: Client) -> str:
    text = masked(text, client)
    text = re.sub(r"file:/[^ \n]*/pin", "file:PIN", text)
    text = re.sub(r"(?<=-----\n)[A-Za-z0-9+/=\n]+(?=-----END)", "BASE64\n", text)
    text = re.sub(r"(?<=slot = )\d+", "N", text)
    return re.sub(r"\b[0-9a-f]{38,40}\b", "y" * 40, text)


def name_of(command: tuple[str, ...]) -> str:
    return "-".join(re.sub(r"[^a-z0-9]+", "_", w) for w in command if not w.startswith(("--", "DIR", "pkcs11:")))


def test_what_people_see(bound: Client) -> None:
    for command, status in BOUND:
        words = [w.replace("DIR", str(bound.dir)) for w in command]
        head, *rows = steady(bound.run(*words, status=status).stdout, bound).splitlines(keepends=True)
        if command == ("cert", "list"):  # the token has an order of its own
            rows.sort()
        compare(f"human/{name_of(command)}.txt", "".join([head, *rows]))


def test_json_of_each_command(bound: Client) -> None:
    for command, status in BOUND:
        words = [w.replace("DIR", str(bound.dir)) for w in command]
        compare(f"json/{name_of(command)}.json", json.dumps(shape(bound.json(*words, status=status)), indent=1) + "\n")


def test_json_of_removing_undoing_and_detaching(bound: Client, tmp_path: Path) -> None:
    removed = bound.json(*REMOVE, "--yes")
    compare("json/cert-remove-yes.json", json.dumps(shape(removed), indent=1) + "\n")
    undone = bound.json("cert", "undo", "pkcs11:object=www")
    compare("json/cert-undo.json", json.dumps(shape(undone), indent=1) + "\n")
    cert = certificate(bound, "pkcs11:object=www", "www.example.org", 100)
    detached = bound.json("cert", "bind", "--key", "pkcs11:object=www", "--cert", str(cert), "--detached",
                          str(tmp_path / "tls"), "--emit", "nginx")
    compare("json/cert-bind-detached.json", json.dumps(shape(detached), indent=1) + "\n")
