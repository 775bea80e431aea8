"""A full disk under the token: SoftHSM answers CKR_OK and keeps nothing."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from p11e import Client, clean_env, need, run
from test_bind import bound, certificate, made_key


class SmallDisk:
    """The token's files on a file system of their own, in a mount namespace that a process keeps."""

    def __init__(self, client: Client, place: Path) -> None:
        self.tokens = client.token.dir / "tokens"
        copy = place / "copy"
        run(["cp", "-a", f"{self.tokens}/.", str(copy)], env=clean_env())
        self.process = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=512k none "$1" && cp -a "$2/." "$1" && echo ready && '
             "exec sleep 600", "sh", str(self.tokens), str(copy)], stdout=subprocess.PIPE, text=True, env=clean_env())
        assert self.process.stdout is not None and self.process.stdout.readline() == "ready\n"
        self.wrapper = ["nsenter", "-t", str(self.process.pid), "-m"]

    def fill(self) -> None:
        run([*self.wrapper, "dd", "if=/dev/zero", f"of={self.tokens}/filler", "bs=4096"], check=False, env=clean_env())
        done = run([*self.wrapper, "df", "--output=avail", str(self.tokens)], env=clean_env())
        assert done.stdout.split()[-1] == "0"

    def make_room(self) -> None:
        run([*self.wrapper, "rm", f"{self.tokens}/filler"], env=clean_env())

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def disk(client: Client, tmp_path: Path) -> Iterator[SmallDisk]:
    if os.geteuid() != 0:
        pytest.skip("mounting takes root")
    if reason := need("unshare", "nsenter"):
        pytest.skip(reason)
    if run(["unshare", "-m", "true"], check=False, env=clean_env()).returncode != 0:
        pytest.skip("a mount namespace of its own cannot be made here")
    made_key(client)
    made = SmallDisk(client, tmp_path)
    client.wrapper = made.wrapper
    yield made
    made.stop()


KEY = "pkcs11:object=www;type=private"


def test_bind_on_a_full_disk_is_noticed_and_succeeds_when_there_is_room(client: Client, disk: SmallDisk) -> None:
    client.run("cert", "bind", "--key", KEY, "--cert", str(certificate(client, KEY, "www.example.org")))
    old = bound(client, KEY)
    renewed = certificate(client, KEY, "www.example.org", 200)
    disk.fill()
    done = client.run("cert", "bind", "--key", KEY, "--cert", str(renewed), status=29)
    assert "accepted the certificate and does not have it" in done.stderr
    assert bound(client, KEY) == old
    disk.make_room()
    client.run("cert", "bind", "--key", KEY, "--cert", str(renewed))
    assert len(bound(client, KEY)) == 1 and bound(client, KEY) != old
    client.run("cert", "check")


def test_enrolled_certificate_is_kept_when_the_disk_is_full(client: Client, disk: SmallDisk) -> None:
    """It was paid for: the journal has it, and waiting for the order again binds it."""
    assert client.sandbox is not None
    client.sandbox.set(approval="manual")
    client.run("enroll", "--name", "www.example.org", "--key", KEY, "--deadline", "0", status=11)
    client.sandbox.ask("POST", f"/orders/{client.json('order', 'show', '1')['ca_order']}/approve")
    disk.fill()
    client.run("order", "wait", "1", status=29)
    kept = client.json("order", "show", "1")
    assert kept["state"] != "done" and client.sandbox.posts() == 1
    disk.make_room()
    done = client.json("order", "wait", "1")
    assert done["state"] == "done" and bound(client, KEY) == [done["serial"]]
    assert client.sandbox.posts() == 1
