"""What a collect gives: the documented formats, their order and their line ends."""

from __future__ import annotations

import base64
import textwrap
from dataclasses import dataclass
from types import SimpleNamespace

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

import certs
from ca import CA, Chain
from errors import ScmError


@dataclass(frozen=True)
class Format:
    """One row of the format table."""

    encoding: str              # pem, p7-pem or p7-der
    parts: str                 # all, leaf, issuers or pair
    reverse: bool = False
    suffix: str = "crt"


DEFAULT = "base64"
FORMATS = {
    "x509": Format("pem", "all"),
    "x509CO": Format("pem", "leaf"),
    "x509IO": Format("pem", "issuers"),
    "x509IOR": Format("pem", "issuers", reverse=True),
    "x509R": Format("pem", "all", reverse=True),
    "base64": Format("p7-pem", "all", suffix="p7b"),
    "bin": Format("p7-der", "all", suffix="p7b"),
    "pem": Format("pem", "all", suffix="pem"),
    "pemco": Format("pem", "leaf", suffix="pem"),
    "pemia": Format("pem", "pair", suffix="pem"),
}
SERVER_KEY_FORMATS = {"pkcs12"}        # documented once, but only for keys the server holds


def find_format(name: str) -> Format:
    """The format of a name, or the refusal that the API has for it."""
    if name in FORMATS:
        return FORMATS[name]
    raise ScmError(-1450 if name in SERVER_KEY_FORMATS else -126, name)


def render(ca: CA, leaf: x509.Certificate, form: Format, b: SimpleNamespace) -> bytes:
    """The bytes of a collected certificate under the present behaviours."""
    if b.certificate == "garbage":
        return garbage(b)
    chain = ca.variant(leaf, b.certificate)
    selected = select(chain, form, b, ca)
    encoding = form.encoding
    if b.certificate == "pkcs7" and encoding == "pem":
        encoding = "p7-pem"
    if encoding == "p7-der":
        return pkcs7.serialize_certificates(selected, Encoding.DER)
    if encoding == "p7-pem":
        return lines(pkcs7.serialize_certificates(selected, Encoding.PEM), b)
    return lines(certs.cert_pem(*selected).encode(), b)


def select(chain: Chain, form: Format, b: SimpleNamespace, ca: CA) -> list[x509.Certificate]:
    """The certificates of a format in their order."""
    leaf = [] if b.certificate == "leaf-missing" else [chain.leaf]
    if form.parts == "leaf":
        return leaf or [chain.intermediate]
    if form.parts == "pair":
        return leaf + [chain.intermediate]
    picked = order(chain, leaf if form.parts == "all" else [], b.chain_order, ca)
    return picked[::-1] if form.reverse else picked


def order(chain: Chain, leaf: list[x509.Certificate], how: str, ca: CA) -> list[x509.Certificate]:
    """Root, intermediate and leaf (if any) in the order that behaviour chain_order names."""
    if how == "leaf-first":
        return leaf + [chain.intermediate, chain.root]
    if how == "shuffled":
        return [chain.intermediate] + leaf + [chain.root]
    if how == "without-root":
        return [chain.intermediate] + leaf
    if how == "with-extra":
        return [ca.pki.cross, chain.root, chain.intermediate] + leaf
    return [chain.root, chain.intermediate] + leaf


def lines(pem: bytes, b: SimpleNamespace) -> bytes:
    """PEM with the line ends that behaviour line_ends names."""
    if b.line_ends == "crlf":
        return pem.replace(b"\n", b"\r\n")
    return pem.rstrip(b"\n") if b.line_ends == "no-final" else pem


def garbage(b: SimpleNamespace) -> bytes:
    """Armour around bytes that are no certificate."""
    body = "\n".join(textwrap.wrap(base64.b64encode(bytes(range(256)) * 3).decode(), 64))
    pem = f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"
    return lines(pem.encode(), b)
