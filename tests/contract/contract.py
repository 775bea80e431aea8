"""Holds recorded exchanges against the description: what the client sent, and what the sandbox answered."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import exceptions
from description import Description, Problem

AGENT = "p11enroll"
VARIABLE = "SECTIGO_OPENAPI"


def load() -> Description:
    """The description that the environment names; the file begins with a byte order mark."""
    return Description(json.loads(Path(os.environ[VARIABLE]).read_text(encoding="utf-8-sig")))


def exchanges(folder: Path) -> Iterator[dict[str, Any]]:
    """All that was recorded below a directory."""
    for path in sorted(folder.rglob("*.jsonl")):
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)


@dataclass
class Result:
    """What came out."""

    requests: Counter[str] = field(default_factory=Counter)    # by operation
    replies: Counter[str] = field(default_factory=Counter)
    excused: Counter[str] = field(default_factory=Counter)     # by reason
    outside: Counter[str] = field(default_factory=Counter)     # paths that are not described, by reason
    problems: Counter[Problem] = field(default_factory=Counter)

    def add(self, problems: Iterable[Problem]) -> None:
        for problem in problems:
            row = exceptions.excuse(problem)
            if row is None:
                self.problems[problem] += 1
            else:
                self.excused[f"{row.operation}: {row.reason}"] += 1

    def text(self) -> str:
        rows = [f"{number:6} {problem}" for problem, number in self.problems.most_common(40)]
        return "\n".join(rows)


def check(description: Description, exchange: dict[str, Any], result: Result) -> None:
    """One exchange. Of other clients than ours only the replies are judged."""
    method, path = exchange["method"], exchange["path"].removeprefix("/private")
    operation = description.find(method, path)
    ours = exchange["headers"].get("user-agent", "").startswith(AGENT)
    reply = exchange["reply"]
    if operation is None:
        reason = exceptions.why_not_described(method, path)
        if reason is not None:
            result.outside[reason] += 1
        elif ours:
            result.problems[Problem(f"{method} {path}", "path", "", "unknown", "the description does not have it")] += 1
        return
    if ours:
        result.requests[operation.name] += 1
        result.add(description.check_request(operation, exchange, path))
    if reply is not None:
        result.replies[operation.name] += 1
        result.add(description.check_reply(operation, reply))


def check_all(description: Description, recorded: Iterable[dict[str, Any]]) -> Result:
    result = Result()
    for exchange in recorded:
        check(description, exchange, result)
    return result
