"""Orders whose answer was lost and which the CA does not show: what a person says of them, and when it is not believed."""

from __future__ import annotations

import json
import re

import pytest
from p11e import Client, Sandbox
from test_journal import change
from test_order import wait_for_state
from test_output import compare, masked, shape

ENROLL = ("enroll", "--name", "www.example.org", "--deadline", "1s")
NOT_ORDERED = ("--not-ordered", "--reason", "the portal has nothing of that day")


def lost(client: Client, fault: str) -> Client:
    """An order whose answer was lost: "cut" before the CA had it, "stored-cut" afterwards."""
    assert client.sandbox is not None
    client.sandbox.once("POST", "/ssl/v1/enroll", enroll_fault=fault)
    client.run(*ENROLL, status=14)
    client.sandbox.ask("DELETE", "/requests")
    return client


def posts(client: Client) -> int:
    assert client.sandbox is not None
    return client.sandbox.posts()


@pytest.fixture
def absent(client: Client) -> Client:
    return lost(client, "cut")


@pytest.fixture
def there(client: Client) -> Client:
    return lost(client, "stored-cut")


def show(client: Client, order: str = "1") -> dict[str, object]:
    return client.json("order", "show", order)


def test_what_is_known_is_shown_without_asking_anybody(absent: Client) -> None:
    assert absent.sandbox is not None
    known = absent.json("order", "resolve", "1")
    assert known["mark"] == show(absent)["mark"] and known["state"] == "ambiguous" and known["sent"] is not None
    assert absent.sandbox.requests() == []
    compare("json/order-resolve.json", json.dumps(shape(known), indent=1) + "\n")
    text = re.sub(r"127\.0\.0\.1[^ ]*|localhost[^ ,;)]*", "HOST", masked(absent.run("order", "resolve", "1").stdout, absent))
    compare("human/order-resolve.txt", text)


def test_one_that_is_there_is_adopted(there: Client) -> None:
    assert there.sandbox is not None
    [order] = there.sandbox.orders()
    done = there.json("order", "resolve", "1", "--is", str(order["id"]))
    assert done["state"] == "done" and posts(there) == 0
    assert any(f"found it at the CA as order {order['id']}" in e["text"] for e in show(there)["events"])  # type: ignore[attr-defined]


def test_one_that_is_another_order_is_not_adopted(absent: Client) -> None:
    other = absent.json("enroll", "--name", "other.example.org")
    absent.run("order", "resolve", "1", "--is", str(other["ca_order"]), status=2)
    assert show(absent)["state"] == "ambiguous"


def test_unless_it_is_confirmed_nothing_changes(absent: Client) -> None:
    assert absent.sandbox is not None
    before = show(absent)
    for more, text in (((), "is closed, and not sent again"), (("--send-again",), "is sent again when it is waited for")):
        done = absent.run("order", "resolve", "1", *NOT_ORDERED, *more, status=2)
        assert "nothing was changed: the CA shows no such order" in done.stderr and text in done.stderr
    assert show(absent) == before and posts(absent) == 0 and absent.sandbox.requests() != []


def test_one_that_is_closed_makes_way_for_another(absent: Client) -> None:
    assert absent.sandbox is not None
    closed = absent.json("order", "resolve", "1", *NOT_ORDERED, "--yes")
    assert closed["state"] == "not-ordered" and closed["asked"] is True
    last = show(absent)["events"][-1]  # type: ignore[index]
    assert last["state"] == "not-ordered" and last["text"].endswith("is not to be sent: the portal has nothing of that day")
    assert last["text"].startswith(str(show(absent)["requester"]))
    assert absent.json("order", "list", "--open")["orders"] == []
    done = absent.run("order", "wait", "1", status=12)
    assert "somebody here says that the CA does not have it" in done.stderr
    absent.run("order", "wait", "--all")
    assert absent.json("enroll", "--name", "www.example.org")["order"] == 2
    assert posts(absent) == 1 and len(absent.sandbox.orders()) == 1
    absent.run("journal", "check")


def test_one_that_may_be_sent_again_is_sent_with_its_key_and_mark(absent: Client) -> None:
    assert absent.sandbox is not None
    before = show(absent)
    again = absent.json("order", "resolve", "1", *NOT_ORDERED, "--send-again", "--yes")
    assert again["state"] == "signed" and posts(absent) == 0
    done = absent.json("order", "wait", "1")
    assert done["state"] == "done" and done["key_uri"] == before["key_uri"] and show(absent)["mark"] == before["mark"]
    assert posts(absent) == 1 and len(absent.sandbox.orders()) == 1
    absent.run("journal", "check")


@pytest.mark.parametrize("more", [(), ("--send-again",)])
def test_one_that_the_ca_shows_is_not_taken_for_absent(there: Client, more: tuple[str, ...]) -> None:
    assert there.sandbox is not None
    [order] = there.sandbox.orders()
    done = there.run("order", "resolve", "1", *NOT_ORDERED, *more, "--yes", status=10)
    assert f"the CA has order 1, as number {order['id']}" in done.stderr and "nothing was changed" in done.stderr
    assert there.json("order", "wait", "1")["state"] == "done" and posts(there) == 0


def test_one_of_which_the_ca_cannot_be_asked_stays_as_it_is(absent: Client) -> None:
    absent.set("ca:sandbox", url="https://localhost:9", timeout="1s")
    done = absent.run("order", "resolve", "1", *NOT_ORDERED, "--yes", status=40)
    assert "nothing was changed" in done.stderr and show(absent)["state"] == "ambiguous"


def test_one_that_turns_up_later_is_adopted_all_the_same(there: Client) -> None:
    """A CA that shows it late: the word that was given was wrong, and nothing is lost."""
    assert there.sandbox is not None
    there.sandbox.set(list_lag_s=1000)
    assert there.json("order", "resolve", "1", *NOT_ORDERED, "--yes")["state"] == "not-ordered"
    [order] = there.sandbox.orders()
    there.sandbox.set(list_lag_s=0)
    assert there.json("order", "adopt", "1", str(order["id"]))["state"] == "done"
    assert posts(there) == 0
    there.run("journal", "check")


def test_one_that_was_being_sent_when_the_process_ended(absent: Client) -> None:
    change(absent, "UPDATE orders SET state = 'submitting' WHERE id = 1")
    assert absent.json("order", "resolve", "1")["state"] == "submitting"
    assert absent.json("order", "resolve", "1", *NOT_ORDERED, "--yes")["state"] == "not-ordered"


def test_a_renewal_that_never_arrived_may_be_sent_again(client: Client) -> None:
    assert client.sandbox is not None
    client.run("enroll", "--name", "www.example.org")
    client.sandbox.once("POST", "/renewById/", enroll_fault="cut")
    client.run("order", "renew", "1", status=14)
    client.run("order", "resolve", "2", *NOT_ORDERED, "--send-again", "--yes")
    assert client.json("order", "wait", "2")["state"] == "done"
    assert len(client.sandbox.orders()) == 2
    client.run("journal", "check")


@pytest.mark.parametrize("args", [
    ("--not-ordered",), ("--not-ordered", "--reason", ""), ("--is", "1", *NOT_ORDERED), ("--send-again",), ("--yes",),
    ("--is", "1", "--yes"), ("--reason", "x")])
def test_options_that_do_not_go_together(absent: Client, args: tuple[str, ...]) -> None:
    absent.run("order", "resolve", "1", *args, status=2)
    assert show(absent)["state"] == "ambiguous"


@pytest.mark.parametrize("args", [(), (*NOT_ORDERED, "--yes"), ("--is", "1")])
def test_only_lost_answers_are_settled(client: Client, args: tuple[str, ...]) -> None:
    client.run("enroll", "--name", "www.example.org")
    done = client.run("order", "resolve", "1", *args, status=2)
    assert "in the state 'done'" in done.stderr and show(client)["state"] == "done"


def test_a_process_at_work_on_it_goes_first(there: Client) -> None:
    assert there.sandbox is not None
    there.sandbox.set(pending_polls=1000)
    there.set("ca:sandbox", poll_scale="100")
    process = there.start("order", "wait", "1")
    try:
        wait_for_state(there, "pending", process)
        done = there.run("order", "resolve", "1", *NOT_ORDERED, "--yes", status=16)
        assert f"process {process.pid}" in done.stderr
    finally:
        process.terminate()
        process.communicate(timeout=20)


def test_where_there_is_no_list_ones_word_is_all_there_is(enroller: Client, box: Sandbox) -> None:
    box.once("POST", "/api/v1/certificates$", enroll_fault="cut")
    enroller.run("enroll", "--name", "www.example.org", status=14)
    done = enroller.run("order", "resolve", "1", *NOT_ORDERED, status=2)
    assert "the CA does not tell whether it has the order" in done.stderr
    settled = enroller.json("order", "resolve", "1", *NOT_ORDERED, "--yes")
    assert settled["state"] == "not-ordered" and settled["asked"] is False
    enroller.run("enroll", "--name", "www.example.org")
    assert len(box.orders()) == 1
