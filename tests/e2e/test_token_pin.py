"""Setting, changing and unblocking PINs; tokens that were swapped; slots that cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from beds import BEDS, Bed, why_not
from p11e import Client, Token, calls, clean_env, private_file, run
from test_bind import certificate, made_key

NEW = "87654321"


def source(path: Path) -> str:
    return f"file:{path}"


def new_pin(client: Client, text: str = NEW) -> str:
    return source(private_file(client.dir / "new", text + "\n"))


def test_user_changes_the_pin(offline: Client, token: Token) -> None:
    done = offline.json("token", "pin", "change", "--new-pin-source", new_pin(offline))
    assert done["result"] == "changed" and done["verified"] is True and done["pin_of"] == "user"
    offline.run("key", "list", status=22)
    offline.run("key", "list", "--pin-source", new_pin(offline))


def test_change_with_a_wrong_pin_costs_one_try(offline: Client, token: Token) -> None:
    private_file(token.pin_file, "00000000\n")
    log = offline.rules()
    done = offline.run("token", "pin", "change", "--new-pin-source", new_pin(offline), status=22)
    assert "CKR_PIN_INCORRECT" in done.stderr and "token 't1'" in done.stderr
    offline.run("token", "pin", "change", "--new-pin-source", new_pin(offline), status=23)
    offline.run("key", "list", status=23)
    assert len(calls(log, "C_Login")) == 1 and calls(log, "C_SetPIN") == []


@pytest.mark.parametrize("pin", ["123", "x" * 300])
def test_new_pin_of_a_wrong_length_is_not_sent(offline: Client, pin: str) -> None:
    log = offline.rules()
    done = offline.run("token", "pin", "change", "--new-pin-source", new_pin(offline, pin), status=2)
    assert "the PIN of the user has" in done.stderr and "nothing was changed" in done.stderr
    assert calls(log, "C_Login") == []


@pytest.mark.parametrize("action", ["set", "unblock"])
def test_security_officer_sets_the_user_pin(offline: Client, token: Token, action: str) -> None:
    private_file(token.pin_file, "00000000\n")
    offline.run("key", "list", status=22)
    done = offline.json("token", "pin", action, "--so-pin-source", source(token.so_pin_file),
                        "--new-pin-source", new_pin(offline))
    assert done["result"] == {"set": "set", "unblock": "unblocked"}[action]
    private_file(token.pin_file, NEW + "\n")
    offline.run("key", "list")  # what was remembered of the old PIN is over


def test_token_that_does_not_answer_after_its_pin_was_set(offline: Client, token: Token) -> None:
    """libp11 asks it once more, and cannot release what it knows of it after that."""
    args = ("token", "pin", "set", "--so-pin-source", source(token.so_pin_file), "--new-pin-source", new_pin(offline))
    log = offline.rules()
    offline.run(*args)
    names = calls(log)
    asked = names[:names.index("C_InitPIN") + 2].count("C_GetTokenInfo")
    assert names[names.index("C_InitPIN") + 1] == "C_GetTokenInfo"
    offline.rules(f"C_GetTokenInfo:{asked}:fail=0x30")
    done = offline.run(*args, status=29)
    assert "C_InitPIN: CKR_DEVICE_ERROR" in done.stderr
    private_file(token.pin_file, NEW + "\n")
    offline.no_rules()
    offline.run("key", "list")


def test_security_officer_changes_the_own_pin(offline: Client, token: Token) -> None:
    fresh = source(private_file(offline.dir / "new-so", NEW))
    done = offline.json("token", "pin", "change-so", "--so-pin-source", source(token.so_pin_file),
                        "--new-so-pin-source", fresh)
    assert done["pin_of"] == "security officer" and done["verified"] is True
    offline.run("token", "pin", "set", "--so-pin-source", fresh, "--new-pin-source", new_pin(offline))


def test_wrong_pin_of_the_security_officer_is_not_sent_twice(offline: Client, token: Token) -> None:
    bad = source(private_file(offline.dir / "bad", "00000000"))
    log = offline.rules()
    args = ("token", "pin", "set", "--new-pin-source", new_pin(offline))
    offline.run(*args, "--so-pin-source", bad, status=22)
    done = offline.run(*args, "--so-pin-source", bad, status=23)
    assert "it has not changed since" in done.stderr
    assert len(calls(log, "C_Login")) == 1
    offline.run(*args, "--so-pin-source", source(token.so_pin_file))


def test_final_try_of_the_security_officer_is_not_used_up(offline: Client, token: Token) -> None:
    log = offline.rules(P11SHIM_FLAGS="0x200000")  # CKF_SO_PIN_FINAL_TRY
    done = offline.run("token", "pin", "set", "--so-pin-source", source(token.so_pin_file),
                       "--new-pin-source", new_pin(offline), "--try-pin-again", status=23)
    assert "one try left for the security officer's PIN" in done.stderr
    assert calls(log, "C_Login") == []


@pytest.mark.parametrize(("args", "option"), [
    (("token", "pin", "set"), "--so-pin-source"), (("token", "pin", "change"), "--new-pin-source"),
    (("token", "init", "--label", "x"), "--so-pin-source")])
def test_pin_that_nobody_can_type_names_its_option(offline: Client, args: tuple[str, ...], option: str) -> None:
    done = offline.run(*args, status=24, start_new_session=True)
    assert f"give {option}" in done.stderr and "there is no terminal" in done.stderr


def test_failure_of_the_change_leaves_the_pin(offline: Client) -> None:
    offline.rules("C_SetPIN:1:fail=0x6")
    done = offline.run("token", "pin", "change", "--new-pin-source", new_pin(offline), status=29)
    assert "the PIN is as it was" in done.stderr and "C_SetPIN: CKR_FUNCTION_FAILED" in done.stderr
    offline.no_rules()
    offline.run("key", "list")


def test_pin_that_was_never_sent_is_not_remembered(offline: Client) -> None:
    log = offline.rules("C_OpenSession:*:fail=0x5")
    done = offline.run("token", "pin", "change", "--new-pin-source", new_pin(offline), status=29)
    assert "C_OpenSession: CKR_GENERAL_ERROR" in done.stderr and calls(log, "C_Login") == []
    assert list((offline.state / "pins").glob("*")) == []
    offline.no_rules()
    offline.run("key", "list")


def test_change_that_did_not_take_is_noticed(offline: Client) -> None:
    offline.rules("C_Login:2:fail=0xa0")
    done = offline.run("token", "pin", "change", "--new-pin-source", new_pin(offline), status=22)
    assert "the PIN was set, and a login with the new one fails" in done.stderr


@pytest.fixture(params=["opencryptoki", "tpm2-pkcs11"])
def bed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bed]:
    reason = why_not(request.param)
    if reason is not None:
        pytest.skip(reason)
    with BEDS[request.param](tmp_path) as made:
        yield made


def test_pins_of_other_tokens(bed: Bed, tmp_path: Path) -> None:
    client = Client(tmp_path / "client", Token(tmp_path / "unused"), None, wrapper=bed.wrapper, env=bed.env)
    client.set("token:main", module=str(bed.module), uri=f"pkcs11:token={bed.label}", pin_source=source(bed.pin_file))
    so = source(private_file(tmp_path / "so", "87654321"))
    client.run("token", "pin", "change", "--new-pin-source", new_pin(client, "11223344"))
    client.run("token", "pin", "set", "--so-pin-source", so, "--new-pin-source", new_pin(client, "55667788"))
    client.run("key", "list", "--pin-source", new_pin(client, "55667788"))


# Identity


def swap(token: Token, offline: Client) -> None:
    """Another token under the same label."""
    run(["softhsm2-util", "--delete-token", "--token", "t1"], env=clean_env(**token.env))
    token.add("t1")


def test_swapped_token_gets_no_pin(offline: Client, token: Token) -> None:
    offline.run("key", "list")
    before = offline.json("token", "info")["serial"]
    swap(token, offline)
    now = offline.json("token", "info")["serial"]
    log = offline.rules()
    for args in (("key", "list"), ("token", "pin", "change", "--new-pin-source", new_pin(offline))):
        done = offline.run(*args, status=21)
        assert f"was used with the token 't1' (serial {before}" in done.stderr
        assert f"in its place is 't1' (serial {now}" in done.stderr
        assert "token accept --token main" in done.stderr
    assert calls(log, "C_Login") == []


def test_swapped_token_can_be_accepted(offline: Client, token: Token) -> None:
    offline.run("key", "list")
    before = offline.json("token", "info")["serial"]
    swap(token, offline)
    accepted = offline.json("token", "accept", "--token", "main")
    assert accepted["before_serial"] == before and accepted["serial"] != before
    offline.run("key", "list")


def test_swapped_token_is_not_erased(offline: Client, token: Token) -> None:
    offline.run("key", "list")
    swap(token, offline)
    token.make_key("EC:prime256v1", "01", "precious")
    log = offline.rules()
    erase = ("token", "init", "--label", "t1", "--erase", "--so-pin-source", source(token.so_pin_file))
    done = offline.run(*erase, status=21)
    assert "was used with the token 't1'" in done.stderr and "token accept --token main" in done.stderr
    assert calls(log, "C_InitToken") == [] and "precious" in token.tool("-O")
    offline.no_rules()
    offline.run("token", "accept", "--token", "main")
    offline.run(*erase)
    assert token.objects() == []


def test_erased_token_is_remembered_by_its_new_label(offline: Client, token: Token) -> None:
    serial = offline.json("token", "info")["serial"]
    offline.set("token:main", uri=f"pkcs11:serial={serial}")
    offline.run("key", "list")
    offline.run("token", "init", "--label", "anew", "--erase", "--so-pin-source", source(token.so_pin_file))
    offline.run("key", "list")
    assert offline.json("token", "accept", "--token", "main")["before_label"] == "anew"


def test_token_is_known_by_what_it_says_not_by_its_slot(offline: Client, token: Token) -> None:
    offline.run("key", "list")
    for n in range(3):
        token.add(f"other{n}")
    run(["softhsm2-util", "--delete-token", "--token", "other0"], env=clean_env(**token.env))
    offline.run("key", "list")


def test_another_uri_in_the_section_means_another_token(offline: Client, token: Token) -> None:
    offline.run("key", "list")
    token.add("second")
    offline.set("token:main", uri="pkcs11:token=second")
    offline.run("key", "list")


def test_token_without_a_section_is_not_remembered(offline: Client, token: Token) -> None:
    uri = f"pkcs11:token=t1;object=x?module-path={token.module}"
    offline.settings.pop("token:main")
    offline.run("key", "show", uri, "--pin-source", source(token.pin_file), status=25)
    assert not (offline.state / "tokens").exists()
    done = offline.run("token", "accept", "--token-uri", "pkcs11:token=t1", "--module", str(token.module), status=2)
    assert "no [token:NAME] section" in done.stderr


# Slots


def test_slot_that_cannot_be_read_does_not_hide_the_others(offline: Client, token: Token) -> None:
    token.add("second")
    tokens = offline.json("token", "list")["tokens"]
    for n in range(1, len(tokens) + 1):
        offline.rules(f"C_GetTokenInfo:{n}:fail=0x30")
        listed = offline.json("token", "list")
        assert len(listed["tokens"]) == len(tokens) - 1
        (failed,) = listed["failed_slots"]
        assert failed["call"] == "C_GetTokenInfo" and failed["reason"] == "CKR_DEVICE_ERROR"
    seen = offline.run("token", "list").stdout
    assert "SLOT THAT CANNOT BE READ" in seen and "CKR_DEVICE_ERROR" in seen
    offline.rules(f"C_GetTokenInfo:{len(tokens)}:fail=0x30")  # the blank one is the last
    offline.run("key", "list")


@pytest.fixture
def beside_a_bad_slot(offline: Client, token: Token) -> Path:
    """libp11 lists all slots or none, and one of them cannot be read."""
    token.add("second")
    return offline.rules(P11SHIM_BAD_TOKEN="second")


def test_pins_are_set_beside_a_slot_that_cannot_be_read(offline: Client, token: Token,
                                                        beside_a_bad_slot: Path) -> None:
    so, fresh = source(token.so_pin_file), source(private_file(offline.dir / "new-so", "11223344"))
    assert offline.json("token", "list")["failed_slots"]
    offline.run("token", "pin", "change", "--new-pin-source", new_pin(offline))
    offline.run("token", "pin", "change-so", "--so-pin-source", so, "--new-so-pin-source", fresh)
    offline.run("token", "pin", "unblock", "--so-pin-source", fresh, "--new-pin-source", source(token.pin_file))
    offline.run("key", "list")
    assert len(calls(beside_a_bad_slot, "C_SetPIN")) == 2 and len(calls(beside_a_bad_slot, "C_InitPIN")) == 1


def test_wrong_pins_count_beside_a_slot_that_cannot_be_read(offline: Client, token: Token,
                                                            beside_a_bad_slot: Path) -> None:
    private_file(token.pin_file, "00000000\n")
    done = offline.run("token", "pin", "change", "--new-pin-source", new_pin(offline), status=22)
    assert "C_Login: CKR_PIN_INCORRECT" in done.stderr
    offline.run("token", "pin", "change", "--new-pin-source", new_pin(offline), status=23)
    assert len(calls(beside_a_bad_slot, "C_Login")) == 1


def test_token_is_initialised_beside_a_slot_that_cannot_be_read(offline: Client, token: Token,
                                                                beside_a_bad_slot: Path) -> None:
    so = source(token.so_pin_file)
    offline.set("token:main", uri="pkcs11:token=fresh")
    offline.run("token", "init", "--label", "fresh", "--so-pin-source", so)
    offline.run("key", "generate", "--label", "k", "--type", "ec:P-256")
    offline.run("token", "init", "--label", "newer", "--erase", "--so-pin-source", so)
    offline.set("token:main", uri="pkcs11:token=newer")
    assert offline.json("key", "list")["keys"] == []
    assert len(calls(beside_a_bad_slot, "C_InitToken")) == 2


def test_missing_token_is_explained_with_the_slots_that_failed(offline: Client, token: Token) -> None:
    token.add("second")
    log = offline.rules()
    offline.run("key", "list", "--token-uri", "pkcs11:token=nobody", status=21)
    offline.rules(f"C_GetSlotInfo:{len(calls(log, 'C_GetSlotInfo'))}:fail=0x30")
    done = offline.run("key", "list", "--token-uri", "pkcs11:token=nobody", status=21)
    assert "cannot be read: C_GetSlotInfo: CKR_DEVICE_ERROR" in done.stderr


def test_module_that_answers_for_no_slot_is_an_error(offline: Client) -> None:
    offline.rules("C_GetTokenInfo:*:fail=0x30")
    done = offline.run("token", "list", status=None)
    assert done.returncode != 0 and "C_GetTokenInfo: CKR_DEVICE_ERROR" in done.stderr


# Modules


def test_library_that_only_links_a_module_is_none(offline: Client, tmp_path: Path) -> None:
    text = tmp_path / "lib.c"
    text.write_text("int unrelated(void) { return 1; }\n")
    library = tmp_path / "library.so"
    run(["gcc", "-shared", "-fPIC", "-Wl,--no-as-needed", "-o", str(library), str(text), "-l:libp11-kit.so.0"])
    offline.set("token:main", module=str(library))
    done = offline.run("token", "list", status=20)
    assert "its C_GetFunctionList is that of another library" in done.stderr and "libp11-kit.so" in done.stderr


# Roles


def test_token_that_wants_the_security_officer_is_told_apart(offline: Client) -> None:
    offline.rules("C_GenerateKeyPair:*:fail=0x103")
    done = offline.run("key", "generate", "--label", "k", "--type", "ec:P-256", status=29)
    assert "CKR_USER_TYPE_INVALID" in done.stderr and "generate_as = so" in done.stderr


def test_security_officer_generates_if_the_section_says_so(offline: Client, token: Token) -> None:
    offline.set("token:main", generate_as="so", so_pin_source=source(token.so_pin_file))
    log = offline.rules()
    done = offline.run("key", "generate", "--label", "k", "--type", "ec:P-256", status=29)
    # SoftHSM lets nobody but the user do it: the refusal shows who was logged in.
    assert "CKR_USER_NOT_LOGGED_IN" in done.stderr and len(calls(log, "C_Login")) == 1
    assert "this token wants its user for it (leave the setting out)" in done.stderr
    offline.run("key", "list")


def test_security_officer_writes_certificates_if_the_section_says_so(client: Client, token: Token) -> None:
    """Private keys are not to be seen as security officer, so the key is looked at before."""
    uri = made_key(client)
    first, second = certificate(client, uri, "www.example.org"), certificate(client, uri, "www.example.org", 80)
    client.set("token:main", write_certificates_as="so", so_pin_source=source(token.so_pin_file))
    client.run("cert", "bind", "--key", uri, "--cert", str(first))
    log = client.rules()
    done = client.json("cert", "bind", "--key", uri, "--cert", str(second))
    assert done["old_removed"] == 1 and len(calls(log, "C_Login")) == 2
    client.run("cert", "undo", uri)
    client.run("cert", "remove", "pkcs11:object=www;type=cert", "--yes")
    assert client.json("key", "show", uri)["certificates"] == []


def test_pin_of_the_security_officer_has_to_come_from_somewhere(offline: Client) -> None:
    offline.set("token:main", generate_as="so")
    done = offline.run("key", "generate", "--label", "k", status=24, start_new_session=True)
    assert "so_pin_source" in done.stderr and "there is no terminal" in done.stderr
