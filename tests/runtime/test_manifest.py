"""Reading manifests: what is accepted, and one clear line for everything that is not."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inter2former_onnx.errors import BundleError, EmbeddingError
from inter2former_onnx.runtime import bundle as reader
from support.fake_bundle import bundle_id, edit_manifest, write_fake_bundle
from support.fuzzing import fuzz
from support.tried import tried

Change = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fake_bundle(tmp_path_factory.mktemp("manifest") / "bundle")


@pytest.fixture
def bundle(intact: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(intact, tmp_path / "bundle"))


def refused(folder: Path) -> str:
    """The error's text, which must be one line that names the folder."""
    with pytest.raises(BundleError) as caught:
        manifest = reader.read_manifest(folder)
        reader.check_files(folder, manifest, manifest.files)
    text = str(caught.value)
    assert "\n" not in text and folder.name in text
    return text


def test_reads_what_is_there(intact: Path) -> None:
    manifest = reader.read_manifest(intact)
    assert (manifest.geometry.size, manifest.geometry.grid, manifest.routing) == (96, (6, 6), "boundary")
    assert manifest.outside_logit == -100.0 and isinstance(manifest.outside_logit, float)
    assert manifest.encoded_arrays((6, 6)) == {"embed": (6, 6, 1), "edge0": (12, 6, 1)}
    assert manifest.graphs["prompt"].inputs[0].shape == ("region_height", "region_width")
    assert manifest.graphs["encoder"].ops["ai.onnx"]["Add"] == 1
    assert manifest.files_of("prompt") == ["prompt.onnx"]
    reader.check_files(intact, manifest, manifest.files)


def test_external_data_and_strays_belong_to_their_graphs(bundle: Path) -> None:
    for name in ("encoder.onnx.data", "notes.txt"):
        (bundle / name).write_bytes(b"x")
    text = json.loads((bundle / "manifest.json").read_text())
    files = text["files"]
    for name in ("encoder.onnx.data", "notes.txt"):
        files[name] = {"bytes": 1, "sha256": "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"}
    edit_manifest(bundle, files=files, id=bundle_id(files))
    manifest = reader.read_manifest(bundle)
    assert manifest.files_of("encoder") == ["encoder.onnx", "encoder.onnx.data", "notes.txt"]
    assert manifest.files_of("prompt") == ["prompt.onnx", "notes.txt"]
    reader.check_files(bundle, manifest, manifest.files)


def test_no_folder(tmp_path: Path) -> None:
    assert "found nothing" in refused(tmp_path / "missing")
    (tmp_path / "file").write_bytes(b"x")
    assert "found a file" in refused(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    assert "has no manifest.json" in refused(tmp_path / "empty")


@pytest.mark.parametrize(
    "text, part",
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("[1]", "expected a JSON object, found list"),
        ('{"format": NaN}', "NaN is not JSON"),
        ("\xff\xfe", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ('{"a": 1' + "0" * 10_000 + "}", "not valid JSON"),
        ('{"format": "inter2former-bundle", "format": "inter2former-bundle"}', "'format' appears twice"),
        ("{}", "expected 'inter2former-bundle', found None"),
        (" " * (5 << 20), "longer than"),
    ],
)
def test_not_a_manifest(bundle: Path, text: str, part: str) -> None:
    (bundle / "manifest.json").write_bytes(text.encode("latin-1"))
    assert part in refused(bundle)


def test_newer_format(bundle: Path) -> None:
    edit_manifest(bundle, format_version=2)
    assert "made by a newer inter2former-onnx (bundle format 2; this one reads up to 1)" in refused(bundle)


@pytest.mark.parametrize(
    "field, value, part",
    [
        ("format", "zip", "format: expected 'inter2former-bundle', found 'zip'"),
        ("format_version", 0, "format_version: expected a whole number from 1"),
        ("format_version", True, "format_version"),
        ("format_version", "1", "format_version"),
        ("id", "0" * 64, "id: does not belong to the files listed"),
        ("id", "x", "id: expected 64 hexadecimal digits"),
        ("routing", "all", "routing: expected 'boundary' or 'roi', found 'all'"),
        ("uncertainty_kernel_size", 6, "expected an odd number, found 6"),
        ("uncertainty_kernel_size", 99, "from 3 to 31, found 99"),
        ("click_radius", -1, "click_radius"),
        ("click_radius", 5.0, "click_radius"),
        ("outside_logit", 0, "outside_logit: expected a number from -1e+06 to -1, found 0"),
        ("outside_logit", -(10**400), "outside_logit"),
        ("precision", None, "precision"),
        ("opset", [18], "opset: expected a whole number from 1 to 65536, found list of 1"),
        ("model", [], "model: expected an object"),
        ("custom_ops", {}, "custom_ops: domain is missing"),
        ("graphs", {}, "graphs: encoder is missing"),
        ("geometry", {"mode": "square", "size": 96, "size_divisor": 32}, "geometry: patch_size is missing"),
    ],
)
def test_field_of_wrong_type_or_value(bundle: Path, field: str, value: object, part: str) -> None:
    edit_manifest(bundle, **{field: value})
    assert part in refused(bundle)


def test_unknown_mode(bundle: Path) -> None:
    edit_manifest(bundle, geometry={"mode": "round", "size": 96, "size_divisor": 32, "patch_size": 16})
    assert "geometry: mode: expected 'square' or 'fit', found 'round'" in refused(bundle)


def test_grids_of_images_in_mode_fit(tmp_path: Path) -> None:
    manifest = reader.read_manifest(write_fake_bundle(tmp_path / "fit", mode="fit"))
    assert manifest.geometry.of_image(70, 50).grid == (5, 4)
    assert manifest.encoded_arrays((5, 4)) == {"embed": (5, 4, 1), "edge0": (10, 4, 1)}


@pytest.mark.parametrize(
    "index, shape, part",
    [
        (0, [6, 6, 1], "'embed' must be rows x columns tokens"),
        (0, ["columns", "rows", 1], "'embed' must be rows x columns tokens"),
        (1, ["rows*2", "columns", 1], "must have a shape of numbers and multiples of rows and columns"),
        (1, ["0*rows", "columns", 1], "multiples of rows and columns"),
        (1, ["9999*rows", "columns", 1], "multiples of rows and columns"),
        (1, ["rows\n", "columns", 1], "multiples of rows and columns"),
        (1, ["999*rows", "999*columns", 1 << 16], "must hold fewer than"),
    ],
)
def test_shapes_that_mode_fit_refuses(tmp_path: Path, index: int, shape: list[object], part: str) -> None:
    folder = write_fake_bundle(tmp_path / "fit", mode="fit")
    graphs = json.loads((folder / "manifest.json").read_text())["graphs"]
    graphs["encoder"]["outputs"][index]["shape"] = shape
    edit_manifest(folder, graphs=graphs)
    assert part in refused(folder)


@pytest.mark.parametrize("size", [0, -16, 90, 1 << 20, 96.0, "96", None])
def test_absurd_size(bundle: Path, size: object) -> None:
    edit_manifest(bundle, geometry={"mode": "square", "size": size, "size_divisor": 32, "patch_size": 16})
    assert "geometry: size" in refused(bundle)


def _graph(name: str, **changes: Any) -> Change:
    return lambda manifest: manifest["graphs"][name].update(changes)


def _shape(graph: str, kind: str, index: int, shape: object) -> Change:
    return lambda manifest: manifest["graphs"][graph][kind][index].update(shape=shape)


@pytest.mark.parametrize(
    "change, part",
    [
        (_graph("encoder", file="other.onnx"), "'other.onnx' is not among the manifest's files"),
        (_graph("encoder", file="decoder.onnx"), "'decoder.onnx' is another graph's file"),
        (_graph("encoder", file="../encoder.onnx"), "expected the plain name of a file"),
        (_graph("encoder", inputs=[]), "expected a tensor 'image' of uint8, found none"),
        (_graph("encoder", inputs={}), "inputs: expected a list"),
        (_graph("encoder", inputs=[3]), "inputs[0]: expected an object, found 3"),
        (_graph("encoder", parameters=-1), "parameters"),
        (_graph("encoder", ops={"ai.onnx": {"Add": "one"}}), "Add: expected a whole number"),
        (_graph("prompt", outputs=[]), "'prompt' of float32"),
        (_shape("encoder", "outputs", 0, [6, 6]), "must be 6 x 6 tokens"),
        (_shape("encoder", "outputs", 0, [7, 6, 1]), "must be 6 x 6 tokens"),
        (_shape("encoder", "outputs", 1, ["rows", 6, 1]), "must have a fixed shape"),
        (_shape("encoder", "outputs", 1, [1 << 60, 6, 1]), "expected a list of sizes"),
        (_shape("encoder", "outputs", 1, [1 << 16] * 8), "must hold fewer than"),
        (_shape("encoder", "outputs", 1, [True]), "expected a list of sizes"),
        (_shape("encoder", "outputs", 1, None), "expected a list of sizes"),
        (lambda m: m["graphs"]["encoder"]["outputs"].pop(1), "decoder input ['edge0'] is nothing that"),
        (lambda m: m["graphs"]["decoder"]["inputs"].pop(1), "decoder must take ['prompt']"),
        (
            lambda m: m["graphs"]["decoder"]["inputs"].append(m["graphs"]["decoder"]["inputs"][0]),
            "a name appears twice",
        ),
        (lambda m: m["graphs"].pop("decoder"), "graphs: decoder is missing"),
    ],
)
def test_graphs_that_do_not_fit(bundle: Path, change: Change, part: str) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    change(manifest)
    edit_manifest(bundle, graphs=manifest["graphs"])
    assert part in refused(bundle)


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "/etc/passwd",
        "a/b",
        "a\\b",
        "C:x",
        "..",
        ".",
        "",
        ".hidden",
        "x\n",
        "x" * 300,
        "~x",
        "manifest.json",
        "\u0661",
    ],
)
def test_file_name_that_leads_elsewhere(bundle: Path, name: str) -> None:
    files = json.loads((bundle / "manifest.json").read_text())["files"]
    files[name] = {"bytes": 1, "sha256": "0" * 64}
    edit_manifest(bundle, files=files, id=bundle_id(files))
    text = refused(bundle)
    assert "expected the plain name of a file inside the bundle" in text or "listed twice, or is the manifest" in text


def test_file_names_that_differ_in_case_only(bundle: Path) -> None:
    files = json.loads((bundle / "manifest.json").read_text())["files"]
    files["Encoder.onnx"] = files["encoder.onnx"]
    edit_manifest(bundle, files=files, id=bundle_id(files))
    assert "'Encoder.onnx' is listed twice" in refused(bundle)


def test_missing_file(bundle: Path) -> None:
    (bundle / "decoder.onnx").unlink()
    assert "decoder.onnx: missing" in refused(bundle)
    (bundle / "decoder.onnx").mkdir()
    assert "decoder.onnx: not a file" in refused(bundle)


def test_truncated_file(bundle: Path) -> None:
    path = bundle / "decoder.onnx"
    path.write_bytes(path.read_bytes()[:-1])
    assert "truncated, or of another bundle" in refused(bundle)


def test_altered_file(bundle: Path) -> None:
    path = bundle / "decoder.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert "decoder.onnx: altered" in refused(bundle)


def test_swapped_files(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    files = manifest["files"]
    files["encoder.onnx"], files["decoder.onnx"] = files["decoder.onnx"], files["encoder.onnx"]
    edit_manifest(bundle, files=files, id=bundle_id(files))
    assert "encoder.onnx" in refused(bundle)


def test_sha256_is_computed_once_for_an_unchanged_file(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = reader.read_manifest(bundle)
    reader.check_files(bundle, manifest, ["decoder.onnx"])
    monkeypatch.setattr(reader.files, "sha256_of", lambda path: pytest.fail("read again"))
    reader.check_files(bundle, manifest, ["decoder.onnx"])
    monkeypatch.undo()
    path = bundle / "decoder.onnx"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(1, 1))
    with pytest.raises(BundleError, match="altered"):
        reader.check_files(bundle, manifest, ["decoder.onnx"])


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a JSON document."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else []
    return [place for key, child in children for place in [(value, key), *_places(child)]]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3),
    max_leaves=5,
)


@fuzz(300)
@given(st.randoms(use_true_random=False), JSON_VALUES)
def test_any_value_anywhere_is_read_or_refused_cleanly(intact: Path, chooser: random.Random, value: object) -> None:
    tried()
    document = json.loads((intact / "manifest.json").read_text())
    container, key = chooser.choice(_places(document))
    container[key] = copy.deepcopy(value)
    try:
        manifest = reader.parse_manifest(json.dumps(document), "here")
    except BundleError as error:
        assert str(error).startswith("here") and "\n" not in str(error)
    else:
        assert manifest.geometry.size % 16 == 0 and set(manifest.graphs) == {"encoder", "prompt", "decoder"}


@fuzz(200)
@given(st.binary(max_size=200), st.integers(0, 10**6))
def test_any_bytes_are_read_or_refused_cleanly(intact: Path, noise: bytes, position: int) -> None:
    data = (intact / "manifest.json").read_bytes()
    position %= len(data)
    for text in (noise, data[:position], data[:position] + noise + data[position:]):
        tried()
        try:
            reader.parse_manifest(text, "here")
        except BundleError as error:
            assert str(error).startswith("here")


def test_shipped_manifest_is_written_as_it_was_read() -> None:
    path = reader.shipped_bundle() / "manifest.json"
    text = path.read_bytes()
    assert reader.parse_manifest(text, "here").to_json().encode() == text


@pytest.mark.parametrize("quantisation", [None, {"weights": "int8", "measured": {"worst": [0.5, 1e-9]}}, {}])
def test_written_manifest_is_read_as_it_was(intact: Path, quantisation: dict[str, Any] | None) -> None:
    written = dataclasses.replace(reader.read_manifest(intact), quantisation=quantisation, precision="int8")
    assert reader.parse_manifest(written.to_json(), "here") == written
    assert json.loads(written.to_json()).get("quantisation") == quantisation
    original = json.loads((intact / "manifest.json").read_text())
    again = json.loads(dataclasses.replace(written, quantisation=None, precision="float32").to_json())
    assert again == original and list(again) == list(original)


def test_quantisation_that_is_no_object(bundle: Path) -> None:
    edit_manifest(bundle, quantisation="int8")
    assert "quantisation: expected an object, found 'int8'" in refused(bundle)


def test_fields_raise_the_error_they_are_told() -> None:
    fields = reader.fields.Fields({"inner": {"list": [{"count": -1}]}}, "here", EmbeddingError)
    (entry,) = fields.object("inner").objects("list")
    for read in (lambda: entry.integer("count", 0, 9), lambda: entry.string("missing"), lambda: fields.string("inner")):
        with pytest.raises(EmbeddingError, match="here: inner"):
            read()
