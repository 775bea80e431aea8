"""What docs/sectigo.md says, done as it stands there."""

from __future__ import annotations

import configparser
import re
import shlex
from pathlib import Path

from dcvkit import NSUPDATE, calls, with_dns
from nameserver import NameServer
from p11e import ROOT, Client, Token

PAGE = (ROOT / "docs/sectigo.md").read_text()
INSTALLED = "/usr/share/p11enroll/hooks/"


def section(title: str) -> str:
    return re.split(r"^## ", PAGE.split(f"## {title}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def indented(text: str) -> list[str]:
    return re.findall(r"^    (\S.*)$", text, flags=re.MULTILINE)


@with_dns
def test_a_domain_is_validated_as_the_page_says(client: Client, tmp_path: Path) -> None:
    lines = indented(section("5. The domain"))
    commands = [shlex.split(line)[1:] for line in lines if line.startswith("p11enroll ")]
    settings = dict(line.split(" = ", 1) for line in lines if not line.startswith("p11enroll "))
    assert [c[:2] for c in commands] == [["domain", "list"], ["dcv", "status"], ["dcv", "start"], ["dcv", "submit"], ["dcv", "status"], ["dcv", "publish"]]
    sandbox = client.sandbox
    assert sandbox is not None
    sandbox.ask("POST", "/domains", {"name": "example.org", "org": 103})
    dns = NameServer(tmp_path / "dns", zone="example.org")
    try:
        sandbox.set(dcv_dns=dns.where, dcv_polls=1)
        assert "example.org" in client.run(*commands[0]).stdout
        assert client.json(*commands[1])["status"] == "Not validated"
        record = client.json(*commands[2])
        dns.update(f"update add {record['host']} 60 CNAME {record['point']}")
        assert client.json(*commands[3])["order_status"] == "Submitted"
        client.run("dcv", "recheck", "example.org")
        assert client.json(*commands[4])["status"] == "Validated"
        # the hook's own settings are of this test: another place, another key
        assert settings["dcv_hook"] == f"{INSTALLED}nsupdate" and settings["dcv_hook_env"].startswith("DCV_NSUPDATE_KEY=/")
        client.set("ca:sandbox", dcv_hook=settings["dcv_hook"].replace(INSTALLED, f"{NSUPDATE.parent}/"), dcv_hook_env=dns.hook_env(), dns_servers=dns.where)
        assert client.json(*commands[5])["domains"][0]["result"] == "still validated"
        assert client.json(*commands[5], "--again")["domains"][0]["result"] == "validated" and len(calls(client, "/submit/")) == 2
    finally:
        dns.stop()


def settings_of(text: str) -> dict[str, dict[str, str]]:
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    parser.read_string(text)
    return {name: dict(parser[name]) for name in parser.sections()}


def test_login_with_a_key_in_the_token_as_the_page_says(client: Client, token: Token, tmp_path: Path) -> None:
    lines = re.findall(r"^       (\S.*)$", section("2. How it logs in"), flags=re.MULTILINE)
    first = next(i for i, line in enumerate(lines) if line.startswith("p11enroll "))
    early, commands = settings_of("\n".join(lines[:first])), [shlex.split(line)[1:] for line in lines[first:]]
    later = settings_of("\n".join(line for line in indented(section("3. The configuration"))))
    assert [c[:2] for c in commands] == [["key", "generate"], ["csr", "create"], ["cert", "bind"]]
    assert set(early) == {"token:prod"} and "token:prod" not in later
    sandbox = client.sandbox
    assert sandbox is not None
    here = {"module": str(token.module), "uri": token.uri, "pin_source": f"file:{token.pin_file}"}
    assert set(early["token:prod"]) == set(here)  # each has its own
    for name in ("token:main", "profile:web", "ca:sandbox"):
        del client.settings[name]
    client.set("token:prod", **here)
    client.run(*commands[0])
    client.run(*commands[1], cwd=tmp_path)
    answer = sandbox.client_cert((tmp_path / "api-admin.csr").read_text())
    (tmp_path / "api-admin.pem").write_text(answer["cert"])
    client.run(*commands[2], cwd=tmp_path)
    client.set("ca:sectigo", **{**later["ca:sectigo"], "url": sandbox.url, "customer_uri": "sandbox", "login": "sandbox-admin",
                                "org_id": "103", "trust": str(sandbox.dir / "tls-ca.pem")})
    client.set("profile:web", **{**later["profile:web"], "issuer_roots": str(sandbox.dir / "issuer-root.pem")})
    for command in indented(section("4. Does it work?")):
        client.run(*shlex.split(command)[1:])
    client.run(*commands[2], cwd=tmp_path)  # again, with roots of issued certificates in the profile


def test_a_certificate_is_ordered_and_used_as_the_page_says(client: Client, tmp_path: Path) -> None:
    order = [shlex.split(line)[1:] for line in indented(section("6. The certificate"))]
    use = [shlex.split(line)[1:] for line in indented(section("7. Use it"))]
    assert [c[0] for c in order] == ["enroll", "order", "order"] and [c[:2] for c in use] == [["cert", "list"], ["order", "show"], ["cert", "emit"]]
    made = client.json(*order[0])
    for command in (*order[1:], *use[:2]):
        client.run(*command)
    assert client.json(*use[1])["key_uri"] == made["key_uri"]
    uri, kind, _, directory = use[2][2:]
    assert re.fullmatch(r"pkcs11:token=.*;type=private", uri) and directory.startswith("/")
    assert str(tmp_path / "www") in client.run("cert", "emit", made["key_uri"], kind, "--dir", str(tmp_path / "www")).stdout
    readme = (ROOT / "README.md").read_text().split("## Use the key elsewhere\n", 1)[1].split("\n## ", 1)[0]
    ours = [shlex.split(line)[1:] for line in indented(readme) if line.startswith("p11enroll ")]
    assert [c[:3] for c in ours] == [["key", "pem", "$uri"], ["cert", "export", "$cert"]]
    assert all(f"order show 1 --json | jq -r .{name})" in readme for name in ("key_uri", "cert_uri"))
    for command in ours:
        client.run(*command[:2], made["key_uri" if command[2] == "$uri" else "cert_uri"], *command[3:], cwd=tmp_path)
    assert (tmp_path / "www.key").exists() and (tmp_path / "www.pem").read_text().count("BEGIN CERTIFICATE") > 1
