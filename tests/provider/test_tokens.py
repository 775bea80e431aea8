"""The table of docs/provider.md: each operation with the keys of each token, checked by somebody else.

A cell of the table is a case here. What a token cannot do is a case as well: the error says so in the token's own words.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from beds import BEDS, PIN, SOFTOKN, Bed, why_not
from p11e import P11ENROLL, PYTHON, SUPPORT, clean_env, need, private_file, run
from support import OpenSSL, first_error, plain, s_server

Done = subprocess.CompletedProcess


@pytest.fixture(scope="module", params=BEDS)
def bed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    reason = why_not(request.param)
    if reason is not None:
        pytest.skip(reason)
    with BEDS[request.param](tmp_path_factory.mktemp("bed")) as made:
        yield made


@pytest.fixture
def openssl(bed: Bed, tmp_path: Path) -> OpenSSL:
    made = OpenSSL(tmp_path, bed, module=bed.module)
    # leaks inside modules are suppressed by the module's name, which only whole stacks show
    made.env["ASAN_OPTIONS"] = made.env.get("ASAN_OPTIONS", "") + ":fast_unwind_on_malloc=0"
    made.wrapper = [*bed.wrapper, f"--wd={tmp_path}"] if bed.wrapper else []
    made.conf.write_text(made.conf.read_text().replace("[p11enroll]\n", "\n".join(["[p11enroll]", *bed.settings, ""])))
    (tmp_path / "message").write_bytes(os.urandom(300))
    (tmp_path / "short").write_bytes(b"attack at dawn")
    return made


def uri(openssl: OpenSSL, role: str) -> str:
    assert isinstance(openssl.token, Bed)
    return openssl.uri(openssl.token.keys[role])


def public(openssl: OpenSSL, role: str) -> None:
    openssl("pkey", "-in", uri(openssl, role), "-pubout", "-out", "pub.pem")


# Operations: what our provider does, and how others check it


@dataclass
class Operation:
    role: str  # of the key
    act: Callable[[OpenSSL, int], Done[str]]  # the exit status is told
    check: Callable[[OpenSSL], object]


def signature(role: str, *opts: str) -> Operation:
    def act(o: OpenSSL, status: int) -> Done[str]:
        return o("dgst", "-sha256", *opts, "-sign", uri(o, role), "-out", "sig", "message", status=status)

    def check(o: OpenSSL) -> None:
        public(o, role)
        plain("dgst", "-sha256", *opts, "-verify", "pub.pem", "-signature", "sig", "message", cwd=o.dir)

    return Operation(role, act, check)


def eddsa() -> Operation:
    def act(o: OpenSSL, status: int) -> Done[str]:
        return o("pkeyutl", "-sign", "-rawin", "-inkey", uri(o, "ed"), "-in", "message", "-out", "sig", status=status)

    def check(o: OpenSSL) -> None:
        public(o, "ed")
        plain("pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "pub.pem", "-in", "message", "-sigfile", "sig",
              cwd=o.dir)

    return Operation("ed", act, check)


def decryption(*opts: str) -> Operation:
    words = [word for opt in opts for word in ("-pkeyopt", opt)]

    def act(o: OpenSSL, status: int) -> Done[str]:
        public(o, "rsa")
        plain("pkeyutl", "-encrypt", "-pubin", "-inkey", "pub.pem", "-in", "short", "-out", "secret", *words, cwd=o.dir)
        return o("pkeyutl", "-decrypt", "-inkey", uri(o, "rsa"), "-in", "secret", "-out", "plain", *words, status=status)

    def check(o: OpenSSL) -> None:
        assert (o.dir / "plain").read_bytes() == b"attack at dawn"

    return Operation("rsa", act, check)


def agreement() -> Operation:
    def act(o: OpenSSL, status: int) -> Done[str]:
        plain("genpkey", "-algorithm", "EC", "-pkeyopt", "group:P-256", "-out", "peer.pem", cwd=o.dir)
        plain("pkey", "-in", "peer.pem", "-pubout", "-out", "peer-pub.pem", cwd=o.dir)
        return o("pkeyutl", "-derive", "-inkey", uri(o, "ecdh"), "-peerkey", "peer-pub.pem", "-out", "ours",
                 status=status)

    def check(o: OpenSSL) -> None:
        public(o, "ecdh")
        plain("pkeyutl", "-derive", "-inkey", "peer.pem", "-peerkey", "pub.pem", "-out", "theirs", cwd=o.dir)
        assert (o.dir / "ours").read_bytes() == (o.dir / "theirs").read_bytes()

    return Operation("ecdh", act, check)


def request(role: str) -> Operation:
    def act(o: OpenSSL, status: int) -> Done[str]:
        return o("req", "-new", "-key", uri(o, role), "-subj", "/CN=x", "-out", "r.csr", status=status)

    def check(o: OpenSSL) -> None:
        plain("req", "-in", "r.csr", "-verify", "-noout", cwd=o.dir)
        said = run(["certtool", "--crq-info", "--infile", "r.csr"], env=clean_env(), cwd=o.dir).stdout
        assert "Self signature: verified" in said

    return Operation(role, act, check)


def certificate(role: str, *opts: str) -> Operation:
    usage = "keyUsage=digitalSignature,keyCertSign" + (",keyEncipherment" if role == "rsa" else "")

    def act(o: OpenSSL, status: int) -> Done[str]:
        return o("req", "-x509", "-key", uri(o, role), *opts, "-subj", "/CN=localhost", "-days", "2", "-out", "c.pem",
                 "-addext", "subjectAltName=DNS:localhost", "-addext", usage, "-addext", "basicConstraints=critical,CA:TRUE",
                 "-addext", "subjectKeyIdentifier=hash",
                 status=status)

    def check(o: OpenSSL) -> None:
        plain("verify", "-CAfile", "c.pem", "c.pem", cwd=o.dir)
        run(["certtool", "--verify", "--load-ca-certificate", "c.pem", "--infile", "c.pem"], env=clean_env(), cwd=o.dir)
        if need("certutil") is None:
            (o.dir / "nss").mkdir()
            tool = ["certutil", "-d", f"sql:{o.dir / 'nss'}"]
            run([*tool, "-N", "--empty-password"], env=clean_env())
            run([*tool, "-A", "-n", "c", "-t", "CT,,", "-i", str(o.dir / "c.pem")], env=clean_env())
            run([*tool, "-V", "-n", "c", "-u", "V", "-e"], env=clean_env())

    return Operation(role, act, check)


def handshake(role: str, version: str) -> Operation:
    def act(o: OpenSSL, status: int) -> Done[str]:
        o("req", "-x509", "-key", uri(o, role), "-subj", "/CN=localhost", "-days", "2", "-out", "c.pem")
        with s_server(o.env, o.dir, "-cert", "c.pem", "-key", uri(o, role), "-www",
                      "-naccept", "2", wrapper=o.wrapper) as port:
            return plain("s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", "c.pem", "-verify_return_error",
                         f"-{version}", cwd=o.dir)

    return Operation(role, act, lambda o: None)


def generation(kind: str) -> Operation:
    def act(o: OpenSSL, status: int) -> Done[str]:
        results, lines = o.probe("make", uri(o, "rsa").replace("object=rsa", f"object=new-{kind[:3]}"), kind)
        assert (results["made"] == 1) == (status == 0), lines
        return Done([], status, "", "\n".join(lines))

    def check(o: OpenSSL) -> None:
        name = uri(o, "rsa").replace("object=rsa", f"object=new-{kind[:3]}")
        o("dgst", "-sha256", "-sign", name, "-out", "sig", "message")
        o("pkey", "-in", name, "-pubout", "-out", "pub.pem")
        plain("dgst", "-sha256", "-verify", "pub.pem", "-signature", "sig", "message", cwd=o.dir)

    return Operation("rsa", act, check)


OPERATIONS = {
    "RSA PKCS#1 signature": signature("rsa"),
    "RSA-PSS signature": signature("rsa", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"),
    "RSA-PSS, MGF1 SHA-1": signature("rsa", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_mgf1_md:sha1"),
    "ECDSA": signature("ec"),
    "Ed25519": eddsa(),
    "RSA request": request("rsa"),
    "EC request": request("ec"),
    "RSA certificate": certificate("rsa"),
    "RSA-PSS certificate": certificate("rsa", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"),
    "EC certificate": certificate("ec"),
    "TLS 1.3, RSA": handshake("rsa", "tls1_3"),
    "TLS 1.3, EC": handshake("ec", "tls1_3"),
    "RSA PKCS#1 decryption": decryption(),
    "OAEP SHA-1": decryption("rsa_padding_mode:oaep"),
    "OAEP SHA-256": decryption("rsa_padding_mode:oaep", "rsa_oaep_md:sha256"),
    "OAEP with label": decryption("rsa_padding_mode:oaep", "rsa_oaep_label:6162"),
    "ECDH": agreement(),
    "EC generation": generation("EC:P-256"),
    "RSA generation": generation("RSA:2048"),
}

KEY = r"key '\w+' on token 'bed' \(serial \w+\): "

ALWAYS_DECRYPTS = "token 'bed' .*(CKA_DECRYPT is true .* was destroyed again|(C_GenerateKeyPair|C_Login): CKR_GENERAL_ERROR)"

# What a token cannot do, and how the error says it.
CANNOT = {
    # SoftHSM2 insists on the same digest in both places
    ("SoftHSM2", "RSA-PSS, MGF1 SHA-1"): KEY + "C_SignInit: CKR_ARGUMENTS_BAD",
    ("p11-kit client", "RSA-PSS, MGF1 SHA-1"): KEY + "C_SignInit: CKR_ARGUMENTS_BAD",
    # p11-kit 0.24 lets through only the mechanisms whose parameters it knows
    ("p11-kit client", "Ed25519"): KEY + "C_SignInit: CKR_MECHANISM_INVALID",
    ("p11-kit client", "ECDH"): KEY + "C_DeriveKey: CKR_MECHANISM_INVALID",
    ("tpm2-pkcs11", "RSA-PSS, MGF1 SHA-1"): KEY + "C_SignInit: CKR_MECHANISM_PARAM_INVALID",
    ("tpm2-pkcs11", "ECDH"): KEY + "C_DeriveKey: CKR_FUNCTION_NOT_SUPPORTED",
    # its keys always decrypt; and what it had begun may stay in the TPM, which then has no room
    ("tpm2-pkcs11", "EC generation"): ALWAYS_DECRYPTS,
    ("tpm2-pkcs11", "RSA generation"): ALWAYS_DECRYPTS,
    ("opencryptoki", "RSA-PSS, MGF1 SHA-1"): KEY + "C_SignInit: CKR_MECHANISM_PARAM_INVALID",
    ("opencryptoki", "EC generation"): "token 'bed' .* cannot make a EC P-256 key: C_GenerateKeyPair: CKR_MECHANISM_INVALID",
}

# Debian 13 has p11-kit 0.25 and another tpm2-pkcs11
if "VERSION_ID=\"13\"" in Path("/etc/os-release").read_text():
    del CANNOT["p11-kit client", "ECDH"]
    CANNOT["tpm2-pkcs11", "ECDH"] = KEY + "C_DeriveKey: CKR_SESSION_READ_ONLY"


def refusal(bed: Bed, role: str) -> str:
    """What the token says when somebody else's program asks it for a key that it cannot make."""
    if bed.module == SOFTOKN:
        done = run([PYTHON, str(SUPPORT / "p11keys.py"), str(SOFTOKN), bed.label, "09", "no", "ed25519"], check=False,
                   env=clean_env(PIN=PIN, INIT_ARGS=bed.settings[0].split(" = ", 1)[1]))
    else:
        kind = "EC:edwards25519" if role == "ed" else "EC:prime256v1"
        done = run([*bed.wrapper, "pkcs11-tool", "--module", str(bed.module), "--token-label", bed.label, "--login",
                    "--pin", PIN, "--keypairgen", "--key-type", kind, "--id", "09"], check=False,
                   env=clean_env(**bed.env))
    assert done.returncode != 0
    return done.stderr


@pytest.mark.parametrize("operation", OPERATIONS)
def test_cell(bed: Bed, openssl: OpenSSL, operation: str) -> None:
    it = OPERATIONS[operation]
    if it.role not in bed.keys:
        assert re.search("mechanism 10(40|55) not supported|C_GenerateKeyPair: 0x(70|30)\\b", refusal(bed, it.role))
        return
    sentence = CANNOT.get((bed.name, operation))
    done = it.act(openssl, 0 if sentence is None else 1)
    if sentence is None:
        # s_client talks; and whatever else is said, by the module even, is news
        assert done.stderr == "" or operation.startswith("TLS")
        it.check(openssl)
    else:
        said = done.stderr if "generation" in operation else first_error(done)
        assert re.search(sentence, said), done.stderr


QUIRKS = {"tpm2-pkcs11": "no-copy, no-usage-denials", "NSS softokn": "general-error-for-attributes, local-unknown"}


def test_known_quirks(bed: Bed, tmp_path: Path) -> None:
    """Only the rows of hsm/quirks.def whose module is this one."""
    options = ["--module-init-args", bed.settings[0].split(" = ", 1)[1]] if bed.settings else []
    done = run([*bed.wrapper, str(P11ENROLL), "token", "info", "--json", "--module", str(bed.module), *options,
                "--token-uri", f"pkcs11:token={quote(bed.label)}", "--lock-dir", str(tmp_path / "locks")],
               env=clean_env(**bed.env))
    assert json.loads(done.stdout)["module_quirks"] == QUIRKS.get(bed.name)


def ask(mine: OpenSSL, pin_file: Path, status: int) -> str:
    done = mine("pkey", "-in", mine.uri("ec", **{"pin-source": f"file:{pin_file}"}), "-noout", status=status)
    return "" if status == 0 else first_error(done)


def test_wrong_pin_costs_one_try_of_a_token_that_locks(tmp_path: Path) -> None:
    """A TPM locks after three wrong PINs and has no flags that warn. Were two sent in a run, the third run, with the
    right PIN, would find it locked."""
    if (reason := why_not("tpm2-pkcs11")) is not None:
        pytest.skip(reason)
    wrong = private_file(tmp_path / "wrong", "0000wrong")
    with BEDS["tpm2-pkcs11"](tmp_path) as made:
        mine = OpenSSL(tmp_path, made, pin=False, module=made.module)
        mine.env["ASAN_OPTIONS"] = "detect_leaks=0"  # of the module, after a refused login
        for _ in range(2):
            assert "pin-wrong" in ask(mine, wrong, 1)
        ask(mine, made.pin_file, 0)
        assert "pin-wrong" in ask(mine, wrong, 1)
        assert "pin-locked" in ask(mine, made.pin_file, 1)
