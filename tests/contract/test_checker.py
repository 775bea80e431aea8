"""The judge itself, with a small description of its own: what it lets pass, and what it finds."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("jsonschema", reason="python3-jsonschema is not installed")

import contract  # noqa: E402
import exceptions  # noqa: E402
from description import Description  # noqa: E402

DOCUMENT: dict[str, Any] = {
    "paths": {
        "/api/things/v1": {
            "get": {
                "parameters": [{"name": "size", "in": "query", "schema": {"type": "integer", "maximum": 200}},
                               {"name": "state", "in": "query", "schema": {"type": "string", "enum": ["on", "off"]}}],
                "responses": {"200": {"headers": {"X-Total-Count": {}}, "content": {"application/json": {
                    "schema": {"type": "array", "items": {"$ref": "#/components/schemas/Thing"}}}}}}},
            "post": {
                "requestBody": {"required": True, "content": {"application/json": {
                    "schema": {"$ref": "#/components/schemas/Thing"}}}},
                "responses": {"200": {"content": {"application/json": {"schema": {"type": "object", "properties": {
                    "id": {"type": "integer"}}}}}}, "204": {}}}},
        "/api/things/v1/{id}": {
            "get": {"parameters": [{"name": "id", "in": "path", "schema": {"type": "integer", "minimum": 1}}],
                    "responses": {"200": {"content": {"application/octet-stream": {}}}}}},
    },
    "components": {"schemas": {
        "Named": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 5}}, "required": ["name"]},
        "Thing": {"allOf": [{"$ref": "#/components/schemas/Named"}, {"type": "object", "properties": {
            "tag": {"type": "string", "pattern": "[a-z]+"}, "day": {"type": "string", "format": "date"},
            "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Part"}}}}]},
        "Part": {"type": "object", "properties": {"part": {"$ref": "#/components/schemas/Part"},
                                                  "count": {"type": "integer"}}},
    }},
}
GOOD = {"name": "a", "tag": "abc", "day": "2026-01-31", "parts": [{"count": 1, "part": {"count": 2}}]}


def exchange(method: str = "POST", path: str = "/api/things/v1", query: str = "", body: Any = None, status: int = 204,
             reply: Any = None, **more: Any) -> dict[str, Any]:
    shown = {"status": status, "type": "application/json" if reply is not None else "", "headers": {"x-total-count": "1"},
             "length": 0 if reply is None else 9, "json": reply}
    return {"method": method, "path": path, "query": query, "body": body, "faults": [], "reply": shown,
            "headers": {"user-agent": "p11enroll", "content-type": "application/json"}, **more}


def problems(**what: Any) -> list[tuple[str, str, str]]:
    result = contract.check_all(Description(DOCUMENT), [exchange(**what)])
    return [(p.part, p.field, p.rule) for p in result.problems]


def test_what_is_right_passes() -> None:
    assert problems(body=GOOD) == []
    assert problems(body=GOOD, path="/private/api/things/v1") == []
    assert problems(method="GET", query="size=200&state=on", status=200, reply=[GOOD]) == []


@pytest.mark.parametrize(("body", "found"), [
    ({**GOOD, "tagg": "x"}, ("request", "", "additionalProperties")),
    ({"tag": "x"}, ("request", "", "required")),
    ({**GOOD, "name": "toolong"}, ("request", "name", "maxLength")),
    ({**GOOD, "name": 5}, ("request", "name", "type")),
    ({**GOOD, "tag": "abc!"}, ("request", "tag", "pattern")),
    ({**GOOD, "day": "31.01.2026"}, ("request", "day", "format")),
    ({**GOOD, "parts": [{"cuont": 1}]}, ("request", "parts[]", "additionalProperties")),
    ({**GOOD, "parts": [{"part": {"count": "1"}}]}, ("request", "parts[].part.count", "type")),
    (None, ("request", "", "body")),
])
def test_what_is_wrong_in_a_request_is_found(body: Any, found: tuple[str, str, str]) -> None:
    assert problems(body=body) == [found]


def test_a_misspelt_name_in_a_reply_is_found() -> None:
    assert problems(body=GOOD, status=200, reply={"id": 1}) == []
    assert problems(body=GOOD, status=200, reply={"ID": 1}) == [("reply", "", "additionalProperties")]


@pytest.mark.parametrize(("what", "found"), [
    ({"query": "sice=1"}, ("query", "", "additionalProperties")),
    ({"query": "size=201"}, ("query", "size", "maximum")),
    ({"query": "size=x"}, ("query", "size", "type")),
    ({"query": "state=maybe"}, ("query", "state", "enum")),
    ({"path": "/api/things/v1/0"}, ("path", "id", "minimum")),
])
def test_what_is_wrong_in_an_address_is_found(what: dict[str, str], found: tuple[str, str, str]) -> None:
    asked = exchange(method="GET", **what)
    asked["reply"] = None
    assert [(p.part, p.field, p.rule) for p in contract.check_all(Description(DOCUMENT), [asked]).problems] == [found]


@pytest.mark.parametrize(("status", "reply", "found"), [
    (201, {"id": 1}, ("reply", "", "status")),
    (204, {"id": 1}, ("reply", "", "body")),
    (200, None, ("reply", "", "content-type")),
    (400, {"code": "x", "description": "d"}, ("reply", "code", "type")),
    (400, {"code": -1}, ("reply", "", "required")),
])
def test_what_is_wrong_in_a_reply_is_found(status: int, reply: Any, found: tuple[str, str, str]) -> None:
    assert problems(body=GOOD, status=status, reply=reply) == [found]


def test_a_missing_header_is_found() -> None:
    asked = exchange(method="GET", status=200, reply=[GOOD])
    asked["reply"]["headers"] = {}
    found = contract.check_all(Description(DOCUMENT), [asked]).problems
    assert [(p.field, p.rule) for p in found] == [("X-Total-Count", "header")]


def test_error_objects_may_lack_their_code() -> None:
    assert problems(body=GOOD, status=400, reply={"description": "d"}) == []


def test_requests_of_others_are_not_judged_but_replies_to_them_are() -> None:
    asked = exchange(body={"nonsense": 1}, status=200, reply={"ID": 1})
    asked["headers"] = {"user-agent": "curl/7"}
    assert [p.part for p in contract.check_all(Description(DOCUMENT), [asked]).problems] == ["reply"]


def test_replies_that_were_spoilt_are_not_judged() -> None:
    asked = exchange(body=GOOD)
    asked["reply"] = None
    result = contract.check_all(Description(DOCUMENT), [asked])
    assert not result.problems and not result.replies and sum(result.requests.values()) == 1


def test_paths_outside_of_the_description_need_a_reason() -> None:
    assert problems(path="/api/other/v1", body=GOOD) == [("path", "", "unknown")]
    assert problems(path="/auth/realms/x/token") == []


def test_a_disagreement_excuses_that_field_alone() -> None:
    revoke = "POST /api/ssl/v1/revoke/{id}"
    problem = contract.Problem(revoke, "request", "reasonCode", "type", "4 is not of type 'string'")
    assert exceptions.excuse(problem) is not None
    assert exceptions.excuse(contract.Problem(revoke, "request", "reason", "type", "x")) is None
    assert exceptions.excuse(contract.Problem(revoke, "reply", "reasonCode", "type", "x")) is None
    extra = "Additional properties are not allowed ('%s' was unexpected)"
    asked = "GET /api/ssl/v1/{sslId}"
    assert exceptions.excuse(contract.Problem(asked, "query", "", "additionalProperties", extra % "dateFormat")) is not None
    assert exceptions.excuse(contract.Problem(asked, "query", "", "additionalProperties", extra % "dateformat")) is None


def test_each_disagreement_gives_a_reason() -> None:
    assert all(len(row.reason) > 20 for row in exceptions.DISAGREEMENTS)
    assert all(len(reason) > 20 for reason in exceptions.NOT_DESCRIBED.values())
