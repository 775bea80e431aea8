"""HTTP: the conversation itself, and the replies that switches spoil."""

from __future__ import annotations

import email.utils
import gzip
import http.client
import json
import socket
import ssl
import time

import pytest

from support import Client, Running

TYPES = "/ssl/v1/types"


def raw(sandbox: Running) -> ssl.SSLSocket:
    """A TLS connection that notices when TLS is not closed in order."""
    sock = socket.create_connection(("127.0.0.1", sandbox.port), 10)
    context = sandbox.context()
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    return context.wrap_socket(sock, server_hostname="localhost", suppress_ragged_eofs=False)


def head(client: Client, method: str, path: str, *lines: str) -> bytes:
    rows = [f"{method} {path} HTTP/1.1", "Host: localhost", *lines,
            *(f"{name}: {value}" for name, value in client.headers.items())]
    return ("\r\n".join(rows) + "\r\n\r\n").encode()


def first_line(connection: ssl.SSLSocket) -> str:
    with connection.makefile("rb") as stream:
        return stream.readline().decode().strip()


# --- the conversation

def test_keep_alive(client: Client) -> None:
    connection = client.connect()
    for _ in range(3):
        connection.request("GET", "/api" + TYPES, None, client.headers)
        reply = connection.getresponse()
        assert reply.status == 200 and reply.read() and not reply.will_close
    connection.close()


def test_expect_100_continue(sandbox: Running, client: Client) -> None:
    body = json.dumps(client.request_body()).encode()
    with raw(sandbox) as connection:
        connection.sendall(head(client, "POST", "/api/ssl/v1/enroll", "Expect: 100-continue",
                                "Content-Type: application/json",
                                f"Content-Length: {len(body)}"))
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert first_line(connection) == "HTTP/1.1 200 OK"


@pytest.mark.parametrize("line, status", [
    ("Transfer-Encoding: chunked", 411), ("Content-Length: 1048577", 413),
    ("Content-Length: -1", 400), ("Content-Length: 1, 1", 400),
    ("Content-Length: 99999999999999999999", 413)])
def test_body_that_is_not_read(sandbox: Running, client: Client, line: str, status: int) -> None:
    with raw(sandbox) as connection:
        connection.sendall(head(client, "POST", "/api/ssl/v1/enroll", line))
        assert first_line(connection).split()[1] == str(status)


def test_too_long_body_is_refused_before_it_comes(sandbox: Running, client: Client) -> None:
    with raw(sandbox) as connection:
        connection.sendall(head(client, "POST", "/api/ssl/v1/enroll", "Expect: 100-continue",
                                "Content-Length: 2000000"))
        assert first_line(connection).split()[1] == "413"


def test_nonsense_gets_a_json_error(sandbox: Running) -> None:
    with raw(sandbox) as connection:
        connection.sendall(b"BREW /pot HTTP/1.1\r\nHost: x\r\n\r\n")
        reply = http.client.HTTPResponse(connection, method="GET")
        reply.begin()
        assert reply.status == 501 and "description" in json.loads(reply.read())


def test_clients_that_leave_do_no_harm(sandbox: Running, client: Client) -> None:
    for data in (b"", b"GET /api", head(client, "POST", "/api/ssl/v1/enroll",
                                        "Content-Length: 100") + b"{"):
        connection = raw(sandbox)
        connection.sendall(data)
        connection.close()
    socket.create_connection(("127.0.0.1", sandbox.port)).close()
    assert client.get(TYPES).status == 200


def test_many_connections_at_once(sandbox: Running, client: Client) -> None:
    connections = [raw(sandbox) for _ in range(60)]
    for connection in connections:
        connection.sendall(head(client, "GET", "/api" + TYPES))
    assert {first_line(connection) for connection in connections} == {"HTTP/1.1 200 OK"}
    for connection in connections:
        connection.close()


# --- failures

@pytest.mark.parametrize("status, body, check", [
    (401, "json", lambda r: r.code == -16), (403, "empty", lambda r: r.data == b""),
    (429, "json", lambda r: r.code == -1), (500, "json", lambda r: r.code == -2),
    (502, "html", lambda r: b"502 Bad Gateway" in r.data),
    (403, "gateway", lambda r: r.json == {"code": 403, "message": "Request refused"}),
    (503, "html", lambda r: r.headers["Content-Type"].startswith("text/html")),
    (200, "html", lambda r: b"<html>" in r.data), (204, "json", lambda r: r.data == b"")])
def test_fail_status(sandbox: Running, client: Client, status: int, body: str, check) -> None:
    sandbox.set(fail_status=status, fail_body=body)
    reply = client.get(TYPES)
    assert reply.status == status and check(reply)
    assert reply.headers["Retry-After"] is None


def test_retry_after(sandbox: Running, client: Client) -> None:
    sandbox.set(fail_status=503, retry_after="delta", retry_after_s=7)
    assert client.get(TYPES).headers["Retry-After"] == "7"
    sandbox.set(retry_after="date", retry_after_s=60)
    when = email.utils.parsedate_to_datetime(client.get(TYPES).headers["Retry-After"])
    assert 55 < when.timestamp() - time.time() < 65
    sandbox.set(retry_after="past")
    when = email.utils.parsedate_to_datetime(client.get(TYPES).headers["Retry-After"])
    assert when.timestamp() < time.time()
    sandbox.set(retry_after="absurd")
    assert len(client.get(TYPES).headers["Retry-After"]) == 20


def test_fault_path(sandbox: Running, client: Client) -> None:
    sandbox.set(fail_status=500, fault_path="/collect/")
    number = client.enroll()
    assert client.collect(number).status == 500


def test_fault_when(sandbox: Running, client: Client) -> None:
    before = len(sandbox.orders())
    sandbox.once("/enroll", fail_status=504)
    assert client.post("/ssl/v1/enroll", client.request_body()).status == 504
    assert len(sandbox.orders()) == before
    sandbox.once("/enroll", fail_status=504, fault_when="after")
    assert client.post("/ssl/v1/enroll", client.request_body()).status == 504
    assert len(sandbox.orders()) == before + 1


@pytest.mark.parametrize("status", ["301", "302", "303", "307", "308"])
def test_redirect_to_another_host(sandbox: Running, client: Client, status: str) -> None:
    sandbox.set(redirect=status)
    reply = client.get(TYPES + "?a=b")
    assert reply.status == int(status)
    assert reply.headers["Location"] == f"https://127.0.0.1:{sandbox.port}/api{TYPES}?a=b"
    other = client.get(TYPES, headers={"Host": f"127.0.0.1:{sandbox.port}"})
    assert other.status == 200             # there the request is answered


def test_redirect_to(sandbox: Running, client: Client) -> None:
    sandbox.set(redirect="302", redirect_to="https://elsewhere.invalid")
    assert client.get(TYPES).headers["Location"] == "https://elsewhere.invalid/api" + TYPES


# --- connections that end

def tcp_end(connection: ssl.SSLSocket) -> str:
    """How TCP ends below TLS: with a reset or in order."""
    try:
        while socket.socket.recv(connection, 1000):
            pass
        return "fin"
    except ConnectionResetError:
        return "rst"


@pytest.mark.parametrize("how", ["rst", "fin"])
def test_cut_before_reply(sandbox: Running, client: Client, how: str) -> None:
    sandbox.set(cut="before-reply", cut_how=how)
    with raw(sandbox) as connection:
        connection.sendall(head(client, "GET", "/api" + TYPES))
        assert tcp_end(connection) == how


@pytest.mark.parametrize("where, least", [("mid-headers", b"HTTP/1.1 200"),
                                          ("mid-reply", b"\r\n\r\n[{")])
def test_cut_within_the_reply(sandbox: Running, client: Client, where: str, least: bytes) -> None:
    sandbox.set(cut=where, cut_how="fin")
    got = b""
    with raw(sandbox) as connection:
        connection.sendall(head(client, "GET", "/api" + TYPES))
        with pytest.raises(ssl.SSLError, match="(?i)unexpected.eof"):
            while more := connection.recv(1000):
                got += more
    assert least in got and not got.endswith(b"]")
    assert (b"\r\n\r\n" in got) == (where == "mid-reply")


def test_truncated_body_with_an_orderly_end(sandbox: Running, client: Client) -> None:
    sandbox.set(body="truncated")
    with pytest.raises(http.client.IncompleteRead):
        client.get(TYPES)


@pytest.mark.parametrize("value, announced", [("no", True), ("drop", False)])
def test_keep_alive_switch(sandbox: Running, client: Client, value: str, announced: bool) -> None:
    sandbox.set(keep_alive=value)
    with raw(sandbox) as connection:
        connection.sendall(head(client, "GET", "/api" + TYPES))
        reply = http.client.HTTPResponse(connection, method="GET")
        reply.begin()
        assert reply.will_close is announced and reply.read()
        assert connection.recv(1) == b""   # the server is gone in both cases, in order


# --- enroll

@pytest.mark.parametrize("fault, stored", [
    ("stored-cut", 1), ("stored-mid-reply", 1), ("cut", 0)])
def test_enroll_fault_that_cuts(sandbox: Running, client: Client, fault: str, stored: int) -> None:
    before, mark = len(sandbox.orders()), sandbox.mark()
    sandbox.set(enroll_fault=fault)
    with pytest.raises((OSError, http.client.HTTPException)):
        client.post("/ssl/v1/enroll", client.request_body(comments="lost"))
    assert len(sandbox.orders()) == before + stored
    assert client.get(TYPES).status == 200
    rows = sandbox.requests(mark)
    assert "cut" in rows[0]["faults"]
    assert rows[0]["status"] == (200 if fault == "stored-mid-reply" else None)


def test_enroll_fault_504(sandbox: Running, client: Client) -> None:
    before = len(sandbox.orders())
    sandbox.set(enroll_fault="stored-504")
    reply = client.post("/ssl/v1/enroll", client.request_body())
    assert reply.status == 504 and b"<html>" in reply.data
    assert len(sandbox.orders()) == before + 1


def test_enroll_fault_is_for_renewals_too(sandbox: Running, client: Client) -> None:
    number = client.enroll()
    client.status(number)
    sandbox.set(enroll_fault="stored-504")
    assert client.post(f"/ssl/v1/renewById/{number}", {}).status == 504
    assert client.details(number)["renewed"] is True


# --- bodies

def test_huge_body(sandbox: Running, client: Client) -> None:
    sandbox.set(body="huge", huge_bytes=3_000_000)
    reply = client.get(TYPES)
    assert len(reply.data) == 3_000_000 and reply.json


def test_client_may_leave_a_huge_body(sandbox: Running, client: Client) -> None:
    sandbox.set(body="huge", huge_bytes=1 << 32)
    connection = client.connect()
    connection.request("GET", "/api" + TYPES, None, client.headers)
    connection.getresponse().read(100000)
    connection.close()
    sandbox.control("DELETE", "/behaviours")
    assert client.get(TYPES).status == 200


def test_slow_drip(sandbox: Running, client: Client) -> None:
    sandbox.set(body="slow-drip", drip_ms=20, fault_path="/password")
    begin = time.monotonic()
    assert client.get("/admin/v1/password").json
    assert time.monotonic() - begin > 0.5


def test_gzip(sandbox: Running, client: Client) -> None:
    sandbox.set(body="gzip")
    reply = client.get(TYPES)
    assert reply.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(reply.data))


def test_gzip_bomb(sandbox: Running, client: Client) -> None:
    sandbox.set(body="gzip-bomb", huge_bytes=3_000_000)
    reply = client.get(TYPES)
    assert reply.headers["Content-Encoding"] == "gzip" and len(reply.data) < 10_000
    unpacked = gzip.decompress(reply.data)
    assert len(unpacked) == 3_000_000 and json.loads(unpacked)


def test_chunked(sandbox: Running, client: Client) -> None:
    sandbox.set(body="chunked")
    reply = client.get(TYPES)
    assert reply.headers["Transfer-Encoding"] == "chunked" and reply.json
    assert reply.headers["Content-Length"] is None


def test_delay(sandbox: Running, client: Client) -> None:
    sandbox.set(delay_s=0.4)
    begin = time.monotonic()
    assert client.get(TYPES).status == 200
    assert time.monotonic() - begin > 0.4


def test_delay_comes_after_the_action(sandbox: Running, client: Client) -> None:
    before = len(sandbox.orders())
    sandbox.once("/enroll", delay_s=30)
    connection = http.client.HTTPSConnection("127.0.0.1", sandbox.port, timeout=0.5,
                                             context=client.context)
    headers = {**client.headers, "Content-Type": "application/json"}
    connection.request("POST", "/api/ssl/v1/enroll", json.dumps(client.request_body()), headers)
    with pytest.raises(TimeoutError):
        connection.getresponse()
    connection.close()
    assert len(sandbox.orders()) == before + 1
