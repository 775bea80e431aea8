"""Fixtures that the pytest suites share; a suite's conftest.py imports them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from p11e import Client, Sandbox, Token


@pytest.fixture
def token(tmp_path: Path) -> Token:
    return Token(tmp_path / "hsm").init()


@pytest.fixture(scope="session")
def sandbox_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    sandbox = Sandbox(tmp_path_factory.mktemp("sandbox"))
    yield sandbox
    sandbox.stop()


@pytest.fixture
def sandbox(sandbox_process: Sandbox) -> Sandbox:
    sandbox_process.reset()
    return sandbox_process


@pytest.fixture
def client(tmp_path: Path, token: Token, sandbox: Sandbox) -> Client:
    return Client(tmp_path / "client", token, sandbox)


@pytest.fixture
def offline(tmp_path: Path, token: Token) -> Client:
    """A client without a CA, for the token commands."""
    return Client(tmp_path / "client", token, None)


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Prints a figure that belongs into the log of the run: how many points a loop visited."""

    def print_it(text: str) -> None:
        with capsys.disabled():
            print(f"\n  {text}")

    return print_it
