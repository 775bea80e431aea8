"""What the provider's section in openssl.cnf says, and what the token sees of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from p11e import SHIM, SOFTHSM, Token, calls
from support import OpenSSL, first_error
from test_recovery import Signer, signing


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Token:
    made = Token(tmp_path_factory.mktemp("config")).init()
    made.make_key("EC:prime256v1", "01", "ec")
    return made


def configured(token: Token, path: Path, *lines: str, module: Path = SHIM) -> OpenSSL:
    made = OpenSSL(path, token, module=module)
    made.conf.write_text(made.conf.read_text().replace("[p11enroll]\n", "\n".join(["[p11enroll]", *lines, ""])))
    made.env.update(P11SHIM_MODULE=str(SOFTHSM), P11SHIM_LOG=str(path / "calls"))
    return made


def sign(signer: Signer, times: int) -> None:
    assert [signer.tell("sign") for _ in range(times)] == [["ok"]] * times


def test_keys_are_copied_at_the_second_use(token: Token, tmp_path: Path) -> None:
    with signing(configured(token, tmp_path), "ec") as signer:
        sign(signer, 1)
        assert calls(tmp_path / "calls", "C_CopyObject") == []
        sign(signer, 20)
        assert signer.end() == 0
    names = calls(tmp_path / "calls")
    assert names.count("C_CopyObject") == 1 and names.count("C_DestroyObject") == 1
    assert names.count("C_OpenSession") == 2 and names.count("C_Login") == 1


def test_no_call_of_bookkeeping_per_signature(token: Token, tmp_path: Path) -> None:
    with signing(configured(token, tmp_path), "ec") as signer:
        sign(signer, 2)
        before = len(calls(tmp_path / "calls"))
        sign(signer, 10)
        assert calls(tmp_path / "calls")[before:] == ["C_SignInit", "C_Sign"] * 10
        assert signer.end() == 0


def test_copying_can_be_turned_off(token: Token, tmp_path: Path) -> None:
    with signing(configured(token, tmp_path, "copy-keys = no"), "ec") as signer:
        sign(signer, 5)
        assert signer.end() == 0
    assert calls(tmp_path / "calls", "C_CopyObject") == []


@pytest.mark.parametrize("rv", ["0x54", "0x1b", "0x150"],
                         ids=["FUNCTION_NOT_SUPPORTED", "ACTION_PROHIBITED", "BUFFER_TOO_SMALL"])
def test_token_that_copies_nothing(token: Token, tmp_path: Path, rv: str) -> None:
    mine = configured(token, tmp_path)
    with signing(mine, "ec", P11SHIM_RULES=f"C_CopyObject:*:fail={rv}") as signer:
        sign(signer, 5)
        assert signer.end() == 0
    assert len(calls(tmp_path / "calls", "C_CopyObject")) == 1


def test_two_sessions_are_enough(token: Token, tmp_path: Path) -> None:
    """Then none is left over to keep copies in."""
    with signing(configured(token, tmp_path, "max-sessions = 2"), "ec") as signer:
        sign(signer, 5)
        assert signer.end() == 0
    names = calls(tmp_path / "calls")
    assert names.count("C_OpenSession") == 1 and "C_CopyObject" not in names


@pytest.mark.parametrize(("keep", "then"), [("yes", "ok"), ("no", "failed")])
def test_kept_pin_survives_its_source(token: Token, tmp_path: Path, keep: str, then: str) -> None:
    """Like a worker that gave up the right to read the PIN file."""
    source = tmp_path / "pin"
    source.write_text(token.pin + "\n")
    source.chmod(0o600)
    mine = configured(token, tmp_path, f"keep-pin = {keep}", f"pin-source = file:{source}")
    mine.conf.write_text(mine.conf.read_text().replace(f"pin-source = file:{token.pin_file}\n", ""))
    with signing(mine, "ec", P11SHIM_RULES="C_SignInit:2:fail=0x101") as signer:
        sign(signer, 1)
        source.unlink()
        answer = signer.tell("sign")
        assert answer[0] == then
        assert then == "ok" or str(source) in answer[1], answer


def test_key_of_no_supported_kind(tmp_path: Path) -> None:
    other = Token(tmp_path / "other").init()
    other.make_key("EC:secp256k1", "09", "odd")
    mine = OpenSSL(tmp_path, other)
    error = first_error(mine("pkey", "-in", mine.uri("odd"), "-noout", status=1))
    assert f"token '{other.label}'" in error
    assert "the private key that matches pkcs11:token=t1;object=odd;type=private is of no supported kind" in error
    listed = mine("storeutl", "-noout", f"pkcs11:token={other.label}")
    # OpenSSL 3.5.7 says nothing of an empty list
    assert listed.stdout in ("0: Total found: 0\n", "Total found: 0\n", "") and listed.stderr == ""


def test_quirk_no_finalise(token: Token, tmp_path: Path) -> None:
    for line, times in (("", 1), ("quirks = no-finalise", 0)):
        path = tmp_path / str(times)
        path.mkdir()
        mine = configured(token, path, line)
        mine("pkey", "-in", mine.uri("ec"), "-noout")
        assert len(calls(path / "calls", "C_Finalize")) == times
        assert calls(path / "calls", "C_Login") == ["C_Login"]


def test_quirks_are_those_of_the_configured_module(token: Token, tmp_path: Path) -> None:
    """A URI may name another one."""
    mine = configured(token, tmp_path, "quirks = no-finalise", module=SOFTHSM)
    mine("pkey", "-in", f"pkcs11:object=ec;type=private?module-path={SHIM}&pin-source=file:{token.pin_file}", "-noout")
    assert len(calls(tmp_path / "calls", "C_Finalize")) == 1


def test_quirk_no_finalise_spares_a_module_that_hangs(token: Token, tmp_path: Path) -> None:
    mine = configured(token, tmp_path, "quirks = no-finalise")
    mine.env["P11SHIM_RULES"] = "C_Finalize:*:hang"
    mine("pkey", "-in", mine.uri("ec"), "-noout")


def test_quirk_no_copy(token: Token, tmp_path: Path) -> None:
    with signing(configured(token, tmp_path, "quirks = no-copy"), "ec") as signer:
        sign(signer, 5)
        assert signer.end() == 0
    names = calls(tmp_path / "calls")
    assert "C_CopyObject" not in names and names.count("C_OpenSession") == 1


def test_quirk_no_allowed_mechanisms(token: Token, tmp_path: Path) -> None:
    """Against a module that fails altogether when it is asked for an attribute that it does not know."""
    mine = configured(token, tmp_path, "quirks = no-finalise, no-allowed-mechanisms")
    mine.env["P11SHIM_ATTRIBUTE"] = "40000600=5"
    mine("pkey", "-in", mine.uri("ec"), "-noout")
    mine.conf.write_text(mine.conf.read_text().replace(", no-allowed-mechanisms", ""))
    error = first_error(mine("pkey", "-in", mine.uri("ec"), "-noout", status=1))
    assert f"token '{token.label}'" in error and "C_GetAttributeValue: CKR_GENERAL_ERROR" in error


def without_source(mine: OpenSSL, *lines: str) -> OpenSSL:
    text = mine.conf.read_text().replace(f"pin-source = file:{mine.token.pin_file}\n", "")
    mine.conf.write_text(text.replace("[p11enroll]\n", "\n".join(["[p11enroll]", *lines, ""])))
    return mine


@pytest.mark.parametrize("name", ["pin", "pkcs11-module-token-pin"])
def test_pin_as_a_value(token: Token, tmp_path: Path, name: str) -> None:
    mine = without_source(configured(token, tmp_path), f"{name} = {token.pin}")
    mine("pkey", "-in", mine.uri("ec"), "-noout")


def test_source_under_the_name_that_the_peer_has(token: Token, tmp_path: Path) -> None:
    mine = without_source(configured(token, tmp_path), f"pkcs11-module-token-pin = file:{token.pin_file}")
    mine("pkey", "-in", mine.uri("ec"), "-noout")


def test_configured_pin_goes_to_the_configured_token_alone(tmp_path: Path) -> None:
    two = Token(tmp_path / "two").init()
    two.add("t2")
    two.make_key("EC:prime256v1", "01", "ec")
    mine = configured(two, tmp_path, "token = pkcs11:token=t1")
    mine("pkey", "-in", mine.uri("ec"), "-noout")
    assert len(calls(tmp_path / "calls", "C_Login")) == 1
    error = first_error(mine("pkey", "-in", "pkcs11:token=t2;object=ec;type=private", "-noout", "-passin", "pass:",
                             status=1))
    assert "token 't2'" in error
    assert len(calls(tmp_path / "calls", "C_Login")) == 1
    mine("pkey", "-in", "pkcs11:token=t2;object=ec;type=private", "-noout", "-passin", f"pass:{two.pin}x", status=1)
    assert len(calls(tmp_path / "calls", "C_Login")) == 2  # the application's own, which is wrong


def of_module(mine: OpenSSL, path: Path) -> str:
    return mine.uri("ec", **{"module-path": str(path)})


def test_configured_pin_goes_to_the_configured_module_alone(token: Token, tmp_path: Path) -> None:
    """A module of somebody else's may say of its token whatever it likes."""
    mine = configured(token, tmp_path, module=SOFTHSM)
    error = first_error(mine("pkey", "-in", of_module(mine, SHIM), "-noout", "-passin", "pass:", status=1))
    assert "the configured PIN is for another module" in error
    assert calls(tmp_path / "calls", "C_Login") == []
    mine("pkey", "-in", of_module(mine, SHIM), "-noout", "-passin", f"pass:{token.pin}")
    assert len(calls(tmp_path / "calls", "C_Login")) == 1  # with the application's


def test_copy_of_the_configured_module_is_another(token: Token, tmp_path: Path) -> None:
    shutil.copy(SHIM, tmp_path / "copy.so")
    mine = configured(token, tmp_path)
    mine("pkey", "-in", of_module(mine, tmp_path / "copy.so"), "-noout", "-passin", "pass:", status=1)
    assert calls(tmp_path / "calls", "C_Login") == []


def test_configured_module_by_another_name(token: Token, tmp_path: Path) -> None:
    (tmp_path / "link.so").symlink_to(SHIM)
    mine = configured(token, tmp_path)
    mine("pkey", "-in", of_module(mine, tmp_path / "link.so"), "-noout")
    assert len(calls(tmp_path / "calls", "C_Login")) == 1


def test_configured_argument_goes_to_the_configured_module_alone(token: Token, tmp_path: Path) -> None:
    """SoftHSM refuses every argument."""
    mine = configured(token, tmp_path, "module-init-args = x")
    assert "CKR_ARGUMENTS_BAD" in first_error(mine("pkey", "-in", mine.uri("ec"), "-noout", status=1))
    mine("pkey", "-in", of_module(mine, SOFTHSM), "-noout", "-passin", f"pass:{token.pin}")


@pytest.mark.parametrize(("line", "sentence"), [
    ("pin = 1234", "there is a PIN and a pin-source"),
    ("token = t1", "token"),
    ("token = pkcs11:object=ec", "token = pkcs11:object=ec names no token"),
    ("quirks = no-copy, no-fun", "quirks: there is no 'no-fun'; there are no-finalise, no-copy, no-allowed-mechanisms"),
    ("copy-keys = maybe", "copy-keys = maybe is neither yes nor no"),
    ("keep-pin = 7", "keep-pin = 7 is neither yes nor no"),
    ("pin_source = file:/x", "there is no setting 'pin_source' here; it is 'pin-source'"),
    ("keep_pin = yes", "there is no setting 'keep_pin' here; it is 'keep-pin'"),
    ("max-sessions = 1", "max-sessions = 1 is no number from 2 to 64"),
    ("max-sessions = 0", "max-sessions = 0 is no number from 2 to 64"),
])
def test_setting_that_cannot_be_read(token: Token, tmp_path: Path, line: str, sentence: str) -> None:
    mine = configured(token, tmp_path, line)
    error = first_error(mine("pkey", "-in", mine.uri("ec"), "-noout", status=1))
    assert f"the provider's section in openssl.cnf: {sentence}" in error
    assert calls(tmp_path / "calls") == []
