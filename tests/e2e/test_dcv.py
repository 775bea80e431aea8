"""Domains and their validation, step by step, as an administrator does it by hand."""

from __future__ import annotations

import csv
import io
import json
import secrets
import ssl
import urllib.request

import pytest
from p11e import Client


def made(client: Client, **more: object) -> str:
    """A domain of this test alone."""
    name = f"d{secrets.token_hex(4)}.example"
    assert client.sandbox is not None
    client.sandbox.ask("POST", "/domains", {"name": name, "org": 103, **more})
    return name


def names(client: Client, *args: str) -> list[str]:
    return [str(row["name"]) for row in client.json("domain", "list", *args)["domains"]]


def validations(client: Client, *args: str) -> list[str]:
    return [str(row["domain"]) for row in client.json("dcv", "list", *args)["validations"]]


def calls(client: Client, part: str) -> list[dict[str, object]]:
    assert client.sandbox is not None
    return [r for r in client.sandbox.requests() if part in str(r["path"])]


# --- lists

@pytest.mark.parametrize(("args", "found"), [
    (["--name", "sandbox.example"], ["sandbox.example"]), (["--state", "inactive"], ["inactive.example"]),
    (["--status", "requested"], ["requested.example"]), (["--org", "105"], ["limited.example"]), (["--org", "999"], [])])
def test_domains_are_filtered_by_the_ca(client: Client, args: list[str], found: list[str]) -> None:
    assert names(client, *args) == found


def test_domains_of_others_are_not_there(client: Client) -> None:
    assert "sandbox.example" in names(client) and "foreign.example" not in names(client)


def test_details_of_domains_are_asked_for(client: Client) -> None:
    row = client.json("domain", "list", "--details", "--name", "requested.example")["domains"][0]
    assert (row["delegation"], row["validation"], row["organizations"]) == ("REQUESTED", "Not validated", "103")


def test_a_domain_is_shown_with_its_delegations(client: Client) -> None:
    shown = client.json("domain", "show", "SOON.example")
    assert (shown["name"], shown["validation"]) == ("soon.example", "Validated")
    assert shown["delegations"] == [{"org_id": 103, "status": "ACTIVE", "cert_types": "SSL, SMIME",
                                     "privileges": "DOMAIN, SUBDOMAIN"}]


def test_a_part_of_a_name_is_not_the_domain(client: Client) -> None:
    done = client.run("domain", "show", "box.example", status=34)
    assert "this account sees no domain box.example" in done.stderr


@pytest.mark.parametrize(("args", "found"), [
    (["--expires-in", "30"], ["soon.example"]), (["--status", "EXPIRED"], ["expired.example"]),
    (["--domain", "soon.example"], ["soon.example"]), (["--org", "105"], ["limited.example"])])
def test_validations_are_filtered_by_the_ca(client: Client, args: list[str], found: list[str]) -> None:
    assert validations(client, *args) == found


@pytest.mark.parametrize("behaviour", [
    {"list_total": "missing"}, {"list_total": "wrong"}, {"list_duplicates": "true"}, {"list_size": "ignore"}, {"id_kind": "string"}])
def test_odd_lists_are_complete_and_without_duplicates(client: Client, behaviour: dict[str, str]) -> None:
    expected = names(client), validations(client)
    assert client.sandbox is not None
    client.sandbox.set(**behaviour)
    assert (names(client), validations(client)) == expected


def test_lists_come_as_csv_and_json_lines(client: Client) -> None:
    rows = list(csv.DictReader(io.StringIO(client.run("dcv", "list", "--format", "csv", "--domain", "soon.example").stdout)))
    assert [(r["domain"], r["status"], r["method"]) for r in rows] == [("soon.example", "Validated", "EMAIL")]
    lines = client.run("domain", "list", "--format", "jsonl", "--org", "105").stdout.splitlines()
    assert [json.loads(line)["name"] for line in lines] == ["limited.example"]


def test_a_limit_is_kept(client: Client) -> None:
    assert len(names(client, "--limit", "2")) == 2 and len(validations(client, "--limit", "3")) == 3


def test_an_empty_list_says_so(client: Client) -> None:
    assert "The account sees no such domain." in client.run("dcv", "list", "--domain", "none.example").stdout


def test_lists_of_several_pages_come_whole(client: Client) -> None:
    assert client.sandbox is not None
    made_here = {f"p{i}-{secrets.token_hex(4)}.example" for i in range(205)}
    for name in made_here:
        client.sandbox.ask("POST", "/domains", {"name": name, "org": 203})
    assert set(names(client, "--org", "203")) == made_here and set(validations(client, "--org", "203")) == made_here
    assert len(calls(client, "/domain/v1")) == 2 and len(calls(client, "/dcv/v2/validation")) == 2
    lines = client.run("domain", "list", "--org", "203", "--format", "csv").stdout.splitlines()
    assert len(lines) == len(set(lines)) == 206


# --- one domain, by hand

@pytest.mark.parametrize(("method", "fields"), [
    ("cname", {"host", "point"}), ("http", {"url", "first_line", "second_line"}), ("https", {"url", "first_line", "second_line"})])
def test_from_start_to_validated(client: Client, method: str, fields: set[str]) -> None:
    name = made(client)
    assert client.sandbox is not None
    client.sandbox.set(dcv_polls=1)
    started = client.json("dcv", "start", name, "--method", method)
    assert fields <= set(started) and all(started[f] for f in fields)
    sent = client.json("dcv", "submit", name)
    assert (sent["order_status"], sent["message"]) == ("Submitted", "Submitted successfully")
    waiting = client.json("dcv", "status", name)
    assert {f: waiting[f] for f in fields} == {f: started[f] for f in fields} and waiting["method"] == method.upper()
    done = client.json("dcv", "recheck", name)
    assert (done["status"], done["order_status"]) == ("Validated", "Not initiated") and done["expires"]


def test_txt_is_said_at_the_submission(client: Client) -> None:
    name = made(client)
    done = client.run("dcv", "start", name, "--method", "txt", status=2)
    assert f"submitting it says what to publish ('p11enroll dcv submit {name} --method txt')" in done.stderr and calls(client, "/start/") == []
    sent = client.json("dcv", "submit", name, "--method", "txt")
    assert sent["host"] == f"_pki-validation.{name}." and set('"\\|%;') <= set(sent["point"])


def test_email_needs_an_address_of_the_list(client: Client) -> None:
    name = made(client)
    assert client.sandbox is not None
    client.sandbox.set(dcv_polls=1)
    listed = [row["address"] for row in client.json("dcv", "start", name, "--method", "email")["addresses"]]
    assert f"admin@{name}" in listed and f"owner@{name}" in listed and len(listed) == len(set(listed))
    done = client.run("dcv", "submit", name, "--method", "email", status=2)
    assert "needs an address" in done.stderr
    sent = client.json("dcv", "submit", name, "--email", f"owner@{name}")
    assert sent["order_status"] == "Submitted"
    assert client.json("dcv", "status", name)["email"] == f"owner@{name}"


def test_clearing_wants_a_yes(client: Client) -> None:
    name = made(client)
    client.run("dcv", "start", name, "--method", "cname")
    done = client.run("dcv", "clear", name, status=2)
    assert "nothing was given up" in done.stderr and "Awaiting submission" in done.stdout and calls(client, "/clear") == []
    assert client.json("dcv", "clear", name, "--yes")["order_status"] == "Not initiated"
    assert f"no validation of {name} is under way" in client.run("dcv", "clear", name, status=2).stderr and len(calls(client, "/clear")) == 1


@pytest.mark.parametrize("command", [("status",), ("start", "--method", "http"), ("submit", "--method", "txt"), ("recheck",), ("clear", "--yes")])
def test_a_domain_that_the_account_does_not_have_has_its_own_status(client: Client, command: tuple[str, ...]) -> None:
    done = client.run("dcv", command[0], "nowhere.example", *command[1:], status=34)
    assert "(code -727)" in done.stderr and "domain nowhere.example" in done.stderr


def test_a_recheck_that_says_the_state_alone_is_followed_by_a_question(client: Client) -> None:
    name = made(client)
    assert client.sandbox is not None
    client.sandbox.set(dcv_sync="status", dcv_polls=9)
    client.run("dcv", "start", name, "--method", "cname")
    client.run("dcv", "submit", name)
    assert client.json("dcv", "recheck", name)["order_status"] == "Submitted"


@pytest.mark.parametrize(("code", "status", "says"), [
    ("-3", 43, "needs the privilege 'Allow DCV'"), ("-107", 44, "validate the domain first"),
    ("-196", 45, "ask again later"), ("-705", 44, "delegation has to be requested and approved"),
    ("-715", 44, "has to activate it"), ("-723", 44, "the registered domain above it"),
    ("-724", 44, "'dcv clear' gives up"), ("-727", 34, "has to create it at the CA"),
    ("-1603", 44, "what has to be published is not there"), ("-1608", 44, "not switched on for this customer")])
def test_refusals_say_what_to_do(client: Client, code: str, status: int, says: str) -> None:
    assert client.sandbox is not None
    client.sandbox.set(dcv_refuse=code)
    done = client.run("dcv", "start", "open.example", "--method", "cname", status=status)
    assert f"(code {code})" in done.stderr and says in done.stderr and "HTTP 400" in done.stderr
    assert "CA 'sandbox': domain open.example: start validation: POST /private/api/dcv/v2/" in done.stderr
    assert len(calls(client, "/start/")) == 1, "a start is sent once"


@pytest.mark.parametrize("name", ["", "a", "a..example", "a-.example", "a b.example", "x" * 64 + ".example", "a.example/../b"])
def test_what_is_no_domain_is_not_sent(client: Client, name: str) -> None:
    done = client.run("dcv", "status", name, status=2)
    assert "is not the name of a domain" in done.stderr
    assert client.sandbox is not None and client.sandbox.requests() == []


def test_a_lost_submission_is_looked_up(client: Client) -> None:
    name = made(client)
    assert client.sandbox is not None
    client.run("dcv", "start", name, "--method", "cname")
    client.sandbox.set(dcv_polls=5)
    client.sandbox.once("POST", "/submit/", cut="before-reply", fault_when="after")
    assert client.json("dcv", "submit", name, "--method", "cname")["order_status"] == "Submitted"
    assert len(calls(client, "/submit/")) == 1


def test_a_submission_that_never_arrived_is_not_repeated(client: Client) -> None:
    name = made(client)
    assert client.sandbox is not None
    client.run("dcv", "start", name, "--method", "cname")
    client.sandbox.once("POST", "/submit/", cut="before-reply")
    done = client.run("dcv", "submit", name, "--method", "cname", status=40)
    assert "it is not known whether the CA took it" in done.stderr and len(calls(client, "/submit/")) == 1


# --- the domains of an order

@pytest.mark.parametrize("shape", ["object", "array"])
def test_an_order_tells_what_it_waits_for(client: Client, shape: str) -> None:
    assert client.sandbox is not None
    client.sandbox.set(approval="manual", dcv_shape=shape)
    client.run("enroll", "--name", "www.example.org", "--name", "example.org", "--deadline", "0", status=11)
    by_order = client.json("dcv", "order", "1")
    by_number = client.json("dcv", "order", "--ca-order", str(by_order["ca_order"]))
    assert by_order["domains"] == by_number["domains"]
    assert [(row["domain"], row["status"]) for row in by_order["domains"]] == [
        ("www.example.org", "Validated"), ("example.org", "Validated")]


def by_itself(client: Client, mode: str) -> str:
    """An order whose domain is validated with it, made by another client; its number."""
    sandbox = client.sandbox
    assert sandbox is not None
    key = client.json("key", "generate", "--label", f"k-{mode}", "--type", "ec:P-256")["uri"]
    csr = client.json("csr", "create", key, "--name", "www.example.org")["csr"]
    body = {"orgId": 103, "certType": 1013, "term": 199, "csr": csr, "dcvMode": mode, "dcvEmail": "admin@example.org"}
    headers = {"Content-Type": "application/json", "login": "sandbox-admin", "customerUri": "sandbox",
               "password": sandbox.password_file("admin-password.txt").read_text().strip()}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(
        context=ssl.create_default_context(cafile=str(sandbox.dir / "tls-ca.pem"))))
    request = urllib.request.Request(sandbox.url + "/api/ssl/v1/enroll", json.dumps(body).encode(), headers)
    with opener.open(request, timeout=20) as answer:
        return str(json.loads(answer.read())["sslId"])


@pytest.mark.parametrize(("mode", "place", "content"), [
    ("CNAME", "_", ".sectigo.com."), ("TXT", "_pki-validation.www.example.org.", "|%"),
    ("HTTP", "http://www.example.org/.well-known/pki-validation/", "\nsectigo.com"), ("EMAIL", "admin@example.org", "")])
def test_what_an_order_wants_to_see_is_shown(client: Client, mode: str, place: str, content: str) -> None:
    assert client.sandbox is not None
    client.sandbox.set(validated_domains="other.example")
    number = by_itself(client, mode)
    row = client.json("dcv", "order", "--ca-order", number)["domains"][0]
    assert (row["domain"], row["status"], row["method"]) == ("www.example.org", "Awaiting Validation", mode)
    assert str(row["place"]).startswith(place) and content in str(row["content"] or "")
    assert client.json("dcv", "order", "--ca-order", number, "--recheck")["domains"][0]["status"] == "Validated"


def test_an_order_is_looked_at_again_on_request(client: Client) -> None:
    assert client.sandbox is not None
    client.sandbox.set(approval="manual")
    client.run("enroll", "--name", "www.example.org", "--deadline", "0", status=11)
    client.run("dcv", "order", "1")
    assert calls(client, "/recheck") == []
    client.run("dcv", "order", "1", "--recheck")
    assert len(calls(client, "/recheck")) == 1


def test_an_order_that_is_not_there(client: Client) -> None:
    done = client.run("dcv", "order", "--ca-order", "99999999", status=15)
    assert "order 99999999" in done.stderr and "HTTP 404" in done.stderr
    assert "say which order" in client.run("dcv", "order", status=2).stderr
