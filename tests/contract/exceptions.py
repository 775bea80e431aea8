"""Where the description says nothing, and where the API's documents contradict it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from description import Problem

# Requests of the client whose paths the description does not have: a regular expression, and why they are right.
NOT_DESCRIBED: dict[str, str] = {
    r"GET /api/ssl/v[12]/collect/\d+/\w+": "collect in path form: not documented, used by several clients ('collect_form = path')",
    r"HEAD /api/(ssl/v[12]|smime/v2|device/v1)": "counting without rows: in the HTML reference alone",
    r"POST /api/ssl/v[12]/enroll/": "with a slash at the end, as some programs send it",
    r"\w+ /api/dcv/v1/.*": "version 1 of domain control validation: in the HTML reference, the description has version 2",
    r"\w+ /api/smime/v1/.*": "version 1 of client certificates: in the HTML reference, the description has version 2",
    r"\w+ /api/v1/certificates.*": "the Enrollment API, which has a description of its own",
    r"POST /auth/realms/.*": "the server that gives out tokens",
    r"\w+ /(?!api/).*": "not the API: what 'check' asks for to see that HTTP is spoken, and ACME",
}


@dataclass(frozen=True)
class Disagreement:
    """A row of the list: what is tolerated, and why."""

    operation: str             # regular expressions
    part: str
    field: str
    rule: str
    reason: str

    def covers(self, problem: Problem) -> bool:
        return all(re.fullmatch(pattern, text) for pattern, text in (
            (self.operation, problem.operation), (self.part, problem.part), (self.field, problem.field),
            (self.rule, problem.rule)))


DISAGREEMENTS: tuple[Disagreement, ...] = (
    Disagreement(r"POST /api/\w+/v\d/revoke.*", "request", "reasonCode", "type|enum",
                 "a string for the description, a number in the HTML reference and its examples; numbers are sent"),
    Disagreement(r"GET /api/\w+/v\d/\{\w+\}|PUT /api/ssl/v\d", "reply", "reasonCode", "type|enum",
                 "a string for the description, a number in the HTML reference; clients take both"),
    Disagreement(r"GET /api/.*", "query", "", "additionalProperties",
                 "dateFormat: any call takes it, says the HTML reference ('Date formatting')"),
    Disagreement(r"GET /api/ssl/v\d", "query", "status", "enum",
                 "'SA Approved' for the description, SAApproved in the HTML reference, which version 1 goes by"),
    Disagreement(r"GET /api/ssl/v\d/\{sslId\}/dcv", "reply", "", "type",
                 "an array for the description, an object in the HTML reference; clients take both"),
    Disagreement(r".* /api/ssl/v\d/\{sslId\}/dcv.*", "reply", r"(.*\.)?(lastCheck|nextCheck|dcvDate)", "format|type",
                 "yyyy-MM-dd HH:mm:ss, and null for what has not happened, in the HTML reference"),
    Disagreement(r".* /api/ssl/v\d/\{sslId\}/dcv.*", "reply", r"(.*\.)?error\.description", "type",
                 "null without an error, in the HTML reference"),
    Disagreement(r"(GET|PUT) /api/ssl/v\d(/\{\w+\})?", "reply",
                 "requested|approved|issued|declined|expires|replaced|revoked|renewedDate", "format",
                 "MM/dd/yyyy unless dateFormat asks for something else, in the HTML reference"),
    Disagreement(r"GET /api/ssl/v\d/\{\w+\}", "reply", "", "additionalProperties",
                 "serverSoftware: in what an update takes, and shown again by the sandbox"),
    Disagreement(r"POST /api/report/v1/ssl-certificates", "request",
                 "certificateStatus|certificateDateAttribute|certificateRequestSource", "type|enum",
                 "strings for the description, numbers in the HTML reference"),
    Disagreement(r"GET /api/organization/v1/\{id\}", "reply", ".*", "additionalProperties",
                 "the description names other fields of an address than the HTML reference"),
    Disagreement(r"GET /api/admin/v1/password", "reply", "expirationDate", "type",
                 "null for a password that never expires"),
)

# Of a rule that says only "another field is there", the fields that are meant.
EXTRA_FIELDS = {"query": ("dateFormat",), "reply": ("serverSoftware",)}


def excuse(problem: Problem) -> Disagreement | None:
    """The row that covers a problem."""
    for row in DISAGREEMENTS:
        if row.covers(problem):
            extra = EXTRA_FIELDS.get(problem.part, ())
            named = re.findall(r"'(\w+)'", problem.message.partition("(")[2])
            if row.rule != "additionalProperties" or row.field == ".*" or set(named) <= set(extra):
                return row
    return None


def why_not_described(method: str, path: str) -> str | None:
    for pattern, reason in NOT_DESCRIBED.items():
        if re.fullmatch(pattern, f"{method} {path}"):
            return reason
    return None
