"""What the CA's side and the way to it can do to a client: each variant of a switch is one case.

The rows are those of the sandbox that concern transport: server errors, TLS, redirects, bodies, connections. What is
ordered, collected and listed has its tests beside the commands.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from p11e import Client, Token

TYPES = "/ssl/v1/types"
DETAILS = "/ssl/v1/[0-9]+$"


@dataclass
class Case:
    """Switches, and what an enrollment under them comes to."""

    name: str
    switches: dict[str, Any]
    status: int = 0
    says: tuple[str, ...] = ()
    once: str | None = None            # for the first requests to this path alone
    times: int = 1
    orders: int = 1
    settings: dict[str, str] = field(default_factory=dict)


def failing(status: int, how: str, **more: Any) -> dict[str, Any]:
    return {"fail_status": status, "retry_after": how, "retry_after_s": 1, **more}


PASSES = [  # a failure that is over at the next request: the order is done, and was sent once
    *(Case(f"{status}-then-well-{how}", failing(status, how), once=path)
      for status in (429, 500, 502, 503, 504) for how, path in (("none", TYPES), ("delta", DETAILS))),
    *(Case(f"503-then-well-retry-after-{how}", failing(503, how), once=TYPES) for how in ("date", "past", "absurd")),
    Case("502-page-then-well", failing(502, "none", fail_body="html"), once=TYPES),
    Case("408-then-well", failing(408, "none"), once=TYPES),
    Case("empty-503-then-well", failing(503, "none", fail_body="empty"), once=DETAILS, times=2),
    Case("cut-before-reply-rst", {"cut": "before-reply"}, once=TYPES),
    Case("cut-before-reply-fin", {"cut": "before-reply", "cut_how": "fin"}, once=TYPES),
    Case("cut-mid-headers", {"cut": "mid-headers"}, once=DETAILS),
    Case("cut-mid-reply", {"cut": "mid-reply"}, once=DETAILS),
    Case("truncated-once", {"body": "truncated"}, once=TYPES),
]
STAYS = [  # one that stays is told with its status
    *(Case(f"{status}-stays", failing(status, "none", fault_path=TYPES), 45, (f"HTTP {status}", "after 3 tries"), orders=0)
      for status in (429, 500, 503)),
    Case("502-page-stays", failing(502, "none", fail_body="html", fault_path=TYPES), 45, ("HTTP 502", "a web page"), orders=0),
    Case("503-asks-to-wait", failing(503, "delta", fault_path=TYPES), 45, ("HTTP 503", "it asks to wait 1 s"), orders=0),
    Case("501-stays", failing(501, "none", fault_path=TYPES), 45, ("HTTP 501",), orders=0),
    Case("404-stays", failing(404, "none", fault_path=TYPES), 44, ("HTTP 404",), orders=0),
    Case("200-page", failing(200, "none", fail_body="html", fault_path=TYPES), 46, ("a web page",), orders=0),
    Case("200-empty", failing(200, "none", fail_body="empty", fault_path=TYPES), 46, ("the answer is not the API's",), orders=0),
]
REDIRECTS = [Case(f"redirect-{status}", {"redirect": status}, 46, (f"HTTP {status}", "credentials do not follow redirects"),
                  orders=0) for status in ("301", "302", "303", "307", "308")]
TLS = [
    Case("server-expired", {"tls_cert": "expired"}, 41, ("outside its validity",), orders=0),
    Case("server-other-name", {"tls_cert": "wrong-name"}, 41, ("for another name",), orders=0),
    Case("server-unknown-ca", {"tls_cert": "unknown-ca"}, 41, ("issued by a CA that",), orders=0),
    Case("server-self-signed", {"tls_cert": "self-signed"}, 41, ("issued by a CA that",), orders=0),
    Case("client-certificate-required", {"client_cert": "required"}),
    Case("client-certificate-after-the-handshake", {"client_cert": "post-handshake"}),
    Case("client-certificate-not-asked-for", {"client_cert": "never"}, 42, ("HTTP 401",), orders=0),
    Case("client-certificate-not-asked-for-403", {"client_cert": "never", "private_no_cert": "403"}, 43, ("HTTP 403",), orders=0),
    Case("client-certificate-not-asked-for-page", {"client_cert": "never", "private_no_cert": "400-html"}, 46,
         ("a web page",), orders=0),
    Case("tls-1.2-alone", {"tls_max": "1.2"}),
    Case("tls-1.3-alone", {"tls_min": "1.3"}),
    Case("tls-1.1-alone", {"tls_min": "1.1", "tls_max": "1.1"}, 41, ("no TLS connection",), orders=0),
]
BODIES = [
    Case("gzip", {"body": "gzip"}),
    Case("chunked", {"body": "chunked"}),
    Case("huge", {"body": "huge", "fault_path": TYPES}, 46, ("longer than",), orders=0),
    Case("gzip-bomb", {"body": "gzip-bomb", "fault_path": TYPES}, 46, ("longer than",), orders=0),
    Case("truncated", {"body": "truncated", "fault_path": TYPES}, 40, ("after 3 tries",), orders=0),
    Case("slow-drip", {"body": "slow-drip", "fault_path": TYPES, "drip_ms": 200}, 40, ("did not answer in time",), orders=0,
         settings={"timeout": "1s"}),
    Case("no-answer-in-time", {"delay_s": 3.0, "fault_path": TYPES}, 40, ("did not answer in time",), orders=0,
         settings={"timeout": "1s"}),
]
CONNECTIONS = [
    Case("connections-closed-as-announced", {"keep_alive": "no"}),
    Case("connections-closed-unannounced", {"keep_alive": "drop"}),
]
CASES = PASSES + STAYS + REDIRECTS + TLS + BODIES + CONNECTIONS


@pytest.fixture
def keyed(client: Client, token: Token) -> Client:
    token.make_key("EC:prime256v1", "0102", "mine")
    client.set("ca:sandbox", connect_timeout="5s", timeout="5s")
    return client


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_switch(keyed: Client, case: Case) -> None:
    sandbox = keyed.sandbox
    assert sandbox is not None
    keyed.set("ca:sandbox", **case.settings)
    if case.once is not None:
        sandbox.once("GET", case.once, times=case.times, **case.switches)
    else:
        sandbox.set(**case.switches)
    done = keyed.run("enroll", "--name", "www.example.org", "--key", "pkcs11:object=mine", status=case.status)
    assert all(text in done.stderr for text in case.says), done.stderr
    assert len(sandbox.orders()) == case.orders and sandbox.posts() == case.orders


def test_names_of_cases_are_unique() -> None:
    names = [case.name for case in CASES]
    assert len(names) == len(set(names))


def test_credentials_do_not_follow_a_redirect(keyed: Client) -> None:
    """The place that it points to is the sandbox as well, which would tell what came."""
    sandbox = keyed.sandbox
    assert sandbox is not None
    keyed.set("ca:sandbox", auth="password", password_source=f"file:{sandbox.password_file('admin-password.txt')}",
              client_cert=None, client_alias=None, client_password_source=None)
    sandbox.set(redirect="307")
    keyed.run("products", status=46)
    assert {r["host"].partition(":")[0] for r in sandbox.requests()} == {"localhost"}


def test_an_order_is_never_sent_again_whatever_the_server_says(keyed: Client) -> None:
    sandbox = keyed.sandbox
    assert sandbox is not None
    sandbox.once("POST", "/enroll$", fail_status=503, retry_after="delta", retry_after_s=1)
    done = keyed.run("enroll", "--name", "www.example.org", "--key", "pkcs11:object=mine", "--deadline", "1s", status=None)
    assert done.returncode in (14, 45) and sandbox.posts() == 1 and sandbox.orders() == [], done.stderr


def test_requests_are_numbered_and_timed_in_the_trace(keyed: Client) -> None:
    done = keyed.run("check", "--log-level", "debug")
    assert "#1 GET / " in done.stderr and "on a new connection; ms: name" in done.stderr
    assert "on a kept connection" in done.stderr


def test_secrets_are_in_no_trace(keyed: Client) -> None:
    sandbox = keyed.sandbox
    assert sandbox is not None
    password = sandbox.password_file("admin-password.txt").read_text().strip()
    keyed.set("ca:sandbox", auth="password", password_source=f"file:{sandbox.password_file('admin-password.txt')}",
              client_cert=None, client_alias=None, client_password_source=None)
    done = keyed.run("products", "--json", "--log-level", "trace")
    assert "password: (not shown)" in done.stderr and password not in done.stderr
    assert json.loads(done.stdout)["products"]
