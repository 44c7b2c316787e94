"""What is installed, what it needs, and that it runs with no more than that."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution, requires
from pathlib import Path

import numpy as np
import pytest

import inter2former_onnx
from support.reference import REPOSITORY

# Names by which people look for these parts.
LINKS = ("runtime", "custom_ops", "models", "export")
WHEEL_VARIABLE = "INTER2FORMER_TEST_WHEEL"
NATIVE_MACHINES = ("x86_64", "AMD64", "aarch64", "arm64")
OPTIONAL = ("torch", "onnx", "onnxscript", "safetensors", "cv2", "PIL", "tqdm", "starlette", "uvicorn")


def python(*arguments: str, cwd: Path, executable: str | Path = sys.executable) -> str:
    """Runs Python outside the repository and returns what it printed; a failure shows its stderr."""
    result = subprocess.run([str(executable), *arguments], cwd=cwd, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def build_wheel(folder: Path) -> Path:
    """Builds the repository's wheel into `folder` and returns `folder`."""
    python("-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(REPOSITORY), cwd=folder)
    return folder


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel: the one `make test` has just built and installed, or one built here."""
    given = os.environ.get(WHEEL_VARIABLE)
    if given:
        return Path(given).resolve()
    (built,) = build_wheel(tmp_path_factory.mktemp("wheel")).glob("*.whl")
    return built


@pytest.fixture(scope="module")
def clean_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The interpreter of a virtual environment with numpy, onnxruntime and the wheel, and nothing else of ours."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("PYTHONPATH", "INTER2FORMER_OPS_LIBRARY"):
            patch.delenv(name, raising=False)
        yield _make_clean_python(wheel, tmp_path_factory.mktemp("clean"))


def _make_clean_python(wheel: Path, folder: Path) -> Path:
    python("-m", "venv", "venv", cwd=folder)
    interpreter = folder / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    python(*install, "numpy", "onnxruntime", cwd=folder, executable=interpreter)
    python(*install, "--no-deps", str(wheel), cwd=folder, executable=interpreter)
    return interpreter


@pytest.mark.parametrize("module", ["inter2former_onnx", "inter2former_onnx.runtime", "inter2former_onnx.cli"])
def test_imports_no_optional_package(module: str, tmp_path: Path) -> None:
    code = f"import sys, {module}; print(sorted(set({OPTIONAL}) & set(sys.modules)))"
    assert python("-c", code, cwd=tmp_path) == "[]\n"


def test_the_runtime_imports_only_numpy_and_onnxruntime(tmp_path: Path) -> None:
    """Every module that importing the runtime adds, beyond what numpy and onnxruntime add by themselves, is ours or the
    standard library's."""
    code = (
        "import sys, json, numpy, onnxruntime\n"
        "before = set(sys.modules)\n"
        "import inter2former_onnx.runtime\n"
        "added = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "print(json.dumps(sorted(added - set(sys.stdlib_module_names))))"
    )
    assert {"inter2former_onnx"} <= set(json.loads(python("-c", code, cwd=tmp_path))) <= {"inter2former_onnx", "numpy"}


def test_a_clean_environment_segments_an_npy_image(clean_python: Path, mini_bundle: Path, tmp_path: Path) -> None:
    image = np.random.default_rng(5).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    np.save(tmp_path / "image.npy", image)
    find = f"import importlib.util as u; print([m for m in {OPTIONAL} if u.find_spec(m)])"
    assert python("-c", find, cwd=tmp_path, executable=clean_python) == "[]\n"
    command = clean_python.with_name("inter2former")
    arguments = ["segment", "image.npy", "--click", "30,20", "--click", "5,5,-", "--out", "mask.npy"]
    result = subprocess.run(
        [str(command), *arguments, "--bundle", str(mini_bundle)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    session = inter2former_onnx.Segmenter(mini_bundle).encode(image).session()
    session.click(30, 20)
    np.testing.assert_array_equal(np.load(tmp_path / "mask.npy"), session.click(5, 5, positive=False))


def test_the_runtime_imports_fast(clean_python: Path, tmp_path: Path) -> None:
    """Prints what importing the runtime costs beyond numpy and onnxruntime; what it imports is asserted above.

    A timer would fail on a busy machine; the number of our own modules is what can grow without anybody noticing.
    """
    code = (
        "import sys, time, numpy, onnxruntime\n"
        "start, before = time.perf_counter(), set(sys.modules)\n"
        "import inter2former_onnx.runtime\n"
        "added = [name for name in set(sys.modules) - before if name.startswith('inter2former_onnx')]\n"
        "print(1000 * (time.perf_counter() - start), len(added))"
    )
    runs = [python("-c", code, cwd=tmp_path, executable=clean_python).split() for _ in range(3)]
    milliseconds, modules = min(float(run[0]) for run in runs), int(runs[0][1])
    print(f"importing inter2former_onnx.runtime: {milliseconds:.1f} ms and {modules} modules of ours")
    assert modules < 40


def test_wheel_content(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    ours = {name for name in names if ".dist-info/" not in name}
    assert {name.split("/")[0] for name in ours} == {"inter2former_onnx"}
    for name in ("py.typed", "assets/coffee.jpg", "runtime/segmenter.py", "models/presets/vit_b.json", "errors.py"):
        assert f"inter2former_onnx/{name}" in names
    assert not [name for name in ours if name.endswith((".cpp", ".hpp", ".h", ".pyc")) or "tests" in name.split("/")]
    assert [name for name in names if name.endswith("/licenses/LICENSE")]
    assert "-py3-none-" in wheel.name  # one for every Python 3


def test_the_wheel_has_the_model_and_not_its_checkpoint(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        manifest = json.loads(archive.read("inter2former_onnx/bundle/manifest.json"))
        for name, file in manifest["files"].items():
            content = archive.read(f"inter2former_onnx/bundle/{name}")
            assert hashlib.sha256(content).hexdigest() == file["sha256"]
        assert not [name for name in archive.namelist() if name.endswith(".safetensors")]


def test_every_module_is_in_the_wheel_and_no_link(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for pattern in ("*.py", "ports.def"):
        for file in (REPOSITORY / "inter2former_onnx").rglob(pattern):
            assert file.relative_to(REPOSITORY).as_posix() in names
    assert not [name for name in names if name.split("/")[0] in LINKS]


def test_the_links_lead_into_the_package() -> None:
    """A checkout on a system without links has small files of these names instead, and builds the same."""
    for name in LINKS:
        if (REPOSITORY / name).is_symlink():
            assert (REPOSITORY / name).readlink() == Path("inter2former_onnx") / name


@pytest.mark.skipif(shutil.which("c++") is None or platform.machine() not in NATIVE_MACHINES, reason="no compiler")
def test_the_native_library_is_in_the_wheel_where_it_can_be_built(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert [name for name in names if name.startswith("inter2former_onnx/custom_ops/libinter2former_ops.")]


def test_without_a_compiler_the_portable_form_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mini_bundle: Path
) -> None:
    monkeypatch.setenv("CC", "/nonexistent")
    monkeypatch.setenv("CXX", "/nonexistent")
    monkeypatch.delenv("INTER2FORMER_OPS_LIBRARY", raising=False)
    (built,) = build_wheel(tmp_path).glob("*.whl")
    zipfile.ZipFile(built).extractall(tmp_path / "unpacked")
    assert not list((tmp_path / "unpacked").rglob("libinter2former_ops.*"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "unpacked"))
    text = python("-m", "inter2former_onnx", "info", cwd=tmp_path)
    assert "portable (no native library was built)" in text
    np.save(tmp_path / "image.npy", np.zeros((40, 40, 3), np.uint8))
    segment = ("segment", "image.npy", "--click", "5,5", "--out", "mask.npy", "--bundle", str(mini_bundle))
    python("-m", "inter2former_onnx", *segment, cwd=tmp_path)
    assert np.load(tmp_path / "mask.npy").shape == (40, 40)


def test_plain_requirements_are_numpy_and_onnxruntime() -> None:
    plain = [line for line in requires("inter2former-onnx") or [] if "extra ==" not in line]
    assert sorted(line.split(">")[0] for line in plain) == ["numpy", "onnxruntime"]


def test_the_version_is_the_installed_one() -> None:
    assert distribution("inter2former-onnx").version == inter2former_onnx.__version__
