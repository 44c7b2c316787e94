"""The command as a person meets it: what it prints and with which status it ends, without running a model."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import inter2former_onnx
from inter2former_onnx import cli, errors
from inter2former_onnx.commands import info
from inter2former_onnx.commands.arguments import click

COMMAND = [sys.executable, "-m", "inter2former_onnx"]


def run_command(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=cwd,  # not the repository, whose folder of the same name is only a part of the package
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def raising(error: BaseException) -> Callable[[object], int]:
    def run(args: object) -> int:
        raise error

    return run


def all_errors() -> list[type[errors.Inter2FormerError]]:
    return [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.Inter2FormerError)]


@pytest.fixture(autouse=True)
def no_debug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INTER2FORMER_DEBUG", raising=False)


def test_version_and_help(tmp_path: Path) -> None:
    version = run_command("--version", cwd=tmp_path)
    assert (version.returncode, version.stdout) == (0, f"inter2former {inter2former_onnx.__version__}\n")
    text = run_command("--help", cwd=tmp_path)
    assert text.returncode == 0
    assert all(name in text.stdout for name in cli.COMMANDS)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_help_of_every_subcommand(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        cli.main([name, "--help"])
    assert exit_.value.code == 0
    assert f"usage: inter2former {name}" in capsys.readouterr().out


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from inter2former_onnx import cli\n"
        "cli.build_parser().format_help()\n"
        "print(sorted({'numpy', 'onnxruntime', 'torch', 'PIL', 'onnx'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["paint"],
        ["segment", "a.png"],
        ["segment", "a.png", "--click", "1,2"],
        ["segment", "a.png", "--click", "1;2", "--out", "m.png"],
        ["segment", "a.png", "--click", "1,2", "--out", "m.png", "--threads", "0"],
        ["export", "--config", "vit_b", "--out", "x"],
        ["export", "--config", "vit_b", "--out", "x", "--checkpoint", "c.pth", "--random-weights", "1"],
        ["export", "--config", "vit_b", "--out", "x", "--checkpoint", "c.pth", "--size", "-16"],
        ["segment", "a.png", "--click", "1,2", "--out", "m.png", "--over", "o.png"],  # an abbreviation is no option
        ["export", "--config", "vit_b", "--out", "x", "--random", "1"],
        ["verify", "x"],
        ["train", "--data", "x"],
        ["train", "--data", "x", "--out", "x", "--plot", "--pack"],
        ["train", "--data", "x", "--out", "x", "--pack", "--join", "y"],
        ["train", "--data", "x", "--out", "x", "--workers", "0"],
    ],
)
def test_wrong_arguments_exit_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        cli.main(arguments)
    assert exit_.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("usage: inter2former")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("210,180", (210, 180, True)),
        ("210,180,+", (210, 180, True)),
        ("300,90,-", (300, 90, False)),
        (" 3 , 9 , - ", (3, 9, False)),
        ("-1,5", (-1, 5, True)),  # refused later, where the image's size is known
        ("210.5,180.2", (210.5, 180.2, True)),
        ("1.,.5,-", (1.0, 0.5, False)),
    ],
)
def test_clicks_are_read(text: str, expected: tuple[int, int, bool]) -> None:
    assert click(text) == expected


@pytest.mark.parametrize(
    "text", ["", "1", "1,2,3", "1,2,+,4", "a,b", "1e3,2", "1,2,", "1_0,2", "inf,1", ".,1", "1,,2", "nan,1", "1 2"]
)
def test_other_text_is_no_click(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        cli.main(["segment", "a.png", "--click", text, "--out", "m.png"])
    assert exit_.value.code == 2
    assert f"{text!r} is not X,Y or X,Y,+ or X,Y,-" in capsys.readouterr().err


@pytest.mark.parametrize("error_class", all_errors())
def test_an_error_is_one_line_and_its_own_status(
    error_class: type[errors.Inter2FormerError], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(info, "run", raising(error_class("first line\n  second line")))
    assert cli.main(["info"]) == error_class.exit_code
    assert capsys.readouterr().err == "inter2former: error: first line second line\n"


def test_error_classes_have_distinct_statuses_apart_from_those_of_the_command() -> None:
    codes = [error_class.exit_code for error_class in all_errors()]
    own = [0, 12, cli.EXIT_BUG, cli.EXIT_MEMORY, cli.EXIT_INTERRUPTED, cli.EXIT_BROKEN_PIPE]
    assert len(set(codes + own)) == len(codes) + len(own)


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (KeyboardInterrupt(), 130, "inter2former: interrupted\n"),
        (MemoryError("2 TiB"), 71, "inter2former: error: not enough memory. 2 TiB\n"),
        (
            ZeroDivisionError("division\nby zero"),
            70,
            "inter2former: error: ZeroDivisionError: division by zero "
            "(this is a bug; rerun with INTER2FORMER_DEBUG=1 for the traceback)\n",
        ),
    ],
)
def test_interrupts_and_bugs_are_one_line_too(
    error: BaseException,
    status: int,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(info, "run", raising(error))
    assert cli.main(["info"]) == status
    assert capsys.readouterr().err == line


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("INTER2FORMER_DEBUG", "1")
    monkeypatch.setattr(info, "run", raising(ZeroDivisionError("oh")))
    assert cli.main(["info"]) == 70
    captured = capsys.readouterr().err
    assert captured.startswith("Traceback (most recent call last)")
    assert captured.splitlines()[-1].startswith("inter2former: error: ZeroDivisionError: oh")


def test_a_reader_that_went_away_is_no_error_message(tmp_path: Path) -> None:
    read, write = os.pipe()
    command = subprocess.Popen([*COMMAND, "info"], cwd=tmp_path, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    os.close(read)
    _, err = command.communicate(timeout=60)
    assert (command.returncode, err) == (141, "")


def test_control_c_is_one_line(tmp_path: Path) -> None:
    code = (
        "import sys, time\n"
        "from inter2former_onnx import cli\n"
        "from inter2former_onnx.commands import info\n"
        "def run(args):\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
        "info.run = run\n"
        "sys.exit(cli.main(['info']))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "inter2former: interrupted\n")


def test_info_describes_the_installation(tmp_path: Path) -> None:
    result = run_command("info", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    rows = {line[:13].strip(): line[14:] for line in result.stdout.splitlines()}
    assert rows["version"] == f"inter2former-onnx {inter2former_onnx.__version__}"
    assert rows["custom ops"].startswith(("native (", "portable ("))
    portable = run_command("info", cwd=tmp_path, INTER2FORMER_OPS="portable")
    assert "portable (" in portable.stdout


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ([], f"onnxruntime   {onnxruntime.__version__}\n"),
        (
            ["onnxruntime_gpu", "onnxruntime-openvino"],
            f"(conflict: onnxruntime {onnxruntime.__version__} and onnxruntime-openvino 9.8 and onnxruntime_gpu 9.8 "
            "lie over each other; uninstall all of them, then install one)\n",
        ),
        (
            ["onnxruntime-extensions"],
            f"onnxruntime   {onnxruntime.__version__}\n",
        ),  # another package, in spite of its name
    ],
)
def test_info_names_other_builds_of_onnxruntime(tmp_path: Path, others: list[str], said: str) -> None:
    for name in others:
        folder = tmp_path / f"{name.replace('-', '_')}-9.8.dist-info"
        folder.mkdir()
        package = "onnxruntime_extensions" if name.endswith("extensions") else "onnxruntime"
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 9.8\n")
        (folder / "RECORD").write_text(f"{package}/__init__.py,,\n")
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    result = run_command("info", cwd=tmp_path, PYTHONPATH=path)
    assert result.returncode == 0 and said in result.stdout
    assert ("conflict" in result.stdout) == ("conflict" in said)


def test_missing_extra_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((4, 4, 3), np.uint8))
    code = (
        "import sys\n"
        "from importlib.machinery import PathFinder\n"
        "find = PathFinder.find_spec\n"
        "PathFinder.find_spec = lambda name, *rest: None if name in ('PIL', 'torch') else find(name, *rest)\n"
        "from inter2former_onnx import cli\n"
        "sys.exit(cli.main(sys.argv[1:]))\n"
    )

    def run(*arguments: str) -> tuple[int, str]:
        result = subprocess.run(
            [sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        return result.returncode, result.stderr

    status, err = run("segment", "a.npy", "--click", "1,1", "--out", "m.png")
    assert status == errors.MissingDependencyError.exit_code
    assert "pip install '.[image]'" in err and err.count("\n") == 1
    status, err = run("export", "--random-weights", "1", "--config", "vit_b", "--out", "b")
    assert status == errors.MissingDependencyError.exit_code
    assert "needs torch" in err and "pip install '.[export]'" in err
    status, err = run("train", "--data", ".", "--out", "r")
    assert status == errors.MissingDependencyError.exit_code
    assert "needs torch, PIL" in err and "pip install '.[train]'" in err and err.count("\n") == 1
