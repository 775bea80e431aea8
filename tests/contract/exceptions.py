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
    extra: frozenset[str] = frozenset()    # the fields that may be there beside the named ones
    message: str = ".*"

    def covers(self, problem: Problem) -> bool:
        fits = all(re.fullmatch(pattern, text, re.DOTALL) for pattern, text in (
            (self.operation, problem.operation), (self.part, problem.part), (self.field, problem.field),
            (self.rule, problem.rule), (self.message, problem.message)))
        if not fits or problem.rule != "additionalProperties":
            return fits
        return set(re.findall(r"'(\w+)'", problem.message.partition("(")[2])) <= self.extra


DISAGREEMENTS: tuple[Disagreement, ...] = (
    Disagreement(r"POST /api/\w+/v\d/revoke.*", "request", "reasonCode", "type|enum",
                 "a string for the description, a number in the HTML reference and its examples; numbers are sent"),
    Disagreement(r"GET /api/\w+/v\d/\{\w+\}|PUT /api/ssl/v\d", "reply", "reasonCode", "type|enum",
                 "a string for the description, a number in the HTML reference; clients take both"),
    Disagreement(r"GET /api/.*", "query", "", "additionalProperties",
                 "any call takes it, says the HTML reference ('Date formatting')", frozenset({"dateFormat"})),
    Disagreement(r"GET /api/ssl/v\d", "query", "status", "enum",
                 "'SA Approved' for the description, SAApproved in the HTML reference, which version 1 goes by"),
    Disagreement(r"GET /api/ssl/v\d/\{sslId\}/dcv", "reply", "", "type",
                 "an array for the description, an object in the HTML reference; clients take both"),
    Disagreement(r".* /api/ssl/v\d/\{sslId\}/dcv.*", "reply", r"(.*\.)?(lastCheck|nextCheck|dcvDate)", "format|type",
                 "yyyy-MM-dd HH:mm:ss, and null for what has not happened, in the HTML reference"),
    Disagreement(r".* /api/ssl/v\d/\{sslId\}/dcv.*", "reply", r"(.*\.)?error\.description", "type",
                 "null without an error, in the HTML reference"),
    Disagreement(r"(GET|PUT) /api/(ssl|device)/v\d(/\{\w+\})?", "reply",
                 "requested|approved|issued|declined|expires|replaced|revoked|renewedDate", "format",
                 "MM/dd/yyyy unless dateFormat asks for something else, in the HTML reference"),
    Disagreement(r"GET /api/ssl/v\d/\{\w+\}", "reply", "", "additionalProperties",
                 "in what an update takes, and shown again by the sandbox", frozenset({"serverSoftware"})),
    Disagreement(r"POST /api/report/v1/(ssl|device)-certificates", "request",
                 "certificateStatus|certificateDateAttribute|certificateRequestSource", "type|enum",
                 "strings for the description, numbers in the HTML reference"),
    Disagreement(r"GET /api/organization/v1/\{id\}", "reply", ".*", "additionalProperties",
                 "fields of an address, and departments, in the HTML reference",
                 frozenset({"stateOrProvince", "certTypes", "departments", "parentId", "parentName", "address1", "city",
                            "postalCode", "country", "sslCertsApiEnabled", "clientCertsApiEnabled"})),
    Disagreement(r"\w+ /api/.*", "reply", ".+", "type|enum",
                 "null where there is nothing, in examples of the HTML reference and seen by clients; or the field is absent",
                 message="None is not .*"),
    Disagreement(r"POST /api/device/v1/(enroll|renew/.*)", "reply", "", "additionalProperties",
                 "in the example of the HTML reference", frozenset({"backendCertId", "orderNumber"})),
    Disagreement(r"POST /api/device/v1/(enroll|renew/.*)", "reply", "status", "enum",
                 "in capitals in the HTML reference; clients take every spelling", message="'[A-Z_]+' is not .*"),
    Disagreement(r"POST /api/device/v1/replace/.*", "request", "", "additionalProperties",
                 "required in the HTML reference; the description shows the request for TLS certificates in its place",
                 frozenset({"revoke"})),
    Disagreement(r"(GET|PUT) /api/(device/v1|smime/v2)(/\{\w+\})?", "reply",
                 "requested|approved|issued|declined|expires|replaced|revoked|renewedDate", "format",
                 "MM/dd/yyyy unless dateFormat asks for something else, in the HTML reference"),
    Disagreement(r"GET /api/smime/v2/\{certId\}", "reply", "|status", "additionalProperties|enum",
                 "the description names the reply about a discovery task (two schemas of one name); details are as after an update",
                 frozenset({"id", "orgId", "commonName", "orderNumber", "backendCertId", "certType", "subType", "term", "requester",
                            "comments", "serialNumber", "customFields", "certificateDetails", "requested", "approved",
                            "issued", "expires", "revoked"})),
    Disagreement(r"GET /api/acme/v2/account(/\{id\})?", "reply", r"(\[\])?", "additionalProperties",
                 "pending or valid, in the HTML reference", frozenset({"status"})),
    Disagreement(r"\w+ /api/(dcv/v2|domain/v1)/?.*", "reply",
                 r"(.*\.)?(dcvStatus|dcvOrderStatus|status|orderStatus|validationStatus)", "enum",
                 "in capitals in the HTML reference; clients take every spelling", message="'[A-Z_]+' is not .*"),
    Disagreement(r"\w+ /api/.*", "reply", ".+", "pattern",
                 "'yyyy-MM-dd' is the format of a date, and no regular expression", message=".* does not match 'yyyy-MM-dd'"),
    Disagreement(r"POST /api/dcv/v2/validation/submit/domain/(cname|email)", "reply", ".*", "additionalProperties",
                 "the description names the reply to a start; the HTML reference has status, orderStatus and message",
                 frozenset({"status", "orderStatus", "message", "orderBackendId", "emailValidationReferenceNumber"})),
    Disagreement(r"POST /api/dcv/v2/validation/sync", "reply", ".*", "additionalProperties",
                 "the state alone for the description, all of a status in the HTML reference; clients take both",
                 frozenset({"validationDate", "expirationDate", "orderStatus", "orderMode", "url", "firstLine", "secondLine",
                            "host", "point", "validationEmail", "emailValidationReferenceNumber", "orderBackendId",
                            "submittedDate", "lastCheck", "nextCheck"})),
)

def excuse(problem: Problem) -> Disagreement | None:
    """The row that covers a problem."""
    return next((row for row in DISAGREEMENTS if row.covers(problem)), None)


def why_not_described(method: str, path: str) -> str | None:
    for pattern, reason in NOT_DESCRIBED.items():
        if re.fullmatch(pattern, f"{method} {path}"):
            return reason
    return None
