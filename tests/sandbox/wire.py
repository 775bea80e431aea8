"""Putting a reply on the wire, whole or with the faults that switches ask for."""

from __future__ import annotations

import gzip
import os
import socket
import ssl
import struct
import threading
import time
import zlib
from email.utils import formatdate
from http.client import responses
from types import SimpleNamespace
from typing import Iterator

from message import Reply

PIECE = 64 << 10
BLANKS = 1 << 20
CHUNK = 16
LINGER_S = 0.5
BODILESS = (204, 304)


class Gone(Exception):
    """The connection is over."""


def reset(connection: ssl.SSLSocket) -> None:
    """End a connection with a TCP reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(connection.detach())


def finish(connection: ssl.SSLSocket) -> None:
    """End a connection with a TCP FIN, and without a word of TLS."""
    connection.shutdown(socket.SHUT_RDWR)


def close(connection: ssl.SSLSocket) -> None:
    """End a connection in order: TLS close, FIN, then read what is still under way."""
    try:
        connection.settimeout(0)
        connection.unwrap()
    except (OSError, ValueError):
        pass                           # the peer's answer is not waited for
    drain(connection)


def drain(connection: ssl.SSLSocket) -> None:
    """Close our side and read on for a moment, so that our last words are not lost to a reset."""
    try:
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(LINGER_S)
        end = time.monotonic() + LINGER_S
        while socket.socket.recv(connection, PIECE) and time.monotonic() < end:
            pass
    except (OSError, ValueError):
        pass


def bomb(body: bytes, length: int) -> bytes:
    """A small gzip stream of a body with blanks behind it."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    out = [packer.compress(body)]
    for start in range(len(body), length, BLANKS):
        out.append(packer.compress(b" " * min(BLANKS, length - start)))
    return b"".join(out) + packer.flush()


class Wire:
    """Sends replies on one connection."""

    def __init__(self, connection: ssl.SSLSocket, stopping: threading.Event) -> None:
        self.connection = connection
        self.stopping = stopping

    def send(self, reply: Reply, b: SimpleNamespace, head_only: bool, keep: bool) -> None:
        """Send a reply; raises Gone when a fault ended the connection."""
        if b.cut == "before-reply":
            self.cut(b)
        body, encoding = self.encode(b"" if reply.status in BODILESS else reply.body, b)
        head = self.head(reply, body, encoding, b, keep)
        if head_only:
            body = b""
        if b.cut == "mid-headers" or (b.cut == "mid-reply" and not body):
            self.write(head[:len(head) // 2])
            self.cut(b)
        if b.cut == "mid-reply":
            self.write(head + body[:len(body) // 2])
            self.cut(b)
        self.send_body(head, body, b)

    def cut(self, b: SimpleNamespace) -> None:
        """End the connection in the way that behaviour cut_how names."""
        if b.cut_how == "rst":
            reset(self.connection)
        else:
            finish(self.connection)
        raise Gone

    def write(self, data: bytes) -> None:
        self.connection.sendall(data)

    @staticmethod
    def encode(body: bytes, b: SimpleNamespace) -> tuple[bytes, str | None]:
        if b.body == "gzip" and body:
            return gzip.compress(body), "gzip"
        if b.body == "gzip-bomb" and body:
            return bomb(body, b.huge_bytes), "gzip"
        return body, None

    @staticmethod
    def head(reply: Reply, body: bytes, encoding: str | None, b: SimpleNamespace,
             keep: bool) -> bytes:
        """Status line and headers."""
        lines = [f"HTTP/1.1 {reply.status} {responses.get(reply.status, 'Unknown')}",
                 "Server: p11enroll-sandbox", "Date: " + formatdate(usegmt=True)]
        if reply.content_type is not None:
            lines.append("Content-Type: " + reply.content_type)
        if encoding is not None:
            lines.append("Content-Encoding: " + encoding)
        if b.body == "chunked" and body:
            lines.append("Transfer-Encoding: chunked")
        elif reply.status not in BODILESS:
            length = max(len(body), b.huge_bytes) if b.body == "huge" else len(body)
            lines.append(f"Content-Length: {length}")
        lines += [f"{name}: {value}" for name, value in reply.headers]
        if not keep:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")

    def send_body(self, head: bytes, body: bytes, b: SimpleNamespace) -> None:
        """Send head and body as behaviour body says."""
        if not body or b.body in ("plain", "gzip", "gzip-bomb"):
            self.write(head + body)
        elif b.body == "truncated":
            self.write(head + body[:len(body) // 2])
            close(self.connection)
            raise Gone
        else:
            self.write(head)
            for piece in self.pieces(body, b):
                self.write(piece)

    def pieces(self, body: bytes, b: SimpleNamespace) -> Iterator[bytes]:
        """A body in the pieces of behaviours chunked, slow-drip and huge."""
        if b.body == "chunked":
            for start in range(0, len(body), CHUNK):
                part = body[start:start + CHUNK]
                yield f"{len(part):x}\r\n".encode() + part + b"\r\n"
            yield b"0\r\n\r\n"
        elif b.body == "slow-drip":
            for start in range(len(body)):
                yield body[start:start + 1]
                if self.stopping.wait(b.drip_ms / 1000):
                    raise Gone
        else:
            yield body
            left = b.huge_bytes - len(body)
            while left > 0 and not self.stopping.is_set():
                yield b" " * min(left, PIECE)
                left -= PIECE
