"""Renewals and replacements: orders of their own, sent once, found again, and never mistaken for the old certificate."""

from __future__ import annotations

import getpass
import json
import time
from typing import Any

import pytest
from p11e import Client, Token


def enrolled(client: Client, *args: str) -> dict[str, Any]:
    client.run("enroll", "--name", "www.example.org", "--name", "example.org", *args)
    return client.json("order", "show", "1")


def posts(client: Client, word: str) -> list[dict[str, Any]]:
    assert client.sandbox is not None
    return [r for r in client.sandbox.requests() if r["method"] == "POST" and word in r["path"]]


def at_ca(client: Client) -> list[dict[str, Any]]:
    assert client.sandbox is not None
    return sorted(client.sandbox.orders(), key=lambda o: int(o["id"]))


def texts(client: Client, order: int) -> list[str]:
    return [str(e["text"]) for e in client.json("order", "show", str(order))["events"]]


def private_keys(token: Token) -> int:
    return sum(o["kind"].startswith("Private") for o in token.objects())


# --- renew

def test_renewal_with_the_same_key_sends_no_request_of_ours(client: Client, token: Token) -> None:
    old = enrolled(client)
    new = client.json("order", "renew", "1")
    assert (new["order"], new["state"], new["origin"]) == (2, "done", "renew-same-key")
    assert new["key_uri"] == old["key_uri"] and new["serial"] != old["serial"]
    assert new["parent"] == old["ca_order"] and new["ca_order"] != old["ca_order"]
    assert [r["body"] for r in posts(client, "/renewById/")] == [{}]
    assert private_keys(token) == 1
    certs = client.json("cert", "list")["certificates"]
    assert [c["serial"] for c in certs if c["subject"].find("www.example.org") >= 0] == [new["serial"]]
    assert texts(client, 1)[-1] == "renewed by order 2"


def test_renewal_with_a_new_key_leaves_the_old_one(client: Client, token: Token) -> None:
    old = enrolled(client)
    new = client.json("order", "renew", "1", "--new-key")
    assert new["origin"] == "renew" and new["key_uri"] != old["key_uri"] and new["state"] == "done"
    assert private_keys(token) == 2
    assert [set(r["body"]) for r in posts(client, "/renewById/")] == [{"csr"}]


def test_renewal_with_a_key_that_is_named(client: Client, token: Token) -> None:
    enrolled(client)
    token.make_key("EC:prime256v1", "0102", "mine")
    new = client.json("order", "renew", "1", "--key", "pkcs11:object=mine")
    assert "mine" in new["key_uri"] and new["state"] == "done"


def test_renewal_carries_our_mark_and_the_names_of_the_certificate(client: Client) -> None:
    enrolled(client, "--comments", "for the shop")
    client.run("order", "renew", "1")
    shown = client.json("order", "show", "2")
    assert shown["names"] == "www.example.org,example.org"
    assert at_ca(client)[-1]["comments"] == f"{shown['mark']} for the shop"
    assert "marked at the CA" in texts(client, 2)


def test_renewal_goes_on_although_the_mark_was_refused(client: Client) -> None:
    enrolled(client)
    assert client.sandbox is not None
    client.sandbox.once("PUT", "/ssl/v1", fail_status=503)
    assert client.json("order", "renew", "1")["state"] == "done"
    assert any("the mark is not in the CA's record" in t for t in texts(client, 2))


def test_renewal_by_number_needs_to_know_the_key(client: Client) -> None:
    old = enrolled(client)
    (client.state / "journal.db").unlink()
    number = str(old["ca_order"])
    done = client.run("order", "renew", "--ca-order", number, status=2)
    assert "--new-key" in done.stderr and posts(client, "/renewById/") == []
    new = client.json("order", "renew", "--ca-order", number, "--key", old["key_uri"])
    assert (new["order"], new["state"], new["parent"]) == (1, "done", old["ca_order"])


def test_renewal_by_number_finds_our_order(client: Client) -> None:
    old = enrolled(client)
    assert client.json("order", "renew", "--ca-order", str(old["ca_order"]))["origin"] == "renew-same-key"


def test_second_renewal_needs_to_be_asked_for(client: Client) -> None:
    enrolled(client)
    client.run("order", "renew", "1")
    done = client.run("order", "renew", "1", status=13)
    assert "order 2 renewed number" in done.stderr and "--again" in done.stderr
    assert len(posts(client, "/renewById/")) == 1
    assert client.json("order", "renew", "1", "--again")["order"] == 3


def test_what_somebody_else_renewed_is_not_renewed_again(client: Client) -> None:
    old = enrolled(client)
    client.run("order", "renew", "1")
    (client.state / "journal.db").unlink()
    done = client.run("order", "renew", "--ca-order", str(old["ca_order"]), "--new-key", status=13)
    assert "was renewed already" in done.stderr and len(posts(client, "/renewById/")) == 1


def test_enroll_for_the_names_finds_the_renewal_in_its_way(client: Client) -> None:
    enrolled(client)
    client.run("order", "renew", "1")
    done = client.run("enroll", "--name", "www.example.org", "--name", "example.org", status=13)
    assert "order 2 got a certificate" in done.stderr


@pytest.mark.parametrize("key", [(), ("--new-key",)])
@pytest.mark.parametrize("fault", ["stored-cut", "stored-mid-reply", "stored-504"])
@pytest.mark.parametrize("comments", ["copy", "empty"])
def test_lost_answer_of_a_renewal_is_looked_up(client: Client, fault: str, key: tuple[str, ...], comments: str) -> None:
    enrolled(client)
    assert client.sandbox is not None
    client.sandbox.set(renew_comments=comments)
    client.sandbox.once("POST", "/renewById/", enroll_fault=fault)
    done = client.run("order", "renew", "1", *key, status=14)
    assert "it is not known whether the CA took the order" in done.stderr
    result = client.json("order", "renew", "1", *key)
    assert (result["order"], result["state"], result["continued"]) == (2, "done", True)
    assert len(at_ca(client)) == 2 and len(posts(client, "/renewById/")) == 1
    assert result["ca_order"] == str(at_ca(client)[-1]["id"])


def test_renewal_that_never_arrived_stays_ambiguous_and_is_not_sent_again(client: Client) -> None:
    enrolled(client)
    assert client.sandbox is not None
    client.sandbox.once("POST", "/renewById/", enroll_fault="cut")
    client.run("order", "renew", "1", status=14)
    done = client.run("order", "wait", "2", "--deadline", "1s", status=14)
    assert "shows no trace of what was asked for number" in done.stderr
    assert len(at_ca(client)) == 1 and len(posts(client, "/renewById/")) == 1


def test_order_of_somebody_else_for_the_names_is_not_taken_for_the_renewal(client: Client) -> None:
    enrolled(client)
    assert client.sandbox is not None
    client.sandbox.once("POST", "/renewById/", enroll_fault="cut")
    client.run("order", "renew", "1", status=14)
    client.run("enroll", "--name", "www.example.org", "--name", "example.org", "--again")
    client.run("order", "wait", "2", "--deadline", "1s", status=14)
    assert client.json("order", "show", "2")["state"] == "ambiguous"


def test_two_that_it_can_be_leave_a_renewal_open(client: Client) -> None:
    enrolled(client)
    assert client.sandbox is not None
    client.sandbox.set(renew_comments="empty")
    client.sandbox.once("POST", "/renewById/", times=2, enroll_fault="stored-cut")
    client.run("order", "renew", "1", status=14)
    client.run("order", "renew", "1", "--again", status=14)
    done = client.run("order", "wait", "2", "--deadline", "1s", status=14)
    assert "2 orders at the CA could be the renewal" in done.stderr
    shown = client.json("order", "show", "2")
    right = str(at_ca(client)[-1]["id"])
    client.run("request", "update", right, "--set-comments", shown["mark"])
    assert client.json("order", "wait", "2")["ca_order"] == right


def test_renewal_that_is_listed_late_is_found_when_it_is(client: Client) -> None:
    enrolled(client)
    assert client.sandbox is not None
    client.sandbox.set(list_lag_s=3600)
    client.sandbox.once("POST", "/renewById/", enroll_fault="stored-cut")
    client.run("order", "renew", "1", status=14)
    client.run("order", "wait", "2", "--deadline", "1s", status=14)
    client.sandbox.set(list_lag_s=0)
    assert client.json("order", "wait", "2")["state"] == "done"


@pytest.mark.parametrize("shape", [{"id_kind": "large"}, {"id_kind": "string"}, {"enroll_status": "201"}, {"enroll_reply": "extra-fields"}])
@pytest.mark.parametrize("lost", [False, True])
def test_renewal_whatever_the_numbers_look_like(client: Client, shape: dict[str, str], lost: bool) -> None:
    assert client.sandbox is not None
    client.sandbox.set(**shape)
    enrolled(client)
    if lost:
        client.sandbox.once("POST", "/renewById/", enroll_fault="stored-cut", **shape)
        client.run("order", "renew", "1", status=14)
    assert client.json("order", "renew", "1")["state"] == "done"
    assert client.json("order", "replace", "2", "--reason", "x", "--new-key")["state"] == "done"


@pytest.mark.parametrize("reply", ["no-id", "zero-id", "negative-id"])
def test_renewal_without_a_usable_number_is_looked_up(client: Client, reply: str) -> None:
    enrolled(client)
    assert client.sandbox is not None
    client.sandbox.once("POST", "/renewById/", enroll_reply=reply)
    client.run("order", "renew", "1", status=14)
    assert client.json("order", "wait", "2")["state"] == "done" and len(posts(client, "/renewById/")) == 1


def test_expired_certificate_can_be_renewed_and_not_replaced(client: Client) -> None:
    old = enrolled(client)
    assert client.sandbox is not None
    client.sandbox.ask("POST", f"/orders/{old['ca_order']}/status", {"status": "Expired"})
    done = client.run("order", "replace", "1", "--reason", "x", status=44)
    assert "is in the state 'Expired'" in done.stderr
    assert client.json("order", "renew", "1")["state"] == "done"


def test_refused_renewal_makes_no_second_key_when_it_is_tried_again(client: Client, token: Token) -> None:
    client.set("profile:web", product="1019", term="90")
    enrolled(client)
    for _ in range(2):
        done = client.run("order", "renew", "1", "--new-key", status=44)
        assert "(code -180)" in done.stderr and "renew: POST /private/api/ssl/v1/renewById/" in done.stderr
    assert private_keys(token) == 2 and client.json("order", "show", "2")["state"] == "signed"
    client.run("order", "abandon", "2")


def test_renewal_waits_for_approval_like_any_order(client: Client) -> None:
    enrolled(client)
    assert client.sandbox is not None
    client.sandbox.set(approval="manual")
    client.run("order", "renew", "1", "--deadline", "0", status=11)
    client.sandbox.ask("POST", f"/orders/{client.json('order', 'show', '2')['ca_order']}/approve")
    assert client.json("order", "wait", "2")["state"] == "done"


def test_what_is_not_issued_cannot_be_renewed_or_replaced(client: Client, token: Token) -> None:
    assert client.sandbox is not None
    client.sandbox.set(approval="manual")
    client.run("enroll", "--name", "www.example.org", "--deadline", "0", status=11)
    for command in (("renew",), ("replace", "--reason", "x")):
        done = client.run("order", command[0], "1", *command[1:], "--new-key", status=44)
        assert "is in the state 'Requested', and only" in done.stderr
    assert private_keys(token) == 1


@pytest.mark.parametrize("command", [("renew", "1"), ("renew", "1", "--new-key"), ("replace", "1", "--reason", "x", "--new-key")])
def test_process_that_is_killed_while_it_sends_is_continued(client: Client, token: Token, command: tuple[str, ...]) -> None:
    enrolled(client)
    assert client.sandbox is not None
    client.sandbox.once("POST", "/renewById/|/replace/", delay_s=30)
    process = client.start("order", *command)
    end = time.monotonic() + 20
    while not posts(client, "/re"):
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.communicate()
    keys = private_keys(token)
    assert client.json("order", "show", "2")["state"] == "submitting"
    assert client.json("order", "wait", "2")["state"] == "done"
    assert len(posts(client, "/re")) == 1 and private_keys(token) == keys


# --- replace

def test_replacement_keeps_the_number_and_waits_for_the_new_certificate(client: Client, token: Token) -> None:
    old = enrolled(client)
    assert client.sandbox is not None
    client.sandbox.set(replace_old_collects=2, pending_polls=1)
    new = client.json("order", "replace", "1", "--reason", "the key was copied", "--new-key")
    assert (new["order"], new["state"], new["origin"]) == (2, "done", "replace")
    assert new["ca_order"] == old["ca_order"] and new["serial"] != old["serial"] and new["key_uri"] != old["key_uri"]
    body = posts(client, "/replace/")[0]["body"]
    assert body["reason"] == "the key was copied" and set(body) == {"csr", "reason"}
    assert len(at_ca(client)) == 1 and texts(client, 1)[-1] == "replaced by order 2"


def test_old_certificate_for_the_same_key_does_not_count(client: Client) -> None:
    old = enrolled(client)
    assert client.sandbox is not None
    client.sandbox.set(replace_old_collects=2, replace_status="issued")
    new = client.json("order", "replace", "1", "--reason", "other names", "--name", "www.example.org", "--name", "b.example.org")
    assert new["state"] == "done" and new["serial"] != old["serial"] and new["key_uri"] == old["key_uri"]
    body = posts(client, "/replace/")[0]["body"]
    assert body["subjectAlternativeNames"] == ["www.example.org", "b.example.org"] and body["commonName"] == "www.example.org"
    assert at_ca(client)[-1]["names"] == ["www.example.org", "b.example.org"]


@pytest.mark.parametrize("key", [(), ("--new-key",)])
def test_old_certificate_that_is_served_for_long_ends_the_wait(client: Client, token: Token, key: tuple[str, ...]) -> None:
    old = enrolled(client)
    assert client.sandbox is not None
    client.sandbox.set(replace_old_collects=100000)
    done = client.run("order", "replace", "1", "--reason", "x", *key, "--deadline", "1s", status=10)
    assert "the CA gives the certificate that is being replaced still" in done.stderr
    shown = client.json("order", "show", "2")
    assert (shown["state"], shown["serial"]) == ("issued", None)
    assert old["serial"] in [c["serial"] for c in client.json("cert", "list")["certificates"]]
    client.sandbox.set(replace_old_collects=0)
    assert client.json("order", "wait", "2")["state"] == "done"


@pytest.mark.parametrize("status", ["applied", "issued"])
@pytest.mark.parametrize("fault", ["stored-cut", "stored-504"])
def test_lost_answer_of_a_replacement_is_looked_up(client: Client, fault: str, status: str) -> None:
    old = enrolled(client)
    assert client.sandbox is not None
    client.sandbox.set(replace_status=status)
    client.sandbox.once("POST", "/replace/", enroll_fault=fault)
    client.run("order", "replace", "1", "--reason", "x", "--new-key", status=14)
    result = client.json("order", "wait", "2")
    assert result["state"] == "done" and result["ca_order"] == old["ca_order"] and len(posts(client, "/replace/")) == 1


def test_replacement_that_never_arrived_is_not_sent_again(client: Client) -> None:
    enrolled(client)
    assert client.sandbox is not None
    client.sandbox.once("POST", "/replace/", enroll_fault="cut")
    client.run("order", "replace", "1", "--reason", "x", "--new-key", status=14)
    client.run("order", "replace", "1", "--reason", "x", "--new-key", "--deadline", "1s", status=14)
    assert len(posts(client, "/replace/")) == 1 and len(at_ca(client)) == 1


def test_order_whose_certificate_was_replaced_names_the_one_that_did(client: Client, token: Token) -> None:
    enrolled(client)
    client.run("order", "replace", "1", "--reason", "x", "--new-key")
    keys = private_keys(token)
    for command in (("renew", "1"), ("replace", "1", "--reason", "x", "--new-key")):
        done = client.run("order", *command, status=44)
        assert "it was replaced there" in done.stderr
    assert private_keys(token) == keys
    assert client.json("order", "replace", "2", "--reason", "once more", "--new-key")["order"] == 3
    assert client.json("order", "renew", "3")["state"] == "done"


def test_replacement_that_was_refused_is_not_sent_for_names_of_before(client: Client) -> None:
    enrolled(client)
    assert client.sandbox is not None
    client.sandbox.set(validated_domains="example.org")
    replace = ("order", "replace", "1", "--reason", "x", "--name", "www.example.org")
    client.run(*replace, "--name", "a.example.com", status=44)
    client.sandbox.set(validated_domains="*")
    done = client.run(*replace, "--name", "b.example.com", status=13)
    assert "with other names and was not sent" in done.stderr and "order abandon 2" in done.stderr
    result = client.json("order", "replace", "1", "--reason", "better", "--name", "www.example.org", "--name", "a.example.com")
    assert (result["order"], result["state"], result["reason"]) == (2, "done", "better")
    assert posts(client, "/replace/")[-1]["body"]["reason"] == "better"


def test_refused_replacement_does_not_lead_a_revocation_astray(client: Client) -> None:
    enrolled(client)
    assert client.sandbox is not None
    client.sandbox.set(validated_domains="example.com")
    done = client.run("order", "replace", "1", "--reason", "x", "--new-key", status=44)
    assert "(code -1137)" in done.stderr
    done = client.run("revoke", "2", "--reason", "superseded", "--yes", status=2)
    assert "has given it no number" in done.stderr and posts(client, "/revoke/") == []


@pytest.mark.parametrize(("args", "says"), [
    (["renew"], "say which certificate, one way"),
    (["renew", "1", "--ca-order", "5"], "say which certificate, one way"),
    (["renew", "--ca-order", "x"], "'x' is not a number"),
    (["renew", "1", "--new-key", "--key", "pkcs11:object=a"], "two different keys"),
    (["replace", "1"], "--reason is needed"),
    (["replace", "1", "--reason", ""], "--reason is needed"),
    (["replace", "1", "--reason", "x" * 513], "--reason is needed"),
])
def test_wrong_usage_is_told(client: Client, args: list[str], says: str) -> None:
    assert says in client.run("order", *args, status=2).stderr


def test_unknown_number_is_told(client: Client) -> None:
    done = client.run("order", "renew", "--ca-order", "99", "--new-key", status=15)
    assert "(code -5101)" in done.stderr


def test_many_are_waited_for_at_once(client: Client) -> None:
    enrolled(client)
    assert client.sandbox is not None
    client.sandbox.once("POST", "/renewById/", enroll_fault="stored-cut")
    client.run("order", "renew", "1", status=14)
    client.sandbox.set(replace_old_collects=100000)
    client.run("order", "replace", "1", "--reason", "x", "--new-key", "--deadline", "0", status=10)
    client.run("order", "wait", "2", "3", "--deadline", "1s", status=10)
    assert [client.json("order", "show", n)["state"] for n in ("2", "3")] == ["done", "issued"]
    client.sandbox.set(replace_old_collects=0)
    client.run("order", "wait", "2", "3")
    assert client.json("order", "show", "3")["state"] == "done" and len(posts(client, "/re")) == 2


# --- what holds for every order

def test_product_outside_the_catalog_is_not_renewed(client: Client, token: Token) -> None:
    enrolled(client)
    keys = private_keys(token)
    client.set("ca:sandbox", catalog="1015")
    for command in (("renew", "1"), ("renew", "1", "--new-key"), ("replace", "1", "--reason", "x", "--new-key")):
        done = client.run("order", *command, status=28)
        assert "is not in the catalog of [ca:sandbox]" in done.stderr
    assert posts(client, "/re") == [] and private_keys(token) == keys


def test_renewal_that_has_to_be_approved_here_is_not_sent_before(client: Client) -> None:
    enrolled(client)
    client.set("profile:web", approval="required", approvers=f"user:{getpass.getuser()}", approve_own="yes")
    for command in (("renew", "1", "--new-key"), ("replace", "1", "--reason", "the board was changed")):
        done = client.run("order", *command, status=17)
        assert "is not sent before it is approved" in done.stderr
    assert posts(client, "/re") == []
    client.run("order", "request", "3", "--out", str(client.dir / "text"))
    text = json.loads((client.dir / "text").read_text())
    assert (text["origin"], text["reason"], text["names"]) == ("replace", "the board was changed", ["www.example.org", "example.org"])
    client.run("order", "approve", "2")
    assert client.json("order", "wait", "2")["state"] == "done"
    assert len(posts(client, "/renewById/")) == 1 and posts(client, "/replace/") == []
