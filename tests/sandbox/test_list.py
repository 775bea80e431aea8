"""Lists, filters, paging, the report, and the small read-only endpoints."""

from __future__ import annotations

import time

import pytest

from support import Client, Running, csr


@pytest.fixture(scope="module")
def five(shared: Running) -> list[int]:
    """Five orders of one requester; the third is revoked."""
    shared.control("DELETE", "/behaviours")
    client = Client(shared)
    made = [client.enroll(csr=csr(f"n{i}.list.example"), externalRequester="five@list.example",
                          comments=f"five {i}") for i in range(5)]
    client.status(made[2])
    client.post(f"/ssl/v1/revoke/{made[2]}", {"reasonCode": 1, "reason": "x"})
    return made


QUERY = "/ssl/v1?externalRequester=five@list.example"


def ids(client: Client, query: str = "") -> list[int]:
    reply = client.get(QUERY + query)
    assert reply.status == 200, reply.data
    return [row["sslId"] for row in reply.json]


def test_list_has_rows_and_total(client: Client, five: list[int]) -> None:
    reply = client.get(QUERY)
    assert [row["sslId"] for row in reply.json] == five
    assert reply.headers["X-Total-Count"] == "5"
    assert set(reply.json[0]) == {"sslId", "commonName", "subjectAlternativeNames",
                                  "serialNumber"}


def test_head_counts(client: Client, five: list[int]) -> None:
    reply = client.call("HEAD", QUERY)
    assert (reply.status, reply.data, reply.headers["X-Total-Count"]) == (200, b"", "5")


def test_paging_by_row_offset(client: Client, five: list[int]) -> None:
    assert ids(client, "&size=2&position=0") == five[:2]
    assert ids(client, "&size=2&position=3") == five[3:]
    assert ids(client, "&size=2&position=5") == []


def test_size_is_capped(sandbox: Running, client: Client, five: list[int]) -> None:
    assert ids(client, "&size=100000") == five


@pytest.mark.parametrize("query", ["&size=x", "&size=-1", "&position=-1", "&status=Nonsense",
                                   "&orgId=x", "&sha1Hash=" + "a" * 41])
def test_bad_parameters(client: Client, five: list[int], query: str) -> None:
    reply = client.get(QUERY + query)
    assert (reply.status, reply.code) == (400, -1601)


@pytest.mark.parametrize("query, which", [
    ("&commonName=n1.list.example", [1]), ("&commonName=n1.list", []),
    ("&subjectAlternativeName=n4.list.example", [4]), ("&status=Revoked", [2]),
    ("&status=Issued", [0, 1, 3, 4]), ("&status=SA%20Approved", []), ("&status=Unmanaged", []),
    ("&sslTypeId=1013", [0, 1, 2, 3, 4]), ("&sslTypeId=1015", []), ("&orgId=103", [0, 1, 2, 3, 4]),
    ("&orgId=203", []), ("&requester=nobody", []), ("&keyAlgorithm=RSA", []),
    ("&keyAlgorithm=EC&keyParam=P-256", [0, 1, 2, 3, 4]), ("&issuer=Sandbox+OV", [0, 1, 2, 3, 4]),
    ("&issuer=Nobody", []), ("&unknownFilter=1", [0, 1, 2, 3, 4]),
    ("&keyUsage=keyEncipherment", []), ("&keyUsage=digitalSignature", [0, 1, 2, 3, 4]),
    ("&extendedKeyUsage=serverAuth", [0, 1, 2, 3, 4]), ("&renewalStatus=SCHEDULED", []),
    ("&renewalStatus=NOT_SCHEDULED", [0, 1, 2, 3, 4])])
def test_filters(client: Client, five: list[int], query: str, which: list[int]) -> None:
    assert ids(client, query) == [five[i] for i in which]


def test_filter_by_serial_and_hash(client: Client, five: list[int]) -> None:
    shown = client.details(five[3])
    assert ids(client, "&serialNumber=" + shown["serialNumber"].replace(":", "")) == [five[3]]
    for name in ("sha1Hash", "md5Hash", "sha256Hash"):
        value = shown["certificateDetails"][name]
        assert ids(client, f"&{name}={value.upper()}") == [five[3]]


@pytest.mark.parametrize("value, query, count", [
    ("exact", "N1.LIST.example", 0), ("icase", "N1.LIST.example", 1),
    ("substring", ".list.exa", 5), ("exact", ".list.exa", 0)])
def test_cn_filter(sandbox: Running, client: Client, five: list[int], value: str, query: str,
                   count: int) -> None:
    sandbox.set(cn_filter=value)
    assert len(ids(client, "&commonName=" + query)) == count


# --- quirks

def test_list_total_missing_and_wrong(sandbox: Running, client: Client, five: list[int]) -> None:
    sandbox.set(list_total="missing")
    assert client.get(QUERY).headers["X-Total-Count"] is None
    sandbox.set(list_total="wrong")
    assert client.get(QUERY).headers["X-Total-Count"] != "5"


def test_list_duplicates(sandbox: Running, client: Client, five: list[int]) -> None:
    sandbox.set(list_duplicates=True)
    pages = [ids(client, f"&size=3&position={p}") for p in (0, 3, 6, 9)]
    rows = [number for page in pages for number in page]
    assert len(rows) == 8 and list(dict.fromkeys(rows)) == five


def test_list_size_ignored(sandbox: Running, client: Client, five: list[int]) -> None:
    sandbox.set(list_size="ignore")
    assert ids(client, "&size=2") == five


def test_list_order(sandbox: Running, client: Client, five: list[int]) -> None:
    sandbox.set(list_order="desc")
    assert ids(client) == five[::-1]


def test_list_lag(sandbox: Running, client: Client) -> None:
    sandbox.set(list_lag_s=0.6)
    name = f"lag{time.time_ns()}.list.example"
    number = client.enroll(csr=csr(name))
    assert client.get("/ssl/v1?commonName=" + name).json == []
    assert client.post("/report/v1/ssl-certificates", {"commonName": name}).json["reports"] == []
    assert client.status(number) == "Issued"
    time.sleep(0.7)
    assert len(client.get("/ssl/v1?commonName=" + name).json) == 1


# --- report

def report(client: Client, **body) -> list[dict]:
    reply = client.post("/report/v1/ssl-certificates", body)
    assert reply.status == 200 and reply.json["statusCode"] == 0, reply.data
    assert reply.headers["Content-Disposition"].startswith("attachment")
    return reply.json["reports"]


def test_report_rows_carry_comments(client: Client, five: list[int]) -> None:
    rows = report(client, externalRequester="five@list")
    assert [row["id"] for row in rows] == five
    assert rows[4]["comments"] == "five 4" and rows[4]["organizationName"] == "Sandbox Org"
    assert rows[0]["requested"].endswith("Z") and rows[0]["subjAltNames"] == "n0.list.example"


@pytest.mark.parametrize("body, count", [
    ({"certificateStatus": 3}, 1), ({"certificateStatus": "2"}, 4), ({"certificateStatus": 0}, 5),
    ({"organizationIds": [103]}, 5), ({"organizationIds": [203]}, 0),
    ({"commonName": "n?.list.*"}, 5), ({"commonName": "N1.list"}, 1),
    ({"externalRequester": "FIVE@"}, 0), ({"certificateRequestSource": 12}, 5),
    ({"certificateRequestSource": 3}, 0),
    ({"certificateDateAttribute": 4, "from": "2001-01-01", "to": "2001-12-31"}, 0),
    ({"certificateDateAttribute": 4, "from": "2001-01-01"}, 5),
    ({"certificateDateAttribute": 2, "from": "2001-01-01T00:00:00Z"}, 1)])
def test_report_selects(client: Client, five: list[int], body: dict, count: int) -> None:
    assert len(report(client, **{"externalRequester": "five@list", **body})) == count


def test_report_today(client: Client, five: list[int]) -> None:
    today = time.strftime("%Y-%m-%d", time.gmtime())
    before = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 86400))
    rows = report(client, certificateDateAttribute=4, externalRequester="five@", to=today,
                  **{"from": before})
    assert len(rows) == 5


@pytest.mark.parametrize("body, code", [
    ({"commonName": "<x>"}, -1601), ({"certificateStatus": 9}, -1601),
    ({"certificateDateAttribute": 1}, -1601), ({"organizationIds": "103"}, -1002),
    ({"from": "yesterday"}, -1002)])
def test_report_refused(client: Client, body: dict, code: int) -> None:
    reply = client.post("/report/v1/ssl-certificates", body)
    assert (reply.status, reply.code) == (400, code)


def test_report_output_type(client: Client) -> None:
    path = "/report/v1/ssl-certificates?output_type="
    assert client.post(path + "direct", {}).status == 200
    assert client.post(path + "fax", {}).status == 400


# --- read-only endpoints

def test_types(client: Client) -> None:
    rows = {row["id"]: row for row in client.get("/ssl/v1/types").json}
    assert rows[1013]["terms"] == [199, 365] and rows[1013]["keyTypes"]["EC"][0] == "P-256"
    assert set(rows[1013]) == {"id", "name", "description", "terms", "keyTypes",
                               "useSecondaryOrgName"}
    assert len(rows) >= 5


def test_types_of_an_organization(sandbox: Running, client: Client) -> None:
    profiles = sandbox.control("GET", "/settings")["profiles"]
    profiles[0]["organizations"] = [203]
    sandbox.control("POST", "/settings", {"profiles": profiles})
    of = {org: [row["id"] for row in client.get(f"/ssl/v1/types?organizationId={org}").json]
          for org in (103, 203, 106)}
    assert 1013 in of[203] and 1013 not in of[103] and of[106] == []
    assert client.refused() == -39


def test_custom_fields(client: Client) -> None:
    assert client.get("/ssl/v1/customFields").json[0] == {
        "id": 1, "name": "Cost Centre", "mandatory": False}
    row = client.get("/customField/v2?certType=SSL").json[2]
    assert row["input"] == {"type": "TEXT_OPTION", "options": ["test", "production"]}
    assert client.get("/customField/v2?certType=SMIME").json == []
    assert client.get("/customField/v2?certType=x").status == 400


def test_organizations(client: Client) -> None:
    rows = client.get("/organization/v1").json
    assert rows[0] == {"id": 103, "name": "Sandbox Org", "departments": [
        {"id": 203, "name": "Sandbox Department", "parentName": "Sandbox Org"}]}
    assert 106 not in [row["id"] for row in rows]


def test_organization_details(client: Client) -> None:
    shown = client.get("/organization/v1/103").json
    assert shown["sslCertsApiEnabled"] is True and shown["country"] == "GB"
    assert client.get("/organization/v1/104").json["sslCertsApiEnabled"] is False
    assert client.get("/organization/v1/203").json["parentId"] == 103
    assert client.get("/organization/v1/106").status == 404


def test_password_state(client: Client) -> None:
    assert client.get("/admin/v1/password").json["state"] == "NEVER_EXPIRE"


def test_unknown_path_and_method(client: Client) -> None:
    for path in ("/nothing", "/ssl/v3", "/ssl/v1/", "/cscert/v1"):
        reply = client.get(path)
        assert reply.status == 404 and "description" in reply.json
    reply = client.call("DELETE", "/ssl/v1/types")
    assert (reply.status, reply.headers["Allow"]) == (405, "GET")


def test_path_outside_the_api(client: Client) -> None:
    reply = client.get("/", root="")
    assert reply.status == 404 and "description" in reply.json
    assert client.get("/ssl/v1", root="/api/private").status == 404


def test_orders_of_foreign_organizations_are_not_seen(sandbox: Running, client: Client,
                                                      five: list[int]) -> None:
    accounts = sandbox.directory / "accounts.json"
    before = accounts.read_text()
    accounts.write_text(before.replace("103,", ""))
    try:
        assert client.get(f"/ssl/v1/{five[0]}").status == 404
        assert ids(client) == []
    finally:
        accounts.write_text(before)
