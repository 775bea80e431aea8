"""The main job: a key in a token becomes a verified certificate that is bound to it."""

from __future__ import annotations

import subprocess

import pytest
from p11e import Client, Token, clean_env, run


def by_kind(token: Token, kind: str) -> list[dict[str, str]]:
    return [o for o in token.objects() if o["kind"].startswith(kind)]


@pytest.mark.parametrize("key_type", ["rsa:2048", "rsa:3072", "ec:P-256", "ec:P-384", "ec:P-521"])
def test_new_key_gets_a_bound_certificate(client: Client, token: Token, key_type: str) -> None:
    client.set("profile:web", key_type=key_type)
    result = client.json("enroll", "--name", "www.example.org", "--name", "example.org")
    assert result["state"] == "done"
    assert result["names"] == "www.example.org,example.org"
    assert result["serial"] and result["not_after"]
    private = by_kind(token, "Private Key")
    certs = [c for c in by_kind(token, "Certificate") if c["ID"] == private[0]["ID"]]
    assert len(private) == 1 and len(certs) == 1
    assert certs[0]["label"] == private[0]["label"]
    shown = client.json("key", "show", result["key_uri"])
    assert shown["policy"] == "kept"
    claims = shown["module_claims"]
    assert claims["sensitive"] and not claims["extractable"]
    assert [c["serial"] for c in shown["certificates"]] == [result["serial"]]


def test_chain_is_on_the_token(client: Client, token: Token) -> None:
    client.run("enroll", "--name", "www.example.org")
    labels = [c["label"] for c in by_kind(token, "Certificate")]
    assert "Sandbox OV Secure Server CA" in labels


def test_chain_can_stay_off_the_token(client: Client, token: Token) -> None:
    client.set("profile:web", chain="none")
    chain = client.dir / "chain.pem"
    client.run("enroll", "--name", "www.example.org", "--chain-out", str(chain))
    assert len(by_kind(token, "Certificate")) == 1
    assert chain.read_text().count("BEGIN CERTIFICATE") == 1


def test_existing_key_is_used(client: Client, token: Token) -> None:
    token.make_key("EC:prime256v1", "0102", "mine")
    result = client.json("enroll", "--name", "www.example.org", "--key", "pkcs11:object=mine")
    assert result["state"] == "done" and "id=%01%02" in result["key_uri"]
    assert len(by_kind(token, "Private Key")) == 1


def test_certificate_file_verifies_with_openssl(client: Client) -> None:
    cert, chain = client.dir / "cert.pem", client.dir / "chain.pem"
    client.run("enroll", "--name", "www.example.org", "--cert-out", str(cert), "--chain-out", str(chain))
    assert client.sandbox is not None
    run(["openssl", "verify", "-CAfile", str(client.sandbox.dir / "issuer-root.pem"), "-untrusted",
         str(chain), str(cert)], env=clean_env())


def test_progress_goes_to_stderr_and_result_to_stdout(client: Client) -> None:
    done = client.run("enroll", "--name", "www.example.org")
    assert "order 1: signing the certificate request with the key" in done.stderr
    assert "State:" in done.stdout and "order 1: signing" not in done.stdout
    quiet = client.run("enroll", "--name", "b.example.org", "--quiet")
    assert quiet.stderr == ""


def test_second_enroll_does_not_order_again(client: Client) -> None:
    client.run("enroll", "--name", "www.example.org", "--name", "example.org")
    done = client.run("enroll", "--name", "example.org", "--name", "www.example.org", status=13)
    assert "order 1 got a certificate for these names" in done.stderr and "--again" in done.stderr
    assert client.sandbox is not None and client.sandbox.posts() == 1
    assert "Continued" not in done.stdout
    client.run("enroll", "--name", "www.example.org", "--name", "example.org", "--again")
    assert client.sandbox.posts() == 2


def test_header_login_sends_the_password_and_no_private_path(client: Client) -> None:
    assert client.sandbox is not None
    client.set("ca:sandbox", auth="password", client_cert=None, client_alias=None,
               client_password_source=None,
               password_source=f"file:{client.sandbox.dir / 'admin-password.txt'}")
    client.run("enroll", "--name", "www.example.org")
    paths = {r["path"] for r in client.sandbox.requests() if "/ssl/" in r["path"]}
    assert all(p.startswith("/api/") for p in paths), paths


def test_certificate_login_sends_no_password(client: Client) -> None:
    client.run("enroll", "--name", "www.example.org")
    assert client.sandbox is not None
    api = [r for r in client.sandbox.requests() if "/ssl/" in r["path"]]
    assert all(r["path"].startswith("/private/api/") for r in api)
    assert not any(r["password_sent"] for r in api)


def test_names_are_sent_only_when_there_are_several(client: Client) -> None:
    assert client.sandbox is not None
    client.run("enroll", "--name", "one.example.org")
    client.run("enroll", "--name", "two.example.org", "--name", "three.example.org")
    bodies = [r["body"] for r in client.sandbox.requests() if r["method"] == "POST" and "enroll" in r["path"]]
    assert "subjAltNames" not in bodies[0]
    assert bodies[1]["subjAltNames"] == "two.example.org,three.example.org"
    assert all(b["comments"].startswith("p11e-") for b in bodies)


def test_single_name_that_is_not_the_cn_is_sent(client: Client) -> None:
    assert client.sandbox is not None
    result = client.json("enroll", "--name", "one.example.org", "--subject", "CN=other.example.org")
    assert result["state"] == "done"
    body = next(r["body"] for r in client.sandbox.requests() if r["method"] == "POST" and "enroll" in r["path"])
    assert body["subjAltNames"] == "one.example.org"


def test_product_by_name_and_shortest_term(client: Client) -> None:
    client.set("profile:web", product="Sandbox OV SSL", term="0")
    result = client.json("enroll", "--name", "www.example.org")
    assert result["term_days"] == 199


def test_everything_can_be_given_as_options(client: Client, token: Token) -> None:
    assert client.sandbox is not None
    s = client.sandbox
    done = subprocess.run(
        [client.command()[0], "enroll", "--name", "opt.example.org", "--json",
         "--state-dir", str(client.state), "--lock-dir", str(client.dir / "locks"),
         "--module", str(token.module), "--token-uri", token.uri,
         "--pin-source", f"file:{token.pin_file}", "--ca-url", s.url, "--customer-uri", "sandbox",
         "--login", "sandbox-admin", "--client-cert", str(s.dir / "client.pem"),
         "--client-key", str(s.dir / "client.key"), "--org-id", "103",
         "--ca-trust", str(s.dir / "tls-ca.pem"), "--product", "1013", "--term=199",
         "--key-type", "ec:P-256", "--issuer-roots", str(s.dir / "issuer-root.pem"),
         "--config", "/dev/null"],
        env=clean_env(**token.env), text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
