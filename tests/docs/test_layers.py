"""scripts/check-layers finds each kind of offence: it is run on a small tree with one planted."""

from __future__ import annotations

from pathlib import Path

import pytest
from p11e import PYTHON, ROOT, run

CHECK = ROOT / "scripts/check-layers"


def check(tree: Path, **files: str) -> tuple[int, str]:
    (tree / "src/http").mkdir(parents=True)
    (tree / "src/ca").mkdir()
    for folder in ("base", "hsm", "provider"):
        (tree / folder).mkdir()
    (tree / "base/buf.h").write_text("#include <stddef.h>\n")
    for name, text in files.items():
        (tree / name).write_text(text + "\n")
    done = run([PYTHON, str(CHECK), str(tree)], check=False)
    return done.returncode, done.stdout


def test_a_tree_that_keeps_the_rules_passes(tmp_path: Path) -> None:
    status, said = check(tmp_path, **{"hsm/a.c": '#include "base/buf.h"', "src/ca/b.c": '#include "http/http.h"'})
    assert status == 0
    assert "layers hold: 3 includes in 3 files" in said


@pytest.mark.parametrize(
    ("file", "line", "complaint"),
    [
        ("base/a.c", '#include "hsm/uri.h"', "base must not include hsm"),
        ("hsm/a.c", '#include "provider/ctx.h"', "hsm must not include provider"),
        ("src/http/a.c", '#include "ca/ca.h"', "src/http must not include src/ca"),
        ("src/ca/a.c", '#include "http/tls.h"', "only http/http.h"),
        ("src/ca/a.c", "#include <curl/curl.h>", "belongs behind src/http/"),
        ("provider/a.c", "#include <libp11.h>", "belongs behind hsm/module_impl.h"),
        ("hsm/key.c", '#include "hsm/module_impl.h"', "is for hsm/admin.c, hsm/admin_pin.c, hsm/admin_slot.c, hsm/module.c, hsm/revive.c, hsm/slot.c alone"),
        ("hsm/a.c", '#include "uri.h"', "not root-relative"),
    ],
    ids=lambda value: value if "/" in value and " " not in value else "",
)
def test_an_offence_is_found(tmp_path: Path, file: str, line: str, complaint: str) -> None:
    status, said = check(tmp_path, **{file: line})
    assert status == 1
    assert f"{file}:1: " in said
    assert complaint in said


def test_an_empty_tree_is_no_success(tmp_path: Path) -> None:
    done = run([PYTHON, str(CHECK), str(tmp_path)], check=False)
    assert done.returncode == 1
