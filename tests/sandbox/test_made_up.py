"""Accounts with very many certificates: rows without orders, and reports that are not given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable

import pytest

import exchanges
import made_up
from support import Client, Running


def rows(client: Client, query: str = "") -> list[dict[str, Any]]:
    return client.get("/ssl/v1?" + query).json


def total(client: Client, query: str = "") -> int:
    return int(client.get("/ssl/v1?size=1&" + query).headers["X-Total-Count"])


def test_made_up_rows_follow_the_real_ones(sandbox: Running, client: Client) -> None:
    real = client.enroll()
    before = total(client)
    sandbox.set(list_rows=450)
    assert total(client) == before + 450
    found = [row["sslId"] for at in range(0, before + 450, 200) for row in rows(client, f"size=200&position={at}")]
    assert real in found and len(found) == len(set(found)) == before + 450
    assert rows(client, f"size=200&position={before + 450}") == []


def test_made_up_rows_are_issued_and_nothing_else(sandbox: Running, client: Client) -> None:
    sandbox.set(list_rows=5)
    issued = total(client, "status=Issued")
    sandbox.set(list_rows=0)
    assert issued - total(client, "status=Issued") == 5
    sandbox.set(list_rows=5)
    assert rows(client, "commonName=row1.made-up.example") == []
    assert client.get(f"/ssl/v1/{made_up.FIRST_ID + 1}").status == 404


def test_serial_numbers_of_made_up_rows_differ() -> None:
    serials = {made_up.serial(number) for number in range(2000)}
    assert len(serials) == 2000 and all(len(serial) == 26 for serial in serials)


def test_rows_that_move_come_again(sandbox: Running, client: Client) -> None:
    real = total(client)
    sandbox.set(list_rows=10, list_move=4)
    found = [row["commonName"] for row in rows(client, f"position={real}")]
    assert len(found) == 14 and len(set(found)) == 10 and found[:4] == found[4:8]


def test_a_status_that_is_not_looked_at(sandbox: Running, client: Client) -> None:
    client.enroll()
    sandbox.set(status_filter="ignore", list_rows=3)
    assert total(client, "status=Revoked") == total(client)


def report(client: Client, **body: Any) -> list[dict[str, Any]]:
    return client.post("/report/v1/ssl-certificates", body).json["reports"]


def test_made_up_rows_are_in_the_report(sandbox: Running, client: Client) -> None:
    sandbox.set(list_rows=100)
    found = [row for row in report(client) if "made-up" in row["commonName"]]
    assert len(found) == 100 and found[0]["status"] == "Issued"
    assert not any("made-up" in row["commonName"] for row in report(client, certificateStatus=3))


def test_dates_narrow_made_up_rows(sandbox: Running, client: Client) -> None:
    sandbox.set(list_rows=100)
    half = report(client, certificateDateAttribute=4, **{"from": "2015-01-01", "to": "2019-12-31"})
    rest = report(client, certificateDateAttribute=4, **{"from": "2020-01-01", "to": "2030-01-01"})
    both = [row["id"] for row in half + rest if "made-up" in row["commonName"]]
    assert len(both) == len(set(both)) == 100 and half and rest


@pytest.mark.parametrize(("value", "status"), [("refuse", 400), ("none", 404)])
def test_reports_that_are_not_given(sandbox: Running, client: Client, value: str, status: int) -> None:
    sandbox.set(report=value)
    assert client.post("/report/v1/ssl-certificates", {}).status == status


def test_an_order_can_be_lost(sandbox: Running, client: Client) -> None:
    number = client.enroll()
    sandbox.control("DELETE", f"/orders/{number}")
    assert client.get(f"/ssl/v1/{number}").status == 404
    assert not (sandbox.directory / "orders" / f"{number}.json").exists()
    sandbox.control("DELETE", f"/orders/{number}", status=404)


# --- what is written down for checks

def recorded(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in folder.glob("*.jsonl") for line in path.read_text().splitlines()]


@pytest.fixture
def writing(fresh: Callable[..., Running], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Running:
    monkeypatch.setenv(exchanges.VARIABLE, str(tmp_path / "exchanges"))
    return fresh(name="writing")


def test_exchanges_are_written_down(writing: Running, tmp_path: Path) -> None:
    client = Client(writing)
    number = client.enroll(subjAltNames="www.example.org")
    row, = recorded(tmp_path / "exchanges")
    assert (row["method"], row["path"], row["faults"]) == ("POST", "/api/ssl/v1/enroll", [])
    assert row["body"]["subjAltNames"] == "www.example.org" and row["reply"]["json"]["sslId"] == number
    assert row["reply"]["status"] == 200 and row["headers"]["content-type"] == "application/json"


def test_secrets_are_not_written_down(writing: Running, tmp_path: Path) -> None:
    client = Client(writing)
    password = client.headers["password"]
    client.post("/admin/v1/changepassword", {"newPassword": "another-0-Password"})
    text = "".join(path.read_text() for path in (tmp_path / "exchanges").glob("*.jsonl"))
    assert password not in text and "another-0-Password" not in text and exchanges.HIDDEN in text


def test_spoilt_replies_are_not_written_down(writing: Running, tmp_path: Path) -> None:
    writing.set(id_kind="string")
    Client(writing).enroll()
    row, = recorded(tmp_path / "exchanges")
    assert row["faults"] == ["id_kind"] and row["reply"] is None


def test_nothing_is_written_down_unasked(fresh: Callable[..., Running], tmp_path: Path) -> None:
    Client(fresh(name="quiet")).enroll()
    assert not (tmp_path / "exchanges").exists()
