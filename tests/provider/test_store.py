"""The store: each attribute of a URI, searches, and tokens with many objects."""

from __future__ import annotations

import re
import shutil
import uuid
from pathlib import Path

import pytest
from p11e import SHIM, SOFTHSM, Token, calls, clean_env, run
from support import AUTHORITY, OpenSSL, first_error, plain, verified

MANY = 800  # copies of one key pair


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Token:
    """Two keys and three certificates: of www by a CA, of www by itself, and of the CA."""
    path = tmp_path_factory.mktemp("stock")
    token = Token(path).init()
    token.make_key("EC:prime256v1", "01", "www")
    token.make_key("RSA:2048", "02", "mail")
    mine = OpenSSL(path, token)
    (path / "plain.cnf").write_text("[req]\ndistinguished_name = dn\n[dn]\n")
    plain("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "9", "-subj",
          "/C=DE/O=Test/CN=Root", "-set_serial", "5", "-config", "plain.cnf", *AUTHORITY, cwd=path)
    mine("req", "-new", "-key", mine.uri("www"), "-subj", "/O=Test/CN=www", "-out", "www.csr")
    plain("x509", "-req", "-in", "www.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", "0x80FF", "-days", "9",
          "-out", "www.pem", cwd=path)
    mine("req", "-x509", "-key", mine.uri("www"), "-subj", "/O=Test/CN=www", "-days", "9", "-set_serial", "7", "-out",
         "self.pem")
    for n, (name, label) in enumerate({"www": "www", "self": "www", "ca": "root"}.items()):
        plain("x509", "-in", f"{name}.pem", "-outform", "DER", "-out", f"{name}.der", cwd=path)
        token.tool("--write-object", str(path / f"{name}.der"), "--type", "cert", "--id", "01" if n < 2 else "03",
                   "--label", label)
    return token


@pytest.fixture
def openssl(stock: Token, tmp_path: Path) -> OpenSSL:
    return OpenSSL(tmp_path, stock)


def kinds(openssl: OpenSSL, *args: str) -> list[str]:
    done = openssl("storeutl", "-noout", *args)
    return re.findall(r"^\d+: (.*)$", done.stdout, re.M)


def slot(token: Token) -> dict[str, str]:
    """What the token and its slot say of themselves, as OpenSC reads it."""
    text = run(["pkcs11-tool", "--module", str(SOFTHSM), "-L"], env=clean_env(**token.env)).stdout
    mine = next(part for part in text.split("\nSlot ") if f"token label        : {token.label}\n" in part)
    found = re.search(r"\(0x([0-9a-f]+)\): (.*)", mine)
    assert found is not None
    serial = re.search(r"serial num +: (\S+)", mine)
    assert serial is not None
    return {"id": str(int(found[1], 16)), "description": found[2].strip(), "serial": serial[1]}


GOOD = {
    "token": "t1", "manufacturer": "SoftHSM%20project", "model": "SoftHSM%20v2", "serial": "{serial}",
    "slot-id": "{id}", "slot-description": "{description}", "slot-manufacturer": "SoftHSM%20project",
    "library-manufacturer": "SoftHSM", "library-description": "Implementation%20of%20PKCS11", "library-version": "2.6",
}


@pytest.mark.parametrize("attribute", GOOD)
def test_attributes_of_the_token(openssl: OpenSSL, attribute: str) -> None:
    value = GOOD[attribute].format(**slot(openssl.token)).replace(" ", "%20")
    openssl("pkey", "-in", f"pkcs11:{attribute}={value};object=www", "-noout")


@pytest.mark.parametrize("attribute", GOOD)
def test_attributes_of_another_token(openssl: OpenSSL, attribute: str) -> None:
    value = "77" if attribute == "slot-id" else "9.9" if attribute == "library-version" else "other"
    error = first_error(openssl("pkey", "-in", f"pkcs11:{attribute}={value};object=www", "-noout", status=1))
    assert "token-missing" in error and f"{attribute}={value}" in error


@pytest.mark.parametrize(("text", "what"), [
    ("object=www;type=private", ["Pkey"]), ("object=mail;type=public", ["Public key"]), ("id=%02;type=private", ["Pkey"]),
    ("type=private", ["Pkey"] * 2), ("type=public", ["Public key"] * 2), ("type=cert", ["Certificate"] * 3),
    ("object=www;type=cert", ["Certificate"] * 2), ("id=%03", ["Certificate"]),
    ("object=www", ["Pkey", "Public key", "Certificate", "Certificate"]),
    ("token=t1", ["Pkey"] * 2 + ["Public key"] * 2 + ["Certificate"] * 3)])
def test_attributes_of_objects(openssl: OpenSSL, text: str, what: list[str]) -> None:
    """By class: private keys, public keys, certificates."""
    assert kinds(openssl, f"pkcs11:{text}") == what


@pytest.mark.parametrize(("text", "what"), [
    ("object=nobody", "object"), ("id=%77", "object"), ("object=www;id=%02", "object"), ("object=root;type=private", "private key"),
    ("object=root;type=public", "public key"), ("object=mail;type=cert", "certificate")])
def test_what_was_not_found_is_told(openssl: OpenSSL, text: str, what: str) -> None:
    error = first_error(openssl("storeutl", "-noout", f"pkcs11:{text}"))
    assert "object-missing" in error and f"has no {what} that matches pkcs11:" in error


@pytest.mark.parametrize("scheme", ["pkcs11", "PKCS11", "pKcS11"])
def test_scheme_in_any_case(openssl: OpenSSL, scheme: str) -> None:
    assert kinds(openssl, f"{scheme}:object=www;type=private") == ["Pkey"]


def test_module_path_of_the_uri(stock: Token, tmp_path: Path) -> None:
    mine = OpenSSL(tmp_path, stock, module=tmp_path / "no-module.so")
    query = f"module-path={SOFTHSM}&pin-source=file:{stock.pin_file}"  # the configured PIN is for the other module
    assert kinds(mine, f"pkcs11:object=www;type=private?{query}") == ["Pkey"]
    assert "no-module.so" in first_error(mine("pkey", "-in", mine.uri("www"), "-noout", status=1))


# Searches


def serials(openssl: OpenSSL, *args: str) -> list[str]:
    """The serial numbers of the certificates that are found."""
    text = openssl("storeutl", "-certs", *args, f"pkcs11:token={openssl.token.label}").stdout
    return sorted(plain_serial(openssl, pem) for pem in re.findall("-----BEGIN.*?-----END CERTIFICATE-----", text, re.S))


def plain_serial(openssl: OpenSSL, pem: str) -> str:
    (openssl.dir / "one.pem").write_text(pem)
    return plain("x509", "-in", "one.pem", "-noout", "-serial", cwd=openssl.dir).stdout.strip().removeprefix("serial=")


def test_search_by_subject(openssl: OpenSSL) -> None:
    assert serials(openssl, "-subject", "/O=Test/CN=www") == ["07", "80FF"]


def test_search_by_subject_in_other_letters(openssl: OpenSSL) -> None:
    """The token compares bytes; X.509 does not mind case (RFC 5280 section 7.1)."""
    assert serials(openssl, "-subject", "/O=TEST/CN=WWW") == ["07", "80FF"]


def test_search_by_subject_in_vain_is_no_error(openssl: OpenSSL) -> None:
    assert serials(openssl, "-subject", "/CN=nobody") == []


def test_search_by_issuer_and_serial(openssl: OpenSSL) -> None:
    assert serials(openssl, "-issuer", "/C=DE/O=Test/CN=Root", "-serial", "0x80FF") == ["80FF"]
    assert serials(openssl, "-issuer", "/C=DE/O=Test/CN=Root", "-serial", "5") == ["05"]
    assert serials(openssl, "-issuer", "/C=DE/O=Test/CN=Root", "-serial", "6") == []


def test_search_by_alias(openssl: OpenSSL) -> None:
    assert serials(openssl, "-alias", "root") == ["05"]
    assert serials(openssl, "-alias", "nobody") == []
    assert kinds(openssl, "-keys", "-alias", "mail", "pkcs11:token=t1") == ["Pkey"]
    assert kinds(openssl, "-certs", "-alias", "root", "pkcs11:object=www") == []


def test_certificates_serve_as_trust(openssl: OpenSSL) -> None:
    """libcrypto's X509_LOOKUP_store searches by subject."""
    openssl("verify", "-CAstore", "pkcs11:token=t1;type=cert", str(openssl.token.dir / "www.pem"))


# Many objects


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Token:
    """A token with many key pairs: SoftHSM keeps an object in a file, and a copy of it is an object."""
    token = Token(tmp_path_factory.mktemp("full")).init()
    before = set(token.dir.rglob("*.object"))
    token.make_key("EC:prime256v1", "01", "copy")
    pair = set(token.dir.rglob("*.object")) - before
    for source in pair:
        for _ in range(MANY - 1):
            shutil.copy(source, source.with_name(f"{uuid.uuid4()}.object"))
    token.make_key("EC:prime256v1", "02", "one")
    return token


def counting(token: Token, path: Path) -> tuple[OpenSSL, Path]:
    mine = OpenSSL(path, token, module=SHIM)
    mine.env.update(P11SHIM_MODULE=str(SOFTHSM), P11SHIM_LOG=str(path / "calls"))
    return mine, path / "calls"


def test_everything_on_a_full_token_is_listed(full: Token, tmp_path: Path) -> None:
    mine, log = counting(full, tmp_path)
    found = kinds(mine, f"pkcs11:token={full.label}")
    assert found == ["Pkey"] * (MANY + 1) + ["Public key"] * (MANY + 1)
    assert len(calls(log, "C_FindObjectsInit")) == 3, "one search a class"
    assert len(calls(log, "C_GetAttributeValue")) <= 2 * 2 * (MANY + 1), "what an object costs does not grow"
    assert len(calls(log, "C_OpenSession")) < 10


def test_listing_begins_before_all_is_read(full: Token, tmp_path: Path) -> None:
    mine, log = counting(full, tmp_path)
    results, errors = mine.probe("first", f"pkcs11:token={full.label}")
    assert results == {"first": 1} and errors == []
    assert len(calls(log, "C_GetAttributeValue")) < 10


def test_one_key_on_a_full_token_costs_one_search(full: Token, tmp_path: Path) -> None:
    mine, log = counting(full, tmp_path)
    mine("req", "-new", "-key", mine.uri("one"), "-subj", "/CN=x", "-out", "r.csr")
    assert len(calls(log, "C_FindObjectsInit")) == 1
    assert len(calls(log, "C_GetAttributeValue")) < 10


def test_key_that_is_not_asked_for_its_public_half_costs_one_search(full: Token, tmp_path: Path) -> None:
    mine, log = counting(full, tmp_path)
    (tmp_path / "message").write_bytes(b"x")
    mine("dgst", "-sha256", "-sign", mine.uri("one"), "-out", "sig", "message")
    assert len(calls(log, "C_FindObjectsInit")) == 1


def test_handles_of_a_token_that_went_away_are_not_used(stock: Token, tmp_path: Path) -> None:
    """CKR_DEVICE_REMOVED at the second object: when the token is back, its handles may be other objects'."""
    mine, log = counting(stock, tmp_path)
    mine.env.update(P11SHIM_RULES="C_GetAttributeValue:2:fail=0x32")
    results, errors = mine.probe("expect", f"pkcs11:token={stock.label}", "0")
    assert results == {"expect": 1, "found": 1}
    assert "CKR_DEVICE_REMOVED" in errors[0]
    assert "token 't1'" in errors[1] and "the token's objects changed while they were listed" in errors[1]
    assert len(errors) == 2 and len(calls(log, "C_GetAttributeValue")) == 2


@pytest.fixture(scope="module")
def renamed(tmp_path_factory: pytest.TempPathFactory) -> Token:
    """A key pair whose public object has the same id and another label."""
    token = Token(tmp_path_factory.mktemp("renamed")).init()
    token.make_key("EC:prime256v1", "01", "one")
    der = token.dir / "public.der"
    token.tool("--read-object", "--type", "pubkey", "--id", "01", "--output-file", str(der))
    token.tool("--delete-object", "--type", "pubkey", "--id", "01")
    token.tool("--write-object", str(der), "--type", "pubkey", "--id", "01", "--label", "another")
    return token


def test_public_half_of_another_name_costs_a_second_search(renamed: Token, tmp_path: Path) -> None:
    mine, log = counting(renamed, tmp_path)
    mine("req", "-new", "-key", mine.uri("one"), "-subj", "/CN=x", "-out", "r.csr")
    assert len(calls(log, "C_FindObjectsInit")) == 2
    assert verified(plain("req", "-in", "r.csr", "-verify", "-noout", cwd=tmp_path))


def test_public_object_of_the_same_name_and_another_id_is_not_taken(tmp_path: Path) -> None:
    token = Token(tmp_path / "mixed").init()
    token.make_key("EC:prime256v1", "01", "one")
    token.tool("--delete-object", "--type", "pubkey", "--id", "01")
    token.make_key("EC:prime256v1", "02", "two")
    der = token.dir / "public.der"
    token.tool("--read-object", "--type", "pubkey", "--id", "02", "--output-file", str(der))
    token.tool("--write-object", str(der), "--type", "pubkey", "--id", "03", "--label", "one")
    mine, _ = counting(token, tmp_path)
    error = first_error(mine("pkey", "-in", mine.uri("one"), "-pubout", status=1))
    assert "the public half of key 'one' on token 't1'" in error


def test_threads_search_the_public_half_at_most_once_each(renamed: Token, tmp_path: Path) -> None:
    """No lock is held while the token is asked, so a thread may search although another one does."""
    mine, log = counting(renamed, tmp_path)
    results, errors = mine.probe("public", "one")
    assert errors == [] and results == {"load": 1, "good": 8}
    assert 2 <= len(calls(log, "C_FindObjectsInit")) <= 1 + 8


def test_fork_while_a_thread_searches_the_public_half(renamed: Token, tmp_path: Path) -> None:
    mine, _ = counting(renamed, tmp_path)
    mine.env.update(P11SHIM_RULES="C_FindObjectsInit:2:delay=1500")
    results, errors = mine.probe("fork", "one")
    assert errors == [] and results == {"load": 1, "child": 1, "parent": 1}


def test_candidates_of_a_full_token_are_not_all_listed(full: Token, tmp_path: Path) -> None:
    mine, _ = counting(full, tmp_path)
    error = first_error(mine("pkey", "-in", mine.uri("copy"), "-noout", status=1))
    assert f"has {MANY} private keys that match" in error and error.rstrip().endswith("...")
