"""ACME accounts (`/acme/v2/account`): names with a pair for external account binding, and domains.

They lie in `acme.json`, which people may edit while the sandbox runs. No ACME is spoken here.
"""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import Any

import listing
from errors import ScmError, bad_field, missing
from fields import Body, check_name
from files import JsonFile
from message import Reply, json_reply, no_content

KINDS = ("DV", "OV", "EV")
SERVERS = {"Sandbox DV": "DV", "Sandbox OV": "OV", "Sandbox EV": "EV"}
VALID_UNTIL = "2027-06-30T00:00:00.000Z"
FIRST = 100


class Accounts:
    """The ACME accounts of a directory."""

    def __init__(self, directory: Path) -> None:
        self._file = JsonFile(directory / "acme.json", {"next": FIRST, "accounts": []})

    def all(self) -> list[dict[str, Any]]:
        return self._file.read()["accounts"]

    def save(self) -> None:
        self._file.write(self._file.read())

    def add(self, values: dict[str, Any]) -> int:
        state = self._file.read()
        number = state["next"]
        state["accounts"].append({"id": number, **values})
        self._file.write({"next": number + 1, "accounts": state["accounts"]})
        return number

    def remove(self, number: int) -> None:
        state = self._file.read()
        left = [row for row in state["accounts"] if row["id"] != number]
        self._file.write({**state, "accounts": left})


def not_found() -> ScmError:
    error = ScmError(-5101, status=404)
    error.description = "The ACME account was not found"
    return error


def visible(api: Any, call: Any) -> list[dict[str, Any]]:
    orgs = {row["id"] for row in api.organizations(call)}
    return [row for row in api.acme.all() if row["organizationId"] in orgs]


def account(api: Any, call: Any) -> dict[str, Any]:
    """The account of the id in the path."""
    number = call.id()
    for row in visible(api, call):
        if row["id"] == number:
            return row
    raise not_found()


def shown(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in ("domains", "clients")}


def page(call: Any, rows: list[Any]) -> Reply:
    """One page of rows, by offset, and how many there are."""
    request = call.request
    size = listing.number(request.parameter("size") or str(listing.DEFAULT_SIZE), "size")
    start = listing.number(request.parameter("position") or "0", "position")
    if size > listing.MAX_SIZE:
        raise bad_field("size")
    return json_reply(rows[start:start + size], 200, ("X-Total-Count", str(len(rows))))


def organization_filter(text: str) -> tuple[int, bool]:
    """105 is an organization with its departments, "105,-2" without."""
    found = re.fullmatch(r"([0-9]{1,18})(,-2)?", text)
    if not found:
        raise bad_field("organizationId")
    return int(found[1]), found[2] is None


def account_list(api: Any, call: Any) -> Reply:
    rows = visible(api, call)
    text = call.request.parameter("organizationId")
    if text is not None:
        wanted, departments = organization_filter(text)
        orgs = {row["id"] for row in api.organizations(call)
                if row["id"] == wanted or (departments and row.get("parentId") == wanted)}
        rows = [row for row in rows if row["organizationId"] in orgs]
    for name in ("name", "acmeServer", "certValidationType", "status"):
        wanted_text = call.request.parameter(name)
        if name == "certValidationType" and wanted_text not in (None, *KINDS):
            raise bad_field(name)
        if wanted_text is not None:
            rows = [row for row in rows if row[name] == wanted_text]
    return page(call, [shown(row) for row in rows])


def wanted_organization(api: Any, call: Any) -> int:
    call.body.require("organizationId")
    number = call.body.integer("organizationId") or 0
    if number < 1:
        raise bad_field("organizationId")
    if number not in {row["id"] for row in api.organizations(call)}:
        raise ScmError(-1023)
    return number


def account_create(api: Any, call: Any) -> Reply:
    body = call.body
    org = wanted_organization(api, call)
    name = body.text("name", 1, 128)
    server = body.text("acmeServer", 1, 1024)
    if name is None or server is None:
        raise missing("name" if name is None else "acmeServer")
    if server not in SERVERS:
        raise bad_field("acmeServer")
    kind = body.word("certValidationType", KINDS)
    if kind not in (None, SERVERS[server]):
        raise bad_field("certValidationType")
    number = api.acme.add({
        "name": name, "acmeServer": server, "organizationId": org, "status": "pending",
        "certValidationType": SERVERS[server], "macId": secrets.token_urlsafe(16),
        "macKey": secrets.token_urlsafe(64), "accountId": f"sandbox-{secrets.token_hex(8)}",
        "validationId": body.text("validationId") or "", "domains": [], "clients": []})
    return Reply(201, b"", None, [("Location", f"{api.url}/api/acme/v2/account/{number}")])


def account_details(api: Any, call: Any) -> Reply:
    return json_reply(shown(account(api, call)))


def account_rename(api: Any, call: Any) -> Reply:
    row = account(api, call)
    call.body.require("name")
    row["name"] = call.body.text("name", 1, 128)
    api.acme.save()
    return Reply(200)


def account_delete(api: Any, call: Any) -> Reply:
    api.acme.remove(account(api, call)["id"])
    return no_content()


def domain_list(api: Any, call: Any) -> Reply:
    names = account(api, call)["domains"]
    pattern = call.request.parameter("name")
    if pattern is not None:
        names = [name for name in names if re.search(pattern, name)]
    return page(call, [{"name": name, "validUntil": VALID_UNTIL, "stickyUntil": VALID_UNTIL,
                        "validationId": ""} for name in names])


def domain_names(body: Body) -> list[str]:
    body.require("domains")
    names = [Body(item).text("name", 1, 1024) for item in body.objects("domains")]
    if not names or None in names:
        raise missing("domains.name")
    return [name for name in names if name is not None]


def may_add(api: Any, row: dict[str, Any], name: str) -> bool:
    """Whether a domain is one, is not there yet, and is the organization's."""
    try:
        plain = check_name(name)
    except ScmError:
        return False
    allowed = (api.settings.organization(row["organizationId"]) or {}).get("domains")
    ours = allowed is None or any(plain == d or plain.endswith("." + d) for d in allowed)
    return ours and plain not in row["domains"]


def domain_add(api: Any, call: Any) -> Reply:
    row, left = account(api, call), []
    for name in domain_names(call.body):
        if may_add(api, row, name):
            row["domains"].append(name.lower())
        else:
            left.append(name)
    api.acme.save()
    return json_reply({"notAddedDomains": left} if left else {})


def domain_remove(api: Any, call: Any) -> Reply:
    row, left = account(api, call), []
    for name in domain_names(call.body):
        if name.lower() in row["domains"]:
            row["domains"].remove(name.lower())
        else:
            left.append(name)
    api.acme.save()
    return json_reply({"notRemovedDomains": left} if left else {})


def client_list(api: Any, call: Any) -> Reply:
    return page(call, account(api, call)["clients"])


def client_deactivate(api: Any, call: Any) -> Reply:
    for row in account(api, call)["clients"]:
        if call.params["client"] in (str(row.get("id")), row.get("accountId")):
            row["status"] = "deactivated"
            api.acme.save()
            return no_content()
    raise not_found()
