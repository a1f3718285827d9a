"""The page in a real browser: Chromium, without a window, driven by Playwright."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import wordmask
from tests.serve.running import running
from wordmask.ops.rle import decode

pytestmark = pytest.mark.slow
sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
AXE = os.environ.get("WORDMASK_AXE")  # path of axe.min.js, of the npm package axe-core
SHOTS = os.environ.get("WORDMASK_SCREENSHOTS")  # folder for screenshots


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    segmenter = wordmask.load()
    with running({"compact": segmenter, "again": segmenter}) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def new_page(browser: Any, address: str) -> Iterator[Callable[..., Any]]:
    contexts: list[Any] = []

    def open_page(**options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.problems = []
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.on("console", lambda said: page.problems.append(said.text) if said.type == "error" else None)
        page.goto(address)
        page.wait_for_selector("#model option:nth-child(2)", state="attached")
        return page

    yield open_page
    for context in contexts:
        context.close()


def ask(page: Any, phrases: str) -> None:
    page.fill("#phrase", phrases)
    page.keyboard.press("Enter")
    ready(page)


def ready(page: Any) -> None:
    page.wait_for_selector("body[data-state=ready]", timeout=60_000)


def shot(page: Any, name: str) -> None:
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/{name}.png")


def downloaded(page: Any, button: str, tmp_path: Path) -> Path:
    with page.expect_download() as download:
        page.click(button)
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_type_see_slide_download(new_page: Any, tmp_path: Path) -> None:
    page = new_page()
    page.click("#samples button >> nth=0")
    ask(page, "face, hair")
    assert page.locator("#results > li").count() == 2
    assert page.locator("#results .status").all_inner_texts() == ["present", "present"]
    assert "2 of 2 found" in page.inner_text("#status")
    assert page.get_attribute("#view", "aria-label") == "astronaut.png, face: 1, hair: 1"
    shot(page, "page-light")

    path = downloaded(page, "#save-coco", tmp_path)
    content = json.loads(path.read_text())
    expected = wordmask.segment("sample:astronaut", ["face", "hair"])
    assert [c["name"] for c in content["categories"]] == ["face", "hair"]
    for annotation, found in zip(content["annotations"], expected, strict=True):
        assert (decode(annotation["segmentation"]) == found.instances[0].mask).all()
        assert annotation["area"] == found.instances[0].area
    with Image.open(downloaded(page, "#save-png", tmp_path)) as overlay:
        assert overlay.size == (512, 512)
    with page.expect_download():
        (task,) = json.loads(downloaded(page, "#save-label-studio", tmp_path).read_text())
    assert [r["value"]["brushlabels"] for r in task["predictions"][0]["result"]] == [["face"], ["hair"]]

    before = brightness(page)
    slide(page, "[data-prompt=face]", "0.95")
    assert brightness(page) != before
    slide(page, "#presence", "1")
    assert page.locator(".parts li").count() == 0
    assert page.problems == []


def brightness(page: Any) -> float:
    """Sum of the canvas's values: it changes with what is drawn."""
    return float(
        page.evaluate(
            "() => { const view = document.querySelector('#view'); let sum = 0;"
            " for (const value of view.getContext('2d').getImageData(0, 0, view.width, view.height).data) sum += value;"
            " return sum; }"
        )
    )


def slide(page: Any, selector: str, value: str) -> None:
    page.evaluate(
        "([selector, value]) => { const slider = document.querySelector(selector); slider.value = value;"
        " slider.dispatchEvent(new Event('input')); }",
        [selector, value],
    )


def test_a_mask_is_hidden_renamed_and_explained(new_page: Any, tmp_path: Path) -> None:
    page = new_page()
    page.click("#samples button >> nth=1")
    ask(page, "cat")
    frame = page.locator("#drawing").bounding_box()
    page.mouse.click(frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2)
    assert page.inner_text("#about-text").startswith("cat: presence")
    page.fill("#about-name", "tabby")
    shot(page, "page-mask")
    page.click("#about-mask button[value=close]")
    assert page.inner_text(".parts button span >> nth=0") == "tabby 1"
    content = json.loads(downloaded(page, "#save-coco", tmp_path).read_text())
    assert content["categories"][-1]["name"] == "tabby"
    page.click(".parts button")
    page.click("#about-hide")
    assert not page.is_checked(".parts input")
    assert json.loads(downloaded(page, "#save-coco", tmp_path).read_text())["annotations"] == []
    assert page.problems == []


def test_an_example_finds_more_like_it_in_the_next_image(new_page: Any) -> None:
    page = new_page()
    page.click("#samples button >> nth=1")
    page.click("[data-tool=box]")
    frame = page.locator("#drawing").bounding_box()
    page.mouse.move(frame["x"] + frame["width"] * 0.25, frame["y"] + frame["height"] * 0.15)
    page.mouse.down()
    page.mouse.move(frame["x"] + frame["width"] * 0.75, frame["y"] + frame["height"] * 0.9, steps=4)
    page.mouse.up()
    shot(page, "page-example")
    page.click("#use-example")
    ready(page)
    assert page.inner_text("#chips li span") == "example 1"
    page.click("[data-tool=brush]")
    page.mouse.move(frame["x"] + 50, frame["y"] + 50)
    page.mouse.down()
    page.mouse.move(frame["x"] + 150, frame["y"] + 90, steps=4)
    page.mouse.up()
    page.click("#use-example")
    ready(page)
    page.click("#samples button >> nth=2")
    page.wait_for_selector("#view[aria-label^=coffee]")
    ready(page)
    assert page.locator("#results h3").all_inner_texts() == ["example 1", "example 2"]
    assert page.problems == []


def test_errors_are_told(new_page: Any, tmp_path: Path) -> None:
    page = new_page()
    bad = tmp_path / "notes.txt"
    bad.write_text("no image")
    page.set_input_files("#file", bad)
    page.wait_for_selector("#error:not(:empty)")
    assert "notes.txt, which this browser cannot show" in page.inner_text("#error")
    page.click("#samples button >> nth=1")
    page.fill("#phrase", "cat not")
    page.keyboard.press("Enter")
    ready(page)
    assert page.inner_text("#error") == ""


def test_two_models_stand_side_by_side(new_page: Any) -> None:
    page = new_page()
    page.click("#samples button >> nth=1")
    page.select_option("#other", "again")
    ask(page, "cat, dog not cat")
    assert page.is_visible("#curtain")
    slide(page, "#curtain", "30")
    assert page.evaluate("document.querySelector('#view-other').style.clipPath") == "inset(0px 0px 0px 30%)"
    assert "again: " in page.inner_text("#results .facts >> nth=0")
    assert page.locator("#chips li span").all_inner_texts() == ["cat", "dog not cat"]
    shot(page, "page-compare")
    assert page.problems == []


def test_a_phone_and_the_keyboard_suffice(new_page: Any) -> None:
    page = new_page(viewport={"width": 390, "height": 844}, color_scheme="dark", has_touch=True)
    page.focus("#samples button >> nth=1")
    page.keyboard.press("Enter")
    page.wait_for_selector("#stage:not([hidden])")
    page.keyboard.press("/")
    page.keyboard.type("cat, eye not nose")
    page.keyboard.press("Enter")
    ready(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    shot(page, "page-phone")
    page.focus(".parts input")
    page.keyboard.press("Space")
    assert not page.is_checked(".parts input >> nth=0")
    assert page.evaluate("document.activeElement.type") == "checkbox"
    page.click("[aria-label='Remove cat']")
    assert page.locator("#results > li").count() == 1
    assert page.problems == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(new_page: Any, scheme: str) -> None:
    if AXE is None:
        pytest.skip("WORDMASK_AXE does not name axe.min.js")
    page = new_page(color_scheme=scheme, bypass_csp=True)
    page.click("#samples button >> nth=1")
    ask(page, "cat, dog, wood")
    page.add_script_tag(path=AXE)
    for opened in ("page", "dialog"):
        if opened == "dialog":
            page.click(".parts button >> nth=0")
        found = page.evaluate("async () => (await axe.run()).violations")
        wrong = [(v["id"], v["impact"], [n["html"][:100] for n in v["nodes"]]) for v in found]
        print(wrong)
        assert [v for v in wrong if v[1] in ("serious", "critical")] == []
