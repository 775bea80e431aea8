import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support")]

from fixtures import client, sandbox, sandbox_process, say, token  # noqa: E402

__all__ = ["client", "sandbox", "sandbox_process", "say", "token"]
