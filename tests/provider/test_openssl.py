"""Stock openssl with p11enroll.so and pkcs11: URIs; signatures are verified in software."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from p11e import SHIM, SOFTHSM, Token, calls, clean_env, private_file, run
from support import ORDERS, OpenSSL, first_error, plain, public, verified

KEYS = {"rsa2048": "RSA:2048", "rsa3072": "RSA:3072", "p256": "EC:prime256v1", "p384": "EC:secp384r1"}
EACH = pytest.mark.parametrize("name", KEYS)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Token:
    token = Token(tmp_path_factory.mktemp("keys")).init()
    for n, (name, kind) in enumerate(KEYS.items()):
        token.make_key(kind, f"{n + 1:02x}", name)
    return token


@pytest.fixture
def openssl(keys: Token, tmp_path: Path) -> OpenSSL:
    (tmp_path / "message").write_bytes(os.urandom(5000))
    made = OpenSSL(tmp_path, keys)
    return made


@EACH
def test_pkey_pubout_is_the_tokens_public_key(openssl: OpenSSL, name: str, keys: Token) -> None:
    pub = public(openssl, name)
    # GnuTLS as the second opinion: pkcs11-tool 0.23 cannot read a P-384 public key
    same = run(["p11tool", "--provider", str(SOFTHSM), "--login", "--export-pubkey",
                f"pkcs11:token={keys.label};object={name};type=public"],
               env=clean_env(**keys.env, GNUTLS_PIN=keys.pin)).stdout
    assert (openssl.dir / pub).read_text() == same[same.index("-----BEGIN"):]


@EACH
def test_req_new_verifies(openssl: OpenSSL, name: str) -> None:
    openssl("req", "-new", "-key", openssl.uri(name), "-subj", "/CN=x", "-out", "r.csr")
    done = plain("req", "-in", "r.csr", "-verify", "-noout", "-text", cwd=openssl.dir)
    assert verified(done)
    assert "Field Type" not in done.stdout, "explicit curve parameters"


@EACH
@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha384", "sha512"])
def test_dgst_sign(openssl: OpenSSL, name: str, digest: str) -> None:
    openssl("dgst", f"-{digest}", "-sign", openssl.uri(name), "-out", "sig", "message")
    done = plain("dgst", f"-{digest}", "-verify", public(openssl, name), "-signature", "sig", "message",
                 cwd=openssl.dir)
    assert "Verified OK" in done.stdout


@EACH
def test_pkeyutl_sign_a_digest(openssl: OpenSSL, name: str) -> None:
    plain("dgst", "-sha256", "-binary", "-out", "hash", "message", cwd=openssl.dir)
    openssl("pkeyutl", "-sign", "-inkey", openssl.uri(name), "-in", "hash", "-out", "sig", "-pkeyopt", "digest:sha256")
    pub = public(openssl, name)
    plain("pkeyutl", "-verify", "-pubin", "-inkey", pub, "-in", "hash", "-sigfile", "sig", "-pkeyopt",
          "digest:sha256", cwd=openssl.dir)


@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha384", "sha512"])
@pytest.mark.parametrize("salt", ["digest", "max", "0", "20"])
def test_pss(openssl: OpenSSL, digest: str, salt: str) -> None:
    plain("dgst", f"-{digest}", "-binary", "-out", "hash", "message", cwd=openssl.dir)
    opts = ["-pkeyopt", f"digest:{digest}", "-pkeyopt", "rsa_padding_mode:pss", "-pkeyopt",
            f"rsa_pss_saltlen:{salt}"]
    openssl("pkeyutl", "-sign", "-inkey", openssl.uri("rsa2048"), "-in", "hash", "-out", "sig", *opts)
    plain("pkeyutl", "-verify", "-pubin", "-inkey", public(openssl, "rsa2048"), "-in", "hash", "-sigfile", "sig",
          *opts, cwd=openssl.dir)


def test_pss_with_another_mgf1_digest_is_the_tokens_to_refuse(openssl: OpenSSL) -> None:
    """SoftHSM wants MGF1 with the hash of the message; its own code reaches the user."""
    plain("dgst", "-sha256", "-binary", "-out", "hash", "message", cwd=openssl.dir)
    opts = ["-pkeyopt", "digest:sha256", "-pkeyopt", "rsa_padding_mode:pss", "-pkeyopt", "rsa_mgf1_md:sha384"]
    done = openssl("pkeyutl", "-sign", "-inkey", openssl.uri("rsa2048"), "-in", "hash", "-out", "sig", *opts, status=1)
    assert "C_SignInit: CKR_ARGUMENTS_BAD" in first_error(done)


def test_pss_certificate_request(openssl: OpenSSL) -> None:
    openssl("req", "-new", "-key", openssl.uri("rsa3072"), "-subj", "/CN=x", "-out", "r.csr", "-sha384",
            "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:-1")
    done = plain("req", "-in", "r.csr", "-verify", "-noout", "-text", cwd=openssl.dir)
    assert verified(done) and "rsassaPss" in done.stdout and "sha384" in done.stdout


@EACH
def test_verification_with_the_token_key_itself(openssl: OpenSSL, name: str) -> None:
    plain("dgst", "-sha256", "-binary", "-out", "hash", "message", cwd=openssl.dir)
    openssl("pkeyutl", "-sign", "-inkey", openssl.uri(name), "-in", "hash", "-out", "sig", "-pkeyopt", "digest:sha256")
    openssl("pkeyutl", "-verify", "-inkey", openssl.uri(name), "-in", "hash", "-sigfile", "sig", "-pkeyopt",
            "digest:sha256")
    (openssl.dir / "hash").write_bytes(bytes(32))
    openssl("pkeyutl", "-verify", "-inkey", openssl.uri(name), "-in", "hash", "-sigfile", "sig", "-pkeyopt",
            "digest:sha256", status=1)


def test_storeutl_lists_everything(openssl: OpenSSL) -> None:
    done = openssl("storeutl", "-noout", f"pkcs11:token={openssl.token.label}")
    assert done.stdout.count("Pkey") == 4 and done.stdout.count("Public key") == 4
    assert "Total found: 8" in done.stdout


@pytest.mark.parametrize(("flag", "what"), [("-keys", "Pkey"), ("-certs", "Certificate")])
def test_storeutl_by_class(openssl: OpenSSL, tmp_path: Path, flag: str, what: str) -> None:
    token = Token(tmp_path / "one").init()
    token.make_key("EC:prime256v1", "01", "k")
    mine = OpenSSL(tmp_path, token)
    mine("req", "-x509", "-key", mine.uri("k"), "-subj", "/CN=x", "-out", "c.pem", "-days", "2")
    plain("x509", "-in", "c.pem", "-outform", "DER", "-out", "c.der", cwd=tmp_path)
    token.tool("--write-object", str(tmp_path / "c.der"), "--type", "cert", "--id", "01", "--label", "k")
    done = mine("storeutl", "-noout", flag, f"pkcs11:token={token.label};object=k")
    assert done.stdout.count(f": {what}") == 1, done.stdout


@pytest.mark.parametrize("scheme", ["pkcs11", "PKCS11", "Pkcs11"])
def test_scheme_in_any_case(openssl: OpenSSL, scheme: str) -> None:
    openssl("pkey", "-in", openssl.uri("p256").replace("pkcs11:", f"{scheme}:"), "-noout")


@EACH
@ORDERS
def test_comparing_key_and_certificate_leaves_no_errors(keys: Token, tmp_path: Path, name: str, first: bool) -> None:
    mine = OpenSSL(tmp_path, keys, first=first)
    mine("req", "-x509", "-key", mine.uri(name), "-subj", "/CN=x", "-out", "c.pem", "-days", "2")
    results, errors = mine.probe("pair", name, "c.pem")
    assert errors == []
    assert results == {"load": 1, "certificate": 1, "key": 1, "check": 1, "x509": 1, "software-token": 1,
                       "token-software": 1, "token-token": 1, "generate": 1, "token-other": 0, "other-token": 0}


@EACH
@ORDERS
def test_order_of_the_providers_means_nothing(keys: Token, tmp_path: Path, name: str, first: bool) -> None:
    results, errors = OpenSSL(tmp_path, keys, first=first).probe("generate", name)
    assert errors == []
    assert set(results.values()) == {1}, results
    assert {"ec-before", "ec-after", "rsa-after", "token", "token-qualified"} <= set(results)


@ORDERS
def test_openssl_makes_software_keys(keys: Token, tmp_path: Path, first: bool) -> None:
    mine = OpenSSL(tmp_path, keys, first=first)
    mine("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "k.pem")
    mine("genpkey", "-algorithm", "RSA", "-out", "r.pem")
    mine("req", "-x509", "-key", "k.pem", "-subj", "/CN=ca", "-out", "ca.pem", "-days", "2", "-addext",
         "basicConstraints=critical,CA:TRUE")
    mine("req", "-new", "-key", mine.uri("p256"), "-subj", "/CN=x", "-out", "r.csr")
    mine("x509", "-req", "-in", "r.csr", "-CA", "ca.pem", "-CAkey", "k.pem", "-out", "c.pem", "-days", "2")
    mine("x509", "-req", "-in", "r.csr", "-CA", "ca.pem", "-CAkey", "k.pem", "-out", "c.pem", "-days", "2")
    mine("verify", "-CAfile", "ca.pem", "c.pem")
    mine("pkey", "-in", mine.uri("p256"), "-pubout", "-out", "pub.pem")
    mine("pkey", "-pubin", "-in", "pub.pem", "-noout", "-text")


@EACH
def test_parameters_are_those_of_a_software_key(openssl: OpenSSL, name: str) -> None:
    kind, size = KEYS[name].split(":")
    option = f"rsa_keygen_bits:{size}" if kind == "RSA" else f"ec_paramgen_curve:{size}"
    plain("genpkey", "-algorithm", kind, "-pkeyopt", option, "-out", "k.pem", cwd=openssl.dir)
    token, errors = openssl.probe("params", name)
    software, _ = openssl.probe("params", f"file:{openssl.dir}/k.pem")
    for answers in (token, software):  # EC keys have no raw form; OpenSSL's own refuse, ours give the point
        del answers["raw"], answers["raw-length"]
    assert token == software and errors == []


def test_nothing_is_printed_by_the_provider(openssl: OpenSSL) -> None:
    done = openssl("pkey", "-in", openssl.uri("p256"), "-noout")
    assert done.stdout == "" and done.stderr == ""


def test_missing_key_is_named(openssl: OpenSSL) -> None:
    error = first_error(openssl("pkey", "-in", openssl.uri("nobody"), "-noout", status=1))
    assert "object-missing" in error and "has no private key that matches" in error and "object=nobody" in error


def test_missing_token_is_named(openssl: OpenSSL) -> None:
    error = first_error(openssl("pkey", "-in", "pkcs11:token=nobody;object=p256", "-noout", status=1))
    assert "token-missing" in error and "token=nobody" in error and "'t1'" in error


def test_bad_uri_is_told(openssl: OpenSSL) -> None:
    error = first_error(openssl("pkey", "-in", "pkcs11:tokn=t1", "-noout", status=1))
    assert "there is no attribute 'tokn'" in error


def test_two_keys_with_one_label_are_told(tmp_path: Path) -> None:
    token = Token(tmp_path / "two").init()
    token.make_key("EC:prime256v1", "01", "dup")
    token.make_key("EC:prime256v1", "02", "dup")
    error = first_error(OpenSSL(tmp_path, token)("pkey", "-in", "pkcs11:object=dup", "-noout", status=1))
    assert "object-ambiguous" in error and "(id 01)" in error and "(id 02)" in error


def test_wrong_pin_costs_one_login(keys: Token, tmp_path: Path) -> None:
    wrong = private_file(tmp_path / "wrong", "0000wrong")
    mine = OpenSSL(tmp_path, keys, pin=False, module=SHIM)
    log = tmp_path / "calls"
    mine.env.update(P11SHIM_MODULE=str(SOFTHSM), P11SHIM_LOG=str(log))
    error = first_error(mine("pkey", "-in", mine.uri("p256", **{"pin-source": f"file:{wrong}"}), "-noout", status=1))
    assert "pin-wrong" in error and "CKR_PIN_INCORRECT" in error
    assert len(calls(log, "C_Login")) == 1


def test_final_try_is_refused(keys: Token, tmp_path: Path) -> None:
    mine = OpenSSL(tmp_path, keys, module=SHIM)
    log = tmp_path / "calls"
    mine.env.update(P11SHIM_MODULE=str(SOFTHSM), P11SHIM_LOG=str(log), P11SHIM_FLAGS="20000")
    assert "one try left" in first_error(mine("pkey", "-in", mine.uri("p256"), "-noout", status=1))
    assert calls(log, "C_Login") == []


def test_public_objects_need_no_login(keys: Token, tmp_path: Path) -> None:
    mine = OpenSSL(tmp_path, keys, pin=False, module=SHIM)
    log = tmp_path / "calls"
    mine.env.update(P11SHIM_MODULE=str(SOFTHSM), P11SHIM_LOG=str(log))
    mine("pkey", "-pubin", "-in", f"pkcs11:token={keys.label};object=p256;type=public", "-noout")
    assert calls(log, "C_Login") == []


def test_default_provider_is_asked_for(keys: Token, tmp_path: Path) -> None:
    mine = OpenSSL(tmp_path, keys, module=SHIM, default=False)
    log = tmp_path / "calls"
    mine.env.update(P11SHIM_MODULE=str(SOFTHSM), P11SHIM_LOG=str(log))
    error = first_error(mine("pkey", "-in", mine.uri("p256"), "-noout", status=1))
    assert "the provider 'default' is not active" in error
    assert calls(log, "C_Login") == []


def test_pin_from_the_application(keys: Token, tmp_path: Path) -> None:
    mine = OpenSSL(tmp_path, keys, pin=False)
    mine("pkey", "-in", mine.uri("p256"), "-passin", f"pass:{keys.pin}", "-noout")


def test_private_key_cannot_be_written_out(openssl: OpenSSL) -> None:
    done = run(["openssl", "pkey", "-in", openssl.uri("p256")], check=False, env=openssl.env)
    assert "PRIVATE KEY" not in done.stdout


@EACH
@pytest.mark.parametrize("properties", ["provider=p11enroll", "?provider=p11enroll"])
def test_property_query_of_a_signature_is_not_the_digests(openssl: OpenSSL, name: str, properties: str) -> None:
    results, errors = openssl.probe("sign", name, properties)
    assert errors == [] and set(results.values()) == {1}


@EACH
def test_too_little_room_for_a_signature_loses_nothing(openssl: OpenSSL, name: str) -> None:
    results, errors = openssl.probe("finalise", name)
    assert results.pop("short") == 0 and "there is room for 10" in errors.pop(0)
    if errors and "error in enough" in errors[0]:  # OpenSSL 3.5 itself takes the first attempt for the last
        assert results["enough"] == 0 and "digital envelope routines::final error" in errors[0]
    else:
        assert set(results.values()) == {1} and errors == []


@EACH
def test_messages_in_one_go_are_signed_each_for_itself(openssl: OpenSSL, name: str) -> None:
    results, errors = openssl.probe("oneshot", name)
    assert results.pop("short") == 0 and results.pop("after-fed") == 0
    if results["second"] == 0:  # OpenSSL 3.4 and later themselves allow one message for each context
        assert results.pop("second") == results.pop("verify-second") == 0
        errors = [line for line in errors if "verify-second" not in line]
        assert len(errors) == 3 and all("digital envelope routines::final error" in line for line in errors)
    else:
        assert len(errors) == 2 and "there is room for 10" in errors[0] and "no data is being hashed" in errors[1]
    assert set(results.values()) == {1}


STORE_CRL, STORE_CERT = "6", "5"


def test_what_tokens_do_not_have_is_not_found(openssl: OpenSSL) -> None:
    results, errors = openssl.probe("expect", "pkcs11:token=t1;object=p256", STORE_CRL)
    assert results == {"expect": 1, "found": 0} and errors == []


def test_type_and_expectation_that_exclude_each_other_are_told(openssl: OpenSSL) -> None:
    results, errors = openssl.probe("expect", openssl.uri("p256"), STORE_CERT)
    assert results["found"] == 0
    assert "the URI has type=private, and something else is wanted" in errors[0]


def test_key_without_a_public_half_is_named(tmp_path: Path) -> None:
    token = Token(tmp_path / "half").init()
    token.make_key("EC:prime256v1", "01", "half")
    token.tool("--delete-object", "--type", "pubkey", "--id", "01")
    mine = OpenSSL(tmp_path, token)
    sentence = "the public half of key 'half' on token 't1'"
    for command in (["pkey", "-in", mine.uri("half"), "-pubout"],
                    ["req", "-new", "-key", mine.uri("half"), "-subj", "/CN=x"]):
        done = mine(*command, status=1)
        assert sentence in done.stderr and "malloc" not in done.stderr, done.stderr
    results, errors = mine.probe("param", "half", "pub")
    assert results["pub"] == 0 and sentence in errors[0]
    (tmp_path / "message").write_bytes(b"x")
    mine("dgst", "-sha256", "-sign", mine.uri("half"), "-out", "sig", "message")


def test_module_is_finalised_once_at_exit(keys: Token, tmp_path: Path) -> None:
    mine = OpenSSL(tmp_path, keys, module=SHIM)
    log = tmp_path / "calls"
    mine.env.update(P11SHIM_MODULE=str(SOFTHSM), P11SHIM_LOG=str(log))
    mine("req", "-new", "-key", mine.uri("p256"), "-subj", "/CN=x", "-out", "r.csr")
    names = calls(log)
    assert names.count("C_Finalize") == 1 and names[-1] == "C_Finalize"
    assert names.count("C_Login") == 1 and names.count("C_Sign") == 1


@pytest.mark.parametrize("order", ["ordinary", "outlive"])
@ORDERS
def test_key_in_a_library_context_of_its_own(keys: Token, tmp_path: Path, order: str, first: bool) -> None:
    """Garbage collectors may free the library context before the key."""
    mine = OpenSSL(tmp_path, keys, first=first)
    results, errors = mine.probe(order, "p256", str(mine.conf))
    assert errors == [] and results == {"config": 1, "sign": 1, "unload": 1, "freed": 1}
