"""The journal's upkeep: check, backup while others write, export of everything; and what its files may come to."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sqlite3
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from p11e import SANITIZED, ROOT, Client
from test_output import compare, masked, shape


def change(client: Client, *statements: str) -> None:
    """What another program might have done to the journal."""
    db = sqlite3.connect(client.state / "journal.db")
    for statement in statements:
        db.execute(statement)
    db.commit()
    db.close()


def findings(client: Client, status: int, result: str = "bad") -> list[tuple[str, int | None, str]]:
    found = client.json("journal", "check", status=status)["findings"]
    return [(f["check"], f["order"], f["text"]) for f in found if f["result"] == result]


@pytest.fixture
def used(client: Client) -> Client:
    """A finished order, and one that a person has to approve."""
    assert client.sandbox is not None
    client.run("enroll", "--name", "www.example.org", "--name", "example.org")
    client.sandbox.set(approval="manual")
    client.run("enroll", "--name", "waits.example.org", "--deadline", "0", status=11)
    client.sandbox.set(approval="auto")
    return client


@pytest.fixture
def lost(used: Client) -> Client:
    """And a third, whose answer was lost."""
    assert used.sandbox is not None
    used.sandbox.once("POST", "/ssl/v1/enroll", enroll_fault="stored-cut")
    used.run("enroll", "--name", "lost.example.org", "--deadline", "1s", status=14)
    return used


# --- check

def test_a_journal_in_order_is_said_to_be_so(used: Client) -> None:
    found = used.json("journal", "check")
    assert {f["result"] for f in found["findings"]} == {"ok"}
    assert {f["check"] for f in found["findings"]} == {"files", "database", "schema", "references", "log", "clock", "orders", "intents"}
    assert (found["orders"], found["open"], found["bad"], found["recover"]) == (2, 1, 0, 0)
    assert used.sandbox is not None
    compare("json/journal-check.json", json.dumps(shape(found), indent=1) + "\n")
    text = re.sub(r"version \d+", "version N", re.sub(r"\d+ bytes", "N bytes", masked(used.run("journal", "check").stdout, used)))
    compare("human/journal-check.txt", text)


def test_an_order_whose_answer_was_lost_is_to_be_recovered(lost: Client) -> None:
    [(check, order, text)] = findings(lost, 14, "recover")
    assert (check, order) == ("intents", 3) and text.startswith("ambiguous") and "'p11enroll order wait 3' asks it" in text
    lost.run("order", "wait", "3")
    lost.run("journal", "check")


def test_a_revocation_without_its_outcome_is_to_be_recovered(used: Client) -> None:
    change(used, "INSERT INTO events (order_id, at_s, state, text) VALUES (1, 5, 'done', 'asking the CA to revoke 1001: reason 4')")
    [(_, order, text)] = findings(used, 14, "recover")
    assert order == 1 and "asking the CA to revoke 1001" in text and "1970" in text


@pytest.mark.parametrize(("statement", "order", "text"), [
    ("UPDATE orders SET state = 'nonsense' WHERE id = 1", 1, "a state this program does not know"),
    ("UPDATE orders SET open = 1 WHERE id = 1", 1, "it is 'done', and marked as open"),
    ("UPDATE orders SET open = 0 WHERE id = 2", 2, "it is 'waiting', and marked as ended"),
    ("UPDATE orders SET key_uri = NULL WHERE id = 2", 2, "does not have which key it is for"),
    ("UPDATE orders SET csr_pem = NULL WHERE id = 2", 2, "does not have its certificate request"),
    ("UPDATE orders SET csr_pem = (SELECT csr_pem FROM orders WHERE id = 1) WHERE id = 2", 2, "request is for another key"),
    ("UPDATE orders SET csr_pem = 'x' WHERE id = 2", 2, "its certificate request: "),
    ("UPDATE orders SET ca_order_id = NULL WHERE id = 2", 2, "does not have its number at the CA"),
    ("UPDATE orders SET cert_pem = NULL WHERE id = 1", 1, "does not have its certificate"),
    ("UPDATE orders SET cert_pem = chain_pem WHERE id = 1", 1, "certificate is for another key"),
    ("UPDATE orders SET answer_pem = '' WHERE id = 1", 1, "does not have what the CA sent"),
    ("UPDATE orders SET mark = '' WHERE id = 1", 1, "no mark"),
    ("UPDATE orders SET ca_order_id = (SELECT ca_order_id FROM orders WHERE id = 1) WHERE id = 2", 2, "and so is order 1"),
    ("UPDATE orders SET state = 'issued' WHERE id = 2", 2, "its last entry was made when it was 'waiting'"),
    ("DELETE FROM events WHERE order_id = 2", 2, "nothing is written down"),
])
def test_what_does_not_hold_of_an_order_is_found(used: Client, statement: str, order: int, text: str) -> None:
    change(used, statement)
    [(check, number, said)] = findings(used, 60)
    assert check == "orders" and number == order and text in said, said


@pytest.mark.parametrize(("statement", "check", "text"), [
    ("INSERT INTO events (order_id, at_s, state, text) VALUES (99, 5, 'done', 'x')", "references", "of events belongs to nothing in orders"),
    ("DROP INDEX orders_dedupe", "schema", "the index orders_dedupe is missing"),
    ("CREATE TABLE more (a)", "schema", "the table more is not of this program"),
    ("PRAGMA user_version = 999", "schema", "newer p11enroll"),
    ("UPDATE events SET at_s = 4102444800 WHERE id = (SELECT max(id) FROM events)", "clock", "2100-01-01T00:00:00Z"),
])
def test_what_does_not_hold_of_the_database_is_found(used: Client, statement: str, check: str, text: str) -> None:
    change(used, statement)
    [(name, _, said)] = findings(used, 60)
    assert name == check and text in said, said


@pytest.mark.parametrize(("name", "mode"), [("journal.db", 0o644), ("orders.lock", 0o660), (".", 0o777)])
def test_files_that_are_open_to_others_are_found(used: Client, name: str, mode: int) -> None:
    path = used.state / name
    path.chmod(mode)
    check, _, text = findings(used, 60)[0]  # SQLite gives its other files the mode of the database
    assert check == "files" and f"mode {mode:04o}" in text and "chmod" in text
    for mended in (used.state, *used.state.glob("*.*")):
        mended.chmod(0o700 if mended == used.state else 0o600)
    used.run("journal", "check")


def test_an_older_schema_is_a_note(offline: Client) -> None:
    *older, _ = sorted((ROOT / "src/order/schema").glob("*.sql"))
    offline.state.mkdir(mode=0o700, parents=True)
    db = sqlite3.connect(offline.state / "journal.db")
    (offline.state / "journal.db").chmod(0o600)
    db.execute("PRAGMA journal_mode = WAL")
    for migration in older:
        db.executescript(migration.read_text())
    db.execute(f"PRAGMA user_version = {len(older)}")
    db.close()
    [(check, _, text)] = findings(offline, 0, "note")
    assert check == "schema" and f"version {len(older)} of {len(older) + 1}" in text
    offline.run("order", "list")
    assert findings(offline, 0, "note") == []


def test_a_check_changes_nothing(used: Client) -> None:
    with sqlite3.connect(used.state / "journal.db") as reader:  # so that the log stays where it is
        reader.execute("SELECT * FROM orders").fetchone()
        reader.execute("BEGIN")
        reader.execute("UPDATE orders SET names = 'a'")
        reader.rollback()
        before = {p.name: p.read_bytes() for p in used.state.iterdir() if p.name in ("journal.db", "journal.db-wal")}
        used.run("journal", "check")
        assert before == {name: (used.state / name).read_bytes() for name in before}


def test_without_a_journal_there_is_nothing_to_check(client: Client) -> None:
    for verb in (("check",), ("check", "--accept-clock"), ("export",), ("backup", str(client.dir / "b"))):
        done = client.run("journal", *verb, status=60)
        assert "there is no journal in" in done.stderr
    assert not client.state.exists() and not (client.dir / "b").exists()


@pytest.mark.parametrize("damage", ["random", "truncated", "nothing-of-it", "emptied"])
def test_a_damaged_database_is_found(used: Client, damage: str) -> None:
    path = used.state / "journal.db"
    data = path.read_bytes()
    size = len(data)
    spoilt = {"random": data[:8192] + bytes((i * 37 + 11) % 251 for i in range(8192)) + data[16384:],
              "truncated": data[:size // 2], "nothing-of-it": b"no database" * 400, "emptied": b""}[damage]
    path.write_bytes(spoilt)
    found = findings(used, 60)
    assert found and {"database"} <= {check for check, _, _ in found} and "backup" in " ".join(text for _, _, text in found)


# --- backup

def test_a_backup_takes_the_place_of_a_damaged_journal(lost: Client, tmp_path: Path) -> None:
    """As p11enroll-journal(1) says; the order that was under way goes on."""
    assert lost.sandbox is not None
    copy = tmp_path / "copy.db"
    made = lost.json("journal", "backup", str(copy))
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600 and made["orders"] == 3 and made["bytes"] == copy.stat().st_size
    assert made["sha256"] == subprocess.run(["sha256sum", copy], capture_output=True, text=True, check=True).stdout.split()[0]
    assert sorted(p.name for p in tmp_path.glob("copy*")) == ["copy.db"]
    (lost.state / "journal.db").write_bytes(b"x" * 5000)
    lost.run("order", "wait", "3", status=60)
    for tail in ("", "-wal", "-shm"):
        (lost.state / f"journal.db{tail}").unlink(missing_ok=True)
    copy.rename(lost.state / "journal.db")
    assert [check for check, _, _ in findings(lost, 14, "note")] == ["log"]
    assert lost.json("order", "wait", "3")["state"] == "done"
    lost.run("journal", "check")
    assert lost.sandbox.posts() == 3


def test_a_backup_overwrites_only_if_told(used: Client, tmp_path: Path) -> None:
    path = tmp_path / "copy.db"
    path.write_text("mine")
    done = used.run("journal", "backup", str(path), status=27)
    assert "is there already" in done.stderr and path.read_text() == "mine"
    used.run("journal", "backup", str(path), "--overwrite")
    assert path.read_bytes().startswith(b"SQLite format 3") and sorted(tmp_path.glob("copy*")) == [path]


def test_the_journal_is_no_backup_of_itself(used: Client) -> None:
    before = (used.state / "journal.db").read_bytes()
    done = used.run("journal", "backup", str(used.state / "journal.db"), "--overwrite", status=2)
    assert "is the journal itself" in done.stderr and (used.state / "journal.db").read_bytes() == before


def test_a_backup_that_fails_leaves_nothing(used: Client, tmp_path: Path) -> None:
    done = used.run("journal", "backup", str(tmp_path / "none" / "copy.db"), status=4)
    assert "creating a file beside" in done.stderr
    used.run("journal", "backup", str(tmp_path), "--overwrite", status=4)
    path = used.state / "journal.db"
    data = path.read_bytes()
    path.write_bytes(data[:8192] + b"\xff" * 8192 + data[16384:])
    used.run("journal", "backup", str(tmp_path / "copy.db"), status=60)
    assert list(tmp_path.glob("copy*")) == []


def test_backups_while_others_write_are_whole(used: Client, tmp_path: Path) -> None:
    """A process writes all the time; each copy has what was there at one moment: orders and entries in step."""
    writer = subprocess.Popen(
        ["/usr/bin/python3", "-c", f"""
import sqlite3
db = sqlite3.connect({str(used.state / 'journal.db')!r}, isolation_level=None, timeout=10)
for n in range(100000):
    db.execute("BEGIN IMMEDIATE")
    db.execute("UPDATE orders SET term_days = term_days + 1 WHERE id = 2")
    db.execute("INSERT INTO events (order_id, at_s, state, text) VALUES (2, 5, 'waiting', 'n')")
    db.execute("COMMIT")
    if n == 0:
        print("writing", flush=True)
"""], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None and writer.stdout.readline() == "writing\n"
    try:
        seen = set()
        for n in range(5):
            made = used.json("journal", "backup", str(tmp_path / f"{n}.db"))
            with sqlite3.connect(tmp_path / f"{n}.db") as db:
                term, = db.execute("SELECT term_days FROM orders WHERE id = 2").fetchone()
                count, = db.execute("SELECT count(*) FROM events WHERE text = 'n'").fetchone()
                assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert term == 199 + count and made["events"] > count
            seen.add(count)
        assert writer.poll() is None and len(seen) == 5
    finally:
        writer.kill()
        writer.wait()


def test_output_of_a_backup(used: Client, tmp_path: Path) -> None:
    made = used.json("journal", "backup", str(tmp_path / "a.db"))
    compare("json/journal-backup.json", json.dumps(shape(made), indent=1) + "\n")
    text = masked(used.run("journal", "backup", str(tmp_path / "b.db")).stdout.replace(str(tmp_path / "b.db"), "FILE"), used)
    compare("human/journal-backup.txt", re.sub(r"(Bytes: +)\d+", r"\1N", text))


# --- export

def exported(client: Client, *args: str) -> list[dict[str, Any]]:
    return json.loads(client.run("journal", "export", *args).stdout)["orders"]


def test_export_has_everything_of_each_order(lost: Client) -> None:
    orders = {o["order"]: o for o in exported(lost)}
    shown = lost.json("order", "show", "1")
    for key in ("mark", "state", "names", "ca_order", "serial", "not_after", "key_uri", "created", "updated", "product"):
        assert orders[1][key] == shown[key], key
    assert orders[1]["events"] == shown["events"]
    assert orders[1]["csr"].startswith("-----BEGIN CERTIFICATE REQUEST") and orders[1]["certificate"].startswith("-----BEGIN CERT")
    [attempt] = orders[1]["attempts"]
    assert attempt["state"] == "pending" and attempt["text"].startswith("the CA took it as order")
    [attempt] = orders[3]["attempts"]
    assert attempt["state"] == "ambiguous" and "not known whether" in attempt["text"]
    assert sorted(orders) == [1, 2, 3] and {o["export"] for o in orders.values()} == {1}
    compare("json/journal-export.json", json.dumps(shape(json.loads(lost.run("journal", "export").stdout)), indent=1) + "\n")


def test_export_is_the_same_in_each_form(lost: Client, tmp_path: Path) -> None:
    document = exported(lost)
    assert exported(lost, "--json") == document
    lines = lost.run("journal", "export", "--format", "jsonl").stdout.splitlines()
    assert [json.loads(line) for line in lines] == document
    rows = list(csv.DictReader(io.StringIO(lost.run("journal", "export", "--format", "csv").stdout)))
    assert [r["order"] for r in rows] == [str(o["order"]) for o in document]
    for row, order in zip(rows, document):
        many = ("csr", "certificate", "chain", "attempts", "events", "approvals", "export")
        assert set(row) == set(order) - set(many)
        for key, value in row.items():
            plain = order[key]
            want = str(plain).lower() if isinstance(plain, bool) else "" if plain is None else str(plain)
            assert value in (want, "'" + want), key
    history = list(csv.DictReader(io.StringIO(lost.run("journal", "export", "--format", "csv", "--history").stdout)))
    assert [(int(h["order"]), h["at"], h["state"], h["text"]) for h in history] == [
        (o["order"], e["at"], e["state"], e["text"]) for o in document for e in o["events"]]
    said = lost.json("journal", "export", "--format", "jsonl", "--out", str(tmp_path / "x"))
    assert (tmp_path / "x").read_text().splitlines() == lines and said["orders"] == 3
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o600


@pytest.mark.parametrize("args", [("--format", "xml"), ("--history",), ("--history", "--format", "jsonl"), ("--json", "--format", "csv")])
def test_forms_that_there_are_not(used: Client, args: tuple[str, ...]) -> None:
    used.run("journal", "export", *args, status=2)


def test_neither_export_nor_backup_has_a_secret(used: Client, tmp_path: Path) -> None:
    assert used.sandbox is not None
    used.run("journal", "backup", str(tmp_path / "copy.db"))
    texts = used.run("journal", "export").stdout.encode(), (tmp_path / "copy.db").read_bytes()
    for secret in (used.token.pin, used.token.so_pin, used.sandbox.password_file("client-password.txt").read_text().strip(),
                   used.sandbox.password_file("admin-password.txt").read_text().strip()):
        assert len(secret) > 7 and not any(secret.encode() in text for text in texts)
        assert all(b"www.example.org" in text for text in texts)


def test_an_export_that_breaks_off_says_so(used: Client, tmp_path: Path) -> None:
    change(used, "UPDATE orders SET state = 'nonsense' WHERE id = 1")
    done = used.run("journal", "export", status=60)
    document = json.loads(done.stdout)
    assert [o["order"] for o in document["orders"]] == [2] and document["error"]["code"] == "journal"
    used.run("journal", "export", "--out", str(tmp_path / "x"), status=60)
    assert list(tmp_path.glob("x*")) == []


def test_a_journal_that_cannot_be_written_can_be_looked_at(used: Client, tmp_path: Path) -> None:
    """From a medium that is read-only: check, backup and export."""
    other = tmp_path / "read-only"
    prepare = f'mkdir {other} && cp -a {used.state}/journal.db {other} && mount --bind {other} {other} && mount -o remount,ro,bind {other} && "$@"'
    probe = subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False)
    if os.geteuid() != 0 or probe.returncode != 0:
        pytest.skip("no mounts of its own for a process here")
    used.wrapper = ["unshare", "-m", "sh", "-c", prepare.replace("mkdir", "mkdir -p"), "sh"]
    for args in (("check",), ("export",), ("backup", str(tmp_path / "copy.db"))):
        used.set("p11enroll", state_dir=str(other))
        used.run("journal", *args)


# --- large journals

def grow(client: Client, rows: int) -> None:
    """Copies of the first order, with numbers, marks and names of their own."""
    db = sqlite3.connect(client.state / "journal.db")
    columns = [row[1] for row in db.execute("PRAGMA table_info(orders)")]
    made = {"id": "1000 + n", "mark": "'p11e-' || n", "dedupe": "'d' || n", "names": "'n' || n || '.example.org'", "ca_order_id": "'9' || n"}
    count = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT ?) "
    db.execute(f"{count} INSERT INTO orders ({', '.join(columns)}) SELECT {', '.join(made.get(c, c) for c in columns)} FROM orders, c WHERE id = 1", (rows,))
    db.execute(f"{count} INSERT INTO events (order_id, at_s, state, text) SELECT 1000 + n, 5, 'done', 'x' FROM c", (rows,))
    db.execute("UPDATE orders SET state = 'planned', open = 1 WHERE id = 1001")
    db.execute("UPDATE events SET state = 'planned' WHERE order_id = 1001")
    db.commit()
    db.close()


def scanned(client: Client, *args: str, status: int = 0) -> int:
    """How many rows a command walked over."""
    done = client.run(*args, "--log-level", "trace", status=status)
    return sum(int(n) for n in re.findall(r"db: (\d+) rows scanned", done.stderr))


def test_what_is_done_with_one_order_does_not_walk_over_all(used: Client) -> None:
    grow(used, 3000)
    assert scanned(used, "journal", "check") > 3000  # this does, and so it can be told
    for args in (("order", "show", "1500"), ("order", "show", "2"), ("order", "collect", "1"),
                 ("order", "renew", "1"), ("order", "abandon", "1001"), ("revoke", "1", "--reason", "superseded", "--yes"),
                 ("enroll", "--name", "more.example.org"), ("enroll", "--name", "again.example.org", "--again")):
        assert scanned(used, *args) < 10, args
    assert scanned(used, "order", "wait", "2", "--people-deadline", "0", status=11) < 10
    assert scanned(used, "order", "list") <= 50 and scanned(used, "order", "list", "--open") < 10
    assert used.json("journal", "check")["orders"] == 3002 + 3


def test_export_of_a_large_journal_takes_no_more_memory(used: Client) -> None:
    def peak(path: Path) -> int:
        used.wrapper = ["/usr/bin/time", "-f", "%M", "-o", str(path)]
        used.run("journal", "export", "--format", "jsonl", "--out", str(path.with_suffix(".jsonl")))
        used.wrapper = []
        return int(path.read_text())

    if SANITIZED:
        pytest.skip("a sanitizer's memory is not the program's")
    if not Path("/usr/bin/time").exists():
        pytest.skip("not installed: /usr/bin/time")
    small = peak(used.dir / "small")
    grow(used, 20000)
    large = peak(used.dir / "large")
    assert (used.dir / "large.jsonl").stat().st_size > 64 << 20 and large < small + 16 * 1024, (small, large)
