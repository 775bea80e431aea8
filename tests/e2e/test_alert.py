"""Alerts: what ends soon and what waits, from journal, inventory and token, told once per level to whoever is configured."""

from __future__ import annotations

import http.server
import json
import re
import signal
import sqlite3
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from p11e import Client, Sandbox, run

DAY = 86400
OK, WARNING, CRITICAL, UNKNOWN = range(4)


@pytest.fixture
def ca(client: Client) -> Sandbox:
    assert client.sandbox is not None
    return client.sandbox


def enroll(client: Client, name: str, days_left: int) -> None:
    """A certificate of 199 days that has so many left."""
    assert client.sandbox is not None
    client.sandbox.set(backdate_days=199 - days_left)
    client.run("enroll", "--name", name)
    client.sandbox.set(backdate_days=0)


def bind(client: Client, key: str, cert: Path) -> None:
    client.set("profile:web", issuer_roots=None)
    client.run("cert", "bind", "--key", key, "--cert", str(cert), "--no-chain-check")


def alert(client: Client, status: int, *args: str) -> dict[str, Any]:
    return client.json("alert", *args, status=status)


def alerts_of(client: Client, name: str, *args: str) -> list[dict[str, Any]]:
    """Of one name alone: in the inventory the account has certificates of other tests."""
    done = json.loads(client.run("alert", "--json", *args, status=None).stdout)
    assert done["failures"] == [] and "error" not in done
    return [a for a in done["alerts"] if a["name"] == name]


def names(done: dict[str, Any]) -> list[str]:
    return [a["name"] for a in done["alerts"]]


def sinks(done: dict[str, Any]) -> dict[str, tuple[int, str]]:
    return {s["sink"]: (s["alerts"], s["result"]) for s in done["sinks"]}


# --- what is found

def test_nothing_to_tell(client: Client) -> None:
    enroll(client, "www.example.org", 150)
    done = client.run("alert", status=OK)
    line, = done.stdout.splitlines()
    assert re.fullmatch(r"P11ENROLL OK - no certificate ends soon, no order waits \| expired=0;;0;0 ending=0;0;;0 "
                        r"waiting=0;0;;0 warning=0;0;;0 critical=0;;0;0", line)


@pytest.mark.parametrize(("left", "status", "word"), [(29, WARNING, "WARNING"), (13, WARNING, "WARNING"), (6, CRITICAL, "CRITICAL")])
def test_each_level_has_its_status(client: Client, left: int, status: int, word: str) -> None:
    enroll(client, "www.example.org", left)
    done = client.run("alert", status=status)
    first, *rest = done.stdout.splitlines()
    text, _, performance = first.partition(" | ")
    found = re.fullmatch(rf"P11ENROLL {word} - 1 certificate ends soon: www\.example\.org in (\d+) days", text)
    assert found and int(found.group(1)) in (left - 1, left)
    values = dict(v.split("=") for v in performance.split())
    seconds, warn, critical = values["left"].split(";")
    assert abs(int(seconds.rstrip("s")) - left * DAY) < DAY and (warn, critical) == (f"{30 * DAY}:", f"{7 * DAY}:")
    assert values["ending"].startswith("1;") and rest[1].startswith(word)


def test_levels_are_configured(client: Client) -> None:
    enroll(client, "www.example.org", 40)
    alert(client, OK)
    alert(client, WARNING, "--levels", "50, 20")
    client.set("p11enroll", alert_levels="60, 50h")
    assert names(alert(client, WARNING)) == ["www.example.org"]
    client.set("p11enroll", alert_levels="45")
    alert(client, CRITICAL)


@pytest.mark.parametrize("setting", ["alert_levels", "alert_waiting", "alert_sources"])
def test_settings_that_are_not_understood_are_unknown(client: Client, setting: str) -> None:
    client.set("p11enroll", **{setting: "journal, soon" if setting == "alert_sources" else "7, soon"})
    done = client.run("alert", status=UNKNOWN)
    assert done.stdout.startswith(f"P11ENROLL UNKNOWN - {setting}: ") and "'soon'" in done.stdout
    failed = alert(client, UNKNOWN)
    assert failed["error"]["code"] == "config" and failed["line"].startswith("P11ENROLL UNKNOWN")


def test_one_certificate_is_told_once(client: Client) -> None:
    enroll(client, "www.example.org", 20)
    client.run("inventory", "sync", "--source", "list", "--details")
    one, = alerts_of(client, "www.example.org")
    order = client.json("order", "show", "1")
    assert one["found_in"] == "journal, inventory, token" and one["order"] == 1
    assert one["ca_order"] == int(order["ca_order"]) and one["at"] == order["not_after"]
    assert one["serial"].replace(":", "").lower().lstrip("0") == order["serial"].lstrip("0")
    assert one["uri"].startswith("pkcs11:")


@pytest.mark.parametrize("source", ["journal", "inventory", "token"])
def test_each_source_is_enough(client: Client, source: str) -> None:
    name = f"{source}.alone.example"  # nobody else has it in this account
    enroll(client, name, 20)
    client.run("inventory", "sync", "--source", "list", "--details")
    one, = alerts_of(client, name, "--sources", source)
    assert one["found_in"] == source


def test_a_certificate_on_the_token_that_nobody_ordered(client: Client, ca: Sandbox, tmp_path: Path) -> None:
    key = client.json("key", "generate", "--label", "k", "--type", "ec:P-256")["uri"]
    csr = client.json("csr", "create", key, "--name", "by-hand.example.org")["csr"]
    cert = tmp_path / "cert.pem"
    cert.write_text(ca.sign(csr, ["by-hand.example.org"], days=90, not_before_offset_days=-85)["cert"])
    bind(client, key, cert)
    one, = alert(client, CRITICAL)["alerts"]
    assert (one["name"], one["found_in"], one["order"]) == ("by-hand.example.org", "token", None)


def test_a_placeholder_of_the_same_key_hides_nothing(client: Client, ca: Sandbox, tmp_path: Path) -> None:
    key = client.json("key", "generate", "--label", "k", "--type", "ec:P-256")["uri"]
    csr = client.json("csr", "create", key, "--name", "real.example.org")["csr"]
    cert, public, other, placeholder = (tmp_path / n for n in ("cert.pem", "public.pem", "other.key", "placeholder.der"))
    cert.write_text(ca.sign(csr, ["real.example.org"], days=90, not_before_offset_days=-85)["cert"])
    bind(client, key, cert)
    (tmp_path / "csr.pem").write_text(csr)
    public.write_text(run(["openssl", "req", "-noout", "-pubkey", "-in", str(tmp_path / "csr.pem")]).stdout)
    run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", str(other)])
    run(["openssl", "x509", "-new", "-subj", "/CN=placeholder", "-key", str(other), "-force_pubkey", str(public), "-days", "3650",
         "-outform", "DER", "-out", str(placeholder)])
    run(["pkcs11-tool", "--module", str(client.token.module), "--token-label", client.token.label, "--login", "--pin",
         client.token.pin, "--write-object", str(placeholder), "--type", "cert", "--label", "placeholder"], env=client.full_env())
    assert names(alert(client, CRITICAL)) == ["real.example.org"]


def test_a_colleague_s_certificate_in_the_inventory(client: Client, ca: Sandbox, tmp_path: Path) -> None:
    enroll(client, "theirs.example.org", 20)
    other = Client(tmp_path / "other", client.token, ca)
    other.run("inventory", "sync", "--source", "list", "--details")
    found = alerts_of(other, "theirs.example.org", "--sources", "inventory")
    assert [(a["found_in"], a["order"]) for a in found] == [("inventory", None)]


def journal(client: Client, *statements: tuple[str, tuple[Any, ...]]) -> None:
    """Changes what has been written down."""
    with sqlite3.connect(client.dir / "state" / "journal.db") as db:
        for statement, values in statements:
            assert db.execute(statement, values).rowcount == 1
    db.close()


def test_the_inventory_s_day_does_not_make_an_alert_premature(client: Client) -> None:
    """The inventory knows the day alone; an hour before the level is reached the day has begun."""
    name = "day.alone.example"
    enroll(client, name, 41)
    client.run("inventory", "sync", "--source", "list", "--details")
    end = (int(time.time()) // DAY + 41) * DAY - 1
    journal(client, ("UPDATE orders SET not_after_s = ?, cert_pem = NULL WHERE id = 1", (end,)),
            ("UPDATE certificates SET expires = ? WHERE common_name = ? AND gone_s = 0", (time.strftime("%Y-%m-%d", time.gmtime(end)), name)))
    for early, found in ((3600, 0), (-3600, 1)):
        levels = f"{end - int(time.time()) - early}s"
        told = alerts_of(client, name, "--levels", levels, "--sources", "journal, inventory")
        assert [a["found_in"] for a in told] == ["journal, inventory"] * found


def test_it_says_that_the_inventory_does_not_know_when_certificates_end(client: Client) -> None:
    enroll(client, "www.example.org", 150)
    assert alert(client, OK)["undated"] is False
    client.run("inventory", "sync", "--source", "list")
    assert "does not know when some of the certificates in it end" in client.run("alert", status=None).stdout
    assert alert(client, OK, "--sources", "journal")["undated"] is False
    client.run("inventory", "sync", "--source", "list", "--details")
    assert json.loads(client.run("alert", "--json", status=None).stdout)["undated"] is False


def test_short_lives_are_told_when_their_renewal_is_due(client: Client, ca: Sandbox, tmp_path: Path) -> None:
    """Nine days of life are no reason to tell from the first day on. It is an OV certificate: due three days earlier."""
    key = client.json("key", "generate", "--label", "k", "--type", "ec:P-256")["uri"]
    csr = client.json("csr", "create", key, "--name", "short.example.org")["csr"]
    for passed, early, status in ((0, "3d", OK), (2, "3d", OK), (4, "0", OK), (4, "3d", WARNING), (5, "0", WARNING), (8, "3d", CRITICAL)):
        cert = tmp_path / f"cert{passed}-{early}.pem"
        cert.write_text(ca.sign(csr, ["short.example.org"], days=9, not_before_offset_days=-passed)["cert"])
        client.set("p11enroll", renew_early_ov=early)
        bind(client, key, cert)
        assert alert(client, status)["status"] == ["OK", "WARNING", "CRITICAL"][status], passed
        for found in client.json("cert", "list")["certificates"]:
            client.run("cert", "remove", found["uri"], "--yes")


def test_what_was_renewed_is_not_told(client: Client) -> None:
    enroll(client, "www.example.org", 20)
    assert names(alert(client, WARNING)) == ["www.example.org"]
    client.run("order", "renew", "1", "--new-key")
    assert names(alert(client, OK)) == []


def test_what_was_revoked_is_not_told(client: Client) -> None:
    enroll(client, "www.example.org", 20)
    client.run("revoke", "1", "--reason", "superseded", "--yes")
    assert names(alert(client, OK)) == []


def test_what_others_revoked_is_not_told(client: Client, ca: Sandbox, tmp_path: Path) -> None:
    enroll(client, "www.example.org", 20)
    other = Client(tmp_path / "other", client.token, ca)
    other.run("revoke", "--ca-order", str(client.json("order", "show", "1")["ca_order"]), "--reason", "superseded", "--yes")
    assert names(alert(client, WARNING)) == ["www.example.org"]
    client.run("inventory", "sync", "--source", "list", "--details")
    assert alerts_of(client, "www.example.org") == []


def test_what_has_expired_is_told_for_a_while(client: Client, ca: Sandbox, tmp_path: Path) -> None:
    key = client.json("key", "generate", "--label", "k", "--type", "ec:P-256")["uri"]
    csr = client.json("csr", "create", key, "--name", "old.example.org")["csr"]
    cert = tmp_path / "cert.pem"
    cert.write_text(ca.sign(csr, ["old.example.org"], days=90, not_before_offset_days=-100)["cert"])
    run(["pkcs11-tool", "--module", str(client.token.module), "--token-label", client.token.label, "--login", "--pin",
         client.token.pin, "--write-object", str(cert), "--type", "cert", "--label", "old"], env=client.full_env())
    done = alert(client, CRITICAL)
    assert names(done) == ["old.example.org"] and "1 certificate has expired" in done["line"]
    assert re.search(r"old\.example\.org expired (9|10) days ago", done["alerts"][0]["text"])
    client.set("p11enroll", alert_expired="5d")
    alert(client, OK)


def test_an_order_that_waits_is_told(client: Client, ca: Sandbox) -> None:
    ca.set(approval="manual")
    client.run("enroll", "--name", "waits.example.org", "--deadline", "0", status=11)
    alert(client, OK)
    client.set("p11enroll", alert_waiting="0s, 1h")
    done = alert(client, WARNING)
    one, = done["alerts"]
    assert (one["kind"], one["order"], one["name"]) == ("order", 1, "waits.example.org")
    assert "a person has to approve it at the CA" in one["text"] and "1 order waits: order 1 for " in done["line"]
    client.set("p11enroll", alert_waiting="0s")
    alert(client, CRITICAL)
    ca.ask("POST", f"/orders/{client.json('order', 'show', '1')['ca_order']}/approve")
    client.run("order", "wait", "1")
    alert(client, OK)


def test_an_order_that_awaits_approval_here_is_told(client: Client) -> None:
    client.set("profile:web", approval="required", approvers="user:root, user:somebody")
    client.run("enroll", "--name", "www.example.org", status=17)
    client.set("p11enroll", alert_waiting="0s, 1h")
    one, = alert(client, WARNING)["alerts"]
    assert "somebody here has to approve it" in one["text"]


# --- sources that fail

def test_an_inventory_that_is_named_and_was_never_read_is_unknown(client: Client) -> None:
    alert(client, OK)
    assert "was never read" in alert(client, UNKNOWN, "--sources", "journal, inventory")["failures"][0]["why"]
    client.set("p11enroll", alert_sources="inventory")
    assert "inventory failed" in alert(client, UNKNOWN, "--dry-run")["line"]
    client.run("inventory", "sync", "--source", "list", "--details")
    assert json.loads(client.run("alert", "--json", status=None).stdout)["failures"] == []


def test_a_token_that_cannot_be_read_is_unknown_and_the_rest_is_told(client: Client) -> None:
    enroll(client, "www.example.org", 20)
    client.set("token:main", uri="pkcs11:token=gone")
    done = alert(client, UNKNOWN)
    assert names(done) == ["www.example.org"] and "token 'main' failed" in done["line"]
    assert "gone" in done["failures"][0]["why"]
    said = client.run("alert", status=UNKNOWN)
    assert "token 'main'" in said.stderr and "www.example.org" in said.stdout
    alert(client, WARNING, "--sources", "journal")


def test_bars_stand_before_performance_data_alone(client: Client) -> None:
    client.set("token:main", module="/nowhere/go|ne.so")
    assert "go|ne" in alert(client, UNKNOWN)["failures"][0]["why"]
    said = client.run("alert", status=UNKNOWN).stdout
    assert said.count("|") == 1 and said.count("go/ne") == 1


def test_all_tokens_are_looked_at(client: Client) -> None:
    enroll(client, "www.example.org", 20)
    client.token.add("second")
    client.set("token:second", module=str(client.token.module), uri="pkcs11:token=second",
               pin_source=f"file:{client.token.pin_file}")
    assert names(alert(client, WARNING, "--sources", "token")) == ["www.example.org"]
    assert names(alert(client, OK, "--sources", "token", "--token", "second")) == []


# --- mail

@pytest.fixture
def mails(client: Client, tmp_path: Path) -> Callable[[], list[str]]:
    """A sendmail that keeps what it is given; returns what came."""
    folder = tmp_path / "mails"
    folder.mkdir()
    program = tmp_path / "sendmail"
    program.write_text(f'#!/bin/sh\nn=$(ls {folder} | wc -l)\necho "$*" >{folder}/$n.args\ncat >{folder}/$n.text\n'
                       f'if [ -e {tmp_path}/broken ]; then echo "queue is full" >&2; rm {folder}/$n.*; exit 75; fi\n')
    program.chmod(0o755)
    client.set("p11enroll", alert_mail="ops@example.org, ca@example.org", alert_sendmail=str(program),
               alert_mail_from="p11enroll@example.org")
    return lambda: [p.read_text() for p in sorted(folder.glob("*.text"))]


def test_mail_is_sent_once_per_level(client: Client, mails: Callable[[], list[str]], tmp_path: Path) -> None:
    enroll(client, "www.example.org", 20)
    assert sinks(alert(client, WARNING)) == {"mail": (1, "delivered")}
    assert sinks(alert(client, WARNING)) == {"mail": (0, "nothing new")}
    text, = mails()
    head, body = text.split("\n\n", 1)
    assert "To: ops@example.org,\n ca@example.org\n" in head and "From: p11enroll@example.org\n" in head
    assert re.search(r"(?m)^Subject: p11enroll WARNING on \S+: 1 certificate$", head)
    assert re.search(r"(?m)^Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d \+0000$", head) and "Auto-Submitted: auto-generated" in head
    assert re.match(r"WARNING: certificate www\.example\.org ends in (19|20) days, on 20", body)
    args = next((tmp_path / "mails").glob("*.args")).read_text().split()
    assert args == ["-i", "-f", "p11enroll@example.org", "ops@example.org", "ca@example.org"]
    assert sinks(alert(client, CRITICAL, "--levels", "30, 25")) == {"mail": (1, "delivered")}
    assert len(mails()) == 2


def test_mail_is_repeated_as_configured(client: Client, mails: Callable[[], list[str]]) -> None:
    enroll(client, "www.example.org", 20)
    client.set("p11enroll", alert_repeat="1s")
    alert(client, WARNING)
    time.sleep(1.1)  # the clock has whole seconds
    alert(client, WARNING)
    client.set("p11enroll", alert_repeat="1d")
    alert(client, WARNING)
    assert len(mails()) == 2


def test_mail_that_failed_is_sent_the_next_time(client: Client, mails: Callable[[], list[str]], tmp_path: Path) -> None:
    enroll(client, "www.example.org", 20)
    (tmp_path / "broken").touch()
    for _ in range(2):
        done = alert(client, UNKNOWN)
        assert sinks(done) == {"mail": (1, "failed")} and "; mail failed | " in done["line"]
        assert "ended with status 75: queue is full" in done["sinks"][0]["failure"]
    assert "due again the next time" in client.run("alert", status=UNKNOWN).stderr
    (tmp_path / "broken").unlink()
    assert sinks(alert(client, WARNING)) == {"mail": (1, "delivered")}
    assert sinks(alert(client, WARNING)) == {"mail": (0, "nothing new")} and len(mails()) == 1


def test_a_critical_alert_that_nobody_was_told_of_is_a_failure(client: Client, mails: Callable[[], list[str]], tmp_path: Path) -> None:
    enroll(client, "www.example.org", 5)
    (tmp_path / "broken").touch()
    assert alert(client, CRITICAL, "--dry-run")["status"] == "CRITICAL"
    done = alert(client, UNKNOWN)
    assert sinks(done) == {"mail": (1, "failed")} and done["line"].startswith("P11ENROLL CRITICAL - ")
    (tmp_path / "broken").unlink()
    alert(client, CRITICAL)


def test_a_new_certificate_does_not_repeat_the_old_one(client: Client, mails: Callable[[], list[str]]) -> None:
    enroll(client, "a.example.org", 20)
    alert(client, WARNING)
    enroll(client, "b.example.org", 20)
    assert sinks(alert(client, WARNING)) == {"mail": (1, "delivered")}
    assert "b.example.org" in mails()[1] and "a.example.org" not in mails()[1]


def test_what_comes_back_is_told_again(client: Client, ca: Sandbox, mails: Callable[[], list[str]]) -> None:
    ca.set(approval="manual")
    client.run("enroll", "--name", "waits.example.org", "--deadline", "0", status=11)
    client.set("p11enroll", alert_waiting="0s, 1h")
    alert(client, WARNING)
    client.set("p11enroll", alert_waiting="1h")
    alert(client, OK)
    client.set("p11enroll", alert_waiting="0s, 1h")
    alert(client, WARNING)
    assert len(mails()) == 2


def test_orders_are_forgotten_although_a_token_cannot_be_read(client: Client, ca: Sandbox, mails: Callable[[], list[str]]) -> None:
    ca.set(approval="manual")
    client.run("enroll", "--name", "waits.example.org", "--deadline", "0", status=11)
    client.set("token:gone", module=str(client.token.module), uri="pkcs11:token=gone", pin_source=f"file:{client.token.pin_file}")
    for waiting in ("0s, 1h", "1h", "0s, 1h"):
        client.set("p11enroll", alert_waiting=waiting)
        alert(client, UNKNOWN)
    assert len(mails()) == 2


def test_a_second_wait_of_an_order_is_told(client: Client, ca: Sandbox, mails: Callable[[], list[str]]) -> None:
    """First here, then at the CA; nobody looked in between."""
    client.set("profile:web", approval="required", approvers="user:root, user:somebody")
    client.run("enroll", "--name", "www.example.org", status=17)
    client.set("p11enroll", alert_waiting="0s, 1h")
    assert sinks(alert(client, WARNING)) == {"mail": (1, "delivered")}
    time.sleep(1.1)  # the clock has whole seconds
    ca.set(approval="manual")
    client.set("profile:web", approval=None, approvers=None)
    client.run("order", "wait", "1", "--deadline", "0", status=11)
    assert sinks(alert(client, WARNING)) == {"mail": (1, "delivered")}
    assert sinks(alert(client, WARNING)) == {"mail": (0, "nothing new")} and len(mails()) == 2


def test_a_source_that_was_not_read_does_not_make_it_forget(client: Client, mails: Callable[[], list[str]]) -> None:
    enroll(client, "www.example.org", 20)
    alert(client, WARNING)
    alert(client, UNKNOWN, "--sources", "inventory")
    client.set("p11enroll", alert_sources="token")
    client.set("token:main", uri="pkcs11:token=gone")
    alert(client, UNKNOWN)
    client.set("p11enroll", alert_sources="journal")
    alert(client, WARNING)
    assert len(mails()) == 1


@pytest.mark.parametrize("to", ["ops@example.org\\nBcc: x@y", "-Xlog", "a b@c", "", "|/bin/sh", "x;y@z"])
def test_addresses_that_are_none_are_refused(client: Client, mails: Callable[[], list[str]], to: str) -> None:
    enroll(client, "www.example.org", 20)
    client.set("p11enroll", alert_mail=to)
    done = alert(client, UNKNOWN)
    assert "alert_mail" in done["sinks"][0]["failure"] and mails() == []


def test_without_a_mail_program_that_is_told(client: Client, mails: Callable[[], list[str]]) -> None:
    enroll(client, "www.example.org", 20)
    client.set("p11enroll", alert_sendmail="/nowhere/sendmail")
    assert "alert_sendmail" in alert(client, UNKNOWN)["sinks"][0]["failure"]


def test_the_last_words_of_a_mail_program_are_shown(client: Client, mails: Callable[[], list[str]], tmp_path: Path) -> None:
    enroll(client, "www.example.org", 20)
    (tmp_path / "sendmail").write_text("#!/bin/sh\nseq 1 6000 >&2\necho 'queue is full' >&2\nexit 75\n")
    assert "ended with status 75: queue is full" in alert(client, UNKNOWN)["sinks"][0]["failure"]


def test_no_time_for_a_delivery_is_refused(client: Client) -> None:
    client.set("p11enroll", alert_timeout="0")
    line = client.run("alert", status=UNKNOWN).stdout
    assert line.startswith("P11ENROLL UNKNOWN - ") and "alert_timeout" in line and "'0' leaves no time at all" in line


def test_a_mail_program_that_hangs_is_ended(client: Client, mails: Callable[[], list[str]], tmp_path: Path) -> None:
    enroll(client, "www.example.org", 20)
    (tmp_path / "sendmail").write_text("#!/bin/sh\nexec sleep 600\n")
    client.set("p11enroll", alert_timeout="1s")
    assert "did not end within 1 seconds" in alert(client, UNKNOWN)["sinks"][0]["failure"]


def test_killed_after_the_delivery_it_tells_twice_rather_than_never(client: Client, mails: Callable[[], list[str]], tmp_path: Path) -> None:
    enroll(client, "www.example.org", 20)
    program = (tmp_path / "sendmail").read_text()
    (tmp_path / "sendmail").write_text(program + "kill -9 $PPID\n")
    client.run("alert", status=-signal.SIGKILL)
    assert len(mails()) == 1
    (tmp_path / "sendmail").write_text(program)
    assert sinks(alert(client, WARNING)) == {"mail": (1, "delivered")} and len(mails()) == 2


def test_a_signal_ends_the_mail_program_and_nothing_is_marked(client: Client, mails: Callable[[], list[str]], tmp_path: Path) -> None:
    enroll(client, "www.example.org", 20)
    program = (tmp_path / "sendmail").read_text()
    (tmp_path / "sendmail").write_text(f"#!/bin/sh\ntouch {tmp_path}/in\nexec sleep 600\n")
    process = client.start("alert")
    while not (tmp_path / "in").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.terminate()
    said, _ = process.communicate(timeout=60)
    assert process.returncode == UNKNOWN and "; mail failed" in said and "interrupted" in said
    (tmp_path / "sendmail").write_text(program)
    assert sinks(alert(client, WARNING)) == {"mail": (1, "delivered")}


def test_a_dry_run_delivers_and_remembers_nothing(client: Client, mails: Callable[[], list[str]], tmp_path: Path) -> None:
    enroll(client, "www.example.org", 20)
    client.set("p11enroll", alert_metrics=str(tmp_path / "p.prom"))
    done = alert(client, WARNING, "--dry-run")
    assert sinks(done) == {"mail": (1, "would be delivered"), "metrics": (1, "would be delivered")}
    assert mails() == [] and not (tmp_path / "p.prom").exists()
    assert sinks(alert(client, WARNING))["mail"] == (1, "delivered")


def test_a_dry_run_without_a_journal_is_unknown_and_makes_none(client: Client) -> None:
    """A check that runs as somebody else would be OK for ever."""
    line = client.run("alert", "--dry-run", status=UNKNOWN).stdout
    assert line.startswith("P11ENROLL UNKNOWN - --dry-run as user ") and f"no journal in {client.state}" in line
    assert not (client.state / "journal.db").exists()
    alert(client, OK)
    assert alert(client, OK, "--dry-run")["alerts"] == []


# --- webhook

class Receiver:
    """A small HTTPS server that keeps what is posted to it."""

    def __init__(self, path: Path) -> None:
        self.cert, key = path / "hook.pem", path / "hook.key"
        run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
             "/CN=hook", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(self.cert)])
        self.came: list[tuple[str, dict[str, str], Any]] = []
        self.status = 204
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.came.append((self.path, dict(self.headers), json.loads(body)))
                said = b"come back later" if receiver.status >= 300 else b""
                self.send_response(receiver.status)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_port}/hooks/p11?team=ops"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(timeout=10)


@pytest.fixture
def hook(client: Client, tmp_path: Path) -> Iterator[Receiver]:
    receiver = Receiver(tmp_path)
    client.set("p11enroll", alert_webhook=receiver.url, alert_webhook_trust=str(receiver.cert))
    yield receiver
    receiver.stop()


def test_the_webhook_gets_json_once_per_level(client: Client, hook: Receiver) -> None:
    enroll(client, "www.example.org", 20)
    assert sinks(alert(client, WARNING)) == {"webhook": (1, "delivered")}
    assert sinks(alert(client, WARNING)) == {"webhook": (0, "nothing new")}
    (path, headers, body), = hook.came
    assert path == "/hooks/p11?team=ops" and headers["Content-Type"] == "application/json"
    assert "Authorization" not in headers
    assert (body["schema"], body["program"], body["status"]) == (1, "p11enroll", "WARNING")
    one, = body["alerts"]
    order = client.json("order", "show", "1")
    assert (one["kind"], one["severity"], one["name"], one["order"]) == ("certificate", "WARNING", "www.example.org", 1)
    assert one["not_after"] == order["not_after"] and one["level_seconds"] == 30 * DAY
    assert "www.example.org ends in" in one["text"]


def test_the_webhook_s_token_is_sent_and_never_shown(client: Client, hook: Receiver, tmp_path: Path) -> None:
    enroll(client, "www.example.org", 20)
    secret = tmp_path / "token"
    secret.write_text("hook-token-4711\n")
    secret.chmod(0o600)
    client.set("p11enroll", alert_webhook_token_source=f"file:{secret}")
    done = client.run("alert", "--log-level", "trace", status=WARNING)
    assert hook.came[0][1]["Authorization"] == "Bearer hook-token-4711"
    assert "hook-token-4711" not in done.stdout + done.stderr


@pytest.mark.parametrize("status", [500, 403, 302])
def test_a_webhook_that_refuses_gets_it_the_next_time(client: Client, hook: Receiver, status: int) -> None:
    enroll(client, "www.example.org", 20)
    hook.status = status
    done = alert(client, UNKNOWN)
    assert sinks(done) == {"webhook": (1, "failed")}
    assert f"(HTTP {status}): come back later" in done["sinks"][0]["failure"] and len(hook.came) == 1
    hook.status = 200
    assert sinks(alert(client, WARNING)) == {"webhook": (1, "delivered")} and len(hook.came) == 2


def test_a_webhook_that_nobody_vouches_for_gets_nothing(client: Client, hook: Receiver) -> None:
    enroll(client, "www.example.org", 20)
    client.set("p11enroll", alert_webhook_trust=None)
    assert "certificate" in alert(client, UNKNOWN)["sinks"][0]["failure"] and hook.came == []


@pytest.mark.parametrize("url", ["http://127.0.0.1/x", "https://u:p@127.0.0.1/x", "https://127.0.0.1/a#b", "ops"])
def test_urls_that_are_no_webhook_are_refused(client: Client, url: str) -> None:
    enroll(client, "www.example.org", 20)
    client.set("p11enroll", alert_webhook=url)
    assert "webhook" in alert(client, UNKNOWN)["sinks"][0]["failure"]


def test_one_sink_that_fails_does_not_hold_up_the_other(client: Client, hook: Receiver, mails: Callable[[], list[str]]) -> None:
    enroll(client, "www.example.org", 20)
    hook.status = 500
    assert sinks(alert(client, UNKNOWN)) == {"mail": (1, "delivered"), "webhook": (1, "failed")}
    hook.status = 200
    assert sinks(alert(client, WARNING)) == {"mail": (0, "nothing new"), "webhook": (1, "delivered")}
    assert len(mails()) == 1


def test_a_proxy_that_is_none_is_refused_and_its_password_not_shown(client: Client, hook: Receiver) -> None:
    enroll(client, "www.example.org", 20)
    client.set("p11enroll", alert_webhook_proxy="http://ops:secret4711@proxy.example:3128")
    done = client.run("alert", "--json", "--log-level", "trace", status=UNKNOWN)
    assert "alert_webhook_proxy" in done.stdout and "secret4711" not in done.stdout + done.stderr and hook.came == []


# --- metrics

SAMPLE = re.compile(r'^([a-z0-9_]+)(?:\{((?:[a-z_]+="(?:[^"\\]|\\["\\n])*",?)*)\})? (-?\d+)$')


def metrics(path: Path) -> dict[str, int]:
    """Every line is a comment or a sample, and every metric has its type before."""
    found, types = {}, set()
    text = path.read_text()
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            types.add(line.split()[2])
        elif not line.startswith("#"):
            sample = SAMPLE.match(line)
            assert sample and sample.group(1) in types, line
            found[line.rpartition(" ")[0]] = int(sample.group(3))
    return found


def test_metrics_are_a_text_file_for_node_exporter(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "metrics" / "p11enroll.prom"
    path.parent.mkdir()
    client.set("p11enroll", alert_metrics=str(path))
    alert(client, OK)
    assert metrics(path)['p11enroll_alerts{severity="warning"}'] == 0
    enroll(client, "www.example.org", 20)
    for _ in range(2):
        alert(client, WARNING)
        found = metrics(path)
        ends = {k: v for k, v in found.items() if k.startswith("p11enroll_certificate_not_after_seconds{")}
        (labels, end), = ends.items()
        assert 'name="www.example.org"' in labels and 'severity="warning"' in labels and abs(end - time.time() - 20 * DAY) < DAY
        assert found['p11enroll_alerts{severity="warning"}'] == 1 and found["p11enroll_alert_failures"] == 0
    assert path.stat().st_mode & 0o777 == 0o644 and [p.name for p in path.parent.iterdir()] == ["p11enroll.prom"]


def test_metrics_tell_of_failures(client: Client, hook: Receiver, tmp_path: Path) -> None:
    enroll(client, "www.example.org", 20)
    hook.status = 500
    client.set("p11enroll", alert_metrics=str(tmp_path / "p.prom"))
    alert(client, UNKNOWN)
    assert metrics(tmp_path / "p.prom")["p11enroll_alert_failures"] == 1


def test_metrics_that_cannot_be_written_are_told(client: Client, tmp_path: Path) -> None:
    client.set("p11enroll", alert_metrics=str(tmp_path / "no" / "p.prom"))
    assert sinks(alert(client, UNKNOWN)) == {"metrics": (0, "failed")}


# --- one at a time

def test_two_at_once_tell_once(client: Client, mails: Callable[[], list[str]], tmp_path: Path) -> None:
    enroll(client, "www.example.org", 20)
    gate = tmp_path / "gate"
    program = (tmp_path / "sendmail").read_text().replace("#!/bin/sh\n", f"#!/bin/sh\ntouch {gate}.in\nwhile [ ! -e {gate} ]; do sleep 0.05; done\n")
    (tmp_path / "sendmail").write_text(program)
    first = client.start("alert")
    while not Path(f"{gate}.in").exists():
        assert first.poll() is None
        time.sleep(0.02)
    second = client.run("alert", status=UNKNOWN)
    assert "another 'p11enroll alert' is under way" in second.stdout
    gate.touch()
    assert first.wait(timeout=60) == WARNING and len(mails()) == 1
