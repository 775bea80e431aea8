"""TLS between stock openssl and openssl with a token key, in either role; the certificates come from our own requests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from p11e import Token, clean_env, run
from peers import Authority, Server, accepted_client, ignore_leaks
from support import ORDERS, OpenSSL, free_port, plain


@dataclass(frozen=True)
class Kind:
    """A row of the matrix: the key, how its request is signed, and what its peer has to accept."""

    key: str
    request: tuple[str, ...] = ()
    sigalg: str = ""  # the only one that the peer accepts; empty: whatever it likes
    peer_says: str = ""  # s_client's word for it; empty: it prints none


KINDS = {
    "rsa": Kind("RSA:2048", sigalg="RSA+SHA256:rsa_pss_rsae_sha256", peer_says="RSA"),
    "rsa signing PSS": Kind("RSA:2048", ("-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:-1"),
                            "rsa_pss_rsae_sha384", "RSA-PSS"),
    "p256": Kind("EC:prime256v1", sigalg="ecdsa_secp256r1_sha256", peer_says="ECDSA"),
    "p384": Kind("EC:secp384r1", ("-sha384",), "ecdsa_secp384r1_sha384", "ECDSA"),
    "ed25519": Kind("EC:edwards25519", sigalg="ed25519"),
    "rsa-pss": Kind("rsa-pss:2048", ("-sigopt", "rsa_pss_saltlen:-1"), "rsa_pss_pss_sha256", "RSA-PSS"),
}
EACH = pytest.mark.parametrize("name", KINDS)
VERSIONS = pytest.mark.parametrize("tls", ["tls1_2", "tls1_3"])
# An EC key of its own is made in each handshake: it must not end up in the token.
GROUPS = ("-groups", "P-256:P-384")


def label(name: str) -> str:
    return name.replace(" ", "-")


def peer_types(name: str, tls: str) -> list[str]:
    """s_client's words before OpenSSL 3.5 and since. TLS 1.3 has no PKCS#1 v1.5 signatures in handshakes (RFC 8446
    section 4.2.3)."""
    if name == "rsa":
        return ["RSA-PSS", "rsa_pss_rsae_sha256"] if tls == "tls1_3" else ["RSA", "rsa_pkcs1_sha256"]
    return [KINDS[name].peer_says, KINDS[name].sigalg]


@dataclass
class Certified:
    """Keys in a token, and a certificate for each from an authority in software."""

    token: Token
    authority: Authority
    certs: dict[str, Path]


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Certified:
    path = tmp_path_factory.mktemp("tls")
    token = Token(path / "token").init()
    openssl = ignore_leaks(OpenSSL(path, token))
    authority = Authority(path / "ca")
    certs = {}
    for n, (name, kind) in enumerate(KINDS.items()):
        make = token.make_special_key if kind.key.startswith("rsa-pss") else token.make_key
        make(kind.key, f"{n + 1:02x}", label(name))
        csr = path / f"{label(name)}.csr"
        openssl("req", "-new", "-key", openssl.uri(label(name)), "-subj", f"/CN={label(name)}", "-out", str(csr),
                *kind.request)
        certs[name] = authority.sign(csr, csr.with_suffix(".pem"))
    return Certified(token, authority, certs)


@EACH
@VERSIONS
@ORDERS
def test_server_with_a_token_key(certified: Certified, tmp_path: Path, name: str, tls: str, first: bool) -> None:
    openssl = OpenSSL(tmp_path, certified.token, first=first)
    if name == "ed25519":
        ignore_leaks(openssl)
    port = free_port()
    server = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", str(certified.certs[name]),
              "-key", openssl.uri(label(name)), "-www", f"-{tls}"]
    with Server(server, port, openssl.env, tmp_path) as running:
        done = run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", str(certified.authority.cert),
                    "-verify_return_error", "-verify_hostname", "localhost", f"-{tls}", *GROUPS,
                    "-sigalgs", KINDS[name].sigalg], env=clean_env(), cwd=tmp_path, input="Q\n", stdin=None)
        assert "Verify return code: 0 (ok)" in done.stdout
        if KINDS[name].peer_says:
            assert any(f"Peer signature type: {says}\n" in done.stdout for says in peer_types(name, tls)), done.stdout
        assert ":p11enroll:" not in running.output


@EACH
@VERSIONS
@ORDERS
def test_client_with_a_token_key(certified: Certified, tmp_path: Path, name: str, tls: str, first: bool) -> None:
    """The server ends the handshake unless the client proves its key."""
    openssl = OpenSSL(tmp_path, certified.token, first=first)
    if name == "ed25519":
        ignore_leaks(openssl)
    ca = certified.authority
    plain("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "s.key", "-subj", "/CN=s", "-out", "s.csr",
          cwd=tmp_path)
    ca.sign(tmp_path / "s.csr", tmp_path / "s.pem")
    port = free_port()
    server = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", "s.pem", "-key", "s.key", "-www",
              f"-{tls}", "-Verify", "1", "-verify_return_error", "-CAfile", str(ca.cert),
              "-client_sigalgs", KINDS[name].sigalg]
    with Server(server, port, clean_env(), tmp_path) as running:
        done = run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", str(ca.cert), f"-{tls}",
                    "-verify_return_error", "-cert", str(certified.certs[name]), "-key", openssl.uri(label(name)),
                    "-quiet", *GROUPS], env=openssl.env, cwd=tmp_path, input="GET / HTTP/1.0\r\n\r\n", stdin=None)
        assert "HTTP/1.0 200 ok" in done.stdout
        assert accepted_client(running, label(name))
        assert ":error:" not in done.stderr


@VERSIONS
def test_server_refuses_a_client_without_a_key(certified: Certified, tmp_path: Path, tls: str) -> None:
    """The counterpart of the test above: its server is strict."""
    ca = certified.authority
    port = free_port()
    openssl = OpenSSL(tmp_path, certified.token)
    server = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", str(certified.certs["p256"]),
              "-key", openssl.uri("p256"), "-www", f"-{tls}", "-Verify", "1", "-verify_return_error",
              "-CAfile", str(ca.cert)]
    with Server(server, port, openssl.env, tmp_path):
        done = run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", str(ca.cert), f"-{tls}",
                    "-quiet"], check=False, env=clean_env(), cwd=tmp_path, input="GET / HTTP/1.0\r\n\r\n", stdin=None)
        assert "200 ok" not in done.stdout and "alert" in done.stderr


@EACH
def test_certificate_of_a_token_key_names_its_curve(certified: Certified, name: str) -> None:
    """Explicit curve parameters are refused by verifiers (RFC 5480 section 2.1.1: namedCurve)."""
    text = plain("x509", "-in", str(certified.certs[name]), "-noout", "-text", cwd=certified.authority.dir).stdout
    assert "Field Type" not in text and "Generator" not in text
    says = {"EC:prime256v1": "ASN1 OID: prime256v1", "EC:secp384r1": "ASN1 OID: secp384r1",
            "EC:edwards25519": "Public Key Algorithm: ED25519", "rsa-pss:2048": "Public Key Algorithm: rsassaPss"}
    assert says.get(KINDS[name].key, "Public Key Algorithm: rsaEncryption") in text
