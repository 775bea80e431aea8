"""Binding: same id and label, never a key without a certificate, whatever is killed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from p11e import P11KIT_CLIENT, Client, P11KitServer, Token, calls, need, sample


def made_key(client: Client) -> str:
    return client.json("key", "generate", "--label", "www", "--type", "ec:P-256")["uri"]


def certificate(client: Client, uri: str, name: str, days: int = 90, **more: Any) -> Path:
    """A certificate for the key from the sandbox's issuing CA, with its chain."""
    assert client.sandbox is not None
    csr = client.run("csr", "create", uri, "--name", name).stdout
    answer = client.sandbox.sign(csr, [name], days=days, **more)
    path = client.dir / f"{name}-{days}.pem"
    path.write_text(answer["cert"] + answer["chain"])
    return path


def bound(client: Client, uri: str) -> list[str]:
    return [c["serial"] for c in client.json("key", "show", uri)["certificates"]]


def test_bind_gives_id_label_and_chain(client: Client, token: Token) -> None:
    uri = made_key(client)
    cert = certificate(client, uri, "www.example.org")
    result = client.json("cert", "bind", "--key", uri, "--cert", str(cert))
    assert result["issuers_written"] == 1 and result["old_removed"] == 0
    objects = token.objects()
    key = next(o for o in objects if o["kind"].startswith("Private Key"))
    certs = [o for o in objects if o["kind"].startswith("Certificate") and o["ID"] == key["ID"]]
    assert len(certs) == 1 and certs[0]["label"] == key["label"] == "www"
    assert "www.example.org" in certs[0]["subject"]


def test_bind_again_changes_nothing(client: Client, token: Token) -> None:
    uri = made_key(client)
    cert = certificate(client, uri, "www.example.org")
    client.run("cert", "bind", "--key", uri, "--cert", str(cert))
    before = token.snapshot()
    result = client.json("cert", "bind", "--key", uri, "--cert", str(cert))
    assert result["already_there"] is True
    assert token.snapshot() == before


def test_renewed_certificate_replaces_the_old_one(client: Client) -> None:
    uri = made_key(client)
    client.run("cert", "bind", "--key", uri, "--cert", str(certificate(client, uri, "www.example.org")))
    old = bound(client, uri)
    result = client.json("cert", "bind", "--key", uri, "--cert",
                         str(certificate(client, uri, "www.example.org", 200)))
    assert result["old_removed"] == 1 and result["issuers_written"] == 0
    assert bound(client, uri) == [result["serial"]] != old


def test_keep_old(client: Client) -> None:
    uri = made_key(client)
    client.run("cert", "bind", "--key", uri, "--cert", str(certificate(client, uri, "www.example.org")))
    client.run("cert", "bind", "--key", uri, "--keep-old", "--cert",
               str(certificate(client, uri, "www.example.org", 200)))
    assert len(bound(client, uri)) == 2


def test_certificate_for_another_key_is_refused(client: Client, token: Token) -> None:
    uri = made_key(client)
    cert = certificate(client, uri, "www.example.org", key="other")
    before = token.snapshot()
    done = client.run("cert", "bind", "--key", uri, "--cert", str(cert), status=50)
    assert "no certificate for the key" in done.stderr
    assert token.snapshot() == before


def test_untrusted_chain_is_refused(client: Client, token: Token) -> None:
    uri = made_key(client)
    cert = certificate(client, uri, "www.example.org")
    before = token.snapshot()
    assert client.sandbox is not None
    client.set("profile:web", issuer_roots=str(client.sandbox.dir / "tls-ca.pem"))
    done = client.run("cert", "bind", "--key", uri, "--cert", str(cert), status=50)
    assert "does not lead to a trusted root" in done.stderr
    assert token.snapshot() == before


def test_chain_check_is_left_out_although_roots_are_configured(client: Client) -> None:
    uri = made_key(client)
    cert = certificate(client, uri, "www.example.org")
    assert client.sandbox is not None
    client.set("profile:web", issuer_roots=str(client.sandbox.dir / "tls-ca.pem"))
    client.run("cert", "bind", "--key", uri, "--cert", str(cert), "--no-chain-check")
    assert bound(client, uri)


def test_chain_check_with_roots_of_the_command_line_and_none_is_refused(client: Client, token: Token) -> None:
    uri = made_key(client)
    cert = certificate(client, uri, "www.example.org")
    before = token.snapshot()
    assert client.sandbox is not None
    done = client.run("cert", "bind", "--key", uri, "--cert", str(cert), "--no-chain-check",
                      "--issuer-roots", str(client.sandbox.dir / "issuer-root.pem"), status=2)
    assert "--no-chain-check and --issuer-roots" in done.stderr
    assert token.snapshot() == before


def test_write_protected_token_is_refused_before_anything(client: Client) -> None:
    uri = made_key(client)
    cert = certificate(client, uri, "www.example.org")
    log = client.rules(P11SHIM_FLAGS="2")
    done = client.run("cert", "bind", "--key", uri, "--cert", str(cert), status=29)
    assert "write-protected" in done.stderr and calls(log, "C_CreateObject") == []


def test_certificate_that_the_token_did_not_keep_is_noticed(client: Client) -> None:
    uri = made_key(client)
    client.run("cert", "bind", "--key", uri, "--cert", str(certificate(client, uri, "www.example.org")))
    old = bound(client, uri)
    renewed = certificate(client, uri, "www.example.org", 200)
    client.rules("C_CreateObject:1:fail=0x0")  # "OK", and nothing was written
    done = client.run("cert", "bind", "--key", uri, "--cert", str(renewed), status=29)
    assert "accepted the certificate and does not have it" in done.stderr
    client.no_rules()
    assert bound(client, uri) == old


@pytest.fixture
def remote(client: Client, tmp_path: Path):  # noqa: ANN201
    """The token behind p11-kit server: killing SoftHSM itself in a login destroys its files."""
    reason = need("p11-kit", str(P11KIT_CLIENT))
    if reason is not None:
        pytest.skip(reason)
    server = P11KitServer(client.token, tmp_path / "s")
    client.env.update(server.env)
    yield client
    server.stop()


def at_every_call(client: Client, args: list[str]) -> int:
    """The number of calls into the module that a command makes."""
    log = client.rules()
    client.env["P11SHIM_MODULE"] = str(P11KIT_CLIENT)
    client.run(*args)
    return len(calls(log))


def test_killed_anywhere_leaves_the_key_with_a_certificate(
        remote: Client, say: Callable[[str], None]) -> None:
    client = remote
    uri = made_key(client)
    certs = [certificate(client, uri, "www.example.org", days) for days in range(80, 90)]
    client.run("cert", "bind", "--key", uri, "--cert", str(certs[0]))
    total = at_every_call(client, ["cert", "bind", "--key", uri, "--cert", str(certs[1])])
    assert total > 20
    points = [(n, action) for n in range(1, total + 1) for action in ("kill", "killafter")]
    chosen = sample(points, 24)
    killed = 0
    for n, action in chosen:
        renewed = certs[2 + (killed % 8)]
        client.rules(f"*:{n}:{action}")
        client.env["P11SHIM_MODULE"] = str(P11KIT_CLIENT)
        done = client.run("cert", "bind", "--key", uri, "--cert", str(renewed), status=None)
        killed += done.returncode == -9
        client.no_rules()
        assert len(bound(client, uri)) >= 1, f"no certificate after a {action} at call {n}"
        client.run("cert", "bind", "--key", uri, "--cert", str(renewed))
        assert len(bound(client, uri)) == 1
    say(f"bind: {killed} kills at {len(chosen)} of {len(points)} points")
    assert killed == len(chosen)


def test_undo_killed_anywhere_leaves_the_key_with_a_certificate(
        remote: Client, say: Callable[[str], None]) -> None:
    client = remote
    uri = made_key(client)
    first, second = (certificate(client, uri, "www.example.org", days) for days in (90, 200))
    client.run("cert", "bind", "--key", uri, "--cert", str(first))
    old = bound(client, uri)
    client.run("cert", "bind", "--key", uri, "--cert", str(second))
    total = at_every_call(client, ["cert", "undo", uri])
    points = [(n, action) for n in range(1, total + 1) for action in ("kill", "killafter")]
    chosen = sample(points, 12)
    for n, action in chosen:
        client.no_rules()
        client.run("cert", "bind", "--key", uri, "--cert", str(second))
        client.rules(f"*:{n}:{action}")
        client.env["P11SHIM_MODULE"] = str(P11KIT_CLIENT)
        done = client.run("cert", "undo", uri, status=None)
        assert done.returncode == -9
        client.no_rules()
        assert len(bound(client, uri)) >= 1, f"no certificate after a {action} at call {n}"
        finished = bound(client, uri) == old  # killed when nothing was left to do but to say so
        again = client.run("cert", "undo", uri, status=None)
        assert again.returncode == 0 or (finished and again.returncode == 25), again.stderr
        assert bound(client, uri) == old
    say(f"undo: kills at {len(chosen)} of {len(points)} points")


def test_mending_killed_anywhere_leaves_the_certificate(remote: Client, say: Callable[[str], None]) -> None:
    client = remote
    uri = made_key(client)
    client.set("profile:web", chain="none")
    client.run("cert", "bind", "--key", uri, "--cert", str(certificate(client, uri, "www.example.org")))
    own = bound(client, uri)
    refused = "C_SetAttributeValue:*:fail=0x10"  # so that it is written anew, and the old one removed

    def damage() -> None:
        client.token.tool("--set-id", "ff" * 16, "--type", "cert", "--label", "www")

    damage()
    log = client.rules(refused)
    client.env["P11SHIM_MODULE"] = str(P11KIT_CLIENT)
    client.run("cert", "check", "--fix")
    points = [(n, action) for n in range(1, len(calls(log)) + 1) for action in ("kill", "killafter")]
    chosen = sample(points, 12)
    for n, action in chosen:
        client.no_rules()
        damage()
        client.rules(f"*:{n}:{action}", refused)
        client.env["P11SHIM_MODULE"] = str(P11KIT_CLIENT)
        done = client.run("cert", "check", "--fix", status=None)
        assert done.returncode == -9
        client.no_rules()
        assert client.json("cert", "list")["certificates"], f"no certificate after a {action} at call {n}"
        client.run("cert", "check", "--fix", status=None)
        assert client.json("cert", "check")["findings"] == [] and bound(client, uri) == own
        assert len(client.json("cert", "list")["certificates"]) == 1
    say(f"check --fix: kills at {len(chosen)} of {len(points)} points")
