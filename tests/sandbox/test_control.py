"""The control surface and the table of switches."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

import behaviour
from ca import names_of
from support import Client, Running, csr, key

HERE = Path(__file__).resolve().parent
TYPES = "/ssl/v1/types"


# --- switches

def test_every_switch_has_a_test() -> None:
    tests = "".join(path.read_text() for path in HERE.glob("test_*.py"))
    assert [row.name for row in behaviour.TABLE if row.name not in tests] == []


def test_every_choice_has_a_test() -> None:
    tests = "".join(path.read_text() for path in HERE.glob("test_*.py"))
    missing = [(row.name, value) for row in behaviour.TABLE if row.kind == "choice"
               for value in row.values if value != row.default and f'"{value}"' not in tests]
    assert missing == []


def test_readme_has_the_table() -> None:
    assert behaviour.table_markdown() in (HERE / "README.md").read_text()


def test_defaults_are_allowed_values() -> None:
    assert all(row.parse(row.default) == row.default for row in behaviour.TABLE)


def test_behaviours_merge_and_reset(sandbox: Running) -> None:
    merged = sandbox.control("POST", "/behaviours", {"pending_polls": 3})
    assert merged["pending_polls"] == 3 and merged["approval"] == "auto"
    sandbox.control("POST", "/behaviours", {"approval": "manual"})
    assert sandbox.control("GET", "/behaviours")["pending_polls"] == 3
    assert sandbox.control("DELETE", "/behaviours")["pending_polls"] == 0


@pytest.mark.parametrize("values", [
    {"nonsense": 1}, {"approval": "perhaps"}, {"pending_polls": -1}, {"pending_polls": 1.5},
    {"pending_polls": True}, {"delay_s": "soon"}, {"list_duplicates": "maybe"},
    {"fault_path": "("}, {"redirect_to": 5}, {"tls_min": "1.3", "tls_max": "1.2"},
    {"fail_status": 100}, [], "x"])
def test_bad_switches_change_nothing(sandbox: Running, values) -> None:
    if isinstance(values, dict):
        values = {"not_collectable": 5, **values}
    assert "error" in sandbox.control("POST", "/behaviours", values, status=400)
    assert sandbox.control("GET", "/behaviours")["not_collectable"] == 0


def test_values_as_text(sandbox: Running) -> None:
    merged = sandbox.control("POST", "/behaviours", {
        "pending_polls": "2", "delay_s": "0.5", "list_duplicates": "true"})
    assert (merged["pending_polls"], merged["delay_s"], merged["list_duplicates"]) == (2, 0.5, True)


# --- faults

def test_fault_fires_once(sandbox: Running, client: Client) -> None:
    sandbox.once("/types", fail_status=503)
    assert [client.get(TYPES).status for _ in range(2)] == [503, 200]


def test_fault_times_and_skip(sandbox: Running, client: Client) -> None:
    sandbox.once("/types", times=2, skip=1, fail_status=503)
    assert [client.get(TYPES).status for _ in range(4)] == [200, 503, 503, 200]


def test_fault_matches_method_and_path(sandbox: Running, client: Client) -> None:
    sandbox.once("/enroll", method="POST", fail_status=503)
    assert client.get(TYPES).status == 200
    assert client.get("/ssl/v1/enroll").status == 405
    assert client.post("/ssl/v1/enroll", client.request_body()).status == 503


def test_faults_fire_in_order(sandbox: Running, client: Client) -> None:
    sandbox.once("/types", fail_status=503)
    sandbox.once("/types", fail_status=502)
    assert [client.get(TYPES).status for _ in range(3)] == [503, 502, 200]


def test_fault_without_end(sandbox: Running, client: Client) -> None:
    sandbox.control("POST", "/behaviours/once",
                    [{"match": {}, "fault": {"fail_status": 500}, "times": None}])
    assert [client.get(TYPES).status for _ in range(3)] == [500] * 3
    assert sandbox.control("GET", "/behaviours/once")[0]["times"] is None
    assert sandbox.control("DELETE", "/behaviours/once") == []
    assert client.get(TYPES).status == 200


def test_fault_is_laid_over_the_switches(sandbox: Running, client: Client) -> None:
    sandbox.set(approval="manual")
    sandbox.once("/enroll", enroll_reply="no-renew-id", approval="auto")
    reply = client.post("/ssl/v1/enroll", client.request_body()).json
    assert "renewId" not in reply and client.status(reply["sslId"]) == "Issued"


@pytest.mark.parametrize("row", [
    {}, {"fault": {"nonsense": 1}}, {"fault": {"tls_cert": "expired"}}, "x",
    {"fault": {}, "times": -1}, {"fault": {}, "match": {"path_regex": "("}},
    {"fault": {}, "match": []}])
def test_bad_fault(sandbox: Running, row) -> None:
    sandbox.control("POST", "/behaviours/once", [row], status=400)
    assert sandbox.control("GET", "/behaviours/once") == []


# --- orders

def test_orders_and_one_order(sandbox: Running, client: Client) -> None:
    number = client.enroll(comments="mine")
    assert sandbox.control("GET", f"/orders/{number}")["comments"] == "mine"
    assert number in [order["id"] for order in sandbox.orders()]
    sandbox.control("GET", "/orders/999999", status=404)


@pytest.mark.parametrize("verb, status", [
    ("approve", "Issued"), ("decline", "Declined"), ("reject", "Rejected"), ("issue", "Issued")])
def test_decisions(sandbox: Running, client: Client, verb: str, status: str) -> None:
    sandbox.set(approval="manual")
    number = client.enroll()
    sandbox.control("POST", f"/orders/{number}/{verb}")
    assert client.status(number) == status


def test_decisions_that_come_too_late(sandbox: Running, client: Client) -> None:
    number = client.enroll()
    for verb in ("approve", "decline", "issue"):
        sandbox.control("POST", f"/orders/{number}/{verb}", status=409)


@pytest.mark.parametrize("status", ["Revoked", "Expired", "Replaced", "Invalid", "Issued"])
def test_any_status_can_be_set(sandbox: Running, client: Client, status: str) -> None:
    sandbox.set(issue_result="stuck")
    number = client.enroll()
    sandbox.control("POST", f"/orders/{number}/status", {"status": status})
    assert client.status(number) == status


def test_status_that_does_not_exist(sandbox: Running, client: Client) -> None:
    number = client.enroll()
    sandbox.control("POST", f"/orders/{number}/status", {"status": "Eaten"}, status=400)


# --- request log

def test_request_log(sandbox: Running, client: Client) -> None:
    mark = sandbox.mark()
    client.enroll(comments="find me")
    client.get("/ssl/v1/999999?x=1")
    first, second = sandbox.requests(mark)
    assert first["method"] == "POST" and first["body"]["comments"] == "find me"
    assert (first["status"], first["auth"], first["login"]) == (200, "password", "sandbox-admin")
    assert first["tls"] == "TLSv1.3" and first["client_serial"] is None
    assert (second["status"], second["code"], second["query"]) == (404, -5101, "x=1")
    assert second["path"] == "/api/ssl/v1/999999" and second["n"] == first["n"] + 1
    assert 0 < first["connection"] <= second["connection"]


def test_password_is_never_logged(sandbox: Running, client: Client) -> None:
    client.get(TYPES)
    secret = sandbox.text("admin-password.txt")
    for name in ("log.jsonl", "sandbox.log", "state.json"):
        assert secret not in sandbox.text(name)


def test_clearing_the_request_log(sandbox: Running, client: Client) -> None:
    client.get(TYPES)
    assert sandbox.control("DELETE", "/requests") == []
    assert sandbox.requests() == [] and sandbox.text("log.jsonl") == ""
    client.get(TYPES)
    assert len(sandbox.requests()) == 1


# --- certificates

def test_client_cert_for_a_key_of_ours(sandbox: Running, tmp_path: Path) -> None:
    made = sandbox.control("POST", "/client-cert", {"csr": csr("token key", which=5)})
    cert = x509.load_pem_x509_certificate(made["cert"].encode())
    eku = cert.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(eku) == [ExtendedKeyUsageOID.CLIENT_AUTH] and made["bound"] is True
    assert login_with(sandbox, made["cert"], tmp_path) == 200


def test_client_cert_that_is_not_bound(sandbox: Running, tmp_path: Path) -> None:
    made = sandbox.control("POST", "/client-cert", {"csr": csr("token key", which=5),
                                                    "bind": False, "days": 3})
    assert login_with(sandbox, made["cert"], tmp_path) == 401


def test_client_cert_with_other_eku(sandbox: Running) -> None:
    body = {"csr": csr("x"), "eku": ["serverAuth", "codeSigning"], "bind": False}
    cert = x509.load_pem_x509_certificate(
        sandbox.control("POST", "/client-cert", body)["cert"].encode())
    eku = cert.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert len(list(eku)) == 2


@pytest.mark.parametrize("body, status", [
    ({}, 400), ({"csr": "AAAA"}, 400), ({"eku": ["fly"]}, 400), ({"days": 0}, 400),
    ({"login": "nobody"}, 404)])
def test_client_cert_refused(sandbox: Running, body: dict, status: int) -> None:
    if body:
        body = {"csr": csr(), **body}
    sandbox.control("POST", "/client-cert", body, status=status)


def login_with(sandbox: Running, cert: str, folder: Path) -> int:
    """Log in on /private with a certificate for key number 5; return the HTTP status."""
    pem = key(which=5).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "login.pem").write_bytes(cert.encode() + pem)
    client = Client(sandbox, cert="client")
    client.context = sandbox.context()
    client.context.load_cert_chain(str(folder / "login.pem"))
    return client.get(TYPES).status


def test_sign(sandbox: Running) -> None:
    made = sandbox.control("POST", "/sign", {"csr": csr(), "names": ["a.example", "192.0.2.1"],
                                             "days": 10, "not_before_offset_days": -20})
    leaf = x509.load_pem_x509_certificate(made["cert"].encode())
    assert names_of(leaf) == ["a.example", "192.0.2.1"]
    assert (leaf.not_valid_after - leaf.not_valid_before).days == 10
    assert leaf.public_key().public_numbers() == key().public_key().public_numbers()
    assert made["chain"].count("BEGIN CERTIFICATE") == 2


def test_sign_for_another_key(sandbox: Running) -> None:
    made = sandbox.control("POST", "/sign", {"csr": csr(), "key": "other"})
    leaf = x509.load_pem_x509_certificate(made["cert"].encode())
    assert leaf.public_key().public_numbers() != key().public_key().public_numbers()
    assert names_of(leaf) == ["www.example.org"]


# --- the surface itself

def test_unknown_calls(sandbox: Running) -> None:
    sandbox.control("GET", "/nothing", status=404)
    sandbox.control("PUT", "/orders", status=405)
    assert sandbox.control("GET", "/ping")["url"] == sandbox.url


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"},
                                     {"Host": "evil.example:80"}])
def test_web_pages_are_kept_out(sandbox: Running, headers: dict) -> None:
    sandbox.control("GET", "/behaviours", status=403, headers=headers)


@pytest.mark.parametrize("sections", [{"profiles": {}}, {"nonsense": []}, []])
def test_bad_settings(sandbox: Running, sections) -> None:
    sandbox.control("POST", "/settings", sections, status=400)
