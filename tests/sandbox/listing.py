"""Lists and the report: which orders, in which rows, counted how."""

from __future__ import annotations

import datetime as dt
import re
import time
from fnmatch import fnmatchcase
from types import SimpleNamespace
from typing import Any, Callable

import certs
import details
import made_up
from errors import ScmError, bad_field
from fields import Body
from message import Reply, Request, json_reply
from orders import NEXT, Order

MAX_SIZE = 200
DEFAULT_SIZE = 200
WRONG_BY = 7                           # behaviour list_total wrong adds this


def matches(have: str, wanted: str, b: SimpleNamespace) -> bool:
    """Compare as behaviour cn_filter says."""
    if b.cn_filter == "substring":
        return wanted in have
    return have.lower() == wanted.lower() if b.cn_filter == "icase" else have == wanted


def number(text: str, name: str) -> int:
    """A number from 0 in a query parameter."""
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise bad_field(name)
    return int(text)


def cert_fact(order: Order, *path: str) -> Any:
    """A fact that details say of an issued certificate; empty without one."""
    cert = order.certificate()
    value: Any = details.certificate_json(cert) if cert else {}
    for name in path:
        value = value.get(name, "") if isinstance(value, dict) else ""
    return value


def in_status(order: Order, text: str, b: SimpleNamespace) -> bool:
    status = details.parse_status(text)
    if b.status_filter == "ignore":
        return True
    if status not in NEXT and status != "Unmanaged":
        raise bad_field("status")
    return order.status == status


def same_serial(order: Order, text: str, b: SimpleNamespace) -> bool:
    return b.serial_filter == "ignore" or bool(order.serial) and certs.plain_serial(order.serial or "") == certs.plain_serial(text)


def key_fact(name: str) -> Callable[[Order, str, SimpleNamespace], bool]:
    def check(order: Order, text: str, _b: SimpleNamespace) -> bool:
        return str(details.key_json(order)[name]) == text
    return check


def key_parameter(order: Order, text: str, _b: SimpleNamespace) -> bool:
    return details.key_json(order)["keyType"].endswith(" - " + text)


def hash_is(name: str) -> Callable[[Order, str, SimpleNamespace], bool]:
    def check(order: Order, text: str, _b: SimpleNamespace) -> bool:
        return cert_fact(order, "certificateDetails", name) == text.lower()
    return check


def renewal_is(order: Order, text: str, _b: SimpleNamespace) -> bool:
    state = (order.auto_renew or {}).get("state", "Not scheduled")
    return state.upper().replace(" ", "_") == text.upper().replace(" ", "_")


Filter = Callable[[Order, str, SimpleNamespace], bool]

# query parameter: how it selects. Other parameters are left alone, as the API does.
FILTERS: dict[str, Filter] = {
    "commonName": lambda o, text, b: matches(o.common_name, text, b),
    "subjectAlternativeName": lambda o, text, b: any(matches(n, text, b) for n in o.names),
    "status": in_status,
    "sslTypeId": lambda o, text, b: o.cert_type == number(text, "sslTypeId"),
    "orgId": lambda o, text, b: o.org_id == number(text, "orgId"),
    "vendor": lambda o, text, b: text == details.VENDOR,
    "issuer": lambda o, text, b: text in cert_fact(o, "certificateDetails", "issuer"),
    "serialNumber": same_serial,
    "requester": lambda o, text, b: o.requester == text,
    "externalRequester": lambda o, text, b: matches(o.external_requester or "", text, b),
    "signatureAlgorithm": lambda o, text, b: cert_fact(o, "signatureAlg") == text,
    "keyAlgorithm": key_fact("keyAlgorithm"),
    "keySize": key_fact("keySize"),
    "keyParam": key_parameter,
    "sha1Hash": hash_is("sha1Hash"),
    "md5Hash": hash_is("md5Hash"),
    "sha256Hash": hash_is("sha256Hash"),
    "keyUsage": lambda o, text, b: text in cert_fact(o, "keyUsages"),
    "extendedKeyUsage": lambda o, text, b: text in cert_fact(o, "extendedKeyUsages"),
    "requestedVia": lambda o, text, b: text in ("REST", details.REQUESTED_VIA),
    "installStatus": lambda o, text, b: text == "NONE",
    "renewalStatus": renewal_is,
    "discoveryStatus": lambda o, text, b: text == "NotDeployed",
}
LENGTHS = {"serialNumber": 128, "requester": 128, "vendor": 128, "externalRequester": 512,
           "sha1Hash": 40, "md5Hash": 32, "sha256Hash": 64}


def reported(orders: list[Order], b: SimpleNamespace) -> list[Order]:
    """The orders that reports know already."""
    return orders if b.report == "ahead" else shown(orders, b)


def shown(orders: list[Order], b: SimpleNamespace) -> list[Order]:
    """The orders that lists know already, in the order of behaviour list_order."""
    latest = time.time() - b.list_lag_s
    rows = [order for order in orders if order.history[0][0] <= latest]
    return rows[::-1] if b.list_order == "desc" else rows


def select(orders: list[Order], request: Request, b: SimpleNamespace) -> list[Order]:
    """Apply the filters of a query."""
    for name, check in FILTERS.items():
        text = request.parameter(name)
        if text is not None:
            if len(text) > LENGTHS.get(name, 1024):
                raise bad_field(name)
            orders = [order for order in orders if check(order, text, b)]
    return orders


def repeat(rows: list[Any]) -> list[Any]:
    """Every other row twice: rows that moved while somebody was paging."""
    return [row for index, row in enumerate(rows) for _ in range(2 - index % 2)]


def page(rows: list[Any], request: Request, b: SimpleNamespace) -> list[Any]:
    """The rows from position on, at most size."""
    position = number(request.parameter("position") or "0", "position")
    size = number(request.parameter("size") or str(DEFAULT_SIZE), "size")
    if b.list_size == "ignore":
        return rows[position:]
    return rows[position:position + min(size, MAX_SIZE)]


def total_header(count: int, b: SimpleNamespace) -> list[tuple[str, str]]:
    if b.list_total == "missing":
        return []
    return [("X-Total-Count", str(count + (WRONG_BY if b.list_total == "wrong" else 0)))]


def list_reply(orders: list[Order], request: Request, b: SimpleNamespace) -> Reply:
    """One page of orders with the total in a header."""
    rows = select(shown(orders, b), request, b)
    if b.list_duplicates:
        rows = repeat(rows)
    found = [details.list_row(order, b) for order in page(rows, request, b)]
    more = made_up.count(request, b)
    if more:
        found += more_rows(len(found), len(rows), request, b)
    return json_reply(found, 200, *total_header(len(rows) + more, b))


def more_rows(found: int, real: int, request: Request, b: SimpleNamespace,
              row: made_up.Row = made_up.list_row) -> list[dict[str, Any]]:
    """What made up rows a page has behind its real ones."""
    position = number(request.parameter("position") or "0", "position")
    size = min(number(request.parameter("size") or str(DEFAULT_SIZE), "size"), MAX_SIZE)
    return made_up.page(position + found - real, size - found, b.list_rows, b.list_move, row)


# --- report

DATE_ATTRIBUTES = {2: "Revoked", 3: "", 4: "Requested", 5: "Issued"}
REST_SOURCES = (12,)


def parse_date(body: Body, name: str) -> float | None:
    """A date, with or without time of day, as seconds."""
    text = body.text(name)
    if text is None:
        return None
    try:
        when = dt.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as error:
        raise ScmError(-1002) from error
    if name == "to" and len(text) == 10:
        when += dt.timedelta(days=1, microseconds=-1)
    return (when if when.tzinfo else when.replace(tzinfo=dt.timezone.utc)).timestamp()


def like(have: str, pattern: str) -> bool:
    """Match a report pattern: with * as a wildcard, else as a part."""
    return fnmatchcase(have, pattern) if "*" in pattern else pattern in have


def within(order: Order, attribute: int | None, first: float | None, last: float | None) -> bool:
    """Whether one of an order's dates lies in a span; without an attribute all do."""
    if attribute is None:
        return True
    when = order.expires if attribute == 3 else order.times.get(DATE_ATTRIBUTES[attribute])
    if when is None:
        return False
    return (first is None or when >= first) and (last is None or when <= last)


def made_up_report(body: Body, b: SimpleNamespace) -> list[dict[str, Any]]:
    """The made up rows that a report request asks for: all or none, but for dates."""
    if not b.list_rows or body.text("commonName") or body.text("externalRequester"):
        return []
    if body.code("certificateStatus", (0, 1, 2, 3, 4)) not in (None, 0, 2):
        return []
    attribute = body.code("certificateDateAttribute", tuple(DATE_ATTRIBUTES))
    return made_up.report(b.list_rows, attribute, parse_date(body, "from"), parse_date(body, "to"))


def report_select(orders: list[Order], body: Body,
                  statuses: tuple[int, ...] = (0, 1, 2, 3, 4)) -> list[Order]:
    """The orders that a report request asks for."""
    ids = body.values.get("organizationIds")
    if ids is not None and not (isinstance(ids, list) and all(
            isinstance(i, int) and not isinstance(i, bool) for i in ids)):
        raise ScmError(-1002)
    name, requester = body.text("commonName", most=256), body.text("externalRequester", most=512)
    if name and re.search(r"[><\\]", name):
        raise bad_field("commonName")
    status = body.code("certificateStatus", statuses)
    attribute = body.code("certificateDateAttribute", tuple(DATE_ATTRIBUTES))
    source = body.code("certificateRequestSource", (0, 1, 2, 3, 4, 5, 7, 9, 10, 11, 12))
    first, last = parse_date(body, "from"), parse_date(body, "to")
    return [order for order in orders
            if (not ids or order.org_id in ids)
            and (not name or like(order.common_name.lower(), name.lower()))
            and (not requester or like(order.external_requester or "", requester))
            and (not status or order.status in details.REPORT_STATUS[status])
            and (source is None or source in REST_SOURCES)
            and within(order, attribute, first, last)]
