"""A token with many keys: a listing begins before all is read, and one key costs the same few calls as on an empty token."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from p11e import BUILD, SOFTHSM, Client, Token, calls, clean_env, run

PAIRS = 300


def filled(path: Path, pairs: int) -> Client:
    """Pairs k-0 and so on, made by the benchmarks' program, which takes two milliseconds for each."""
    token = Token(path / "hsm").init()
    run([str(BUILD / "tests" / "bench" / "p11bench"), "populate", str(SOFTHSM), token.label, "0", str(pairs)],
        env=clean_env(**token.env), stdin=None, input=token.pin + "\n")
    return Client(path / "client", token, None)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Client:
    return filled(tmp_path_factory.mktemp("many"), PAIRS)


def test_list_shows_every_key(many: Client) -> None:
    labels = [k["label"] for k in many.json("key", "list")["keys"]]
    assert sorted(labels) == sorted([f"k-{n}" for n in range(PAIRS)] + ["rsa"])


def test_list_begins_before_all_is_read(many: Client) -> None:
    """The token stops answering in the middle: what was read before has been printed."""
    many.rules(f"C_GetAttributeValue:{PAIRS - 50}:fail=0x30")
    done = many.run("key", "list", status=None)
    many.no_rules()
    assert done.returncode > 0 and "CKR_DEVICE_ERROR" in done.stderr
    assert done.stdout.count("k-") >= PAIRS - 60


def show(client: Client) -> tuple[int, int]:
    """Searches and reads for one key."""
    log = client.rules()
    client.run("key", "show", "pkcs11:object=k-1;type=private")
    client.no_rules()
    return len(calls(log, "C_FindObjectsInit")), len(calls(log, "C_GetAttributeValue"))


def test_one_key_costs_what_it_costs_on_a_small_token(many: Client, tmp_path: Path) -> None:
    """The key, its public half, its certificates: one search each at most, whatever else there is."""
    few = show(filled(tmp_path, 2))
    assert few[0] <= 3 and show(many) == few


def test_reader_that_goes_away_is_no_crash(many: Client) -> None:
    """As head(1) does."""
    reading, writing = os.pipe()
    process = subprocess.Popen(many.command("key", "list"), env=many.full_env(), stdin=subprocess.DEVNULL, stdout=writing,
                               stderr=subprocess.PIPE, text=True)
    os.close(reading)
    os.close(writing)
    said = process.communicate(timeout=60)[1]
    assert process.returncode > 0 and "p11enroll: " in said
