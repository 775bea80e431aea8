"""Decryption with RSA keys in a token: openssl encrypts in software, the token decrypts."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from p11e import P11ENROLL, SHIM, SOFTHSM, Token, calls, clean_env, run
from support import ORDERS, OpenSSL, first_error, free_port, plain, wait_for_port


@pytest.fixture(scope="module")
def rsa(tmp_path_factory: pytest.TempPathFactory) -> Token:
    token = Token(tmp_path_factory.mktemp("rsa")).init()
    token.make_key("RSA:2048", "01", "rsa")
    run([P11ENROLL, "key", "generate", "--module", SOFTHSM, "--token-uri", token.uri, "--pin-source",
         f"file:{token.pin_file}", "--lock-dir", token.dir / "locks", "--label", "signs", "--type", "rsa:2048"],
        env=clean_env(**token.env))
    return token


@pytest.fixture
def openssl(rsa: Token, tmp_path: Path) -> OpenSSL:
    made = OpenSSL(tmp_path, rsa)
    made("pkey", "-in", made.uri("rsa"), "-pubout", "-out", "pub.pem")
    made("req", "-x509", "-key", made.uri("rsa"), "-subj", "/CN=localhost", "-out", "c.pem", "-days", "2",
         "-addext", "subjectAltName=DNS:localhost")
    (tmp_path / "message").write_bytes(b"attack at dawn")
    return made


def options(*opts: str) -> list[str]:
    return [word for opt in opts for word in ("-pkeyopt", opt)]


PKCS1: list[str] = []
OAEP = ["rsa_padding_mode:oaep"]
SCHEMES = {
    "pkcs1": PKCS1,
    "oaep": OAEP,
    "oaep sha1": [*OAEP, "rsa_oaep_md:sha1"],
    "oaep sha256": [*OAEP, "rsa_oaep_md:sha256"],
    "oaep sha512": [*OAEP, "rsa_oaep_md:sha512"],
    "oaep sha256, mgf1 sha1": [*OAEP, "rsa_oaep_md:sha256", "rsa_mgf1_md:sha1"],
    "oaep label": [*OAEP, "rsa_oaep_label:6162"],
}
EACH_SCHEME = pytest.mark.parametrize("scheme", SCHEMES)


def decrypt(openssl: OpenSSL, opts: list[str], key: str = "rsa", status: int = 0) -> subprocess.CompletedProcess[str]:
    return openssl("pkeyutl", "-decrypt", "-inkey", openssl.uri(key), "-in", "secret", "-out", "plain",
                   *options(*opts), status=status)


def encrypt(openssl: OpenSSL, opts: list[str]) -> None:
    plain("pkeyutl", "-encrypt", "-pubin", "-inkey", "pub.pem", "-in", "message", "-out", "secret", *options(*opts),
          cwd=openssl.dir)


@EACH_SCHEME
@pytest.mark.parametrize("message", [b"attack at dawn", b""], ids=["message", "empty"])
def test_pkeyutl_decrypt(openssl: OpenSSL, scheme: str, message: bytes) -> None:
    (openssl.dir / "message").write_bytes(message)
    encrypt(openssl, SCHEMES[scheme])
    done = decrypt(openssl, SCHEMES[scheme])
    assert (openssl.dir / "plain").read_bytes() == message and done.stderr == ""


def test_decrypt_without_padding(openssl: OpenSSL) -> None:
    block = b"\0" + os.urandom(255)
    (openssl.dir / "message").write_bytes(block)
    encrypt(openssl, ["rsa_padding_mode:none"])
    decrypt(openssl, ["rsa_padding_mode:none"])
    assert (openssl.dir / "plain").read_bytes() == block


@EACH_SCHEME
def test_encrypt_with_the_token_key_itself(openssl: OpenSSL, scheme: str) -> None:
    openssl("pkeyutl", "-encrypt", "-inkey", openssl.uri("rsa"), "-in", "message", "-out", "secret",
            *options(*SCHEMES[scheme]))
    decrypt(openssl, SCHEMES[scheme])
    assert (openssl.dir / "plain").read_bytes() == b"attack at dawn"


def test_oaep_goes_to_the_token_where_it_can(openssl: OpenSSL) -> None:
    """SoftHSM does OAEP with SHA-1 and without a label; all else is decrypted raw and unpadded here."""
    shim = OpenSSL(openssl.dir, openssl.token, module=SHIM)
    for opts, tries in ((OAEP, 1), ([*OAEP, "rsa_oaep_md:sha256"], 2)):
        encrypt(openssl, opts)
        log = openssl.dir / f"calls{tries}"
        shim.env.update(P11SHIM_MODULE=str(SOFTHSM), P11SHIM_LOG=str(log))
        decrypt(shim, opts)
        assert len(calls(log, "C_DecryptInit")) == tries and len(calls(log, "C_Decrypt")) == 1


@pytest.mark.parametrize("label", [["rsa_oaep_label:6162"], []], ids=["another", "none"])
def test_oaep_with_another_label_is_told(openssl: OpenSSL, label: list[str]) -> None:
    """SoftHSM itself drops labels, and would take one for the other."""
    encrypt(openssl, [*OAEP, *label])
    error = first_error(decrypt(openssl, [*OAEP, "rsa_oaep_label:6163"], status=1))
    assert "not encrypted for key 'rsa' on token 't1'" in error and "label" in error


def test_oaep_that_the_token_finds_wrong_is_told(openssl: OpenSSL) -> None:
    encrypt(openssl, PKCS1)
    assert "key 'rsa' on token 't1'" in first_error(decrypt(openssl, OAEP, status=1))


def test_wrong_padding_is_not_told(openssl: OpenSSL) -> None:
    """Not by the exit status, not by an error, and the length is one that a message could have."""
    block = b"\0\3" + os.urandom(254)
    (openssl.dir / "message").write_bytes(block)
    encrypt(openssl, ["rsa_padding_mode:none"])
    done = decrypt(openssl, PKCS1)
    assert done.stdout == "" and done.stderr == ""
    assert (openssl.dir / "plain").stat().st_size <= 245


# CKR_MECHANISM_INVALID for the first attempt, which is the one without padding and not repeated then
NO_RAW = "C_DecryptInit:1:fail=0x70"


@pytest.mark.parametrize("rules", [None, NO_RAW], ids=["raw", "by the token"])
def test_probe_of_wrong_padding(openssl: OpenSSL, rules: str | None) -> None:
    """The same bytes each time in a process, others for another ciphertext, and no error left."""
    shim = OpenSSL(openssl.dir, openssl.token, module=SHIM)
    log = openssl.dir / "calls"
    shim.env.update(P11SHIM_MODULE=str(SOFTHSM), P11SHIM_LOG=str(log), **({"P11SHIM_RULES": rules} if rules else {}))
    results, errors = shim.probe("padding", "rsa")
    assert errors == []
    assert results == {"load": 1, "right": 1, "wrong": 1, "again": 1, "same": 1, "other": 1, "other-same": 0}
    assert len(calls(log, "C_DecryptInit")) == 4 + bool(rules)


def test_ciphertext_does_not_choose_how_the_next_is_decrypted(openssl: OpenSSL) -> None:
    """CKR_MECHANISM_INVALID from C_Decrypt, which has seen the ciphertext: no other way is tried, then or later."""
    shim = OpenSSL(openssl.dir, openssl.token, module=SHIM)
    log = openssl.dir / "calls"
    shim.env.update(P11SHIM_MODULE=str(SOFTHSM), P11SHIM_LOG=str(log), P11SHIM_RULES="C_Decrypt:1:failafter=0x70")
    results, errors = shim.probe("padding", "rsa")
    assert results == {"load": 1, "right": 0, "wrong": 1, "again": 1, "same": 1, "other": 1, "other-same": 0}
    assert len(errors) == 1 and "C_Decrypt" in errors[0] and "CKR_MECHANISM_INVALID" in errors[0]
    assert len(calls(log, "C_DecryptInit")) == 4 and len(calls(log, "C_Decrypt")) == 4


def test_oaep_that_fails_with_the_ciphertext_is_not_tried_otherwise(openssl: OpenSSL) -> None:
    shim = OpenSSL(openssl.dir, openssl.token, module=SHIM)
    log = openssl.dir / "calls"
    shim.env.update(P11SHIM_MODULE=str(SOFTHSM), P11SHIM_LOG=str(log), P11SHIM_RULES="C_Decrypt:1:failafter=0x7")
    encrypt(openssl, OAEP)
    assert "CKR_ARGUMENTS_BAD" in first_error(decrypt(shim, OAEP, status=1))
    assert len(calls(log, "C_DecryptInit")) == 1


def test_explicit_rejection_if_asked_for(openssl: OpenSSL) -> None:
    (openssl.dir / "message").write_bytes(b"\0\3" + os.urandom(254))
    encrypt(openssl, ["rsa_padding_mode:none"])
    error = first_error(decrypt(openssl, ["implicit-rejection:0"], status=1))
    assert "not encrypted for key 'rsa' on token 't1'" in error


def test_key_for_signatures_alone_is_told(openssl: OpenSSL) -> None:
    encrypt(openssl, PKCS1)
    error = first_error(decrypt(openssl, PKCS1, key="signs", status=1))
    assert "not made for decryption" in error and "CKR_KEY_FUNCTION_NOT_PERMITTED" in error
    assert "key 'signs' on token 't1'" in error


def test_too_long_a_ciphertext_is_told(openssl: OpenSSL) -> None:
    (openssl.dir / "secret").write_bytes(bytes(257))
    assert "257 bytes are no ciphertext for key 'rsa', which takes 256" in first_error(decrypt(openssl, PKCS1, status=1))


def recipient(*opts: str) -> list[str]:
    return [word for opt in opts for word in ("-keyopt", opt)]


@ORDERS
@pytest.mark.parametrize("opts", [[], OAEP, [*OAEP, "rsa_oaep_md:sha256"]], ids=["pkcs1", "oaep", "oaep sha256"])
def test_cms_decrypt(openssl: OpenSSL, opts: list[str], first: bool) -> None:
    plain("cms", "-encrypt", "-aes256", "-in", "message", "-out", "m.cms", "-binary", "-recip", "c.pem",
          *recipient(*opts), cwd=openssl.dir)
    mine = OpenSSL(openssl.dir, openssl.token, first=first)
    mine("cms", "-decrypt", "-in", "m.cms", "-out", "plain", "-inkey", mine.uri("rsa"), "-recip", "c.pem")
    assert (openssl.dir / "plain").read_bytes() == b"attack at dawn"
    mine("cms", "-decrypt", "-in", "m.cms", "-out", "plain", "-inkey", mine.uri("rsa"))
    assert (openssl.dir / "plain").read_bytes() == b"attack at dawn"


def test_smime_decrypt(openssl: OpenSSL) -> None:
    plain("smime", "-encrypt", "-aes256", "-in", "message", "-out", "m.p7", "-binary", "c.pem", cwd=openssl.dir)
    openssl("smime", "-decrypt", "-in", "m.p7", "-out", "plain", "-inkey", openssl.uri("rsa"), "-recip", "c.pem")
    assert (openssl.dir / "plain").read_bytes() == b"attack at dawn"


@ORDERS
def test_tls_with_rsa_key_exchange(openssl: OpenSSL, first: bool) -> None:
    mine = OpenSSL(openssl.dir, openssl.token, first=first)
    port = free_port()
    server = subprocess.Popen(
        ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", "c.pem", "-key", mine.uri("rsa"), "-www",
         "-tls1_2", "-cipher", "AES128-SHA256"],
        env=mine.env, cwd=mine.dir, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port, server)
        done = run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", "c.pem",
                    "-verify_return_error", "-servername", "localhost", "-tls1_2", "-cipher", "AES128-SHA256"],
                   env=clean_env(), cwd=mine.dir, input="Q\n", stdin=None)
        assert "Cipher is AES128-SHA256" in done.stdout and "Verify return code: 0 (ok)" in done.stdout
    finally:
        server.terminate()
        server.wait(timeout=10)
