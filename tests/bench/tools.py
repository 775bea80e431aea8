"""The client beside other people's tools: listing a token's private keys, and finding one of them.

Every row is a process from its start to its end, in turn with the others in each round; the ratio to our own command is
taken before the median. A command that takes longer than LIMIT_S is stopped, and not tried again.
"""

from __future__ import annotations

import statistics
import subprocess
from dataclasses import dataclass
from pathlib import Path

from p11e import BUILD, P11ENROLL, SOFTHSM

TIMED = BUILD / "tests" / "bench" / "p11timed"
LIMIT_S = 60
HEAD = ["| key pairs | command | first result, ms | all, ms | time : ours | peak memory, kB |", "|---|---|---|---|---|---|"]


@dataclass
class Timed:
    results: int
    first_ms: float
    total_ms: float
    peak_kb: int


def spread(values: list[float], digits: int = 2) -> str:
    """Median, with the smallest and the largest in brackets."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def timed(command: list[str], env: dict[str, str], word: str) -> Timed | None:
    """None: it took too long."""
    done = subprocess.run([str(TIMED), word, "timeout", str(LIMIT_S), *command], env=env, text=True, capture_output=True,
                          check=False, stdin=subprocess.DEVNULL)
    if done.returncode == 124:
        return None
    if done.returncode != 0:
        raise SystemExit(f"{command} failed: {done.stderr}")
    results, first, total, peak = done.stdout.split()
    return Timed(int(results), float(first), float(total), int(peak))


def commands(conf: Path, pin: str, label: str) -> dict[str, dict[str, list[str]]]:
    """What is compared; ours is the first in each."""
    ours = [str(P11ENROLL), "key"]
    opensc = ["pkcs11-tool", "--module", str(SOFTHSM), "--token-label", "bench", "--login", "--pin", pin]
    gnutls = ["p11tool", "--provider", str(SOFTHSM), "--login", "--set-pin", pin]
    uri = f"pkcs11:token=bench;object={label};type=private"
    where = ["--config", str(conf), "--token", "bench"]
    return {
        "list": {
            "`p11enroll key list`": [*ours, "list", *where],
            "`pkcs11-tool --list-objects --type privkey`": [*opensc, "--list-objects", "--type", "privkey"],
            "`p11tool --list-privkeys`": [*gnutls, "--list-privkeys", "pkcs11:token=bench"],
        },
        "find": {
            "`p11enroll key show URI`": [*ours, "show", uri, *where],
            "`p11tool --info URI`": [*gnutls, "--info", uri],
        },
    }


def rows(size: int, ways: dict[str, list[str]], env: dict[str, str], rounds: int, word: str, count: int) -> list[str]:
    seen: dict[str, list[Timed]] = {name: [] for name in ways}
    slow: set[str] = set()
    for round_ in range(rounds + 1):  # the first is the warm-up
        for name in [name for name in ways if name not in slow]:
            one = timed(ways[name], env, word)
            if one is None:
                slow.add(name)
                continue
            if one.results < count:
                raise SystemExit(f"{name} shows {one.results} of {count} keys")
            if round_ > 0:
                seen[name].append(one)
    ours = next(iter(seen.values()))
    return [row(size, name, took, ours) for name, took in seen.items()]


def row(size: int, name: str, took: list[Timed], ours: list[Timed]) -> str:
    if not took:
        return f"| {size} | {name} | | stopped after {1000 * LIMIT_S} | | |"
    ratios = [t.total_ms / o.total_ms for t, o in zip(took, ours, strict=False)]
    return (f"| {size} | {name} | {spread([t.first_ms for t in took], 1)} | {spread([t.total_ms for t in took], 1)} | "
            f"{spread(ratios)} | {max(t.peak_kb for t in took)} |")


def tables(size: int, conf: Path, pin: str, env: dict[str, str], rounds: int) -> tuple[list[str], list[str]]:
    """Rows of the two tables for a token with so many pairs, labelled k-0, k-1 and so on."""
    label = f"k-{size // 2}"
    ways = commands(conf, pin, label)
    return rows(size, ways["list"], env, rounds, "k-", size), rows(size, ways["find"], env, rounds, label, 1)
