"""Orders that somebody found at the CA: gone on with as what they are, or refused."""

from __future__ import annotations

import re

import pytest
from p11e import ROOT, Client, Sandbox

# What the numbers of persons' certificates at the CA have more than those of the manager.
BACKEND = int(re.findall(r"(?m)^BACKEND = (\S+)", (ROOT / "tests/sandbox/persons.py").read_text())[0])

REPLACE = ("order", "replace", "1", "--reason", "x", "--new-key")


@pytest.fixture
def ca(client: Client) -> Sandbox:
    assert client.sandbox is not None
    return client.sandbox


def newest(ca: Sandbox) -> str:
    return str(max(int(o["id"]) for o in ca.orders()))


def kind(client: Client, name: str) -> tuple[str, str, str]:
    """Makes the client one of that kind; a name to enroll for, and the paths of its orders and renewals."""
    if name == "device":
        client.set("profile:web", kind="device", product="2001", term="365")
        return "adopted.example.org", "/device/v1/enroll", "/device/v1/renew/"
    if name == "smime":
        client.set("profile:web", kind="smime", product="3001", term="365", person="Ada Lovelace")
        return "adopted@example.org", "/smime/v1/enroll", "/smime/v2/renew/"
    return "adopted.example.org", "/ssl/v1/enroll", "/renewById/"


def number_of(client: Client, ca: Sandbox, name: str) -> str:
    """As people find it; persons have a number of the CA behind the manager."""
    return str(int(newest(ca)) + BACKEND) if name == "smime" else newest(ca)


@pytest.mark.parametrize("renewal", [False, True])
@pytest.mark.parametrize("what", ["tls", "device", "smime"])
def test_order_of_any_kind_is_gone_on_with(client: Client, ca: Sandbox, what: str, renewal: bool) -> None:
    name, enroll, renew = kind(client, what)
    order = "1"
    if renewal:
        client.run("enroll", "--name", name)
        order = "2"
    ca.once("POST", renew if renewal else enroll, enroll_fault="stored-cut")
    client.run(*(("order", "renew", "1") if renewal else ("enroll", "--name", name)), status=14)
    number = number_of(client, ca, what)
    result = client.json("order", "adopt", order, number)
    assert (result["state"], result["ca_order"]) == ("done", number)
    client.run("revoke", order, "--reason", "superseded", "--yes")


@pytest.mark.parametrize("what", ["tls", "device"])
def test_replacement_is_gone_on_with_and_the_old_certificate_does_not_count(client: Client, ca: Sandbox, what: str) -> None:
    name, _, _ = kind(client, what)
    old = client.json("enroll", "--name", name)
    ca.set(replace_old_collects=3)
    ca.once("POST", "/replace/", enroll_fault="stored-cut")
    client.run(*REPLACE, status=14)
    result = client.json("order", "adopt", "2", str(old["ca_order"]))
    assert (result["state"], result["ca_order"]) == ("done", old["ca_order"]) and result["serial"] != old["serial"]


@pytest.mark.parametrize("what", ["tls", "device"])
def test_replacement_that_the_ca_does_not_show_is_not_adopted(client: Client, ca: Sandbox, what: str) -> None:
    name, _, _ = kind(client, what)
    old = client.json("enroll", "--name", name)
    ca.once("POST", "/replace/", enroll_fault="cut")
    client.run(*REPLACE, status=14)
    done = client.run("order", "adopt", "2", str(old["ca_order"]), status=44)
    assert "nothing shows that the CA has taken the replacement" in done.stderr and str(old["serial"]) in done.stderr.replace(":", "").lower()
    assert client.json("order", "show", "2")["state"] == "ambiguous"


def test_replacement_has_the_number_of_what_it_replaces(client: Client, ca: Sandbox) -> None:
    client.run("enroll", "--name", "adopted.example.org")
    ca.once("POST", "/replace/", enroll_fault="stored-cut")
    client.run(*REPLACE, status=14)
    done = client.run("order", "adopt", "2", str(int(newest(ca)) + 1), status=2)
    assert "a replacement has the number of what it replaces" in done.stderr


def test_renewal_has_not_the_number_of_what_it_renews(client: Client, ca: Sandbox) -> None:
    old = client.json("enroll", "--name", "adopted.example.org")
    ca.once("POST", "/renewById/", enroll_fault="stored-cut")
    client.run("order", "renew", "1", status=14)
    done = client.run("order", "adopt", "2", str(old["ca_order"]), status=2)
    assert "a renewal has a number of its own" in done.stderr


def test_number_of_another_kind_is_not_adopted(client: Client, ca: Sandbox) -> None:
    """Each kind has numbers of its own; a server's is nothing among devices."""
    client.run("enroll", "--name", "server.example.org")
    server = newest(ca)
    name, enroll, _ = kind(client, "device")
    ca.once("POST", enroll, enroll_fault="stored-cut")
    client.run("enroll", "--name", name, status=14)
    done = client.run("order", "adopt", "2", server, status=None)
    assert done.returncode != 0 and f"order 2 cannot be '{server}' at the CA" in done.stderr


# --- the Enrollment API

def test_replacement_at_the_enrollment_api_is_gone_on_with(enroller: Client, box: Sandbox) -> None:
    old = enroller.json("enroll", "--name", "adopted.example.org")
    box.once("POST", "/replace$", enroll_fault="stored-cut")
    enroller.run(*REPLACE, status=14)
    box.ask("GET", f"/orders/{old['ca_order']}")  # lets the sandbox go on
    result = enroller.json("order", "adopt", "2", str(old["ca_order"]))
    assert (result["state"], result["ca_order"]) == ("done", old["ca_order"]) and result["serial"] != old["serial"]


def test_replacement_at_the_enrollment_api_that_does_not_show_is_not_adopted(enroller: Client, box: Sandbox) -> None:
    old = enroller.json("enroll", "--name", "adopted.example.org")
    box.once("POST", "/replace$", enroll_fault="cut")
    enroller.run(*REPLACE, status=14)
    done = enroller.run("order", "adopt", "2", str(old["ca_order"]), status=44)
    assert "nothing shows that the CA has taken the replacement" in done.stderr


def test_renewal_at_the_enrollment_api_has_an_id_of_its_own(enroller: Client, box: Sandbox) -> None:
    old = enroller.json("enroll", "--name", "adopted.example.org")
    box.once("POST", "/renew$", enroll_fault="stored-cut")
    enroller.run("order", "renew", "1", status=14)
    assert "a renewal has a number of its own" in enroller.run("order", "adopt", "2", str(old["ca_order"]), status=2).stderr
