"""Files of the sandbox directory: private, and replaced as a whole or not at all."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from pathlib import Path
from typing import Any


def write(path: Path, data: bytes | str, mode: int = 0o600) -> None:
    """Replace a file atomically."""
    if isinstance(data, str):
        data = data.encode()
    fd, name = tempfile.mkstemp(prefix="." + path.name + ".", dir=path.parent)
    try:
        with os.fdopen(fd, "wb") as stream:
            stream.write(data)
        os.chmod(name, mode)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def write_json(path: Path, value: Any) -> None:
    write(path, json.dumps(value, indent=1, sort_keys=True) + "\n")


class BadFile(Exception):
    """A file that people edited is not JSON any more."""


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadFile(f"{path}: {error}") from error


class JsonFile:
    """A JSON file that people may edit while the sandbox runs."""

    def __init__(self, path: Path, default: Any) -> None:
        self._path = path
        self._known: tuple[tuple[int, ...], Any] | None = None
        if not path.exists():
            self.write(default)

    def read(self) -> Any:
        """The present content; read again only when the file changed."""
        status = self._path.stat()
        stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
        known = self._known
        if known is not None and known[0] == stamp:
            return known[1]
        try:
            known = self._known = (stamp, read_json(self._path))
        except BadFile as error:       # half written: keep what was there
            if known is None:
                raise
            logging.warning("%s", error)
        return known[1]

    def write(self, value: Any) -> None:
        write_json(self._path, value)
