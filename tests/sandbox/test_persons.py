"""S/MIME certificates: what the API checks, and the two numbers of each."""

from __future__ import annotations

import pytest

from support import Client, Running, csr


def body(**changes) -> dict:
    request = {"orgId": 103, "certType": 3001, "term": 365, "csr": csr("ignored"), "email": "ada@example.org",
               "firstName": "Ada", "lastName": "Lovelace", **changes}
    return {name: value for name, value in request.items() if value is not None}


def enroll(client: Client, **changes) -> str:
    reply = client.post("/smime/v1/enroll", body(**changes))
    assert reply.status == 200 and set(reply.json) == {"orderNumber", "backendCertId"}, reply.data
    return reply.json["backendCertId"]


def row(client: Client, backend: str) -> dict:
    rows = client.get(f"/smime/v2?backendCertId={backend}").json
    assert len(rows) == 1
    return rows[0]


def leaf(client: Client, backend: str):
    return client.get(f"/smime/v1/collect/{backend}?format=x509CO").certs()[0]


def test_person_gets_a_certificate_for_the_addresses(client: Client) -> None:
    backend = enroll(client, secondaryEmails=["al@example.org"], middleName="King", comments="mine")
    cert = leaf(client, backend)
    names = [e.value for e in cert.extensions if e.oid.dotted_string == "2.5.29.17"][0]
    assert [name.value for name in names] == ["ada@example.org", "al@example.org"]
    assert "CN=Ada King Lovelace" in cert.subject.rfc4514_string()
    assert (row(client, backend)["state"], row(client, backend)["comments"]) == ("issued", "mine")


@pytest.mark.parametrize("changes, code", [
    ({"email": None}, -1001), ({"firstName": None}, -1001), ({"lastName": None}, -1001), ({"term": None}, -1001),
    ({"email": "nobody"}, -1601), ({"firstName": "x" * 60}, -1601), ({"certType": 1013}, -39), ({"secondaryEmails": ["x"]}, -1601),
    ({"secondaryEmails": "a@b.c"}, -1002)])
def test_what_an_order_must_have(client: Client, changes: dict, code: int) -> None:
    reply = client.post("/smime/v1/enroll", body(**changes))
    assert (reply.status, reply.code) == (400, code)


def test_number_of_the_list_does_not_collect(client: Client) -> None:
    backend = enroll(client)
    number = row(client, backend)["id"]
    assert str(number) != backend and client.get(f"/smime/v1/{number}").json["commonName"] == "Ada Lovelace"
    assert client.get(f"/smime/v1/collect/{number}?format=x509CO").status == 404


def test_list_by_address(client: Client) -> None:
    backend = enroll(client, email="only@example.org")
    assert [r["backendCertId"] for r in client.get("/smime/v2?email=only@example.org").json] == [backend]
    assert client.call("HEAD", "/smime/v2?email=only@example.org").headers["X-Total-Count"] == "1"


def test_refused_request_has_no_number(sandbox: Running, client: Client) -> None:
    sandbox.set(issue_result="reject")
    enroll(client, email="refused@example.org")
    rows = client.get("/smime/v2?email=refused@example.org").json
    assert [(r["state"], r["backendCertId"], r["orderNumber"], r["serialNumber"]) for r in rows] == [("rejected", None, 0, "")]


def test_renewal_and_revocation_by_the_number_of_the_back_end(client: Client) -> None:
    old = enroll(client)
    assert client.post(f"/smime/v2/renew/order/{old}", {}).code == -1002
    new = client.post(f"/smime/v2/renew/order/{old}").json["backendCertId"]
    assert leaf(client, new).serial_number != leaf(client, old).serial_number
    reason = {"reasonCode": 4, "reason": "x"}
    assert client.post(f"/smime/v1/revoke/order/{old}", reason).status == 204
    assert client.post(f"/smime/v1/revoke/serial/{leaf(client, new).serial_number:x}", reason).status == 204
    assert [row(client, n)["state"] for n in (old, new)] == ["revoked", "revoked"]


@pytest.mark.parametrize("root", ["/smime/v1", "/smime/v2"])
def test_comments_are_changed_by_the_managers_number(client: Client, root: str) -> None:
    backend = enroll(client, comments="old")
    number = row(client, backend)["id"]
    assert client.call("PUT", f"{root}/{backend}", {"comments": "new"}).status == 404
    assert client.call("PUT", f"{root}/{number}", {"comments": "x" * 1025}).code == -1601
    shown = client.call("PUT", f"{root}/{number}", {"comments": "new"})
    assert (shown.status, shown.json["comments"], shown.json["status"]) == (200, "new", "issued")
    assert row(client, backend)["comments"] == "new" == client.get(f"{root}/{number}").json["comments"]


def test_list_is_narrowed(sandbox: Running, client: Client) -> None:
    backend = enroll(client, email="narrow@example.org")
    serial = row(client, backend)["serialNumber"]

    def found(query: str) -> list[str]:
        return [r["backendCertId"] for r in client.get("/smime/v2?" + query).json]

    assert found(f"serialNumber={serial}") == [backend] and found("serialNumber=AB") == []
    assert backend in found("state=issued") and backend not in found("state=revoked") and backend in found("certTypeId=3001")
    assert client.get("/smime/v2?state=Issued").code == -1601
    sandbox.set(serial_filter="ignore")
    assert backend in found("serialNumber=AB")


def test_end_of_validity_in_the_format_that_is_wanted(client: Client) -> None:
    backend = enroll(client)
    assert len(row(client, backend)["expires"]) == 10
    shown, = client.get(f"/smime/v2?backendCertId={backend}&dateFormat=ISO_HMS").json
    assert len(shown["expires"]) == 24
