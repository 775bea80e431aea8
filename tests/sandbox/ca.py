"""The issuing CA: leaf certificates for orders, right ones and deliberately wrong ones."""

from __future__ import annotations

import datetime as dt
import threading
from dataclasses import dataclass, replace
from typing import Callable

from cryptography import x509

import certs
from certs import DAY, HOUR, Template
from pki import Pki

POLICIES = {"DV": "2.23.140.1.2.1", "OV": "2.23.140.1.2.2", "EV": "2.23.140.1.1"}
OTHER_NAME = "other.sandbox.invalid"


@dataclass(frozen=True)
class Chain:
    """An issued certificate with its issuers."""

    leaf: x509.Certificate
    intermediate: x509.Certificate
    root: x509.Certificate


def other_key(template: Template) -> Template:
    return replace(template, public_key=certs.same_kind(template.public_key).public_key())


def other_san(template: Template) -> Template:
    return replace(template, names=[OTHER_NAME])


def no_san(template: Template) -> Template:
    return replace(template, names=[])


def expired(template: Template) -> Template:
    now = certs.utcnow()
    return replace(template, not_before=now - 91 * DAY, not_after=now - DAY)


def not_yet_valid(template: Template) -> Template:
    now = certs.utcnow()
    return replace(template, not_before=now + 30 * DAY, not_after=now + 120 * DAY)


def unchanged(template: Template) -> Template:
    return template


# behaviour certificate: how the template changes; wrong-issuer changes who signs it
VARIANTS: dict[str, Callable[[Template], Template]] = {
    "other-key": other_key,
    "other-san": other_san,
    "no-san": no_san,
    "expired": expired,
    "not-yet-valid": not_yet_valid,
    "wrong-issuer": unchanged,
}


class CA:
    """Issues from the intermediate of a directory."""

    def __init__(self, pki: Pki) -> None:
        self.pki = pki
        self._variants: dict[tuple[int, str], x509.Certificate] = {}
        self._lock = threading.Lock()

    def issue(self, public_key: object, subject: x509.Name, names: list[str], validation: str,
              days: int, offset: dt.timedelta = dt.timedelta(0),
              eku: tuple[str, ...] = ("serverAuth",)) -> x509.Certificate:
        """Issue a leaf certificate that begins an hour before now plus offset."""
        start = certs.utcnow() - HOUR + offset
        template = Template(subject, public_key, start, start + days * DAY, names=names,
                            eku=eku, policy=POLICIES[validation])
        signer = self.pki["intermediate"]
        return certs.sign(template, signer.key, signer.cert)

    def chain(self, leaf: x509.Certificate) -> Chain:
        return Chain(leaf, self.pki["intermediate"].cert, self.pki["root"].cert)

    def variant(self, leaf: x509.Certificate, kind: str) -> Chain:
        """The chain of a leaf, or of its wrong twin; the same twin each time."""
        if kind not in VARIANTS:
            return self.chain(leaf)
        key = (leaf.serial_number, kind)
        with self._lock:
            if key not in self._variants:
                self._variants[key] = self._twin(leaf, kind)
            twin = self._variants[key]
        if kind != "wrong-issuer":
            return self.chain(twin)
        return Chain(twin, self.pki["false-intermediate"].cert, self.pki["false-root"].cert)

    def _twin(self, leaf: x509.Certificate, kind: str) -> x509.Certificate:
        template = VARIANTS[kind](template_of(leaf))
        signer = self.pki["false-intermediate" if kind == "wrong-issuer" else "intermediate"]
        return certs.sign(template, signer.key, signer.cert)


def names_of(cert: x509.Certificate) -> list[str]:
    """The SAN entries of a certificate as text."""
    try:
        entries = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [str(entry.value) for entry in entries]


def template_of(leaf: x509.Certificate) -> Template:
    """The template that a leaf of this CA was made from."""
    policies = leaf.extensions.get_extension_for_class(x509.CertificatePolicies).value
    return Template(leaf.subject, leaf.public_key(), leaf.not_valid_before,
                    leaf.not_valid_after, names=names_of(leaf), eku=("serverAuth",),
                    policy=policies[0].policy_identifier.dotted_string,
                    serial=leaf.serial_number)
