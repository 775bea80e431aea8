"""What others make of a token that we filled: our keys are usable by them, our certificates are found by them.

docs/interop.md is the table of these cases.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from beds import BEDS, why_not
from p11e import SOFTHSM, Client, Sandbox, Token, clean_env, need, run

KINDS = {"ec": "ec:P-256", "rsa": "rsa:2048"}


class Filled:
    """A token on which we made a key and bound a certificate with its issuer."""

    def __init__(self, path: Path, sandbox: Sandbox, kind: str) -> None:
        self.dir = path
        self.token = Token(path / "hsm").init()
        self.client = Client(path / "client", self.token, sandbox)
        self.uri = self.client.json("key", "generate", "--label", "www", "--type", KINDS[kind])["uri"]
        self.id = next(o["ID"] for o in self.token.objects() if o["kind"] == "Private Key")
        csr = self.client.run("csr", "create", self.uri, "--name", "localhost").stdout
        answer = sandbox.sign(csr, ["localhost"])
        (path / "cert.pem").write_text(answer["cert"] + answer["chain"])
        self.client.run("cert", "bind", "--key", self.uri, "--cert", str(path / "cert.pem"))
        (path / "root.pem").write_text((sandbox.dir / "issuer-root.pem").read_text())
        (path / "message").write_bytes(b"to be signed\n")

    def run(self, *args: str, **kwargs: object) -> subprocess.CompletedProcess[str]:
        return run(list(args), env=clean_env(**self.token.env), cwd=self.dir, **kwargs)  # type: ignore[arg-type]

    def fingerprint(self, name: str, *form: str) -> str:
        return self.run("openssl", "x509", "-in", name, *form, "-noout", "-fingerprint", "-sha256").stdout

    def verifies(self, *args: str) -> None:
        """The signature is that of the key in the certificate."""
        self.run("openssl", "x509", "-in", "cert.pem", "-noout", "-pubkey", "-out", "public.pem")
        self.run("openssl", "dgst", "-sha256", "-verify", "public.pem", "-signature", "signature", *args, "message")


@pytest.fixture(params=KINDS)
def filled(request: pytest.FixtureRequest, tmp_path: Path, sandbox: Sandbox) -> Filled:
    return Filled(tmp_path, sandbox, request.param)


def wants(*programs: str) -> None:
    if (reason := need(*programs)) is not None:
        pytest.skip(reason)


def own_root(path: Path) -> None:
    """A CA whose certificates name no extended usage."""
    run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=Own",
         "-days", "9", "-keyout", "own.key", "-out", "own.pem"], env=clean_env(), cwd=path)


def sign_with_own_root(path: Path, csr: str) -> None:
    run(["openssl", "x509", "-req", "-CA", "own.pem", "-CAkey", "own.key", "-days", "9", "-set_serial", "1", "-out",
         "cert.pem"], env=clean_env(), cwd=path, input=csr, stdin=None)


def test_pkcs11_tool(filled: Filled) -> None:
    """Signs with the key, verifies with its public half, reads the certificate by the key's id."""
    token = filled.token
    openssl = ["--signature-format", "openssl"]
    if "EC" in filled.client.json("key", "show", filled.uri)["type"]:
        filled.run("openssl", "dgst", "-sha256", "-binary", "-out", "hash", "message")
        sign = ["-m", "ECDSA", "--input-file", str(filled.dir / "hash"), *openssl]
    else:
        sign = ["-m", "SHA256-RSA-PKCS", "--input-file", str(filled.dir / "message")]
    token.tool("--sign", *sign, "--id", filled.id, "--output-file", str(filled.dir / "signature"))
    filled.verifies()
    said = token.tool("--verify", *sign, "--id", filled.id, "--signature-file", str(filled.dir / "signature"))
    assert "Signature is valid" in said
    token.tool("--read-object", "--type", "cert", "--id", filled.id, "--output-file", str(filled.dir / "found.der"))
    assert filled.fingerprint("found.der", "-inform", "DER") == filled.fingerprint("cert.pem")


def test_p11tool(filled: Filled) -> None:
    tool = ["p11tool", "--provider", str(SOFTHSM), "--login", "--set-pin", filled.token.pin]
    keys = filled.run(*tool, "--list-privkeys", filled.token.uri).stdout
    certs = filled.run(*tool, "--list-all-certs", filled.token.uri).stdout
    key = next(line.split("URL: ", 1)[1] for line in keys.splitlines() if "URL: " in line)
    cert = next(line.split("URL: ", 1)[1] for line in certs.splitlines() if "object=www" in line)
    signed = filled.run(*tool, "--test-sign", key)
    assert "ok" in signed.stdout + signed.stderr
    filled.run(*tool, "--export", cert, "--outfile", "found.pem")
    assert filled.fingerprint("found.pem") == filled.fingerprint("cert.pem")
    assert certs.count("Type: X.509 Certificate") == 2  # and the issuer


# NSS


@contextlib.contextmanager
def selfserv(path: Path, pin_file: Path) -> Iterator[int]:
    """NSS's own TLS server, with the certificate and key "www"."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(["selfserv", "-d", f"sql:{path}", "-n", "www", "-p", str(port), "-f", str(pin_file)],
                               env=clean_env(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        end = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
                break
            assert process.poll() is None and time.monotonic() < end, "selfserv does not answer"
            time.sleep(0.05)
        yield port
    finally:
        process.kill()
        process.communicate()


def test_certutil(tmp_path: Path) -> None:
    """On NSS's own token: our key signs, and the certificate that we bound is a user's ("u": its key is there)."""
    wants("certutil", "selfserv")
    if (reason := why_not("NSS softokn")) is not None:
        pytest.skip(reason)
    with BEDS["NSS softokn"](tmp_path) as bed:
        client = Client(tmp_path / "client", bed, None)  # type: ignore[arg-type]
        client.set("token:main", init_args=bed.init_args)
        made = client.json("key", "generate", "--label", "www", "--type", "ec:P-256")
        csr = client.run("csr", "create", made["uri"], "--name", "localhost").stdout
        own_root(tmp_path)
        sign_with_own_root(tmp_path, csr)
        client.run("cert", "bind", "--key", made["uri"], "--cert", str(tmp_path / "cert.pem"), "--issuer-roots",
                   str(tmp_path / "own.pem"))
        tool = ["certutil", "-d", f"sql:{tmp_path}", "-f", str(bed.pin_file)]
        keys = run([*tool, "-K"], env=clean_env()).stdout
        certs = run([*tool, "-L"], env=clean_env()).stdout
        assert re.search(f"^< *2> *ec +{made['id']} +www$", keys, re.MULTILINE), keys
        assert re.search("^www +u,u,u$", certs, re.MULTILINE), certs
        run([*tool, "-A", "-n", "root", "-t", "CT,,", "-i", str(tmp_path / "own.pem")], env=clean_env())
        run([*tool, "-V", "-n", "www", "-u", "V"], env=clean_env())
        with selfserv(tmp_path, bed.pin_file) as port:
            done = run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", str(tmp_path / "own.pem"),
                        "-verify_return_error", "-tls1_3"], env=clean_env(), input="GET / HTTP/1.0\r\n\r\n", stdin=None)
        assert "Verification: OK" in done.stdout and re.search("subject=CN ?= ?localhost", done.stdout), done.stdout


# Java


def sun_conf(filled: Filled) -> Path:
    path = filled.dir / "sun.cfg"
    path.write_text(f"name = token\nlibrary = {SOFTHSM}\nslotListIndex = 0\n")
    return path


def keytool(filled: Filled, *args: str) -> str:
    return filled.run("keytool", "-J-Duser.language=en", "-keystore", "NONE", "-storetype", "PKCS11", "-providerClass",
                      "sun.security.pkcs11.SunPKCS11", "-providerArg", str(sun_conf(filled)), "-storepass:file",
                      str(filled.token.pin_file), *args).stdout


def test_keytool(filled: Filled) -> None:
    """The pair is one entry under our label, with its chain, and its key signs."""
    wants("keytool")
    listed = keytool(filled, "-list", "-v")
    assert "Alias name: www" in listed and "Entry type: PrivateKeyEntry" in listed
    assert "Certificate chain length: 2" in listed
    keytool(filled, "-certreq", "-alias", "www", "-file", "java.csr")
    said = filled.run("openssl", "req", "-in", "java.csr", "-verify", "-noout", "-pubkey")
    assert "verify OK" in said.stdout + said.stderr
    assert filled.run("openssl", "x509", "-in", "cert.pem", "-noout", "-pubkey").stdout in said.stdout


def tls_java(filled: Filled, *args: str) -> subprocess.Popen[str]:
    source = Path(__file__).parent / "java" / "TokenTls.java"
    process = subprocess.Popen(
        ["java", str(source), args[0], str(sun_conf(filled)), "www", *args[1:]], env=clean_env(**filled.token.env),
        cwd=filled.dir, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdin is not None
    process.stdin.write(filled.token.pin + "\n")
    process.stdin.flush()
    return process


def test_java_tls_server(filled: Filled) -> None:
    wants("java")
    server = tls_java(filled, "server")
    try:
        assert server.stdout is not None
        said = [server.stdout.readline().strip() for _ in range(3)]
        assert said[0] == "chain 2" and said[1].startswith("key sun.security.pkcs11."), said + [server.communicate()[1]]
        done = filled.run("openssl", "s_client", "-connect", f"localhost:{said[2].split()[1]}", "-CAfile", "root.pem",
                          "-verify_return_error", "-verify_hostname", "localhost", "-tls1_3", "-quiet",
                          input="hello from OpenSSL\n", stdin=None)
        out, errors = server.communicate(timeout=60)
        assert "hello from Java" in done.stdout and "peer said: hello from OpenSSL" in out, errors
    finally:
        server.kill()
        server.wait()


def bind_for_clients(filled: Filled) -> None:
    """A certificate without extended usages takes the place of the server's; its root is the only issuer."""
    own_root(filled.dir)
    sign_with_own_root(filled.dir, filled.client.run("csr", "create", filled.uri, "--name", "localhost").stdout)
    done = filled.client.json("cert", "bind", "--key", filled.uri, "--cert", str(filled.dir / "cert.pem"), "--issuer-roots",
                              str(filled.dir / "own.pem"))
    assert done["old_removed"] == 1


def ask_for_certificate(listening: socket.socket, dir_: Path, heard: list[str]) -> None:
    """One connection of a server that wants a certificate; notes whose it was."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(dir_ / "server.pem", dir_ / "server.key")
    context.load_verify_locations(dir_ / "own.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    with context.wrap_socket(listening.accept()[0], server_side=True) as tls:
        peer = tls.getpeercert(binary_form=True)
        assert peer is not None
        tls.sendall(b"hello from Python\n")
        heard += [hashlib.sha256(peer).hexdigest(), tls.recv(100).decode().strip()]


def test_java_tls_client(filled: Filled, sandbox: Sandbox) -> None:
    wants("java")
    bind_for_clients(filled)
    run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
         "server.key", "-subj", "/CN=localhost", "-out", "server.csr"], env=clean_env(), cwd=filled.dir)
    answer = sandbox.sign((filled.dir / "server.csr").read_text(), ["localhost"])
    (filled.dir / "server.pem").write_text(answer["cert"] + answer["chain"])
    heard: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(60)
        server = threading.Thread(target=ask_for_certificate, args=(listening, filled.dir, heard))
        server.start()
        out, errors = tls_java(filled, "client", str(listening.getsockname()[1])).communicate(timeout=60)
        server.join()
    assert "protocol TLSv1.3" in out and "peer said: hello from Python" in out, errors
    assert heard[1] == "hello from Java"
    assert heard[0] == filled.fingerprint("cert.pem").split("=")[1].strip().replace(":", "").lower()
