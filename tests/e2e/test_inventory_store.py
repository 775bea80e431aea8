"""The inventory that is kept: read from the account's list or report, matched with token and journal, searched."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
import zlib
from typing import Any

import pytest
from p11e import Client, Sandbox

SOURCES = ["list", "report"]


def host(client: Client, name: str) -> str:
    """A name of this test's own: the account has other certificates, too."""
    return f"{name}.{zlib.crc32(str(client.dir).encode()):08x}.example.org"


def ca_order(client: Client, order: int = 1) -> int:
    return int(client.json("order", "show", str(order))["ca_order"])


def found(client: Client, *args: str) -> list[dict[str, Any]]:
    return list(client.json("inventory", "find", *args)["certificates"])


def findings(client: Client) -> list[tuple[str, Any, Any]]:
    """What is not as it should be: finding, number at the CA, order."""
    return [(f["finding"], f["ca_order"], f["order"]) for f in client.json("inventory", "match")["findings"]]


def sync(client: Client, source: str = "auto", *args: str) -> dict[str, Any]:
    return client.json("inventory", "sync", "--source", source, *args)


@pytest.fixture
def ca(client: Client) -> Sandbox:
    assert client.sandbox is not None
    return client.sandbox


@pytest.fixture
def enrolled(client: Client) -> Client:
    client.run("enroll", "--name", host(client, "a"), "--name", host(client, "www"))
    return client


# --- reading

@pytest.mark.parametrize("source", SOURCES)
def test_everything_is_stored(enrolled: Client, source: str) -> None:
    done = sync(enrolled, source)
    assert (done["source"], done["certificates"]) == (source, len(enrolled.json("inventory", "list")["certificates"]))
    row, = found(enrolled, "--name", host(enrolled, "a"))
    order = enrolled.json("order", "show", "1")
    assert (row["status"], row["ca_order"], row["gone"]) == ("Issued", int(order["ca_order"]), None)
    assert row["serial"].replace(":", "").lower().lstrip("0") == order["serial"].lstrip("0")


@pytest.mark.parametrize("source", SOURCES)
def test_a_second_reading_changes_nothing(enrolled: Client, source: str) -> None:
    sync(enrolled, source)
    done = sync(enrolled, source)
    assert (done["added"], done["changed"], done["gone"], done["resumed"]) == (0, 0, 0, False)


@pytest.mark.parametrize("source", SOURCES)
def test_a_revocation_is_seen(enrolled: Client, source: str) -> None:
    sync(enrolled, source)
    enrolled.run("revoke", "1", "--reason", "superseded", "--yes")
    assert sync(enrolled, source)["changed"] == 1
    assert found(enrolled, "--name", host(enrolled, "a"))[0]["status"] == "Revoked"


def test_a_new_certificate_is_added(enrolled: Client) -> None:
    sync(enrolled)
    enrolled.run("enroll", "--name", host(enrolled, "b"))
    assert sync(enrolled)["added"] == 1


@pytest.mark.parametrize("refusal", ["refuse", "none"])
def test_without_a_report_the_list_is_read(enrolled: Client, ca: Sandbox, refusal: str) -> None:
    ca.set(report=refusal)
    assert sync(enrolled)["source"] == "list"


def test_a_report_that_was_asked_for_and_refused_is_a_failure(enrolled: Client, ca: Sandbox) -> None:
    ca.set(report="refuse")
    done = enrolled.run("inventory", "sync", "--source", "report", status=43)
    assert "(code -3)" in done.stderr and "report" in done.stderr


def test_details_are_asked_for_once(enrolled: Client) -> None:
    assert sync(enrolled, "list")["asked"] == 0
    assert found(enrolled, "--name", host(enrolled, "a"))[0]["expires"] is None
    asked = sync(enrolled, "list", "--details")
    assert asked["asked"] == asked["certificates"]
    row, = found(enrolled, "--name", host(enrolled, "a"))
    assert row["expires"].startswith("20") and "p11e-" in row["comments"] and host(enrolled, "a") in row["subject"]
    assert sync(enrolled, "list", "--details")["asked"] == 0


def test_a_list_that_ignores_the_status_is_not_believed(enrolled: Client, ca: Sandbox) -> None:
    enrolled.run("enroll", "--name", host(enrolled, "b"))
    enrolled.run("revoke", "2", "--reason", "superseded", "--yes")
    ca.set(status_filter="ignore")
    done = sync(enrolled, "list")
    assert done["asked"] == done["certificates"]
    assert [found(enrolled, "--name", host(enrolled, n))[0]["status"] for n in "ab"] == ["Issued", "Revoked"]


@pytest.mark.parametrize("spelling", [{"id_kind": "string"}, {"list_total": "missing"}, {"list_duplicates": "true"}])
def test_odd_lists_are_read(enrolled: Client, ca: Sandbox, spelling: dict[str, str]) -> None:
    ca.set(**spelling)
    sync(enrolled, "list")
    assert len(found(enrolled, "--name", host(enrolled, "a"))) == 1


@pytest.mark.parametrize("source", SOURCES)
def test_large_numbers_are_kept(client: Client, ca: Sandbox, source: str) -> None:
    ca.set(id_kind="large")
    client.run("enroll", "--name", host(client, "a"))
    sync(client, source)
    assert found(client, "--name", host(client, "a"))[0]["ca_order"] > 1 << 31


# --- what is not there any more

def test_rows_that_went_are_marked(client: Client, ca: Sandbox) -> None:
    ca.set(list_rows=5)
    assert sync(client)["added"] >= 5
    ca.set(list_rows=0)
    assert sync(client)["gone"] == 5
    row, = found(client, "--name", "row3.made-up.example")
    assert row["status"] == "(gone)" and row["gone"].startswith("20")
    ca.set(list_rows=5)
    assert sync(client)["changed"] == 5
    assert found(client, "--name", "row3.made-up.example")[0]["gone"] is None


def test_what_a_list_does_not_show_is_asked_for_before_it_is_gone(enrolled: Client, ca: Sandbox) -> None:
    rows = sync(enrolled)["certificates"]
    ca.set(list_lag_s=86400)
    done = sync(enrolled)
    assert (done["gone"], done["asked"], done["certificates"]) == (0, rows, rows)


# --- interruptions

def first_pages(ca: Sandbox) -> list[str]:
    return [r["query"] for r in ca.requests() if r["path"].endswith("/ssl/v1")]


def fault(ca: Sandbox, skip: int, times: int, **values: Any) -> None:
    ca.ask("POST", "/behaviours/once", [{"match": {"method": "GET", "path_regex": "/ssl/v1$"}, "fault": values,
                                         "skip": skip, "times": times}])


def assert_goes_on(client: Client, ca: Sandbox) -> None:
    """The next reading begins not far from where the last one ended."""
    ca.ask("DELETE", "/requests")
    done = sync(client, "list")
    assert done["resumed"] and done["certificates"] >= 2000
    assert first_pages(ca)[0].startswith("size=200&position=") and "position=0&" not in first_pages(ca)[0]
    assert "status=Issued" in first_pages(ca)[0]
    assert not sync(client, "list")["resumed"]


def test_a_reading_that_failed_is_gone_on_with(client: Client, ca: Sandbox) -> None:
    ca.set(list_rows=2000)
    fault(ca, skip=6, times=3, fail_status=500)
    done = client.run("inventory", "sync", "--source", "list", status=45)
    assert "HTTP 500" in done.stderr
    assert_goes_on(client, ca)


def test_a_reading_that_was_killed_is_gone_on_with(client: Client, ca: Sandbox) -> None:
    ca.set(list_rows=2000)
    fault(ca, skip=6, times=1, delay_s=60)
    running = client.start("inventory", "sync", "--source", "list")
    end = time.monotonic() + 30
    while len(first_pages(ca)) < 7:
        assert time.monotonic() < end and running.poll() is None
        time.sleep(0.05)
    os.kill(running.pid, signal.SIGKILL)
    running.communicate()
    assert_goes_on(client, ca)


# --- matching

def test_before_a_reading_nothing_is_matched(enrolled: Client) -> None:
    done = enrolled.run("inventory", "match", status=2)
    assert "was never read" in done.stderr and "inventory sync" in done.stderr


def test_what_is_as_it_should_be_is_no_finding(enrolled: Client) -> None:
    sync(enrolled)
    matched = enrolled.json("inventory", "match")
    assert matched["findings"] == [] and (matched["keys"], matched["bound"], matched["good"]) == (1, 1, 1)
    assert "as the CA has it" in enrolled.run("inventory", "match").stdout


@pytest.mark.parametrize("source", SOURCES)
def test_a_bound_certificate_that_was_revoked_is_found(enrolled: Client, source: str) -> None:
    enrolled.run("revoke", "--ca-order", str(ca_order(enrolled)), "--reason", "superseded", "--yes")
    sync(enrolled, source)
    assert findings(enrolled) == [("revoked", ca_order(enrolled), 1)]


def remove_bound(client: Client) -> None:
    uri = next(c["uri"] for c in client.json("cert", "list")["certificates"] if c["key"] == "yes")
    client.run("cert", "remove", uri, "--yes")


def test_a_finished_order_whose_certificate_was_removed_is_named(enrolled: Client) -> None:
    remove_bound(enrolled)
    sync(enrolled)
    assert findings(enrolled) == [("not-bound", ca_order(enrolled), 1)]
    number = str(ca_order(enrolled))
    row = next(line for line in enrolled.run("inventory", "match").stdout.splitlines() if number in line)
    assert row.split()[:3] == ["not-bound", number, "1"], row


def test_a_certificate_that_was_removed_is_bound_again_from_the_journal(enrolled: Client) -> None:
    """As the manual advises."""
    remove_bound(enrolled)
    cert, chain = str(enrolled.dir / "cert.pem"), str(enrolled.dir / "chain.pem")
    enrolled.run("order", "collect", "1", "--cert-out", cert, "--chain-out", chain)
    key = str(enrolled.json("order", "show", "1")["key_uri"])
    enrolled.run("cert", "bind", "--key", key, "--cert", cert, "--cert-chain", chain)
    sync(enrolled)
    assert findings(enrolled) == []


@pytest.mark.parametrize("journal", ["its own", "another"])
def test_what_was_renewed_with_its_key_is_not_missed(enrolled: Client, journal: str) -> None:
    """The journal tells it, or the certificate that is bound for the same key and names."""
    enrolled.run("order", "renew", "1")
    if journal == "another":
        enrolled.set("p11enroll", state_dir=str(enrolled.dir / "elsewhere"))
    sync(enrolled, "auto", "--certificates")
    assert findings(enrolled) == []


def test_a_renewal_that_was_removed_is_missed_and_what_it_renewed_is_not(enrolled: Client) -> None:
    enrolled.run("order", "renew", "1")
    remove_bound(enrolled)
    sync(enrolled)
    assert findings(enrolled) == [("not-bound", ca_order(enrolled, 2), 2)]


def test_an_order_that_is_issued_and_not_bound_is_found(client: Client, ca: Sandbox) -> None:
    ca.set(approval="manual")
    client.run("enroll", "--name", host(client, "a"), "--deadline", "0", status=11)
    number = ca_order(client)
    ca.ask("POST", f"/orders/{number}/approve")
    sync(client)
    assert findings(client) == [("not-bound", number, 1)]
    with sqlite3.connect(client.dir / "state" / "journal.db") as db:  # CAs have more words for it
        assert db.execute("UPDATE certificates SET status = 'Enrolled - Pending Download' WHERE ca_id = ?", (number,)).rowcount == 1
    db.close()
    assert findings(client) == [("not-bound", number, 1)]
    client.run("order", "wait", "1")
    sync(client)
    assert findings(client) == []


def test_a_certificate_for_a_key_of_the_token_is_found_without_its_order(enrolled: Client) -> None:
    """By the public key of what was issued: the journal is another one."""
    number = ca_order(enrolled)
    uri = next(c["uri"] for c in enrolled.json("cert", "list")["certificates"] if c["key"] == "yes")
    enrolled.run("cert", "remove", uri, "--yes")
    enrolled.set("p11enroll", state_dir=str(enrolled.dir / "elsewhere"))
    sync(enrolled)
    assert findings(enrolled) == []
    assert sync(enrolled, "auto", "--certificates")["asked"] >= 1
    assert findings(enrolled) == [("not-bound", number, None)]
    assert sync(enrolled, "auto", "--certificates")["asked"] == 0


def test_a_certificate_that_the_ca_does_not_list_is_found(client: Client, ca: Sandbox) -> None:
    made = client.json("key", "generate", "--label", "k", "--type", "ec:P-256")
    csr = client.json("csr", "create", made["uri"], "--name", host(client, "x"))["csr"]
    cert = client.dir / "cert.pem"
    cert.write_text(ca.sign(csr, [host(client, "x")])["cert"])
    client.set("profile:web", issuer_roots=None)
    client.run("cert", "bind", "--key", made["uri"], "--cert", str(cert), "--no-chain-check")
    sync(client)
    finding, = client.json("inventory", "match")["findings"]
    assert (finding["finding"], finding["label"], finding["ca_order"]) == ("not-at-ca", "k", None)
    assert host(client, "x") in finding["common_name"]


def test_an_order_that_the_ca_lost_is_found(enrolled: Client, ca: Sandbox) -> None:
    sync(enrolled)
    number = ca_order(enrolled)
    ca.ask("DELETE", f"/orders/{number}")
    assert sync(enrolled)["gone"] == 1
    assert [f[:2] for f in findings(enrolled)] == [("gone", number)]


def test_an_order_that_was_made_after_the_reading_is_no_finding(enrolled: Client) -> None:
    sync(enrolled)
    enrolled.run("enroll", "--name", host(enrolled, "b"), "--again")
    assert not any(f[0] == "gone" for f in findings(enrolled))


# --- finding

@pytest.mark.parametrize("live", [[], ["--live"]])
def test_certificates_are_found_by_each_of_their_marks(enrolled: Client, live: list[str]) -> None:
    sync(enrolled, "list", "--details")
    serial = str(enrolled.json("order", "show", "1")["serial"])
    number = ca_order(enrolled)
    for args in (["--ca-order", str(number)], ["--serial", serial], ["--serial", "00" + serial.upper()],
                 ["--name", host(enrolled, "www")], ["--dn", f"CN={host(enrolled, 'a')}"],
                 ["--dn", f"O=Sandbox Org,CN={host(enrolled, 'a')}"]):
        assert [r["ca_order"] for r in found(enrolled, *args, *live)] == [number], args


@pytest.mark.parametrize("live", [[], ["--live"]])
def test_what_is_not_there_is_not_found(enrolled: Client, live: list[str]) -> None:
    sync(enrolled, "list", "--details")
    for args in (["--ca-order", "4"], ["--serial", "abcd"], ["--name", host(enrolled, "none")],
                 ["--dn", f"O=Another,CN={host(enrolled, 'a')}"]):
        assert found(enrolled, *args, *live) == [], args
    assert "There is no such certificate." in enrolled.run("inventory", "find", "--serial", "abcd", *live).stdout


def test_names_are_found_in_any_case(enrolled: Client) -> None:
    sync(enrolled)
    assert len(found(enrolled, "--name", host(enrolled, "WWW"))) == 1


def test_nothing_is_found_before_a_reading(enrolled: Client) -> None:
    done = enrolled.run("inventory", "find", "--serial", "ab", status=2)
    assert "was never read" in done.stderr and "--live" in done.stderr


def test_each_ca_has_an_inventory_of_its_own(enrolled: Client) -> None:
    enrolled.settings["ca:other"] = dict(enrolled.settings["ca:sandbox"])
    enrolled.json("inventory", "sync", "--ca", "sandbox")
    done = enrolled.run("inventory", "find", "--ca", "other", "--serial", "ab", status=2)
    assert "CA 'other' was never read" in done.stderr


@pytest.mark.parametrize(("args", "says"), [
    (["find"], "say what to look for, one way"),
    (["find", "--serial", "ab", "--name", "x"], "say what to look for, one way"),
    (["find", "--serial", "xyz"], "'xyz' is no serial number"),
    (["find", "--ca-order", "0"], "'0' is not a number"),
    (["find", "--dn", "O=Example"], "has no CN"),
    (["sync", "--source", "paper"], "'paper' is none of: list, report, auto"),
])
def test_wrong_usage_is_told(client: Client, args: list[str], says: str) -> None:
    assert says in client.run("inventory", *args, status=2).stderr


@pytest.mark.parametrize("condition", [
    "ca = 'c' AND kind = 'ssl' AND ca_id = 1", "ca = 'c' AND kind = 'ssl' AND serial = 'AB'", "ca = 'c' AND kind = 'ssl' AND common_name = 'x'",
    "ca = 'c' AND kind = 'ssl' AND spki_hash = x'00'",
    "ca = 'c' AND kind = 'ssl' AND id IN (SELECT certificate_id FROM certificate_names WHERE name = 'x')"])
def test_searches_do_not_read_every_row(enrolled: Client, condition: str) -> None:
    sync(enrolled)
    with sqlite3.connect(enrolled.state / "journal.db") as journal:
        plan = journal.execute(f"EXPLAIN QUERY PLAN SELECT * FROM certificates WHERE {condition} ORDER BY ca_id")
        steps = [row[3] for row in plan]
    assert not any(step.startswith("SCAN") for step in steps), steps
