"""A crash at every thing a command does: what the loops of tests/e2e/test_crash.py stand on.

A story is one command of the client, over a token in a process of its own, a journal, and the sandbox CA. What the
command does to the world (killpoint.c tells what that is) is counted once; then it runs again from the same beginning
for each of these points, and its process is killed there, or loses its connection, or finds the disk full.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from faults import Bench
from p11e import BUILD, P11KIT_CLIENT, SANITIZED, Client, P11KitServer, Sandbox, sanitizer_preload

KILLPOINT = BUILD / "support" / "killpoint.so"


@dataclass(frozen=True)
class Point:
    """Where it happens, and what."""

    nth: int
    kind: str
    action: str

    def __str__(self) -> str:
        return f"{self.action} at {self.nth} ({self.kind})"


@dataclass
class Scene(Bench):
    """A bench whose client has a name to order for that nobody had before."""

    name: str = ""

    def begin(self) -> None:
        self.reset()
        shutil.rmtree(self.client.state, ignore_errors=True)
        assert self.client.sandbox is not None
        self.client.sandbox.reset()
        self.name = f"{secrets.token_hex(4)}.example.org"

    def words(self, args: list[str]) -> list[str]:
        return [a.replace("NAME", self.name) for a in args]

    def act(self, args: list[str], point: Point | None = None, kinds: str = "",
            log: Path | None = None) -> subprocess.CompletedProcess[str]:
        """The command, with that crash; returns when the token's process has done what it was asked."""
        preload = sanitizer_preload()["LD_PRELOAD"].split(":")[:2] if SANITIZED else []
        env = {"LD_PRELOAD": ":".join([*preload, str(KILLPOINT)]), "P11POINT_STATE": str(self.client.state),
               "P11POINT_KINDS": kinds, "P11POINT": f"{point.nth}:{point.action}" if point else "",
               "P11POINT_LOG": str(log or "")}
        if point is None and log is None:
            env = {}
        self.client.env.update(env)
        try:
            done = self.client.run(*self.words(args), status=None)
        finally:
            for name in env:
                del self.client.env[name]
        self.settle()
        return done

    def again(self, args: list[str]) -> subprocess.CompletedProcess[str]:
        """The next run of a command. Where a PIN's fate is not known a person decides."""
        done = self.act(args)
        if done.returncode == 23:
            assert "--try-pin-again" in done.stderr
            done = self.act([*args, "--try-pin-again"])
        return done

    def at_ca(self) -> list[dict[str, Any]]:
        assert self.client.sandbox is not None
        return self.client.sandbox.orders()

    def in_journal(self) -> list[dict[str, Any]]:
        listed = self.client.json("order", "list")["orders"]
        return [self.client.json("order", "show", str(o["order"])) for o in listed]

    def states(self) -> list[tuple[str, str]]:
        return sorted((str(o.get("origin", "")), str(o["state"])) for o in self.in_journal())

    def on_token(self) -> list[tuple[str, str, str]]:
        """Each object: its kind, its label, and the kinds of all that have its id."""
        found = self.objects()
        together = {o[2]: " + ".join(sorted(p[0] for p in found if p[2] == o[2])) for o in found}
        own = re.compile(f"{re.escape(self.name)}-[0-9-]+-[0-9a-f]+$")
        return sorted((o[0], own.sub("NAME", o[1]), together[o[2]]) for o in found)

    def outcome(self) -> dict[str, Any]:
        """All that a command leaves, without what is different each time."""
        return {"at the CA": sorted(str(o["status"]) for o in self.at_ca()),
                "in the journal": self.states(),
                "on the token": self.on_token()}


@dataclass
class Story:
    before: list[list[str]]  # what was done before it
    args: list[str]
    actions: list[str]
    kinds: str = ""  # which things are counted; all


def scene_of(client: Client, number: int) -> Scene:
    base = client.dir.parent / f"scene-{number}"
    token = replace(client.token, dir=base / "hsm", more_env=dict(client.token.more_env))
    settings = {s: dict(v) for s, v in client.settings.items()}
    mine = Client(base / "client", token, Sandbox(base / "sandbox"), env=dict(client.env))
    for section in settings:
        more = {k: v for k, v in settings[section].items() if k not in mine.settings.get(section, {})}
        mine.set(section, **more)
    scene = Scene(mine, client.token.dir / "tokens")
    scene.reset()
    scene.server = P11KitServer(token, Path("/tmp") / f"p11e-{secrets.token_hex(4)}.sock")
    mine.env.update(scene.server.env)
    mine.set("token:main", module=str(P11KIT_CLIENT))
    return scene


def undisturbed(scene: Scene, story: Story) -> tuple[list[tuple[int, str]], dict[str, Any]]:
    """What the command does when nothing goes wrong, and what it leaves."""
    log = scene.client.dir / "points.log"
    log.unlink(missing_ok=True)
    prepare(scene, story)
    done = scene.act(story.args, kinds=story.kinds, log=log)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in log.read_text().splitlines()]
    return [(int(n), kind) for n, kind in lines], scene.outcome()


def prepare(scene: Scene, story: Story) -> None:
    scene.begin()
    for args in story.before:
        done = scene.act(args)
        assert done.returncode == 0, done.stderr


def makes_sense(kind: str, action: str) -> bool:
    """A read is over when it is counted; only what goes over the network is cut, and only files fill a disk."""
    if action in ("cut", "cutafter"):
        return kind == "send" or (kind == "receive" and action == "cut")
    if action == "full":
        return kind == "journal"
    return not (kind in ("receive", "answer") and action.endswith("after"))


def visit(client: Client, story: Story, choose: Callable[[list[Point]], list[Point]],
          check: Callable[[Scene, Point, dict[str, Any]], None]) -> tuple[list[Point], list[Point]]:
    """Runs `check` for the chosen points, on as many scenes as there are processors. Returns the points there are, and
    those visited."""
    scenes = [scene_of(client, n) for n in range(os.cpu_count() or 1)]
    try:
        things, wanted = undisturbed(scenes[0], story)
        points = [Point(n, kind, action) for n, kind in things for action in story.actions if makes_sense(kind, action)]
        chosen = choose(points)
        free = list(scenes)

        def one(point: Point) -> str | None:
            scene = free.pop()
            try:
                prepare(scene, story)
                check(scene, point, wanted)
            except AssertionError as wrong:
                return f"{point}: {wrong}"
            finally:
                free.append(scene)
            return None

        with ThreadPoolExecutor(len(scenes)) as pool:
            wrong = [text for text in pool.map(one, chosen) if text is not None]
        assert not wrong, f"{len(wrong)} of {len(chosen)} points:\n" + "\n".join(wrong[:20])
        return points, chosen
    finally:
        for scene in scenes:
            if scene.server is not None:
                scene.server.stop()
                scene.server.socket.unlink(missing_ok=True)
            assert scene.client.sandbox is not None
            scene.client.sandbox.stop()
