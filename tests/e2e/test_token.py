"""Tokens and keys: administration, policy, several processes, deadlines."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from p11e import P11ENROLL, SHIM, SOFTHSM, Client, Token, calls, clean_env, private_file, run


def test_init_makes_a_usable_token(offline: Client, token: Token) -> None:
    offline.set("token:main", uri="pkcs11:token=fresh")
    made = offline.json("token", "init", "--label", "fresh", "--so-pin-source", f"file:{token.so_pin_file}")
    assert made["label"] == "fresh" and made["serial"] in made["uri"]
    assert offline.json("key", "generate", "--label", "k", "--type", "ec:P-256")["type"] == "EC P-256"
    assert token.tool("-O", label="fresh").count("Private Key") == 1


def test_init_refuses_a_label_in_use(offline: Client, token: Token) -> None:
    done = offline.run("token", "init", "--label", "t1", "--so-pin-source", f"file:{token.so_pin_file}",
                       status=27)
    assert "token 't1'" in done.stderr and "exists already" in done.stderr


def test_init_refuses_a_token_in_use_without_erase(offline: Client, token: Token) -> None:
    token.make_key("EC:prime256v1", "01", "precious")
    offline.set("token:main", uri="pkcs11:token=t1")
    offline.run("token", "init", "--label", "t1", "--so-pin-source", f"file:{token.so_pin_file}", status=27)
    assert "precious" in token.tool("-O")
    offline.run("token", "init", "--label", "t2", "--erase", "--so-pin-source",
                f"file:{token.so_pin_file}")
    assert "precious" not in token.tool("-O", label="t2")


def test_init_with_a_wrong_so_pin_keeps_the_token(offline: Client, token: Token) -> None:
    token.make_key("EC:prime256v1", "01", "precious")
    wrong = private_file(offline.dir / "wrong", "00000000")
    done = offline.run("token", "init", "--label", "t2", "--erase", "--so-pin-source", f"file:{wrong}",
                       status=22)
    assert "C_InitToken: CKR_PIN_INCORRECT" in done.stderr
    assert "precious" in token.tool("-O")


def erase(client: Client, label: str, **more: Any) -> Any:
    return client.run("token", "init", "--label", label, "--erase", "--so-pin-source",
                      f"file:{client.token.so_pin_file}", **more)


@pytest.mark.parametrize("fault, status", [("C_InitToken:1:killafter", -9), ("C_Login:1:kill", -9),
                                           ("C_InitPIN:1:fail=0x30", 29), ("C_InitPIN:1:kill", -9)])
def test_init_that_was_interrupted_is_finished_by_the_next_run(offline: Client, token: Token, fault: str,
                                                               status: int) -> None:
    """The token is another one by then: with another serial number and label, and without a user PIN."""
    token.make_key("EC:prime256v1", "01", "old")
    offline.set("token:main", uri="pkcs11:token=t1")
    offline.rules()
    offline.run("key", "list")  # the section knows its token
    offline.rules(fault)
    done = erase(offline, "t2", status=status)
    if status > 0:
        assert "has no user PIN" in done.stderr and "sets the PIN, and erases nothing" in done.stderr
    log = offline.rules()
    done = erase(offline, "t2")
    assert "by a run that did not come to its end" in done.stderr
    assert calls(log, "C_InitToken") == [] and calls(log, "C_InitPIN") == ["C_InitPIN"]
    assert not list((offline.state / "inits").iterdir())
    offline.no_rules()
    offline.set("token:main", uri="pkcs11:token=t2")
    assert offline.json("key", "list")["keys"] == []


def test_first_init_that_was_interrupted_is_finished(offline: Client, token: Token) -> None:
    init = ["token", "init", "--label", "fresh", "--so-pin-source", f"file:{token.so_pin_file}"]
    offline.set("token:main", uri="pkcs11:token=fresh")
    offline.rules("C_InitPIN:1:kill")
    offline.run(*init, status=-9)
    wrong = private_file(offline.dir / "wrong", "00000000")
    log = offline.rules()
    done = offline.run(*init[:-1], f"file:{wrong}", status=22)
    assert "C_Login (security officer): CKR_PIN_INCORRECT" in done.stderr
    made = offline.json(*init)
    assert made["erased_earlier"] and calls(log, "C_InitToken") == []
    offline.run("key", "list")
    offline.run(*init, status=27)


def test_other_token_of_that_label_is_not_finished(offline: Client, token: Token) -> None:
    """What the URI names has nothing to do with what the earlier run erased."""
    token.add("other")
    offline.set("token:main", uri="pkcs11:token=t1")
    offline.rules("C_InitPIN:1:kill")
    erase(offline, "t2", status=-9)
    log = offline.rules()
    offline.set("token:main", uri="pkcs11:token=other")
    done = erase(offline, "t2", status=27)
    assert "token 't2'" in done.stderr and calls(log, "C_Login") == []


def test_configured_quirks(offline: Client) -> None:
    log = offline.rules()
    assert offline.json("token", "info")["module_quirks"] is None
    assert calls(log, "C_Finalize") == ["C_Finalize"]
    offline.set("token:main", quirks="no-finalise, no-copy")
    assert offline.json("token", "info")["module_quirks"] == "no-finalise, no-copy"
    assert calls(log, "C_Finalize") == ["C_Finalize"]


def test_quirk_that_there_is_not(offline: Client) -> None:
    offline.set("token:main", quirks="no-fun")
    done = offline.run("token", "list", status=3)
    assert "the token's section: quirks: there is no 'no-fun'; there are no-finalise, no-copy" in done.stderr


@pytest.mark.parametrize("label", ["blank at its end ", "bell\a", "x" * 33, ""])
def test_init_refuses_a_label_that_could_not_be_found_again(offline: Client, token: Token, label: str) -> None:
    before = token.tokens()
    done = offline.run("token", "init", "--label", label, "--so-pin-source", f"file:{token.so_pin_file}",
                       status=2)
    assert "a token label" in done.stderr
    assert token.tokens() == before


def test_init_refuses_a_short_pin_before_anything_changes(offline: Client, token: Token) -> None:
    before = token.tokens()
    offline.set("token:main", pin_source=f"file:{private_file(offline.dir / 'short', '123')}")
    done = offline.run("token", "init", "--label", "fresh", "--so-pin-source", f"file:{token.so_pin_file}",
                       status=2)
    assert "the PIN of the user has 3 characters" in done.stderr and "nothing was changed" in done.stderr
    assert token.tokens() == before


def test_configured_pin_goes_to_its_own_token_alone(offline: Client, token: Token) -> None:
    token.add("other")
    log = offline.rules()
    done = offline.run("key", "show", "pkcs11:token=other;object=x", status=24)
    assert "the configured PIN source is for another token" in done.stderr
    assert calls(log, "C_Login") == []
    done = offline.run("key", "show", "pkcs11:token=other;object=x", "--pin-source", f"file:{token.pin_file}",
                       status=25)
    assert "has no private key" in done.stderr


def test_wrong_pin_is_not_sent_again_unattended(offline: Client, token: Token) -> None:
    right = token.pin_file.read_text()
    private_file(token.pin_file, "00000000")
    offline.run("key", "list", status=22)
    private_file(token.pin_file, right)
    log = offline.rules()
    done = offline.run("key", "list", status=23)
    assert "none is sent unattended" in done.stderr
    assert calls(log, "C_Login") == []
    offline.run("key", "list", "--pin-source", f"file:{token.pin_file}")
    offline.run("key", "list")


def test_empty_pin_is_not_sent(offline: Client, token: Token) -> None:
    private_file(token.pin_file, "\n")
    log = offline.rules()
    done = offline.run("key", "list", status=24)
    assert "is empty, so nothing is sent" in done.stderr
    assert calls(log, "C_Login") == []


def test_label_that_is_not_utf8_does_not_hide_the_key(offline: Client, token: Token) -> None:
    subprocess.run([b"pkcs11-tool", b"--module", bytes(SOFTHSM), b"--token-label", b"t1", b"--login", b"--pin",
                    token.pin.encode(), b"--keypairgen", b"--key-type", b"EC:prime256v1", b"--id", b"77",
                    b"--label", b"M\xfcller"], env=clean_env(**token.env), check=True, capture_output=True)
    shown = offline.json("key", "show", "pkcs11:id=%77")
    assert "object=" not in shown["uri"]
    assert offline.run("csr", "create", shown["uri"], "--name", "www.example.org").stdout.startswith("-----BEGIN")


def test_list_shows_tokens_without_a_login(offline: Client, token: Token) -> None:
    token.add("second")
    log = offline.rules()
    labels = {t["label"] for t in offline.json("token", "list")["tokens"]}
    assert {"t1", "second"} <= labels
    assert calls(log, "C_Login") == []


def test_info_shows_state_and_limits(offline: Client) -> None:
    info = offline.json("token", "info")
    assert info["label"] == "t1" and info["pin"] == "ok"
    assert any(m["mechanism"] == "ECDSA" for m in info["mechanisms"])


@pytest.mark.parametrize("kind", ["rsa:2048", "ec:P-256", "ec:P-384", "ec:P-521", "ed25519", "ed448"])
def test_generated_key_keeps_the_policy(offline: Client, token: Token, kind: str) -> None:
    if kind.startswith("ed"):
        token.has_edwards_keys()
    made = offline.json("key", "generate", "--label", "k", "--type", kind)
    assert made["policy"] == "kept" and made["policy_violations"] is None
    claims = made["module_claims"]
    assert claims == {"sensitive": True, "extractable": False, "local": True,
                      "always_sensitive": True, "never_extractable": True}
    private = next(o for o in token.objects() if o["kind"].startswith("Private Key"))
    assert private["Usage"].strip() == "sign"
    assert "never extractable" in private["Access"] and "sensitive" in private["Access"]


def test_given_id_is_used_and_never_twice(offline: Client) -> None:
    assert offline.json("key", "generate", "--label", "a", "--type", "ec:P-256", "--id", "0a0b")["id"] == "0a0b"
    done = offline.run("key", "generate", "--label", "b", "--type", "ec:P-256", "--id", "0a0b", status=27)
    assert "ids are never used twice" in done.stderr


def test_label_is_not_given_twice(offline: Client) -> None:
    offline.run("key", "generate", "--label", "a", "--type", "ec:P-256")
    done = offline.run("key", "generate", "--label", "a", "--type", "ec:P-256", status=27)
    assert "labelled 'a' already" in done.stderr


@pytest.mark.parametrize(("template", "text"), [
    ("162=1", "CKA_EXTRACTABLE is true"), ("103=0", "CKA_SENSITIVE is false"),
    ("105=1", "CKA_DECRYPT is true")])
def test_token_that_ignores_the_policy_fails_and_the_key_is_destroyed(
        offline: Client, token: Token, template: str, text: str) -> None:
    offline.rules(P11SHIM_TEMPLATE=template)
    done = offline.run("key", "generate", "--label", "k", "--type", "rsa:2048", status=28)
    assert text in done.stderr and "was destroyed again" in done.stderr
    offline.no_rules()
    assert token.objects() == []


def test_key_that_cannot_be_destroyed_is_reported(offline: Client, token: Token) -> None:
    offline.rules("C_DestroyObject:*:fail=0x1b", P11SHIM_TEMPLATE="162=1")
    done = offline.run("key", "generate", "--label", "k", "--type", "ec:P-256", "--id", "abcd", status=28)
    assert "could not be destroyed and is still on the token with id abcd" in done.stderr
    offline.no_rules()
    assert len(token.objects()) == 2


def test_failure_that_left_a_key_is_cleaned_up(offline: Client, token: Token) -> None:
    offline.rules("C_GenerateKeyPair:1:failafter=0x6")
    done = offline.run("key", "generate", "--label", "k", "--type", "ec:P-256", status=29)
    assert "CKR_FUNCTION_FAILED" in done.stderr and "was destroyed again" in done.stderr
    offline.no_rules()
    assert token.objects() == []


def test_foreign_keys_are_never_destroyed(offline: Client, token: Token) -> None:
    token.make_key("EC:prime256v1", "0102", "theirs")
    offline.rules(P11SHIM_TEMPLATE="162=1")
    offline.run("key", "generate", "--label", "ours", "--type", "ec:P-256", status=28)
    offline.run("key", "generate", "--label", "theirs", "--type", "ec:P-256", status=27)
    offline.run("key", "generate", "--label", "x", "--type", "ec:P-256", "--id", "0102", status=27)
    offline.no_rules()
    assert [o["label"] for o in token.objects()] == ["theirs", "theirs"]


def test_key_show_judges_a_foreign_key(offline: Client, token: Token) -> None:
    token.make_key("RSA:2048", "0102", "theirs")
    shown = offline.json("key", "show", "pkcs11:object=theirs")
    assert shown["policy"] == "violated" and "CKA_DECRYPT is true" in shown["policy_violations"]


def test_key_list_streams_what_is_there(offline: Client, token: Token) -> None:
    assert "The token has no private key." in offline.run("key", "list").stdout
    for n in range(3):
        token.make_key("EC:prime256v1", f"{n:02x}", f"k{n}")
    keys = offline.json("key", "list")["keys"]
    assert sorted(k["label"] for k in keys) == ["k0", "k1", "k2"]
    assert all(k["type"] == "EC P-256" for k in keys)


def test_csr_verifies_and_carries_the_named_curve(offline: Client, token: Token) -> None:
    uri = offline.json("key", "generate", "--label", "k", "--type", "ec:P-384")["uri"]
    out = offline.dir / "r.csr"
    offline.run("csr", "create", uri, "--name", "a.example.org", "--name", "10.0.0.1", "--out", str(out),
                "--subject", "CN=a.example.org,O=Example\\, Ltd,C=DE")
    text = run(["openssl", "req", "-in", str(out), "-verify", "-noout", "-text", "-nameopt", "RFC2253"], env=clean_env())
    assert "verify OK" in text.stdout + text.stderr
    for part in ("DNS:a.example.org", "IP Address:10.0.0.1", "ASN1 OID: secp384r1", "O=Example\\, Ltd",
                 "ecdsa-with-SHA384"):
        assert part in text.stdout, text.stdout


@pytest.mark.parametrize("kind", ["Ed25519", "Ed448"])
def test_csr_with_an_edwards_key_verifies(offline: Client, token: Token, kind: str) -> None:
    token.has_edwards_keys()
    uri = offline.json("key", "generate", "--label", "k", "--type", kind.lower())["uri"]
    out = offline.dir / "r.csr"
    offline.run("csr", "create", uri, "--name", "a.example.org", "--out", str(out))
    text = run(["openssl", "req", "-in", str(out), "-verify", "-noout", "-text"], env=clean_env())
    assert "verify OK" in text.stdout + text.stderr and f"Signature Algorithm: {kind.upper()}" in text.stdout
    assert offline.json("key", "show", uri)["type"] == kind


def test_csr_with_a_key_for_pss_alone_verifies(offline: Client, token: Token) -> None:
    token.make_special_key("rsa-pss:2048", "01", "k")
    out = offline.dir / "r.csr"
    offline.run("csr", "create", f"{token.uri};object=k", "--name", "a.example.org", "--out", str(out))
    text = run(["openssl", "req", "-in", str(out), "-verify", "-noout", "-text"], env=clean_env())
    assert "verify OK" in text.stdout + text.stderr and "Public Key Algorithm: rsassaPss" in text.stdout
    shown = offline.json("key", "show", f"{token.uri};object=k")
    pub = run(["openssl", "req", "-in", str(out), "-noout", "-pubkey"], env=clean_env()).stdout
    der = run(["openssl", "pkey", "-pubin", "-outform", "DER", "-out", str(offline.dir / "pub.der")], env=clean_env(),
              input=pub, stdin=None)
    assert der.returncode == 0
    assert shown["public_key_sha256"] == hashlib.sha256((offline.dir / "pub.der").read_bytes()).hexdigest()


def test_key_that_does_not_sign_is_refused(offline: Client, token: Token) -> None:
    token.make_special_key("x25519", "01", "k")
    done = offline.run("csr", "create", f"{token.uri};object=k", "--name", "a.example.org", status=None)
    assert done.returncode != 0 and "'k' on token 't1'" in done.stderr and "is no key that signs" in done.stderr


@pytest.mark.parametrize("call", ["C_Login", "C_FindObjectsInit", "C_GenerateKeyPair", "C_Initialize",
                                  "C_GetSlotList"])
def test_any_call_that_hangs_ends_by_the_deadline(offline: Client, call: str) -> None:
    offline.rules(f"{call}:1:hang")
    done = offline.run("key", "generate", "--label", "k", "--token-timeout", "1s", status=30, timeout=20)
    assert "did not come back" in done.stderr and str(SHIM) in done.stderr


def test_slow_token_is_no_hanging_token(offline: Client) -> None:
    offline.rules("C_Login:1:delay=1500")
    offline.run("key", "list", "--token-timeout", "10s")


def start_many(client: Client, count: int, *args: str) -> list[subprocess.Popen[str]]:
    return [client.start(*args) for _ in range(count)]


def failures(processes: list[subprocess.Popen[str]]) -> list[str]:
    ended = [(p.communicate(timeout=120)[1], p.returncode) for p in processes]
    return [f"{code}: {err}" for err, code in ended if code != 0]


def test_six_processes_log_in_at_once(offline: Client, token: Token) -> None:
    token.make_key("EC:prime256v1", "01", "k")
    for _ in range(10):
        assert failures(start_many(offline, 6, "key", "list")) == []
    assert len(token.objects()) == 2


def test_six_processes_generate_at_once(offline: Client, token: Token) -> None:
    processes = [offline.start("key", "generate", "--label", f"k{n}", "--type", "ec:P-256") for n in range(6)]
    assert failures(processes) == []
    assert len(token.objects()) == 12


def test_different_selectors_share_the_lock(offline: Client, token: Token) -> None:
    serial = offline.json("token", "info")["serial"]
    token.make_key("EC:prime256v1", "01", "k")
    selectors = ["pkcs11:token=t1", f"pkcs11:serial={serial}", "pkcs11:model=SoftHSM%20v2;token=t1"]
    processes = [offline.start("key", "list", "--token-uri", selectors[n % 3]) for n in range(6)]
    assert failures(processes) == []


def test_module_in_the_uri_and_no_configuration(token: Token, tmp_path: Path) -> None:
    token.make_key("EC:prime256v1", "01", "k")
    uri = f"pkcs11:token=t1;object=k?module-path={SOFTHSM}&pin-source=file:{token.pin_file}"
    done = run([str(P11ENROLL), "key", "show", uri, "--json", "--config", "/dev/null", "--lock-dir",
                str(tmp_path / "locks")], env=clean_env(**token.env))
    assert json.loads(done.stdout)["label"] == "k"


def test_pin_from_a_descriptor(offline: Client, token: Token) -> None:
    offline.set("token:main", pin_source="fd:0")
    done = subprocess.run(offline.command("key", "list"), env=offline.full_env(), input=token.pin + "\n",
                          text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_pin_from_the_environment_needs_permission(offline: Client, token: Token) -> None:
    offline.env["TEST_PIN"] = token.pin
    offline.set("token:main", pin_source="env:TEST_PIN")
    assert "allow_env_secrets" in offline.run("key", "list", status=3).stderr
    offline.set("p11enroll", allow_env_secrets="yes")
    offline.run("key", "list")


def test_pin_from_a_systemd_credential(offline: Client, token: Token) -> None:
    private_file(offline.dir / "token-pin", token.pin)
    offline.env["CREDENTIALS_DIRECTORY"] = str(offline.dir)
    offline.set("token:main", pin_source="credential:token-pin")
    offline.run("key", "list")
