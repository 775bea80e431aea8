"""The switches: one row each, the values they have now, and faults that fire a few times.

A switch changes how the sandbox answers; it never changes what a request means. `TABLE` is the
whole list. `Behaviours` holds the present values; a fault (`once`) is a set of switch values that
applies to the next matching requests only, laid over the present values.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Iterable


class BadSwitch(ValueError):
    """A switch name, value or fault that the table does not allow."""


@dataclass(frozen=True)
class Switch:
    """One row of the table."""

    group: str
    name: str
    kind: str                  # choice, flag, int, float or text
    default: Any
    values: tuple              # choice: the words; int and float: lowest and highest
    help: str

    def parse(self, value: Any) -> Any:
        """Return value as this switch stores it, or raise BadSwitch."""
        try:
            return getattr(self, "parse_" + self.kind)(value)
        except (TypeError, ValueError) as error:
            raise BadSwitch(f"{self.name}: {value!r} is not {self.allowed()}") from error

    def parse_choice(self, value: Any) -> str:
        text = str(value)
        if isinstance(value, bool) or text not in self.values:
            raise ValueError
        return text

    def parse_flag(self, value: Any) -> bool:
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        text = str(value).lower()
        if text not in words:
            raise ValueError
        return words[text]

    def parse_int(self, value: Any) -> int:
        if isinstance(value, (bool, float)):
            raise ValueError
        number = int(value)
        if not self.values[0] <= number <= self.values[1]:
            raise ValueError
        return number

    def parse_float(self, value: Any) -> float:
        if isinstance(value, bool):
            raise ValueError
        number = float(value)
        if not self.values[0] <= number <= self.values[1]:
            raise ValueError
        return number

    def parse_text(self, value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError
        return value

    def allowed(self) -> str:
        """The allowed values in words."""
        if self.kind == "choice":
            return " | ".join(self.values)
        if self.kind == "flag":
            return "true | false"
        if self.kind == "text":
            return "a text"
        return f"{self.values[0]}..{self.values[1]}"


DAY_S = 86400.0
HUGE = 1 << 32

TABLE: tuple[Switch, ...] = (
    # Approval and issue
    Switch("issue", "approval", "choice", "auto",
           ("auto", "manual", "two-step", "decline", "person-then-decline"),
           "who approves a new order; two-step passes SAApproved on the way"),
    Switch("issue", "approval_polls", "int", 1, (0, 100000),
           "person-then-decline: status calls that say Requested before Declined"),
    Switch("issue", "approved_polls", "int", 0, (0, 100000),
           "status calls that say Approved before Applied"),
    Switch("issue", "pending_polls", "int", 0, (0, 100000),
           "status calls that say Applied before Issued"),
    Switch("issue", "pending_seconds", "float", 0.0, (0.0, 366 * DAY_S),
           "seconds an order stays Applied"),
    Switch("issue", "issue_result", "choice", "issue", ("issue", "reject", "invalid", "stuck"),
           "how an approved order ends: Issued, Rejected, Invalid, or never"),
    Switch("issue", "backdate_days", "int", 0, (0, 20000),
           "issue as if this many days ago, so that certificates are near their end"),
    Switch("issue", "san_source", "choice", "request", ("request", "request+csr", "csr"),
           "where the names of the certificate come from"),
    Switch("issue", "renew_comments", "choice", "copy", ("copy", "empty"),
           "comments of the order that a renewal makes"),
    Switch("issue", "replace_status", "choice", "applied", ("applied", "issued"),
           "status shown while a replacement is being made"),
    Switch("issue", "replace_old_collects", "int", 0, (0, 100000),
           "collects that still give the old certificate after a replacement"),
    Switch("issue", "revoke_strict", "flag", True, (),
           "revoke demands both reasonCode and reason"),
    Switch("issue", "validated_domains", "text", "*", (),
           "comma list of validated domains; * means all"),
    Switch("issue", "dcv_checks", "int", 1, (0, 100000),
           "rechecks that a domain which is not validated needs"),
    # Validation of domains
    Switch("dcv", "dcv_polls", "int", 0, (0, 100000),
           "status calls that find a submitted validation still under way"),
    Switch("dcv", "dcv_result", "choice", "validate", ("validate", "reject", "stuck"),
           "how a submitted validation ends, or that it never does"),
    Switch("dcv", "dcv_dns", "text", "", (),
           "HOST:PORT of the DNS server that is asked for the record; empty believes it"),
    Switch("dcv", "dcv_web", "text", "", (),
           "HOST:PORT of the web server that is asked for the file; empty believes it"),
    Switch("dcv", "dcv_spelling", "choice", "auto", ("auto", "v1", "oa"),
           "status words: NOT_VALIDATED, or 'Not validated'; auto goes by the version of the path"),
    Switch("dcv", "dcv_sync", "choice", "full", ("full", "status"),
           "whether a recheck answers with all that a status does, or with the state alone"),
    Switch("dcv", "dcv_refuse", "choice", "none",
           ("none", "-3", "-107", "-196", "-705", "-715", "-723", "-724", "-727", "-1603", "-1608"),
           "refuse every call about the validation of a domain with this code"),
    # Collect
    Switch("collect", "not_ready", "choice", "400-0",
           ("400-0", "400-183", "400-1400", "200-empty", "404-103", "404-109"),
           "reply to a collect that comes too early: HTTP status and code"),
    Switch("collect", "not_collectable", "int", 0, (0, 100000),
           "collects refused although the status says Issued"),
    Switch("collect", "chain_order", "choice", "root-first",
           ("root-first", "leaf-first", "shuffled", "without-root", "with-extra"),
           "certificates of x509, pem, base64 and bin; x509R and x509IOR are the reverse"),
    Switch("collect", "line_ends", "choice", "lf", ("lf", "crlf", "no-final"),
           "line ends of PEM"),
    Switch("collect", "collect_type", "choice", "octet-stream",
           ("octet-stream", "octet-stream-charset", "text-plain", "missing"),
           "Content-Type of a collected certificate"),
    Switch("collect", "certificate", "choice", "right",
           ("right", "other-key", "other-san", "no-san", "expired", "not-yet-valid",
            "wrong-issuer", "leaf-missing", "pkcs7", "garbage"),
           "what is collected instead of the right certificate"),
    # Shapes of JSON
    Switch("shape", "date_format", "choice", "default",
           ("default", "null", "missing", "us", "eu", "iso", "iso_hms"),
           "dates in details; other than default ignores the dateFormat parameter"),
    Switch("shape", "status_spelling", "choice", "v1", ("v1", "oa", "upper", "unknown"),
           "status words: SAApproved, 'SA Approved', ISSUED, or a word nobody knows"),
    Switch("shape", "reason_code", "choice", "int", ("int", "string"),
           "JSON type of reasonCode in details"),
    Switch("shape", "id_kind", "choice", "int", ("int", "large", "string"),
           "ids in replies: small, above 2^31 (new orders), or as JSON strings"),
    Switch("shape", "dcv_shape", "choice", "object", ("object", "array"),
           "DCV information as an object or as an array of one"),
    Switch("shape", "string_numbers", "choice", "refuse", ("refuse", "accept"),
           "numbers sent as JSON strings in a request"),
    # Login
    Switch("login", "auth", "choice", "check", ("check", "refuse"),
           "check logins, or refuse right ones too"),
    Switch("login", "auth_reply", "choice", "json", ("json", "empty", "html", "403"),
           "shape of a refusal: 401 with JSON, empty or HTML, or 403 with JSON"),
    Switch("login", "private_no_cert", "choice", "401", ("401", "403", "400-html"),
           "reply on /private when no client certificate came"),
    Switch("login", "front_header", "text", "", (),
           "header in which a front end that does the TLS passes on the client certificate's serial number"),
    Switch("login", "oauth", "choice", "give", ("give", "refuse", "no-expiry"),
           "requests for tokens: given, refused, or given without expires_in"),
    Switch("login", "oauth_life_s", "int", 300, (0, 86400), "seconds that a new token is good for"),
    Switch("login", "oauth_names", "text", "",
           (), "URL that a 401 names for tokens (authorization_uri); empty is the sandbox's own"),
    # Enroll, renew and replace
    Switch("enroll", "enroll_fault", "choice", "none",
           ("none", "stored-cut", "stored-mid-reply", "stored-504", "cut"),
           "order stored, then no, half or a 504 reply; or not stored and no reply"),
    Switch("enroll", "enroll_status", "choice", "200", ("200", "201"),
           "HTTP status of enroll and renewById"),
    Switch("enroll", "enroll_reply", "choice", "normal",
           ("normal", "no-renew-id", "extra-fields", "zero-id", "negative-id", "no-id"),
           "body of enroll and renewById"),
    # The Enrollment API, where it is not documented
    Switch("enrollment", "enrollment_id", "choice", "id", ("id", "certId", "text"),
           "what an order's id is called; text: certId, and it is no number"),
    Switch("enrollment", "enrollment_status", "choice", "status",
           ("status", "state", "certificateStatus", "none"),
           "what the status call calls it; none: there is no such call"),
    Switch("enrollment", "enrollment_list", "choice", "none", ("none", "rows", "comments"),
           "the list: not there (404), rows, or rows with comments"),
    Switch("enrollment", "enrollment_fields", "choice", "all", ("all", "csr"),
           "what an order may carry: all that is known, or the CSR alone"),
    Switch("enrollment", "enrollment_product", "choice", "optional", ("optional", "required"),
           "whether an order has to carry productId"),
    Switch("enrollment", "enrollment_not_ready", "choice", "404-103",
           ("404-103", "404-109", "400-0", "400-183", "400-1400", "200-empty"),
           "reply to a collect that comes too early: HTTP status and code"),
    Switch("enrollment", "enrollment_chain", "choice", "leaf-first",
           ("leaf-first", "root-first", "shuffled", "without-root", "with-extra"),
           "certificates of a collect, in this order"),
    # Lists and reports
    Switch("list", "list_lag_s", "float", 0.0, (0.0, 366 * DAY_S),
           "seconds until a new order shows in lists and reports"),
    Switch("list", "list_total", "choice", "right", ("right", "missing", "wrong"),
           "header X-Total-Count"),
    Switch("list", "list_duplicates", "flag", False, (), "every other row comes twice"),
    Switch("list", "list_size", "choice", "honour", ("honour", "ignore"),
           "whether size is looked at"),
    Switch("list", "list_order", "choice", "asc", ("asc", "desc"), "order of rows, by id"),
    Switch("list", "list_rows", "int", 0, (0, 10000000),
           "rows made up behind the real ones, Issued, in lists and reports"),
    Switch("list", "list_move", "int", 0, (0, 1000000),
           "made up rows stand again that many places later, as if others had been added before"),
    Switch("list", "status_filter", "choice", "honour", ("honour", "ignore"),
           "whether lists look at the parameter status"),
    Switch("list", "serial_filter", "choice", "honour", ("honour", "ignore"),
           "whether lists look at the parameter serialNumber"),
    Switch("list", "report", "choice", "give", ("give", "ahead", "refuse", "none"),
           "the report: given, given with what lists do not show yet, refused for want of rights, or not there (404)"),
    Switch("list", "cn_filter", "choice", "exact", ("exact", "substring", "icase"),
           "how commonName and externalRequester match in lists"),
    # HTTP replies
    Switch("http", "fault_path", "text", "", (),
           "regular expression that the path must contain for the switches of this group"),
    Switch("http", "fault_when", "choice", "before", ("before", "after"),
           "fail_status, redirect and cut: instead of the action, or after it"),
    Switch("http", "fail_status", "int", 0, (0, 599), "reply with this status; 0 is off"),
    Switch("http", "fail_code", "int", 1, (-99999, 1),
           "code of the error object in that reply; 1 is the usual one of the status"),
    Switch("http", "fail_body", "choice", "json", ("json", "html", "empty", "gateway"),
           "body of that reply; gateway: JSON that is not the API's"),
    Switch("http", "retry_after", "choice", "none", ("none", "delta", "date", "past", "absurd"),
           "header Retry-After of that reply"),
    Switch("http", "retry_after_s", "int", 1, (0, 31536000), "seconds in delta and date"),
    Switch("http", "redirect", "choice", "none", ("none", "301", "302", "303", "307", "308"),
           "redirect to another host"),
    Switch("http", "redirect_to", "text", "", (),
           "its https://host:port; empty is the sandbox's other name"),
    Switch("http", "cut", "choice", "none", ("none", "before-reply", "mid-headers", "mid-reply"),
           "end the connection before or within the reply"),
    Switch("http", "cut_how", "choice", "rst", ("rst", "fin"), "how TCP ends then"),
    Switch("http", "body", "choice", "plain",
           ("plain", "huge", "truncated", "slow-drip", "gzip", "gzip-bomb", "chunked"),
           "how the body is sent"),
    Switch("http", "huge_bytes", "int", 64 << 20, (1, HUGE), "length of a huge body, and of an unpacked bomb"),
    Switch("http", "drip_ms", "int", 200, (1, 600000), "pause between two bytes of a slow drip"),
    Switch("http", "delay_s", "float", 0.0, (0.0, 3600.0),
           "wait after the action, before the reply"),
    Switch("http", "keep_alive", "choice", "yes", ("yes", "no", "drop"),
           "connections after a reply: kept, closed as announced, or closed unannounced"),
    # TLS, for connections from now on
    Switch("tls", "tls_cert", "choice", "good",
           ("good", "expired", "wrong-name", "unknown-ca", "self-signed"),
           "certificate of the server"),
    Switch("tls", "tls_min", "choice", "1.2", ("1.1", "1.2", "1.3"), "lowest TLS version"),
    Switch("tls", "tls_max", "choice", "1.3", ("1.1", "1.2", "1.3"), "highest TLS version"),
    Switch("tls", "client_cert", "choice", "optional",
           ("optional", "required", "never", "post-handshake"),
           "whether and when a client certificate is asked for"),
)

ROWS = {row.name: row for row in TABLE}
HTTP_GROUP = {row.name: row.default for row in TABLE if row.group == "http"}


def parse_all(values: Any) -> dict[str, Any]:
    """Check a mapping of switch names to values against the table."""
    if not isinstance(values, dict):
        raise BadSwitch("an object of switch names and values is needed")
    unknown = [str(name) for name in values if name not in ROWS]
    if unknown:
        raise BadSwitch("no such switch: " + ", ".join(unknown))
    parsed = {name: ROWS[name].parse(value) for name, value in values.items()}
    check_regex("fault_path", parsed.get("fault_path", ""))
    if 0 < parsed.get("fail_status", 0) < 200:
        raise BadSwitch("fail_status: 0 or a final status from 200")
    return parsed


def check_regex(name: str, text: Any) -> None:
    """Raise BadSwitch unless text is a regular expression."""
    try:
        re.compile(text)
    except (re.error, TypeError) as error:
        raise BadSwitch(f"{name}: not a regular expression: {error}") from error


@dataclass
class Fault:
    """Switch values for the next requests that match."""

    method: str | None
    path_regex: str
    values: dict[str, Any]
    times: int | None          # None: until cleared
    skip: int = 0              # matching requests to let pass first

    @classmethod
    def parse(cls, row: Any) -> "Fault":
        """Make a fault from its JSON form."""
        if not isinstance(row, dict) or not isinstance(row.get("fault"), dict):
            raise BadSwitch('a fault is {"match":{..},"fault":{..},"times":n,"skip":n}')
        match = row.get("match", {})
        if not isinstance(match, dict):
            raise BadSwitch("match must be an object")
        check_regex("path_regex", match.get("path_regex", ""))
        values = parse_all(row["fault"])
        tls = [name for name in values if ROWS[name].group == "tls"]
        if tls:
            raise BadSwitch("not for single requests: " + ", ".join(tls))
        return cls(match.get("method"), match.get("path_regex", ""), values,
                   cls.count(row.get("times", 1)), cls.count(row.get("skip", 0)) or 0)

    @staticmethod
    def count(value: Any) -> int | None:
        """Check a number of requests; None stays None."""
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise BadSwitch("times and skip are whole numbers from 0")
        return value

    def matches(self, method: str, path: str) -> bool:
        if self.method is not None and self.method != method:
            return False
        return re.search(self.path_regex, path) is not None

    def take(self) -> bool:
        """Count one matching request; say whether the fault applies to it."""
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None:
            if self.times == 0:
                return False
            self.times -= 1
        return True

    def describe(self) -> dict[str, Any]:
        return {"match": {"method": self.method, "path_regex": self.path_regex},
                "fault": self.values, "times": self.times, "skip": self.skip}


class Behaviours:
    """The present values of all switches and the waiting faults. Safe for threads."""

    def __init__(self, values: dict[str, Any] | None = None) -> None:
        self._lock = threading.Lock()
        self._values = {row.name: row.default for row in TABLE}
        self._faults: list[Fault] = []
        self.tls_generation = 0        # grows whenever a TLS switch changes
        self.merge(values or {})

    def merge(self, values: Any) -> dict[str, Any]:
        """Set some switches; all or none."""
        parsed = parse_all(values)
        with self._lock:
            merged = {**self._values, **parsed}
            if merged["tls_min"] > merged["tls_max"]:
                raise BadSwitch("tls_min is above tls_max")
            self._replace(merged)
            return dict(merged)

    def reset(self) -> dict[str, Any]:
        """Set every switch to its default and forget all faults."""
        with self._lock:
            self._faults.clear()
            self._replace({row.name: row.default for row in TABLE})
            return dict(self._values)

    def _replace(self, values: dict[str, Any]) -> None:
        changed = [name for name in values if values[name] != self._values[name]]
        if any(ROWS[name].group == "tls" for name in changed):
            self.tls_generation += 1
        self._values = values

    def values(self) -> dict[str, Any]:
        with self._lock:
            return dict(self._values)

    def now(self) -> SimpleNamespace:
        """The present values as attributes."""
        return SimpleNamespace(**self.values())

    def add_faults(self, rows: Any) -> list[dict[str, Any]]:
        """Queue faults given in their JSON form; all or none."""
        if isinstance(rows, dict):
            rows = [rows]
        if not isinstance(rows, list):
            raise BadSwitch("a list of faults is needed")
        faults = [Fault.parse(row) for row in rows]
        with self._lock:
            self._faults.extend(faults)
            return [fault.describe() for fault in self._faults]

    def faults(self) -> list[dict[str, Any]]:
        with self._lock:
            return [fault.describe() for fault in self._faults]

    def clear_faults(self) -> None:
        with self._lock:
            self._faults.clear()

    def for_request(self, method: str, path: str) -> SimpleNamespace:
        """The values for one request: present values, then the first fault that applies."""
        with self._lock:
            values = dict(self._values)
            if not re.search(values["fault_path"], path):
                values.update(HTTP_GROUP)
            fault = self._take(method, path)
            if fault is not None:
                values.update(fault)
            return SimpleNamespace(**values)

    def _take(self, method: str, path: str) -> dict[str, Any] | None:
        for fault in self._faults:
            if fault.matches(method, path) and fault.take():
                self._faults = [f for f in self._faults if f.times != 0]
                return fault.values
        return None


def parse_assignments(words: Iterable[str]) -> dict[str, Any]:
    """Turn name=value words into checked values."""
    values: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise BadSwitch(f"{word!r} is not name=value")
        values[name] = value
    return parse_all(values)


def default_text(row: Switch) -> str:
    """The default of a switch as one would write it."""
    return str(row.default).lower() if row.kind == "flag" else str(row.default)


def table_text() -> str:
    """The table for people."""
    lines = []
    for row in TABLE:
        lines.append(f"{row.group:8} {row.name:22} {row.allowed()}")
        lines.append(f"{'':31} {row.help} (default: {default_text(row) or 'empty'})")
    return "\n".join(lines) + "\n"


def table_markdown() -> str:
    """The table as README.md has it."""
    lines = ["| group | switch | values | default | what it does |", "|---|---|---|---|---|"]
    for row in TABLE:
        values = row.allowed().replace(" | ", ", ")
        lines.append(f"| {row.group} | `{row.name}` | {values} | {default_text(row)} "
                     f"| {row.help} |".replace("*", "\\*"))
    return "\n".join(lines) + "\n"
