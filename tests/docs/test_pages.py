"""What the pages for users tell people to type exists, with the options that are shown."""

from __future__ import annotations

import itertools
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from p11e import P11ENROLL, ROOT, clean_env

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands(page: Path) -> list[str]:
    """The indented lines that call the client, with continued lines joined, and what stands in `p11enroll ...` marks."""
    text = page.read_text().replace("\\\n", " ")
    shown = re.findall(r"^ {4,}(?:\$ )?(p11enroll [a-z].*)$", text, re.MULTILINE)
    shown += [" ".join(line.split()) for line in re.findall(r"`(p11enroll [a-z][^`]*)`", text)]
    return [re.split(r"\s[|>&;]|\s#\s", line)[0] for line in shown]


SHOWN = sorted({(page.name, line) for page in PAGES for line in commands(page)})


def test_there_are_commands_in_the_pages() -> None:
    assert len(SHOWN) > 20


@pytest.mark.parametrize(("page", "line"), SHOWN, ids=[f"{page}: {line}" for page, line in SHOWN])
def test_command_is_there(page: str, line: str) -> None:
    words = shlex.split(line)[1:]
    names = list(itertools.takewhile(re.compile(r"[a-z][a-z-]*").fullmatch, words))
    for depth in (2, 1):
        told = subprocess.run([P11ENROLL, "help", *names[:depth]], env=clean_env(), capture_output=True, text=True, check=False)
        if told.returncode == 0:
            break
    assert told.returncode == 0, f"{page} tells to type '{line}'"
    for option in [w.split("=")[0] for w in words if w.startswith("--")]:
        assert re.search(rf"{option}\b", told.stdout), f"{page} tells to type '{line}'; there is no {option}"
