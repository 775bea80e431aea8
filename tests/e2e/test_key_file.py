"""key pem: a file that stands for a token key."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from p11e import PROVIDER, SOFTHSM, Client, Token, clean_env, run, sanitizer_preload


@pytest.fixture
def www(token: Token) -> Token:
    token.make_key("EC:prime256v1", "0a", "www")
    return token


def content(text: str) -> bytes:
    lines = text.splitlines()
    assert lines[0] == "-----BEGIN PKCS#11 PROVIDER URI-----" and lines[-1] == "-----END PKCS#11 PROVIDER URI-----"
    return base64.b64decode("".join(lines[1:-1]))


def test_file_names_the_key_and_no_secret(offline: Client, www: Token) -> None:
    der = content(offline.run("key", "pem", "pkcs11:object=www").stdout)
    assert b"PKCS#11 Provider URI v1.0" in der
    uri = der[der.index(b"pkcs11:"):].decode()
    assert uri.startswith("pkcs11:token=t1;serial=") and uri.endswith(";object=www;type=private;id=%0A")


def test_module_and_pin_source_are_named_when_asked_for(offline: Client, www: Token, tmp_path: Path) -> None:
    out = tmp_path / "key.pem"
    made = offline.json("key", "pem", "pkcs11:object=www", "--out", str(out), "--name-module", "--name-pin-source")
    assert made["pem_file"] == str(out)
    query = f"?module-path={SOFTHSM}&pin-source=file:{www.pin_file}"
    assert made["uri"].endswith(query) and content(out.read_text()).endswith(query.encode())
    assert www.pin not in out.read_text() + str(made)


def test_file_is_a_key_for_openssl(offline: Client, www: Token, tmp_path: Path) -> None:
    out = tmp_path / "key.pem"
    offline.run("key", "pem", "pkcs11:object=www", "--out", str(out), "--name-module", "--name-pin-source")
    conf = tmp_path / "openssl.cnf"
    conf.write_text("openssl_conf = init\n[init]\nproviders = p\n[p]\ndefault = d\np11enroll = e\n[d]\nactivate = 1\n"
                    f"[e]\nmodule = {PROVIDER}\nactivate = 1\n")
    env = clean_env(**www.env, **sanitizer_preload(), OPENSSL_CONF=str(conf), XDG_RUNTIME_DIR=str(tmp_path))
    public = run(["openssl", "pkey", "-in", str(out), "-pubout"], env=env).stdout
    assert public == run(["p11tool", "--provider", str(SOFTHSM), "--login", "--export-pubkey",
                          "pkcs11:token=t1;object=www;type=public"],
                         env=clean_env(**www.env, GNUTLS_PIN=www.pin)).stdout[-len(public):]


def test_missing_key_leaves_no_file(offline: Client, www: Token, tmp_path: Path) -> None:
    out = tmp_path / "key.pem"
    done = offline.run("key", "pem", "pkcs11:object=nobody", "--out", str(out), status=25)
    assert "has no private key that matches" in done.stderr and not out.exists()


def test_pin_source_must_be_there_to_be_named(offline: Client, www: Token) -> None:
    offline.set("token:main", pin_source=None)
    done = offline.run("key", "pem", "pkcs11:object=www", "--name-pin-source", status=None)
    assert done.returncode != 0


def test_file_that_exists_is_not_written_over(offline: Client, www: Token, tmp_path: Path) -> None:
    out = tmp_path / "www.key"
    out.write_text("somebody's private key\n")
    done = offline.run("key", "pem", "pkcs11:object=www", "--out", str(out), status=None)
    assert done.returncode != 0 and "exists, and is not written over" in done.stderr
    assert done.stdout == "" and out.read_text() == "somebody's private key\n"
