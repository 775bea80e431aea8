"""Keys that outlive what they were loaded with: forks, and a token's server that was killed and came back."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from p11e import BUILD, P11KIT_CLIENT, SHIM, SOFTHSM, P11KitServer, Token, calls, need
from support import OpenSSL

SIGNER = BUILD / "support" / "p11signer"
KINDS = pytest.mark.parametrize("name", ["rsa", "ec"])


class Signer:
    """A program that has loaded a key and waits to be told to sign with it."""

    def __init__(self, openssl: OpenSSL, name: str, **env: str) -> None:
        self.process = subprocess.Popen([str(SIGNER), openssl.uri(name)], env={**openssl.env, **env}, cwd=openssl.dir,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.loaded = self.read()

    def read(self) -> list[str]:
        assert self.process.stdout is not None
        lines: list[str] = []
        for line in self.process.stdout:
            if line == ".\n":
                return lines
            lines.append(line.rstrip("\n"))
        raise AssertionError(f"the signer ended: {self.process.wait()} {self.process.stderr.read()}")  # type: ignore[union-attr]

    def tell(self, command: str) -> list[str]:
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.read()

    def end(self) -> int:
        out, err = self.process.communicate(timeout=60)
        assert out == "" and err == "", out + err
        return self.process.returncode


@contextmanager
def signing(openssl: OpenSSL, name: str, **env: str) -> Iterator[Signer]:
    signer = Signer(openssl, name, **env)
    try:
        yield signer
    finally:
        if signer.process.poll() is None:
            signer.process.kill()
        signer.process.wait()


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Token:
    made = Token(tmp_path_factory.mktemp("recovery")).init()
    made.make_key("RSA:2048", "01", "rsa")
    made.make_key("EC:prime256v1", "02", "ec")
    return made


@KINDS
def test_children_of_a_fork_sign_before_and_after_their_parent(token: Token, tmp_path: Path, name: str) -> None:
    with signing(OpenSSL(tmp_path, token), name) as signer:
        assert signer.loaded == ["ok"]
        assert signer.tell("fork 4") == ["ok"]
        assert signer.tell("sign") == ["ok"] and signer.tell("sign") == ["ok"]
        assert signer.tell("fork 4") == ["ok"]
        assert signer.tell("sign") == ["ok"]
        assert signer.end() == 0


def test_children_of_a_fork_behind_a_server_log_in_for_themselves(token: Token, tmp_path: Path) -> None:
    if reason := need("p11-kit", str(P11KIT_CLIENT)):
        pytest.skip(reason)
    with P11KitServer(token, tmp_path / "socket") as server:
        openssl = OpenSSL(tmp_path, token, module=P11KIT_CLIENT)
        # p11-kit's client forgets its parent's connection in the child: 160 bytes that the leak checker sees
        openssl.env["ASAN_OPTIONS"] = "detect_leaks=0"
        with signing(openssl, "ec", **server.env) as signer:
            assert signer.loaded == ["ok"]
            assert signer.tell("sign") == ["ok"]
            assert signer.tell("fork 4") == ["ok"]
            assert signer.tell("sign") == ["ok"]
            assert signer.end() == 0


@KINDS
def test_server_that_was_restarted_between_two_signatures(token: Token, tmp_path: Path, name: str) -> None:
    if reason := need("p11-kit", str(P11KIT_CLIENT)):
        pytest.skip(reason)
    openssl = OpenSSL(tmp_path, token, module=P11KIT_CLIENT)
    with P11KitServer(token, tmp_path / "socket") as server:
        with signing(openssl, name, **server.env) as signer:
            assert [signer.tell("sign") for _ in range(3)] == [["ok"]] * 3
            server.restart()
            assert signer.tell("sign") == ["ok"]
            server.restart()
            assert signer.tell("load") == ["ok"]
            assert signer.tell("sign") == ["ok"]
            assert signer.end() == 0


def test_server_that_is_gone_is_an_error_and_no_crash(token: Token, tmp_path: Path) -> None:
    if reason := need("p11-kit", str(P11KIT_CLIENT)):
        pytest.skip(reason)
    openssl = OpenSSL(tmp_path, token, module=P11KIT_CLIENT)
    with P11KitServer(token, tmp_path / "socket") as server:
        with signing(openssl, "ec", **server.env) as signer:
            assert signer.tell("sign") == ["ok"]
            server.stop()
            for _ in range(3):
                answer = signer.tell("sign")
                assert answer[0] == "failed" and "key 'ec'" in answer[1], answer
            server.start()
            assert signer.tell("sign") == ["ok"]
            assert signer.end() == 0


@pytest.mark.parametrize("rv", ["0x30", "0x32"], ids=["DEVICE_ERROR", "DEVICE_REMOVED"])
def test_device_that_fails_in_an_operation(token: Token, tmp_path: Path, rv: str) -> None:
    """That signature fails, with the module's own code; the next one works."""
    openssl = OpenSSL(tmp_path, token, module=SHIM)
    with signing(openssl, "ec", P11SHIM_MODULE=str(SOFTHSM), P11SHIM_RULES=f"C_Sign:2:fail={rv}") as signer:
        assert signer.tell("sign") == ["ok"]
        answer = signer.tell("sign")
        assert answer[0] == "failed" and "C_Sign: CKR_DEVICE_" in answer[1], answer
        assert signer.tell("sign") == ["ok"]


@pytest.mark.parametrize("rv", ["0xb3", "0xb0", "0x60", "0x82", "0x101"],
                         ids=["SESSION_HANDLE_INVALID", "SESSION_CLOSED", "KEY_HANDLE_INVALID",
                              "OBJECT_HANDLE_INVALID", "USER_NOT_LOGGED_IN"])
@pytest.mark.parametrize("function", ["C_SignInit", "C_Sign"])
def test_handle_that_ended_is_not_noticed(token: Token, tmp_path: Path, function: str, rv: str) -> None:
    openssl = OpenSSL(tmp_path, token, module=SHIM)
    log = tmp_path / "calls"
    with signing(openssl, "ec", P11SHIM_MODULE=str(SOFTHSM), P11SHIM_RULES=f"{function}:2:fail={rv}",
                 P11SHIM_LOG=str(log)) as signer:
        assert [signer.tell("sign") for _ in range(4)] == [["ok"]] * 4
        assert signer.end() == 0
    assert calls(log).count(function) == 5


def test_server_killed_in_the_middle_of_an_operation(token: Token, tmp_path: Path) -> None:
    """Its process is stopped, so that the signature hangs in it, and then killed."""
    if reason := need("p11-kit", str(P11KIT_CLIENT)):
        pytest.skip(reason)
    openssl = OpenSSL(tmp_path, token, module=P11KIT_CLIENT)
    with P11KitServer(token, tmp_path / "socket") as server:
        with signing(openssl, "ec", **server.env) as signer:
            assert signer.tell("sign") == ["ok"]
            os.killpg(server.process.pid, signal.SIGSTOP)
            assert signer.process.stdin is not None
            signer.process.stdin.write("sign\n")
            signer.process.stdin.flush()
            wait_until(lambda: is_waiting(signer.process.pid))
            server.stop()
            answer = signer.read()
            assert answer[0] == "failed" and "key 'ec'" in answer[1] and "CKR_DEVICE_ERROR" in answer[1], answer
            server.start()
            assert signer.tell("sign") == ["ok"]
            assert signer.end() == 0


def is_waiting(pid: int) -> bool:
    """Whether the process waits for a socket: it has taken the command, and the token does not answer."""
    name = Path(f"/proc/{pid}/wchan").read_text()
    if name == "0":  # kernels that do not tell
        time.sleep(0.5)
        return True
    return any(word in name for word in ("unix", "sock", "skb"))


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
