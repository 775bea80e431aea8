"""Everything that the client sent in the end-to-end tests, and all replies of the sandbox, against the vendor's own
description of the API. Its place is in SECTIGO_OPENAPI; it is no part of this project.

The end-to-end tests record into the directory that P11ENROLL_EXCHANGES names. Where there is nothing, a story is told
here that uses each operation once.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from p11e import Client, Sandbox, Token

VARIABLE = "SECTIGO_OPENAPI"

if not os.environ.get(VARIABLE):
    pytest.skip(f"{VARIABLE} does not name the vendor's OpenAPI description", allow_module_level=True)
pytest.importorskip("jsonschema", reason="python3-jsonschema is not installed")

import contract  # noqa: E402


def tell_of_domains(client: Client) -> None:
    """Lists, and a validation by each method."""
    client.run("domain", "list", "--details", "--limit", "2")
    client.run("domain", "show", "sandbox.example")
    client.run("dcv", "list", "--expires-in", "30")
    for method in ("cname", "http", "https", "email"):
        client.run("dcv", "start", "open.example", "--method", method)
        address = ["--email", "admin@open.example"] if method == "email" else []
        client.run("dcv", "submit", "open.example", "--method", method, *address)
        client.run("dcv", "recheck", "open.example")
        client.run("dcv", "clear", "open.example", "--yes")
    client.run("dcv", "submit", "open.example", "--method", "txt")
    client.run("dcv", "status", "open.example")
    client.run("dcv", "order", "1", "--recheck")


def tell_of_other_kinds(client: Client) -> None:
    """A device and a person: ordered, renewed, listed, changed, revoked by serial number."""
    for kind, product, name in (("device", "2001", "meter.example.org"), ("smime", "3001", "ada@example.org")):
        client.set("ca:sandbox", api_version="v2")
        client.set("profile:web", kind=kind, product=product, term="365", person="Ada Lovelace" if kind == "smime" else None,
                   optional_fields="dnsName=a.example.org" if kind == "device" else None)
        client.run("products")
        order = client.json("enroll", "--name", name)
        client.run("order", "renew", str(order["order"]))
        client.run("inventory", "list", "--details", "--status", "Issued")
        for source in ("list", "report") if kind == "device" else ("list",):
            client.run("inventory", "sync", "--source", source, "--certificates")
        client.run("request", "update", order["ca_order"], "--set-comments", "moved")
        client.run("revoke", "--serial", order["serial"], "--reason", "superseded", "--yes")


def tell_a_story(base: Path, folder: Path) -> None:
    """A life of an order, and what else the client asks."""
    token = Token(base / "hsm").init()
    sandbox = Sandbox(base / "sandbox", exchanges=folder)
    try:
        client = Client(base / "client", token, sandbox)
        client.run("check")
        client.run("products")
        client.run("enroll", "--name", "a.example.org", "--name", "b.example.org")
        client.run("enroll", "--name", "c.example.org")
        client.run("inventory", "list", "--details")
        for source in ("report", "list"):
            client.run("inventory", "sync", "--source", source, "--certificates")
        tell_of_domains(client)
        client.run("revoke", "1", "--reason", "superseded", "--yes")
        client.run("enroll", "--name", "d.example.org", "--product", "none", status=44)
        client.run("org", "list")
        client.run("org", "show", "203")
        client.run("account", "acme", "create", "web", "--server", "Sandbox OV")
        for action in (("list",), ("rename", "100", "shop"), ("add-domains", "100", "a.example.org"), ("domains", "100"),
                       ("remove-domains", "100", "a.example.org"), ("clients", "100"), ("delete", "100", "--yes")):
            client.run("account", "acme", *action)
        tell_of_other_kinds(client)
    finally:
        sandbox.stop()


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    named = os.environ.get("P11ENROLL_EXCHANGES")
    if named and any(Path(named).rglob("*.jsonl")):
        yield Path(named)
        return
    base = tmp_path_factory.mktemp("story")
    tell_a_story(base, base / "exchanges")
    yield base / "exchanges"


@pytest.fixture(scope="session")
def description() -> contract.Description:
    return contract.load()


def test_requests_and_replies_are_as_described(recorded: Path, description: contract.Description,
                                               say: Callable[[str], None]) -> None:
    result = contract.check_all(description, contract.exchanges(recorded))
    say(f"{sum(result.requests.values())} requests of {len(result.requests)} operations, "
        f"{sum(result.replies.values())} replies; {sum(result.outside.values())} outside of the description, "
        f"{sum(result.excused.values())} excused")
    assert result.requests and result.replies
    assert not result.problems, f"{len(result.problems)} kinds of problems:\n{result.text()}"


def an_enrollment(recorded: Path) -> dict[str, Any]:
    """A recorded order whose request and reply are right."""
    for exchange in contract.exchanges(recorded):
        if exchange["method"] == "POST" and exchange["path"].endswith("/enroll") and exchange["reply"] is not None:
            if exchange["reply"]["status"] == 200 and exchange["headers"]["user-agent"] == contract.AGENT:
                return exchange
    raise AssertionError("no order was recorded")


MISSPELT = [
    ("request", "subjAltNames", "subjAltName"), ("request", "externalRequester", "externalRequestor"),
    ("request", "orgId", "orgID"), ("reply", "sslId", "sslID"), ("reply", "renewId", "renewID"),
]


@pytest.mark.parametrize(("part", "name", "wrong"), MISSPELT)
def test_a_misspelt_field_is_found(recorded: Path, description: contract.Description, part: str, name: str,
                                   wrong: str) -> None:
    exchange = copy.deepcopy(an_enrollment(recorded))
    body = exchange["body"] if part == "request" else exchange["reply"]["json"]
    body[wrong] = body.pop(name, "x")
    problems = contract.check_all(description, [exchange]).problems
    assert any(p.part == part and wrong in p.message for p in problems), problems


def test_a_number_as_a_string_is_found(recorded: Path, description: contract.Description) -> None:
    exchange = copy.deepcopy(an_enrollment(recorded))
    exchange["body"]["term"] = str(exchange["body"]["term"])
    assert [p.field for p in contract.check_all(description, [exchange]).problems] == ["term"]


def test_a_path_that_nobody_knows_is_found(recorded: Path, description: contract.Description) -> None:
    exchange = {**an_enrollment(recorded), "path": "/private/api/ssl/v1/enrol"}
    assert [p.rule for p in contract.check_all(description, [exchange]).problems] == ["unknown"]
