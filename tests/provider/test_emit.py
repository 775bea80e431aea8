"""What `cert emit` prints is what the programs need: they are started with it, and serve TLS; Java and NSS list the key."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from p11e import PROVIDER, Client, Token, clean_env, need, run, sanitizer_preload
from peers import Authority, Server, talk
from support import free_port
from test_servers import WORKER, open_to_worker


@dataclass
class Place:
    """A token with a key and its certificate, in directories that a worker may enter."""

    dir: Path
    client: Client
    authority: Authority
    cert: Path

    def bind(self, *args: str) -> dict[str, Any]:
        return self.client.json("cert", "bind", "--key", "pkcs11:object=www;type=private", "--cert", str(self.cert),
                                "--no-chain-check", *args)

    def environment(self, emitted: dict[str, Any]) -> dict[str, str]:
        """As a service has it whose provider is installed where OpenSSL looks for one."""
        conf = self.dir / "openssl.cnf"
        conf.write_text(emitted["openssl_conf"])
        return clean_env(**self.client.token.env, **sanitizer_preload(), OPENSSL_CONF=str(conf),
                         OPENSSL_MODULES=str(PROVIDER.parent), OPENSSL_ENGINES=str(self.dir),
                         ASAN_OPTIONS="detect_leaks=0")

    def server(self, args: list[str], port: int, emitted: dict[str, Any]) -> Server:
        return Server(args, port, self.environment(emitted), self.dir)


@pytest.fixture
def place() -> Iterator[Place]:
    path = Path(tempfile.mkdtemp(prefix="p11e-emit-"))
    path.chmod(0o755)
    try:
        token = Token(path / "token").init()
        client = Client(path / "client", token, None)
        uri = client.json("key", "generate", "--label", "www", "--type", "ec:P-256")["uri"]
        csr = path / "www.csr"
        csr.write_text(client.run("csr", "create", uri, "--name", "localhost").stdout)
        authority = Authority(path / "ca")
        yield Place(path, client, authority, authority.sign(csr, path / "www.pem"))
    finally:
        shutil.rmtree(path, ignore_errors=True)


def skip_without(*programs: str) -> None:
    if reason := need(*programs):
        pytest.skip(reason)


def check_served(place: Place, port: int) -> None:
    for version in ("1.2", "1.3"):
        assert talk(port, place.authority.cert, version)[0] == "localhost"


def start_nginx(place: Place, emitted: dict[str, Any]) -> tuple[Server, int]:
    port = free_port()
    open_to_worker(place.client.token.dir / "tokens")
    (place.dir / "n").mkdir()
    (place.dir / "n").chmod(0o777)
    temporary = "".join(f"{kind}_temp_path {place.dir}/n/{kind};\n"
                        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    conf = place.dir / "nginx.conf"
    assert emitted["nginx_server"].count("listen 443 ssl;") == 1
    server = emitted["nginx_server"].replace("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;")
    conf.write_text(f"{emitted['nginx_main']}user {WORKER};\ndaemon off;\npid {place.dir}/n/pid;\nevents {{ }}\n"
                    f"http {{\naccess_log off;\nssl_protocols TLSv1.2 TLSv1.3;\n{temporary}server {{\n{server}\nlocation / {{ return 200 ok; }}\n}}\n}}\n")
    return place.server(["nginx", "-e", f"{place.dir}/n/error.log", "-c", str(conf)], port, emitted), port


def emit(place: Place, kind: str, *args: str) -> dict[str, Any]:
    return place.client.json("cert", "emit", "pkcs11:object=www", kind, *args)


def test_nginx_serves_what_is_on_the_token(place: Place) -> None:
    skip_without("nginx")
    place.bind()
    server, port = start_nginx(place, emit(place, "nginx", "--dir", str(place.dir / "tls")))
    with server:
        check_served(place, port)


def test_nginx_serves_a_detached_certificate(place: Place) -> None:
    skip_without("nginx")
    emitted = place.bind("--detached", str(place.dir / "tls"), "--emit", "nginx")
    server, port = start_nginx(place, emitted)
    with server:
        check_served(place, port)


def test_httpd(place: Place) -> None:
    skip_without("/usr/sbin/apache2")
    emitted = place.bind("--emit", "httpd", "--dir", str(place.dir / "tls"))
    open_to_worker(place.client.token.dir / "tokens")
    port = free_port()
    modules = "".join(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"
                      for name in ("mpm_event", "authz_core", "ssl"))
    conf = place.dir / "httpd.conf"
    conf.write_text(f"{modules}ServerRoot {place.dir}\nDefaultRuntimeDir {place.dir}\nPidFile {place.dir}/pid\n"
                    f"ErrorLog {place.dir}/error.log\nUser {WORKER}\nGroup {WORKER}\nServerName localhost\n"
                    f"DocumentRoot {place.dir}/tls\nListen 127.0.0.1:{port}\n"
                    f"<VirtualHost 127.0.0.1:{port}>\n{emitted['httpd']}</VirtualHost>\n")
    with place.server(["/usr/sbin/apache2", "-DFOREGROUND", "-f", str(conf)], port, emitted):
        check_served(place, port)


def test_haproxy(place: Place) -> None:
    skip_without("haproxy")
    emitted = place.bind("--emit", "haproxy", "--dir", str(place.dir / "tls"))
    open_to_worker(place.client.token.dir / "tokens")
    port = free_port()
    assert emitted["haproxy"].count("bind :443 ") == 1
    conf = place.dir / "haproxy.cfg"
    conf.write_text(f"global\n  user {WORKER}\n  group {WORKER}\ndefaults\n  mode http\n  timeout connect 5s\n"
                    "  timeout client 20s\n  timeout server 5s\nfrontend www\n"
                    f"{emitted['haproxy'].replace('bind :443 ', f'bind 127.0.0.1:{port} ')}"
                    "  http-request return status 200 content-type text/plain string ok\n")
    with place.server(["haproxy", "-W", "-db", "-f", str(conf)], port, emitted):
        check_served(place, port)


def test_java_lists_the_key_under_the_alias(place: Place) -> None:
    skip_without("keytool")
    place.bind()
    emitted = emit(place, "java")
    conf = place.dir / "pkcs11.cfg"
    conf.write_text(emitted["java_config"])
    command = next(line for line in emitted["java_use"].splitlines() if line.startswith("keytool"))
    words = command.replace("pkcs11.cfg", str(conf)).split()
    done = run([*words, "-storepass:file", str(place.client.token.pin_file)], env=clean_env(**place.client.token.env))
    assert f"{emitted['java_alias']}, PrivateKeyEntry" in done.stdout


def test_nss_finds_the_certificate_by_its_nickname(place: Place) -> None:
    skip_without("certutil", "modutil")
    place.bind()
    emitted = emit(place, "nss")
    (place.dir / "nss").mkdir()
    env = clean_env(**place.client.token.env)
    run(["certutil", "-N", "-d", f"sql:{place.dir}/nss", "--empty-password"], env=env)
    pin = ["-f", str(place.client.token.pin_file)]
    add, listing = emitted["nss"].replace("sql:DIR", f"sql:{place.dir}/nss").splitlines()
    run(["sh", "-c", add], env=env)
    assert emitted["nss_nickname"] in run(["sh", "-c", listing + " " + " ".join(pin)], env=env).stdout


def test_what_a_program_needs_has_to_be_there(place: Place) -> None:
    run_ = place.client.run
    assert "none of nginx" in run_("cert", "emit", "pkcs11:object=www", "iis", status=2).stderr
    assert "--dir" in run_("cert", "emit", "pkcs11:object=www", "nginx", status=2).stderr
    assert "has none there" in run_("cert", "emit", "pkcs11:object=www", "java", status=25).stderr
    done = run_("cert", "emit", "pkcs11:object=www", "nginx", "--dir", str(place.dir / "x"), status=51)
    assert "has no certificate" in done.stderr
