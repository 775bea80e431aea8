"""A renewal or replacement that waited for approval here: what somebody else did meanwhile is noticed before it is sent."""

from __future__ import annotations

import getpass
import shutil
import sqlite3
from typing import Any

import pytest
from p11e import Client, Sandbox

REPLACE = ("order", "replace", "1", "--reason", "x", "--new-key")


def require_approval(client: Client) -> None:
    client.set("profile:web", approval="required", approvers=f"user:{getpass.getuser()}", approve_own="yes")


def plan(client: Client, *command: str, order: str = "2") -> None:
    """The command begins an order, which waits for approval here."""
    require_approval(client)
    client.run(*command, status=17)
    client.run("order", "approve", order)


def somebody_else(client: Client, *command: str) -> dict[str, Any]:
    """Another machine with the same key and certificate does it, without approval."""
    ours, settings = client.state, dict(client.settings["profile:web"])
    theirs = client.dir / "another-machine"
    shutil.copytree(ours, theirs)
    with_state = client.settings["p11enroll"]["state_dir"]
    for name in ("approval", "approvers", "approve_own"):
        client.settings["profile:web"].pop(name, None)
    client.set("p11enroll", state_dir=str(theirs))
    try:
        return client.json(*command)
    finally:
        client.set("p11enroll", state_dir=with_state)
        client.settings["profile:web"] = settings


def posts(box: Sandbox) -> int:
    return sum(r["method"] == "POST" and any(w in r["path"] for w in ("/renew", "/replace")) for r in box.requests())


def kind(client: Client, name: str) -> str:
    """Makes the client one of that kind; returns a name to enroll for."""
    if name == "device":
        client.set("profile:web", kind="device", product="2001", term="365")
    elif name == "smime":
        client.set("profile:web", kind="smime", product="3001", term="365", person="Ada Lovelace")
        return "ada@example.org"
    return "since.example.org"


@pytest.mark.parametrize("what", ["tls", "device", "smime"])
def test_renewal_that_somebody_else_made_meanwhile_is_not_made_again(client: Client, what: str) -> None:
    assert client.sandbox is not None
    client.run("enroll", "--name", kind(client, what))
    plan(client, "order", "renew", "1")
    somebody_else(client, "order", "renew", "1", "--again")
    sent = posts(client.sandbox)
    done = client.run("order", "wait", "2", status=13)
    assert "somebody else has renewed number" in done.stderr and "nothing was sent" in done.stderr
    assert "order abandon 2" in done.stderr and "--again" in done.stderr
    assert posts(client.sandbox) == sent and client.json("order", "show", "2")["state"] == "awaiting-approval"
    client.run("order", "abandon", "2")
    client.set("profile:web", approval=None, approvers=None, approve_own=None)
    assert client.json("order", "renew", "1", "--again")["state"] == "done" and posts(client.sandbox) == sent + 1


@pytest.mark.parametrize("what", ["tls", "device", "smime"])
def test_renewal_that_nobody_made_meanwhile_is_made(client: Client, what: str) -> None:
    client.run("enroll", "--name", kind(client, what))
    plan(client, "order", "renew", "1")
    assert client.json("order", "wait", "2")["state"] == "done"


@pytest.mark.parametrize("what", ["tls", "device", "smime"])
def test_renewal_that_was_planned_once_more_is_made_once_more(client: Client, what: str) -> None:
    assert client.sandbox is not None
    client.run("enroll", "--name", kind(client, what))
    client.run("order", "renew", "1")
    plan(client, "order", "renew", "1", "--again", order="3")
    assert client.json("order", "wait", "3")["state"] == "done" and posts(client.sandbox) == 2


@pytest.mark.parametrize("what", ["tls", "device", "smime"])
def test_renewal_planned_once_more_is_compared_with_what_was_there_then(client: Client, what: str) -> None:
    assert client.sandbox is not None
    client.run("enroll", "--name", kind(client, what))
    client.run("order", "renew", "1")
    plan(client, "order", "renew", "1", "--again", order="3")
    theirs = somebody_else(client, "order", "renew", "1", "--again")
    sent = posts(client.sandbox)
    done = client.run("order", "wait", "3", status=13)
    assert f"({theirs['ca_order']} is new)" in done.stderr and posts(client.sandbox) == sent


def test_order_of_other_names_is_no_renewal(client: Client) -> None:
    client.run("enroll", "--name", kind(client, "device"))
    plan(client, "order", "renew", "1")
    somebody_else(client, "enroll", "--name", "other.example.org")
    assert client.json("order", "wait", "2")["state"] == "done"


@pytest.mark.parametrize("what", ["tls", "device", "smime"])
def test_two_certificates_of_one_name_do_not_count_for_each_other(client: Client, what: str) -> None:
    name = kind(client, what)
    client.run("enroll", "--name", name)
    client.run("enroll", "--name", name, "--again")
    for order in ("3", "4"):
        plan(client, "order", "renew", str(int(order) - 2), order=order)
    for order in ("3", "4"):
        assert client.json("order", "wait", order)["state"] == "done"


def test_renewal_that_was_refused_and_is_tried_again_later_looks_again(client: Client) -> None:
    assert client.sandbox is not None
    client.run("enroll", "--name", "since.example.org")
    client.sandbox.once("POST", "/renewById/", fail_status=400, fail_code=-195)
    client.run("order", "renew", "1", status=45)
    assert client.json("order", "show", "2")["state"] == "signed"
    somebody_else(client, "order", "renew", "1", "--again")
    assert "somebody else has renewed number" in client.run("order", "renew", "1", status=13).stderr


def test_renewal_planned_by_a_version_that_noted_nothing_looks_at_the_record(client: Client) -> None:
    client.run("enroll", "--name", "since.example.org")
    plan(client, "order", "renew", "1")
    with sqlite3.connect(client.state / "journal.db") as journal:
        journal.execute("UPDATE orders SET ca_state = NULL WHERE id = 2")
    somebody_else(client, "order", "renew", "1", "--again")
    assert "somebody else has renewed number" in client.run("order", "wait", "2", status=13).stderr


@pytest.mark.parametrize("what", ["tls", "device"])
@pytest.mark.parametrize("command", [("order", "renew", "1"), REPLACE])
def test_what_was_replaced_meanwhile_is_neither_renewed_nor_replaced(client: Client, what: str, command: tuple[str, ...]) -> None:
    assert client.sandbox is not None
    client.run("enroll", "--name", kind(client, what))
    plan(client, *command)
    somebody_else(client, *REPLACE, "--again")
    sent = posts(client.sandbox)
    done = client.run("order", "wait", "2", status=44)
    assert "it was replaced there" in done.stderr and "order abandon 2" in done.stderr and posts(client.sandbox) == sent


# --- the Enrollment API

@pytest.mark.parametrize("shown", ["rows", "comments"])
def test_renewal_at_the_enrollment_api_shows_in_its_list(enroller: Client, box: Sandbox, shown: str) -> None:
    box.set(enrollment_list=shown)
    enroller.run("enroll", "--name", "since.example.org")
    plan(enroller, "order", "renew", "1")
    theirs = somebody_else(enroller, "order", "renew", "1", "--again")
    sent = posts(box)
    done = enroller.run("order", "wait", "2", status=13)
    assert f"({theirs['ca_order']} is new)" in done.stderr and posts(box) == sent


def test_renewal_of_another_certificate_of_the_key_in_the_list_is_none_of_this_one(enroller: Client, box: Sandbox) -> None:
    box.set(enrollment_list="rows")
    key = str(enroller.json("enroll", "--name", "since.example.org")["key_uri"])
    enroller.run("enroll", "--name", "since.example.org", "--key", key, "--again")
    for order in ("3", "4"):
        plan(enroller, "order", "renew", str(int(order) - 2), order=order)
    for order in ("3", "4"):
        assert enroller.json("order", "wait", order)["state"] == "done"


def test_certificate_of_another_key_in_the_list_is_no_renewal(enroller: Client, box: Sandbox) -> None:
    box.set(enrollment_list="rows")
    enroller.run("enroll", "--name", "since.example.org")
    plan(enroller, "order", "renew", "1")
    somebody_else(enroller, "enroll", "--name", "since.example.org", "--again")
    assert enroller.json("order", "wait", "2")["state"] == "done"


@pytest.mark.parametrize("shown", ["none", "rows"])
def test_renewal_at_the_enrollment_api_that_nobody_made_meanwhile_is_made(enroller: Client, box: Sandbox, shown: str) -> None:
    box.set(enrollment_list=shown)
    enroller.run("enroll", "--name", "since.example.org")
    enroller.run("order", "renew", "1")
    plan(enroller, "order", "renew", "1", "--again", order="3")
    assert enroller.json("order", "wait", "3")["state"] == "done"


@pytest.mark.parametrize("command", [("order", "renew", "1"), REPLACE])
def test_replacement_at_the_enrollment_api_shows_under_its_id(enroller: Client, box: Sandbox, command: tuple[str, ...]) -> None:
    enroller.run("enroll", "--name", "since.example.org")
    plan(enroller, *command)
    somebody_else(enroller, *REPLACE, "--again")
    sent = posts(box)
    done = enroller.run("order", "wait", "2", status=44)
    assert "was replaced there" in done.stderr and "order abandon 2" in done.stderr and posts(box) == sent


@pytest.mark.parametrize("by_number", [True, False])
def test_nothing_is_replaced_without_a_serial_number_to_compare(enroller: Client, box: Sandbox, by_number: bool) -> None:
    number = str(enroller.json("enroll", "--name", "since.example.org")["ca_order"])
    if by_number:
        (enroller.state / "journal.db").unlink()
    before = enroller.token.snapshot()
    box.set(not_collectable=1000)
    what = ("--ca-order", number, "--name", "since.example.org") if by_number else ("1",)
    done = enroller.run("order", "replace", *what, "--reason", "x", "--new-key", status=44)
    assert "the CA says no serial number" in done.stderr and posts(box) == 0 and enroller.token.snapshot() == before
