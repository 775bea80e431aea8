"""order wait on many orders: one process, few connections, nobody held up by the slow ones."""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter
from typing import Any

import pytest
from p11e import Client, Sandbox, Token


@pytest.fixture
def keyed(client: Client, token: Token) -> Client:
    """A client whose token has a key already, for all orders."""
    token.make_key("EC:prime256v1", "0102", "mine")
    return client


def sandbox_of(client: Client) -> Sandbox:
    assert client.sandbox is not None
    return client.sandbox


def order(client: Client, name: str) -> None:
    """An order that the CA has, and does not issue at once."""
    client.run("enroll", "--name", name, "--key", "pkcs11:object=mine", "--deadline", "0s", "--people-deadline", "0s",
               status=None)


def pending(client: Client, count: int, **behaviours: Any) -> list[str]:
    sandbox = sandbox_of(client)
    sandbox.set(pending_polls=3, **behaviours)
    for i in range(count):
        order(client, f"host{i}.example.org")
    return [str(i + 1) for i in range(count)]


def results(client: Client, *args: str, status: int = 0) -> dict[int, dict[str, Any]]:
    return {int(row["order"]): row for row in client.json("order", "wait", *args, status=status)["orders"]}


def test_all_open_orders_are_brought_to_their_end(keyed: Client) -> None:
    pending(keyed, 4)
    found = results(keyed, "--all")
    assert sorted(found) == [1, 2, 3, 4]
    assert {row["result"] for row in found.values()} == {"done"} and all(row["serial"] for row in found.values())
    assert keyed.json("order", "wait", "--all")["orders"] == []


def test_orders_by_number_and_each_once(keyed: Client) -> None:
    pending(keyed, 3)
    assert sorted(results(keyed, "1", "3", "1")) == [1, 3]
    assert keyed.json("order", "show", "2")["state"] == "pending"


def test_no_order_is_asked_for_twice_at_once(keyed: Client) -> None:
    pending(keyed, 4)
    sandbox = sandbox_of(keyed)
    sandbox.ask("DELETE", "/requests")
    sandbox.set(delay_s=0.3)
    results(keyed, "--all")
    seen = [(r["path"], r["time"]) for r in sandbox.requests() if r["method"] == "GET" and "/ssl/v1/" in r["path"]]
    for path in {path for path, _ in seen}:
        times = sorted(t for p, t in seen if p == path)
        # an answer takes 0.3 s: two requests for one order that are closer went beside each other
        gaps = [seconds(b) - seconds(a) for a, b in zip(times, times[1:])]
        assert all(gap >= 0.29 for gap in gaps), (path, gaps)


def seconds(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


@pytest.mark.parametrize("limit", ["1", "3"])
def test_connections_are_as_few_as_configured(keyed: Client, limit: str) -> None:
    pending(keyed, 6)
    sandbox = sandbox_of(keyed)
    sandbox.ask("DELETE", "/requests")
    keyed.set("ca:sandbox", connections=limit)
    results(keyed, "--all")
    used = {r["connection"] for r in sandbox.requests() if "/ssl/v1/" in r["path"]}
    assert 0 < len(used) <= int(limit)


def test_a_slow_order_holds_up_nobody(keyed: Client) -> None:
    pending(keyed, 3)
    sandbox = sandbox_of(keyed)
    number = next(str(o["id"]) for o in sandbox.orders())
    sandbox.once("GET", f"/ssl/v1/{number}$", times=1, delay_s=4)
    process = keyed.start("order", "wait", "--all")
    end = time.monotonic() + 60
    while [o["state"] for o in keyed.json("order", "list")["orders"]].count("done") < 2:
        assert time.monotonic() < end and process.poll() is None
    states = Counter(o["state"] for o in keyed.json("order", "list")["orders"])
    out, err = process.communicate(timeout=60)
    assert states["done"] == 2 and process.returncode == 0, (states, out, err)


def test_two_processes_one_wins_and_the_other_says_who(keyed: Client) -> None:
    pending(keyed, 2)
    sandbox = sandbox_of(keyed)
    sandbox.set(approval="manual", issue_result="stuck")
    sandbox.ask("DELETE", "/requests")
    first = keyed.start("order", "wait", "1", "2", "--deadline", "60s")
    end = time.monotonic() + 30
    while not any("/ssl/v1/" in r["path"] and r["method"] == "GET" for r in sandbox.requests()):
        assert time.monotonic() < end
    second = keyed.json("order", "wait", "--all", status=16)
    assert {row["result"] for row in second["orders"]} == {"order-busy"}
    assert all(f"process {first.pid}" in row["detail"] for row in second["orders"])
    assert f"process {first.pid}" in keyed.run("order", "wait", "2", status=16).stderr
    first.terminate()
    out, _ = first.communicate(timeout=30)
    assert first.returncode == 6, out


def test_people_and_machines_are_told_apart(keyed: Client) -> None:
    sandbox = sandbox_of(keyed)
    sandbox.set(approval="manual")
    order(keyed, "people.example.org")
    sandbox.set(approval="auto", pending_polls=100000)
    order(keyed, "machines.example.org")
    found = results(keyed, "--all", "--deadline", "1s", "--people-deadline", "0s", status=10)
    assert {row["names"]: row["result"] for row in found.values()} == {
        "people.example.org": "waiting", "machines.example.org": "pending"}
    assert keyed.json("order", "wait", "1", "--people-deadline", "0s", status=11)["state"] == "waiting"


def test_the_time_for_machines_begins_when_people_have_acted(keyed: Client) -> None:
    sandbox = sandbox_of(keyed)
    sandbox.set(approval="manual")
    order(keyed, "www.example.org")
    sandbox.set(pending_polls=2)
    process = keyed.start("order", "wait", "1", "--deadline", "3s", "--people-deadline", "60s", "--json")
    time.sleep(4)  # longer than machines get
    sandbox.ask("POST", f"/orders/{sandbox.orders()[0]['id']}/approve", {})
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0 and json.loads(out)["state"] == "done", err


def test_what_failed_goes_before_what_is_waited_for(keyed: Client) -> None:
    sandbox = sandbox_of(keyed)
    pending(keyed, 2)
    sandbox.ask("POST", f"/orders/{sandbox.orders()[0]['id']}/reject", {})
    sandbox.set(pending_polls=100000)
    done = keyed.json("order", "wait", "--all", "--deadline", "1s", status=12)
    assert sorted(row["result"] for row in done["orders"]) == ["order-failed", "pending"]
    assert (done["failed"], done["pending"], done["done"], done["waiting"]) == (1, 1, 0, 0)
    assert "of 2 orders 0 are done; the CA works on 1, people have to act on 0, and 1 failed" in done["error"]["message"]


def test_orders_that_were_never_sent_are_left_alone_by_all(keyed: Client) -> None:
    sandbox = sandbox_of(keyed)
    sandbox.set(validated_domains="example.com")
    keyed.run("enroll", "--name", "www.example.org", "--key", "pkcs11:object=mine", status=44)
    sandbox.set(validated_domains="*")
    assert keyed.json("order", "wait", "--all")["orders"] == []
    assert sandbox.orders() == []


@pytest.mark.parametrize("retry_after", ["none", "delta", "date", "past", "absurd"])
def test_failures_that_pass_are_waited_out(keyed: Client, retry_after: str) -> None:
    pending(keyed, 3)
    sandbox_of(keyed).once("GET", "/ssl/v1/[0-9]+$", times=4, fail_status=503, retry_after=retry_after)
    assert {row["result"] for row in results(keyed, "--all").values()} == {"done"}


def test_a_pause_that_the_ca_asks_for_is_for_all_orders(keyed: Client) -> None:
    pending(keyed, 4)
    sandbox = sandbox_of(keyed)
    keyed.set("ca:sandbox", connections="1")
    sandbox.ask("DELETE", "/requests")
    sandbox.once("GET", "/ssl/v1/[0-9]+$", times=1, fail_status=429, retry_after="delta", retry_after_s=3)
    results(keyed, "--all")
    times = [seconds(r["time"]) for r in sandbox.requests() if r["method"] == "GET" and "/ssl/v1/" in r["path"]]
    assert times[1] - times[0] >= 2.9


def test_a_token_that_was_taken_back_is_fetched_once_for_all(keyed: Client) -> None:
    sandbox = sandbox_of(keyed)
    keyed.set("ca:sandbox", auth="oauth", login=None, customer_uri=None, client_cert=None, client_alias=None,
              client_password_source=None, client_id="sandbox-admin-key", token_hosts="localhost",
              client_secret_source=f"file:{sandbox.dir / 'admin-client-secret.txt'}")
    pending(keyed, 4)
    sandbox.ask("DELETE", "/requests")
    sandbox.once("GET", "/ssl/v1/[0-9]+$", times=4, fail_status=401, delay_s=0.5)
    assert {row["result"] for row in results(keyed, "--all").values()} == {"done"}
    assert sum(r["path"].endswith("/token") for r in sandbox.requests()) == 2


def test_not_ready_collects_ask_the_status_beside(keyed: Client) -> None:
    pending(keyed, 3, not_collectable=2)
    assert {row["result"] for row in results(keyed, "--all").values()} == {"done"}


def test_orders_of_a_section_that_is_gone_fail_alone(keyed: Client) -> None:
    pending(keyed, 2)
    with sqlite3.connect(keyed.state / "journal.db") as db:
        db.execute("UPDATE orders SET ca = 'gone' WHERE id = 1")
    found = results(keyed, "--all", status=3)
    assert found[2]["result"] == "done" and found[1]["result"] == "config" and "gone" in found[1]["detail"]


@pytest.mark.parametrize(("args", "text"), [
    ((), "ORDER is missing (or --all)"), (("--all", "1"), "either --all or orders"),
    (("1", "2", "--cert-out", "x.pem"), "for one order alone")])
def test_usage(keyed: Client, args: tuple[str, ...], text: str) -> None:
    pending(keyed, 2)
    assert text in keyed.run("order", "wait", *args, status=2).stderr


def test_a_signal_ends_the_wait_and_nothing_is_lost(keyed: Client) -> None:
    pending(keyed, 2)
    sandbox_of(keyed).set(pending_polls=100000)
    sandbox_of(keyed).ask("DELETE", "/requests")
    process = keyed.start("order", "wait", "--all", "--deadline", "60s")
    end = time.monotonic() + 30
    while len([r for r in sandbox_of(keyed).requests() if r["method"] == "GET"]) < 2:
        assert time.monotonic() < end
    process.terminate()
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 6 and "interrupted while waiting for order 1" in out
    for o in sandbox_of(keyed).orders():
        sandbox_of(keyed).ask("POST", f"/orders/{o['id']}/issue", {})
    assert {row["result"] for row in results(keyed, "--all").values()} == {"done"}


def lost_among_many(client: Client) -> str:
    """Order 1 has lost its answer, and a dozen orders at the CA look like it; its number there. Order 14 is another one."""
    sandbox = sandbox_of(client)
    sandbox.set(pending_polls=100000)
    sandbox.once("POST", "/ssl/v1/enroll", enroll_fault="stored-cut")
    order(client, "example.org")
    assert client.json("order", "show", "1")["state"] == "ambiguous"
    for i in range(12):
        order(client, f"c{i}.example.org")
    order(client, "www.example.net")
    # the list is one of all names that have this one in them, the newest first
    sandbox.set(pending_polls=2, cn_filter="substring")
    sandbox.ask("DELETE", "/requests")
    return str(min(o["id"] for o in sandbox.orders()))


def reads(client: Client) -> list[str]:
    return [r["path"].rpartition("/")[2] for r in sandbox_of(client).requests() if r["method"] == "GET" and "/ssl/v1/" in r["path"]]


def test_a_search_among_many_holds_up_nobody(keyed: Client) -> None:
    number = lost_among_many(keyed)
    other = str(max(o["id"] for o in sandbox_of(keyed).orders()))
    sandbox_of(keyed).set(delay_s=0.1)
    found = results(keyed, "1", "14")
    assert {row["result"] for row in found.values()} == {"done"} and found[1]["ca_order"] == number
    seen = reads(keyed)
    searched = seen[:seen.index(number) + 1]
    assert len({path for path in searched if path.isdigit()}) >= 13 and other in searched, searched


def test_a_search_that_fails_midway_is_taken_up_again(keyed: Client) -> None:
    number = lost_among_many(keyed)
    candidate = sorted(str(o["id"]) for o in sandbox_of(keyed).orders())[2]
    sandbox_of(keyed).once("GET", f"/ssl/v1/{candidate}$", times=1, fail_status=503)
    found = results(keyed, "1", "14")
    assert {row["result"] for row in found.values()} == {"done"} and found[1]["ca_order"] == number
    assert reads(keyed).count(candidate) == 2


def test_a_token_taken_back_within_a_long_search_is_fetched_anew(keyed: Client) -> None:
    sandbox = sandbox_of(keyed)
    number = lost_among_many(keyed)
    keyed.set("ca:sandbox", auth="oauth", login=None, customer_uri=None, client_cert=None, client_alias=None,
              client_password_source=None, client_id="sandbox-admin-key", token_hosts="localhost",
              client_secret_source=f"file:{sandbox.dir / 'admin-client-secret.txt'}")
    candidate = sorted(str(o["id"]) for o in sandbox.orders())[3]  # the tenth of them
    sandbox.once("GET", f"/ssl/v1/{candidate}$", times=1, fail_status=401)
    found = results(keyed, "1", "14")
    assert {row["result"] for row in found.values()} == {"done"} and found[1]["ca_order"] == number
    assert sum(r["path"].endswith("/token") for r in sandbox.requests()) == 2


def test_what_is_still_lost_when_the_time_is_over_is_called_so(keyed: Client) -> None:
    """Though the last thing that happened was a failure that passes."""
    lost_among_many(keyed)
    sandbox = sandbox_of(keyed)
    sandbox.set(list_lag_s=10000)
    process = keyed.start("order", "wait", "1", "14", "--deadline", "3s", "--json")
    end = time.monotonic() + 30
    while not any(r["path"].endswith("/ssl/v1") and r["method"] == "GET" for r in sandbox.requests()):
        assert time.monotonic() < end and process.poll() is None
    sandbox.once("GET", "/ssl/v1$", times=100000, fail_status=503)
    out, err = process.communicate(timeout=60)
    row = json.loads(out)["orders"][-1]
    assert (process.returncode, row["order"], row["result"]) == (14, 1, "order-ambiguous"), (out, err)
    assert "the last request failed" in row["detail"] and "HTTP 503" in row["detail"]
