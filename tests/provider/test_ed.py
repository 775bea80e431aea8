"""Ed25519 and Ed448: pure EdDSA in the token, public half and certificates as OpenSSL's own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from p11e import SOFTHSM, Token, clean_env, run
from support import ORDERS, OpenSSL, first_error, plain, public, s_server, verified

EACH = pytest.mark.parametrize("name", ["ed25519", "ed448"])
TLS = pytest.mark.parametrize("tls", ["tls1_2", "tls1_3"])
TYPES = {"ed25519": "ED25519", "ed448": "ED448", "x25519": "X25519", "x448": "X448"}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Token:
    token = Token(tmp_path_factory.mktemp("keys")).init()
    token.make_key("EC:edwards25519", "01", "ed25519")
    for n, name in enumerate(["ed448", "x25519", "x448"]):
        token.make_special_key(name, f"{n + 2:02x}", name)
    return token


@pytest.fixture
def openssl(keys: Token, tmp_path: Path) -> OpenSSL:
    (tmp_path / "message").write_bytes(os.urandom(5000))
    return OpenSSL(tmp_path, keys)


def certificate(openssl: OpenSSL, name: str) -> str:
    openssl("req", "-x509", "-key", openssl.uri(name), "-subj", "/CN=localhost", "-out", "c.pem", "-days", "2",
            "-addext", "subjectAltName=DNS:localhost")
    return "c.pem"


@EACH
def test_signature_verifies_without_us(openssl: OpenSSL, name: str) -> None:
    openssl("pkeyutl", "-sign", "-rawin", "-inkey", openssl.uri(name), "-in", "message", "-out", "sig")
    plain("pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", public(openssl, name), "-in", "message", "-sigfile", "sig",
          cwd=openssl.dir)


@EACH
def test_verification_with_the_token_key_itself(openssl: OpenSSL, name: str) -> None:
    openssl("pkeyutl", "-sign", "-rawin", "-inkey", openssl.uri(name), "-in", "message", "-out", "sig")
    verify = ["pkeyutl", "-verify", "-rawin", "-inkey", openssl.uri(name), "-in", "message", "-sigfile", "sig"]
    openssl(*verify)
    (openssl.dir / "message").write_bytes(b"another")
    openssl(*verify, status=1)


@EACH
def test_request_verifies(openssl: OpenSSL, name: str) -> None:
    openssl("req", "-new", "-key", openssl.uri(name), "-subj", "/CN=x", "-out", "r.csr")
    done = plain("req", "-in", "r.csr", "-verify", "-noout", "-text", cwd=openssl.dir)
    assert verified(done)
    assert f"Signature Algorithm: {TYPES[name]}" in done.stdout
    assert f"Public Key Algorithm: {TYPES[name]}" in done.stdout


@EACH
def test_certificate_verifies(openssl: OpenSSL, name: str) -> None:
    cert = certificate(openssl, name)
    assert "c.pem: OK" in plain("verify", "-CAfile", cert, cert, cwd=openssl.dir).stdout


@EACH
def test_a_digest_is_refused_with_a_reason(openssl: OpenSSL, name: str) -> None:
    results, errors = openssl.probe("sign", name, "")
    assert results["init"] == 0
    assert "signs the message itself and takes no digest, such as SHA256" in errors[0]


def of_openssl(error: str) -> str:
    """An error without the provider's description of its algorithm, with which OpenSSL 3.5 ends it."""
    return error.rsplit(":", 1)[0]


@EACH
def test_message_signature_of_new_openssl(openssl: OpenSSL, name: str) -> None:
    results, errors = openssl.probe("message", name, TYPES[name])
    if "sign-init" not in results:
        pytest.skip("EVP_PKEY_sign_message_init() came with OpenSSL 3.4")
    assert results == {"load": 1, "sign-init": 1, "sign": 1, "verify-init": 1, "verify": 1, "other": 0}
    assert all("error in other" in e for e in errors)


@pytest.mark.parametrize(("name", "variant", "sentence"), [
    ("ed25519", ["Ed25519ph"], "key 'ed25519' makes Ed25519 signatures, not Ed25519ph"),
    ("ed25519", ["Ed25519ctx", "x"], "key 'ed25519' makes Ed25519 signatures, not Ed25519ctx"),
    ("ed448", ["Ed448ph"], "key 'ed448' makes Ed448 signatures, not Ed448ph"),
    ("ed448", ["Ed448", "x"], "key 'ed448' makes Ed448 signatures without a context string"),
], ids=["Ed25519ph", "Ed25519ctx", "Ed448ph", "Ed448 with a context"])
def test_variant_is_refused_and_not_signed_otherwise(openssl: OpenSSL, name: str, variant: list[str],
                                                     sentence: str) -> None:
    results, errors = openssl.probe("variant", name, *variant)
    assert results["init"] == 0 and results["sign"] == 0
    assert sentence in errors[0]


@EACH
def test_pure_variant_may_be_named(openssl: OpenSSL, name: str) -> None:
    results, errors = openssl.probe("variant", name, TYPES[name])
    assert errors == [] and results == {"load": 1, "init": 1, "sign": 1}


@EACH
def test_streaming_is_refused_as_openssl_does(openssl: OpenSSL, name: str) -> None:
    results, errors = openssl.probe("stream", name)
    plain("genpkey", "-algorithm", name, "-out", "k.pem", cwd=openssl.dir)
    own_results, own_errors = openssl.probe("stream", f"file:{openssl.dir}/k.pem")
    assert results == own_results and results["update"] == 0
    assert [of_openssl(e) for e in errors] == [of_openssl(e) for e in own_errors]


@pytest.mark.parametrize("name", TYPES)
def test_parameters_are_those_of_a_software_key(openssl: OpenSSL, name: str) -> None:
    plain("genpkey", "-algorithm", TYPES[name], "-out", "k.pem", cwd=openssl.dir)
    token, errors = openssl.probe("params", name)
    software, _ = openssl.probe("params", f"file:{openssl.dir}/k.pem")
    assert token == software and errors == []
    assert token[f"is-{TYPES[name]}"] == 1


@pytest.mark.parametrize("name", TYPES)
def test_public_half_is_the_tokens(openssl: OpenSSL, name: str, keys: Token) -> None:
    der = plain("pkey", "-pubin", "-in", public(openssl, name), "-outform", "DER", "-out", "pub.der", cwd=openssl.dir)
    assert der.returncode == 0
    raw = run(["pkcs11-tool", "--module", str(SOFTHSM), "--token-label", keys.label, "-O", "--type", "pubkey"],
              env=clean_env(**keys.env)).stdout
    assert (openssl.dir / "pub.der").read_bytes()[12:].hex() in raw


@EACH
@ORDERS
def test_comparing_key_and_certificate_leaves_no_errors(keys: Token, tmp_path: Path, name: str, first: bool) -> None:
    mine = OpenSSL(tmp_path, keys, first=first)
    results, errors = mine.probe("pair", name, certificate(mine, name))
    assert errors == []
    assert results == {"load": 1, "certificate": 1, "key": 1, "check": 1, "x509": 1, "software-token": 1,
                       "token-software": 1, "token-token": 1, "generate": 1, "token-other": 0, "other-token": 0}


@EACH
@ORDERS
def test_software_keys_stay_software_keys(keys: Token, tmp_path: Path, name: str, first: bool) -> None:
    mine = OpenSSL(tmp_path, keys, first=first)
    results, errors = mine.probe("generate", name)
    assert errors == [] and set(results.values()) == {1}, results
    mine("genpkey", "-algorithm", name, "-out", "k.pem")
    mine("req", "-x509", "-key", "k.pem", "-subj", "/CN=x", "-out", "c.pem")


@EACH
@TLS
@ORDERS
def test_s_server(keys: Token, tmp_path: Path, name: str, tls: str, first: bool) -> None:
    """With X25519, whose keys the server makes for itself."""
    openssl = OpenSSL(tmp_path, keys, first=first)
    cert = certificate(openssl, name)
    with s_server(openssl.env, openssl.dir, "-cert", cert, "-key", openssl.uri(name), "-www", f"-{tls}") as port:
        done = run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", cert, "-verify_return_error",
                    "-servername", "localhost", f"-{tls}", "-groups", "X25519"], env=clean_env(), cwd=tmp_path,
                   input="Q\n", stdin=None)
    assert "Verify return code: 0 (ok)" in done.stdout
    assert f"a:PKEY: {TYPES[name]}" in done.stdout


@EACH
@TLS
def test_s_client(keys: Token, tmp_path: Path, name: str, tls: str) -> None:
    openssl = OpenSSL(tmp_path, keys)
    cert = certificate(openssl, name)
    plain("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "s.key", "-out",
          "s.pem", "-subj", "/CN=localhost", cwd=tmp_path)
    with s_server(clean_env(), tmp_path, "-cert", "s.pem", "-key", "s.key", "-Verify", "1", "-verify_return_error",
                  "-CAfile", cert, "-www", f"-{tls}") as port:
        done = run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", "s.pem", "-cert", cert, "-key",
                    openssl.uri(name), f"-{tls}", "-ign_eof"], env=openssl.env, cwd=tmp_path,
                   input="GET / HTTP/1.0\r\n\r\n", stdin=None)
    assert "HTTP/1.0 200 ok" in done.stdout, done.stdout + done.stderr


def test_agreement_keys_do_not_sign(openssl: OpenSSL) -> None:
    results, errors = openssl.probe("sign", "x25519", "")
    assert results["init"] == 0 and results["sign"] == 0
    plain("genpkey", "-algorithm", "X25519", "-out", "k.pem", cwd=openssl.dir)
    own_results, own_errors = openssl.probe("sign", f"file:{openssl.dir}/k.pem", "")
    assert results == own_results and len(errors) == len(own_errors)


def test_key_without_a_public_half_is_named(tmp_path: Path) -> None:
    token = Token(tmp_path / "half").init()
    token.make_key("EC:edwards25519", "01", "half")
    token.tool("--delete-object", "--type", "pubkey", "--id", "01")
    mine = OpenSSL(tmp_path, token)
    done = mine("req", "-new", "-key", mine.uri("half"), "-subj", "/CN=x", status=1)
    assert "the public half of key 'half' on token 't1'" in first_error(done)
    (tmp_path / "message").write_bytes(b"x")
    mine("pkeyutl", "-sign", "-rawin", "-inkey", mine.uri("half"), "-in", "message", "-out", "sig")
    assert len((tmp_path / "sig").read_bytes()) == 64


def test_public_half_from_a_certificate(tmp_path: Path) -> None:
    token = Token(tmp_path / "half").init()
    token.make_key("EC:edwards25519", "01", "half")
    mine = OpenSSL(tmp_path, token)
    certificate(mine, "half")
    expected = Path(mine.dir / public(mine, "half")).read_text()
    plain("x509", "-in", "c.pem", "-outform", "DER", "-out", "c.der", cwd=tmp_path)
    token.tool("--write-object", str(tmp_path / "c.der"), "--type", "cert", "--id", "01", "--label", "half")
    token.tool("--delete-object", "--type", "pubkey", "--id", "01")
    assert Path(mine.dir / public(mine, "half")).read_text() == expected


@pytest.mark.parametrize("name", TYPES)
def test_text_and_key_file(openssl: OpenSSL, name: str) -> None:
    text = openssl("pkey", "-in", openssl.uri(name), "-text", "-noout").stdout
    assert "URI: pkcs11:token=t1;" in text and f"{TYPES[name]} Public-Key:" in text
    openssl("pkey", "-in", openssl.uri(name), "-out", "k.pem")
    openssl("pkey", "-in", "k.pem", "-pubout", "-out", "from-file.pem")
    openssl("pkey", "-in", openssl.uri(name), "-pubout", "-out", "from-uri.pem")
    assert (openssl.dir / "from-file.pem").read_text() == (openssl.dir / "from-uri.pem").read_text()
