"""The client certificate: PKCS#12, PEM, or a key in a token, in TLS 1.2 and 1.3."""

from __future__ import annotations

import re
import secrets
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from p11e import TPM2_MODULE, Client, Sandbox, Token, clean_env, need, private_file, run

TLS = pytest.mark.parametrize("tls", ["1.2", "1.3"])


def login_works(client: Client, tls: str) -> None:
    """Logs in with the configured client certificate, and the server saw the wanted version."""
    assert client.sandbox is not None
    result = client.json("products", "--tls-max", tls)
    assert result["products"]
    seen = [r for r in client.sandbox.requests() if "/private/api/ssl/" in r["path"]]
    assert seen and all(r["tls"] == f"TLSv{tls}" for r in seen), seen
    assert all(r["client_serial"] for r in seen)


def use_files(client: Client, cert: str, key: str | None, password: bool = False, alias: str | None = None) -> None:
    assert client.sandbox is not None
    base = client.sandbox.dir
    client.set("ca:sandbox", client_cert=str(base / cert), client_alias=alias,
               client_key=None if key is None else str(base / key),
               client_password_source=f"file:{base / 'client-password.txt'}" if password else None)


@TLS
@pytest.mark.parametrize("name", ["client", "client-rsa"])
def test_pkcs12(client: Client, tls: str, name: str) -> None:
    use_files(client, f"{name}.p12", None, password=True)
    login_works(client, tls)


@TLS
@pytest.mark.parametrize("name", ["client", "client-rsa"])
def test_pem_pair(client: Client, tls: str, name: str) -> None:
    use_files(client, f"{name}.pem", f"{name}.key")
    login_works(client, tls)


@TLS
def test_encrypted_pem_key(client: Client, tls: str) -> None:
    use_files(client, "client.pem", "client-encrypted.key", password=True)
    login_works(client, tls)


def test_alias_is_checked(client: Client) -> None:
    use_files(client, "client.p12", None, password=True, alias="nobody")
    done = client.run("products", status=51)
    assert "no key with alias 'nobody'" in done.stderr and "'admin'" in done.stderr


def test_wrong_password(client: Client) -> None:
    use_files(client, "client.p12", None)
    done = client.run("products", status=51)
    assert "needs a password" in done.stderr
    wrong = private_file(client.dir / "wrong", "wrong-password")
    client.set("ca:sandbox", client_password_source=f"file:{wrong}")
    done = client.run("products", status=51)
    assert "the password does not open it" in done.stderr and "wrong-password" not in done.stderr


def test_certificate_of_another_key(client: Client) -> None:
    use_files(client, "client.pem", "client-rsa.key")
    done = client.run("products", status=51)
    assert "belongs to the key" in done.stderr


def token_identity(client: Client, sandbox: Sandbox, kind: str, bind: bool = True) -> str:
    """An administrator's key in the client's token; its certificate bound to it, or in a file."""
    made = client.json("key", "generate", "--label", "api-admin", "--type", kind)
    csr = client.run("csr", "create", made["uri"], "--subject", "CN=sandbox-admin").stdout
    answer = sandbox.client_cert(csr)
    path = client.dir / "admin.pem"
    path.write_text(answer["cert"] + answer["chain"])
    if bind:
        client.run("cert", "bind", "--key", made["uri"], "--cert", str(path), "--no-chain-check")
    return made["uri"]


@TLS
@pytest.mark.parametrize("kind", ["rsa:2048", "ec:P-256", "ec:P-384"])
def test_key_in_the_same_token(client: Client, sandbox: Sandbox, tls: str, kind: str) -> None:
    client.set("profile:web", issuer_roots=None)
    uri = token_identity(client, sandbox, kind)
    client.set("ca:sandbox", client_cert=None, client_key=uri, client_alias=None,
               client_password_source=None)
    login_works(client, tls)
    client.set("profile:web", issuer_roots=str(sandbox.dir / "issuer-root.pem"))
    assert client.json("enroll", "--name", "www.example.org", "--tls-max", tls)["state"] == "done"


@TLS
def test_key_in_a_token_and_certificate_in_a_file(client: Client, sandbox: Sandbox, tls: str) -> None:
    uri = token_identity(client, sandbox, "ec:P-256", bind=False)
    client.set("ca:sandbox", client_key=uri, client_cert=str(client.dir / "admin.pem"),
               client_alias=None, client_password_source=None)
    login_works(client, tls)


@TLS
def test_key_in_another_token_of_the_module(client: Client, token: Token, sandbox: Sandbox, tls: str) -> None:
    token.add("admin-card")
    client.set("token:card", module=str(token.module), uri="pkcs11:token=admin-card",
               pin_source=f"file:{token.pin_file}")
    client.set("p11enroll", token="card")
    client.set("profile:web", issuer_roots=None)
    uri = token_identity(client, sandbox, "ec:P-256")
    client.set("p11enroll", token="main")
    client.set("profile:web", issuer_roots=str(sandbox.dir / "issuer-root.pem"))
    client.set("ca:sandbox", client_cert=None, client_key=uri, client_alias=None,
               client_password_source=None, client_token="card")
    assert client.json("enroll", "--name", "www.example.org", "--tls-max", tls)["state"] == "done"


@pytest.fixture(scope="module")
def tpm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A TPM 2.0 (swtpm) with an initialised tpm2-pkcs11 token: a module from another vendor."""
    reason = need("swtpm", "swtpm_setup", "pkcs11-tool", str(TPM2_MODULE))
    if reason is not None:
        pytest.skip(reason)
    base = Path("/tmp") / f"p11e-tpm-{secrets.token_hex(4)}"  # a socket path has 107 bytes at most
    (base / "state").mkdir(parents=True)
    (base / "store").mkdir()
    run(["swtpm_setup", "--tpm2", "--tpmstate", str(base / "state"), "--createek",
         "--lock-nvram", "--overwrite"], env=clean_env())
    socket = base / "swtpm.sock"
    process = subprocess.Popen(
        ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={base / 'state'}", "--server",
         f"type=unixio,path={socket}", "--ctrl", f"type=unixio,path={socket}.ctrl", "--flags",
         "not-need-init,startup-clear"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 10
    while not socket.exists():
        assert time.monotonic() < end and process.poll() is None, "swtpm did not start"
        time.sleep(0.05)
    env = {"TPM2_PKCS11_TCTI": f"swtpm:path={socket}", "TPM2_PKCS11_STORE": str(base / "store"),
           "TPM2_PKCS11_LOG_LEVEL": "0", "TSS2_LOG": "all+NONE"}
    tool = ["pkcs11-tool", "--module", str(TPM2_MODULE)]
    run([*tool, "--slot-index", "0", "--init-token", "--label", "tpm", "--so-pin", "87654321"],
        env=clean_env(**env))
    run([*tool, "--token-label", "tpm", "--init-pin", "--so-pin", "87654321", "--pin", "123456"],
        env=clean_env(**env))
    run([*tool, "--token-label", "tpm", "--login", "--pin", "123456", "--keypairgen", "--key-type",
         "EC:prime256v1", "--id", "a2", "--label", "tpm-admin"], env=clean_env(**env))
    yield env
    process.terminate()
    process.wait(timeout=10)
    run(["rm", "-rf", str(base)])


@TLS
def test_key_in_another_module_in_the_same_process(
        client: Client, sandbox: Sandbox, tpm: dict[str, str], tls: str) -> None:
    pin = private_file(client.dir / "tpm-pin", "123456")
    client.env.update(tpm)
    # a leak inside that module is suppressed by its name, which only whole stacks show; they are slow
    client.env["ASAN_OPTIONS"] = "fast_unwind_on_malloc=0"
    client.set("token:tpm", module=str(TPM2_MODULE), uri="pkcs11:token=tpm", pin_source=f"file:{pin}")
    client.set("p11enroll", token="main")
    uri = "pkcs11:token=tpm;object=tpm-admin"
    csr = client.run("csr", "create", uri, "--subject", "CN=sandbox-admin", "--token", "tpm").stdout
    answer = sandbox.client_cert(csr)
    cert = client.dir / "tpm-admin.pem"
    cert.write_text(answer["cert"] + answer["chain"])
    client.set("ca:sandbox", client_key=uri, client_cert=str(cert), client_alias=None,
               client_password_source=None, client_token="tpm")
    result = client.json("enroll", "--name", "www.example.org", "--tls-max", tls)
    assert result["state"] == "done" and "token=t1" in result["key_uri"]
    seen = [r for r in sandbox.requests() if "enroll" in r["path"]]
    assert [r["tls"] for r in seen] == [f"TLSv{tls}"]


def test_certificate_without_client_auth_is_warned_about(client: Client) -> None:
    use_files(client, "client-noeku.pem", "client-noeku.key")
    done = client.run("check", "--json", status=None)
    assert '"result":"warning"' in done.stdout
    assert "lacks clientAuth" in done.stdout and "server authentication alone" in done.stdout


@pytest.mark.parametrize("proxy", ["http://u:SECRET@127.0.0.1:9x", "http://u:SECRET@127.0.0.1:9",
                                   "https://SECRET:3128"])
def test_a_proxy_that_is_no_host_and_port_is_not_repeated(client: Client, proxy: str) -> None:
    for more in ((), ("--json",), ("--log-level", "debug")):
        done = client.run("check", "--proxy", proxy, *more, status=3)
        assert "SECRET" not in done.stdout + done.stderr
        assert "proxy_password_source" in done.stdout + done.stderr


def test_the_environment_does_not_take_the_proxy_away(client: Client) -> None:
    client.env.update({"NO_PROXY": "*", "no_proxy": "*"})
    client.set("ca:sandbox", proxy="http://127.0.0.1:9")
    checks = client.json("check", status=40)["checks"]
    assert [c["step"] for c in checks if c["result"] == "failed"] == ["connection"]


def test_the_environment_does_not_bring_a_proxy(client: Client) -> None:
    client.env.update({name: "http://127.0.0.1:9" for name in ("https_proxy", "HTTPS_PROXY", "ALL_PROXY")})
    client.json("check")


def test_secrets_of_connections_are_not_written_down(client: Client) -> None:
    log = client.dir / "keylog"
    client.env["SSLKEYLOGFILE"] = str(log)
    client.json("check")
    assert not log.exists()


@pytest.mark.parametrize("name", ["timeout", "connect-timeout"])
def test_no_time_limit_is_no_setting(client: Client, name: str) -> None:
    done = client.run("check", f"--{name}", "0s", status=3)
    assert f"('{name.replace('-', '_')}') is 0" in done.stdout + done.stderr


def test_check_reports_each_step(client: Client) -> None:
    steps = {c["step"]: c["result"] for c in client.json("check")["checks"]}
    assert steps == {name: "ok" for name in
                     ["configuration", "client certificate", "name lookup", "connection", "TLS", "HTTP",
                      "credentials", "organization", "API", "products", "inventory"]}


def test_check_gives_the_end_of_the_servers_certificate(client: Client) -> None:
    assert client.sandbox is not None
    details = {c["step"]: c["detail"] for c in client.json("check")["checks"]}
    assert re.search(r", valid until 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ; ", details["TLS"]), details["TLS"]


@pytest.mark.parametrize(("change", "step", "status"), [
    ({"url": "https://no-such-host.invalid"}, "name lookup", 40),
    ({"url": "https://127.0.0.1:9"}, "connection", 40),
    ({"trust": "issuer-root.pem"}, "TLS", 41),
    ({"login": "nobody"}, "credentials", 42),
    ({"org_id": "4711"}, "organization", 43),
    ({"client_password_source": None}, "configuration", 51)])
def test_check_names_the_step_that_fails(
        client: Client, change: dict[str, str | None], step: str, status: int) -> None:
    assert client.sandbox is not None
    if "trust" in change:
        change = {"trust": str(client.sandbox.dir / str(change["trust"]))}
    client.set("ca:sandbox", **change)
    checks = client.json("check", status=status)["checks"]
    assert [c["step"] for c in checks if c["result"] == "failed"] == [step]
