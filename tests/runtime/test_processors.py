"""How many threads are used: the least of affinity, the quotas of control groups, and a variable."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from inter2former_onnx.errors import ArgumentError
from inter2former_onnx.runtime import Segmenter, processors
from inter2former_onnx.runtime.processors import find_processors
from support.fake_bundle import write_fake_bundle

V2_MOUNT = "30 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev - cgroup2 cgroup2 rw,nsdelegate\n"
V1_MOUNT = "32 31 0:29 {root} {point} rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
OTHERS = (
    "23 28 0:21 / /proc rw - proc proc rw\n"
    "33 31 0:30 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
    "no line of this kind\n"
)


@pytest.fixture(autouse=True)
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of 32 processors, all of them ours."""
    monkeypatch.setattr(os, "cpu_count", lambda: 32)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(32)), raising=False)
    monkeypatch.delenv(processors.VARIABLE, raising=False)
    monkeypatch.setattr(processors, "_warned", set())


def machine(root: Path, mounts: str, groups: str, files: dict[str, str]) -> Path:
    """A tree of files as Linux shows them."""
    for name, text in {"proc/self/mountinfo": OTHERS + mounts, "proc/self/cgroup": groups, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def count(root: Path, mounts: str, groups: str, files: dict[str, str]) -> int:
    found = find_processors(machine(root, mounts, groups, files))
    assert found.usable == 32 or "CPU quota of " in found.decided
    return found.usable


def test_without_limits(tmp_path: Path) -> None:
    assert find_processors(tmp_path) == (32, "all of this machine")


def test_affinity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {1, 5, 7})
    assert find_processors(tmp_path) == (3, "affinity: the machine has 32")


def test_a_system_without_affinity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    assert find_processors(tmp_path).usable == 32


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("max 100000", 32),
        ("200000 100000\n", 2),
        ("150000 100000", 2),  # rounded up
        ("5000 100000", 1),
        ("6400000 100000", 32),  # more than there are
        ("50000", 32),
        ("0 0", 32),
        ("much too", 32),
        ("", 32),
    ],
)
def test_quota_of_version_2(tmp_path: Path, text: str, expected: int) -> None:
    assert count(tmp_path, V2_MOUNT, "0::/\n", {"sys/fs/cgroup/cpu.max": text}) == expected


def test_nested_groups_of_version_2_the_tightest_holds(tmp_path: Path) -> None:
    folder = "sys/fs/cgroup"
    files = {
        f"{folder}/kubepods/cpu.max": "800000 100000",
        f"{folder}/kubepods/pod1/cpu.max": "250000 100000",
        f"{folder}/kubepods/pod1/c1/cpu.max": "max 100000",
        f"{folder}/kubepods/pod2/cpu.max": "100000 100000",  # somebody else's
    }
    machine(tmp_path, V2_MOUNT, "0::/kubepods/pod1/c1\n", files)
    found = find_processors(tmp_path)
    assert found == (3, f"CPU quota of 2.5 in {tmp_path / folder}/kubepods/pod1/cpu.max")


@pytest.mark.parametrize(("quota", "expected"), [("-1", 32), ("150000", 2), ("50000", 1)])
def test_quota_of_version_1(tmp_path: Path, quota: str, expected: int) -> None:
    """As a container sees it: its own group is mounted, under the name that it has outside."""
    mount = V1_MOUNT.format(root="/docker/abc", point="/sys/fs/cgroup/cpu\\040time")
    files = {"cpu.cfs_quota_us": quota, "cpu.cfs_period_us": "100000"}
    found = {f"sys/fs/cgroup/cpu time/{name}": text + "\n" for name, text in files.items()}
    assert count(tmp_path, mount, "5:cpuset:/docker/abc\n4:cpu,cpuacct:/docker/abc\n0::/\n", found) == expected


def test_nested_groups_of_version_1_the_tightest_holds(tmp_path: Path) -> None:
    mount = V1_MOUNT.format(root="/", point="/cgroup/cpu")
    files = {}
    for folder, quota in {"": "-1", "/outer": "200000", "/outer/inner": "900000"}.items():
        files[f"cgroup/cpu{folder}/cpu.cfs_quota_us"] = quota
        files[f"cgroup/cpu{folder}/cpu.cfs_period_us"] = "50000"
    assert count(tmp_path, mount, "4:cpuacct,cpu:/outer/inner\n", files) == 4


def test_both_versions_mounted(tmp_path: Path) -> None:
    mounts = V1_MOUNT.format(root="/", point="/sys/fs/cgroup/cpu") + V2_MOUNT
    files = {
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "700000",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        "sys/fs/cgroup/cpu.max": "500000 100000",
    }
    assert count(tmp_path, mounts, "1:cpu:/\n0::/\n", files) == 5


@pytest.mark.parametrize("path", ["/elsewhere", "/../../outside", "/docker/other"])
def test_a_group_that_is_not_mounted_here(tmp_path: Path, path: str) -> None:
    """What is mounted still holds: it can only be a group around ours."""
    mount = V2_MOUNT.replace(" / ", " /docker/abc ", 1)
    assert count(tmp_path, mount, f"0::{path}\n", {"sys/fs/cgroup/cpu.max": "300000 100000"}) == 3


def test_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(tmp_path, V2_MOUNT, "0::/\n", {"sys/fs/cgroup/cpu.max": "400000 100000"})
    monkeypatch.setenv(processors.VARIABLE, "3")
    assert find_processors(tmp_path) == (3, "INTER2FORMER_THREADS")
    monkeypatch.setenv(processors.VARIABLE, "1024")
    assert find_processors(tmp_path).usable == 4  # the least, not the last word


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "two", "1025", " ", "٣", "9" * 5000])
def test_variable_that_is_refused(value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(processors.VARIABLE, value)
    with pytest.raises(ArgumentError, match="INTER2FORMER_THREADS=.*: expected a whole number from 1 to 1024$"):
        find_processors(tmp_path)


def test_more_threads_warn_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bundle = write_fake_bundle(tmp_path / "bundle")
    monkeypatch.setenv(processors.VARIABLE, "2")
    assert Segmenter(bundle).threads == 2 and Segmenter(bundle, threads=2).threads == 2
    assert caplog.messages == []
    for _ in range(2):
        assert Segmenter(bundle, threads=3).threads == 3
    assert caplog.messages == ["3 threads for 2 processors (INTER2FORMER_THREADS): expect it to be slower"]


def test_commands_say_so_in_one_line(tmp_path: Path) -> None:
    np.save(tmp_path / "image.npy", np.zeros((40, 50, 3), np.uint8))
    bundle = str(write_fake_bundle(tmp_path / "bundle"))
    environment = {**os.environ, processors.VARIABLE: "1"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "inter2former_onnx", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)

    arguments = ["segment", "image.npy", "--click", "20,20", "--out", "mask.npy", "--bundle", bundle]
    assert run(*arguments).stderr == ""
    line = "3 threads for 1 processor (INTER2FORMER_THREADS): expect it to be slower\n"
    assert run(*arguments, "--threads", "3").stderr == line
    assert "processors    1 (INTER2FORMER_THREADS)\n" in run("info").stdout
