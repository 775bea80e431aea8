"""A real nginx in front of the sandbox: it does the TLS, verifies client certificates, speaks HTTP/2 and packs bodies."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from front import Nginx
from p11e import Client, Sandbox, need


@pytest.fixture(scope="module")
def fronts(tmp_path_factory: pytest.TempPathFactory, sandbox_process: Sandbox) -> Iterator[dict[str, Nginx]]:
    reason = need("nginx", "openssl")
    if reason is not None:
        pytest.skip(reason)
    made = {name: Nginx(tmp_path_factory.mktemp("nginx") / name, sandbox_process, name == "h2") for name in ("h2", "h1")}
    yield made
    for front in made.values():
        front.stop()


@pytest.fixture
def front(client: Client, fronts: dict[str, Nginx]) -> Nginx:
    return behind(client, fronts["h2"])


def behind(client: Client, front: Nginx) -> Nginx:
    """The client goes to nginx, and the sandbox believes what that says of client certificates."""
    assert client.sandbox is not None
    client.sandbox.set(front_header="X-Client-Serial")
    client.set("ca:sandbox", url=front.url, trust=str(front.dir / "ca.pem"))
    (front.dir / "access.log").write_text("")
    return front


def token_login(client: Client) -> str:
    """The administrator's key in the token; returns the certificate's serial number."""
    assert client.sandbox is not None
    made = client.json("key", "generate", "--label", "api-admin", "--type", "ec:P-256")
    csr = client.run("csr", "create", made["uri"], "--subject", "CN=sandbox-admin").stdout
    answer = client.sandbox.client_cert(csr)
    path = client.dir / "admin.pem"
    path.write_text(answer["cert"] + answer["chain"])
    client.set("ca:sandbox", client_key=made["uri"], client_cert=str(path), client_alias=None,
               client_password_source=None)
    return made["uri"]


@pytest.mark.parametrize("name", ["h2", "h1"])
@pytest.mark.parametrize("tls", ["1.2", "1.3"])
def test_whole_enrollment_with_a_token_key_through_nginx(
        client: Client, fronts: dict[str, Nginx], name: str, tls: str) -> None:
    front = behind(client, fronts[name])
    token_login(client)
    assert client.sandbox is not None
    client.sandbox.set(pending_polls=2)
    assert client.json("enroll", "--name", "www.example.org", "--tls-max", tls)["state"] == "done"
    assert client.sandbox.posts() == 1
    version = "HTTP/2.0" if name == "h2" else "HTTP/1.1"
    reads = [line for line in front.lines() if '"GET ' in line]
    assert reads and all(version in line for line in reads)
    assert {r["auth"] for r in client.sandbox.requests() if "/private/" in r["path"]} == {"certificate"}


def test_an_order_keeps_to_http_1_1_and_a_connection_of_its_own(client: Client, front: Nginx) -> None:
    token_login(client)
    client.run("enroll", "--name", "www.example.org")
    posts = [line for line in front.lines() if '"POST ' in line]
    assert len(posts) == 1 and "HTTP/1.1" in posts[0]


def test_http_2_can_be_left_out(client: Client, front: Nginx) -> None:
    client.set("ca:sandbox", http2="no")
    details = {c["step"]: c["detail"] for c in client.json("check")["checks"]}
    assert details["HTTP"].endswith("(HTTP/1.1)") and not [line for line in front.lines() if "HTTP/2.0" in line]


def test_the_certificate_and_not_a_header_of_ours_decides(client: Client, front: Nginx) -> None:
    assert client.sandbox is not None
    base = client.sandbox.dir
    client.set("ca:sandbox", client_cert=str(base / "client-other.pem"), client_key=str(base / "client-other.key"),
               client_alias=None, client_password_source=None)
    assert "HTTP 401" in client.run("products", status=42).stderr


def test_certificate_that_nginx_does_not_accept(client: Client, front: Nginx) -> None:
    assert client.sandbox is not None
    base = client.sandbox.dir
    client.set("ca:sandbox", client_cert=str(base / "client-noeku.pem"), client_key=str(base / "client-noeku.key"),
               client_alias=None, client_password_source=None)
    done = client.run("products", status=None)
    assert done.returncode in (41, 42, 44, 46) and "HTTP 40" in done.stderr, done.stderr
    assert client.sandbox.requests() == []


def test_check_shows_both_certificates_and_the_protocol(client: Client, front: Nginx) -> None:
    details = {c["step"]: c for c in client.json("check")["checks"]}
    assert {c["result"] for c in details.values()} == {"ok"}
    assert "CN = front'" in details["TLS"]["detail"] and "CN = front CA'" in details["TLS"]["detail"]
    assert "serial" in details["client certificate"]["detail"] and "valid until" in details["client certificate"]["detail"]
    assert details["HTTP"]["detail"].endswith("(HTTP/2)")


def test_bodies_are_packed_and_understood(client: Client, front: Nginx) -> None:
    assert client.sandbox is not None
    through = client.json("products")["products"]
    assert [line for line in front.lines() if "/types" in line and "packed=-" not in line]
    client.set("ca:sandbox", url=client.sandbox.url, trust=str(client.sandbox.dir / "tls-ca.pem"))
    client.sandbox.set(front_header="")
    assert through == client.json("products")["products"] and len(through) == 7


def test_many_orders_share_one_connection_with_http_2(client: Client, front: Nginx) -> None:
    token_login(client)
    assert client.sandbox is not None
    client.sandbox.set(pending_polls=2)
    for i in range(5):
        client.run("enroll", "--name", f"h{i}.example.org", "--key", "pkcs11:object=api-admin", "--deadline", "0s",
                   status=None)
    done = client.run("order", "wait", "--all", "--json", "--log-level", "debug")
    assert done.stderr.count("on a new connection") == 1, done.stderr
    assert done.stderr.count("on a kept connection") > 5 and '"pending":0' in done.stdout


def test_reads_share_a_connection(client: Client, fronts: dict[str, Nginx]) -> None:
    behind(client, fronts["h1"])
    done = client.run("check", "--log-level", "debug")
    assert done.stderr.count("on a new connection") == 1 and done.stderr.count("on a kept connection") >= 4
