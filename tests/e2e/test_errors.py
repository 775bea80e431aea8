"""What goes wrong gives one clear sentence, its own exit status, and no change on the token."""

from __future__ import annotations

import pytest
from p11e import MODULES, SHIM, Client, Token, calls, private_file

ENROLL = ("enroll", "--name", "www.example.org", "--key", "pkcs11:object=mine", "--deadline", "2s")


@pytest.fixture
def keyed(client: Client, token: Token) -> Client:
    """A client whose token has a key already: then nothing at all may change on a failure."""
    token.make_key("EC:prime256v1", "0102", "mine")
    return client


def fails(client: Client, status: int, *texts: str, args: tuple[str, ...] = ENROLL) -> str:
    before = client.token.snapshot()
    done = client.run(*args, status=status)
    sentences = [line for line in done.stderr.splitlines() if line.startswith("p11enroll: ")]
    assert len(sentences) == 1, done.stderr
    for text in texts:
        assert text in sentences[0], sentences[0]
    assert client.token.snapshot() == before
    return sentences[0]


def test_wrong_pin(keyed: Client) -> None:
    wrong = private_file(keyed.dir / "wrong", "not-the-pin\n")
    keyed.set("token:main", pin_source=f"file:{wrong}")
    fails(keyed, 22, "token 't1'", "the PIN is wrong", "CKR_PIN_INCORRECT")


def test_wrong_pin_is_sent_once(keyed: Client) -> None:
    wrong = private_file(keyed.dir / "wrong", "not-the-pin\n")
    log = keyed.rules()
    keyed.set("token:main", pin_source=f"file:{wrong}")
    keyed.run(*ENROLL, status=22)
    assert len(calls(log, "C_Login")) == 1


@pytest.mark.parametrize(("flags", "text"), [("40000", "is locked"), ("20000", "one try left")])
def test_locked_pin_and_final_try_are_not_touched(keyed: Client, flags: str, text: str) -> None:
    log = keyed.rules(P11SHIM_FLAGS=flags)
    keyed.run(*ENROLL, status=23)
    done = keyed.run(*ENROLL, status=23)
    assert text in done.stderr
    assert calls(log, "C_Login") == []


def test_missing_pin(keyed: Client) -> None:
    keyed.set("token:main", pin_source=None)
    fails(keyed, 24, "PIN of token 't1'", "no terminal")


def test_open_pin_file(keyed: Client) -> None:
    keyed.token.pin_file.chmod(0o644)
    fails(keyed, 4, "open to other users", "chmod 600")


def test_missing_token(keyed: Client) -> None:
    keyed.set("token:main", uri="pkcs11:token=nobody")
    fails(keyed, 21, "no token matches pkcs11:token=nobody", "token 't1'")


def test_missing_module(keyed: Client) -> None:
    keyed.set("token:main", module="/nowhere/module.so")
    fails(keyed, 20, "/nowhere/module.so", "No such file")


def test_module_that_is_none(keyed: Client) -> None:
    keyed.set("token:main", module=str(MODULES.parent / "libz.so.1"))
    fails(keyed, 20, "not a PKCS#11 module")


def test_module_that_does_not_start(keyed: Client) -> None:
    keyed.rules("C_Initialize:1:fail=0x5")
    keyed.run(*ENROLL, status=20)


def test_two_tokens_with_one_label(keyed: Client) -> None:
    keyed.token.add("t1")
    done = keyed.run(*ENROLL, status=26)
    assert "several tokens match" in done.stderr and "serial" in done.stderr


def test_two_keys_with_one_label(keyed: Client) -> None:
    keyed.token.make_key("EC:prime256v1", "0304", "mine")
    fails(keyed, 26, "2 private keys", "0102", "0304")


def test_missing_key(keyed: Client) -> None:
    fails(keyed, 25, "no private key that matches",
          args=("enroll", "--name", "a.example.org", "--key", "pkcs11:object=other"))


def test_pin_in_a_uri_is_refused(keyed: Client) -> None:
    sentence = fails(keyed, 2, "a PIN does not belong into a URI",
                     args=("enroll", "--name", "a.example.org", "--key",
                           "pkcs11:object=mine?pin-value=98765432"))
    assert "98765432" not in sentence


@pytest.mark.parametrize(("cert", "text"), [
    ("expired", "outside its validity"), ("wrong-name", "for another name"),
    ("unknown-ca", "issued by a CA that"), ("self-signed", "issued by a CA that")])
def test_server_certificate(keyed: Client, cert: str, text: str) -> None:
    assert keyed.sandbox is not None
    keyed.sandbox.set(tls_cert=cert)
    fails(keyed, 41, "the server's certificate", text)


def test_server_that_is_not_there(keyed: Client) -> None:
    keyed.set("ca:sandbox", url="https://127.0.0.1:9")
    fails(keyed, 40, "https://127.0.0.1:9")


def test_name_that_does_not_exist(keyed: Client) -> None:
    keyed.set("ca:sandbox", url="https://no-such-host.invalid")
    fails(keyed, 40, "cannot be looked up")


@pytest.mark.parametrize("body", ["json", "empty", "html"])
def test_http_401(keyed: Client, body: str) -> None:
    assert keyed.sandbox is not None
    keyed.sandbox.set(auth="refuse", auth_reply=body)
    fails(keyed, 42, "HTTP 401")


def test_http_403(keyed: Client) -> None:
    assert keyed.sandbox is not None
    keyed.sandbox.set(auth="refuse", auth_reply="403")
    fails(keyed, 43, "HTTP 403")


def test_http_500(keyed: Client) -> None:
    assert keyed.sandbox is not None
    keyed.sandbox.set(fault_path="/ssl/v1/types", fail_status=500)
    fails(keyed, 45, "HTTP 500", "after 3 tries")


def test_html_instead_of_json(keyed: Client) -> None:
    assert keyed.sandbox is not None
    keyed.sandbox.set(fault_path="/ssl/v1/types", fail_status=200, fail_body="html")
    fails(keyed, 46, "a web page instead of the API")


def test_redirect_is_not_followed(keyed: Client) -> None:
    assert keyed.sandbox is not None
    keyed.sandbox.set(redirect="302")
    fails(keyed, 46, "HTTP 302", "redirects")


def test_answer_without_end(keyed: Client) -> None:
    assert keyed.sandbox is not None
    keyed.sandbox.set(fault_path="/ssl/v1/types", body="huge")
    fails(keyed, 46, "longer than")


def test_unknown_client_certificate(keyed: Client) -> None:
    assert keyed.sandbox is not None
    s = keyed.sandbox
    keyed.set("ca:sandbox", client_cert=str(s.dir / "client-other.pem"), client_alias=None,
              client_key=str(s.dir / "client-other.key"), client_password_source=None)
    fails(keyed, 42, "HTTP 401")


def test_client_certificate_that_tls_refuses(keyed: Client) -> None:
    assert keyed.sandbox is not None
    s = keyed.sandbox
    keyed.set("ca:sandbox", client_cert=str(s.dir / "client-noeku.pem"), client_alias=None,
              client_key=str(s.dir / "client-noeku.key"), client_password_source=None)
    fails(keyed, 41, "the server refused our client certificate")


@pytest.mark.parametrize(("what", "text"), [
    ("other-key", "none is for the key"), ("leaf-missing", "none is for the key"),
    ("other-san", "lacks names that were ordered"), ("no-san", "lacks names that were ordered"),
    ("expired", "the certificate expired"), ("not-yet-valid", "is valid from"),
    ("wrong-issuer", "does not lead to a trusted root")])
def test_certificate_that_is_not_what_was_ordered(keyed: Client, what: str, text: str) -> None:
    assert keyed.sandbox is not None
    keyed.sandbox.set(certificate=what)
    fails(keyed, 50, text, "it is kept in")
    kept = keyed.state / "rejected" / "order-1.pem"
    assert "BEGIN CERTIFICATE" in kept.read_text() and kept.stat().st_mode & 0o077 == 0
    fails(keyed, 50, args=("order", "wait", "1"))


@pytest.mark.parametrize("option", ["--cert-out", "--chain-out"])
def test_place_of_the_result_is_checked_before_anything_is_ordered(keyed: Client, option: str) -> None:
    assert keyed.sandbox is not None
    for path, text in (("/nonexistent/x.pem", "cannot be written"), (str(keyed.dir), "is a directory")):
        fails(keyed, 4, path, text, args=(*ENROLL, option, path))
    assert keyed.sandbox.posts() == 0


def test_junk_in_files_of_our_own_is_not_the_ca_s_fault(keyed: Client) -> None:
    junk = keyed.dir / "junk"
    junk.write_text("no certificate")
    fails(keyed, 4, str(junk), args=("cert", "bind", "--key", "pkcs11:object=mine", "--cert", str(junk)))
    keyed.run(*ENROLL, "--cert-out", str(keyed.dir / "cert.pem"))
    fails(keyed, 3, str(junk), args=("cert", "bind", "--key", "pkcs11:object=mine", "--cert",
                                     str(keyed.dir / "cert.pem"), "--issuer-roots", str(junk)))


def test_missing_password_of_the_ca_account(keyed: Client) -> None:
    keyed.set("ca:sandbox", auth="password", password_source=None)
    sentence = fails(keyed, 3, "password of the CA account", "'password_source'")
    assert "pin_source" not in sentence


def test_control_characters_in_a_message_do_not_reach_the_terminal(keyed: Client) -> None:
    done = keyed.run(*ENROLL, "--product", "a\x1b[31mb", status=44)
    assert "\x1b" not in done.stderr and "\\x1b[31m" in done.stderr


def test_certificate_as_pkcs7_is_understood(keyed: Client) -> None:
    assert keyed.sandbox is not None
    keyed.sandbox.set(certificate="pkcs7")
    keyed.run(*ENROLL)


def test_certificate_that_is_garbage(keyed: Client) -> None:
    assert keyed.sandbox is not None
    keyed.sandbox.set(certificate="garbage")
    fails(keyed, 46, "there is no certificate")


def test_preflight_refuses_before_a_key_is_made(client: Client, token: Token) -> None:
    client.set("profile:web", product="1017")
    fails(client, 44, "no term of 199 days", args=("enroll", "--name", "a.example.org"))
    client.set("profile:web", term="90")
    fails(client, 44, "does not take EC P-256 keys", args=("enroll", "--name", "a.example.org"))
    client.set("profile:web", key_type="ed25519")
    client.set("ca:sandbox", public_trust="no")  # else it is not even asked
    fails(client, 44, "does not take Ed25519 keys; it takes: RSA", args=("enroll", "--name", "a.example.org"))
    client.set("profile:web", product="4711")
    fails(client, 44, "no product '4711'", args=("enroll", "--name", "a.example.org"))
    assert token.objects() == []
    assert client.json("order", "list")["orders"] == []


def test_refusal_by_the_ca_is_told_and_can_be_tried_again(keyed: Client) -> None:
    assert keyed.sandbox is not None
    keyed.sandbox.set(validated_domains="example.com")
    sentence = fails(keyed, 44, "enroll: POST", "HTTP 400", "code -")
    assert "www.example.org" in sentence
    keyed.sandbox.set(validated_domains="*")
    keyed.run(*ENROLL)
    assert len(keyed.sandbox.orders()) == 1


def test_token_that_hangs_ends_the_command(keyed: Client) -> None:
    keyed.rules("C_Sign:1:hang")
    done = keyed.run(*ENROLL, "--token-timeout", "2s", status=30)
    assert "C_Sign did not come back" in done.stderr and str(SHIM) in done.stderr
    keyed.no_rules()
    keyed.run(*ENROLL)


def test_full_journal_disk_stops_before_anything_is_sent(keyed: Client) -> None:
    keyed.state.mkdir(parents=True)
    keyed.set("p11enroll", state_dir="/dev/full/state")
    keyed.run(*ENROLL, status=4)
    assert keyed.sandbox is not None and keyed.sandbox.requests() == []


def test_damaged_journal(keyed: Client) -> None:
    keyed.state.mkdir(parents=True)
    (keyed.state / "journal.db").write_text("this is not a database, but long enough to look like one" * 20)
    fails(keyed, 60, "journal.db", "not a database")
    assert keyed.sandbox is not None and keyed.sandbox.requests() == []


@pytest.mark.parametrize(("args", "text"), [
    (("frobnicate",), "there is no command 'frobnicate'"),
    (("key", "frobnicate"), "there is no command 'key frobnicate'"),
    (("enroll", "--frobnicate"), "has no option --frobnicate"),
    (("enroll",), "--name is missing"),
    (("enroll", "--name", "a b..c"), "is no DNS name"),
    (("key", "show"), "URI is missing"),
    (("key", "show", "a", "b"), "is not expected here"),
    (("enroll", "--name"), "--name needs a value"),
    (("enroll", "--json=1", "--name", "x"), "--json takes no value"),
])
def test_usage(client: Client, args: tuple[str, ...], text: str) -> None:
    from p11e import P11ENROLL, run

    if args[0] == "enroll" and args[-1] == "--name":
        done = run([str(P11ENROLL), *args], check=False, env=client.full_env())
    else:
        done = client.run(*args, status=2)
    assert done.returncode == 2 and text in done.stderr, done.stderr
