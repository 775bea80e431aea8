"""The commands of docs/sandbox-ci.md, run in a shell as the page says."""

from __future__ import annotations

import os
import re
from pathlib import Path

from p11e import BUILD, ROOT, clean_env, run

PAGE = (ROOT / "docs/sandbox-ci.md").read_text()


def test_the_page_s_commands_run(tmp_path: Path) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 10
    script = tmp_path / "enroll-test.sh"
    # whatever happens, the sandbox ends with the test
    script.write_text('trap \'"$P11ENROLL_SOURCE/scripts/sandbox" stop --dir "$PWD/scm" >/dev/null 2>&1 || true\' EXIT\n'
                      + "\n".join(blocks))
    env = clean_env(P11ENROLL_SOURCE=str(ROOT), PATH=f"{BUILD}:{os.environ['PATH']}")
    done = run(["sh", "-eu", str(script)], env=env, cwd=tmp_path)
    assert "www.example.org.pem: OK" in done.stdout
    assert "Everything on the token is as the CA has it." in done.stdout
    assert not (tmp_path / "ci/scm/pid").exists()


def test_the_jobs_run_the_same_packages_and_script() -> None:
    """Both jobs build with what the README names, and run the one script."""
    jobs = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    readme = (ROOT / "README.md").read_text()
    needed = re.search(r"packages that this needs: `([^`]*)`", readme)
    assert needed is not None and len(jobs) == 2
    for job in jobs:
        words = set(re.split(r"[\s\\]+", job))
        assert set(needed.group(1).split()) | {"softhsm2", "openssl", "python3", "python3-cryptography"} <= words
        assert "sh -eu ci/enroll-test.sh" in job
