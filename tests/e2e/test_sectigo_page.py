"""What docs/sectigo.md says about domains, done as it stands there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from dcvkit import NSUPDATE, calls, with_dns
from nameserver import NameServer
from p11e import ROOT, Client

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
