"""TLS: the server's certificates, versions, and when a client certificate is asked for."""

from __future__ import annotations

import socket
import ssl

import pytest

from support import Client, Running

TYPES = "/ssl/v1/types"


def handshake(sandbox: Running, context: ssl.SSLContext) -> str | None:
    with socket.create_connection(("127.0.0.1", sandbox.port), 10) as sock:
        with context.wrap_socket(sock, server_hostname="localhost") as connection:
            return connection.version()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_good_certificate_fits_both_names(sandbox: Running, host: str) -> None:
    with socket.create_connection(("127.0.0.1", sandbox.port), 10) as sock:
        with sandbox.context().wrap_socket(sock, server_hostname=host) as connection:
            names = connection.getpeercert()["subjectAltName"]
    assert names == (("DNS", "localhost"), ("IP Address", "127.0.0.1"))


@pytest.mark.parametrize("kind, word", [
    ("expired", "expired"), ("wrong-name", "Hostname mismatch"),
    ("unknown-ca", "unable to get local issuer"), ("self-signed", "self-signed")])
def test_tls_cert(sandbox: Running, kind: str, word: str) -> None:
    sandbox.set(tls_cert=kind)
    with pytest.raises(ssl.SSLCertVerificationError, match=word):
        handshake(sandbox, sandbox.context())


@pytest.mark.parametrize("least, most, version", [
    ("1.2", "1.2", "TLSv1.2"), ("1.3", "1.3", "TLSv1.3"), ("1.2", "1.3", "TLSv1.3")])
def test_tls_versions(sandbox: Running, least: str, most: str, version: str) -> None:
    sandbox.set(tls_min=least, tls_max=most)
    assert handshake(sandbox, sandbox.context()) == version


def test_client_that_is_too_old(sandbox: Running) -> None:
    sandbox.set(tls_min="1.3")
    context = sandbox.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        handshake(sandbox, context)


def test_server_that_is_too_old(sandbox: Running) -> None:
    sandbox.set(tls_min="1.1", tls_max="1.1")
    context = sandbox.context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        handshake(sandbox, context)


def test_version_is_in_the_log(sandbox: Running, client: Client) -> None:
    sandbox.set(tls_max="1.2")
    mark = sandbox.mark()
    client.get(TYPES)
    assert sandbox.requests(mark)[-1]["tls"] == "TLSv1.2"


def test_connection_from_before_a_change_ends_after_its_next_reply(sandbox: Running,
                                                                   client: Client) -> None:
    connection = client.connect()
    connection.request("GET", "/api" + TYPES, None, client.headers)
    assert connection.getresponse().read()
    sandbox.set(tls_cert="expired")
    connection.request("GET", "/api" + TYPES, None, client.headers)
    reply = connection.getresponse()
    assert reply.status == 200 and reply.will_close
    connection.close()


def test_client_cert_required(sandbox: Running, client: Client) -> None:
    sandbox.set(client_cert="required")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        client.get(TYPES)
    assert Client(sandbox, cert="client").get(TYPES).status == 200


def test_client_cert_never(sandbox: Running) -> None:
    sandbox.set(client_cert="never")
    client = Client(sandbox, cert="client")
    mark = sandbox.mark()
    assert client.get(TYPES).status == 401
    assert sandbox.requests(mark)[-1]["client_serial"] is None


def test_client_cert_post_handshake(sandbox: Running) -> None:
    sandbox.set(client_cert="post-handshake")
    client = Client(sandbox, cert="client")
    client.context.post_handshake_auth = True
    mark = sandbox.mark()
    for _ in range(2):
        assert client.get(TYPES).status == 200
        body = client.request_body()
        assert client.post("/ssl/v1/enroll", body).status == 200
    assert all(row["client_serial"] for row in sandbox.requests(mark))
    sandbox.set(tls_max="1.2")             # there it is asked for in the handshake
    assert client.get(TYPES).status == 200


def test_post_handshake_with_a_client_that_cannot(sandbox: Running) -> None:
    sandbox.set(client_cert="post-handshake")
    assert Client(sandbox, cert="client").get(TYPES).status == 401


def test_post_handshake_with_a_client_that_has_none(sandbox: Running, client: Client) -> None:
    sandbox.set(client_cert="post-handshake")
    client.context.post_handshake_auth = True
    assert client.get(TYPES, root="/private/api").status == 401
