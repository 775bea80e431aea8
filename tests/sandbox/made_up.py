"""Rows that behaviour list_rows makes up: an account with very many certificates, without any order behind them."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import Any

from message import Request

FIRST_ID = 9_000_000
FIRST_DAY = dt.date(2015, 1, 1)
DAYS = 3650                            # over which their requests are spread
TERM = 365
FILTERS = ("commonName", "subjectAlternativeName", "serialNumber", "requester", "externalRequester", "sha1Hash",
           "md5Hash", "sha256Hash", "issuer", "keyUsage", "extendedKeyUsage")


def count(request: Request, b: SimpleNamespace) -> int:
    """How many of them a list has: all or none, by its filters."""
    status = request.parameter("status") if b.status_filter == "honour" else None
    chosen = status in (None, "Issued") and not any(request.parameter(name) for name in FILTERS)
    return b.list_rows + b.list_move if chosen and b.list_rows else 0


def serial(number: int) -> str:
    return ":".join(f"{byte:02X}" for byte in (0x5A << 64 | number * 0x9E3779B97F4A7C15 & (1 << 64) - 1).to_bytes(9, "big"))


def list_row(number: int) -> dict[str, Any]:
    name = f"row{number}.made-up.example"
    return {"sslId": FIRST_ID + number, "commonName": name, "subjectAlternativeNames": [name, "www." + name],
            "serialNumber": serial(number)}


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


def page(position: int, size: int, total: int, move: int) -> list[dict[str, Any]]:
    """Rows from a place on; behaviour list_move lets them come again."""
    places = range(max(position, 0), min(position + size, total + move))
    return [list_row(place if place < move else place - move) for place in places]


def report(total: int, attribute: int | None, first: float | None, last: float | None) -> list[dict[str, Any]]:
    """Those whose request lies in a span; other dates are as far from it for all."""
    def within(number: int) -> bool:
        day = dt.datetime.combine(requested(number, total), dt.time(), dt.timezone.utc)
        if attribute == 3:
            day += dt.timedelta(days=TERM)
        when = day.timestamp()
        return (first is None or when >= first) and (last is None or when <= last)

    if attribute == 2:
        return []
    return [report_row(number, total) for number in range(total) if attribute is None or within(number)]
