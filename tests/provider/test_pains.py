"""What users of other providers complain about, as far as a software token can show it. Where each of it is tested:

   1  crash or hang at exit              here: test_exit_status; test_openssl: test_module_is_finalised_once_at_exit
   2  the module uses libcrypto itself   here: test_listed_first, test_alone
   3  order of providers, foreign keys   test_openssl: test_order_of_the_providers_means_nothing, test_openssl_makes_software_keys
   4  too many prompts                   here: test_pin_pad_*, test_one_login; test_openssl: test_public_objects_need_no_login
   5  PIN sent to another token          here: test_two_tokens_*; test_openssl: test_wrong_pin_costs_one_login, test_final_try_is_refused
   6  sources of PINs                    here: test_pin_file, test_long_pin; test_openssl: test_pin_from_the_application
   7  fork                               test_servers, test_stress, test_recovery
   8  stale handles                      test_recovery
   9  sessions                           here: test_sessions_are_given_back; test_recovery
  10  public halves, ids                 here: test_public_half_*, test_several_keys_with_one_id; test_openssl: test_key_without_a_public_half_is_named
  11  keys that want their PIN each time here: test_always_authenticate
  12  slow searches                      here: test_calls_of_a_request
  13  programs that know no URIs         test_programs, test_servers
  14  making keys                        p11enroll key generate (e2e); the provider makes none
  15  encodings                          here: test_request_names_its_curve; test_tls: test_certificate_of_a_token_key_names_its_curve
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from p11e import SOFTHSM, Token, calls, clean_env, private_file, run
from peers import counted
from support import ORDERS, OpenSSL, first_error, plain, verified

KEYS = {"rsa": "RSA:2048", "p256": "EC:prime256v1"}
EACH = pytest.mark.parametrize("name", KEYS)

# One command per program; MESSAGE, CERT, CSR and HASH are there, OUT is where results go.
PROGRAMS = {
    "pkey": ["pkey", "-in", "KEY", "-noout"],
    "pkey -pubout": ["pkey", "-in", "KEY", "-pubout", "-out", "OUT"],
    "req": ["req", "-new", "-key", "KEY", "-subj", "/CN=x", "-out", "OUT"],
    "req -x509": ["req", "-x509", "-key", "KEY", "-subj", "/CN=x", "-out", "OUT", "-days", "2"],
    "dgst": ["dgst", "-sha256", "-sign", "KEY", "-out", "OUT", "MESSAGE"],
    "pkeyutl": ["pkeyutl", "-sign", "-inkey", "KEY", "-in", "HASH", "-out", "OUT", "-pkeyopt", "digest:sha256"],
    "cms": ["cms", "-sign", "-binary", "-in", "MESSAGE", "-signer", "CERT", "-inkey", "KEY", "-out", "OUT"],
}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Token:
    path = tmp_path_factory.mktemp("keys")
    token = Token(path).init()
    for n, (name, kind) in enumerate(KEYS.items()):
        token.make_key(kind, f"{n + 1:02x}", name)
    return token


def command(openssl: OpenSSL, program: str, name: str) -> list[str]:
    files = {"KEY": openssl.uri(name), "MESSAGE": "message", "HASH": "hash", "CERT": "cert.pem", "OUT": "out"}
    return [files.get(word, word) for word in PROGRAMS[program]]


def prepare(openssl: OpenSSL, name: str) -> None:
    (openssl.dir / "message").write_bytes(b"x" * 100)
    (openssl.dir / "hash").write_bytes(os.urandom(32))
    openssl("req", "-x509", "-key", openssl.uri(name), "-subj", "/CN=x", "-out", "cert.pem", "-days", "2")


@EACH
@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("rules", ["", "C_Finalize:*:fail=0x30"], ids=["finalised", "not finalised"])
def test_exit_status(keys: Token, tmp_path: Path, name: str, program: str, rules: str) -> None:
    """1: a program ends with 0 and says nothing, whether the module's end works or not."""
    openssl, _ = counted(tmp_path, keys)
    prepare(openssl, name)
    openssl.env["P11SHIM_RULES"] = rules
    done = openssl(*command(openssl, program, name))
    assert (done.stdout, done.stderr) == ("", "")


@EACH
@pytest.mark.parametrize("program", PROGRAMS)
def test_listed_first(keys: Token, tmp_path: Path, name: str, program: str) -> None:
    """2: SoftHSM asks libcrypto for digests within C_Login, and must not get back to us."""
    openssl = OpenSSL(tmp_path, keys, first=True)
    prepare(openssl, name)
    done = openssl(*command(openssl, program, name))
    assert (done.stdout, done.stderr) == ("", "")


@ORDERS
def test_alone(keys: Token, tmp_path: Path, first: bool) -> None:
    """2: without `default` SoftHSM calls a right PIN wrong, so none is sent."""
    openssl, log = counted(tmp_path, keys, default=False, first=first)
    for arguments in (["pkey", "-in", openssl.uri("rsa"), "-noout"],
                      ["dgst", "-sign", openssl.uri("p256"), "-out", "sig", str(keys.conf)]):
        done = openssl(*arguments, status=1)
        assert "the provider 'default' is not active beside 'p11enroll'" in done.stderr
        assert "PIN" not in done.stderr
    assert calls(log, "C_Login") == []


@pytest.mark.parametrize("program", PROGRAMS)
def test_one_login(keys: Token, tmp_path: Path, program: str) -> None:
    """4: however often a program opens the key, and whatever it does with it."""
    openssl, log = counted(tmp_path, keys)
    prepare(openssl, "p256")
    log.unlink()
    openssl(*command(openssl, program, "p256"))
    assert len(calls(log, "C_Login")) == 1


CKF_PROTECTED_AUTHENTICATION_PATH = "100"
CKF_USER_PIN_COUNT_LOW = "10000"


def test_pin_pad_is_never_prompted_for(keys: Token, tmp_path: Path) -> None:
    """4: the PIN is typed on the token. SoftHSM has no pad and refuses, which shows that it was asked without a PIN."""
    openssl, log = counted(tmp_path, keys, pin=False)
    openssl.env["P11SHIM_FLAGS"] = CKF_PROTECTED_AUTHENTICATION_PATH
    done = openssl("pkey", "-in", openssl.uri("p256"), "-noout", "-passin", "pass:never asked", status=1)
    assert len(calls(log, "C_Login")) == 1
    assert "C_Login" in first_error(done) and "Enter" not in done.stderr + done.stdout


def test_pin_pad_that_agrees_is_enough(keys: Token, tmp_path: Path) -> None:
    """4: with a pad no PIN source is needed; the shim stands in for the pad's yes."""
    openssl, log = counted(tmp_path, keys, pin=False)
    openssl.env.update(P11SHIM_FLAGS=CKF_PROTECTED_AUTHENTICATION_PATH, P11SHIM_RULES="C_Login:1:fail=0")
    done = openssl("pkey", "-in", openssl.uri("p256"), "-noout", status=1)
    assert len(calls(log, "C_Login")) == 1
    assert "has no private key that matches" in first_error(done), "nobody logged in to SoftHSM"


def test_pin_that_was_wrong_before_is_not_sent_unattended(keys: Token, tmp_path: Path) -> None:
    """5: the next run of a job would use up another try."""
    openssl, log = counted(tmp_path, keys)
    openssl.env["P11SHIM_FLAGS"] = CKF_USER_PIN_COUNT_LOW
    error = first_error(openssl("pkey", "-in", openssl.uri("p256"), "-noout", status=1))
    assert "pin-locked" in error and "none is sent unattended" in error
    assert calls(log, "C_Login") == []


def test_wrong_pin_costs_one_try_and_stops_what_comes_after(tmp_path: Path) -> None:
    """5: SoftHSM tells that a PIN was wrong before; a job that starts again and again must not lock its token."""
    token = Token(tmp_path / "t").init()
    token.make_key("EC:prime256v1", "01", "k")
    wrong, log = counted(tmp_path / "wrong", token, pin=False)
    uri = wrong.uri("k", **{"pin-source": f"file:{private_file(tmp_path / 'pin', '0000')}"})
    assert "pin-wrong" in first_error(wrong("pkey", "-in", uri, "-noout", status=1))
    assert len(calls(log, "C_Login")) == 1
    assert "final" not in token_flags(token) and "user PIN count low" in token_flags(token)
    right, log = counted(tmp_path / "right", token)
    assert "none is sent unattended" in first_error(right("pkey", "-in", right.uri("k"), "-noout", status=1))
    assert calls(log, "C_Login") == []
    person, log = counted(tmp_path / "person", token, pin=False)
    person("pkey", "-in", person.uri("k"), "-noout", "-passin", f"pass:{token.pin}")
    assert len(calls(log, "C_Login")) == 1
    right("pkey", "-in", right.uri("k"), "-noout")


def token_flags(token: Token) -> str:
    listed = run(["pkcs11-tool", "--module", str(SOFTHSM), "-L"], env=clean_env(**token.env)).stdout
    at = listed.index(f": {token.label}\n")
    return next(line for line in listed[at:].splitlines() if "token flags" in line)


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Token:
    """Tokens whose labels begin alike, beside SoftHSM's spare slot, whose label is empty."""
    token = Token(tmp_path_factory.mktemp("several"), label="prod").init()
    for label in ("prod", "prod-backup", "pro"):  # pkcs11-tool takes a prefix for the label: the longer one comes later
        if label != "prod":
            token.add(label)
        if label != "pro":
            token.tool("--keypairgen", "--key-type", "EC:prime256v1", "--id", "01", "--label", "k", label=label)
    return token


def test_two_tokens_without_token_get_no_pin(several: Token, tmp_path: Path) -> None:
    """5: which token is meant is not found out with the PIN."""
    openssl, log = counted(tmp_path, several)
    error = first_error(openssl("pkey", "-in", "pkcs11:object=k;type=private", "-noout", status=1))
    assert "object-ambiguous" in error and all(f"'{label}'" in error for label in ("prod", "prod-backup", "pro")), error
    assert calls(log, "C_Login") == []


@pytest.mark.parametrize("label", ["prod", "prod-backup"])
def test_label_that_is_a_prefix_of_another_means_one_token(several: Token, tmp_path: Path, label: str) -> None:
    openssl, log = counted(tmp_path, several)
    uri = f"pkcs11:token={label};object=k;type=private"
    openssl("pkey", "-in", uri, "-pubout", "-out", "seen.pem")
    assert len(calls(log, "C_Login")) == 1
    (tmp_path / "x").write_bytes(b"x")
    openssl("dgst", "-sha256", "-sign", uri, "-out", "sig", "x")
    plain("dgst", "-sha256", "-verify", "seen.pem", "-signature", "sig", "x", cwd=tmp_path)


@pytest.mark.parametrize("label", ["p", "produ", "", "%20"])
def test_part_of_a_label_means_no_token(several: Token, tmp_path: Path, label: str) -> None:
    """Nor does an empty one mean the slot without a token in it, or every token."""
    openssl, log = counted(tmp_path, several)
    error = first_error(openssl("pkey", "-in", f"pkcs11:token={label};object=k;type=private", "-noout", status=1))
    assert any(code in error for code in ("token-missing", "object-ambiguous", "usage")), error
    assert calls(log, "C_Login") == []


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"], ids=["none", "LF", "CRLF"])
def test_pin_file(keys: Token, tmp_path: Path, ending: str) -> None:
    """6: editors put a newline behind the PIN."""
    openssl = OpenSSL(tmp_path, keys, pin=False)
    pin = tmp_path / "pin"
    private_file(pin, "")
    pin.write_bytes((keys.pin + ending).encode())
    uri = openssl.uri("p256", **{"pin-source": f"file:{pin}"})
    openssl("pkey", "-in", uri, "-noout")


@pytest.mark.parametrize("length", [4, 32, 33, 64, 255])
@pytest.mark.parametrize("way", ["pin-source", "pin-value", "passin"])
def test_long_pin(tmp_path: Path, length: int, way: str) -> None:
    """6: 32 is a limit of others; 255 is SoftHSM's."""
    token = Token(tmp_path / "t", pin="7" * length).init()
    token.make_key("EC:prime256v1", "01", "k")
    openssl = OpenSSL(tmp_path, token, pin=False)
    more = {"pin-source": {"pin-source": f"file:{token.pin_file}"}, "pin-value": {"pin-value": token.pin}}.get(way, {})
    arguments = ["-passin", f"pass:{token.pin}"] if way == "passin" else []
    openssl("pkey", "-in", openssl.uri("k", **more), "-noout", *arguments)


def test_pin_in_the_uri_is_not_repeated_in_errors(keys: Token, tmp_path: Path) -> None:
    openssl = OpenSSL(tmp_path, keys, pin=False)
    done = openssl("pkey", "-in", openssl.uri("nobody", **{"pin-value": keys.pin}), "-noout", status=1)
    assert keys.pin not in done.stdout
    assert keys.pin not in first_error(done)


def test_sessions_are_given_back(keys: Token, tmp_path: Path) -> None:
    """9: a program that signs often needs a handful of sessions; they end with the module."""
    openssl, log = counted(tmp_path, keys)
    prepare(openssl, "rsa")
    log.unlink()
    openssl(*command(openssl, "cms", "rsa"))
    seen = Counter(calls(log))
    assert seen["C_OpenSession"] <= 2, seen


def test_public_half_comes_from_the_certificate(tmp_path: Path) -> None:
    """10: tokens keep a certificate where others have a public key object."""
    token = Token(tmp_path / "t").init()
    token.make_key("EC:prime256v1", "01", "k")
    openssl = OpenSSL(tmp_path, token)
    openssl("req", "-x509", "-key", openssl.uri("k"), "-subj", "/CN=x", "-out", "c.pem", "-days", "2")
    plain("x509", "-in", "c.pem", "-outform", "DER", "-out", "c.der", cwd=tmp_path)
    token.tool("--write-object", str(tmp_path / "c.der"), "--type", "cert", "--id", "01", "--label", "another")
    token.tool("--delete-object", "--type", "pubkey", "--id", "01")
    openssl("req", "-new", "-key", openssl.uri("k"), "-subj", "/CN=x", "-out", "r.csr")
    assert verified(plain("req", "-in", "r.csr", "-verify", "-noout", cwd=tmp_path))


def test_several_keys_with_one_id(tmp_path: Path) -> None:
    """10: an id alone is not enough then; with the label it means one key, and its own public half."""
    token = Token(tmp_path / "t").init()
    token.make_key("EC:prime256v1", "01", "one")
    token.make_key("EC:secp384r1", "01", "two")
    token.make_key("RSA:2048", "01", "three")
    openssl = OpenSSL(tmp_path, token)
    error = first_error(openssl("pkey", "-in", f"pkcs11:token={token.label};id=%01;type=private", "-noout", status=1))
    assert "object-ambiguous" in error and all(name in error for name in ("one", "two", "three"))
    for name in ("one", "two", "three"):
        openssl("req", "-new", "-key", openssl.uri(name), "-subj", "/CN=x", "-out", "r.csr")
        assert verified(plain("req", "-in", "r.csr", "-verify", "-noout", cwd=tmp_path))


@EACH
def test_always_authenticate(tmp_path: Path, name: str) -> None:
    """11: the PIN is sent once for the login and once for each signature."""
    token = Token(tmp_path / "t").init()
    token.tool("--keypairgen", "--key-type", KEYS[name], "--id", "01", "--label", "k", "--always-auth")
    openssl, log = counted(tmp_path, token)
    openssl("req", "-new", "-key", openssl.uri("k"), "-subj", "/CN=x", "-out", "r.csr")
    assert verified(plain("req", "-in", "r.csr", "-verify", "-noout", cwd=tmp_path))
    assert len(calls(log, "C_Login")) == 2 and len(calls(log, "C_Sign")) == 1


# 12: calls of the module that one `openssl req -new` makes, with one token and the spare slot of SoftHSM.
BUDGET = {"rsa": 21, "p256": 21}


@EACH
def test_calls_of_a_request(keys: Token, tmp_path: Path, name: str, say: Callable[[str], None]) -> None:
    openssl, log = counted(tmp_path, keys)
    openssl("req", "-new", "-key", openssl.uri(name), "-subj", "/CN=x", "-out", "r.csr")
    seen = Counter(calls(log))
    say(f"openssl req -new, {name}: {sum(seen.values())} calls: " +
        ", ".join(f"{call} {count}" for call, count in seen.most_common()))
    assert sum(seen.values()) <= BUDGET[name]
    assert seen["C_Sign"] == seen["C_Login"] == seen["C_Finalize"] == 1


@pytest.mark.parametrize(("name", "curve"), [("EC:prime256v1", "prime256v1"), ("EC:secp384r1", "secp384r1"),
                                             ("EC:secp521r1", "secp521r1")])
def test_request_names_its_curve(tmp_path: Path, name: str, curve: str) -> None:
    """15: SPKI with namedCurve (RFC 5480 section 2.1.1), whatever form the token's parameters have."""
    token = Token(tmp_path / "t").init()
    token.make_key(name, "01", "k")
    openssl = OpenSSL(tmp_path, token)
    openssl("req", "-new", "-key", openssl.uri("k"), "-subj", "/CN=x", "-out", "r.csr")
    text = plain("req", "-in", "r.csr", "-verify", "-noout", "-text", cwd=tmp_path).stdout
    assert f"ASN1 OID: {curve}" in text and "Field Type" not in text


@EACH
@ORDERS
def test_duplicate_of_a_key_signs(keys: Token, tmp_path: Path, name: str, first: bool) -> None:
    results, errors = OpenSSL(tmp_path, keys, first=first).probe("dup", name)
    assert errors == [] and set(results.values()) == {1} and "dup-sign" in results
