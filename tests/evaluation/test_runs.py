"""Whole runs: the command, its folder and report; stopping and going on; several processes; broken data."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from inter2former_onnx import cli
from inter2former_onnx.evaluation import report as report_module
from inter2former_onnx.evaluation.methods.bundle import BundleSettings
from inter2former_onnx.evaluation.metrics import iou
from inter2former_onnx.evaluation.results import read_lines
from inter2former_onnx.picture_folder import is_results_folder
from support.evaluation_data import HEIGHT, WIDTH, plain_folder, region_folder, write
from support.fake_bundle import write_fake_bundle

TIMES = ("click_seconds", "encode_seconds")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fake_bundle(tmp_path_factory.mktemp("evaluation") / "bundle")


def arguments(data: Path, out: Path, bundle: Path, *more: str) -> list[str]:
    common = ["eval", "--dataset", "folder", "--data", str(data), "--out", str(out), "--bundle", str(bundle)]
    return [*common, "--threads", "1", "--worst", "0", *more]


def without_times(folder: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if k not in TIMES} for line in read_lines(folder)]


def tables(folder: Path) -> str:
    """The report as far as it does not depend on time."""
    text = (folder / "report.md").read_text()
    return re.sub(r"## Seconds.*?(?=\n## |\Z)", "", text.partition("## Conditions")[0], flags=re.DOTALL)


def test_a_run_its_lines_and_its_report(tmp_path: Path, bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = plain_folder(tmp_path / "data", 3), tmp_path / "deep" / "out"
    assert cli.main([*arguments(data, out, bundle)[:-1], "2"]) == 0
    output = capsys.readouterr()
    assert "bundle (random weights): 3 objects, NoC@80" in output.out and f"wrote {out}/report.md" in output.out
    lines = read_lines(out)
    assert [line["picture"] for line in lines] == [0, 1, 2]
    for line in lines:
        assert len(line["ious"]) == len(line["boundary_ious"]) == 20
        assert len(line["clicks"]) == len(line["click_seconds"]) <= 20
    # The first IoU, from the image, the mask and the recorded click, by hand.
    image = cv2.imread(str(data / "images" / "p001.png"))[:, :, ::-1]
    target = cv2.imread(str(data / "masks" / "p001.png"), 0) > 0
    x, y, positive = lines[1]["clicks"][0]
    mask = (
        BundleSettings(bundle, True).open(1).encode(np.ascontiguousarray(image)).session().click(x, y, bool(positive))
    )
    assert lines[1]["ious"][0] == iou(mask, target)
    text = (out / "report.md").read_text()
    for part in ("NoC@95", "NoF@80", "boundary IoU", "SPC with encoding", "(worst/01.png", "![mean IoU", "bundle_id"):
        assert part.replace("(worst/", "(<worst/") in text
    for picture in ("miou.png", "worst/01.png", "worst/02.png"):
        assert cv2.imread(str(out / picture)).shape[2] == 3
    assert not (out / "worst" / "03.png").exists()
    assert is_results_folder(out) and is_results_folder(out / "worst")  # no command takes their pictures for pictures
    assert not [p for p in out.rglob("*") if p.name.endswith(".tmp")]


def test_one_and_two_processes_give_the_same(tmp_path: Path, bundle: Path) -> None:
    data = plain_folder(tmp_path / "data", 5)
    (data / "masks" / "p002.png").write_bytes(b"damaged")
    assert cli.main(arguments(data, tmp_path / "one", bundle)) == 0
    assert cli.main(arguments(data, tmp_path / "two", bundle, "--processes", "2")) == 0
    assert without_times(tmp_path / "one") == without_times(tmp_path / "two")
    assert tables(tmp_path / "one") == tables(tmp_path / "two")


def wait_for_lines(path: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert process.poll() is None and time.monotonic() < deadline, "the run ended before it could be stopped"
        time.sleep(0.01)


def start(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "inter2former_onnx", *command],
        cwd=folder,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def made_endless(image: Path) -> bytes:
    """Puts a pipe that nobody writes to in an image's place: reading it waits, so a run cannot finish. Returns what
    was there."""
    content = image.read_bytes()
    image.unlink()
    os.mkfifo(image)
    return content


def feed(pipe: Path, content: bytes) -> None:
    """Gives `content` to who is reading the pipe, if anybody is."""
    try:
        handle = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return
    with open(handle, "wb") as stream:
        stream.write(content)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_killed_run_goes_on_to_the_same_report(tmp_path: Path, bundle: Path, processes: str) -> None:
    data, count = plain_folder(tmp_path / "data", 6), 6
    assert cli.main(arguments(data, tmp_path / "whole", bundle)) == 0
    image = data / "images" / "p003.png"
    content = made_endless(image)
    command = arguments(data, tmp_path / "killed", bundle, "--processes", processes)
    lines_file = tmp_path / "killed" / "objects.jsonl"
    with start(command, tmp_path) as process:
        wait_for_lines(lines_file, 2, process)
        process.send_signal(signal.SIGKILL)
    image.unlink()
    image.write_bytes(content)
    kept = lines_file.read_bytes()
    assert 2 <= kept.count(b"\n") < count
    lines_file.write_bytes(kept + kept.splitlines()[0][:40])  # a line cut short
    assert not (tmp_path / "killed" / "report.md").exists()
    assert cli.main(command) == 0
    assert without_times(tmp_path / "killed") == without_times(tmp_path / "whole")
    assert tables(tmp_path / "killed") == tables(tmp_path / "whole")
    first = json.loads(kept.splitlines()[0])
    assert first in read_lines(tmp_path / "killed")  # with its times: it was not computed anew


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
@pytest.mark.parametrize("processes", ["1", "2"])
def test_an_interrupted_run_ends_with_one_line(tmp_path: Path, bundle: Path, processes: str) -> None:
    data, out = plain_folder(tmp_path / "data", 6), tmp_path / "out"
    image = data / "images" / "p003.png"
    content = made_endless(image)
    with start(arguments(data, out, bundle, "--processes", processes), tmp_path) as process:
        wait_for_lines(out / "objects.jsonl", 3 if processes == "1" else 5, process)  # all that can be done
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            feed(image, content)  # a worker finishes with the file that it is reading
            time.sleep(0.01)
        _, errors = process.communicate(timeout=1)
    assert (process.returncode, errors.decode()) == (130, "inter2former: interrupted\n")
    assert not (out / "report.md").exists() and read_lines(out)


def test_a_folder_in_use_is_refused(tmp_path: Path, bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fcntl = pytest.importorskip("fcntl")
    data, out = plain_folder(tmp_path / "data", 1), tmp_path / "out"
    out.mkdir()
    with open(out / ".lock", "w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert cli.main(arguments(data, out, bundle)) == 2
        assert "another evaluation is working in it" in capsys.readouterr().err
    assert cli.main(arguments(data, out, bundle)) == 0


def test_broken_pictures_are_counted_and_tried_again(
    tmp_path: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = plain_folder(tmp_path / "data", 4), tmp_path / "out"
    image, mask = data / "images" / "p001.png", data / "masks" / "p003.png"
    whole = image.read_bytes(), mask.read_bytes()
    image.write_bytes(whole[0][: len(whole[0]) // 2])
    mask.unlink()
    assert cli.main(arguments(data, out, bundle)) == 0
    assert "2 objects" in (output := capsys.readouterr().out) and "; 2 broken" in output
    text = (out / "report.md").read_text()
    assert "2 could not be used" in text and "p001.png" in text and "no mask of this name" in text
    image.write_bytes(whole[0])
    mask.write_bytes(whole[1])
    assert cli.main(arguments(data, out, bundle)) == 0
    assert "4 objects" in (output := capsys.readouterr().out) and "; 2 broken" not in output
    assert "Broken" not in (out / "report.md").read_text()


def test_several_objects_of_a_picture_resume_in_its_middle(tmp_path: Path, bundle: Path) -> None:
    data, out = region_folder(tmp_path / "data", 2), tmp_path / "out"
    command = [*arguments(data, out, bundle)]
    command[2] = "regions"
    assert cli.main(command) == 0
    whole = without_times(out)
    assert [(line["picture"], line["object"], line["objects"]) for line in whole] == [
        (0, 0, 2), (0, 1, 2), (1, 0, 2), (1, 1, 2),
    ]  # fmt: skip
    lines = (out / "objects.jsonl").read_text().splitlines()
    (out / "objects.jsonl").write_text("\n".join(lines[:3]) + "\n")
    assert cli.main(command) == 0
    assert without_times(out) == whole and (out / "objects.jsonl").read_text().splitlines()[:3] == lines[:3]


def test_one_broken_object_does_not_take_its_picture_along(tmp_path: Path, bundle: Path) -> None:
    data, out = plain_folder(tmp_path / "data", 1), tmp_path / "out"
    write(data / "masks" / "p000_2.png", np.zeros((HEIGHT, WIDTH), np.uint8))
    assert cli.main(arguments(data, out, bundle)) == 0
    whole, broken = read_lines(out)
    assert "ious" in whole and whole["objects"] == 2
    assert broken == {"picture": 0, "object": 1, "objects": 2, "name": "p000_2", "error": "p000_2: the mask is empty"}
    assert "1 could not be used" in (out / "report.md").read_text()


def test_another_run_is_not_mixed_in(tmp_path: Path, bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = plain_folder(tmp_path / "data", 2), tmp_path / "out"
    assert cli.main(arguments(data, out, bundle)) == 0
    kept = (out / "objects.jsonl").read_bytes()
    for change, name in (
        (["--clicks", "3"], "clicks"),
        (["--no-enforce-clicks"], "method"),
        (["--keep-islands"], "method"),
        (["--threads", "2"], "thr"),
    ):
        assert cli.main(arguments(data, out, bundle, *change)) == 2
        error = capsys.readouterr().err
        assert f"holds a run with other settings; {name}" in error and error.count("\n") == 1
    plain_folder(data, 3)
    assert cli.main(arguments(data, out, bundle)) == 2
    assert "pict" in capsys.readouterr().err
    assert (out / "objects.jsonl").read_bytes() == kept
    (out / "settings.json").unlink()
    assert cli.main(arguments(data, out, bundle)) == 2


def test_lists_and_methods_together_and_reports_of_several_runs(
    tmp_path: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = region_folder(tmp_path / "data", 2), tmp_path / "out"
    (data / "eval_objects.json").write_text((data / "eval.json").read_text())
    command = ["eval", "--dataset", "regions", "--data", str(data), "--out", str(out), "--bundle", str(bundle)]
    lists = ["--list", "eval.json", "--list", "eval_objects.json"]
    methods = ["--method", "bundle", "--method", "grabcut"]
    assert cli.main([*command, *lists, *methods, "--clicks", "3", "--worst", "1"]) == 0
    folders = {p.parent.name for p in out.glob("*/objects.jsonl")}
    assert folders == {"eval-bundle", "eval-grabcut", "eval_objects-bundle", "eval_objects-grabcut"}
    text = (out / "report.md").read_text()
    assert text.count("| eval | OpenCV GrabCut |") == 4 and "(<eval_objects-grabcut/worst/01.png>)" in text
    capsys.readouterr()
    both = [str(out / "eval-bundle"), str(out / "eval-grabcut")]
    assert cli.main(["eval", "--report", *both, "--out", str(tmp_path / "page")]) == 0
    assert "2 objects" in capsys.readouterr().out
    assert "(<../out/eval-grabcut/worst/01.png>)" in (tmp_path / "page" / "report.md").read_text()


def test_an_unfinished_run_says_so_in_a_report(tmp_path: Path, bundle: Path) -> None:
    data, out = plain_folder(tmp_path / "data", 2), tmp_path / "out"
    assert cli.main(arguments(data, out, bundle)) == 0
    lines = (out / "objects.jsonl").read_text().splitlines(keepends=True)
    (out / "objects.jsonl").write_text(lines[0])
    assert cli.main(["eval", "--report", str(out), "--out", str(tmp_path / "page")]) == 0
    assert "incomplete: 1 of 2 pictures" in (tmp_path / "page" / "report.md").read_text()


def test_without_matplotlib_the_curve_is_left_out(
    tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_module, "missing", lambda *modules: list(modules))
    out = tmp_path / "out"
    assert cli.main(arguments(plain_folder(tmp_path / "data", 1), out, bundle)) == 0
    assert "matplotlib is not installed" in (out / "report.md").read_text() and not (out / "miou.png").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "--dataset and --data say what to measure on"),
        (["--dataset", "folder", "--data", "none"], "none: no such file or folder"),
        (["--dataset", "folder", "--data", "."], "expected a folder images in it"),
        (["--dataset", "folder", "--data", ".", "--list", "x"], "--list goes with --dataset regions"),
        (["--dataset", "folder", "--data", ".", "--report", "a"], "it takes neither"),
        (["--dataset", "regions", "--data", ".", "--list", "a/x.json", "--list", "b/x.json"], "different names"),
        (["--dataset", "folder", "--data", ".", "--method", "sam"], "--sam-encoder FILE"),
        (["--dataset", "folder", "--data", ".", "--worst", "-1"], "--worst: expected 0 to 99"),
        (["--report", "none"], "no settings of an evaluation"),
        (["--dataset", "data", "--data", "."], "invalid choice"),
    ],
)
def test_wrong_arguments(
    more: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        status = cli.main(["eval", "--out", "out", *more])
    except SystemExit as exit_:
        status = exit_.code if isinstance(exit_.code, int) else 1
    assert status == 2 and message in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_no_object_at_all_is_an_error(tmp_path: Path, bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = plain_folder(tmp_path / "data", 1)
    (data / "masks" / "p000.png").write_bytes(b"x")
    assert cli.main(arguments(data, tmp_path / "out", bundle)) == 2
    assert "no object was evaluated; 1 could not be used" in capsys.readouterr().err


def test_evaluation_imports_no_torch(tmp_path: Path) -> None:
    modules = "runner, report, plan, curves, datasets, worst, methods.bundle, methods.grabcut, methods.sam"
    imports = "; ".join(f"import inter2former_onnx.evaluation.{name}" for name in modules.split(", "))
    code = f"{imports}; import sys; print(sorted({{'torch', 'onnx', 'matplotlib', 'scipy'}} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
