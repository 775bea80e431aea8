"""Orders that take longer, fail, or whose answers get lost."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import time
import urllib.request

import pytest
from p11e import Client, Sandbox, Token


def wait_for_state(client: Client, state: str, process: subprocess.Popen[str], seconds: float = 20) -> None:
    """Until the process that was started has an order in that state."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert process.poll() is None, process.communicate()
        done = client.run("order", "list", "--json")
        if f'"state":"{state}"' in done.stdout:
            return
        time.sleep(0.05)
    raise AssertionError(f"no order came to the state {state}")


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def test_pending_order_has_its_own_status_and_is_continued(client: Client) -> None:
    assert client.sandbox is not None
    client.sandbox.set(pending_polls=1000)
    done = client.run("enroll", "--name", "www.example.org", "--deadline", "1s", status=10)
    assert "the CA is working on it" in done.stderr and "continue with 'p11enroll order wait 1'." in done.stderr
    client.sandbox.set(pending_polls=0)
    result = client.json("order", "wait", "1")
    assert result["state"] == "done"
    assert client.sandbox.posts() == 1


def test_approval_by_a_person_has_its_own_status(client: Client) -> None:
    assert client.sandbox is not None
    client.sandbox.set(approval="manual")
    done = client.run("enroll", "--name", "www.example.org", "--deadline", "1s", status=11)
    assert "a person has to approve it" in done.stderr
    assert "'p11enroll order wait 1' afterwards" in client.json("order", "wait", "1", "--people-deadline", "0s", status=11)["error"]["hint"]
    assert client.json("order", "show", "1")["state"] == "waiting"
    client.sandbox.ask("POST", f"/orders/{client.json('order', 'show', '1')['ca_order']}/approve")
    assert client.json("order", "collect", "1")["state"] == "done"


@pytest.mark.parametrize("behaviour", [
    {"approval": "decline"}, {"issue_result": "reject"}, {"issue_result": "invalid"}])
def test_refused_order_is_failed_and_leaves_the_token_alone(
        client: Client, token: Token, behaviour: dict[str, str]) -> None:
    assert client.sandbox is not None
    token.make_key("EC:prime256v1", "0102", "mine")
    before = token.snapshot()
    client.sandbox.set(**behaviour)
    done = client.run("enroll", "--name", "www.example.org", "--key", "pkcs11:object=mine", status=12)
    assert "the CA says" in done.stderr
    assert token.snapshot() == before
    assert client.run("order", "wait", "1", status=12)


def test_enroll_again_continues_the_open_order(client: Client) -> None:
    assert client.sandbox is not None
    client.sandbox.set(pending_polls=1000)
    client.run("enroll", "--name", "www.example.org", "--deadline", "1s", status=10)
    client.sandbox.set(pending_polls=0)
    result = client.json("enroll", "--name", "www.example.org")
    assert result["continued"] is True and result["order"] == 1 and result["state"] == "done"
    assert client.sandbox.posts() == 1


@pytest.mark.parametrize(("roots", "status"), [("junk", 3), ("missing", 4), ("directory", 4)])
def test_unusable_roots_are_noticed_before_anything_is_ordered(
        client: Client, token: Token, roots: str, status: int) -> None:
    assert client.sandbox is not None
    path = client.dir / roots
    if roots == "junk":
        path.write_text("these are no certificates")
    if roots == "directory":
        path.mkdir()
    done = client.run("enroll", "--name", "www.example.org", "--issuer-roots", str(path), status=status)
    assert str(path) in done.stderr
    assert client.sandbox.posts() == 0 and token.objects() == []
    assert client.json("order", "list")["orders"] == []


def test_rejected_certificate_is_not_ordered_a_second_time(client: Client) -> None:
    assert client.sandbox is not None
    wrong = ("--issuer-roots", str(client.sandbox.dir / "tls-ca.pem"))
    client.run("enroll", "--name", "www.example.org", *wrong, status=50)
    for _ in range(2):
        done = client.run("enroll", "--name", "www.example.org", *wrong, status=13)
        assert "order wait 1" in done.stderr and "--again" in done.stderr
    assert client.sandbox.posts() == 1
    client.run("order", "wait", "1", *wrong, status=50)
    assert client.json("order", "wait", "1")["state"] == "done"
    client.run("enroll", "--name", "www.example.org", status=13)
    assert client.sandbox.posts() == 1


def rejected(client: Client) -> Sandbox:
    """An order whose certificate is for another key, by the CA's fault."""
    assert client.sandbox is not None
    client.sandbox.set(certificate="other-key")
    done = client.run("enroll", "--name", "www.example.org", status=50)
    assert "'p11enroll order wait 1' checks it again" in done.stderr
    return client.sandbox


@pytest.mark.parametrize("verb", ["wait", "collect"])
def test_certificate_that_the_ca_put_right_is_fetched_and_bound(client: Client, verb: str) -> None:
    rejected(client).set(certificate="right")
    result = client.json("order", verb, "1")
    assert result["state"] == "done" and result["serial"] and result["last_error"] is None
    events = [e["text"] for e in client.json("order", "show", "1")["events"]]
    assert "the CA gives another certificate now" in events


def test_certificate_that_the_ca_left_as_it_was_stays_rejected(client: Client) -> None:
    rejected(client)
    done = client.run("order", "wait", "1", status=50)
    assert "the CA gives the same certificate still" in done.stderr and "'p11enroll order wait 1'" in done.stderr
    assert client.json("order", "show", "1")["state"] == "cert-rejected"


def test_another_certificate_that_does_not_pass_is_rejected_as_well(client: Client) -> None:
    rejected(client).set(certificate="expired")
    done = client.run("order", "wait", "1", status=50)
    assert "the certificate expired" in done.stderr
    assert client.json("order", "show", "1")["state"] == "cert-rejected"


def test_corrected_roots_need_no_ca_and_without_it_the_reason_stays(client: Client) -> None:
    assert client.sandbox is not None
    wrong = ("--issuer-roots", str(client.sandbox.dir / "tls-ca.pem"))
    client.run("enroll", "--name", "www.example.org", *wrong, status=50)
    client.set("ca:sandbox", url="https://127.0.0.1:1")
    done = client.run("order", "wait", "1", *wrong, status=50)
    assert "does not lead to a trusted root" in done.stderr and "could not be asked for it anew" in done.stderr
    assert client.json("order", "show", "1")["state"] == "cert-rejected"
    assert client.json("order", "wait", "1")["state"] == "done"


def test_rejected_certificate_is_not_finished(client: Client) -> None:
    rejected(client)
    assert [o["order"] for o in client.json("order", "list", "--open")["orders"]] == [1]
    row, = client.json("order", "wait", "--all", status=50)["orders"]
    assert (row["order"], row["result"], row["state"]) == (1, "cert-rejected", "cert-rejected")
    assert "none is for the key" in row["detail"] and "'p11enroll order wait 1'" in row["detail"]
    client.sandbox.set(certificate="right")  # type: ignore[union-attr]
    client.run("order", "wait", "1")
    assert client.json("order", "list", "--open")["orders"] == []


@pytest.mark.parametrize("ending", ["another order", "revoked"])
def test_rejected_certificate_that_nobody_needs_is_finished(client: Client, ending: str) -> None:
    rejected(client).set(certificate="right")
    if ending == "revoked":
        client.run("revoke", "1", "--reason", "superseded", "--yes")
    else:
        client.run("enroll", "--name", "www.example.org", "--again")
    assert client.json("order", "list", "--open")["orders"] == []
    assert client.json("order", "wait", "--all")["orders"] == []


def test_finished_order_goes_before_one_that_was_refused(client: Client) -> None:
    assert client.sandbox is not None
    client.sandbox.set(validated_domains="example.com")
    client.run("enroll", "--name", "www.example.org", status=44)
    client.sandbox.set(validated_domains="*")
    client.run("enroll", "--name", "www.example.org", "--again")
    done = client.run("enroll", "--name", "www.example.org", status=13)
    assert "order 2 got a certificate" in done.stderr
    assert len(client.sandbox.orders()) == 1


def test_finished_order_goes_before_an_ambiguous_one(client: Client) -> None:
    assert client.sandbox is not None
    client.sandbox.once("POST", "/ssl/v1/enroll", enroll_fault="cut")
    client.run("enroll", "--name", "www.example.org", "--deadline", "1s", status=14)
    client.run("enroll", "--name", "www.example.org", "--again")
    client.run("enroll", "--name", "www.example.org", status=13)


def test_order_that_was_refused_is_sent_as_it_is_configured_now(client: Client, token: Token) -> None:
    assert client.sandbox is not None
    client.sandbox.set(validated_domains="example.com")
    client.run("enroll", "--name", "www.example.org", "--comments", "first", "--custom-fields", "Cost Centre=7", status=44)
    client.sandbox.set(validated_domains="*")
    result = client.json("enroll", "--name", "www.example.org", "--comments", "second")
    assert result["order"] == 1 and result["continued"] is True
    body = [r["body"] for r in client.sandbox.requests() if r["method"] == "POST" and "enroll" in r["path"]][-1]
    assert body["comments"].endswith(" second") and "customFields" not in body
    assert sum(o["kind"].startswith("Private") for o in token.objects()) == 1


def test_order_that_was_not_sent_can_be_abandoned(client: Client) -> None:
    assert client.sandbox is not None
    client.sandbox.set(validated_domains="example.com")
    client.run("enroll", "--name", "www.example.org", status=44)
    assert client.json("order", "abandon", "1")["state"] == "abandoned"
    assert client.json("order", "list", "--open")["orders"] == []
    done = client.run("order", "wait", "1", status=12)
    assert "was abandoned" in done.stderr
    client.sandbox.set(validated_domains="*")
    assert client.json("enroll", "--name", "www.example.org")["order"] == 2
    done = client.run("order", "abandon", "2", status=2)
    assert "it was sent to the CA" in done.stderr


def test_ambiguous_order_cannot_be_abandoned(client: Client) -> None:
    assert client.sandbox is not None
    client.sandbox.once("POST", "/ssl/v1/enroll", enroll_fault="stored-cut")
    client.run("enroll", "--name", "www.example.org", "--deadline", "1s", status=14)
    done = client.run("order", "abandon", "1", status=14)
    assert "the CA may have it" in done.stderr
    assert client.json("order", "wait", "1")["state"] == "done"


@pytest.mark.parametrize(("args", "status", "text"), [
    (("--custom-fields", "broken"), 3, "not of the form NAME=VALUE"),
    (("--org-id", "0"), 3, "org_id"),
    (("--comments", "x" * 1100), 3, "comments"),
    (("--external-requester", "x" * 600), 3, "external_requester")])
def test_what_cannot_be_sent_is_noticed_before_a_key_is_made(
        client: Client, token: Token, args: tuple[str, ...], status: int, text: str) -> None:
    done = client.run("enroll", "--name", "www.example.org", *args, status=status)
    assert text in done.stderr
    assert token.objects() == [] and client.json("order", "list")["orders"] == []


def test_spellings_of_a_key_are_one_order(client: Client, token: Token) -> None:
    assert client.sandbox is not None
    token.make_key("EC:prime256v1", "0102", "mine")
    client.sandbox.set(pending_polls=1000)
    spellings = ["pkcs11:object=mine", "pkcs11:id=%01%02", "pkcs11:object=mine;type=private", None]
    for spelling in spellings:
        key = ["--key", spelling] if spelling is not None else []
        client.run("enroll", "--name", "www.example.org", "--deadline", "0", *key, status=10)
    assert client.sandbox.posts() == 1
    assert [o["order"] for o in client.json("order", "list")["orders"]] == [1]


def test_order_for_another_key_is_not_continued(client: Client, token: Token) -> None:
    assert client.sandbox is not None
    token.make_key("EC:prime256v1", "0102", "mine")
    client.sandbox.set(pending_polls=1000)
    client.run("enroll", "--name", "www.example.org", "--deadline", "0", status=10)
    done = client.run("enroll", "--name", "www.example.org", "--key", "pkcs11:object=mine", status=13)
    assert "under way with another key" in done.stderr and "order wait 1" in done.stderr
    assert client.sandbox.posts() == 1


def test_order_in_another_token_is_another_order(client: Client, token: Token) -> None:
    assert client.sandbox is not None
    token.add("t2")
    client.set("token:second", module=str(token.module), uri="pkcs11:token=t2", pin_source=f"file:{token.pin_file}")
    client.set("profile:web", token="main")
    client.set("profile:web2", **{**client.settings["profile:web"], "token": "second"})
    client.sandbox.set(pending_polls=1000)
    client.run("enroll", "--name", "www.example.org", "-p", "web", "--deadline", "0", status=10)
    client.sandbox.set(pending_polls=0)
    result = client.json("enroll", "--name", "www.example.org", "-p", "web2")
    assert result["order"] == 2 and result["continued"] is False and "token=t2" in result["key_uri"]
    assert client.json("order", "wait", "1")["state"] == "done"


def test_continued_order_keeps_to_its_profile_and_says_what_differs(client: Client) -> None:
    assert client.sandbox is not None
    client.set("profile:web2", **{**client.settings["profile:web"], "key_type": "rsa:2048"})
    client.sandbox.set(pending_polls=1000)
    client.run("enroll", "--name", "www.example.org", "-p", "web", "--deadline", "0", status=10)
    client.sandbox.set(pending_polls=0)
    done = client.run("enroll", "--name", "www.example.org", "-p", "web2", "--term", "365")
    assert "the profile 'web'" in done.stderr and "not 'web2'" in done.stderr
    assert "its term of 199 days, not 365" in done.stderr
    assert "its EC P-256 key, not with a key of the kind RSA-2048" in done.stderr
    assert "Continued:" in done.stdout and client.sandbox.posts() == 1
    assert client.json("order", "show", "1")["term_days"] == 199


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_while_polling_is_continued(client: Client, how: signal.Signals) -> None:
    assert client.sandbox is not None
    client.sandbox.set(pending_polls=1000)
    client.set("ca:sandbox", poll_scale="100")
    process = client.start("enroll", "--name", "www.example.org")
    wait_for_state(client, "pending", process)
    process.send_signal(how)
    status, _, err = finish(process)
    if how == signal.SIGKILL:
        assert status == -signal.SIGKILL
    else:
        assert status == 6 and "interrupted while waiting for order 1; 'p11enroll order wait 1' goes on" in err
    client.sandbox.set(pending_polls=0)
    assert client.json("order", "wait", "1")["state"] == "done"
    assert client.sandbox.posts() == 1


def test_two_commands_do_not_work_on_one_order(client: Client) -> None:
    assert client.sandbox is not None
    client.sandbox.set(pending_polls=1000)
    client.set("ca:sandbox", poll_scale="100")
    process = client.start("enroll", "--name", "www.example.org")
    wait_for_state(client, "pending", process)
    done = client.run("order", "wait", "1", status=16)
    assert f"being worked on by process {process.pid}" in done.stderr
    process.terminate()
    finish(process)


@pytest.mark.parametrize("fault", ["stored-cut", "stored-mid-reply", "stored-504"])
def test_lost_answer_is_found_again_and_not_ordered_twice(client: Client, fault: str) -> None:
    assert client.sandbox is not None
    client.sandbox.once("POST", "/ssl/v1/enroll", enroll_fault=fault)
    done = client.run("enroll", "--name", "www.example.org", "--deadline", "1s", status=14)
    assert "not known whether the CA took the order" in done.stderr
    assert client.json("order", "show", "1")["state"] == "ambiguous"
    assert client.json("order", "wait", "1")["state"] == "done"
    assert client.sandbox.posts() == 1 and len(client.sandbox.orders()) == 1


@pytest.mark.parametrize("args", [
    ("--name", "other.example.org", "--name", "t5.example.org", "--subject", "CN=t5.example.org"),
    ("--name", "10.1.2.3", "--name", "t5b.example.org"),
    ("--name", "t5c.example.org", "--subject", "O=nobody")])
def test_lost_order_is_found_whatever_its_cn_is(client: Client, args: tuple[str, ...]) -> None:
    assert client.sandbox is not None
    client.sandbox.set(san_source="request+csr")
    client.sandbox.once("POST", "/ssl/v1/enroll", enroll_fault="stored-cut")
    client.run("enroll", *args, "--deadline", "1s", status=14)
    assert client.json("order", "wait", "1")["state"] == "done"
    assert len(client.sandbox.orders()) == 1


@pytest.mark.parametrize("status", [400, 403, 404])
def test_candidate_that_cannot_be_read_does_not_end_the_search(client: Client, status: int) -> None:
    assert client.sandbox is not None
    client.sandbox.once("POST", "/ssl/v1/enroll", enroll_fault="stored-cut")
    client.run("enroll", "--name", "www.example.org", "--deadline", "1s", status=14)
    client.run("enroll", "--name", "www.example.org", "--again")  # a newer one, looked at first
    newer = client.json("order", "show", "2")["ca_order"]
    client.sandbox.once("GET", f"/ssl/v1/{newer}$", times=9, fail_status=status)
    assert client.json("order", "wait", "1")["state"] == "done"
    assert len(client.sandbox.orders()) == 2


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_lost_order_is_looked_for_among_the_newest_first(client: Client, order: str) -> None:
    assert client.sandbox is not None
    client.sandbox.set(list_order=order)
    for _ in range(3):
        client.run("enroll", "--name", "www.example.org", "--again")
    client.sandbox.once("POST", "/ssl/v1/enroll", enroll_fault="stored-cut")
    client.run("enroll", "--name", "www.example.org", "--again", "--deadline", "1s", status=14)
    client.sandbox.ask("DELETE", "/requests")
    assert client.json("order", "wait", "4")["state"] == "done"
    asked = [r["path"].split("/")[-1] for r in client.sandbox.requests() if r["path"].split("/")[-1].isdigit()]
    assert set(asked) == {client.json("order", "show", "4")["ca_order"]}


def test_unknown_error_after_an_order_is_looked_up(client: Client) -> None:
    assert client.sandbox is not None
    client.sandbox.once("POST", "/ssl/v1/enroll", fail_status=400, fault_when="after")
    client.run("enroll", "--name", "www.example.org", "--deadline", "1s", status=14)
    assert client.json("order", "wait", "1")["state"] == "done"
    assert client.sandbox.posts() == 1


@pytest.mark.parametrize("reply", ["no-id", "zero-id", "negative-id"])
def test_answer_without_a_usable_number_is_looked_up(client: Client, reply: str) -> None:
    assert client.sandbox is not None
    client.sandbox.once("POST", "/ssl/v1/enroll", enroll_reply=reply)
    client.run("enroll", "--name", "www.example.org", status=14)
    assert client.json("order", "wait", "1")["state"] == "done"
    assert len(client.sandbox.orders()) == 1


def test_absent_order_is_never_sent_again_by_itself(client: Client) -> None:
    assert client.sandbox is not None
    client.sandbox.once("POST", "/ssl/v1/enroll", enroll_fault="cut")
    client.run("enroll", "--name", "www.example.org", "--deadline", "1s", status=14)
    done = client.run("order", "wait", "1", "--deadline", "1s", status=14)
    assert "lists no order with the mark" in done.stderr
    client.run("enroll", "--name", "www.example.org", "--deadline", "1s", status=14)
    assert client.sandbox.posts() == 1 and client.sandbox.orders() == []


def test_killed_between_intent_and_answer_is_looked_up(client: Client) -> None:
    assert client.sandbox is not None
    client.sandbox.once("POST", "/ssl/v1/enroll", delay_s=5)
    process = client.start("enroll", "--name", "www.example.org")
    wait_for_state(client, "submitting", process)
    end = time.monotonic() + 10
    while not client.sandbox.orders() and time.monotonic() < end:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    finish(process)
    assert client.json("order", "wait", "1")["state"] == "done"
    assert len(client.sandbox.orders()) == 1


@pytest.mark.parametrize("variant", ["400-0", "400-183", "400-1400", "200-empty", "404-103", "404-109"])
def test_every_way_of_saying_not_yet_is_waited_out(client: Client, variant: str) -> None:
    assert client.sandbox is not None
    client.sandbox.set(not_ready=variant, not_collectable=2)
    assert client.json("enroll", "--name", "www.example.org")["state"] == "done"


def revoke(sandbox: Sandbox, number: str) -> None:
    """As an administrator does in the CA's portal."""
    address = sandbox.url.replace("localhost", "127.0.0.1")  # a minimal system cannot look it up
    request = urllib.request.Request(
        f"{address}/api/ssl/v1/revoke/{number}", method="POST",
        data=json.dumps({"reasonCode": 4, "reason": "not needed"}).encode(),
        headers={"Content-Type": "application/json", "customerUri": "sandbox", "login": "sandbox-admin",
                 "password": sandbox.password_file("admin-password.txt").read_text().strip()})
    trust = ssl.create_default_context(cafile=str(sandbox.dir / "tls-ca.pem"))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust))
    opener.open(request, timeout=20).close()


@pytest.mark.parametrize("variant", ["400-183", "200-empty", "404-103"])
def test_issued_order_that_the_ca_ends_is_failed(client: Client, variant: str) -> None:
    assert client.sandbox is not None
    client.sandbox.set(not_ready=variant, not_collectable=1000)
    client.run("enroll", "--name", "www.example.org", "--deadline", "0", status=10)
    assert client.json("order", "show", "1")["state"] == "issued"
    revoke(client.sandbox, client.json("order", "show", "1")["ca_order"])
    done = client.run("order", "wait", "1", status=12)
    assert "the CA says 'Revoked'" in done.stderr
    assert client.json("order", "show", "1")["state"] == "failed"


@pytest.mark.parametrize("order", ["root-first", "leaf-first", "shuffled", "without-root", "with-extra"])
@pytest.mark.parametrize("ends", ["lf", "crlf", "no-final"])
def test_chain_in_any_order_and_line_ends(client: Client, order: str, ends: str) -> None:
    assert client.sandbox is not None
    client.sandbox.set(chain_order=order, line_ends=ends)
    assert client.json("enroll", "--name", "www.example.org")["state"] == "done"


@pytest.mark.parametrize("spelling", ["v1", "oa", "upper"])
def test_status_words_in_any_spelling(client: Client, spelling: str) -> None:
    assert client.sandbox is not None
    client.sandbox.set(status_spelling=spelling, pending_polls=1, approved_polls=1)
    assert client.json("enroll", "--name", "www.example.org")["state"] == "done"


@pytest.mark.parametrize("kind", ["large", "string"])
def test_order_numbers_of_any_kind(client: Client, kind: str) -> None:
    assert client.sandbox is not None
    client.sandbox.set(id_kind=kind)  # (a name of its own: numbers do not go back at a CA)
    assert client.json("enroll", "--name", "numbers.example.org")["state"] == "done"


def test_passing_failures_while_waiting_are_waited_out(client: Client) -> None:
    assert client.sandbox is not None
    client.sandbox.set(pending_polls=2)
    client.sandbox.once("GET", "/ssl/v1/[0-9]+$", times=1, fail_status=503)
    assert client.json("enroll", "--name", "www.example.org")["state"] == "done"


def test_backoff_schedule_asks_a_fixed_number_of_times(client: Client) -> None:
    assert client.sandbox is not None
    client.sandbox.set(pending_polls=1000)
    client.set("ca:sandbox", poll="backoff", backoff_attempts="3")
    client.run("enroll", "--name", "www.example.org", status=10)
    details = [r for r in client.sandbox.requests()
               if r["method"] == "GET" and "/ssl/" in r["path"] and r["path"].split("/")[-1].isdigit()]
    assert len(details) == 3


def test_deadline_is_used_up(client: Client) -> None:
    """The first scheduled wait is longer than that; it is cut short, not left out."""
    assert client.sandbox is not None
    client.sandbox.set(pending_polls=1000)
    client.set("ca:sandbox", poll_scale="100")
    begin = time.monotonic()
    client.run("enroll", "--name", "www.example.org", "--deadline", "2s", status=10)
    assert time.monotonic() - begin >= 2


def test_pause_that_the_ca_asks_for_ends_at_the_deadline(client: Client) -> None:
    assert client.sandbox is not None
    client.sandbox.set(pending_polls=1000)
    client.run("enroll", "--name", "www.example.org", "--deadline", "0", status=10)
    client.sandbox.set(fault_path="/ssl/v1/[0-9]+$", fail_status=503, retry_after="delta", retry_after_s=60)
    begin = time.monotonic()
    done = client.run("order", "wait", "1", "--deadline", "1s", status=45)
    assert time.monotonic() - begin < 20
    assert "could not be asked about" in done.stderr and "HTTP 503" in done.stderr
    assert client.json("order", "show", "1")["state"] == "pending"


def test_failure_after_an_answer_leaves_the_order_pending(client: Client) -> None:
    assert client.sandbox is not None
    client.sandbox.set(fault_path="/ssl/v1/[0-9]+$", fail_status=503)
    done = client.run("enroll", "--name", "www.example.org", "--deadline", "1s", status=10)
    assert "the last request failed (ca-unavailable)" in done.stderr


def test_unreachable_ca_is_told_by_the_order_commands(client: Client) -> None:
    assert client.sandbox is not None
    client.sandbox.set(pending_polls=1000)
    client.run("enroll", "--name", "www.example.org", "--deadline", "0", status=10)
    client.set("ca:sandbox", url="https://127.0.0.1:9")
    for command in ("collect", "wait"):
        done = client.run("order", command, "1", "--deadline", "1s", status=40)
        assert "could not be asked about" in done.stderr


def test_order_commands_know_their_orders(client: Client) -> None:
    assert "There is no order." in client.run("order", "list").stdout
    done = client.run("order", "show", "7", status=15)
    assert "there is no order 7" in done.stderr
    assert client.run("order", "wait", "x", status=2)
    client.run("enroll", "--name", "www.example.org")
    assert [o["order"] for o in client.json("order", "list")["orders"]] == [1]
    assert client.json("order", "list", "--open")["orders"] == []
    events = [e["state"] for e in client.json("order", "show", "1")["events"]]
    assert events[0] == "planned" and events[-1] == "done" and "submitting" in events


def test_collect_prints_the_certificate(client: Client) -> None:
    client.run("enroll", "--name", "www.example.org")
    done = client.run("order", "collect", "1")
    assert done.stdout.count("BEGIN CERTIFICATE") == 2
