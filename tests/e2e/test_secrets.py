"""Secrets never reach argv, files, terminals, logs, the journal or a core file."""

from __future__ import annotations

import json
import os
import re
import resource
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from front import Nginx
from p11e import BUILD, SANITIZED, Client, Token, clean_env, need, private_file, run

TOKEN_PATH = "/auth/realms/apiclients/protocol/openid-connect/token"
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


@pytest.fixture
def front(client: Client, tmp_path: Path) -> Iterator[Nginx]:
    """An nginx that speaks HTTP/2 in front of the sandbox."""
    reason = need("nginx", "openssl")
    if reason is not None:
        pytest.skip(reason)
    assert client.sandbox is not None
    made = Nginx(tmp_path / "nginx", client.sandbox)
    client.sandbox.set(front_header="X-Client-Serial")
    client.set("ca:sandbox", url=made.url, trust=str(made.dir / "ca.pem"))
    yield made
    made.stop()


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


def with_api_key(client: Client) -> None:
    assert client.sandbox is not None
    url = client.settings["ca:sandbox"]["url"]
    client.set("ca:sandbox", auth="oauth", login=None, customer_uri=None, client_cert=None, client_alias=None,
               client_password_source=None, client_id="sandbox-admin-key", token_url=url + TOKEN_PATH,
               client_secret_source=f"file:{client.sandbox.dir / 'admin-client-secret.txt'}")


@contextmanager
def waiting(client: Client) -> Iterator[int]:
    """A process that has ordered and waits: everything that was needed for that has been used by then. Its number."""
    assert client.sandbox is not None
    client.sandbox.set(pending_polls=1000)
    client.set("ca:sandbox", poll_scale="100")
    process = client.start("enroll", "--name", "www.example.org")
    try:
        end = time.monotonic() + 20
        while "pending" not in client.run("order", "list", "--json").stdout:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
            time.sleep(0.1)
        time.sleep(0.3)
        yield process.pid
    finally:
        process.terminate()
        process.communicate(timeout=30)


def dump(pid: int, path: Path) -> subprocess.CompletedProcess[str]:
    return run(["gcore", "-o", str(path), str(pid)], env=clean_env(), check=False,
               preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (512 * MEBIBYTE, 512 * MEBIBYTE)))


@pytest.fixture
def core_of(client: Client, tmp_path: Path) -> Callable[[], bytes]:
    """The memory of a process that waits."""
    reason = "AddressSanitizer's shadow memory would be in the core file: terabytes" if SANITIZED else need("gcore")
    if reason is not None:
        pytest.skip(reason)
    if os.geteuid() != 0:
        pytest.skip("the process lets nobody but root look into it")

    def take() -> bytes:
        with waiting(client) as pid:
            dump(pid, tmp_path / "core")
        core = next(tmp_path.glob("core.*")).read_bytes()
        assert len(core) > 100000 and b"www.example.org" in core
        return core

    return take


@pytest.mark.parametrize("login", ["certificate", "password"])
def test_no_secret_in_a_core_file(marked: tuple[Client, list[str]], login: str, core_of: Callable[[], bytes]) -> None:
    client, markers = marked
    if login == "password":
        with_password(client)
    assert_clean(core_of(), markers, "the core file")


@pytest.mark.parametrize("login", ["certificate", "password", "oauth"])
def test_no_secret_in_a_core_file_where_the_server_speaks_http_2(
        marked: tuple[Client, list[str]], login: str, core_of: Callable[[], bytes], front: Nginx) -> None:
    """nghttp2 has memory of its own, and keeps what it said as long as the connection lasts."""
    client, markers = marked
    assert client.sandbox is not None
    if login == "password":
        with_password(client)
    if login == "oauth":
        with_api_key(client)
        markers.append((client.sandbox.dir / "admin-client-secret.txt").read_text().strip())
    core = core_of()
    bearers = {word for line in front.lines() for word in re.findall(r'bearer="Bearer ([^"]+)"', line)}
    assert len(bearers) == (login == "oauth")
    assert_clean(core, [*markers, *bearers], "the core file")
    said = {(line.split()[0].strip('"'), TOKEN_PATH in line): line.split()[2] for line in front.lines()}
    assert said["GET", False] == ('HTTP/1.1"' if login == "password" else 'HTTP/2.0"')
    assert said.get(("POST", True), 'HTTP/1.1"') == 'HTTP/1.1"'


@pytest.fixture
def leftovers(client: Client, tmp_path: Path) -> Callable[[list[str]], Callable[[], bool]]:
    """Has every block that the client frees looked through; what comes back tells whether a secret was in one."""
    if SANITIZED:
        pytest.skip("AddressSanitizer has a heap of its own")

    def watch(markers: list[str]) -> Callable[[], bool]:
        wanted, found = private_file(tmp_path / "wanted", "\n".join(markers)), tmp_path / "found"
        client.env |= {"LD_PRELOAD": str(BUILD / "support" / "leftover.so"), "LEFTOVER_SECRETS": str(wanted),
                       "LEFTOVER_FOUND": str(found)}
        return found.exists

    return watch


def test_freed_memory_is_looked_through(client: Client, leftovers: Callable[[list[str]], Callable[[], bool]]) -> None:
    """The instrument itself: a program that wipes nothing is found out."""
    found = leftovers(["example-of-a-word"])
    run(["env", "-S", "echo example-of-a-word"], env={**clean_env(), **client.env})
    assert found()


ACCOUNTS = [["list"], ["list", "--json"], ["show", "100"], ["show", "100", "--json"], ["show", "100", "--show-secret"],
            ["rename", "100", "other"]]


@pytest.mark.parametrize("broken", [False, True])
def test_no_key_of_an_acme_account_is_left_behind(
        client: Client, leftovers: Callable[[list[str]], Callable[[], bool]], broken: bool, tmp_path: Path) -> None:
    """Whether or not the answer can be read to its end."""
    assert client.sandbox is not None
    path = client.sandbox.dir / "acme.json"
    path.write_text(json.dumps({"next": 100, "accounts": []}))
    client.run("account", "acme", "create", "web", "--server", "Sandbox OV")
    state = json.loads(path.read_text())
    rows = [{**state["accounts"][0], "id": 101 + i, "name": f"n{i}", "macKey": marker()} for i in range(3)]
    if broken:
        rows[1]["id"] = "no number"
        client.sandbox.set(enroll_reply="extra-fields")  # the exchanges are recorded as ones with a fault
    path.write_text(json.dumps({**state, "accounts": [*state["accounts"], *rows]}))
    found = leftovers([str(row["macKey"]) for row in [*state["accounts"], *rows]])
    for args in ACCOUNTS:
        client.run("account", "acme", *args, status=None if broken else 0)
        assert not found(), args
    client.run("account", "acme", "show", "100", "--eab-out", str(tmp_path / "eab"), status=None if broken else 0)
    assert not found()


@pytest.mark.parametrize("login", ["certificate", "password", "oauth"])
def test_no_secret_is_left_behind(marked: tuple[Client, list[str]], login: str,
                                  leftovers: Callable[[list[str]], Callable[[], bool]]) -> None:
    client, markers = marked
    assert client.sandbox is not None
    if login == "password":
        with_password(client)
    if login == "oauth":
        with_api_key(client)
        markers.append((client.sandbox.dir / "admin-client-secret.txt").read_text().strip())
    found = leftovers(markers)
    client.run("enroll", "--name", "www.example.org")
    assert not found()


def test_nobody_but_root_can_look_into_the_process(client: Client, tmp_path: Path) -> None:
    """The same user cannot."""
    reason = "root looks into every process" if os.geteuid() == 0 else need("gcore")
    if reason is not None:
        pytest.skip(reason)
    with waiting(client) as pid:
        done = dump(pid, tmp_path / "core")
    assert "Operation not permitted" in done.stderr and not list(tmp_path.glob("core.*"))


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
