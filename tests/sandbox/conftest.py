"""Fixtures: one sandbox for all tests, and fresh ones that share its keys."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Callable, Iterator

import pytest

from support import Client, Running

# What a first start makes; the rest of a directory belongs to one run.
KEPT = ("pki", "*.pem", "*.key", "*.p12", "*.txt", "accounts.json")


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("sandbox") / "d")
    yield running
    assert running.stop() == 0


@pytest.fixture
def sandbox(shared: Running) -> Iterator[Running]:
    """The shared sandbox, with every switch and setting as at the start."""
    settings = shared.control("GET", "/settings")
    yield shared
    shared.control("DELETE", "/behaviours")
    shared.control("POST", "/settings", settings)


@pytest.fixture
def client(sandbox: Running) -> Client:
    return Client(sandbox)


@pytest.fixture
def fresh(shared: Running, tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Starts sandboxes of their own, with the shared keys."""
    started: list[Running] = []

    def start(*options: str, name: str = "own") -> Running:
        directory = tmp_path / name
        if not directory.exists():
            directory.mkdir(mode=0o700)
            for pattern in KEPT:
                for path in shared.directory.glob(pattern):
                    copy = shutil.copytree if path.is_dir() else shutil.copy
                    copy(path, directory / path.name)
        started.append(Running(directory, *options))
        return started[-1]

    yield start
    for running in started:
        if running.process.poll() is None:
            running.stop()
