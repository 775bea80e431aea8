"""order wait on many orders, watched on a terminal."""

from __future__ import annotations

import re

import pytest
from p11e import Client, Sandbox, Token
from test_terminal import Terminal

TAKEN_BACK = "\r\x1b[K"


def sandbox_of(client: Client) -> Sandbox:
    assert client.sandbox is not None
    return client.sandbox


@pytest.fixture
def waiting(client: Client, token: Token) -> Client:
    """Two orders that the CA works on, and one that waits for a person."""
    token.make_key("EC:prime256v1", "0102", "mine")
    sandbox = sandbox_of(client)
    for i, behaviour in enumerate([{"pending_polls": 3}, {"pending_polls": 3}, {"approval": "manual"}]):
        sandbox.set(**behaviour)
        client.run("enroll", "--name", f"host{i}.example.org", "--key", "pkcs11:object=mine", "--deadline", "0s", "--people-deadline", "0s",
                   status=None)
    return client


def lines(text: str) -> list[str]:
    """What stood in the line that is rewritten, one after the other."""
    return [part.partition("\r")[0].partition("\n")[0] for part in text.split(TAKEN_BACK)[1:] if re.match("[0-9]+ orders", part)]


def test_a_line_is_rewritten_in_place(waiting: Client) -> None:
    terminal = Terminal(waiting, "order", "wait", "--all", "--people-deadline", "1s")
    assert terminal.status() == 11
    text = terminal.text.decode()
    seen = lines(text)
    form = re.compile(r"3 orders: \d done, 0 failed, \d open( \(1 at people\))?(; asking about \d|; next in \d+ s)?")
    assert seen and all(form.fullmatch(line) for line in seen), seen
    assert seen[0].startswith("3 orders: 0 done, 0 failed, 3 open") and any("1 at people" in line for line in seen)
    assert any("; next in" in line or "; asking about" in line for line in seen)
    # what is left is the table alone, each row on a line of its own
    kept = [re.sub(r".*\x1b\[K", "", line) for line in text.replace("\r\n", "\n").split("\n")]
    rows = [line.split()[:2] for line in kept if re.match("[123] ", line)]
    assert sorted(rows) == [["1", "done"], ["2", "done"], ["3", "waiting"]], kept
    assert not any("orders:" in line for line in kept), kept


def test_the_line_keeps_to_the_width_of_the_terminal(waiting: Client) -> None:
    waiting.wrapper = ["/bin/sh", "-c", 'stty cols 30 && exec "$@"', "sh"]
    terminal = Terminal(waiting, "order", "wait", "--all", "--people-deadline", "0s")
    assert terminal.status() == 11
    seen = lines(terminal.text.decode())
    assert seen and all(len(line) <= 29 for line in seen) and any(len(line) == 29 for line in seen), seen


@pytest.mark.parametrize("quiet", ["--quiet", "--json"])
def test_no_line_where_none_is_wanted(waiting: Client, quiet: str) -> None:
    terminal = Terminal(waiting, "order", "wait", "--all", "--people-deadline", "0s", quiet)
    assert terminal.status() == 11
    assert "\x1b" not in terminal.text.decode() and " orders: " not in terminal.text.decode()


def test_no_line_where_there_is_no_terminal(waiting: Client) -> None:
    done = waiting.run("order", "wait", "--all", "--people-deadline", "0s", status=11)
    assert "\x1b" not in done.stdout + done.stderr and " orders: " not in done.stdout + done.stderr
