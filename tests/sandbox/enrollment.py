"""The Enrollment REST API: `/api/v1/certificates`, for accounts with one profile and no rights of an admin.

Documented are ordering, collecting and revoking; the other calls were seen in clients of other people, and switches
of the group `enrollment` say whether and how they are there.
"""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import collect as collects
import details
import listing
from certs import load_cert
from collect import Format
from errors import ScmError, bad_field, missing, not_found
from fields import Body, split_names
from message import Reply, error_reply, json_reply, plain_error
from orders import Order
from scm import EXTRA_FIELDS, NOT_READY, REASON_CODES, Api, Call, Route, collectable, revoke

ROOT = "/v1/certificates"
PEM_CHAIN = "application/pem-certificate-chain"
TEXT_ID = "ENR-"
FIELDS = {"csr", "productId", "term", "subjAltNames", "comments", "externalRequester", "customFields"}
ONE_LINE = re.compile(r"[A-Za-z0-9+/]+={0,2}")


def absent(call: Call) -> Reply:
    return plain_error(404, f"No such resource: {call.request.path}")


# --- ids and orders

def shown_id(order: Order, b: SimpleNamespace) -> int | str:
    return f"{TEXT_ID}{order.id}" if b.enrollment_id == "text" else details.show_id(order.id, b)


def id_member(b: SimpleNamespace) -> str:
    return "id" if b.enrollment_id == "id" else "certId"


def find(api: Api, call: Call) -> Order:
    """The account's order of the id in the path, advanced to now."""
    text = call.params["id"]
    if call.b.enrollment_id == "text":
        text = text.removeprefix(TEXT_ID) if text.startswith(TEXT_ID) else ""
    order = api.store.find(int(text)) if re.fullmatch(r"[0-9]{1,18}", text) else None
    if order is None or order.requester != call.admin.login:
        raise not_found()
    api.machine.advance(order, call.b)
    return order


# --- orders

def one_line(csr: str) -> str:
    """A request in base64 on one line, without armour."""
    if not ONE_LINE.fullmatch(csr):
        raise ScmError(-9)
    return csr


def wish(call: Call) -> Body:
    """What is ordered, with what the account adds; strict about what it is not."""
    body, fixed = call.body, call.admin.account["enrollment"]
    body.require("csr")
    taken = {"csr"} if call.b.enrollment_fields == "csr" else FIELDS
    for name in body.values:
        if name not in taken:
            raise bad_field(name)
    product = body.integer("productId")
    if call.b.enrollment_product == "required" and product is None:
        raise missing("productId")
    if product not in (None, fixed["certType"]):
        raise ScmError(-111)
    values: dict[str, Any] = {name: body.values[name] for name in taken - {"productId"} if name in body.values}
    values["csr"] = one_line(body.text("csr") or "")
    return Body({"term": fixed["term"], **values, "orgId": call.admin.account["organizations"][0], "certType": fixed["certType"]})


def with_names(b: SimpleNamespace) -> SimpleNamespace:
    """Here the names of a request count as well as those beside it."""
    return SimpleNamespace(**{**vars(b), "san_source": "request+csr" if b.san_source == "request" else b.san_source})


def created(order: Order, b: SimpleNamespace) -> Reply:
    """The reply to an order, as behaviours enroll_reply and enrollment_id want it."""
    ids = {"zero-id": 0, "negative-id": -1}
    value: dict[str, Any] = {id_member(b): ids.get(b.enroll_reply, shown_id(order, b))}
    if b.enroll_reply == "extra-fields":
        value.update(EXTRA_FIELDS)
    return json_reply({} if b.enroll_reply == "no-id" else value, int(b.enroll_status))


def order_new(api: Api, call: Call) -> Reply:
    return created(api.intake.enroll(wish(call), call.admin, with_names(call.b)), call.b)


def order_renew(api: Api, call: Call) -> Reply:
    body = Body({"csr": one_line(call.body.text("csr") or "")} if "csr" in call.body.values else {})
    return created(api.intake.renew(find(api, call), body, call.admin, call.b), call.b)


def order_replace(api: Api, call: Call) -> Reply:
    call.body.require("csr")
    body = Body({"csr": one_line(call.body.text("csr") or ""), "reason": "replaced by its owner"})
    for name in call.body.values:
        if name not in ("csr", "subjAltNames"):
            raise bad_field(name)
    if "subjAltNames" in call.body.values:
        body.values["subjectAlternativeNames"] = split_names(call.body.text("subjAltNames"))
    order = find(api, call)
    api.intake.replace(order, body, call.admin, call.b)
    return created(api.store.orders[order.id], call.b)


# --- what became of them

def not_ready(b: SimpleNamespace) -> Reply:
    if b.enrollment_not_ready == "200-empty":
        return Reply(200, b"", PEM_CHAIN)
    code, status = NOT_READY[b.enrollment_not_ready]
    return error_reply(ScmError(code, status=status))


def order_collect(api: Api, call: Call) -> Reply:
    if (call.request.header("Accept") or "") not in (PEM_CHAIN, "*/*"):
        return plain_error(406, f"Accept must be {PEM_CHAIN}")
    order = find(api, call)
    leaf = collectable(api, order, call.b)
    if leaf is None:
        api.machine.count_poll(order)
        return not_ready(call.b)
    b = SimpleNamespace(**{**vars(call.b), "chain_order": call.b.enrollment_chain})
    return Reply(200, collects.render(api.ca, load_cert(leaf), Format("pem", "all"), b), PEM_CHAIN)


def order_status(api: Api, call: Call) -> Reply:
    if call.b.enrollment_status == "none":
        return absent(call)
    order = find(api, call)
    reply = json_reply({call.b.enrollment_status: details.status_text(order.status, call.b)})
    api.machine.count_poll(order)
    return reply


def order_list(api: Api, call: Call) -> Reply:
    """The account's orders; rows say little."""
    if call.b.enrollment_list == "none":
        return absent(call)
    mine = [order for order in api.store.all() if order.requester == call.admin.login]
    for order in mine:
        api.machine.advance(order, call.b)
    rows = listing.page(listing.shown(mine, call.b), call.request, call.b)
    return json_reply([list_row(order, call.b) for order in rows])


def list_row(order: Order, b: SimpleNamespace) -> dict[str, Any]:
    row = {id_member(b): shown_id(order, b), "commonName": order.common_name, "serialNumber": order.serial}
    return {**row, "comments": order.comments} if b.enrollment_list == "comments" else row


def order_revoke(api: Api, call: Call) -> Reply:
    call.body.require("message")
    reason = call.body.text("message", 1, 512)
    revoke(api, find(api, call), call, call.body.code("reasonCode", REASON_CODES), reason)
    return Reply(200)


ROUTES: list[Route] = [
    Route("POST", ROOT, order_new, None, "required", True),
    Route("GET", ROOT, order_list),
    Route("GET", ROOT + "/{id}", order_collect),
    Route("DELETE", ROOT + "/{id}", order_revoke, None, "required"),
    Route("GET", ROOT + "/{id}/status", order_status),
    Route("POST", ROOT + "/{id}/renew", order_renew, None, "optional", True),
    Route("POST", ROOT + "/{id}/replace", order_replace, None, "required", True),
]
