"""The Enrollment API: an account with one profile, a client id and a secret, and a key in a token."""

from __future__ import annotations

import json

import pytest
from enroller import ORDERS, TOKENS, order, sent
from p11e import Client, Sandbox, Token
from test_output import compare, masked, shape

# --- enroll

def test_an_order_without_a_product(enroller: Client, box: Sandbox, token: Token) -> None:
    enroller.run("enroll", "--name", "www.example.org", "--name", "b.example.org")
    shown = order(enroller)
    assert (shown["state"], shown["product"], shown["ca_status"]) == ("done", "the account's own", "Issued")
    assert [o["kind"] for o in token.objects() if o["kind"] == "Certificate"]
    (stored,) = box.orders()
    assert stored["names"] == ["www.example.org", "b.example.org"] and stored["requester"] == "sandbox-enrollment"
    assert str(stored["comments"]).startswith(str(shown["mark"])) and stored["term"] == 199


def test_the_request_is_one_line_of_base64(enroller: Client, box: Sandbox) -> None:
    enroller.run("enroll", "--name", "www.example.org")
    (request,) = sent(box, "POST")
    body = request["body"]
    assert isinstance(body, dict) and set(body) == {"csr", "comments"}
    assert "\n" not in body["csr"] and "-----" not in body["csr"]


def test_json_of_an_enrollment(enroller: Client) -> None:
    result = enroller.json("enroll", "--name", "www.example.org")
    assert (result["state"], result["product"], result["term_days"]) == ("done", "the account's own", 0)


def test_what_the_profile_sets_is_sent(enroller: Client, box: Sandbox) -> None:
    enroller.set("profile:web", product="1013", term="365", external_requester="a@example.org", comments="for us",
                 custom_fields="Environment=test")
    enroller.run("enroll", "--name", "www.example.org", "--name", "b.example.org")
    body = sent(box, "POST")[0]["body"]
    assert isinstance(body, dict)
    assert (body["productId"], body["term"], body["externalRequester"]) == (1013, 365, "a@example.org")
    assert body["subjAltNames"] == "www.example.org,b.example.org" and body["comments"].endswith(" for us")
    assert body["customFields"] == [{"name": "Environment", "value": "test"}]
    assert box.orders()[0]["term"] == 365


def test_only_the_request_is_sent_if_nothing_else_is_taken(enroller: Client, box: Sandbox) -> None:
    box.set(enrollment_fields="csr")
    done = enroller.run("enroll", "--name", "www.example.org", "--name", "b.example.org", status=44)
    assert "(code -1601)" in done.stderr and "order_fields" in done.stderr
    assert order(enroller)["state"] == "signed" and box.orders() == []
    enroller.set("ca:sandbox", order_fields="none")
    enroller.run("order", "wait", "1")
    assert order(enroller)["state"] == "done" and len(box.orders()) == 1
    assert set(sent(box, "POST")[-1]["body"]) == {"csr"}


def test_a_product_that_has_to_be_named(enroller: Client, box: Sandbox) -> None:
    box.set(enrollment_product="required")
    done = enroller.run("enroll", "--name", "www.example.org", status=44)
    assert "productId" in done.stderr and box.orders() == []
    enroller.set("profile:web", product="1013")
    enroller.run("enroll", "--name", "www.example.org")
    assert len(box.orders()) == 1


@pytest.mark.parametrize("form", ["id", "certId", "text"])
def test_ids_in_each_form(enroller: Client, box: Sandbox, form: str) -> None:
    box.set(enrollment_id=form)
    enroller.run("enroll", "--name", "www.example.org")
    shown = order(enroller)
    number = box.orders()[0]["id"]
    assert shown["state"] == "done" and shown["ca_order"] == (f"ENR-{number}" if form == "text" else str(number))


@pytest.mark.parametrize("kind", ["large", "string"])
def test_kinds_of_ids(enroller: Client, box: Sandbox, kind: str) -> None:
    box.set(id_kind=kind)  # (a name of its own: numbers do not go back at a CA)
    enroller.run("enroll", "--name", "numbers.example.org")
    assert order(enroller)["state"] == "done"


@pytest.mark.parametrize("chain", ["leaf-first", "root-first", "shuffled", "without-root", "with-extra"])
def test_the_certificate_is_found_by_its_key(enroller: Client, box: Sandbox, chain: str) -> None:
    box.set(enrollment_chain=chain)
    enroller.run("enroll", "--name", "www.example.org")
    assert order(enroller)["state"] == "done"


def test_a_certificate_for_another_key_is_not_bound(enroller: Client, box: Sandbox, token: Token) -> None:
    box.set(certificate="other-key")
    enroller.run("enroll", "--name", "www.example.org", status=50)
    assert order(enroller)["state"] == "cert-rejected"
    assert not [o for o in token.objects() if o["kind"] == "Certificate"]


def test_two_accounts_at_one_host_do_not_stand_in_each_others_way(enroller: Client, box: Sandbox) -> None:
    enroller.run("enroll", "--name", "www.example.org")
    enroller.run("enroll", "--name", "www.example.org", status=13)
    enroller.set("ca:sandbox", client_id="another-account")
    done = enroller.run("enroll", "--name", "www.example.org", status=42)  # it is tried, and refused
    assert "another-account" in done.stderr and len(box.orders()) == 1


def test_with_a_client_certificate_as_well(enroller: Client, box: Sandbox) -> None:
    box.set(client_cert="required")
    enroller.set("ca:sandbox", client_cert=str(box.dir / "client.pem"), client_key=str(box.dir / "client.key"),
                 token_url=box.url + TOKENS)
    done = enroller.run("enroll", "--name", "www.example.org", status=None)
    assert done.returncode == 41, done.stderr  # the token server is shown no certificate of ours
    box.set(client_cert="optional")
    enroller.run("enroll", "--name", "www.example.org")
    assert all(r["client_serial"] for r in sent(box, "POST")) and not sent(box, "POST", TOKENS)[0]["client_serial"]


# --- status

@pytest.mark.parametrize("form", ["status", "state", "certificateStatus", "none"])
def test_status_in_each_form(enroller: Client, box: Sandbox, form: str) -> None:
    box.set(enrollment_status=form, pending_polls=2)
    enroller.run("enroll", "--name", "www.example.org")
    shown = order(enroller)
    assert shown["state"] == "done" and shown["ca_status"] == ("can be collected" if form == "none" else "Issued")
    assert len(sent(box, "POST")) == 1


@pytest.mark.parametrize("reply", ["404-103", "404-109", "400-0", "400-183", "400-1400", "200-empty"])
def test_not_ready_in_each_form(enroller: Client, box: Sandbox, reply: str) -> None:
    box.set(enrollment_status="none", enrollment_not_ready=reply, pending_polls=2)
    enroller.run("enroll", "--name", "www.example.org")
    assert order(enroller)["state"] == "done"


def test_status_is_not_asked_for_if_it_is_not_wanted(enroller: Client, box: Sandbox) -> None:
    enroller.set("ca:sandbox", status_form="collect")
    enroller.run("enroll", "--name", "www.example.org")
    assert not [r for r in box.requests() if str(r["path"]).endswith("/status")]


def test_status_that_has_to_be_there(enroller: Client, box: Sandbox) -> None:
    box.set(enrollment_status="none")
    enroller.set("ca:sandbox", status_form="ask")
    done = enroller.run("enroll", "--name", "www.example.org", status=None)
    assert done.returncode != 0 and "/status: HTTP 404" in done.stderr
    assert order(enroller)["state"] == "pending"


def test_an_order_that_takes_its_time_is_continued(enroller: Client, box: Sandbox) -> None:
    box.set(issue_result="stuck")
    enroller.run("enroll", "--name", "www.example.org", "--deadline", "1s", status=10)
    assert order(enroller)["state"] == "pending"
    box.set(issue_result="issue")
    assert enroller.json("order", "wait", "1")["state"] == "done"
    assert len(sent(box, "POST")) == 1


def test_an_order_that_waits_for_a_person(enroller: Client, box: Sandbox) -> None:
    box.set(approval="manual")
    done = enroller.run("enroll", "--name", "www.example.org", "--deadline", "1s", status=11)
    assert "approve" in done.stderr
    box.ask("POST", f"/orders/{box.orders()[0]['id']}/approve")
    enroller.run("order", "wait", "1")
    assert order(enroller)["state"] == "done"


def test_an_order_that_was_declined(enroller: Client, box: Sandbox) -> None:
    box.set(approval="decline")
    done = enroller.run("enroll", "--name", "www.example.org", status=12)
    assert "'Declined'" in done.stderr and order(enroller)["state"] == "failed"


@pytest.mark.parametrize("status", ["status", "none"])
def test_an_order_that_was_revoked_meanwhile(enroller: Client, box: Sandbox, status: str) -> None:
    box.set(enrollment_status=status, issue_result="stuck")
    enroller.run("enroll", "--name", "www.example.org", "--deadline", "1s", status=10)
    box.ask("POST", f"/orders/{box.orders()[0]['id']}/status", {"status": "Revoked"})
    done = enroller.run("order", "wait", "1", status=12)
    assert "evoked'" in done.stderr and order(enroller)["state"] == "failed"


def test_an_order_that_the_ca_does_not_know_any_more(enroller: Client, box: Sandbox) -> None:
    box.set(issue_result="stuck")
    enroller.run("enroll", "--name", "www.example.org", "--deadline", "1s", status=10)
    box.set(enrollment_id="text")                       # so that the number is none of its ids
    done = enroller.run("order", "wait", "1", status=15)
    assert "HTTP 404" in done.stderr and order(enroller)["state"] == "pending"


def test_an_issued_order_that_cannot_be_collected_yet(enroller: Client, box: Sandbox) -> None:
    box.set(not_collectable=2)
    enroller.run("enroll", "--name", "www.example.org")
    assert order(enroller)["state"] == "done"


# --- refused, lost

def test_a_refused_order_is_not_ordered(enroller: Client, box: Sandbox) -> None:
    enroller.set("profile:web", term="9")
    done = enroller.run("enroll", "--name", "www.example.org", status=44)
    assert "enroll: POST /api/v1/certificates: HTTP 400" in done.stderr and "(code -36)" in done.stderr
    assert order(enroller)["state"] == "signed" and box.orders() == []


@pytest.mark.parametrize("fault", ["stored-cut", "stored-mid-reply", "stored-504", "cut"])
def test_a_lost_answer_is_never_sent_again(enroller: Client, box: Sandbox, fault: str) -> None:
    box.once("POST", f"^{ORDERS}$", enroll_fault=fault)
    done = enroller.run("enroll", "--name", "www.example.org", status=14)
    assert "it is not known whether the CA took the order" in done.stderr
    mark = str(order(enroller)["mark"])
    done = enroller.run("order", "wait", "1", status=14)
    assert "this API has no list" in done.stderr and mark in done.stderr and "order adopt" in done.stderr
    assert order(enroller)["state"] == "ambiguous" and len(sent(box, "POST")) == 1


@pytest.mark.parametrize("reply", ["no-id", "zero-id", "negative-id"])
def test_an_answer_without_an_id_is_not_sent_again(enroller: Client, box: Sandbox, reply: str) -> None:
    box.set(enroll_reply=reply)
    done = enroller.run("enroll", "--name", "www.example.org", status=14)
    assert "the answer names no certificate" in done.stderr and len(sent(box, "POST")) == 1


@pytest.mark.parametrize("shown", ["comments", "rows"])
def test_a_lost_order_is_found_in_the_list_if_there_is_one(enroller: Client, box: Sandbox, shown: str) -> None:
    box.set(enrollment_list=shown)
    enroller.run("enroll", "--name", "other.example.org")
    box.once("POST", f"^{ORDERS}$", enroll_fault="stored-cut")
    enroller.run("enroll", "--name", "www.example.org", status=14)
    enroller.run("order", "wait", "2")
    found = order(enroller, "2")
    assert found["state"] == "done" and found["ca_order"] == str(box.orders()[-1]["id"])
    assert len(sent(box, "POST")) == 2


def test_an_order_that_is_not_in_the_list_stays_ambiguous(enroller: Client, box: Sandbox) -> None:
    box.set(enrollment_list="rows")
    box.once("POST", f"^{ORDERS}$", enroll_fault="cut")
    enroller.run("enroll", "--name", "www.example.org", status=14)
    enroller.run("order", "wait", "1", "--deadline", "1s", status=14)
    assert order(enroller)["state"] == "ambiguous" and len(sent(box, "POST")) == 1


def test_an_older_order_of_the_same_key_is_not_the_lost_one(enroller: Client, box: Sandbox) -> None:
    box.set(enrollment_list="rows")
    enroller.run("enroll", "--name", "www.example.org")
    key = str(order(enroller)["key_uri"])
    box.once("POST", f"^{ORDERS}$", enroll_fault="cut")
    enroller.run("enroll", "--name", "www.example.org", "--key", key, "--again", status=14)
    done = enroller.run("order", "wait", "2", "--deadline", "1s", status=14)
    assert "that is order 1" in done.stderr
    assert order(enroller, "2")["state"] == "ambiguous" and len(sent(box, "POST")) == 2


# --- tokens

def test_a_token_that_ends_in_the_middle_is_fetched_again(enroller: Client, box: Sandbox) -> None:
    box.set(oauth_life_s=2, delay_s=0.4)
    enroller.run("enroll", "--name", "www.example.org")
    assert len(sent(box, "POST", TOKENS)) > 1 and len(sent(box, "POST")) == 1


def test_an_order_that_was_refused_for_its_token_is_sent_with_another_one(enroller: Client, box: Sandbox) -> None:
    box.once("POST", f"^{ORDERS}$", fail_status=401)
    enroller.run("enroll", "--name", "www.example.org")
    assert len(sent(box, "POST")) == 2 and len(box.orders()) == 1


def test_a_wrong_secret_is_told_before_a_key_is_made(enroller: Client, box: Sandbox, token: Token) -> None:
    wrong = enroller.dir / "wrong"
    wrong.write_text("not the secret\n")
    wrong.chmod(0o600)
    enroller.set("ca:sandbox", client_secret_source=f"file:{wrong}")
    done = enroller.run("enroll", "--name", "www.example.org", status=42)
    assert "token of 'sandbox-enrollment-key'" in done.stderr and "invalid_client" in done.stderr
    assert "not the secret" not in done.stderr
    assert token.objects() == [] and sent(box, "POST") == []


def test_the_secret_goes_to_no_other_host(enroller: Client, box: Sandbox) -> None:
    box.set(oauth_names="https://elsewhere.example/token")
    done = enroller.run("enroll", "--name", "www.example.org", status=42)
    assert "elsewhere.example" in done.stderr and "'token_hosts'" in done.stderr
    assert sent(box, "POST", TOKENS) == []


def test_an_admins_key_is_not_one_for_this_api(enroller: Client, box: Sandbox) -> None:
    enroller.set("ca:sandbox", client_id="sandbox-admin-key",
                 client_secret_source=f"file:{box.dir / 'admin-client-secret.txt'}")
    done = enroller.run("enroll", "--name", "www.example.org", status=42)
    assert "HTTP 401" in done.stderr and box.orders() == []


# --- settings, products, check

@pytest.mark.parametrize(("section", "values", "says"), [
    ("ca:sandbox", {"auth": "password"}, "set 'auth = oauth'"),
    ("ca:sandbox", {"auth": None}, "set 'auth = oauth'"),
    ("ca:sandbox", {"url": "https://cert-manager.com"}, "has a host for each customer"),
    ("ca:sandbox", {"order_fields": "names, colour"}, "order_fields: 'colour' is none of"),
    ("ca:sandbox", {"client_id": None}, "'client_id'"),
    ("profile:web", {"product": "OV SSL"}, "leave 'product' out"),
])
def test_wrong_settings_are_told(enroller: Client, section: str, values: dict[str, str | None], says: str) -> None:
    enroller.set(section, **values)
    done = enroller.run("enroll", "--name", "www.example.org", status=3)
    assert says in done.stderr


def test_products_says_that_there_is_nothing_to_choose(enroller: Client) -> None:
    assert "an account has one product of its own" in enroller.run("products").stdout
    result = enroller.json("products")
    assert result["fixed_product"] is True and result["products"] == []


def steps(client: Client, status: int = 0) -> dict[str, tuple[str, str]]:
    result = client.json("check", status=status)
    return {row["step"]: (row["result"], row["detail"]) for row in result["checks"]}


def test_check_tells_the_server_the_key_and_the_account(enroller: Client, box: Sandbox) -> None:
    found = steps(enroller)
    assert found["token"] == ("ok", f"given to 'sandbox-enrollment-key' by {box.url}{TOKENS}")
    assert found["account"][0] == "ok" and "lists no certificates" in found["account"][1]
    box.set(enrollment_list="rows")
    assert "may list its certificates" in steps(enroller)["account"][1]
    assert "token server: TLS" in enroller.run("check").stdout


def test_check_warns_of_an_account_that_may_not_list(enroller: Client, box: Sandbox) -> None:
    enroller.set("ca:sandbox", token_url=box.url + TOKENS)
    box.set(fault_path=f"{ORDERS}$", fail_status=403)
    found = steps(enroller)
    assert found["account"][0] == "warning" and "HTTP 403" in found["account"][1]


def test_check_tells_a_refused_key(enroller: Client, box: Sandbox) -> None:
    box.set(oauth="refuse")
    found = steps(enroller, 42)
    assert found["token server: HTTP"][0] == "ok" and found["token"][0] == "failed" and "account" not in found


def test_check_tells_a_token_server_that_is_not_allowed(enroller: Client) -> None:
    enroller.set("ca:sandbox", token_hosts="elsewhere.example")
    found = steps(enroller, 42)
    assert found["token server"][0] == "failed" and "'token_hosts'" in found["token server"][1]


def test_check_tells_an_account_that_is_not_let_in(enroller: Client, box: Sandbox) -> None:
    box.set(auth="refuse")
    found = steps(enroller, 42)
    assert found["token"][0] == "ok" and found["account"][0] == "failed" and "HTTP 401" in found["account"][1]


# --- revoke

def revoked(box: Sandbox) -> bool:
    return box.orders()[-1]["status"] == "Revoked"


@pytest.mark.parametrize("status", ["status", "none"])
@pytest.mark.parametrize("which", ["order", "ca-order", "serial"])
def test_it_is_revoked(enroller: Client, box: Sandbox, which: str, status: str) -> None:
    box.set(enrollment_status=status)
    enroller.run("enroll", "--name", "www.example.org")
    shown = order(enroller)
    args = {"order": ["1"], "ca-order": ["--ca-order", str(shown["ca_order"])],
            "serial": ["--serial", str(shown["serial"])]}[which]
    result = enroller.json("revoke", *args, "--reason", "keyCompromise", "--comment", "it was stolen", "--yes")
    assert (result["revoked"], result["was_revoked"], result["order"]) == (True, False, 1)
    assert result["common_name"] == "www.example.org" and result["serial"] == shown["serial"]
    (request,) = sent(box, "DELETE")
    assert request["body"] == {"message": "it was stolen", "reasonCode": 1}
    assert revoked(box) and order(enroller)["state"] == "revoked"
    assert enroller.json("revoke", "1", "--reason", "superseded", "--yes")["was_revoked"] is True


def test_by_serial_in_the_list(enroller: Client, box: Sandbox) -> None:
    box.set(enrollment_list="rows")
    enroller.run("enroll", "--name", "www.example.org")
    serial = str(order(enroller)["serial"])
    enroller.set("p11enroll", state_dir=str(enroller.dir / "another-journal"))
    result = enroller.json("revoke", "--serial", serial, "--reason", "superseded", "--yes")
    assert result["revoked"] is True and "order" not in result and revoked(box)


def test_an_unknown_serial_is_not_sent(enroller: Client, box: Sandbox) -> None:
    done = enroller.run("revoke", "--serial", "00ff", "--reason", "superseded", "--yes", status=None)
    assert done.returncode != 0 and "00ff" in done.stderr and sent(box, "DELETE") == []


def test_without_yes_nothing_is_sent(enroller: Client, box: Sandbox) -> None:
    enroller.run("enroll", "--name", "www.example.org")
    done = enroller.run("revoke", "1", "--reason", "superseded", status=2)
    assert "www.example.org" in done.stdout and sent(box, "DELETE") == []


@pytest.mark.parametrize(("when", "status"), [("after", 0), ("before", 14)])
def test_a_lost_answer_to_a_revocation_is_looked_up(enroller: Client, box: Sandbox, when: str, status: int) -> None:
    enroller.run("enroll", "--name", "www.example.org")
    box.once("DELETE", ORDERS, cut="before-reply", fault_when=when)
    enroller.run("revoke", "1", "--reason", "superseded", "--yes", status=status)
    assert len(sent(box, "DELETE")) == 1 and revoked(box) == (when == "after")


# --- adopted: what a person found

def lost(client: Client, box: Sandbox, fault: str = "stored-cut") -> str:
    """Loses an order; returns its id at the CA, as a person finds it in SCM; "" if it did not get there."""
    box.once("POST", f"^{ORDERS}$", enroll_fault=fault)
    client.run("enroll", "--name", "www.example.org", status=14)
    return "".join(str(o["id"]) for o in box.orders() if o["common_name"] == "www.example.org")


def test_an_order_that_somebody_found_is_gone_on_with(enroller: Client, box: Sandbox) -> None:
    number = lost(enroller, box)
    result = enroller.json("order", "adopt", "1", number)
    assert (result["state"], result["ca_order"], result["last_error"]) == ("done", number, None)
    assert any(str(e["text"]).endswith("found it at the CA as order " + number) for e in order(enroller)["events"])
    assert len(sent(box, "POST")) == 1


def test_an_order_that_somebody_found_may_be_under_way(enroller: Client, box: Sandbox) -> None:
    box.set(issue_result="stuck")
    number = lost(enroller, box)
    enroller.run("order", "adopt", "1", number, "--deadline", "1s", status=10)
    assert order(enroller)["state"] == "pending"


def test_the_certificate_of_another_key_is_not_adopted(enroller: Client, box: Sandbox) -> None:
    enroller.run("enroll", "--name", "other.example.org")
    enroller.set("p11enroll", state_dir=str(enroller.dir / "another-journal"))
    other = str(box.orders()[-1]["id"])
    lost(enroller, box)
    done = enroller.run("order", "adopt", "1", other, status=50)
    assert f"order 1 cannot be '{other}' at the CA" in done.stderr
    assert order(enroller)["state"] == "ambiguous"


def test_what_is_another_order_of_ours_is_not_adopted(enroller: Client, box: Sandbox) -> None:
    enroller.run("enroll", "--name", "other.example.org")
    other = str(box.orders()[-1]["id"])
    lost(enroller, box)
    done = enroller.run("order", "adopt", "2", other, status=2)
    assert f"{other} at the CA is order 1 already" in done.stderr


def test_what_is_not_there_is_not_adopted(enroller: Client, box: Sandbox) -> None:
    lost(enroller, box, "cut")
    done = enroller.run("order", "adopt", "1", "999999", status=15)
    assert "HTTP 404" in done.stderr and order(enroller)["state"] == "ambiguous"


@pytest.mark.parametrize("word", ["..", "a/b", "0", "", "x" * 61])
def test_what_is_no_id_is_not_sent(enroller: Client, box: Sandbox, word: str) -> None:
    lost(enroller, box, "stored-504")
    done = enroller.run("order", "adopt", "1", word, status=2)
    assert "is no id of a certificate" in done.stderr


def test_only_an_order_that_is_ambiguous_is_adopted(enroller: Client) -> None:
    enroller.run("enroll", "--name", "www.example.org")
    done = enroller.run("order", "adopt", "1", "5", status=2)
    assert "order 1 is in the state 'done'" in done.stderr


def test_an_order_at_the_admin_api_is_adopted_as_well(client: Client) -> None:
    assert client.sandbox is not None
    client.sandbox.once("POST", "/enroll$", enroll_fault="stored-cut")
    client.run("enroll", "--name", "www.example.org", status=14)
    number = str(client.sandbox.orders()[-1]["id"])
    assert "is not a number" in client.run("order", "adopt", "1", "x", status=2).stderr
    assert client.json("order", "adopt", "1", number)["state"] == "done"


def test_an_id_that_is_no_number_is_revoked_by_people(enroller: Client, box: Sandbox) -> None:
    box.set(enrollment_id="text")
    enroller.run("enroll", "--name", "www.example.org")
    done = enroller.run("revoke", "1", "--reason", "superseded", "--yes", status=2)
    assert "'ENR-" in done.stderr and sent(box, "DELETE") == []


# --- output

def test_output_as_recorded(enroller: Client, box: Sandbox) -> None:
    for command in ("products", "check"):
        compare(f"json/{command}-enrollment.json", json.dumps(shape(enroller.json(command)), indent=1) + "\n")
        compare(f"human/{command}-enrollment.txt", masked(enroller.run(command).stdout, enroller))
    number = lost(enroller, box)
    adopted = enroller.json("order", "adopt", "1", number)
    compare("json/order-adopt.json", json.dumps(shape(adopted), indent=1) + "\n")


def test_what_people_see_of_an_order_that_was_adopted(enroller: Client, box: Sandbox) -> None:
    number = lost(enroller, box)
    text = masked(enroller.run("order", "adopt", "1", number).stdout, enroller)
    text = text.replace(number, "NNNN")
    compare("human/order-adopt.txt", "".join(line for line in text.splitlines(keepends=True) if not line.startswith("Serial:")))


# --- many orders in one process

@pytest.mark.parametrize("status", ["status", "none"])
def test_many_orders_are_waited_for_in_one_process(enroller: Client, box: Sandbox, status: str) -> None:
    box.set(enrollment_status=status, issue_result="stuck")
    for name in ("a", "b", "c"):
        enroller.run("enroll", "--name", f"{name}.example.org", "--deadline", "0", status=10)
    box.set(issue_result="issue")
    enroller.run("order", "wait", "1", "2", "3")
    assert [order(enroller, str(n))["state"] for n in (1, 2, 3)] == ["done"] * 3
    assert len(sent(box, "POST")) == 3


# --- what the other API has

def test_a_catalog_needs_to_know_the_product(enroller: Client, box: Sandbox, token: Token) -> None:
    enroller.set("ca:sandbox", catalog="1013, 1014")
    done = enroller.run("enroll", "--name", "www.example.org", status=28)
    assert "cannot be held against the catalog of [ca:sandbox]" in done.stderr
    enroller.set("profile:web", product="1015")
    done = enroller.run("enroll", "--name", "www.example.org", status=28)
    assert "is not in the catalog of [ca:sandbox]" in done.stderr and token.objects() == []
    enroller.set("profile:web", product="1013")
    enroller.run("enroll", "--name", "www.example.org")
    assert len(box.orders()) == 1


@pytest.mark.parametrize("command", [("org", "list"), ("account", "acme", "list")])
def test_what_administrators_see_is_not_there(enroller: Client, command: tuple[str, ...]) -> None:
    done = enroller.run(*command, status=2)
    assert "that takes the login of an administrator" in done.stderr


def test_the_list_as_an_inventory(enroller: Client, box: Sandbox) -> None:
    assert "this API lists no certificates" in enroller.run("inventory", "list", status=None).stderr
    box.set(enrollment_list="rows")
    enroller.run("enroll", "--name", "www.example.org")
    rows = enroller.json("inventory", "list", "--common-name", "www.example.org")["certificates"]
    assert str(box.orders()[-1]["id"]) in [str(row["ca_order"]) for row in rows]
    done = enroller.run("inventory", "list", "--status", "Issued", status=2)
    assert "can be narrowed by nothing else" in done.stderr
