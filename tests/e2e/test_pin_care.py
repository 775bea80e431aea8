"""A wrong PIN costs one try, whatever runs next, and whoever is killed."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from beds import BEDS, Bed, why_not
from p11e import SHIM, Client, Token, calls, private_file


def records(client: Client) -> list[Path]:
    return sorted((client.state / "pins").glob("*")) if (client.state / "pins").exists() else []


def wrong(client: Client, token: Token) -> None:
    private_file(token.pin_file, "00000000\n")


def right(token: Token) -> None:
    private_file(token.pin_file, token.pin + "\n")


def test_wrong_pin_is_told_with_its_source_and_what_follows(offline: Client, token: Token) -> None:
    wrong(offline, token)
    done = offline.run("key", "list", status=22)
    assert f"the PIN from file:{token.pin_file} is refused" in done.stderr
    assert "none is sent unattended until one was right" in done.stderr and "CKR_PIN_INCORRECT" in done.stderr


def test_next_run_says_when_and_whence_the_last_pin_came(offline: Client, token: Token) -> None:
    wrong(offline, token)
    offline.run("key", "list", status=22)
    log = offline.rules()
    done = offline.run("key", "list", status=23)
    assert "the last PIN for token 't1'" in done.stderr and f"from file:{token.pin_file} at 20" in done.stderr
    assert "CKR_PIN_INCORRECT" in done.stderr and "--try-pin-again" in done.stderr
    assert calls(log, "C_Login") == []


def test_memory_is_private_and_holds_no_pin(offline: Client, token: Token) -> None:
    wrong(offline, token)
    offline.run("key", "list", status=22)
    (record,) = records(offline)
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    assert stat.S_IMODE(record.parent.stat().st_mode) == 0o700
    assert "00000000" not in record.read_text()


def test_right_pin_ends_the_memory(offline: Client, token: Token) -> None:
    wrong(offline, token)
    offline.run("key", "list", status=22)
    right(token)
    offline.run("key", "list", status=23)
    offline.run("key", "list", "--pin-source", f"file:{token.pin_file}")
    assert records(offline) == []
    offline.run("key", "list")


def test_flag_lets_the_configured_pin_be_tried(offline: Client, token: Token) -> None:
    wrong(offline, token)
    offline.run("key", "list", status=22)
    right(token)
    offline.run("key", "list", "--try-pin-again")
    offline.run("key", "list")


def test_pin_source_of_a_script_is_not_tried_twice(offline: Client, token: Token) -> None:
    bad = private_file(offline.dir / "bad", "00000000\n")
    log = offline.rules()
    offline.run("key", "list", "--pin-source", f"file:{bad}", status=22)
    for _ in range(2):
        done = offline.run("key", "list", "--pin-source", f"file:{bad}", status=23)
        assert "it has not changed since" in done.stderr
    assert len(calls(log, "C_Login")) == 1
    private_file(bad, token.pin + "\n")
    offline.run("key", "list", "--pin-source", f"file:{bad}")


def test_wrong_pin_of_one_command_stops_the_others(client: Client, token: Token) -> None:
    uri = client.json("key", "generate", "--label", "k", "--type", "ec:P-256")["uri"]
    wrong(client, token)
    log = client.rules()
    client.run("csr", "create", uri, "--name", "a.example.org", status=22)
    for args in (("key", "generate", "--label", "x"), ("csr", "create", uri, "--name", "a.example.org"),
                 ("enroll", "--name", "a.example.org"), ("key", "show", uri),
                 ("cert", "bind", "--key", uri, "--cert", str(client.sandbox.dir / "issuer-root.pem"),
                  "--no-chain-check")):
        client.run(*args, status=23)
    assert len(calls(log, "C_Login")) == 1


def test_wrong_pin_for_the_client_certificate_counts(client: Client, token: Token) -> None:
    uri = client.json("key", "generate", "--label", "admin", "--type", "ec:P-256")["uri"]
    client.set("ca:sandbox", client_key=uri, client_cert=str(client.sandbox.dir / "issuer-root.pem"),
               client_alias=None, client_password_source=None)
    wrong(client, token)
    log = client.rules()
    client.run("products", status=22)
    client.run("products", status=23)
    client.run("key", "list", status=23)
    assert len(calls(log, "C_Login")) == 1


@pytest.mark.parametrize("rule", ["C_Login:1:kill", "C_Login:1:killafter"])
def test_killed_while_a_wrong_pin_is_sent(offline: Client, token: Token, rule: str) -> None:
    wrong(offline, token)
    offline.rules(rule)
    offline.run("key", "list", status=-9)
    (record,) = records(offline)
    assert "outcome=trying" in record.read_text()
    log = offline.rules()
    done = offline.run("key", "list", status=None)
    if rule.endswith("killafter"):
        assert done.returncode == 23 and calls(log, "C_Login") == []
    else:
        assert done.returncode == 22 and len(calls(log, "C_Login")) == 1  # SoftHSM's flags say that none was sent


def test_killed_with_a_right_pin_the_next_run_goes_on(offline: Client) -> None:
    offline.rules("C_Login:1:killafter")
    offline.run("key", "list", status=-9)
    offline.no_rules()
    offline.run("key", "list")
    assert records(offline) == []


def test_lost_connection_is_no_wrong_pin(offline: Client) -> None:
    offline.rules("C_Login:*:fail=0x32")
    done = offline.run("key", "list", status=21)
    assert "CKR_DEVICE_REMOVED" in done.stderr and records(offline) == []
    offline.no_rules()
    offline.run("key", "list")


def test_failure_that_is_not_called_a_wrong_pin_counts_as_one(offline: Client) -> None:
    log = offline.rules("C_Login:1:fail=0x6")
    done = offline.run("key", "list", status=29)
    assert "CKR_FUNCTION_FAILED" in done.stderr
    done = offline.run("key", "list", status=23)
    assert "CKR_FUNCTION_FAILED" in done.stderr
    assert len(calls(log, "C_Login")) == 1


def test_unattended_pin_is_not_sent_where_it_cannot_be_remembered(offline: Client, token: Token) -> None:
    offline.state.mkdir()
    (offline.state / "pins").write_text("in the way")
    log = offline.rules()
    done = offline.run("key", "list", status=4)
    assert "while what becomes of it cannot be written down" in done.stderr
    assert calls(log, "C_Login") == []
    offline.run("key", "list", "--pin-source", f"file:{token.pin_file}")


@pytest.mark.parametrize(("flags", "words"), [
    ("0x40000", "token pin unblock"), ("0x20000", "one try left")])
def test_refusal_by_flag_says_who_can_help(offline: Client, flags: str, words: str) -> None:
    log = offline.rules(P11SHIM_FLAGS=flags)
    done = offline.run("key", "list", "--try-pin-again", status=23)
    assert words in done.stderr and "security officer" in done.stderr
    assert calls(log, "C_Login") == []


@pytest.fixture(params=["opencryptoki", "tpm2-pkcs11"])
def bed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bed]:
    reason = why_not(request.param)
    if reason is not None:
        pytest.skip(reason)
    with BEDS[request.param](tmp_path) as made:
        yield made


def bed_client(bed: Bed, path: Path) -> tuple[Client, Path]:
    """A client of a bed's token, with the calls counted."""
    client = Client(path / "client", Token(path / "unused"), None, wrapper=bed.wrapper)
    log = path / "calls.log"
    client.env = {**bed.env, "P11SHIM_MODULE": str(bed.module), "P11SHIM_LOG": str(log), "P11SHIM_RULES": ""}
    client.set("token:main", module=str(SHIM), uri=f"pkcs11:token={bed.label}", pin_source=f"file:{bed.pin_file}")
    return client, log


def test_three_runs_with_a_wrong_pin_cost_one_try(bed: Bed, tmp_path: Path) -> None:
    client, log = bed_client(bed, tmp_path)
    pin = bed.pin_file.read_text()
    private_file(bed.pin_file, "00000000\n")
    statuses = [client.run("key", "list", status=None).returncode for _ in range(3)]
    assert statuses == [22, 23, 23]
    assert len(calls(log, "C_Login")) == 1
    private_file(bed.pin_file, pin)
    client.run("key", "list", "--pin-source", f"file:{bed.pin_file}")
    client.run("key", "list")
    assert len(calls(log, "C_Login")) == 3


def test_killed_during_the_login_the_next_run_asks_first(bed: Bed, tmp_path: Path) -> None:
    client, log = bed_client(bed, tmp_path)
    pin = bed.pin_file.read_text()
    private_file(bed.pin_file, "00000000\n")
    client.env["P11SHIM_RULES"] = "C_Login:1:killafter"
    client.run("key", "list", status=None)
    client.env["P11SHIM_RULES"] = ""
    done = client.run("key", "list", status=23)
    assert "was being sent to token 'bed'" in done.stderr
    assert calls(log, "C_Login") == []  # the call that ended the process could not be written down
    private_file(bed.pin_file, pin)
    client.run("key", "list", "--try-pin-again")
