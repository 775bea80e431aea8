import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from enroller import box, enroller  # noqa: E402
from fixtures import client, offline, sandbox, sandbox_process, say, token  # noqa: E402

__all__ = ["box", "enroller", "client", "offline", "sandbox", "sandbox_process", "say", "token"]


def pytest_sessionstart() -> None:
    """What an earlier run recorded is none of this one's."""
    folder = os.environ.get("P11ENROLL_EXCHANGES")
    for path in Path(folder).glob("*.jsonl") if folder else ():
        path.unlink()
