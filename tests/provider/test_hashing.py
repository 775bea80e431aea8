"""Tokens and keys that sign no digests: they get the message, and hash it themselves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from beds import BEDS, SOFTOKN, Bed, why_not
from p11e import SHIM, SOFTHSM, Token, calls, clean_env, run
from support import ORDERS, OpenSSL, first_error, plain, public, s_server
from test_recovery import signing

RSA_PKCS, RSA_PSS, ECDSA, SHA384_RSA_PKCS = "1", "d", "1041", "41"
DIGESTS = pytest.mark.parametrize("digest", ["sha1", "sha224", "sha256", "sha384", "sha512"])
PADDINGS = pytest.mark.parametrize("padding", ["pkcs1", "pss"])
PSS = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:-1"]
LONG = 5 << 20


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Token:
    token = Token(tmp_path_factory.mktemp("keys")).init()
    token.make_key("RSA:2048", "01", "rsa")
    token.make_key("EC:prime256v1", "02", "ec")
    token.make_special_key("rsa-hashed:2048", "03", "hashed")
    return token


def hiding(keys: Token | Bed, path: Path, *mechanisms: str, first: bool = False, rules: str = "") -> OpenSSL:
    made = OpenSSL(path, keys, module=SHIM, first=first)
    made.env.update(P11SHIM_MODULE=str(SOFTHSM), P11SHIM_LOG=str(path / "calls"), P11SHIM_HIDE=",".join(mechanisms),
                    P11SHIM_RULES=rules)
    (path / "message").write_bytes(os.urandom(5000))
    return made


@pytest.fixture
def openssl(keys: Token, tmp_path: Path) -> OpenSSL:
    """With a token that takes messages only."""
    return hiding(keys, tmp_path, RSA_PKCS, RSA_PSS)


def operations(openssl: OpenSSL) -> list[str]:
    """The calls that sign, and the questions about mechanisms."""
    return [c for c in calls(openssl.dir / "calls") if c.startswith("C_Sign") or c == "C_GetMechanismList"]


def dgst(openssl: OpenSSL, digest: str, *options: str, name: str = "rsa") -> None:
    openssl("dgst", f"-{digest}", "-sign", openssl.uri(name), "-out", "sig", *options, "message")
    done = plain("dgst", f"-{digest}", "-verify", public(openssl, name), "-signature", "sig", *options, "message",
                 cwd=openssl.dir)
    assert "Verified OK" in done.stdout


def certificate(openssl: OpenSSL, *options: str) -> str:
    openssl("req", "-x509", "-key", openssl.uri("rsa"), "-subj", "/CN=localhost", "-out", "c.pem", "-days", "2",
            "-addext", "subjectAltName=DNS:localhost", *options)
    return "c.pem"


@DIGESTS
@PADDINGS
def test_dgst(openssl: OpenSSL, digest: str, padding: str) -> None:
    dgst(openssl, digest, *(PSS if padding == "pss" else []))
    assert operations(openssl) == ["C_SignInit", "C_GetMechanismList", "C_GetMechanismList", "C_SignInit", "C_Sign"]


@pytest.mark.parametrize("salt", ["0", "20", "-1", "-3"])
def test_pss_salts(openssl: OpenSSL, salt: str) -> None:
    dgst(openssl, "sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", f"rsa_pss_saltlen:{salt}")


def test_message_that_is_empty(openssl: OpenSSL) -> None:
    (openssl.dir / "message").write_bytes(b"")
    dgst(openssl, "sha256")


@PADDINGS
def test_long_message_is_streamed(openssl: OpenSSL, padding: str) -> None:
    (openssl.dir / "message").write_bytes(os.urandom(LONG))
    dgst(openssl, "sha256", *(PSS if padding == "pss" else []))
    done = operations(openssl)
    assert done[:4] == ["C_GetMechanismList", "C_GetMechanismList", "C_SignInit", "C_SignUpdate"]
    assert set(done[3:-1]) == {"C_SignUpdate"} and done[-1] == "C_SignFinal"


@pytest.mark.parametrize("size", [(1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_message_at_the_limit(openssl: OpenSSL, size: int) -> None:
    (openssl.dir / "message").write_bytes(os.urandom(size))
    dgst(openssl, "sha256")
    assert operations(openssl)[-1] == ("C_Sign" if size <= 1 << 20 else "C_SignFinal")


def test_long_message_on_a_token_that_takes_digests(keys: Token, tmp_path: Path) -> None:
    openssl = hiding(keys, tmp_path)
    (tmp_path / "message").write_bytes(os.urandom(LONG))
    dgst(openssl, "sha256")
    assert operations(openssl) == ["C_GetMechanismList", "C_GetMechanismList", "C_SignInit", "C_Sign"]


@PADDINGS
@DIGESTS
def test_req(openssl: OpenSSL, digest: str, padding: str) -> None:
    openssl("req", "-new", "-key", openssl.uri("rsa"), "-subj", "/CN=x", "-out", "r.csr", f"-{digest}",
            *(PSS if padding == "pss" else []))
    said = plain("req", "-in", "r.csr", "-verify", "-noout", cwd=openssl.dir)
    assert "verify OK" in said.stderr + said.stdout


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
@PADDINGS
def test_cms(openssl: OpenSSL, digest: str, padding: str) -> None:
    cert = certificate(openssl)
    openssl("cms", "-sign", "-in", "message", "-binary", "-signer", cert, "-inkey", openssl.uri("rsa"), "-md", digest,
            "-outform", "DER", "-out", "m.cms", *(["-keyopt", "rsa_padding_mode:pss"] if padding == "pss" else []))
    plain("cms", "-verify", "-inform", "DER", "-in", "m.cms", "-content", "message", "-binary", "-CAfile", cert,
          "-purpose", "any", "-out", "/dev/null", cwd=openssl.dir)


@pytest.mark.parametrize("tls", ["tls1_2", "tls1_3"])
@pytest.mark.parametrize("algorithm", ["RSA+SHA256", "RSA-PSS+SHA256", "RSA-PSS+SHA384", "RSA-PSS+SHA512"])
@ORDERS
def test_s_server(keys: Token, tmp_path: Path, tls: str, algorithm: str, first: bool) -> None:
    if tls == "tls1_3" and algorithm == "RSA+SHA256":
        pytest.skip("TLS 1.3 has no PKCS#1 v1.5 in handshakes")
    openssl = hiding(keys, tmp_path, RSA_PKCS, RSA_PSS, first=first)
    cert = certificate(openssl)
    with s_server(openssl.env, tmp_path, "-cert", cert, "-key", openssl.uri("rsa"), "-www", f"-{tls}") as port:
        for _ in range(2):
            done = run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", cert, f"-{tls}",
                        "-verify_return_error", "-servername", "localhost", "-sigalgs", algorithm], env=clean_env(),
                       cwd=tmp_path, input="Q\n", stdin=None)
            assert "Verify return code: 0 (ok)" in done.stdout


def test_key_that_allows_messages_alone(keys: Token, tmp_path: Path) -> None:
    openssl = hiding(keys, tmp_path)
    dgst(openssl, "sha256", name="hashed")
    assert operations(openssl) == ["C_SignInit", "C_Sign"]
    (tmp_path / "calls").unlink()
    (tmp_path / "message").write_bytes(os.urandom(LONG))
    dgst(openssl, "sha256", name="hashed")
    assert operations(openssl)[0] == "C_SignInit" and "C_SignUpdate" in operations(openssl)


def test_first_refusal_is_remembered(openssl: OpenSSL) -> None:
    with signing(openssl, "rsa") as signer:
        assert [signer.tell("sign") for _ in range(3)] == [["ok"]] * 3
        before = len(calls(openssl.dir / "calls"))
        assert signer.tell("sign") == ["ok"]
        assert calls(openssl.dir / "calls")[before:] == ["C_SignInit", "C_Sign"]
        assert signer.tell("fork 2") == ["ok"]
        assert signer.end() == 0
    assert operations(openssl).count("C_GetMechanismList") == 2


@pytest.mark.parametrize("name", ["rsa", "ec"])
def test_tokens_that_take_digests_are_asked_nothing_more(keys: Token, tmp_path: Path, name: str) -> None:
    openssl = hiding(keys, tmp_path)
    with signing(openssl, name) as signer:
        assert [signer.tell("sign") for _ in range(3)] == [["ok"]] * 3
        assert signer.end() == 0
    assert operations(openssl) == ["C_SignInit", "C_Sign"] * 3


@PADDINGS
def test_digest_without_its_message_is_told(openssl: OpenSSL, padding: str) -> None:
    plain("dgst", "-sha256", "-binary", "-out", "hash", "message", cwd=openssl.dir)
    error = first_error(openssl("pkeyutl", "-sign", "-inkey", openssl.uri("rsa"), "-in", "hash", "-pkeyopt",
                                "digest:sha256", "-pkeyopt", f"rsa_padding_mode:{padding}", "-out", "s", status=1))
    assert "key 'rsa' on token 't1'" in error and "signs whole messages only, which the token hashes itself" in error


def test_digest_of_which_nobody_says_what_it_is_is_told(openssl: OpenSSL) -> None:
    plain("dgst", "-sha256", "-binary", "-out", "hash", "message", cwd=openssl.dir)
    error = first_error(openssl("pkeyutl", "-sign", "-inkey", openssl.uri("rsa"), "-in", "hash", "-out", "s", status=1))
    assert "signs whole messages only, which the token hashes itself" in error


def test_token_that_has_neither_is_told(keys: Token, tmp_path: Path) -> None:
    """SoftHSM has no ECDSA that hashes."""
    openssl = hiding(keys, tmp_path, ECDSA)
    error = first_error(openssl("dgst", "-sha256", "-sign", openssl.uri("ec"), "-out", "sig", "message", status=1))
    assert "signs neither digests (ECDSA) nor messages (ECDSA with SHA2-256)" in error
    assert "key 'ec' on token 't1'" in error and "C_SignInit: CKR_MECHANISM_INVALID" in error


def test_digest_that_the_token_does_not_have_is_told(keys: Token, tmp_path: Path) -> None:
    openssl = hiding(keys, tmp_path, RSA_PKCS, SHA384_RSA_PKCS)
    dgst(openssl, "sha256")
    for digest, name in (("sha384", "SHA2-384"), ("sha3-256", "SHA3-256"), ("sha512-256", "SHA2-512/256")):
        error = first_error(openssl("dgst", f"-{digest}", "-sign", openssl.uri("rsa"), "-out", "sig", "message",
                                    status=1))
        assert f"nor messages (RSA PKCS#1 v1.5 with {name})" in error


def test_failure_of_another_kind_sends_no_message(keys: Token, tmp_path: Path) -> None:
    openssl = hiding(keys, tmp_path, rules="C_Sign:*:fail=0x30")
    error = first_error(openssl("dgst", "-sha256", "-sign", openssl.uri("rsa"), "-out", "sig", "message", status=1))
    assert "C_Sign: CKR_DEVICE_ERROR" in error
    assert "C_GetMechanismList" not in operations(openssl)


@pytest.mark.parametrize(("rule", "sentence"), [
    ("C_SignUpdate:3:fail=0x30", "C_SignUpdate: CKR_DEVICE_ERROR"),
    ("C_SignFinal:1:fail=0x30", "C_SignFinal: CKR_DEVICE_ERROR"),
    ("C_SignInit:1:fail=0x101", ""),
])
def test_faults_of_a_long_message(keys: Token, tmp_path: Path, rule: str, sentence: str) -> None:
    """The beginning is tried again, for a login that is gone; the rest cannot be."""
    openssl = hiding(keys, tmp_path, RSA_PKCS, rules=rule)
    (tmp_path / "message").write_bytes(os.urandom(LONG))
    if sentence:
        args = ["dgst", "-sha256", "-sign", openssl.uri("rsa"), "-out", "sig", "message"]
        error = first_error(openssl(*args, status=1))
        assert sentence in error and "key 'rsa' on token 't1'" in error
    else:
        dgst(openssl, "sha256")


def test_long_message_leaves_no_errors(openssl: OpenSSL) -> None:
    results, errors = openssl.probe("long", "rsa")
    assert results.pop("again") == 0, "the token has given the signature, and has nothing left"
    assert set(results.values()) == {1}
    # OpenSSL 3.5.7 asks twice
    assert errors and all("a copy of this signature went on with it" in line for line in errors)


def test_copy_of_a_long_message_takes_it_over(openssl: OpenSSL) -> None:
    results, errors = openssl.probe("long", "rsa", "copies")
    assert results.pop("late-update") == 0
    assert set(results.values()) == {1}, results
    assert len(errors) == 1 and "a copy of this signature went on with it" in errors[0]


def test_long_message_can_be_given_up(openssl: OpenSSL) -> None:
    results, errors = openssl.probe("long", "rsa", "abandon")
    assert set(results.values()) == {1} and errors == []


def test_padding_cannot_change_in_a_long_message(openssl: OpenSSL) -> None:
    results, errors = openssl.probe("long", "rsa", "repad")
    assert results["repad"] <= 0 and results["final"] == 1 and results["verify"] == 1
    assert "the padding cannot change while the token hashes the message" in errors[0]


def test_long_message_where_nothing_is_hidden(keys: Token, tmp_path: Path) -> None:
    results, errors = hiding(keys, tmp_path).probe("long", "rsa")
    assert set(results.values()) == {1} and errors == []


@pytest.mark.parametrize("size", [0, 5000, LONG])
@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
def test_ecdsa(tmp_path: Path, digest: str, size: int) -> None:
    """NSS has ECDSA that hashes."""
    if reason := why_not("NSS softokn"):
        pytest.skip(reason)
    with BEDS["NSS softokn"](tmp_path) as bed:
        openssl = hiding(bed, tmp_path, ECDSA)
        section = "\n".join(["[p11enroll]", *bed.settings, ""])
        openssl.conf.write_text(openssl.conf.read_text().replace("[p11enroll]\n", section))
        openssl.env["P11SHIM_MODULE"] = str(SOFTOKN)
        (tmp_path / "message").write_bytes(os.urandom(size))
        dgst(openssl, digest, name="ec")
    assert operations(openssl)[-1] == ("C_Sign" if size < LONG else "C_SignFinal")
