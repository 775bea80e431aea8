"""What the provider suites share: stock openssl with p11enroll.so in its configuration."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from beds import Bed
from p11e import BUILD, PROVIDER, SOFTHSM, Token, clean_env, run, sanitizer_preload

PROBE = BUILD / "support" / "p11probe"
# What makes a certificate one of an authority to strict verifiers: OpenSSL 3.5 and Python 3.13 are.
AUTHORITY = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]
ORDERS = pytest.mark.parametrize("first", [False, True], ids=["default first", "p11enroll first"])


class OpenSSL:
    """openssl(1) with our provider in its configuration."""

    def __init__(self, path: Path, token: Token | Bed, pin: bool = True, module: Path = SOFTHSM, default: bool = True,
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
        self.wrapper: list[str] = []  # a command in front of every program
        self.env = clean_env(**token.env, **sanitizer_preload(), OPENSSL_CONF=str(self.conf), XDG_RUNTIME_DIR=str(path))

    def __call__(self, *args: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        done = run([*self.wrapper, "openssl", *args], check=False, env=self.env, cwd=self.dir)
        assert done.returncode == status, f"{args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def probe(self, what: str, name: str, *args: str) -> tuple[dict[str, int], list[str]]:
        """What probe.c says of a key: results by name, and everything that was in the error queue."""
        uri = name if name == "" or ":" in name else self.uri(name)
        done = run([*self.wrapper, str(PROBE), what, uri, *args], check=False, env=self.env, cwd=self.dir)
        assert done.returncode == 0, done.stdout + done.stderr
        lines = done.stdout.splitlines()
        results = [line.split("=") for line in lines if "=" in line and not line.startswith(" ")]
        return {k: int(v) for k, v in results}, [line for line in lines if line.startswith(" ")]

    def uri(self, name: str, **query: str) -> str:
        text = f"pkcs11:token={quote(self.token.label)};object={name};type=private"
        return text + ("?" + "&".join(f"{k}={v}" for k, v in query.items()) if query else "")


def plain(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """openssl without our provider: the independent verifier."""
    return run(["openssl", *args], env=clean_env(), cwd=cwd)


def verified(done: subprocess.CompletedProcess[str]) -> bool:
    """What `openssl req -verify` says, on standard error before OpenSSL 3.4 and on standard output since."""
    return "verify OK" in done.stdout + done.stderr


def public(openssl: OpenSSL, name: str) -> str:
    openssl("pkey", "-in", openssl.uri(name), "-pubout", "-out", "pub.pem")
    return "pub.pem"


def first_error(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in done.stderr.splitlines() if ":error:" in line]
    assert lines and ":p11enroll:" in lines[0], done.stderr
    return lines[0]


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 15
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the server did not come up")


@contextlib.contextmanager
def s_server(env: dict[str, str], cwd: Path, *args: str, wrapper: list[str] | None = None) -> Iterator[int]:
    """openssl s_server on a port of its own, which is what one gets."""
    port = free_port()
    server = subprocess.Popen([*(wrapper or []), "openssl", "s_server", "-accept", f"127.0.0.1:{port}", *args], env=env, cwd=cwd,
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port, server)
        yield port
    finally:
        if "-naccept" in args:  # it ends by itself, and the module in good order
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(timeout=10)
        server.terminate()
        server.wait(timeout=10)
