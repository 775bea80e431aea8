"""What happens on a terminal: prompts, and where files of a user without a home go."""

from __future__ import annotations

import os
import pty
import select
import signal
import termios
import time

import pytest
from p11e import P11ENROLL, Client, run


class Terminal:
    """The client on a terminal of its own."""

    def __init__(self, client: Client, *args: str) -> None:
        command = client.command(*args)
        self.text = b""
        try:
            self.pid, self.fd = pty.fork()
        except OSError as why:
            pytest.skip(f"there are no pseudo-terminals here (is /dev/pts mounted?): {why}")
        if self.pid == 0:
            os.execve(command[0], command, client.full_env())

    def read_until(self, text: str | None, seconds: float = 10) -> str:
        """Up to a text, or (None) up to the end."""
        end = time.monotonic() + seconds
        while text is None or text.encode() not in self.text:
            assert time.monotonic() < end, self.text
            if not select.select([self.fd], [], [], 0.2)[0]:
                continue
            try:
                got = os.read(self.fd, 4096)
            except OSError:  # the other side is closed
                got = b""
            if not got:
                break
            self.text += got
        return self.text.decode()

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def status(self) -> int:
        self.read_until(None)
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


@pytest.fixture
def asking(offline: Client) -> Client:
    offline.set("token:main", pin_source="prompt")
    return offline


def test_pin_is_asked_for_without_echo(asking: Client) -> None:
    terminal = Terminal(asking, "key", "list")
    terminal.read_until("PIN of token 't1' (serial")
    terminal.type(asking.token.pin + "\n")
    assert terminal.status() == 0
    assert asking.token.pin not in terminal.text.decode()


@pytest.mark.parametrize(("key", "status", "text"), [("\x03", 6, "interrupted"), ("\x04", 24, "nothing was typed")])
def test_prompt_that_is_left_is_a_failure(asking: Client, key: str, status: int, text: str) -> None:
    terminal = Terminal(asking, "key", "list")
    terminal.read_until("PIN of token 't1' (serial")
    terminal.type(key)
    assert terminal.status() == status and text in terminal.text.decode()
    asking.set("token:main", pin_source=f"file:{asking.token.pin_file}")
    asking.run("key", "list", timeout=20)  # the lock is free


def test_signal_at_a_prompt_ends_it(asking: Client) -> None:
    terminal = Terminal(asking, "key", "list")
    terminal.read_until("PIN of token 't1' (serial")
    os.kill(terminal.pid, signal.SIGTERM)
    assert terminal.status() == 6


def test_second_signal_lets_the_terminal_echo_again(asking: Client) -> None:
    terminal = Terminal(asking, "key", "list")
    terminal.read_until("PIN of token 't1' (serial")
    assert not termios.tcgetattr(terminal.fd)[3] & termios.ECHO
    os.kill(terminal.pid, signal.SIGSTOP)  # both signals come at once
    os.kill(terminal.pid, signal.SIGTERM)
    os.kill(terminal.pid, signal.SIGINT)
    os.kill(terminal.pid, signal.SIGCONT)
    _, status = os.waitpid(terminal.pid, 0)
    assert os.waitstatus_to_exitcode(status) in (128 + signal.SIGTERM, 128 + signal.SIGINT)
    assert termios.tcgetattr(terminal.fd)[3] & termios.ECHO
    os.close(terminal.fd)


def others_may_run() -> bool:
    """Whether another user could start the program: it may be in a directory that is closed to them."""
    return all(p.stat().st_mode & 0o001 for p in (P11ENROLL, *P11ENROLL.parents))


NEEDS_OTHER_USER = pytest.mark.skipif(
    os.geteuid() != 0 or not others_may_run(), reason="needs root, and a build that others may run")


def as_user(client: Client, uid: int, *args: str) -> list[str]:
    """A command of another user, without HOME."""
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "env", "-u", "HOME",
            *client.command(*args)[:-2]]


@NEEDS_OTHER_USER
@pytest.mark.parametrize(("uid", "status", "text"), [
    (54321, 3, "there is no place for the order journal; name one with 'state_dir'"),
    (65534, 4, "creating the directory /nonexistent")])
def test_without_a_home_the_journal_is_not_in_the_working_directory(
        client: Client, uid: int, status: int, text: str) -> None:
    done = run(as_user(client, uid, "order", "list"), check=False, cwd="/", env={"PATH": "/usr/bin:/bin"})
    assert done.returncode == status and text in done.stderr, done.stderr


@NEEDS_OTHER_USER
def test_without_a_home_other_commands_work(client: Client) -> None:
    run(as_user(client, 54321, "version"), cwd="/", env={"PATH": "/usr/bin:/bin"})
