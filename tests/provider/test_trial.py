"""Keys whose public half is nowhere on the token: whether a public key is theirs is found out with a signature."""

from __future__ import annotations

from pathlib import Path

import pytest
from p11e import SHIM, SOFTHSM, Token, calls, clean_env, run
from support import ORDERS, OpenSSL, plain, s_server

EACH = pytest.mark.parametrize("name", ["p256", "p384", "ed25519", "ed448"])
EXPECTED = {"load": 1, "public-before": 0, "token-other": 0, "other-token": 0, "software-still-signs": 1, "x509": 1,
            "token-software": 1, "public-after": 1, "token-signs": 1, "token-verifies": 1, "again": 1}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> Token:
    """Certificates are made first; then the public halves go."""
    path = tmp_path_factory.mktemp("keys")
    token = Token(path).init()
    token.make_key("EC:prime256v1", "01", "p256")
    token.make_key("EC:secp384r1", "02", "p384")
    token.make_key("EC:edwards25519", "03", "ed25519")
    token.make_special_key("ed448", "04", "ed448")
    openssl = OpenSSL(path, token)
    for n, name in enumerate(["p256", "p384", "ed25519", "ed448"]):
        openssl("req", "-x509", "-key", openssl.uri(name), "-subj", "/CN=localhost", "-days", "2", "-addext",
                "subjectAltName=DNS:localhost", "-out", str(certificates / f"{name}.pem"))
        token.tool("--delete-object", "--type", "pubkey", "--id", f"{n + 1:02x}")
    return token


@EACH
@ORDERS
def test_key_finds_its_certificate(keys: Token, certificates: Path, tmp_path: Path, name: str, first: bool) -> None:
    results, errors = OpenSSL(tmp_path, keys, first=first).probe("trial", name, str(certificates / f"{name}.pem"))
    assert results == EXPECTED
    assert len(errors) == 1 and "error in public-before" in errors[0] and "is not known" in errors[0]


@EACH
def test_threads_may_find_out_at_once(keys: Token, certificates: Path, tmp_path: Path, name: str) -> None:
    results, errors = OpenSSL(tmp_path, keys).probe("threads", name, str(certificates / f"{name}.pem"))
    assert results["good"] == 8 * 40 and errors == []


def logged(keys: Token, path: Path) -> tuple[OpenSSL, Path]:
    mine = OpenSSL(path, keys, module=SHIM)
    mine.env.update(P11SHIM_MODULE=str(SOFTHSM), P11SHIM_LOG=str(path / "calls"))
    return mine, path / "calls"


@pytest.mark.parametrize("other", ["p384", "ed25519"])
def test_key_of_another_kind_is_never_tried(keys: Token, certificates: Path, tmp_path: Path, other: str) -> None:
    mine, log = logged(keys, tmp_path)
    results, _ = mine.probe("compare", "p256", str(certificates / f"{other}.pem"))
    assert results["x509"] == 0
    assert calls(log, "C_Sign") == []


def test_one_signature_tells_and_then_the_key_knows(keys: Token, certificates: Path, tmp_path: Path) -> None:
    mine, log = logged(keys, tmp_path)
    results, errors = mine.probe("compare", "p256", str(certificates / "p256.pem"))
    assert results["x509"] == results["again"] == 1 and errors == []
    assert len(calls(log, "C_Sign")) == 1


def test_foreign_certificate_of_the_same_kind_is_refused(keys: Token, tmp_path: Path) -> None:
    mine, log = logged(keys, tmp_path)
    plain("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "k.pem", "-out",
          "c.pem", "-subj", "/CN=x", cwd=tmp_path)
    results, errors = mine.probe("compare", "p256", "c.pem")
    assert results["x509"] == results["again"] == 0
    assert len(calls(log, "C_Sign")) == 2
    assert all("p11enroll" not in e for e in errors), errors


def test_token_that_does_not_sign_is_named(keys: Token, certificates: Path, tmp_path: Path) -> None:
    mine, _ = logged(keys, tmp_path)
    mine.env["P11SHIM_RULES"] = "C_SignInit:1:fail=0x68"
    results, errors = mine.probe("compare", "p256", str(certificates / "p256.pem"))
    assert results["x509"] == 0 and results["again"] == 1
    assert "whether key 'p256' belongs to a public key was to be found out" in errors[0]
    assert "CKR_KEY_FUNCTION_NOT_PERMITTED" in errors[0]


@EACH
@pytest.mark.parametrize("tls", ["tls1_2", "tls1_3"])
def test_s_server_with_a_key_without_a_public_half(keys: Token, certificates: Path, tmp_path: Path, name: str,
                                                   tls: str) -> None:
    openssl = OpenSSL(tmp_path, keys)
    cert = str(certificates / f"{name}.pem")
    with s_server(openssl.env, tmp_path, "-cert", cert, "-key", openssl.uri(name), "-www", f"-{tls}") as port:
        done = run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", cert, "-verify_return_error",
                    "-servername", "localhost", f"-{tls}"], env=clean_env(), cwd=tmp_path, input="Q\n", stdin=None)
    assert "Verify return code: 0 (ok)" in done.stdout
