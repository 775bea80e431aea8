"""'token test' says what will work, and leaves the token as it was."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from beds import BEDS, Bed, why_not
from p11e import Client, Token, calls


EC_ALONE = "1055,0"  # what the token is made to lack, to be quick


@pytest.fixture(autouse=True)
def edwards(token: Token) -> None:
    token.has_edwards_keys()


def results(client: Client, status: int | None = 0) -> dict[str, tuple[str, str]]:
    done = client.json("token", "test", "--yes", status=status)
    return {c["check"]: (c["result"], c["reason"] or "") for c in done["checks"]}


def test_everything_works_and_nothing_stays(offline: Client, token: Token) -> None:
    token.make_key("EC:prime256v1", "0102", "theirs")
    before = token.snapshot()
    seen = results(offline)
    assert {result for result, _ in seen.values()} == {"ok"}, seen
    assert {"login", "certificate: write, read back", "change of an id", "copy of a key",
            "RSA-3072: sign, verify", "Ed25519: sign, verify", "everything removed again"} <= set(seen)
    assert token.snapshot() == before


@pytest.mark.parametrize(("rule", "check", "result", "reason"), [
    ("C_GenerateKeyPair:2:fail=0x6", "EC P-384: generate, read back", "failed", "CKR_FUNCTION_FAILED"),
    ("C_SignInit:1:fail=0x30", "EC P-256: sign, verify", "failed", "CKR_DEVICE_ERROR"),
    ("C_CreateObject:1:fail=0x31", "certificate: write, read back", "failed", "CKR_DEVICE_MEMORY"),
    ("C_SetAttributeValue:*:fail=0x10", "change of an id", "not offered", "CKR_ATTRIBUTE_READ_ONLY"),
    ("C_CopyObject:*:fail=0x1a", "copy of a key", "not offered", "0x0000001a"),
])
def test_what_does_not_work_is_told_and_nothing_stays(
        offline: Client, token: Token, rule: str, check: str, result: str, reason: str) -> None:
    offline.rules(rule, P11SHIM_HIDE=EC_ALONE)
    seen = results(offline, 29 if result == "failed" else 0)
    assert seen[check][0] == result and reason in seen[check][1], seen
    assert seen["everything removed again"][0] == "ok"
    offline.no_rules()
    assert token.objects() == []


def test_mechanism_that_is_not_listed_is_not_tried(offline: Client, token: Token) -> None:
    log = offline.rules(P11SHIM_HIDE=EC_ALONE)
    seen = results(offline)
    assert seen["Ed25519: generate, read back"][0] == "not offered"
    assert "does not list Edwards curve key generation" in seen["Ed25519: generate, read back"][1]
    assert len(calls(log, "C_GenerateKeyPair")) == 3


def test_what_cannot_be_removed_is_told(offline: Client, token: Token) -> None:
    offline.rules("C_DestroyObject:*:fail=0x1b", P11SHIM_HIDE=EC_ALONE)
    result, reason = results(offline, 29)["everything removed again"]
    assert result == "failed" and "objects are left, labelled p11enroll-test-" in reason and "CKR_ACTION_PROHIBITED" in reason
    offline.no_rules()
    assert token.objects() != []


def test_wrong_pin_ends_the_test(offline: Client, token: Token) -> None:
    token.pin_file.write_text("00000000\n")
    offline.run("token", "test", "--yes", status=22)
    offline.run("token", "test", "--yes", status=23)


def test_unattended_it_has_to_be_meant(offline: Client) -> None:
    log = offline.rules()
    done = offline.run("token", "test", status=2)
    assert "--yes says that this is meant" in done.stderr
    assert calls(log, "C_Login") == [] and calls(log, "C_GenerateKeyPair") == []


def test_at_a_terminal_it_need_not_be_said(offline: Client) -> None:
    offline.rules(P11SHIM_HIDE=EC_ALONE)
    ours, theirs = pty.openpty()
    done = subprocess.run(offline.command("token", "test"), env=offline.full_env(), stdin=theirs, text=True,
                          capture_output=True, check=False, timeout=120)
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 0 and "everything removed again" in done.stdout, done.stderr


@pytest.fixture
def opencryptoki(tmp_path: Path) -> Iterator[Bed]:
    reason = why_not("opencryptoki")
    if reason is not None:
        pytest.skip(reason)
    with BEDS["opencryptoki"](tmp_path) as made:
        yield made


def test_another_token(opencryptoki: Bed, tmp_path: Path) -> None:
    bed = opencryptoki
    client = Client(tmp_path / "client", Token(tmp_path / "unused", more_env=bed.env), None, wrapper=bed.wrapper)
    client.set("token:main", module=str(bed.module), uri=f"pkcs11:token={bed.label}", pin_source=f"file:{bed.pin_file}")
    keys = client.json("key", "list")["keys"]
    seen = results(client)
    assert seen["RSA-2048: sign, verify"][0] == "ok" and seen["EC P-256: generate, read back"][0] == "not offered"
    assert client.json("key", "list")["keys"] == keys
