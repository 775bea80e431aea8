"""Generating keys in a token through EVP, and software keys beside them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from p11e import SHIM, SOFTHSM, Token, calls, run
from peers import ignore_leaks
from support import ORDERS, OpenSSL, first_error, plain, verified

SOFTWARE = {"software-ec": 1, "software-q": 1, "software-rsa": 1}


@pytest.fixture
def openssl(token: Token, tmp_path: Path) -> OpenSSL:
    return OpenSSL(tmp_path, token)


def usage_of(token: Token, label: str) -> dict[str, str]:
    """What pkcs11-tool says about the private key: usage, access."""
    keys = [o for o in token.objects() if o["kind"] == "Private Key" and o["label"] == label]
    assert len(keys) == 1, keys
    return keys[0]


@pytest.mark.parametrize(("kind", "bits"), [("EC:P-256", 256), ("EC:prime256v1", 256), ("EC:secp384r1", 384),
                                            ("EC:P-521", 521), ("RSA:2048", 2048)])
def test_key_is_made_in_the_token_and_signs(openssl: OpenSSL, kind: str, bits: int) -> None:
    results, errors = openssl.probe("make", "pkcs11:token=t1;object=new", kind)
    assert errors == []
    assert results == {"init": 1, "option": 1, "uri": 1, "made": 1, "sign": 1, "size": bits, **SOFTWARE}
    found = usage_of(openssl.token, "new")
    assert found["Usage"] == "sign" and len(found["ID"]) == 32
    assert {"sensitive", "always sensitive", "never extractable", "local"} == set(found["Access"].split(", "))


@pytest.mark.parametrize(("kind", "usage", "found"), [
    ("RSA:2048", "digitalSignature,keyEncipherment", "decrypt, sign"),
    ("RSA:2048", "dataEncipherment", "decrypt"),
    ("EC:P-256", "digitalSignature keyAgreement", "sign, derive"),
    ("EC:P-256", "keyAgreement", "derive"),
])
def test_usage(openssl: OpenSSL, kind: str, usage: str, found: str) -> None:
    results, _ = openssl.probe("make", "pkcs11:token=t1;object=new", kind, usage)
    assert results["made"] == 1 and results["sign"] == int("digitalSignature" in usage)
    assert usage_of(openssl.token, "new")["Usage"] == found


def test_id_of_the_uri(openssl: OpenSSL) -> None:
    openssl.probe("make", "pkcs11:token=t1;object=new;id=%01%02", "EC:P-256")
    assert usage_of(openssl.token, "new")["ID"] == "0102"


def nothing_made(openssl: OpenSSL, uri: str, kind: str, *usage: str) -> str:
    """The first error of a generation that is refused before the token is asked; software goes on."""
    shim = OpenSSL(openssl.dir, openssl.token, module=SHIM)
    log = openssl.dir / "calls"
    shim.env.update(P11SHIM_MODULE=str(SOFTHSM), P11SHIM_LOG=str(log))
    results, errors = shim.probe("make", uri, kind, *usage)
    assert results["made"] == 0 and {k: results[k] for k in SOFTWARE} == SOFTWARE
    assert calls(log, "C_GenerateKeyPair") == []
    return errors[0]


@pytest.mark.parametrize(("uri", "kind", "usage", "sentence"), [
    ("", "EC:P-256", [], "only where 'pkcs11_uri' names the new key"),
    ("pkcs11:tokn=t1", "EC:P-256", [], "there is no attribute 'tokn'"),
    ("pkcs11:token=t1", "EC:P-256", [], "needs a label (object=)"),
    ("pkcs11:token=t1;object=new;type=cert", "EC:P-256", [], "no other type than private"),
    ("pkcs11:token=nobody;object=new", "EC:P-256", [], "token=nobody"),
    ("pkcs11:token=t1;object=new", "EC:P-224", [], "there are P-256, P-384, P-521"),
    ("pkcs11:token=t1;object=new", "RSA:1024", [], "is no key type"),
    ("pkcs11:token=t1;object=new", "EC:P-256", ["keyEncipherment"], "'keyEncipherment' is no usage"),
])
def test_what_is_refused_before_the_token_is_asked(openssl: OpenSSL, uri: str, kind: str, usage: list[str],
                                                   sentence: str) -> None:
    if usage:
        results, errors = openssl.probe("make", uri, kind, *usage)
        assert results["usage"] == 0 and sentence in errors[0]
    elif kind == "EC:P-224":
        results, errors = openssl.probe("make", uri, kind)
        assert results["option"] == 0 and sentence in errors[0]
    else:
        assert sentence in nothing_made(openssl, uri, kind)


def test_label_that_exists_is_refused(openssl: OpenSSL) -> None:
    openssl.probe("make", "pkcs11:token=t1;object=new", "EC:P-256")
    assert "has a private key labelled 'new' already" in nothing_made(openssl, "pkcs11:token=t1;object=new", "EC:P-256")
    usage_of(openssl.token, "new")


def test_two_tokens_need_a_choice(openssl: OpenSSL) -> None:
    openssl.token.add("t2")
    error = nothing_made(openssl, "pkcs11:object=new", "EC:P-256")
    assert "'t1'" in error and "'t2'" in error


def test_pin_of_the_uri(token: Token, tmp_path: Path) -> None:
    mine = OpenSSL(tmp_path, token, pin=False)
    _, errors = mine.probe("make", "pkcs11:object=new", "EC:P-256")
    assert "name where it comes from with pin-source" in errors[0]
    results, errors = mine.probe("make", f"pkcs11:object=new?pin-source=file:{token.pin_file}", "EC:P-256")
    assert errors == [] and results["made"] == 1
    results, errors = mine.probe("make", f"pkcs11:object=other?pin-value={token.pin}", "EC:P-256")
    assert errors == [] and results["made"] == 1


def test_genpkey_makes_the_key(openssl: OpenSSL) -> None:
    args = ["genpkey", "-propquery", "provider=p11enroll", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-pkeyopt", "pkcs11_uri:pkcs11:token=t1;object=new", "-out", "new.pem"]
    run(["openssl", *args], check=False, env=openssl.env, cwd=openssl.dir)  # the PEM is not ours to write yet
    usage_of(openssl.token, "new")
    assert "already" in first_error(openssl(*args, status=1))


@ORDERS
def test_generation_after_a_key_was_loaded(token: Token, tmp_path: Path, first: bool) -> None:
    mine = OpenSSL(tmp_path, token, first=first)
    token.make_key("EC:prime256v1", "01", "k")
    results, errors = mine.probe("make-after", "pkcs11:object=new", "EC:P-256", mine.uri("k"))
    assert errors == []
    assert results == {"load": 1, "init": 1, "option": 1, "uri": 1, "made": 1, "sign": 1, "size": 256, **SOFTWARE}


@ORDERS
def test_without_our_parameter_keys_are_software(token: Token, tmp_path: Path, first: bool) -> None:
    mine = OpenSSL(tmp_path, token, first=first)
    token.make_key("EC:prime256v1", "01", "k")
    mine("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "k.pem")
    assert re.search("BEGIN PRIVATE KEY", (tmp_path / "k.pem").read_text())
    results, errors = mine.probe("generate", "k")
    assert errors == [] and set(results.values()) == {1}
    assert [o["label"] for o in token.objects() if o["kind"] == "Private Key"] == ["k"]


EDWARDS = pytest.mark.parametrize("kind", ["ED25519", "ED448"])


@EDWARDS
def test_edwards_key_is_made_in_the_token_and_its_file_signs(openssl: OpenSSL, kind: str) -> None:
    ignore_leaks(openssl)
    openssl("genpkey", "-propquery", "provider=p11enroll", "-algorithm", kind, "-out", "k.pem",
            "-pkeyopt", "pkcs11_uri:pkcs11:token=t1;object=new")
    assert "PKCS#11 PROVIDER URI" in (openssl.dir / "k.pem").read_text()
    openssl("req", "-new", "-key", "k.pem", "-subj", "/CN=x", "-out", "r.csr")
    assert verified(plain("req", "-in", "r.csr", "-verify", "-noout", cwd=openssl.dir))
    found = usage_of(openssl.token, "new")
    assert found["Usage"] == "sign"


@EDWARDS
@ORDERS
def test_software_edwards_keys_are_not_taken_over(token: Token, tmp_path: Path, kind: str, first: bool) -> None:
    mine = OpenSSL(tmp_path, token, first=first)
    mine("genpkey", "-algorithm", kind, "-out", "k.pem")
    assert "BEGIN PRIVATE KEY" in (tmp_path / "k.pem").read_text()


def test_no_key_is_made_for_pss_alone(openssl: OpenSSL) -> None:
    openssl("genpkey", "-propquery", "provider=p11enroll", "-algorithm", "RSA-PSS", "-out", "k.pem",
            "-pkeyopt", "pkcs11_uri:pkcs11:token=t1;object=new", status=1)
    assert [o for o in openssl.token.objects() if o["label"] == "new"] == []
