"""Start-up, files, restart, stop, and the command line in scripts/sandbox."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs12

from support import HERE, Client, Running, csr, key

SCRIPT = HERE.parent.parent / "scripts" / "sandbox"
ADMIN_FILES = ("client", "client-rsa")


def script(*words: object, cwd: Path | None = None) -> subprocess.CompletedProcess:
    return subprocess.run([str(SCRIPT), *map(str, words)], capture_output=True, text=True,
                          cwd=cwd, timeout=30)


def options(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, str(HERE / "sandbox.py"), *words],
                          capture_output=True, text=True, timeout=30)


# --- the directory

def test_ready_line_and_runtime_files(shared: Running) -> None:
    assert re.fullmatch(r"ready https://localhost:\d+ control http://127\.0\.0\.1:\d+\n",
                        shared.ready)
    assert shared.text("url") == shared.url and shared.text("control") == shared.control_url
    assert int(shared.text("pid")) == shared.process.pid


def test_modes(shared: Running) -> None:
    assert stat.S_IMODE(shared.directory.stat().st_mode) == 0o700
    for path in shared.directory.rglob("*"):
        if path.name.endswith((".key", ".p12", ".txt", ".json", ".jsonl")):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


@pytest.mark.parametrize("name", ADMIN_FILES)
def test_client_credentials_belong_together(shared: Running, name: str) -> None:
    password = shared.text("client-password.txt").encode()
    read = {suffix: (shared.directory / f"{name}{suffix}").read_bytes()
            for suffix in (".pem", ".key", "-encrypted.key", ".p12")}
    cert = x509.load_pem_x509_certificate(read[".pem"])
    bundle = pkcs12.load_pkcs12(read[".p12"], password)
    assert bundle.cert.certificate == cert and bundle.cert.friendly_name == b"admin"
    for one in (load_pem_private_key(read[".key"], None), bundle.key,
                load_pem_private_key(read["-encrypted.key"], password)):
        assert one.public_key().public_numbers() == cert.public_key().public_numbers()
    assert b"ENCRYPTED" in read["-encrypted.key"]


def test_accounts(shared: Running) -> None:
    admin = json.loads(shared.text("accounts.json"))[0]
    assert (admin["login"], admin["customerUri"]) == ("sandbox-admin", "sandbox")
    assert admin["password"] == shared.text("admin-password.txt")
    assert len(admin["certificateSerialNumbers"]) >= 2 and "sslRequest" in admin["privileges"]


def test_restart_keeps_keys_orders_and_log(fresh) -> None:
    running = fresh()
    client = Client(running)
    number = client.enroll(comments="before")
    serial = client.details(number)["serialNumber"]
    last = running.mark()
    root = running.text("issuer-root.pem")
    assert running.stop() == 0
    again = fresh()
    assert again.text("issuer-root.pem") == root
    client = Client(again)
    assert client.details(number)["serialNumber"] == serial
    assert client.enroll() == number + 1
    assert again.requests()[0]["n"] > last


def test_first_start_that_was_cut_short(fresh) -> None:
    running = fresh()
    running.stop()
    (running.directory / "pki" / "complete").unlink()
    assert Client(fresh(), cert="client").get("/ssl/v1/types").status == 200


# --- start and stop

@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_by_signal(fresh, number: int) -> None:
    running = fresh()
    Client(running).get("/ssl/v1/types")
    idle = socket.create_connection(("127.0.0.1", running.port))
    running.process.send_signal(number)
    assert running.process.wait(5) == 0
    idle.close()
    assert not [n for n in ("url", "control", "pid") if (running.directory / n).exists()]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", running.port))


def test_port_and_behaviours_by_option(fresh) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    running = fresh("--port", str(port), "--behaviour", "approval=manual", "pending_polls=2",
                    "--behaviour", "id_kind=large")
    assert running.port == port
    values = running.control("GET", "/behaviours")
    assert (values["approval"], values["pending_polls"], values["id_kind"]) == (
        "manual", 2, "large")


def test_two_sandboxes_in_one_directory(shared: Running) -> None:
    done = options("--dir", str(shared.directory))
    assert done.returncode == 1 and "another sandbox runs" in done.stderr and done.stdout == ""


def test_port_that_is_taken(shared: Running, tmp_path: Path) -> None:
    done = options("--dir", str(tmp_path / "d"), "--fast-keys", "--port", str(shared.port))
    assert done.returncode == 1 and f"port {shared.port}" in done.stderr and done.stdout == ""


@pytest.mark.parametrize("words", [
    [], ["--dir", "x", "--host", "0.0.0.0"], ["--dir", "x", "--port", "99999"],
    ["--dir", "x", "--behaviour", "nonsense=1"], ["--dir", "x", "--behaviour", "approval"],
    ["--dir", "x", "--behaviour", "tls_min=1.3", "tls_max=1.2"]])
def test_bad_options(words: list[str]) -> None:
    done = options(*words)
    assert done.returncode == 2 and done.stdout == "" and "error" in done.stderr
    assert not Path("x").exists()


def test_list_behaviours() -> None:
    done = options("--list-behaviours")
    assert done.returncode == 0
    assert "approval               auto | manual | two-step | decline" in done.stdout


def test_file_that_is_half_written_keeps_its_old_content(fresh) -> None:
    running = fresh()
    client = Client(running)
    assert client.get("/ssl/v1/types").status == 200
    (running.directory / "settings.json").write_text("{")
    (running.directory / "accounts.json").write_text("[")
    assert client.get("/ssl/v1/types").status == 200
    assert "settings.json" in running.text("sandbox.log")


def test_edited_file_that_is_no_json(fresh) -> None:
    running = fresh()
    running.stop()
    (running.directory / "settings.json").write_text("{")
    (running.directory / "orders" / "1.json").write_text("{")
    done = options("--dir", str(running.directory))
    assert done.returncode == 1 and "1.json" in done.stderr


# --- scripts/sandbox

@pytest.fixture
def place(shared: Running, fresh, tmp_path: Path) -> Path:
    """A directory with keys and with spaces in its name."""
    fresh(name="a b 'c'").stop()
    return tmp_path / "a b 'c'"


def test_script_start_status_stop(place: Path) -> None:
    started = script("start", "--dir", place.name, "--behaviour", "approval=manual",
                     cwd=place.parent)
    try:
        assert started.returncode == 0, started.stderr
        assert (place / "url").read_text().strip() in started.stdout
        assert str(place / "tls-ca.pem") in started.stdout
        shown = script("status", "--dir", place)
        assert shown.returncode == 0 and "https://localhost:" in shown.stdout
        again = script("start", "--dir", place)
        assert again.returncode == 1 and "already runs" in again.stderr
        values = json.loads(script("ctl", "--dir", place, "behaviour").stdout)
        assert values["approval"] == "manual"
    finally:
        assert script("stop", "--dir", place).returncode == 0
    assert script("status", "--dir", place).returncode == 3
    assert script("stop", "--dir", place).returncode == 0


def test_script_does_not_stop_others(place: Path) -> None:
    sleeper = subprocess.Popen(["sleep", "60"])
    (place / "pid").write_text(str(sleeper.pid))
    try:
        assert "no sandbox runs" in script("stop", "--dir", place).stdout
        assert sleeper.poll() is None
    finally:
        sleeper.kill()
        sleeper.wait()


def test_script_start_says_why_not(place: Path, shared: Running) -> None:
    done = script("start", "--dir", place, "--port", shared.port)
    assert done.returncode == 1 and f"port {shared.port}" in done.stderr


def test_script_run(place: Path) -> None:
    process = subprocess.Popen([str(SCRIPT), "run", "--dir", str(place)], text=True,
                               stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("ready ")
    process.terminate()
    assert process.wait(5) == 0
    process.stdout.close()


def test_script_through_a_link_and_help(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(os.path.relpath(SCRIPT, tmp_path))
    done = subprocess.run([str(tmp_path / "link"), "behaviours"], capture_output=True, text=True)
    assert done.returncode == 0 and "approval" in done.stdout
    assert script("--help").stdout.startswith("usage:")
    assert script().returncode == 2 and script("dance").returncode == 2


def test_script_ctl_verbs(sandbox: Running, client: Client) -> None:
    def ctl(*words: object) -> object:
        done = script("ctl", "--dir", sandbox.directory, *words)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout else None

    assert ctl("behaviour", "approval=manual", "pending_polls=1") == {
        "approval": "manual", "pending_polls": 1}
    first, second, third = client.enroll(), client.enroll(), client.enroll()
    assert ctl("approve", first) == {"id": first, "status": "Approved"}
    assert ctl("decline", second) == {"id": second, "status": "Declined"}
    assert ctl("issue", third) == {"id": third, "status": "Issued"}
    assert ctl("status", third, "Expired") == {"id": third, "status": "Expired"}
    assert ctl("order", second)["status"] == "Declined"
    assert second in [row["id"] for row in ctl("orders")]
    assert ctl("requests")[-1]["path"] == "/api/ssl/v1/enroll"
    assert ctl("requests", "--clear") == []
    assert ctl("once", '{"fault":{"fail_status":500}}')[0]["times"] == 1
    assert ctl("reset") is None
    assert client.status(client.enroll()) == "Issued"


def test_script_ctl_certificates(sandbox: Running, tmp_path: Path) -> None:
    request, out = tmp_path / "r e q.pem", tmp_path / "out.pem"
    request.write_text(csr("token", which=7))
    base = ("ctl", "--dir", sandbox.directory)
    files = ("--csr", request, "--out", out)
    done = script(*base, "client-cert", *files, "--no-bind", "--eku", "serverAuth", "clientAuth")
    assert done.returncode == 0 and json.loads(done.stdout)["bound"] is False
    cert = x509.load_pem_x509_certificate(out.read_bytes())
    assert cert.public_key().public_numbers() == key(which=7).public_key().public_numbers()
    done = script(*base, "sign", *files, "--name", "s.example", "--chain")
    assert done.returncode == 0 and out.read_text().count("BEGIN") == 3


def test_script_ctl_refusals(sandbox: Running, tmp_path: Path) -> None:
    for words, text in ((("approve", 999999), "no such order"),
                        (("behaviour", "approval=maybe"), "approval"),
                        (("client-cert", "--csr", "/nonexistent", "--out", "x"), "nonexistent")):
        done = script("ctl", "--dir", sandbox.directory, *words)
        assert done.returncode == 1 and text in done.stderr
    done = script("ctl", "--dir", tmp_path, "orders")
    assert done.returncode == 1 and "no sandbox runs" in done.stderr
