"""A hundred thousand certificates: the list is a stream, whatever its format and source."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from p11e import SANITIZED, Client

ROWS = 100_000
LIMIT_KB = 64 * 1024
SAMPLE_EACH = 2000             # lines

pytestmark = pytest.mark.skipif(SANITIZED, reason="a sanitizer's memory is not the program's")


def peak_kb(pid: int) -> int:
    """The most memory that a process has had so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def stream(client: Client, *args: str) -> tuple[set[str], int, int]:
    """What a list says of made up rows, how many lines there are, and the most memory it took.

    The program cannot run ahead of what is read, so a look every few lines sees its highest point.
    """
    command = client.command("inventory", "list", *args)
    names: set[str] = set()
    lines = most = 0
    with subprocess.Popen(command, env=client.full_env(), text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, stdin=subprocess.DEVNULL) as running:
        assert running.stdout is not None and running.stderr is not None
        for line in running.stdout:
            lines += 1
            at = line.find("row")
            if at >= 0:
                names.add(line[at:line.find(".", at)])
            if lines % SAMPLE_EACH == 0:
                most = max(most, peak_kb(running.pid))
        assert running.wait() == 0, running.stderr.read()
    return names, lines, most


@pytest.mark.parametrize("args", [["--format", "table"], ["--format", "csv"], ["--format", "jsonl"], ["--json"],
                                  ["--format", "csv", "--source", "report"]])
def test_the_list_is_a_stream(client: Client, say: Callable[[str], None], args: list[str]) -> None:
    assert client.sandbox is not None
    client.sandbox.set(list_rows=ROWS)
    if args == ["--json"]:  # one object in one line: it is counted, and not looked into on the way
        rows = client.json("inventory", "list", "--limit", "50000")["certificates"]
        assert len(rows) == 50000
        return
    names, lines, most = stream(client, *args)
    say(f"{' '.join(args)}: {lines} lines, {most // 1024} MiB")
    assert len(names) == ROWS and 0 < most <= LIMIT_KB


def test_rows_that_come_again_much_later_come_once(client: Client) -> None:
    """Every other row twice, so that the same row stands on pages far apart when the list grows."""
    assert client.sandbox is not None
    client.sandbox.set(list_rows=2000, list_move=700)
    names, _lines, _most = stream(client, "--format", "jsonl")
    lines = client.run("inventory", "list", "--format", "jsonl").stdout.splitlines()
    made_up = [line for line in lines if "made-up" in line]
    assert len(names) == len(made_up) == 2000


def test_a_reading_of_the_report_is_a_stream_too(client: Client, say: Callable[[str], None]) -> None:
    assert client.sandbox is not None
    client.sandbox.set(list_rows=ROWS)
    running = client.start("inventory", "sync", "--source", "report")
    most = 0
    while running.poll() is None:
        try:
            most = max(most, peak_kb(running.pid))
            running.wait(timeout=0.2)
        except (subprocess.TimeoutExpired, OSError, StopIteration):
            pass
    _out, errors = running.communicate()
    say(f"sync: {most // 1024} MiB")
    assert running.returncode == 0, errors
    assert 0 < most <= LIMIT_KB
    assert client.json("inventory", "find", "--name", f"row{ROWS - 1}.made-up.example")["certificates"]
