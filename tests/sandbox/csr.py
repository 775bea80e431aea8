"""Reading a CSR the way the API checks it."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from errors import ScmError, bad_field

MAX_CHARS = 32767
CHARSET = re.compile(r"[a-zA-Z0-9\-+=/\s]+")
ARMOUR = re.compile(r"\s*-----BEGIN (NEW )?CERTIFICATE REQUEST-----(?P<body>[^-]*)"
                    r"-----END (NEW )?CERTIFICATE REQUEST-----\s*")
CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}


@dataclass(frozen=True)
class Csr:
    """A checked CSR."""

    request: x509.CertificateSigningRequest
    algorithm: str             # RSA or EC, as in keyTypes
    size: str                  # bits or curve, as in keyTypes

    def pem(self) -> str:
        return self.request.public_bytes(Encoding.PEM).decode()

    def common_name(self) -> str | None:
        found = self.request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return str(found[0].value) if found else None

    def names(self) -> list[str]:
        """DNS names and addresses in the SAN extension."""
        try:
            found = self.request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        except x509.ExtensionNotFound:
            return []
        return [str(entry.value) for entry in found.value
                if isinstance(entry, (x509.DNSName, x509.IPAddress))]


def read(text: str) -> Csr:
    """Decode a CSR in PEM or bare Base64 and verify that its signature is of its own key."""
    if not text or len(text) > MAX_CHARS:
        raise bad_field("csr")
    request = decode(text)
    algorithm, size = key_name(request)
    if not signature_valid(request):
        raise ScmError(-138)
    return Csr(request, algorithm, size)


def decode(text: str) -> x509.CertificateSigningRequest:
    if not CHARSET.fullmatch(text):
        raise ScmError(-9)
    armoured = ARMOUR.fullmatch(text)
    body = "".join((armoured.group("body") if armoured else text).split())
    try:
        der = base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ScmError(-9) from error
    try:
        return x509.load_der_x509_csr(der)
    except (ValueError, TypeError) as error:
        raise ScmError(-10) from error


def key_name(request: x509.CertificateSigningRequest) -> tuple[str, str]:
    """Algorithm and size of the public key in the words of keyTypes."""
    try:
        key = request.public_key()
    except UnsupportedAlgorithm as error:
        raise ScmError(-11, "unknown") from error
    except ValueError as error:
        raise ScmError(-78) from error
    if isinstance(key, rsa.RSAPublicKey):
        exponent = key.public_numbers().e
        if exponent < 65537 or exponent % 2 == 0:
            raise ScmError(-78)
        return "RSA", str(key.key_size)
    if isinstance(key, ec.EllipticCurvePublicKey):
        return "EC", CURVES.get(key.curve.name, key.curve.name)
    raise ScmError(-11, type(key).__name__.strip("_").removesuffix("PublicKey"))


def signature_valid(request: x509.CertificateSigningRequest) -> bool:
    """Proof of possession, and not over MD5."""
    try:
        algorithm = request.signature_hash_algorithm
        return not isinstance(algorithm, hashes.MD5) and request.is_signature_valid
    except (UnsupportedAlgorithm, ValueError):
        return False


def check_key(csr: Csr, key_types: dict[str, list[str]]) -> None:
    """Refuse a key that a profile does not list."""
    sizes = key_types.get(csr.algorithm)
    if sizes is None:
        raise ScmError(-170) if csr.algorithm == "EC" else ScmError(-11, csr.algorithm)
    if csr.size in sizes:
        return
    if csr.algorithm == "RSA" and int(csr.size) < min(map(int, sizes)):
        raise ScmError(-141, min(map(int, sizes)))
    raise ScmError(-13, csr.size)
