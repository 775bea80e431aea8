"""Collect: formats, order, line ends, replies that come too early, wrong certificates."""

from __future__ import annotations

import datetime as dt
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.serialization import pkcs7

from ca import names_of
from support import Client, Running, key

ROOT, INTER, LEAF = "Sandbox Root CA", "Sandbox OV Secure Server CA", "www.example.org"


def cn(cert: x509.Certificate) -> str:
    return cert.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value


def order_of(certs: list[x509.Certificate]) -> list[str]:
    return [cn(cert) for cert in certs]


def signed_by(cert: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether a certificate really carries its issuer's signature."""
    public = issuer.public_key()
    try:
        if isinstance(public, ec.EllipticCurvePublicKey):
            public.verify(cert.signature, cert.tbs_certificate_bytes,
                          ec.ECDSA(cert.signature_hash_algorithm))
        else:
            public.verify(cert.signature, cert.tbs_certificate_bytes, padding.PKCS1v15(),
                          cert.signature_hash_algorithm)
    except Exception:
        return False
    return True


@pytest.mark.parametrize("form, names", [
    ("x509", [ROOT, INTER, LEAF]), ("x509CO", [LEAF]), ("x509IO", [ROOT, INTER]),
    ("x509IOR", [INTER, ROOT]), ("x509R", [LEAF, INTER, ROOT]), ("pem", [ROOT, INTER, LEAF]),
    ("pemco", [LEAF]), ("pemia", [LEAF, INTER])])
def test_pem_formats(client: Client, form: str, names: list[str]) -> None:
    number = client.enroll()
    assert order_of(client.collect(number, form).certs()) == names
    assert order_of(client.get(f"/ssl/v1/collect/{number}/{form}").certs()) == names


def test_default_format_is_pkcs7_in_pem(client: Client) -> None:
    number = client.enroll()
    for path in (f"/ssl/v1/collect/{number}", f"/ssl/v1/collect/{number}?format=base64"):
        data = client.get(path).data
        assert data.startswith(b"-----BEGIN PKCS7-----\n")
        assert set(order_of(pkcs7.load_pem_pkcs7_certificates(data))) == {ROOT, INTER, LEAF}


def test_bin_is_pkcs7_in_der(client: Client) -> None:
    data = client.collect(client.enroll(), "bin").data
    assert set(order_of(pkcs7.load_der_pkcs7_certificates(data))) == {ROOT, INTER, LEAF}


@pytest.mark.parametrize("form, code", [("pkcs7", -126), ("X509", -126), ("pkcs12", -1450)])
def test_format_that_does_not_exist(client: Client, form: str, code: int) -> None:
    reply = client.collect(client.enroll(), form)
    assert (reply.status, reply.code) == (400, code)


def test_openssl_accepts_the_chain(sandbox: Running, client: Client, tmp_path) -> None:
    (tmp_path / "leaf.pem").write_bytes(client.collect(client.enroll()).data)
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver",
               "-verify_hostname", "www.example.org",
               "-CAfile", str(sandbox.directory / "issuer-root.pem"),
               "-untrusted", str(sandbox.directory / "issuer-intermediate.pem"),
               str(tmp_path / "leaf.pem")]
    assert subprocess.run(command, capture_output=True).returncode == 0


@pytest.mark.parametrize("order, names", [
    ("leaf-first", [LEAF, INTER, ROOT]), ("shuffled", [INTER, LEAF, ROOT]),
    ("without-root", [INTER, LEAF]), ("with-extra", [ROOT, ROOT, INTER, LEAF])])
def test_chain_order(sandbox: Running, client: Client, order: str, names: list[str]) -> None:
    sandbox.set(chain_order=order)
    number = client.enroll()
    assert order_of(client.collect(number, "x509").certs()) == names
    assert order_of(client.collect(number, "x509R").certs()) == names[::-1]


def test_extra_certificate_is_a_cross_certificate(sandbox: Running, client: Client) -> None:
    sandbox.set(chain_order="with-extra")
    extra, root = client.collect(client.enroll(), "x509").certs()[:2]
    assert extra.public_key().public_numbers() == root.public_key().public_numbers()
    assert extra.issuer != root.issuer


@pytest.mark.parametrize("ends, check", [
    ("lf", lambda d: d.endswith(b"-\n") and b"\r" not in d),
    ("crlf", lambda d: d.endswith(b"-\r\n") and d.count(b"\r\n") == d.count(b"\n")),
    ("no-final", lambda d: d.endswith(b"-") and b"\r" not in d)])
@pytest.mark.parametrize("form", ["x509", "base64"])
def test_line_ends(sandbox: Running, client: Client, ends: str, check, form: str) -> None:
    sandbox.set(line_ends=ends)
    assert check(client.collect(client.enroll(), form).data)


@pytest.mark.parametrize("value, header", [
    ("octet-stream", "application/octet-stream"),
    ("octet-stream-charset", "application/octet-stream;charset=UTF-8"),
    ("text-plain", "text/plain"), ("missing", None)])
def test_collect_type(sandbox: Running, client: Client, value: str, header: str | None) -> None:
    sandbox.set(collect_type=value)
    reply = client.collect(client.enroll())
    assert reply.headers["Content-Type"] == header
    assert reply.headers["Content-Disposition"] == 'attachment; filename="www_example_org.crt"'


# --- too early, and too late

@pytest.mark.parametrize("value, status, code", [
    ("400-0", 400, 0), ("400-183", 400, -183), ("400-1400", 400, -1400), ("404-103", 404, -103),
    ("404-109", 404, -109)])
def test_not_ready(sandbox: Running, client: Client, value: str, status: int, code: int) -> None:
    sandbox.set(not_ready=value, approval="manual")
    reply = client.collect(client.enroll())
    assert (reply.status, reply.code) == (status, code)


def test_not_ready_as_an_empty_200(sandbox: Running, client: Client) -> None:
    sandbox.set(not_ready="200-empty", issue_result="stuck")
    reply = client.collect(client.enroll())
    assert (reply.status, reply.data, reply.headers["Content-Length"]) == (200, b"", "0")


def test_not_collectable_although_issued(sandbox: Running, client: Client) -> None:
    sandbox.set(not_collectable=2)
    number = client.enroll()
    assert client.status(number) == "Issued"
    assert [client.collect(number).status for _ in range(3)] == [400, 400, 200]


def test_collect_of_a_revoked_certificate(client: Client) -> None:
    number = client.enroll()
    client.post(f"/ssl/v1/revoke/{number}", {"reasonCode": 1, "reason": "x"})
    reply = client.collect(number)
    assert (reply.status, reply.code) == (400, -110)


def test_collect_of_a_declined_order(sandbox: Running, client: Client) -> None:
    sandbox.set(approval="decline")
    reply = client.collect(client.enroll())
    assert (reply.status, reply.code) == (400, -183)


def test_collect_of_nothing(client: Client) -> None:
    assert client.collect(999999).status == 404


# --- wrong certificates

def wrong(sandbox: Running, client: Client, kind: str) -> x509.Certificate:
    """The wrong leaf of a kind; the same at each collect."""
    sandbox.set(certificate=kind)
    number = client.enroll(subjAltNames="b.example.org")
    leaf = client.leaf(number)
    assert client.leaf(number) == leaf
    return leaf


def test_wrong_key(sandbox: Running, client: Client) -> None:
    leaf = wrong(sandbox, client, "other-key")
    assert leaf.public_key().public_numbers() != key().public_key().public_numbers()
    assert names_of(leaf) == ["www.example.org", "b.example.org"]


def test_wrong_names(sandbox: Running, client: Client) -> None:
    assert names_of(wrong(sandbox, client, "other-san")) == ["other.sandbox.invalid"]


def test_no_names(sandbox: Running, client: Client) -> None:
    assert names_of(wrong(sandbox, client, "no-san")) == []


def test_expired(sandbox: Running, client: Client) -> None:
    assert wrong(sandbox, client, "expired").not_valid_after < dt.datetime.utcnow()


def test_not_yet_valid(sandbox: Running, client: Client) -> None:
    assert wrong(sandbox, client, "not-yet-valid").not_valid_before > dt.datetime.utcnow()


def test_wrong_issuer_has_the_right_names(sandbox: Running, client: Client) -> None:
    leaf = wrong(sandbox, client, "wrong-issuer")
    right = x509.load_pem_x509_certificate(
        (sandbox.directory / "issuer-intermediate.pem").read_bytes())
    assert leaf.issuer == right.subject and not signed_by(leaf, right)
    false_root, false_inter, again = client.collect(client.enroll(), "x509").certs()
    assert signed_by(again, false_inter) and signed_by(false_inter, false_root)


@pytest.mark.parametrize("form, names", [
    ("x509", [ROOT, INTER]), ("x509CO", [INTER]), ("pemia", [INTER])])
def test_leaf_missing(sandbox: Running, client: Client, form: str, names: list[str]) -> None:
    sandbox.set(certificate="leaf-missing")
    assert order_of(client.collect(client.enroll(), form).certs()) == names


def test_pkcs7_instead_of_pem(sandbox: Running, client: Client) -> None:
    sandbox.set(certificate="pkcs7")
    data = client.collect(client.enroll(), "x509").data
    assert len(pkcs7.load_pem_pkcs7_certificates(data)) == 3


def test_garbage(sandbox: Running, client: Client) -> None:
    sandbox.set(certificate="garbage")
    reply = client.collect(client.enroll())
    with pytest.raises(ValueError):
        reply.certs()
