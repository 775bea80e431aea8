"""The routes of the SCM Admin API. Adding an endpoint is adding a row and a function."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Callable
from urllib.parse import unquote

import accounts as admins
import acme
import collect as collects
import details
import domains
import fields
import listing
import tokens
from accounts import Accounts
from ca import CA
from certs import load_cert
from errors import ScmError, bad_field, missing, not_found
from fields import Body
from intake import Intake
from login import Admin, Refused, login
from message import (Reply, Request, error_reply, json_reply, no_content, plain_error)
from orders import UNDER_APPROVAL, Machine, Order, Store
from settings import Settings, departments_json, organization_json, profile_fits, profile_json

REASON_CODES = (0, 1, 3, 4, 5)
NOT_READY = {"400-0": (0, 400), "400-183": (-183, 400), "400-1400": (-1400, 400),
             "404-103": (-103, 404), "404-109": (-109, 404)}
COLLECT_TYPES = {"octet-stream": "application/octet-stream",
                 "octet-stream-charset": "application/octet-stream;charset=UTF-8",
                 "text-plain": "text/plain", "missing": None}
EXTRA_FIELDS = {"futureField": {"nested": [1, None]}, "sslURL": "https://sandbox.invalid/"}


@dataclass
class Call:
    """A request on its way through the API."""

    request: Request
    params: dict[str, str]
    b: SimpleNamespace
    admin: Admin
    body: Body

    def id(self) -> int:
        """The id in the path."""
        text = self.params["id"]
        if not re.fullmatch(r"[0-9]{1,18}", text):
            raise bad_field("id")
        return int(text)


@dataclass(frozen=True)
class Route:
    """One row of the route table."""

    method: str
    path: str                          # after /api; {name} is one segment
    handler: Callable[["Api", Call], Reply]
    privilege: str | None = None
    body: str = "none"                 # none, optional or required
    creates: bool = False              # behaviour enroll_fault applies

    def match(self, segments: list[str]) -> dict[str, str] | None:
        """The path's parameters if it fits."""
        pattern = self.path.split("/")[1:]
        if len(pattern) != len(segments):
            return None
        params: dict[str, str] = {}
        for part, segment in zip(pattern, segments):
            if part.startswith("{") and segment:
                params[part[1:-1]] = segment
            elif part != segment:
                return None
        return params


class Api:
    """Answers requests from what the sandbox directory holds."""

    def __init__(self, settings: Settings, accounts: Accounts, store: Store, ca: CA,
                 directory: domains.Domains) -> None:
        self.settings = settings
        self.domains = directory
        self.accounts = accounts
        self.tokens = tokens.Tokens(accounts)
        self.url = ""                  # our own, for what names it
        self.store = store
        self.acme = acme.Accounts(store.directory)
        self.ca = ca
        self.machine = Machine(store, ca, settings)
        self.intake = Intake(settings, store, self.machine)

    @staticmethod
    def split(path: str) -> tuple[bool, list[str]] | None:
        """Whether a path is below /private, and its segments after /api."""
        private = path.startswith("/private/api/")
        if not private and not path.startswith("/api/"):
            return None
        return private, [unquote(part) for part in path.partition("/api/")[2].split("/")]

    def route(self, request: Request) -> Route | None:
        """The row that a request goes to."""
        parts = self.split(request.path)
        rows = [row for row, _params in find(parts[1])] if parts else []
        return next((row for row in rows if row.method == request.method), None)

    def answer(self, request: Request, b: SimpleNamespace, record: dict[str, Any]) -> Reply:
        """The reply to a request; notes who asked in record."""
        if request.path == tokens.PATH:
            return self.tokens.give(request, b)
        parts = self.split(request.path)
        if parts is None:
            return plain_error(404, f"No such resource: {request.path}")
        try:
            surface = admins.ENROLLMENT if parts[1][:2] == ["v1", "certificates"] else admins.ADMINISTRATION
            admin = login(request, parts[0], self.accounts, self.tokens, b, surface)
            record["auth"] = admin.mode
            return self._dispatch(request, parts[1], b, admin)
        except Refused as refused:
            if refused.reply.status == 401:
                where = b.oauth_names or self.url + tokens.PATH
                refused.reply.headers.append(("WWW-Authenticate", f'Bearer realm="apiclients", authorization_uri="{where}"'))
            return refused.reply
        except ScmError as error:
            return error_reply(error)

    def _dispatch(self, request: Request, segments: list[str], b: SimpleNamespace,
                  admin: Admin) -> Reply:
        rows = find(segments)
        if not rows:
            return plain_error(404, f"No such resource: {request.path}")
        for row, params in rows:
            if row.method == request.method:
                if row.privilege and not admin.allowed(row.privilege):
                    raise ScmError(-3, row.privilege)
                body = read_body(request, row, b)
                with self.store.lock:
                    return row.handler(self, Call(request, params, b, admin, body))
        reply = plain_error(405, f"Method {request.method} is not supported here")
        reply.headers.append(("Allow", ", ".join(sorted({row.method for row, _ in rows}))))
        return reply

    # --- orders that an admin may see

    def visible(self, call: Call, kind: str = "ssl") -> list[Order]:
        """All orders of a kind of the admin's organizations, advanced to now."""
        orgs = {row["id"] for row in self.organizations(call)}
        found = [order for order in self.store.all()
                 if order.org_id in orgs and order.kind == kind]
        for order in found:
            self.machine.advance(order, call.b)
        return found

    def organizations(self, call: Call) -> list[dict]:
        return admins.organizations(call.admin.account, self.settings.all()["organizations"])

    def organization_name(self, number: int) -> str:
        return next(row["name"] for row in self.settings.all()["organizations"] if row["id"] == number)

    def order(self, call: Call, error: ScmError | None = None, kind: str = "ssl") -> Order:
        """The order of the id in the path, advanced to now."""
        return self.known(self.store.find(call.id()), call, error, kind)

    def known(self, order: Order | None, call: Call, error: ScmError | None = None,
              kind: str = "ssl") -> Order:
        """An order of a kind that exists and that the admin may see, advanced to now."""
        orgs = {row["id"] for row in self.organizations(call)}
        if order is None or order.org_id not in orgs or order.kind != kind:
            raise error or not_found()
        self.machine.advance(order, call.b)
        return order

    def details(self, order: Order, call: Call) -> dict[str, Any]:
        dates = details.date_name(call.request.parameter("dateFormat"))
        return details.details(order, self.settings.profile(order.cert_type), call.b, dates)


def read_body(request: Request, row: Route, b: SimpleNamespace) -> Body:
    """The JSON body that a route takes."""
    if row.body == "none" or (row.body == "optional" and not request.body):
        return Body({})
    if request.body or row.body == "required":
        check_content_type(request)
    return Body(fields.parse(request.body), b.string_numbers == "accept")


class UnsupportedType(ScmError):
    """A body that is not declared as JSON."""

    def __init__(self) -> None:
        super().__init__(-1, status=415)
        self.description = "Content-Type must be application/json"


def check_content_type(request: Request) -> None:
    headers = request.headers
    charset = headers.get_content_charset() or "utf-8"
    if "Content-Type" not in headers or headers.get_content_type() != "application/json":
        raise UnsupportedType()
    if charset not in ("utf-8", "utf8"):
        raise UnsupportedType()


# --- SSL: reading

def ssl_list(api: Api, call: Call) -> Reply:
    return listing.list_reply(api.visible(call), call.request, call.b)


def ssl_details(api: Api, call: Call) -> Reply:
    order = api.order(call)
    reply = json_reply(api.details(order, call))
    api.machine.count_poll(order)
    return reply


def ssl_types(api: Api, call: Call) -> Reply:
    org = call.request.parameter("organizationId")
    orgs = {row["id"] for row in api.organizations(call)}
    if org is not None:
        orgs &= {listing.number(org, "organizationId")}
    return json_reply([profile_json(row) for row in api.settings.profiles("ssl")
                       if any(profile_fits(row, number) for number in orgs)])


def ssl_custom_fields(api: Api, call: Call) -> Reply:
    return json_reply([{"id": row["id"], "name": row["name"],
                        "mandatory": Settings.mandatory(row)}
                       for row in api.settings.fields()])


# --- SSL: collect

def ssl_collect(api: Api, call: Call) -> Reply:
    return collect(api, call, api.order(call))


def collect(api: Api, call: Call, order: Order) -> Reply:
    """The certificate of an order in the format that the call wants."""
    name = call.params.get("format") or call.request.parameter("format") or collects.DEFAULT
    form = collects.find_format(name)
    leaf = collectable(api, order, call.b)
    if leaf is None:
        return not_ready(call.b)
    data = collects.render(api.ca, load_cert(leaf), form, call.b)
    stem = re.sub(r"[^a-z0-9]", "_", order.common_name)
    disposition = f'attachment; filename="{stem}.{form.suffix}"'
    return Reply(200, data, COLLECT_TYPES[call.b.collect_type],
                 [("Content-Disposition", disposition)])


def collectable(api: Api, order: Order, b: SimpleNamespace) -> str | None:
    """The certificate that a collect gives now; None if it is too early."""
    if order.status == "Revoked":
        raise ScmError(-110)
    old = order.old_leaf and (order.reissuing or order.collects < b.replace_old_collects)
    if order.status in ("Issued", "Expired", "Replaced") and order.leaf:
        order.collects += 0 if order.reissuing else 1
        api.store.save(order)
        if old:
            return order.old_leaf
        return order.leaf if order.collects > b.not_collectable else None
    if order.status in ("Declined", "Rejected", "Invalid"):
        raise ScmError(-183)
    return None


def not_ready(b: SimpleNamespace) -> Reply:
    """The reply to a collect that comes too early."""
    if b.not_ready == "200-empty":
        return Reply(200, b"", COLLECT_TYPES[b.collect_type])
    code, status = NOT_READY[b.not_ready]
    return error_reply(ScmError(code, status=status))


# --- SSL: making orders

def created(order: Order, b: SimpleNamespace, with_renew_id: bool) -> Reply:
    """The reply to enroll and renewById, as behaviour enroll_reply wants it."""
    ids = {"zero-id": 0, "negative-id": -1}
    value: dict[str, Any] = {"sslId": ids.get(b.enroll_reply, details.show_id(order.id, b))}
    if with_renew_id and b.enroll_reply != "no-renew-id":
        value["renewId"] = order.renew_id
    if b.enroll_reply == "extra-fields":
        value.update(EXTRA_FIELDS)
    if b.enroll_reply == "no-id":
        del value["sslId"]
    return json_reply(value, int(b.enroll_status))


def ssl_enroll(api: Api, call: Call) -> Reply:
    order = api.intake.enroll(call.body, call.admin, call.b)
    return created(order, call.b, True)


def ssl_renew_by_id(api: Api, call: Call) -> Reply:
    old = api.order(call, ScmError(-124, status=404))
    return created(api.intake.renew(old, call.body, call.admin, call.b), call.b, False)


def ssl_renew(api: Api, call: Call) -> Reply:
    renew_id = call.params["renewId"]
    if len(renew_id) > 20:
        raise bad_field("renewId")
    old = api.known(api.store.by_renew_id(renew_id), call, ScmError(-123, status=404))
    api.intake.renew(old, call.body, call.admin, call.b)
    return no_content()


def ssl_replace(api: Api, call: Call) -> Reply:
    api.intake.replace(api.order(call), call.body, call.admin, call.b)
    return no_content()


def ssl_update(api: Api, call: Call) -> Reply:
    call.body.require("sslId")
    number = call.body.integer("sslId") or 0
    old = api.known(api.store.find(number), call)
    return json_reply(api.details(api.intake.update(old, call.body, call.admin), call))


# --- SSL: approval and revocation

def under_approval(api: Api, call: Call, kind: str = "ssl") -> tuple[Order, str | None]:
    """The order to decide on, and the message of the decision."""
    call.body.require("message")
    message = call.body.text("message", 1, 512)
    order = api.order(call, None, kind)
    if order.status not in UNDER_APPROVAL:
        raise ScmError(-1112, order.status)
    return order, message


def ssl_approve(api: Api, call: Call) -> Reply:
    order, message = under_approval(api, call)
    validation = api.settings.profile(order.cert_type)["validation"]
    if validation == "EV" and order.requester == call.admin.login:
        raise ScmError(-1140)
    api.machine.approve(order, call.admin.login, message)
    return no_content()


def ssl_decline(api: Api, call: Call) -> Reply:
    order, message = under_approval(api, call)
    api.machine.decline(order, call.admin.login, message)
    return no_content()


def revocation(body: Body, strict: bool) -> tuple[int | None, str | None]:
    """Reason code and reason of a revocation."""
    if strict:
        body.require("reasonCode", "reason")
    return body.code("reasonCode", REASON_CODES), body.text("reason", 1, 512)


def revoke(api: Api, order: Order, call: Call, code: int | None, reason: str | None) -> Reply:
    if order.status == "Revoked":
        raise ScmError(-159)
    if order.status not in ("Issued", "Expired"):
        raise ScmError(-102)
    api.machine.revoke(order, call.admin.login, code, reason)
    return no_content()


def ssl_revoke(api: Api, call: Call) -> Reply:
    code, reason = revocation(call.body, call.b.revoke_strict)
    return revoke(api, api.order(call), call, code, reason)


def ssl_revoke_serial(api: Api, call: Call) -> Reply:
    code, reason = revocation(call.body, call.b.revoke_strict)
    order = api.known(api.store.by_serial(call.params["serial"]), call)
    return revoke(api, order, call, code, reason)


def ssl_revoke_manual(api: Api, call: Call) -> Reply:
    """Bookkeeping: by certificate id, or by serial number and issuer."""
    code = call.body.code("reasonCode", REASON_CODES)
    number, serial = call.body.integer("certId"), call.body.text("serialNumber")
    if number is None and serial is None:
        raise ScmError(-951, "certId, serialNumber")
    if number is None:
        call.body.require("issuer")
    found = api.store.find(number) if number is not None else api.store.by_serial(serial or "")
    return revoke(api, api.known(found, call), call, code, "manual")


# --- SSL: domain control validation

def ssl_dcv(api: Api, call: Call) -> Reply:
    shown = details.dcv_json(api.order(call))
    return json_reply([shown] if call.b.dcv_shape == "array" else shown)


def ssl_dcv_recheck(api: Api, call: Call) -> Reply:
    order = api.order(call)
    api.intake.recheck(order, call.b)
    api.store.save(order)
    return json_reply({"dcvLog": details.dcv_log(order)}, 202)


# --- report, organizations, custom fields, password

def check_report(call: Call) -> None:
    """What any report may be refused for."""
    if call.request.parameter("output_type") not in (None, "direct", "buffered"):
        raise bad_field("output_type")
    if call.b.report == "none":
        raise Refused(plain_error(404, f"No such resource: {call.request.path}"))
    if call.b.report == "refuse":
        raise ScmError(-3, "view reports")


def ssl_report(api: Api, call: Call) -> Reply:
    check_report(call)
    orders = listing.report_select(listing.reported(api.visible(call), call.b), call.body)
    names = {row["id"]: row["name"] for row in api.settings.all()["organizations"]}
    rows = [details.report_row(order, api.settings.profile(order.cert_type),
                               names[order.org_id], call.b) for order in orders]
    rows += listing.made_up_report(call.body, call.b)
    return json_reply({"statusCode": 0, "reports": rows}, 200,
                      ("Content-Disposition", 'attachment; filename="ssl-certificates.json"'))


def organization_list(api: Api, call: Call) -> Reply:
    rows = api.organizations(call)
    return json_reply([{"id": row["id"], "name": row["name"],
                        "departments": departments_json(row, rows)}
                       for row in rows if not row.get("parentId")])


def organization_details(api: Api, call: Call) -> Reply:
    rows = api.organizations(call)
    number = call.id()
    for row in rows:
        if row["id"] == number:
            return json_reply(organization_json(row, rows))
    raise ScmError(-1023, status=404)


def custom_field_list(api: Api, call: Call) -> Reply:
    kind = call.request.parameter("certType")
    if kind not in (None, "SSL", "SMIME", "Device", "CodeSign"):
        raise bad_field("certType")
    return json_reply([row for row in api.settings.all()["customFields"]
                       if kind in (None, row["certType"])])


def password_state(api: Api, call: Call) -> Reply:
    end = call.admin.account.get("passwordExpirationDate")
    if end is None:
        return json_reply({"expirationDate": None, "state": "NEVER_EXPIRE"})
    state = "EXPIRED" if details.date_text(time.time(), "ISO") > end else "ALIVE"
    return json_reply({"expirationDate": end, "state": state})


def change_password(api: Api, call: Call) -> Reply:
    if "newPassword" not in call.body.values:
        raise missing("newPassword")
    api.accounts.change_password(call.admin.login, call.body.values["newPassword"])
    return no_content()


def ssl_rows(root: str) -> list[Route]:
    """The rows below /ssl/v1, which /ssl/v2 has too."""
    return [
        Route("GET", root, ssl_list),
        Route("HEAD", root, ssl_list),
        Route("PUT", root, ssl_update, "sslRequest", "required"),
        Route("GET", root + "/types", ssl_types),
        Route("GET", root + "/customFields", ssl_custom_fields),
        Route("POST", root + "/enroll", ssl_enroll, "sslRequest", "required", True),
        Route("POST", root + "/enroll/", ssl_enroll, "sslRequest", "required", True),
        Route("GET", root + "/collect/{id}", ssl_collect),
        Route("GET", root + "/collect/{id}/{format}", ssl_collect),
        Route("POST", root + "/renewById/{id}", ssl_renew_by_id, "sslRenew", "optional", True),
        Route("POST", root + "/renew/{renewId}", ssl_renew, "sslRenew", "optional", True),
        Route("POST", root + "/replace/{id}", ssl_replace, "sslReplace", "required", True),
        Route("POST", root + "/revoke/manual", ssl_revoke_manual, "sslRevoke", "required"),
        Route("POST", root + "/revoke/{id}", ssl_revoke, "sslRevoke", "required"),
        Route("POST", root + "/revoke/serial/{serial}", ssl_revoke_serial, "sslRevoke",
              "required"),
        Route("POST", root + "/approve/{id}", ssl_approve, "sslApprove", "required"),
        Route("POST", root + "/decline/{id}", ssl_decline, "sslApprove", "required"),
        Route("GET", root + "/{id}", ssl_details),
        Route("GET", root + "/{id}/dcv", ssl_dcv),
        Route("POST", root + "/{id}/dcv/recheck", ssl_dcv_recheck),
    ]


ROUTES: list[Route] = [
    *ssl_rows("/ssl/v1"),
    *ssl_rows("/ssl/v2"),
    *[Route(*row) for row in domains.ROWS],
    Route("POST", "/report/v1/ssl-certificates", ssl_report, None, "required"),
    Route("GET", "/organization/v1", organization_list),
    Route("GET", "/organization/v1/{id}", organization_details),
    Route("GET", "/acme/v2/account", acme.account_list),
    Route("POST", "/acme/v2/account", acme.account_create, None, "required"),
    Route("GET", "/acme/v2/account/{id}", acme.account_details),
    Route("PUT", "/acme/v2/account/{id}", acme.account_rename, None, "required"),
    Route("DELETE", "/acme/v2/account/{id}", acme.account_delete),
    Route("GET", "/acme/v2/account/{id}/domain", acme.domain_list),
    Route("POST", "/acme/v2/account/{id}/domain", acme.domain_add, None, "required"),
    Route("DELETE", "/acme/v2/account/{id}/domain", acme.domain_remove, None, "required"),
    Route("GET", "/acme/v2/account/{id}/client", acme.client_list),
    Route("PUT", "/acme/v2/account/{id}/client/{client}", acme.client_deactivate),
    Route("GET", "/customField/v2", custom_field_list),
    Route("GET", "/admin/v1/password", password_state),
    Route("POST", "/admin/v1/changepassword", change_password, None, "required"),
]


import persons  # noqa: E402  (its routes stand on the classes above)
import things  # noqa: E402

ROUTES += things.ROUTES + persons.ROUTES


def find(segments: list[str]) -> list[tuple[Route, dict[str, str]]]:
    """The rows of a path, one method each; a fixed path wins over one with parameters."""
    hits = [(row, params) for row in ROUTES
            for params in [row.match(segments)] if params is not None]
    least = min((len(params) for _row, params in hits), default=0)
    return [(row, params) for row, params in hits if len(params) == least]
