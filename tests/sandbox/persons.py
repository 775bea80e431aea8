"""S/MIME certificates: the routes below /smime, on the orders that SSL has, too.

They have two numbers: `id` is the manager's own, which the list and the details have, `backendCertId`
the one of the CA behind it, which orders, collects and revocations have.
"""

from __future__ import annotations

import re
from typing import Any

import details
import fields
import listing
import made_up
import scm
from errors import ScmError, bad_field, missing, not_found
from fields import Body
from message import Reply, json_reply
from orders import WAITING, Order
from scm import Api, Call, Route
from settings import profile_json

KIND = "smime"
CERT_TYPE = "SMIME"
BACKEND = 880_000                      # what the CA's numbers have more than ours
STATES = {"Issued": "issued", "Expired": "expired", "Revoked": "revoked", "Declined": "rejected",
          "Rejected": "rejected", "Invalid": "rejected"}
ALL_STATES = ("blank", "created", "requested", "issued", "downloaded", "expired", "revoked", "rejected", "pre_revoked")


def backend_id(order: Order) -> str:
    return str(order.id + BACKEND)


def state_of(order: Order) -> str:
    return "requested" if order.status in WAITING else STATES.get(order.status, "created")


def created(order: Order, call: Call) -> Reply:
    value: dict[str, Any] = {"orderNumber": order.id + BACKEND, "backendCertId": backend_id(order)}
    if call.b.enroll_reply == "no-id":
        del value["backendCertId"]
    return json_reply(value, int(call.b.enroll_status))


def full_name(body: Body) -> str:
    """The name of the person, from its parts."""
    parts = [body.text(name) for name in ("firstName", "middleName", "lastName")]
    name = " ".join(part for part in parts if part)
    if not 1 <= len(name) <= 64:
        raise bad_field("firstName")
    return body.text("commonName", 1, 64) or name


def addresses(body: Body) -> list[str]:
    """The main address first; those of the CSR do not count."""
    main = body.text("email", 1, 128) or ""
    found = [main, *(body.texts("secondaryEmails") or [])]
    if not all(fields.EMAIL.fullmatch(item) for item in found):
        raise bad_field("email")
    return list(dict.fromkeys(found))


def enroll(api: Api, call: Call) -> Reply:
    body, intake = call.body, api.intake
    body.require("orgId", "csr", "certType", "term", "email", "firstName", "lastName")
    org_id, cert_type = body.integer("orgId") or 0, body.integer("certType") or 0
    comments, _requester = intake.remarks(body)
    intake.organization(org_id, call.admin, "clientCertsApiEnabled")
    profile = intake.profile(cert_type, org_id, KIND)
    term, csr = intake.term(body, profile), intake.csr(body, profile)
    emails = addresses(body)
    order = Order(api.store.new_id(call.b.id_kind), api.store.new_renew_id(), org_id, cert_type,
                  term, csr.pem(), emails[0], emails, call.admin.login,
                  intake.approval(profile, call.b), comments=comments, kind=KIND,
                  person=full_name(body), custom_fields=intake.custom_fields(body, CERT_TYPE))
    intake.begin(order, call.admin)
    return created(order, call)


def by_backend(api: Api, call: Call) -> Order:
    """The order of a number of the CA's; the manager's own is unknown here."""
    text = call.params["id"]
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise missing("backendCertId")
    return api.known(api.store.find(int(text) - BACKEND), call, None, KIND)


def dates_of(call: Call, default: str) -> str:
    return details.date_name(call.request.parameter("dateFormat")) if call.request.parameter("dateFormat") else default


def row(order: Order, call: Call) -> dict[str, Any]:
    refused = state_of(order) == "rejected"
    cert = order.certificate()
    shown = {"id": details.show_id(order.id, call.b), "state": state_of(order),
            "certificateDetails": {"subject": f"CN={order.person}",
                                   "subjectAltNames": ", ".join(f"rfc822Name={name}" for name in order.names)
                                   if cert else None},
            "serialNumber": order.serial or "", "orderNumber": 0 if refused else order.id + BACKEND,
            "backendCertId": None if refused else backend_id(order),
            "expires": details.date_text(order.expires, dates_of(call, "ISO")) if order.expires else None,
            "comments": order.comments}
    return {name: value for name, value in shown.items() if value is not None or name == "backendCertId"}


def in_state(order: Order, text: str, call: Call) -> bool:
    if text not in ALL_STATES:
        raise bad_field("state")
    return call.b.status_filter == "ignore" or state_of(order) == text


def rows(api: Api, call: Call) -> Reply:
    found = listing.shown(api.visible(call, KIND), call.b)
    asked = {name: call.request.parameter(name) for name in
             ("email", "backendCertId", "state", "serialNumber", "certTypeId")}
    if asked["email"] is not None:
        found = [o for o in found if asked["email"] in o.names]
    if asked["backendCertId"] is not None:
        found = [o for o in found if backend_id(o) == asked["backendCertId"]]
    if asked["state"] is not None:
        found = [o for o in found if in_state(o, asked["state"], call)]
    if asked["serialNumber"] is not None:
        found = [o for o in found if listing.same_serial(o, asked["serialNumber"], call.b)]
    if asked["certTypeId"] is not None:
        found = [o for o in found if o.cert_type == listing.number(asked["certTypeId"], "certTypeId")]
    page = listing.page(found, call.request, call.b)
    more = made_up.count(call.request, call.b)
    shown = [row(order, call) for order in page]
    if more:
        shown += listing.more_rows(len(page), len(found), call.request, call.b, made_up.person_row)
    reply = json_reply(shown, 200, *listing.total_header(len(found) + more, call.b))
    for order in page:
        api.machine.count_poll(order)
    return reply


KEPT = ("commonName", "orgId", "orderNumber", "backendCertId", "certType", "subType", "term", "requester", "comments",
        "serialNumber", "customFields", "certificateDetails", "requested", "approved", "issued", "expires", "revoked")


def shown_details(api: Api, order: Order, call: Call) -> dict[str, Any]:
    """Like those of SSL, under the manager's own number and with the state of the list."""
    shown = api.details(order, call)
    return {"id": details.show_id(order.id, call.b), "status": state_of(order),
            **{name: shown[name] for name in KEPT if name in shown}, "commonName": order.person}


def one(api: Api, call: Call) -> Reply:
    return json_reply(shown_details(api, api.order(call, not_found(), KIND), call))


def update(api: Api, call: Call) -> Reply:
    """Comments and custom fields, by the manager's own number."""
    order = api.order(call, not_found(), KIND)
    comments, _requester = api.intake.remarks(call.body)
    if call.body.values.get("customFields") is not None:
        order.custom_fields = api.intake.custom_fields(call.body, CERT_TYPE)
    order.comments = comments if comments is not None else order.comments
    api.store.save(order)
    return json_reply(shown_details(api, order, call))


def types(api: Api, _call: Call) -> Reply:
    return json_reply([profile_json(profile) for profile in api.settings.profiles(KIND)])


def collect(api: Api, call: Call) -> Reply:
    return scm.collect(api, call, by_backend(api, call))


def renew(api: Api, call: Call) -> Reply:
    """The same request once more; no body."""
    if call.request.body:
        raise ScmError(-1002)
    old = by_backend(api, call)
    order = api.intake.renew(old, Body({}), call.admin, call.b)
    order.kind, order.person = KIND, old.person
    api.store.save(order)
    return created(order, call)


def revoke(api: Api, call: Call) -> Reply:
    code, reason = scm.revocation(call.body, call.b.revoke_strict)
    return scm.revoke(api, by_backend(api, call), call, code, reason)


def revoke_serial(api: Api, call: Call) -> Reply:
    code, reason = scm.revocation(call.body, call.b.revoke_strict)
    order = api.known(api.store.by_serial(call.params["serial"]), call, None, KIND)
    return scm.revoke(api, order, call, code, reason)


def rows_of(root: str) -> list[Route]:
    """What both versions have; orders and collects of the second one are those of the first."""
    return [
        Route("GET", root + "/types", types),
        Route("POST", root + "/enroll", enroll, "sslRequest", "required", True),
        Route("GET", root + "/collect/{id}", collect),
        Route("POST", root + "/revoke/order/{id}", revoke, "sslRevoke", "required"),
        Route("POST", root + "/revoke/serial/{serial}", revoke_serial, "sslRevoke", "required"),
        Route("GET", root + "/{id}", one),
        Route("PUT", root + "/{id}", update, "sslRequest", "required"),
    ]


ROUTES = [
    *rows_of("/smime/v1"),
    *rows_of("/smime/v2"),
    Route("GET", "/smime/v2", rows),
    Route("HEAD", "/smime/v2", rows),
    Route("POST", "/smime/v2/renew/order/{id}", renew, "sslRenew", "none", True),
]
