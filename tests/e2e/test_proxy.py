"""Through a real proxy (squid), with its logins, and what is said when it does not let us through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from front import PASSWORD, USER, Rude, Squid, free_port, password_file, squid_or_reason
from p11e import Client


@pytest.fixture(scope="module")
def squids() -> Iterator[Callable[[str], Squid]]:
    """Proxies by the login that they want, each started when it is first needed."""
    reason = squid_or_reason()
    if reason is not None:
        pytest.skip(reason)
    running: dict[str, Squid] = {}

    def of(kind: str) -> Squid:
        if kind not in running:
            running[kind] = Squid(kind)
        return running[kind]

    yield of
    for squid in running.values():
        squid.stop()


def use(client: Client, proxy: Squid | Rude, auth: str | None = None, password: str | None = PASSWORD) -> None:
    client.set("ca:sandbox", proxy=proxy.url, proxy_auth=auth)
    if password is not None:
        source = f"file:{password_file(client.dir / 'proxy-password', password)}"
        client.set("ca:sandbox", proxy_user=USER, proxy_password_source=source)


def steps(client: Client, status: int) -> tuple[list[str], list[str], dict[str, str]]:
    """The steps that went well, those that failed, and what was said of these."""
    checks = client.json("check", status=status)["checks"]
    failed = {c["step"]: f"{c['detail']}; {c['remedy']}" for c in checks if c["result"] == "failed"}
    return [c["step"] for c in checks if c["result"] == "ok"], list(failed), failed


@pytest.mark.parametrize(("kind", "auth"), [
    ("none", None), ("basic", None), ("basic", "basic"), ("digest", None), ("digest", "digest"), ("both", "any"),
    ("both", "basic"), ("both", "digest")])
def test_enrollment_through_a_proxy(client: Client, squids: Callable[[str], Squid], kind: str, auth: str | None) -> None:
    squid = squids(kind)
    before = squid.passed
    use(client, squid, auth, PASSWORD if kind != "none" else None)
    assert client.json("enroll", "--name", "www.example.org")["state"] == "done"
    assert squid.has_passed(before + 1)
    assert client.sandbox is not None and client.sandbox.posts() == 1


def test_a_digest_keeps_the_password_from_the_wire(client: Client, squids: Callable[[str], Squid]) -> None:
    rude = Rude("407 Proxy Authentication Required\r\nProxy-Authenticate: Digest realm=\"r\", nonce=\"n\"")
    try:
        use(client, rude, "any")
        client.run("products", status=3)
        assert PASSWORD.encode() not in rude.heard and b"Proxy-Authorization: Basic" not in rude.heard
    finally:
        rude.stop()


def test_check_names_the_proxy(client: Client, squids: Callable[[str], Squid]) -> None:
    squid = squids("digest")
    use(client, squid)
    well, failed, _ = steps(client, 0)
    assert not failed and well.index("connection") < well.index("proxy") < well.index("TLS")


@pytest.mark.parametrize("kind", ["basic", "digest"])
def test_wrong_password(client: Client, squids: Callable[[str], Squid], kind: str) -> None:
    use(client, squids(kind), password="wrong-Password")
    done = client.run("products", status=3)
    assert f"does not accept the login of '{USER}' (HTTP 407)" in done.stderr
    assert "wrong-Password" not in done.stderr
    _, failed, said = steps(client, 3)
    assert failed == ["proxy"] and "'proxy_password_source'" in said["proxy"]
    assert client.sandbox is not None and client.sandbox.requests() == []


def test_a_wrong_password_is_not_tried_again(client: Client, squids: Callable[[str], Squid]) -> None:
    squid = squids("basic")
    use(client, squid, "basic", password="wrong-Password")
    before = (squid.dir / "access.log").read_text().count("/407")
    client.run("products", status=3)
    assert (squid.dir / "access.log").read_text().count("/407") == before + 1


def test_missing_login(client: Client, squids: Callable[[str], Squid]) -> None:
    use(client, squids("basic"), password=None)
    done = client.run("products", status=3)
    assert "wants a login (HTTP 407), and none is configured ('proxy_user'" in done.stderr


def test_login_of_another_kind(client: Client, squids: Callable[[str], Squid]) -> None:
    use(client, squids("digest"), "basic")
    done = client.run("products", status=3)
    assert "it wants another kind of login ('proxy_auth')" in done.stderr


def test_proxy_that_is_not_there(client: Client) -> None:
    port = free_port()
    client.set("ca:sandbox", proxy=f"http://127.0.0.1:{port}")
    done = client.run("products", status=40)
    assert f"the proxy http://127.0.0.1:{port} cannot be reached" in done.stderr
    _, failed, _ = steps(client, 40)
    assert failed == ["connection"]


def test_proxy_whose_name_does_not_exist(client: Client) -> None:
    client.set("ca:sandbox", proxy="http://no-such-proxy.invalid:3128")
    done = client.run("products", status=40)
    assert "the proxy's name in http://no-such-proxy.invalid:3128 cannot be looked up" in done.stderr
    _, failed, _ = steps(client, 40)
    assert failed == ["name lookup"]


@pytest.mark.parametrize("how", ["reset", "close"])
def test_proxy_that_ends_the_connection(client: Client, how: str) -> None:
    rude = Rude(how)
    try:
        use(client, rude, password=None)
        done = client.run("products", status=40)
        assert "took our connection, and ended it or fell silent before it connected us" in done.stderr
        _, failed, _ = steps(client, 40)
        assert failed == ["proxy"]
    finally:
        rude.stop()


def test_proxy_that_says_nothing(client: Client) -> None:
    rude = Rude("silence")
    try:
        use(client, rude, password=None)
        client.set("ca:sandbox", connect_timeout="1s", timeout="1s")
        _, failed, said = steps(client, 40)
        assert failed == ["proxy"] and "fell silent" in said["proxy"]
    finally:
        rude.stop()


@pytest.mark.parametrize(("answer", "status", "text"), [
    ("403 Forbidden", 43, "does not let us through"), ("502 Bad Gateway", 40, "is there, but cannot reach"),
    ("504 Gateway Timeout", 40, "is there, but cannot reach"), ("407 Login", 3, "wants a login")])
def test_proxy_that_refuses_to_connect_us(client: Client, answer: str, status: int, text: str) -> None:
    rude = Rude(answer)
    try:
        use(client, rude, password=None)
        _, failed, said = steps(client, status)
        assert failed == ["proxy"] and text in said["proxy"]
    finally:
        rude.stop()


@pytest.mark.parametrize(("answer", "status"), [("407 Login", 3), ("403 Forbidden", 43), ("502 Bad Gateway", 40), ("reset", 40)])
def test_order_that_our_proxy_kept_back_was_not_ordered(client: Client, answer: str, status: int) -> None:
    assert client.sandbox is not None
    client.sandbox.once("POST", "/ssl/v1/enroll", fail_status=400, fail_code=-195)
    client.run("enroll", "--name", "www.example.org", status=45)
    rude = Rude(answer)
    try:
        use(client, rude, password=None)
        client.run("order", "wait", "1", status=status)
    finally:
        rude.stop()
    assert client.json("order", "show", "1")["state"] == "signed"
    client.set("ca:sandbox", proxy=None)
    assert client.json("order", "wait", "1")["state"] == "done" and len(client.sandbox.orders()) == 1


def test_real_proxy_that_cannot_reach_the_server(client: Client, squids: Callable[[str], Squid]) -> None:
    use(client, squids("none"), password=None)
    client.set("ca:sandbox", url=f"https://localhost:{free_port()}")
    _, failed, said = steps(client, 40)
    assert failed == ["proxy"] and "is there, but cannot reach https://localhost" in said["proxy"]


def test_server_behind_the_proxy_is_told_apart_from_it(client: Client, squids: Callable[[str], Squid]) -> None:
    assert client.sandbox is not None
    use(client, squids("none"), password=None)
    client.sandbox.set(tls_cert="expired")
    well, failed, said = steps(client, 41)
    assert failed == ["TLS"] and "proxy" in well and "outside its validity" in said["TLS"]


@pytest.mark.parametrize("listed", ["localhost", "*", "example.org, localhost", ".localhost"])
def test_hosts_that_need_no_proxy(client: Client, listed: str) -> None:
    client.set("ca:sandbox", proxy=f"http://127.0.0.1:{free_port()}", no_proxy=listed)
    assert client.json("products")["products"]


def test_other_hosts_need_it_still(client: Client) -> None:
    client.set("ca:sandbox", proxy=f"http://127.0.0.1:{free_port()}", no_proxy="ocalhost,10.0.0.0/8,local")
    client.run("products", status=40)


def test_tokens_are_fetched_through_the_proxy(client: Client, squids: Callable[[str], Squid]) -> None:
    assert client.sandbox is not None
    squid = squids("both")
    before = squid.passed
    use(client, squid)
    client.set("ca:sandbox", auth="oauth", login=None, customer_uri=None, client_cert=None, client_alias=None,
               client_password_source=None, client_id="sandbox-admin-key", token_hosts="localhost",
               client_secret_source=f"file:{client.sandbox.dir / 'admin-client-secret.txt'}")
    client.run("products")
    assert squid.has_passed(before + 2)


def test_the_password_of_the_proxy_is_in_no_trace(client: Client, squids: Callable[[str], Squid], tmp_path: Path) -> None:
    use(client, squids("both"))
    done = client.run("products", "--log-level", "trace")
    assert "http" in done.stderr and PASSWORD not in done.stderr and "Proxy-Authorization" not in done.stderr
