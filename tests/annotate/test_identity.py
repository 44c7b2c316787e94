"""No answer is taken for another picture's: other runs at one address, replaced files, pictures that came later."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from inter2former_onnx.annotate.identity import Identities
from inter2former_onnx.annotate.photos import Photo
from inter2former_onnx.runtime import Segmenter
from support.annotate_page import HEIGHT, WIDTH, Page, page, wait_until, write_pictures
from support.fake_bundle import write_fake_bundle

WHAT = ("picture", "thumbnail")


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    return Segmenter(write_fake_bundle(tmp_path_factory.mktemp("identity") / "bundle"), threads=1)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "pictures")


def addresses(one: Page) -> dict[str, list[str]]:
    """Where the page loads each picture from, by its name."""
    state = one.client.get("/api/state").json()
    return {
        entry["name"]: [f"/api/images/{index}/{what}?v={entry['version']}" for what in WHAT]
        for index, entry in enumerate(state["pictures"])
    }


def replace(path: Path, width: int = WIDTH, height: int = HEIGHT, seed: int = 77) -> np.ndarray:
    """Another picture under the same name, in a file of another time."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    os.utime(path, ns=(1, 10**18 + seed))
    return pixels


def shown(answer: Any) -> np.ndarray:
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def test_runs_share_no_address(segmenter: Segmenter, pictures: Path, tmp_path: Path) -> None:
    """Of the same pictures even: what a browser has kept is never asked for again, and what it asks for is refused."""
    with page(segmenter, pictures) as first:
        kept = addresses(first)
        version = first.client.get("/api/state").json()["pictures"][0]["version"]
    for folder in (pictures, write_pictures(tmp_path / "others")):
        with page(segmenter, folder) as second:
            found = addresses(second)
            assert found.keys() == kept.keys()
            assert not {each for both in found.values() for each in both} & {
                each for both in kept.values() for each in both
            }
            for address in kept["one.png"]:
                refused = second.client.get(address)
                assert refused.status_code == 422 and "another run" in refused.json()["error"]
            # A window that was left open changes nothing either.
            body = {"tab": "t", "revision": 0, "type": "done", "done": True, "version": version}
            for path in ("open", "edit", "preview"):
                assert "another run" in second.call(f"/api/images/0/{path}", 422, **body)["error"]
            run = version.partition("-")[0]
            assert "another run" in second.call("/api/classes", 422, type="add", name="x", run=run)["error"]
            assert "another run" in second.call("/api/export", 422, kind="png", run=run)["error"]
            assert second.client.get("/api/state").json()["pictures"][0]["done"] is False


def test_only_an_address_that_says_which_picture_may_be_kept(segmenter: Segmenter, pictures: Path) -> None:
    with page(segmenter, pictures) as one:
        for address in addresses(one)["one.png"]:
            assert one.client.get(address).headers["cache-control"] == "private, max-age=600"
            assert one.client.get(address.partition("?")[0]).headers["cache-control"] == "no-store"
            assert one.client.get(address + "x").status_code == 422
        assert one.client.get("/page/main.js").headers["cache-control"] == "no-cache"


def test_pictures_that_come_shift_nothing(segmenter: Segmenter, pictures: Path) -> None:
    """A picture is known by its own file, not by how many others come before it."""
    with page(segmenter, pictures) as one:
        before = addresses(one)
        version = Identities().version
        one.open(0)
        write_pictures(pictures, ("a.png", "b.png"))
        assert addresses(one) == before  # the list is that of the start
        np.testing.assert_array_equal(
            shown(one.client.get(before["one.png"][0])), one.workspace.gallery.photos[0].pixels()
        )
        one.click(40, 30)
        assert [image["file_name"] for image in one.saved()["images"]] == ["one.png"]
        again = [version(photo) for photo in one.workspace.gallery.photos]
        assert again == [version(Photo(pictures.resolve(), name)) for name in ("one.png", "three.png", "two.jpg")]
    with page(segmenter, pictures) as two:
        assert [entry["name"] for entry in two.client.get("/api/state").json()["pictures"]][:3] == [
            "a.png",
            "b.png",
            "one.png",
        ]
        assert len(two.open(2)["objects"]) == 1
        assert two.open(0)["objects"] == []


def test_a_replaced_file_is_another_picture(segmenter: Segmenter, pictures: Path) -> None:
    with page(segmenter, pictures) as one:
        old = addresses(one)
        opened = one.open(0)
        wait_until(lambda: one.workspace.encodings.ready(0), "encoding")
        pixels = replace(pictures / "one.png")
        for address in old["one.png"]:
            refused = one.client.get(address)
            assert refused.status_code == 422 and "one.png: the file has changed" in refused.json()["error"]
        # Nobody goes on clicking on the photograph that was there.
        click = {"object": None, "category": 1, "x": 40, "y": 30, "positive": True}
        assert "has changed" in one.edit("click", 422, version=opened["version"], **click)["error"]
        assert "has changed" in one.call("/api/images/0/preview", 422, version=opened["version"], **click)["error"]
        assert addresses(one)["two.jpg"] == old["two.jpg"]
        # Opened again, the new one answers: its pixels, its thumbnail, its masks.
        version = one.open(0)["version"]
        assert version != opened["version"]
        np.testing.assert_array_equal(shown(one.client.get(f"/api/images/0/picture?v={version}")), pixels)
        assert one.client.get(f"/api/images/0/thumbnail?v={version}").status_code == 200
        one.click(40, 30)
        (drawn,) = one.click(70, 60, positive=False, object=one.document["objects"][0]["id"])["objects"]
        assert one.open(0)["notice"] == ""  # its objects are the new one's
        session = segmenter.encode(pixels).session()
        session.click(40, 30)
        session.click(70, 60, positive=False)
        np.testing.assert_array_equal(one.mask(drawn["id"]), session.mask)
        replace(pictures / "one.png", seed=78)
        assert "do its objects still fit?" in one.open(0)["notice"]


def test_a_file_replaced_by_one_of_another_size_is_told(segmenter: Segmenter, pictures: Path) -> None:
    with page(segmenter, pictures) as one:
        one.open(0)
        one.click(40, 30)
        replace(pictures / "one.png", 50, 40)
        error = one.call("/api/images/0/open", 422)["error"]
        assert error.startswith(f"one.png: it is 50 x 40 pixels now, but was opened with {WIDTH} x {HEIGHT}")
        assert one.call("/api/images/1/open")["width"] == WIDTH
        replace(pictures / "three.png", 50, 40)
        assert one.call("/api/images/1/open")["width"] == 50  # nothing was on it
        assert one.call("/api/images/1/open")["width"] == 50
        assert [len(entry) for entry in (one.saved()["annotations"],)] == [1]


def test_a_version_is_the_files(tmp_path: Path) -> None:
    """Folder, name, size and time each make another one."""
    identities = Identities()
    for folder in ("a", "b"):
        for name in ("one.png", "two.png"):
            path = tmp_path / folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"1234")
            os.utime(path, ns=(5, 5))
    photos = [Photo(tmp_path / folder, name) for folder in ("a", "b") for name in ("one.png", "two.png")]
    versions = {identities.version(photo) for photo in photos}
    assert versions == {identities.version(photo) for photo in photos} and len(versions) == 4
    photos[0].path.write_bytes(b"12345")
    os.utime(photos[0].path, ns=(5, 5))
    os.utime(photos[1].path, ns=(5, 6))
    photos[2].path.unlink()
    changed = {identities.version(photo) for photo in photos}
    assert len(changed) == 4 and len(changed & versions) == 1
    assert all(version.startswith(identities.run + "-") for version in changed | versions)
    assert identities.run != Identities().run
