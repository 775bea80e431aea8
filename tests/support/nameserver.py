"""A real authoritative name server (knot) on loopback that takes signed updates."""

from __future__ import annotations

import base64
import secrets
import socket
import subprocess
import time
from pathlib import Path

from p11e import clean_env, private_file, run

KNOTD = "/usr/sbin/knotd"
CONFIG = """server:
    rundir: "{dir}"
    listen: {address}@{port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: "{dir}/db"
log:
  - target: stderr
    any: notice
key:
  - id: update-key
    algorithm: hmac-sha256
    secret: {secret}
acl:
  - id: updates
    {by}
    action: update
template:
  - id: default
    storage: "{dir}"
    zonefile-sync: -1
zone:
"""
CONFIG_ZONE = """  - domain: {zone}
    file: {zone}.zone
    acl: updates
"""
ZONE = """$TTL 60
@ SOA ns.{zone}. admin.{zone}. 1 3600 900 86400 60
@ NS ns.{zone}.
ns A {address}
{more}
"""


def free_port(address: str) -> int:
    """A port that is free for UDP and TCP."""
    for _ in range(50):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
            udp.bind((address, 0))
            try:
                tcp.bind((address, udp.getsockname()[1]))
            except OSError:
                continue
            return int(udp.getsockname()[1])
    raise AssertionError("no port is free")


class NameServer:
    """One zone (or two) with its server."""

    def __init__(self, path: Path, zone: str = "example", address: str = "127.0.0.1", port: int = 0, more: str = "",
                 keyless: bool = False, also: str | None = None) -> None:
        self.dir, self.zone, self.address = path, zone, address
        self.port = port or free_port(address)
        (path / "db").mkdir(parents=True)
        secret = base64.b64encode(secrets.token_bytes(32)).decode()
        self.key = private_file(path / "tsig.key",
                                f'key "update-key" {{\n\talgorithm hmac-sha256;\n\tsecret "{secret}";\n}};\n')
        settings = CONFIG.format(dir=path, address=address, port=self.port, secret=secret,
                                 by="address: 127.0.0.0/8" if keyless else "key: update-key")
        for name, lines in ((zone, more), (also, "")):
            if name is not None:
                (path / f"{name}.zone").write_text(ZONE.format(zone=name, address=address, more=lines))
                settings += CONFIG_ZONE.format(zone=name)
        conf = private_file(path / "knot.conf", settings)
        with (path / "log").open("w") as log:
            self.process = subprocess.Popen([KNOTD, "-c", str(conf)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=clean_env())
        deadline = time.monotonic() + 20
        while not self.ask(zone, "SOA"):
            assert time.monotonic() < deadline and self.process.poll() is None, (path / "log").read_text()
            time.sleep(0.05)

    @property
    def where(self) -> str:
        return f"{self.address}:{self.port}"

    def hook_env(self) -> str:
        """The setting dcv_hook_env for the shipped hook."""
        return (f"DCV_NSUPDATE_KEY={self.key}; DCV_NSUPDATE_SERVER={self.address}; DCV_NSUPDATE_PORT={self.port}; "
                f"DCV_NSUPDATE_ZONE={self.zone}")

    def ask(self, name: str, kind: str) -> list[str]:
        """What dig says of it."""
        return run(["dig", f"@{self.address}", "-p", str(self.port), "+short", "+tries=1", "+time=1", "+norecurse", name, kind],
                   check=False, env=clean_env()).stdout.splitlines()

    def update(self, *lines: str) -> None:
        text = "\n".join([f"server {self.address} {self.port}", f"zone {self.zone}", *lines, "send"]) + "\n"
        subprocess.run(["nsupdate", "-k", str(self.key)], input=text, text=True, check=True, env=clean_env(), timeout=20)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=20)
