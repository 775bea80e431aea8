"""Keys and certificates: the primitives that the authorities are made of."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
from dataclasses import dataclass, field
from typing import Iterable, Union

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PrivateKey = Union[rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey]

HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)
EKU = {"serverAuth": ExtendedKeyUsageOID.SERVER_AUTH,
       "clientAuth": ExtendedKeyUsageOID.CLIENT_AUTH,
       "codeSigning": ExtendedKeyUsageOID.CODE_SIGNING,
       "emailProtection": ExtendedKeyUsageOID.EMAIL_PROTECTION}
SUBJECT_OIDS = {"C": NameOID.COUNTRY_NAME, "ST": NameOID.STATE_OR_PROVINCE_NAME,
                "L": NameOID.LOCALITY_NAME, "O": NameOID.ORGANIZATION_NAME,
                "businessCategory": NameOID.BUSINESS_CATEGORY,
                "jurisdictionC": NameOID.JURISDICTION_COUNTRY_NAME,
                "serialNumber": NameOID.SERIAL_NUMBER, "CN": NameOID.COMMON_NAME}


def utcnow() -> dt.datetime:
    """Now, in UTC without zone, in whole seconds, as certificates have it."""
    return dt.datetime.utcnow().replace(microsecond=0)


def new_key(kind: str) -> PrivateKey:
    """Make a key: 'P-256', 'P-384' or 'RSA-<bits>'."""
    if kind == "P-256":
        return ec.generate_private_key(ec.SECP256R1())
    if kind == "P-384":
        return ec.generate_private_key(ec.SECP384R1())
    return rsa.generate_private_key(65537, int(kind.partition("-")[2]))


def same_kind(public_key: object) -> PrivateKey:
    """Make another key of the same algorithm and size."""
    if isinstance(public_key, rsa.RSAPublicKey):
        return rsa.generate_private_key(65537, public_key.key_size)
    assert isinstance(public_key, ec.EllipticCurvePublicKey)
    return ec.generate_private_key(public_key.curve)


def subject(parts: Iterable[tuple[str, str]]) -> x509.Name:
    """A name from (short name, value) pairs; empty values are left out."""
    return x509.Name([x509.NameAttribute(SUBJECT_OIDS[key], value)
                      for key, value in parts if value])


def general_name(name: str) -> x509.GeneralName:
    """A SAN entry: an IP address or an e-mail address if name is one, else a DNS name."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.RFC822Name(name) if "@" in name else x509.DNSName(name)


def spki_hash(public_key: object) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(public_key)  # type: ignore[arg-type]


def key_usage(*names: str) -> x509.KeyUsage:
    fields = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
              "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{name: name in names for name in fields})


def random_serial() -> int:
    """16 random bytes, the first not zero."""
    while True:
        data = os.urandom(16)
        if data[0]:
            return int.from_bytes(data, "big")


@dataclass(frozen=True)
class Signer:
    """An authority: a certificate and its key."""

    cert: x509.Certificate
    key: PrivateKey

    def pem(self) -> str:
        return cert_pem(self.cert)


@dataclass
class Template:
    """What a certificate shall be."""

    subject: x509.Name
    public_key: object
    not_before: dt.datetime
    not_after: dt.datetime
    names: list[str] = field(default_factory=list)
    eku: tuple[str, ...] = ()
    is_ca: bool = False
    ca_depth: int | None = None        # path length of a CA; None is without limit
    policy: str | None = None
    serial: int | None = None

    def usage(self) -> x509.KeyUsage:
        if self.is_ca:
            return key_usage("key_cert_sign", "crl_sign", "digital_signature")
        if isinstance(self.public_key, rsa.RSAPublicKey):
            return key_usage("digital_signature", "key_encipherment")
        return key_usage("digital_signature")


def sign(template: Template, key: PrivateKey, issuer: x509.Certificate | None) -> x509.Certificate:
    """Sign a template with key; issuer None makes it self-signed."""
    issuer_name = issuer.subject if issuer else template.subject
    issuer_key = issuer.public_key() if issuer else template.public_key
    builder = (x509.CertificateBuilder()
               .subject_name(template.subject).issuer_name(issuer_name)
               .public_key(template.public_key)  # type: ignore[arg-type]
               .serial_number(template.serial or random_serial())
               .not_valid_before(template.not_before).not_valid_after(template.not_after))
    for extension, critical in extensions(template, issuer_key):
        builder = builder.add_extension(extension, critical)
    large = isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.key_size > 256
    return builder.sign(key, hashes.SHA384() if large else hashes.SHA256())


def extensions(template: Template, issuer_key: object) -> list[tuple[x509.ExtensionType, bool]]:
    """The extensions of a template, each with its criticality."""
    aki = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key)  # type: ignore[arg-type]
    rows: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(template.is_ca, template.ca_depth), True),
        (template.usage(), True),
        (spki_hash(template.public_key), False),
        (aki, False)]
    if template.eku:
        rows.append((x509.ExtendedKeyUsage([EKU[name] for name in template.eku]), False))
    if template.names:
        names = [general_name(name) for name in template.names]
        rows.append((x509.SubjectAlternativeName(names), False))
    if template.policy:
        policy = x509.PolicyInformation(x509.ObjectIdentifier(template.policy), None)
        rows.append((x509.CertificatePolicies([policy]), False))
    return rows


def cert_pem(*certs: x509.Certificate) -> str:
    return "".join(cert.public_bytes(serialization.Encoding.PEM).decode() for cert in certs)


def key_pem(key: PrivateKey, password: str | None = None) -> bytes:
    """PKCS#8 PEM, encrypted if there is a password."""
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password is not None:
        encryption = serialization.BestAvailableEncryption(password.encode())
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             encryption)


def load_cert(data: bytes | str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(data.encode() if isinstance(data, str) else data)


def load_key(data: bytes) -> PrivateKey:
    return serialization.load_pem_private_key(data, None)  # type: ignore[return-value]


def serial_text(serial: int) -> str:
    """A serial number as colon-separated hex."""
    text = f"{serial:X}"
    text = text.zfill(len(text) + len(text) % 2)
    return ":".join(text[i:i + 2] for i in range(0, len(text), 2))


def plain_serial(text: str) -> str:
    """A serial number in any usual spelling as plain hex, to compare."""
    text = text.strip().upper().replace(":", "")
    return text.removeprefix("0X").lstrip("0") or "0"
