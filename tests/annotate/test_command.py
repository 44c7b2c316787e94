"""`inter2former annotate` as a command: starting, ending, exporting, and refusing."""

from __future__ import annotations

import json
import re
import signal
import socket
import sys
import urllib.request
from pathlib import Path

import pytest

from inter2former_onnx.cli import main
from inter2former_onnx.runtime import Segmenter
from support.annotate_page import RunningCommand, page, write_pictures
from support.fake_bundle import write_fake_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fake_bundle(tmp_path_factory.mktemp("command") / "bundle")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "pictures")


def ask(address: str, path: str, body: dict[str, object] | None = None) -> dict[str, object]:
    base, token = re.fullmatch(r"(http://[^/]+)/\?token=(.+)", address).groups()  # type: ignore[union-attr]
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(base + path, data, headers)) as answer:
        content: dict[str, object] = json.load(answer)
    return content


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_ends_with_everything_saved(bundle: Path, pictures: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "elsewhere" / "annotations"
    with RunningCommand(pictures, "--bundle", bundle, "--threads", "1", "--out", out) as command:
        edit = {
            "tab": "t",
            "revision": 0,
            "type": "click",
            "object": None,
            "category": 1,
            "x": 9,
            "y": 9,
            "positive": True,
        }
        ask(command.address, "/api/images/0/edit", edit)
        assert command.end(getattr(signal, name)) == 0  # at once, before the pause for saving is over
    assert f"1 object in 1 picture: {out / 'coco.json'}" in command.output
    assert "random weights" in command.output and "warning" not in command.output
    assert len(json.loads((out / "coco.json").read_text())["annotations"]) == 1
    assert not (pictures / "annotations").exists()


def test_events_tell_of_changes_and_do_not_delay_the_end(bundle: Path, pictures: Path) -> None:
    with RunningCommand(pictures, "--bundle", bundle, "--threads", "1") as command:
        base, token = command.address.split("/?token=")
        request = urllib.request.Request(f"{base}/api/events", headers={"authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, timeout=60) as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            assert stream.readline() == b": hello\n"
            ask(command.address, "/api/images/0/open", {})
            ask(command.address, "/api/images/0/edit", {"tab": "me", "revision": 0, "type": "done", "done": True})
            seen = []
            while not seen or seen[-1]["type"] != "saved":
                line = stream.readline()
                if line.startswith(b"data: "):
                    seen.append(json.loads(line[6:]))
            assert command.end(signal.SIGTERM) == 0
    assert {"type": "document", "image": 0, "tab": "me", "revision": 1} in seen
    assert {"type": "picture", "image": 0, "objects": 0, "done": True} in seen
    assert [event["state"] for event in seen if event["type"] == "encoding" and event["image"] == 0] == [
        "encoding",
        "ready",
    ]


def test_another_host_is_said_aloud(bundle: Path, pictures: Path) -> None:
    with RunningCommand(pictures, "--bundle", bundle, "--threads", "1", "--host", "0.0.0.0") as command:
        assert command.end(signal.SIGTERM) == 0
    assert "warning: with --host 0.0.0.0 other machines can connect" in command.output


def test_a_taken_port(bundle: Path, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        arguments = ["annotate", str(pictures), "--bundle", str(bundle), "--port", str(port), "--no-browser"]
        assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and f"cannot listen on 127.0.0.1, port {port}" in error
    assert not (pictures / "annotations").exists()


def test_exports(bundle: Path, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["annotate", str(pictures), "--export", "coco"]) == 14
    assert "nothing is annotated there" in capsys.readouterr().err
    with page(Segmenter(bundle, threads=1), pictures) as one:
        one.open(0)
        one.click(20, 20)
    out = pictures / "annotations"
    before = (out / "coco_polygons.json").read_bytes()
    (out / "coco_polygons.json").unlink()
    for kind, files in [
        ("coco", ["coco.json", "coco_polygons.json"]),
        ("png", ["masks/one.png", "objects/one.001.object.png"]),
        ("labelme", ["labelme/one.json"]),
    ]:
        assert main(["annotate", str(pictures), "--export", kind]) == 0
        printed = capsys.readouterr().out.splitlines()
        assert printed == [f"wrote {out / file}" for file in files]
        assert all((out / file).is_file() for file in files)
    assert (out / "coco_polygons.json").read_bytes() == before


@pytest.mark.parametrize(
    "arguments, status, said",
    [
        (["missing"], 8, "no such photograph or folder"),
        (["empty"], 8, "no pictures in this folder"),
        (["pictures", "--bundle", "empty"], 6, "manifest.json"),
        (["pictures", "--out", "notes.txt"], 2, "--out notes.txt: cannot make the folder"),
        (["pictures", "--out", "damaged"], 14, "damaged/coco.json: cannot be read"),
        (["pictures", "--host", "999.0.0.1"], 2, "--host 999.0.0.1"),
        (["pictures", "--classes", "a" * 81], 2, "class name"),
    ],
)
def test_refused_with_one_line(
    bundle: Path,
    pictures: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    status: int,
    said: str,
) -> None:
    monkeypatch.chdir(pictures.parent)
    Path("empty").mkdir()
    Path("damaged").mkdir()
    Path("damaged/coco.json").write_text("{")
    Path("notes.txt").write_text("notes")
    if "--bundle" not in arguments:
        arguments = [*arguments, "--bundle", str(bundle)]
    assert main(["annotate", *arguments, "--no-browser"]) == status
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


@pytest.mark.parametrize("port", ["0", "65536", "x", "-1"])
def test_ports_that_are_none(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["annotate", ".", "--port", port])
    assert "is not a port number" in capsys.readouterr().err or port == "-1"


def test_without_the_extra(pictures: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import inter2former_onnx.extras as extras

    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "uvicorn" else object())
    assert main(["annotate", str(pictures)]) == 3
    assert "pip install '.[annotate]'" in capsys.readouterr().err
