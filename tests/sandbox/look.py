"""Looking at what a domain's owner published: DNS and HTTP, asked by hand (no resolver, no cache)."""

from __future__ import annotations

import http.client
import secrets
import socket
import ssl
import struct
from urllib.parse import urlsplit

TYPES = {"CNAME": 5, "TXT": 16}
TIMEOUT_S = 2.0
UNVERIFIED = ssl._create_unverified_context()


def address(text: str) -> tuple[str, int]:
    """host:port."""
    host, _colon, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def wire_name(name: str) -> bytes:
    labels = [label.encode("ascii") for label in name.rstrip(".").split(".")]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def read_name(data: bytes, at: int) -> tuple[str, int]:
    """A name, and where it ends; follows pointers."""
    labels: list[str] = []
    end = None
    for _ in range(128):
        length = data[at]
        if length >= 0xC0:
            end = at + 2 if end is None else end
            at = struct.unpack("!H", data[at:at + 2])[0] & 0x3FFF
        elif length == 0:
            return ".".join(labels), at + 1 if end is None else end
        else:
            labels.append(data[at + 1:at + 1 + length].decode("ascii", "replace"))
            at += 1 + length
    raise ValueError("a name without end")


def strings(data: bytes) -> str:
    """The character strings of a TXT record, joined."""
    parts, at = b"", 0
    while at < len(data):
        parts += data[at + 1:at + 1 + data[at]]
        at += 1 + data[at]
    return parts.decode("utf-8", "replace")


def answers(data: bytes, kind: str) -> list[str]:
    """The values of the records of a kind in an answer."""
    questions, count = struct.unpack("!HH", data[4:8])
    at = 12
    for _ in range(questions):
        at = read_name(data, at)[1] + 4
    found = []
    for _ in range(count):
        at = read_name(data, at)[1]
        number, _class, _ttl, length = struct.unpack("!HHIH", data[at:at + 10])
        at += 10
        if number == TYPES[kind]:
            found.append(read_name(data, at)[0] if kind == "CNAME" else strings(data[at:at + length]))
        at += length
    return found


def ask(server: str, name: str, kind: str) -> list[str]:
    """What a DNS server says; nothing if it does not answer."""
    number = secrets.randbelow(1 << 16)
    question = struct.pack("!6H", number, 0, 1, 0, 0, 0) + wire_name(name) + struct.pack("!HH", TYPES[kind], 1)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            link.settimeout(TIMEOUT_S)
            link.connect(address(server))
            link.send(question)
            data = link.recv(65535)
        return answers(data, kind) if data[:2] == question[:2] else []
    except (OSError, ValueError, IndexError, struct.error):
        return []


def has_record(server: str, name: str, kind: str, value: str) -> bool:
    wanted = value.rstrip(".").lower() if kind == "CNAME" else value
    have = ask(server, name, kind)
    return wanted in ([item.lower() for item in have] if kind == "CNAME" else have)


def has_file(server: str, url: str, lines: list[str]) -> bool:
    """Whether a web server shows these lines under a URL, whatever the name in it, and whatever its certificate."""
    parts = urlsplit(url)
    host, port = address(server)
    try:
        link = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=UNVERIFIED) if parts.scheme == "https" else (
            http.client.HTTPConnection(host, port, timeout=TIMEOUT_S))
        link.request("GET", parts.path, headers={"Host": parts.hostname or ""})
        reply = link.getresponse()
        text = reply.read(65536).decode("utf-8", "replace")
        link.close()
    except (OSError, http.client.HTTPException):
        return False
    return reply.status == 200 and text.splitlines() == lines
