"""TLS contexts of the server, made from the TLS switches when a connection comes."""

from __future__ import annotations

import select
import ssl
import threading
import time
import warnings
from types import SimpleNamespace

from cryptography import x509

from pki import AUTHORITIES, Pki

VERSIONS = {"1.1": ssl.TLSVersion.TLSv1_1, "1.2": ssl.TLSVersion.TLSv1_2,
            "1.3": ssl.TLSVersion.TLSv1_3}
FIRST_ANSWER_S = 20.0                  # a key in a token may be slow
WHOLE_ANSWER_S = 0.5                   # the rest; an answer without certificate ends here


class Contexts:
    """One context for each combination of switches that was needed so far."""

    def __init__(self, pki: Pki) -> None:
        self._pki = pki
        self._lock = threading.Lock()
        self._made: dict[tuple[str, ...], ssl.SSLContext] = {}

    def get(self, b: SimpleNamespace) -> ssl.SSLContext:
        key = (b.tls_cert, b.tls_min, b.tls_max, b.client_cert)
        with self._lock:
            if key not in self._made:
                self._made[key] = self._make(b)
            return self._made[key]

    def _make(self, b: SimpleNamespace) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)    # TLS 1.1 is asked for
            context.minimum_version = VERSIONS[b.tls_min]
            context.maximum_version = VERSIONS[b.tls_max]
        if "1.1" in (b.tls_min, b.tls_max):
            context.set_ciphers("DEFAULT@SECLEVEL=0")
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(*map(str, self._pki.server_files(b.tls_cert)))
        if b.client_cert != "never":
            context.load_verify_locations(str(self._pki.directory / AUTHORITIES["client"][5]))
            context.verify_mode = (ssl.CERT_REQUIRED if b.client_cert == "required"
                                   else ssl.CERT_OPTIONAL)
            context.post_handshake_auth = b.client_cert == "post-handshake"
        return context


def client_serial(connection: ssl.SSLSocket) -> str | None:
    """Serial number of the client's certificate as plain hex."""
    der = connection.getpeercert(binary_form=True)
    return f"{x509.load_der_x509_certificate(der).serial_number:X}" if der else None


def ask_certificate(connection: ssl.SSLSocket) -> None:
    """Ask for a client certificate after the handshake, if the client can do that."""
    if connection.version() != "TLSv1.3" or connection.getpeercert(binary_form=True):
        return
    try:
        connection.verify_client_post_handshake()
        connection.do_handshake()
    except ssl.SSLError:
        return                         # the client did not offer it
    before = connection.gettimeout()
    connection.settimeout(0)
    try:
        read_handshake(connection, FIRST_ANSWER_S)
        end = time.monotonic() + WHOLE_ANSWER_S
        while time.monotonic() < end and not connection.getpeercert(binary_form=True):
            read_handshake(connection, end - time.monotonic())
    finally:
        connection.settimeout(before)


def read_handshake(connection: ssl.SSLSocket, wait_s: float) -> None:
    """Let TLS read what the client sends while it waits for our reply."""
    select.select([connection], [], [], max(0.0, wait_s))
    try:
        connection.recv(1)             # no request can be there: the reply is not sent yet
    except ssl.SSLWantReadError:
        pass
