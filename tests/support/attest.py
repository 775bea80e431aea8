"""A maker of devices for tests: roots, and attestations in the forms that YubiKeys and Luna HSMs have."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509.oid import NameOID, ObjectIdentifier
from p11e import Token

ARC = "1.3.6.1.4.1.41482.3."
FIRMWARE, SERIAL, POLICY, FORM = 3, 7, 8, 9
# firmware 5.4.3, serial number 12345678, PIN once and touch never, USB-C keychain of the FIPS series
USUAL = {FIRMWARE: b"\x05\x04\x03", SERIAL: b"\x02\x04\x00\xbc\x61\x4e", POLICY: b"\x02\x01", FORM: b"\x83"}


def named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@dataclass
class Signer:
    """A certificate and its key."""

    cert: x509.Certificate
    key: Any

    @classmethod
    def root(cls, name: str) -> Signer:
        key = ec.generate_private_key(ec.SECP256R1())
        return cls(certificate(name, key.public_key(), named(name), key, ca=True), key)

    def issuer(self, name: str) -> Signer:
        key = ec.generate_private_key(ec.SECP256R1())
        return Signer(self.sign(name, key.public_key(), ca=True), key)

    def sign(self, name: str, public: Any, **more: Any) -> x509.Certificate:
        return certificate(name, public, self.cert.subject, self.key, **more)


def certificate(name: str, public: Any, issuer: x509.Name, signer: Any, ca: bool = False,
                extensions: dict[int, bytes] | None = None, arc: str = ARC) -> x509.Certificate:
    now = datetime.now(timezone.utc)
    builder = (x509.CertificateBuilder().subject_name(named(name)).issuer_name(issuer).public_key(public)
               .serial_number(x509.random_serial_number())
               .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=3650)))
    if ca:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    for last, value in (extensions or {}).items():
        builder = builder.add_extension(x509.UnrecognizedExtension(ObjectIdentifier(f"{arc}{last}"), value), critical=False)
    return builder.sign(signer, hashes.SHA256())


def pem(*certs: x509.Certificate) -> str:
    return "".join(c.public_bytes(Encoding.PEM).decode() for c in certs)


@dataclass
class YubiKey:
    """The maker's root, slot f9, and what it attests."""

    root: Signer
    f9: Signer

    @classmethod
    def made(cls) -> YubiKey:
        root = Signer.root("Test PIV Root CA")
        return cls(root, root.issuer("Test PIV Attestation"))

    def attest(self, public: Any, **more: Any) -> x509.Certificate:
        return self.f9.sign("YubiKey PIV Attestation 9c", public, **{"extensions": USUAL, **more})

    def roots(self, path: Path) -> Path:
        path.write_text(pem(self.root.cert))
        return path

    def put(self, token: Token, cert: x509.Certificate, id_hex: str, with_f9: bool = True) -> None:
        """The certificate objects that ykcs11 shows."""
        write(token, cert, id_hex, "X.509 Certificate for PIV Attestation 9c")
        if with_f9:
            write(token, self.f9.cert, "19", "X.509 Certificate for PIV Attestation")


def write(token: Token, cert: x509.Certificate, id_hex: str, label: str) -> None:
    path = token.dir / "object.der"
    path.write_bytes(cert.public_bytes(Encoding.DER))
    token.tool("--write-object", str(path), "--type", "cert", "--id", id_hex, "--label", label)


@dataclass
class Luna:
    """The levels of a Luna's public-key confirmation, from the root down: MIC, HOC, DAC, PKC."""

    levels: list[Signer]

    @classmethod
    def made(cls) -> Luna:
        levels = [Signer.root("Test Luna Root")]
        for name in ("Test MIC", "Test HOC", "Test DAC"):
            levels.append(levels[-1].issuer(name))
        return cls(levels)

    def confirm(self, public: Any) -> x509.Certificate:
        return self.levels[-1].sign("Test PKC", public)

    def chrysalis(self, public: Any) -> bytes:
        """Five certificates, with the root."""
        return pkcs7.serialize_certificates([self.confirm(public), *(s.cert for s in reversed(self.levels))], Encoding.DER)

    def trustcenter(self, public: Any) -> bytes:
        """Three, without it."""
        return pkcs7.serialize_certificates(
            [self.confirm(public), self.levels[3].cert, self.levels[2].cert], Encoding.DER)

    def roots(self, path: Path) -> Path:
        path.write_text(pem(self.levels[0].cert))
        return path
