"""Rows that behaviour list_rows makes up: an account with very many certificates, without any order behind them."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import Any, Callable

from message import Request

FIRST_ID = 9_000_000
FIRST_DAY = dt.date(2015, 1, 1)
DAYS = 3650                            # over which their requests are spread
TERM = 365
FILTERS = ("commonName", "subjectAlternativeName", "serialNumber", "requester", "externalRequester", "sha1Hash",
           "md5Hash", "sha256Hash", "issuer", "keyUsage", "extendedKeyUsage", "email", "backendCertId", "certTypeId")
Row = Callable[[int], dict[str, Any]]


def count(request: Request, b: SimpleNamespace) -> int:
    """How many of them a list has: all or none, by its filters."""
    status = request.parameter("status") or request.parameter("state") if b.status_filter == "honour" else None
    chosen = status in (None, "Issued", "issued") and not any(request.parameter(name) for name in FILTERS)
    return b.list_rows + b.list_move if chosen and b.list_rows else 0


def serial(number: int) -> str:
    return ":".join(f"{byte:02X}" for byte in (0x5A << 64 | number * 0x9E3779B97F4A7C15 & (1 << 64) - 1).to_bytes(9, "big"))


def list_row(number: int) -> dict[str, Any]:
    name = f"row{number}.made-up.example"
    return {"sslId": FIRST_ID + number, "commonName": name, "subjectAlternativeNames": [name, "www." + name],
            "serialNumber": serial(number)}


def device_row(number: int) -> dict[str, Any]:
    name = f"row{number}.made-up.example"
    return {"id": FIRST_ID + number, "status": "ISSUED", "backendCertId": str(FIRST_ID + number),
            "certificateDetails": {"subject": f"CN={name},O=Sandbox Org", "subjectAltNames": f"dNSName={name}"}}


def person_row(number: int) -> dict[str, Any]:
    return {"id": FIRST_ID + number, "state": "issued", "backendCertId": str(FIRST_ID + number),
            "serialNumber": serial(number), "orderNumber": FIRST_ID + number, "expires": "2035-01-01",
            "certificateDetails": {"subject": f"CN=Person {number}", "subjectAltNames": f"rfc822Name=p{number}@made-up.example"}}


def requested(number: int, total: int) -> dt.date:
    return FIRST_DAY + dt.timedelta(days=number * DAYS // max(total, 1))


def report_row(number: int, total: int) -> dict[str, Any]:
    row = list_row(number)
    day = requested(number, total)
    return {"id": row["sslId"], "orgId": 103, "organizationName": "Sandbox Org", "commonName": row["commonName"],
            "subjAltNames": "; ".join(row["subjectAlternativeNames"]), "status": "Issued", "typeId": 1013,
            "type": "Sandbox OV SSL", "term": TERM, "requester": "sandbox-admin", "requestedVia": "REST API",
            "serialNumber": row["serialNumber"], "requested": f"{day}T00:00:00.000Z",
            "issued": f"{day}T00:00:00.000Z", "expires": f"{day + dt.timedelta(days=TERM)}T00:00:00.000Z"}


def page(position: int, size: int, total: int, move: int, row: Row = list_row) -> list[dict[str, Any]]:
    """Rows from a place on; behaviour list_move lets them come again."""
    places = range(max(position, 0), min(position + size, total + move))
    return [row(place if place < move else place - move) for place in places]


def first_from(day: dt.date, total: int) -> int:
    """The first row that was requested on a day or after it; they are in order."""
    low, high = 0, total
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if requested(middle, total) < day else (low, middle)
    return low


def report(total: int, attribute: int | None, first: float | None, last: float | None) -> list[dict[str, Any]]:
    """Those whose request lies in a span; their other dates are as far from it for all."""
    if attribute == 2:
        return []
    later = dt.timedelta(days=TERM if attribute == 3 else 0)

    def row_from(seconds: float | None, default: int) -> int:
        if attribute is None or seconds is None:
            return default
        when = dt.datetime.fromtimestamp(seconds, dt.timezone.utc)
        whole = when.date() + (dt.timedelta(days=1) if when.time() != dt.time() else dt.timedelta())
        return first_from(whole - later, total)

    end = total if last is None else row_from(last + 1e-6, total)
    return [report_row(number, total) for number in range(row_from(first, 0), end)]
