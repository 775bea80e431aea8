"""What token keys are tried with: an authority in software, servers, wrapped URIs, and a look at the module's calls."""

from __future__ import annotations

import base64
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from p11e import SANITIZED, SHIM, SOFTHSM, Token
from support import AUTHORITY, OpenSSL, plain


def counted(path: Path, token: Token, pin: bool = True, default: bool = True,
            first: bool = False) -> tuple[OpenSSL, Path]:
    """openssl whose calls of the module are written down, and the log of them."""
    path.mkdir(exist_ok=True)
    made = OpenSSL(path, token, pin=pin, module=SHIM, default=default, first=first)
    log = path / "calls"
    made.env.update(P11SHIM_MODULE=str(SOFTHSM), P11SHIM_LOG=str(log))
    return made, log


def ignore_leaks(openssl: OpenSSL) -> OpenSSL:
    """Other people's programs leak at their end; so does SoftHSM2 2.6.1 in each signature with an Ed25519 key (the
    decoded name of the curve, in C_SignInit), and LeakSanitizer does not see through libcrypto whose it is."""
    if SANITIZED:
        openssl.env["ASAN_OPTIONS"] = "detect_leaks=0"
    return openssl


class Authority:
    """A certification authority in software, of stock openssl."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.dir, self.cert, self.key = path, path / "ca.pem", path / "ca.key"
        plain("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2",
              "-subj", "/CN=authority", *AUTHORITY, cwd=path)

    def sign(self, csr: Path, out: Path, *options: str) -> Path:
        """A certificate for localhost, good for either side of TLS."""
        extensions = self.dir / "extensions"
        extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n"
                              "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
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


def accepted_client(server: Server, name: str) -> bool:
    """Whether s_server said that it verified that client; "CN = x" is "CN=x" since OpenSSL 3.2."""
    return f"depth=0 CN={name}\nverify return:1" in server.output.replace("CN = ", "CN=")


def members(group: int) -> list[int]:
    """The processes of a process group, zombies aside."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, pgrp = stat.read_text().rsplit(")", 1)[1].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(pgrp) == group and state != "Z":
            found.append(int(stat.parent.name))
    return sorted(found)


def wait_until(what: str, is_so: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.05)


VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def talk(port: int, ca: Path, version: str, say: bytes = b"GET / HTTP/1.0\r\n\r\n") -> tuple[str, bytes]:
    """A full handshake (a new context has no session to resume) and a request: the peer's name and what it said."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = context.maximum_version = VERSIONS[version]
    context.load_verify_locations(ca)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as raw:
        with context.wrap_socket(raw, server_hostname="localhost") as tls:
            subject = dict(pair[0] for pair in tls.getpeercert()["subject"])  # type: ignore[index, misc]
            tls.sendall(say)
            answer = b""
            while part := tls.recv(4096):
                answer += part
    return subject["commonName"], answer


class Load:
    """Clients that go on making handshakes, in threads, until they are stopped; failures with their times."""

    def __init__(self, targets: list[tuple[int, str]], ca: Path, threads: int = 4) -> None:
        self.targets, self.ca = targets, ca
        self.stopping = threading.Event()
        self.good = 0
        self.failures: list[tuple[float, str]] = []
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.work, args=(n,)) for n in range(threads)]

    def work(self, at: int) -> None:
        while not self.stopping.is_set():
            port, version = self.targets[at % len(self.targets)]
            at += 1
            try:
                talk(port, self.ca, version)
                with self.lock:
                    self.good += 1
            except (OSError, ssl.SSLError) as error:
                with self.lock:
                    self.failures.append((time.monotonic(), f"{port} {version}: {error}"))

    def __enter__(self) -> Load:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def wait_for(self, more: int) -> None:
        wanted = self.good + more
        wait_until(f"{more} more handshakes", lambda: self.good >= wanted or len(self.failures) > 50, 60)
