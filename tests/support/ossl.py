"""Stock openssl with p11enroll.so in its configuration, and what goes with it: servers, ports, wrapped URIs."""

from __future__ import annotations

import base64
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType

import pytest
from p11e import BUILD, PROVIDER, SHIM, SOFTHSM, Token, clean_env, run, sanitizer_preload

PROBE = BUILD / "support" / "p11probe"
ORDERS = pytest.mark.parametrize("first", [False, True], ids=["default first", "p11enroll first"])


class OpenSSL:
    """openssl(1) with our provider in its configuration."""

    def __init__(self, path: Path, token: Token, pin: bool = True, module: Path = SOFTHSM, default: bool = True,
                 first: bool = False) -> None:
        self.dir, self.token = path, token
        self.conf = path / "openssl.cnf"
        lines = ["openssl_conf = init", "[init]", "providers = providers", "[providers]"]
        providers = (["default = default_sect"] if default else []) + ["p11enroll = p11enroll"]
        lines += providers[::-1] if first else providers
        lines += ["[default_sect]", "activate = 1", "[p11enroll]", f"module = {PROVIDER}",
                  f"module-path = {module}", "activate = 1"]
        lines += [f"pin-source = file:{token.pin_file}"] if pin else []
        # what `openssl req` and `openssl ca` want from their configuration
        lines += ["[req]", "distinguished_name = dn", "[dn]"]
        self.conf.write_text("\n".join(lines) + "\n")
        self.env = clean_env(**token.env, **sanitizer_preload(), OPENSSL_CONF=str(self.conf), XDG_RUNTIME_DIR=str(path))

    def __call__(self, *args: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        done = run(["openssl", *args], check=False, env=self.env, cwd=self.dir)
        assert done.returncode == status, f"{args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def probe(self, what: str, name: str, *args: str) -> tuple[dict[str, int], list[str]]:
        """What probe.c says of a key: results by name, and everything that was in the error queue."""
        uri = name if ":" in name else self.uri(name)
        done = run([str(PROBE), what, uri, *args], check=False, env=self.env, cwd=self.dir)
        assert done.returncode == 0, done.stdout + done.stderr
        lines = done.stdout.splitlines()
        results = [line.split("=") for line in lines if "=" in line and not line.startswith(" ")]
        return {k: int(v) for k, v in results}, [line for line in lines if line.startswith(" ")]

    def uri(self, name: str, **query: str) -> str:
        text = f"pkcs11:token={self.token.label};object={name};type=private"
        return text + ("?" + "&".join(f"{k}={v}" for k, v in query.items()) if query else "")

    def shim(self, **more: str) -> Path:
        """Puts the shim's settings into the environment (the module has to be SHIM); returns its log of calls."""
        log = self.dir / "calls"
        self.env.update(P11SHIM_MODULE=str(SOFTHSM), P11SHIM_LOG=str(log), **more)
        return log


def counted(path: Path, token: Token, pin: bool = True, default: bool = True,
            first: bool = False) -> tuple[OpenSSL, Path]:
    """openssl whose calls of the module are written down, and the log of them."""
    path.mkdir(exist_ok=True)
    made = OpenSSL(path, token, pin=pin, module=SHIM, default=default, first=first)
    return made, made.shim()


def plain(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """openssl without our provider: the independent verifier."""
    return run(["openssl", *args], env=clean_env(), cwd=cwd)


def public(openssl: OpenSSL, name: str) -> str:
    openssl("pkey", "-in", openssl.uri(name), "-pubout", "-out", "pub.pem")
    return "pub.pem"


def first_error(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in done.stderr.splitlines() if ":error:" in line]
    assert lines and ":p11enroll:" in lines[0], done.stderr
    return lines[0]


class Authority:
    """A certification authority in software, of stock openssl."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.dir, self.cert, self.key = path, path / "ca.pem", path / "ca.key"
        plain("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2",
              "-subj", "/CN=authority", cwd=path)

    def sign(self, csr: Path, out: Path, *options: str) -> Path:
        """A certificate for localhost, good for either side of TLS."""
        extensions = self.dir / "extensions"
        extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n")
        plain("x509", "-req", "-in", str(csr), "-CA", "ca.pem", "-CAkey", "ca.key", "-out", str(out), "-days", "2",
              "-extfile", str(extensions), *options, cwd=self.dir)
        return out


def wrap(uri: str) -> str:
    """The PEM form that carries a URI: for programs that take their keys from files alone."""
    def der(tag: int, content: bytes) -> bytes:
        size = len(content)
        length = bytes([size]) if size < 128 else bytes([0x82, size >> 8, size & 255])
        return bytes([tag]) + length + content

    visible_string, utf8_string, sequence = 0x1A, 0x0C, 0x30
    text = base64.b64encode(der(sequence, der(visible_string, b"PKCS#11 Provider URI v1.0") +
                                der(utf8_string, uri.encode()))).decode()
    lines = [text[i:i + 64] for i in range(0, len(text), 64)]
    label = "PKCS#11 PROVIDER URI"
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def is_listening(port: int) -> bool:
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


class Server:
    """A process that listens on a port of the loopback interface, in a process group of its own."""

    def __init__(self, args: list[str], port: int, env: dict[str, str], cwd: Path) -> None:
        self.port, self.log = port, cwd / f"server-{port}.log"
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(args, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=subprocess.STDOUT, start_new_session=True)

    def __enter__(self) -> Server:
        end = time.monotonic() + 30
        while time.monotonic() < end and self.process.poll() is None:
            if is_listening(self.port):
                return self
            time.sleep(0.05)
        self.stop()
        raise AssertionError(f"the server did not come up:\n{self.output}")

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> int:
        """Ends it; what it left behind in its process group is ended, too. Returns its exit status."""
        self.process.terminate()
        try:
            status = self.process.wait(timeout=15)
        finally:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return status

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")
