"""The state of a sandbox in one file: keys, accounts, settings, orders and switches, to be taken elsewhere.

A gzipped tar archive of the directory's lasting files, and `behaviours.json`. It is replaced as a whole.
"""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import files

KEPT = ("pki/**/*", "orders/*.json", "state.json", "settings.json", "accounts.json", "*.pem", "*.key", "*.p12", "*.txt")
SWITCHES = "behaviours.json"
COMPLETE = "pki/complete"              # without it a directory is begun anew
MAX_BYTES = 256 << 20


class BadState(Exception):
    """A file that is no state of a sandbox."""


def members(directory: Path) -> list[Path]:
    """The files that make up the state."""
    return sorted({path for pattern in KEPT for path in directory.glob(pattern) if path.is_file()})


def save(directory: Path, path: Path, switches: dict[str, Any]) -> None:
    """Write the state of a directory. Hold the store's lock."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for file in members(directory):
            archive.add(file, str(file.relative_to(directory)), recursive=False)
        data = json.dumps(switches, indent=1).encode()
        row = tarfile.TarInfo(SWITCHES)
        row.size, row.mode = len(data), 0o600
        archive.addfile(row, io.BytesIO(data))
    files.write(path, out.getvalue())


def is_kept(name: str) -> bool:
    """Whether a name in an archive is one that save() writes, and below the directory."""
    path = Path(name)
    return not path.is_absolute() and ".." not in path.parts and \
        (name == SWITCHES or any(path.match(pattern.replace("**/*", "*")) for pattern in KEPT))


def load(directory: Path, path: Path) -> dict[str, Any]:
    """Fill an empty directory from a file; return the switches."""
    switches: dict[str, Any] = {}
    try:
        with tarfile.open(path, mode="r:gz") as archive:
            rows = archive.getmembers()
            if not all(row.isfile() and is_kept(row.name) for row in rows) or sum(row.size for row in rows) > MAX_BYTES:
                raise BadState(f"{path} is no state of a sandbox")
            for row in sorted(rows, key=lambda row: row.name == COMPLETE):
                stream = archive.extractfile(row)
                data = stream.read() if stream is not None else b""
                if row.name == SWITCHES:
                    switches = json.loads(data)
                    continue
                target = directory / row.name
                target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                files.write(target, data)
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise BadState(f"{path}: {error}") from error
    return switches
