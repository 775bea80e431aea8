"""Servers of Debian with token keys: nginx, Apache httpd, HAProxy, stunnel. They load the key as root, fork, and sign in
workers that run as somebody else; each handshake signs, because sessions are not resumed."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from p11e import FULL, Token, clean_env, need, run
from peers import Authority, Load, Server, ignore_leaks, members, talk, wait_until, wrap
from support import OpenSSL, free_port

KEYS = {"rsa": "RSA:2048", "p256": "EC:prime256v1"}
WORKER = "www-data"
WORKERS = 2
HANDSHAKES = 2000 if FULL else 200


@dataclass
class Site:
    """A directory that a worker may enter, with a token that belongs to it, and certificates for the token's keys."""

    dir: Path
    token: Token
    openssl: OpenSSL
    authority: Authority
    ports: dict[str, int] = field(default_factory=dict)

    def uri(self, name: str) -> str:
        return self.openssl.uri(name)

    def cert(self, name: str) -> Path:
        return self.dir / f"{name}.pem"

    def key(self, name: str) -> Path:
        return self.dir / f"{name}.key"

    def targets(self) -> list[tuple[int, str]]:
        return [(port, version) for port in self.ports.values() for version in ("1.2", "1.3")]


def open_to_worker(path: Path, user: str = WORKER) -> None:
    """The token's files belong to the workers; the PIN's file stays root's."""
    entry = pwd.getpwnam(user)
    for item in [path, *path.rglob("*")]:
        os.chown(item, entry.pw_uid, entry.pw_gid)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    # pytest's own directories are for root alone
    path = Path(tempfile.mkdtemp(prefix="p11e-site-"))
    path.chmod(0o755)
    try:
        token = Token(path / "token").init()
        openssl = OpenSSL(path, token)
        made = Site(path, token, openssl, Authority(path / "ca"))
        for n, (name, kind) in enumerate(KEYS.items()):
            token.make_key(kind, f"{n + 1:02x}", name)
            openssl("req", "-new", "-key", openssl.uri(name), "-subj", f"/CN={name}", "-out", f"{name}.csr")
            made.authority.sign(path / f"{name}.csr", made.cert(name))
            made.key(name).write_text(wrap(openssl.uri(name)))
        open_to_worker(path / "token" / "tokens")
        yield made
    finally:
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def fresh(site: Site) -> Site:
    site.ports = {name: free_port() for name in KEYS}
    # httpd asks an engine first, if one is installed
    site.openssl.env["OPENSSL_ENGINES"] = str(site.dir)
    ignore_leaks(site.openssl)
    return site


def nginx(site: Site) -> list[str]:
    (site.dir / "nginx").mkdir(exist_ok=True)
    (site.dir / "nginx").chmod(0o777)
    servers = "".join(
        f"  server {{ listen 127.0.0.1:{port} ssl; server_name localhost;\n"
        f"    ssl_certificate {site.cert(name)}; ssl_certificate_key {site.key(name)};\n"
        f"    location / {{ return 200 '{name}'; }} }}\n" for name, port in site.ports.items())
    temporary = "".join(f"  {kind}_temp_path {site.dir}/nginx/{kind};\n"
                        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    conf = site.dir / "nginx.conf"
    conf.write_text(
        f"user {WORKER};\nworker_processes {WORKERS};\ndaemon off;\npid {site.dir}/nginx.pid;\n"
        f"error_log {site.dir}/nginx/error.log info;\nenv OPENSSL_CONF;\nenv SOFTHSM2_CONF;\n"
        f"events {{ worker_connections 200; }}\nhttp {{\n  access_log off;\n  ssl_session_cache off;\n"
        f"  ssl_session_tickets off;\n  ssl_protocols TLSv1.2 TLSv1.3;\n{temporary}{servers}}}\n")
    (site.dir / "nginx" / "error.log").write_text("")
    return ["nginx", "-e", f"{site.dir}/nginx/error.log", "-c", str(conf)]


def apache(site: Site, by_uri: bool = False) -> list[str]:
    (site.dir / "apache").mkdir(exist_ok=True)
    modules = "".join(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"
                      for name in ("mpm_event", "authz_core", "ssl"))
    hosts = "".join(
        f"Listen 127.0.0.1:{port}\n<VirtualHost 127.0.0.1:{port}>\n  ServerName localhost\n  SSLEngine on\n"
        f"  SSLCertificateFile {site.cert(name)}\n"
        f"  SSLCertificateKeyFile \"{site.uri(name) if by_uri else site.key(name)}\"\n</VirtualHost>\n"
        for name, port in site.ports.items())
    conf = site.dir / "apache.conf"
    (site.dir / "htdocs").mkdir(exist_ok=True)
    (site.dir / "htdocs" / "index.html").write_text("apache")
    conf.write_text(
        f"{modules}ServerRoot {site.dir}/apache\nDefaultRuntimeDir {site.dir}/apache\nPidFile {site.dir}/apache.pid\n"
        f"ErrorLog {site.dir}/apache/error.log\nUser {WORKER}\nGroup {WORKER}\nServerName localhost\n"
        f"StartServers {WORKERS}\nServerLimit 4\nThreadsPerChild 4\nMinSpareThreads 4\nMaxSpareThreads 16\n"
        f"MaxRequestWorkers 16\nDocumentRoot {site.dir}/htdocs\nSSLSessionTickets off\nSSLSessionCache none\n"
        f"SSLProtocol -all +TLSv1.2 +TLSv1.3\n{hosts}")
    (site.dir / "apache" / "error.log").write_text("")
    return ["/usr/sbin/apache2", "-DFOREGROUND", "-f", str(conf)]


def haproxy(site: Site) -> list[str]:
    binds = ""
    for name, port in site.ports.items():
        both = site.dir / f"{name}.both"
        both.write_text(site.cert(name).read_text() + site.key(name).read_text())
        binds += f"  bind 127.0.0.1:{port} ssl crt {both} no-tls-tickets\n"
    conf = site.dir / "haproxy.cfg"
    conf.write_text(
        f"global\n  user {WORKER}\n  group {WORKER}\n  nbthread 2\n  log stderr local0\n"
        f"  tune.ssl.cachesize 0\n  ssl-default-bind-options ssl-min-ver TLSv1.2\n"
        f"defaults\n  mode http\n  timeout connect 5s\n  timeout client 20s\n  timeout server 5s\n"
        f"frontend web\n{binds}  http-request return status 200 content-type text/plain string haproxy\n")
    return ["haproxy", "-W", "-db", "-f", str(conf)]


def stunnel(site: Site) -> list[str]:
    services = "".join(
        f"[{name}]\naccept = 127.0.0.1:{port}\ncert = {site.cert(name)}\nkey = {site.key(name)}\n"
        "exec = /usr/bin/head\nexecArgs = head -n 1\nsslVersionMin = TLSv1.2\noptions = NO_TICKET\n"
        for name, port in site.ports.items())
    conf = site.dir / "stunnel.conf"
    conf.write_text(f"foreground = yes\npid = {site.dir}/stunnel.pid\nsetuid = root\nsyslog = no\ndebug = notice\n{services}")
    return ["/usr/bin/stunnel4", str(conf)]


@dataclass(frozen=True)
class Program:
    command: Callable[[Site], list[str]]
    binary: str
    reload: signal.Signals | None = None
    log: str = ""


PROGRAMS = {
    "nginx": Program(nginx, "nginx", signal.SIGHUP, "nginx/error.log"),
    "apache": Program(apache, "/usr/sbin/apache2", signal.SIGUSR1, "apache/error.log"),
    "apache by URI": Program(lambda site: apache(site, by_uri=True), "/usr/sbin/apache2", signal.SIGUSR1,
                             "apache/error.log"),
    "haproxy": Program(haproxy, "haproxy", signal.SIGUSR2),
    "stunnel": Program(stunnel, "/usr/bin/stunnel4", signal.SIGHUP),
}
EACH = pytest.mark.parametrize("name", PROGRAMS)


def start(site: Site, program: Program) -> Server:
    if reason := need(program.binary):
        pytest.skip(reason)
    return Server(program.command(site), site.ports["rsa"], site.openssl.env, site.dir)


def complaints(site: Site, program: Program, server: Server) -> list[str]:
    text = server.output + ((site.dir / program.log).read_text() if program.log else "")
    return [line for line in text.splitlines() if "p11enroll:" in line or "alert]" in line or "[crit]" in line
            or "sanitizer" in line.lower()]


def answers(site: Site, port: int) -> bool:
    try:
        return bool(talk(port, site.authority.cert, "1.3")[1])
    except OSError:
        return False


def ready(site: Site) -> None:
    for port in site.ports.values():
        wait_until(f"{port} answers", lambda port=port: answers(site, port))


@EACH
def test_handshakes_in_parallel(fresh: Site, name: str) -> None:
    program = PROGRAMS[name]
    with start(fresh, program) as server:
        ready(fresh)
        jobs = [(kind, version) for kind in KEYS for version in ("1.2", "1.3")] * (HANDSHAKES // 4)
        with ThreadPoolExecutor(8) as pool:
            seen = list(pool.map(lambda job: talk(fresh.ports[job[0]], fresh.authority.cert, job[1]), jobs))
        assert [subject for subject, _ in seen] == [kind for kind, _ in jobs]
        assert all(answer for _, answer in seen)
        group = server.process.pid
        assert complaints(fresh, program, server) == []
    wait_until("nothing is left behind", lambda: members(group) == [], 10)


def owner(pid: int) -> str:
    return pwd.getpwuid(Path(f"/proc/{pid}").stat().st_uid).pw_name


@pytest.mark.parametrize("name", ["nginx", "apache", "haproxy"])
def test_signing_is_done_by_another_user(fresh: Site, name: str) -> None:
    """The token's private keys were loaded by root; whoever answers cannot even read the PIN."""
    with start(fresh, PROGRAMS[name]) as server:
        ready(fresh)
        workers = [pid for pid in members(server.process.pid) if pid != server.process.pid]
        assert workers and {owner(pid) for pid in workers} == {WORKER}
        assert owner(server.process.pid) == "root"
        assert fresh.token.pin_file.stat().st_uid == 0 and fresh.token.pin_file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", [name for name, program in PROGRAMS.items() if program.reload is not None])
def test_reload_under_load(fresh: Site, name: str) -> None:
    """Once the new workers have taken over no handshake fails, and nothing of the old ones is left."""
    program = PROGRAMS[name]
    with start(fresh, program) as server:
        ready(fresh)
        group = server.process.pid
        with Load(fresh.targets(), fresh.authority.cert) as load:
            for _ in range(5 if FULL else 2):
                load.wait_for(40)
                before = set(members(group)) - {group}
                os.kill(group, program.reload or 0)
                wait_until("the old workers have gone", lambda old=before: not old & set(members(group)))
                load.wait_for(20)
                settled = time.monotonic()
                load.wait_for(60)
                assert [text for at, text in load.failures if at > settled] == []
        assert complaints(fresh, program, server) == []
    wait_until("nothing is left behind", lambda: members(group) == [], 10)


def test_nginx_reloads_by_its_own_command(fresh: Site) -> None:
    """`nginx -s reload` reads the configuration and with it the keys, so it needs the environment of the server."""
    with start(fresh, PROGRAMS["nginx"]) as server:
        ready(fresh)
        before = set(members(server.process.pid)) - {server.process.pid}
        command = [*nginx(fresh), "-s", "reload"]
        run(command, env=fresh.openssl.env)
        wait_until("the old workers have gone", lambda: not before & set(members(server.process.pid)))
        ready(fresh)
        refused = run(command, check=False, env=clean_env())
        assert refused.returncode != 0 and "cannot load certificate key" in refused.stderr
        ready(fresh)


def test_nginx_replaces_a_worker_that_was_killed(fresh: Site) -> None:
    with start(fresh, PROGRAMS["nginx"]) as server:
        ready(fresh)
        group = server.process.pid
        for _ in range(WORKERS):
            before = set(members(group)) - {group}
            os.kill(min(before), signal.SIGKILL)
            wait_until("there is a new worker", lambda old=before: len(set(members(group)) - {group} - old) == 1)
        for port, version in fresh.targets() * 5:
            assert talk(port, fresh.authority.cert, version)[1]


def test_worker_that_may_not_read_the_token_says_so(fresh: Site) -> None:
    """SoftHSM opens its files again in each worker; the server's own log has our sentence."""
    tokens = fresh.token.dir / "tokens"
    open_to_worker(tokens, "root")
    try:
        with start(fresh, PROGRAMS["nginx"]) as server:
            assert not answers(fresh, server.port)
            log = fresh.dir / "nginx/error.log"
            wait_until("the log says it", lambda: ":p11enroll:" in log.read_text())
            assert re.search(r"key 'rsa' on token .*CKR_\w+", log.read_text()), log.read_text()
    finally:
        open_to_worker(tokens)


@pytest.mark.parametrize("layout", ["key first", "key in a file of its own"])
def test_haproxy_takes_the_key_from(fresh: Site, layout: str) -> None:
    if reason := need("haproxy"):
        pytest.skip(reason)
    bundle = fresh.dir / "bundle.pem"
    Path(f"{bundle}.key").unlink(missing_ok=True)
    cert, key = fresh.cert("rsa").read_text(), fresh.key("rsa").read_text()
    bundle.write_text(key + cert if layout == "key first" else cert)
    if layout != "key first":
        Path(f"{bundle}.key").write_text(key)
    command = haproxy(fresh)
    conf = Path(command[-1])
    conf.write_text(conf.read_text().replace(f"{fresh.dir}/rsa.both", str(bundle)))
    with Server(command, fresh.ports["rsa"], fresh.openssl.env, fresh.dir):
        ready(fresh)
        assert talk(fresh.ports["rsa"], fresh.authority.cert, "1.3")[0] == "rsa"
