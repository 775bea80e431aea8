"""Output as recorded: the shape of each command's JSON, and what people see, with the changing parts masked."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from p11e import ROOT, Client, private_file

GOLDEN = ROOT / "tests/golden"


def compare(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("P11ENROLL_UPDATE_GOLDEN") == "1":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert path.read_text() == text, f"{path} differs; P11ENROLL_UPDATE_GOLDEN=1 rewrites it"


def shape(value: Any) -> Any:
    """Names and types; of a list, its first element."""
    if isinstance(value, dict):
        return {k: shape(v) for k, v in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def masked(text: str, client: Client) -> str:
    assert client.sandbox is not None
    for path, name in ((str(client.sandbox.dir), "SANDBOX"), (str(client.dir), "DIR"), (client.sandbox.url, "URL")):
        text = text.replace(path, name)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "YYYY-MM-DDThh:mm:ssZ", text)
    text = re.sub(r"\d{4}-\d\d-\d\d-[0-9a-f]{6}", "YYYY-MM-DD-xxxxxx", text)
    text = re.sub(r"p11e-[0-9a-f]{32}", "p11e-MARK", text)
    text = re.sub(r"id=(%[0-9A-F]{2})+", "id=ID", text)
    text = re.sub(r"p11enroll-test-[0-9a-f]{12}", "p11enroll-test-xxxxxxxxxxxx", text)
    text = re.sub(r"\b[0-9a-f]{64}\b", "SHA256", text)
    text = re.sub(r"\b[0-9a-f]{24,32}\b", "x" * 32, text)
    text = re.sub(r"\b[0-9a-f]{16}\b", "s" * 16, text)
    text = re.sub(r"OpenSSL 3\S* .*", "OpenSSL 3", text)
    text = re.sub(r"(?m)^(Ordered by: +)\S+$", r"\1USER", text)
    # the number of an order at the CA; the numbers of products stand at the beginning of a line
    return re.sub(r"(?<=[ (])1\d{3}\b(?! ')", "NNNN", text)


@pytest.fixture
def used(client: Client) -> Client:
    """A client that has a key by hand, a finished order, and one that waits."""
    client.run("key", "generate", "--label", "by-hand", "--type", "ec:P-256", "--id", "0102")
    client.run("enroll", "--name", "www.example.org", "--name", "example.org")
    assert client.sandbox is not None
    client.sandbox.set(approval="manual")
    client.run("enroll", "--name", "waits.example.org", "--deadline", "0", status=11)
    client.sandbox.reset()
    return client


COMMANDS = [
    ("token", "list"), ("token", "info"), ("key", "list"), ("key", "show", "pkcs11:object=by-hand"), ("key", "find", "pkcs11:object=by-hand"),
    ("key", "public", "pkcs11:object=by-hand"),
    ("products",), ("check",), ("order", "list"), ("order", "show", "1"), ("order", "show", "2"),
    ("order", "collect", "1"), ("config", "keys"), ("version",),
]


def test_json_of_each_command(used: Client) -> None:
    for command in COMMANDS:
        result = used.json(*command)
        assert result["schema"] == 1 and result["command"] == " ".join(command[:2] if len(command) > 1 else command)
        compare(f"json/{'-'.join(re.sub(r'[^a-z0-9]+', '_', w) for w in command)}.json",
                json.dumps(shape(result), indent=1) + "\n")


def test_json_of_commands_that_change_something(client: Client, tmp_path: Path) -> None:
    made = client.json("key", "generate", "--label", "k", "--type", "ec:P-256")
    compare("json/key-generate.json", json.dumps(shape(made), indent=1) + "\n")
    pem = client.json("key", "pem", made["uri"])
    compare("json/key-pem.json", json.dumps(shape(pem), indent=1) + "\n")
    renamed = client.json("key", "rename", made["uri"], "--label", "k2")
    compare("json/key-rename.json", json.dumps(shape(renamed), indent=1) + "\n")
    client.json("key", "rename", renamed["uri"], "--label", "k")
    csr = client.json("csr", "create", made["uri"], "--name", "www.example.org")
    compare("json/csr-create.json", json.dumps(shape(csr), indent=1) + "\n")
    assert client.sandbox is not None
    path = tmp_path / "cert.pem"
    path.write_text(client.sandbox.sign(csr["csr"], ["www.example.org"])["cert"])
    client.set("profile:web", issuer_roots=None)
    bound = client.json("cert", "bind", "--key", made["uri"], "--cert", str(path), "--no-chain-check")
    compare("json/cert-bind.json", json.dumps(shape(bound), indent=1) + "\n")
    compare("json/key-delete-refused.json",
            json.dumps(shape(client.json("key", "delete", made["uri"], status=2)), indent=1) + "\n")
    other = client.json("key", "generate", "--label", "k3", "--type", "ec:P-256")
    compare("json/key-delete.json", json.dumps(shape(client.json("key", "delete", other["uri"], "--yes")), indent=1) + "\n")
    client.set("profile:web", issuer_roots=str(client.sandbox.dir / "issuer-root.pem"))
    compare("json/enroll.json", json.dumps(shape(client.json("enroll", "--name", "a.example.org")), indent=1) + "\n")
    client.sandbox.set(validated_domains="example.com")
    client.run("enroll", "--name", "b.example.org", status=44)
    compare("json/order-abandon.json", json.dumps(shape(client.json("order", "abandon", "2")), indent=1) + "\n")
    client.set("token:main", uri="pkcs11:token=fresh")
    fresh = client.json("token", "init", "--label", "fresh", "--so-pin-source", f"file:{client.token.so_pin_file}")
    compare("json/token-init.json", json.dumps(shape(fresh), indent=1) + "\n")
    new_pin = private_file(tmp_path / "new-pin", "87654321")
    client.rules(P11SHIM_HIDE="0")  # without RSA, which takes its time
    client.token.has_edwards_keys()  # for a while: "token test" makes them
    for name, *args in (("test", "--yes"), ("pin", "change", "--new-pin-source", f"file:{new_pin}"), ("accept",)):
        changed = client.json("token", name, *args)
        compare(f"json/token-{name}.json", json.dumps(shape(changed), indent=1) + "\n")


def test_json_of_a_failure(client: Client) -> None:
    failed = client.json("key", "show", "pkcs11:object=nobody", status=25)
    assert failed["error"]["code"] == "object-missing" and failed["error"]["exit_status"] == 25
    compare("json/failure.json", json.dumps(shape(failed), indent=1) + "\n")


def test_json_of_a_command_line_that_is_not_understood(client: Client) -> None:
    for args in (("key", "list", "--bogus", "--json"), ("key", "list", "-j", "--bogus"), ("key", "show", "--json")):
        done = client.run(*args, status=2)
        assert json.loads(done.stdout)["error"]["code"] == "usage"


def test_what_people_see(used: Client) -> None:
    for command in COMMANDS:
        if command[0] in ("config", "version") or command == ("order", "collect", "1"):
            continue
        text = masked(used.run(*command).stdout, used)
        if command[:2] == ("key", "public"):
            text = re.sub(r"(?m)^[A-Za-z0-9+/=]+$", "BASE64", text)
        if command[:2] in (("key", "list"), ("key", "find")):  # the token has an order of its own
            head, *rows = text.splitlines(keepends=True)
            text = "".join([head, *sorted(rows)])
        compare(f"human/{'-'.join(re.sub(r'[^a-z0-9]+', '_', w) for w in command)}.txt", text)


def test_waiting_for_many_orders(used: Client) -> None:
    waiting = used.json("order", "wait", "--all", "--people-deadline", "0", status=11)
    compare("json/order-wait-all.json", json.dumps(shape(waiting), indent=1) + "\n")
    done = used.run("order", "wait", "1", "2", "--people-deadline", "0", status=11)
    head, *rows = done.stdout.splitlines(keepends=True)  # as they end
    text = re.sub(r"\(\d+ at the CA\)", "(NNNN at the CA)", "".join([head, *sorted(rows)]) + done.stderr)
    compare("human/order-wait-many.txt", masked(text, used))


def test_what_people_see_of_a_key_that_changes(client: Client) -> None:
    client.set("policy:card", type="ec:P-256", more_usage="accept", label="{name}-{date}")
    client.rules("C_GenerateKeyPair:1:fail=0x12")
    texts = []
    for command, status in (
            (("key", "generate", "--policy", "card", "--name", "www"), 0),
            (("key", "rename", "pkcs11:", "--label", "new"), 0), (("key", "delete", "pkcs11:object=new"), 2),
            (("key", "delete", "pkcs11:object=new", "--yes"), 0)):
        done = client.run(*command, status=status)
        text = re.sub(r"\d{4}-\d\d-\d\d", "YYYY-MM-DD", masked(done.stdout + done.stderr, client))
        texts.append(f"$ p11enroll {' '.join(command)}\n{text}")
    compare("human/key-changes.txt", "\n".join(texts))


def test_what_people_see_of_commands_that_change_a_token(client: Client, tmp_path: Path) -> None:
    new_pin = private_file(tmp_path / "new-pin", "87654321")
    client.rules(P11SHIM_HIDE="0")  # without RSA, which takes its time
    client.token.has_edwards_keys()  # for a while: "token test" makes them
    for name, *args in (("test", "--yes"), ("pin", "change", "--new-pin-source", f"file:{new_pin}"), ("accept",)):
        compare(f"human/token-{name}.txt", masked(client.run("token", name, *args).stdout, client))


def test_output_of_what_is_done_with_certificates_at_the_ca(client: Client, tmp_path: Path) -> None:
    assert client.sandbox is not None
    client.run("enroll", "--name", "www.example.org")
    client.sandbox.set(approval="manual")
    client.run("enroll", "--name", "waits.example.org", "--deadline", "0", status=11)
    client.sandbox.set(approval="auto")
    number = str(client.json("order", "show", "2")["ca_order"])
    for name, *args in (
            ("order-renew", "order", "renew", "1"),
            ("order-replace", "order", "replace", "3", "--reason", "a new key", "--new-key"),
            ("order-collect-format", "order", "collect", "1", "--format", "pemco", "--out", str(tmp_path / "c.pem")),
            ("request-list", "request", "list"),
            ("request-update", "request", "update", number, "--set-comments", "for the shop"),
            ("request-approve", "request", "approve", number, "--message", "fine")):
        done = client.run(*args)
        lines = done.stdout.splitlines(keepends=True)
        if name == "request-list":  # the sandbox has more, of other tests
            lines = [lines[0], *(re.sub(rf"^{number}", "NNNN", line) for line in lines if line.startswith(number))]
        text = re.sub(r"(Bytes: +)\d+", r"\1NNNN", masked("".join(lines).replace(str(tmp_path), "TMP"), client))
        compare(f"human/{name}.txt", re.sub(r"T\d\d:\d\d:\d\d\.\d{3}Z", "Thh:mm:ss.mmmZ", re.sub(r"\d{4}-\d\d-\d\dT\d", "YYYY-MM-DDT0", text)))
    client.sandbox.set(approval="manual")
    client.run("enroll", "--name", "more.example.org", "--deadline", "0", status=11)
    number = str(client.json("order", "show", "5")["ca_order"])
    client.sandbox.set(approval="auto")
    for name, *args in (
            ("order-renew", "order", "renew", "4", "--new-key"),
            ("order-replace", "order", "replace", "6", "--reason", "a new key", "--new-key"),
            ("order-collect-format", "order", "collect", "6", "--format", "pemco", "--out", str(tmp_path / "c.pem")),
            ("request-list", "request", "list"),
            ("request-update", "request", "update", number, "--set-comments", "for the shop"),
            ("request-decline", "request", "decline", number, "--message", "no")):
        compare(f"json/{name}.json", json.dumps(shape(client.json(*args)), indent=1) + "\n")


def test_errors_that_people_see(client: Client) -> None:
    texts = []
    for command, status in (
            (("key", "show", "pkcs11:object=nobody"), 25), (("key", "list", "--token-uri", "pkcs11:token=x"), 21),
            (("order", "show", "9"), 15), (("enroll", "--name", "www.example.org", "--product", "none"), 44),
            (("key", "list", "--module", "/nowhere.so"), 20)):
        texts.append(f"$ p11enroll {' '.join(command)}\n{masked(client.run(*command, status=status).stderr, client)}")
    compare("human/errors.txt", "\n".join(texts))


@pytest.mark.parametrize("args", [("config", "keys"), ("completion",), ("help",), ("help", "key", "list"),
                                  ("key", "list", "--help")])
def test_full_output_disk_is_a_failure(client: Client, args: tuple[str, ...]) -> None:
    import subprocess

    command = client.command(*args)[:1 + len(args)]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, env=client.full_env(), stdout=full,
                              stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 4 and "writing the result" in done.stderr


def test_control_characters_from_a_token_do_not_reach_the_terminal(client: Client) -> None:
    client.run("key", "generate", "--label", "bad\x1b[31m\nlabel", "--type", "ec:P-256")
    done = client.run("key", "list")
    assert "\x1b" not in done.stdout and "bad\\x1b[31m\\x0alabel" in done.stdout
    assert client.json("key", "list")["keys"][0]["label"] == "bad\x1b[31m\nlabel"
