"""Nothing of ours, nor of onnxruntime under it, writes about this machine or calls anybody."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest

from inter2former_onnx.assets import DEMO_PHOTOGRAPH
from inter2former_onnx.telemetry import VARIABLE
from support.reference import REPOSITORY, TESTS

LIBRARY = """
import numpy as np
from inter2former_onnx import Segmenter
segmenter = Segmenter(threads=1)
segmenter.encode(np.zeros((60, 80, 3), np.uint8)).session().click(30, 30)
"""
COMMAND = """
import sys
from inter2former_onnx.cli import main
sys.exit(main(["segment", sys.argv[1], "--click", "300,200", "--out", "mask.png"]))
"""
VERSION = tuple(int(part) for part in onnxruntime.__version__.split(".")[:2])
REPORTS = sys.platform == "linux" and VERSION >= (1, 29)
SECONDS = 12  # onnxruntime 1.32 looks its maker up 9 seconds after it was imported
# onnxruntime says nothing where one of these is set.
AUTOMATIC = ("CI", "TF_BUILD", "GITHUB_ACTIONS", "GITLAB_CI", "CIRCLECI", "TRAVIS", "JENKINS_URL", "CODEBUILD_BUILD_ID",
             "BUILDKITE", "TEAMCITY_VERSION", "APPVEYOR", "BITBUCKET_BUILD_NUMBER")
OWN = Path(".cache") / "inter2former-onnx"  # the optimised graphs (graph_cache.py)


def run(code: str, home: Path, setting: str | None = None, prefix: tuple[str, ...] = ()) -> set[Path]:
    """Run Python with a home of its own; returns the files that are in there afterwards, but for our own cache's."""
    home.mkdir()
    work = home.with_name(f"{home.name}-work")
    work.mkdir()
    unset = (VARIABLE, "XDG_CACHE_HOME", "INTER2FORMER_CACHE", *AUTOMATIC)
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment |= {"HOME": str(home)} | ({} if setting is None else {VARIABLE: setting})
    command = [*prefix, sys.executable, "-c", code, str(DEMO_PHOTOGRAPH)]
    done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    files = {path.relative_to(home) for path in home.rglob("*") if path.is_file()}
    return {path for path in files if OWN not in path.parents}


@pytest.mark.parametrize("code", [LIBRARY, COMMAND])
def test_home_stays_clean(code: str, tmp_path: Path) -> None:
    assert run(code, tmp_path / "home") == set()


@pytest.mark.skipif(not REPORTS, reason="this onnxruntime reports nothing")
def test_the_users_choice_holds(tmp_path: Path) -> None:
    """And so the test above can fail."""
    assert run(LIBRARY, tmp_path / "asked", setting="0")
    assert run(LIBRARY, tmp_path / "refused", setting="1") == set()


def test_onnxruntime_imported_before_us(tmp_path: Path) -> None:
    code = (
        "import onnxruntime as ort, os\n"
        "told = []\n"
        "ort.disable_telemetry_events = lambda: told.append(1)\n"
        "import inter2former_onnx\n"
        f"assert told and os.environ[{VARIABLE!r}] == '1'\n"
    )
    run(code, tmp_path / "home")
    run(code.replace("told and", "not told and").replace("'1'", "'0'"), tmp_path / "asked", setting="0")


def test_no_name_is_looked_up(tmp_path: Path) -> None:
    """Of system calls: none that makes an internet socket, and no look at the files that tell how to look up names."""
    strace = shutil.which("strace")
    if strace is None or subprocess.run([strace, "-f", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("needs strace, and leave to use it")
    wait = f"import time; time.sleep({SECONDS})"
    for name, code in (("library", LIBRARY + wait), ("command", COMMAND)):
        log = tmp_path / f"{name}.log"
        prefix = (strace, "-f", "-o", str(log), "-e", "trace=socket,connect,sendto,openat")
        assert run(code, tmp_path / name, prefix=prefix) == set()
        calls = log.read_text(encoding="utf-8", errors="replace").splitlines()
        assert any("encoder.onnx" in call for call in calls)  # it sees what the process does
        words = ("AF_INET", "/etc/resolv.conf", "/etc/hosts", "nscd")
        assert [call for call in calls if any(word in call for word in words)] == []


def test_nothing_imports_onnxruntime_before_the_package() -> None:
    """Scripts and tests: none imports onnxruntime at its top before something that imports the package.

    In the package itself nothing can. tests/conftest.py and the packages of benchmarks/ import it first.
    """
    first = ("inter2former_onnx", "harness", "comparison", "onnxruntime")
    assert "import inter2former_onnx" in (TESTS / "conftest.py").read_text(encoding="utf-8")
    for package in ("harness", "comparison"):
        text = (REPOSITORY / "benchmarks" / package / "__init__.py").read_text(encoding="utf-8")
        assert "import inter2former_onnx" in text
    scripts = sorted((REPOSITORY / "benchmarks").glob("*.py"))
    assert len(scripts) > 5
    for script in scripts:
        imported = []
        for node in ast.parse(script.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Import):
                imported += [alias.name.split(".")[0] for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.append(node.module.split(".")[0])
        ours = [name for name in imported if name in first]
        assert ours[:1] != ["onnxruntime"], script
