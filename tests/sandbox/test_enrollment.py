"""The Enrollment API: tokens alone, one profile, strict orders, and the forms that are not documented."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import urlencode

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from enrollment import PEM_CHAIN
from support import Answer, Client, Running, csr
from tokens import PATH

ROOT = "/v1/certificates"


def line(pem: str) -> str:
    """A request as the API wants it."""
    return base64.b64encode(x509.load_pem_x509_csr(pem.encode()).public_bytes(Encoding.DER)).decode()


class Account:
    """A client with a token of the enrollment account."""

    def __init__(self, sandbox: Running, client_id: str = "sandbox-enrollment-key",
                 secret: str = "enrollment-client-secret.txt") -> None:
        self.client = Client(sandbox)
        self.client.headers = {"Host": self.client.headers["Host"]}
        form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": sandbox.text(secret)}
        reply = self.client.call("POST", PATH, urlencode(form).encode(),
                                 {"Content-Type": "application/x-www-form-urlencoded"}, root="")
        self.client.headers["Authorization"] = "Bearer " + reply.json["access_token"]

    def call(self, method: str, path: str = "", body: Any = None, **headers: str) -> Answer:
        return self.client.call(method, ROOT + path, body, headers)

    def order(self, **fields: Any) -> Answer:
        return self.call("POST", "", {"csr": line(csr()), **fields})

    def ordered(self, **fields: Any) -> Any:
        reply = self.order(**fields)
        assert reply.status == 200, reply.data
        return reply.json.get("id") or reply.json["certId"]

    def collect(self, number: Any) -> Answer:
        return self.call("GET", f"/{number}", Accept=PEM_CHAIN)


def stored(sandbox: Running, number: Any) -> dict[str, Any]:
    """The order of an id."""
    return next(order for order in sandbox.orders() if order["id"] == number)


@pytest.fixture
def account(sandbox: Running) -> Account:
    return Account(sandbox)


def test_a_certificate_of_the_accounts_profile(account: Account, sandbox: Running) -> None:
    number = account.ordered(subjAltNames="b.example.org", comments="ours")
    reply = account.collect(number)
    assert reply.status == 200 and reply.headers["Content-Type"] == PEM_CHAIN
    leaf, issuer, root = reply.certs()
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    assert names == ["www.example.org", "b.example.org"] and leaf.issuer == issuer.subject and issuer.issuer == root.subject
    order = stored(sandbox, number)
    assert (order["cert_type"], order["term"], order["org_id"], order["comments"]) == (1013, 199, 103, "ours")


def test_names_in_the_request_count(account: Account, sandbox: Running) -> None:
    number = account.ordered(csr=line(csr(sans=("www.example.org", "c.example.org"))))
    assert stored(sandbox, number)["names"] == ["www.example.org", "c.example.org"]


@pytest.mark.parametrize(("fields", "code"), [
    ({"csr": None}, -1001), ({"csr": csr()}, -9), ({"csr": "AAAA\nAAAA"}, -9), ({"csr": "AAAA"}, -10), ({"csr": ""}, -9),
    ({"colour": "red"}, -1601), ({"orgId": 103}, -1601), ({"certType": 1013}, -1601), ({"term": 9}, -36),
    ({"productId": 1014}, -111), ({"productId": "x"}, -1002), ({"customFields": [{"name": "x", "value": "y"}]}, -135),
    ({"externalRequester": "nobody"}, -1601), ({"subjAltNames": "no name"}, -732),
])
def test_orders_that_are_refused(account: Account, fields: dict[str, Any], code: int) -> None:
    reply = account.order(**fields)
    assert (reply.status, reply.code) == (400, code)


def test_orders_with_what_the_account_has(account: Account) -> None:
    assert account.order(productId=1013, term=365).status == 200


def test_an_account_that_takes_the_request_alone(account: Account, sandbox: Running) -> None:
    sandbox.set(enrollment_fields="csr")
    assert account.order(comments="x").code == -1601 and account.order().status == 200


def test_an_account_that_wants_its_product(account: Account, sandbox: Running) -> None:
    sandbox.set(enrollment_product="required")
    assert account.order().code == -1001 and account.order(productId=1013).status == 200


# --- who is let in

def test_without_a_token_it_is_said_where_to_get_one(client: Client) -> None:
    reply = client.get(ROOT)                      # with login and password, which are of no use here
    assert reply.status == 401 and f'{PATH}"' in reply.headers["WWW-Authenticate"]


def test_a_client_certificate_is_of_no_use(sandbox: Running) -> None:
    assert Client(sandbox, cert="client").get(ROOT).status == 401


def test_accounts_are_for_one_api(account: Account, sandbox: Running) -> None:
    assert account.client.get("/ssl/v1/types").status == 401
    assert Account(sandbox, "sandbox-admin-key", "admin-client-secret.txt").call("GET").status == 401
    assert Client(sandbox).get("/ssl/v1/types").status == 200


def test_orders_of_somebody_else_are_not_there(account: Account, client: Client) -> None:
    number = client.enroll()
    assert account.collect(number).status == 404 and account.call("GET", f"/{number}/status").status == 404
    assert account.call("DELETE", f"/{number}", {"message": "x"}).status == 404


# --- what is not documented, in each form

@pytest.mark.parametrize(("form", "member"), [("id", "id"), ("certId", "certId"), ("text", "certId")])
def test_ids(account: Account, sandbox: Running, form: str, member: str) -> None:
    sandbox.set(enrollment_id=form)
    reply = account.order()
    assert list(reply.json) == [member] and account.collect(reply.json[member]).status == 200
    assert isinstance(reply.json[member], str) == (form == "text")


def test_a_number_is_no_id_where_ids_are_texts(account: Account, sandbox: Running) -> None:
    number = account.ordered()
    sandbox.set(enrollment_id="text")
    assert account.collect(number).status == 404


@pytest.mark.parametrize("word", ["status", "state", "certificateStatus"])
def test_status(account: Account, sandbox: Running, word: str) -> None:
    sandbox.set(enrollment_status=word, pending_polls=1)
    number = account.ordered()
    assert [account.call("GET", f"/{number}/status").json for _ in range(2)] == [{word: "Applied"}, {word: "Issued"}]


def test_no_status(account: Account, sandbox: Running) -> None:
    sandbox.set(enrollment_status="none")
    assert account.call("GET", f"/{account.ordered()}/status").status == 404


@pytest.mark.parametrize(("form", "status", "code"), [
    ("404-103", 404, -103), ("404-109", 404, -109), ("400-0", 400, 0), ("400-183", 400, -183), ("400-1400", 400, -1400)])
def test_not_ready(account: Account, sandbox: Running, form: str, status: int, code: int) -> None:
    sandbox.set(enrollment_not_ready=form, pending_polls=1)
    number = account.ordered()
    reply = account.collect(number)
    assert (reply.status, reply.code) == (status, code)
    assert account.collect(number).status == 200         # asking counts as a look at the status


def test_not_ready_and_empty(account: Account, sandbox: Running) -> None:
    sandbox.set(enrollment_not_ready="200-empty", issue_result="stuck")
    reply = account.collect(account.ordered())
    assert (reply.status, reply.data) == (200, b"")


def test_what_is_collected_has_to_be_wanted(account: Account) -> None:
    assert account.call("GET", f"/{account.ordered()}", Accept="application/json").status == 406


@pytest.mark.parametrize(("order", "at"), [("leaf-first", 0), ("root-first", 2), ("shuffled", 1)])
def test_order_of_the_chain(account: Account, sandbox: Running, order: str, at: int) -> None:
    sandbox.set(enrollment_chain=order)
    subjects = [cert.subject.rfc4514_string() for cert in account.collect(account.ordered()).certs()]
    assert [i for i, text in enumerate(subjects) if "www.example.org" in text] == [at]


def test_the_list(account: Account, client: Client, sandbox: Running) -> None:
    assert account.call("GET").status == 404
    number = account.ordered(comments="ours")
    client.enroll()                                      # which is not the account's
    sandbox.set(enrollment_list="rows", list_order="desc")
    row = account.call("GET", "?size=1&position=0").json[0]
    assert row["id"] == number and row["commonName"] == "www.example.org" and "comments" not in row
    sandbox.set(enrollment_list="comments")
    assert account.call("GET", "?size=1").json[0]["comments"] == "ours"


# --- revoke, renew, replace

def test_revocation(account: Account, sandbox: Running) -> None:
    number = account.ordered()
    account.collect(number)
    assert account.call("DELETE", f"/{number}", {"reasonCode": 4}).code == -1001
    assert account.call("DELETE", f"/{number}", {"message": "", "reasonCode": 4}).code == -1601
    assert account.call("DELETE", f"/{number}", {"message": "x", "reasonCode": 2}).code == -1601
    reply = account.call("DELETE", f"/{number}", {"message": "it is old", "reasonCode": 4})
    assert (reply.status, reply.data) == (200, b"")
    order = stored(sandbox, number)
    assert (order["status"], order["reason"], order["reason_code"]) == ("Revoked", "it is old", 4)
    assert account.call("DELETE", f"/{number}", {"message": "again"}).code == -159
    assert account.collect(number).code == -110


def test_renewal_with_the_same_and_another_key(account: Account, sandbox: Running) -> None:
    number = account.ordered()
    key = account.collect(number).certs()[0].public_key().public_numbers()
    same = account.call("POST", f"/{number}/renew", {}).json["id"]
    assert same != number and account.collect(same).certs()[0].public_key().public_numbers() == key
    other = account.call("POST", f"/{same}/renew", {"csr": line(csr(which=1))}).json["id"]
    assert account.collect(other).certs()[0].public_key().public_numbers() != key
    assert stored(sandbox, other)["renewal_of"] == same


def test_replacement_keeps_the_id(account: Account) -> None:
    number = account.ordered()
    before = account.collect(number).certs()[0]
    assert account.call("POST", f"/{number}/replace", {}).code == -1001
    assert account.call("POST", f"/{number}/replace", {"csr": line(csr(which=1))}).json["id"] == number
    account.call("GET", f"/{number}/status")
    after = account.collect(number).certs()[0]
    assert after.serial_number != before.serial_number
    assert after.public_key().public_numbers() != before.public_key().public_numbers()
