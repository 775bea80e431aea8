"""Where the names of an order come from: options, the profile, somebody's certificate request."""

from __future__ import annotations

from pathlib import Path

import pytest
from p11e import Client, Token, run


def body(client: Client) -> dict[str, object]:
    assert client.sandbox is not None
    return [r["body"] for r in client.sandbox.requests() if r["method"] == "POST" and "enroll" in r["path"]][-1]


def test_names_of_the_profile_are_the_default(client: Client) -> None:
    client.set("profile:web", names="www.example.org, shop.example.org")
    assert client.json("enroll")["names"] == "www.example.org,shop.example.org"
    assert client.json("enroll", "--name", "b.example.org")["names"] == "b.example.org"


def test_names_of_a_request_are_added(client: Client, tmp_path: Path) -> None:
    key = client.json("key", "generate", "--label", "theirs", "--type", "ec:P-256")["uri"]
    client.run("csr", "create", key, "--name", "a.example.org", "--name", "10.0.0.1", "--subject", "CN=c.example.org", "--out", str(tmp_path / "csr"))
    result = client.json("enroll", "--name", "www.example.org", "--names-from", str(tmp_path / "csr"))
    assert result["names"] == "www.example.org,c.example.org,a.example.org,10.0.0.1" and "theirs" not in result["key_uri"]
    assert body(client)["subjAltNames"] == result["names"]


@pytest.mark.parametrize("option", ["--name", "--cn"])
def test_white_space_inside_a_name_is_refused_before_anything_is_made(client: Client, token: Token, option: str) -> None:
    before = token.snapshot()
    assert "'bad name' is no DNS name" in client.run("enroll", option, "bad name", status=2).stderr
    assert token.snapshot() == before and client.json("order", "list")["orders"] == []
    assert client.sandbox is not None and client.sandbox.orders() == []


def test_names_may_stand_in_one_word_with_commas_between(client: Client) -> None:
    assert client.json("enroll", "--name", "www.example.org, b.example.org")["names"] == "www.example.org,b.example.org"


def test_wildcard_and_address_are_ordered_as_they_are_written(client: Client) -> None:
    client.set("profile:web", product="1015")
    assert client.json("enroll", "--name", "*.example.org", "--name", "10.0.0.1", "--name", "2001:db8::1")["state"] == "done"
    assert body(client)["subjAltNames"] == "*.example.org,10.0.0.1,2001:db8::1"


@pytest.mark.parametrize(("san", "product", "names", "sent"), [
    ("auto", "1014", ["www.example.org"], None), ("auto", "1013", ["www.example.org", "b.example.org"], "www.example.org,b.example.org"),
    ("always", "1013", ["www.example.org"], "www.example.org"), ("never", "1014", ["www.example.org"], None)])
def test_whether_names_are_sent(client: Client, san: str, product: str, names: list[str], sent: str | None) -> None:
    client.set("profile:web", product=product, san=san)
    client.run("enroll", *(word for name in names for word in ("--name", name)))
    assert body(client).get("subjAltNames") == sent


@pytest.mark.parametrize(("text", "status", "says"), [("junk", 2, "this is no PEM certificate request"), (None, 4, "no-such-file")])
def test_request_that_cannot_be_read_is_told(client: Client, token: Token, tmp_path: Path, text: str | None, status: int, says: str) -> None:
    path = tmp_path / "no-such-file"
    if text is not None:
        path.write_text(text)
    assert says in client.run("enroll", "--names-from", str(path), status=status).stderr
    assert token.objects() == []


def test_name_of_a_form_that_cannot_be_ordered_is_told(client: Client, token: Token, tmp_path: Path) -> None:
    path = tmp_path / "csr"
    run(["openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "/dev/null", "-subj", "/CN=x", "-addext",
         "subjectAltName=URI:https://a.example/", "-out", str(path)])
    done = client.run("enroll", "--names-from", str(path), status=2)
    assert "such a name cannot be ordered" in done.stderr and token.objects() == []


def test_term_that_is_not_configured_is_the_products(client: Client) -> None:
    client.set("profile:web", term=None, kind="device", product="2001")
    assert client.json("enroll", "--name", "meter-1.example.org")["term_days"] == 365
