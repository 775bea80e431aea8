"""The journal fails right after the CA has answered: what it would have said is in the error."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from enroller import ORDERS
from p11e import Client, Sandbox

ENROLL = ("enroll", "--name", "www.example.org")
RENEW = ("order", "renew", "1")
REPLACE = ("order", "replace", "1", "--reason", "x", "--new-key")


def tell(client: Client, statement: str) -> None:
    with closing(sqlite3.connect(client.state / "journal.db")) as journal:
        journal.execute(statement)
        journal.commit()


def fill_the_disk(client: Client, at: str, after: str = "submitting") -> None:
    """From now on no order comes from one state to another: SQLite itself refuses to write that."""
    client.run("order", "list")  # makes the journal
    tell(client, f"CREATE TRIGGER disk BEFORE UPDATE ON orders WHEN NEW.state = '{at}' AND OLD.state = '{after}' "
                 "BEGIN SELECT RAISE(ABORT, 'the disk is full'); END")


def empty_the_disk(client: Client) -> None:
    tell(client, "DROP TRIGGER disk")


def posts(box: Sandbox) -> int:
    return sum(r["method"] == "POST" and any(w in r["path"] for w in ("/enroll", "/renewById/", "/replace/"))
               for r in box.requests())


@pytest.mark.parametrize("command", [ENROLL, RENEW, REPLACE])
def test_number_that_cannot_be_written_down_is_in_the_error(client: Client, command: tuple[str, ...]) -> None:
    assert client.sandbox is not None
    order = "1" if command == ENROLL else "2"
    if command != ENROLL:
        client.run(*ENROLL)
    sent = posts(client.sandbox)
    fill_the_disk(client, "pending")
    done = client.run(*command, status=60)
    number = str(client.sandbox.orders()[-1]["id"])
    assert f"order {order}: the CA has it as its order {number}, and that could not be written down" in done.stderr
    assert f"p11enroll order adopt {order} {number}" in done.stderr and "the disk is full" in done.stderr
    empty_the_disk(client)
    assert client.json("order", "show", order)["state"] == "submitting"
    result = client.json("order", "adopt", order, number)
    assert (result["state"], result["ca_order"]) == ("done", number) and posts(client.sandbox) == sent + 1


def test_order_that_is_found_again_and_cannot_be_written_down_has_its_number_in_the_error(client: Client) -> None:
    assert client.sandbox is not None
    client.sandbox.once("POST", "/enroll", enroll_fault="stored-cut")
    client.run(*ENROLL, status=14)
    fill_the_disk(client, "pending", after="ambiguous")
    number = str(client.sandbox.orders()[-1]["id"])
    done = client.run("order", "wait", "1", status=60)
    assert f"the CA has it as its order {number}" in done.stderr
    empty_the_disk(client)
    assert client.json("order", "wait", "1")["state"] == "done" and posts(client.sandbox) == 1


def test_id_of_the_enrollment_api_is_in_the_error(enroller: Client, box: Sandbox) -> None:
    """It has no list in which the order could be found again."""
    box.set(enrollment_id="text")
    fill_the_disk(enroller, "pending")
    done = enroller.run(*ENROLL, status=60)
    word = done.stderr.partition("as its order ")[2].partition(",")[0]
    assert word.startswith("ENR-") and f"order adopt 1 {word}" in done.stderr
    empty_the_disk(enroller)
    assert enroller.json("order", "adopt", "1", word)["state"] == "done"
    assert sum(r["method"] == "POST" and r["path"] == ORDERS for r in box.requests()) == 1


def test_refusal_that_cannot_be_written_down_is_told(client: Client) -> None:
    assert client.sandbox is not None
    client.sandbox.set(validated_domains="example.com")
    fill_the_disk(client, "signed")
    done = client.run(*ENROLL, status=44)
    assert "(code -1137)" in done.stderr and "could not be written down" in done.stderr and "the disk is full" in done.stderr


def test_lost_answer_that_cannot_be_written_down_is_told(client: Client) -> None:
    assert client.sandbox is not None
    client.sandbox.once("POST", "/enroll", enroll_fault="stored-cut")
    fill_the_disk(client, "ambiguous")
    done = client.run(*ENROLL, status=14)
    assert "it is not known whether the CA took the order" in done.stderr and "the disk is full" in done.stderr
    empty_the_disk(client)
    assert client.json("order", "wait", "1")["state"] == "done" and posts(client.sandbox) == 1
