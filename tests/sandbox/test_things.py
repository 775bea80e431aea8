"""Device certificates: what the API checks, the states, renewals, replacements, revocations."""

from __future__ import annotations

import pytest

from support import Client, Running, csr

MESSAGE = {"message": "x"}


def body(**changes) -> dict:
    request = {"orgId": 103, "certType": 2001, "csr": csr("meter-1.example.org", ("meter-1.example.org",)), **changes}
    return {name: value for name, value in request.items() if value is not None}


def enroll(client: Client, **changes) -> int:
    reply = client.post("/device/v1/enroll", body(**changes))
    assert reply.status == 200, reply.data
    return int(reply.json["deviceCertId"])


def details(client: Client, number: int) -> dict:
    return client.get(f"/device/v1/{number}").json


def leaf(client: Client, number: int):
    return client.get(f"/device/v1/collect/{number}?format=x509CO").certs()[0]


def test_reply_of_an_order_has_its_state(client: Client) -> None:
    reply = client.post("/device/v1/enroll", body())
    assert set(reply.json) == {"deviceCertId", "status", "backendCertId", "orderNumber"}
    assert reply.json["status"] == "APPROVED"


def test_device_gets_a_client_certificate(client: Client) -> None:
    number = enroll(client, term=730, comments="rack 7")
    shown = details(client, number)
    assert (shown["id"], shown["status"], shown["term"], shown["comments"]) == (number, "Issued", 730, "rack 7")
    assert "sslId" not in shown
    assert "1.3.6.1.5.5.7.3.2" in [u.dotted_string for e in leaf(client, number).extensions if e.oid.dotted_string == "2.5.29.37" for u in e.value]


def test_term_has_a_default(client: Client) -> None:
    assert details(client, enroll(client))["term"] == 365


@pytest.mark.parametrize("changes, code", [
    ({"orgId": None}, -1001), ({"csr": None}, -1001), ({"certType": 1013}, -39), ({"term": 1}, -36), ({"orgId": 104}, -1021),
    ({"csr": "x"}, -9), ({"comments": "x" * 1025}, -1601), ({"customFields": [{"name": "Cost Centre", "value": "1"}]}, -135),
    ({"optionalFields": [{"name": "colour", "value": "red"}]}, -64)])
def test_what_an_order_must_have(client: Client, changes: dict, code: int) -> None:
    reply = client.post("/device/v1/enroll", body(**changes))
    assert (reply.status, reply.code) == (400, code)


def test_optional_fields_that_there_are(client: Client) -> None:
    enroll(client, optionalFields=[{"name": "dnsName", "value": "a.example.org"}])


def test_profiles_of_devices_and_of_servers_are_apart(client: Client) -> None:
    assert [row["id"] for row in client.get("/device/v1/types").json] == [2001]
    assert 2001 not in [row["id"] for row in client.get("/ssl/v1/types").json]
    assert client.refused(certType=2001) == -39


def test_orders_of_devices_and_of_servers_are_apart(client: Client) -> None:
    number, server = enroll(client), client.enroll()
    assert client.get(f"/ssl/v1/{number}").status == 404 and client.get(f"/device/v1/{server}").status == 404
    assert number not in [row["sslId"] for row in client.get("/ssl/v1").json]
    rows = client.get("/device/v1?commonName=meter-1.example.org").json
    assert number in [row["id"] for row in rows] and server not in [row["id"] for row in rows]
    assert client.post(f"/ssl/v1/revoke/{number}", {"reasonCode": 4, "reason": "x"}).status == 404


def test_collect_wants_a_format(client: Client) -> None:
    assert client.get(f"/device/v1/collect/{enroll(client)}").code == -1601


def test_approval(sandbox: Running, client: Client) -> None:
    sandbox.set(approval="manual")
    first, second = enroll(client), enroll(client)
    assert details(client, first)["status"] == "Requested"
    assert client.post(f"/device/v1/approve/{first}", MESSAGE).status == 204
    assert client.post(f"/device/v1/decline/{second}", MESSAGE).status == 204
    assert (details(client, first)["status"], details(client, second)["status"]) == ("Issued", "Declined")
    assert client.post(f"/device/v1/approve/{first}", MESSAGE).code == -1112


def test_renewal_takes_no_body_and_keeps_the_key(client: Client) -> None:
    old = enroll(client)
    before = leaf(client, old)
    assert client.post(f"/device/v1/renew/order/{old}", {}).code == -1002
    reply = client.post(f"/device/v1/renew/order/{old}")
    after = leaf(client, int(reply.json["deviceCertId"]))
    assert after.serial_number != before.serial_number
    assert after.public_key().public_numbers() == before.public_key().public_numbers()
    again = client.post(f"/device/v1/renew/serial/{before.serial_number:x}")
    assert int(again.json["deviceCertId"]) not in (old, int(reply.json["deviceCertId"]))


def test_replacement_keeps_the_number(client: Client) -> None:
    number = enroll(client)
    before = leaf(client, number)
    wanted = {"csr": csr("meter-1.example.org", ("meter-1.example.org",), which=1), "reason": "x", "revoke": False}
    for name in wanted:
        assert client.post(f"/device/v1/replace/order/{number}", {**wanted, name: None}).code == -1001
    assert client.post(f"/device/v1/replace/order/{number}", wanted).status == 204
    assert details(client, number)["status"] == "Issued" and leaf(client, number).serial_number != before.serial_number


def test_revocation_by_order_and_by_serial(client: Client) -> None:
    first, second = enroll(client), enroll(client)
    serial = f"{leaf(client, second).serial_number:x}"
    reason = {"reasonCode": 4, "reason": "x"}
    assert client.post(f"/device/v1/revoke/order/{first}", reason).status == 204
    assert client.post(f"/device/v1/revoke/serial/{serial}", reason).status == 204
    assert [details(client, n)["status"] for n in (first, second)] == ["Revoked", "Revoked"]
    assert client.post(f"/device/v1/revoke/order/{first}", reason).code == -159


def test_update_of_comments(client: Client) -> None:
    number = enroll(client, comments="a")
    assert client.call("PUT", f"/device/v1/{number}", {"comments": "b"}).json["comments"] == "b"
    assert client.call("PUT", f"/device/v1/{number}", {"customFields": [{"name": "x", "value": "y"}]}).code == -135


# --- list and report

def numbers(client: Client, query: str) -> list[int]:
    return [row["id"] for row in client.get("/device/v1?size=200&" + query).json]


def test_list_is_narrowed_and_has_no_serial_numbers(sandbox: Running, client: Client) -> None:
    number = enroll(client)
    serial = details(client, number)["serialNumber"]
    assert numbers(client, f"serialNumber={serial}") == [number] and numbers(client, "serialNumber=AB") == []
    assert number in numbers(client, "status=Issued") and number in numbers(client, "status=ISSUED")
    assert number not in numbers(client, "status=Revoked") and client.get("/device/v1?status=Gone").code == -1601
    row = next(r for r in client.get("/device/v1?size=200").json if r["id"] == number)
    assert "serialNumber" not in row and row["certificateDetails"]["subjectAltNames"] == "dNSName=meter-1.example.org"
    sandbox.set(serial_filter="ignore")
    assert number in numbers(client, "serialNumber=AB")


def test_report_of_devices(sandbox: Running, client: Client) -> None:
    number = enroll(client, comments="rack 7")

    def rows(**request) -> dict[int, dict]:
        return {row["id"]: row for row in client.post("/report/v1/device-certificates", request).json["reports"]}

    row = rows()[number]
    assert (row["deviceCertStatus"], row["comments"], row["certTypeName"]) == ("Issued", "rack 7", "Sandbox Device")
    assert row["serialNumber"] == details(client, number)["serialNumber"] and len(row["expire"]) == 24
    assert number in rows(certificateStatus=2) and number not in rows(certificateStatus=3)
    assert number in rows(organizationIds=[103]) and number not in rows(organizationIds=[203])
    assert number not in rows(**{"certificateDateAttribute": 4, "from": "2001-01-01", "to": "2001-01-02"})
    sandbox.set(report="refuse")
    assert client.post("/report/v1/device-certificates", {}).code == -3
    sandbox.set(report="none")
    assert client.post("/report/v1/device-certificates", {}).status == 404


def test_report_may_know_what_the_list_does_not_show_yet(sandbox: Running, client: Client) -> None:
    sandbox.set(list_lag_s=86400)
    number = enroll(client)

    def reported() -> list[int]:
        return [row["id"] for row in client.post("/report/v1/device-certificates", {}).json["reports"]]

    assert number not in numbers(client, "") and number not in reported()
    sandbox.set(report="ahead")
    assert number not in numbers(client, "") and number in reported()
