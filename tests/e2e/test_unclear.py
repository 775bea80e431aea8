"""Answers to an order that do not prove that nothing was ordered: looked up later, never sent again."""

from __future__ import annotations

from typing import Any

import pytest
from enroller import ORDERS
from p11e import Client, Sandbox

# What somebody on the way may say although the request got through to the CA.
ON_THE_WAY: dict[str, dict[str, Any]] = {
    "redirect-302": {"redirect": "302"}, "redirect-303": {"redirect": "303"}, "redirect-308": {"redirect": "308"},
    "page-403": {"fail_status": 403, "fail_body": "html"}, "page-404": {"fail_status": 404, "fail_body": "html"},
    "page-401": {"fail_status": 401, "fail_body": "html"}, "page-407": {"fail_status": 407, "fail_body": "html"},
    "empty-400": {"fail_status": 400, "fail_body": "empty"}, "empty-401": {"fail_status": 401, "fail_body": "empty"},
    "gateway-403": {"fail_status": 403, "fail_body": "gateway"}, "gateway-429": {"fail_status": 429, "fail_body": "gateway"},
    "page-200": {"fail_status": 200, "fail_body": "html"}, "error-200": {"fail_status": 200, "fail_code": -1137},
    "code-0": {"fail_status": 400, "fail_code": 0},
}
ENROLL = ("enroll", "--name", "www.example.org")
RENEW = ("order", "renew", "1")
REPLACE = ("order", "replace", "1", "--reason", "x", "--new-key")
COMMANDS = {"/ssl/v1/enroll": ENROLL, "/renewById/": RENEW, "/replace/": REPLACE}


@pytest.fixture
def ca(client: Client) -> Sandbox:
    assert client.sandbox is not None
    return client.sandbox


def sent(box: Sandbox, word: str) -> int:
    return sum(r["method"] == "POST" and word in r["path"] for r in box.requests())


@pytest.mark.parametrize("path", list(COMMANDS))
@pytest.mark.parametrize("answer", list(ON_THE_WAY))
def test_order_that_got_through_is_found_and_not_sent_again(client: Client, ca: Sandbox, answer: str, path: str) -> None:
    order = "1"
    if path != "/ssl/v1/enroll":
        client.run(*ENROLL)
        order = "2"
    ca.once("POST", path, fault_when="after", **ON_THE_WAY[answer])
    done = client.run(*COMMANDS[path], status=14)
    assert "it is not known whether the CA took the order" in done.stderr and "HTTP " in done.stderr
    assert client.json("order", "show", order)["state"] == "ambiguous"
    assert client.json("order", "wait", order)["state"] == "done" and sent(ca, path) == 1


@pytest.mark.parametrize("answer", ["redirect-302", "page-403", "gateway-403"])
def test_order_that_did_not_get_through_is_not_sent_again_by_itself(client: Client, ca: Sandbox, answer: str) -> None:
    ca.once("POST", "/ssl/v1/enroll", **ON_THE_WAY[answer])
    client.run(*ENROLL, status=14)
    done = client.run("order", "wait", "1", "--deadline", "1s", status=14)
    assert "lists no order with the mark" in done.stderr and sent(ca, "/enroll") == 1 and ca.orders() == []


@pytest.mark.parametrize(("status", "code", "exit_status"), [(400, -1137, 44), (401, -16, 42), (403, -37, 43), (404, -5101, 44), (429, -195, 45)])
def test_what_the_api_itself_refuses_was_not_ordered(client: Client, ca: Sandbox, status: int, code: int, exit_status: int) -> None:
    ca.once("POST", "/ssl/v1/enroll", fail_status=status, fail_code=code)
    done = client.run(*ENROLL, status=exit_status)
    assert f"(code {code}" in done.stderr and client.json("order", "show", "1")["state"] == "signed"
    assert client.json("order", "wait", "1")["state"] == "done" and len(ca.orders()) == 1


@pytest.mark.parametrize("path", [f"^{ORDERS}$", "/renew$", "/replace$"])
@pytest.mark.parametrize("answer", ["redirect-302", "page-403", "empty-400", "gateway-403", "page-200", "error-200"])
def test_enrollment_api_is_treated_alike(enroller: Client, box: Sandbox, answer: str, path: str) -> None:
    box.set(enrollment_list="rows")
    commands = {f"^{ORDERS}$": ENROLL, "/renew$": RENEW, "/replace$": REPLACE}
    order = "1"
    if commands[path] != ENROLL:
        enroller.run(*ENROLL)
        order = "2"
    box.once("POST", path, fault_when="after", **ON_THE_WAY[answer])
    enroller.run(*commands[path], status=14)
    assert enroller.json("order", "show", order)["state"] == "ambiguous"
    before = sum(r["method"] == "POST" for r in box.requests() if "/certificates" in r["path"])
    for made in box.orders():
        box.ask("GET", f"/orders/{made['id']}")  # lets the sandbox go on
    assert enroller.json("order", "wait", order)["state"] == "done"
    assert sum(r["method"] == "POST" for r in box.requests() if "/certificates" in r["path"]) == before


def test_token_is_not_renewed_for_an_order_that_somebody_on_the_way_refused(enroller: Client, box: Sandbox) -> None:
    box.once("POST", f"^{ORDERS}$", fault_when="after", fail_status=401, fail_body="html")
    enroller.run(*ENROLL, status=14)
    assert sum(r["method"] == "POST" and r["path"] == ORDERS for r in box.requests()) == 1 and len(box.orders()) == 1


@pytest.mark.parametrize("answer", ["redirect-302", "page-403", "page-200"])
def test_revocation_is_believed_by_the_record_and_not_by_such_an_answer(client: Client, ca: Sandbox, answer: str) -> None:
    client.run(*ENROLL)
    ca.once("POST", "/revoke/", **ON_THE_WAY[answer])
    done = client.run("revoke", "1", "--reason", "superseded", "--yes", status=14)
    assert "it is not known whether the CA revoked" in done.stderr
    ca.once("POST", "/revoke/", fault_when="after", **ON_THE_WAY[answer])
    client.run("revoke", "1", "--reason", "superseded", "--yes")
    assert ca.orders()[0]["status"] == "Revoked"
