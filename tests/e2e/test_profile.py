"""Profiles that pull everything together; several CAs and organizations; the catalog; organizations."""

from __future__ import annotations

import pytest
from p11e import Client


def keys(client: Client) -> int:
    return len(client.json("key", "list")["keys"])


def body_of_order(client: Client) -> dict[str, object]:
    assert client.sandbox is not None
    return next(r["body"] for r in client.sandbox.requests() if r["method"] == "POST" and "enroll" in r["path"])


def test_a_profile_and_a_name_are_enough(client: Client) -> None:
    done = client.json("enroll", "--profile", "web", "--cn", "www.example.org")
    assert done["state"] == "done" and done["names"] == "www.example.org"


def test_the_cn_is_the_first_of_the_names(client: Client) -> None:
    done = client.json("enroll", "-n", "b.example.org", "--cn", "a.example.org", "-n", "c.example.org")
    assert done["names"] == "a.example.org,b.example.org,c.example.org"


def test_without_a_name_it_says_so(client: Client) -> None:
    assert "--cn or --name is missing" in client.run("enroll", status=2).stderr


def test_the_ca_section_has_defaults_for_profiles_that_say_nothing(client: Client) -> None:
    client.set("profile:web", product=None, term=None)
    client.set("ca:sandbox", product="1019", term="90", requester="pki@example.org")
    client.run("enroll", "--cn", "www.example.org")
    body = body_of_order(client)
    assert (body["certType"], body["term"], body["externalRequester"]) == (1019, 90, "pki@example.org")


def test_the_profile_goes_before_the_ca_section(client: Client) -> None:
    client.set("profile:web", product="1013", term="365", external_requester="web@example.org", org_id="203")
    client.set("ca:sandbox", product="1019", term="90", requester="pki@example.org")
    client.run("enroll", "--cn", "www.example.org")
    body = body_of_order(client)
    assert (body["certType"], body["term"], body["externalRequester"], body["orgId"]) == (1013, 365, "web@example.org", 203)


def test_the_option_goes_before_the_profile(client: Client) -> None:
    client.set("profile:web", org_id="203")
    client.run("enroll", "--cn", "www.example.org", "--org-id", "103")
    assert body_of_order(client)["orgId"] == 103


def test_the_key_policy_of_the_ca_section_holds(client: Client) -> None:
    client.set("profile:web", policy=None, key_type=None)
    client.set("ca:sandbox", policy="curve")
    client.set("policy:curve", type="ec:P-384")
    assert client.json("enroll", "--cn", "www.example.org")["key_type"] == "EC P-384"


def test_several_cas_each_with_its_own_login(client: Client) -> None:
    assert client.sandbox is not None
    client.set("ca:other", **{**client.settings["ca:sandbox"], "auth": "password", "client_cert": None, "client_alias": None,
                              "client_password_source": None, "login": "sandbox-approver", "org_id": "203",
                              "password_source": f"file:{client.sandbox.dir / 'approver-password.txt'}"})
    client.set("profile:web", ca="sandbox")
    client.set("profile:other", **{**client.settings["profile:web"], "ca": "other"})
    client.run("enroll", "--profile", "web", "--cn", "www.example.org")
    client.run("enroll", "--profile", "other", "--cn", "www.example.org")
    sent = [(r["auth"], r["login"], r["body"]["orgId"]) for r in client.sandbox.requests()
            if r["method"] == "POST" and "enroll" in r["path"]]
    assert sent == [("certificate", "sandbox-admin", 103), ("password", "sandbox-approver", 203)]


@pytest.mark.parametrize("catalog", ["1019", "Sandbox OV Once", "9999, sandbox ov once"])
def test_what_is_in_the_catalog_may_be_ordered(client: Client, catalog: str) -> None:
    client.set("ca:sandbox", catalog=catalog)
    assert client.json("enroll", "--cn", "www.example.org", "--product", "1019", "--term", "90")["state"] == "done"


def test_what_is_not_in_the_catalog_is_refused_before_a_key_is_made(client: Client) -> None:
    assert client.sandbox is not None
    client.set("ca:sandbox", catalog="1017, 1019")
    done = client.run("enroll", "--cn", "www.example.org", "--product", "1013", status=28)
    assert "'Sandbox OV SSL' is not in the catalog of [ca:sandbox], which has: 1017, 1019" in done.stderr
    assert keys(client) == 0 and client.sandbox.posts() == 0 and client.json("order", "list")["orders"] == []


def test_a_catalog_entry_that_the_account_has_not_is_warned_of(client: Client) -> None:
    client.set("ca:sandbox", catalog="Sandbx OV, 1013")
    assert "names 'Sandbx OV', which this account has not" in client.run("enroll", "--cn", "www.example.org",
                                                                         "--product", "1013").stderr


def test_organizations_are_listed_with_their_departments(client: Client) -> None:
    rows = client.json("org", "list")["organizations"]
    found = {r["organization"]: (r["name"], r["parent"], r["parent_number"]) for r in rows}
    assert found[103] == ("Sandbox Org", None, None) and found[203] == ("Sandbox Department", "Sandbox Org", 103)
    assert 106 not in found


def test_one_organization_is_shown(client: Client) -> None:
    shown = client.json("org", "show", "104")
    assert (shown["name"], shown["ssl_api"]) == ("Sandbox Org Without API", "switched off")
    assert client.json("org", "show")["organization"] == 103
    assert client.json("org", "show", "203")["parent"] == "Sandbox Org"


def test_an_unknown_organization_is_told(client: Client) -> None:
    assert "(code -1023)" in client.run("org", "show", "4711", status=15).stderr
    assert "'x' is not the number" in client.run("org", "show", "x", status=2).stderr


@pytest.mark.parametrize(("org", "status", "says"), [
    ("104", 43, "organization 104 'Sandbox Org Without API' has orders over the API switched off"),
    ("4711", 3, "organization 4711 is none that this account sees"), ("0", 3, "the organization is not configured")])
def test_an_organization_that_cannot_order_is_refused_before_a_key_is_made(client: Client, org: str, status: int, says: str) -> None:
    client.set("ca:sandbox", org_id=org)
    assert says in client.run("enroll", "--cn", "www.example.org", status=status).stderr
    assert keys(client) == 0


def test_an_account_that_may_not_read_organizations_can_order(client: Client) -> None:
    assert client.sandbox is not None
    client.sandbox.once("GET", "/organization/v1/103", fail_status=403)
    done = client.run("enroll", "--cn", "www.example.org")
    assert "organization 103 could not be looked at" in done.stderr
