"""Words in messages: one picture, two pictures, and names that steer no terminal."""

from __future__ import annotations

import pytest

from inter2former_onnx.cli import _fail
from inter2former_onnx.wording import counted, listed, printable


def test_counts() -> None:
    assert [counted(count, "picture") for count in (0, 1, 2)] == ["0 pictures", "1 picture", "2 pictures"]
    assert counted(1, "class", "classes") == "1 class" and counted(3, "class", "classes") == "3 classes"


def test_names_are_printed_in_one_line() -> None:
    assert printable("Küche 東京\u3000😀 .png") == "Küche 東京\u3000😀 .png"
    assert printable("a\nb\x1b[31m\u202e\u2028\x7f\udce9\ud800") == r"a\nb\x1b[31m\u202e\u2028\x7f\xe9\ud800"
    printable("".join(map(chr, range(0x3000)))).encode("utf-8")
    assert listed(["a", "b\n", "c"], 2) == r"a, b\n and 1 more" and listed(["a"]) == "a"


def test_errors_steer_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert _fail("error: a\n\x1b[2Jb.png\udce9: no image", 8) == 8
    assert capsys.readouterr().err == "inter2former: error: a \\x1b[2Jb.png\\xe9: no image\n"
