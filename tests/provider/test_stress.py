"""Many threads, then forked children, with several token keys at once; 60 seconds with --full."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from p11e import BUILD, FULL, SANITIZED, Token, run
from support import ORDERS, OpenSSL

STRESS = BUILD / "support" / "p11stress"
KEYS = {"rsa2048": "RSA:2048", "p256": "EC:prime256v1", "p384": "EC:secp384r1"}
if not SANITIZED:  # see ignore_leaks() in peers.py
    KEYS["ed25519"] = "EC:edwards25519"
SECONDS = 60 if FULL else 2


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Token:
    token = Token(tmp_path_factory.mktemp("keys")).init()
    for n, (name, kind) in enumerate(KEYS.items()):
        token.make_key(kind, f"{n + 1:02x}", name)
    return token


@ORDERS
def test_threads_and_children_sign_at_once(keys: Token, tmp_path: Path, say: Callable[[str], None],
                                           first: bool) -> None:
    openssl = OpenSSL(tmp_path, keys, first=first)
    done = run([str(STRESS), str(SECONDS), *(openssl.uri(name) for name in KEYS)], check=False, env=openssl.env,
               cwd=tmp_path, timeout=SECONDS * 10 + 120)
    counts = dict(re.findall(r"(.+): (\d+) signed, 0 failed", done.stdout))
    say(f"{SECONDS} s: " + ", ".join(f"{who} {count}" for who, count in counts.items()))
    assert done.returncode == 0 and done.stderr == "", done.stdout + done.stderr
    assert sorted(counts) == ["child 1", "child 2", "child 3", "child 4", "parent", "threads"]
