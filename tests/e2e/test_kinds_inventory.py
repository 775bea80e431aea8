"""The inventory of devices and persons: listed, read from list or report, found, and matched with the token."""

from __future__ import annotations

import subprocess
import zlib
from pathlib import Path
from typing import Any

import pytest
from p11e import SANITIZED, Client, Sandbox

ROWS = 20_000
LIMIT_KB = 64 * 1024


def own(client: Client, name: str) -> str:
    """A word of this test's own: the account has other certificates, too."""
    return f"{name}-{zlib.crc32(str(client.dir).encode()):08x}"


@pytest.fixture
def ca(client: Client) -> Sandbox:
    assert client.sandbox is not None
    return client.sandbox


@pytest.fixture
def device(client: Client) -> Client:
    client.set("profile:web", kind="device", product="2001", term="365")
    client.run("enroll", "--name", own(client, "meter") + ".example.org")
    return client


@pytest.fixture
def person(client: Client) -> Client:
    client.set("profile:web", kind="smime", product="3001", term="365", person="Ada " + own(client, "L"))
    client.run("enroll", "--name", own(client, "ada") + "@example.org")
    return client


def order(client: Client, number: int = 1) -> dict[str, Any]:
    return client.json("order", "show", str(number))


def listed(client: Client, *args: str) -> dict[int, dict[str, Any]]:
    return {int(row["ca_order"]): row for row in client.json("inventory", "list", *args)["certificates"]}


def found(client: Client, *args: str) -> list[dict[str, Any]]:
    return list(client.json("inventory", "find", *args)["certificates"])


def sync(client: Client, *args: str) -> dict[str, Any]:
    return client.json("inventory", "sync", *args)


def findings(client: Client, *args: str) -> list[tuple[str, Any, Any]]:
    return [(f["finding"], f["ca_order"], f["kind"]) for f in client.json("inventory", "match", *args)["findings"]]


def same(a: str, b: str) -> bool:
    return a.replace(":", "").lower().lstrip("0") == b.replace(":", "").lower().lstrip("0")


# --- listing

def test_devices_are_listed(device: Client) -> None:
    name = own(device, "meter") + ".example.org"
    row = listed(device)[int(order(device)["ca_order"])]
    assert (row["common_name"], row["names"], row["status"], row["serial"]) == (name, name, "Issued", None)
    text = device.run("inventory", "list").stdout
    assert text.split("\n")[0].split()[:3] == ["CA", "ORDER", "STATUS"] and name in text


def test_details_of_devices_have_the_rest(device: Client) -> None:
    row = listed(device, "--details", "--common-name", own(device, "meter") + ".example.org")[int(order(device)["ca_order"])]
    assert same(row["serial"], order(device)["serial"]) and row["product"] == "Sandbox Device"
    assert order(device)["mark"] in row["comments"] and row["expires"].startswith("20")


def test_persons_are_listed_under_the_numbers_of_orders(person: Client) -> None:
    row = listed(person)[int(order(person)["ca_order"])]
    assert (row["common_name"], row["status"]) == ("Ada " + own(person, "L"), "issued")
    assert row["names"] == own(person, "ada") + "@example.org" and same(row["serial"], order(person)["serial"])


def test_details_of_persons_have_the_rest(person: Client) -> None:
    rows = listed(person, "--details", "--name", own(person, "ada") + "@example.org")
    row, = rows.values()
    assert (row["product"], row["status"]) == ("Sandbox S/MIME", "issued") and order(person)["mark"] in row["comments"]


def test_kind_goes_before_the_profiles(device: Client) -> None:
    number = int(order(device)["ca_order"])
    assert number not in listed(device, "--kind", "ssl") and number not in listed(device, "--kind", "smime")
    device.set("profile:web", kind="ssl")
    assert number in listed(device, "--kind", "device") and number not in listed(device)


@pytest.mark.parametrize("source", ["report", "auto"])
def test_report_of_devices_has_everything(device: Client, ca: Sandbox, source: str) -> None:
    ca.ask("DELETE", "/requests")
    row = listed(device, "--source", source, "--details")[int(order(device)["ca_order"])]
    assert same(row["serial"], order(device)["serial"]) and (row["status"], row["product"]) == ("Issued", "Sandbox Device")
    assert [(r["method"], r["path"].rpartition("/")[2]) for r in ca.requests()] == [("POST", "device-certificates")]


@pytest.mark.parametrize(("kind", "args", "says"), [
    ("device", ["--name", "x"], "cannot be narrowed by alternative name; it can by: common name, status, serial number"),
    ("device", ["--requester", "x"], "cannot be narrowed by requester"),
    ("smime", ["--common-name", "x"], "cannot be narrowed by common name; it can by: e-mail address, status"),
    ("smime", ["--org", "103"], "cannot be narrowed by organization"),
    ("smime", ["--source", "report"], "says neither their state nor their serial number; their list has both"),
    ("paper", [], "'paper' is none of: ssl, device, smime"),
])
def test_what_the_api_does_not_offer_is_told(client: Client, ca: Sandbox, kind: str, args: list[str], says: str) -> None:
    ca.ask("DELETE", "/requests")
    assert says in client.run("inventory", "list", "--kind", kind, *args, status=2).stderr and ca.requests() == []


@pytest.mark.parametrize(("kind", "status"), [("device", "Revoked"), ("smime", "revoked")])
def test_lists_are_narrowed_by_status(client: Client, kind: str, status: str, request: pytest.FixtureRequest) -> None:
    client = request.getfixturevalue("device" if kind == "device" else "person")
    number = int(order(client)["ca_order"])
    assert number in listed(client, "--status", "ISSUED") and number not in listed(client, "--status", "revoked")
    client.run("revoke", "1", "--reason", "superseded", "--yes")
    assert listed(client, "--status", "Revoked")[number]["status"] == status


@pytest.mark.skipif(SANITIZED, reason="a sanitizer's memory is not the program's")
@pytest.mark.parametrize("kind", ["device", "smime"])
def test_lists_are_streams(client: Client, ca: Sandbox, kind: str) -> None:
    """The program cannot run ahead of what is read, so a look every few lines sees its highest point."""
    ca.set(list_rows=ROWS)
    command = client.command("inventory", "list", "--kind", kind, "--format", "csv")
    lines = most = 0
    with subprocess.Popen(command, env=client.full_env(), text=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as running:
        assert running.stdout is not None
        for line in running.stdout:
            lines += "made-up" in line
            if lines % 1000 == 999:
                status = Path(f"/proc/{running.pid}/status").read_text()
                most = max(most, next((int(row.split()[1]) for row in status.splitlines() if row.startswith("VmHWM")), 0))
        assert running.wait() == 0
    assert lines == ROWS and 0 < most <= LIMIT_KB


# --- reading

@pytest.mark.parametrize("source", ["list", "report"])
def test_devices_are_stored_with_what_details_say(device: Client, source: str) -> None:
    done = sync(device, "--source", source)
    assert (done["kind"], done["source"]) == ("device", source)
    row, = found(device, "--serial", order(device)["serial"])
    assert (row["status"], row["ca_order"], row["product"]) == ("Issued", int(order(device)["ca_order"]), "Sandbox Device")
    assert order(device)["mark"] in row["comments"] and own(device, "meter") in row["subject"]


@pytest.mark.parametrize("source", ["list", "report"])
def test_second_reading_of_devices_changes_nothing(device: Client, source: str) -> None:
    sync(device, "--source", source)
    done = sync(device, "--source", source)
    assert (done["added"], done["changed"], done["gone"], done["resumed"]) == (0, 0, 0, False)


@pytest.mark.parametrize("source", ["list", "report"])
def test_device_that_was_replaced_is_seen_with_its_new_serial_number(device: Client, source: str) -> None:
    old = order(device)["serial"]
    sync(device, "--source", source)
    device.run("order", "replace", "1", "--reason", "new board", "--new-key")
    assert sync(device, "--source", source)["changed"] == 1
    row, = found(device, "--ca-order", order(device)["ca_order"])
    assert same(row["serial"], order(device, 2)["serial"]) and not same(row["serial"], old)


def test_persons_are_stored(person: Client) -> None:
    done = sync(person)
    assert (done["kind"], done["source"], done["asked"]) == ("smime", "list", 0)
    for args in (["--serial", order(person)["serial"]], ["--name", own(person, "ADA") + "@example.org"],
                 ["--ca-order", order(person)["ca_order"]], ["--dn", "CN=Ada " + own(person, "L")]):
        assert [(r["status"], r["ca_order"]) for r in found(person, *args)] == [("issued", int(order(person)["ca_order"]))], args


def test_second_reading_of_persons_changes_nothing_with_details_either(person: Client) -> None:
    first = sync(person, "--details")
    assert first["asked"] == first["certificates"]
    done = sync(person, "--details")
    assert (done["added"], done["changed"], done["gone"], done["asked"]) == (0, 0, 0, 0)
    assert found(person, "--serial", order(person)["serial"])[0]["product"] == "Sandbox S/MIME"


def test_revocation_of_a_person_is_seen(person: Client) -> None:
    sync(person)
    person.run("revoke", "1", "--reason", "superseded", "--yes")
    assert sync(person)["changed"] == 1
    assert found(person, "--serial", order(person)["serial"])[0]["status"] == "revoked"


@pytest.mark.parametrize("kind", ["device", "person"])
def test_certificates_of_kinds_are_found_live(kind: str, request: pytest.FixtureRequest) -> None:
    client = request.getfixturevalue(kind)
    for args in (["--serial", order(client)["serial"]], ["--ca-order", order(client)["ca_order"]]):
        assert [r["ca_order"] for r in found(client, "--live", *args)] == [int(order(client)["ca_order"])]
    assert found(client, "--live", "--serial", "abcd") == [] and found(client, "--live", "--ca-order", "4") == []


def test_list_that_ignores_serial_numbers_finds_no_other_device(device: Client, ca: Sandbox) -> None:
    device.run("enroll", "--name", own(device, "second") + ".example.org")
    ca.set(approval="manual", serial_filter="ignore")
    device.run("enroll", "--name", own(device, "waiting") + ".example.org", "--deadline", "0", status=11)
    assert [r["ca_order"] for r in found(device, "--live", "--serial", order(device)["serial"])] == [int(order(device)["ca_order"])]


def test_each_kind_is_read_for_itself(device: Client) -> None:
    sync(device)
    done = device.run("inventory", "find", "--kind", "smime", "--serial", "ab", status=2)
    assert "was never read, of the kind 'smime'" in done.stderr
    sync(device, "--kind", "ssl")
    assert found(device, "--kind", "ssl", "--serial", order(device)["serial"]) == []
    assert len(found(device, "--kind", "device", "--serial", order(device)["serial"])) == 1


def test_device_that_the_ca_lost_is_gone(device: Client, ca: Sandbox) -> None:
    sync(device)
    ca.ask("DELETE", f"/orders/{order(device)['ca_order']}")
    assert sync(device)["gone"] == 1
    assert findings(device) == [("gone", int(order(device)["ca_order"]), "device")]


# --- matching

@pytest.mark.parametrize("kind", ["device", "person"])
def test_what_is_as_it_should_be_is_no_finding(kind: str, request: pytest.FixtureRequest) -> None:
    client = request.getfixturevalue(kind)
    sync(client)
    matched = client.json("inventory", "match")
    assert matched["findings"] == [] and (matched["keys"], matched["bound"], matched["good"]) == (1, 1, 1)


@pytest.mark.parametrize(("kind", "name"), [("device", "device"), ("person", "smime")])
def test_bound_certificate_that_was_revoked_is_found(kind: str, name: str, request: pytest.FixtureRequest) -> None:
    client = request.getfixturevalue(kind)
    client.run("revoke", "--ca-order", order(client)["ca_order"], "--reason", "superseded", "--yes")
    sync(client)
    assert findings(client) == [("revoked", int(order(client)["ca_order"]), name)]


def test_certificate_of_a_kind_that_was_not_read_is_not_missing_at_the_ca(device: Client) -> None:
    sync(device, "--kind", "ssl")
    assert findings(device) == [] and findings(device, "--kind", "ssl") == []
    done = device.run("inventory", "match", "--kind", "device", status=2)
    assert "never read to its end, of the kind device" in done.stderr


def test_several_kinds_on_one_token_are_matched_together(device: Client) -> None:
    device.run("revoke", "1", "--reason", "superseded", "--yes")
    device.set("profile:web", kind="ssl", product="1013")
    device.run("enroll", "--name", own(device, "www") + ".example.org")
    sync(device)
    sync(device, "--kind", "device")
    matched = device.json("inventory", "match")
    assert (matched["bound"], matched["good"]) == (2, 1) and [f["kind"] for f in matched["findings"]] == ["device"]
    assert findings(device, "--kind", "ssl") == []


def test_certificate_for_a_key_of_the_token_is_found_without_its_order(device: Client) -> None:
    number = int(order(device)["ca_order"])
    uri = next(c["uri"] for c in device.json("cert", "list")["certificates"] if c["key"] == "yes")
    device.run("cert", "remove", uri, "--yes")
    device.set("p11enroll", state_dir=str(device.dir / "elsewhere"))
    sync(device, "--certificates")
    assert findings(device) == [("not-bound", number, "device")]
