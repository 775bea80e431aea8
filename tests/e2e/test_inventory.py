"""What the account can see at the CA: filters, pages, formats."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import zlib
from collections.abc import Iterable

import pytest
from p11e import Client

NAMES = ["a", "b", "c"]


def host(client: Client, name: str) -> str:
    """A name of this test's own: the account has other certificates, too."""
    return f"{name}.{zlib.crc32(str(client.dir).encode()):08x}.example.org"


@pytest.fixture
def full(client: Client) -> Client:
    for name in NAMES:
        client.run("enroll", "--name", host(client, name))
    return client


def own(client: Client, found: Iterable[dict[str, object]]) -> list[str]:
    """The first labels of this test's certificates among these rows."""
    suffix = host(client, "")
    return [str(row["common_name"]).removesuffix(suffix) for row in found if str(row["common_name"]).endswith(suffix)]


def rows(client: Client, *args: str) -> list[dict[str, object]]:
    return list(client.json("inventory", "list", *args)["certificates"])


def test_everything_is_listed(full: Client) -> None:
    assert own(full, rows(full)) == NAMES
    text = full.run("inventory", "list").stdout
    assert all(host(full, name) in text for name in NAMES) and text.startswith("CA ORDER")


def test_an_empty_list_says_so(client: Client) -> None:
    none = ["--common-name", host(client, "none")]
    assert "The account sees no such certificate." in client.run("inventory", "list", *none).stdout
    assert rows(client, *none) == []


def test_details_are_asked_for(full: Client) -> None:
    row = rows(full, "--details", "--common-name", host(full, "b"))[0]
    assert (row["status"], row["product"]) == ("Issued", "Sandbox OV SSL")
    assert str(row["expires"]).startswith("20") and "p11e-" in str(row["comments"])


@pytest.mark.parametrize(("args", "found"), [
    (["--common-name", "{b}"], ["b"]),
    (["--name", "{c}"], ["c"]),
    (["--status", "Issued"], NAMES),
    (["--status", "Revoked"], []),
    (["--org", "103"], NAMES),
])
def test_filters_narrow_the_list(full: Client, args: list[str], found: list[str]) -> None:
    args = [arg.format(**{name: host(full, name) for name in NAMES}) for arg in args]
    assert own(full, rows(full, *args)) == found


def test_a_limit_is_kept(full: Client) -> None:
    assert len(rows(full, "--limit", "2")) == 2


def test_the_serial_number_is_found_however_it_is_written(full: Client) -> None:
    serial = str(full.json("order", "show", "2")["serial"])
    for written in (serial, serial.upper(), "00" + serial):
        assert own(full, rows(full, "--serial", written)) == ["b"]


def test_csv_has_a_line_of_keys_and_quotes(client: Client) -> None:
    a, b = host(client, "a"), host(client, "b")
    client.run("enroll", "--name", a, "--name", b)
    command = client.command("inventory", "list", "--format", "csv", "--common-name", a)
    raw = subprocess.run(command, env=client.full_env(), capture_output=True, check=True).stdout.decode()
    table = list(csv.DictReader(io.StringIO(raw, newline="")))
    assert len(table) == 1 and table[0]["names"] == f"{a},{b}"
    assert raw.startswith("ca_order,serial,common_name,names\r\n") and f',"{a},{b}"\r\n' in raw


def test_json_lines_are_objects(full: Client) -> None:
    lines = full.run("inventory", "list", "--format", "jsonl").stdout.splitlines()
    assert own(full, map(json.loads, lines)) == NAMES


@pytest.mark.parametrize("behaviour", [
    {"list_total": "missing"}, {"list_total": "wrong"}, {"list_duplicates": "true"}, {"list_size": "ignore"},
    {"id_kind": "string"}])
def test_odd_lists_are_complete_and_without_duplicates(full: Client, behaviour: dict[str, str]) -> None:
    assert full.sandbox is not None
    full.sandbox.set(**behaviour)
    assert own(full, rows(full)) == NAMES


def test_a_failure_in_the_middle_is_no_success(full: Client) -> None:
    assert full.sandbox is not None
    full.sandbox.once("GET", "/ssl/v1/[0-9]+$", times=9, fail_status=500)
    done = full.run("inventory", "list", "--details", status=None)
    assert done.returncode != 0 and "HTTP 500" in done.stderr


@pytest.mark.parametrize(("args", "says"), [
    (["--format", "xml"], "'xml' is none of: table, csv, jsonl"),
    (["--limit", "0"], "'0' is not a number"),
    (["--format", "csv", "--json"], "exclude each other"),
])
def test_wrong_usage_is_told(client: Client, args: list[str], says: str) -> None:
    done = client.run("inventory", "list", *args, status=2)
    assert says in done.stderr or says in done.stdout
