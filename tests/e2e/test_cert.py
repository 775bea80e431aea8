"""Certificates on a token: listed, shown, exported, removed, put back, and put into files instead."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from p11e import Client, Token, calls
from test_bind import bound, certificate, made_key


def pem_of(text: str) -> list[str]:
    return ["-----BEGIN" + part for part in text.split("-----BEGIN")[1:]]


def openssl(*args: str, text: str | None = None) -> str:
    return subprocess.run(["openssl", *args], input=text, text=True, capture_output=True, check=True).stdout


@pytest.fixture
def bound_key(client: Client) -> tuple[Client, str, Path]:
    """A client with a key that has a certificate and its issuer beside it."""
    uri = made_key(client)
    cert = certificate(client, uri, "www.example.org")
    client.run("cert", "bind", "--key", uri, "--cert", str(cert))
    return client, uri, cert


def test_list_tells_to_which_certificates_a_key_belongs(bound_key: tuple[Client, str, Path]) -> None:
    client, _, _ = bound_key
    listed = client.json("cert", "list")["certificates"]
    assert sorted((c["label"] == "www", c["key"]) for c in listed) == [(False, "no"), (True, "yes")]


def test_list_tells_of_a_certificate_under_another_keys_id(client: Client, token: Token, tmp_path: Path) -> None:
    uri = made_key(client)
    token.make_key("RSA:2048", "aabb", "rsa")
    der = tmp_path / "x.der"
    openssl("x509", "-in", str(certificate(client, uri, "www.example.org")), "-outform", "DER", "-out", str(der))
    token.tool("--write-object", str(der), "--type", "cert", "--id", "aabb", "--label", "stray")
    assert [c["key"] for c in client.json("cert", "list")["certificates"]] == ["other"]


def test_list_of_an_empty_token(client: Client) -> None:
    assert client.json("cert", "list")["certificates"] == []
    assert "no certificate" in client.run("cert", "list").stdout


def test_list_makes_two_searches_whatever_there_is(bound_key: tuple[Client, str, Path]) -> None:
    client, _, _ = bound_key
    log = client.rules()
    client.run("cert", "list")
    assert len(calls(log, "C_FindObjectsInit")) == 2


def test_show_names_exactly_one(bound_key: tuple[Client, str, Path]) -> None:
    client, _, _ = bound_key
    shown = client.json("cert", "show", "pkcs11:object=www")
    assert shown["key"] == "yes" and shown["names"] == "www.example.org" and shown["issuers"] == 1
    assert client.json("cert", "show", shown["uri"])["serial"] == shown["serial"]


def test_show_of_several_lists_them_and_a_serial_number_chooses(bound_key: tuple[Client, str, Path]) -> None:
    client, uri, _ = bound_key
    client.run("cert", "bind", "--key", uri, "--keep-old", "--cert",
               str(certificate(client, uri, "www.example.org", 200)))
    serials = bound(client, uri)
    done = client.run("cert", "show", "pkcs11:object=www", status=26)
    assert len(serials) == 2 and all(s in done.stderr for s in serials)
    assert client.json("cert", "show", "pkcs11:object=www", "--serial", serials[1])["serial"] == serials[1]


def test_show_of_none(client: Client) -> None:
    done = client.run("cert", "show", "pkcs11:object=nobody", status=25)
    assert "no certificate" in done.stderr


def test_show_of_a_key_uri_is_refused(bound_key: tuple[Client, str, Path]) -> None:
    client, uri, _ = bound_key
    assert "type=private" in client.run("cert", "show", uri, status=2).stderr


def test_export_is_the_certificate_that_was_bound(bound_key: tuple[Client, str, Path], tmp_path: Path) -> None:
    client, _, cert = bound_key
    assert pem_of(client.run("cert", "export", "pkcs11:object=www").stdout)[0].strip() == \
        pem_of(cert.read_text())[0].strip()
    chain = tmp_path / "chain.pem"
    assert client.json("cert", "export", "pkcs11:object=www", "--chain", "--out", str(chain))["certificates"] == 2
    assert len(pem_of(chain.read_text())) == 2
    der = tmp_path / "c.der"
    client.run("cert", "export", "pkcs11:object=www", "--der", "--out", str(der))
    assert openssl("x509", "-inform", "DER", "-in", str(der)).strip() == pem_of(cert.read_text())[0].strip()


def test_der_needs_a_file(client: Client) -> None:
    assert "--der needs --out" in client.run("cert", "export", "pkcs11:object=www", "--der", status=2).stderr


def test_remove_without_yes_says_what_would_be_lost(bound_key: tuple[Client, str, Path], token: Token) -> None:
    client, _, _ = bound_key
    before = token.snapshot()
    done = client.run("cert", "remove", "pkcs11:object=www", status=2)
    assert "last certificate of a key" in done.stderr and "www.example.org" in done.stdout
    assert token.snapshot() == before


def test_remove_and_undo(bound_key: tuple[Client, str, Path], token: Token) -> None:
    client, uri, _ = bound_key
    before = token.snapshot()
    assert client.json("cert", "remove", "pkcs11:object=www", "--yes")["last_of_key"] is True
    assert bound(client, uri) == []
    undone = client.json("cert", "undo", uri)
    assert undone["put_back"] == 1 and undone["removed"] is False
    assert token.snapshot() == before
    assert "no certificate" in client.run("cert", "undo", uri, status=25).stderr


def test_remove_without_a_place_for_the_journal(bound_key: tuple[Client, str, Path], token: Token) -> None:
    client, _, _ = bound_key
    (client.state / "journal.db").mkdir(parents=True)
    before = token.snapshot()
    done = client.run("cert", "remove", "pkcs11:object=www", "--yes", status=60)
    assert "journal" in done.stderr
    assert token.snapshot() == before


def test_certificate_that_the_token_did_not_remove_is_noticed(bound_key: tuple[Client, str, Path]) -> None:
    client, uri, _ = bound_key
    client.rules("C_DestroyObject:1:fail=0x0")  # "OK", and nothing was removed
    done = client.run("cert", "remove", "pkcs11:object=www", "--yes", status=29)
    assert "still has it" in done.stderr
    client.no_rules()
    assert len(bound(client, uri)) == 1


def test_undo_puts_the_replaced_certificate_back(bound_key: tuple[Client, str, Path], token: Token) -> None:
    client, uri, _ = bound_key
    old = bound(client, uri)
    before = token.snapshot()
    client.run("cert", "bind", "--key", uri, "--cert", str(certificate(client, uri, "www.example.org", 200)))
    assert bound(client, uri) != old
    undone = client.json("cert", "undo", uri)
    assert undone["removed"] is True and "@" in undone["replaced_by"]
    assert bound(client, uri) == old and token.snapshot() == before


def test_undo_goes_back_step_by_step(bound_key: tuple[Client, str, Path]) -> None:
    client, uri, _ = bound_key
    steps = [bound(client, uri)]
    for days in (100, 110):
        client.run("cert", "bind", "--key", uri, "--cert", str(certificate(client, uri, "www.example.org", days)))
        steps.append(bound(client, uri))
    for expected in (steps[1], steps[0]):
        client.run("cert", "undo", uri)
        assert bound(client, uri) == expected


def test_bind_that_cannot_write_down_what_it_replaces_changes_nothing(
        bound_key: tuple[Client, str, Path], token: Token) -> None:
    client, uri, _ = bound_key
    renewed = certificate(client, uri, "www.example.org", 200)
    before = token.snapshot()
    (client.state / "journal.db").mkdir(parents=True)
    done = client.run("cert", "bind", "--key", uri, "--cert", str(renewed), status=60)
    assert "nothing was changed" in done.stderr and token.snapshot() == before


def test_certificate_larger_than_configured_is_refused_before_anything(client: Client) -> None:
    uri = made_key(client)
    cert = certificate(client, uri, "www.example.org")
    client.set("token:main", max_certificate_size="300")
    log = client.rules()
    done = client.run("cert", "bind", "--key", uri, "--cert", str(cert), status=29)
    assert "takes 300 ('max_certificate_size')" in done.stderr and "--detached" in done.stderr
    assert calls(log, "C_CreateObject") == []


@pytest.mark.parametrize(("rv", "text"), [("0x31", "has no room"), ("0x54", "keeps no certificates"),
                                          ("0xe2", "write-protected"), ("0x103", "security officer")])
def test_refusals_of_a_token_are_explained_and_leave_it_as_it_was(client: Client, token: Token, rv: str,
                                                                  text: str) -> None:
    uri = made_key(client)
    cert = certificate(client, uri, "www.example.org")
    before = token.snapshot()
    client.rules(f"C_CreateObject:2:fail={rv}")  # the issuer was written already
    done = client.run("cert", "bind", "--key", uri, "--cert", str(cert), status=29)
    assert text in done.stderr and "--detached" in done.stderr
    client.no_rules()
    assert token.snapshot() == before


def test_detached_writes_files_and_nothing_to_the_token(client: Client, token: Token, tmp_path: Path) -> None:
    uri = made_key(client)
    cert = certificate(client, uri, "www.example.org")
    before = token.snapshot()
    out = tmp_path / "www"
    result = client.json("cert", "bind", "--key", uri, "--cert", str(cert), "--detached", str(out))
    assert result["detached_dir"] == str(out) and result["cert_uri"] == f"file://{out}/fullchain.pem"
    assert token.snapshot() == before
    parts = {p.name: p.read_text() for p in out.iterdir()}
    assert sorted(parts) == ["cert.pem", "chain.pem", "combined.pem", "fullchain.pem", "key.pem", "key.uri"]
    assert len(pem_of(parts["cert.pem"])) == 1 and len(pem_of(parts["chain.pem"])) == 1
    assert parts["fullchain.pem"] == parts["cert.pem"] + parts["chain.pem"]
    assert parts["combined.pem"] == parts["fullchain.pem"] + parts["key.pem"]
    assert "PKCS#11 PROVIDER URI" in parts["key.pem"] and parts["key.uri"].startswith("pkcs11:")
    assert client.json("key", "show", parts["key.uri"].strip())["label"] == "www"


def test_detached_again_replaces_its_files(client: Client, tmp_path: Path) -> None:
    uri = made_key(client)
    for days in (90, 200):
        cert = certificate(client, uri, "www.example.org", days)
        client.run("cert", "bind", "--key", uri, "--cert", str(cert), "--detached", str(tmp_path / "www"))
    assert (tmp_path / "www/cert.pem").read_text().strip() == pem_of(cert.read_text())[0].strip()


def test_detached_does_not_write_over_a_real_key(client: Client, tmp_path: Path) -> None:
    uri = made_key(client)
    (tmp_path / "key.pem").write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    done = client.run("cert", "bind", "--key", uri, "--detached", str(tmp_path), "--cert",
                      str(certificate(client, uri, "www.example.org")), status=27)
    assert "not written over" in done.stderr and not (tmp_path / "cert.pem").exists()


@pytest.mark.parametrize("name", ["combined.pem", "fullchain.pem", "cert.pem", "chain.pem", "key.uri"])
def test_detached_does_not_write_over_a_file_with_a_real_key(client: Client, tmp_path: Path, name: str) -> None:
    uri = made_key(client)
    cert = certificate(client, uri, "www.example.org")
    out = tmp_path / "www"
    out.mkdir()
    software = cert.read_text() + openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
    (out / name).write_text(software)
    done = client.run("cert", "bind", "--key", uri, "--detached", str(out), "--cert", str(cert), status=27)
    assert f"{name} holds a private key" in done.stderr
    assert [p.name for p in out.iterdir()] == [name] and (out / name).read_text() == software


def test_enrolling_with_detached_certificates(client: Client, token: Token, tmp_path: Path) -> None:
    client.set("token:main", certificates="detached", detached_dir=str(tmp_path / "tls"))
    done = client.json("enroll", "--name", "www.example.org")
    files = tmp_path / "tls/www.example.org"
    assert done["cert_uri"] == f"file://{files}/fullchain.pem"
    assert len(pem_of((files / "fullchain.pem").read_text())) == 2
    assert not [o for o in token.objects() if o["kind"].startswith("Certificate")]


def test_detached_without_a_place(client: Client) -> None:
    uri = made_key(client)
    client.set("token:main", certificates="detached")
    done = client.run("cert", "bind", "--key", uri, "--cert", str(certificate(client, uri, "www.example.org")), status=3)
    assert "detached_dir" in done.stderr


def test_bind_waits_for_the_attestation_where_that_is_asked(client: Client, token: Token) -> None:
    uri = made_key(client)
    cert = certificate(client, uri, "www.example.org")
    client.set("token:main", attest_first="yes")
    before = token.snapshot()
    done = client.run("cert", "bind", "--key", uri, "--cert", str(cert), status=28)
    assert "--attested" in done.stderr and token.snapshot() == before
    client.run("cert", "bind", "--key", uri, "--cert", str(cert), "--attested")
    client.run("cert", "bind", "--key", uri, "--cert", str(cert))  # there already: nothing is written


def test_evidence_without_an_attestation_is_not_what_is_waited_for(client: Client, tmp_path: Path) -> None:
    client.set("token:main", attest_first="yes")
    assert "--attested" in client.run("enroll", "--name", "a.example.org", status=28).stderr
    client.set("profile:web", evidence_dir=str(tmp_path / "evidence"))
    assert "--attested" in client.run("enroll", "--name", "b.example.org", status=28).stderr
    assert len(list((tmp_path / "evidence").iterdir())) == 1
