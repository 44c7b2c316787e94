"""The annotation page in a real browser, end to end: the command runs, headless Chromium opens its address.

Needs Chromium (Debian's `chromium`, or `playwright install chromium`); without one these tests are skipped, and
test_api.py goes the same ways without a browser. What the fake model answers means nothing: its first click
takes everything, and a click beside the object takes a square of 16 pixels away. What is tested is the way.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright import sync_api

from inter2former_onnx.annotate.rle import RLE
from inter2former_onnx.assets import DEMO_PHOTOGRAPH
from inter2former_onnx.errors import BundleError
from inter2former_onnx.runtime import Segmenter
from support.annotate_page import HEIGHT, WIDTH, RunningCommand, decoded, page, wait_until, write_pictures
from support.fake_bundle import write_fake_bundle

BUNDLE_VARIABLE = "INTER2FORMER_TEST_BUNDLE"
SECONDS = 60  # to wait for anything: it matters only when something is wrong, and the machine may be busy


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api.expect.set_options(timeout=1000 * SECONDS)
    with sync_api.sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        names = ("chromium", "chromium-browser", "google-chrome")
        found = own if Path(own).exists() else next(filter(None, map(shutil.which, names)), None)
        if found is None:
            pytest.skip("no Chromium here: apt-get install chromium, or playwright install chromium")
        # Chromium's sandbox refuses to run as root, as containers do.
        root = hasattr(os, "geteuid") and os.geteuid() == 0
        running = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"] if root else [])
        yield running
        running.close()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fake_bundle(tmp_path_factory.mktemp("browser") / "bundle")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "pictures")


@pytest.fixture
def command(bundle: Path, pictures: Path) -> Iterator[RunningCommand]:
    with RunningCommand(pictures, "--bundle", bundle, "--threads", "1", "--classes", "cat,dog") as running:
        yield running


class Window:
    """A window of the browser with the page in it, and nothing wrong in its console."""

    def __init__(self, browser: Any, address: str, width: int = WIDTH, height: int = HEIGHT, **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1200, "height": 760}, **options})
        self.size = (width, height)
        self.wrong: list[str] = []
        self.requests: list[str] = []
        self.page = self.tab(address)

    def tab(self, address: str) -> Any:
        page = self.context.new_page()
        page.set_default_timeout(1000 * SECONDS)
        page.on("console", lambda message: message.type == "error" and self.wrong.append(message.text))
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(address)
        page.wait_for_selector("#done:not([disabled])")
        return page

    def at(self, x: float, y: float, page: Any = None) -> tuple[float, float]:
        """Where a point of the picture is on the page, while the whole picture is in sight."""
        stage = (page or self.page).locator("#overlay").bounding_box()
        room = min(24, stage["width"] / 20)
        width, height = self.size
        scale = min((stage["width"] - 2 * room) / width, (stage["height"] - 2 * room) / height, 40)
        middle = (stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2)
        return middle[0] + (x - width / 2) * scale, middle[1] + (y - height / 2) * scale

    def click(self, x: float, y: float, page: Any = None, **options: Any) -> None:
        """A click on the middle of a pixel, and its answer."""
        page = page or self.page
        with page.expect_response("**/edit"):
            page.mouse.click(*self.at(x + 0.5, y + 0.5, page), **options)

    def press(self, key: str) -> None:
        """A key that changes the document, and the answer."""
        with self.page.expect_response("**/edit"):
            self.page.keyboard.press(key)

    def objects(self, count: int, page: Any = None) -> None:
        sync_api.expect((page or self.page).locator("#objects li")).to_have_count(count)

    def close(self) -> None:
        self.context.close()
        assert self.wrong == []


@pytest.fixture
def window(browser: Any, command: RunningCommand) -> Iterator[Window]:
    opened = Window(browser, command.address)
    yield opened
    opened.close()


def saved(pictures: Path) -> Any:
    """The COCO file, None before there is one."""
    path = pictures / "annotations" / "coco.json"
    return json.loads(path.read_text()) if path.exists() else None


def clicks(pictures: Path) -> list[list[list[int]]]:
    """The clicks of all saved objects."""
    return [entry["clicks"] for entry in (saved(pictures) or {"annotations": []})["annotations"]]


def test_a_day_with_the_page(window: Window, command: RunningCommand, bundle: Path, pictures: Path) -> None:
    page = window.page
    assert "token" not in page.url
    sync_api.expect(page.locator("#strip button")).to_have_count(3)
    window.click(40, 30)
    window.objects(1)
    window.click(70, 60, button="right")
    window.click(5, 60)
    window.press("Control+z")
    page.keyboard.press("n")
    page.keyboard.press("2")
    window.click(20, 20)
    window.objects(2)
    assert "dog" in page.locator("#objects li").nth(1).inner_text()
    expected = [[[40, 30, 1], [70, 60, 0]], [[20, 20, 1]]]
    wait_until(lambda: clicks(pictures) == expected, "saving")

    page.reload()
    window.objects(2)
    sync_api.expect(page.locator("#strip button").first).to_have_attribute("title", "one.png: 2 objects")
    page.locator("#objects li .choose").first.click()
    page.keyboard.down("Alt")
    window.click(10, 65)
    page.keyboard.up("Alt")
    page.keyboard.press("m")  # finished: the next picture comes
    sync_api.expect(page.locator("#name")).to_contain_text("three.png")
    window.click(50, 30)
    assert command.end(signal.SIGINT) == 0
    assert "3 objects in 2 pictures" in command.output

    content = saved(pictures)
    assert [image["file_name"] for image in content["images"]] == ["one.png", "three.png"]
    assert clicks(pictures) == [[[40, 30, 1], [70, 60, 0], [10, 65, 0]], [[20, 20, 1]], [[50, 30, 1]]]
    session = Segmenter(bundle, threads=1).encode(np.asarray(Image.open(pictures / "one.png"))).session()
    for x, y, positive in clicks(pictures)[0]:
        session.click(x, y, positive)
    np.testing.assert_array_equal(decoded(content["annotations"][0]["segmentation"]), session.mask)
    window.wrong.clear()  # it complains, rightly, that the server has gone


def test_a_missing_picture_is_named(browser: Any, bundle: Path, pictures: Path) -> None:
    with page(Segmenter(bundle, threads=1), pictures) as one:
        one.open(0)
        one.click(20, 20)
    (pictures / "one.png").unlink()
    with RunningCommand(pictures, "--bundle", bundle, "--threads", "1") as command:
        context = browser.new_context()
        tab = context.new_page()
        tab.goto(command.address)
        sync_api.expect(tab.locator("#notes .bad")).to_contain_text("1 annotated picture missing: one.png")
        context.close()
        assert command.end(signal.SIGINT) == 0


def test_keyboard_alone(window: Window, pictures: Path) -> None:
    page = window.page
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    window.press("Enter")
    window.objects(1)
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    window.press("Shift+Enter")
    wait_until(lambda: [len(each) for each in clicks(pictures)] == [2], "saving")
    ((x, y, _), (left, row, positive)) = clicks(pictures)[0]
    assert left < x and row == y and positive == 0
    window.press("Backspace")
    window.press("u")
    window.press("Control+Shift+z")
    window.press("2")
    page.keyboard.press("n")
    sync_api.expect(page.locator("#next-object")).to_be_disabled()
    page.keyboard.press("]")
    sync_api.expect(page.locator("#next-object")).to_be_enabled()
    window.press("Delete")
    window.objects(0)
    page.keyboard.press("PageDown")
    sync_api.expect(page.locator("#name")).to_contain_text("three.png")
    page.keyboard.press("?")
    sync_api.expect(page.locator("#help-dialog")).to_be_visible()
    page.keyboard.press("Escape")
    sync_api.expect(page.locator("#help-dialog")).to_be_hidden()


def test_preview_then_click_then_drag(window: Window, pictures: Path) -> None:
    page = window.page
    page.wait_for_selector("#stage[aria-busy=false]")
    with page.expect_response("**/preview") as answer:
        page.mouse.move(*window.at(39, 30))
        page.mouse.move(*window.at(40.5, 30.5))
    preview = answer.value.json()["mask"]
    window.objects(0)  # it is only looked at
    window.click(40, 30)
    wait_until(lambda: clicks(pictures) == [[[40, 30, 1]]], "saving")
    assert saved(pictures)["annotations"][0]["segmentation"]["counts"] == preview["counts"]
    with page.expect_response("**/edit"):
        page.mouse.move(*window.at(40.5, 30.5))
        page.mouse.down()
        page.mouse.move(*window.at(50, 35), steps=4)
        page.mouse.move(*window.at(60.5, 40.5), steps=4)
        page.mouse.up()
    wait_until(lambda: clicks(pictures) == [[[60, 40, 1]]], "saving")
    with page.expect_response("**/edit"):
        page.mouse.dblclick(*window.at(60.5, 40.5))
    wait_until(lambda: clicks(pictures) == [], "an object without clicks is not saved")


def test_box_pan_and_zoom(window: Window, pictures: Path) -> None:
    page = window.page
    page.keyboard.press("b")
    with page.expect_response("**/edit"):
        page.mouse.move(*window.at(16.2, 16.2))
        page.mouse.down()
        page.mouse.move(*window.at(63.8, 47.8), steps=5)
        page.mouse.up()
    wait_until(lambda: clicks(pictures) == [[[40, 32, 1]]], "saving")
    assert saved(pictures)["annotations"][0]["box"] == [16, 16, 64, 48]
    assert saved(pictures)["annotations"][0]["bbox"] == [16, 16, 48, 32]
    page.keyboard.press("n")
    # The point under the pointer stays while the wheel turns, so a click there is the same pixel.
    page.mouse.move(*window.at(70.5, 20.5))
    before = page.locator("#zoom-level").inner_text()
    page.mouse.wheel(0, -300)
    sync_api.expect(page.locator("#zoom-level")).not_to_have_text(before)
    window.click(70, 20)
    x, y = window.at(70.5, 20.5)
    page.keyboard.press("n")
    page.mouse.move(x - 50, y + 30)
    page.mouse.down()
    page.mouse.move(x - 80, y - 10, steps=5)  # drags the picture, clicks nothing
    page.mouse.up()
    window.objects(2)
    page.keyboard.press("f")
    sync_api.expect(page.locator("#zoom-level")).to_have_text(before)
    wait_until(lambda: clicks(pictures)[1:] == [[[70, 20, 1]]], "saving")


def test_two_windows_on_one_picture(window: Window, command: RunningCommand, pictures: Path) -> None:
    first = window.page
    second = window.tab(first.url)
    window.click(20, 20, first)
    window.objects(1, second)  # without being asked
    second.bring_to_front()
    window.click(60, 30, second)
    window.objects(2, first)
    # A change that crosses another one is refused, and the window shows the new state.
    first.route("**/api/events", lambda route: route.abort())
    first.evaluate("window.stop()")
    first.reload()
    window.objects(2, first)
    window.click(70, 60, second)
    first.bring_to_front()
    with first.expect_response("**/edit") as answer:
        first.mouse.click(*window.at(10, 10, first))
    assert answer.value.status == 409
    sync_api.expect(first.locator("#notes")).to_contain_text("another window")
    wait_until(lambda: clicks(pictures) == [[[20, 20, 1]], [[60, 30, 1], [70, 60, 1]]], "saving")
    window.wrong.clear()  # the refusals


def test_on_a_phone(browser: Any, command: RunningCommand, pictures: Path) -> None:
    phone = {"viewport": {"width": 390, "height": 780}, "has_touch": True, "is_mobile": True, "color_scheme": "dark"}
    window = Window(browser, command.address, **phone)
    page = window.page
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    with page.expect_response("**/edit"):
        page.touchscreen.tap(*window.at(40.5, 30.5))
    page.locator("#remove").tap()
    with page.expect_response("**/edit"):
        page.touchscreen.tap(*window.at(80.5, 60.5))
    wait_until(lambda: clicks(pictures) == [[[40, 30, 1], [80, 60, 0]]], "saving")
    page.locator("#show-panel").tap()
    page.locator("#classes button").nth(1).tap()
    wait_until(lambda: saved(pictures)["annotations"][0]["category_id"] == 2, "saving")
    page.locator("#show-panel").tap()
    # Two fingers: the browser's own protocol, Playwright knows only taps.
    session = window.context.new_cdp_session(page)
    before = page.locator("#zoom-level").inner_text()
    x, y = window.at(45, 35)
    for kind, apart in [("touchStart", 30), ("touchMove", 60), ("touchMove", 90), ("touchEnd", 0)]:
        points = [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}] if apart else []
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    sync_api.expect(page.locator("#zoom-level")).not_to_have_text(before)
    window.objects(1)
    window.close()


@pytest.mark.parametrize("width, height, scheme", [(1400, 850, "dark"), (760, 900, "light"), (320, 560, "dark")])
def test_everything_has_a_name_and_fits(
    browser: Any, command: RunningCommand, width: int, height: int, scheme: str
) -> None:
    window = Window(browser, command.address, viewport={"width": width, "height": height}, color_scheme=scheme)
    page = window.page
    window.click(40, 30)
    nameless = page.evaluate(
        "[...document.querySelectorAll('button, input')].filter((e) => !(e.getAttribute('aria-label')"
        " || e.innerText.trim() || e.textContent.trim() || e.labels?.length)).map((e) => e.outerHTML)"
    )
    assert nameless == []
    shown = "[...document.querySelectorAll('.bar button, .zoom button, .status > *')].filter((e) => e.offsetParent)"
    cut = page.evaluate(
        f"{shown}.filter((e) => {{ const r = e.getBoundingClientRect();"
        " return r.width && (r.left < 0 || r.right > innerWidth + 1 || r.bottom > innerHeight + 1) })"
        ".map((e) => e.id || e.className)"
    )
    assert cut == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert {url.split("/")[2] for url in window.requests if not url.startswith(("data:", "blob:"))} == {
        page.url.split("/")[2]
    }
    window.close()


def test_masks_and_outlines_are_those_of_the_server(window: Window) -> None:
    rng = np.random.default_rng(5)
    for height, width in [(1, 1), (7, 1), (1, 6), (5, 9), (12, 8), (40, 30)]:
        for density in (0.1, 0.5, 0.9, 1.0):
            mask = rng.random((height, width)) < density
            code = RLE.encode(mask)
            inside = window.page.evaluate(
                """async (code) => {
                    const { decode, covers } = await import("/page/rle.js");
                    const { outline } = await import("/page/outline.js");
                    const bitmap = decode(code), path = outline(bitmap);
                    const context = document.createElement("canvas").getContext("2d");
                    const result = [];
                    for (let y = 0; y < code.size[0]; y++) {
                        for (let x = 0; x < code.size[1]; x++) {
                            const inPath = context.isPointInPath(path, x + 0.5, y + 0.5, "evenodd");
                            result.push(inPath === covers(bitmap, x, y) ? +inPath : 2);
                        }
                    }
                    return result;
                }""",
                {**code.json(), "box": code.box},
            )
            np.testing.assert_array_equal(np.reshape(inside, mask.shape), mask)


def test_noise_has_no_outline(window: Window) -> None:
    """Browsers take seconds over paths of some hundred thousand corners: such masks are drawn as pictures."""
    mask = np.random.default_rng(5).random((400, 500)) < 0.5
    code = RLE.encode(mask)
    answer = window.page.evaluate(
        """async (code) => {
            const { decode } = await import("/page/rle.js");
            const { outline } = await import("/page/outline.js");
            const { tinted } = await import("/page/tint.js");
            const bitmap = decode(code), canvas = tinted(bitmap, [1, 2, 3]);
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            const covered = Array.from({ length: data.length / 4 }, (_, at) => +(data[4 * at + 3] > 0));
            return { path: outline(bitmap), left: bitmap.left, top: bitmap.top, width: canvas.width, covered };
        }""",
        {**code.json(), "box": code.box},
    )
    left, top, width, height = code.box
    assert answer["path"] is None and (answer["left"], answer["top"], answer["width"]) == (left, top, width)
    np.testing.assert_array_equal(
        np.reshape(answer["covered"], (height, width)), mask[top : top + height, left : left + width]
    )


def test_files_on_request(window: Window, pictures: Path) -> None:
    window.click(40, 30)
    for kind, path in [("png", "objects/one.001.cat.png"), ("labelme", "labelme/one.json")]:
        window.page.locator("#export").click()
        window.page.locator(f"[data-kind={kind}]").click()
        sync_api.expect(window.page.locator("#export-dialog")).to_be_hidden()
        assert (pictures / "annotations" / path).exists()


def test_how_long_a_click_takes(browser: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Prints the time from a click to its painted mask on a photograph in a 1024-pixel model, for the log.

    It asserts nothing about the time: the machine may be busy. With the model that ships in the package, or the bundle
    that INTER2FORMER_TEST_BUNDLE names; without both, the fake model tells what everything else costs.
    """
    with Image.open(DEMO_PHOTOGRAPH) as photograph:
        photograph.resize((1024, 683)).save(tmp_path / "photograph.jpg")
    chosen: tuple[str | Path, ...] = ()
    what = "the shipped model"
    if BUNDLE_VARIABLE in os.environ:
        chosen, what = ("--bundle", os.environ[BUNDLE_VARIABLE]), os.environ[BUNDLE_VARIABLE]
    else:
        try:
            Segmenter()
        except BundleError:
            chosen, what = ("--bundle", write_fake_bundle(tmp_path / "bundle", size=1024)), "a fake model"
    with RunningCommand(tmp_path / "photograph.jpg", *chosen) as command:
        window = Window(browser, command.address, 1024, 683)
        page = window.page
        page.locator("#preview").uncheck()  # otherwise a click on the previewed pixel costs nothing
        page.wait_for_selector("#stage[aria-busy=false]")
        seen = []
        points = [(500, 400, "left"), (620, 480, "right"), (220, 400, "left"), (900, 100, "right"), (400, 150, "left")]
        for x, y, button in [(x + by, y, button) for by in (0, 40) for x, y, button in points]:
            window.click(x, y, button=button)
            page.wait_for_function(
                "(known) => ![undefined, known].includes(document.querySelector('#latency').dataset.total)",
                arg=seen[-1][0] if seen else "",
            )
            seen.append(page.evaluate("Object.values({...document.querySelector('#latency').dataset})"))
        times = [[float(value) for value in entry] for entry in seen]
        total, server, mask = (statistics.median(column) for column in zip(*times, strict=True))
        window.close()
    assert 0 < mask <= server <= total
    with capsys.disabled():
        print(f"\nclick to painted mask, {what}, {os.cpu_count()} processors, median of {len(times)} clicks: ", end="")
        print(f"total {total:.0f} ms, server {server:.0f} ms, mask {mask:.0f} ms; slowest {max(times)[0]:.0f} ms")
