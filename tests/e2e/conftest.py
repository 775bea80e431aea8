import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from enroller import box, enroller  # noqa: E402
from fixtures import client, offline, sandbox, sandbox_process, say, token  # noqa: E402

__all__ = ["box", "enroller", "client", "offline", "sandbox", "sandbox_process", "say", "token"]
