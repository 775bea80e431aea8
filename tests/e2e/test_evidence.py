"""Evidence about a key: what is collected, that anybody can check it, and that nothing wrong passes."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attest import FIRMWARE, POLICY, SERIAL, USUAL, Luna, YubiKey, pem, write
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key, pkcs7
from p11e import ROOT, Client, Token, calls, clean_env, need, run
from test_output import compare, shape

Json = dict[str, Any]


def made(client: Client, kind: str = "ec:P-256", label: str = "k") -> Json:
    return client.json("key", "generate", "--label", label, "--type", kind)


def collected(client: Client, uri: str, *args: str, name: str = "key.json") -> Path:
    path = client.dir / name
    client.run("key", "evidence", uri, "--out", str(path), *args)
    return path


def public_of(path: Path) -> Any:
    return load_der_public_key(base64.b64decode(json.loads(path.read_text())["statement"]["key"]["spki"]))


def certificates(text: bytes) -> list[x509.Certificate]:
    """All of a PEM file that has nothing else in it."""
    ends = text.split(b"-----END CERTIFICATE-----\n")
    assert ends.pop() == b""
    return [x509.load_pem_x509_certificate(part + b"-----END CERTIFICATE-----\n") for part in ends]


def spki_of(public: Any) -> bytes:
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def other_key() -> Any:
    return ec.generate_private_key(ec.SECP256R1()).public_key()


def results(client: Client, path: Path, *args: str, status: int = 0) -> dict[str, str]:
    """The result of each check."""
    answer = client.json("evidence", "verify", str(path), *args, status=status)
    return {c["check"]: c["result"] for c in answer["checks"]}


def details(client: Client, path: Path, *args: str, status: int = 0) -> dict[str, str]:
    answer = client.json("evidence", "verify", str(path), *args, status=status)
    return {c["check"]: c["detail"] for c in answer["checks"]}


def rewritten(path: Path, change: Callable[[Json], None], fix_hash: bool = False) -> Path:
    """A copy with something else in it; the hash of the statement mended if asked."""
    document = copy.deepcopy(json.loads(path.read_text()))
    change(document)
    if fix_hash:
        text = json.dumps(document["statement"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        document["statement_sha256"] = hashlib.sha256(text.encode()).hexdigest()
    changed = path.with_name("changed.json")
    changed.write_text(json.dumps(document))
    return changed


def manual_examples() -> dict[str, str]:
    """The literal blocks of the manual's EXAMPLES, by the sentence above."""
    text = (ROOT / "docs/man/p11enroll-evidence.1").read_text().split(".Sh EXAMPLES\n")[1].split(".Sh SEE ALSO")[0]
    return {title.strip().splitlines()[-1]: body
            for title, body in re.findall(r"(.*?)\.Bd -literal -offset indent\n(.*?)\.Ed", text, re.DOTALL)}


def example(words: str) -> str:
    return next(body for title, body in manual_examples().items() if words in title)


def shell(script: str, where: Path) -> subprocess.CompletedProcess[str]:
    return run(["sh", "-euc", script], cwd=where, env=clean_env(), check=False)


# What is collected


def test_document_is_as_recorded(offline: Client) -> None:
    path = collected(offline, made(offline)["uri"])
    document = json.loads(path.read_text())
    text = path.read_text()
    for value, mask in ((document["statement"]["module"]["file_sha256"], "MODULE"), (document["statement_sha256"], "HASH"),
                        (document["possession"]["nonce"], "NONCE"), (document["possession"]["signature"], "SIGNATURE"),
                        (document["statement"]["key"]["spki"], "SPKI"), (document["statement"]["key"]["id"], "ID"),
                        (document["statement"]["key"]["public_key_sha256"], "KEYHASH"),
                        (document["statement"]["token"]["serial"], "SERIAL"), (document["statement"]["created"], "TIME")):
        text = text.replace(value, mask)
    text = re.sub(r"id=(%[0-9A-F]{2})+", "id=ID", text)
    text = re.sub(r'("(?:firm|hard)ware_version"): "\d+\.\d+"', r'\1: "N.N"', text)
    compare("json/evidence-file.json", text)


def test_output_is_as_recorded(offline: Client) -> None:
    yubikey = YubiKey.made()
    key = made(offline)
    public = public_of(collected(offline, key["uri"], name="first.json"))
    yubikey.put(offline.token, yubikey.attest(public), key["id"])
    path = offline.dir / "e.json"
    answer = offline.json("key", "evidence", key["uri"], "--out", str(path))
    compare("json/key-evidence.json", json.dumps(shape(answer), indent=1) + "\n")
    verdict = offline.json("evidence", "verify", str(path), "--roots", str(yubikey.roots(offline.dir / "r.pem")))
    compare("json/evidence-verify.json", json.dumps(shape(verdict), indent=1) + "\n")

    def masked(text: str) -> str:
        text = re.sub(r"\b[0-9a-f]{64}\b", "SHA256", text.replace(str(offline.dir), "DIR"))
        text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME", text)
        return re.sub(r"serial [0-9a-f]{16}", "serial SERIAL", text)

    path.unlink()
    compare("human/key-evidence.txt", masked(offline.run("key", "evidence", key["uri"], "--out", str(path)).stdout))
    compare("human/evidence-verify.txt", masked(offline.run("evidence", "verify", str(path), "--roots",
                                                             str(offline.dir / "r.pem")).stdout))


def test_without_a_file_the_evidence_is_the_output(offline: Client) -> None:
    done = offline.run("key", "evidence", made(offline)["uri"])
    path = offline.dir / "piped.json"
    path.write_text(done.stdout)
    assert "failed" not in results(offline, path).values()


def test_a_file_is_not_written_over(offline: Client) -> None:
    key = made(offline)
    path = collected(offline, key["uri"])
    before = path.read_text()
    done = offline.run("key", "evidence", key["uri"], "--out", str(path), status=27)
    assert "is not written over" in done.stderr and path.read_text() == before


def test_dropped_claims_carry_the_modules_code(offline: Client) -> None:
    statement = json.loads(collected(offline, made(offline)["uri"]).read_text())["statement"]
    claims = statement["module_claims"]["attributes"]
    assert claims["CKA_UNIQUE_ID"] == {"not_shown": "CKR_ATTRIBUTE_TYPE_INVALID"}
    assert claims["CKA_SENSITIVE"] is True and claims["CKA_EXTRACTABLE"] is False
    assert claims["CKA_KEY_GEN_MECHANISM"] == "CKM_EC_KEY_PAIR_GEN"


def test_module_is_named_by_its_file_and_hash(offline: Client) -> None:
    module = json.loads(collected(offline, made(offline)["uri"]).read_text())["statement"]["module"]
    assert module["file"] == offline.token.module.name
    assert module["file_sha256"] == hashlib.sha256(offline.token.module.read_bytes()).hexdigest()


def test_secret_value_that_the_module_gives_is_told_and_not_kept(offline: Client, token: Token) -> None:
    token.tool("--keypairgen", "--key-type", "EC:prime256v1", "--id", "0a", "--label", "open", "--extractable")
    path = collected(offline, "pkcs11:object=open")
    secret = json.loads(path.read_text())["statement"]["module_claims"]["secret_value"]
    shown = results(offline, path, status=52)
    if secret["answer"] == "CKR_ATTRIBUTE_SENSITIVE":  # extractable, and sensitive all the same
        assert shown["secret_value"] == "ok" and shown["policy"] == "failed"
    else:
        assert secret == {"answer": "CKR_OK with 32 bytes", "attribute": "CKA_VALUE", "refused": False}
        assert shown["secret_value"] == shown["policy"] == "failed"


def policy_of(path: Path) -> Json:
    return json.loads(path.read_text())["statement"]["policy"]


def test_named_policy_judges(offline: Client) -> None:
    uri = made(offline)["uri"]
    kept = policy_of(collected(offline, uri, "--policy", "tls-server"))
    assert kept["name"] == "tls-server" and kept["kept"] is True
    offline.set("policy:strict", modifiable="no", type="ec:P-256")
    path = collected(offline, uri, "--policy", "strict", name="strict.json")
    broken = policy_of(path)
    assert broken["name"] == "strict" and broken["kept"] is False and "CKA_MODIFIABLE" in broken["violations"]
    assert "CKA_MODIFIABLE" in details(offline, path, status=52)["policy"]
    done = offline.run("key", "evidence", uri, "--policy", "nobody", status=3)
    assert "nobody" in done.stderr


def test_what_the_token_refused_is_told(offline: Client) -> None:
    first, second = offline.dir / "first.json", offline.dir / "second.json"
    offline.run("key", "generate", "--label", "a", "--type", "ec:P-256", "--evidence", str(first))
    assert policy_of(first)["dropped_attributes"] == ""
    offline.set("policy:loose", type="ec:P-256", more_usage="accept")
    offline.rules("C_GenerateKeyPair:1:fail=0xd1")  # CKR_TEMPLATE_INCONSISTENT: it is asked again for less
    offline.run("key", "generate", "--label", "b", "--policy", "loose", "--evidence", str(second))
    assert "CKA_DERIVE" in policy_of(second)["dropped_attributes"]


def test_label_that_is_no_text_is_made_readable(offline: Client) -> None:
    offline.run("key", "generate", "--label", os.fsdecode(b"bad\xff\x1b[31m"), "--type", "ec:P-256", "--id", "0c")
    path = collected(offline, "pkcs11:id=%0c")
    assert json.loads(path.read_text())["statement"]["key"]["label"] == "bad\\xff\\x1b[31m"
    shown = offline.run("evidence", "verify", str(path), status=None).stdout
    assert "\x1b" not in shown and "Proof of possession         ok" in shown


def test_it_takes_one_login(offline: Client) -> None:
    uri = made(offline)["uri"]
    log = offline.rules()
    offline.run("key", "evidence", uri)
    assert len(calls(log, "C_Login")) == 1 and len(calls(log, "C_SignInit")) == 1


def test_token_that_goes_away_meanwhile_is_an_error(offline: Client) -> None:
    uri = made(offline)["uri"]
    log = offline.rules()
    offline.run("key", "evidence", uri)
    reads = len(calls(log, "C_GetAttributeValue"))
    offline.rules(f"C_GetAttributeValue:{reads // 2}:fail=0x32")
    done = offline.run("key", "evidence", uri, "--out", str(offline.dir / "e.json"), status=21)
    assert "collecting evidence" in done.stderr and "CKR_DEVICE_REMOVED" in done.stderr
    assert not (offline.dir / "e.json").exists()


def test_token_that_was_exchanged_gets_no_pin(offline: Client, token: Token) -> None:
    uri = f"pkcs11:object={made(offline)['label']}"
    run(["softhsm2-util", "--delete-token", "--token", token.label], env=clean_env(**token.env))
    token.add(token.label)
    log = offline.rules()
    done = offline.run("key", "evidence", uri, status=21)
    assert "token accept" in done.stderr and calls(log, "C_Login") == []


# The check


@pytest.mark.parametrize("kind", ["rsa:2048", "ec:P-256", "ec:P-384", "ec:P-521", "ed25519"])
def test_every_kind_of_key_proves_itself(offline: Client, kind: str) -> None:
    if kind == "ed25519":
        offline.token.has_edwards_keys()
    path = collected(offline, made(offline, kind)["uri"])
    found = results(offline, path)
    assert found["possession"] == found["public_key"] == found["statement"] == found["policy"] == "ok"


def test_key_for_pss_alone_proves_itself(offline: Client) -> None:
    offline.token.make_special_key("rsa-pss:2048", "0b", "pss")
    path = collected(offline, "pkcs11:object=pss")
    document = json.loads(path.read_text())
    assert results(offline, path, status=None)["possession"] == "ok", document["possession"]["algorithm"]


@pytest.mark.parametrize("kind", ["ec:P-256", "rsa:2048"])
def test_the_manuals_commands_check_it_without_this_program(offline: Client, kind: str) -> None:
    reason = need("jq", "openssl")
    if reason is not None:
        pytest.skip(reason)
    path = collected(offline, made(offline, kind)["uri"])
    done = shell(example("for a P-256 or an RSA key"), path.parent)
    assert done.returncode == 0 and "Verified OK" in done.stdout, done.stderr
    computed, written = done.stdout.split()[0], done.stdout.splitlines()[1]
    assert computed == written and f"Statement SHA-256: {written}" in done.stdout


def test_the_manuals_commands_check_an_edwards_key(offline: Client) -> None:
    reason = need("jq", "openssl")
    if reason is not None:
        pytest.skip(reason)
    offline.token.has_edwards_keys()
    path = collected(offline, made(offline, "ed25519")["uri"])
    shell(example("for a P-256 or an RSA key"), path.parent)  # stops at the signature, with the files made
    done = shell(example("For an Ed25519 key"), path.parent)
    assert done.returncode == 0 and "Signature Verified Successfully" in done.stdout, done.stderr


def test_the_manuals_commands_check_a_yubikeys_attestation(offline: Client) -> None:
    reason = need("jq", "openssl")
    if reason is not None:
        pytest.skip(reason)
    yubikey, key = YubiKey.made(), made(offline)
    public = public_of(collected(offline, key["uri"], name="first.json"))
    yubikey.put(offline.token, yubikey.attest(public), key["id"])
    path = collected(offline, key["uri"])
    yubikey.roots(offline.dir / "yubico-roots.pem")
    first = shell(example("for a P-256 or an RSA key"), path.parent)
    done = shell(example("leads to a root"), path.parent)
    assert first.returncode == done.returncode == 0 and "attestation.pem: OK" in done.stdout, done.stderr


def change_claim(d: Json) -> None:
    d["statement"]["module_claims"]["attributes"]["CKA_EXTRACTABLE"] = True


def change_serial(d: Json) -> None:
    d["statement"]["token"]["serial"] = "1"


def change_time(d: Json) -> None:
    d["statement"]["created"] = "2020-01-01T00:00:00Z"


def change_key(d: Json) -> None:
    spki = spki_of(other_key())
    d["statement"]["key"].update(spki=base64.b64encode(spki).decode(), public_key_sha256=hashlib.sha256(spki).hexdigest())


def change_spki_alone(d: Json) -> None:
    spki = spki_of(other_key())
    d["statement"]["key"]["spki"] = base64.b64encode(spki).decode()


def change_type(d: Json) -> None:
    d["statement"]["key"]["type"] = "RSA-4096"


def change_challenge(d: Json) -> None:
    d["possession"]["challenge"] += "I owe you 1000.\n"


def change_signature(d: Json) -> None:
    signature = bytearray(base64.b64decode(d["possession"]["signature"]))
    signature[-1] ^= 1
    d["possession"]["signature"] = base64.b64encode(signature).decode()


def change_algorithm(d: Json) -> None:
    d["possession"]["algorithm"] = "rsa-pkcs1-sha256"


def empty_possession(d: Json) -> None:
    d["possession"] = {}


def shorten_nonce(d: Json) -> None:
    d["possession"]["nonce"] = ""


@pytest.mark.parametrize(("change", "fix_hash", "fails"), [
    (change_claim, False, {"statement"}),
    (change_claim, True, {"challenge"}),
    (change_serial, True, {"challenge"}),
    (change_time, True, {"challenge"}),
    (change_key, True, {"challenge", "possession"}),
    (change_spki_alone, True, {"public_key", "challenge"}),
    (change_type, True, {"public_key", "challenge"}),
    (change_challenge, False, {"challenge", "possession"}),
    (change_signature, False, {"possession"}),
    (change_algorithm, False, {"possession"}),
    (empty_possession, False, {"challenge", "possession"}),
    (shorten_nonce, False, {"challenge"}),
], ids=lambda v: v.__name__ if callable(v) else "")
def test_what_was_changed_is_found(offline: Client, change: Callable[[Json], None], fix_hash: bool,
                                   fails: set[str]) -> None:
    path = rewritten(collected(offline, made(offline)["uri"]), change, fix_hash)
    found = results(offline, path, status=52)
    assert {name for name, result in found.items() if result == "failed"} >= fails
    if change is change_claim and not fix_hash:
        assert found["possession"] == "ok"


def test_white_space_and_order_do_not_matter(offline: Client) -> None:
    path = collected(offline, made(offline)["uri"])
    document = json.loads(path.read_text())
    path.write_text(json.dumps(dict(reversed(document.items())), indent=7))
    assert "failed" not in results(offline, path).values()


def test_request_and_certificate_of_the_key_and_of_another(client: Client, tmp_path: Path) -> None:
    assert client.sandbox is not None
    mine, other = made(client), made(client, label="other")
    path = collected(client, mine["uri"])
    files = {}
    for name, key in (("mine", mine), ("other", other)):
        csr = client.run("csr", "create", key["uri"], "--name", "www.example.org").stdout
        files[name] = (tmp_path / f"{name}.csr", tmp_path / f"{name}.pem")
        files[name][0].write_text(csr)
        answer = client.sandbox.sign(csr, ["www.example.org"])
        files[name][1].write_text(answer["chain"] + answer["cert"])  # issuers first: the place means nothing
    found = results(client, path, "--csr", str(files["mine"][0]), "--cert", str(files["mine"][1]))
    assert found["csr"] == found["certificate"] == "ok"
    found = results(client, path, "--csr", str(files["other"][0]), "--cert", str(files["other"][1]), status=52)
    assert found["csr"] == found["certificate"] == "failed"


@pytest.mark.parametrize("text", [
    "", "{", "[]", "null", '{"p11enroll_evidence": 2}', '{"p11enroll_evidence": "x"}', "[" * 100,
    '{"p11enroll_evidence": 1, "a": "' + "x" * (1 << 20) + '"}'], ids=range(8))
def test_what_is_no_evidence_is_refused(offline: Client, tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    done = offline.run("evidence", "verify", str(path), status=None)
    assert done.returncode in (4, 52) and "bad.json" in done.stderr, done.stderr


@pytest.mark.parametrize(("statement", "possession"), [
    ("[]", "7"), ("{}", "{}"), ('{"a": null}', "[]"), ('{"key": {"spki": "AAAA"}, "device_attests": {"attested": true}}', "{}")],
    ids=range(4))
def test_what_lacks_parts_fails_each_check(offline: Client, tmp_path: Path, statement: str, possession: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text('{"p11enroll_evidence": 1, "statement_sha256": "", '
                    f'"statement": {statement}, "possession": {possession}}}')
    found = results(offline, path, status=52)
    assert "ok" not in found.values()


@pytest.mark.parametrize(("old", "new", "words"), [
    ('"statement":', '"statement": {}, "statement":', "'statement' is there twice"),
    ('"statement":', '"note": "attested by a notary", "statement":', "'note' has no place"),
    ('"possession":', '"Possession": {}, "possession":', "'Possession' has no place"),
    ('"nonce":', '"nonce": "00", "nonce":', "'nonce' is there twice"),
    ('"nonce":', '"note": "00", "nonce":', "'note' has no place"),
    ('"attested":', '"attested": true, "attested":', "'attested' is there twice"),
    ('"possession":', '"nobody":', "'nobody' has no place"),
    ('"p11enroll_evidence": 1', '"p11enroll_evidence": 1.5', "no evidence file"),
], ids=range(8))
def test_fields_that_others_might_read_otherwise_are_refused(offline: Client, old: str, new: str, words: str) -> None:
    path = collected(offline, made(offline)["uri"])
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    done = offline.run("evidence", "verify", str(path), status=52)
    assert words in done.stderr and "Proof of possession" not in done.stdout


def test_field_that_is_missing_is_named(offline: Client) -> None:
    path = collected(offline, made(offline)["uri"])

    def drop(d: Json) -> None:
        del d["possession"]

    assert "'possession' is missing" in offline.run("evidence", "verify", str(rewritten(path, drop)), status=52).stderr


@pytest.mark.parametrize(("one", "two", "other"), [
    ("--out", "--attestation-out", "x"), ("--out", "--payload-out", "sub/../x"), ("--attestation-out", "--payload-out", "link/x"),
], ids=["same", "dots", "link"])
def test_two_results_in_one_file_are_refused(offline: Client, one: str, two: str, other: str) -> None:
    uri = made(offline)["uri"]
    (offline.dir / "sub").mkdir()
    (offline.dir / "link").symlink_to(offline.dir)
    before = sorted(offline.dir.iterdir())
    path = offline.dir / "x"
    done = offline.run("key", "evidence", uri, one, str(path), two, f"{offline.dir}/{other}", status=2)
    assert f"{one} and {two} are the same file" in done.stderr and sorted(offline.dir.iterdir()) == before


# Attestation


def test_no_attestation_is_said_plainly(offline: Client) -> None:
    uri = made(offline)["uri"]
    path = collected(offline, uri)
    attests = json.loads(path.read_text())["statement"]["device_attests"]
    assert attests["attested"] is False and len(attests["other_methods"]) == 6 and "module's word" in attests["reason"]
    assert results(offline, path)["attestation"] == "not checked"


def test_attestation_that_is_required_and_missing_is_a_failure(offline: Client) -> None:
    uri = made(offline)["uri"]
    out = offline.dir / "e.json"
    done = offline.run("key", "evidence", uri, "--require-attestation", "--out", str(out), status=52)
    assert "shows no attestation of key 'k'" in done.stderr and not out.exists()
    done = offline.run("key", "evidence", uri, "--payload-out", str(offline.dir / "p"), "--out", str(out), status=52)
    assert "nothing to send" in done.stderr and not out.exists() and not (offline.dir / "p").exists()


def test_roots_without_attestation_are_a_failure(offline: Client) -> None:
    path = collected(offline, made(offline)["uri"])
    roots = YubiKey.made().roots(offline.dir / "roots.pem")
    assert results(offline, path, "--roots", str(roots), status=52)["attestation"] == "failed"


@pytest.fixture
def attested(offline: Client) -> tuple[Client, YubiKey, Json]:
    """A key with the certificate objects that ykcs11 shows beside it."""
    yubikey, key = YubiKey.made(), made(offline)
    public = public_of(collected(offline, key["uri"], name="first.json"))
    yubikey.put(offline.token, yubikey.attest(public), key["id"])
    return offline, yubikey, key


def test_yubikey_is_collected_and_read(attested: tuple[Client, YubiKey, Json]) -> None:
    client, yubikey, key = attested
    path = collected(client, key["uri"], "--require-attestation")
    attests = json.loads(path.read_text())["statement"]["device_attests"]
    assert attests["form"] == "yubikey-piv" and attests["facts"] == {
        "firmware": "5.4.3", "serial": "12345678", "pin_policy": "once per session", "touch_policy": "never",
        "form_factor": "USB-C keychain, FIPS series", "slot": "9c"}
    found = results(client, path, "--roots", str(yubikey.roots(client.dir / "roots.pem")))
    assert found["attestation"] == found["attestation_chain"] == "ok"


def test_yubikey_is_not_trusted_without_its_makers_root(attested: tuple[Client, YubiKey, Json]) -> None:
    client, yubikey, key = attested
    path = collected(client, key["uri"])
    assert results(client, path)["attestation_chain"] == "not checked"
    stranger = YubiKey.made().roots(client.dir / "stranger.pem")
    assert results(client, path, "--roots", str(stranger), status=52)["attestation_chain"] == "failed"
    middle = client.dir / "f9.pem"  # one that is not self-signed is no root
    middle.write_text(pem(yubikey.f9.cert))
    done = client.run("evidence", "verify", str(path), "--roots", str(middle), status=3)
    assert "no self-signed root" in done.stderr


def test_payload_for_sectigo_is_base64_of_two_certificates(attested: tuple[Client, YubiKey, Json]) -> None:
    client, yubikey, key = attested
    payload, raw = client.dir / "payload.txt", client.dir / "raw.pem"
    collected(client, key["uri"], "--payload-out", str(payload), "--attestation-out", str(raw))
    text = payload.read_text()
    assert "\n" not in text and "-----" not in text
    bundle = base64.b64decode(text, validate=True)
    certs = certificates(bundle)
    csr = x509.load_pem_x509_csr(client.run("csr", "create", key["uri"], "--name", "a.example").stdout.encode())
    assert len(certs) == 2 and spki_of(certs[0].public_key()) == spki_of(csr.public_key()) and certs[1] == yubikey.f9.cert
    assert certificates(raw.read_bytes()) == certs


def test_attestation_of_another_key_with_the_same_id_is_refused(offline: Client) -> None:
    yubikey, key = YubiKey.made(), made(offline)
    yubikey.put(offline.token, yubikey.attest(other_key()), key["id"])
    done = offline.run("key", "evidence", key["uri"], status=52)
    assert "it is of another key" in done.stderr


def test_attestation_without_slot_f9_is_refused(offline: Client) -> None:
    yubikey, key = YubiKey.made(), made(offline)
    public = public_of(collected(offline, key["uri"], name="first.json"))
    yubikey.put(offline.token, yubikey.attest(public), key["id"], with_f9=False)
    done = offline.run("key", "evidence", key["uri"], status=52)
    assert "no certificate of slot f9" in done.stderr


def test_certificate_that_is_no_attestation_is_none(offline: Client) -> None:
    yubikey, key = YubiKey.made(), made(offline)
    public = public_of(collected(offline, key["uri"], name="first.json"))
    write(offline.token, yubikey.f9.sign("www", public), key["id"], "k")
    attests = json.loads(collected(offline, key["uri"]).read_text())["statement"]["device_attests"]
    assert attests["attested"] is False


@pytest.mark.parametrize(("extensions", "words"), [
    ({**USUAL, FIRMWARE: b"\x05"}, "firmware version of 1 bytes"),
    ({**USUAL, SERIAL: b"\x02\x84\xff\xff\xff\xff\x01"}, "serial number of 7 bytes"),
    ({**USUAL, SERIAL: b"\x02\x01\xff"}, "serial number of 3 bytes"),
    ({**USUAL, POLICY: b""}, "PIN and touch policy of 0 bytes"),
], ids=["firmware", "length", "negative", "policy"])
def test_extensions_that_are_malformed_are_refused(offline: Client, tmp_path: Path, extensions: dict[int, bytes],
                                                   words: str) -> None:
    yubikey, key = YubiKey.made(), made(offline)
    public = public_of(collected(offline, key["uri"], name="first.json"))
    path = tmp_path / "a.pem"
    path.write_text(pem(yubikey.attest(public, extensions=extensions), yubikey.f9.cert))
    done = offline.run("key", "evidence", key["uri"], "--attestation", str(path), status=52)
    assert words in done.stderr and "YubiKey" in done.stderr


def test_attestation_that_was_exchanged_in_the_file_is_found(attested: tuple[Client, YubiKey, Json]) -> None:
    client, yubikey, key = attested
    path = collected(client, key["uri"])

    def exchange(d: Json) -> None:
        raw = pem(yubikey.attest(other_key()), yubikey.f9.cert).encode()
        d["statement"]["device_attests"].update(raw=base64.b64encode(raw).decode(),
                                                raw_sha256=hashlib.sha256(raw).hexdigest())

    def lie(d: Json) -> None:
        d["statement"]["device_attests"]["facts"]["pin_policy"] = "always"

    told = details(client, rewritten(path, exchange, True), status=52)
    assert "another key" in told["attestation"]
    told = details(client, rewritten(path, lie, True), status=52)
    assert "pin_policy" in told["attestation"]


@pytest.mark.parametrize(("form", "variant", "count"), [("chrysalis", "Chrysalis-ITS", 5), ("trustcenter", "TC-TrustCenter", 3)])
def test_luna_confirmation_is_read_and_passed_on(offline: Client, form: str, variant: str, count: int) -> None:
    luna, key = Luna.made(), made(offline, "rsa:2048")
    public = public_of(collected(offline, key["uri"], name="first.json"))
    file = offline.dir / "key.p7b"
    file.write_bytes(getattr(luna, form)(public))
    payload, raw = offline.dir / "payload.txt", offline.dir / "raw.p7b"
    path = collected(offline, key["uri"], "--attestation", str(file), "--payload-out", str(payload),
                     "--attestation-out", str(raw))
    facts = json.loads(path.read_text())["statement"]["device_attests"]["facts"]
    assert facts["variant"] == variant and facts["certificates"] == str(count)
    assert base64.b64decode(payload.read_text(), validate=True) == raw.read_bytes() == file.read_bytes()
    found = results(offline, path, "--roots", str(luna.roots(offline.dir / "roots.pem")), status=None)
    # three certificates end below the level that the root signed
    assert found["attestation"] == "ok" and found["attestation_chain"] == ("ok" if count == 5 else "failed")


def test_luna_confirmation_of_another_key_is_refused(offline: Client) -> None:
    file = offline.dir / "key.p7b"
    key = made(offline)
    file.write_bytes(Luna.made().chrysalis(other_key()))
    done = offline.run("key", "evidence", key["uri"], "--attestation", str(file), status=52)
    assert "is of another key than 'k'" in done.stderr


@pytest.mark.parametrize(("data", "form"), [
    (b"\x67\x82\x01\x00" + bytes(256), "smartcard-hsm"), (b"\x7f\x21\x82\x01\x00" + bytes(256), "smartcard-hsm"),
    (b' {"nfkm": {}}', "nshield"), (b"\x1f\x8b\x08\x00" + bytes(20), "google-cloud-hsm"),
    (b"<?xml version='1.0'?><a/>", "securosys-primus"), (b"whatever", "other")], ids=range(6))
def test_other_forms_are_stored_and_not_believed(offline: Client, data: bytes, form: str) -> None:
    file = offline.dir / "attestation"
    key = made(offline)
    file.write_bytes(data)
    path = collected(offline, key["uri"], "--attestation", str(file))
    attests = json.loads(path.read_text())["statement"]["device_attests"]
    assert attests["form"] == form and base64.b64decode(attests["raw"]) == data and attests["read"] is False
    assert attests["raw_sha256"] == hashlib.sha256(data).hexdigest()
    assert results(offline, path)["attestation"] == "not checked"
    roots = YubiKey.made().roots(offline.dir / "roots.pem")
    assert results(offline, path, "--roots", str(roots), status=52)["attestation"] == "failed"
    done = offline.run("key", "evidence", key["uri"], "--attestation", str(file), "--payload-out",
                       str(offline.dir / "p"), status=52)
    assert "is not known" in done.stderr


def raw_of(data: bytes, **more: Any) -> Json:
    return {"raw": base64.b64encode(data).decode(), "raw_sha256": hashlib.sha256(data).hexdigest(), **more}


LUNA_SAYS = {"attested": True, "form": "luna-pkc", "device": "Thales Luna (public-key confirmation)", "read": True,
             "proves": "the Luna HSM made the key itself, and keeps it in hardware"}


def test_yubikeys_attestation_is_no_confirmation_by_a_luna(attested: tuple[Client, YubiKey, Json]) -> None:
    """The file does not choose by whose rules the attestation in it is read."""
    client, yubikey, key = attested
    path = collected(client, key["uri"])
    roots = str(yubikey.roots(client.dir / "roots.pem"))
    certs = [yubikey.attest(public_of(path)), yubikey.f9.cert, YubiKey.made().f9.cert]
    data = pkcs7.serialize_certificates(certs, Encoding.DER)

    def call_it_luna(d: Json) -> None:
        d["statement"]["device_attests"] = raw_of(data, **LUNA_SAYS, facts={
            "variant": "TC-TrustCenter", "certificates": "3", "root_included": "no"})

    told = details(client, rewritten(path, call_it_luna, True), "--roots", roots, status=52)
    assert "calls it 'luna-pkc', and what is in it has the form 'other'" in told["attestation"]
    file = client.dir / "a.p7b"
    file.write_bytes(data)
    done = client.run("key", "evidence", key["uri"], "--attestation", str(file), "--require-attestation", status=52)
    assert "its form is not known" in done.stderr


@pytest.mark.parametrize("count", [1, 2, 3, 4], ids=lambda c: f"{c}_certificates")
def test_luna_confirmation_of_no_known_variant_is_no_proof(offline: Client, count: int) -> None:
    """Certificates with a root, and not five of them."""
    luna, key = Luna.made(), made(offline)
    public = public_of(collected(offline, key["uri"], name="first.json"))
    issuers = [s.cert for s in luna.levels[:count - 1]]
    file = offline.dir / "key.p7b"
    file.write_bytes(pkcs7.serialize_certificates([luna.levels[count - 2].sign("PKC", public) if issuers else luna.confirm(public),
                                                   *issuers], Encoding.DER))
    roots = str(luna.roots(offline.dir / "roots.pem"))
    path = collected(offline, key["uri"], "--attestation", str(file))
    assert results(offline, path)["attestation"] == "not checked"
    told = details(offline, path, "--roots", roots, status=52)
    assert "no known variant" in told["attestation"] and "no attestation to follow" in told["attestation_chain"]
    done = offline.run("key", "evidence", key["uri"], "--attestation", str(file), "--require-attestation", status=52)
    assert "no known variant" in done.stderr


def test_luna_confirmation_with_two_ends_is_no_proof(offline: Client) -> None:
    luna, key = Luna.made(), made(offline)
    public = public_of(collected(offline, key["uri"], name="first.json"))
    certs = [luna.confirm(public), YubiKey.made().f9.cert, *(s.cert for s in luna.levels[:3])]
    file = offline.dir / "key.p7b"
    file.write_bytes(pkcs7.serialize_certificates(certs, Encoding.DER))
    path = collected(offline, key["uri"], "--attestation", str(file))
    assert "no known variant" in details(offline, path, "--roots", str(luna.roots(offline.dir / "r.pem")), status=52)["attestation"]


def test_roots_are_of_the_maker_that_is_named(offline: Client) -> None:
    luna, key = Luna.made(), made(offline)
    public = public_of(collected(offline, key["uri"], name="first.json"))
    file = offline.dir / "key.p7b"
    file.write_bytes(luna.chrysalis(public))
    path = collected(offline, key["uri"], "--attestation", str(file))
    roots = ["--roots", str(luna.roots(offline.dir / "roots.pem"))]
    assert "the roots given are taken for a Thales Luna" in details(offline, path, *roots)["attestation_chain"]
    assert "taken for" not in details(offline, path, *roots, "--device", "luna-pkc")["attestation_chain"]
    found = results(offline, path, *roots, "--device", "yubikey-piv", status=52)
    assert found["attestation"] == "ok" and found["attestation_chain"] == "failed"
    told = details(offline, path, *roots, "--device", "yubikey-piv", status=52)["attestation_chain"]
    assert "those for a YubiKey" in told and "of the form of a Thales Luna" in told


def test_roots_that_are_not_there_are_named_also_if_nothing_attests(offline: Client) -> None:
    path, roots = collected(offline, made(offline)["uri"]), offline.dir / "maker.pem"
    done = offline.run("evidence", "verify", str(path), "--roots", str(roots), status=4)
    assert f"--roots: opening {roots}: No such file" in done.stderr and "Verdict" not in done.stdout


@pytest.mark.parametrize(("args", "words"), [
    (["--device", "luna-pkc"], "--roots is missing"), (["--roots", "r", "--device", "nshield"], "yubikey-piv, luna-pkc, yubihsm2"),
    (["--roots", "r", "--device", ""], "none of the forms")], ids=["no_roots", "stored", "empty"])
def test_maker_of_the_roots_must_be_one(offline: Client, args: list[str], words: str) -> None:
    path = collected(offline, made(offline)["uri"])
    assert words in offline.run("evidence", "verify", str(path), *args, status=2).stderr


@pytest.mark.parametrize(("field", "value"), [
    ("device", "Thales Luna"), ("proves", "the key is in a vault"), ("read", False), ("note", "certified"),
    ("facts", {"certified": "FIPS 140"}), ("facts", None)], ids=["device", "proves", "read", "note", "facts", "no_facts"])
def test_what_the_device_did_not_say_is_found(attested: tuple[Client, YubiKey, Json], field: str, value: Any) -> None:
    client, yubikey, key = attested
    path = collected(client, key["uri"])

    def lie(d: Json) -> None:
        attests = d["statement"]["device_attests"]
        attests[field] = {**attests[field], **value} if isinstance(value, dict) else value

    roots = ["--roots", str(yubikey.roots(client.dir / "roots.pem"))]
    assert results(client, path, *roots)["attestation"] == "ok"
    assert results(client, rewritten(path, lie, True), *roots, status=52)["attestation"] == "failed"


@pytest.mark.parametrize("stored", [False, True], ids=["none", "stored"])
def test_facts_without_an_attestation_that_was_read_are_found(offline: Client, stored: bool) -> None:
    key, file = made(offline), offline.dir / "cvc"
    file.write_bytes(b"\x67\x03\x01\x02\x03")
    path = collected(offline, key["uri"], *(["--attestation", str(file)] if stored else []))

    def lie(d: Json) -> None:
        d["statement"]["device_attests"]["facts"] = {"certified": "FIPS 140"}

    assert results(offline, path)["attestation"] == "not checked"
    assert results(offline, rewritten(path, lie, True), status=52)["attestation"] == "failed"


GENERATED, IMPORTED, REIMPORTED = b"\x03\x02\x00\x01", b"\x03\x02\x00\x02", b"\x03\x02\x00\x11"


def yubihsm(maker: YubiKey, of: Any, origin: bytes | None = GENERATED) -> str:
    extensions = {1: b"\x04\x03\x02\x04\x01", **({3: origin} if origin is not None else {})}
    return pem(maker.attest(of, extensions=extensions, arc="1.3.6.1.4.1.41482.4."), maker.f9.cert)


@pytest.mark.parametrize(("origin", "fact", "words"), [
    (IMPORTED, "imported", "was imported"), (REIMPORTED, "imported under wrap", "was imported"),
    (b"\x03\x02\x00\x00", "unknown", "known way"), (None, None, "does not say whether")],
    ids=["imported", "reimported", "unknown", "missing"])
def test_yubihsm_key_that_was_imported_is_not_attested(offline: Client, origin: bytes | None, fact: str | None,
                                                       words: str) -> None:
    maker, key = YubiKey.made(), made(offline)
    file = offline.dir / "a.pem"
    file.write_text(yubihsm(maker, public_of(collected(offline, key["uri"], name="first.json")), origin))
    path = collected(offline, key["uri"], "--attestation", str(file))
    assert json.loads(path.read_text())["statement"]["device_attests"]["facts"].get("origin") == fact
    assert results(offline, path)["attestation"] == "not checked"
    told = details(offline, path, "--roots", str(maker.roots(offline.dir / "roots.pem")), status=52)
    assert words in told["attestation"] and "no attestation to follow" in told["attestation_chain"]
    done = offline.run("key", "evidence", key["uri"], "--attestation", str(file), "--require-attestation", status=52)
    assert "is not the one that is required" in done.stderr and words in done.stderr
    (offline.dir / "again.json").unlink(missing_ok=True)
    answer = offline.json("key", "evidence", key["uri"], "--attestation", str(file), "--out", str(offline.dir / "again.json"))
    assert words in answer["device_attests"]["no_proof"]


def test_yubihsm_origin_that_is_malformed_is_refused(offline: Client) -> None:
    maker, key = YubiKey.made(), made(offline)
    file = offline.dir / "a.pem"
    file.write_text(yubihsm(maker, public_of(collected(offline, key["uri"], name="first.json")), b"\x03\x09\x00\x01"))
    done = offline.run("key", "evidence", key["uri"], "--attestation", str(file), status=52)
    assert "origin of 4 bytes that is malformed" in done.stderr


def test_yubihsm_is_compared_with_the_key(offline: Client) -> None:
    maker, key = YubiKey.made(), made(offline)
    public = public_of(collected(offline, key["uri"], name="first.json"))
    file = offline.dir / "a.pem"
    file.write_text(yubihsm(maker, public))
    path = collected(offline, key["uri"], "--attestation", str(file))
    found = results(offline, path, "--roots", str(maker.roots(offline.dir / "roots.pem")))
    assert found["attestation"] == found["attestation_chain"] == "ok"
    file.write_text(yubihsm(maker, other_key()))
    done = offline.run("key", "evidence", key["uri"], "--attestation", str(file), status=52)
    assert "is of another key" in done.stderr


# Right after the key was made, and before anything is bound


def test_generate_collects_it(offline: Client) -> None:
    path = offline.dir / "new.json"
    answer = offline.json("key", "generate", "--label", "k", "--type", "ec:P-256", "--evidence", str(path))
    assert answer["evidence_file"] == str(path)
    assert json.loads(path.read_text())["statement"]["key"]["id"] == answer["id"]
    assert "failed" not in results(offline, path).values()


def test_generate_makes_no_key_if_the_evidence_has_no_place(offline: Client) -> None:
    there = offline.dir / "there.json"
    there.write_text("")
    for path, status in ((there, 27), (offline.dir / "no/such/dir.json", 4)):
        offline.run("key", "generate", "--label", "k", "--type", "ec:P-256", "--evidence", str(path), status=status)
    assert offline.json("key", "list")["keys"] == []


def test_key_without_the_evidence_that_was_wanted_is_said(offline: Client) -> None:
    path = offline.dir / "new.json"
    offline.rules("C_Sign:1:fail=0x5")
    done = offline.run("key", "generate", "--label", "k", "--type", "ec:P-256", "--evidence", str(path), status=None)
    assert done.returncode not in (0, 27) and "the key was made, and there is no evidence of it" in done.stderr
    assert "proof of possession" in done.stderr and not path.exists()
    offline.no_rules()
    offline.run("key", "evidence", "pkcs11:object=k", "--out", str(path))


def test_enroll_collects_it_before_the_request(client: Client) -> None:
    client.set("profile:web", evidence_dir=str(client.dir / "evidence"))
    answer = client.json("enroll", "--name", "www.example.org", "--cert-out", str(client.dir / "c.pem"))
    assert answer["state"] == "done"
    files = list((client.dir / "evidence").iterdir())
    assert len(files) == 1
    found = results(client, files[0], "--cert", str(client.dir / "c.pem"))
    assert found["certificate"] == "ok" and "failed" not in found.values()


def only_evidence(client: Client) -> Path:
    files = list((client.dir / "evidence").iterdir())
    assert len(files) == 1
    return files[0]


def wants_evidence_of_a_loose_key(client: Client) -> None:
    client.set("policy:loose", type="ec:P-256", more_usage="accept")
    client.set("profile:web", evidence_dir=str(client.dir / "evidence"), policy="loose")


def test_enroll_tells_what_the_token_refused(client: Client) -> None:
    wants_evidence_of_a_loose_key(client)
    client.run("enroll", "--name", "a.example.org")
    assert policy_of(only_evidence(client))["dropped_attributes"] == ""
    only_evidence(client).unlink()
    client.rules("C_GenerateKeyPair:1:fail=0xd1")  # CKR_TEMPLATE_INCONSISTENT: it is asked again for less
    client.run("enroll", "--name", "b.example.org")
    assert "CKA_DERIVE" in policy_of(only_evidence(client))["dropped_attributes"]


def test_enroll_that_was_killed_still_knows_what_the_token_refused(client: Client) -> None:
    wants_evidence_of_a_loose_key(client)
    client.rules("C_GenerateKeyPair:1:fail=0xd1,C_GenerateKeyPair:2:killafter")
    client.run("enroll", "--name", "www.example.org", status=-9)
    assert not (client.dir / "evidence").exists()
    client.no_rules()
    client.run("enroll", "--name", "www.example.org")
    assert len(client.json("key", "list")["keys"]) == 1
    assert "CKA_DERIVE" in policy_of(only_evidence(client))["dropped_attributes"]


def test_enroll_orders_nothing_without_the_attestation_it_needs(client: Client) -> None:
    assert client.sandbox is not None
    client.set("profile:web", evidence_dir=str(client.dir / "evidence"), require_attestation="yes")
    done = client.run("enroll", "--name", "www.example.org", status=52)
    assert "shows no attestation" in done.stderr
    assert client.sandbox.posts() == 0 and client.json("order", "list")["orders"][0]["state"] == "planned"


def test_order_goes_on_once_the_attestation_is_there(client: Client) -> None:
    client.set("profile:web", evidence_dir=str(client.dir / "evidence"), require_attestation="yes")
    client.run("enroll", "--name", "www.example.org", status=52)
    yubikey = YubiKey.made()
    key = client.json("key", "list")["keys"][0]
    public = public_of(collected(client, key["uri"], name="first.json"))
    yubikey.put(client.token, yubikey.attest(public), key["id"])
    assert client.json("enroll", "--name", "www.example.org")["state"] == "done"
    path = client.dir / "evidence" / f"{key['id']}.json"
    assert results(client, path, "--roots", str(yubikey.roots(client.dir / "r.pem")))["attestation_chain"] == "ok"


def test_order_is_not_bound_without_its_evidence(client: Client) -> None:
    assert client.sandbox is not None
    client.set("profile:web", evidence_dir=str(client.dir / "evidence"))
    client.sandbox.set(approval="manual")
    client.run("enroll", "--name", "www.example.org", "--deadline", "0", status=11)
    path = next((client.dir / "evidence").iterdir())
    kept = path.rename(client.dir / "moved.json")
    client.sandbox.ask("POST", f"/orders/{client.sandbox.orders()[0]['id']}/approve", {})
    done = client.run("order", "wait", "1", status=52)
    assert "wants evidence of key" in done.stderr and "p11enroll key evidence" in done.stderr
    kept.rename(path)
    assert client.json("order", "wait", "1")["state"] == "done"


def test_bind_wants_the_evidence_as_well(client: Client, tmp_path: Path) -> None:
    assert client.sandbox is not None
    key = made(client)
    csr = client.run("csr", "create", key["uri"], "--name", "www.example.org").stdout
    answer = client.sandbox.sign(csr, ["www.example.org"])
    cert = tmp_path / "cert.pem"
    cert.write_text(answer["cert"] + answer["chain"])
    client.set("profile:web", evidence_dir=str(client.dir / "evidence"))
    before = client.token.snapshot()
    done = client.run("cert", "bind", "--key", key["uri"], "--cert", str(cert), status=52)
    assert "wants evidence of key 'k'" in done.stderr and client.token.snapshot() == before
    (client.dir / "evidence").mkdir()
    other = made(client, label="other")
    path = client.dir / "evidence" / f"{key['id']}.json"
    client.run("key", "evidence", other["uri"], "--out", str(path))
    done = client.run("cert", "bind", "--key", key["uri"], "--cert", str(cert), status=52)
    assert "is evidence of another key" in done.stderr
    os.unlink(path)
    client.run("key", "evidence", key["uri"], "--out", str(path))
    client.run("cert", "bind", "--key", key["uri"], "--cert", str(cert))


def test_evidence_with_an_attestation_is_what_the_tokens_section_waits_for(client: Client, tmp_path: Path) -> None:
    """A card that writes the certificate over the attestation ('attest_first')."""
    assert client.sandbox is not None
    key = made(client)
    csr = client.run("csr", "create", key["uri"], "--name", "www.example.org").stdout
    answer = client.sandbox.sign(csr, ["www.example.org"])
    cert = tmp_path / "cert.pem"
    cert.write_text(answer["cert"] + answer["chain"])
    client.set("profile:web", evidence_dir=str(client.dir / "evidence"))
    client.set("token:main", attest_first="yes")
    (client.dir / "evidence").mkdir()
    path = client.dir / "evidence" / f"{key['id']}.json"
    client.run("key", "evidence", key["uri"], "--out", str(path))
    client.run("cert", "bind", "--key", key["uri"], "--cert", str(cert), status=28)
    path.unlink()
    attestation = tmp_path / "cvc"
    maker, public = YubiKey.made(), public_of(collected(client, key["uri"], name="first.json"))
    for text in ("whatever", yubihsm(maker, public, IMPORTED)):  # of no known form; of a key that was elsewhere
        attestation.write_text(text)
        client.run("key", "evidence", key["uri"], "--attestation", str(attestation), "--out", str(path))
        client.run("cert", "bind", "--key", key["uri"], "--cert", str(cert), status=28)
        path.unlink()
    attestation.write_bytes(b"\x67\x03\x01\x02\x03")
    client.run("key", "evidence", key["uri"], "--attestation", str(attestation), "--out", str(path))
    client.run("cert", "bind", "--key", key["uri"], "--cert", str(cert))
