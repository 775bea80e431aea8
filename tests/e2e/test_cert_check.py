"""cert check: what does not fit together on a token, and what of it can be mended."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from p11e import Client, Token, calls
from test_bind import certificate, made_key
from test_cert import openssl


def problems(client: Client, *args: str, status: int = 28) -> list[tuple[str, str, str]]:
    found = client.json("cert", "check", *args, status=status)["findings"]
    return sorted((f["problem"], f["label"], f["fixed"]) for f in found)


def import_cert(token: Token, pem: Path, key_id: str, label: str) -> None:
    """As another program puts it there: with the id and label that its user typed."""
    der = pem.with_suffix(".der")
    openssl("x509", "-in", str(pem), "-outform", "DER", "-out", str(der))
    token.tool("--write-object", str(der), "--type", "cert", "--id", key_id, "--label", label)


def self_signed(path: Path, name: str, days: int = 365) -> Path:
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", str(path) + ".key", "-out", str(path), "-subj", f"/CN={name}", "-days", str(days),
                    "-addext", "basicConstraints=CA:FALSE"], check=True, capture_output=True)
    return path


def signed_by(ca: Path, client: Client, uri: str, out: Path) -> Path:
    """A certificate from an authority that takes every kind of key."""
    csr = out.with_suffix(".csr")
    csr.write_text(client.run("csr", "create", uri, "--name", "www.example.org").stdout)
    openssl("x509", "-req", "-in", str(csr), "-CA", str(ca), "-CAkey", str(ca) + ".key", "-days", "90", "-out", str(out),
            "-set_serial", "7")
    return out


@pytest.fixture
def key(client: Client, token: Token) -> str:
    token.make_key("EC:prime256v1", "0102", "www")
    return "pkcs11:object=www;type=private"


def test_what_we_bound_is_all_right(client: Client) -> None:
    uri = made_key(client)
    client.run("cert", "bind", "--key", uri, "--cert", str(certificate(client, uri, "www.example.org")))
    done = client.json("cert", "check")
    assert done["findings"] == [] and done["keys"] == 1 and done["certificates"] == 2
    assert "fit together" in client.run("cert", "check").stdout


def test_key_without_a_certificate(client: Client) -> None:
    made_key(client)
    assert problems(client) == [("key-without-certificate", "www", "no")]


def test_certificate_without_a_key(client: Client, token: Token, tmp_path: Path) -> None:
    import_cert(token, self_signed(tmp_path / "x.pem", "x"), "99", "x")
    assert ("certificate-without-key", "x", "no") in problems(client)


def test_certificates_of_cas_need_no_key(client: Client, token: Token) -> None:
    assert client.sandbox is not None
    import_cert(token, client.sandbox.dir / "issuer-root.pem", "99", "root")
    assert problems(client, status=0) == []


def test_certificate_under_the_id_of_another_key(client: Client, token: Token, key: str, tmp_path: Path) -> None:
    import_cert(token, self_signed(tmp_path / "x.pem", "x"), "0102", "x")
    found = problems(client)
    assert ("foreign-certificate", "x", "no") in found and ("key-without-certificate", "www", "no") in found


def test_ids_and_labels_that_differ_are_mended(client: Client, token: Token, key: str) -> None:
    import_cert(token, certificate(client, key, "www.example.org"), "ffff", "wrong")
    found = problems(client)
    assert [p for p, _, _ in found] == ["id-differs", "incomplete-chain", "label-differs"]
    mended = problems(client, "--fix")
    assert {p for p, _, fixed in mended if fixed == "yes"} == {"id-differs", "label-differs"}
    client.set("profile:web", chain="none")
    assert problems(client, status=0) == []
    assert client.json("cert", "list")["certificates"][0]["key"] == "yes"
    private = [o for o in token.objects() if o["kind"].startswith("Private")]
    assert [o["ID"] for o in private] == ["0102"]


def test_id_is_changed_in_place_where_the_token_allows_it(client: Client, token: Token, key: str) -> None:
    client.run("cert", "bind", "--key", key, "--cert", str(certificate(client, key, "www.example.org")))
    label = client.json("cert", "list")["certificates"][0]["label"]
    assert label
    token.tool("--set-id", "ffff", "--type", "cert", "--id", "0102")
    log = client.rules()
    assert problems(client, "--fix", status=0) == [("id-differs", "www", "yes")]
    assert calls(log, "C_SetAttributeValue") and not calls(log, "C_DestroyObject")


def test_copy_is_written_where_an_id_cannot_be_changed(client: Client, token: Token, key: str) -> None:
    client.run("cert", "bind", "--key", key, "--cert", str(certificate(client, key, "www.example.org")))
    token.tool("--set-id", "ffff", "--type", "cert", "--id", "0102")
    log = client.rules("C_SetAttributeValue:*:fail=0x10")  # CKR_ATTRIBUTE_READ_ONLY
    assert problems(client, "--fix", status=0) == [("id-differs", "www", "yes")]
    names = [c for c in calls(log) if c in ("C_CreateObject", "C_DestroyObject")]
    assert names == ["C_CreateObject", "C_DestroyObject"]
    client.no_rules()
    assert problems(client, status=0) == []
    assert len(client.json("cert", "list")["certificates"]) == 2


def test_mending_that_the_token_forgets_is_noticed(client: Client, token: Token, key: str) -> None:
    client.run("cert", "bind", "--key", key, "--cert", str(certificate(client, key, "www.example.org")))
    token.tool("--set-id", "ffff", "--type", "cert", "--id", "0102")
    client.rules("C_SetAttributeValue:*:fail=0x0", "C_CreateObject:*:fail=0x0")
    found = client.json("cert", "check", "--fix", status=28)["findings"]
    assert found[0]["fixed"] == "no" and "does not have it as written" in found[0]["text"]
    client.no_rules()
    assert [p for p, _, _ in problems(client)] == ["id-differs"]


def test_public_key_gets_the_id_of_its_private_key(client: Client, token: Token) -> None:
    token.make_key("RSA:2048", "0102", "www")
    token.tool("--set-id", "ffff", "--type", "pubkey", "--id", "0102")
    assert ("id-differs", "www", "yes") in problems(client, "--fix")
    assert [o["ID"] for o in token.objects() if "Key" in o["kind"]] == ["0102", "0102"]


@pytest.mark.parametrize("kind", ["EC:prime256v1", "EC:secp384r1", "EC:edwards25519"])
def test_pair_of_which_nothing_shows_that_it_is_one_is_found_by_a_signature(
        client: Client, token: Token, tmp_path: Path, kind: str) -> None:
    """SoftHSM shows no public half with the private key, and the public key is gone."""
    token.make_key(kind, "0102", "www")
    token.make_key(kind, "0103", "other")
    client.set("profile:web", chain="none")
    pem = signed_by(self_signed(tmp_path / "ca.pem", "ca"), client, "pkcs11:object=www;type=private", tmp_path / "x.pem")
    for key_id in ("0102", "0103"):
        token.tool("--delete-object", "--type", "pubkey", "--id", key_id)
    import_cert(token, pem, "0103", "www")  # under the id of the other key
    found = problems(client)
    assert [p for p, _, _ in found] == ["id-differs", "key-without-certificate"]
    log = client.rules()
    assert ("id-differs", "www", "yes") in problems(client, "--fix")
    assert 1 <= len(calls(log, "C_Sign")) <= 2
    client.no_rules()
    assert [c["id"] for c in client.json("cert", "list")["certificates"]] == ["0102"]


def test_expiry(client: Client) -> None:
    uri = made_key(client)
    client.run("cert", "bind", "--key", uri, "--cert", str(certificate(client, uri, "www.example.org", 20)))
    assert problems(client) == [("expires-soon", "www", "no")]
    assert problems(client, "--soon", "10d", status=0) == []


@pytest.mark.parametrize(("offset", "problem"), [(-100, "expired"), (10, "not-yet-valid")])
def test_certificate_that_is_not_valid_now(client: Client, token: Token, key: str, offset: int, problem: str) -> None:
    client.set("profile:web", chain="none")
    import_cert(token, certificate(client, key, "www.example.org", 90, not_before_offset_days=offset), "0102", "www")
    assert problems(client) == [(problem, "www", "no")]


def test_incomplete_chain(client: Client) -> None:
    uri = made_key(client)
    client.set("profile:web", chain="none")
    client.run("cert", "bind", "--key", uri, "--cert", str(certificate(client, uri, "www.example.org")))
    assert problems(client, status=0) == []
    client.set("profile:web", chain="token")
    assert problems(client) == [("incomplete-chain", "www", "no")]


def test_labels_that_java_would_confuse(client: Client, token: Token) -> None:
    for key_id in ("0a", "0b"):
        token.make_key("EC:prime256v1", key_id, "www")
        uri = f"pkcs11:id=%{key_id};type=private"
        client.run("cert", "bind", "--key", uri, "--cert", str(certificate(client, uri, "www.example.org")))
    assert problems(client) == [("duplicate-label", "www", "no")] * 2


def test_private_keys_with_one_id(client: Client, token: Token) -> None:
    token.make_key("EC:prime256v1", "0102", "a")
    token.make_key("RSA:2048", "0102", "b")
    assert [p for p, _, _ in problems(client)].count("duplicate-id") == 2


def test_span_that_is_not_understood(client: Client) -> None:
    assert "--soon" in client.run("cert", "check", "--soon", "never", status=2).stderr
