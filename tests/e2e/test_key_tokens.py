"""key: the same commands on tokens that refuse attributes or show others than were asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import beds
import pytest
from p11e import Client, Token, calls


@dataclass
class BedToken(Token):
    """A bed in the place of a SoftHSM token."""

    bed: beds.Bed | None = None

    @property
    def env(self) -> dict[str, str]:
        assert self.bed is not None
        return self.bed.env

    @property
    def module(self) -> Path:
        assert self.bed is not None
        return self.bed.module


def client_of(bed: beds.Bed, path: Path) -> Client:
    token = BedToken(path / "unused", label=bed.label.replace(" ", "%20"), pin=beds.PIN, bed=bed)
    client = Client(path / "client", token, None, wrapper=bed.wrapper)
    client.set("profile:web", key_type=None)
    for line in bed.settings:
        name, value = line.split(" = ", 1)
        assert name == "module-init-args"
        client.set("token:main", init_args=value)
    return client


@pytest.fixture
def nss(tmp_path: Path) -> Iterator[Client]:
    if reason := beds.why_not("NSS softokn"):
        pytest.skip(reason)
    (tmp_path / "nss").mkdir()
    with beds.nss(tmp_path / "nss") as bed:
        yield client_of(bed, tmp_path)


@pytest.fixture
def tpm(tmp_path: Path) -> Iterator[Client]:
    if reason := beds.why_not("tpm2-pkcs11"):
        pytest.skip(reason)
    (tmp_path / "tpm").mkdir()
    with beds.tpm(tmp_path / "tpm") as bed:
        yield client_of(bed, tmp_path)


def test_nss_says_of_its_own_keys_that_they_are_not(nss: Client) -> None:
    made = nss.json("key", "generate", "--label", "k", "--type", "ec:P-256")
    assert made["policy"] == "kept" and made["policy_notes"] == "CKA_LOCAL is false"
    assert made["module_claims"]["local"] is False and made["module_claims"]["extractable"] is False


def test_nss_answers_unknown_attributes_with_the_general_error(nss: Client) -> None:
    nss.set("policy:full", type="ec:P-256", allowed_mechanisms="CKM_ECDSA")
    made = nss.json("key", "generate", "--label", "k", "--policy", "full")
    assert made["fallbacks"] == [{"answer": "CKR_GENERAL_ERROR", "left_out": "CKA_ALLOWED_MECHANISMS"}]
    assert "CKA_ALLOWED_MECHANISMS is not shown" in made["policy_notes"]


def test_nss_would_replace_a_key_of_the_same_id(nss: Client) -> None:
    log = nss.rules()
    done = nss.run("key", "generate", "--label", "k", "--type", "ec:P-256", "--id", "01", status=27)
    assert "ids are never used twice" in done.stderr
    assert calls(log, "C_GenerateKeyPair") == []


def test_nss_renames_and_deletes(nss: Client) -> None:
    made = nss.json("key", "generate", "--label", "k", "--type", "rsa:2048")
    renamed = nss.json("key", "rename", made["uri"], "--label", "l")
    assert nss.json("key", "show", renamed["uri"])["label"] == "l"
    nss.run("key", "delete", renamed["uri"], "--yes")
    assert {k["label"] for k in nss.json("key", "list")["keys"]} == {"rsa", "ec"}


def test_tpm_is_asked_for_less_at_once(tpm: Client) -> None:
    tpm.set("policy:tpm", type="rsa:2048", more_usage="accept")
    log = tpm.rules()
    made = tpm.json("key", "generate", "--label", "k", "--policy", "tpm")
    assert made["left_out"] == "CKA_DECRYPT, CKA_UNWRAP, CKA_SIGN_RECOVER, CKA_DERIVE"
    assert made["policy"] == "kept" and made["policy_notes"] == "CKA_DECRYPT is true"
    assert len(calls(log, "C_GenerateKeyPair")) == 1


def test_tpm_key_that_does_more_is_refused_with_the_way_out(tpm: Client) -> None:
    done = tpm.run("key", "generate", "--label", "k", "--type", "rsa:2048", status=28)
    assert "CKA_DECRYPT is true (a policy with 'more_usage = accept' tolerates that)" in done.stderr
    assert "was destroyed again" in done.stderr
