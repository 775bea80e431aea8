"""What the connection test tells apart, and what it says to do."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from p11e import P11ENROLL, Client, Sandbox, clean_env, run

Row = dict[str, Any]


def sandbox_of(client: Client) -> Sandbox:
    assert client.sandbox is not None
    return client.sandbox


def rows(client: Client, status: int = 0) -> dict[str, Row]:
    return {c["step"]: c for c in client.json("check", status=status)["checks"]}


def failed(client: Client, status: int) -> Row:
    """The one step that failed, which is the last one."""
    found = list(rows(client, status).values())
    assert [row["result"] for row in found].count("failed") == 1 and found[-1]["result"] == "failed", found
    return found[-1]


@pytest.fixture
def by_password(client: Client) -> Client:
    client.set("ca:sandbox", auth="password", client_cert=None, client_alias=None, client_password_source=None,
               password_source=f"file:{sandbox_of(client).password_file('admin-password.txt')}")
    return client


@pytest.fixture
def by_key(client: Client) -> Client:
    client.set("ca:sandbox", auth="oauth", login=None, customer_uri=None, client_cert=None, client_alias=None,
               client_password_source=None, client_id="sandbox-admin-key", token_hosts="localhost",
               client_secret_source=f"file:{sandbox_of(client).dir / 'admin-client-secret.txt'}")
    return client


class Account:
    """Changes an account of the sandbox, and puts it back."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.path = sandbox.dir / "accounts.json"
        self.before = self.path.read_text()

    def set(self, **values: Any) -> None:
        data = json.loads(self.before)
        accounts = data["accounts"] if isinstance(data, dict) else data
        next(a for a in accounts if a["login"] == "sandbox-admin").update(values)
        self.path.write_text(json.dumps(data))


@pytest.fixture
def account(client: Client):  # type: ignore[no-untyped-def]
    made = Account(sandbox_of(client))
    yield made
    made.path.write_text(made.before)


def day(days: int) -> str:
    return (datetime.now(timezone.utc) + timedelta(days=days)).strftime("%Y-%m-%d")


# --- the password's end

@pytest.mark.parametrize(("end", "result", "text"), [
    (None, "ok", "never expires"), (day(100), "ok", "it expires on"), (day(5), "warning", "it expires on")])
def test_end_of_the_password(by_password: Client, account: Account, end: str | None, result: str, text: str) -> None:
    account.set(passwordExpirationDate=end)
    row = rows(by_password)["password"]
    assert row["result"] == result and text in row["detail"] and (end or "") in row["detail"]
    assert ("remedy" in row and "change it in SCM" in (row["remedy"] or "")) == (result == "warning")


def test_password_that_has_expired(by_password: Client, account: Account) -> None:
    account.set(passwordExpirationDate=day(-3))
    row = failed(by_password, 42)
    assert row["step"] == "password" and "it has expired" in row["detail"] and "change it in SCM" in row["remedy"]


@pytest.mark.parametrize("switches", [{"fail_status": 403}, {"fail_status": 200, "fail_body": "html"},
                                      {"fail_status": 400}])
def test_password_that_may_not_be_asked_about_is_a_warning(by_password: Client, switches: Row) -> None:
    sandbox_of(by_password).set(fault_path="/admin/v1/password", **switches)
    assert rows(by_password)["password"]["result"] == "warning"


def test_certificate_and_key_logins_have_no_password_to_ask_about(client: Client) -> None:
    assert "password" not in rows(client)


# --- what the login may do

def test_web_api_that_is_off(client: Client) -> None:
    client.set("ca:sandbox", org_id="104")
    row = failed(client, 43)
    assert row["step"] == "API" and "the Web API is off for organization 104" in row["detail"]
    assert "Enable Web/REST API" in row["remedy"]


def test_department_is_an_organization(client: Client) -> None:
    client.set("ca:sandbox", org_id="203")
    found = rows(client)
    assert found["organization"]["result"] == "ok" and found["API"]["result"] in ("ok", "warning")


def test_organization_that_is_not_delegated(client: Client, account: Account) -> None:
    account.set(organizations=[105])
    row = failed(client, 43)
    assert row["step"] == "organization" and "'org_id'" in row["remedy"]


def test_inventory_that_may_not_be_read_is_a_warning(client: Client) -> None:
    sandbox_of(client).set(fault_path="/ssl/v1$", fail_status=403)
    row = rows(client)["inventory"]
    assert row["result"] == "warning" and "not found again" in row["remedy"]


@pytest.mark.parametrize("reply", ["json", "empty", "html"])
def test_login_that_is_refused(client: Client, reply: str) -> None:
    sandbox_of(client).set(auth="refuse", auth_reply=reply)
    row = failed(client, 42)
    assert row["step"] == "credentials" and "this very certificate is selected" in row["remedy"]


def test_server_that_never_asks_for_the_certificate(client: Client) -> None:
    sandbox_of(client).set(client_cert="never")
    row = failed(client, 42)
    assert row["step"] == "credentials"


def test_api_that_is_none(client: Client) -> None:
    sandbox_of(client).set(fault_path="/ssl/v1/types", fail_status=200, fail_body="html")
    row = failed(client, 46)
    assert row["step"] == "API" and "'url' and 'api_path'" in row["remedy"]


# --- the server that gives out tokens

STAGES = ["token server: name lookup", "token server: connection", "token server: TLS", "token server: HTTP", "token"]


def test_stages_of_a_login_with_an_api_key(by_key: Client) -> None:
    found = rows(by_key)
    assert {row["result"] for row in found.values()} == {"ok"}
    names = list(found)
    at = names.index(STAGES[0])
    assert names[at:at + len(STAGES)] == STAGES and names[at + len(STAGES)] == "credentials"


@pytest.mark.parametrize(("url", "step", "status"), [
    ("https://no-such-host.invalid/token", "token server: name lookup", 40),
    ("https://127.0.0.1:9/token", "token server: connection", 40)])
def test_token_server_that_cannot_be_reached(by_key: Client, url: str, step: str, status: int) -> None:
    by_key.set("ca:sandbox", token_url=url)
    assert failed(by_key, status)["step"] == step


def test_token_server_that_is_not_allowed(by_key: Client) -> None:
    sandbox_of(by_key).set(oauth_names="https://elsewhere.example/token")
    row = failed(by_key, 42)
    assert row["step"] == "token server" and "'token_hosts'" in row["remedy"]


def test_key_that_is_refused(by_key: Client) -> None:
    sandbox_of(by_key).set(oauth="refuse")
    row = failed(by_key, 42)
    assert row["step"] == "token" and "'client_secret_source'" in row["remedy"]


# --- certificates

def test_certificate_of_ours_is_shown_with_issuer_and_end(client: Client) -> None:
    detail = rows(client)["client certificate"]["detail"]
    assert "' of '" in detail and "serial" in detail and "valid until" in detail


@pytest.mark.parametrize(("asks", "text"), [("optional", "asked for our client certificate and got it"),
                                            ("never", "did not ask for a client certificate so far")])
def test_whether_our_certificate_was_presented(client: Client, asks: str, text: str) -> None:
    sandbox_of(client).set(client_cert=asks)
    assert text in rows(client, 0 if asks == "optional" else 42)["TLS"]["detail"]


def test_a_server_that_asks_somebody_without_a_certificate(by_password: Client) -> None:
    assert "asked for a client certificate, and we have none" in rows(by_password)["TLS"]["detail"]


def test_people_read_what_to_do_in_the_same_line(client: Client) -> None:
    client.set("ca:sandbox", org_id="4711")
    done = client.run("check", status=43)
    line = next(line for line in done.stdout.splitlines() if line.startswith("organization"))
    assert "failed" in line and "4711" in line and "correct 'org_id'" in line


@pytest.mark.parametrize("words", [["check"], ["token", "info"], ["enroll", "--name", "www.example.org"]], ids=lambda w: w[0])
def test_without_a_configuration_file_the_places_of_one_are_named(words: list[str], tmp_path: Path) -> None:
    system = Path("/etc/p11enroll/p11enroll.conf")
    if system.exists():
        pytest.skip(f"this machine has {system}")
    args = [str(P11ENROLL), *words, "--state-dir", str(tmp_path / "state")]
    done = run(args, check=False, env=clean_env(XDG_CONFIG_HOME=str(tmp_path)))
    assert done.returncode == 3
    assert f"no configuration file was read (there is neither {tmp_path}/p11enroll/p11enroll.conf nor {system})" in done.stderr


def test_a_configuration_file_that_was_read_is_not_missed(client: Client) -> None:
    client.set("ca:sandbox", client_cert=None, client_alias=None)
    assert "no configuration file" not in client.run("check", status=3).stderr
