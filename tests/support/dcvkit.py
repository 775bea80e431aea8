"""What the tests of domain validation share: a web server, domains, hooks, where they are looked at."""

from __future__ import annotations

import http.server
import json
import secrets
import socketserver
import ssl
import threading
from pathlib import Path

import pytest
from nameserver import KNOTD, NameServer
from p11e import ROOT, Client, need

NSUPDATE = ROOT / "share/hooks/nsupdate"
WEBROOT = ROOT / "share/hooks/webroot"
MISSING = need(KNOTD, "nsupdate", "dig")
with_dns = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))


class WebServer:
    """A web server with a document root; the name in the request does not matter. With a file of certificate and key it speaks TLS."""

    def __init__(self, root: Path, identity: Path | None = None) -> None:
        self.root = root
        self.asked: list[str] = []
        asked = self.asked

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *args: object) -> None:
                super().__init__(*args, directory=str(root))  # type: ignore[arg-type]

            def log_message(self, format: str, *args: object) -> None:
                asked.append(str(self.headers.get("Host")) + self.path)

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if identity is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(identity)
            # the handshake is each connection's own, so that one that fails stops nobody else
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.where = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def made(client: Client, **more: object) -> str:
    """A domain of this test alone."""
    name = f"d{secrets.token_hex(4)}.example"
    assert client.sandbox is not None
    client.sandbox.ask("POST", "/domains", {"name": name, "org": 103, **more})
    return name


def calls(client: Client, part: str) -> list[dict[str, object]]:
    assert client.sandbox is not None
    return [r for r in client.sandbox.requests() if part in str(r["path"])]


def host_of(client: Client, name: str) -> str:
    """The record that the next or present validation of a domain is about."""
    try:
        return str(json.loads((client.state / "dcv" / name).read_text())["name"])
    except FileNotFoundError:
        return name


def records(dns: NameServer, name: str) -> list[str]:
    """Whatever there is below a domain: the zone as a transfer would show it."""
    return [line for kind in ("TXT",) for line in dns.ask(f"_pki-validation.{name}", kind)]


def script(path: Path, text: str) -> Path:
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


def use_dns(client: Client, dns: NameServer, hook: Path = NSUPDATE) -> None:
    """The record goes to the real server, the client looks there, and so does the CA."""
    assert client.sandbox is not None
    client.set("ca:sandbox", dcv_hook=str(hook), dcv_hook_env=dns.hook_env(), dns_servers=dns.where)
    client.sandbox.set(dcv_dns=dns.where, dcv_polls=1)


def use_web(client: Client, web: WebServer) -> None:
    assert client.sandbox is not None
    client.set("ca:sandbox", dcv_hook=str(WEBROOT), dcv_hook_env=f"DCV_WEBROOT={web.root}", dcv_method="http", web_server=web.where)
    client.sandbox.set(dcv_web=web.where, dcv_polls=1)


def published(client: Client, *args: str, status: int | None = 0) -> dict[str, dict[str, object]]:
    rows = client.json("dcv", "publish", *args, status=status)["domains"]
    return {str(row["domain"]): row for row in rows}
