"""Files that are published on a web server with TLS: whose certificate is believed decides whether the file counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dcvkit import WebServer, calls, made, published, use_web
from p11e import Client, run


class Authority:
    """Vouches for web servers."""

    def __init__(self, path: Path, name: str) -> None:
        self.dir, self.name = path, name
        self.root = path / f"{name}.pem"
        self._make("-keyout", f"{name}.key", "-out", self.root.name, "-subj", f"/CN={name}", "-addext", "keyUsage=critical,keyCertSign")

    def _make(self, *args: str) -> None:
        run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", *args], cwd=self.dir)

    def identity(self, name: str) -> Path:
        """A file with a certificate for a name and its key."""
        self._make("-CA", self.root.name, "-CAkey", f"{self.name}.key", "-keyout", "leaf.key", "-out", "leaf.pem", "-subj", f"/CN={name}",
                   "-addext", f"subjectAltName=DNS:{name}", "-addext", "basicConstraints=critical,CA:false")
        both = self.dir / f"{name}.both"
        both.write_text((self.dir / "leaf.pem").read_text() + (self.dir / "leaf.key").read_text())
        return both


@pytest.fixture
def known(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "known")


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[Path], WebServer]]:
    servers: list[WebServer] = []
    (tmp_path / "www").mkdir()

    def start(identity: Path) -> WebServer:
        servers.append(WebServer(tmp_path / "www", identity))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def test_a_file_behind_a_known_certificate_validates(client: Client, known: Authority, serve: Callable[[Path], WebServer]) -> None:
    name = made(client)
    web = serve(known.identity(name))
    use_web(client, web)
    client.set("ca:sandbox", dcv_method="https", web_trust=str(known.root))
    row = published(client, name)[name]
    assert row["result"] == "validated" and row["problem"] is None
    asked = [a for a in web.asked if a.startswith(name + "/.well-known/pki-validation/")]
    assert len(asked) >= 2 and len(calls(client, "/submit/domain/https")) == 1, "by us and by the CA"
    assert list((web.root / ".well-known/pki-validation").iterdir()) == []


@pytest.mark.parametrize("trust", ["another authority's", "the system's"])
def test_a_file_behind_an_unknown_certificate_is_not_there(client: Client, known: Authority, serve: Callable[[Path], WebServer], tmp_path: Path,
                                                           trust: str) -> None:
    name = made(client)
    web = serve(known.identity(name))
    use_web(client, web)
    other = str(Authority(tmp_path, "other").root) if trust != "the system's" else None
    client.set("ca:sandbox", dcv_method="https", web_trust=other, poll_deadline="0")
    problem = str(published(client, name, status=36)[name]["problem"])
    assert f"https://{name}/.well-known/pki-validation/" in problem
    who = other or "the system's trust store"
    assert f"the server's certificate was issued by a CA that {who} does not have" in problem
    assert calls(client, "/submit/") == [] and web.asked == []
    assert list((web.root / ".well-known/pki-validation").iterdir()) == []


def test_a_certificate_of_another_name_does_not_count(client: Client, known: Authority, serve: Callable[[Path], WebServer]) -> None:
    name = made(client)
    web = serve(known.identity("www.elsewhere.example"))
    use_web(client, web)
    client.set("ca:sandbox", dcv_method="https", web_trust=str(known.root), poll_deadline="0")
    problem = str(published(client, name, status=36)[name]["problem"])
    assert "the server's certificate is for another name than https://" in problem and calls(client, "/submit/") == [] and web.asked == []


def test_roots_that_are_not_there_are_told_before_the_ca_is_asked(client: Client, tmp_path: Path) -> None:
    client.set("ca:sandbox", web_trust=str(tmp_path / "missing.pem"))
    done = client.run("dcv", "publish", "open.example", "--hook", "/bin/true", "--method", "https", status=3)
    assert f"web_trust: {tmp_path}/missing.pem" in done.stderr and client.sandbox is not None and client.sandbox.requests() == []
