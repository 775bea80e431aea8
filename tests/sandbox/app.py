"""The middle of the sandbox: switches around the API, and the log of what happened."""

from __future__ import annotations

import logging
import threading
import time
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any

from behaviour import HTTP_GROUP, Behaviours
import enrollment
from errors import TEXTS, ScmError
from exchanges import Exchanges
from message import Reply, Request, error_reply, json_reply, page_reply, plain_error
from reqlog import RequestLog, record_of
from scm import ROUTES, Api

ROUTES.extend(enrollment.ROUTES)

# behaviour enroll_fault in words of the http group
ENROLL_FAULTS: dict[str, dict[str, Any]] = {
    "none": {},
    "stored-cut": {"cut": "before-reply", "fault_when": "after"},
    "stored-mid-reply": {"cut": "mid-reply"},
    "stored-504": {"fail_status": 504, "fail_body": "html", "fault_when": "after"},
    "cut": {"cut": "before-reply", "fault_when": "before"},
}
JSON_FAILURES = {401: (-16, "Unknown user"), 403: (-37, "Access denied"),
                 429: (-1, "Too many requests"), 500: (-2, "Internal error"),
                 503: (-195, "The CA is not available now, try later")}
TLS_NAMES = ("localhost", "127.0.0.1")


def retry_after(b: SimpleNamespace) -> list[tuple[str, str]]:
    """The header that behaviour retry_after names."""
    values = {"none": None, "delta": str(b.retry_after_s),
              "date": formatdate(time.time() + b.retry_after_s, usegmt=True),
              "past": "Mon, 01 Jan 2001 00:00:00 GMT", "absurd": "99999999999999999999"}
    value = values[b.retry_after]
    return [("Retry-After", value)] if value is not None else []


def failure(b: SimpleNamespace) -> Reply:
    """The reply that behaviours fail_status and fail_body name."""
    if b.fail_body == "html":
        reply = page_reply(b.fail_status)
    elif b.fail_body == "empty":
        reply = Reply(b.fail_status)
    elif b.fail_body == "gateway":
        reply = json_reply({"code": b.fail_status, "message": "Request refused"}, b.fail_status)
    else:
        code, text = JSON_FAILURES.get(b.fail_status, (-1, "Unknown error"))
        if b.fail_code <= 0:
            code, text = b.fail_code, TEXTS.get(b.fail_code, "Refused").replace("{0}", "it")
        reply = plain_error(b.fail_status, text, code)
    reply.headers += retry_after(b)
    return reply


class App:
    """Answers requests under the present switches."""

    def __init__(self, api: Api, behaviours: Behaviours, log: RequestLog, port: int,
                 exchanges: Exchanges) -> None:
        self.api = api
        self.behaviours = behaviours
        self.log = log
        self.exchanges = exchanges
        self.port = port
        self.stopping = threading.Event()

    def exchange(self, request: Request) -> tuple[Reply, SimpleNamespace]:
        """The reply to a request, and the switches under which to send it."""
        b = self.behaviours.for_request(request.method, request.path)
        route = self.api.route(request)
        if route is not None and route.creates:
            vars(b).update(ENROLL_FAULTS[b.enroll_fault])
        record = record_of(request)
        reply = self.reply(request, b, record)
        record["faults"] = sorted(name for name, default in HTTP_GROUP.items()
                                  if getattr(b, name) != default)
        if b.cut != "before-reply":
            record["status"], record["code"] = reply.status, reply.code
        self.log.add(record)
        self.exchanges.add(request, reply, b)
        self.stopping.wait(b.delay_s)
        return reply, b

    def refuse(self, request: Request, reply: Reply) -> None:
        """Log a request that HTTP itself refused."""
        record = record_of(request)
        record["status"], record["code"] = reply.status, reply.code
        self.log.add(record)

    def reply(self, request: Request, b: SimpleNamespace, record: dict[str, Any]) -> Reply:
        """Act, unless a fault comes before that; the fault's reply wins over the action's."""
        instead = self.instead(request, b)
        if b.fault_when == "before" and instead is not None:
            return instead
        acted = self.act(request, b, record)
        return acted if instead is None else instead

    def act(self, request: Request, b: SimpleNamespace, record: dict[str, Any]) -> Reply:
        try:
            return self.api.answer(request, b, record)
        except Exception:              # a fault of the sandbox itself
            logging.exception("%s %s", request.method, request.path)
            return error_reply(ScmError(-2, status=500))

    def instead(self, request: Request, b: SimpleNamespace) -> Reply | None:
        """The reply of an active fault, if one takes the place of the API's reply."""
        target = self.redirect_target(request, b)
        if target is not None:
            return Reply(int(b.redirect), b"", None, [("Location", target)])
        if b.fail_status:
            return failure(b)
        if b.cut == "before-reply":
            return Reply(500)          # never sent
        return None

    def redirect_target(self, request: Request, b: SimpleNamespace) -> str | None:
        """Where to redirect a request; not if it came there already."""
        if b.redirect == "none":
            return None
        host = (request.header("Host") or "").partition(":")[0].lower()
        other = TLS_NAMES[1] if host == TLS_NAMES[0] else TLS_NAMES[0]
        base = b.redirect_to or f"https://{other}:{self.port}"
        if not b.redirect_to and host != TLS_NAMES[0]:
            return None
        return base + request.path + ("?" + request.query_text if request.query_text else "")
