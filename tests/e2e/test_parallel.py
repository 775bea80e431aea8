"""Eight processes at once on one SoftHSM token, which other tools' processes break for each other: nothing fails."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from p11e import FULL, Client, Token

ROUNDS = 200 if FULL else 10
FRESH = 20  # rounds on one token; each leaves two keys more


def mix(client: Client, number: int) -> list[subprocess.Popen[str]]:
    """Four that list, two that sign, two that make keys."""
    request = ["csr", "create", "pkcs11:object=k", "--name", "www.example.org"]
    commands = [["key", "list"], request, ["key", "generate", "--label", f"a{number}", "--type", "ec:P-256"], ["key", "list"]]
    commands += [["key", "list"], request, ["key", "generate", "--label", f"b{number}", "--type", "ec:P-256"], ["key", "list"]]
    return [client.start(*command) for command in commands]


def failures(processes: list[subprocess.Popen[str]]) -> list[str]:
    ended = [(p.communicate(timeout=120)[1], p.returncode) for p in processes]
    return [f"{code}: {said}" for said, code in ended if code != 0 or said]


def test_eight_processes_at_once(tmp_path: Path, say: Callable[[str], None]) -> None:
    wrong: list[str] = []
    for first in range(0, ROUNDS, FRESH):
        token = Token(tmp_path / f"hsm-{first}").init()
        client = Client(tmp_path / f"client-{first}", token, None)
        client.run("key", "generate", "--label", "k", "--type", "ec:P-256")
        rounds = range(first, min(first + FRESH, ROUNDS))
        for number in rounds:
            wrong += failures(mix(client, number))
        labels = sorted(o["label"] for o in token.objects() if o["kind"].startswith("Private Key"))
        assert labels == sorted(["k", *[f"{ab}{n}" for n in rounds for ab in "ab"]])
    say(f"{ROUNDS} rounds of 8 processes: {len(wrong)} of {8 * ROUNDS} processes failed")
    assert wrong == []
