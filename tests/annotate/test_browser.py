"""The annotation page in a real browser, end to end: the command runs, headless Chromium opens its address.

Needs Chromium (Debian's `chromium`, or `playwright install chromium`); without one that runs these tests are skipped,
but fail where the environment says CI=true, as .ci/run does. test_api.py goes the same ways without a browser. What the
fake model answers means nothing: its first click takes everything, and a click beside the object takes a square of 16
pixels away. What is tested is the way.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

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
from support.path_proxy import PathProxy

BUNDLE_VARIABLE = "INTER2FORMER_TEST_BUNDLE"
SECONDS = 60  # to wait for anything: it matters only when something is wrong, and the machine may be busy


def without_browser(reason: str) -> NoReturn:
    """Skip the tests, unless they must run here."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api.expect.set_options(timeout=1000 * SECONDS)
    with sync_api.sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        names = ("chromium", "chromium-browser", "google-chrome")
        found = own if Path(own).exists() else next(filter(None, map(shutil.which, names)), None)
        if found is None:
            without_browser("no Chromium here: apt-get install chromium, or playwright install chromium")
        # Chromium's sandbox refuses to run as root, as containers do.
        root = hasattr(os, "geteuid") and os.geteuid() == 0
        try:
            running = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"] if root else [])
        except sync_api.Error as error:
            without_browser(f"{found} does not run here: {error}")
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


# The colour in the middle of the stage, as the canvas has it.
CENTRE = """(() => {
    const canvas = document.querySelector("#picture");
    return [...canvas.getContext("2d").getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data];
})()"""


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
    window.page.close()
    window.wrong.clear()  # it complained, rightly, that the server has gone


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
    page.locator("#remove").tap()  # the browser makes a click of it a moment later
    sync_api.expect(page.locator("#remove")).to_have_attribute("aria-checked", "true")
    with page.expect_response("**/edit"):
        page.touchscreen.tap(*window.at(80.5, 60.5))
    wait_until(lambda: clicks(pictures) == [[[40, 30, 1], [80, 60, 0]]], "saving")
    page.locator("#show-panel").tap()
    sync_api.expect(page.locator("#panel")).to_be_visible()
    page.locator("#classes button").nth(1).tap()
    wait_until(lambda: saved(pictures)["annotations"][0]["category_id"] == 2, "saving")
    page.touchscreen.tap(*window.at(60.5, 20.5))  # beside the panel: it closes, and nothing is clicked
    sync_api.expect(page.locator("#panel")).to_be_hidden()
    sync_api.expect(page.locator("#show-panel")).to_have_attribute("aria-expanded", "false")
    window.objects(1)
    page.locator("#help").tap()
    sync_api.expect(page.locator("#keys > div").first).to_contain_text("Tap")
    sync_api.expect(page.locator("#keys > div").first).to_be_in_viewport()
    sync_api.expect(page.locator("#help-dialog button")).to_be_in_viewport()
    page.locator("#help-dialog button").tap()
    sync_api.expect(page.locator("#help-dialog")).to_be_hidden()
    assert clicks(pictures) == [[[40, 30, 1], [80, 60, 0]]]
    with page.expect_response("**/edit"):  # the next tap is a click again
        page.touchscreen.tap(*window.at(60.5, 20.5))
    wait_until(lambda: clicks(pictures) == [[[40, 30, 1], [80, 60, 0], [60, 20, 0]]], "saving")
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


def test_another_run_at_the_same_address(browser: Any, bundle: Path, pictures: Path, tmp_path: Path) -> None:
    """What the browser kept of the first run's pictures is not shown for the second's, in old windows neither."""
    others = tmp_path / "others"
    others.mkdir()
    for seed, name in enumerate(("one.png", "three.png", "two.jpg")):
        Image.new("RGB", (WIDTH, HEIGHT), (10, 200, 10 + seed)).save(others / name)
    with RunningCommand(pictures, "--bundle", bundle, "--threads", "1") as first:
        port = first.address.split(":")[2].split("/")[0]
        window = Window(browser, first.address)
        old = window.page
        old.wait_for_function("() => [...document.querySelectorAll('#strip img')].every((each) => each.naturalWidth)")
        assert first.end(signal.SIGINT) == 0
    with RunningCommand(others, "--bundle", bundle, "--threads", "1", "--port", port) as second:
        page = window.tab(second.address)
        page.wait_for_function("() => [...document.querySelectorAll('#strip img')].every((each) => each.naturalWidth)")
        green = "([r, g, b]) => g > 180 && r < 40 && b < 40"
        middle = """(each) => {
            const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
            const context = canvas.getContext("2d");
            context.drawImage(each, 0, 0, 1, 1);
            return [...context.getImageData(0, 0, 1, 1).data];
        }"""
        looks = f"[...document.querySelectorAll('#strip img')].map({middle}).map({green})"
        for each in (page, old):
            each.bring_to_front()
            each.wait_for_function(f"() => {looks}.length === 3 && {looks}.every(Boolean)")
            each.wait_for_function(f"() => ({green})({CENTRE})")
        window.click(40, 30, old)  # it is the second run's page by now
        wait_until(lambda: clicks(others) == [[[40, 30, 1]]], "saving")
        assert clicks(pictures) == []
        window.page = page
        window.wrong.clear()  # the time between the runs
        window.close()


def test_a_photograph_of_another_size_is_not_drawn_on(browser: Any, command: RunningCommand, tmp_path: Path) -> None:
    Image.new("RGB", (WIDTH, HEIGHT + 1)).save(tmp_path / "other.png")
    window = Window(browser, command.address)
    page = window.page
    page.route("**/api/images/1/picture*", lambda route: route.fulfill(path=tmp_path / "other.png"))
    page.reload()
    page.locator("#following").click()
    said = f"three.png: {WIDTH} x {HEIGHT + 1} pixels came, its annotations are for {WIDTH} x {HEIGHT}"
    sync_api.expect(page.locator("#encoding")).to_contain_text(said)
    page.mouse.click(*window.at(40, 30))
    window.objects(0)
    sync_api.expect(page.locator("#done")).to_be_disabled()
    window.close()


def test_a_photograph_that_names_a_density_is_drawn_on(browser: Any, bundle: Path, tmp_path: Path) -> None:
    """Browsers say that such a photograph has half its pixels."""
    exif = Image.Exif()
    exif.update({0x011A: 144.0, 0x011B: 144.0, 0x0128: 2})
    exif.get_ifd(0x8769).update({0xA002: WIDTH // 2, 0xA003: HEIGHT // 2})
    Image.new("RGB", (WIDTH, HEIGHT), (10, 200, 10)).save(tmp_path / "dense.jpg", exif=exif.tobytes())
    with RunningCommand(tmp_path / "dense.jpg", "--bundle", bundle, "--threads", "1") as command:
        window = Window(browser, command.address)
        address = "api/images/0/picture"
        natural = "async (src) => { const i = new Image(); i.src = src; await i.decode(); return i.naturalWidth; }"
        assert window.page.evaluate(natural, address) == WIDTH // 2
        window.click(80, 60)
        wait_until(lambda: clicks(tmp_path) == [[[80, 60, 1]]], "saving")
        window.close()


def test_a_class_is_renamed_by_double_click(window: Window) -> None:
    page = window.page
    for button, name, keys in [(1, "bird", "Enter"), (0, "cow", "Enter"), (1, "bird", "Escape")]:
        page.locator("#classes button").nth(button).dblclick()
        field = page.locator("#classes input")
        sync_api.expect(field).to_be_focused()
        field.fill(name if keys == "Enter" else "nothing")
        field.press(keys)
        sync_api.expect(page.locator("#classes button").nth(button)).to_contain_text(name)
        sync_api.expect(field).to_have_count(0)
    sync_api.expect(page.locator("#classes [aria-checked=true]")).to_contain_text("bird")
    page.keyboard.press("F2")
    page.locator("#classes input").fill("sheep")
    page.locator("#name").click()  # what is written is taken when the field is left
    sync_api.expect(page.locator("#classes button").nth(1)).to_contain_text("sheep")


def test_other_keyboards(window: Window) -> None:
    page = window.page
    session = window.context.new_cdp_session(page)

    def press(key: str, code: str, modifiers: int = 0) -> None:
        for kind in ("rawKeyDown", "keyUp"):
            session.send("Input.dispatchKeyEvent", {"type": kind, "key": key, "code": code, "modifiers": modifiers})

    window.click(40, 30)
    window.objects(1)
    press("é", "Digit2")  # AZERTY
    sync_api.expect(page.locator("#objects li")).to_contain_text("dog")
    for _ in range(2):
        press("я", "KeyZ", 2)  # Ctrl, Cyrillic
    window.objects(0)
    press("Я", "KeyZ", 2 + 8)
    window.objects(1)
    press("т", "KeyN")
    sync_api.expect(page.locator("#next-object")).to_be_disabled()


def test_a_proxy_under_a_path_and_another_port(browser: Any, bundle: Path, pictures: Path) -> None:
    """As Jupyter's, VS Code's or a container's: the page works once its address has been allowed."""
    with (
        PathProxy("/user/me/proxy") as proxy,
        RunningCommand(pictures, "--bundle", bundle, "--threads", "1", "--allow-origin", proxy.origin) as command,
    ):
        assert f"through {proxy.origin}, add /?token=" in command.output
        proxy.target = command.address.split("/")[2]
        window = Window(browser, f"{proxy.origin}/user/me/proxy/?{command.address.split('?')[1]}")
        assert window.page.url == f"{proxy.origin}/user/me/proxy/#1"
        window.click(40, 30)
        window.objects(1)
        sync_api.expect(window.page.locator("#saved")).to_have_text("All changes saved")
        wait_until(lambda: clicks(pictures) == [[[40, 30, 1]]], "saving")
        assert all(url.startswith(f"{proxy.origin}/user/me/proxy/") for url in window.requests)
        window.page.goto("about:blank")
        window.close()


def test_many_pictures(browser: Any, bundle: Path, tmp_path: Path) -> None:
    """Of the strip what is in sight is drawn and loaded."""
    pictures = tmp_path / "many"
    pictures.mkdir()
    for number in range(300):
        Image.new("RGB", (40, 30), (number % 256, 90, 160)).save(pictures / f"{number:03}.png")
    with RunningCommand(pictures, "--bundle", bundle, "--threads", "1") as command:
        window = Window(browser, command.address, 40, 30)
        page = window.page
        buttons = page.locator("#strip button")
        assert 9 <= buttons.count() <= 25
        thumbnails = [url for url in window.requests if "thumbnail" in url]
        assert len(thumbnails) == buttons.count()
        assert page.evaluate("document.querySelector('#strip').scrollWidth") > 300 * 90
        page.evaluate("document.querySelector('#strip').scrollLeft = 150 * 98")
        shown = page.locator("#strip button[title^='155.png']")
        sync_api.expect(shown).to_be_in_viewport()
        page.wait_for_function("() => document.querySelector('#strip button[title^=\"155.png\"] img').naturalWidth > 0")
        shown.click()
        sync_api.expect(page.locator("#name")).to_contain_text("155.png")
        sync_api.expect(page.locator("#strip [aria-current=true]")).to_be_in_viewport()
        window.click(20, 15)
        sync_api.expect(shown).to_have_attribute("title", "155.png: 1 object")
        page.keyboard.press("m")
        sync_api.expect(page.locator("#strip [aria-current=true]")).to_have_attribute("title", "156.png: no objects")
        assert buttons.count() <= 30
        assert len([url for url in window.requests if "thumbnail" in url]) < 80
        names = [entry.split(".")[0] for entry in buttons.evaluate_all("all => all.map((each) => each.title)")]
        assert names == sorted(names)
        window.close()


def test_without_the_token(browser: Any, command: RunningCommand) -> None:
    context = browser.new_context(color_scheme="dark")
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda message: "Content Security" in message.text and wrong.append(message.text))
    page.goto(command.address.partition("?")[0])
    sync_api.expect(page.locator("p")).to_contain_text("Open the address that the inter2former command printed")
    assert page.evaluate("getComputedStyle(document.querySelector('p')).color") == "rgb(255, 255, 255)"
    assert "sans-serif" in page.evaluate("getComputedStyle(document.querySelector('p')).fontFamily") and wrong == []
    context.close()


def test_the_footer_knows_when_the_connection_is_back(window: Window) -> None:
    page = window.page
    saved_text = page.locator("#saved")
    window.context.set_offline(True)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # asks for the news anew
    sync_api.expect(saved_text).to_have_text("No connection to the server")
    window.context.set_offline(False)
    sync_api.expect(saved_text).to_have_text("All changes saved")
    # A proxy's error page ends the stream for good, as browsers see it; all else comes through.
    page.route("**/api/events", lambda route: route.fulfill(status=502, body="Bad gateway"))
    with page.expect_response("**/api/events"):
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    with page.expect_response("**/api/events"):
        sync_api.expect(saved_text).to_have_text("All changes saved")
    page.unroute("**/api/events")
    other = window.tab(page.url)
    window.click(20, 20, other)
    page.bring_to_front()
    window.objects(1, page)  # the news are back
    window.wrong.clear()


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
