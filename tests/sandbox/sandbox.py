"""The sandbox CA: an SCM Admin API over HTTPS with a real CA behind it, for tests and CI.

See README.md for its files, accounts and switches.
"""

from __future__ import annotations

import argparse
import fcntl
import logging
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TextIO

import behaviour
import clients
import files
import statefile
from accounts import Accounts
from app import App
from behaviour import Behaviours, BadSwitch
from ca import CA
from control import Control, ControlServer
from exchanges import VARIABLE, Exchanges
from orders import Store
from pki import Pki, exists
from reqlog import RequestLog
from scm import Api
from server import Server
from settings import Settings
from tls import Contexts

POLL_S = 0.1
LOCK_TRIES = 5
SIGNALS = (signal.SIGTERM, signal.SIGINT)
RUNTIME_FILES = ("url", "control", "pid")


class StartError(Exception):
    """The sandbox cannot start."""


def parse_options(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="sandbox.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", type=Path, help="directory of this sandbox; made if missing")
    parser.add_argument("--port", type=int, default=0, help="HTTPS port; 0 chooses a free one")
    parser.add_argument("--host", default="127.0.0.1", choices=("127.0.0.1", "localhost"),
                        help="loopback address to listen on")
    parser.add_argument("--behaviour", action="append", default=[], metavar="NAME=VALUE",
                        nargs="+", help="set switches")
    parser.add_argument("--state", type=Path, metavar="FILE",
                        help="begin with the state in FILE, if it is there and the directory is new; "
                             "write it there at the end")
    parser.add_argument("--fast-keys", action="store_true",
                        help="P-256 keys for all authorities, to start faster")
    parser.add_argument("--list-behaviours", action="store_true",
                        help="print the table of switches and leave")
    options = parser.parse_args(words)
    if not options.list_behaviours and options.dir is None:
        parser.error("--dir is needed")
    if not 0 <= options.port <= 65535:
        parser.error("--port is from 0 to 65535")
    options.values = parse_behaviours(parser, options.behaviour)
    return options


def parse_behaviours(parser: argparse.ArgumentParser, groups: list[list[str]]) -> dict[str, Any]:
    try:
        values = behaviour.parse_assignments(word for group in groups for word in group)
        Behaviours(values)
        return values
    except BadSwitch as error:
        parser.error(str(error))


def lock_directory(directory: Path) -> TextIO:
    """Hold the directory's lock for as long as the result is open."""
    stream = (directory / "lock").open("a")
    for _attempt in range(LOCK_TRIES):
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return stream
        except OSError:
            time.sleep(POLL_S)         # `status` may hold it for a moment
    stream.close()
    raise StartError(f"another sandbox runs in {directory}")


def open_log(directory: Path) -> None:
    """Everything but the ready line goes to sandbox.log, also what Python itself prints."""
    path = directory / "sandbox.log"
    logging.basicConfig(filename=path, level=logging.INFO,
                        format="%(asctime)s %(levelname)s %(message)s")
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(fd, sys.stderr.fileno())
    os.close(fd)


def first_start(directory: Path, fast_keys: bool) -> tuple[Pki, Accounts]:
    """The authorities and accounts of a directory, made if they are not there."""
    if exists(directory):
        return Pki(directory), Accounts(directory, [])
    with ThreadPoolExecutor() as pool:
        keys = pool.submit(clients.new_keys)       # beside the keys of the authorities
        pki = Pki(directory, fast_keys)
        accounts = Accounts(directory, clients.make_ready(directory, pki["client"],
                                                          keys.result()))
    pki.mark_complete()
    return pki, accounts


class Sandbox:
    """All parts of a sandbox, put together."""

    def __init__(self, options: argparse.Namespace, directory: Path) -> None:
        self.directory = directory
        self.state = options.state.absolute() if options.state else None
        pki, accounts = first_start(directory, options.fast_keys)
        ca = CA(pki)
        api = Api(Settings(directory), accounts, Store(directory), ca)
        try:
            self.server = Server(options.host, options.port, Contexts(pki))
        except OSError as error:
            raise StartError(f"port {options.port}: {error.strerror}") from error
        self.control_server = ControlServer()
        self.app = App(api, Behaviours(options.values), RequestLog(directory / "log.jsonl"),
                       self.server.port, Exchanges(os.environ.get(VARIABLE)))
        self.url = f"https://localhost:{self.server.port}"
        api.url = self.url
        self.control_url = f"http://127.0.0.1:{self.control_server.server_address[1]}"
        self.server.app = self.app
        self.control_server.control = Control(self.app, ca, directory, self.url, self.save)

    def start(self) -> None:
        """Serve, and say where."""
        for server in (self.server, self.control_server):
            threading.Thread(target=server.serve_forever, args=(POLL_S,), daemon=True).start()
        for name, text in zip(RUNTIME_FILES, (self.url, self.control_url, str(os.getpid()))):
            files.write(self.directory / name, text + "\n")
        print(f"ready {self.url} control {self.control_url}", flush=True)

    def save(self) -> Path | None:
        """Write the state, if there is a file for it; say where."""
        if self.state is not None:
            with self.app.api.store.lock:
                statefile.save(self.directory, self.state, self.app.behaviours.values())
        return self.state

    def stop(self) -> None:
        """Stop serving, end all connections, release the ports."""
        self.app.stopping.set()
        for name in RUNTIME_FILES:
            (self.directory / name).unlink(missing_ok=True)
        for server in (self.server, self.control_server):
            server.shutdown()
            server.socket.close()
        self.server.end_connections()
        self.save()


def begin_with_state(options: argparse.Namespace, directory: Path) -> None:
    """Fill a new directory from the file of an earlier sandbox; switches given now go before its."""
    if options.state is None or not options.state.exists() or exists(directory):
        return
    try:
        options.values = {**statefile.load(directory, options.state), **options.values}
        Behaviours(options.values)
    except (statefile.BadState, BadSwitch) as error:
        raise StartError(str(error)) from error


def run(options: argparse.Namespace) -> None:
    """Start, wait for a signal, stop."""
    os.umask(0o077)
    directory = options.dir.absolute()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with lock_directory(directory):
        begin_with_state(options, directory)
        sandbox = Sandbox(options, directory)
        open_log(directory)
        sandbox.start()
        signal.sigwait(SIGNALS)
        sandbox.stop()


def main(words: list[str]) -> int:
    options = parse_options(words)
    if options.list_behaviours:
        sys.stdout.write(behaviour.table_text())
        return 0
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)      # for all threads; run waits for them
    try:
        run(options)
    except (StartError, files.BadFile, OSError) as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
