"""A fault at every call: what the loops of tests/e2e/test_faults.py stand on.

A story is one command over a token in a known state. Its calls into the module are counted once; then it runs again from
the same state for each of them, and that call fails, or the process is killed at it.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from p11e import P11KIT_CLIENT, SOFTHSM, Client, P11KitServer, Token, calls

CODES = {"CKR_GENERAL_ERROR": 0x05, "CKR_FUNCTION_FAILED": 0x06, "CKR_DEVICE_ERROR": 0x30, "CKR_DEVICE_MEMORY": 0x31,
         "CKR_SESSION_HANDLE_INVALID": 0xB3}

FAILURES = [*[f"fail={rv:#x}" for rv in CODES.values()],
            "failafter=0x30",  # the call was made, and its answer lost
            "gone"]            # this call and all after it fail
KILLS = ["kill", "killafter"]


@dataclass(frozen=True)
class Point:
    """The call that goes wrong, and how."""

    nth: int
    action: str

    @property
    def rule(self) -> str:
        return f"*:{self.nth}+:fail=0x30" if self.action == "gone" else f"*:{self.nth}:{self.action}"

    def __str__(self) -> str:
        return f"call {self.nth}, {self.action}"


Object = tuple[str, str, str]  # kind, label, id


@dataclass
class Bench:
    """A token in a directory of its own that goes back to a known state, SoftHSM itself or behind p11-kit server."""

    client: Client
    saved: Path  # the token's files as they were
    server: P11KitServer | None = None

    @property
    def token(self) -> Token:
        return self.client.token

    def reset(self) -> None:
        shutil.rmtree(self.token.dir / "tokens")
        shutil.copytree(self.saved, self.token.dir / "tokens")

    def run(self, args: list[str], point: Point | None = None) -> subprocess.CompletedProcess[str]:
        """The command, with that fault; returns when the token's own process has ended as well."""
        module = SOFTHSM if self.server is None else P11KIT_CLIENT
        if point is None:
            self.client.no_rules()
            self.client.set("token:main", module=str(module))
        else:
            self.client.rules(point.rule)
            self.client.env["P11SHIM_MODULE"] = str(module)
            del self.client.env["P11SHIM_LOG"]
        done = self.client.run(*args, status=None)
        self.settle()
        return done

    def count(self, args: list[str]) -> int:
        """The calls of a run in which nothing goes wrong."""
        log = self.client.rules()
        self.client.env["P11SHIM_MODULE"] = str(SOFTHSM if self.server is None else P11KIT_CLIENT)
        self.client.run(*args)
        self.settle()
        return len(calls(log))

    def settle(self) -> None:
        """The token's process finishes what it was asked for, though nobody waits for the answer."""
        if self.server is None:
            return
        pid = self.server.process.pid
        end = time.monotonic() + 20
        while Path(f"/proc/{pid}/task/{pid}/children").read_text().strip():
            assert time.monotonic() < end, "the token's process does not end"
            time.sleep(0.002)

    def objects(self) -> list[Object]:
        """What is on the token, asked by somebody else's tool."""
        return sorted((o["kind"].split(";")[0], o.get("label", ""), o.get("ID", "")) for o in self.token.objects())


def copy_of(client: Client, number: int, behind_server: bool) -> Bench:
    """A bench with a copy of the client's token and settings."""
    base = client.dir.parent / f"bench-{number}{'-server' if behind_server else ''}"
    token = replace(client.token, dir=base / "hsm", more_env=dict(client.token.more_env))
    mine = Client(base / "client", token, client.sandbox, settings={s: dict(v) for s, v in client.settings.items()},
                  env=dict(client.env))
    bench = Bench(mine, client.token.dir / "tokens")
    bench.reset()
    if behind_server:
        bench.server = P11KitServer(token, Path("/tmp") / f"p11e-{secrets.token_hex(4)}.sock")
        mine.env.update(bench.server.env)
    return bench


def visit(client: Client, args: list[str], actions: list[str], choose: Callable[[list[Point]], list[Point]],
          check: Callable[[Bench, Point], None]) -> tuple[int, int, int]:
    """Runs `check` for the chosen ones of every call and action, on two processors at a time.

    Returns the number of calls, of points there are, and of points visited."""
    behind_server = any(a in KILLS for a in actions)  # SoftHSM itself loses its token to a kill in C_Login
    benches = [copy_of(client, n, behind_server) for n in range(os.cpu_count() or 1)]
    try:
        total = benches[0].count(args)
        points = [Point(n, action) for n in range(1, total + 1) for action in actions]
        chosen = choose(points)
        free = list(benches)

        def one(point: Point) -> str | None:
            bench = free.pop()
            try:
                bench.reset()
                check(bench, point)
            except AssertionError as wrong:
                return str(wrong)
            finally:
                free.append(bench)
            return None

        with ThreadPoolExecutor(len(benches)) as pool:
            wrong = [text for text in pool.map(one, chosen) if text is not None]
        assert not wrong, f"{len(wrong)} of {len(chosen)} points:\n" + "\n".join(wrong[:20])
        return total, len(points), len(chosen)
    finally:
        for bench in benches:
            if bench.server is not None:
                bench.server.stop()
                bench.server.socket.unlink(missing_ok=True)
