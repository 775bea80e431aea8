"""Domains and their validation."""

from __future__ import annotations

import secrets

import pytest

from support import Client, Running


def made(client: Client, **more: object) -> str:
    """A new domain of this test."""
    name = f"d{secrets.token_hex(4)}.example"
    reply = client.post("/domain/v1", {"name": name, "delegations": [{"orgId": 103}], **more})
    assert reply.status == 201 and reply.data == b"" and "/api/domain/v1/" in reply.headers["Location"]
    return name


def dcv(client: Client, what: str, name: str, version: str = "v1", **more: object):
    return client.post(f"/dcv/{version}/validation/{what}", {"domain": name, **more})


def names(client: Client, query: str) -> list[str]:
    reply = client.get("/domain/v1" + query)
    assert reply.status == 200, reply.data
    return [row["name"] for row in reply.json]


def test_list_shows_what_the_account_may_see(client: Client) -> None:
    rows = client.get("/domain/v1").json
    assert set(rows[0]) == {"id", "name"}
    found = {row["name"] for row in rows}
    assert {"sandbox.example", "nobody.example", "limited.example"} <= found and "foreign.example" not in found


@pytest.mark.parametrize("query, which", [
    ("?name=sandbox.example", ["sandbox.example"]), ("?state=inactive", ["inactive.example"]),
    ("?status=requested", ["requested.example"]), ("?orgId=105", ["limited.example"]), ("?orgId=203", []),
])
def test_domains_are_filtered(client: Client, query: str, which: list[str]) -> None:
    assert names(client, query) == which


def test_paging_is_by_rows(client: Client) -> None:
    everything = names(client, "")
    assert names(client, "?size=2&position=1") == everything[1:3]
    assert client.get("/domain/v1?size=1").headers["X-Total-Count"] == str(len(everything))


def test_details_show_delegation_and_validation(client: Client) -> None:
    row = next(r for r in client.get("/domain/v1").json if r["name"] == "soon.example")
    shown = client.get(f"/domain/v1/{row['id']}").json
    assert shown["delegations"][0]["orgId"] == 103 and shown["validationStatus"] == "Validated"
    assert client.get("/domain/v1/999999").status == 404


@pytest.mark.parametrize("query, which", [
    ("?expiresIn=30", ["soon.example"]), ("?dcvStatus=EXPIRED", ["expired.example"]), ("?domain=soon", ["soon.example"]),
])
def test_validations_are_filtered(client: Client, query: str, which: list[str]) -> None:
    assert [row["domain"] for row in client.get("/dcv/v1/validation" + query).json] == which


@pytest.mark.parametrize("method", ["cname", "http", "https"])
def test_from_start_to_validated(client: Client, sandbox: Running, method: str) -> None:
    name = made(client)
    sandbox.set(dcv_polls=1)
    record = dcv(client, f"start/domain/{method}", name).json
    assert set(record) == ({"host", "point"} if method == "cname" else {"url", "firstLine", "secondLine"})
    sent = dcv(client, f"submit/domain/{method}", name).json
    assert (sent["status"], sent["orderStatus"], sent["message"]) == ("NOT_VALIDATED", "SUBMITTED", "Submitted successfully")
    first, second = dcv(client, "status", name, "v2").json, dcv(client, "sync?force=true", name).json
    assert first["orderStatus"] == "Submitted" and first["orderMode"] == method.upper() and record.items() <= first.items()
    assert (second["status"], second["orderStatus"]) == ("VALIDATED", "NOT_INITIATED") and second["expirationDate"]


def test_txt_has_no_start(client: Client) -> None:
    name = made(client)
    assert set(dcv(client, "start/domain/txt", name).json) == {"message"}
    sent = dcv(client, "submit/domain/txt", name).json
    assert sent["host"] == f"_pki-validation.{name}." and set('"\\|%') <= set(sent["point"])


def test_email_goes_to_an_address_of_the_list(client: Client) -> None:
    name = made(client)
    listed = dcv(client, "start/domain/email", name).json
    assert f"admin@{name}" in listed["emails"] and listed["dcvEmails"][0]["whoisEmails"] == [f"owner@{name}"]
    assert dcv(client, "submit/domain/email", name, email="me@elsewhere.example").code == -1603
    assert dcv(client, "submit/domain/email", name, email=f"admin@{name}").json["orderStatus"] == "SUBMITTED"


def test_clear_gives_up(client: Client) -> None:
    name = made(client)
    dcv(client, "start/domain/cname", name)
    assert dcv(client, "clear", name).json["orderStatus"] == "NOT_INITIATED"
    assert dcv(client, "submit/domain/cname", name).code == -724


@pytest.mark.parametrize("name, code", [
    ("nowhere.example", -727), ("www.nowhere.example", -723), ("inactive.example", -715), ("foreign.example", -727)])
def test_names_that_cannot_be_validated(client: Client, name: str, code: int) -> None:
    assert dcv(client, "start/domain/cname", name).code == code


@pytest.mark.parametrize("code", ["-3", "-107", "-196", "-705", "-715", "-723", "-724", "-727", "-1603", "-1608"])
def test_refusals_on_request(client: Client, sandbox: Running, code: str) -> None:
    sandbox.set(dcv_refuse=code)
    assert dcv(client, "status", "sandbox.example", "v2").code == int(code)


def test_a_validation_can_be_rejected(client: Client, sandbox: Running) -> None:
    name = made(client)
    sandbox.set(dcv_result="reject")
    dcv(client, "start/domain/cname", name)
    dcv(client, "submit/domain/cname", name)
    assert dcv(client, "status", name, "v2").json["orderStatus"] == "Rejected"


def test_a_validation_may_go_on_for_ever(client: Client, sandbox: Running) -> None:
    name = made(client)
    sandbox.set(dcv_result="stuck")
    dcv(client, "start/domain/cname", name)
    dcv(client, "submit/domain/cname", name)
    assert [dcv(client, "status", name, "v2").json["orderStatus"] for _ in range(3)] == ["Submitted"] * 3


def test_words_of_the_newer_description(client: Client, sandbox: Running) -> None:
    sandbox.set(dcv_spelling="oa")
    shown = dcv(client, "status", "open.example", "v1").json
    assert (shown["status"], shown["orderStatus"]) == ("Not validated", "Not initiated")
    sandbox.set(dcv_spelling="v1")
    shown = dcv(client, "status", "open.example", "v2").json
    assert (shown["status"], shown["orderStatus"]) == ("NOT_VALIDATED", "NOT_INITIATED")


def test_a_recheck_may_say_the_state_alone(client: Client, sandbox: Running) -> None:
    sandbox.set(dcv_sync="status")
    assert dcv(client, "sync", "sandbox.example", "v2").json == {"status": "Validated"}


def test_a_record_that_nobody_published_is_looked_for_in_vain(client: Client, sandbox: Running) -> None:
    name = made(client)
    sandbox.set(dcv_dns="127.0.0.1:9")
    dcv(client, "start/domain/cname", name)
    assert dcv(client, "submit/domain/cname", name).code == -1603


def test_a_file_that_nobody_published_is_looked_for_in_vain(client: Client, sandbox: Running) -> None:
    name = made(client)
    sandbox.set(dcv_web="127.0.0.1:9")
    dcv(client, "start/domain/http", name)
    assert dcv(client, "submit/domain/http", name).code == -1603


def test_control_makes_domains(client: Client, sandbox: Running) -> None:
    name = f"d{secrets.token_hex(4)}.example"
    sandbox.control("POST", "/domains", {"name": name, "org": 103, "status": "EXPIRED"})
    assert sandbox.control("GET", "/domains")[-1]["name"] == name
    assert dcv(client, "status", name, "v2").json["status"] == "Expired"
    assert "already exists" in sandbox.control("POST", "/domains", {"name": name}, status=400)["error"]
