"""The command line for a sandbox that runs, or shall run: start, stop, status and ctl."""

from __future__ import annotations

import argparse
import fcntl
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable
from urllib.parse import urlsplit

HERE = Path(__file__).resolve().parent
STOP_S = 10.0
NOT_RUNNING = 3                        # exit status of status, as init scripts have it


class Failed(Exception):
    """The command cannot be done."""


def running_pid(directory: Path) -> int | None:
    """The process id of the sandbox of a directory: it holds the lock as long as it lives."""
    lock = directory / "lock"
    if not lock.exists():
        return None
    with lock.open("r") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return read_pid(directory)
    return None


def read_pid(directory: Path) -> int | None:
    """The process id on record; it is there once the sandbox is ready."""
    try:
        return int((directory / "pid").read_text())
    except (FileNotFoundError, ValueError):
        return None


def word_of(directory: Path, name: str) -> str:
    try:
        return (directory / name).read_text().strip()
    except FileNotFoundError as error:
        raise Failed(f"no sandbox runs in {directory}") from error


def call(directory: Path, method: str, path: str, value: Any = None) -> Any:
    """One call to the control surface; proxies of the environment do not matter."""
    where = urlsplit(word_of(directory, "control"))
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)
    try:
        body = None if value is None else json.dumps(value)
        connection.request(method, path, body)
        reply = connection.getresponse()
        answer = json.loads(reply.read())
    except (OSError, ValueError) as error:
        raise Failed(f"the sandbox in {directory} does not answer: {error}") from error
    finally:
        connection.close()
    if reply.status != 200:
        raise Failed(str(answer.get("error", reply.status)))
    return answer


# --- start, stop, status

def start(options: argparse.Namespace) -> int:
    """Start in the background and wait until it listens."""
    if running_pid(options.dir) is not None:
        raise Failed(f"already runs in {options.dir} at {word_of(options.dir, 'url')}")
    command = [sys.executable, str(HERE / "sandbox.py"), "--dir", str(options.dir), *options.rest]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               start_new_session=True, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line.startswith("ready "):
        return process.wait() or 1     # it said why
    describe(options.dir)
    return 0


def describe(directory: Path) -> None:
    """Say where a running sandbox is and where its files are."""
    rows = (("url", word_of(directory, "url")), ("control", word_of(directory, "control")),
            ("trust (TLS)", directory / "tls-ca.pem"),
            ("trust (issued)", directory / "issuer-root.pem"),
            ("login", "sandbox-admin, customerUri sandbox"),
            ("password", directory / "admin-password.txt"),
            ("client cert", f"{directory / 'client.pem'}, client.key, client.p12"),
            ("requests", directory / "log.jsonl"))
    for name, value in rows:
        print(f"{name + ':':16}{value}")


def stop(options: argparse.Namespace) -> int:
    """Stop by the process id on record, if the lock shows that it is ours."""
    pid = running_pid(options.dir)
    if pid is None:
        print(f"no sandbox runs in {options.dir}")
        return 0
    os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + STOP_S
    while time.monotonic() < end:
        if not lock_held(options.dir):
            return 0
        time.sleep(0.05)
    raise Failed(f"process {pid} does not end")


def lock_held(directory: Path) -> bool:
    with (directory / "lock").open("r") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def status(options: argparse.Namespace) -> int:
    pid = running_pid(options.dir)
    if pid is None:
        print(f"no sandbox runs in {options.dir}")
        return NOT_RUNNING
    print(f"{'pid:':16}{pid}")
    describe(options.dir)
    return 0


# --- ctl

def behaviour_verb(options: argparse.Namespace) -> Any:
    """Set switches, or show them all without a word."""
    values = {}
    for word in options.values:
        name, equals, value = word.partition("=")
        if not equals:
            raise Failed(f"{word!r} is not name=value")
        values[name] = value
    if not values:
        return call(options.dir, "GET", "/behaviours")
    merged = call(options.dir, "POST", "/behaviours", values)
    return {name: merged[name] for name in values}


def reset_verb(options: argparse.Namespace) -> Any:
    call(options.dir, "DELETE", "/behaviours")
    return None


def save_verb(options: argparse.Namespace) -> Any:
    return call(options.dir, "POST", "/state")["state"]


def once_verb(options: argparse.Namespace) -> Any:
    try:
        rows = json.loads(options.json)
    except ValueError as error:
        raise Failed(f"not JSON: {error}") from error
    return call(options.dir, "POST", "/behaviours/once", rows)


def order_verb(options: argparse.Namespace) -> Any:
    """approve, decline, reject and issue; prints the new state only."""
    order = call(options.dir, "POST", f"/orders/{options.id}/{options.verb}")
    return {"id": order["id"], "status": order["status"]}


def status_verb(options: argparse.Namespace) -> Any:
    order = call(options.dir, "POST", f"/orders/{options.id}/status", {"status": options.status})
    return {"id": order["id"], "status": order["status"]}


def show_verb(options: argparse.Namespace) -> Any:
    return call(options.dir, "GET", f"/orders/{options.id}")


def orders_verb(options: argparse.Namespace) -> Any:
    rows = call(options.dir, "GET", "/orders")
    return [{key: row[key] for key in ("id", "status", "common_name", "serial", "comments")}
            for row in rows]


def requests_verb(options: argparse.Namespace) -> Any:
    if options.clear:
        return call(options.dir, "DELETE", "/requests")
    return call(options.dir, "GET", f"/requests?since={options.since}")


def read_text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, ValueError) as error:
        raise Failed(str(error)) from error


def client_cert_verb(options: argparse.Namespace) -> Any:
    value = {"csr": read_text(options.csr), "bind": not options.no_bind,
             "eku": options.eku or ["clientAuth"]}
    value.update({name: getattr(options, name) for name in ("days", "login")
                  if getattr(options, name) is not None})
    made = call(options.dir, "POST", "/client-cert", value)
    options.out.write_text(made["cert"])
    return {"serial": made["serial"], "bound": made["bound"]}


def sign_verb(options: argparse.Namespace) -> Any:
    value = {"csr": read_text(options.csr), "names": options.name, "days": options.days,
             "not_before_offset_days": options.offset_days,
             "key": "other" if options.other_key else "same"}
    made = call(options.dir, "POST", "/sign", value)
    options.out.write_text(made["cert"] + (made["chain"] if options.chain else ""))
    return {"serial": made["serial"]}


def add_ctl(parser: argparse.ArgumentParser) -> None:
    """The verbs of ctl."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, action: Callable[[argparse.Namespace], Any], text: str
             ) -> argparse.ArgumentParser:
        made = verbs.add_parser(name, help=text, description=text)
        made.set_defaults(ctl=action)
        return made

    verb("behaviour", behaviour_verb, "set switches; without words, show them").add_argument(
        "values", nargs="*", metavar="NAME=VALUE")
    verb("reset", reset_verb, "all switches to their defaults, and no faults")
    verb("save", save_verb, "write the state into the file of --state now")
    verb("once", once_verb, "queue faults for the next matching requests").add_argument("json")
    for name in ("approve", "decline", "reject", "issue"):
        verb(name, order_verb, f"{name} an order").add_argument("id", type=int)
    made = verb("status", status_verb, "set the state of an order")
    made.add_argument("id", type=int)
    made.add_argument("status")
    verb("order", show_verb, "show one order").add_argument("id", type=int)
    verb("orders", orders_verb, "list all orders")
    made = verb("requests", requests_verb, "show the request log")
    made.add_argument("--since", type=int, default=0, metavar="N", help="only after number N")
    made.add_argument("--clear", action="store_true", help="forget them instead")
    add_signing(verb("client-cert", client_cert_verb, "sign a client certificate for a CSR"),
                verb("sign", sign_verb, "issue a server certificate for a CSR"))


def add_signing(client: argparse.ArgumentParser, leaf: argparse.ArgumentParser) -> None:
    for made in (client, leaf):
        made.add_argument("--csr", type=Path, required=True, metavar="FILE")
        made.add_argument("--out", type=Path, required=True, metavar="FILE")
    client.add_argument("--days", type=int)
    client.add_argument("--no-bind", action="store_true", help="leave the admin as he is")
    client.add_argument("--login", help="admin to bind to (default: sandbox-admin)")
    client.add_argument("--eku", nargs="+", metavar="NAME", help="default: clientAuth")
    leaf.add_argument("--days", type=int, default=365)
    leaf.add_argument("--name", action="append", help="a name; default: those of the CSR")
    leaf.add_argument("--offset-days", type=int, default=0, help="days from now to its begin")
    leaf.add_argument("--other-key", action="store_true", help="certify another key")
    leaf.add_argument("--chain", action="store_true", help="write the chain too")


def ctl(options: argparse.Namespace) -> int:
    answer = options.ctl(options)
    if answer is not None:
        print(json.dumps(answer, indent=1))
    return 0


def parse_options(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="sandbox")
    commands = parser.add_subparsers(dest="command", required=True)
    actions = {"start": start, "stop": stop, "status": status, "ctl": ctl}
    for name, action in actions.items():
        made = commands.add_parser(name, description=action.__doc__)
        made.add_argument("--dir", type=Path, required=True)
        made.set_defaults(action=action)
        if name == "ctl":
            add_ctl(made)
    options, rest = parser.parse_known_args(words)
    if rest and options.command != "start":
        parser.error("unknown: " + " ".join(rest))
    options.rest = rest
    options.dir = options.dir.absolute()
    return options


def main(words: list[str]) -> int:
    options = parse_options(words)
    try:
        return options.action(options)
    except (Failed, OSError) as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
