"""A public key object that stands under the id of a private key and is another key's: an id that was used twice.

SoftHSM2 shows no public half of a private EC key, so everybody takes that of the public object with its id.
"""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest
from p11e import Client, Token, calls
from test_bind import certificate
from test_cert import openssl
from test_cert_check import import_cert, problems, self_signed

KEY = "pkcs11:object=www;type=private"
ID = "0102"


def public_of_cert(pem: Path) -> str:
    return subprocess.run(["openssl", "x509", "-in", str(pem), "-noout", "-pubkey"], check=True, capture_output=True,
                          text=True).stdout


def spki_hash(pem: Path) -> str:
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=public_of_cert(pem).encode(), check=True,
                         capture_output=True).stdout
    return hashlib.sha256(der).hexdigest()


@pytest.fixture
def own(client: Client, token: Token) -> Path:
    """A certificate of the key, made while all was well."""
    token.make_key("EC:prime256v1", ID, "www")
    return certificate(client, KEY, "www.example.org")


@pytest.fixture
def other(token: Token, own: Path, tmp_path: Path) -> Path:
    """The certificate of the key whose public half has taken the place of the key's own."""
    cert = self_signed(tmp_path / "other.pem", "other")
    der = tmp_path / "other.der"
    openssl("pkey", "-in", f"{cert}.key", "-pubout", "-outform", "DER", "-out", str(der))
    token.tool("--delete-object", "--type", "pubkey", "--id", ID)
    token.tool("--write-object", str(der), "--type", "pubkey", "--id", ID, "--label", "www")
    return cert


def test_no_request_is_made_with_it(client: Client, other: Path) -> None:
    done = client.run("csr", "create", KEY, "--name", "www.example.org", status=29)
    assert "does not verify with its public half" in done.stderr and "cert check" in done.stderr
    assert "BEGIN" not in done.stdout


def test_nothing_is_ordered_with_it(client: Client, other: Path) -> None:
    assert client.sandbox is not None
    client.run("enroll", "--name", "www.example.org", "--key", KEY, status=29)
    assert client.sandbox.posts() == 0


def test_no_evidence_is_given_of_it(client: Client, other: Path) -> None:
    done = client.run("key", "evidence", KEY, "--out", str(client.dir / "e.json"), status=52)
    assert "its public half is not its own" in done.stderr and not (client.dir / "e.json").exists()


def test_it_is_not_given_out_as_the_keys(client: Client, other: Path) -> None:
    done = client.run("key", "public", KEY, status=29)
    assert "is another key's" in done.stderr and "BEGIN" not in done.stdout


def test_no_certificate_is_bound_by_it(client: Client, token: Token, own: Path, other: Path,
                                       tmp_path: Path) -> None:
    assert client.sandbox is not None
    csr = subprocess.run(["openssl", "req", "-new", "-key", f"{other}.key", "-subj", "/CN=www.example.org"], check=True,
                         capture_output=True, text=True).stdout
    answer = client.sandbox.sign(csr, ["www.example.org"])
    wrong = tmp_path / "wrong.pem"
    wrong.write_text(answer["cert"] + answer["chain"])
    before = token.snapshot()
    for cert in (wrong, own):
        done = client.run("cert", "bind", "--key", KEY, "--cert", str(cert), status=29)
        assert "is another key's" in done.stderr
    assert token.snapshot() == before


def test_certificate_tells_that_it_is_doubtful(client: Client, token: Token, own: Path, other: Path) -> None:
    import_cert(token, own, ID, "www")
    log = client.rules()
    shown = client.json("key", "show", KEY)
    assert shown["public_key_sha256"] == spki_hash(own)
    assert len(shown["certificates"]) == 1 and len(calls(log, "C_Sign")) == 1
    found = problems(client)
    assert ("foreign-public-key", "www", "no") in found
    assert not {"foreign-certificate", "key-without-certificate"} & {p for p, _, _ in found}


def test_key_that_is_deleted_leaves_it_alone(client: Client, token: Token, own: Path, other: Path) -> None:
    import_cert(token, own, ID, "www")
    client.run("key", "delete", KEY, "--yes", "--with-certificates")
    assert [o["kind"] for o in token.objects()] == ["Public Key"]


def test_what_fits_costs_no_signature(client: Client, token: Token, own: Path) -> None:
    import_cert(token, own, ID, "www")
    log = client.rules()
    client.run("key", "list")
    client.run("key", "show", KEY)
    client.run("cert", "list")
    client.json("cert", "check", status=None)
    assert not calls(log, "C_Sign")
