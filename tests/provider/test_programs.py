"""Programs that take their key from a file alone, with a file that carries a URI: curl, Python, stunnel as a client."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from p11e import PYTHON, SANITIZED, Token, clean_env, need, run
from peers import Authority, Server, accepted_client, ignore_leaks, talk, wait_until, wrap
from support import OpenSSL, free_port, plain

KEYS = {"rsa": "RSA:2048", "p256": "EC:prime256v1", "p384": "EC:secp384r1", "ed25519": "EC:edwards25519"}
EACH = pytest.mark.parametrize("name", KEYS)
VERSIONS = pytest.mark.parametrize("version", ["1.2", "1.3"])


@dataclass
class Pair:
    """A certificate, and a file that carries the URI of its key."""

    cert: Path
    key: Path
    both: Path


@dataclass
class World:
    openssl: OpenSSL
    authority: Authority
    pairs: dict[str, Pair]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    path = tmp_path_factory.mktemp("programs")
    token = Token(path / "token").init()
    made = World(ignore_leaks(OpenSSL(path, token)), Authority(path / "ca"), {})
    for n, (name, kind) in enumerate(KEYS.items()):
        token.make_key(kind, f"{n + 1:02x}", name)
        made.openssl("req", "-new", "-key", made.openssl.uri(name), "-subj", f"/CN={name}", "-out", f"{name}.csr")
        pair = Pair(path / f"{name}.pem", path / f"{name}.key", path / f"{name}.both")
        made.authority.sign(path / f"{name}.csr", pair.cert)
        pair.key.write_text(wrap(made.openssl.uri(name)))
        pair.both.write_text(pair.cert.read_text() + pair.key.read_text())
        made.pairs[name] = pair
    plain("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "s.key", "-subj", "/CN=server", "-out", "s.csr",
          cwd=path)
    made.authority.sign(path / "s.csr", path / "s.pem")
    return made


def strict_server(world: World, path: Path, version: str) -> Server:
    """A stock server that talks to clients with a certificate of the authority alone."""
    port = free_port()
    home = world.openssl.dir
    return Server(["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", str(home / "s.pem"),
                   "-key", str(home / "s.key"), "-www", f"-tls{version.replace('.', '_')}", "-Verify", "1",
                   "-verify_return_error", "-CAfile", str(world.authority.cert)], port, clean_env(), path)


@EACH
@VERSIONS
@pytest.mark.parametrize("layout", ["two files", "one file"])
def test_curl(world: World, tmp_path: Path, name: str, version: str, layout: str) -> None:
    if reason := need("curl"):
        pytest.skip(reason)
    if SANITIZED:
        pytest.skip("curl with libasan preloaded waits for ever in its first setlocale()")
    pair = world.pairs[name]
    files = ["--cert", str(pair.cert), "--key", str(pair.key)] if layout == "two files" else ["--cert", str(pair.both)]
    with strict_server(world, tmp_path, version) as server:
        done = run(["curl", "--silent", "--show-error", "--noproxy", "*", "--cacert", str(world.authority.cert), *files,
                    f"https://localhost:{server.port}/", "--connect-to", f"localhost:{server.port}:127.0.0.1:{server.port}",
                    "--write-out", "%{http_code}", "--output", str(tmp_path / "page")],
                   check=False, env=world.openssl.env, cwd=tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (0, "200", "")
        assert accepted_client(server, name)


PYTHON_CLIENT = """
import socket, ssl, sys
port, ca, cert, key = int(sys.argv[1]), *sys.argv[2:5]
context = ssl.create_default_context(cafile=ca)
context.load_cert_chain(cert, key or None)
with socket.create_connection(("127.0.0.1", port)) as raw, context.wrap_socket(raw, server_hostname="localhost") as tls:
    tls.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
    print(tls.recv(100).split(b"\\r")[0].decode())
"""

PYTHON_SERVER = """
import http.server, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[3])
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


@EACH
@VERSIONS
@pytest.mark.parametrize("layout", ["two files", "one file"])
def test_python_client(world: World, tmp_path: Path, name: str, version: str, layout: str) -> None:
    pair = world.pairs[name]
    files = [str(pair.cert), str(pair.key)] if layout == "two files" else [str(pair.both), ""]
    with strict_server(world, tmp_path, version) as server:
        done = run([PYTHON, "-c", PYTHON_CLIENT, str(server.port), str(world.authority.cert), *files], check=False,
                   env=world.openssl.env, cwd=tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (0, "HTTP/1.0 200 ok\n", "")
        assert accepted_client(server, name)


@EACH
def test_python_server(world: World, tmp_path: Path, name: str) -> None:
    pair = world.pairs[name]
    port = free_port()
    with Server([PYTHON, "-c", PYTHON_SERVER, str(port), str(pair.cert), str(pair.key)], port, world.openssl.env,
                tmp_path):
        for version in ("1.2", "1.3") * 5:
            subject, answer = talk(port, world.authority.cert, version)
            assert subject == name and b"200 OK" in answer


@EACH
@VERSIONS
def test_stunnel_client(world: World, tmp_path: Path, name: str, version: str) -> None:
    """What talks plainly to stunnel talks to the strict server with the token's key."""
    if reason := need("/usr/bin/stunnel4"):
        pytest.skip(reason)
    pair = world.pairs[name]
    with strict_server(world, tmp_path, version) as server:
        port = free_port()
        conf = tmp_path / "stunnel.conf"
        conf.write_text(f"foreground = yes\npid =\nsyslog = no\ndebug = notice\n[out]\nclient = yes\n"
                        f"accept = 127.0.0.1:{port}\nconnect = 127.0.0.1:{server.port}\ncert = {pair.cert}\n"
                        f"key = {pair.key}\nverifyChain = yes\nCAfile = {world.authority.cert}\n")
        with Server(["/usr/bin/stunnel4", str(conf)], port, world.openssl.env, tmp_path):
            done = run([PYTHON, "-c", "import sys, urllib.request as u\n"
                        "o = u.build_opener(u.ProxyHandler({}))\n"
                        "print(o.open('http://127.0.0.1:' + sys.argv[1]).status)", str(port)], env=clean_env())
            assert done.stdout == "200\n"
        wait_until("the server has noted the client", lambda: accepted_client(server, name))


LOAD = "import ssl, sys; ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(sys.argv[1], sys.argv[2])"


@pytest.mark.parametrize(("cert", "key", "reason"), [
    ("p256", "p384", "KEY_VALUES_MISMATCH"),
    ("rsa", "other", "KEY_VALUES_MISMATCH"),
    ("rsa", "p384", "NO_CERTIFICATE_ASSIGNED"),  # each type has a place of its own
])
def test_key_of_another_certificate_is_refused(world: World, tmp_path: Path, cert: str, key: str, reason: str) -> None:
    """A program compares key and certificate when it loads them; Python reports errno instead, if that is set."""
    if key == "other":
        world.openssl.token.make_key("RSA:2048", "09", "other")
    (tmp_path / "k").write_text(wrap(world.openssl.uri(key)))
    done = run([PYTHON, "-c", LOAD, str(world.pairs[cert].cert), str(tmp_path / "k")], check=False,
               env=world.openssl.env, cwd=tmp_path)
    assert done.returncode == 1 and reason in done.stderr, done.stderr


def test_python_reports_our_error(world: World, tmp_path: Path) -> None:
    (tmp_path / "k").write_text(wrap(world.openssl.uri("nobody")))
    done = run([PYTHON, "-c", LOAD, str(world.pairs["rsa"].cert), str(tmp_path / "k")], check=False,
               env=world.openssl.env, cwd=tmp_path)
    assert done.returncode == 1 and "ssl.SSLError" in done.stderr, done.stderr


def test_wrapped_uri_of_a_missing_key_is_an_error_of_the_program(world: World, tmp_path: Path) -> None:
    lost = tmp_path / "lost.key"
    lost.write_text(wrap(world.openssl.uri("nobody")))
    done = subprocess.run(["openssl", "pkey", "-in", str(lost), "-noout"], env=world.openssl.env, cwd=tmp_path, text=True,
                          capture_output=True, stdin=subprocess.DEVNULL, timeout=60, check=False)
    assert done.returncode == 1 and "has no private key that matches" in done.stderr, done.stderr
