"""Checkpoints made to run code: refused by name, or read as inert data; in either case nothing runs.

Most payloads are also given to Python's own unpickler, to show that they would have run.
"""

from __future__ import annotations

import contextlib
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from inter2former_onnx.errors import CheckpointError
from inter2former_onnx.models.checkpoints import read_checkpoint
from support.checkpoint_files import (
    WEIGHT,
    WEIGHT_BYTES,
    call,
    items,
    legacy,
    mapping,
    name,
    number,
    storage,
    tensor,
    text,
    whole,
    write_archive,
)

Payload = Callable[[Path], bytes]


class _Reducing:
    """Pickles as a call of `function`."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.reduced = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.reduced


def command(sentinel: Path) -> str:
    """A shell command that leaves a trace."""
    return f"echo ran > {sentinel}"


def system(sentinel: Path) -> bytes:
    return call("posix.system", text(command(sentinel)))


def python(sentinel: Path) -> str:
    return f"open({str(sentinel)!r}, 'w').close()"


def reduced(protocol: int) -> Payload:
    """What pickle.dumps itself makes of an object that reduces to os.system, without its header and STOP."""

    def build(sentinel: Path) -> bytes:
        data = pickle.dumps(_Reducing(os.system, command(sentinel)), protocol)
        return (data[2:] if protocol >= 2 else data)[:-1]

    return build


def stack_global(module: str, qualified: str) -> bytes:
    return b"\x80\x04" + text(module) + text(qualified) + b"\x93"  # dotted names are for protocol 4 and above


def set_state_then_call(sentinel: Path) -> bytes:
    """Sets __setstate__ on an object to os.system, then gives it a state: a call without a REDUCE."""
    return (
        call("types.SimpleNamespace")
        + mapping({"__setstate__": name("posix.system")})
        + b"b"
        + text(command(sentinel))
        + b"b"
    )


# What is called in the message, the payload, and whether Python's own unpickler runs it.
REFUSED: dict[str, tuple[str, Payload, bool]] = {
    "os.system": ("posix.system", system, True),
    "protocol 0": ("posix.system", reduced(0), True),
    "protocol 2": ("posix.system", reduced(2), True),
    "protocol 4": ("posix.system", reduced(4), True),
    "eval": ("builtins.eval", lambda s: call("builtins.eval", text(python(s))), True),
    "exec of python 2": ("__builtin__.eval", lambda s: call("__builtin__.eval", text(python(s))), True),
    "exec": ("builtins.exec", lambda s: call("builtins.exec", text(python(s))), True),
    "open": ("io.open", lambda s: call("io.open", text(str(s)), text("w")), True),
    "import": ("builtins.__import__", lambda s: call("builtins.__import__", text("this")), False),
    "getattr chain": (
        "builtins.getattr",
        lambda s: (
            call("builtins.getattr", name("pathlib.Path"), text("touch"))
            + items(call("pathlib.Path", text(str(s))))
            + b"R"
        ),
        True,
    ),
    "dotted name": (
        "os.path.os.system",
        lambda s: stack_global("os", "path.os.system") + items(text(command(s))) + b"R",
        True,
    ),
    "dotted name elsewhere": (
        "torch.serialization.os.system",
        lambda s: stack_global("torch.serialization", "os.system") + items(text(command(s))) + b"R",
        True,
    ),
    "method of a class": (
        "pathlib.Path.touch",
        lambda s: stack_global("pathlib", "Path.touch") + items(call("pathlib.Path", text(str(s)))) + b"R",
        True,
    ),
    "method of an unknown class": (
        "mmengine.Config.fromfile",
        lambda s: stack_global("mmengine", "Config.fromfile") + items() + b"R",
        False,
    ),
    "local class": (
        "a.make.<locals>.Thing",
        lambda s: stack_global("a", "make.<locals>.Thing") + items() + b"R",
        False,
    ),
    "partial": (
        "functools.partial",
        lambda s: call("functools.partial", name("posix.system"), text(command(s))) + items() + b"R",
        True,
    ),
    "map": (
        "builtins.map",
        lambda s: call("builtins.list", call("builtins.map", name("posix.system"), items(text(command(s))))),
        True,
    ),
    "method caller": (
        "operator.methodcaller",
        lambda s: call("operator.methodcaller", text("touch")) + items(call("pathlib.Path", text(str(s)))) + b"R",
        True,
    ),
    "subprocess": ("subprocess.call", lambda s: call("subprocess.call", items(text("touch"), text(str(s)))), True),
    "subprocess class": ("subprocess.Popen", lambda s: call("subprocess.Popen", items(text("true"))), False),
    "runpy": ("runpy.run_path", lambda s: call("runpy.run_path", text("/x")), False),
    "importlib": ("importlib.import_module", lambda s: call("importlib.import_module", text("this")), False),
    "ctypes": ("ctypes.CDLL", lambda s: call("ctypes.CDLL", text("libc.so.6")), False),
    "code": ("code.InteractiveInterpreter", lambda s: call("code.InteractiveInterpreter"), False),
    "function of an unknown module": ("mmcv.utils.run", lambda s: call("mmcv.utils.run", text("x")), False),
    "underscored function": ("mmcv._load", lambda s: call("mmcv._load", text("x")), False),
    "torch.load inside": (
        "torch.storage._load_from_bytes",
        lambda s: call("torch.storage._load_from_bytes", b"C\x01x"),
        False,
    ),
    "torch.hub": ("torch.hub.load", lambda s: call("torch.hub.load", text("a/b"), text("c")), False),
    "tensor with a function": (
        "posix.system",
        lambda s: call(
            "torch._tensor._rebuild_from_type_v2",
            name("posix.system"),
            name("torch.Tensor"),
            items(text(command(s))),
            b"N",
        ),
        True,
    ),
    "reconstructor": (
        "posix.system",
        lambda s: call("copyreg._reconstructor", name("posix.system"), name("builtins.object"), b"N"),
        False,
    ),
    "numpy reconstruct": (
        "posix.system",
        lambda s: call("numpy.core.multiarray._reconstruct", name("posix.system"), items(), b"C\x00"),
        False,
    ),
    "in an argument": ("posix.system", lambda s: call("collections.deque", items(items(system(s)))), True),
    "in a list": ("posix.system", lambda s: b"](" + system(s) + b"e", True),
    "in a key": ("posix.system", lambda s: b"}" + system(s) + b"Ns", True),
    "in a state": ("posix.system", lambda s: call("types.SimpleNamespace") + mapping({"a": system(s)}) + b"b", True),
    "in a set": ("posix.system", lambda s: b"\x8f(" + system(s) + b"\x90", True),
    "thrown away": ("posix.system", lambda s: system(s) + b"0N", True),
    "in the memo": (
        "posix.system",
        lambda s: name("posix.system") + b"q\x07" + b"0h\x07" + items(text(command(s))) + b"R",
        True,
    ),
    "instance": ("posix.system", lambda s: b"(" + text(command(s)) + b"iposix\nsystem\n", True),
    "object": ("posix.system", lambda s: b"(" + name("posix.system") + text(command(s)) + b"o", True),
    "new object": ("subprocess.Popen", lambda s: name("subprocess.Popen") + items(text("true")) + b"\x81", False),
    "new object with keywords": (
        "subprocess.Popen",
        lambda s: name("subprocess.Popen") + items() + mapping({"args": text("true")}) + b"\x92",
        False,
    ),
    "call of a placeholder": (
        "an object of mmengine.Thing",
        lambda s: call("mmengine.Thing", name("posix.system")) + items(text(command(s))) + b"R",
        False,
    ),
    "call of a tensor": ("a TensorRef", lambda s: WEIGHT + items(text("x")) + b"R", False),
    "call of a text": ("a text", lambda s: text("posix.system") + items(text(command(s))) + b"R", False),
    "object of a placeholder": ("an object of a.B", lambda s: b"(" + call("a.B") + text("x") + b"o", False),
}

# The whole message where it is not about a call.
OTHERWISE_REFUSED: dict[str, tuple[str, Payload]] = {
    "state of a class": (
        "tries to set attributes of mmengine.Thing; refused",
        lambda s: name("mmengine.Thing") + mapping({"__init__": name("posix.system")}) + b"b",
    ),
    "extension 1": ("tries to use Python's pickle extension 9; refused", lambda s: b"\x82\x09" + items() + b"R"),
    "extension 2": ("tries to use Python's pickle extension 513", lambda s: b"\x83\x01\x02" + items() + b"R"),
    "extension 4": ("tries to use Python's pickle extension 67305985", lambda s: b"\x84\x01\x02\x03\x04"),
    "persistent module": (
        "is damaged: its pickle has a tuple for a storage's id",
        lambda s: items(text("module"), name("posix.system"), text("f"), text("source")) + b"Q",
    ),
    "persistent text": ("is damaged: its pickle has a text for a storage's id", lambda s: b"Pstorage\n"),
    "persistent object": (
        "is damaged: its pickle has an object of a.B for a storage's id",
        lambda s: call("a.B") + b"Q",
    ),
    "storage of another type": (
        "has a storage of the unknown type posix.system",
        lambda s: storage("0", 3, "posix.system"),
    ),
    "storage made by a call": (
        "has a storage of the unknown type an object of torch.FloatStorage",
        lambda s: items(text("storage"), call("torch.FloatStorage"), text("0"), text("cpu"), number(3)) + b"Q",
    ),
    "storage outside the folder": (
        "is damaged: it has no entry for storage '../../../etc/passwd'",
        lambda s: storage("../../../etc/passwd", 3),
    ),
    "storage key no text": (
        "is damaged: a storage's key is the value 0",
        lambda s: items(text("storage"), name("torch.FloatStorage"), number(0), text("cpu"), number(3)) + b"Q",
    ),
    "out-of-band buffer": ("is damaged: its pickle refers to data outside the file", lambda s: b"\x97"),
}

ACCEPTED: dict[str, tuple[Payload, bool]] = {
    "named, not called": (lambda s: name("posix.system"), False),
    "given to a placeholder": (lambda s: call("mmengine.Thing", name("posix.system"), text(command(s))), False),
    "state that calls": (set_state_then_call, True),
    "state of a placeholder": (lambda s: call("a.B") + mapping({"__class__": name("posix.system")}) + b"b", False),
    "items of a placeholder": (lambda s: call("a.B") + b"(" + text("k") + name("posix.system") + b"u", False),
    "default factory": (lambda s: call("collections.defaultdict", name("posix.system")), False),
    "code after the end": (lambda s: mapping({"state_dict": mapping({"w": WEIGHT})}) + b"." + system(s), False),
}


def assert_refused(path: Path, cause: str, sentinel: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    message = str(caught.value)
    assert message.startswith(f"checkpoint {path} ")
    assert cause in message
    assert "\n" not in message
    assert not sentinel.exists()


def beside_weights(payload: bytes) -> bytes:
    return whole(mapping({"state_dict": mapping({"w": WEIGHT}), "meta": payload}))


@pytest.mark.parametrize("title", REFUSED)
def test_calls_are_refused_by_name(title: str, tmp_path: Path) -> None:
    called, build, _ = REFUSED[title]
    sentinel = tmp_path / "ran"
    payload = build(sentinel)
    cause = f"tries to call {called}; refused, nothing was executed"
    assert_refused(write_archive(tmp_path / "meta.pth", beside_weights(payload)), cause, sentinel)
    assert_refused(write_archive(tmp_path / "bare.pth", whole(payload)), cause, sentinel)
    weights = whole(mapping({"state_dict": mapping({"w": WEIGHT, "x": payload})}))
    assert_refused(write_archive(tmp_path / "weight.pth", weights), cause, sentinel)
    old = legacy(mapping({"w": WEIGHT, "x": payload}), {"0": WEIGHT_BYTES})
    (tmp_path / "old.pth").write_bytes(old)
    assert_refused(tmp_path / "old.pth", cause, sentinel)
    (tmp_path / "raw.pth").write_bytes(whole(payload))
    assert_refused(tmp_path / "raw.pth", cause, sentinel)


@pytest.mark.parametrize("title", OTHERWISE_REFUSED)
def test_other_tricks_are_refused(title: str, tmp_path: Path) -> None:
    cause, build = OTHERWISE_REFUSED[title]
    sentinel = tmp_path / "ran"
    assert_refused(write_archive(tmp_path / "meta.pth", beside_weights(build(sentinel))), cause, sentinel)


@pytest.mark.parametrize("title", ACCEPTED)
def test_inert_data_is_read_and_runs_nothing(title: str, tmp_path: Path) -> None:
    build, _ = ACCEPTED[title]
    sentinel = tmp_path / "ran"
    payload = build(sentinel)
    data = whole(payload) if title == "code after the end" else beside_weights(payload)
    state = read_checkpoint(write_archive(tmp_path / "meta.pth", data))
    assert torch.equal(state["w"], torch.tensor([1.0, 2.0, 3.0]))
    assert not sentinel.exists()


RUNS = {title: entry[1] for title, entry in REFUSED.items() if entry[2]}
RUNS.update({title: entry[0] for title, entry in ACCEPTED.items() if entry[1]})


@pytest.mark.skipif(os.name != "posix", reason="the payloads name posix.system")
@pytest.mark.parametrize("title", RUNS)
def test_the_payloads_would_run(title: str, tmp_path: Path) -> None:
    """The control: Python's unpickler does run them, so the tests above would see it."""
    sentinel = tmp_path / "ran"
    with contextlib.suppress(Exception):  # several fail after having run
        pickle.loads(whole(RUNS[title](sentinel)))
    assert sentinel.exists()


@pytest.mark.parametrize("position", range(5))
def test_old_format_with_a_call_in_any_of_its_pickles(position: int, tmp_path: Path) -> None:
    sentinel = tmp_path / "ran"
    parts = [pickle.dumps(0x1950A86A20F9469CFC6C, 2), pickle.dumps(1001, 2), pickle.dumps({}, 2)]
    parts += [whole(mapping({"w": WEIGHT})), pickle.dumps(["0"], 2)]
    parts[position] = whole(system(sentinel))
    path = tmp_path / "old.pth"
    path.write_bytes(b"".join(parts) + number(3)[2:].ljust(8, b"\0") + WEIGHT_BYTES)
    assert_refused(path, "tries to call posix.system; refused, nothing was executed", sentinel)


def test_names_in_messages_are_made_fit_for_a_line(tmp_path: Path) -> None:
    """Control characters that would repaint a terminal, and names that go on and on."""
    odd = stack_global("a\n\x1b[2J\u202e" + "b" * 3000, "run") + items() + b"R"
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(write_archive(tmp_path / "odd.pth", whole(odd)))
    message = str(caught.value)
    assert message.isprintable() and len(message) < len(str(tmp_path)) + 250
    assert r"tries to call a\n\x1b[2J\u202ebbb" in message


def test_weights_that_are_placeholders(tmp_path: Path) -> None:
    for payload, cause in (
        (call("mmengine.Thing"), "holds an object of mmengine.Thing under 'x' of its state dict, expected a tensor"),
        (name("posix.system"), "holds posix.system under 'x' of its state dict, expected a tensor"),
        (text("y"), "holds a text under 'x' of its state dict, expected a tensor"),
        (b"N", "holds the value None under 'x'"),
        (number(2**70), "holds the value 1180591620717411303424 under 'x'"),
        (tensor("0", 3, (1,), (1,), kind="torch.QInt32Storage"), "holds x as qint32, expected floats of 16 to 64 bits"),
    ):
        path = write_archive(tmp_path / "w.pth", whole(mapping({"state_dict": mapping({"w": WEIGHT, "x": payload})})))
        assert_refused(path, cause, tmp_path / "ran")
