"""The rule for absence: when an order whose answer was lost is certain not to have reached the CA."""

from __future__ import annotations

from typing import Any

import pytest
from p11e import Client

NAMES = ("--name", "www.example.org")


def texts(client: Client, order: str = "1") -> list[str]:
    return [str(e["text"]) for e in client.json("order", "show", order)["events"]]


def orders(client: Client) -> list[dict[str, Any]]:
    assert client.sandbox is not None
    return client.sandbox.orders()


@pytest.fixture
def lost(client: Client) -> Client:
    """A client whose first request to order vanishes on its way."""
    assert client.sandbox is not None
    client.sandbox.once("POST", "/ssl/v1/enroll", enroll_fault="cut")
    return client


def test_order_that_never_arrived_is_sent_once_more(lost: Client) -> None:
    lost.set("ca:sandbox", absence_after="1s")
    lost.run("enroll", *NAMES, status=14)
    assert lost.json("enroll", *NAMES)["state"] == "done"
    assert len(orders(lost)) == 1 and lost.sandbox is not None and lost.sandbox.posts() == 2
    said = texts(lost)
    assert sum(t.startswith("asked the CA (") for t in said) >= 2
    assert any("it did not get it; it is sent once more" in t for t in said)


def test_it_stays_open_as_long_as_the_time_is_not_over(lost: Client) -> None:
    lost.run("enroll", *NAMES, status=14)
    done = lost.run("order", "wait", "1", "--deadline", "1s", status=14)
    assert "it is sent once more if the CA shows nothing of it for 3600 s (absence_after)" in done.stderr
    assert orders(lost) == [] and lost.sandbox is not None and lost.sandbox.posts() == 1


def test_never_leaves_it_to_a_person(lost: Client) -> None:
    lost.run("enroll", *NAMES, "--absence-after", "never", status=14)
    done = lost.run("order", "wait", "1", "--deadline", "2s", "--absence-after", "never", status=14)
    assert "it is never sent again by itself" in done.stderr and orders(lost) == []


def test_it_is_not_sent_a_third_time(client: Client) -> None:
    assert client.sandbox is not None
    client.set("ca:sandbox", absence_after="1s")
    client.sandbox.once("POST", "/ssl/v1/enroll", times=2, enroll_fault="cut")
    client.run("enroll", *NAMES, status=14)
    client.run("order", "wait", "1", status=14)
    done = client.run("order", "wait", "1", "--deadline", "3s", status=14)
    assert "it was sent again once already, and is not a second time" in done.stderr
    assert client.sandbox.posts() == 2 and orders(client) == []


def test_order_that_is_listed_late_is_found_instead(client: Client) -> None:
    assert client.sandbox is not None
    client.set("ca:sandbox", absence_after="30s")
    client.sandbox.set(list_lag_s=2)
    client.sandbox.once("POST", "/ssl/v1/enroll", enroll_fault="stored-cut")
    client.run("enroll", *NAMES, status=14)
    assert client.json("enroll", *NAMES)["state"] == "done"
    assert len(orders(client)) == 1 and client.sandbox.posts() == 1


def test_list_that_fails_shows_nothing(lost: Client) -> None:
    assert lost.sandbox is not None
    lost.set("ca:sandbox", absence_after="0")
    lost.run("enroll", *NAMES, status=14)
    lost.sandbox.once("GET", "/ssl/v1", times=100, fail_status=403)
    for _ in range(4):
        lost.run("order", "wait", "1", status=None)
    assert lost.sandbox.posts() == 1
    assert not any(t.startswith("asked the CA (") for t in texts(lost))


def test_renewal_that_never_arrived_is_sent_once_more(client: Client) -> None:
    assert client.sandbox is not None
    client.set("ca:sandbox", absence_after="1s")
    client.run("enroll", *NAMES)
    client.sandbox.once("POST", "/renewById/", enroll_fault="cut")
    client.run("order", "renew", "1", status=14)
    assert client.json("order", "wait", "2")["state"] == "done"
    assert len(orders(client)) == 2


def test_replacement_that_never_arrived_is_sent_once_more(client: Client) -> None:
    assert client.sandbox is not None
    client.set("ca:sandbox", absence_after="1s")
    old = client.json("enroll", *NAMES)
    client.sandbox.once("POST", "/replace/", enroll_fault="cut")
    client.run("order", "replace", "1", "--reason", "lost", "--new-key", status=14)
    new = client.json("order", "wait", "2")
    assert new["state"] == "done" and new["serial"] != old["serial"] and len(orders(client)) == 1


def test_enrollment_api_leaves_it_to_a_person(enroller: Client) -> None:
    assert enroller.sandbox is not None
    enroller.set("ca:sandbox", absence_after="0")
    enroller.sandbox.set(enrollment_list="comments")
    enroller.sandbox.once("POST", "/api/v1/certificates", enroll_fault="cut")
    enroller.run("enroll", *NAMES, status=14)
    for _ in range(4):
        done = enroller.run("order", "wait", "1", "--deadline", "0", status=14)
    assert "it is never sent again by itself" in done.stderr
    assert len(orders(enroller)) == 0
