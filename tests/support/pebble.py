"""An ACME server (pebble, of Debian) on loopback that believes everything: it makes clients call their hooks."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

from nameserver import free_port
from p11e import clean_env, run


class Pebble:
    """Its directory is at .url, behind the certificate .cert."""

    def __init__(self, path: Path) -> None:
        path.mkdir()
        self.dir, self.cert = path, path / "cert.pem"
        port, management = free_port("127.0.0.1"), free_port("127.0.0.1")
        self.url = f"https://localhost:{port}/dir"
        run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3", "-keyout", "key.pem",
             "-out", "cert.pem", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"], cwd=path)
        (path / "conf").write_text(json.dumps({"pebble": {
            "listenAddress": f"127.0.0.1:{port}", "managementListenAddress": f"127.0.0.1:{management}", "certificate": str(self.cert),
            "privateKey": str(path / "key.pem"), "httpPort": 5002, "tlsPort": 5001, "ocspResponderURL": "",
            "externalAccountBindingRequired": False}}))
        env = clean_env(PEBBLE_VA_ALWAYS_VALID="1", PEBBLE_VA_NOSLEEP="1", PEBBLE_WFE_NONCEREJECT="0")
        with (path / "log").open("w") as log:
            self.process = subprocess.Popen(["pebble", "-config", str(path / "conf")], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)
        end = time.monotonic() + 20
        while "ACME directory available" not in (path / "log").read_text():
            assert time.monotonic() < end and self.process.poll() is None, (path / "log").read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=20)
