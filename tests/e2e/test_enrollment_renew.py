"""Renewing and replacing at the Enrollment API, which documents neither: once, and looked for if the answer is lost."""

from __future__ import annotations

from typing import Any

import pytest
from enroller import ORDERS, order, sent
from p11e import Client, Sandbox


def enrolled(client: Client) -> dict[str, Any]:
    client.run("enroll", "--name", "www.example.org", "--name", "b.example.org")
    return order(client)


@pytest.mark.parametrize("status", ["status", "none"])
def test_renewal_with_the_same_key(enroller: Client, box: Sandbox, status: str) -> None:
    box.set(enrollment_status=status)
    old = enrolled(enroller)
    result = enroller.json("order", "renew", "1")
    assert result["state"] == "done" and result["ca_order"] != old["ca_order"] and result["serial"] != old["serial"]
    assert result["key_uri"] == old["key_uri"] and result["names"] == old["names"]
    (request,) = sent(box, "POST", f"{ORDERS}/")
    assert request["path"].endswith(f"/{old['ca_order']}/renew") and request["body"] in ({}, None)


def test_renewal_by_the_number_at_the_ca(enroller: Client, box: Sandbox) -> None:
    number = str(enrolled(enroller)["ca_order"])
    assert enroller.json("order", "renew", "--ca-order", number)["state"] == "done"
    assert len(box.orders()) == 2


def test_renewal_with_another_key_is_refused_before_it_is_made(enroller: Client, box: Sandbox) -> None:
    enrolled(enroller)
    before = enroller.token.snapshot()
    done = enroller.run("order", "renew", "1", "--new-key", status=2)
    assert "renews with the request that it has" in done.stderr and "order replace" in done.stderr
    assert enroller.token.snapshot() == before and sent(box, "POST", f"{ORDERS}/") == []


def test_a_renewal_is_not_sent_twice(enroller: Client, box: Sandbox) -> None:
    enrolled(enroller)
    enroller.run("order", "renew", "1")
    enroller.run("order", "renew", "1", status=13)
    assert len(sent(box, "POST", f"{ORDERS}/")) == 1


def test_a_renewal_that_was_lost_is_found_in_the_list_if_there_is_one(enroller: Client, box: Sandbox) -> None:
    enrolled(enroller)
    box.once("POST", "/renew$", enroll_fault="stored-cut")
    enroller.run("order", "renew", "1", status=14)
    assert "this API has no list" in enroller.run("order", "wait", "2", status=14).stderr
    box.set(enrollment_list="rows")
    enroller.run("order", "wait", "2")
    assert order(enroller, "2")["ca_order"] == str(box.orders()[-1]["id"]) and len(sent(box, "POST", f"{ORDERS}/")) == 1


def test_a_renewal_that_did_not_arrive_is_not_taken_for_the_old_one(enroller: Client, box: Sandbox) -> None:
    enrolled(enroller)
    box.set(enrollment_list="rows")
    box.once("POST", "/renew$", enroll_fault="cut")
    enroller.run("order", "renew", "1", status=14)
    enroller.run("order", "wait", "2", "--deadline", "1s", status=14)
    assert order(enroller, "2")["state"] == "ambiguous" and len(sent(box, "POST", f"{ORDERS}/")) == 1


def test_a_renewal_that_somebody_found_is_gone_on_with(enroller: Client, box: Sandbox) -> None:
    enrolled(enroller)
    box.once("POST", "/renew$", enroll_fault="stored-cut")
    enroller.run("order", "renew", "1", status=14)
    assert enroller.json("order", "adopt", "2", str(box.orders()[-1]["id"]))["state"] == "done"


@pytest.mark.parametrize("new_key", [True, False])
def test_replacement_under_the_same_id(enroller: Client, box: Sandbox, new_key: bool) -> None:
    old = enrolled(enroller)
    more = ["--new-key"] if new_key else []
    result = enroller.json("order", "replace", "1", "--reason", "the key was seen", *more)
    assert result["state"] == "done" and result["ca_order"] == old["ca_order"] and result["serial"] != old["serial"]
    assert (result["key_uri"] != old["key_uri"]) == new_key
    (request,) = sent(box, "POST", f"{ORDERS}/")
    assert request["path"].endswith("/replace") and set(request["body"]) == {"csr"} and "-----" not in request["body"]["csr"]


def test_replacement_with_other_names(enroller: Client, box: Sandbox) -> None:
    enrolled(enroller)
    enroller.run("order", "replace", "1", "--reason", "more names", "--new-key", "--name", "www.example.org",
                 "--name", "c.example.org")
    assert sent(box, "POST", f"{ORDERS}/")[0]["body"]["subjAltNames"] == "www.example.org,c.example.org"
    assert order(enroller, "2")["names"] == "www.example.org,c.example.org"


@pytest.mark.parametrize("shown", ["applied", "issued"])
def test_the_old_certificate_is_not_taken_for_its_replacement(enroller: Client, box: Sandbox, shown: str) -> None:
    old = enrolled(enroller)
    box.set(replace_status=shown, replace_old_collects=2)
    enroller.run("order", "replace", "1", "--reason", "the key was seen", "--new-key")
    assert order(enroller, "2")["serial"] != old["serial"]


@pytest.mark.parametrize("fault", ["stored-cut", "stored-504"])
def test_a_replacement_that_was_lost_shows_under_its_id(enroller: Client, box: Sandbox, fault: str) -> None:
    old = enrolled(enroller)
    box.once("POST", "/replace$", enroll_fault=fault)
    enroller.run("order", "replace", "1", "--reason", "the key was seen", "--new-key", status=14)
    box.ask("GET", f"/orders/{old['ca_order']}")        # lets the sandbox go on
    enroller.run("order", "wait", "2")
    assert order(enroller, "2")["ca_order"] == old["ca_order"] and len(sent(box, "POST", f"{ORDERS}/")) == 1


def test_a_replacement_that_did_not_arrive_stays_ambiguous(enroller: Client, box: Sandbox) -> None:
    enrolled(enroller)
    box.once("POST", "/replace$", enroll_fault="cut")
    enroller.run("order", "replace", "1", "--reason", "the key was seen", "--new-key", status=14)
    enroller.run("order", "wait", "2", "--deadline", "1s", status=14)
    assert order(enroller, "2")["state"] == "ambiguous" and len(sent(box, "POST", f"{ORDERS}/")) == 1


def test_what_is_not_issued_is_not_renewed(enroller: Client, box: Sandbox) -> None:
    box.set(issue_result="stuck")
    enroller.run("enroll", "--name", "www.example.org", "--deadline", "1s", status=10)
    done = enroller.run("order", "renew", "1", status=44)
    assert "only a certificate that is issued can be renewed" in done.stderr and sent(box, "POST", f"{ORDERS}/") == []


@pytest.mark.parametrize("verb", ["approve", "decline"])
def test_decisions_are_for_administrators(enroller: Client, box: Sandbox, verb: str) -> None:
    number = str(enrolled(enroller)["ca_order"])
    done = enroller.run("request", verb, number, "--message", "x", status=None)
    assert done.returncode == 2 and "an administrator of the CA account does that in SCM" in done.stderr


@pytest.mark.parametrize("body", ["no-id", "normal"])
def test_a_replacement_need_not_be_told_its_id(enroller: Client, box: Sandbox, body: str) -> None:
    enrolled(enroller)
    box.set(enroll_reply=body)
    assert enroller.json("order", "replace", "1", "--reason", "the key was seen", "--new-key")["state"] == "done"


def test_a_web_page_is_no_answer_to_a_replacement(enroller: Client, box: Sandbox) -> None:
    enrolled(enroller)
    box.once("POST", "/replace$", fail_status=200, fail_body="html")
    done = enroller.run("order", "replace", "1", "--reason", "the key was seen", "--new-key", status=14)
    assert "it is not known whether the CA took the order" in done.stderr and len(sent(box, "POST", f"{ORDERS}/")) == 1


@pytest.mark.parametrize(("verb", "args"), [("renew", ()), ("replace", ("--reason", "x", "--new-key"))])
def test_what_an_installation_may_not_offer_is_told(enroller: Client, box: Sandbox, verb: str, args: tuple[str, ...]) -> None:
    enrolled(enroller)
    box.once("POST", f"/{verb}$", fail_status=404, fail_body="html")
    done = enroller.run("order", verb, "1", *args, status=14)
    assert "HTTP 404" in done.stderr and "perhaps this installation does not offer that at all" in done.stderr
    assert enroller.json("order", "show", "2")["state"] == "ambiguous"


# --- a product that nobody tells, ids that are no numbers

@pytest.mark.parametrize("rule", ["ev", "product:1018", "product:Sandbox EV SSL"])
def test_rule_about_products_counts_for_one_that_is_not_known(enroller: Client, box: Sandbox, rule: str) -> None:
    old = enrolled(enroller)
    (enroller.state / "journal.db").unlink()
    enroller.set("profile:web", approval="required", approval_for=rule, approvers="user:somebody")
    done = enroller.run("order", "replace", "--ca-order", str(old["ca_order"]), "--key", str(old["key_uri"]),
                        "--reason", "x", status=17)
    assert "is not sent before it is approved" in done.stderr and sent(box, "POST", f"{ORDERS}/") == []


@pytest.mark.parametrize("command", [("renew", "1"), ("replace", "1", "--reason", "x", "--new-key")])
def test_id_that_is_no_number_is_told(enroller: Client, box: Sandbox, command: tuple[str, ...]) -> None:
    box.set(enrollment_id="text")
    number = enrolled(enroller)["ca_order"]
    done = enroller.run("order", *command, status=2)
    assert f"order 1 is '{number}' at the CA, which is no number" in done.stderr and "has given it no number" not in done.stderr
    assert sent(box, "POST", f"{ORDERS}/") == []
