"""Orders whose answer was lost, found by the comments in the account's report where lists do not show them."""

from __future__ import annotations

from typing import Any

import pytest
from p11e import Client, Sandbox

KINDS = {"ssl": ("1013", "/ssl/v1", "ssl-certificates"), "device": ("2001", "/device/v1", "device-certificates")}


@pytest.fixture(params=list(KINDS))
def kind(client: Client, request: pytest.FixtureRequest) -> str:
    client.set("profile:web", kind=request.param, product=KINDS[request.param][0], term="365")
    return str(request.param)


@pytest.fixture
def ca(client: Client) -> Sandbox:
    assert client.sandbox is not None
    return client.sandbox


def lose(client: Client, ca: Sandbox, kind: str) -> None:
    """An order that the CA took, with the connection cut before its answer."""
    ca.once("POST", KINDS[kind][1] + "/enroll", enroll_fault="stored-cut")
    client.run("enroll", "--name", "lost.example.org", status=14)


def reports(ca: Sandbox, kind: str) -> list[dict[str, Any]]:
    return [r for r in ca.requests() if r["method"] == "POST" and r["path"].endswith("/" + KINDS[kind][2])]


def assert_found(client: Client, ca: Sandbox, kind: str) -> None:
    assert client.json("order", "wait", "1")["state"] == "done"
    assert len(ca.orders()) == 1 and client.json("order", "show", "1")["ca_order"] == str(ca.orders()[0]["id"])
    body = reports(ca, kind)[0]["body"]
    assert body["certificateDateAttribute"] == 4 and body["from"] < body["to"] and set(body) == {
        "certificateDateAttribute", "from", "to"}


def test_order_that_the_list_does_not_show_is_found_in_the_report(client: Client, ca: Sandbox, kind: str) -> None:
    ca.set(list_lag_s=86400, report="ahead")
    lose(client, ca, kind)
    assert_found(client, ca, kind)


def test_order_is_found_in_the_report_by_an_account_without_the_list(client: Client, ca: Sandbox, kind: str) -> None:
    lose(client, ca, kind)
    ca.once("GET", KINDS[kind][1] + "$", times=100, fail_status=403)
    assert_found(client, ca, kind)


def test_order_that_the_list_shows_needs_no_report(client: Client, ca: Sandbox, kind: str) -> None:
    lose(client, ca, kind)
    assert client.json("order", "wait", "1")["state"] == "done" and reports(ca, kind) == []


@pytest.mark.parametrize("report", ["refuse", "none", "give"])
def test_order_that_nothing_shows_stays_open_and_is_not_sent_again(client: Client, ca: Sandbox, kind: str,
                                                                   report: str) -> None:
    ca.set(list_lag_s=86400, report=report)
    lose(client, ca, kind)
    done = client.run("order", "wait", "1", "--deadline", "1s", status=14)
    assert "lists no order with the mark" in done.stderr and len(ca.orders()) == 1
    ca.set(list_lag_s=0)
    assert client.json("order", "wait", "1")["state"] == "done" and len(ca.orders()) == 1


def test_refusal_of_the_list_is_told_where_there_is_no_report_either(client: Client, ca: Sandbox, kind: str) -> None:
    ca.set(report="refuse")
    lose(client, ca, kind)
    ca.once("GET", KINDS[kind][1] + "$", times=100, fail_status=403)
    done = client.run("order", "wait", "1", "--deadline", "1s", status=None)
    assert done.returncode != 0 and "looking for the order: list: " in done.stderr and "HTTP 403" in done.stderr
    assert len(ca.orders()) == 1


def test_many_lost_orders_are_found_in_one_process(client: Client, ca: Sandbox) -> None:
    ca.set(list_lag_s=86400, report="ahead")
    for number in range(3):
        ca.once("POST", "/ssl/v1/enroll", enroll_fault="stored-cut")
        client.run("enroll", "--name", f"lost{number}.example.org", status=14)
    client.run("order", "wait", "--all")
    assert {o["state"] for o in client.json("order", "list")["orders"]} == {"done"} and len(ca.orders()) == 3
