"""RSA-PSS: with every digest and salt, and keys that may do nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from p11e import Token, clean_env, run
from support import ORDERS, OpenSSL, first_error, plain, public, s_server, verified

TLS = pytest.mark.parametrize("tls", ["tls1_2", "tls1_3"])
PSS_NAMES = ("RSA-PSS", "rsa_pss_pss_sha256")  # s_client's words for it before OpenSSL 3.5 and since


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Token:
    token = Token(tmp_path_factory.mktemp("keys")).init()
    token.make_special_key("rsa-pss:2048", "01", "pss")
    token.make_key("RSA:2048", "02", "rsa")
    return token


@pytest.fixture
def openssl(keys: Token, tmp_path: Path) -> OpenSSL:
    (tmp_path / "message").write_bytes(os.urandom(5000))
    return OpenSSL(tmp_path, keys)


def certificate(openssl: OpenSSL, name: str = "pss") -> str:
    openssl("req", "-x509", "-key", openssl.uri(name), "-subj", "/CN=localhost", "-out", "c.pem", "-days", "2",
            "-addext", "subjectAltName=DNS:localhost", "-sigopt", "rsa_pss_saltlen:-1")
    return "c.pem"


def sign(openssl: OpenSSL, name: str, digest: str, *options: str, status: int = 0) -> str:
    plain("dgst", f"-{digest}", "-binary", "-out", "hash", "message", cwd=openssl.dir)
    done = openssl("pkeyutl", "-sign", "-inkey", openssl.uri(name), "-in", "hash", "-out", "sig", "-pkeyopt",
                   f"digest:{digest}", *options, status=status)
    return done.stderr if status == 0 else first_error(done)


PSS = ["-pkeyopt", "rsa_padding_mode:pss"]


@pytest.mark.parametrize("digest", ["sha1", "sha224", "sha256", "sha384", "sha512"])
@pytest.mark.parametrize("salt", ["digest", "max", "auto", "0", "20"])
@pytest.mark.parametrize("name", ["rsa", "pss"])
def test_digests_and_salts(openssl: OpenSSL, name: str, digest: str, salt: str) -> None:
    options = [*PSS, "-pkeyopt", f"rsa_pss_saltlen:{salt}"]
    sign(openssl, name, digest, *options)
    plain("pkeyutl", "-verify", "-pubin", "-inkey", public(openssl, name), "-in", "hash", "-sigfile", "sig", "-pkeyopt",
          f"digest:{digest}", *options, cwd=openssl.dir)


@pytest.mark.parametrize("digest", ["sha3-256", "sha3-512"])
def test_sha3_is_the_tokens_to_refuse(openssl: OpenSSL, digest: str) -> None:
    assert "C_SignInit: CKR_" in sign(openssl, "rsa", digest, *PSS, status=1)


def test_hash_without_an_mgf_in_pkcs11_is_told(openssl: OpenSSL) -> None:
    error = sign(openssl, "rsa", "sha512-256", *PSS, status=1)
    assert "PKCS#11 has no MGF1 with SHA2-512/256; choose another (rsa_mgf1_md)" in error


def test_salt_that_does_not_fit_is_told(openssl: OpenSSL) -> None:
    error = sign(openssl, "rsa", "sha256", *PSS, "-pkeyopt", "rsa_pss_saltlen:223", status=1)
    assert "a salt of 223 bytes does not fit into this RSA key" in error


def test_key_is_of_type_rsa_pss(openssl: OpenSSL) -> None:
    results, errors = openssl.probe("params", "pss")
    assert results["is-RSA-PSS"] == 1 and results["is-RSA"] == 0 and errors == []
    assert results["digest-SHA256"] == 1 and results["bits"] == 2048
    assert openssl.probe("params", "rsa")[0]["is-RSA"] == 1


def test_public_key_object_is_of_type_rsa_pss(openssl: OpenSSL) -> None:
    uri = openssl.uri("pss").replace("type=private", "type=public")
    done = openssl("pkey", "-pubin", "-in", uri, "-noout", "-text")
    assert "No PSS parameter restrictions" in done.stdout


def test_spki_says_rsassa_pss(openssl: OpenSSL) -> None:
    done = plain("pkey", "-pubin", "-in", public(openssl, "pss"), "-noout", "-text", cwd=openssl.dir)
    assert "No PSS parameter restrictions" in done.stdout


def test_padding_needs_no_mention(openssl: OpenSSL) -> None:
    openssl("dgst", "-sha256", "-sign", openssl.uri("pss"), "-out", "sig", "message")
    done = plain("dgst", "-sha256", "-verify", public(openssl, "pss"), "-signature", "sig", "message", cwd=openssl.dir)
    assert "Verified OK" in done.stdout


@pytest.mark.parametrize("padding", ["pkcs1", "none"])
def test_other_paddings_are_refused_with_the_reason(openssl: OpenSSL, padding: str) -> None:
    error = sign(openssl, "pss", "sha256", "-pkeyopt", f"rsa_padding_mode:{padding}", status=1)
    assert "key 'pss' on token 't1'" in error and "is for RSA-PSS alone: its CKA_ALLOWED_MECHANISMS" in error


def test_certificate_and_request(openssl: OpenSSL) -> None:
    cert = certificate(openssl)
    text = plain("x509", "-in", cert, "-noout", "-text", cwd=openssl.dir).stdout
    assert "Public Key Algorithm: rsassaPss" in text and "Signature Algorithm: rsassaPss" in text
    assert "c.pem: OK" in plain("verify", "-CAfile", cert, cert, cwd=openssl.dir).stdout
    openssl("req", "-new", "-key", openssl.uri("pss"), "-subj", "/CN=x", "-out", "r.csr")
    assert verified(plain("req", "-in", "r.csr", "-verify", "-noout", cwd=openssl.dir))


@ORDERS
def test_comparing_key_and_certificate_leaves_no_errors(keys: Token, tmp_path: Path, first: bool) -> None:
    mine = OpenSSL(tmp_path, keys, first=first)
    results, errors = mine.probe("pair", "pss", certificate(mine))
    assert errors == []
    assert results.pop("token-other") <= 0 and results.pop("other-token") <= 0
    assert set(results.values()) == {1}, results


@ORDERS
def test_software_keys_stay_software_keys(keys: Token, tmp_path: Path, first: bool) -> None:
    mine = OpenSSL(tmp_path, keys, first=first)
    results, errors = mine.probe("generate", "pss")
    assert errors == [] and set(results.values()) == {1}, results


@TLS
@ORDERS
def test_s_server(keys: Token, tmp_path: Path, tls: str, first: bool) -> None:
    openssl = OpenSSL(tmp_path, keys, first=first)
    cert = certificate(openssl)
    with s_server(openssl.env, openssl.dir, "-cert", cert, "-key", openssl.uri("pss"), "-www", f"-{tls}") as port:
        done = run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", cert, "-verify_return_error",
                    "-servername", "localhost", f"-{tls}"], env=clean_env(), cwd=tmp_path, input="Q\n", stdin=None)
    assert "Verify return code: 0 (ok)" in done.stdout
    assert any(f"Peer signature type: {name}" in done.stdout for name in PSS_NAMES), done.stdout


@TLS
def test_s_client(keys: Token, tmp_path: Path, tls: str) -> None:
    openssl = OpenSSL(tmp_path, keys)
    cert = certificate(openssl)
    plain("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "s.key", "-out",
          "s.pem", "-subj", "/CN=localhost", cwd=tmp_path)
    with s_server(clean_env(), tmp_path, "-cert", "s.pem", "-key", "s.key", "-Verify", "1", "-verify_return_error",
                  "-CAfile", cert, "-www", f"-{tls}") as port:
        done = run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", "s.pem", "-cert", cert, "-key",
                    openssl.uri("pss"), f"-{tls}", "-ign_eof"], env=openssl.env, cwd=tmp_path,
                   input="GET / HTTP/1.0\r\n\r\n", stdin=None)
    assert "HTTP/1.0 200 ok" in done.stdout, done.stdout + done.stderr
