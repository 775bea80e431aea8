"""Enroll: what is accepted, and each refusal with its code."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ca import names_of
from support import Client, Running, csr, key


def body_of(pem: str) -> str:
    return "".join(pem.split("\n")[1:-2])


def test_reply_has_id_and_renew_id(client: Client) -> None:
    reply = client.post("/ssl/v1/enroll", client.request_body())
    assert reply.status == 200
    assert isinstance(reply.json["sslId"], int) and len(reply.json["renewId"]) == 20


def test_trailing_slash(client: Client) -> None:
    assert client.post("/ssl/v1/enroll/", client.request_body()).status == 200


def test_v2_is_the_same(client: Client) -> None:
    number = client.post("/ssl/v2/enroll", client.request_body()).json["sslId"]
    assert client.get(f"/ssl/v2/{number}").json["status"] == "Issued"


def test_order_is_issued_at_once_by_default(client: Client) -> None:
    assert client.status(client.enroll()) == "Issued"


def test_certificate_has_our_key_and_the_extensions_of_a_server(client: Client) -> None:
    leaf = client.leaf(client.enroll(subjAltNames="b.example.org, 192.0.2.7"))
    assert leaf.public_key().public_numbers() == key().public_key().public_numbers()
    get = leaf.extensions.get_extension_for_class
    assert names_of(leaf) == ["www.example.org", "b.example.org", "192.0.2.7"]
    assert not get(x509.BasicConstraints).value.ca and get(x509.BasicConstraints).critical
    assert list(get(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert get(x509.KeyUsage).value.digital_signature
    assert get(x509.SubjectKeyIdentifier) and get(x509.AuthorityKeyIdentifier)
    assert 120 < leaf.serial_number.bit_length() <= 128


def test_validity_is_the_term(client: Client) -> None:
    leaf = client.leaf(client.enroll(term=199))
    assert (leaf.not_valid_after - leaf.not_valid_before).days == 199


def test_subject_comes_from_the_organization(client: Client) -> None:
    subject = client.leaf(client.enroll()).subject
    assert [a.value for a in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == [
        "Sandbox Org"]
    assert subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "www.example.org"


def test_department_has_the_name_of_its_organization(client: Client) -> None:
    subject = client.leaf(client.enroll(orgId=203)).subject
    assert subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value == "Sandbox Org"


def test_dv_subject_is_the_name_alone(client: Client) -> None:
    number = client.enroll(certType=1017, term=90, csr=csr(kind="RSA-2048"))
    assert client.leaf(number).subject.rfc4514_string() == "CN=www.example.org"


def test_bare_base64_csr(client: Client) -> None:
    assert client.enroll(csr=body_of(csr()))


def test_new_certificate_request_header_and_crlf(client: Client) -> None:
    pem = csr().replace("BEGIN CERT", "BEGIN NEW CERT").replace("END CERT", "END NEW CERT")
    assert client.enroll(csr=pem.replace("\n", "\r\n"))


def test_legacy_and_unknown_fields_are_left_alone(client: Client) -> None:
    assert client.enroll(numberServers=1, serverType=-1, whatever={"a": 1})


def test_common_name_from_the_first_name(client: Client) -> None:
    number = client.enroll(csr=csr(name=None), subjAltNames="only.example.org")
    assert client.details(number)["commonName"] == "only.example.org"


@pytest.mark.parametrize("kind", ["P-384", "P-521", "RSA-2048"])
def test_other_keys(client: Client, kind: str) -> None:
    assert client.status(client.enroll(csr=csr(kind=kind))) == "Issued"


# --- bodies

@pytest.mark.parametrize("data", [b"", b"[]", b'""', b"null", b"{", b'{"orgId":NaN}', b"\xff{}",
                                  b"[" * 100000])
def test_body_that_is_no_object(client: Client, data: bytes) -> None:
    reply = client.post("/ssl/v1/enroll", data)
    assert (reply.status, reply.code) == (400, -1002)
    assert reply.json["description"] == "Cannot parse message body"


@pytest.mark.parametrize("field", ["orgId", "csr", "certType", "term"])
def test_required_field_missing(client: Client, field: str) -> None:
    body = client.request_body()
    del body[field]
    reply = client.post("/ssl/v1/enroll", body)
    assert (reply.status, reply.code) == (400, -1001)
    assert reply.json["description"] == f"Value of '{field}' must not be null."
    assert client.post("/ssl/v1/enroll", {**body, field: None}).code == -1001


@pytest.mark.parametrize("change", [
    {"orgId": "103"}, {"orgId": 103.5}, {"orgId": True}, {"orgId": 1 << 70},
    {"subjAltNames": ["a.example.org"]}, {"comments": 5}, {"customFields": {}},
    {"customFields": ["a"]}, {"csr": 1}, {"dcvMode": "PIGEON"}])
def test_field_of_the_wrong_type(client: Client, change: dict) -> None:
    assert client.refused(**change) == -1002


def test_string_numbers_switch(sandbox: Running, client: Client) -> None:
    sandbox.set(string_numbers="accept")
    assert client.enroll(orgId="103", certType="1013")
    assert client.refused(orgId="10x") == -1002


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded",
                                  "application/json;charset=latin1", ""])
def test_content_type_must_be_json(client: Client, kind: str) -> None:
    reply = client.post("/ssl/v1/enroll", client.request_body(), headers={"Content-Type": kind})
    assert reply.status == 415 and "description" in reply.json


def test_content_type_with_charset(client: Client) -> None:
    headers = {"Content-Type": "Application/JSON; charset=UTF-8"}
    assert client.post("/ssl/v1/enroll", client.request_body(), headers=headers).status == 200


def test_body_over_one_mebibyte(client: Client) -> None:
    reply = client.post("/ssl/v1/enroll", b" " * (1 << 20) + b"{}")
    assert reply.status == 413 and "description" in reply.json


# --- values

@pytest.mark.parametrize("change, code", [
    ({"orgId": 0}, -639),
    ({"orgId": 9999}, -1023),
    ({"orgId": 104}, -1021),
    ({"orgId": 106}, -3),
    ({"certType": 9999}, -39),
    ({"term": 1}, -36),
    ({"comments": "x" * 1025}, -1601),
    ({"externalRequester": "nobody"}, -1601),
    ({"externalRequester": "a@b.example, " * 40 + "a@b.example"}, -1601),
    ({"subjAltNames": "under_score.example.org"}, -732),
    ({"subjAltNames": "-.example.org"}, -732),
    ({"subjAltNames": "localhost"}, -732),
    ({"subjAltNames": "a..example.org"}, -732),
    ({"subjAltNames": "1.2.3.256"}, -732),
    ({"subjAltNames": "*.example.org"}, -1010),
    ({"certType": 1014, "subjAltNames": "a.example.org"}, -1601),
    ({"certType": 1016, "subjAltNames": "192.0.2.1"}, -1010),
    ({"subjAltNames": ",".join(f"n{i}.example.org" for i in range(100))}, -1601),
    ({"orgId": 105}, -1010),
    ({"dcvMode": "EMAIL"}, -1001),
    ({"dcvMode": "EMAIL", "dcvEmail": "nobody"}, -1601),
    ({"customFields": [{"name": "Nonsense", "value": "1"}]}, -135),
    ({"customFields": [{"value": "1"}]}, -1001),
    ({"customFields": [{"name": "Cost Centre"}, {"name": "Cost Centre"}]}, -160),
    ({"customFields": [{"name": "Cost Centre", "value": "x" * 257}]}, -1601),
    ({"customFields": [{"name": "Go Live", "value": "01/02/2027"}]}, -1601),
    ({"customFields": [{"name": "Environment", "value": "moon"}]}, -1601),
])
def test_refused_value(client: Client, change: dict, code: int) -> None:
    assert client.refused(**change) == code


def test_longest_allowed_values(client: Client) -> None:
    number = client.enroll(comments="x" * 1024, externalRequester="a@b.example, c@d.example")
    assert client.details(number)["comments"] == "x" * 1024


def test_wildcard_where_the_profile_allows_it(client: Client) -> None:
    assert client.status(client.enroll(certType=1016, csr=csr("*.example.org"))) == "Issued"


def test_organization_with_domains(client: Client) -> None:
    assert client.enroll(orgId=105, csr=csr("www.limited.example"))


def test_mandatory_custom_field(sandbox: Running, client: Client) -> None:
    fields = sandbox.control("GET", "/settings")["customFields"]
    fields[0]["mandatories"] = ["REST_API"]
    sandbox.control("POST", "/settings", {"customFields": fields})
    assert client.refused() == -62
    assert client.refused(customFields=[{"name": "Cost Centre", "value": ""}]) == -62
    given = [{"name": "Cost Centre", "value": "42"}]
    assert client.details(client.enroll(customFields=given))["customFields"] == given


def test_privilege_to_enroll(sandbox: Running, client: Client) -> None:
    accounts = sandbox.directory / "accounts.json"
    before = accounts.read_text()
    accounts.write_text(before.replace('"sslRequest",', ""))
    try:
        assert client.refused() == -3
    finally:
        accounts.write_text(before)


# --- CSRs

@pytest.mark.parametrize("text, code", [
    ("", -1601),
    ("A" * 32768, -1601),
    ("not,base64", -9),
    ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", -9),
    ("AAA", -9),
    ("AAAA", -10),
])
def test_csr_that_is_none(client: Client, text: str, code: int) -> None:
    assert client.refused(csr=text) == code


def test_csr_with_trailing_bytes(client: Client) -> None:
    der = base64.b64decode(body_of(csr())) + b"\0"
    assert client.refused(csr=base64.b64encode(der).decode()) == -10


def test_csr_whose_signature_is_wrong(client: Client) -> None:
    der = bytearray(base64.b64decode(body_of(csr())))
    der[-1] ^= 1
    assert client.refused(csr=base64.b64encode(bytes(der)).decode()) == -138


def test_csr_signed_with_md5(client: Client, tmp_path: Path) -> None:
    """Newer versions of cryptography do not sign with MD5 any more."""
    made = subprocess.run(["openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", str(tmp_path / "k.pem"),
                           "-md5", "-subj", "/CN=www.example.org"], check=True, capture_output=True, text=True)
    assert client.refused(csr=made.stdout) == -138


@pytest.mark.parametrize("kind, code", [
    ("Ed25519", -11), ("RSA-1024", -141), ("RSA-2056", -13), ("secp256k1", -13)])
def test_key_that_no_profile_lists(client: Client, kind: str, code: int) -> None:
    assert client.refused(csr=csr(kind=kind)) == code


def test_ec_key_for_an_rsa_profile(client: Client) -> None:
    assert client.refused(certType=1017, term=90) == -170


def test_no_name_at_all(client: Client) -> None:
    assert client.refused(csr=csr(name=None)) == -951


def test_sans_of_the_csr_are_ignored(client: Client) -> None:
    number = client.enroll(csr=csr(sans=("csr.example.org",)), subjAltNames="api.example.org")
    assert names_of(client.leaf(number)) == ["www.example.org", "api.example.org"]


@pytest.mark.parametrize("source, names", [
    ("csr", ["www.example.org", "csr.example.org"]),
    ("request+csr", ["www.example.org", "api.example.org", "csr.example.org"])])
def test_san_source(sandbox: Running, client: Client, source: str, names: list[str]) -> None:
    sandbox.set(san_source=source)
    number = client.enroll(csr=csr(sans=("csr.example.org",)), subjAltNames="api.example.org")
    assert names_of(client.leaf(number)) == names


# --- domain control validation

def test_domain_not_validated(sandbox: Running, client: Client) -> None:
    sandbox.set(validated_domains="example.com, other.example")
    assert client.refused() == -1137
    assert client.enroll(csr=csr("www.example.com"))


@pytest.mark.parametrize("mode, keys", [
    ("CNAME", {"host", "point"}), ("TXT", {"host", "point"}), ("HTTP", {"url", "file"}),
    ("HTTPS", {"url", "file"}), ("EMAIL", {"dcvEmail"})])
def test_dcv_with_the_order(sandbox: Running, client: Client, mode: str, keys: set) -> None:
    sandbox.set(validated_domains="", dcv_checks=2)
    number = client.enroll(dcvMode=mode, dcvEmail="admin@example.org")
    assert client.status(number) == "Applied"
    shown = client.get(f"/ssl/v1/{number}/dcv").json
    assert shown["dcvLog"]["log"][0]["dcvStatus"] == "Awaiting Validation"
    assert set(shown["instructions"][0]) == {"domainName", "dcvMode"} | keys
    assert client.post(f"/ssl/v1/{number}/dcv/recheck").status == 202
    assert client.status(number) == "Applied"
    log = client.post(f"/ssl/v1/{number}/dcv/recheck").json["dcvLog"]["log"]
    assert log[0]["dcvStatus"] == "Validated"
    assert client.status(number) == "Issued"


def test_dcv_as_an_array(sandbox: Running, client: Client) -> None:
    sandbox.set(dcv_shape="array")
    assert isinstance(client.get(f"/ssl/v1/{client.enroll()}/dcv").json, list)


# --- the reply

@pytest.mark.parametrize("value, check", [
    ("no-renew-id", lambda b: set(b) == {"sslId"}),
    ("extra-fields", lambda b: "futureField" in b and b["sslId"] > 0),
    ("zero-id", lambda b: b["sslId"] == 0),
    ("negative-id", lambda b: b["sslId"] == -1),
    ("no-id", lambda b: "sslId" not in b)])
def test_enroll_reply(sandbox: Running, client: Client, value: str, check) -> None:
    sandbox.set(enroll_reply=value)
    assert check(client.post("/ssl/v1/enroll", client.request_body()).json)


def test_enroll_status_201(sandbox: Running, client: Client) -> None:
    sandbox.set(enroll_status="201")
    assert client.post("/ssl/v1/enroll", client.request_body()).status == 201


def test_id_kind_large(sandbox: Running, client: Client) -> None:
    sandbox.set(id_kind="large")
    number = client.enroll()
    assert number > 1 << 31 and client.status(number) == "Issued"


def test_id_kind_string(sandbox: Running, client: Client) -> None:
    sandbox.set(id_kind="string")
    number = client.post("/ssl/v1/enroll", client.request_body()).json["sslId"]
    assert isinstance(number, str)
    assert client.details(int(number))["id"] == number
