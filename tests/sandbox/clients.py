"""Client certificates that admins log in with on /private: the ready-made ones and new ones."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

import certs
import files
from certs import DAY, HOUR, Signer, Template

DAYS = 1825
ALIAS = b"admin"


@dataclass(frozen=True)
class Ready:
    """One ready-made client certificate."""

    file: str
    name: str
    key: str
    eku: tuple[str, ...]
    bound: bool            # its serial belongs to the admin
    containers: bool       # also as encrypted key and PKCS#12


READY = (
    Ready("client", "sandbox-admin", "P-256", ("clientAuth",), True, True),
    Ready("client-rsa", "sandbox-admin RSA", "RSA-2048", ("clientAuth",), True, True),
    Ready("client-noeku", "sandbox-admin no clientAuth", "P-256", ("serverAuth",), False, False),
    Ready("client-other", "sandbox stranger", "P-256", ("clientAuth",), False, False),
)


def issue(authority: Signer, name: x509.Name, public_key: object, eku: tuple[str, ...],
          days: int = DAYS) -> x509.Certificate:
    """Sign one client certificate."""
    start = certs.utcnow() - HOUR
    template = Template(name, public_key, start, start + days * DAY, eku=eku)
    return certs.sign(template, authority.key, authority.cert)


def new_keys() -> dict[str, certs.PrivateKey]:
    """A key for each ready-made certificate."""
    return {row.file: certs.new_key(row.key) for row in READY}


def make_ready(directory: Path, authority: Signer, keys: dict[str, certs.PrivateKey]
               ) -> list[str]:
    """Write all ready-made credentials; return the serials to bind to the admin."""
    password = secrets.token_urlsafe(12)
    files.write(directory / "client-password.txt", password + "\n")
    return [certs.plain_serial(f"{cert.serial_number:x}")
            for row in READY
            for cert in [make_one(directory, authority, row, keys[row.file], password)]
            if row.bound]


def make_one(directory: Path, authority: Signer, row: Ready, key: certs.PrivateKey,
             password: str) -> x509.Certificate:
    name = certs.subject([("O", "Sandbox Org"), ("CN", row.name)])
    cert = issue(authority, name, key.public_key(), row.eku)
    files.write(directory / f"{row.file}.pem", certs.cert_pem(cert), 0o644)
    files.write(directory / f"{row.file}.key", certs.key_pem(key))
    if row.containers:
        files.write(directory / f"{row.file}-encrypted.key", certs.key_pem(key, password))
        bundle = pkcs12.serialize_key_and_certificates(
            ALIAS, key, cert, [authority.cert],
            serialization.BestAvailableEncryption(password.encode()))
        files.write(directory / f"{row.file}.p12", bundle)
    return cert
