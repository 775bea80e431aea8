"""Requests that wait at the CA: listed, approved, declined, corrected; and what its records say of certificates."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Any

import pytest
from p11e import Client


def waiting(client: Client, *args: str) -> str:
    """An order that waits for approval; its number at the CA."""
    assert client.sandbox is not None
    client.sandbox.set(approval="manual")
    client.run("enroll", "--name", "www.example.org", "--deadline", "0", *args, status=11)
    return str(client.json("order", "show", "1")["ca_order"])


def record(client: Client, number: str) -> dict[str, Any]:
    assert client.sandbox is not None
    return client.sandbox.ask("GET", f"/orders/{number}")


def sent(client: Client, method: str, word: str) -> list[dict[str, Any]]:
    assert client.sandbox is not None
    return [r for r in client.sandbox.requests() if r["method"] == method and word in r["path"]]


def events(client: Client) -> list[str]:
    return [str(e["text"]) for e in client.json("order", "show", "1")["events"]]


def test_list_shows_what_waits(client: Client) -> None:
    number = waiting(client)
    rows = client.json("request", "list")["requests"]
    mine = [r for r in rows if r["ca_order"] == int(number)]
    assert [(r["status"], r["names"], r["requester"]) for r in mine] == [("Requested", "www.example.org", "sandbox-admin")]
    client.run("request", "approve", number, "--message", "fine")
    assert int(number) not in [r["ca_order"] for r in client.json("request", "list")["requests"]]


def test_approval_lets_the_order_go_on(client: Client) -> None:
    number = waiting(client)
    result = client.json("request", "approve", number, "--message", "checked with the owner")
    assert (result["decision"], result["approved"], result["ca_order"]) == ("approved", True, int(number))
    assert sent(client, "POST", "/approve/")[0]["body"] == {"message": "checked with the owner"}
    assert "asking the CA to have it approved: 'checked with the owner'" in events(client)
    assert events(client)[-1] == "approved at the CA by this account"
    assert client.json("order", "wait", "1")["state"] == "done"


@pytest.mark.parametrize(("verb", "decision", "status"), [
    ("approve", "approved", "Approved"), ("decline", "declined", "Declined")])
def test_decision_is_told_with_the_state_after_it(client: Client, verb: str, decision: str, status: str) -> None:
    number = waiting(client)
    assert client.sandbox is not None
    client.sandbox.set(approved_polls=100)
    lines = client.run("request", verb, number, "--message", "x").stdout.splitlines()
    shown = dict(line.split(":", 1) for line in lines)
    assert (shown["Decision"].strip(), shown["The CA says"].strip()) == (decision, status)
    assert "Approved" not in shown


def test_state_from_before_is_not_told_as_the_one_after(client: Client) -> None:
    number = waiting(client)
    assert client.sandbox is not None
    client.sandbox.ask("POST", "/behaviours/once", [{
        "match": {"method": "GET", "path_regex": f"/ssl/v1/{number}$"}, "skip": 1, "times": 10,
        "fault": {"fail_status": 404}}])
    done = client.run("request", "decline", number, "--message", "x")
    assert "declined" in done.stdout and "The CA says" not in done.stdout
    assert "what the CA says after the decision could not be read" in done.stderr
    assert record(client, number)["status"] == "Declined"


def test_declined_request_ends_the_order(client: Client) -> None:
    number = waiting(client)
    assert client.json("request", "decline", number, "--message", "not ours")["approved"] is False
    done = client.run("order", "wait", "1", status=12)
    assert "the CA says 'Declined'" in done.stderr and record(client, number)["message"] == "not ours"


@pytest.mark.parametrize(("verb", "status"), [("approve", "Approved"), ("decline", "Declined")])
def test_lost_answer_of_a_decision_is_looked_up(client: Client, verb: str, status: str) -> None:
    number = waiting(client)
    assert client.sandbox is not None
    client.sandbox.set(approved_polls=100)
    client.sandbox.once("POST", f"/{verb}/", cut="before-reply", fault_when="after")
    client.run("request", verb, number, "--message", "x")
    assert record(client, number)["status"] == status and len(sent(client, "POST", f"/{verb}/")) == 1


def test_lost_decision_is_told(client: Client) -> None:
    number = waiting(client)
    assert client.sandbox is not None
    client.sandbox.once("POST", "/approve/", cut="before-reply", fault_when="before")
    done = client.run("request", "approve", number, "--message", "x", status=14)
    assert "it is not known whether the CA approved the request (asking again does no harm)" in done.stderr
    assert len(sent(client, "POST", "/approve/")) == 1 and "it is not known" in events(client)[-1]
    client.run("request", "approve", number, "--message", "x")


def test_refused_decision_is_told_and_journaled(client: Client) -> None:
    client.run("enroll", "--name", "www.example.org")
    number = str(client.json("order", "show", "1")["ca_order"])
    done = client.run("request", "approve", number, "--message", "x", status=44)
    assert "(code -1112)" in done.stderr and "was not approved" in done.stderr
    assert "-1112" in events(client)[-1] and client.json("order", "show", "1")["state"] == "done"


def test_own_request_for_an_ev_certificate_is_for_somebody_else_to_approve(client: Client) -> None:
    client.set("profile:web", product="1018")
    number = waiting(client)
    assert "(code -1140)" in client.run("request", "approve", number, "--message", "x", status=44).stderr


@pytest.mark.parametrize(("args", "says"), [
    (["approve", "7"], "--message is needed"),
    (["decline", "7", "--message", ""], "--message is needed"),
    (["approve", "7", "--message", "x" * 513], "--message is needed"),
    (["approve", "x", "--message", "y"], "'x' is no number"),
    (["update", "7"], "nothing is to be changed"),
    (["update", "7", "--set-term", "long"], "--set-term: 'long' is not a number"),
    (["update", "7", "--set-comments", "x" * 1025], "comments of at most 1024"),
])
def test_wrong_usage_is_told_and_nothing_is_sent(client: Client, args: list[str], says: str) -> None:
    assert says in client.run("request", *args, status=2).stderr
    assert sent(client, "POST", "/") == [] and sent(client, "PUT", "/") == []


def test_unknown_number_is_told(client: Client) -> None:
    for args in (("approve", "99", "--message", "x"), ("update", "99", "--set-comments", "x")):
        assert "(code -5101)" in client.run("request", *args, status=15).stderr


# --- update

def test_waiting_request_is_corrected_and_the_journal_follows(client: Client) -> None:
    number = waiting(client)
    result = client.json("request", "update", number, "--set-term", "365", "--name", "www.example.org", "--name", "b.example.org",
                         "--set-external-requester", "a@example.org", "--set-custom-fields", "Cost Centre=7")
    assert (result["term_days"], result["names"], result["external_requester"]) == (365, "www.example.org,b.example.org", "a@example.org")
    assert sent(client, "PUT", "/ssl/v1")[0]["body"] == {
        "sslId": int(number), "term": 365, "externalRequester": "a@example.org", "commonName": "www.example.org",
        "subjectAlternativeNames": ["www.example.org", "b.example.org"],
        "customFields": [{"name": "Cost Centre", "value": "7"}]}
    shown = client.json("order", "show", "1")
    assert (shown["term_days"], shown["names"]) == (365, "www.example.org,b.example.org")
    client.run("request", "approve", number, "--message", "fine")
    assert client.json("order", "wait", "1")["state"] == "done"


def ordered(client: Client) -> int:
    return len(sent(client, "POST", "/enroll"))


def test_what_a_request_was_changed_to_is_not_ordered_again(client: Client) -> None:
    number = waiting(client)
    client.run("request", "update", number, "--name", "new.example.org", "--name", "b.example.org")
    # the same order, whatever the order of its names
    client.run("enroll", "--name", "b.example.org", "--name", "new.example.org", "--deadline", "0", status=11)
    assert ordered(client) == 1 and len(client.json("order", "list")["orders"]) == 1
    key = client.json("key", "generate", "--label", "other", "--type", "ec:P-256")["uri"]
    done = client.run("enroll", "--name", "new.example.org,b.example.org", "--key", key, status=13)
    assert "order 1 for these names is under way with another key" in done.stderr and ordered(client) == 1


def test_what_a_request_was_changed_from_may_be_ordered(client: Client) -> None:
    number = waiting(client)
    client.run("request", "update", number, "--name", "new.example.org")
    client.run("enroll", "--name", "www.example.org", "--deadline", "0", status=11)
    assert ordered(client) == 2
    assert {o["order"]: o["names"] for o in client.json("order", "list")["orders"]} == {1: "new.example.org", 2: "www.example.org"}


def test_another_product_of_a_request_counts_as_well(client: Client) -> None:
    number = waiting(client)
    client.run("request", "update", number, "--set-product", "1015")
    client.run("enroll", "--name", "www.example.org", "--deadline", "0", "--product", "1015", status=11)
    assert ordered(client) == 1
    client.run("enroll", "--name", "www.example.org", "--deadline", "0", status=11)
    assert ordered(client) == 2


def test_comments_of_our_own_order_keep_its_mark(client: Client) -> None:
    client.run("enroll", "--name", "www.example.org")
    shown = client.json("order", "show", "1")
    client.run("request", "update", str(shown["ca_order"]), "--set-comments", "moved to rack 7")
    assert record(client, shown["ca_order"])["comments"] == f"{shown['mark']} moved to rack 7"


def test_comments_of_somebody_elses_order_are_as_they_are_given(client: Client) -> None:
    client.run("enroll", "--name", "www.example.org")
    number = str(client.json("order", "show", "1")["ca_order"])
    (client.state / "journal.db").unlink()
    client.run("request", "update", number, "--set-comments", "theirs")
    assert record(client, number)["comments"] == "theirs"


def test_substance_of_an_issued_certificate_is_refused(client: Client) -> None:
    client.run("enroll", "--name", "www.example.org")
    number = str(client.json("order", "show", "1")["ca_order"])
    done = client.run("request", "update", number, "--set-term", "365", status=44)
    assert "(code -1601)" in done.stderr and "update: PUT /private/api/ssl/v1" in done.stderr
    assert client.json("order", "show", "1")["term_days"] == 199


def test_new_request_has_to_be_for_the_key_of_our_order(client: Client, tmp_path: Path) -> None:
    number = waiting(client)
    ours = str(client.json("order", "show", "1")["key_uri"])
    other = client.json("key", "generate", "--label", "other", "--type", "ec:P-256")["uri"]
    for uri, status in ((other, 2), (ours, 0)):
        client.run("csr", "create", uri, "--name", "www.example.org", "--out", str(tmp_path / "csr.pem"))
        done = client.run("request", "update", number, "--csr", str(tmp_path / "csr.pem"), status=status)
        assert ("is for another key than order 1 has" in done.stderr) == (status == 2)
    assert len(sent(client, "PUT", "/ssl/v1")) == 1


def test_product_outside_the_catalog_is_not_taken(client: Client) -> None:
    number = waiting(client)
    client.set("ca:sandbox", catalog="1013")
    done = client.run("request", "update", number, "--set-product", "1015", status=28)
    assert "is not in the catalog of [ca:sandbox]" in done.stderr and sent(client, "PUT", "/ssl/v1") == []


def test_what_was_approved_here_stays_as_it_was(client: Client) -> None:
    client.set("profile:web", approval="required", approvers=f"user:{getpass.getuser()}", approve_own="yes")
    assert client.sandbox is not None
    client.sandbox.set(approval="manual")
    client.run("enroll", "--name", "www.example.org", status=17)
    client.run("order", "approve", "1")
    client.run("order", "wait", "1", "--deadline", "0", status=11)
    number = str(client.json("order", "show", "1")["ca_order"])
    for args in (("--name", "b.example.org"), ("--set-term", "365"), ("--set-product", "1015")):
        done = client.run("request", "update", number, *args, status=43)
        assert "has to be approved here as it is" in done.stderr
    assert sent(client, "PUT", "/ssl/v1") == []
    client.run("request", "update", number, "--set-comments", "x")


def test_wrong_custom_fields_are_told_before_they_are_sent(client: Client) -> None:
    number = waiting(client)
    done = client.run("request", "update", number, "--set-custom-fields", "Environment=moon", status=3)
    assert "'Environment' cannot be 'moon', but one of 'test', 'production'" in done.stderr
    assert sent(client, "PUT", "/ssl/v1") == []


def test_lost_answer_of_an_update_is_told_and_sent_once(client: Client) -> None:
    number = waiting(client)
    assert client.sandbox is not None
    client.sandbox.once("PUT", "/ssl/v1", cut="before-reply", fault_when="after")
    done = client.run("request", "update", number, "--set-comments", "x", status=14)
    assert "it is not known whether the CA changed its record" in done.stderr
    assert len(sent(client, "PUT", "/ssl/v1")) == 1
    client.run("request", "update", number, "--set-comments", "x")
