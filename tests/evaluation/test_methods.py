"""What is measured: the bundle, GrabCut, and SAM-style pairs of ONNX files."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto as T
from onnx import helper

from inter2former_onnx import Segmenter
from inter2former_onnx.errors import ArgumentError, BundleError
from inter2former_onnx.evaluation.methods.bundle import BundleSettings
from inter2former_onnx.evaluation.methods.grabcut import GrabCutSettings
from inter2former_onnx.evaluation.methods.sam import MEAN, STD, SamSettings
from inter2former_onnx.evaluation.metrics import iou
from inter2former_onnx.evaluation.protocol import evaluate_object
from inter2former_onnx.evaluation.targets import Target
from support.evaluation_data import scene
from support.fake_bundle import write_fake_bundle


@pytest.mark.parametrize("enforce, islands", [(True, True), (False, True), (True, False), (False, False)])
def test_the_bundle_answers_as_the_runtime_does(tmp_path: Path, enforce: bool, islands: bool) -> None:
    bundle = write_fake_bundle(tmp_path / "bundle")
    settings = pickle.loads(pickle.dumps(BundleSettings(bundle, enforce, islands)))
    image, _ = scene(1)
    session = settings.open(1).encode(image).session()
    expected = Segmenter(bundle, threads=1).encode(image).session(enforce, drop_islands=islands)
    for x, y, positive in ((20, 20, True), (50, 10, False), (3, 40, False)):
        np.testing.assert_array_equal(session.click(x, y, positive), expected.click(x, y, positive))
    description = settings.describe()
    assert description["bundle_id"] == Segmenter(bundle).manifest.id
    assert description["enforce_clicks"] is enforce and description["drop_islands"] is islands
    assert ("not enforced" in settings.name) is not enforce and ("islands kept" in settings.name) is not islands


def test_a_bundle_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BundleError):
        BundleSettings(tmp_path / "none", True).describe()


def test_grabcut_finds_an_object_of_its_own_colour() -> None:
    image, regions = scene(3, 90, 120)
    method = pickle.loads(pickle.dumps(GrabCutSettings())).open(1)
    result = evaluate_object(method.encode(image), Target("ellipse", regions == 1), clicks=4)
    assert max(result.ious) > 0.9
    again = evaluate_object(method.encode(image), Target("ellipse", regions == 1), clicks=4)
    assert again.ious == result.ious  # no random numbers


def test_grabcut_obeys_clicks_and_takes_any_of_them() -> None:
    image = np.full((20, 30, 3), 127, np.uint8)  # nothing to tell apart
    session = GrabCutSettings().open(1).encode(image).session()
    assert not session.click(15, 10, False)[10, 15]
    assert session.click(0, 0, True)[0, 0]
    tiny = GrabCutSettings().open(1).encode(image[:4, :4]).session()
    assert tiny.click(1, 1, True).all()  # the click's disc is larger than the image


def test_grabcut_on_a_reduced_image_gives_masks_of_its_full_size() -> None:
    image, regions = scene(3, 180, 240)
    settings = GrabCutSettings(longest_side=90)
    assert settings.describe()["longest_side"] == 90
    result = evaluate_object(settings.open(1).encode(image), Target("ellipse", regions == 1), clicks=4)
    assert max(result.ious) > 0.9
    session = settings.open(1).encode(np.full((31, 200, 3), 127, np.uint8)).session()
    mask = session.click(199, 30, True)
    assert mask.shape == (31, 200) and mask.dtype == np.bool_ and mask[30, 199]
    assert not session.click(0, 0, False)[0, 0]
    same, whole = (
        GrabCutSettings(longest_side=side).open(1).encode(image).session().click(120, 90, True) for side in (240, 0)
    )
    np.testing.assert_array_equal(same, whole)


# A SAM-style pair without weights. The embedding is the image's first channel, so that a test sees what the encoder was
# given; mask k of the decoder is a disc of radius 8 (k + 1) around the last click in the frame of 64 pixels, together
# with the previous mask.
SIDE, LOW = 64, 16


def write_encoder(path: Path, shape: list[int | str | None], kind: int = T.FLOAT) -> Path:
    image = helper.make_tensor_value_info("any_name", kind, shape)
    output = helper.make_tensor_value_info("embedding", T.FLOAT, None)
    nodes = [helper.make_node("Cast", ["any_name"], ["embedding"], to=T.FLOAT)]
    return save(path, nodes, [image], [output], [])


def write_decoder(path: Path, masks: int, leave_out: str = "") -> Path:
    shapes = {
        "image_embeddings": None,
        "point_coords": [1, "points", 2],
        "point_labels": [1, "points"],
        "mask_input": [1, 1, LOW, LOW],
        "has_mask_input": [1],
        "orig_im_size": [2],
    }
    inputs = [helper.make_tensor_value_info(n, T.FLOAT, s) for n, s in shapes.items() if n != leave_out]
    axis = (np.arange(LOW, dtype=np.float32) + 0.5) * SIDE / LOW
    constants = {
        "x": axis.reshape(1, 1, 1, LOW),
        "y": axis.reshape(1, 1, LOW, 1),
        "radii": 8.0 * np.arange(1, masks + 1, dtype=np.float32).reshape(1, masks, 1, 1),
        "scores": np.linspace(0.2, 0.9, masks, dtype=np.float32)[None],
        "minus_two": np.array(-2, np.int64),
        "0": np.array(0, np.int64),
        "1": np.array(1, np.int64),
        "nothing": np.array(100, np.float32),
        "one": np.array(1, np.float32),
    }
    nodes = [
        helper.make_node("Gather", ["point_coords", "minus_two"], ["last"], axis=1),  # the very last is padding
        helper.make_node("Gather", ["last", "0"], ["cx"], axis=1),
        helper.make_node("Gather", ["last", "1"], ["cy"], axis=1),
        helper.make_node("Sub", ["x", "cx"], ["dx"]),
        helper.make_node("Sub", ["y", "cy"], ["dy"]),
        helper.make_node("Mul", ["dx", "dx"], ["dx2"]),
        helper.make_node("Mul", ["dy", "dy"], ["dy2"]),
        helper.make_node("Add", ["dx2", "dy2"], ["d2"]),
        helper.make_node("Sqrt", ["d2"], ["d"]),
        helper.make_node("Sub", ["radii", "d"], ["discs"]),
        helper.make_node("Sub", ["has_mask_input", "one"], ["lacking"]),
        helper.make_node("Mul", ["lacking", "nothing"], ["low"]),
        helper.make_node("Add", ["mask_input", "low"], ["kept"]),
        helper.make_node("Max", ["discs", "kept"], ["low_res_masks"]),
        helper.make_node("Identity", ["scores"], ["iou_predictions"]),
    ]
    outputs = [helper.make_tensor_value_info(n, T.FLOAT, None) for n in ("low_res_masks", "iou_predictions")]
    return save(path, nodes, inputs, outputs, list(constants.items()))


def save(path: Path, nodes: list, inputs: list, outputs: list, constants: list[tuple[str, np.ndarray]]) -> Path:
    initialisers = [onnx.numpy_helper.from_array(a, n) for n, a in constants]
    graph = helper.make_graph(nodes, "g", inputs, outputs, initialisers)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


@pytest.mark.parametrize("layout", ["nchw", "nhwc", "hwc", "open"])
def test_sam_encoders_get_the_image_scaled_padded_and_normalised(tmp_path: Path, layout: str) -> None:
    shape = {
        "nchw": [1, 3, SIDE, SIDE],
        "nhwc": [1, SIDE, SIDE, 3],
        "hwc": [SIDE, SIDE, 3],
        "open": [1, 3, "height", "width"],
    }
    encoder = write_encoder(tmp_path / "e.onnx", shape[layout])
    settings = SamSettings(encoder, write_decoder(tmp_path / "d.onnx", 1), size=SIDE)
    image = np.zeros((30, 128, 3), np.uint8)
    image[:] = (10, 20, 30)
    given = settings.open(1).encode(image).embedding
    if layout in ("nchw", "open"):
        given = given.transpose(0, 2, 3, 1)
    given = given.reshape(SIDE, SIDE, 3)
    normal = (np.array([10, 20, 30]) - MEAN) / STD
    np.testing.assert_allclose(given[:15], np.broadcast_to(normal, (15, SIDE, 3)), atol=1e-4)
    assert (given[15:] == 0).all()  # padded after normalising, as the official predictor does


def test_sam_masks_come_back_to_the_image(tmp_path: Path) -> None:
    """A disc of 8 of 64 pixels around the click: on an image of 256 x 128 pixels, scaled by 1/4, one of 32."""
    encoder = write_encoder(tmp_path / "e.onnx", [1, 3, SIDE, SIDE])
    settings = pickle.loads(pickle.dumps(SamSettings(encoder, write_decoder(tmp_path / "d.onnx", 1))))
    session = settings.open(1).encode(np.zeros((128, 256, 3), np.uint8)).session()
    mask = session.click(60, 70, True)
    rows, columns = np.ogrid[:128, :256]
    disc = (rows - 70) ** 2 + (columns - 60) ** 2 <= 32**2
    assert mask.shape == (128, 256) and iou(mask, disc) > 0.95
    both = session.click(200, 70, True)  # the first disc is there through the mask input alone
    assert iou(both, disc | np.roll(disc, 140, 1)) > 0.85


def test_sam_chooses_among_several_masks_as_the_official_export(tmp_path: Path) -> None:
    encoder = write_encoder(tmp_path / "e.onnx", [1, 3, SIDE, SIDE])
    for masks in (3, 4):
        settings = SamSettings(encoder, write_decoder(tmp_path / "d.onnx", masks))
        session = settings.open(1).encode(np.zeros((64, 64, 3), np.uint8)).session()
        first, second = session.click(20, 32, True), session.click(32, 32, True)
        # One click: the mask with the best score, the last. Its disc is cut off by the image's border.
        assert first[32, 20 + 8 * masks - 2] and not first[32, 20 + 8 * masks + 1]
        # Two clicks: of three again the best; of four the first, a small disc within the mask there was.
        assert second[32, 32 + 8 * masks - 2] if masks == 3 else (second == first).all()


def test_sam_files_that_do_not_fit(tmp_path: Path) -> None:
    encoder, decoder = write_encoder(tmp_path / "e.onnx", [1, 3, 8, 8]), write_decoder(tmp_path / "d.onnx", 1)
    with pytest.raises(ArgumentError, match=r"d.onnx: expected one image input"):
        SamSettings(decoder, decoder).open(1)
    with pytest.raises(ArgumentError, match=r"e.onnx: expected the inputs image_embeddings"):
        SamSettings(encoder, encoder).open(1)
    with pytest.raises(ArgumentError, match=r"expected one image input .* found any_name \[1, 4, 8, 8\]"):
        SamSettings(write_encoder(tmp_path / "four.onnx", [1, 4, 8, 8]), decoder).open(1)
    with pytest.raises(ArgumentError, match="takes uint8, so its pixels must be raw"):
        SamSettings(write_encoder(tmp_path / "u.onnx", [8, 8, 3], T.UINT8), decoder).open(1)
    SamSettings(tmp_path / "u.onnx", decoder, pixels="raw").open(1)
    SamSettings(encoder, write_decoder(tmp_path / "simplified.onnx", 1, leave_out="orig_im_size")).open(1)
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(ArgumentError, match="broken.onnx: onnxruntime cannot load it"):
        SamSettings(tmp_path / "broken.onnx", decoder).open(1)
    with pytest.raises(ArgumentError, match="none.onnx"):
        SamSettings(tmp_path / "none.onnx", decoder).describe()
