"""PEM files that carry a PKCS#11 URI, in programs that know nothing but file names."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from p11e import SANITIZED, SHIM, SOFTHSM, Token, calls, clean_env, private_file, run
from support import ORDERS, OpenSSL, free_port, plain, verified, wait_for_port
from test_openssl import EACH, KEYS

TLS = pytest.mark.parametrize("tls", ["1.2", "1.3"])


def element(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes([size]) if size < 128 else bytes([0x81, size]) if size < 256 else bytes([0x82, size >> 8, size & 255])
    return bytes([tag]) + length + content


def pem(uri: str, description: str = "PKCS#11 Provider URI v1.0") -> str:
    """The form as pkcs11-provider writes it, made by hand."""
    der = element(0x30, element(0x1A, description.encode()) + element(0x0C, uri.encode()))
    return block(der)


def block(der: bytes) -> str:
    text = base64.b64encode(der).decode()
    lines = [text[i:i + 64] for i in range(0, len(text), 64)]
    return "\n".join(["-----BEGIN PKCS#11 PROVIDER URI-----", *lines, "-----END PKCS#11 PROVIDER URI-----", ""])


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Token:
    token = Token(tmp_path_factory.mktemp("keys")).init()
    for n, (name, kind) in enumerate(KEYS.items()):
        token.make_key(kind, f"{n + 1:02x}", name)
    return token


@pytest.fixture
def openssl(keys: Token, tmp_path: Path) -> OpenSSL:
    return OpenSSL(tmp_path, keys)


def key_file(openssl: OpenSSL, name: str = "p256", **query: str) -> Path:
    path = openssl.dir / f"{name}.pem"
    path.write_text(pem(openssl.uri(name, **query)))
    return path


def certificate(openssl: OpenSSL, name: str) -> Path:
    """A certificate of the key, for localhost, made through the key file."""
    path = openssl.dir / f"{name}.crt"
    openssl("req", "-x509", "-key", str(key_file(openssl, name)), "-subj", "/CN=localhost", "-days", "2",
            "-addext", "subjectAltName=DNS:localhost", "-out", str(path))
    return path


@EACH
@ORDERS
def test_file_is_a_key_for_openssl(keys: Token, tmp_path: Path, name: str, first: bool) -> None:
    mine = OpenSSL(tmp_path, keys, first=first)
    done = mine("req", "-new", "-key", str(key_file(mine, name)), "-subj", "/CN=x", "-out", "r.csr")
    assert done.stderr == ""
    assert verified(plain("req", "-in", "r.csr", "-verify", "-noout", cwd=tmp_path))


@EACH
@ORDERS
def test_software_keys_stay_what_they_are(keys: Token, tmp_path: Path, name: str, first: bool) -> None:
    """As ORDERS in test_openssl, with the token key from a file."""
    mine = OpenSSL(tmp_path, keys, first=first)
    results, errors = mine.probe("generate", f"file:{key_file(mine, name)}")
    assert results.pop("token-qualified") == 0  # no provider but "default" reads files
    assert [e for e in errors if "error in token-qualified" not in e] == []
    results.pop("load", None)
    assert set(results.values()) == {1}, results


@ORDERS
@pytest.mark.parametrize("name", ["rsa2048", "p256"])
@pytest.mark.parametrize("form", ["uri", "file"])
def test_software_key_that_signs_first_changes_nothing(keys: Token, tmp_path: Path, form: str, name: str, first: bool) -> None:
    """Signing with a software key makes OpenSSL ask us for key management, and remember the answer."""
    other = ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"] if name.startswith("rsa") else ["RSA"]
    plain("genpkey", "-algorithm", *other, "-out", "software.pem", cwd=tmp_path)
    mine = OpenSSL(tmp_path, keys, first=first)
    token = mine.uri(name) if form == "uri" else f"file:{key_file(mine, name)}"
    results, errors = mine.probe("mixed", token, "software.pem")
    assert errors == [] and results == {"load": 1, "software": 1, "rsa": 1, "ec": 1, "token": 1}


BUNDLES = {
    "key first": ["key", "cert"],
    "certificate first": ["cert", "key"],
    "chain first": ["cert", "cert", "cert", "key"],
    "text": ["text", "key", "text", "cert"],
    "parameters": ["params", "cert", "key"],
    "between": ["cert", "key", "cert"],
}


@pytest.mark.parametrize("parts", BUNDLES.values(), ids=BUNDLES.keys())
@pytest.mark.parametrize("name", ["rsa2048", "p256"])
def test_bundles(openssl: OpenSSL, name: str, parts: list[str]) -> None:
    have = {"key": key_file(openssl, name).read_text(), "cert": certificate(openssl, name).read_text(),
            "text": "Bag Attributes\n    friendlyName: x" + "y" * 500 + "\n",
            "params": plain("ecparam", "-name", "prime256v1", cwd=openssl.dir).stdout}
    (openssl.dir / "bundle.pem").write_text("".join(have[p] for p in parts))
    results, errors = openssl.probe("file", "file:bundle.pem", "bundle.pem")
    assert errors == [] and results == {"read": 1, "use": 1}
    openssl("req", "-new", "-key", "bundle.pem", "-subj", "/CN=x", "-out", "r.csr")
    # as with every key between certificates, openssl(1) is not content
    done = run(["openssl", "storeutl", "-noout", "-certs", "bundle.pem"], check=False, env=openssl.env, cwd=openssl.dir)
    assert done.stdout.count("Certificate") == parts.count("cert")


def test_crlf_lines(openssl: OpenSSL) -> None:
    path = key_file(openssl)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    openssl("pkey", "-in", str(path), "-noout")


def test_public_key_in_a_file(openssl: OpenSSL) -> None:
    """Where any kind of key will do; who wants a private key is told, who wants a public one reads past it."""
    (openssl.dir / "pub.pem").write_text(pem("pkcs11:token=t1;object=p256;type=public"))
    assert "Public key" in openssl("storeutl", "-noout", "pub.pem").stdout


def test_private_key_is_no_public_key(openssl: OpenSSL) -> None:
    """Or as little as a file with a software key is: OpenSSL 3.5 tries again and takes the public half."""
    plain("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "k.pem", cwd=openssl.dir)
    own = run(["openssl", "pkey", "-pubin", "-in", "k.pem", "-noout"], check=False, env=clean_env(), cwd=openssl.dir)
    openssl("pkey", "-pubin", "-in", str(key_file(openssl)), "-noout", status=own.returncode)


def told(openssl: OpenSSL, text: str) -> str:
    """The error of openssl(1), and of a program that reads PEM itself, for that file."""
    (openssl.dir / "bad.pem").write_text(text)
    done = openssl("pkey", "-in", "bad.pem", "-noout", status=1)
    ours = [line for line in done.stderr.splitlines() if ":p11enroll:" in line]
    assert len(ours) == 1, done.stderr
    _, errors = openssl.probe("file", "file:bad.pem", "bad.pem")
    assert ours[0].split("provider/decoder.c:", 1)[1].split(":", 1)[1] in errors[0]
    return ours[0]


def test_missing_key_is_named(openssl: OpenSSL) -> None:
    assert "has no private key that matches pkcs11:token=t1;object=nobody" in told(openssl, pem(openssl.uri("nobody")))


def test_missing_token_is_named(openssl: OpenSSL) -> None:
    assert "token=nobody" in told(openssl, pem("pkcs11:token=nobody;object=p256"))


def test_uri_that_means_several_keys_is_told(openssl: OpenSSL) -> None:
    assert "has 4 private keys that match pkcs11:token=t1" in told(openssl, pem("pkcs11:token=t1"))


def test_bad_uri_is_told(openssl: OpenSSL) -> None:
    assert "there is no attribute 'tokn'" in told(openssl, pem("pkcs11:tokn=t1"))


def test_another_scheme_is_told(openssl: OpenSSL) -> None:
    assert "does not begin with 'pkcs11:'" in told(openssl, pem("file:/etc/key"))


def test_uri_of_a_certificate_is_told(openssl: OpenSSL) -> None:
    assert "the URI has type=cert, and a private key is wanted" in told(openssl, pem("pkcs11:token=t1;type=cert"))


def test_uri_of_a_public_key_is_told(openssl: OpenSSL) -> None:
    error = told(openssl, pem("pkcs11:token=t1;object=p256;type=public"))
    assert "the URI has type=public, and a private key is wanted" in error


def test_other_version_is_told(openssl: OpenSSL) -> None:
    text = pem(openssl.uri("p256"), "PKCS#11 Provider URI v2.0")
    assert "it is a 'PKCS#11 Provider URI v2.0', and only" in told(openssl, text)


def test_wrong_content_is_told(openssl: OpenSSL) -> None:
    assert "is not a SEQUENCE of VisibleString and UTF8String" in told(openssl, block(b"\x30\x03\x02\x01\x01"))


def test_cut_file_is_told(openssl: OpenSSL) -> None:
    assert "is not complete PEM" in told(openssl, "".join(pem(openssl.uri("p256")).splitlines(keepends=True)[:-1]))


def test_size_of_a_block_is_bounded(openssl: OpenSSL) -> None:
    assert "the block is longer than" in told(openssl, block(bytes(16000)))


def test_uri_too_long_is_told(openssl: OpenSSL) -> None:
    assert "the URI is longer than 8192 characters" in told(openssl, pem("pkcs11:object=" + "a" * 8190))


def test_wrong_pin_costs_one_login(tmp_path: Path) -> None:
    keys = Token(tmp_path / "own").init()
    keys.make_key("EC:prime256v1", "01", "p256")
    wrong = private_file(tmp_path / "wrong", "0000wrong")
    mine = OpenSSL(tmp_path, keys, pin=False, module=SHIM)
    log = tmp_path / "calls"
    mine.env.update(P11SHIM_MODULE=str(SOFTHSM), P11SHIM_LOG=str(log))
    path = key_file(mine, "p256", **{"pin-source": f"file:{wrong}"})
    done = mine("pkey", "-in", str(path), "-noout", status=1)
    assert "CKR_PIN_INCORRECT" in done.stderr
    assert len(calls(log, "C_Login")) == 1


@pytest.mark.parametrize("name", ["rsa2048", "p256"])
def test_file_costs_no_more_searches_than_the_uri(keys: Token, tmp_path: Path, name: str) -> None:
    mine = OpenSSL(tmp_path, keys, module=SHIM)
    log = tmp_path / "calls"
    mine.env.update(P11SHIM_MODULE=str(SOFTHSM), P11SHIM_LOG=str(log))
    mine("req", "-new", "-key", str(key_file(mine, name)), "-subj", "/CN=x", "-out", "r.csr")
    assert len(calls(log, "C_FindObjectsInit")) == 1


def test_pin_from_the_application(keys: Token, tmp_path: Path) -> None:
    mine = OpenSSL(tmp_path, keys, pin=False)
    mine("pkey", "-in", str(key_file(mine)), "-passin", f"pass:{keys.pin}", "-noout")


def test_pin_in_the_uri(keys: Token, tmp_path: Path) -> None:
    mine = OpenSSL(tmp_path, keys, pin=False)
    mine("pkey", "-in", str(key_file(mine, "p256", **{"pin-value": keys.pin})), "-noout")


@pytest.mark.parametrize("form", ["PEM", "DER"])
@pytest.mark.parametrize("kind", [["RSA"], ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"], ["ED25519"]], ids=lambda k: k[0])
@ORDERS
def test_foreign_keys_pass_untouched(keys: Token, tmp_path: Path, kind: list[str], form: str, first: bool) -> None:
    plain("genpkey", "-algorithm", *kind, "-outform", form, "-out", "k", cwd=tmp_path)
    mine = OpenSSL(tmp_path, keys, first=first, module=tmp_path / "no-module.so")
    results, errors = mine.probe("file", "file:k", "k") if form == "PEM" else ({"read": 1, "use": 1}, [])
    assert errors == [] and results == {"read": 1, "use": 1}
    assert mine("pkey", "-in", "k", "-text").stdout == plain("pkey", "-in", "k", "-text", cwd=tmp_path).stdout


def test_encrypted_foreign_key(openssl: OpenSSL) -> None:
    plain("genpkey", "-algorithm", "RSA", "-aes256", "-pass", "pass:secret", "-out", "k", cwd=openssl.dir)
    openssl("pkey", "-in", "k", "-passin", "pass:secret", "-noout")
    openssl("pkey", "-in", "k", "-passin", "pass:other", "-noout", status=1)


@contextmanager
def s_server(openssl: OpenSSL, *args: str) -> Iterator[int]:
    port = free_port()
    server = subprocess.Popen(["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-www", *args], env=openssl.env,
                              cwd=openssl.dir, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port, server)
        yield port
    finally:
        server.terminate()
        server.wait(timeout=10)


@TLS
@pytest.mark.skipif(SANITIZED, reason="curl(1) does not start under a preloaded libasan")
@pytest.mark.parametrize("name", ["rsa2048", "p256"])
def test_curl_with_a_key_file(openssl: OpenSSL, name: str, tls: str) -> None:
    """Both sides have their key in the token and know it by file name."""
    cert, key = str(certificate(openssl, name)), str(openssl.dir / f"{name}.pem")
    with s_server(openssl, "-cert", cert, "-key", key, "-Verify", "1", "-verify_return_error", "-CAfile", cert) as port:
        done = run(["curl", "--max-time", "30", "--silent", "--show-error", "--output", "/dev/null", "--write-out", "%{http_code}",
                    f"--tlsv{tls}", "--tls-max", tls, "--cacert", cert, "--cert", cert, "--key", key, "--noproxy", "*",
                    "--resolve", f"localhost:{port}:127.0.0.1", f"https://localhost:{port}/"], env=openssl.env)
    assert done.stdout == "200"


@TLS
@ORDERS
def test_s_server_and_s_client_with_key_files(keys: Token, tmp_path: Path, tls: str, first: bool) -> None:
    mine = OpenSSL(tmp_path, keys, first=first)
    cert, key = str(certificate(mine, "p256")), str(tmp_path / "p256.pem")
    flag = "-tls" + tls.replace(".", "_")
    with s_server(mine, "-cert", cert, "-key", key, flag, "-Verify", "1", "-verify_return_error", "-CAfile", cert) as port:
        done = run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", cert, "-verify_return_error",
                    "-cert", cert, "-key", key, flag], env=mine.env, cwd=tmp_path, input="GET / HTTP/1.0\r\n\r\n",
                   stdin=None)
    assert "Verify return code: 0 (ok)" in done.stdout


def test_python_loads_a_bundle(openssl: OpenSSL) -> None:
    (openssl.dir / "bundle.pem").write_text(certificate(openssl, "p256").read_text() + key_file(openssl).read_text())
    code = "import ssl; ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain('bundle.pem')"
    # the interpreter itself leaks at its end
    run(["/usr/bin/python3", "-c", code], env={**openssl.env, "ASAN_OPTIONS": "detect_leaks=0"}, cwd=openssl.dir)


def test_program_that_reads_pem_itself_wants_default_first(keys: Token, tmp_path: Path) -> None:
    """Where we come first, a PEM file as the first key of a process is refused with advice; see the manual."""
    mine = OpenSSL(tmp_path, keys, first=True)
    results, errors = mine.probe("file", f"file:{key_file(mine)}", str(key_file(mine)))
    assert results["read"] == 0
    assert "list 'default' before 'p11enroll' in openssl.cnf" in errors[0]


def test_nothing_is_printed_and_env_stays_clean(openssl: OpenSSL) -> None:
    done = openssl("pkey", "-in", str(key_file(openssl)), "-noout")
    assert done.stdout == "" and done.stderr == ""


def test_without_the_provider_the_file_is_no_key(openssl: OpenSSL) -> None:
    done = run(["openssl", "pkey", "-in", str(key_file(openssl)), "-noout"], check=False, env=clean_env())
    assert done.returncode == 1
