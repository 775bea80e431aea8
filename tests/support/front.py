"""What stands between the client and the CA in real installations: squid as a proxy, nginx that does the TLS."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from p11e import Sandbox, clean_env, need, private_file

USER, PASSWORD = "proxy-user", "proxy,Secret!"
REALM = "test"


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Process:
    """A server of Debian on a port of the loopback interface, in a process group of its own."""

    def __init__(self, args: list[str], port: int, log: Path) -> None:
        self.port, self.log = port, log
        with log.open("wb") as out:
            self.process = subprocess.Popen(args, env=clean_env(), stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=subprocess.STDOUT, start_new_session=True)
        end = time.monotonic() + 30
        while not self.listens():
            if time.monotonic() > end or self.process.poll() is not None:
                self.stop()
                raise AssertionError(f"{args[0]} did not come up:\n{log.read_text(errors='replace')}")
            time.sleep(0.05)

    def listens(self) -> bool:
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        """Ends it and what it started."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(timeout=15)


SQUID = """\
http_port 127.0.0.1:{port}
pid_filename {dir}/squid.pid
cache_log {dir}/cache.log
access_log stdio:{dir}/access.log
coredump_dir {dir}
cache deny all
shutdown_lifetime 0 seconds
visible_hostname localhost
pinger_enable off
netdb_filename none
hosts_file {dir}/hosts
{auth}
acl tunnel method CONNECT
acl forbidden dstdomain forbidden.example
http_access deny forbidden
{access}
http_access deny all
"""
AUTH = {
    "none": "",
    "basic": "auth_param basic program /usr/lib/squid/basic_ncsa_auth {dir}/basic\n"
             "auth_param basic realm " + REALM + "\n",
    "digest": "auth_param digest program /usr/lib/squid/digest_file_auth -c {dir}/digest\n"
              "auth_param digest realm " + REALM + "\n",
}


class Squid(Process):
    """A real proxy; kind is none, basic, digest, or both of these."""

    def __init__(self, kind: str) -> None:
        # As root it gives up root for this user, who cannot come into pytest's directories.
        path = Path(tempfile.mkdtemp(prefix="p11e-squid-"))
        path.chmod(0o755)
        port = free_port()
        secret = hashlib.md5(f"{USER}:{REALM}:{PASSWORD}".encode(), usedforsecurity=False).hexdigest()
        (path / "digest").write_text(f"{USER}:{REALM}:{secret}\n")
        hashed = subprocess.run(["openssl", "passwd", "-apr1", "-stdin"], input=PASSWORD, text=True,
                                capture_output=True, check=True).stdout.strip()
        (path / "basic").write_text(f"{USER}:{hashed}\n")
        words = ["digest", "basic"] if kind == "both" else [kind]
        auth = "".join(AUTH[word] for word in words).format(dir=path)
        known = "" if kind == "none" else "acl known proxy_auth REQUIRED\n"
        allow = "http_access allow tunnel" + ("" if kind == "none" else " known")
        (path / "hosts").write_text("127.0.0.1 localhost\n")  # a minimal system has none
        conf = path / "squid.conf"
        conf.write_text(SQUID.format(port=port, dir=path, auth=auth + known, access=allow))
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", "proxy", str(path)], check=True)
        self.dir = path
        super().__init__(["squid", "-N", "-f", str(conf)], port, path / "out.log")

    def stop(self) -> None:
        super().stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def passed(self) -> int:
        """How many connections it made for us."""
        log = self.dir / "access.log"
        return log.read_text().count("TCP_TUNNEL/200") if log.exists() else 0

    def has_passed(self, count: int) -> bool:
        """Whether it made so many by now; it writes that down when they have ended."""
        end = time.monotonic() + 10
        while self.passed < count and time.monotonic() < end:
            time.sleep(0.05)
        return self.passed >= count


def squid_or_reason() -> str | None:
    return need("squid", "/usr/lib/squid/basic_ncsa_auth", "/usr/lib/squid/digest_file_auth")


class Rude:
    """A proxy that takes connections, reads a request, and then: reset, close, silence, or a status."""

    def __init__(self, how: str) -> None:
        self.how = how
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.kept: list[socket.socket] = []
        self.heard = b""
        threading.Thread(target=self.serve, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.kept.append(connection)
            try:
                self.heard += connection.recv(65536)
                self.answer(connection)
            except OSError:
                pass

    def answer(self, connection: socket.socket) -> None:
        if self.how == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.close()
        elif self.how == "close":
            connection.close()
        elif self.how != "silence":
            connection.sendall(f"HTTP/1.1 {self.how} Test\r\nContent-Length: 0\r\n\r\n".encode())

    def stop(self) -> None:
        self.listener.close()
        for connection in self.kept:
            connection.close()


NGINX = """\
daemon off;
{user}
pid {dir}/pid;
error_log {dir}/error.log;
worker_processes 1;
events {{ worker_connections 256; }}
http {{
    log_format test '"$request" $status packed=$gzip_ratio bearer="$http_authorization"';
    access_log {dir}/access.log test;
    client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
    gzip on; gzip_proxied any; gzip_min_length 1; gzip_types *;
    server {{
        listen 127.0.0.1:{port} ssl{http2};
        ssl_certificate {tls}/server.pem;
        ssl_certificate_key {tls}/server.key;
        ssl_client_certificate {sandbox}/client-ca.pem;
        ssl_verify_client optional;
        ssl_verify_depth 3;
        location /private/ {{
            if ($ssl_client_verify != SUCCESS) {{ return 401; }}
            proxy_pass {upstream};
            proxy_set_header X-Client-Serial $ssl_client_serial;
            proxy_set_header Host localhost;
        }}
        location / {{
            proxy_pass {upstream};
            proxy_set_header X-Client-Serial "";
            proxy_set_header Host localhost;
        }}
    }}
}}
"""


class Nginx(Process):
    """nginx in front of the sandbox: it verifies client certificates and passes their serial number on."""

    def __init__(self, path: Path, sandbox: Sandbox, http2: bool = True) -> None:
        path.mkdir(parents=True)
        port = free_port()
        self.dir, self.sandbox = path, sandbox
        self.make_certificate()
        conf = path / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""
        conf.write_text(NGINX.format(dir=path, user=user, port=port, http2=" http2" if http2 else "", tls=path,
                                     sandbox=sandbox.dir, upstream=sandbox.url))
        super().__init__(["nginx", "-e", str(path / "error.log"), "-c", str(conf)], port, path / "out.log")

    def make_certificate(self) -> None:
        """A certificate of a CA of its own, so that the trust store counts."""
        def openssl(*args: str) -> None:
            subprocess.run(["openssl", *args], cwd=self.dir, check=True, capture_output=True)

        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key",
                "-out", "ca.pem", "-days", "30", "-subj", "/CN=front CA")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "server.key",
                "-out", "server.csr", "-subj", "/CN=front")
        (self.dir / "ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days",
                "30", "-extfile", "ext", "-out", "server.pem")

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def lines(self) -> list[str]:
        """What it logged of each request."""
        log = self.dir / "access.log"
        return log.read_text().splitlines() if log.exists() else []


def password_file(path: Path, password: str = PASSWORD) -> Path:
    return private_file(path, password)
