"""Certificates of devices and of persons, through the same orders as those of servers."""

from __future__ import annotations

from typing import Any

import pytest
from p11e import Client, Token


@pytest.fixture
def device(client: Client) -> Client:
    client.set("profile:web", kind="device", product="2001", term="365")
    return client


@pytest.fixture
def person(client: Client) -> Client:
    client.set("profile:web", kind="smime", product="3001", term="365", person="Ada King Lovelace")
    return client


def sent(client: Client, method: str, word: str) -> list[dict[str, Any]]:
    assert client.sandbox is not None
    return [r for r in client.sandbox.requests() if r["method"] == method and word in r["path"]]


def at_ca(client: Client) -> list[dict[str, Any]]:
    assert client.sandbox is not None
    return sorted(client.sandbox.orders(), key=lambda o: int(o["id"]))


# --- devices

def test_device_is_enrolled_with_nothing_of_servers(device: Client) -> None:
    device.set("profile:web", comments="rack 7")
    result = device.json("enroll", "--name", "meter-1.example.org")
    assert (result["state"], result["kind"]) == ("done", "device")
    body = sent(device, "POST", "/device/v1/enroll")[0]["body"]
    assert set(body) == {"orgId", "certType", "term", "csr", "comments"} and body["comments"].endswith(" rack 7")
    assert sent(device, "POST", "/ssl/") == [] and at_ca(device)[-1]["kind"] == "device"


def test_products_of_servers_are_no_products_of_devices(device: Client) -> None:
    done = device.run("enroll", "--name", "meter-1.example.org", "--product", "1013", status=44)
    assert "no product '1013'; it has: 2001 'Sandbox Device'" in done.stderr


@pytest.mark.parametrize("fault", ["stored-cut", "stored-mid-reply", "stored-504"])
def test_lost_answer_of_a_device_is_looked_up_by_the_mark(device: Client, fault: str) -> None:
    assert device.sandbox is not None
    device.sandbox.once("POST", "/device/v1/enroll", enroll_fault=fault)
    device.run("enroll", "--name", "meter-1.example.org", status=14)
    assert device.json("order", "wait", "1")["state"] == "done"
    assert len(at_ca(device)) == 1 and len(sent(device, "POST", "/device/v1/enroll")) == 1


def test_device_waits_for_approval_and_is_approved(device: Client) -> None:
    assert device.sandbox is not None
    device.sandbox.set(approval="manual")
    device.run("enroll", "--name", "meter-1.example.org", "--deadline", "0", status=11)
    number = str(device.json("order", "show", "1")["ca_order"])
    device.run("request", "approve", number, "--message", "fine")
    assert device.json("order", "wait", "1")["state"] == "done" and len(sent(device, "POST", "/device/v1/approve/")) == 1


def test_device_is_renewed_with_its_key_and_no_body(device: Client, token: Token) -> None:
    old = device.json("enroll", "--name", "meter-1.example.org")
    new = device.json("order", "renew", "1")
    assert (new["state"], new["kind"], new["key_uri"]) == ("done", "device", old["key_uri"]) and new["serial"] != old["serial"]
    assert [r["body"] for r in sent(device, "POST", "/device/v1/renew/order/")] == [None]
    shown = device.json("order", "show", "2")
    assert at_ca(device)[-1]["comments"] == shown["mark"]
    keys = token.objects()
    done = device.run("order", "renew", "2", "--new-key", status=2)
    assert "are renewed with the key they have" in done.stderr and token.objects() == keys


def test_lost_answer_of_a_renewed_device_is_looked_up(device: Client) -> None:
    device.run("enroll", "--name", "meter-1.example.org")
    assert device.sandbox is not None
    device.sandbox.once("POST", "/device/v1/renew/", enroll_fault="stored-cut")
    device.run("order", "renew", "1", status=14)
    assert device.json("order", "wait", "2")["state"] == "done" and len(at_ca(device)) == 2


def test_device_is_replaced_and_the_old_certificate_is_not_revoked(device: Client) -> None:
    old = device.json("enroll", "--name", "meter-1.example.org")
    assert device.sandbox is not None
    device.sandbox.set(replace_old_collects=1)
    new = device.json("order", "replace", "1", "--reason", "new board", "--new-key")
    assert new["state"] == "done" and new["ca_order"] == old["ca_order"] and new["serial"] != old["serial"]
    body = sent(device, "POST", "/device/v1/replace/order/")[0]["body"]
    assert set(body) == {"csr", "reason", "revoke"} and body["revoke"] is False


def test_device_is_revoked_by_its_order(device: Client) -> None:
    device.run("enroll", "--name", "meter-1.example.org")
    assert device.json("revoke", "1", "--reason", "superseded", "--yes")["revoked"] is True
    assert at_ca(device)[-1]["status"] == "Revoked" and device.json("order", "show", "1")["state"] == "revoked"


def test_comments_of_a_device_are_changed_and_nothing_else(device: Client) -> None:
    device.run("enroll", "--name", "meter-1.example.org")
    number = str(device.json("order", "show", "1")["ca_order"])
    device.run("request", "update", number, "--set-comments", "moved")
    assert at_ca(device)[-1]["comments"].endswith(" moved")
    done = device.run("request", "update", number, "--set-term", "730", status=2)
    assert "changes comments and custom fields alone" in done.stderr


def test_order_of_a_device_stays_one_under_another_profile(device: Client) -> None:
    assert device.sandbox is not None
    device.sandbox.set(pending_polls=1000)
    device.run("enroll", "--name", "meter-1.example.org", "--deadline", "0", status=10)
    device.sandbox.set(pending_polls=0)
    device.set("profile:web", kind="ssl")
    assert device.json("order", "wait", "1")["state"] == "done"


def test_optional_fields_of_a_device_are_sent(device: Client) -> None:
    device.set("profile:web", optional_fields="serialNumber=M-4711; dnsName=a.example;dnsName=b.example;title=")
    device.run("enroll", "--name", "meter-1.example.org")
    assert sent(device, "POST", "/device/v1/enroll")[0]["body"]["optionalFields"] == [
        {"name": "serialNumber", "value": "M-4711"}, {"name": "dnsName", "value": "a.example"},
        {"name": "dnsName", "value": "b.example"}, {"name": "title", "value": ""}]


@pytest.mark.parametrize(("kind", "given", "says"), [
    ("device", "colour=red", "'colour' is none that the CA takes for devices; it takes: commonName, surname"),
    ("device", "serialNumber", "'serialNumber' is not of the form NAME=VALUE"),
    ("ssl", "serialNumber=1", "are sent with orders for devices alone, and this one is of the kind 'ssl'"),
])
def test_wrong_optional_fields_are_told_before_a_key_is_made(
        device: Client, token: Token, kind: str, given: str, says: str) -> None:
    device.set("profile:web", kind=kind, product="1013" if kind == "ssl" else "2001")
    done = device.run("enroll", "--name", "meter-1.example.org", "--optional-fields", given, status=3)
    assert says in done.stderr and token.objects() == [] and at_ca(device) == []


# --- persons

def test_person_is_enrolled_by_name_and_addresses(person: Client) -> None:
    result = person.json("enroll", "--name", "ada@example.org", "--name", "al@example.org")
    assert (result["state"], result["kind"]) == ("done", "smime")
    body = sent(person, "POST", "/smime/v1/enroll")[0]["body"]
    assert (body["firstName"], body["middleName"], body["lastName"]) == ("Ada", "King", "Lovelace")
    assert (body["email"], body["secondaryEmails"]) == ("ada@example.org", ["al@example.org"])
    number = result["ca_order"]
    assert all(r["path"].endswith("/" + number) for r in sent(person, "GET", "/smime/v1/collect/")) and number != str(at_ca(person)[-1]["id"])


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_person_is_enrolled_with_either_version(person: Client, version: str) -> None:
    person.set("ca:sandbox", api_version=version)
    assert person.json("enroll", "--name", "ada@example.org")["state"] == "done"
    assert len(sent(person, "POST", f"/smime/{version}/enroll")) == len(sent(person, "GET", f"/smime/{version}/collect/")) == 1


@pytest.mark.parametrize(("name", "names", "status", "says"), [
    (None, ["ada@example.org"], 3, "the first and the last name of its person"),
    ("Ada", ["ada@example.org"], 3, "the first and the last name of its person"),
    ("Ada Lovelace", ["www.example.org"], 2, "'www.example.org' is none"),
])
def test_person_without_names_or_addresses_is_told_before_a_key_is_made(
        person: Client, token: Token, name: str | None, names: list[str], status: int, says: str) -> None:
    person.set("profile:web", person=name)
    assert says in person.run("enroll", "--name", *names, status=status).stderr
    assert token.objects() == []


def test_lost_answer_of_a_person_is_looked_up_in_the_list(person: Client) -> None:
    assert person.sandbox is not None
    person.sandbox.once("POST", "/smime/v1/enroll", enroll_fault="stored-cut")
    person.run("enroll", "--name", "ada@example.org", status=14)
    assert person.json("order", "wait", "1")["state"] == "done" and len(at_ca(person)) == 1


def test_request_of_a_person_waits_for_machines(person: Client) -> None:
    assert person.sandbox is not None
    person.sandbox.set(pending_polls=1000)
    person.run("enroll", "--name", "ada@example.org", "--deadline", "0", status=10)
    person.sandbox.set(pending_polls=0)
    assert person.json("order", "wait", "1")["state"] == "done"


def test_person_is_revoked_by_the_number_of_the_back_end(person: Client) -> None:
    person.run("enroll", "--name", "ada@example.org")
    person.run("revoke", "1", "--reason", "superseded", "--yes")
    assert at_ca(person)[-1]["status"] == "Revoked"


def test_what_the_api_has_not_for_persons_is_told(person: Client, token: Token) -> None:
    person.run("enroll", "--name", "ada@example.org")
    keys = token.objects()
    done = person.run("order", "replace", "1", "--reason", "x", "--new-key", status=2)
    assert "certificates of the kind 'smime' cannot be replaced over the CA's API" in done.stderr
    number = str(person.json("order", "show", "1")["ca_order"])
    done = person.run("request", "approve", number, "--message", "x", status=2)
    assert "cannot be approved over the CA's API" in done.stderr and token.objects() == keys


@pytest.mark.parametrize("comments", ["copy", "empty"])
def test_lost_answer_of_a_renewal_of_a_person_is_looked_up(person: Client, comments: str) -> None:
    person.run("enroll", "--name", "ada@example.org")
    assert person.sandbox is not None
    person.sandbox.set(renew_comments=comments)
    person.sandbox.once("POST", "/smime/v2/renew/", enroll_fault="stored-cut")
    person.run("order", "renew", "1", status=14)
    assert person.json("order", "wait", "2")["state"] == "done"
    assert len(at_ca(person)) == 2 and len(sent(person, "POST", "/smime/v2/renew/")) == 1


def test_renewal_of_a_person_that_never_arrived_is_not_taken_for_an_older_one(person: Client) -> None:
    person.run("enroll", "--name", "ada@example.org")
    person.run("order", "renew", "1")
    assert person.sandbox is not None
    person.sandbox.once("POST", "/smime/v2/renew/", enroll_fault="cut")
    person.run("order", "renew", "2", status=14)
    person.run("order", "wait", "3", "--deadline", "1s", status=14)
    assert len(at_ca(person)) == 2 and len(sent(person, "POST", "/smime/v2/renew/")) == 2


def test_products_are_those_of_the_profiles_kind(person: Client) -> None:
    assert [p["id"] for p in person.json("products")["products"]] == [3001]


def test_renewal_of_a_person_keeps_the_key(person: Client) -> None:
    old = person.json("enroll", "--name", "ada@example.org")
    new = person.json("order", "renew", "1")
    assert new["state"] == "done" and new["key_uri"] == old["key_uri"] and new["serial"] != old["serial"]


# --- by serial number

def serial_of(client: Client, order: int = 1) -> str:
    return str(client.json("order", "show", str(order))["serial"])


@pytest.mark.parametrize("shown", [str.lower, str.upper, lambda text: "00" + text])
def test_device_is_revoked_by_its_serial_number(device: Client, shown: Any) -> None:
    for name in ("meter-1.example.org", "meter-2.example.org"):
        device.run("enroll", "--name", name)
    done = device.json("revoke", "--serial", shown(serial_of(device, 2)), "--reason", "superseded", "--yes")
    assert (done["revoked"], done["order"]) == (True, 2) and [o["status"] for o in at_ca(device)] == ["Issued", "Revoked"]
    assert len(sent(device, "POST", "/device/v1/revoke/serial/")) == 1 and sent(device, "GET", "/ssl/") == []


def test_list_that_ignores_serial_numbers_revokes_no_other_device(device: Client) -> None:
    for name in ("meter-1.example.org", "meter-2.example.org", "meter-3.example.org"):
        device.run("enroll", "--name", name)
    assert device.sandbox is not None
    device.sandbox.set(serial_filter="ignore")
    device.run("revoke", "--serial", serial_of(device, 2), "--reason", "superseded", "--yes")
    assert [o["status"] for o in at_ca(device)[-3:]] == ["Issued", "Revoked", "Issued"]
    device.run("revoke", "--serial", "abcdef", "--reason", "superseded", "--yes", status=15)
    assert len(sent(device, "POST", "/device/v1/revoke/")) == 1


def test_device_of_another_serial_number_is_not_revoked(device: Client) -> None:
    device.run("enroll", "--name", "meter-1.example.org")
    assert device.sandbox is not None
    device.sandbox.set(serial_filter="ignore")
    done = device.run("revoke", "--serial", "abcdef", "--reason", "superseded", "--yes", status=None)
    assert done.returncode in (15, 44) and "abcdef" in done.stderr
    assert sent(device, "POST", "/device/v1/revoke/") == [] and at_ca(device)[-1]["status"] == "Issued"


def test_person_is_revoked_by_serial_number(person: Client) -> None:
    for name in ("ada@example.org", "al@example.org"):
        person.run("enroll", "--name", name)
    done = person.json("revoke", "--serial", serial_of(person, 2), "--reason", "superseded", "--yes")
    assert (done["revoked"], done["order"], done["common_name"]) == (True, 2, "Ada King Lovelace")
    assert [o["status"] for o in at_ca(person)] == ["Issued", "Revoked"]
    assert len(sent(person, "POST", "/smime/v1/revoke/serial/")) == 1


def test_kind_can_be_named_for_a_revocation(device: Client) -> None:
    device.run("enroll", "--name", "meter-1.example.org")
    serial = serial_of(device)
    device.set("profile:web", kind="ssl")
    done = device.run("revoke", "--serial", serial, "--reason", "superseded", "--yes", status=15)
    assert "of the kind 'ssl' with the serial number" in done.stderr and "'--kind' looks among others" in done.stderr
    device.run("revoke", "--serial", serial, "--kind", "device", "--reason", "superseded", "--yes")
    assert at_ca(device)[-1]["status"] == "Revoked"


@pytest.mark.parametrize("fault", ["stored-cut", "stored-504"])
def test_lost_answer_to_a_revocation_by_serial_number_is_looked_up(device: Client, fault: str) -> None:
    device.run("enroll", "--name", "meter-1.example.org")
    assert device.sandbox is not None
    device.sandbox.once("POST", "/device/v1/revoke/serial/", enroll_fault=fault)
    done = device.run("revoke", "--serial", serial_of(device), "--reason", "superseded", "--yes", status=None)
    assert len(sent(device, "POST", "/device/v1/revoke/")) == 1 and done.returncode in (0, 14)


# --- requests that wait

def waiting(client: Client) -> list[dict[str, Any]]:
    """The newest last; other tests' may be among them."""
    return sorted(client.json("request", "list")["requests"], key=lambda row: int(row["ca_order"]))


def test_requests_for_devices_are_listed(device: Client) -> None:
    assert device.sandbox is not None
    device.run("enroll", "--name", "meter-1.example.org")
    device.sandbox.set(approval="manual")
    device.run("enroll", "--name", "meter-2.example.org", "--deadline", "0", status=11)
    row = waiting(device)[-1]
    assert (str(row["ca_order"]), row["status"], row["names"]) == (device.json("order", "show", "2")["ca_order"],
                                                                   "Requested", "meter-2.example.org")
    issued = device.json("request", "list", "--status", "issued")["requests"]
    assert {(row["status"], row["product"]) for row in issued} == {("Issued", "Sandbox Device")}
    device.run("request", "decline", str(row["ca_order"]), "--message", "no")
    assert row not in waiting(device)


def test_requests_of_persons_are_listed(person: Client) -> None:
    assert person.sandbox is not None
    person.sandbox.set(approval="manual")
    person.run("enroll", "--name", "ada@example.org", "--deadline", "0", status=10)
    number = int(person.json("order", "show", "1")["ca_order"])
    assert [(r["ca_order"], r["status"]) for r in waiting(person)][-1] == (number, "requested")
    assert number not in [r["ca_order"] for r in person.json("request", "list", "--status", "Issued")["requests"]]


# --- records of persons

@pytest.mark.parametrize("version", ["v1", "v2"])
def test_comments_of_a_person_are_changed_and_keep_the_mark(person: Client, version: str) -> None:
    person.set("ca:sandbox", api_version=version)
    person.run("enroll", "--name", "ada@example.org")
    shown = person.json("order", "show", "1")
    done = person.json("request", "update", str(shown["ca_order"]), "--set-comments", "moved")
    assert done["comments"] == at_ca(person)[-1]["comments"] == f"{shown['mark']} moved"
    assert (done["product"], done["status"], done["ca_order"]) == ("Sandbox S/MIME", "issued", int(shown["ca_order"]))
    put, = sent(person, "PUT", f"/smime/{version}/")
    assert put["path"].endswith(f"/{at_ca(person)[-1]['id']}") and set(put["body"]) == {"comments"}


def test_custom_fields_of_a_person_are_changed(person: Client) -> None:
    person.run("enroll", "--name", "ada@example.org")
    number = str(person.json("order", "show", "1")["ca_order"])
    wrong = person.run("request", "update", number, "--set-custom-fields", "Nonsense=1", status=None)
    assert wrong.returncode != 0 and "there is no 'Nonsense'" in wrong.stderr and sent(person, "PUT", "/smime/") == []
    done = person.run("request", "update", number, "--set-term", "30", status=2)
    assert "changes comments and custom fields alone" in done.stderr


def test_number_that_no_person_has_is_told(person: Client) -> None:
    done = person.run("request", "update", "4711", "--set-comments", "x", status=15)
    assert "the CA lists no S/MIME certificate with the number 4711" in done.stderr


def test_lost_answer_to_a_change_is_told_and_not_repeated(person: Client) -> None:
    person.run("enroll", "--name", "ada@example.org")
    assert person.sandbox is not None
    person.sandbox.once("PUT", "/smime/v1/", fail_status=504)
    number = str(person.json("order", "show", "1")["ca_order"])
    done = person.run("request", "update", number, "--set-comments", "x", status=14)
    assert "asking again does no harm" in done.stderr and len(sent(person, "PUT", "/smime/")) == 1
