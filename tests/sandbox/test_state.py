"""The state of a sandbox in a file, and what another one makes of it."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Callable

import pytest

import statefile
from support import Client, Running, csr

Start = Callable[..., Running]


@pytest.fixture
def saved(fresh: Start, tmp_path: Path) -> tuple[Path, int, Running]:
    """A state with one issued order and one switch set; the sandbox that wrote it has ended."""
    path = tmp_path / "state.tgz"
    running = fresh("--state", str(path), name="first")
    number = Client(running).enroll(csr=csr("kept.example"))
    Client(running).details(number)
    running.set(pending_polls=7)
    assert not path.exists() and running.stop() == 0
    return path, number, running


def begin(path: Path, directory: Path, *options: str) -> Running:
    return Running(directory, "--state", str(path), *options)


def test_another_directory_goes_on(saved: tuple[Path, int, Running], tmp_path: Path) -> None:
    path, number, first = saved
    running = begin(path, tmp_path / "second")
    assert running.text("issuer-root.pem") == first.text("issuer-root.pem")
    client = Client(running)
    details = client.details(number)
    assert details["status"] == "Issued" and details["commonName"] == "kept.example"
    assert running.control("GET", "/behaviours")["pending_polls"] == 7
    assert client.enroll() == number + 1
    assert running.stop() == 0


def test_certificate_login_goes_on(saved: tuple[Path, int, Running], tmp_path: Path) -> None:
    running = begin(saved[0], tmp_path / "second")
    assert Client(running, cert="client").get("/ssl/v1/types").status == 200
    assert running.stop() == 0


def test_switches_given_now_go_before(saved: tuple[Path, int, Running], tmp_path: Path) -> None:
    running = begin(saved[0], tmp_path / "second", "--behaviour", "pending_polls=2")
    assert running.control("GET", "/behaviours")["pending_polls"] == 2
    assert running.stop() == 0


def test_a_used_directory_keeps_what_it_has(saved: tuple[Path, int, Running], fresh: Start) -> None:
    path, number, _first = saved
    running = fresh("--state", str(path), name="used")
    assert Client(running).get(f"/ssl/v1/{number}").status == 404


def test_it_is_saved_when_told(fresh: Start, tmp_path: Path) -> None:
    path = tmp_path / "state.tgz"
    running = fresh("--state", str(path))
    number = Client(running).enroll()
    assert running.control("POST", "/state") == {"state": str(path)}
    assert path.stat().st_mode & 0o077 == 0
    with tarfile.open(path) as archive:
        assert f"orders/{number}.json" in archive.getnames()
    assert not list(tmp_path.glob(".state.tgz.*"))


def test_without_a_file_there_is_nothing_to_save(sandbox: Running) -> None:
    assert "without --state" in sandbox.control("POST", "/state", status=409)["error"]


def archive_with(path: Path, name: str) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        row = tarfile.TarInfo(name)
        archive.addfile(row, io.BytesIO(b""))
    return path


@pytest.mark.parametrize("name", ["../outside.pem", "/etc/outside.pem", "orders/../../x.json", "log.jsonl", "pki/a/../../../b"])
def test_foreign_archives_are_refused(tmp_path: Path, name: str) -> None:
    target = tmp_path / "d"
    target.mkdir()
    with pytest.raises(statefile.BadState):
        statefile.load(target, archive_with(tmp_path / "bad.tgz", name))
    assert list(target.iterdir()) == []


def test_links_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.tgz"
    with tarfile.open(path, "w:gz") as archive:
        row = tarfile.TarInfo("tls-ca.pem")
        row.type, row.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(row)
    with pytest.raises(statefile.BadState):
        statefile.load(tmp_path, path)


def test_what_is_no_archive_ends_the_start(tmp_path: Path) -> None:
    import subprocess
    import sys

    from support import HERE

    path = tmp_path / "bad.tgz"
    path.write_text("nothing of the kind")
    done = subprocess.run([sys.executable, str(HERE / "sandbox.py"), "--dir", str(tmp_path / "d"), "--state", str(path)],
                          capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1 and str(path) in done.stderr
