"""scripts/count-tests adds up what ctest's log holds, and fails when a case failed or none ran."""

from __future__ import annotations

from pathlib import Path

from p11e import PYTHON, ROOT, run

def entry(name: str, output: str, status: str = "run", skipped: str = "") -> str:
    more = f'<skipped message="{skipped}"/>' if skipped else ""
    return f'<testcase name="{name}" status="{status}">{more}<system-out>{output}</system-out></testcase>'


CMOCKA = """[==========] Running 3 test(s).
[ RUN      ] test_a
[       OK ] test_a
[==========] 3 test(s) run.
[  PASSED  ] 2 test(s).
[  FAILED  ] tests: 1 test(s), listed below:"""


def count(tmp_path: Path, *entries: str) -> tuple[int, list[str]]:
    file = tmp_path / "junit.xml"
    file.write_text(f"<testsuite>{''.join(entries)}</testsuite>")
    done = run([PYTHON, str(ROOT / "scripts/count-tests"), str(file)], check=False)
    return done.returncode, done.stdout.splitlines()


def test_pytest_cmocka_and_scripts_are_added_up(tmp_path: Path) -> None:
    status, said = count(
        tmp_path,
        entry("unit", "[==========] 3 test(s) run.\n[  PASSED  ] 3 test(s)."),
        entry("e2e", "SKIPPED [2] tests/e2e/test_x.py:3: no swtpm\n12 passed, 2 skipped in 3.21s"),
        entry("layers", "layers hold"))
    assert (status, said) == (0, ["2 skipped: tests/e2e/test_x.py:3: no swtpm", "16 passed, 0 failed, 2 skipped"])


def test_a_failed_pytest_case_fails(tmp_path: Path) -> None:
    status, said = count(tmp_path, entry("e2e", "1 failed, 12 passed, 2 errors in 3.21s (0:01:00)", "fail"))
    assert (status, said) == (1, ["12 passed, 3 failed, 0 skipped"])


def test_a_failed_cmocka_case_fails(tmp_path: Path) -> None:
    assert count(tmp_path, entry("unit", CMOCKA, "fail")) == (1, ["2 passed, 1 failed, 0 skipped"])


def test_a_program_that_crashed_is_a_failure(tmp_path: Path) -> None:
    assert count(tmp_path, entry("unit", "[ RUN      ] test_a", "fail")) == (1, ["0 passed, 1 failed, 0 skipped"])


def test_a_crash_after_the_summary_is_a_failure(tmp_path: Path) -> None:
    said = count(tmp_path, entry("hsm", "[  PASSED  ] 3 test(s).\nAddressSanitizer: leak", "fail"))
    assert said == (1, ["3 passed, 1 failed, 0 skipped"])


def test_a_program_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    said = count(tmp_path, entry("hsm", "Unable to find executable", "notrun", "Unable to find executable"))
    assert said == (1, ["0 passed, 1 failed, 0 skipped"])


def test_a_program_that_skips_itself_is_counted_with_its_reason(tmp_path: Path) -> None:
    said = count(tmp_path, entry("a", "1 passed in 1s"), entry("hsm", "no SoftHSM", "notrun", "SKIP_RETURN_CODE=77"))
    assert said == (0, ["1 skipped: hsm: no SoftHSM", "1 passed, 0 failed, 1 skipped"])


def test_no_test_at_all_is_no_success(tmp_path: Path) -> None:
    assert count(tmp_path)[0] == 1
