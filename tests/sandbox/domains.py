"""Domains, their delegation and their validation: /domain/v1 and /dcv."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import details
import fields
import listing
import look
from errors import ScmError, bad_field, missing
from files import JsonFile
from message import Reply, json_reply

if TYPE_CHECKING:
    from scm import Api, Call

VALID_DAYS = 198
METHODS = ("cname", "txt", "http", "https", "email")
RESULTS = {"cname": "CNAME_CSR_HASH", "txt": "DNSTXT_RANDOM_VALUE", "http": "HTTP_CSR_HASH", "https": "HTTPS_CSR_HASH", "email": "EMAIL"}
SPELLINGS = {"VALIDATED": "Validated", "NOT_VALIDATED": "Not validated", "EXPIRED": "Expired", "NOT_INITIATED": "Not initiated",
             "AWAITING_SUBMISSION": "Awaiting submission", "SUBMITTED": "Submitted", "REJECTED": "Rejected"}
NEW_ORDER: dict[str, Any] = {"status": "NOT_INITIATED", "method": None, "record": {}, "checks": 0}


def domain(number: int, name: str, org: int | None, **more: Any) -> dict[str, Any]:
    delegations = [] if org is None else [{"orgId": org, "certTypes": ["SSL", "SMIME"], "status": "ACTIVE",
                                           "domainCertificateRequestPrivileges": ["DOMAIN", "SUBDOMAIN"]}]
    return {"id": number, "name": name, "state": "ACTIVE", "delegationStatus": "ACTIVE", "delegations": delegations,
            "status": "NOT_VALIDATED", "method": None, "validated": None, "expires": None, "order": dict(NEW_ORDER), **more}


def start_set() -> list[dict[str, Any]]:
    today = date.today()
    return [
        domain(501, "sandbox.example", 103, status="VALIDATED", method="CNAME_CSR_HASH", validated=str(today - timedelta(days=20)),
               expires=str(today + timedelta(days=178))),
        domain(502, "soon.example", 103, status="VALIDATED", method="EMAIL", validated=str(today - timedelta(days=193)),
               expires=str(today + timedelta(days=5))),
        domain(503, "expired.example", 103, status="EXPIRED", method="HTTP_CSR_HASH", validated=str(today - timedelta(days=400)),
               expires=str(today - timedelta(days=2))),
        domain(504, "open.example", 103),
        domain(505, "*.open.example", 103),
        domain(506, "requested.example", 103, delegationStatus="REQUESTED"),
        domain(507, "inactive.example", 103, state="SUSPENDED"),
        domain(508, "nobody.example", None),
        domain(509, "limited.example", 105),
        domain(510, "foreign.example", 106),
    ]


@dataclass
class Domains:
    """The domains of a directory."""

    directory: Path

    def __post_init__(self) -> None:
        self._file = JsonFile(self.directory / "domains.json", start_set())

    def all(self) -> list[dict[str, Any]]:
        return self._file.read()

    def save(self) -> None:
        self._file.write(self.all())

    def add(self, name: str, org: int | None, **more: Any) -> dict[str, Any]:
        rows = self.all()
        if any(row["name"] == name for row in rows):
            raise ScmError(-700, name)
        row = domain(max((row["id"] for row in rows), default=500) + 1, name, org, **more)
        self._file.write([*rows, row])
        return row


def visible(api: Api, call: Call) -> list[dict[str, Any]]:
    """The domains that an admin sees: those of nobody, and of the own organizations."""
    orgs = {row["id"] for row in api.organizations(call)}
    return [row for row in api.domains.all()
            if not row["delegations"] or any(d["orgId"] in orgs for d in row["delegations"])]


def page(call: Call, rows: list[dict[str, Any]]) -> Reply:
    """Part of a list, as the switches of group list want it."""
    rows = listing.repeat(rows) if call.b.list_duplicates else rows
    return json_reply(listing.page(rows, call.request, call.b), 200, *listing.total_header(len(rows), call.b))


def spelled(word: str, call: Call) -> str:
    """A status word; version 1 of the validation has spellings of its own."""
    old = call.request.path.find("/dcv/v1/") >= 0 if call.b.dcv_spelling == "auto" else call.b.dcv_spelling == "v1"
    return word if old else SPELLINGS[word]


# --- /domain/v1

def in_words(row: dict[str, Any], call: Call) -> bool:
    get = call.request.parameter
    name, state, status, org = get("name"), get("state"), get("status"), get("orgId")
    delegated = "requested" if row["delegationStatus"] == "REQUESTED" else "approved"
    return ((name is None or name.lower() in row["name"]) and (state is None or (state == "active") == (row["state"] == "ACTIVE"))
            and (status is None or status.lower() == delegated)
            and (org is None or any(d["orgId"] == listing.number(org, "orgId") for d in row["delegations"])))


def domain_list(api: Api, call: Call) -> Reply:
    return page(call, [{"id": details.show_id(row["id"], call.b), "name": row["name"]}
                       for row in visible(api, call) if in_words(row, call)])


def domain_details(api: Api, call: Call) -> Reply:
    number = call.id()
    for row in visible(api, call):
        if row["id"] == number:
            return json_reply(details.present({
                "id": details.show_id(number, call.b), "name": row["name"], "delegationStatus": row["delegationStatus"],
                "state": row["state"], "validationStatus": spelled(row["status"], call), "validationMethod": row["method"],
                "dcvValidation": row["validated"], "dcvExpiration": row["expires"], "ctLogMonitoring": {"enabled": False},
                "delegations": row["delegations"]}))
    raise ScmError(-727, number, status=404)


def domain_create(api: Api, call: Call) -> Reply:
    call.body.require("name")
    name = fields.check_name(call.body.text("name", 4, 255) or "")
    orgs = call.body.objects("delegations")
    row = api.domains.add(name, orgs[0].get("orgId") if orgs else None)
    return Reply(201, b"", None, [("Location", f"{api.url}/api/domain/v1/{row['id']}")])


# --- /dcv

def named(api: Api, call: Call) -> dict[str, Any]:
    """The domain of a request's body that may be validated."""
    if call.b.dcv_refuse != "none":
        raise ScmError(int(call.b.dcv_refuse), "DCV validation" if call.b.dcv_refuse == "-3" else "the domain")
    if not call.admin.allowed("allowDCV"):
        raise ScmError(-3, "DCV validation")
    call.body.require("domain")
    name = (call.body.text("domain", 3, 255) or "").lower()
    for row in visible(api, call):
        if row["name"] == name:
            if row["state"] != "ACTIVE":
                raise ScmError(-715, name)
            return row
    if name.removeprefix("*.").count(".") > 1:
        raise ScmError(-723, name)
    raise ScmError(-727, name)


def dcv_fits(row: dict[str, Any], call: Call) -> bool:
    get = call.request.parameter
    name, status, order, days = get("domain"), get("dcvStatus"), get("orderStatus"), get("expiresIn")
    orgs = [listing.number(text, what) for what in ("org", "department") for text in [get(what)] if text is not None]
    if days is not None:
        end = date.today() + timedelta(days=listing.number(days, "expiresIn"))
        if row["expires"] is None or not str(date.today()) <= row["expires"] <= str(end):
            return False
    return ((name is None or name.lower() in row["name"]) and (status is None or status.upper().replace(" ", "_") == row["status"])
            and (order is None or order.upper().replace(" ", "_") == row["order"]["status"])
            and all(any(d["orgId"] == org for d in row["delegations"]) for org in orgs))


def dcv_list(api: Api, call: Call) -> Reply:
    return page(call, [details.present({
        "domain": row["name"], "dcvStatus": spelled(row["status"], call), "dcvOrderStatus": spelled(row["order"]["status"], call),
        "dcvMethod": row["method"], "dcvOrderMethod": (row["order"]["method"] or "").upper() or None,
        "expirationDate": row["expires"]}) for row in visible(api, call) if dcv_fits(row, call)])


def iso(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def is_published(row: dict[str, Any], b: SimpleNamespace) -> bool:
    """Whether what has to be seen is there; without a server to ask, it is believed."""
    record, method = row["order"]["record"], row["order"]["method"]
    if method in ("cname", "txt") and b.dcv_dns:
        return look.has_record(b.dcv_dns, record["host"], method.upper(), record["point"])
    if method in ("http", "https") and b.dcv_web:
        return look.has_file(b.dcv_web, record["url"], [record["firstLine"], record["secondLine"]])
    return True


def advance(api: Api, row: dict[str, Any], b: SimpleNamespace) -> None:
    """A look of the CA at a validation under way."""
    order = row["order"]
    if order["status"] != "SUBMITTED":
        return
    order["checks"] += 1
    order["lastCheck"] = iso(datetime.now(timezone.utc))
    if order["checks"] > b.dcv_polls and b.dcv_result != "stuck":
        if b.dcv_result == "reject":
            order["status"] = "REJECTED"
        elif is_published(row, b):
            today = date.today()
            row.update(status="VALIDATED", method=RESULTS[order["method"]], validated=str(today),
                       expires=str(today + timedelta(days=VALID_DAYS)), order=dict(NEW_ORDER))
    api.domains.save()


def status_json(row: dict[str, Any], call: Call) -> dict[str, Any]:
    order = row["order"]
    shown = {"status": spelled(row["status"], call), "orderStatus": spelled(order["status"], call), "validationDate": row["validated"],
             "expirationDate": row["expires"], "orderMode": (order["method"] or "").upper() or None, **order["record"],
             "validationEmail": order.get("email"), "orderBackendId": order.get("backend"), "submittedDate": order.get("submitted"),
             "lastCheck": order.get("lastCheck"), "nextCheck": order.get("lastCheck")}
    return details.present(shown)


def dcv_status(api: Api, call: Call) -> Reply:
    row = named(api, call)
    advance(api, row, call.b)
    return json_reply(status_json(row, call))


def dcv_sync(api: Api, call: Call) -> Reply:
    row = named(api, call)
    advance(api, row, call.b)
    return json_reply(status_json(row, call) if call.b.dcv_sync == "full" else {"status": spelled(row["status"], call)})


def outcome(row: dict[str, Any], message: str, call: Call) -> dict[str, Any]:
    shown = {"status": spelled(row["status"], call), "orderStatus": spelled(row["order"]["status"], call), "message": message}
    return {**shown, **({"orderBackendId": row["order"]["backend"]} if row["order"].get("backend") else {})}


def dcv_clear(api: Api, call: Call) -> Reply:
    row = named(api, call)
    row["order"] = dict(NEW_ORDER)
    api.domains.save()
    return json_reply(outcome(row, f"DCV status: {row['status']}; DCV order status: NOT_INITIATED", call))


def make_record(name: str, method: str) -> dict[str, str]:
    base = name.removeprefix("*.")
    md5 = secrets.token_hex(16)
    sha = hashlib.sha256(md5.encode()).hexdigest()
    if method == "cname":
        return {"host": f"_{md5}.{base}.", "point": f"{sha[:32]}.{sha[32:]}.sectigo.com."}
    if method == "txt":
        return {"host": f"_pki-validation.{base}.", "point": f'{sha[:20]}"\\|%;{sha[20:28]}'}    # signs that need escaping
    return {"url": f"{method}://{base}/.well-known/pki-validation/{md5.upper()}.txt", "firstLine": sha, "secondLine": "sectigo.com"}


def method_of(call: Call) -> str:
    method = call.params["method"]
    if method not in METHODS:
        raise bad_field("method")
    return method


def addresses(name: str) -> list[str]:
    return [f"{user}@{name.removeprefix('*.')}" for user in ("admin", "administrator", "hostmaster", "postmaster", "webmaster")]


def dcv_start(api: Api, call: Call) -> Reply:
    row, method = named(api, call), method_of(call)
    if method == "txt":
        return json_reply({"message": "Not supported"})
    if row["order"]["status"] == "SUBMITTED":
        raise ScmError(-724)
    row["order"] = {**NEW_ORDER, "status": "AWAITING_SUBMISSION", "method": method,
                    "record": {} if method == "email" else make_record(row["name"], method)}
    api.domains.save()
    if method == "email":
        mine = addresses(row["name"])
        return json_reply({"emails": mine, "dcvEmails": [{"domainName": row["name"], "whoisEmails": [f"owner@{row['name']}"],
                                                          "adminEmails": mine, "dnsTxtEmails": []}]})
    return json_reply(row["order"]["record"])


def dcv_submit(api: Api, call: Call) -> Reply:
    row, method = named(api, call), method_of(call)
    order = row["order"]
    if method == "txt" and order["status"] != "SUBMITTED":
        order = row["order"] = {**NEW_ORDER, "method": "txt", "record": make_record(row["name"], "txt")}
    elif order["status"] != "AWAITING_SUBMISSION" or order["method"] != method:
        raise ScmError(-724)
    if method == "email":
        if not call.body.text("email"):
            raise missing("email")
        if call.body.text("email") not in [*addresses(row["name"]), f"owner@{row['name']}"]:
            raise ScmError(-1603)
        order["email"] = call.body.text("email")
    if method in ("cname", "http", "https") and not is_published(row, call.b):
        raise ScmError(-1603)
    order.update(status="SUBMITTED", backend=str(100000 + row["id"]), submitted=iso(datetime.now(timezone.utc)))
    api.domains.save()
    more = {name: order["record"][name] for name in ("host", "point") if method == "txt"}
    return json_reply({**outcome(row, "Submitted successfully", call), **more})


# --- the rows of both versions: method, path, what answers, privilege, body

ROWS: list[tuple[Any, ...]] = [
    ("GET", "/domain/v1", domain_list, None, "none"),
    ("POST", "/domain/v1", domain_create, None, "required"),
    ("GET", "/domain/v1/{id}", domain_details, None, "none"),
    *[row for root in ("/dcv/v1/validation", "/dcv/v2/validation") for row in (
        ("GET", root, dcv_list, None, "none"),
        ("POST", root + "/status", dcv_status, None, "required"),
        ("POST", root + "/sync", dcv_sync, None, "required"),
        ("POST", root + "/clear", dcv_clear, None, "required"),
        ("POST", root + "/start/domain/{method}", dcv_start, None, "required"),
        ("POST", root + "/submit/domain/{method}", dcv_submit, None, "required"),
    )],
]
