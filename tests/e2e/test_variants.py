"""What the API's documents leave open, or answer in several ways: each variant that the sandbox can play, as one case.

A case is a switch of the sandbox with one of its values, and the story that must come out of it. The rows of
transport, TLS, redirects and pauses are told elsewhere (test_errors.py, test_order.py and beside them).
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from p11e import ROOT, Client, Sandbox

sys.path.append(str(ROOT / "tests/sandbox"))

import behaviour  # noqa: E402


@dataclass
class Scene:
    """A client and its CA, with the case's switch set."""

    client: Client
    ca: Sandbox

    @property
    def name(self) -> str:
        """A name of this test's own: the account has other certificates, too."""
        return f"{zlib.crc32(str(self.client.dir).encode()):08x}.variants.example"

    def enroll(self, status: int = 0, **more: Any) -> Any:
        return self.client.run("enroll", "--name", self.name, "--name", "www." + self.name, "--deadline", "1s",
                               status=status, **more)

    def state(self) -> str:
        return str(self.client.json("order", "show", "1")["state"])

    def number(self) -> str:
        return str(self.client.json("order", "show", "1")["ca_order"])

    def details(self) -> dict[str, Any]:
        row, = self.client.json("inventory", "list", "--details", "--common-name", self.name)["certificates"]
        return dict(row)


Story = Callable[[Scene], None]


def is_bound(scene: Scene) -> None:
    """The order comes to its end, and the certificate to the token, with its chain."""
    scene.client.set("ca:sandbox", poll_deadline="60s")
    scene.client.run("enroll", "--name", scene.name, "--name", "www." + scene.name)
    assert scene.state() == "done" and scene.ca.posts() == 1
    certs = scene.client.json("cert", "list")["certificates"]
    assert [c["key"] for c in certs if scene.name in c["subject"]] == ["yes"]
    assert any("Sandbox OV Secure Server CA" in c["subject"] for c in certs)


def ends_with(status: int, *texts: str, state: str) -> Story:
    """enroll ends with an exit status, says why, and leaves the order in a state."""
    def story(scene: Scene) -> None:
        done = scene.enroll(status=status)
        assert all(text in done.stderr for text in texts), done.stderr
        assert scene.state() == state
    return story


def is_looked_up(scene: Scene) -> None:
    """The answer is lost; the order is found by its mark, and there is one alone."""
    scene.enroll(status=14)
    assert scene.state() == "ambiguous"
    scene.ca.set(**{row.name: row.default for row in behaviour.TABLE if row.group == "enroll"})
    scene.client.run("order", "wait", "1")
    assert scene.state() == "done" and scene.ca.posts() == 1 and len(scene.ca.orders()) == 1


def is_never_sent_again(scene: Scene) -> None:
    """Nothing was stored: that is found out, told, and left to people."""
    scene.enroll(status=14)
    scene.ca.set(enroll_fault="none")
    done = scene.client.run("order", "wait", "1", "--deadline", "1s", status=14)
    assert "lists no order with the mark" in done.stderr
    assert scene.ca.posts() == 1 and scene.ca.orders() == []


def is_found_in_such_lists(scene: Scene) -> None:
    """A lost order is found through the list, and the list has each row once."""
    scene.ca.once("POST", "/ssl/v1/enroll", enroll_fault="stored-cut")
    scene.enroll(status=14)
    scene.client.run("order", "wait", "1")
    assert scene.state() == "done" and len(scene.ca.orders()) == 1
    rows = scene.client.json("inventory", "list")["certificates"]
    assert [r["ca_order"] for r in rows].count(int(scene.number())) == 1


def appears_later(scene: Scene) -> None:
    """A lost order that no list shows yet stays open, and is found when one does."""
    scene.ca.once("POST", "/ssl/v1/enroll", enroll_fault="stored-cut")
    scene.enroll(status=14)
    scene.client.run("order", "wait", "1", "--deadline", "1s", status=14)
    scene.ca.set(list_lag_s=0)
    scene.client.run("order", "wait", "1")
    assert scene.state() == "done" and scene.ca.posts() == 1


def shows_no_dates(scene: Scene) -> None:
    """The certificate's own dates count; the CA's are shown if there are any."""
    is_bound(scene)
    assert scene.details()["expires"] is None
    assert scene.client.json("order", "show", "1")["not_after"].startswith("20")


def shows_dates(like: str) -> Story:
    def story(scene: Scene) -> None:
        is_bound(scene)
        shown = scene.details()["expires"]
        assert len(shown) == len(like) and all(a == b or (a.isdigit() and b == "9") for a, b in zip(shown, like)), shown
    return story


def is_revoked(scene: Scene) -> None:
    """A revoked certificate's details are understood."""
    is_bound(scene)
    scene.client.run("revoke", "1", "--reason", "keyCompromise", "--yes")
    assert scene.details()["status"] == "Revoked" and scene.state() == "revoked"
    scene.client.run("inventory", "sync", "--source", "list", "--details")


def has_a_number(large: bool) -> Story:
    """Numbers of every kind are shown, asked for and revoked by."""
    def story(scene: Scene) -> None:
        is_bound(scene)
        number = scene.number()
        assert (int(number) > 1 << 31) == large
        row, = scene.client.json("inventory", "find", "--ca-order", number, "--live")["certificates"]
        assert row["ca_order"] == int(number) and row["common_name"] == scene.name
        scene.client.run("revoke", "--ca-order", number, "--reason", "superseded", "--yes")
    return story


def comes_in_time(scene: Scene) -> None:
    """Collects that come too early are repeated until the certificate is there."""
    scene.ca.set(not_collectable=2)
    is_bound(scene)


def is_revoked_by_serial(scene: Scene) -> None:
    """And no other one, whatever the list makes of the number."""
    is_bound(scene)
    serial = scene.client.json("order", "show", "1")["serial"]
    assert scene.client.json("revoke", "--serial", serial, "--reason", "superseded", "--yes")["order"] == 1


def is_read_whole(scene: Scene) -> None:
    """A report that is not given leaves the list."""
    is_bound(scene)
    scene.client.run("inventory", "sync")
    row, = scene.client.json("inventory", "find", "--name", scene.name)["certificates"]
    assert row["status"] == "Issued"


def rejected(text: str) -> Story:
    return ends_with(50, text, state="cert-rejected")


def refused(status: int, *texts: str) -> Story:
    """The CA lets nobody in: nothing is ordered, no key is made."""
    def story(scene: Scene) -> None:
        scene.ca.set(auth="refuse")
        done = scene.enroll(status=status)
        assert all(text in done.stderr for text in texts), done.stderr
        assert scene.ca.posts() == 0 and scene.client.json("key", "list")["keys"] == []
    return story


# switch -> value -> story
CASES: dict[str, dict[str, Story]] = {
    "approval": {"auto": is_bound,
                 "manual": ends_with(11, "a person has to approve it", state="waiting"),
                 "two-step": ends_with(11, "a person has to approve it", state="waiting"),
                 "decline": ends_with(12, "Declined", state="failed"),
                 "person-then-decline": ends_with(12, "Declined", state="failed")},
    "issue_result": {"issue": is_bound,
                     "reject": ends_with(12, "Rejected", state="failed"),
                     "invalid": ends_with(12, "Invalid", state="failed"),
                     "stuck": ends_with(10, "order wait", state="pending")},
    "not_ready": {reply: comes_in_time for reply in
                  ("400-0", "400-183", "400-1400", "200-empty", "404-103", "404-109")},
    "not_collectable": {"0": is_bound, "1": is_bound, "3": is_bound},
    "chain_order": {order: is_bound for order in
                    ("root-first", "leaf-first", "shuffled", "without-root", "with-extra")},
    "line_ends": {ends: is_bound for ends in ("lf", "crlf", "no-final")},
    "collect_type": {kind: is_bound for kind in ("octet-stream", "octet-stream-charset", "text-plain", "missing")},
    "certificate": {"right": is_bound, "pkcs7": is_bound,
                    "other-key": rejected("none is for the key"), "leaf-missing": rejected("none is for the key"),
                    "other-san": rejected("lacks names that were ordered"),
                    "no-san": rejected("lacks names that were ordered"),
                    "expired": rejected("the certificate expired"), "not-yet-valid": rejected("is valid from"),
                    "wrong-issuer": rejected("does not lead to a trusted root"),
                    "garbage": ends_with(46, "there is no certificate", state="issued")},
    "date_format": {"default": shows_dates("9999-99-99T99:99:99.999Z"), "null": shows_no_dates,
                    "missing": shows_no_dates, "us": shows_dates("99/99/9999"), "eu": shows_dates("99.99.9999"),
                    "iso": shows_dates("9999-99-99"), "iso_hms": shows_dates("9999-99-99T99:99:99.999Z")},
    "status_spelling": {"v1": is_bound, "oa": is_bound, "upper": is_bound,
                        "unknown": ends_with(10, "order wait", state="pending")},
    "reason_code": {"int": is_revoked, "string": is_revoked},
    "id_kind": {"int": has_a_number(False), "large": has_a_number(True), "string": has_a_number(False)},
    "auth_reply": {"json": refused(42, "HTTP 401", "code -16"), "empty": refused(42, "HTTP 401"),
                   "html": refused(42, "HTTP 401", "a web page"), "403": refused(43, "HTTP 403")},
    "enroll_fault": {"none": is_bound, "stored-cut": is_looked_up, "stored-mid-reply": is_looked_up,
                     "stored-504": is_looked_up, "cut": is_never_sent_again},
    "enroll_status": {"200": is_bound, "201": is_bound},
    "enroll_reply": {"normal": is_bound, "no-renew-id": is_bound, "extra-fields": is_bound,
                     "zero-id": is_looked_up, "negative-id": is_looked_up, "no-id": is_looked_up},
    "list_lag_s": {"86400": appears_later},
    "list_total": {total: is_found_in_such_lists for total in ("right", "missing", "wrong")},
    "list_duplicates": {"true": is_found_in_such_lists},
    "list_size": {size: is_found_in_such_lists for size in ("honour", "ignore")},
    "list_order": {order: is_found_in_such_lists for order in ("asc", "desc")},
    "cn_filter": {match: is_found_in_such_lists for match in ("exact", "substring", "icase")},
    "status_filter": {"honour": is_read_whole, "ignore": is_read_whole},
    "serial_filter": {"honour": is_revoked_by_serial, "ignore": is_revoked_by_serial},
    "report": {"give": is_read_whole, "ahead": is_read_whole, "refuse": is_read_whole, "none": is_read_whole},
}

# Choices that are none of the data's, and where they are tried.
ELSEWHERE = {
    "auth": "with each auth_reply",
    "replace_status": "replacements", "private_no_cert": "logins", "oauth": "test_oauth.py",
    "san_source": "test_order.py", "renew_comments": "renewals", "dcv_shape": "test_dcv.py", "dcv_refuse": "test_dcv.py",
    "dcv_result": "test_dcv_publish.py", "dcv_spelling": "test_dcv_publish.py", "dcv_sync": "test_dcv.py",
    "string_numbers": "requests of other clients",
}
TRANSPORT = ("http", "tls")
ENROLLMENT = ("enrollment",)  # test_enrollment_api.py has a case for each value


@pytest.mark.parametrize(("switch", "value"), [(s, v) for s, values in CASES.items() for v in values])
def test_variant(client: Client, switch: str, value: str) -> None:
    assert client.sandbox is not None
    client.sandbox.set(**{switch: value})
    CASES[switch][value](Scene(client, client.sandbox))


def test_every_choice_of_the_sandbox_is_a_case() -> None:
    choices = {row.name: set(row.values) for row in behaviour.TABLE
               if row.kind == "choice" and row.group not in TRANSPORT + ENROLLMENT and row.name not in ELSEWHERE}
    assert {name: set(CASES.get(name, ())) for name in choices} == choices
