"""The life of an order: approval, waiting, issue, renewal, replacement, revocation, end."""

from __future__ import annotations

import time

import pytest

from support import Client, Running, csr, key

REVOKE = {"reasonCode": 4, "reason": "superseded"}


def public(cert) -> object:
    return cert.public_key().public_numbers()


@pytest.fixture
def approver(sandbox: Running) -> Client:
    return Client(sandbox, "sandbox-approver")


# --- approval

def test_manual_approval(sandbox: Running, client: Client) -> None:
    sandbox.set(approval="manual")
    number = client.enroll()
    assert [client.status(number) for _ in range(3)] == ["Requested"] * 3
    assert client.post(f"/ssl/v1/approve/{number}", {"message": "fine"}).status == 204
    shown = client.details(number)
    assert shown["status"] == "Issued" and shown["owner"] == "sandbox-admin"


def test_decline_by_a_person(sandbox: Running, client: Client) -> None:
    sandbox.set(approval="manual")
    number = client.enroll()
    reply = client.post(f"/ssl/v1/decline/{number}", {"message": "no"})
    assert (reply.status, reply.data) == (204, b"")
    assert client.status(number) == "Declined" and "declined" in client.details(number)


def test_two_step_approval(sandbox: Running, client: Client) -> None:
    sandbox.set(approval="two-step")
    number = client.enroll()
    client.post(f"/ssl/v1/approve/{number}", {"message": "first"})
    assert client.status(number) == "SAApproved"
    client.post(f"/ssl/v1/approve/{number}", {"message": "second"})
    assert client.status(number) == "Issued"


def test_approval_decline(sandbox: Running, client: Client) -> None:
    sandbox.set(approval="decline")
    assert client.status(client.enroll()) == "Declined"


def test_person_then_decline(sandbox: Running, client: Client) -> None:
    sandbox.set(approval="person-then-decline", approval_polls=2)
    number = client.enroll()
    assert [client.status(number) for _ in range(3)] == ["Requested", "Requested", "Declined"]


@pytest.mark.parametrize("body, code", [
    ({}, -1001), ({"message": ""}, -1601), ({"message": "x" * 513}, -1601)])
def test_approval_message(sandbox: Running, client: Client, body: dict, code: int) -> None:
    sandbox.set(approval="manual")
    assert client.post(f"/ssl/v1/approve/{client.enroll()}", body).code == code


def test_approve_in_the_wrong_state(client: Client) -> None:
    assert client.post(f"/ssl/v1/approve/{client.enroll()}", {"message": "x"}).code == -1112


def test_ev_always_needs_another_person(client: Client, approver: Client) -> None:
    number = client.enroll(certType=1018)
    assert client.status(number) == "Requested"
    reply = client.post(f"/ssl/v1/approve/{number}", {"message": "mine"})
    assert (reply.status, reply.code) == (400, -1140)
    assert approver.post(f"/ssl/v1/approve/{number}", {"message": "ok"}).status == 204
    assert client.status(number) == "Issued"
    subject = client.leaf(number).subject.rfc4514_string()
    assert "2.5.4.15=Private Organization" in subject


def test_admin_without_auto_approval(sandbox: Running, client: Client) -> None:
    accounts = sandbox.directory / "accounts.json"
    before = accounts.read_text()
    accounts.write_text(before.replace(',\n   "autoApproveCertificates"', ""))
    try:
        assert client.status(client.enroll()) == "Requested"
    finally:
        accounts.write_text(before)


# --- waiting

def test_pending_polls(sandbox: Running, client: Client) -> None:
    sandbox.set(approved_polls=1, pending_polls=2)
    number = client.enroll()
    assert [client.status(number) for _ in range(4)] == [
        "Approved", "Applied", "Applied", "Issued"]


def test_lists_and_collects_do_not_count_as_polls(sandbox: Running, client: Client) -> None:
    sandbox.set(pending_polls=1)
    number = client.enroll()
    client.get("/ssl/v1")
    client.collect(number)
    assert [client.status(number) for _ in range(2)] == ["Applied", "Issued"]


def test_pending_seconds(sandbox: Running, client: Client) -> None:
    sandbox.set(pending_seconds=0.5)
    number = client.enroll()
    assert client.status(number) == "Applied"
    time.sleep(0.6)
    assert client.status(number) == "Issued"


@pytest.mark.parametrize("result, status", [
    ("reject", "Rejected"), ("invalid", "Invalid"), ("stuck", "Applied")])
def test_issue_result(sandbox: Running, client: Client, result: str, status: str) -> None:
    sandbox.set(issue_result=result)
    assert client.status(client.enroll()) == status


def test_backdate_days_and_expiry(sandbox: Running, client: Client) -> None:
    sandbox.set(backdate_days=360)
    number = client.enroll()
    assert client.status(number) == "Issued"
    assert client.leaf(number).not_valid_after.timestamp() < time.time() + 6 * 86400
    sandbox.set(backdate_days=366)
    assert client.status(client.enroll()) == "Expired"


# --- renewal

def test_renew_by_id_keeps_the_key(client: Client) -> None:
    old = client.enroll(comments="token 1")
    reply = client.post(f"/ssl/v1/renewById/{old}", {})
    assert reply.status == 200 and set(reply.json) == {"sslId"}
    new = reply.json["sslId"]
    assert new != old and client.details(old)["renewed"] is True
    assert "renewedDate" in client.details(old)
    assert client.details(new)["comments"] == "token 1"
    assert public(client.leaf(new)) == public(client.leaf(old))
    assert client.leaf(new).serial_number != client.leaf(old).serial_number


def test_renew_by_id_without_body(client: Client) -> None:
    reply = client.call("POST", f"/ssl/v1/renewById/{client.enroll()}")
    assert reply.status == 200


def test_renew_by_id_with_an_empty_string(client: Client) -> None:
    assert client.post(f"/ssl/v1/renewById/{client.enroll()}", b'""').code == -1002


def test_renew_by_id_with_another_key(client: Client) -> None:
    body = {"csr": csr(which=1)}
    new = client.post(f"/ssl/v1/renewById/{client.enroll()}", body).json["sslId"]
    assert public(client.leaf(new)) == key(which=1).public_key().public_numbers()


def test_renew_comments_empty(sandbox: Running, client: Client) -> None:
    sandbox.set(renew_comments="empty")
    new = client.post(f"/ssl/v1/renewById/{client.enroll(comments='x')}", {}).json["sslId"]
    assert "comments" not in client.details(new)


def test_renew_by_renew_id_says_nothing(sandbox: Running, client: Client) -> None:
    reply = client.post("/ssl/v1/enroll", client.request_body()).json
    client.status(reply["sslId"])
    before = len(sandbox.orders())
    answer = client.post(f"/ssl/v1/renew/{reply['renewId']}", {})
    assert (answer.status, answer.data) == (204, b"")
    assert len(sandbox.orders()) == before + 1


@pytest.mark.parametrize("path, status, code", [
    ("renewById/999999", 404, -124), ("renew/nosuchrenewid", 404, -123),
    ("renew/" + "x" * 21, 400, -1601)])
def test_renew_of_nothing(client: Client, path: str, status: int, code: int) -> None:
    reply = client.post("/ssl/v1/" + path, {})
    assert (reply.status, reply.code) == (status, code)


def test_renew_in_the_wrong_state(sandbox: Running, client: Client) -> None:
    sandbox.set(approval="manual")
    assert client.post(f"/ssl/v1/renewById/{client.enroll()}", {}).code == -130


def test_renew_that_the_profile_forbids(client: Client) -> None:
    number = client.enroll(certType=1019, term=90)
    assert client.post(f"/ssl/v1/renewById/{number}", {}).code == -180


# --- replacement

def replace_body(**more) -> dict:
    return {"csr": csr(which=1), "reason": "new key", **more}


def test_replace_keeps_the_id(client: Client) -> None:
    number = client.enroll()
    before = client.details(number)["serialNumber"]
    reply = client.post(f"/ssl/v1/replace/{number}", replace_body())
    assert (reply.status, reply.data) == (204, b"")
    shown = client.details(number)
    assert shown["status"] == "Issued" and shown["serialNumber"] != before
    assert "replaced" in shown
    assert public(client.leaf(number)) == key(which=1).public_key().public_numbers()


def test_replace_with_other_names(client: Client) -> None:
    number = client.enroll(subjAltNames="a.example.org")
    body = replace_body(subjectAlternativeNames=["b.example.org"])
    assert client.post(f"/ssl/v1/replace/{number}", body).status == 204
    assert client.details(number)["subjectAlternativeNames"] == [
        "www.example.org", "b.example.org"]


@pytest.mark.parametrize("change, code", [
    ({"csr": None}, -1001), ({"reason": None}, -1001), ({"reason": ""}, -1601),
    ({"reason": "x" * 513}, -1601), ({"subjectAlternativeNames": "a.example.org"}, -1002),
    ({"commonName": "x" * 65}, -1601), ({"csr": "AAAA"}, -10)])
def test_replace_refused(client: Client, change: dict, code: int) -> None:
    number = client.enroll()
    client.status(number)
    reply = client.post(f"/ssl/v1/replace/{number}", replace_body(**change))
    assert (reply.status, reply.code) == (400, code)
    assert public(client.leaf(number)) == key().public_key().public_numbers()


def test_replace_in_the_wrong_state(sandbox: Running, client: Client) -> None:
    sandbox.set(approval="manual")
    number = client.enroll()
    assert client.post(f"/ssl/v1/replace/{number}", replace_body()).code == -130


def test_replace_shows_applied_while_it_waits(sandbox: Running, client: Client) -> None:
    number = client.enroll()
    client.status(number)
    sandbox.set(pending_polls=1)
    client.post(f"/ssl/v1/replace/{number}", replace_body())
    assert client.collect(number).status == 400
    assert [client.status(number) for _ in range(2)] == ["Applied", "Issued"]


def test_replace_status_issued_gives_the_old_one_meanwhile(sandbox: Running, client: Client
                                                           ) -> None:
    number = client.enroll()
    old = client.leaf(number)
    sandbox.set(pending_polls=1, replace_status="issued")
    client.post(f"/ssl/v1/replace/{number}", replace_body())
    assert client.leaf(number) == old
    assert [client.status(number) for _ in range(2)] == ["Issued", "Issued"]
    assert client.leaf(number) != old


def test_replace_old_collects(sandbox: Running, client: Client) -> None:
    number = client.enroll()
    old = client.leaf(number)
    sandbox.set(replace_old_collects=2)
    client.post(f"/ssl/v1/replace/{number}", replace_body())
    assert client.status(number) == "Issued"
    assert [client.leaf(number) == old for _ in range(3)] == [True, True, False]


# --- revocation

@pytest.mark.parametrize("code", [0, 1, 3, 4, 5, "4"])
def test_revoke(client: Client, code) -> None:
    number = client.enroll()
    client.status(number)
    reply = client.post(f"/ssl/v1/revoke/{number}", {"reasonCode": code, "reason": "x"})
    assert (reply.status, reply.data) == (204, b"")
    shown = client.details(number)
    assert (shown["status"], shown["reasonCode"]) == ("Revoked", int(code))
    assert "revoked" in shown


def test_reason_code_as_a_string(sandbox: Running, client: Client) -> None:
    sandbox.set(reason_code="string")
    number = client.enroll()
    client.status(number)
    client.post(f"/ssl/v1/revoke/{number}", REVOKE)
    assert client.details(number)["reasonCode"] == "4"


@pytest.mark.parametrize("body, code", [
    ({"reason": "x"}, -1001), ({"reasonCode": 4}, -1001), ({"reasonCode": 2, "reason": "x"}, -1601),
    ({"reasonCode": "four", "reason": "x"}, -1002), ({"reasonCode": 4, "reason": ""}, -1601),
    ({"reasonCode": 4, "reason": "x" * 513}, -1601)])
def test_revoke_refused(client: Client, body: dict, code: int) -> None:
    assert client.post(f"/ssl/v1/revoke/{client.enroll()}", body).code == code


def test_revoke_without_strictness(sandbox: Running, client: Client) -> None:
    sandbox.set(revoke_strict=False)
    assert client.post(f"/ssl/v1/revoke/{client.enroll()}", {"reason": "x"}).status == 204


def test_revoke_twice(client: Client) -> None:
    number = client.enroll()
    client.post(f"/ssl/v1/revoke/{number}", REVOKE)
    assert client.post(f"/ssl/v1/revoke/{number}", REVOKE).code == -159


def test_revoke_before_issue(sandbox: Running, client: Client) -> None:
    sandbox.set(approval="manual")
    assert client.post(f"/ssl/v1/revoke/{client.enroll()}", REVOKE).code == -102


@pytest.mark.parametrize("spell", [lambda s: s, lambda s: s.replace(":", "%3A"),
                                   lambda s: s.replace(":", "").lower()])
def test_revoke_by_serial(client: Client, spell) -> None:
    number = client.enroll()
    serial = client.details(number)["serialNumber"]
    assert client.post(f"/ssl/v1/revoke/serial/{spell(serial)}", REVOKE).status == 204
    assert client.status(number) == "Revoked"


def test_revoke_serial_of_nothing(client: Client) -> None:
    assert client.post("/ssl/v1/revoke/serial/AB:CD", REVOKE).status == 404


def test_revoke_manual(client: Client) -> None:
    number = client.enroll()
    client.status(number)
    assert client.post("/ssl/v1/revoke/manual", {"certId": number}).status == 204
    assert client.status(number) == "Revoked"
    other = client.enroll()
    serial = client.details(other)["serialNumber"]
    body = {"serialNumber": serial, "issuer": "CN=x", "reasonCode": 1}
    assert client.post("/ssl/v1/revoke/manual", body).status == 204
    assert client.post("/ssl/v1/revoke/manual", {}).code == -951


# --- update

def test_update_of_remarks(client: Client) -> None:
    number = client.enroll()
    reply = client.call("PUT", "/ssl/v1", {"sslId": number, "comments": "later",
                                           "suspendNotifications": True})
    assert reply.status == 200 and reply.json["comments"] == "later"
    assert client.details(number)["suspendNotifications"] is True


def test_update_of_auto_renewal(client: Client) -> None:
    body = {"sslId": client.enroll(), "autoRenewDetails": {"state": "Scheduled"}}
    assert client.call("PUT", "/ssl/v1", body).json["autoRenewDetails"] == {
        "state": "Scheduled", "daysBeforeExpiration": 30}


def test_update_corrects_a_declined_order(sandbox: Running, client: Client) -> None:
    sandbox.set(approval="decline")
    number = client.enroll()
    assert client.status(number) == "Declined"
    body = {"sslId": number, "subjectAlternativeNames": ["c.example.org"], "csr": csr(which=1)}
    shown = client.call("PUT", "/ssl/v1", body).json
    assert shown["subjectAlternativeNames"] == ["www.example.org", "c.example.org"]
    assert shown["status"] == "Requested"


@pytest.mark.parametrize("change, status, code", [
    ({"sslId": None}, 400, -1001), ({"sslId": 999999}, 404, -5101),
    ({"term": 199}, 400, -1601), ({"comments": "x" * 1025}, 400, -1601)])
def test_update_refused(client: Client, change: dict, status: int, code: int) -> None:
    number = client.enroll()
    client.status(number)
    reply = client.call("PUT", "/ssl/v1", {"sslId": number, **change})
    assert (reply.status, reply.code) == (status, code)


def test_failed_update_changes_nothing(sandbox: Running, client: Client) -> None:
    sandbox.set(approval="manual")
    number = client.enroll(comments="old")
    body = {"sslId": number, "comments": "new", "csr": "AAAA"}
    assert client.call("PUT", "/ssl/v1", body).code == -10
    assert client.details(number)["comments"] == "old"


# --- details

def test_details_of_a_waiting_order(sandbox: Running, client: Client) -> None:
    sandbox.set(approval="manual")
    shown = client.details(client.enroll(comments="hk:1"))
    assert shown["id"] == shown["sslId"] and shown["comments"] == "hk:1"
    assert "serialNumber" not in shown and "backendCertId" not in shown
    assert "csr" not in shown and shown["keyType"] == "EC - P-256"


def test_details_of_an_issued_order(client: Client) -> None:
    number = client.enroll(subjAltNames="b.example.org")
    shown = client.details(number)
    assert shown["certType"]["id"] == 1013 and "san" not in shown["certType"]
    assert int(shown["serialNumber"].replace(":", ""), 16) == client.leaf(number).serial_number
    assert shown["certificateDetails"]["subjectAltNames"] == (
        "dNSName=www.example.org, dNSName=b.example.org")
    assert shown["validationType"] == "Organization Validation (OV)"


def test_details_of_nothing(client: Client) -> None:
    reply = client.get("/ssl/v1/999999")
    assert (reply.status, reply.code) == (404, -5101)


@pytest.mark.parametrize("text", ["abc", "-1", "9" * 19, "1.5"])
def test_id_that_is_no_number(client: Client, text: str) -> None:
    reply = client.get("/ssl/v1/" + text)
    assert (reply.status, reply.code) == (400, -1601)


@pytest.mark.parametrize("query, length, sign", [
    ("", 10, "/"), ("?dateFormat=iso", 10, "-"), ("?dateFormat=ISO_HMS", 24, "T"),
    ("?dateFormat=dd.MM.yyyy", 10, "."), ("?dateFormat=JP_HMS", 19, ":"),
    ("?dateFormat=yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", 24, "Z")])
def test_date_format_parameter(client: Client, query: str, length: int, sign: str) -> None:
    text = client.details(client.enroll(), query)["requested"]
    assert len(text) == length and sign in text


def test_date_format_that_is_unknown(client: Client) -> None:
    assert client.get(f"/ssl/v1/{client.enroll()}?dateFormat=stardate").code == -1601


@pytest.mark.parametrize("value, check", [
    ("null", lambda b: b["issued"] is None and b["expires"] is None),
    ("missing", lambda b: "issued" not in b and "expires" not in b),
    ("us", lambda b: b["issued"].count("/") == 2), ("eu", lambda b: b["issued"].count(".") == 2),
    ("iso", lambda b: b["issued"].count("-") == 2), ("iso_hms", lambda b: "T" in b["issued"])])
def test_date_format_switch(sandbox: Running, client: Client, value: str, check) -> None:
    sandbox.set(date_format=value)
    assert check(client.details(client.enroll(), "?dateFormat=JP"))


@pytest.mark.parametrize("value, word", [
    ("v1", "SAApproved"), ("oa", "SA Approved"), ("upper", "SAAPPROVED"),
    ("unknown", "In Transit")])
def test_status_spelling(sandbox: Running, client: Client, value: str, word: str) -> None:
    sandbox.set(approval="two-step", status_spelling=value)
    number = client.enroll()
    sandbox.control("POST", f"/orders/{number}/approve")
    assert client.status(number) == word
