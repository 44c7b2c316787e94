"""The comparison report's pure parts: ratios, where the project loses, and the page made from recorded measurements."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.reference import REPOSITORY

BENCHMARKS = REPOSITORY / "benchmarks"


@pytest.fixture
def comparison(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The modules of benchmarks/, which are scripts' neighbours and in no package that is installed."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from comparison import contestants, losses, measurements, plots, report  # type: ignore[import-not-found]

    class Modules:
        pass

    modules: Any = Modules()
    modules.contestants, modules.losses, modules.measurements = contestants, losses, measurements
    modules.plots, modules.report = plots, report
    return modules


def section(comparison: Any, name: str, *measurements: Any, **changes: Any) -> Any:
    """A section measured on a quiet machine."""
    made = comparison.measurements.Section(
        name, "2026-11-25T12:00:00+00:00", 90.0, 0.1, ["machine: A, 2 threads used", "software: B"], {"threads": 2}
    )
    return replace(made, measurements=list(measurements), **changes)


def test_ratio_is_of_neighbouring_runs(comparison: Any) -> None:
    """The machine slows down in the second round: medians' ratio would be 1.5, neighbours say 2."""
    m = comparison.measurements.Measurement("m", "s", {"ours": (1.0, 10.0, 1.0), "eager": (2.0, 20.0, 1.5)})
    found = comparison.measurements.ratio(m, "eager", "ours")
    assert found.value == 2.0
    assert comparison.measurements.ratio(m, "ours", "eager").value == 0.5


def test_unpaired_runs_give_a_ratio_of_medians_without_spread(comparison: Any) -> None:
    m = comparison.measurements.Measurement("m", "s", {"ours": (1.0, 2.0, 3.0), "compiled": (8.0,)})
    found = comparison.measurements.ratio(m, "compiled", "ours")
    assert (found.value, found.quartiles, found.certain) == (4.0, None, True)


def test_a_ratio_is_uncertain_when_the_middle_half_includes_one(comparison: Any) -> None:
    measurement = comparison.measurements.Measurement
    even = measurement("m", "s", {"ours": (1.0, 1.0, 1.0, 1.0), "dense": (0.8, 0.9, 1.05, 1.2)})
    clear = measurement("m", "s", {"ours": (1.0, 1.0, 1.0, 1.0), "dense": (0.5, 0.6, 0.6, 0.7)})
    assert not comparison.measurements.ratio(even, "ours", "dense").certain
    assert comparison.measurements.ratio(clear, "ours", "dense").certain


def test_losses_are_all_rows_in_which_others_need_less_largest_first(comparison: Any) -> None:
    measurement = comparison.measurements.Measurement
    rows = [
        measurement("click", "s", {"ours": (2.0, 2.0), "eager": (3.0, 3.0), "sam_b_onnx": (1.0, 1.0)}),
        measurement("size on disk", "MB", {"ours": (400.0,), "sam2_t_onnx": (100.0,), "portable": (400.0,)}),
    ]
    found = comparison.losses.losses(rows)
    assert [(loss.measurement.metric, loss.name, loss.ratio.value) for loss in found] == [
        ("size on disk", "sam2_t_onnx", 4.0),
        ("click", "sam_b_onnx", 2.0),
    ]


def test_own_smaller_model_is_no_loss_and_rows_without_the_reference_are_passed_over(comparison: Any) -> None:
    measurement = comparison.measurements.Measurement
    rows = [
        measurement("click", "s", {"ours": (2.0,), "tiny": (1.0,), "first_start": (1.0,)}),
        measurement("other", "s", {"eager": (1.0,)}),
    ]
    assert comparison.losses.losses(rows) == []


def test_page_says_first_where_it_loses(comparison: Any, tmp_path: Path) -> None:
    clicks = comparison.measurements.Measurement(
        "first click", "s", {"ours": (0.030, 0.034), "sam_b_onnx": (0.015, 0.017), "eager": (0.3, 0.34)}
    )
    encode = comparison.measurements.Measurement("encode", "s", {"ours": (2.0, 2.0), "sam_b_onnx": (6.0, 6.0)})
    sections = {
        "encode": section(comparison, "encode", encode),
        "clicks": section(comparison, "clicks", clicks, notes=["first click: something failed"]),
    }
    text = comparison.report.write_report(sections, tmp_path / "report").read_text()
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings[0] == "## Where this project loses"
    lost = text.split("## Where this project loses")[1].split("\n## ")[0]
    row = "| first click | SAM ViT-B, onnxruntime | 32.0 [29.0 .. 35.0] ms | 16.0 [14.5 .. 17.5] ms | 2.00 x |"
    assert row in lost
    assert "eager" not in lost and "| encode |" not in lost
    assert "first click: something failed" in text
    assert "not quiet" not in text
    assert json.loads((tmp_path / "report" / "measurements.json").read_text())[0]["name"] == "encode"


def test_page_without_losses_says_so(comparison: Any, tmp_path: Path) -> None:
    encode = comparison.measurements.Measurement("encode", "s", {"ours": (1.0, 1.0), "eager": (2.0, 2.0)})
    text = comparison.report.write_report({"encode": section(comparison, "encode", encode)}, tmp_path).read_text()
    assert "Nowhere: in no quantity measured" in text
    assert "1 of 1" in text


def test_page_warns_of_a_busy_machine_and_of_two_machines(comparison: Any, tmp_path: Path) -> None:
    encode = comparison.measurements.Measurement("encode", "s", {"ours": (1.0, 1.0), "eager": (2.0, 2.0)})
    sections = {
        "encode": section(comparison, "encode", encode, load=3.2),
        "size": section(comparison, "size", machine=["machine: another", "software: B"]),
    }
    text = comparison.report.write_report(sections, tmp_path).read_text()
    assert "in 3 minutes" in text
    assert "machine was not quiet" in text and "encode (3.2)" in text
    assert "on one machine" in text


def test_page_names_the_report_on_masks_where_there_is_one(comparison: Any, tmp_path: Path) -> None:
    encode = comparison.measurements.Measurement("encode", "s", {"ours": (1.0, 1.0), "eager": (2.0, 2.0)})
    sections = {"encode": section(comparison, "encode", encode)}
    assert "masks/report.md" not in comparison.report.write_report(sections, tmp_path).read_text()
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "report.md").write_text("masks")
    text = comparison.report.write_report(sections, tmp_path).read_text()
    assert text.index("](masks/report.md)") < text.index("## Where this project loses")


def test_pictures_are_drawn_from_every_plot(comparison: Any, tmp_path: Path) -> None:
    measurement = comparison.measurements.Measurement
    lines = [measurement(f"{x}", "s", {"ours": (0.01, 0.02, 0.01), "dense": (0.04,) * 3}, float(x)) for x in (1, 2)]
    bars = [measurement("first click", "s", {"routing": (0.001,) * 3, "decoder": (0.02,) * 3})]
    sections = {
        name: section(comparison, name, *(lines if plot.axis else bars))
        for name, plot in comparison.plots.PLOTS.items()
    }
    text = comparison.report.write_report(sections, tmp_path).read_text()
    assert "20.0 [20.0 .. 20.0] ms, 95%" in text
    for plot in comparison.plots.PLOTS.values():
        assert f"({plot.file})" in text
        assert (tmp_path / plot.file).read_bytes().startswith(b"\x89PNG")


def test_a_kept_section_comes_back_only_for_equal_settings(comparison: Any, tmp_path: Path) -> None:
    m = comparison.measurements.Measurement("encode", "s", {"ours": (1.0, 2.0)}, 3.0)
    made = section(comparison, "encode", m, notes=["a note"])
    made.write(tmp_path)
    kept = comparison.measurements.kept_section
    assert kept(tmp_path, "encode", {"threads": 2}) == made
    assert kept(tmp_path, "encode", {"threads": 4}) is None
    assert kept(tmp_path, "clicks", {"threads": 2}) is None


def test_a_damaged_section_is_measured_again(
    comparison: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "encode.json").write_text('{"name": "enc')
    assert comparison.measurements.kept_section(tmp_path, "encode", {}) is None
    assert "measured again" in capsys.readouterr().err


def test_a_page_is_made_without_torch() -> None:
    """The report can be made anew from its data anywhere; and cold starts import no more than they need."""
    code = "import sys; import comparison.report, comparison.sam_onnx, cold_start; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=BENCHMARKS)
    assert done.stdout.strip() == "False"
