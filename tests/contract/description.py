"""An OpenAPI description as a judge of what was asked and answered.

Stricter than the description itself: an object has no other fields than those that are named, and a
pattern is one for the whole text. That is what makes a misspelt name a failure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

from jsonschema import Draft202012Validator, FormatChecker, validators

DEPTH_MAX = 20
FORMATS = FormatChecker(formats=())
DATE = r"\d{4}-\d\d-\d\d"
UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
ERROR = {"type": "object", "required": ["description"], "additionalProperties": False,
         "properties": {"code": {"type": "integer"}, "description": {"type": "string"},
                        "details": {"type": "string"}, "items": {"type": "array"}}}


@FORMATS.checks("date")
def is_date(value: object) -> bool:
    return not isinstance(value, str) or re.fullmatch(DATE, value) is not None


@FORMATS.checks("date-time")
def is_date_time(value: object) -> bool:
    return not isinstance(value, str) or re.fullmatch(DATE + r"(T\d\d:\d\d:\d\d(\.\d+)?Z)?", value) is not None


@FORMATS.checks("uuid")
def is_uuid(value: object) -> bool:
    return not isinstance(value, str) or re.fullmatch(UUID, value, re.IGNORECASE) is not None


def whole_pattern(_validator: Any, pattern: str, value: Any, _schema: Any) -> Iterator[Any]:
    if isinstance(value, str) and re.fullmatch(pattern, value) is None:
        from jsonschema import ValidationError

        yield ValidationError(f"{value[:60]!r} does not match {pattern!r}")


Validator = validators.extend(Draft202012Validator, {"pattern": whole_pattern})


@dataclass(frozen=True)
class Problem:
    """Something that the description does not allow."""

    operation: str             # "POST /api/ssl/v1/enroll"
    part: str                  # path, query, request or reply
    field: str                 # "reports[].id"; "" is the whole
    rule: str                  # the keyword of JSON Schema, or a word of ours
    message: str

    def __str__(self) -> str:
        return f"{self.operation}: {self.part}: {self.field or '(whole)'}: {self.rule}: {self.message}"


@dataclass(frozen=True)
class Operation:
    """One operation of the description."""

    method: str
    template: str
    pattern: re.Pattern[str]
    spec: dict[str, Any]
    item: dict[str, Any]       # what all methods of the path share

    @property
    def name(self) -> str:
        return f"{self.method} {self.template}"

    def parameters(self, place: str) -> dict[str, dict[str, Any]]:
        rows = [*self.item.get("parameters", []), *self.spec.get("parameters", [])]
        return {row["name"]: row for row in rows if row.get("in") == place}


def path_pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{([^}]+)\}", template)
    groups = [re.escape(part) if index % 2 == 0 else "([^/]+)" for index, part in enumerate(parts)]
    return re.compile("".join(groups))


def field_name(path: Any) -> str:
    """a, 0, b as a[].b"""
    text = ""
    for part in path:
        text += "[]" if isinstance(part, int) else ("." if text else "") + str(part)
    return text


class Description:
    """The whole description."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.operations = [Operation(method.upper(), template, path_pattern(template), spec, item)
                           for template, item in document["paths"].items()
                           for method, spec in item.items() if isinstance(spec, dict)]
        self.operations.sort(key=lambda o: o.template.count("{"))

    def find(self, method: str, path: str) -> Operation | None:
        """The operation of a request; a fixed path wins over one with parameters."""
        for operation in self.operations:
            if operation.method == method and operation.pattern.fullmatch(path):
                return operation
        return None

    # --- schemas

    def resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in schema:
            value: Any = self.document
            for part in schema["$ref"].removeprefix("#/").split("/"):
                value = value[part]
            schema = value
        return schema

    def closed(self, schema: dict[str, Any], depth: int = 0) -> dict[str, Any]:
        """A schema without references, whose objects have the named fields alone."""
        schema = self.resolved(schema)
        if depth > DEPTH_MAX:
            return {}
        out = {key: value for key, value in schema.items()
               if key in ("type", "enum", "pattern", "format", "minimum", "maximum", "minLength", "maxLength",
                          "minItems", "maxItems", "minProperties", "uniqueItems", "required")}
        properties = dict(schema.get("properties", {}))
        open_ended = "discriminator" in schema
        for part in map(self.resolved, schema.get("allOf", [])):
            properties.update(part.get("properties", {}))
            out["required"] = [*out.get("required", []), *part.get("required", [])]
        if properties:
            out["properties"] = {name: self.closed(value, depth + 1) for name, value in properties.items()}
            out["additionalProperties"] = open_ended
        if isinstance(schema.get("additionalProperties"), dict):
            out["additionalProperties"] = self.closed(schema["additionalProperties"], depth + 1)
        if isinstance(schema.get("items"), dict):
            out["items"] = self.closed(schema["items"], depth + 1)
        return out

    def judge(self, operation: Operation, part: str, schema: dict[str, Any], value: Any) -> list[Problem]:
        validator = Validator(self.closed(schema), format_checker=FORMATS)
        return [Problem(operation.name, part, field_name(e.absolute_path), str(e.validator or "pattern"), e.message[:300])
                for e in validator.iter_errors(value)]

    # --- requests

    def check_request(self, operation: Operation, exchange: dict[str, Any], path: str) -> list[Problem]:
        return [*self.check_path(operation, path), *self.check_query(operation, exchange["query"]),
                *self.check_body(operation, exchange)]

    def check_path(self, operation: Operation, path: str) -> list[Problem]:
        match = operation.pattern.fullmatch(path)
        assert match is not None
        rows = operation.parameters("path")
        names = re.findall(r"\{([^}]+)\}", operation.template)
        found: list[Problem] = []
        for name, text in zip(names, match.groups()):
            schema = rows.get(name, {}).get("schema", {})
            found += self.judge(operation, "path", {"type": "object", "properties": {name: schema}},
                                {name: self.typed(schema, unquote(text))})
        return found

    def typed(self, schema: dict[str, Any], text: str) -> Any:
        kind = self.resolved(schema).get("type")
        if kind in ("integer", "number") and re.fullmatch(r"-?\d+", text):
            return int(text)
        if kind == "array":
            return [self.typed(schema.get("items", {}), item) for item in text.split(",")]
        return {"true": True, "false": False}.get(text, text) if kind == "boolean" else text

    def check_query(self, operation: Operation, query: str) -> list[Problem]:
        rows = operation.parameters("query")
        values = {name: self.typed(rows.get(name, {}).get("schema", {}), text)
                  for name, text in parse_qsl(query, keep_blank_values=True)}
        schema = {"type": "object", "properties": {name: row.get("schema", {}) for name, row in rows.items()} or
                  {"(none)": {}}, "required": [name for name, row in rows.items() if row.get("required")]}
        return self.judge(operation, "query", schema, values)

    def check_body(self, operation: Operation, exchange: dict[str, Any]) -> list[Problem]:
        wanted, body = operation.spec.get("requestBody"), exchange["body"]
        if wanted is None:
            return [] if body is None else [Problem(operation.name, "request", "", "body", "there is no body here")]
        if body is None:
            return [Problem(operation.name, "request", "", "body", "a body is needed")] if wanted.get("required") else []
        kind = exchange["headers"].get("content-type", "").partition(";")[0]
        if kind not in wanted["content"]:
            return [Problem(operation.name, "request", "", "content-type", f"{kind!r} is none of {list(wanted['content'])}")]
        return self.judge(operation, "request", wanted["content"][kind].get("schema", {}), body)

    # --- replies

    def check_reply(self, operation: Operation, reply: dict[str, Any]) -> list[Problem]:
        status = reply["status"]
        if not 200 <= status < 300:
            return self.judge(operation, "reply", ERROR, reply.get("json"))
        described = operation.spec["responses"].get(str(status))
        if described is None:
            return [Problem(operation.name, "reply", "", "status", f"HTTP {status} is not described")]
        described = self.resolved(described)
        found = [Problem(operation.name, "reply", name, "header", "is missing")
                 for name in described.get("headers", {})
                 if not name.startswith("Content-") and name.lower() not in reply["headers"]]
        content = described.get("content")
        if content is None:
            return found + ([Problem(operation.name, "reply", "", "body", "there is no body here")] if reply["length"] else [])
        if reply["type"] not in content:
            return found + [Problem(operation.name, "reply", "", "content-type",
                                    f"{reply['type']!r} is none of {list(content)}")]
        if reply["type"] != "application/json":
            return found
        return found + self.judge(operation, "reply", content["application/json"].get("schema", {}), reply.get("json"))
