"""Hook scripts that other programs' packages bring, unchanged, through dcv publish."""

from __future__ import annotations

import itertools
import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from dcvkit import NSUPDATE, WebServer, calls, made, published, script, use_web
from nameserver import KNOTD, NameServer
from p11e import Client, need, private_file

UACME_FILES = Path("/usr/share/uacme/uacme.sh")
UACME_DNS = Path("/usr/share/uacme/nsupdate.sh")
DEHYDRATED = Path("/usr/share/doc/dehydrated/examples/hook.sh")
DDNS_TSIG = Path("/usr/share/dehydrated-hook-ddns-tsig/dehydrated-hook-ddns-tsig.py")
MAY_UNSHARE = os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0
addresses = itertools.count(10)


def wants(*programs: object) -> pytest.MarkDecorator:
    missing = need(*[str(p) for p in programs])
    return pytest.mark.skipif(missing is not None, reason=str(missing))


port_53 = pytest.mark.skipif(not MAY_UNSHARE, reason="only root may serve port 53 and give the hook a resolv.conf of its own (unshare -m)")


def name_server(path: Path, zone: str, more: str = "", keyless: bool = False, also: str | None = None) -> NameServer:
    """Where a script looks that cannot be told another port."""
    return NameServer(path, zone=zone, address=f"127.53.{os.getpid() % 250}.{next(addresses)}", port=53, more=more, keyless=keyless,
                      also=also)


def look_there(client: Client, dns: NameServer, path: Path) -> None:
    """The client, its hook and the CA see the DNS by that server alone."""
    assert client.sandbox is not None
    (path / "resolv.conf").write_text(f"nameserver {dns.address}\n")
    client.wrapper = ["unshare", "-m", "sh", "-c", f'mount --bind {path}/resolv.conf /etc/resolv.conf && exec "$@"', "sh"]
    client.set("ca:sandbox", dcv_method="txt", dcv_hook_quoted="yes")
    client.sandbox.set(dcv_dns=dns.where, dcv_polls=1)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebServer]:
    (tmp_path / "www").mkdir()
    server = WebServer(tmp_path / "www")
    yield server
    server.stop()


# --- uacme

@wants(UACME_FILES)
def test_uacme_s_script_publishes_files(client: Client, web: WebServer, tmp_path: Path) -> None:
    name = made(client)
    use_web(client, web)
    folder = web.root / ".well-known/pki-validation"
    folder.mkdir(parents=True)
    copies = script(tmp_path / "hook", f'{UACME_FILES} "$@" || exit 1\n[ "$1" != begin ] || ls -l {folder} >{tmp_path}/seen\n')
    client.set("ca:sandbox", dcv_hook=str(copies), dcv_hook_style="uacme", dcv_hook_env=f"UACME_CHALLENGE_PATH={folder}")
    assert published(client, name)[name]["result"] == "validated"
    assert "-rw-r--r--" in (tmp_path / "seen").read_text(), "the web server has to read it"
    assert list(folder.iterdir()) == []


@wants(UACME_FILES)
def test_uacme_s_script_declines_what_it_does_not_know(client: Client) -> None:
    done = client.run("dcv", "publish", made(client), "--hook", str(UACME_FILES), "--style", "uacme", "--method", "cname", status=37)
    assert "ended with status 1" in done.stderr and calls(client, "/submit/") == []


@port_53
@wants(UACME_DNS, KNOTD, "dig", "nsupdate")
def test_uacme_s_script_for_dns_publishes_behind_an_alias(client: Client, tmp_path: Path) -> None:
    """It knows the name _acme-challenge alone, and updates without a key; the zone makes the one name an alias of the other."""
    name = made(client)
    dns = name_server(tmp_path / "dns", name, more="_pki-validation CNAME _acme-challenge", keyless=True)
    try:
        look_there(client, dns, tmp_path)
        client.set("ca:sandbox", dcv_hook=str(UACME_DNS), dcv_hook_style="uacme", dcv_hook_timeout="20s")
        assert published(client, name)[name]["result"] == "validated"
        assert dns.ask(f"_acme-challenge.{name}", "TXT") == []
    finally:
        dns.stop()


@port_53
@wants(KNOTD, "dig", "nsupdate")
@pytest.mark.parametrize("there", [True, False])
def test_an_alias_into_another_zone_is_followed(client: Client, tmp_path: Path, there: bool) -> None:
    """As with a zone of its own for validations, whose servers then count."""
    name, other = made(client), f"z{secrets.token_hex(4)}.example"
    dns = name_server(tmp_path / "dns", name, more=f"_pki-validation CNAME token.{other}.", also=other)
    try:
        look_there(client, dns, tmp_path)
        if there:
            env = dns.hook_env().replace(f"DCV_NSUPDATE_ZONE={name}", f"DCV_NSUPDATE_ZONE={other}")
            call = script(tmp_path / "hook", f'exec {NSUPDATE} "$1" "$2" {other} token.{other} "$5"\n')
        else:
            env, call = "", script(tmp_path / "hook", "exit 0\n")
        client.set("ca:sandbox", dcv_hook=str(call), dcv_hook_env=env, dcv_hook_quoted="no", poll_deadline="1s")
        assert client.sandbox is not None
        client.sandbox.set(dcv_dns="")  # the sandbox's own resolver asks no other server
        row = published(client, name, status=0 if there else 36)[name]
        assert row["result"] == ("validated" if there else "failed")
        assert there or f"({dns.address}) has nothing there" in str(row["problem"]), row
    finally:
        dns.stop()


# --- dehydrated

@port_53
@wants(DDNS_TSIG, KNOTD, "dig")
def test_dehydrated_s_hook_for_signed_updates(client: Client, tmp_path: Path) -> None:
    """Its own configuration says under which name."""
    name = made(client)
    dns = name_server(tmp_path / "dns", name)
    secret = dns.key.read_text().split('secret "')[1].split('"')[0]
    settings = private_file(tmp_path / "hook.conf", f"[DEFAULT]\nname_server_ip = {dns.address}\nkey_name = update-key\nkey_secret = {secret}\n"
                                                    "key_algorithm = hmac-sha256\nwait = -1\n"
                                                    "dns_rewrite = s/^_acme-challenge\\.(.+)$/_pki-validation.\\1/\n")
    try:
        look_there(client, dns, tmp_path)
        start = script(tmp_path / "hook", f'exec /usr/bin/python3 {DDNS_TSIG} -c {settings} "$@"\n')
        client.set("ca:sandbox", dcv_hook=str(start), dcv_hook_style="dehydrated")
        assert published(client, name)[name]["result"] == "validated"
        assert dns.ask(f"_pki-validation.{name}", "TXT") == []
    finally:
        dns.stop()


@wants(DEHYDRATED)
def test_dehydrated_s_example_publishes_nothing_and_says_so(client: Client) -> None:
    """All in it is a comment: it is called, ends well, and what it did not do is noticed."""
    name = made(client)
    client.set("ca:sandbox", dcv_hook=str(DEHYDRATED), dcv_hook_style="dehydrated", web_server="127.0.0.1:9", poll_deadline="0")
    done = client.run("dcv", "publish", name, "--method", "http", status=36)
    assert "what the hook published is not visible" in done.stderr and calls(client, "/submit/") == []
