"""What the tests stand on: a running sandbox, a client for it, and CSRs."""

from __future__ import annotations

import http.client
import json
import signal
import ssl
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

HERE = Path(__file__).resolve().parent
JSON = {"Content-Type": "application/json"}


def key(kind: str = "P-256", which: int = 0) -> Any:
    """A key of a kind; the same one each time."""
    return make_key(kind, which)


@lru_cache(maxsize=None)
def make_key(kind: str, _which: int) -> Any:
    curves = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1,
              "secp256k1": ec.SECP256K1}
    if kind in curves:
        return ec.generate_private_key(curves[kind]())
    if kind == "Ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65537, int(kind.partition("-")[2]))


def csr(name: str | None = "www.example.org", sans: tuple[str, ...] = (), kind: str = "P-256",
        which: int = 0) -> str:
    """A CSR in PEM."""
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else []
    attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Not From The CSR"))
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(attributes))
    if sans:
        names = x509.SubjectAlternativeName([x509.DNSName(san) for san in sans])
        builder = builder.add_extension(names, False)
    signer = key(kind, which)
    request = builder.sign(signer, None if kind == "Ed25519" else hashes.SHA256())
    return request.public_bytes(Encoding.PEM).decode()


@dataclass
class Answer:
    """A reply."""

    status: int
    headers: Any
    data: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.data)

    @property
    def code(self) -> int:
        return self.json["code"]

    def certs(self) -> list[x509.Certificate]:
        """The certificates of a PEM body, in their order."""
        end = b"-----END CERTIFICATE-----"
        return [x509.load_pem_x509_certificate(part + end)
                for part in self.data.split(end)[:-1]]


class Client:
    """Talks to the API like a careful program; one connection per request."""

    def __init__(self, sandbox: "Running", login: str = "sandbox-admin",
                 cert: str | None = None) -> None:
        self.sandbox = sandbox
        self.private = cert is not None
        self.headers = {"Host": f"localhost:{sandbox.port}", "login": login, "customerUri": "sandbox"}
        if cert is None:
            name = {"sandbox-approver": "approver-password.txt"}.get(login, "admin-password.txt")
            self.headers["password"] = sandbox.text(name)
        self.context = sandbox.context(cert)

    def connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection("127.0.0.1", self.sandbox.port, timeout=10,
                                           context=self.context)

    def call(self, method: str, path: str, body: Any = None,
             headers: dict[str, str] | None = None, root: str | None = None) -> Answer:
        """One request below /api; body is sent as JSON unless it is bytes."""
        root = root if root is not None else ("/private/api" if self.private else "/api")
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        sent = {**self.headers, **(JSON if data is not None else {}), **(headers or {})}
        connection = self.connect()
        try:
            connection.request(method, root + path, data, sent)
            reply = connection.getresponse()
            return Answer(reply.status, reply.headers, reply.read())
        finally:
            connection.close()

    def get(self, path: str, **more: Any) -> Answer:
        return self.call("GET", path, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> Answer:
        return self.call("POST", path, body, **more)

    def request_body(self, **changes: Any) -> dict[str, Any]:
        """A right enroll request with changes; None removes a field."""
        body = {"orgId": 103, "certType": 1013, "term": 365, **changes}
        if "csr" not in body:
            body["csr"] = csr()
        return {name: value for name, value in body.items() if value is not None}

    def enroll(self, **changes: Any) -> int:
        """Enroll; return the id."""
        reply = self.post("/ssl/v1/enroll", self.request_body(**changes))
        assert reply.status in (200, 201), reply.data
        return int(reply.json["sslId"])

    def refused(self, **changes: Any) -> int:
        """Enroll and be refused with 400; return the code."""
        reply = self.post("/ssl/v1/enroll", self.request_body(**changes))
        assert reply.status == 400, reply.data
        return reply.code

    def details(self, number: int, query: str = "") -> dict[str, Any]:
        reply = self.get(f"/ssl/v1/{number}{query}")
        assert reply.status == 200, reply.data
        return reply.json

    def status(self, number: int) -> str:
        return self.details(number)["status"]

    def collect(self, number: int, form: str = "x509CO") -> Answer:
        return self.get(f"/ssl/v1/collect/{number}?format={form}")

    def leaf(self, number: int) -> x509.Certificate:
        reply = self.collect(number)
        assert reply.status == 200, reply.data
        return reply.certs()[0]


class Running:
    """A sandbox process."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.directory = directory
        command = [sys.executable, str(HERE / "sandbox.py"), "--dir", str(directory),
                   "--fast-keys", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.ready = self.process.stdout.readline()
        assert self.ready.startswith("ready "), self.process.wait()
        words = self.ready.split()
        self.url, self.control_url = words[1], words[3]
        self.port = urlsplit(self.url).port or 0

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.stdout is not None
        rest = self.process.stdout.read()
        status = self.process.wait(10)
        self.process.stdout.close()
        assert rest == ""
        return status

    def text(self, name: str) -> str:
        return (self.directory / name).read_text().strip()

    def context(self, cert: str | None = None) -> ssl.SSLContext:
        """A client context that trusts the sandbox alone."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(str(self.directory / "tls-ca.pem"))
        if cert is not None:
            context.load_cert_chain(str(self.directory / f"{cert}.pem"),
                                    str(self.directory / f"{cert}.key"))
        return context

    def control(self, method: str, path: str, value: Any = None, status: int = 200,
                headers: dict[str, str] | None = None) -> Any:
        """A control call that must end with a status."""
        where = urlsplit(self.control_url)
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=10)
        body = None if value is None else json.dumps(value)
        connection.request(method, path, body, headers or {})
        reply = connection.getresponse()
        answer = json.loads(reply.read())
        connection.close()
        assert reply.status == status, answer
        return answer

    def set(self, **values: Any) -> None:
        """Set switches."""
        self.control("POST", "/behaviours", values)

    def once(self, path_regex: str, times: int = 1, method: str | None = None, skip: int = 0,
             **fault: Any) -> None:
        """Queue a fault."""
        match = {"path_regex": path_regex, **({"method": method} if method else {})}
        self.control("POST", "/behaviours/once",
                     [{"match": match, "fault": fault, "times": times, "skip": skip}])

    def orders(self) -> list[dict[str, Any]]:
        return self.control("GET", "/orders")

    def mark(self) -> int:
        """The number of the last request."""
        rows = self.control("GET", "/requests")
        return rows[-1]["n"] if rows else 0

    def requests(self, since: int = 0) -> list[dict[str, Any]]:
        return self.control("GET", f"/requests?since={since}")
