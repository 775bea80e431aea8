"""Client keystores and trust stores in every format that CA gateways take, made with the real tools."""

from __future__ import annotations

from pathlib import Path

import pytest
from p11e import Client, clean_env, need, private_file, run

PASSWORD = "changeit"


def keytool(*args: str) -> None:
    reason = need("keytool")
    if reason is not None:
        pytest.skip(reason)
    run(["keytool", *args], env=clean_env())


@pytest.fixture
def password(client: Client) -> Path:
    return private_file(client.dir / "store-password", PASSWORD)


def java_identity(client: Client, kind: str, name: str = "client") -> Path:
    """The administrator's PKCS#12 file, taken over by keytool."""
    assert client.sandbox is not None
    base = client.sandbox.dir
    path = client.dir / f"{name}.{kind}"
    given = (base / "client-password.txt").read_text().strip()
    keytool("-importkeystore", "-noprompt", "-srckeystore", str(base / f"{name}.p12"), "-srcstoretype", "PKCS12",
            "-srcstorepass", given, "-destkeystore", str(path), "-deststoretype", kind, "-deststorepass", PASSWORD,
            "-destkeypass", PASSWORD)
    return path


def java_trust(client: Client, kind: str) -> Path:
    assert client.sandbox is not None
    path = client.dir / f"trust.{kind}"
    keytool("-importcert", "-noprompt", "-alias", "tls", "-file", str(client.sandbox.dir / "tls-ca.pem"),
            "-keystore", str(path), "-storetype", kind, "-storepass", PASSWORD)
    return path


def seen_serial(client: Client) -> str:
    assert client.sandbox is not None
    found = {r["client_serial"] for r in client.sandbox.requests() if "/ssl/" in r["path"]}
    assert len(found) == 1 and None not in found
    return found.pop()


@pytest.mark.parametrize("name", ["client", "client-rsa"])
@pytest.mark.parametrize("kind", ["JKS", "PKCS12"])
@pytest.mark.parametrize("said", [True, False])
def test_client_certificate_in_a_java_keystore(client: Client, password: Path, kind: str, name: str, said: bool) -> None:
    path = java_identity(client, kind, name)
    client.set("ca:sandbox", client_cert=str(path), client_alias="admin", client_password_source=f"file:{password}",
               client_type=kind.lower() if said else None)
    assert client.json("products")["products"]
    assert seen_serial(client)


def test_a_java_keystore_enrolls(client: Client, password: Path) -> None:
    client.set("ca:sandbox", client_cert=str(java_identity(client, "JKS")), client_alias=None,
               client_password_source=f"file:{password}", trust=str(java_trust(client, "JKS")),
               trust_password_source=f"file:{password}")
    assert client.json("enroll", "--name", "www.example.org")["state"] == "done"


@pytest.mark.parametrize("kind", ["JKS", "PKCS12"])
def test_trust_store_of_java(client: Client, password: Path, kind: str) -> None:
    path = java_trust(client, kind)
    client.set("ca:sandbox", trust=str(path), trust_password_source=f"file:{password}")
    assert client.json("products")["products"]


def test_trust_store_of_openssl_as_pkcs12(client: Client, password: Path) -> None:
    assert client.sandbox is not None
    path = client.dir / "trust.p12"
    run(["openssl", "pkcs12", "-export", "-nokeys", "-in", str(client.sandbox.dir / "tls-ca.pem"), "-out", str(path),
         "-passout", f"file:{password}"], env=clean_env())
    client.set("ca:sandbox", trust=str(path), trust_password_source=f"file:{password}", trust_type="pkcs12")
    assert client.json("products")["products"]


def test_a_trust_store_without_the_ca_of_the_server_does_not_do(client: Client, password: Path) -> None:
    assert client.sandbox is not None
    path = client.dir / "other.jks"
    keytool("-importcert", "-noprompt", "-alias", "x", "-file", str(client.sandbox.dir / "issuer-root.pem"),
            "-keystore", str(path), "-storetype", "JKS", "-storepass", PASSWORD)
    client.set("ca:sandbox", trust=str(path), trust_password_source=f"file:{password}")
    done = client.run("products", status=41)
    assert "was issued by a CA that" in done.stderr and str(path) in done.stderr
    assert client.sandbox.requests() == []


def test_a_key_in_a_pkcs12_trust_store_does_not_vouch_for_servers(client: Client) -> None:
    assert client.sandbox is not None
    base = client.sandbox.dir
    client.set("ca:sandbox", trust=str(base / "client.p12"), trust_password_source=f"file:{base / 'client-password.txt'}")
    done = client.run("products", status=None)
    assert done.returncode in (3, 41), done.stderr
    assert client.sandbox.requests() == []


@pytest.mark.parametrize(("settings", "status", "texts"), [
    ({"trust": "/nonexistent/roots.pem"}, 4, ("trust store", "/nonexistent/roots.pem")),
    ({"trust_type": "jks"}, 51, ("trust store", "is PEM, and 'trust_type' says JKS")),
    ({"client_type": "pem"}, 51, ("is PKCS#12, and 'client_type' says PEM",)),
])
def test_a_wrong_store_is_named_before_anything_is_sent(
        client: Client, settings: dict[str, str], status: int, texts: tuple[str, ...]) -> None:
    assert client.sandbox is not None
    client.set("ca:sandbox", **settings)
    done = client.run("products", status=status)
    assert all(text in done.stderr for text in texts), done.stderr
    assert client.sandbox.requests() == []


def test_the_password_of_a_trust_store_is_not_shown(client: Client) -> None:
    wrong = private_file(client.dir / "wrong", "wrong-secret")
    client.set("ca:sandbox", trust=str(java_trust(client, "JKS")), trust_password_source=f"file:{wrong}")
    done = client.run("products", "--log-level", "trace", status=51)
    assert "the password does not open it" in done.stderr and "wrong-secret" not in done.stderr + done.stdout


def test_jceks_is_told_apart(client: Client, password: Path) -> None:
    client.set("ca:sandbox", client_cert=str(java_identity(client, "JCEKS")), client_password_source=f"file:{password}")
    done = client.run("products", status=51)
    assert "is a JCEKS file" in done.stderr and "-importkeystore" in done.stderr


# --- a key with a password of its own

KEY_PASSWORD = "another-one"


@pytest.fixture
def guarded(client: Client, password: Path) -> Client:
    """A JKS file whose key has another password than the file."""
    path = java_identity(client, "JKS", "client")
    keytool("-keypasswd", "-alias", "admin", "-keystore", str(path), "-storetype", "JKS", "-storepass", PASSWORD,
            "-keypass", PASSWORD, "-new", KEY_PASSWORD)
    client.set("ca:sandbox", client_cert=str(path), client_alias="admin", client_password_source=f"file:{password}")
    return client


def test_password_of_the_key_is_told_apart_from_the_files(guarded: Client) -> None:
    done = guarded.run("products", status=51)
    assert "the key has another password than the file ('client_key_password_source'" in done.stderr
    guarded.set("ca:sandbox", client_key_password_source=f"file:{private_file(guarded.dir / 'key-password', KEY_PASSWORD)}")
    assert guarded.json("products")["products"] and seen_serial(guarded)
    assert guarded.json("enroll", "--name", "www.example.org")["state"] == "done"


def test_password_of_the_key_comes_from_the_environment_if_that_is_allowed(guarded: Client) -> None:
    guarded.set("ca:sandbox", client_key_password_source="env:KEY_PASSWORD")
    guarded.env["KEY_PASSWORD"] = KEY_PASSWORD
    assert "allow_env_secrets" in guarded.run("products", status=None).stderr
    guarded.set("p11enroll", allow_env_secrets="yes")
    assert guarded.json("products")["products"]


def test_wrong_password_of_the_key_is_told_and_not_shown(guarded: Client) -> None:
    path = private_file(guarded.dir / "key-password", "no-such-word")
    guarded.set("ca:sandbox", client_key_password_source=f"file:{path}")
    done = guarded.run("products", "-v", status=51)
    assert "'client_key_password_source' gives is not that of the key" in done.stderr
    assert "no-such-word" not in done.stderr + done.stdout and PASSWORD not in done.stderr


def test_check_names_the_setting_that_is_missing(guarded: Client) -> None:
    done = guarded.run("check", status=51)
    assert "client_key_password_source" in done.stdout + done.stderr


def test_password_of_a_key_is_for_java_keystores_alone(client: Client, password: Path) -> None:
    client.set("ca:sandbox", client_key_password_source=f"file:{password}")
    done = client.run("products", status=3)
    assert "'client_key_password_source' is for keys in JKS files alone" in done.stderr and "PKCS#12" in done.stderr
