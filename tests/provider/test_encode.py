"""What comes out of a token key: public halves as software writes them, text, and a PEM file with its URI."""

from __future__ import annotations

import base64
import shutil
import subprocess
from pathlib import Path

import pytest
from p11e import SOFTHSM, Token, clean_env, run
from support import ORDERS, OpenSSL, first_error, plain, verified
from test_openssl import EACH, KEYS

BEGIN = "-----BEGIN PKCS#11 PROVIDER URI-----"
RSA = pytest.mark.parametrize("name", [n for n in KEYS if n.startswith("rsa")])


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Token:
    token = Token(tmp_path_factory.mktemp("keys")).init()
    for n, (name, kind) in enumerate(KEYS.items()):
        token.make_key(kind, f"{n + 1:02x}", name)
    return token


@pytest.fixture
def openssl(keys: Token, tmp_path: Path) -> OpenSSL:
    return OpenSSL(tmp_path, keys)


def exported(openssl: OpenSSL, name: str) -> Path:
    """The public key as GnuTLS reads it from the token, with nothing of ours."""
    path = openssl.token.dir / f"exported-{name}.pem"
    if path.exists():
        return path
    text = run(["p11tool", "--provider", str(SOFTHSM), "--login", "--export-pubkey",
                f"pkcs11:token={openssl.token.label};object={name};type=public"],
               env=clean_env(**openssl.token.env, GNUTLS_PIN=openssl.token.pin)).stdout
    path.write_text(text[text.index("-----BEGIN"):])
    return path


def uri_in(path: Path) -> str:
    """The URI in a PEM file of the form that pkcs11-provider defined."""
    lines = path.read_text().splitlines()
    assert lines[0] == BEGIN and lines[-1] == "-----END PKCS#11 PROVIDER URI-----"
    der = base64.b64decode("".join(lines[1:-1]))
    text = b"PKCS#11 Provider URI v1.0"
    head = der.index(text)
    assert der[0] == 0x30 and der[head - 2:head] == bytes([0x1A, len(text)])
    assert der[head + len(text)] == 0x0C
    return der[der.index(b"pkcs11:"):].decode()


@EACH
@ORDERS
@pytest.mark.parametrize("form", ["PEM", "DER"])
def test_public_key_is_what_everybody_else_writes(keys: Token, tmp_path: Path, name: str, first: bool, form: str) -> None:
    mine = OpenSSL(tmp_path, keys, first=first)
    mine("pkey", "-in", mine.uri(name), "-pubout", "-outform", form, "-out", "mine")
    plain("pkey", "-pubin", "-in", str(exported(mine, name)), "-pubout", "-outform", form, "-out", "theirs", cwd=tmp_path)
    assert (tmp_path / "mine").read_bytes() == (tmp_path / "theirs").read_bytes()


@RSA
@pytest.mark.parametrize("form", ["PEM", "DER"])
def test_pkcs1_public_key(openssl: OpenSSL, name: str, form: str) -> None:
    openssl("rsa", "-in", openssl.uri(name), "-RSAPublicKey_out", "-outform", form, "-out", "mine")
    plain("rsa", "-pubin", "-in", str(exported(openssl, name)), "-RSAPublicKey_out", "-outform", form, "-out", "theirs",
          cwd=openssl.dir)
    assert (openssl.dir / "mine").read_bytes() == (openssl.dir / "theirs").read_bytes()


@EACH
def test_text_of_the_public_half(openssl: OpenSSL, name: str) -> None:
    done = openssl("pkey", "-in", openssl.uri(name), "-text_pub", "-noout")
    assert done.stdout == plain("pkey", "-pubin", "-in", str(exported(openssl, name)), "-text_pub", "-noout",
                                cwd=openssl.dir).stdout


@EACH
def test_text_of_a_private_key_says_where_it_is(openssl: OpenSSL, name: str) -> None:
    done = openssl("pkey", "-in", openssl.uri(name), "-text", "-noout")
    first, second, rest = done.stdout.split("\n", 2)
    assert first.startswith("Private key in token 't1' (serial ") and first.endswith("it does not leave the token")
    assert second.startswith("URI: pkcs11:token=t1;serial=") and f";object={name};type=private;id=%0" in second
    assert rest == plain("pkey", "-pubin", "-in", str(exported(openssl, name)), "-text_pub", "-noout",
                         cwd=openssl.dir).stdout
    assert done.stderr == ""


def test_text_of_a_private_key_without_public_half(tmp_path: Path) -> None:
    token = Token(tmp_path / "half").init()
    token.make_key("EC:prime256v1", "01", "half")
    token.tool("--delete-object", "--type", "pubkey", "--id", "01")
    mine = OpenSSL(tmp_path, token)
    assert "The public half is not known" in mine("pkey", "-in", mine.uri("half"), "-text", "-noout").stdout


@EACH
@ORDERS
def test_private_key_is_written_as_a_file_with_its_uri(keys: Token, tmp_path: Path, name: str, first: bool) -> None:
    mine = OpenSSL(tmp_path, keys, first=first)
    done = mine("pkey", "-in", mine.uri(name), "-out", "key.pem")
    assert done.stdout == "" and done.stderr == ""
    uri = uri_in(tmp_path / "key.pem")
    assert uri.startswith("pkcs11:token=t1;serial=") and f";object={name};type=private;id=%0" in uri
    assert "?" not in uri
    # and it is a key file
    mine("req", "-new", "-key", "key.pem", "-subj", "/CN=x", "-out", "r.csr")
    assert verified(plain("req", "-in", "r.csr", "-verify", "-noout", cwd=tmp_path))


def test_pin_source_of_the_uri_is_written_and_the_configured_one_not(keys: Token, tmp_path: Path) -> None:
    mine = OpenSSL(tmp_path, keys, pin=False)
    mine("pkey", "-in", mine.uri("p256", **{"pin-source": f"file:{keys.pin_file}"}), "-out", "key.pem")
    assert uri_in(tmp_path / "key.pem").endswith(f"?pin-source=file:{keys.pin_file}")
    mine("pkey", "-in", "key.pem", "-noout")


def test_pin_is_never_written(keys: Token, tmp_path: Path) -> None:
    mine = OpenSSL(tmp_path, keys, pin=False)
    done = mine("pkey", "-in", mine.uri("p256", **{"pin-value": keys.pin}), "-text", "-out", "key.pem")
    assert keys.pin not in done.stdout + done.stderr + (tmp_path / "key.pem").read_text()
    assert keys.pin not in mine("pkey", "-in", mine.uri("p256", **{"pin-value": keys.pin}), "-text", "-noout").stdout
    lines = [line for line in (tmp_path / "key.pem").read_text().splitlines()]
    start = lines.index(BEGIN)
    der = base64.b64decode("".join(lines[start + 1:lines.index("-----END PKCS#11 PROVIDER URI-----")]))
    assert b"pin" not in der and keys.pin.encode() not in der


def test_module_is_written_only_if_it_is_not_the_configured_one(keys: Token, tmp_path: Path) -> None:
    link, other = tmp_path / "link.so", tmp_path / "other.so"
    link.symlink_to(SOFTHSM)
    shutil.copy(SOFTHSM, other)
    mine = OpenSSL(tmp_path, keys)
    for same in (SOFTHSM, link):
        mine("pkey", "-in", mine.uri("p256", **{"module-path": str(same)}), "-out", "same.pem")
        assert "?" not in uri_in(tmp_path / "same.pem")
    mine("pkey", "-in", mine.uri("p256", **{"module-path": str(other), "pin-source": f"file:{keys.pin_file}"}), "-out", "other.pem")
    assert f"?module-path={other}&" in uri_in(tmp_path / "other.pem")


def refused(done: subprocess.CompletedProcess[str], name: str) -> None:
    assert f"the private key '{name}' does not leave token 't1'" in first_error(done)


@EACH
@pytest.mark.parametrize("how", [["-outform", "DER"], ["-aes256", "-passout", "pass:secret"]], ids=["der", "encrypted"])
def test_forms_that_would_need_the_private_half_are_refused(openssl: OpenSSL, name: str, how: list[str]) -> None:
    refused(openssl("pkey", "-in", openssl.uri(name), *how, "-out", "key", status=1), name)
