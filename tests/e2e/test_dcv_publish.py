"""Validation through hooks: a real name server with signed updates, a real web server, hooks of several styles."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dcvkit import NSUPDATE, WEBROOT, WebServer, calls, host_of, made, published, records, script, use_dns, use_web, with_dns
from nameserver import NameServer
from p11e import Client


@pytest.fixture(scope="module")
def dns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NameServer]:
    server = NameServer(tmp_path_factory.mktemp("dns") / "d")
    yield server
    server.stop()


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebServer]:
    (tmp_path / "www").mkdir()
    server = WebServer(tmp_path / "www")
    yield server
    server.stop()


# --- DNS

@with_dns
@pytest.mark.parametrize("method", ["cname", "txt"])
def test_a_record_in_dns_validates_the_domain(client: Client, dns: NameServer, method: str) -> None:
    name = made(client)
    use_dns(client, dns)
    row = published(client, name, "--method", method)[name]
    assert row["result"] == "validated" and str(row["expires"]).startswith("20") and row["problem"] is None
    assert client.json("dcv", "status", name)["status"] == "Validated"
    assert records(dns, name) == [] and len(calls(client, "/submit/")) == 1


@with_dns
def test_nothing_is_submitted_before_all_servers_show_it(client: Client, dns: NameServer, tmp_path: Path) -> None:
    name = made(client)
    late = NameServer(tmp_path / "late")
    try:
        use_dns(client, dns)
        client.set("ca:sandbox", dns_servers=f"{dns.where}, {late.where}", poll_deadline="1s")
        row = published(client, name, status=36)[name]
        assert row["result"] == "failed" and f"{late.where} has nothing there" in str(row["problem"])
        assert dns.where not in str(row["problem"]).replace(late.where, "")
        assert calls(client, "/submit/") == [], "the CA must not be told of what is not there"
        # its publisher brings the other one up to date, and waits for it
        copy = script(tmp_path / "copy", f'{NSUPDATE} "$@"\nDCV_NSUPDATE_SERVER={late.address} DCV_NSUPDATE_PORT={late.port} '
                                         f'DCV_NSUPDATE_KEY={late.key} {NSUPDATE} "$@"\n')
        client.set("ca:sandbox", poll_deadline="20s", dcv_hook=str(copy))
        client.run("dcv", "clear", name, "--yes")
        assert published(client, name)[name]["result"] == "validated"
    finally:
        late.stop()


@with_dns
def test_what_stands_there_already_is_named(client: Client, dns: NameServer, tmp_path: Path) -> None:
    name = made(client)
    use_dns(client, dns, script(tmp_path / "lazy", "exit 0\n"))
    dns.update(f'update add _pki-validation.{name}. 60 TXT "something else"')
    client.set("ca:sandbox", poll_deadline="1s")
    row = published(client, name, "--method", "txt", status=36)[name]
    assert f"{dns.where} has 'something else' there" in str(row["problem"])


@with_dns
def test_a_record_of_somebody_else_stays(client: Client, dns: NameServer) -> None:
    name = made(client)
    use_dns(client, dns)
    dns.update(f'update add _pki-validation.{name}. 60 TXT "of another CA"')
    assert published(client, name, "--method", "txt")[name]["result"] == "validated"
    assert records(dns, name) == ['"of another CA"']


@with_dns
def test_a_wrong_key_is_the_hook_s_failure(client: Client, dns: NameServer, tmp_path: Path) -> None:
    name = made(client)
    use_dns(client, dns)
    key = tmp_path / "wrong.key"
    key.write_text(dns.key.read_text().replace('secret "', 'secret "AAAA'))
    client.set("ca:sandbox", dcv_hook_env=dns.hook_env().replace(str(dns.key), str(key)))
    row = published(client, name, status=37)[name]
    assert "ended with status" in str(row["problem"]) and "BADSIG" in str(row["problem"]) + client.run(
        "dcv", "publish", name, status=37).stderr
    assert calls(client, "/submit/") == []


@with_dns
@pytest.mark.parametrize("spelling", ["v1", "oa"])
@pytest.mark.parametrize("method", ["cname", "txt"])
def test_the_result_may_take_its_time(client: Client, dns: NameServer, spelling: str, method: str) -> None:
    name = made(client)
    use_dns(client, dns)
    assert client.sandbox is not None
    client.sandbox.set(dcv_polls=3, dcv_spelling=spelling, dcv_sync="status")
    client.set("ca:sandbox", dcv_method=method)
    assert published(client, name)[name]["result"] == "validated"
    assert len(calls(client, "/validation/status")) >= 4


@with_dns
def test_one_that_the_ca_does_not_decide_goes_on_later(client: Client, dns: NameServer) -> None:
    name = made(client)
    use_dns(client, dns)
    assert client.sandbox is not None
    client.sandbox.set(dcv_result="stuck")
    client.set("ca:sandbox", poll_deadline="1s")
    row = published(client, name, "--method", "txt", status=35)[name]
    assert row["result"] == "pending" and "the record stays published" in str(row["problem"])
    first = records(dns, name)
    assert len(first) == 1
    looks = len(calls(client, "/validation/status")) + len(calls(client, "/validation/sync"))
    client.sandbox.set(dcv_result="validate", dcv_polls=looks + 1)
    assert published(client, name, "--method", "txt")[name]["result"] == "validated"
    assert records(dns, name) == [] and len(calls(client, "/submit/")) == 1, "it was submitted once"


@with_dns
def test_a_record_that_outlived_its_run_is_removed_by_the_next(client: Client, dns: NameServer) -> None:
    name = made(client)
    use_dns(client, dns)
    assert client.sandbox is not None
    client.sandbox.set(dcv_result="stuck")
    client.set("ca:sandbox", poll_deadline="1s")
    published(client, name, "--method", "txt", status=35)
    assert len(records(dns, name)) == 1
    client.sandbox.set(dcv_result="validate", dcv_polls=0)
    assert client.json("dcv", "status", name)["status"] == "Validated", "meanwhile"
    assert published(client, name, "--method", "txt")[name]["result"] == "still validated"
    assert records(dns, name) == [] and list((client.state / "dcv").iterdir()) == []


@with_dns
def test_what_a_hook_said_is_told_to_the_one_that_removes(client: Client, dns: NameServer, tmp_path: Path) -> None:
    """Hooks of certbot's style remember by that what they made; here the next run removes it."""
    name = made(client)
    again = f'{NSUPDATE} "$P11ENROLL_STEP" txt "$P11ENROLL_DOMAIN" "$P11ENROLL_NAME" "$P11ENROLL_VALUE"'
    use_dns(client, dns, script(tmp_path / "auth", f"{again}\nprintf '\\n record 4711 \\n\\n'\n"))
    cleanup = script(tmp_path / "cleanup", f'[ "$CERTBOT_AUTH_OUTPUT" = "record 4711" ] || exit 9\n{again}\n')
    client.set("ca:sandbox", dcv_hook_style="certbot", dcv_cleanup_hook=str(cleanup), dcv_method="txt", poll_deadline="1s")
    assert client.sandbox is not None
    client.sandbox.set(dcv_result="stuck")
    published(client, name, status=35)
    assert len(records(dns, name)) == 1
    client.sandbox.set(dcv_result="validate", dcv_polls=0)
    assert client.json("dcv", "status", name)["status"] == "Validated", "meanwhile"
    assert published(client, name)[name]["result"] == "still validated"
    assert records(dns, name) == [] and list((client.state / "dcv").iterdir()) == []


@with_dns
def test_a_run_that_was_killed_leaves_nothing_for_ever(client: Client, dns: NameServer) -> None:
    name = made(client)
    use_dns(client, dns)
    client.set("ca:sandbox", dns_servers=f"{dns.where}, 127.0.0.1:9", poll_scale="100")
    process = client.start("dcv", "publish", name)
    deadline = time.monotonic() + 30
    while not (client.state / "dcv" / name).exists() or not any(dns.ask(host_of(client, name), "CNAME")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    first = host_of(client, name)
    process.kill()
    process.communicate(timeout=30)
    assert dns.ask(first, "CNAME") != []
    client.set("ca:sandbox", dns_servers=dns.where, poll_scale="2")
    client.run("dcv", "clear", name, "--yes")
    assert published(client, name)[name]["result"] == "validated"
    assert dns.ask(first, "CNAME") == [] and list((client.state / "dcv").iterdir()) == []


@with_dns
def test_a_note_that_makes_no_sense_publishes_nothing(client: Client, dns: NameServer, tmp_path: Path) -> None:
    name = made(client)
    use_dns(client, dns, script(tmp_path / "hook", f"touch {tmp_path}/called\n"))
    (client.state / "dcv").mkdir(parents=True)
    (client.state / "dcv" / name).write_text('{"kind":"cname","name":"www.elsewhere.example","value":"x.y"}')
    row = published(client, name, status=46)[name]
    assert "www.elsewhere.example" in str(row["problem"]) and not (tmp_path / "called").exists()


@with_dns
def test_a_rejected_validation_is_told_and_cleaned_up(client: Client, dns: NameServer) -> None:
    name = made(client)
    use_dns(client, dns)
    assert client.sandbox is not None
    client.sandbox.set(dcv_result="reject")
    row = published(client, name, "--method", "txt", status=36)[name]
    assert row["result"] == "failed" and "the CA rejected the validation" in str(row["problem"])
    assert records(dns, name) == []


@with_dns
def test_a_list_goes_on_after_a_failure(client: Client, dns: NameServer, tmp_path: Path) -> None:
    good, also = made(client), made(client)
    use_dns(client, dns)
    listed = tmp_path / "domains"
    listed.write_text(f"# our domains\n{good}\nnowhere.example   # not ours\n\n{also}\n{good.upper()}\n")
    done = client.run("dcv", "publish", "--from", str(listed), "inactive.example", status=44)
    assert "2 of 4 domains are not validated; the first: domain inactive.example" in done.stderr
    table = {line.split()[0]: line for line in done.stdout.splitlines()[1:]}
    assert "validated" in table[good] and "validated" in table[also] and set(table) == {good, also, "nowhere.example", "inactive.example"}
    assert "(code -727)" in table["nowhere.example"] and "(code -715)" in table["inactive.example"]


@with_dns
def test_what_is_validated_long_enough_is_left_alone(client: Client, dns: NameServer) -> None:
    name = made(client)
    use_dns(client, dns)
    published(client, name)
    assert published(client, name)[name]["result"] == "still validated" and len(calls(client, "/submit/")) == 1
    assert published(client, name, "--renew-before", "400")[name]["result"] == "validated"
    assert published(client, name, "--again")[name]["result"] == "validated"
    assert len(calls(client, "/submit/")) == 3


@with_dns
def test_an_old_validation_is_not_taken_for_the_new_one(client: Client, dns: NameServer) -> None:
    """While it is being renewed, a domain stays validated; and one that somebody gave up is not renewed."""
    import datetime

    soon = str(datetime.date.today() + datetime.timedelta(days=5))
    name = made(client, status="VALIDATED", validated="2026-01-01", expires=soon)
    use_dns(client, dns)
    assert client.sandbox is not None
    client.sandbox.set(dcv_polls=2)
    row = published(client, name)[name]
    assert row["result"] == "validated" and str(row["expires"]) > soon


@with_dns
def test_a_refused_login_is_not_tried_for_each(client: Client, dns: NameServer) -> None:
    names = [made(client) for _ in range(3)]
    use_dns(client, dns)
    assert client.sandbox is not None
    client.sandbox.set(auth="refuse")
    rows = published(client, *names, status=42)
    assert [row["result"] for row in rows.values()] == ["not tried"] * 3 and len(client.sandbox.requests()) == 1


@with_dns
def test_an_answer_that_does_not_fit_is_asked_for_again(client: Client, dns: NameServer) -> None:
    """512 bytes are what a plain question gets by UDP; more comes by TCP."""
    name = made(client)
    use_dns(client, dns)
    assert client.sandbox is not None
    client.sandbox.set(dcv_dns="")  # the sandbox's own resolver knows UDP alone
    dns.update(*[f'update add _pki-validation.{name}. 60 TXT "{letter * 200}"' for letter in "abcdef"])
    assert published(client, name, "--method", "txt")[name]["result"] == "validated"


MAY_UNSHARE = os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0


@with_dns
@pytest.mark.skipif(not MAY_UNSHARE, reason="only root may give the client a resolv.conf of its own (unshare -m)")
@pytest.mark.parametrize("servers", [1, 2])
def test_the_zone_s_own_servers_are_found_and_asked(client: Client, tmp_path: Path, servers: int) -> None:
    """Port 53 of addresses of this test: the zone's servers are named in the zone, and the resolver is one of them."""
    name = made(client)
    more = f"ns2 A 127.53.{os.getpid() % 250}.3\n@ NS ns2.{name}." if servers == 2 else ""
    first = NameServer(tmp_path / "dns", zone=name, address=f"127.53.{os.getpid() % 250}.2", port=53, more=more)
    try:
        use_dns(client, first)
        client.set("ca:sandbox", dns_servers=None, poll_deadline="1s")
        (tmp_path / "resolv.conf").write_text(f"nameserver {first.address}\n")
        client.wrapper = ["unshare", "-m", "sh", "-c", f'mount --bind {tmp_path}/resolv.conf /etc/resolv.conf && exec "$@"', "sh"]
        row = published(client, name, status=0 if servers == 1 else 36)[name]
        assert (row["result"] == "validated") == (servers == 1)
        assert servers == 1 or f"ns2.{name} ({first.address[:-1]}3) does not answer" in str(row["problem"]), row
    finally:
        first.stop()


# --- files

def test_a_file_validates_the_domain(client: Client, web: WebServer) -> None:
    name = made(client)
    use_web(client, web)
    assert published(client, name)[name]["result"] == "validated"
    asked = [a for a in web.asked if a.startswith(name + "/.well-known/pki-validation/")]
    assert len(asked) >= 2, "by us and by the CA"
    assert list((web.root / ".well-known/pki-validation").iterdir()) == []


def test_a_file_that_is_not_served_is_not_submitted(client: Client, web: WebServer, tmp_path: Path) -> None:
    name = made(client)
    use_web(client, web)
    (tmp_path / "elsewhere").mkdir()
    client.set("ca:sandbox", dcv_hook_env=f"DCV_WEBROOT={tmp_path / 'elsewhere'}", poll_deadline="1s")
    row = published(client, name, status=36)[name]
    assert f"http://{name}/.well-known/pki-validation/" in str(row["problem"]) and "HTTP 404" in str(row["problem"])
    assert calls(client, "/submit/") == [] and [p for p in (tmp_path / "elsewhere").rglob("*") if p.is_file()] == []


def test_https_is_verified(client: Client, web: WebServer) -> None:
    """The server here speaks no TLS, so nothing is there for somebody who asks by https."""
    name = made(client)
    use_web(client, web)
    client.set("ca:sandbox", poll_deadline="0")
    row = published(client, name, "--method", "https", status=36)[name]
    assert f"https://{name}/.well-known/pki-validation/" in str(row["problem"]) and calls(client, "/submit/") == []


def test_a_wildcard_is_validated_at_its_base(client: Client, web: WebServer) -> None:
    base = made(client)
    assert client.sandbox is not None
    client.sandbox.ask("POST", "/domains", {"name": f"*.{base}", "org": 103})
    use_web(client, web)
    assert published(client, f"*.{base}", base)[f"*.{base}"]["result"] == "validated"
    assert {asked.split("/")[0] for asked in web.asked} == {base}


# --- hooks

PRINT = 'out=$DCV_OUT\n{ printf "%s\\n" "$#" "$@"; env | LC_ALL=C sort; ls -l /proc/$$/fd; } >"$out.$1${CERTBOT_AUTH_OUTPUT+.clean}"\n'


def hook_calls(client: Client, tmp_path: Path, style: str, method: str, more: str = "") -> dict[str, str]:
    """Calls a hook that writes down how it was called; nothing becomes visible."""
    name = made(client)
    hook = script(tmp_path / "hook", PRINT + more)
    client.set("ca:sandbox", dcv_hook=str(hook), dcv_hook_env=f"DCV_OUT={tmp_path / 'call'}", dns_servers="127.0.0.1:9",
               web_server="127.0.0.1:9", poll_deadline="0")
    args = ["--cleanup-hook", str(hook)] if style == "certbot" else []
    client.run("dcv", "publish", name, "--style", style, "--method", method, *args, status=36)
    return {p.name: p.read_text().replace(name, "DOMAIN") for p in tmp_path.glob("call.*")}


@pytest.mark.parametrize(("style", "method", "first", "last"), [
    ("p11enroll", "cname", ["5", "publish", "cname", "DOMAIN", "_*.DOMAIN", "*.sectigo.com"],
     ["5", "remove", "cname", "DOMAIN", "_*.DOMAIN", "*.sectigo.com"]),
    ("p11enroll", "http", ["5", "publish", "file", "DOMAIN", "/.well-known/pki-validation/*.txt", "*"],
     ["5", "remove", "file", "DOMAIN", "/.well-known/pki-validation/*.txt", "*"]),
    ("uacme", "txt", ["5", "begin", "dns-01", "DOMAIN", "_pki-validation.DOMAIN", "*%;*"],
     ["5", "failed", "dns-01", "DOMAIN", "_pki-validation.DOMAIN", "*%;*"]),
    ("dehydrated", "txt", ["4", "deploy_challenge", "DOMAIN", "_pki-validation.DOMAIN", "*%;*"],
     ["4", "clean_challenge", "DOMAIN", "_pki-validation.DOMAIN", "*%;*"]),
    ("lego", "txt", ["3", "present", "_pki-validation.DOMAIN.", "*%;*"], ["3", "cleanup", "_pki-validation.DOMAIN.", "*%;*"]),
])
def test_styles_have_their_arguments(client: Client, tmp_path: Path, style: str, method: str, first: list[str],
                                     last: list[str]) -> None:
    from fnmatch import fnmatchcase

    seen = hook_calls(client, tmp_path, style, method)
    for wanted in (first, last):
        lines = seen[f"call.{wanted[1]}"].splitlines()
        assert all(fnmatchcase(line, pattern) for line, pattern in zip(lines, wanted)), lines[:len(wanted)]
    assert len(seen) == 2


def test_certbot_s_environment(client: Client, tmp_path: Path) -> None:
    seen = hook_calls(client, tmp_path, "certbot", "txt", more="echo made-it\n")
    begin, clean = seen["call."], seen["call..clean"]
    assert begin.startswith("0\n") and "\nCERTBOT_DOMAIN=DOMAIN\n" in begin and "CERTBOT_TOKEN" not in begin
    assert "\nCERTBOT_AUTH_OUTPUT=made-it\n" in clean
    value = [line for line in begin.splitlines() if line.startswith("CERTBOT_VALIDATION=")]
    assert len(value) == 1 and value[0].partition("=")[2] == next(
        line for line in begin.splitlines() if line.startswith("P11ENROLL_VALUE=")).partition("=")[2]


def test_what_is_configured_takes_the_place_of_what_is_inherited(client: Client, tmp_path: Path) -> None:
    client.env["HOME"] = "/inherited"
    client.set("ca:sandbox", dcv_hook_env="")
    hook = script(tmp_path / "hook", f"env >{tmp_path}/seen.$1\n")
    client.set("ca:sandbox", dcv_hook=str(hook), dcv_hook_env="HOME=/configured; P11ENROLL_STEP=mine", dns_servers="127.0.0.1:9", poll_deadline="0")
    client.run("dcv", "publish", made(client), status=36)
    lines = (tmp_path / "seen.publish").read_text().splitlines()
    assert [line for line in lines if line.startswith("HOME=")] == ["HOME=/configured"]
    assert [line for line in lines if line.startswith("P11ENROLL_STEP=")] == ["P11ENROLL_STEP=publish"]


def test_more_variables_than_there_is_room_for_are_refused(client: Client) -> None:
    client.set("ca:sandbox", dcv_hook_env="; ".join(f"V{i}=1" for i in range(65)))
    done = client.run("dcv", "publish", "open.example", "--hook", "/bin/true", status=3)
    assert "environment of the hook: more than 64 variables" in done.stderr
    client.set("ca:sandbox", dcv_hook_env="; ".join(f"V{i}=1" for i in range(64)), dns_servers="127.0.0.1:9", poll_deadline="0")
    client.run("dcv", "publish", made(client), "--hook", "/bin/true", status=36)


def test_hooks_get_no_secret_and_nothing_open(client: Client, tmp_path: Path) -> None:
    client.env["SECRET_OF_OURS"] = "hush"
    client.env["PASSED_ON"] = "yes"
    text = ""
    client.set("ca:sandbox", dcv_hook_env="")
    name = made(client)
    hook = script(tmp_path / "hook", PRINT)
    client.set("ca:sandbox", dcv_hook=str(hook), dcv_hook_env=f"DCV_OUT={tmp_path / 'call'}; PASSED_ON; NOT_THERE", dns_servers="127.0.0.1:9",
               poll_deadline="0")
    client.run("dcv", "publish", name, status=36)
    text = (tmp_path / "call.publish").read_text()
    assert "SECRET_OF_OURS" not in text and "SOFTHSM2_CONF" not in text and "\nPASSED_ON=yes\n" in text and "NOT_THERE" not in text
    fds = [line.split(" -> ") for line in text.splitlines() if " -> " in line]
    numbers = {left.split()[-1]: right for left, right in fds}
    # 1 is the file here; dash keeps the pipe that it had at 10 or above; 255 is bash's script
    assert numbers["0"] == "/dev/null" and set(numbers) <= {"0", "1", "2", "10", "11", "255"}, numbers
    assert not any("journal" in right or "socket" in right for right in numbers.values()), numbers


@pytest.mark.parametrize(("text", "says"), [
    ("echo first >&2; echo 'the provider says no' >&2; exit 3\n", "ended with status 3: the provider says no"),
    ("kill -9 $$\n", "was killed by signal 9"),
    ("exit 1\n", "ended with status 1: it said nothing on its standard error"),
    ("printf 'a\\033[31mb' >&2; exit 1\n", "a\\x1b[31mb"),
    ("sleep 60\n", "did not end within 1 seconds and was ended"),
    ("sleep 60 & wait\n", "did not end within 1 seconds and was ended"),
])
def test_a_hook_that_fails(client: Client, tmp_path: Path, text: str, says: str) -> None:
    name = made(client)
    hook = script(tmp_path / "hook", f'[ "$1" = publish ] || exit 0\n{text}')
    client.set("ca:sandbox", dcv_hook=str(hook), dcv_hook_timeout="1s")
    done = client.run("dcv", "publish", name, status=37)
    assert says in done.stderr and f"domain {name}: the hook '{hook}'" in done.stderr and "\x1b" not in done.stderr
    assert calls(client, "/submit/") == []


def test_what_a_hook_leaves_behind_does_not_hold_us(client: Client, tmp_path: Path) -> None:
    name = made(client)
    hook = script(tmp_path / "hook", f'sleep 300 &\necho $! >>{tmp_path}/pids\nexit 1\n')
    client.set("ca:sandbox", dcv_hook=str(hook), dcv_hook_timeout="60s")
    client.run("dcv", "publish", name, status=37, timeout=30)
    for pid in (tmp_path / "pids").read_text().split():
        try:
            os.kill(int(pid), signal.SIGKILL)
        except ProcessLookupError:
            pass


@pytest.mark.parametrize(("style", "method"), [("certbot", "cname"), ("dehydrated", "cname"), ("lego", "cname"), ("lego", "http")])
def test_styles_without_words_for_a_record_are_refused_at_once(client: Client, tmp_path: Path, style: str, method: str) -> None:
    done = client.run("dcv", "publish", "open.example", "--hook", str(script(tmp_path / "h", "exit 0\n")), "--style", style,
                      "--method", method, status=2)
    assert f"hooks of the style '{style}' know TXT records" in done.stderr
    assert client.sandbox is not None and client.sandbox.requests() == []


@pytest.mark.parametrize(("args", "says"), [
    (["open.example"], "no hook is named"), (["open.example", "--hook", "/nowhere"], "--hook /nowhere"),
    (["--hook", "/bin/true"], "name a domain"), (["open.example", "--hook", "/etc/passwd"], "is not a program that can be run"),
    (["open.example", "--hook", "/bin/true", "--style", "none"], "there are: p11enroll, uacme, dehydrated, certbot, lego"),
    (["open.example", "--hook", "/bin/true", "--method", "email"], "a person has to answer"),
    (["open.example", "--hook", "/bin/true", "--dns-servers", "ns1"], "'ns1' is not an address"),
    (["open.example", "--hook", "/bin/true", "--web-server", "host"], "'host' is not HOST:PORT"),
    (["open.example", "--hook", "/bin/true", "--renew-before", "x"], "'x' is not a number"),
])
def test_wrong_usage_is_told_before_the_ca_is_asked(client: Client, args: list[str], says: str) -> None:
    done = client.run("dcv", "publish", *args, status=None)
    assert done.returncode in (2, 3) and says in done.stderr
    assert client.sandbox is not None and client.sandbox.requests() == []


def test_a_hook_that_everybody_can_change_is_not_called(client: Client, tmp_path: Path) -> None:
    hook = script(tmp_path / "hook", f"touch {tmp_path}/called\n")
    hook.chmod(0o757)
    done = client.run("dcv", "publish", "open.example", "--hook", str(hook), status=3)
    assert "everybody can change the hook" in done.stderr and not (tmp_path / "called").exists()


@with_dns
def test_an_interrupted_wait_removes_the_record(client: Client, dns: NameServer) -> None:
    name = made(client)
    use_dns(client, dns)
    client.set("ca:sandbox", dns_servers=f"{dns.where}, 127.0.0.1:9", poll_deadline="60s", poll_scale="100")
    process = client.start("dcv", "publish", name, "--method", "txt")
    deadline = time.monotonic() + 30
    while not records(dns, name):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _out, errors = process.communicate(timeout=30)
    assert process.returncode == 6 and "interrupted" in errors
    assert records(dns, name) == []


# --- the hooks that come with it, by themselves

def hook(path: Path, *args: str, **env: str) -> tuple[int, str]:
    done = subprocess.run([str(path), *args], env={"PATH": os.environ["PATH"], **env}, capture_output=True, text=True, check=False,
                          timeout=60)
    return done.returncode, done.stderr


@pytest.mark.parametrize("path", ["/.well-known/../../etc/x", "/etc/x", "/.well-known/a/./b", "/.well-known//b", "/.well-known/a b",
                                  "/.well-known/", "/.well-known/a/..", "/.well-known/a/$(id)"])
@pytest.mark.parametrize("action", ["publish", "remove"])
def test_the_webroot_hook_keeps_to_its_root(tmp_path: Path, path: str, action: str) -> None:
    (tmp_path / "www").mkdir()
    status, errors = hook(WEBROOT, action, "file", "a.example", path, "x", DCV_WEBROOT=str(tmp_path / "www"))
    assert status == 1 and "webroot hook:" in errors and list((tmp_path / "www").iterdir()) == []


@pytest.mark.parametrize("what", ["directory", "file"])
def test_the_webroot_hook_follows_no_symbolic_link(tmp_path: Path, what: str) -> None:
    root, outside = tmp_path / "www", tmp_path / "outside"
    (root / ".well-known").mkdir(parents=True)
    outside.mkdir()
    (outside / "f").write_text("precious")
    if what == "directory":
        (root / ".well-known/pki").symlink_to(outside)
    else:
        (root / ".well-known/pki").mkdir()
        (root / ".well-known/pki/f").symlink_to(outside / "f")
    for action in ("publish", "remove"):
        status, errors = hook(WEBROOT, action, "file", "a.example", "/.well-known/pki/f", "x", DCV_WEBROOT=str(root))
        assert status == 1 and "is a symbolic link" in errors
    assert (outside / "f").read_text() == "precious"


# Somebody who may write below the root does it at the worst moment: when the hook calls a program, which is called
# with these in front.
SWAP = 'mv {root}/.well-known/pki {root}/moved && ln -s {outside} {root}/.well-known/pki'
MOMENTS = {
    "a directory becomes a link after it was looked at": ("mktemp", SWAP),
    "a directory becomes a link before the file is moved to its name": ("mv", SWAP.replace("mv ", "/usr/bin/mv ")),
    "a directory becomes a link before the file is removed": ("rm", SWAP),
    "a link is there before the directory is made": ("mkdir", "ln -s {outside} {root}/.well-known/pki"),
    "a link takes the place of a directory that was made":
        ("mkdir", '/usr/bin/mkdir "$@" && rmdir {root}/.well-known/pki && ln -s {outside} {root}/.well-known/pki; exit 0'),
    "the new file becomes a link": ("mv", 'for f in .p11enroll.*; do ln -sf {outside}/f "$f"; done'),
    "a link takes the file's name": ("mv", 'ln -s {outside}/f f'),
}


@pytest.mark.parametrize("shell", ["dash", "bash"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_the_webroot_hook_is_not_led_elsewhere_by_somebody_who_is_quick(tmp_path: Path, moment: str, shell: str) -> None:
    root, outside, tools = tmp_path / "www", tmp_path / "outside", tmp_path / "tools"
    program, does = MOMENTS[moment]
    for path in (root / ".well-known", outside, tools):
        path.mkdir(parents=True)
    (outside / "f").write_text("precious")
    if program != "mkdir":
        (root / ".well-known/pki").mkdir()
    script(tools / program, f'touch {tmp_path}/swapped\n{does.format(root=root, outside=outside)}\n'
                            f'exec /usr/bin/{program} "$@"\n')
    action = "remove" if program == "rm" else "publish"
    hook(Path(f"/usr/bin/{shell}"), str(WEBROOT), action, "file", "a.example", "/.well-known/pki/f", "x",
         DCV_WEBROOT=str(root), PATH=f"{tools}:{os.environ['PATH']}")
    assert (tmp_path / "swapped").exists()
    assert [p.name for p in outside.iterdir()] == ["f"] and (outside / "f").read_text() == "precious"


def test_the_webroot_hook_knows_a_root_for_each_domain(tmp_path: Path) -> None:
    (tmp_path / "a.example/html").mkdir(parents=True)
    args = ["file", "a.example", "/.well-known/pki-validation/F.txt", "one\ntwo"]
    assert hook(WEBROOT, "publish", *args, DCV_WEBROOT=f"{tmp_path}/{{domain}}/html") == (0, "")
    made_file = tmp_path / "a.example/html/.well-known/pki-validation/F.txt"
    assert made_file.read_text() == "one\ntwo\n" and made_file.stat().st_mode & 0o777 == 0o644
    assert hook(WEBROOT, "remove", *args, DCV_WEBROOT=f"{tmp_path}/{{domain}}/html") == (0, "") and not made_file.exists()


@with_dns
def test_the_nsupdate_hook_writes_any_text(dns: NameServer) -> None:
    name, value = f"_t{secrets.token_hex(4)}.example", 'a"b\\c|%;$(id) `x` \'y\''
    env = dict(item.strip().split("=", 1) for item in dns.hook_env().split(";"))
    assert hook(NSUPDATE, "publish", "txt", "example", name, value, **env) == (0, "")
    assert dns.ask(name, "TXT") == ['"a\\"b\\\\c|%\\;$(id) `x` \'y\'"'] or dns.ask(name, "TXT") == ['"a\\"b\\\\c|%;$(id) `x` \'y\'"']
    assert hook(NSUPDATE, "remove", "txt", "example", name, value, **env) == (0, "") and dns.ask(name, "TXT") == []
