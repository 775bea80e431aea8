"""ACME accounts and organizations."""

from __future__ import annotations

import json

import pytest

from support import Client, Running

ROOT = "/acme/v2/account"
WISH = {"name": "web", "acmeServer": "Sandbox OV", "organizationId": 103}


def create(client: Client, **changes: object) -> int:
    reply = client.post(ROOT, {**WISH, **changes})
    assert (reply.status, reply.data) == (201, b"")
    return int(reply.headers["Location"].rpartition("/")[2])


def test_create_answers_with_a_location_alone(client: Client) -> None:
    number = create(client)
    shown = client.get(f"{ROOT}/{number}").json
    assert (shown["id"], shown["name"], shown["status"], shown["certValidationType"]) == (number, "web", "pending", "OV")
    assert shown["macId"] and len(shown["macKey"]) >= 43 and "domains" not in shown


@pytest.mark.parametrize(("changes", "code"), [
    ({"organizationId": None}, -1001), ({"organizationId": 0}, -1601), ({"organizationId": 106}, -1023),
    ({"organizationId": "103"}, -1002), ({"name": None}, -1001), ({"name": ""}, -1601), ({"name": "n" * 129}, -1601),
    ({"acmeServer": None}, -1001), ({"acmeServer": "https://acme.sectigo.com/v2/OV"}, -1601),
    ({"certValidationType": "XV"}, -1002), ({"certValidationType": "EV"}, -1601)])
def test_bad_wishes_are_refused(client: Client, changes: dict[str, object], code: int) -> None:
    reply = client.post(ROOT, {**WISH, **changes})
    assert (reply.status, reply.code) == (400, code)


def test_list_is_filtered_and_paged(client: Client) -> None:
    made = [create(client, name="paged", organizationId=203) for _ in range(3)]
    reply = client.get(f"{ROOT}?name=paged&organizationId=203&size=2&position=1")
    assert [row["id"] for row in reply.json] == made[1:] and reply.headers["X-Total-Count"] == "3"
    assert client.get(f"{ROOT}?name=paged&organizationId=103").headers["X-Total-Count"] == "3"
    assert client.get(f"{ROOT}?name=paged&organizationId=103%2C-2").json == []
    assert client.get(f"{ROOT}?name=paged&acmeServer=Sandbox%20DV").json == []


@pytest.mark.parametrize("query", ["size=201", "size=x", "position=-1", "organizationId=x", "certValidationType=XV"])
def test_bad_parameters(client: Client, query: str) -> None:
    reply = client.get(f"{ROOT}?{query}")
    assert (reply.status, reply.code) == (400, -1601)


def test_rename_and_delete(client: Client) -> None:
    number = create(client)
    assert client.call("PUT", f"{ROOT}/{number}", {"name": "new"}).status == 200
    assert client.get(f"{ROOT}/{number}").json["name"] == "new"
    assert client.call("PUT", f"{ROOT}/{number}", {"name": ""}).code == -1601
    assert client.call("DELETE", f"{ROOT}/{number}").status == 204
    assert client.get(f"{ROOT}/{number}").status == 404


def test_domains_that_do_not_fit_are_named_with_200(client: Client) -> None:
    number = create(client, organizationId=105)
    names = [{"name": n} for n in ("a.limited.example", "b.example.org", "not a name")]
    reply = client.post(f"{ROOT}/{number}/domain", {"domains": names})
    assert (reply.status, reply.json) == (200, {"notAddedDomains": ["b.example.org", "not a name"]})
    again = client.post(f"{ROOT}/{number}/domain", {"domains": names[:1]})
    assert again.json == {"notAddedDomains": ["a.limited.example"]}
    assert [row["name"] for row in client.get(f"{ROOT}/{number}/domain").json] == ["a.limited.example"]
    assert client.get(f"{ROOT}/{number}/domain?name=%5Eb").json == []
    gone = client.call("DELETE", f"{ROOT}/{number}/domain", {"domains": names[:2]})
    assert (gone.status, gone.json) == (200, {"notRemovedDomains": ["b.example.org"]})


@pytest.mark.parametrize("body", [{}, {"domains": []}, {"domains": [{}]}, {"domains": ["a.example.org"]}])
def test_domains_are_objects_with_names(client: Client, body: dict[str, object]) -> None:
    number = create(client)
    assert client.post(f"{ROOT}/{number}/domain", body).status == 400


def test_clients_are_listed_and_deactivated(sandbox: Running, client: Client) -> None:
    number = create(client)
    path = sandbox.directory / "acme.json"
    state = json.loads(path.read_text())
    state["accounts"][-1]["clients"] = [{"id": 7, "accountId": "a7", "userAgent": "certbot", "ipAddress": "192.0.2.1",
                                         "status": "valid", "lastActivity": "2026-11-01T00:00:00.000Z", "contacts": ""}]
    path.write_text(json.dumps(state))
    assert [row["id"] for row in client.get(f"{ROOT}/{number}/client").json] == [7]
    assert client.call("PUT", f"{ROOT}/{number}/client/8").status == 404
    assert client.call("PUT", f"{ROOT}/{number}/client/7").status == 204
    assert client.get(f"{ROOT}/{number}/client").json[0]["status"] == "deactivated"


def test_accounts_are_kept_and_no_key_is_logged(fresh: object) -> None:
    first = fresh(name="kept")  # type: ignore[operator]
    client = Client(first)
    number = create(client)
    key = client.get(f"{ROOT}/{number}").json["macKey"]
    first.stop()
    assert key not in (first.directory / "log.jsonl").read_text()
    again = Client(fresh(name="kept"))  # type: ignore[operator]
    assert again.get(f"{ROOT}/{number}").json["macKey"] == key


def test_organization_details_say_which_apis_are_enabled(client: Client) -> None:
    shown = client.get("/organization/v1/104").json
    assert (shown["sslCertsApiEnabled"], shown["clientCertsApiEnabled"]) == (False, False)
    assert client.get("/organization/v1/203").json["parentName"] == "Sandbox Org"
    assert client.get("/organization/v1/106").code == -1023
