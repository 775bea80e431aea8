"""How orders look in JSON: details, list rows, report rows, DCV, and their dates."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

import certs
from ca import names_of
from csr import CURVES, decode
from errors import bad_field
from orders import WAITING, Order
from settings import profile_json

DATE_NAMES = {
    "ISO": "%Y-%m-%d", "ISO_HMS": "%Y-%m-%dT%H:%M:%S.mmmZ",
    "EU": "%d.%m.%Y", "EU_HMS": "%d.%m.%Y %H:%M:%S",
    "US": "%m/%d/%Y", "US_HMS": "%m/%d/%Y %H:%M:%S",
    "UK": "%d/%m/%Y", "UK_HMS": "%d/%m/%Y %H:%M:%S",
    "JP": "%Y/%m/%d", "JP_HMS": "%Y/%m/%d %H:%M:%S",
}
DATE_PATTERNS = {
    "yyyy-MM-dd": "ISO", "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'": "ISO_HMS",
    "dd.MM.yyyy": "EU", "dd.MM.yyyy HH:mm:ss": "EU_HMS",
    "MM/dd/yyyy": "US", "MM/dd/yyyy HH:mm:ss": "US_HMS",
    "dd/MM/yyyy": "UK", "dd/MM/yyyy HH:mm:ss": "UK_HMS",
    "yyyy/MM/dd": "JP", "yyyy/MM/dd HH:mm:ss": "JP_HMS",
}
NAMES_BY_CASE = {**{name.lower(): name for name in DATE_NAMES},
                 **{pattern.lower(): name for pattern, name in DATE_PATTERNS.items()}}
# details field: key in Order.times
DATE_FIELDS = {"requested": "Requested", "approved": "Approved", "issued": "Issued",
               "declined": "Declined", "replaced": "Replaced", "revoked": "Revoked",
               "renewedDate": "Renewed"}
VALIDATIONS = {"DV": "Domain Validation (DV)", "OV": "Organization Validation (OV)",
               "EV": "Extended Validation (EV)"}
VENDOR = "Sectigo Limited"
REQUESTED_VIA = "REST API"
UNKNOWN_STATUS = "In Transit"
OA_SPELLING = {"SAApproved": "SA Approved"}
REPORT_STATUS = {1: WAITING, 2: ("Issued",), 3: ("Revoked",), 4: ("Expired",), 8: ("Approved",),
                 9: ("Applied",)}


def date_text(seconds: float, name: str) -> str:
    """A time in one of the named formats; UTC."""
    when = datetime.fromtimestamp(seconds, timezone.utc)
    return when.strftime(DATE_NAMES[name]).replace("mmm", f"{when.microsecond // 1000:03d}")


def date_name(parameter: str | None) -> str:
    """The format that the dateFormat parameter names, by name or by pattern."""
    if parameter is None:
        return "US"
    name = NAMES_BY_CASE.get(parameter.lower())
    if name is None:
        raise bad_field("dateFormat")
    return name


def put_dates(shown: dict[str, Any], order: Order, b: SimpleNamespace, name: str) -> None:
    """Add the dates that an order has, as behaviour date_format wants them."""
    if b.date_format == "missing":
        return
    known = {key: order.times[state] for key, state in DATE_FIELDS.items()
             if state in order.times}
    if order.expires is not None:
        known["expires"] = order.expires
    if b.date_format == "null":
        shown.update(dict.fromkeys(list(DATE_FIELDS) + ["expires"]))
        return
    if b.date_format != "default":
        name = b.date_format.upper()
    shown.update({key: date_text(seconds, name) for key, seconds in known.items()})


def status_text(status: str, b: SimpleNamespace) -> str:
    """A state in the spelling that behaviour status_spelling names."""
    if b.status_spelling == "unknown":
        return UNKNOWN_STATUS
    if b.status_spelling == "upper":
        return status.upper()
    return OA_SPELLING.get(status, status) if b.status_spelling == "oa" else status


def parse_status(text: str) -> str:
    """A state from a filter, in v1 or OA spelling."""
    spellings = {"SA Approved": "SAApproved"}
    return spellings.get(text, text)


def show_id(number: int, b: SimpleNamespace) -> int | str:
    return str(number) if b.id_kind == "string" else number


def present(values: dict[str, Any]) -> dict[str, Any]:
    """Without the fields that have no value."""
    return {key: value for key, value in values.items() if value is not None}


def details(order: Order, profile: dict, b: SimpleNamespace, dates: str) -> dict[str, Any]:
    """The details object of an order."""
    shown = present({
        "commonName": order.common_name,
        "sslId": show_id(order.id, b), "id": show_id(order.id, b), "orgId": order.org_id,
        "status": status_text(order.status, b),
        "orderNumber": order.order_number or None,
        "backendCertId": str(order.order_number) if order.order_number else None,
        "vendor": VENDOR, "certType": profile_json(profile),
        "subType": "", "validationType": VALIDATIONS[profile["validation"]],
        "term": order.term, "owner": order.approver, "requester": order.requester,
        "requestedVia": REQUESTED_VIA, "externalRequester": order.external_requester,
        "comments": order.comments, "renewed": order.renewed,
        "subjectAlternativeNames": order.names, "customFields": order.custom_fields,
        "serverSoftware": order.server_software,
        "autoInstallDetails": {"state": "Not configured"},
        "autoRenewDetails": order.auto_renew or {"state": "Not scheduled"},
        "suspendNotifications": order.suspend_notifications,
    })
    if order.status == "Revoked" and order.reason_code is not None:
        code = order.reason_code
        shown["reasonCode"] = str(code) if b.reason_code == "string" else code
    put_dates(shown, order, b, dates)
    shown.update(key_json(order))
    cert = order.certificate()
    if cert is not None:
        shown.update(certificate_json(cert))
    return shown


def key_json(order: Order) -> dict[str, Any]:
    """Algorithm and size of the key in an order's CSR."""
    key = decode(order.csr).public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return {"keyAlgorithm": "RSA", "keySize": key.key_size,
                "keyType": f"RSA - {key.key_size}"}
    name = CURVES[key.curve.name]  # type: ignore[union-attr]
    size = key.curve.key_size      # type: ignore[union-attr]
    return {"keyAlgorithm": "EC", "keySize": size, "keyType": f"EC - {name}"}


def certificate_json(cert: x509.Certificate) -> dict[str, Any]:
    """What details say of an issued certificate."""
    usage = cert.extensions.get_extension_for_class(x509.KeyUsage).value
    names = ["digitalSignature"] + (["keyEncipherment"] if usage.key_encipherment else [])
    return {"serialNumber": certs.serial_text(cert.serial_number),
            "signatureAlg": signature_name(cert),
            "keyUsages": names, "extendedKeyUsages": ["serverAuth"],
            "certificateDetails": {
                "issuer": cert.issuer.rfc4514_string(), "subject": cert.subject.rfc4514_string(),
                "subjectAltNames": ", ".join(map(san_text, names_of(cert))),
                **fingerprints(cert)}}


def signature_name(cert: x509.Certificate) -> str:
    algorithm = cert.signature_hash_algorithm
    assert isinstance(algorithm, hashes.SHA256)
    return "SHA256withRSA" if cert.signature_algorithm_oid.dotted_string.startswith(
        "1.2.840.113549") else "SHA256withECDSA"


def san_text(name: str) -> str:
    kind = "iPAddress" if re.fullmatch(r"[0-9.]+|.*:.*", name) else "dNSName"
    return f"{kind}={name}"


def fingerprints(cert: x509.Certificate) -> dict[str, str]:
    der = cert.public_bytes(Encoding.DER)
    return {name + "Hash": hashlib.new(name, der).hexdigest()
            for name in ("md5", "sha1", "sha256")}


def list_row(order: Order, b: SimpleNamespace) -> dict[str, Any]:
    """An order in a list."""
    return present({"sslId": show_id(order.id, b), "commonName": order.common_name,
                    "subjectAlternativeNames": order.names, "serialNumber": order.serial})


def report_row(order: Order, profile: dict, org: str, b: SimpleNamespace) -> dict[str, Any]:
    """An order in the report; its dates have the time of day."""
    cert = order.certificate()
    prints = fingerprints(cert) if cert else {}
    row = present({
        "id": show_id(order.id, b), "orgId": order.org_id, "organizationName": org,
        "commonName": order.common_name, "subjAltNames": "; ".join(order.names),
        "status": status_text(order.status, b), "orderNumber": order.order_number or None,
        "backendCertId": str(order.order_number) if order.order_number else None,
        "typeId": order.cert_type, "type": profile["name"], "term": order.term,
        "issuer": cert.issuer.rfc4514_string() if cert else None,
        "requester": order.requester, "approver": order.approver,
        "externalRequester": order.external_requester, "comments": order.comments,
        "serialNumber": order.serial, "signatureAlg": signature_name(cert) if cert else None,
        "publicKeyType": key_json(order)["keyType"],
        "sha1": prints.get("sha1Hash"), "md5": prints.get("md5Hash"),
        "requestedVia": REQUESTED_VIA, "customFields": order.custom_fields})
    put_dates(row, order, b, "ISO_HMS")
    row.pop("renewedDate", None)
    return row


def dcv_json(order: Order) -> dict[str, Any]:
    """DCV log and instructions of an order."""
    return {"dcvLog": dcv_log(order),
            "instructions": [instruction(order, row["domain"]) for row in order.dcv
                             if not row["validated"]]}


def dcv_log(order: Order) -> dict[str, Any]:
    return {"error": {"code": 0, "description": None},
            "log": [{"dcvStatus": "Validated" if row["validated"] else "Awaiting Validation",
                     "domainName": row["domain"], "lastCheck": dcv_time(row["last"]),
                     "nextCheck": None if row["validated"] else dcv_time(row["last"], 3600),
                     "dcvDate": dcv_time(row["last"]) if row["validated"] else None,
                     "dcvEmailRefNumber": order.id} for row in order.dcv]}


def dcv_time(seconds: float | None, more: float = 0) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds + more, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")


def instruction(order: Order, domain: str) -> dict[str, Any]:
    """What to publish for a domain; made from the CSR as the CA does it."""
    der = decode(order.csr).public_bytes(Encoding.DER)
    md5, sha = hashlib.md5(der).hexdigest(), hashlib.sha256(der).hexdigest()
    shown = {"domainName": domain, "dcvMode": order.dcv_mode}
    if order.dcv_mode == "CNAME":
        return {**shown, "host": f"_{md5}.{domain}.",
                "point": f"{sha[:32]}.{sha[32:]}.sectigo.com."}
    if order.dcv_mode == "TXT":
        return {**shown, "host": f"_pki-validation.{domain}.",
                "point": f'{sha[:20]}"\\|%{sha[20:28]}'}      # signs that need escaping
    if order.dcv_mode in ("HTTP", "HTTPS"):
        url = f"{order.dcv_mode.lower()}://{domain}/.well-known/pki-validation/{md5.upper()}.txt"
        return {**shown, "url": url, "file": f"{sha}\nsectigo.com\n"}
    return {**shown, "dcvEmail": order.dcv_email}
