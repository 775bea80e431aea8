"""key: policies, tokens that refuse attributes, finding, renaming and deleting."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest
from p11e import Client, Token, calls, clean_env, run

TYPE_INVALID, INCONSISTENT, GENERAL_ERROR, DEVICE_ERROR = "0x12", "0xd1", "0x5", "0x30"


@pytest.fixture
def free(offline: Client) -> Client:
    """A client whose profile does not say a kind of key."""
    offline.set("profile:web", key_type=None)
    return offline


def generate(client: Client, *args: str, label: str = "k", **more: Any) -> dict[str, Any]:
    return client.json("key", "generate", "--label", label, *args, **more)


def run_bytes(command: list[str]) -> bytes:
    return subprocess.run(command, check=True, capture_output=True, env=clean_env(), timeout=120).stdout


# Policies


def test_policy_chooses_the_kind_and_is_named(free: Client) -> None:
    free.set("policy:web", type="ec:P-384, rsa:3072")
    made = generate(free, "--policy", "web")
    assert made["type"] == "EC P-384" and made["policy_name"] == "web" and made["policy"] == "kept"


def test_profile_names_the_policy(free: Client) -> None:
    free.set("policy:web", type="ec:P-521")
    free.set("profile:web", policy="web")
    assert generate(free)["type"] == "EC P-521"


@pytest.mark.parametrize(("policy", "kind"), [("code-signing", "rsa:2048"), ("tls-server", "ed25519"),
                                              ("code-signing", "ed448")])
def test_kind_that_a_policy_does_not_allow_is_refused(free: Client, token: Token, policy: str, kind: str) -> None:
    done = free.run("key", "generate", "--label", "k", "--policy", policy, "--type", kind, status=28)
    assert f"policy '{policy}' does not allow" in done.stderr and "it allows: RSA-3072" in done.stderr
    assert token.objects() == []


def test_unknown_policy_lists_those_that_there_are(free: Client) -> None:
    done = free.run("key", "generate", "--label", "k", "--policy", "none", status=3)
    assert "there is no policy 'none'; there are tls-server, code-signing, client-auth" in done.stderr


def test_own_policy_replaces_the_builtin_of_its_name(free: Client) -> None:
    free.set("policy:code-signing", type="ec:P-256")
    assert generate(free, "--policy", "code-signing")["type"] == "EC P-256"


def test_setting_that_is_not_understood_names_the_policy(free: Client) -> None:
    free.set("policy:web", usage="fly")
    done = free.run("key", "generate", "--label", "k", "--policy", "web", status=3)
    assert "policy 'web': usage: 'fly' is none of sign, decrypt, derive" in done.stderr


def test_weaker_policy_is_said_out_loud(free: Client) -> None:
    free.set("policy:backup", type="rsa:2048", extractable="yes")
    done = free.run("key", "generate", "--label", "k", "--policy", "backup")
    assert "policy 'backup' lets the private key leave the token" in done.stderr
    assert "Weaker than usual: this policy lets the private key leave the token" in re.sub(" +", " ", done.stdout)
    shown = free.json("key", "show", "pkcs11:object=k", "--policy", "backup")
    assert shown["policy"] == "kept" and shown["module_claims"]["extractable"] is True
    strict = free.json("key", "show", "pkcs11:object=k")
    assert strict["policy"] == "violated" and "CKA_EXTRACTABLE is true" in strict["policy_violations"]


def test_usage_of_a_policy_is_asked_for(free: Client, token: Token) -> None:
    free.set("policy:crypt", type="rsa:2048", usage="sign decrypt")
    generate(free, "--policy", "crypt")
    private = next(o for o in token.objects() if o["kind"].startswith("Private Key"))
    assert private["Usage"].replace(" ", "") == "decrypt,sign"


def test_key_that_is_not_modifiable_keeps_its_label(free: Client) -> None:
    free.set("policy:fixed", type="ec:P-256", modifiable="no", copyable="no")
    made = generate(free, "--policy", "fixed")
    assert made["policy"] == "kept" and made["fallbacks"] == []
    done = free.run("key", "rename", made["uri"], "--label", "new", status=None)
    assert done.returncode == 29 and "key 'k' keeps its label" in done.stderr
    assert "CKR_ACTION_PROHIBITED" in done.stderr or "CKR_ATTRIBUTE_READ_ONLY" in done.stderr
    assert free.json("key", "show", made["uri"])["label"] == "k"


def test_allowed_mechanisms_are_kept(free: Client) -> None:
    free.set("policy:ec", type="ec:P-256", allowed_mechanisms="CKM_ECDSA")
    made = generate(free, "--policy", "ec")
    assert made["policy"] == "kept" and made["left_out"] is None
    free.set("policy:ec", allowed_mechanisms="CKM_EDDSA")
    other = free.json("key", "show", made["uri"], "--policy", "ec")
    assert other["policy_violations"] == "CKA_ALLOWED_MECHANISMS allows others"


@pytest.mark.parametrize("kind", ["rsa:2048", "ec:P-256"])
def test_key_identifier_becomes_the_id(free: Client, token: Token, tmp_path: Path, kind: str) -> None:
    free.set("policy:ski", type=kind, id="ski")
    made = generate(free, "--policy", "ski")
    public = tmp_path / "public.pem"
    free.run("key", "public", made["uri"], "--out", str(public))
    expected = run(["/usr/bin/python3", "-c", "import sys; from cryptography.hazmat.primitives.serialization import *; "
                    "from cryptography.x509 import SubjectKeyIdentifier as S; "
                    "print(S.from_public_key(load_pem_public_key(open(sys.argv[1], 'rb').read())).digest.hex())",
                    str(public)]).stdout.strip()
    assert made["id"] == expected
    assert {o["ID"] for o in token.objects()} == {expected}


def test_policy_that_wants_a_given_id(free: Client) -> None:
    free.set("policy:given", type="ec:P-256", id="given")
    free.set("policy:random", type="ec:P-256", id="random")
    assert "--id is missing" in free.run("key", "generate", "--label", "k", "--policy", "given", status=2).stderr
    assert generate(free, "--policy", "given", "--id", "0a")["id"] == "0a"
    done = free.run("key", "generate", "--label", "l", "--policy", "random", "--id", "0b", status=28)
    assert "does not let an id be given" in done.stderr


def test_label_comes_from_the_pattern_and_must_fit_it(free: Client) -> None:
    free.set("policy:web", type="ec:P-256", label="tls-{name}-{date}")
    made = free.json("key", "generate", "--policy", "web", "--name", "www.example.org")
    assert re.fullmatch(r"tls-www\.example\.org-\d{4}-\d\d-\d\d", made["label"])
    done = free.run("key", "generate", "--policy", "web", "--label", "other", status=28)
    assert "policy 'web' wants labels like 'tls-{name}-{date}', and 'other' is none" in done.stderr
    done = free.run("key", "generate", "--policy", "web", status=2)
    assert "the label's pattern has {name}, and there is none" in done.stderr and "give --label or --name" in done.stderr


# Tokens that refuse attributes


def test_refused_template_is_asked_again_with_less(free: Client) -> None:
    free.set("policy:fixed", type="ec:P-256", modifiable="no", copyable="no")
    log = free.rules(f"C_GenerateKeyPair:1:fail={TYPE_INVALID}")
    done = free.run("key", "generate", "--label", "k", "--policy", "fixed", "--json", status=None)
    assert "refused the template of the key (C_GenerateKeyPair: CKR_ATTRIBUTE_TYPE_INVALID); it is asked again " \
           "without CKA_MODIFIABLE, CKA_COPYABLE" in done.stderr
    # SoftHSM shows the attributes, with the values that were not wanted: so the key is not kept
    assert done.returncode == 28 and "CKA_MODIFIABLE is true" in done.stderr and "was destroyed again" in done.stderr
    assert len(calls(log, "C_GenerateKeyPair")) == 2


def test_what_was_left_out_is_reported(free: Client) -> None:
    # each rule counts the calls that those before it let through
    log = free.rules(f"C_GenerateKeyPair:1:fail={INCONSISTENT}", f"C_GenerateKeyPair:1:fail={TYPE_INVALID}")
    free.set("policy:card", type="ec:P-256", more_usage="accept")
    made = generate(free, "--policy", "card")
    zeros = "CKA_DECRYPT, CKA_UNWRAP, CKA_SIGN_RECOVER, CKA_DERIVE"
    assert made["fallbacks"] == [
        {"answer": "CKR_TEMPLATE_INCONSISTENT", "left_out": zeros},
        {"answer": "CKR_ATTRIBUTE_TYPE_INVALID", "left_out": f"CKA_EXTRACTABLE, {zeros}"}]
    assert made["left_out"] == f"CKA_EXTRACTABLE, {zeros}" and made["policy"] == "kept"
    assert made["module_claims"]["extractable"] is False and "CKA_DECRYPT is true" in made["policy_notes"]
    assert len(calls(log, "C_GenerateKeyPair")) == 3


@pytest.mark.parametrize("rv", [DEVICE_ERROR, GENERAL_ERROR, "0xa4", "0xb3", "0x101", "0x103"])
def test_other_answers_end_it(free: Client, token: Token, rv: str) -> None:
    log = free.rules(f"C_GenerateKeyPair:*:fail={rv}")
    free.run("key", "generate", "--label", "k", "--type", "ec:P-256", status=None)
    assert len(calls(log, "C_GenerateKeyPair")) == 1
    assert token.objects() == []


def test_general_error_counts_with_the_quirk(free: Client) -> None:
    log = free.rules(f"C_GenerateKeyPair:1:fail={GENERAL_ERROR}")
    free.set("token:main", quirks="general-error-for-attributes")
    free.run("key", "generate", "--label", "k", "--type", "ec:P-256", status=None)
    assert len(calls(log, "C_GenerateKeyPair")) == 2


def test_key_made_in_spite_of_the_refusal_is_not_made_twice(free: Client, token: Token) -> None:
    log = free.rules(f"C_GenerateKeyPair:1:failafter={INCONSISTENT}")
    done = free.run("key", "generate", "--label", "k", "--type", "ec:P-256", status=29)
    assert "the key that had been made" in done.stderr and "was destroyed again" in done.stderr
    assert len(calls(log, "C_GenerateKeyPair")) == 1
    assert token.objects() == []


def test_usage_that_the_token_adds_is_refused_or_tolerated(free: Client, token: Token) -> None:
    free.rules(P11SHIM_TEMPLATE="105=1")
    done = free.run("key", "generate", "--label", "k", "--type", "rsa:2048", status=28)
    assert "CKA_DECRYPT is true" in done.stderr
    assert token.objects() == []
    free.set("policy:card", type="rsa:2048", more_usage="accept")
    made = generate(free, "--policy", "card")
    assert made["policy"] == "kept" and made["policy_notes"] == "CKA_DECRYPT is true"


# find, public


def test_find_says_why(free: Client) -> None:
    made = generate(free, "--type", "ec:P-256", label="www")
    generate(free, "--type", "ec:P-256", label="other")
    found = free.json("key", "find", "pkcs11:object=www")
    assert sorted((o["kind"], o["why"]) for o in found["objects"]) == [
        ("private key", "has the label"), ("public key", "has the label")]
    assert found["private_keys"] == 1
    by_id = free.json("key", "find", f"pkcs11:id=%{made['id'][:2]}" + "".join(
        f"%{made['id'][i:i + 2]}" for i in range(2, len(made["id"]), 2)))
    assert {o["why"] for o in by_id["objects"]} == {"has the id"} and len(by_id["objects"]) == 2
    assert free.json("key", "find", "pkcs11:object=nobody")["objects"] == []


def test_find_shows_relatives_of_another_label(free: Client, token: Token) -> None:
    token.make_key("EC:prime256v1", "0a", "www")
    token.tool("--delete-object", "--type", "pubkey", "--id", "0a")
    token.make_key("EC:prime256v1", "0a", "else")
    found = free.json("key", "find", "pkcs11:object=www;type=private")
    assert [(o["label"], o["why"]) for o in found["objects"]][0] == ("www", "has the label")
    assert {(o["label"], o["why"]) for o in found["objects"][1:]} == {
        ("else", "has the id of a private key that matches")}


def test_ambiguous_uri_names_the_candidates(free: Client, token: Token) -> None:
    token.make_key("EC:prime256v1", "0a", "www")
    token.make_key("EC:prime256v1", "0b", "www")
    for command in (("show",), ("public",), ("delete", "--yes"), ("rename", "--label", "x")):
        done = free.run("key", command[0], "pkcs11:object=www", *command[1:], status=26)
        assert "has 2 private keys that match" in done.stderr
        assert "'www' (id 0a)" in done.stderr and "'www' (id 0b)" in done.stderr
    assert len(token.objects()) == 4


@pytest.mark.parametrize("kind", ["rsa:2048", "ec:P-256", "ed25519"])
def test_public_half_is_what_others_read(free: Client, token: Token, kind: str) -> None:
    if kind == "ed25519":
        token.has_edwards_keys()
    made = generate(free, "--type", kind, label="www")
    pem = free.run("key", "public", made["uri"]).stdout
    assert pem.startswith("-----BEGIN PUBLIC KEY-----\n")
    theirs = run(["p11tool", "--provider", str(token.module), "--login", "--export-pubkey",
                  "pkcs11:token=t1;object=www;type=public"], env=clean_env(**token.env, GNUTLS_PIN=token.pin)).stdout
    assert theirs.endswith(pem)


def test_public_half_does_not_replace_a_file(free: Client, tmp_path: Path) -> None:
    generate(free, "--type", "ec:P-256", label="www")
    out = tmp_path / "key.pem"
    out.write_text("precious\n")
    done = free.run("key", "public", "pkcs11:object=www", "--out", str(out), status=27)
    assert "is not written over" in done.stderr and out.read_text() == "precious\n"


# show


def test_show_by_uri_is_one_search(free: Client) -> None:
    made = generate(free, "--type", "ec:P-256", label="www")
    log = free.rules()
    free.run("key", "show", made["uri"])
    assert len(calls(log, "C_FindObjectsInit")) == 1


def test_weak_modulus_is_shown_and_gets_no_request(free: Client, token: Token, tmp_path: Path) -> None:
    """A key with close primes, imported as another program might have."""
    script = Path(__file__).resolve().parents[1] / "support" / "weakkey.py"
    key = tmp_path / "weak.der"
    key.write_bytes(run_bytes(["/usr/bin/python3", str(script)]))
    token.tool("--write-object", str(key), "--type", "privkey", "--id", "0a", "--label", "weak", "--usage-sign")
    shown = free.json("key", "show", "pkcs11:object=weak")
    assert "primes that are close together" in shown["weakness"]
    done = free.run("csr", "create", "pkcs11:object=weak", "--name", "www.example.org", status=28)
    assert "key 'weak': the RSA key is weak and no public CA may accept it" in done.stderr
    assert "BEGIN" not in done.stdout


# rename


def test_rename_changes_all_that_belong_together(free: Client, token: Token, tmp_path: Path) -> None:
    made = generate(free, "--type", "ec:P-256", label="old")
    bind(free, made["uri"], tmp_path)
    renamed = free.json("key", "rename", made["uri"], "--label", "new")
    assert (renamed["old_label"], renamed["label"], renamed["certificates_renamed"]) == ("old", "new", 1)
    assert {o["label"] for o in token.objects()} == {"new"} and len(token.objects()) == 3
    assert free.json("key", "show", renamed["uri"])["certificates"]


def test_rename_to_a_label_in_use_is_refused(free: Client, token: Token) -> None:
    generate(free, "--type", "ec:P-256", label="a")
    generate(free, "--type", "ec:P-256", label="b")
    done = free.run("key", "rename", "pkcs11:object=a", "--label", "b", status=27)
    assert "has another key labelled 'b' already" in done.stderr
    assert sorted(o["label"] for o in token.objects()) == ["a", "a", "b", "b"]


@pytest.mark.parametrize("nth", [1, 2])
def test_rename_that_fails_halfway_is_taken_back(free: Client, token: Token, nth: int) -> None:
    generate(free, "--type", "ec:P-256", label="a")
    free.rules(f"C_SetAttributeValue:{nth}:fail={DEVICE_ERROR}")
    done = free.run("key", "rename", "pkcs11:object=a", "--label", "b", status=29)
    assert "key 'a' keeps its label" in done.stderr
    assert {o["label"] for o in token.objects()} == {"a"}


def test_rename_is_refused_while_an_open_order_needs_the_label(client: Client, token: Token) -> None:
    assert client.sandbox is not None
    client.sandbox.set(approval="manual")
    client.run("enroll", "--name", "waits.example.org", "--deadline", "0", status=11)
    uri = client.json("order", "show", "1")["key_uri"]
    before = token.snapshot()
    done = client.run("key", "rename", uri, "--label", "new", status=2)
    assert "nothing was renamed: the open order 1 (waits.example.org, " in done.stderr
    assert "names the key by its label" in done.stderr and token.snapshot() == before


def test_rename_needs_a_label(free: Client) -> None:
    assert "--label is missing" in free.run("key", "rename", "pkcs11:object=a", status=2).stderr


# delete


def bind(client: Client, uri: str, path: Path) -> None:
    """A certificate of the key's own, from a CA made for this."""
    csr = path / "key.csr"
    client.run("csr", "create", uri, "--name", "www.example.org", "--out", str(csr))
    run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=CA",
         "-keyout", str(path / "ca.key"), "-out", str(path / "ca.pem"), "-days", "9"])
    run(["openssl", "x509", "-req", "-in", str(csr), "-CA", str(path / "ca.pem"), "-CAkey", str(path / "ca.key"),
         "-copy_extensions", "copy", "-days", "5", "-out", str(path / "cert.pem")])
    client.run("cert", "bind", "--key", uri, "--cert", str(path / "cert.pem"), "--no-chain-check")


def test_delete_tells_first_what_would_be_lost(free: Client, token: Token, tmp_path: Path) -> None:
    made = generate(free, "--type", "ec:P-256", label="www")
    bind(free, made["uri"], tmp_path)
    before = token.snapshot()
    done = free.run("key", "delete", made["uri"], status=2)
    assert "CN=www.example.org" in done.stdout
    assert "nothing was destroyed: a key that is destroyed is gone for ever, and its certificates are of no use then" \
        in done.stderr and "add --yes" in done.stderr
    assert token.snapshot() == before


def test_delete_destroys_the_pair_and_leaves_the_certificate(free: Client, token: Token, tmp_path: Path) -> None:
    made = generate(free, "--type", "ec:P-256", label="www")
    generate(free, "--type", "ec:P-256", label="other")
    bind(free, made["uri"], tmp_path)
    gone = free.json("key", "delete", made["uri"], "--yes")
    assert gone["destroyed"] is True and len(gone["certificates"]) == 1
    left = token.objects()
    assert sorted(o["label"] for o in left) == ["other", "other", "www"]
    assert [o["kind"].split(" ")[0] for o in left if o["label"] == "www"] == ["Certificate"]


def test_delete_with_certificates_leaves_nothing(free: Client, token: Token, tmp_path: Path) -> None:
    made = generate(free, "--type", "ec:P-256", label="www")
    bind(free, made["uri"], tmp_path)
    free.run("key", "delete", made["uri"], "--yes", "--with-certificates")
    assert token.objects() == []
    assert "has no private key that matches" in free.run("key", "delete", made["uri"], "--yes", status=25).stderr


def test_delete_leaves_strangers_with_the_same_id(free: Client, token: Token) -> None:
    token.make_key("EC:prime256v1", "0a", "www")
    token.tool("--delete-object", "--type", "privkey", "--id", "0a")
    token.make_key("EC:secp384r1", "0a", "mine")
    gone = free.json("key", "delete", "pkcs11:object=mine", "--yes")
    assert gone["destroyed"] is True and gone["strangers"] == 1
    assert [(o["kind"].split(" ")[0], o["label"]) for o in token.objects()] == [("Public", "www")]


def test_delete_names_the_open_order(client: Client, token: Token) -> None:
    assert client.sandbox is not None
    client.sandbox.set(approval="manual")
    client.run("enroll", "--name", "waits.example.org", "--deadline", "0", status=11)
    uri = client.json("order", "show", "1")["key_uri"]
    refused = client.json("key", "delete", uri, status=2)
    assert [(o["order"], o["names"]) for o in refused["open_orders"]] == [(1, "waits.example.org")]
    assert "an open order needs it" in refused["error"]["message"]
    assert len(token.objects()) == 2


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_interrupted_delete_is_finished_by_the_next(free: Client, token: Token, tmp_path: Path, nth: int) -> None:
    made = generate(free, "--type", "ec:P-256", label="www")
    bind(free, made["uri"], tmp_path)
    free.rules(f"C_DestroyObject:{nth}:kill")
    free.run("key", "delete", made["uri"], "--yes", "--with-certificates", status=-9)
    free.no_rules()
    assert any(o["kind"].startswith("Certificate") for o in token.objects())
    free.run("key", "delete", made["uri"], "--yes", "--with-certificates")
    assert token.objects() == []


def certificate(token: Token, id_hex: str, label: str, path: Path, *, key: str | None = None,
                extension: str = "basicConstraints=critical,CA:FALSE") -> None:
    """A certificate object, self-signed; of a key on the token or of one that is nowhere."""
    pem, der, request = path / f"{label}.pem", path / f"{label}.der", path / f"{label}.csr"
    run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
         f"/CN={label}", "-addext", extension, "-keyout", str(path / "other.key"), "-out", str(pem), "-days", "9"])
    if key is not None:
        public = path / "public.pem"
        public.write_text(key)
        run(["openssl", "req", "-new", "-key", str(path / "other.key"), "-subj", "/CN=leaf", "-out", str(request)])
        run(["openssl", "x509", "-req", "-in", str(request), "-CA", str(pem), "-CAkey", str(path / "other.key"),
             "-force_pubkey", str(public), "-days", "5", "-out", str(path / "forced.pem")])
        pem = path / "forced.pem"
    run(["openssl", "x509", "-in", str(pem), "-outform", "DER", "-out", str(der)])
    token.tool("--write-object", str(der), "--type", "cert", "--id", id_hex, "--label", label)


def test_delete_spares_the_certificate_of_a_key_with_another_id(free: Client, token: Token, tmp_path: Path) -> None:
    token.make_key("EC:prime256v1", "01", "web")
    certificate(token, "02", "web-cert", tmp_path, key=free.run("key", "public", "pkcs11:object=web").stdout)
    before = token.snapshot()
    done = free.run("key", "delete", "pkcs11:object=web-cert", "--with-certificates", "--yes", status=27)
    assert "nothing was destroyed: the certificate 'web-cert' (id 02) on token 't1'" in done.stderr
    assert "belongs to the private key 'web' (id 01), which is there" in done.stderr
    assert token.snapshot() == before


def test_delete_takes_no_ca_certificate_for_a_rest(free: Client, token: Token, tmp_path: Path) -> None:
    certificate(token, "02", "issuer", tmp_path, extension="basicConstraints=critical,CA:TRUE")
    before = token.snapshot()
    done = free.run("key", "delete", "pkcs11:object=issuer", "--with-certificates", "--yes", status=25)
    assert "has no private key that matches" in done.stderr and token.snapshot() == before


def test_delete_notes_the_certificates_first(free: Client, token: Token, tmp_path: Path) -> None:
    made = generate(free, "--type", "ec:P-256", label="www")
    bind(free, made["uri"], tmp_path)
    free.run("key", "delete", made["uri"], "--yes", "--with-certificates")
    with sqlite3.connect(free.state / "journal.db") as journal:
        rows = journal.execute("SELECT r.label FROM bindings b JOIN replaced r ON r.binding_id = b.id"
                               " WHERE b.cert IS NULL").fetchall()
    assert rows == [("www",)] and token.objects() == []


def test_delete_that_fails_says_what_is_left(free: Client, token: Token) -> None:
    made = generate(free, "--type", "ec:P-256", label="www")
    free.rules("C_DestroyObject:1:fail=0x5")
    done = free.run("key", "delete", made["uri"], "--yes", status=29)
    assert "the public half: " in done.stderr and "CKR_GENERAL_ERROR" in done.stderr
    assert len(token.objects()) == 2


def test_delete_wants_the_key_to_be_named(free: Client, token: Token) -> None:
    generate(free, "--type", "ec:P-256", label="only")
    done = free.run("key", "delete", "pkcs11:token=t1", "--yes", status=2)
    assert "names a token and no key" in done.stderr and len(token.objects()) == 2


# Public CAs


@pytest.mark.parametrize("kind", ["ed25519", "ed448"])
def test_public_ca_gets_no_edwards_key(client: Client, token: Token, kind: str) -> None:
    client.set("profile:web", key_type=kind)
    done = client.run("enroll", "--name", "www.example.org", status=28)
    assert "keys get no publicly trusted certificate" in done.stderr and "public_trust = no" in done.stderr
    assert token.objects() == [] and client.json("order", "list")["orders"] == []


def test_edwards_key_that_is_there_is_refused_as_well(client: Client, token: Token) -> None:
    token.make_key("EC:edwards25519", "0a", "ed")
    done = client.run("enroll", "--name", "www.example.org", "--key", "pkcs11:object=ed", status=28)
    assert "Ed25519 keys get no publicly trusted certificate" in done.stderr


def test_policy_of_a_profile_makes_the_key_of_an_order(client: Client) -> None:
    client.set("policy:web", type="ec:P-256", label="order-{order}-{name}", modifiable="no")
    client.set("profile:web", key_type=None, policy="web")
    order = client.json("enroll", "--name", "www.example.org")
    shown = client.json("key", "show", order["key_uri"])
    assert shown["label"] == "order-1-www.example.org" and shown["policy_name"] == "web" and shown["policy"] == "kept"


def test_fallback_of_an_order_is_journaled(client: Client) -> None:
    client.rules(f"C_GenerateKeyPair:1:fail={INCONSISTENT}")
    client.set("policy:web", type="ec:P-256", more_usage="accept")
    client.set("profile:web", key_type=None, policy="web")
    done = client.run("enroll", "--name", "www.example.org", status=0)
    assert "it is asked again without CKA_DECRYPT" in done.stderr
    events = [e["text"] for e in client.json("order", "show", "1")["events"]]
    assert any("refused the template of the key (C_GenerateKeyPair: CKR_TEMPLATE_INCONSISTENT)" in e for e in events)


def test_id_rule_that_an_order_cannot_keep_is_refused_first(client: Client, token: Token) -> None:
    client.set("policy:web", type="ec:P-256", id="ski")
    client.set("profile:web", policy="web")
    done = client.run("enroll", "--name", "www.example.org", status=3)
    assert "policy 'web' has an id rule that is for 'key generate' alone" in done.stderr
    assert token.objects() == []


# Tokens in a bad state


def test_write_protected_token_is_refused_before_anything(free: Client, token: Token) -> None:
    generate(free, "--type", "ec:P-256", label="www")
    before = token.snapshot()
    log = free.rules(P11SHIM_FLAGS="2")
    for command in (("generate", "--label", "k"), ("delete", "pkcs11:object=www", "--yes"),
                    ("rename", "pkcs11:object=www", "--label", "x")):
        done = free.run("key", *command, status=29)
        assert "is write-protected" in done.stderr
    assert not {"C_GenerateKeyPair", "C_DestroyObject", "C_SetAttributeValue"} & set(calls(log))
    assert token.snapshot() == before


def test_full_token_leaves_nothing(free: Client, token: Token) -> None:
    free.rules("C_GenerateKeyPair:1:failafter=0x31")  # CKR_DEVICE_MEMORY, and the key is there all the same
    done = free.run("key", "generate", "--label", "k", "--type", "ec:P-256", status=29)
    assert "CKR_DEVICE_MEMORY" in done.stderr and "was destroyed again" in done.stderr
    assert token.objects() == []


def test_key_of_another_token_is_not_touched(free: Client, token: Token) -> None:
    token.add("second")
    generate(free, "--type", "ec:P-256", label="www")
    uri = free.json("key", "list")["keys"][0]["uri"].replace("token=t1", "token=second")
    done = free.run("key", "delete", uri, "--yes", "--pin-source", f"file:{token.pin_file}", status=None)
    assert done.returncode in (21, 25) and len(token.objects()) == 2


def test_list_does_not_grow_with_the_token(free: Client) -> None:
    """One search, one call per key."""
    for i in range(4):
        generate(free, "--type", "ec:P-256", label=f"k{i}")
    log = free.rules()
    assert len(free.json("key", "list")["keys"]) == 4
    assert len(calls(log, "C_FindObjectsInit")) == 1
    assert len(calls(log, "C_GetAttributeValue")) <= 2 * 4


def test_evidence_names_the_policy_and_what_was_left_out(free: Client, tmp_path: Path) -> None:
    free.rules(f"C_GenerateKeyPair:1:fail={INCONSISTENT}")
    free.set("policy:card", type="ec:P-256", more_usage="accept")
    out = tmp_path / "evidence.json"
    generate(free, "--policy", "card", "--evidence", str(out))
    statement = json.loads(out.read_text())["statement"]
    assert statement["policy"]["name"] == "card" and statement["policy"]["kept"] is True
    assert statement["policy"]["dropped_attributes"] == "CKA_DECRYPT, CKA_UNWRAP, CKA_SIGN_RECOVER, CKA_DERIVE"
