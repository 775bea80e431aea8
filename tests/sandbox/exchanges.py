"""What was asked and answered, one JSON line each, for checks against a description of the API.

Only when P11ENROLL_EXCHANGES names a directory. There are no secrets in it.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from behaviour import TABLE
from message import Reply, Request
from reqlog import HIDDEN, body_of

VARIABLE = "P11ENROLL_EXCHANGES"
SECRET_HEADERS = ("password", "authorization", "cookie")
SECRET_FIELDS = ("password", "newpassword", "mackey", "clientsecret", "access_token", "passphrase")
# Switches of these groups decide what becomes of orders and connections, not how replies look.
HARMLESS = ("issue", "tls")


def faults(b: SimpleNamespace) -> list[str]:
    """The switches that make replies other than they should be."""
    return [row.name for row in TABLE
            if row.group not in HARMLESS and getattr(b, row.name) != row.default]


def headers_of(request: Request) -> dict[str, str]:
    return {name.lower(): HIDDEN if name.lower() in SECRET_HEADERS else value
            for name, value in request.headers.items()}


def without_secrets(value: Any) -> Any:
    """A JSON value whose secret fields are hidden."""
    if isinstance(value, dict):
        return {key: HIDDEN if key.lower() in SECRET_FIELDS and isinstance(field, str)
                else without_secrets(field) for key, field in value.items()}
    return [without_secrets(item) for item in value] if isinstance(value, list) else value


def reply_of(reply: Reply) -> dict[str, Any]:
    kind = (reply.content_type or "").partition(";")[0]
    shown: dict[str, Any] = {"status": reply.status, "type": kind, "length": len(reply.body),
                             "headers": {name.lower(): value for name, value in reply.headers}}
    if kind == "application/json":
        shown["json"] = without_secrets(json.loads(reply.body))
    return shown


class Exchanges:
    """Writes them, if anybody wants them. Safe for threads."""

    def __init__(self, directory: str | None) -> None:
        self._lock = threading.Lock()
        self._stream = None
        if directory:
            folder = Path(directory)
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._stream = (folder / f"{os.getpid()}.jsonl").open("a", encoding="utf-8")

    def add(self, request: Request, reply: Reply, b: SimpleNamespace) -> None:
        """One exchange; of a reply that a switch has spoilt, only that it was."""
        if self._stream is None:
            return
        wrong = faults(b)
        row = {"method": request.method, "path": request.path, "query": request.query_text,
               "headers": headers_of(request), "body": without_secrets(body_of(request.body)),
               "faults": wrong, "reply": None if wrong else reply_of(reply)}
        with self._lock:
            self._stream.write(json.dumps(row) + "\n")
            self._stream.flush()
