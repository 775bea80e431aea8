"""Local approval: which orders need it, who may give it, what is signed, and that nothing is sent without it."""

from __future__ import annotations

import datetime as dt
import getpass
import json
import os
import re
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from p11e import PROVIDER, Client, Token, clean_env, run, sanitizer_preload

ME = getpass.getuser()


class Person:
    """An approver with a key and a self-signed certificate in files."""

    def __init__(self, path: Path, name: str, days: tuple[int, int] = (-1, 30), usage: str = "digital_signature") -> None:
        self.name, self.dir = name, path
        self.cert, self.key = path / f"{name}.pem", path / f"{name}.key"
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = dt.datetime.now(dt.timezone.utc)
        names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
                 "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
        made = (x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
                .serial_number(x509.random_serial_number()).not_valid_before(now + dt.timedelta(days=days[0]))
                .not_valid_after(now + dt.timedelta(days=days[1]))
                .add_extension(x509.KeyUsage(**{n: n == usage for n in names}), True).sign(key, hashes.SHA256()))
        self.cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        self.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                               serialization.NoEncryption()))
        self.fingerprint = made.fingerprint(hashes.SHA256()).hex()

    def sign(self, text: Path, *more: str, form: str = "DER") -> Path:
        out = self.dir / f"{self.name}-{text.name}.p7s"
        run(["openssl", "cms", "-sign", "-in", str(text), "-signer", str(self.cert), "-inkey", str(self.key),
             "-outform", form, "-out", str(out), *more])
        return out


@pytest.fixture
def people(tmp_path: Path) -> dict[str, Person]:
    return {name: Person(tmp_path, name) for name in ("alice", "bob", "mallory")}


def require(client: Client, *approvers: Any, **more: str) -> None:
    client.set("profile:web", approval="required", approvers=", ".join(str(a) for a in approvers), **more)


def ask(client: Client, name: str = "www.example.org") -> None:
    """An order that stops before it is sent."""
    assert client.sandbox is not None
    before = client.sandbox.posts()
    done = client.run("enroll", "--cn", name, status=17)
    assert "is not sent before it is approved" in done.stderr and client.sandbox.posts() == before


def text(client: Client, order: int = 1, *more: str) -> Path:
    path = client.dir / f"request-{order}{''.join(more)}.json"
    client.run("order", "request", str(order), "--out", str(path), *more)
    return path


def approve(client: Client, person: Person, order: int = 1, status: int = 0, **more: Any) -> Any:
    return client.run("order", "approve", str(order), "--signature", str(person.sign(text(client, order), **more)), status=status)


def sent(client: Client) -> int:
    assert client.sandbox is not None
    return client.sandbox.posts()


def texts(client: Client, order: int = 1) -> list[str]:
    return [str(e["text"]) for e in client.json("order", "show", str(order))["events"]]


# --- the way through

def test_an_order_is_sent_after_it_was_approved(client: Client, people: dict[str, Person]) -> None:
    require(client, people["alice"].cert)
    ask(client)
    assert client.json("order", "show", "1")["state"] == "awaiting-approval"
    done = client.run("order", "wait", "1", status=17)
    assert "0 of 1 approvals are there" in done.stderr and "the certificate 'CN=alice'" in done.stderr and sent(client) == 0
    assert approve(client, people["alice"]).returncode == 0 and sent(client) == 0
    assert client.json("order", "wait", "1")["state"] == "done" and sent(client) == 1
    assert "approved by CN=alice" in texts(client)


@pytest.mark.parametrize("form", ["DER", "PEM"])
@pytest.mark.parametrize("more", [[], ["-binary"], ["-binary", "-noattr"], ["-binary", "-nocerts"], ["-md", "sha512"]])
def test_stock_openssl_signs(client: Client, people: dict[str, Person], form: str, more: list[str]) -> None:
    require(client, people["alice"].cert)
    ask(client)
    signature = people["alice"].sign(text(client), *more, form=form)
    assert client.json("order", "approve", "1", "--signature", str(signature))["approvals"] == 1
    assert client.json("order", "wait", "1")["state"] == "done"


def test_a_fingerprint_lists_a_certificate(client: Client, people: dict[str, Person]) -> None:
    require(client, f"sha256:{people['alice'].fingerprint}")
    ask(client)
    approve(client, people["alice"])
    assert client.json("order", "wait", "1")["state"] == "done"


def test_a_key_in_a_token_approves(client: Client, tmp_path: Path) -> None:
    card = Token(tmp_path / "hsm", label="card", pin=client.token.pin, so_pin=client.token.so_pin)
    card.add("card")
    client.set("token:card", module=str(card.module), uri=card.uri, pin_source=f"file:{card.pin_file}")
    client.set("profile:web", token="main")
    client.set("p11enroll", token="main")
    made = client.json("key", "generate", "--token", "card", "--label", "approver", "--type", "ec:P-256")
    csr = client.json("csr", "create", made["uri"], "--token", "card", "--name", "approver.example.org")["csr"]
    assert client.sandbox is not None
    cert = tmp_path / "approver.pem"
    cert.write_text(client.sandbox.sign(csr, ["approver.example.org"])["cert"])
    require(client, cert)
    ask(client)
    client.run("order", "approve", "1", "--token", "card", "--key", made["uri"], "--cert", str(cert))
    assert client.json("order", "wait", "1")["state"] == "done"


def card_of(client: Client, tmp_path: Path) -> tuple[Token, str, Path]:
    """An approver's card, in a directory of its own, with a key and its certificate."""
    card = Token(tmp_path / "card", label="card").init()
    other = Client(tmp_path / "approver", card, None)
    made = other.json("key", "generate", "--label", "approver", "--type", "ec:P-256")
    csr = other.json("csr", "create", made["uri"], "--name", "approver.example.org")["csr"]
    assert client.sandbox is not None
    cert = tmp_path / "card.pem"
    cert.write_text(client.sandbox.sign(csr, ["approver.example.org"])["cert"])
    return card, made["uri"], cert


def test_a_card_on_another_machine_signs_with_stock_openssl(client: Client, tmp_path: Path) -> None:
    card, uri, cert = card_of(client, tmp_path)
    conf = tmp_path / "openssl.cnf"
    conf.write_text("\n".join([
        "openssl_conf = init", "[init]", "providers = providers", "[providers]", "default = default_sect", "p11enroll = p11enroll",
        "[default_sect]", "activate = 1", "[p11enroll]", f"module = {PROVIDER}", f"module-path = {card.module}",
        f"pin-source = file:{card.pin_file}", "activate = 1", ""]))
    require(client, cert)
    ask(client)
    signature = tmp_path / "request.p7s"
    run(["openssl", "cms", "-sign", "-binary", "-in", str(text(client)), "-signer", str(cert), "-inkey", uri, "-outform", "DER",
         "-out", str(signature)], env=clean_env(**card.env, **sanitizer_preload(), OPENSSL_CONF=str(conf), XDG_RUNTIME_DIR=str(tmp_path)))
    client.run("order", "approve", "1", "--signature", str(signature))
    assert client.json("order", "wait", "1")["state"] == "done"


def test_the_certificate_beside_the_key_is_taken(client: Client) -> None:
    done = client.json("enroll", "--cn", "approver.example.org")
    cert = client.dir / "approver.pem"
    cert.write_text(client.run("cert", "export", done["cert_uri"]).stdout)
    require(client, cert)
    ask(client)
    client.run("order", "approve", "2", "--key", done["key_uri"])
    assert client.json("order", "wait", "2")["state"] == "done"


def test_what_was_signed_can_be_checked_later_with_stock_openssl(client: Client, people: dict[str, Person], tmp_path: Path) -> None:
    require(client, people["alice"].cert)
    ask(client)
    client.run("order", "approve", "1", "--signature", str(people["alice"].sign(text(client))), "--message", "fits ticket 7")
    client.run("order", "wait", "1")
    out = tmp_path / "proof"
    out.mkdir()
    row = client.json("order", "approvals", "1", "--dir", str(out))["approvals"][0]
    assert (row["decision"], row["counts"], row["who"], row["message"]) == ("approve", "yes", "CN=alice", "fits ticket 7")
    stem = out / "order-1-approval-1"
    run(["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", f"{stem}.p7s", "-content", f"{stem}.json",
         "-certfile", f"{stem}.pem", "-noverify", "-out", "/dev/null"])
    signed = json.loads(Path(f"{stem}.json").read_text())
    assert (signed["decision"], signed["names"], signed["requester"]) == ("approve", ["www.example.org"], ME)
    csr = client.json("order", "show", "1")
    assert signed["product_id"] == 1013 and signed["organization"] == 103 and len(signed["csr_sha256"]) == 64
    assert csr["state"] == "done"


# --- the text

def test_the_text_is_canonical_and_says_what_will_be_sent(client: Client, people: dict[str, Person]) -> None:
    require(client, people["alice"].cert, comments="for the shop", external_requester="a@example.org")
    ask(client)
    raw = text(client).read_bytes()
    said = json.loads(raw)
    assert raw == json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
    assert set(said) >= {"purpose", "decision", "names", "product", "product_id", "term_days", "ca", "ca_url", "organization",
                         "public_key_sha256", "csr_sha256", "requester", "mark", "comments", "external_requester"}
    assert json.loads(text(client, 1, "--decline").read_text())["decision"] == "decline"
    printed = client.json("order", "request", "1")
    assert printed["text"].encode() == raw


def test_an_order_without_a_request_has_no_text(client: Client, people: dict[str, Person]) -> None:
    require(client, people["alice"].cert)
    client.rules("C_GenerateKeyPair:*:fail=0x30")
    client.run("enroll", "--cn", "www.example.org", status=None)
    client.no_rules()
    done = client.run("order", "request", "1", status=2)
    assert "there is no request to decide on yet" in done.stderr


# --- rules

@pytest.mark.parametrize(("rule", "args", "stops"), [
    ("always", ["--product", "1013"], True), ("ev", ["--product", "1018"], True), ("ev", ["--product", "1013"], False),
    ("wildcard", ["--product", "1016", "-n", "*.example.org"], True), ("wildcard", ["--product", "1013"], False),
    ("product:1017", ["--product", "1017", "--term", "90", "--key-type", "rsa:2048"], True), ("product:sandbox ov ssl", ["--product", "1013"], True),
    ("product:1018", ["--product", "1013"], False), ("name:*.example.org", ["--product", "1013"], True),
    ("name:*.bank.example", ["--product", "1013"], False), ("ev, name:WWW.*", ["--product", "1013"], True),
])
def test_rules(client: Client, people: dict[str, Person], rule: str, args: list[str], stops: bool) -> None:
    require(client, people["alice"].cert, approval_for=rule)
    done = client.run("enroll", "--cn", "www.example.org", "--deadline", "0", *args, status=None)
    assert (done.returncode == 17) == stops, done.stderr
    assert (sent(client) == 0) == stops


def test_auto_sends_at_once(client: Client, people: dict[str, Person]) -> None:
    require(client, people["alice"].cert)
    client.set("profile:web", approval="auto")
    assert client.json("enroll", "--cn", "www.example.org")["state"] == "done"


def test_the_ca_section_says_what_the_profile_does_not(client: Client, people: dict[str, Person]) -> None:
    client.set("ca:sandbox", approval="required", approvers=str(people["alice"].cert))
    ask(client)
    client.set("profile:web", approval="auto")
    assert client.json("enroll", "--cn", "b.example.org")["state"] == "done"


@pytest.mark.parametrize(("settings", "says"), [
    ({"approvers": None}, "to be approved by 1, and 0 could do that"),
    ({"approvals": "2"}, "to be approved by 2, and 1 could do that"),
    ({"approvers": f"user:{ME}"}, "and 0 could do that"),
    ({"approval_for": "sometimes"}, "approval_for: 'sometimes' is none of"),
    ({"approvers": "alice.pem"}, "neither user:NAME, nor sha256:FINGERPRINT, nor the absolute path"),
    ({"approvers": "/nowhere.pem"}, "/nowhere.pem"), ({"approvers": "sha256:00"}, "is no SHA-256 fingerprint"),
])
def test_what_could_never_be_approved_is_refused_before_a_key_is_made(client: Client, people: dict[str, Person],
                                                                       settings: dict[str, str], says: str) -> None:
    require(client, people["alice"].cert)
    client.set("profile:web", **settings)
    done = client.run("enroll", "--cn", "www.example.org", status=None)
    assert done.returncode in (3, 4) and says in done.stderr
    assert client.json("key", "list")["keys"] == [] and client.json("order", "list")["orders"] == []


# --- who may not

def test_a_signer_who_is_not_listed_is_refused(client: Client, people: dict[str, Person]) -> None:
    require(client, people["alice"].cert)
    ask(client)
    assert "CN=mallory is not among the 'approvers'" in approve(client, people["mallory"], status=43).stderr
    client.run("order", "wait", "1", status=17)
    assert sent(client) == 0


def test_a_certificate_of_the_same_name_is_another_one(client: Client, people: dict[str, Person], tmp_path: Path) -> None:
    (tmp_path / "evil").mkdir()
    require(client, people["alice"].cert)
    ask(client)
    assert "is not among the 'approvers'" in approve(client, Person(tmp_path / "evil", "alice"), status=43).stderr


@pytest.mark.parametrize(("days", "says"), [((-10, -1), "expired on"), ((1, 10), "only begins on")])
def test_a_certificate_out_of_its_time_is_refused(client: Client, tmp_path: Path, days: tuple[int, int], says: str) -> None:
    late = Person(tmp_path, "late", days)
    require(client, late.cert)
    ask(client)
    assert says in approve(client, late, status=43).stderr


def test_a_certificate_that_is_not_for_signatures_is_refused(client: Client, tmp_path: Path) -> None:
    other = Person(tmp_path, "other", usage="key_encipherment")
    require(client, other.cert)
    ask(client)
    assert "key usage of the certificate does not allow signatures" in approve(client, other, status=43).stderr


def test_a_system_user_who_is_not_listed_is_refused(client: Client, people: dict[str, Person]) -> None:
    require(client, people["alice"].cert)
    ask(client)
    done = client.run("order", "approve", "1", status=43)
    assert f"{ME} is not among the 'approvers'" in done.stderr and "--key or --signature" in done.stderr


def test_nobody_approves_an_order_of_his_own(client: Client, people: dict[str, Person]) -> None:
    require(client, f"user:{ME}", people["alice"].cert, f"{ME}={people['bob'].cert}")
    ask(client)
    assert "nobody approves an order of his own" in client.run("order", "approve", "1", status=43).stderr
    assert "nobody approves an order of his own" in approve(client, people["bob"], status=43).stderr
    client.set("profile:web", approve_own="yes")
    client.run("order", "approve", "1")
    assert client.json("order", "wait", "1")["state"] == "done"


def test_who_takes_an_order_up_becomes_one_who_ordered(client: Client, people: dict[str, Person]) -> None:
    require(client, f"someone={people['alice'].cert}", f"{ME}={people['bob'].cert}")
    ask(client)
    journal = sqlite3.connect(client.dir / "state" / "journal.db")
    journal.execute("UPDATE orders SET requester = 'someone'")
    journal.commit()
    journal.close()
    client.run("enroll", "--cn", "www.example.org", status=17)
    assert json.loads(text(client).read_text())["requester"] == f"someone,{ME}"
    assert "of his own" in approve(client, people["bob"], status=43).stderr


# --- what is no approval

def test_another_orders_approval_is_none(client: Client, people: dict[str, Person]) -> None:
    require(client, people["alice"].cert)
    ask(client)
    ask(client, "b.example.org")
    signature = people["alice"].sign(text(client, 1))
    done = client.run("order", "approve", "2", "--signature", str(signature), status=52)
    assert "not over what 'order request' gives" in done.stderr


def test_a_declining_signature_approves_nothing(client: Client, people: dict[str, Person]) -> None:
    require(client, people["alice"].cert)
    ask(client)
    no = people["alice"].sign(text(client, 1, "--decline"))
    client.run("order", "approve", "1", "--signature", str(no), status=52)
    yes = people["alice"].sign(text(client))
    client.run("order", "decline", "1", "--signature", str(yes), status=52)
    assert client.json("order", "show", "1")["state"] == "awaiting-approval"


@pytest.mark.parametrize("content", [b"", b"x", b"-----BEGIN CMS-----\nAAAA\n-----END CMS-----\n", os.urandom(64)])
def test_a_file_that_is_no_signature_is_refused(client: Client, people: dict[str, Person], tmp_path: Path, content: bytes) -> None:
    require(client, people["alice"].cert)
    ask(client)
    path = tmp_path / "no"
    path.write_bytes(content)
    assert client.run("order", "approve", "1", "--signature", str(path), status=52)


def test_a_signature_with_a_text_of_its_own_is_refused(client: Client, people: dict[str, Person]) -> None:
    require(client, people["alice"].cert)
    ask(client)
    inside = people["alice"].sign(text(client), "-nodetach", "-binary")
    assert "must stand beside the text" in client.run("order", "approve", "1", "--signature", str(inside), status=52).stderr


def test_a_weak_hash_is_refused(client: Client, people: dict[str, Person]) -> None:
    require(client, people["alice"].cert)
    ask(client)
    weak = people["alice"].sign(text(client), "-md", "sha1")
    assert "hash that is too weak" in client.run("order", "approve", "1", "--signature", str(weak), status=52).stderr


CHANGES = {
    "the term": {"profile:web": {"term": "365"}}, "the organization": {"ca:sandbox": {"org_id": "203"}},
    "the comments": {"profile:web": {"comments": "changed"}}, "the requester": {"profile:web": {"external_requester": "m@example.org"}},
    "the custom fields": {"profile:web": {"custom_fields": "Cost Centre=7"}},
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_changes_after_an_approval_ends_it(client: Client, people: dict[str, Person], what: str) -> None:
    require(client, people["alice"].cert)
    client.set("profile:web", term="199")
    ask(client)
    approve(client, people["alice"])
    for section, values in CHANGES[what].items():
        client.set(section, **values)
    done = client.run("enroll", "--cn", "www.example.org", status=17) if what != "the organization" else client.run("order", "wait", "1", status=17)
    assert "0 of 1 approvals are there" in done.stderr and sent(client) == 0
    row = client.json("order", "approvals", "1")["approvals"][0]
    assert row["counts"] == "no" and "has changed since" in row["why_not"]
    approve(client, people["alice"])
    assert client.json("order", "wait", "1")["state"] == "done"


@pytest.mark.parametrize("change", ["term_days = 1", "product_id = 1018", "names = 'evil.example.org'", "custom_fields = 'a=b'",
                                    "send_names = 2", "mark = 'p11e-00000000000000000000000000000000'"])
def test_a_journal_that_was_tampered_with_sends_nothing(client: Client, people: dict[str, Person], change: str) -> None:
    require(client, people["alice"].cert)
    ask(client)
    approve(client, people["alice"])
    journal = sqlite3.connect(client.dir / "state" / "journal.db")
    journal.execute(f"UPDATE orders SET {change}")
    journal.commit()
    journal.close()
    assert "0 of 1 approvals are there" in client.run("order", "wait", "1", status=17).stderr and sent(client) == 0


def test_a_forged_approval_in_the_journal_counts_nothing(client: Client, people: dict[str, Person]) -> None:
    require(client, people["alice"].cert)
    ask(client)
    signature = people["mallory"].sign(text(client)).read_bytes()
    journal = sqlite3.connect(client.dir / "state" / "journal.db")
    journal.execute("INSERT INTO approvals (order_id, at_s, approve, who, text, signature) VALUES (1, 0, 1, 'CN=alice', ?, ?)",
                    (text(client).read_text(), signature))
    journal.commit()
    journal.close()
    assert "0 of 1 approvals are there" in client.run("order", "wait", "1", status=17).stderr and sent(client) == 0


def test_an_approver_who_is_no_longer_listed_counts_no_longer(client: Client, people: dict[str, Person]) -> None:
    require(client, people["alice"].cert)
    ask(client)
    approve(client, people["alice"])
    require(client, people["bob"].cert)
    assert "0 of 1" in client.run("order", "wait", "1", status=17).stderr and sent(client) == 0


# --- several

def test_two_of_three(client: Client, people: dict[str, Person], tmp_path: Path) -> None:
    carol = Person(tmp_path, "carol")
    require(client, people["alice"].cert, people["bob"].cert, carol.cert, approvals="2")
    ask(client)
    approve(client, people["alice"])
    assert "1 of 2 approvals are there" in client.run("order", "wait", "1", status=17).stderr
    approve(client, carol)
    assert client.json("order", "wait", "1")["state"] == "done"


def test_nobody_approves_twice(client: Client, people: dict[str, Person]) -> None:
    require(client, people["alice"].cert, people["bob"].cert, approvals="2")
    ask(client)
    approve(client, people["alice"])
    assert "has approved order 1 already" in approve(client, people["alice"], status=43).stderr
    assert "1 of 2" in client.run("order", "wait", "1", status=17).stderr


def test_two_certificates_of_one_person_count_once(client: Client, people: dict[str, Person]) -> None:
    require(client, f"alice={people['alice'].cert}", f"alice={people['mallory'].cert}", people["bob"].cert, approvals="2")
    ask(client)
    approve(client, people["alice"])
    assert "has approved order 1 already" in approve(client, people["mallory"], status=43).stderr


def test_a_system_user_approves(client: Client, people: dict[str, Person]) -> None:
    require(client, f"user:{ME}", people["alice"].cert, approve_own="yes", approvals="2")
    ask(client)
    assert client.json("order", "approve", "1")["approvals"] == 1
    assert "has approved order 1 already" in client.run("order", "approve", "1", status=43).stderr
    approve(client, people["alice"])
    assert client.json("order", "wait", "1")["state"] == "done"
    assert f"approved by the system user {ME}" in texts(client)


# --- no

def test_a_decline_is_final(client: Client, people: dict[str, Person]) -> None:
    require(client, people["alice"].cert, people["bob"].cert)
    ask(client)
    no = people["alice"].sign(text(client, 1, "--decline"))
    done = client.json("order", "decline", "1", "--signature", str(no), "--message", "no budget")
    assert (done["decision"], done["state"]) == ("declined", "declined")
    assert "awaits no approval" in approve(client, people["bob"], status=2).stderr
    waited = client.run("order", "wait", "1", status=12)
    assert "declined by CN=alice: no budget" in waited.stderr and sent(client) == 0
    client.run("enroll", "--cn", "www.example.org", status=17)
    assert client.json("order", "show", "2")["state"] == "awaiting-approval"


def test_an_approver_may_change_his_mind_and_decline(client: Client, people: dict[str, Person]) -> None:
    require(client, people["alice"].cert)
    ask(client)
    approve(client, people["alice"])
    no = people["alice"].sign(text(client, 1, "--decline"))
    client.run("order", "decline", "1", "--signature", str(no))
    client.run("order", "wait", "1", status=12)
    assert sent(client) == 0


def age(client: Client, seconds: int) -> None:
    """The order has waited for that long already."""
    journal = sqlite3.connect(client.dir / "state" / "journal.db")
    journal.execute("UPDATE orders SET awaiting_s = awaiting_s - ?", (seconds,))
    journal.commit()
    journal.close()


def test_after_its_time_an_order_is_declined(client: Client, people: dict[str, Person]) -> None:
    require(client, people["alice"].cert, approval_time="2d")
    ask(client)
    age(client, 2 * 86400)
    assert "declined: order 1 is not sent" in client.run("order", "wait", "1", status=12).stderr
    assert client.json("order", "show", "1")["state"] == "declined" and sent(client) == 0


def test_an_approval_that_comes_too_late_declines(client: Client, people: dict[str, Person]) -> None:
    require(client, people["alice"].cert, approval_time="2d")
    ask(client)
    age(client, 2 * 86400)
    assert "was not approved within its time" in approve(client, people["alice"], status=12).stderr
    assert client.json("order", "show", "1")["state"] == "declined"


def test_within_its_time_it_is_not(client: Client, people: dict[str, Person]) -> None:
    require(client, people["alice"].cert, approval_time="2d")
    ask(client)
    age(client, 2 * 86400 - 600)
    client.run("order", "wait", "1", status=17)
    approve(client, people["alice"])
    age(client, 86400)
    assert client.json("order", "wait", "1")["state"] == "done"


def test_late_orders_can_be_reported_alone(client: Client, people: dict[str, Person]) -> None:
    require(client, people["alice"].cert, approval_time="2d", approval_late="report")
    ask(client)
    age(client, 2 * 86400)
    assert "the time for them ('approval_time') is over" in client.run("order", "wait", "1", status=17).stderr
    assert client.json("order", "approvals", "1")["late"] is True
    approve(client, people["alice"])
    assert client.json("order", "wait", "1")["state"] == "done"


def test_an_order_that_waits_can_be_abandoned(client: Client, people: dict[str, Person]) -> None:
    require(client, people["alice"].cert)
    ask(client)
    assert client.json("order", "abandon", "1")["state"] == "abandoned"
    assert "awaits no approval" in approve(client, people["alice"], status=2).stderr


# --- renewals and replacements

def asked_again(client: Client) -> list[str]:
    """The requests that ask for another certificate in the place of one."""
    assert client.sandbox is not None
    return [str(r["path"]) for r in client.sandbox.requests()
            if r["method"] == "POST" and re.search("/(renewById|renew|replace)/", str(r["path"]))]


@pytest.mark.parametrize(("command", "origin"), [(["renew", "1"], "renew-same-key"), (["renew", "1", "--new-key"], "renew"),
                                                 (["replace", "1", "--reason", "superseded"], "replace")])
def test_what_takes_the_place_of_a_certificate_is_an_order_too(client: Client, people: dict[str, Person], command: list[str],
                                                               origin: str) -> None:
    client.run("enroll", "--cn", "www.example.org")
    require(client, people["alice"].cert)
    assert "is not sent before it is approved" in client.run("order", *command, status=17).stderr
    assert asked_again(client) == []
    said = json.loads(text(client, 2).read_text())
    assert said["origin"] == origin and said["parent"] == client.json("order", "show", "1")["ca_order"] and said["requester"] == ME
    approve(client, people["alice"], 2)
    assert client.json("order", "wait", "2")["state"] == "done" and len(asked_again(client)) == 1


def test_a_renewal_that_nobody_could_approve_is_not_begun(client: Client) -> None:
    client.run("enroll", "--cn", "www.example.org")
    require(client, f"user:{ME}")
    assert "0 could do that" in client.run("order", "renew", "1", status=3).stderr
    assert len(client.json("order", "list")["orders"]) == 1 and asked_again(client) == []


def test_what_was_approved_is_not_changed_at_the_ca(client: Client, people: dict[str, Person]) -> None:
    assert client.sandbox is not None
    client.sandbox.set(approval="manual")
    require(client, people["alice"].cert)
    ask(client)
    approve(client, people["alice"])
    client.run("order", "wait", "1", "--deadline", "0", status=11)
    number = str(client.json("order", "show", "1")["ca_order"])
    done = client.run("request", "update", number, "--set-term", "365", status=43)
    assert "has to be approved here as it is" in done.stderr
    assert not [r for r in client.sandbox.requests() if r["method"] == "PUT"]


def test_an_order_is_not_changed_into_one_that_needs_approval(client: Client, people: dict[str, Person]) -> None:
    assert client.sandbox is not None
    client.sandbox.set(approval="manual")
    require(client, people["alice"].cert, approval_for="name:*.bank.example, product:1016")
    client.run("enroll", "--cn", "www.example.org", "--deadline", "0", status=11)
    number = str(client.json("order", "show", "1")["ca_order"])
    client.run("request", "update", number, "--name", "www.bank.example", status=43)
    client.run("request", "update", number, "--set-product", "1016", status=43)
    client.run("request", "update", number, "--set-comments", "for the shop")
    assert sum(r["method"] == "PUT" for r in client.sandbox.requests()) == 1


def test_a_rule_counts_for_a_product_that_it_cannot_see(client: Client, people: dict[str, Person]) -> None:
    assert client.sandbox is not None
    client.sandbox.set(approval="manual")
    require(client, people["alice"].cert, approval_for="ev")
    client.run("enroll", "--cn", "www.example.org", "--deadline", "0", status=11)
    number = str(client.json("order", "show", "1")["ca_order"])
    client.run("request", "update", number, "--set-product", "1018", status=43)
    assert not [r for r in client.sandbox.requests() if r["method"] == "PUT"]


def test_the_catalog_holds_for_renewals(client: Client) -> None:
    client.run("enroll", "--cn", "www.example.org")
    client.set("ca:sandbox", catalog="1019")
    assert "is not in the catalog of [ca:sandbox]" in client.run("order", "renew", "1", status=28).stderr
    assert asked_again(client) == []


def test_several_orders_at_once_each_for_its_own_organization(client: Client, people: dict[str, Person]) -> None:
    assert client.sandbox is not None
    require(client, people["alice"].cert)
    client.set("profile:other", **{**client.settings["profile:web"], "org_id": "203"})
    client.set("p11enroll", profile="web")
    ask(client)
    client.run("enroll", "--profile", "other", "--cn", "b.example.org", status=17)
    ask(client, "c.example.org")
    approve(client, people["alice"], 1)
    approve(client, people["alice"], 2)
    client.run("order", "wait", "1", "2", "3", status=None)
    bodies = [r["body"] for r in client.sandbox.requests() if r["method"] == "POST" and "/ssl/v1/enroll" in str(r["path"])]
    assert [b["orgId"] for b in bodies] == [103, 203]
    assert [client.json("order", "show", n)["state"] for n in ("1", "2", "3")] == ["done", "done", "awaiting-approval"]


# --- crashes and refusals

def test_killed_between_approval_and_submission(client: Client, people: dict[str, Person]) -> None:
    assert client.sandbox is not None
    require(client, people["alice"].cert)
    ask(client)
    approve(client, people["alice"])
    client.sandbox.once("POST", "/ssl/v1/enroll", delay_s=5)
    process = client.start("order", "wait", "1")
    end = time.monotonic() + 20
    while not client.sandbox.orders():
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=20)
    assert client.json("order", "wait", "1")["state"] == "done"
    assert sent(client) == 1 and len(client.sandbox.orders()) == 1


def test_another_address_of_the_ca_is_another_text(client: Client, people: dict[str, Person]) -> None:
    assert client.sandbox is not None
    require(client, people["alice"].cert)
    ask(client)
    approve(client, people["alice"])
    client.set("ca:sandbox", url="https://localhost:1")
    client.run("order", "wait", "1", status=17)
    client.set("ca:sandbox", url=client.sandbox.url)
    assert client.json("order", "wait", "1")["state"] == "done" and sent(client) == 1


def test_killed_before_anything_was_sent_the_approval_stays(client: Client, people: dict[str, Person], tmp_path: Path) -> None:
    assert client.sandbox is not None
    made = client.json("key", "generate", "--label", "api", "--type", "ec:P-256")
    csr = client.json("csr", "create", made["uri"], "--name", "api.example.org")["csr"]
    cert = tmp_path / "api.pem"
    cert.write_text(client.sandbox.client_cert(csr)["cert"])
    client.set("ca:sandbox", client_cert=str(cert), client_key=made["uri"], client_alias=None, client_password_source=None)
    require(client, people["alice"].cert)
    ask(client)
    approve(client, people["alice"])
    client.rules("C_FindObjectsInit:1:kill")  # at the look for the key of the login
    assert client.run("order", "wait", "1", status=None).returncode == -signal.SIGKILL
    client.no_rules()
    assert client.json("order", "show", "1")["state"] == "awaiting-approval" and sent(client) == 0
    assert client.json("order", "wait", "1")["state"] == "done" and sent(client) == 1


def test_a_refusal_of_the_ca_keeps_the_approval(client: Client, people: dict[str, Person]) -> None:
    assert client.sandbox is not None
    require(client, people["alice"].cert)
    ask(client)
    approve(client, people["alice"])
    client.sandbox.once("POST", "/ssl/v1/enroll", fail_status=400, fail_code=-195, fault_when="before")
    client.run("order", "wait", "1", status=None)
    assert client.json("order", "show", "1")["state"] == "signed"
    assert client.json("order", "wait", "1")["state"] == "done"


def test_waiting_for_approval_asks_the_ca_nothing(client: Client, people: dict[str, Person]) -> None:
    assert client.sandbox is not None
    require(client, people["alice"].cert)
    ask(client)
    before = len(client.sandbox.requests())
    client.run("order", "wait", "1", status=17)
    assert len(client.sandbox.requests()) == before


def test_who_may_and_who_did_is_listed(client: Client, people: dict[str, Person], tmp_path: Path) -> None:
    late = Person(tmp_path, "late", (-10, -1))
    require(client, people["alice"].cert, f"user:{ME}", late.cert, f"bob=sha256:{people['bob'].fingerprint}", approvals="2")
    ask(client)
    approve(client, people["bob"])
    shown = client.json("order", "approvals", "1")
    assert [(a["approver"], a["may"]) for a in shown["approvers"]] == [
        (f"sha256:{people['alice'].fingerprint}", "yes"), (ME, "no"), (f"sha256:{late.fingerprint}", "no"), ("bob", "yes")]
    assert (shown["needed"], shown["good"], shown["wanted"], shown["until"]) == (True, 1, 2, None)
    people_see = client.run("order", "approvals", "1").stdout
    assert re.search(r"CN=bob", people_see)


@pytest.mark.parametrize(("args", "says"), [
    (["approve", "1", "--key", "pkcs11:", "--signature", "x"], "exclude each other"),
    (["approve", "1", "--cert", "x"], "--cert is the certificate of --key"),
    (["decline", "1", "--key", "pkcs11:", "--signature", "x"], "exclude each other"),
])
def test_wrong_usage_is_told(client: Client, args: list[str], says: str) -> None:
    assert says in client.run("order", *args, status=2).stderr


def test_a_signature_file_that_is_missing_is_told(client: Client, people: dict[str, Person]) -> None:
    require(client, people["alice"].cert)
    ask(client)
    assert "/nowhere" in client.run("order", "approve", "1", "--signature", "/nowhere", status=4).stderr


def test_an_order_that_needs_no_approval_cannot_be_approved(client: Client) -> None:
    client.run("enroll", "--cn", "www.example.org")
    assert "awaits no approval" in client.run("order", "approve", "1", status=2).stderr
