"""What a CA account wants with an order, asked before there is a key; and certificates in the CA's own formats."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs7
from p11e import Client, Sandbox, Token


@pytest.fixture
def demanding(sandbox: Sandbox) -> Iterator[None]:
    """An account with mandatory custom fields."""
    before = sandbox.ask("GET", "/settings")["customFields"]
    wanted = [{**row, "mandatories": ["REST_API"]} if row["name"] != "Environment" else row for row in before]
    hidden = {"id": 9, "name": "Portal Only", "certType": "SSL", "state": "ACTIVE",
              "input": {"type": "TEXT_SINGLE_LINE"}, "mandatories": ["ADMIN_UI"]}
    sandbox.ask("POST", "/settings", {"customFields": [*wanted, hidden]})
    yield
    sandbox.ask("POST", "/settings", {"customFields": before})


@pytest.mark.usefixtures("demanding")
def test_missing_fields_are_listed_before_a_key_is_made(client: Client, token: Token) -> None:
    done = client.run("enroll", "--name", "www.example.org", status=3)
    assert "'Cost Centre' is missing; 'Go Live' is missing" in done.stderr and "Portal Only" not in done.stderr
    assert "--custom-fields" in done.stderr and token.objects() == []
    assert client.json("order", "list")["orders"] == []


@pytest.mark.usefixtures("demanding")
def test_order_with_all_fields_goes_through(client: Client) -> None:
    client.set("profile:web", custom_fields="Cost Centre=7; Go Live=2026-12-31;Environment=test")
    assert client.json("enroll", "--name", "www.example.org")["state"] == "done"
    assert client.sandbox is not None
    assert client.sandbox.orders()[-1]["custom_fields"] == [
        {"name": "Cost Centre", "value": "7"}, {"name": "Go Live", "value": "2026-12-31"}, {"name": "Environment", "value": "test"}]


@pytest.mark.parametrize(("given", "says"), [
    ("Go Live=tomorrow", "'Go Live' is a date like 2026-12-31, and 'tomorrow' is none"),
    ("Environment=moon", "'Environment' cannot be 'moon', but one of 'test', 'production'"),
    ("Colour=red", "there is no 'Colour'"),
    ("Colour=red;Go Live=1", "'Go Live' is a date like 2026-12-31, and '1' is none; there is no 'Colour'"),
])
def test_value_that_does_not_fit_is_told(client: Client, token: Token, given: str, says: str) -> None:
    assert says in client.run("enroll", "--name", "www.example.org", "--custom-fields", given, status=3).stderr
    assert token.objects() == []


@pytest.mark.usefixtures("demanding")
def test_older_resource_is_asked_where_the_newer_is_not_there(client: Client) -> None:
    assert client.sandbox is not None
    client.sandbox.once("GET", "/customField/v2", fail_status=404)
    assert "'Cost Centre' is missing" in client.run("enroll", "--name", "www.example.org", status=3).stderr


def test_account_that_may_not_ask_orders_all_the_same(client: Client) -> None:
    assert client.sandbox is not None
    client.sandbox.once("GET", "/customField", times=2, fail_status=403)
    client.sandbox.once("GET", "/customFields", fail_status=403)
    assert client.json("enroll", "--name", "www.example.org")["state"] == "done"


def test_ca_that_is_down_is_told(client: Client, token: Token) -> None:
    assert client.sandbox is not None
    client.sandbox.set(fault_path="/customField", fail_status=503)
    done = client.run("enroll", "--name", "www.example.org", "--deadline", "1s", status=45)
    assert "custom fields: GET /private/api/customField/v2?certType=SSL" in done.stderr and token.objects() == []


# --- formats

COUNTS = {"x509": 3, "x509CO": 1, "x509IO": 2, "x509IOR": 2, "x509R": 3, "base64": 3, "bin": 3, "pem": 3, "pemco": 1, "pemia": 2}


def certificates(name: str, data: bytes) -> list[x509.Certificate]:
    if name == "bin":
        return pkcs7.load_der_pkcs7_certificates(data)
    if name == "base64":
        return pkcs7.load_pem_pkcs7_certificates(data)
    end = b"-----END CERTIFICATE-----"
    return [x509.load_pem_x509_certificate(part + end) for part in data.split(end)[:-1]]


@pytest.mark.parametrize("form", ["query", "path"])
@pytest.mark.parametrize("name", COUNTS)
def test_every_format_is_written_as_the_ca_gives_it(client: Client, tmp_path: Path, name: str, form: str) -> None:
    client.set("ca:sandbox", collect_form=form)
    client.run("enroll", "--name", "www.example.org")
    before = client.json("order", "show", "1")
    out = tmp_path / "out"
    result = client.json("order", "collect", "1", "--format", name, "--out", str(out))
    assert result == {"schema": 1, "command": "order collect", "order": 1, "format": name, "file": str(out), "bytes": out.stat().st_size}
    found = certificates(name, out.read_bytes())
    assert len(found) == COUNTS[name]
    assert (f"{int(before['serial'], 16):x}" in [f"{c.serial_number:x}" for c in found]) == (name not in ("x509IO", "x509IOR"))
    assert client.json("order", "show", "1") == before


def test_format_of_an_order_that_is_not_issued_waits(client: Client, tmp_path: Path) -> None:
    assert client.sandbox is not None
    client.sandbox.set(pending_polls=1000)
    client.run("enroll", "--name", "www.example.org", "--deadline", "0", status=10)
    out = tmp_path / "out"
    done = client.run("order", "collect", "1", "--format", "pem", "--out", str(out), status=10)
    assert "cannot be collected yet" in done.stderr and not out.exists()


@pytest.mark.parametrize(("args", "says"), [
    (["--format", "pem"], "--format needs --out"), (["--out", "x"], "--out goes with --format"),
    (["--format", "pkcs7", "--out", "x"], "the CA has no format 'pkcs7'; it has: x509, x509CO"),
    (["--format", "pem", "--out", "x", "--cert-out", "y"], "do not go with it"),
])
def test_wrong_usage_of_formats_is_told(client: Client, args: list[str], says: str) -> None:
    client.run("enroll", "--name", "www.example.org")
    assert says in client.run("order", "collect", "1", *args, status=2).stderr
