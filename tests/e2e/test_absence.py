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


def test_order_whose_record_cannot_be_read_is_not_taken_for_absent(client: Client) -> None:
    """The list shows a number for the name, and not whose it is; and there is no report for the account."""
    assert client.sandbox is not None
    client.sandbox.once("POST", "/report/", times=1000, fail_status=403)
    client.set("ca:sandbox", absence_after="0")
    client.sandbox.once("POST", "/ssl/v1/enroll", enroll_fault="stored-cut")
    client.run("enroll", *NAMES, status=14)
    number = str(orders(client)[0]["id"])
    client.sandbox.once("GET", f"/ssl/v1/{number}", times=1000, fail_status=403)
    done = client.run("order", "wait", "1", "--deadline", "2s", status=14)
    assert f"the CA lists number {number} for the same name, and does not show what it is" in done.stderr
    assert client.sandbox.posts() == 1 and not any(t.startswith("asked the CA (") for t in texts(client))


def test_report_that_fails_for_the_moment_is_no_look(lost: Client) -> None:
    assert lost.sandbox is not None
    lost.set("ca:sandbox", absence_after="0")
    lost.run("enroll", *NAMES, status=14)
    lost.sandbox.once("POST", "/report/", times=1000, fail_status=503)
    lost.run("order", "wait", "1", "--deadline", "1s", status=None)
    assert lost.sandbox.posts() == 1 and not any(t.startswith("asked the CA (") for t in texts(lost))


def test_it_is_looked_for_once_more_before_it_is_sent_again(client: Client) -> None:
    """What a person had sent again, and was listed meanwhile."""
    assert client.sandbox is not None
    client.sandbox.set(list_lag_s=3600)
    client.sandbox.once("POST", "/ssl/v1/enroll", enroll_fault="stored-cut")
    client.run("enroll", *NAMES, status=14)
    client.run("order", "resolve", "1", "--not-ordered", "--send-again", "--reason", "the portal shows none", "--yes")
    client.sandbox.set(list_lag_s=0)
    assert client.json("order", "wait", "1")["state"] == "done"
    assert len(orders(client)) == 1 and client.sandbox.posts() == 1


def test_what_was_sent_before_is_not_said_to_be_unsent(lost: Client) -> None:
    lost.run("enroll", *NAMES, status=14)
    lost.run("order", "resolve", "1", "--not-ordered", "--send-again", "--reason", "the portal shows none", "--yes")
    lost.run("order", "abandon", "1")
    assert texts(lost)[-1] == "abandoned; it was sent once, and the CA showed nothing of it"
    assert "it was sent once, and the CA showed nothing of it" in lost.run("order", "wait", "1", status=12).stderr


def test_what_a_person_had_sent_again_is_not_sent_by_itself(lost: Client) -> None:
    assert lost.sandbox is not None
    lost.set("ca:sandbox", absence_after="0")
    lost.run("enroll", *NAMES, status=14)
    lost.run("order", "wait", "1", "--deadline", "0", status=14)
    lost.run("order", "wait", "1", "--deadline", "0", status=14)
    lost.run("order", "resolve", "1", "--not-ordered", "--send-again", "--reason", "the portal shows none", "--yes")
    lost.sandbox.set(list_lag_s=3600)
    lost.sandbox.once("POST", "/ssl/v1/enroll", enroll_fault="stored-cut")
    lost.run("order", "wait", "1", status=14)
    for _ in range(4):
        done = lost.run("order", "wait", "1", "--deadline", "0", status=14)
    assert "it was sent again once already" in done.stderr
    assert lost.sandbox.posts() == 2 and len(orders(lost)) == 1


def test_refusal_of_the_second_request_says_nothing_of_the_first(lost: Client) -> None:
    assert lost.sandbox is not None
    lost.set("ca:sandbox", absence_after="1s")
    lost.run("enroll", *NAMES, status=14)
    lost.sandbox.once("POST", "/ssl/v1/enroll", fail_status=400, fail_code=-195)
    lost.run("order", "wait", "1", status=None)
    assert lost.json("order", "show", "1")["state"] == "ambiguous"


@pytest.mark.parametrize("what", [["renew", "1"], ["replace", "1", "--reason", "lost", "--new-key"]], ids=["renew", "replace"])
def test_renewals_and_replacements_are_for_a_person(client: Client, what: list[str]) -> None:
    """What they do to a record that is there, a CA may do late."""
    assert client.sandbox is not None
    client.set("ca:sandbox", absence_after="0")
    old = client.json("enroll", *NAMES)
    client.sandbox.once("POST", "/renewById/|/replace/", enroll_fault="cut")
    client.run("order", *what, status=14)
    for _ in range(4):
        done = client.run("order", "wait", "2", "--deadline", "0", status=14)
    assert "it is never sent again by itself; 'p11enroll order resolve 2'" in done.stderr
    client.run("order", "resolve", "2", "--not-ordered", "--send-again", "--reason", "the portal shows none", "--yes")
    new = client.json("order", "wait", "2")
    assert new["state"] == "done" and new["serial"] != old["serial"]


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
