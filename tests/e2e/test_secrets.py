"""Secrets never reach argv, files, terminals, logs, the journal or a core file."""

from __future__ import annotations

import os
import re
import resource
import secrets
import subprocess
import time
from pathlib import Path

import pytest
from p11e import SANITIZED, Client, Token, clean_env, need, private_file, run

MARKER = "Zq7"
MEBIBYTE = 1 << 20


def marker() -> str:
    return MARKER + secrets.token_hex(12)


@pytest.fixture
def marked(client: Client, tmp_path: Path) -> tuple[Client, list[str]]:
    """PINs and passwords that can be found again wherever they leak to."""
    assert client.sandbox is not None
    token = Token(tmp_path / "marked", pin=marker(), so_pin=marker()).init()
    client.token = token
    p12_password = marker()
    key = client.sandbox.dir / "client.key"
    p12 = client.dir / "marked.p12"
    run(["openssl", "pkcs12", "-export", "-inkey", str(key), "-in", str(client.sandbox.dir / "client.pem"),
         "-name", "admin", "-out", str(p12), "-passout", f"pass:{p12_password}"], env=clean_env())
    client.set("token:main", pin_source=f"file:{token.pin_file}")
    client.set("ca:sandbox", client_cert=str(p12),
               client_password_source=f"file:{private_file(client.dir / 'p12-password', p12_password)}")
    admin = (client.sandbox.dir / "admin-password.txt").read_text().strip()
    return client, [token.pin, token.so_pin, p12_password, admin]


def with_password(client: Client) -> None:
    assert client.sandbox is not None
    client.set("ca:sandbox", auth="password", client_cert=None, client_alias=None, client_password_source=None,
               password_source=f"file:{client.sandbox.dir / 'admin-password.txt'}")


def assert_clean(text: str | bytes, markers: list[str], where: str) -> None:
    data = text if isinstance(text, bytes) else text.encode()
    for m in markers:
        assert m.encode() not in data, f"a secret is in {where}"
        assert m.encode().hex().encode() not in data.lower(), f"a secret is in {where}, as hex"


def trace_writes(client: Client, trace: Path) -> None:
    client.wrapper = ["strace", "-f", "-v", "-y", "-s", "65535", "-e", "trace=execve,write,writev,pwrite64",
                      "-o", str(trace)]
    if SANITIZED:
        client.env["ASAN_OPTIONS"] = "detect_leaks=0"  # LeakSanitizer does not work in a traced process


def writes_to_files_and_terminals(trace: str) -> str:
    """The execve and write lines of strace, less the writes to sockets and token files."""
    kept = []
    for line in trace.splitlines():
        if re.search(r"\b(write|pwrite64|writev)\(\d+<(socket|TCP|UNIX|/[^>]*/tokens/)", line):
            continue
        kept.append(line)
    return "\n".join(kept)


@pytest.mark.parametrize("login", ["certificate", "password"])
def test_no_secret_in_what_is_written_or_executed(
        marked: tuple[Client, list[str]], login: str, tmp_path: Path) -> None:
    client, markers = marked
    reason = need("strace")
    if reason is not None:
        pytest.skip(reason)
    if login == "password":
        with_password(client)
    trace, log = tmp_path / "trace", tmp_path / "log"
    trace_writes(client, trace)
    done = client.run("enroll", "--name", "www.example.org", "--log-level", "trace", "--log-file", str(log))
    # strace prints unprintable bytes as escapes; the markers are letters and digits
    assert_clean(writes_to_files_and_terminals(trace.read_text(errors="replace")), markers, "a system call")
    assert_clean(done.stdout + done.stderr, markers, "the output")
    assert_clean(log.read_text(), markers, "the log")
    assert "C_Login -> CKR_OK" in log.read_text()
    for path in client.state.rglob("*"):
        if path.is_file():
            assert_clean(path.read_bytes(), markers, str(path))
            assert path.stat().st_mode & 0o077 == 0, f"{path} is open to others"


def test_no_secret_in_the_trace_of_token_init(marked: tuple[Client, list[str]], tmp_path: Path) -> None:
    client, markers = marked
    reason = need("strace")
    if reason is not None:
        pytest.skip(reason)
    trace = tmp_path / "trace"
    client.set("token:main", uri="pkcs11:token=fresh")
    trace_writes(client, trace)
    done = client.run("token", "init", "--label", "fresh", "--so-pin-source",
                      f"file:{client.token.so_pin_file}", "--log-level", "trace")
    assert_clean(writes_to_files_and_terminals(trace.read_text(errors="replace")), markers, "a system call")
    assert_clean(done.stdout + done.stderr, markers, "the output")


def test_no_secret_in_error_texts(marked: tuple[Client, list[str]]) -> None:
    client, markers = marked
    wrong = [marker(), marker()]
    private_file(client.token.pin_file, wrong[0] + "\n")
    done = client.run("enroll", "--name", "www.example.org", "--log-level", "trace", status=22)
    assert_clean(done.stdout + done.stderr, [*markers, *wrong], "an error")
    client.set("token:main", pin_source=wrong[1])
    done = client.run("key", "list", status=3)
    assert_clean(done.stdout + done.stderr, [*markers, *wrong], "an error")


@pytest.mark.parametrize("login", ["certificate", "password"])
def test_no_secret_in_a_core_file(marked: tuple[Client, list[str]], login: str, tmp_path: Path) -> None:
    """While an order waits: everything that was needed to get there has been used by then."""
    client, markers = marked
    reason = "AddressSanitizer's shadow memory would be in the core file: terabytes" if SANITIZED else need("gcore")
    if reason is not None:
        pytest.skip(reason)
    assert client.sandbox is not None
    client.sandbox.set(pending_polls=1000)
    if login == "password":
        with_password(client)
    client.set("ca:sandbox", poll_scale="100")
    process = client.start("enroll", "--name", "www.example.org")
    try:
        end = time.monotonic() + 20
        while "pending" not in client.run("order", "list", "--json").stdout:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
            time.sleep(0.1)
        time.sleep(0.3)
        done = run(["gcore", "-o", str(tmp_path / "core"), str(process.pid)], env=clean_env(), check=False,
                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (512 * MEBIBYTE, 512 * MEBIBYTE)))
    finally:
        process.terminate()
        process.communicate(timeout=30)
    if os.geteuid() != 0:
        # the process lets nobody but root look into it
        assert "Operation not permitted" in done.stderr and not list(tmp_path.glob("core.*"))
        return
    core = next(tmp_path.glob("core.*")).read_bytes()
    assert len(core) > 100000 and b"www.example.org" in core
    assert_clean(core, markers, "the core file")


def test_a_crash_leaves_no_core_file(marked: tuple[Client, list[str]]) -> None:
    client, _ = marked
    assert client.sandbox is not None
    client.sandbox.set(pending_polls=1000)
    client.set("ca:sandbox", poll_scale="100")
    process = subprocess.Popen(
        client.command("enroll", "--name", "www.example.org"), env=client.full_env(), cwd=client.dir,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (-1, -1)))
    time.sleep(1.5)
    limits = Path(f"/proc/{process.pid}/limits").read_text()
    process.send_signal(6)
    process.wait(timeout=10)
    assert re.search(r"Max core file size\s+0\s+0", limits), limits
    assert not list(client.dir.glob("core*"))
