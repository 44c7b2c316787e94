"""The C-level driver: every kernel under AddressSanitizer and UBSan, without onnxruntime or Python."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.reference import REPOSITORY
from support.tried import tried

_COMPILERS = (os.environ.get("CXX") or "c++", "g++", "clang++")

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="the sanitizers are those of gcc and clang"),
    pytest.mark.skipif(shutil.which("cmake") is None, reason="no cmake"),
    pytest.mark.skipif(all(shutil.which(name) is None for name in _COMPILERS), reason="no C++ compiler"),
]


def run(*command: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command and fail with its output if it fails."""
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, env={**os.environ, **variables}, check=False
    )
    assert done.returncode == 0, f"{command[0]} {done.returncode}\n{done.stdout[-8000:]}\n{done.stderr[-8000:]}"
    return done


@pytest.fixture(scope="module")
def driver(request: pytest.FixtureRequest) -> Path:
    """The driver and the kernels, built with sanitizers; what did not change since the last run is not built again."""
    build = request.config.cache.mkdir("native-driver")
    run("cmake", "-S", REPOSITORY, "-B", build, "-DINTER2FORMER_SANITIZE=ON", "-DCMAKE_BUILD_TYPE=Debug")
    run("cmake", "--build", build, "--parallel", str(os.cpu_count() or 1))
    return build / "tests" / "native" / "inter2former_ops_driver"


def test_kernels_under_sanitizers(driver: Path) -> None:
    """All of the driver's tests, for every instruction set of this machine. A sanitizer's finding ends the driver."""
    out = run(driver, ASAN_OPTIONS="detect_leaks=1", UBSAN_OPTIONS="print_stacktrace=1", INTER2FORMER_ISA="").stdout
    total = re.search(r" ([0-9]+) checks, 0 failures", out)
    assert total is not None
    tried(int(total[1]))
    assert "hybrid_attention" in out


def test_kernels_of_one_instruction_set_stay_apart(driver: Path) -> None:
    """What the linker may merge carries its instruction set's name.

    A weak function that several copies of a kernel share is kept once, in any copy's instructions: on a machine without
    them it would crash.
    """
    if shutil.which("nm") is None:
        pytest.skip("no nm to list symbols with")
    build = driver.parents[2]
    checked = 0
    for name in ("baseline", "avx2", "avx512", "neon"):
        for file in (build / "CMakeFiles" / f"i2f_{name}.dir").rglob("*.o"):
            listing = run("nm", "--defined-only", file).stdout
            weak = [line.split()[-1] for line in listing.splitlines() if line.split()[-2] in {"W", "u"}]
            shared = [symbol for symbol in weak if name not in symbol and "asan" not in symbol]
            assert not shared, f"{file.name} of {name} shares {shared[:5]}"
            checked += len(weak)
    assert checked > 0


def test_no_compiler_is_no_error(tmp_path: Path) -> None:
    """Configuring succeeds without a compiler, says so, and installs nothing."""
    # A search path that has cmake's own program and nothing that compiles.
    tools = tmp_path / "tools"
    tools.mkdir()
    cmake = shutil.which("cmake")
    assert cmake is not None
    make = shutil.which("make") or shutil.which("ninja")
    if make is None:
        pytest.skip("no build program")
    for program in (cmake, make):
        (tools / Path(program).name).symlink_to(Path(program).resolve())
    variables = {"PATH": str(tools), "CXX": str(tmp_path / "no-such-compiler")}
    configured = run(
        cmake, "-S", REPOSITORY, "-B", tmp_path / "build", f"-DCMAKE_INSTALL_PREFIX={tmp_path / 'out'}", **variables
    )
    assert "the native custom-op library is left out: no C++ compiler was found" in configured.stdout
    run(cmake, "--build", tmp_path / "build", **variables)
    run(cmake, "--install", tmp_path / "build", **variables)
    assert not list((tmp_path / "out").rglob("*libinter2former*"))
