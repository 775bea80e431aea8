"""How hooks are called, beside the programs that they were written for: those run here against an ACME server of their own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from dcvkit import made
from p11e import Client, clean_env, need
from pebble import Pebble

CERTBOT = Path("/usr/lib/python3/dist-packages/certbot/main.py")
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
MAY_UNSHARE = os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0
missing = need("pebble")
pytestmark = pytest.mark.skipif(missing is not None, reason=str(missing))
RECORDER = """#!/usr/bin/python3
import json, os, sys
row = {"args": sys.argv[1:], "env": dict(os.environ), "input": sys.stdin.read()}
with open(%r, "a") as log:
    log.write(json.dumps(row) + "\\n")
print("\\n  said on standard output \\n")
words = {*sys.argv[1:3], *(["auth"] if "CERTBOT_DOMAIN" in os.environ and "CERTBOT_AUTH_OUTPUT" not in os.environ else [])}
sys.exit(1 if words & set(%r) else 0)
"""
# What a program calls beside what is about validation.
ELSE = {"startup_hook", "exit_hook", "generate_csr", "sync_cert", "deploy_cert"}


@dataclass
class Recorder:
    """A hook that writes down how it is called, and fails if a word of its call is in `fails`."""

    log: Path
    hook: Path

    def calls(self) -> list[dict[str, Any]]:
        rows = [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []
        return [row for row in rows if not row["args"] or not (row["args"][0] in ELSE or row["args"][0].startswith("this_hookscript"))]


def recorder(path: Path, name: str, *fails: str) -> Recorder:
    made_here = Recorder(path / f"{name}.log", path / name)
    made_here.hook.write_text(RECORDER % (str(made_here.log), fails))
    made_here.hook.chmod(0o755)
    return made_here


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    server = Pebble(tmp_path_factory.mktemp("acme") / "p")
    yield server
    server.stop()


def lego(acme: Pebble, path: Path, hook: Path, _kind: str, domain: str) -> list[str]:
    return ["env", f"EXEC_PATH={hook}", f"LEGO_CA_CERTIFICATES={acme.cert}", "lego", "--server", acme.url, "--accept-tos", "--email",
            "a@example.org", "--path", str(path / "lego"), "--dns", "exec", "--dns.disable-cp", "-d", domain, "run"]


def certbot(acme: Pebble, path: Path, hook: Path, kind: str, domain: str) -> list[str]:
    return ["env", f"REQUESTS_CA_BUNDLE={acme.cert}", "/usr/bin/python3", "-c", "import sys; from certbot.main import main; sys.exit(main())",
            "certonly", "-n", "--server", acme.url, "--agree-tos", "-m", "a@example.org", "--config-dir", str(path / "c"), "--work-dir",
            str(path / "w"), "--logs-dir", str(path / "l"), "--manual", "--preferred-challenges", "dns" if kind == "txt" else "http",
            "--manual-auth-hook", str(hook), "--manual-cleanup-hook", str(hook), "-d", domain]


def dehydrated(acme: Pebble, path: Path, hook: Path, kind: str, domain: str) -> list[str]:
    base = path / "dehydrated"
    base.mkdir()
    (base / "config").write_text(f'CA={acme.url}\nBASEDIR={base}\nWELLKNOWN={base}\nCURL_OPTS="--cacert {acme.cert}"\nCONTACT_EMAIL=a@example.org\n')
    start = f"dehydrated -f {base}/config"
    return ["sh", "-c", f"{start} --register --accept-terms && {start} -c -d {domain} -t {'dns-01' if kind == 'txt' else 'http-01'} -k {hook}"]


def uacme(acme: Pebble, path: Path, hook: Path, kind: str, domain: str) -> list[str]:
    """It offers one type after the other, until the hook takes one."""
    start = f"uacme -c {path}/uacme -a {acme.url}"
    return ["unshare", "-m", "sh", "-c", f"mount --bind {acme.cert} {BUNDLE} && {start} -y new && {start} -h {hook} issue {domain}"]


PROGRAMS = {"lego": lego, "certbot": certbot, "dehydrated": dehydrated, "uacme": uacme}
NEEDED = {"lego": "lego", "certbot": str(CERTBOT), "dehydrated": "dehydrated", "uacme": "uacme"}
OTHER_TYPES = {"txt": ("http-01", "tls-alpn-01"), "http": ("dns-01", "tls-alpn-01")}


def theirs(acme: Pebble, path: Path, style: str, kind: str, *fails: str) -> list[dict[str, Any]]:
    """What the program itself calls."""
    if need(NEEDED[style]):
        pytest.skip(str(need(NEEDED[style])))
    if style == "uacme" and not MAY_UNSHARE:
        pytest.skip("only root may have uacme trust the server (unshare -m)")
    recorded = recorder(path, "theirs", *fails, *(OTHER_TYPES[kind] if style == "uacme" else ()))
    done = subprocess.run(PROGRAMS[style](acme, path, recorded.hook, kind, "www.example.org"), stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=120, env=clean_env(), cwd=path, check=False)
    assert fails or done.returncode == 0, done.stdout + done.stderr
    return [row for row in recorded.calls() if not {*row["args"]} & set(OTHER_TYPES[kind])]


def ours(client: Client, path: Path, style: str, kind: str, *fails: str) -> list[dict[str, Any]]:
    """What dcv publish calls, where nothing becomes visible."""
    recorded = recorder(path, "ours", *fails)
    client.set("ca:sandbox", dcv_hook=str(recorded.hook), dcv_cleanup_hook=str(recorded.hook), dns_servers="127.0.0.1:9", web_server="127.0.0.1:9",
               poll_deadline="0")
    client.run("dcv", "publish", made(client), "--style", style, "--method", kind, status=37 if fails else 36)
    return recorded.calls()


def shape(style: str, kind: str, row: dict[str, Any]) -> list[str]:
    """A call with its values by what they are; the recorded values have to agree with each other."""
    env = {name: value for name, value in row["env"].items() if name.startswith("CERTBOT_")}
    args = list(row["args"])
    if style == "certbot":
        domain, value = env["CERTBOT_DOMAIN"], env["CERTBOT_VALIDATION"]
        token = env.get("CERTBOT_TOKEN", "")
    else:
        domain, value = row["env"].get("P11ENROLL_DOMAIN", "www.example.org"), args[-1]
        token = args[-2] if style != "lego" else ""
    if kind == "http":  # ACME's content begins with the token; ours has the file's name in the path
        assert token and (value.startswith(token + ".") or row["env"]["P11ENROLL_NAME"].endswith("/" + token)), row
    words = {value: "VALUE", domain: "DOMAIN", token: "TOKEN", f"_acme-challenge.{domain}.": "NAME.", f"_pki-validation.{domain}.": "NAME."}
    named = [f"{name}={words.get(text, text)}" for name, text in sorted(env.items()) if not name.endswith(("_IDENTIFIER", "_IDENTIFIERS"))]
    return [words.get(text, text) for text in args] + named + [f"reads {row['input']!r}"]


@pytest.mark.parametrize(("style", "kind"), [("lego", "txt"), ("certbot", "txt"), ("certbot", "http"), ("dehydrated", "txt"),
                                             ("dehydrated", "http"), ("uacme", "txt"), ("uacme", "http")])
def test_hooks_are_called_as_by_their_own_program(client: Client, acme: Pebble, tmp_path: Path, style: str, kind: str) -> None:
    wanted = [shape(style, kind, row) for row in theirs(acme, tmp_path, style, kind)]
    got = [shape(style, kind, row) for row in ours(client, tmp_path, style, kind)]
    assert len(wanted) == 2
    if style == "uacme":  # there the validation went well, here it did not
        assert wanted[1][0] == "done" and got[1][0] == "failed"
        wanted[1][0] = "failed"
    assert got == wanted


@pytest.mark.parametrize(("style", "fails", "wanted"), [("lego", "present", ["present", "cleanup"]), ("certbot", "auth", ["", ""]),
                                                        ("dehydrated", "deploy_challenge", ["deploy_challenge"]), ("uacme", "begin", ["begin"])])
def test_a_hook_that_failed_is_called_again_where_its_program_does(client: Client, acme: Pebble, tmp_path: Path, style: str, fails: str,
                                                                   wanted: list[str]) -> None:
    def words(rows: list[dict[str, Any]]) -> list[str]:
        return [row["args"][0] if row["args"] else "" for row in rows]

    assert words(theirs(acme, tmp_path, style, "txt", fails)) == wanted
    assert words(ours(client, tmp_path, style, "txt", fails)) == wanted
