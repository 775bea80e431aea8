"""The manuals name what the program has, and nothing else; help texts and JSON are as in the golden files."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from p11e import P11ENROLL, ROOT, clean_env, run

PAGES1 = sorted((ROOT / "docs/man").glob("*.1"))
MAN1 = "\n".join(page.read_text() for page in PAGES1)
MAN5 = (ROOT / "docs/man/p11enroll.conf.5").read_text()
GOLDEN = ROOT / "tests/golden"


def program(*args: str) -> str:
    return run([str(P11ENROLL), *args], env=clean_env()).stdout


def commands() -> list[str]:
    text = program("help").split("Commands:\n")[1].split("\n\n")[0]
    names = re.findall(r"^  ([a-z]+(?: [a-z]+)?)  ", text, re.MULTILINE)
    return [n for n in names if not n.startswith(("help", "completion"))]


def own_options(command: str) -> set[str]:
    """The options under "Options:" of a command's help."""
    text = program("help", *command.split()).split("Options:\n")[1].split("\n\n")[0]
    return set(re.findall(r"--([a-z-]+)", "\n".join(re.findall(r"^ {2,6}(?:-\w, +)?--\S+", text, re.MULTILINE))))


def section(title: str) -> str:
    found = re.search(rf"^\.Ss {title}$(.*?)(?=^\.S[hs] )", MAN1, re.MULTILINE | re.DOTALL)
    assert found, title
    return found.group(1)


def manual_of(command: str) -> str:
    """The part of p11enroll(1) that describes one command."""
    noun, _, verb = command.partition(" ")
    start = re.search(rf"^\.It Cm {noun}{' ' + verb if verb else ''}\b", MAN1, re.MULTILINE)
    assert start, f"{command} is in no manual of section 1"
    rest = MAN1[start.start() + 4:]
    nouns = ("token|key|evidence|csr|enroll|cert|order|request|revoke|inventory|journal|alert|domain|dcv|org|account|products|check|config|version|"
             "completion|help")
    end = re.search(rf"^\.It Cm (?:{nouns})\b|^\.S[sh] ", rest, re.MULTILINE)
    return rest[:end.start()] if end else rest


def options_in(text: str) -> set[str]:
    return set(re.findall(r"Fl Fl ([a-z-]+)", text))


COMMON = options_in(section("Options of every command"))


def test_common_options_are_in_the_manual() -> None:
    assert own_options("version") == COMMON


@pytest.mark.parametrize("command", commands())
def test_options_of_a_command_are_in_the_manual(command: str) -> None:
    assert own_options(command) - COMMON == options_in(manual_of(command))


def test_every_command_of_the_manual_exists() -> None:
    nouns = {c.split()[0] for c in commands()}
    named = set(re.findall(r"^\.It Cm ((?:%s)(?: [a-z]+)?)(?: |$)" % "|".join(nouns), MAN1, re.MULTILINE))
    assert named == set(commands())


def test_exit_statuses_are_in_the_manual() -> None:
    rows = re.findall(r'^X\(E_\w+,\s+"[^"]+",\s+(\d+),', (ROOT / "base/codes.def").read_text(), re.MULTILINE)
    listed = re.findall(r"^\.It (\d+)$", MAN1, re.MULTILINE)
    assert ["0", *rows] == listed


def test_states_are_in_the_manual() -> None:
    page = (ROOT / "docs/man/p11enroll-order.1").read_text()
    listed = re.findall(r"^\.It Cm (\S+) Ta", page.split(".Sh STATES")[1].split(".Sh ")[0], re.MULTILINE)
    rows = re.findall(r'^X\(ORDER_\w+,\s+"([^"]+)"', (ROOT / "src/order/states.def").read_text(), re.MULTILINE)
    assert listed == rows


def test_settings_are_in_the_manual() -> None:
    settings = json.loads(program("config", "keys", "--json"))["settings"]
    listed = re.findall(r"^\.It Cm (\w+) No = Ar value$", MAN5, re.MULTILINE)
    assert listed == [s["key"] for s in settings]
    for s in settings:
        assert (s["option"] is None) or f".Fl Fl {s['option'][2:]} ." in MAN5, s


def test_values_of_a_setting_are_in_the_manual() -> None:
    """As they are written: a word at the beginning of a sentence is easily capitalised."""
    help_text = program("help", "enroll")
    lists = {o: v.split("|") for o, v in re.findall(r"^ +--([a-z-]+) ([a-z0-9.]+(?:\|[a-z0-9.]+)+)$", help_text, re.MULTILINE)}
    lists.update({o: v.split("|") for o, v in re.findall(r"^ +--([a-z-]+) ([a-z0-9.]+(?:\|[a-z0-9.]+)+) ", help_text, re.MULTILINE)})
    assert {"auth", "poll", "chain", "san", "tls-max", "collect-form", "client-type", "trust-type",
            "proxy-auth", "kind"} == set(lists)
    lists["key-type"] = ["rsa:2048", "rsa:3072", "rsa:4096", "ec:P-256", "ec:P-384", "ec:P-521", "ed25519", "ed448"]
    for option, words in lists.items():
        entry = next(e for e in MAN5.split("\n.It Cm ") if f"\n.Fl Fl {option} ." in e)
        assert f"One of\n.Cm {' , '.join(words[:-1])}\nor\n.Cm {words[-1]} ." in entry, option


def test_settings_of_the_example_exist() -> None:
    known = {(s["section"], s["key"]) for s in json.loads(program("config", "keys", "--json"))["settings"]}
    current = ""
    for line in (ROOT / "docs/p11enroll.conf.example").read_text().splitlines():
        if line.startswith("["):
            current = line.strip("[]").split(":")[0]
        found = re.match(r"^(?:# )?(\w+) = ", line)
        if found:
            assert (current, found.group(1)) in known, line


def compare(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("P11ENROLL_UPDATE_GOLDEN") == "1":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert path.read_text() == text, f"{path} differs; P11ENROLL_UPDATE_GOLDEN=1 rewrites it"


@pytest.mark.parametrize("command", ["", *commands()])
def test_help_is_as_recorded(command: str) -> None:
    compare(f"help/{command.replace(' ', '-') or 'all'}.txt", program("help", *command.split()))


@pytest.mark.parametrize("word", ["help", "completion"])
def test_commands_without_options_have_help_too(word: str) -> None:
    line = next(line for line in program("help").splitlines() if line.startswith(f"  {word}"))
    shown = program("help", word)
    assert shown.startswith(f"Usage: p11enroll {word}") and line.split("  ")[-1] in shown


def test_help_is_the_same_by_option() -> None:
    for command in commands():
        assert program(*command.split(), "--help") == program("help", *command.split())


def test_exit_codes_are_as_recorded() -> None:
    rows = re.findall(r'^X\((E_\w+),\s+"([^"]+)",\s+(\d+),\s+(\w+),', (ROOT / "base/codes.def").read_text(), re.MULTILINE)
    compare("exit-status.txt", "".join(f"{number} {name} retryable={again}\n" for _, name, number, again in rows))


def test_completion_offers_every_command_of_a_noun(tmp_path: Path) -> None:
    path = tmp_path / "completion"
    path.write_text(program("completion"))
    verbs: dict[str, set[str]] = {}
    for noun, *verb in (command.split() for command in commands()):
        verbs.setdefault(noun, set()).update(verb)
    for noun in (noun for noun, its in verbs.items() if its):
        script = f'. {path}; COMP_WORDS=(p11enroll {noun} ""); COMP_CWORD=2; _p11enroll; printf "%s " "${{COMPREPLY[@]}}"'
        assert set(run(["bash", "-c", script], env=clean_env()).stdout.split()) == verbs[noun]


def test_completion_is_a_script_that_bash_reads(tmp_path: Path) -> None:
    path = tmp_path / "completion"
    path.write_text(program("completion"))
    script = f'. {path}; COMP_WORDS=(p11enroll enroll --ca); COMP_CWORD=2; _p11enroll; printf "%s " "${{COMPREPLY[@]}}"'
    words = run(["bash", "-c", script], env=clean_env()).stdout.split()
    assert {"--ca", "--ca-url", "--ca-trust"} <= set(words)
    script = f'. {path}; COMP_WORDS=(p11enroll order ""); COMP_CWORD=2; _p11enroll; printf "%s " "${{COMPREPLY[@]}}"'
    words = set(run(["bash", "-c", script], env=clean_env()).stdout.split())
    assert words == {"list", "show", "wait", "collect", "adopt", "resolve", "abandon", "renew", "replace", "request", "approve", "decline",
                     "approvals"}
