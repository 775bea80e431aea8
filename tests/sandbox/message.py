"""A request as the API sees it, and a reply before it goes on the wire."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

from errors import ScmError

PAGE = ("<!DOCTYPE html>\n<html><head><title>{0}</title></head>\n"
        "<body><h1>{0}</h1><p>The sandbox front end says so.</p></body></html>\n")
REASONS = {200: "OK", 401: "Unauthorized", 403: "Forbidden", 429: "Too Many Requests",
           500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable",
           504: "Gateway Timeout"}


@dataclass
class Request:
    """One HTTP request."""

    method: str
    path: str                          # as sent, without the query
    query_text: str
    query: dict[str, list[str]]
    headers: Message
    body: bytes
    tls_version: str | None = None
    client_serial: str | None = None   # plain hex
    connection: int = 0                # its number

    def header(self, name: str) -> str | None:
        """The only value of a header; None if it is absent or there are several."""
        values = self.headers.get_all(name) or []
        return values[0] if len(values) == 1 else None

    def parameter(self, name: str) -> str | None:
        """The last value of a query parameter; an empty one counts as absent."""
        return self.query.get(name, [""])[-1] or None


@dataclass
class Reply:
    """One HTTP reply."""

    status: int
    body: bytes = b""
    content_type: str | None = None
    headers: list[tuple[str, str]] = field(default_factory=list)
    code: int | None = None            # of a JSON error
    close: bool = False                # end the connection after it


def json_reply(value: Any, status: int = 200, *headers: tuple[str, str]) -> Reply:
    body = json.dumps(value, separators=(",", ":")).encode()
    return Reply(status, body, "application/json", list(headers))


def error_reply(error: ScmError) -> Reply:
    reply = json_reply(error.body(), error.status)
    reply.code = error.code
    return reply


def plain_error(status: int, description: str, code: int = -1) -> Reply:
    """A JSON error object outside the code table's texts."""
    reply = json_reply({"code": code, "description": description}, status)
    reply.code = code
    return reply


def page_reply(status: int) -> Reply:
    """An HTML page, as front ends and proxies send it."""
    title = f"{status} {REASONS.get(status, 'Error')}"
    return Reply(status, PAGE.format(title).encode(), "text/html; charset=utf-8")


def no_content() -> Reply:
    return Reply(204)
