"""A journal that cannot be used: one clear sentence, and no request. A disk that fails anywhere: nothing is ordered twice."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from p11e import BUILD, FULL, SANITIZED, Client, Token, sample

BADDISK = BUILD / "support" / "baddisk.so"


def mounts() -> str | None:
    """Why a process cannot have mounts of its own here; None if it can."""
    if os.geteuid() != 0:
        return "needs root: mounts of its own for a process"
    done = subprocess.run(["unshare", "-m", "sh", "-c", "mount -t tmpfs none /mnt"], capture_output=True, check=False)
    return None if done.returncode == 0 else "no mounts of its own for a process here"


NEEDS_MOUNTS = pytest.mark.skipif(mounts() is not None, reason=str(mounts()))


@pytest.fixture
def used(client: Client, token: Token) -> Client:
    """A finished order, one that waits at the CA, and one whose answer was lost."""
    assert client.sandbox is not None
    token.make_key("EC:prime256v1", "0102", "mine")
    client.run("enroll", "--name", "www.example.org", "--key", "pkcs11:object=mine")
    client.sandbox.set(approval="manual")
    client.run("enroll", "--name", "waits.example.org", "--key", "pkcs11:object=mine", "--deadline", "0", status=11)
    client.sandbox.set(approval="auto")
    client.sandbox.once("POST", "/ssl/v1/enroll", enroll_fault="stored-cut")
    client.run("enroll", "--name", "lost.example.org", "--key", "pkcs11:object=mine", "--deadline", "1s", status=14)
    client.sandbox.ask("DELETE", "/requests")
    return client


# Whatever sends something; the number of a request at the CA is filled in.
SENDING = [
    ("enroll", "--name", "new.example.org", "--key", "pkcs11:object=mine"), ("order", "wait", "2"), ("order", "wait", "2", "3"),
    ("order", "wait", "--all"), ("order", "collect", "2"), ("order", "renew", "1"),
    ("order", "replace", "1", "--reason", "r"), ("order", "adopt", "3", "1"),
    ("revoke", "1", "--reason", "superseded", "--yes"), ("request", "approve", "1", "--message", "m"),
    ("request", "update", "1", "--set-comments", "c"), ("inventory", "sync"),
]


def sends_nothing(client: Client, *texts: str) -> None:
    """Each command ends with one sentence, and neither the CA nor the token has seen it."""
    assert client.sandbox is not None
    before = client.token.snapshot()
    for args in SENDING:
        done = client.run(*args, status=60)
        sentences = [line for line in done.stderr.splitlines() if line.startswith("p11enroll: ")]
        assert len(sentences) == 1, done.stderr
        for text in texts:
            assert text in sentences[0], (args, sentences[0])
        assert "'p11enroll journal check'" in done.stderr
    assert client.sandbox.requests() == []
    assert client.token.snapshot() == before


def inside(client: Client, script: str) -> None:
    """Every command of the client runs in mounts of its own, after a script; $S is the state directory."""
    client.wrapper = ["unshare", "-m", "sh", "-c", f'set -e; S={client.state}; {script}; exec "$@"', "sh"]


@NEEDS_MOUNTS
def test_a_full_disk(used: Client) -> None:
    """A tmpfs with nothing left; what only reads still works there."""
    inside(used, 'cp -a "$S" "$S.kept"; mount -t tmpfs -o size=600k tmpfs "$S"; cp -a "$S.kept"/. "$S"; rm -r "$S.kept"; '
                 '(cat /dev/zero >"$S/rest" 2>/dev/null || :)')
    sends_nothing(used, "full", "room")


@NEEDS_MOUNTS
def test_a_disk_that_is_nearly_full(used: Client) -> None:
    inside(used, 'cp -a "$S" "$S.kept"; mount -t tmpfs -o size=1100k tmpfs "$S"; cp -a "$S.kept"/. "$S"; rm -r "$S.kept"')
    sends_nothing(used, "the disk of the order journal in", "is full", "make room and do it again")
    assert used.json("order", "show", "1")["state"] == "done"
    used.run("journal", "check", status=14)


@NEEDS_MOUNTS
@pytest.mark.parametrize("what", ["$S", "$S/journal.db"])
def test_what_is_read_only(used: Client, what: str) -> None:
    for name in ("journal.db-wal", "journal.db-shm"):
        (used.state / name).unlink(missing_ok=True)
    inside(used, f'mount --bind "{what}" "{what}"; mount -o remount,ro,bind "{what}"')
    sends_nothing(used, "Read-only file system", "must be writable for the user")
    assert used.json("order", "show", "1")["state"] == "done"
    assert len(used.json("order", "list")["orders"]) == 3


def nothing_of_it(path: Path) -> None:
    path.write_bytes(b"this is not a database " * 900)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def random_bytes(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:100] + bytes((i * 37 + 11) % 251 for i in range(len(data) - 100)))


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def edit(path: Path, statement: str) -> None:
    db = sqlite3.connect(path)
    db.execute(statement)
    db.commit()
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def newer(path: Path) -> None:
    edit(path, "PRAGMA user_version = 4711")


def behind(path: Path) -> None:
    edit(path, "UPDATE events SET at_s = 4102444800 WHERE id = (SELECT max(id) FROM events)")


@pytest.mark.parametrize(("spoil", "texts"), [
    (nothing_of_it, ("file is not a database", "the file is damaged", "backup")),
    (truncated, ("malformed", "the file is damaged", "backup")),
    (random_bytes, ("the file is damaged", "backup")),
    (emptied, ("is empty, although orders were worked on with it", "backup")),
    (newer, ("was written by a newer p11enroll (schema 4711", "nothing was changed", "use that version")),
    (behind, ("this machine's clock says", "of 2100-01-01T00:00:00Z", "was set back", "--accept-clock")),
])
def test_a_journal_that_cannot_be_relied_on(used: Client, spoil: Callable[[Path], None], texts: tuple[str, ...]) -> None:
    for name in ("journal.db-wal", "journal.db-shm"):
        (used.state / name).unlink(missing_ok=True)
    spoil(used.state / "journal.db")
    before = (used.state / "journal.db").read_bytes()
    sends_nothing(used, *texts)
    if spoil is not behind:  # trying whether it can be written is all that is done there
        assert (used.state / "journal.db").read_bytes() == before


def test_a_clock_that_was_ahead_is_accepted_as_right(used: Client) -> None:
    behind(used.state / "journal.db")
    used.run("order", "wait", "3", status=60)
    assert [f["check"] for f in used.json("journal", "check", status=60)["findings"] if f["result"] == "bad"] == ["clock"]
    used.run("journal", "check", "--accept-clock", status=14)
    assert "says that the clock is right now" in used.json("order", "show", "3")["events"][-1]["text"]
    assert used.json("order", "wait", "3")["state"] == "done"
    used.run("journal", "check", "--accept-clock")
    assert len([e for o in "123" for e in used.json("order", "show", o)["events"] if "clock" in e["text"]]) == 1


def test_a_journal_that_was_removed_is_begun_anew(used: Client) -> None:
    shutil.rmtree(used.state)
    used.run("enroll", "--name", "new.example.org", "--key", "pkcs11:object=mine")
    (used.state / "journal.db").unlink()  # the file of locks stays
    used.run("enroll", "--name", "newer.example.org", "--key", "pkcs11:object=mine")


# --- a disk that fails from some write on, or at one alone

def bad_disk(client: Client, log: Path, first: int, number: int = 28, once: bool = False) -> None:
    client.env.update(LD_PRELOAD=str(BADDISK), BADDISK_LOG=str(log), BADDISK_FROM=str(first), BADDISK_ERRNO=str(number))
    client.env.pop("BADDISK_ONCE", None)
    if once:
        client.env["BADDISK_ONCE"] = "1"


def good_disk(client: Client) -> None:
    for name in ("LD_PRELOAD", "BADDISK_LOG", "BADDISK_FROM", "BADDISK_ERRNO", "BADDISK_ONCE"):
        client.env.pop(name, None)


ENROLL = ("enroll", "--name", "www.example.org", "--deadline", "5s")


@pytest.mark.skipif(SANITIZED, reason="libasan must come first among what is preloaded")
@pytest.mark.parametrize(("number", "once"), [(28, False), (5, True)], ids=["full", "one-error"])
def test_no_request_goes_out_that_is_not_in_the_journal(
        client: Client, tmp_path: Path, say: Callable[[str], None], number: int, once: bool) -> None:
    """A fault at every change of the journal's files in turn; then the disk is well again, and there is one order."""
    assert client.sandbox is not None
    bad_disk(client, tmp_path / "log", 0)
    client.run(*ENROLL)
    points = len((tmp_path / "log").read_text().splitlines())
    assert points > 20
    visited = sample(list(range(1, points + 1)), 14)
    sent = {0: 0, 1: 0}
    for point in visited:
        shutil.rmtree(client.state)
        name = f"p{number}-{point}.example.org"
        client.sandbox.reset()
        bad_disk(client, tmp_path / f"log{point}", point, number, once)
        client.run("enroll", "--name", name, "--deadline", "5s", status=None)
        assert "fails" in (tmp_path / f"log{point}").read_text(), point
        good_disk(client)
        posts = client.sandbox.posts()
        orders = client.json("order", "list")["orders"]
        states = [o["state"] for o in orders]
        assert posts <= 1 and len(orders) <= 1
        if posts == 1:
            assert states and states[0] not in ("planned", "key-ready", "signed"), (point, states)
        sent[posts] += 1
        done = client.json("enroll", "--name", name, status=None)
        assert done.get("state") == "done" or client.json("order", "show", "1")["state"] == "done", (point, done)
        assert client.sandbox.posts() == 1 and len(client.sandbox.orders()) == 1, point
        labels = [o.get("label") for o in client.token.objects() if o["kind"] == "Private Key" and o.get("label", "").startswith(name)]
        assert len(labels) == 1, (point, labels)
        client.run("journal", "check")
    assert sent[0] > 0 and (sent[1] > 0 or not FULL)
    say(f"disk faults ({number}): {len(visited)} of {points} points; {sent[0]} before anything was sent, {sent[1]} afterwards")
