"""The processes of the demo under valgrind: no error, no leak."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from p11e import FULL, PROVIDER, SANITIZED, SOFTHSM, SUPPORT, Client, clean_env, need, run

VALGRIND = ["valgrind", "-q", "--leak-check=full", "--show-leak-kinds=definite,indirect,possible",
            "--errors-for-leak-kinds=definite,indirect,possible", "--error-exitcode=99",
            f"--suppressions={SUPPORT / 'valgrind.supp'}"]


@pytest.fixture(autouse=True)
def _needs_valgrind() -> None:
    reason = "this build has AddressSanitizer, which does the same" if SANITIZED else need("valgrind")
    if reason is not None:
        pytest.skip(reason)


def test_client_commands(client: Client, say: Callable[[str], None]) -> None:
    client.wrapper = VALGRIND
    made = client.json("key", "generate", "--label", "k", "--type", "ec:P-256")
    commands = [["enroll", "--name", "a.example.org"], ["key", "show", made["uri"]], ["check"],
                ["token", "list"], ["token", "info"], ["key", "list"], ["products"],
                ["csr", "create", made["uri"], "--name", "a.example.org"],
                ["enroll", "--name", "b.example.org", "--key-type", "rsa:2048"], ["order", "list"],
                ["order", "show", "1"], ["order", "collect", "1"], ["version"], ["config", "keys"]]
    chosen = commands if FULL else commands[:3]
    for args in chosen:
        client.run(*args)
    say(f"valgrind: {len(chosen) + 1} of {len(commands) + 1} client commands")


def test_failing_commands(client: Client) -> None:
    client.wrapper = VALGRIND
    assert client.sandbox is not None
    client.sandbox.set(certificate="other-key")
    client.run("enroll", "--name", "a.example.org", status=50)
    if not FULL:
        return
    client.sandbox.reset()
    client.sandbox.set(auth="refuse")
    client.run("enroll", "--name", "b.example.org", status=42)
    client.run("key", "show", "pkcs11:object=nobody", status=25)
    client.run("key", "show", "pkcs11:tokn=x", status=2)
    client.set("token:main", uri="pkcs11:token=nobody")
    client.run("key", "list", status=21)


def test_token_init(client: Client) -> None:
    client.wrapper = VALGRIND
    client.set("token:main", uri="pkcs11:token=fresh")
    client.run("token", "init", "--label", "fresh", "--so-pin-source", f"file:{client.token.so_pin_file}")


def test_openssl_with_the_provider(client: Client, tmp_path: Path) -> None:
    conf = tmp_path / "openssl.cnf"
    conf.write_text(
        "openssl_conf = init\n[init]\nproviders = p\n[p]\ndefault = d\np11enroll = e\n[d]\nactivate = 1\n"
        f"[e]\nmodule = {PROVIDER}\nmodule-path = {SOFTHSM}\npin-source = file:{client.token.pin_file}\n"
        "activate = 1\n[req]\ndistinguished_name = dn\n[dn]\n")
    env = clean_env(**client.token.env, OPENSSL_CONF=str(conf))
    kinds = [("EC:prime256v1", "e", "02"), ("RSA:2048", "r", "01")]
    for kind, name, number in kinds if FULL else kinds[:1]:
        client.token.make_key(kind, number, name)
        uri = f"pkcs11:object={name};type=private"
        for args in (["pkey", "-in", uri, "-pubout", "-out", "pub"], ["req", "-new", "-key", uri, "-subj", "/CN=x"],
                     ["dgst", "-sha256", "-sign", uri, "-out", "sig", str(conf)],
                     ["pkey", "-in", "pkcs11:object=nobody", "-noout"]):
            done = run([*VALGRIND, "openssl", *args], env=env, cwd=tmp_path, check=False)
            assert done.returncode == (1 if "nobody" in str(args) else 0), done.stderr
    run([*VALGRIND, "openssl", "storeutl", "-noout", "pkcs11:token=t1"], env=env, cwd=tmp_path)
