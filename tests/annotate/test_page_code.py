"""The page's JavaScript without a browser: its types, its tests in node, and the masks that it shares with Python.

Node 18 or newer runs tests/annotate/page/*.test.mjs. TypeScript 5.5 or newer checks the types that jsconfig.json asks
for; it is found by INTER2FORMER_TSC, on the PATH, or in node_modules after `npm install` in the repository. Where one
of them is missing, its test is skipped.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inter2former_onnx.annotate import outlines
from inter2former_onnx.annotate.rle import RLE
from support import mask_fixtures
from support.reference import REPOSITORY

TSC_VARIABLE = "INTER2FORMER_TSC"
OLDEST_NODE = (18,)
OLDEST_TSC = (5, 5)  # the first that knows JSDoc's @import
SECONDS = 300
TESTS = sorted((Path(__file__).parent / "page").glob("*.test.mjs"))


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, encoding="utf-8", timeout=SECONDS)


def version(program: str) -> tuple[int, ...]:
    """The program's version; empty where it cannot be run."""
    try:
        found = re.search(r"\d+(\.\d+)+", run(program, "--version").stdout)
    except OSError:
        return ()
    return tuple(map(int, found[0].split("."))) if found else ()


def compiler() -> str | None:
    """TypeScript's compiler, None where there is none."""
    if TSC_VARIABLE in os.environ:
        return os.environ[TSC_VARIABLE]
    return shutil.which("tsc") or shutil.which("tsc", path=REPOSITORY / "node_modules" / ".bin")


def test_node() -> None:
    node = shutil.which("node")
    if node is None or version(node) < OLDEST_NODE:
        pytest.skip("no node 18 or newer here")
    done = run(node, "--test", *TESTS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\S+ fail 0$", done.stdout, re.MULTILINE)
    assert int(re.findall(r"^\S+ pass (\d+)$", done.stdout, re.MULTILINE)[0]) >= len(TESTS)


def test_types() -> None:
    tsc = compiler()
    if tsc is None:
        pytest.skip(f"no TypeScript here: npm install, or name its compiler in {TSC_VARIABLE}")
    if TSC_VARIABLE not in os.environ and version(tsc) < OLDEST_TSC:
        pytest.skip(f"{tsc} is older than TypeScript 5.5")
    done = run(tsc, "--noEmit", "--project", "jsconfig.json")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_module_is_checked() -> None:
    modules = sorted((REPOSITORY / "inter2former_onnx" / "annotate" / "page").glob("*.js"))
    assert modules
    assert [path.name for path in modules if not path.read_text(encoding="utf-8").startswith("// @ts-check\n")] == []


@pytest.mark.parametrize("case", mask_fixtures.load(), ids=lambda case: case["name"])
def test_masks_shared_with_the_page(case: dict[str, Any]) -> None:
    mask = mask_fixtures.mask_of(case["rows"])
    assert mask_fixtures.entry(case["name"], mask) == case
    code = case["code"]
    np.testing.assert_array_equal(RLE.checked(*code["size"], code["counts"]).decode(), mask)
    assert sum(outlines.signed_area(np.array(ring)) for ring in case["rings"]) == case["area"] == mask.sum()


def test_browser_tests_fail_where_they_must_run(tmp_path: Path) -> None:
    """Without a browser they are skipped, but not in CI: there nobody would miss them."""
    test = Path(__file__).with_name("test_browser.py")
    command = [sys.executable, "-m", "pytest", "-q", f"{test}::test_noise_has_no_outline"]
    for ci, status in [("true", 1), ("", 0)]:
        environment = {**os.environ, "CI": ci, "PATH": str(tmp_path), "PLAYWRIGHT_BROWSERS_PATH": str(tmp_path)}
        done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, encoding="utf-8")
        assert done.returncode == status, done.stdout + done.stderr
        assert ("no Chromium here" if ci else "1 skipped") in done.stdout
