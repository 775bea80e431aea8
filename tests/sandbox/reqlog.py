"""The request log: one JSON line per request, in memory and in `log.jsonl`. No secrets."""

from __future__ import annotations

import json
import threading
from collections import deque
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import fields
from errors import ScmError
from message import Request

KEPT = 20000
HIDDEN = "(hidden)"


def record_of(request: Request) -> dict[str, Any]:
    """What is known of a request before it is answered."""
    return {"method": request.method, "path": request.path, "query": request.query_text,
            "host": request.header("Host"), "status": None, "auth": "none",
            "login": request.header("login"), "customerUri": request.header("customerUri"),
            "password_sent": "password" in request.headers,
            "user_agent": request.header("User-Agent"),
            "tls": request.tls_version, "client_serial": request.client_serial,
            "connection": request.connection,
            "body": body_of(request.body), "code": None, "faults": []}


def body_of(data: bytes) -> Any:
    """A body for the log: the JSON object without passwords, or its length."""
    if not data:
        return None
    try:
        values = fields.parse(data)
    except ScmError:
        return {"unparsed_bytes": len(data)}
    return {key: HIDDEN if "password" in key.lower() else value for key, value in values.items()}


class RequestLog:
    """All requests since the start or the last clearing. Safe for threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._rows: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._next = last_number(path) + 1
        self._stream = path.open("a", encoding="utf-8")

    def add(self, record: dict[str, Any]) -> None:
        """Number a record, stamp it with the time and write it."""
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        with self._lock:
            row = {"n": self._next, "time": now.replace("+00:00", "Z"), **record}
            self._next += 1
            self._rows.append(row)
            self._stream.write(json.dumps(row) + "\n")
            self._stream.flush()

    def since(self, number: int) -> list[dict[str, Any]]:
        """The records after a number."""
        with self._lock:
            return [row for row in self._rows if row["n"] > number]

    def clear(self) -> None:
        """Forget all records, in the file too; numbers go on."""
        with self._lock:
            self._rows.clear()
            self._stream.truncate(0)


def last_number(path: Path) -> int:
    """The number of the last record in a log file of an earlier run."""
    if not path.exists():
        return 0
    last = 0
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            last = max(last, int(json.loads(line)["n"]))
        except (ValueError, KeyError, TypeError):
            continue
    return last
