"""Overlays: what is drawn where, and that nothing asked for can break them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from tests.segmentations import found, logits, segmentation
from wordmask.errors import ImageError, MissingExtraError, OutputError
from wordmask.formats.colours import INK, palette, to_oklab
from wordmask.formats.lettering import lettered, shortened, width_of
from wordmask.formats.overlay import OVERLAY_SUFFIXES, _tags, is_overlay
from wordmask.formats.style import OverlayStyle, Style
from wordmask.results import Found, Segmentation

SIZE = (400, 600)


def _found(name: str, *boxes: tuple[int, int, int, int], **other: float) -> Found:
    return found(name, logits(*boxes, cells=(40, 60)), size=SIZE, **other)  # type: ignore[arg-type]


def _drawn(*founds: Found) -> np.ndarray:
    return np.asarray(segmentation(*founds, size=SIZE).overlay())


def test_masks_are_tinted_and_the_rest_is_dimmed() -> None:
    answer = _found("box", (20, 20, 40, 34))
    drawn = _drawn(answer)
    inside = ndimage.binary_erosion(answer.mask, iterations=8)
    outside = ~ndimage.binary_dilation(answer.mask, iterations=40)
    inside[:240] = False  # the label
    expected = 120 * 0.62 + np.array(palette(1)[0]) * 0.38
    assert inside.sum() > 5000
    assert np.abs(drawn[inside] - expected).max() <= 1
    assert outside.sum() > 20_000
    np.testing.assert_array_equal(drawn[outside], 102)


def test_outlines_follow_the_border_in_the_prompts_colour() -> None:
    answers = [_found("one", (5, 20, 20, 35)), _found("two", (35, 20, 50, 35))]
    drawn = _drawn(*answers).astype(int)
    for answer, colour in zip(answers, palette(2), strict=True):
        border = answer.mask & ~ndimage.binary_erosion(answer.mask)
        border[:250] = False  # the label
        close = np.abs(drawn[border] - colour).max(axis=1) < 40
        assert close.mean() > 0.9


def test_holes_are_outlined_too() -> None:
    values = logits((10, 10, 50, 38), cells=(40, 60))
    values[20:28, 24:36] = -4
    drawn = _drawn(found("ring", values, size=SIZE)).astype(int)
    rim = np.abs(drawn[236:244, 237:243] - palette(1)[0]).max(axis=2)  # left side of the hole
    assert rim.min() < 20
    np.testing.assert_array_equal(drawn[230:250, 290:310], 102)  # in the middle of the hole: background


def test_small_things_lie_over_large_ones() -> None:
    small, large = _found("eye", (28, 28, 32, 32)), _found("face", (10, 10, 50, 38))
    for order in ((small, large), (large, small)):
        drawn = _drawn(*order).astype(float)[300, 300]
        colours = dict(zip((answer.name for answer in order), palette(2), strict=True))
        below = 120 * 0.62 + np.array(colours["face"]) * 0.38
        np.testing.assert_allclose(drawn, below * 0.62 + np.array(colours["eye"]) * 0.38, atol=2)


def test_nothing_found_leaves_the_image_and_says_so() -> None:
    drawn = _drawn(_found("elephant", (10, 10, 50, 38), presence=0.1))
    changed = (drawn != 120).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert 500 < changed.sum() < 0.05 * changed.size
    assert rows.min() > 360  # a plate in the bottom left corner
    assert columns.max() < 250


def test_colours_stay_with_their_prompt() -> None:
    here, gone, other = _found("a", (5, 5, 15, 15)), _found("a", presence=0.1), _found("b", (30, 20, 45, 35))
    both, one = _drawn(here, other), _drawn(gone, other)
    np.testing.assert_array_equal(both[300, 380], one[300, 380])


def test_the_image_is_not_touched() -> None:
    result = segmentation(_found("a", (5, 5, 15, 15)), size=SIZE)
    result.overlay()
    assert result.image is not None
    assert (result.image.pixels == 120).all()


def test_drawing_twice_gives_the_same() -> None:
    answers = [_found(f"thing {i}", (3 * i, 2 * i, 3 * i + 9, 2 * i + 7)) for i in range(12)]
    np.testing.assert_array_equal(_drawn(*answers), _drawn(*answers))


NAMES = [
    "猫",
    "🙂👩‍🚀",
    "x" * 2000,
    "a\nb\x00\x1b[31m",
    "עברית",
    "Größe ñ",
    "é" * 50,
    "\u202ertl",
    "%s {} \\",
    "😀 cat",
]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_can_be_drawn(name: str) -> None:
    plain, drawn = _drawn(), _drawn(_found(name, (20, 20, 40, 34)))
    assert drawn.shape == plain.shape
    plate = np.abs(drawn[:200].astype(int) - palette(1)[0]).max(axis=2) < 20
    assert plate.sum() > 300


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (2, 2), (9, 9), (30, 40), (20, 2000), (3000, 60)])
def test_any_size_can_be_drawn(size: tuple[int, int]) -> None:
    answers = [found(f"thing {i}", logits((i, i, i + 12, i + 9)), size=size) for i in range(10)]
    image = segmentation(*answers, found("none", logits(), size=size), size=size).overlay()
    assert image.size == size[::-1]
    assert image.mode == "RGB"


def test_sizes_of_lines_and_letters_follow_the_image() -> None:
    small, large = Style.of((512, 512)), Style.of((3000, 4000))
    assert small == Style(line=pytest.approx(1.79, abs=0.01), font=14)
    assert large.font == 97
    assert large.line / small.line == pytest.approx(large.font / small.font, rel=0.05)
    assert Style.of((20, 5000)).font <= 9


def test_hundreds_of_specks_are_drawn() -> None:
    values = np.where(np.random.default_rng(0).random((100, 150)) < 0.1, 4, -4).astype(np.float32)
    assert segmentation(found("dust", values, size=SIZE), size=SIZE).overlay().size == (600, 400)


# --- style ---


def _styled(style: OverlayStyle, *founds: Found, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.asarray(segmentation(*founds, size=size).overlay(style=style))


def test_opacity_and_colours_are_as_chosen() -> None:
    style = OverlayStyle(opacity=0.5, colours={"Box": (0, 0, 200)}, label_size=0)
    answer = _found("box", (20, 20, 40, 34))
    drawn = _styled(style, answer)
    inside = ndimage.binary_erosion(answer.mask, iterations=8)
    assert np.abs(drawn[inside] - np.array([60, 60, 160])).max() <= 1
    clear = _styled(OverlayStyle(opacity=0, label_size=0), answer)
    np.testing.assert_array_equal(clear[inside], 120)


def test_labels_grow_and_go() -> None:
    answer = _found("box", (20, 20, 40, 34))
    outline, usual, large = (_styled(OverlayStyle(label_size=size, legend=False), answer) for size in (0, 1, 2))
    areas = [(drawn != outline).any(axis=2).sum() for drawn in (usual, large)]
    assert 3 < areas[1] / areas[0] < 5


def test_what_was_not_found_can_be_hidden() -> None:
    here, gone = _found("box", (20, 20, 40, 34)), _found("elephant", presence=0.1)
    np.testing.assert_array_equal(_styled(OverlayStyle(hide_missing=True), here, gone), _drawn(here))


def test_a_legend_leaves_the_image_free_and_lists_every_phrase() -> None:
    answers = [_found("box", (20, 20, 40, 34)), _found("elephant", presence=0.1)]
    drawn = _styled(OverlayStyle(legend=True), *answers)
    assert drawn.shape[0] > 400
    np.testing.assert_array_equal(drawn[:400], _styled(OverlayStyle(label_size=0), *answers))
    below = drawn[400:].astype(int)
    for colour in (palette(1)[0], (206, 210, 216)):
        assert (np.abs(below - colour).max(axis=2) < 20).sum() > 300


@pytest.mark.parametrize("size", [(64, 64), (40, 60), (120, 90)])
def test_on_a_small_image_the_labels_stand_below_it(size: tuple[int, int], tmp_path: Path) -> None:
    """Labels used to hide the object, and those that had no room were missing."""
    names = ["face", "hair", "helmet"]
    answers = [found(name, logits((8, 4, 22, 16)), size=size) for name in names]
    result = segmentation(*answers, size=size)
    result.save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        drawn = np.asarray(image).astype(int)
    height = size[0]
    assert drawn.shape[0] > height
    left = (drawn.shape[1] - size[1]) // 2
    bare = _styled(OverlayStyle(label_size=0), *answers, size=size)
    np.testing.assert_array_equal(drawn[:height, left : left + size[1]], bare)
    for colour in palette(3):
        assert (np.abs(drawn[height:] - colour).max(axis=2) < 20).sum() > 150
    result.save(tmp_path / "b.png", style=OverlayStyle(legend=False))
    with Image.open(tmp_path / "b.png") as image:
        assert image.size == size[::-1]


def test_where_labels_have_room_there_is_no_legend(tmp_path: Path) -> None:
    segmentation(_found("box", (20, 20, 40, 34)), _found("hat", (2, 2, 12, 12)), size=SIZE).save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (600, 400)


def test_phrases_of_one_name_are_numbered() -> None:
    pairs = [(one.named_mask(), (0, 0, 0)) for one in (_found("a", (5, 5, 15, 15)), _found("b"), _found("a"))]
    assert [tag.name for tag in _tags(pairs, OverlayStyle())] == ["a #1", "b", "a #2"]


def test_dark_plates_have_light_text() -> None:
    drawn = _styled(OverlayStyle(colours={"box": (40, 0, 90)}, legend=True), _found("box", (20, 20, 40, 34)))
    plate = drawn[400:].astype(int)
    assert ((plate > 200).all(axis=2) & (np.arange(600) < 60)).sum() > 20


# --- saving ---


@pytest.mark.parametrize("suffix", OVERLAY_SUFFIXES)
def test_an_overlay_says_what_made_it(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    segmentation(_found("a", (5, 5, 15, 15)), size=SIZE).save(path)
    Image.new("RGB", (9, 9)).save(tmp_path / f"b{suffix}")
    assert is_overlay(path)
    assert not is_overlay(tmp_path / f"b{suffix}")
    assert not is_overlay(tmp_path / "missing.png")


@pytest.mark.parametrize(
    ("name", "kind"), [("a.png", "PNG"), ("a.JPG", "JPEG"), ("a.jpeg", "JPEG"), ("a.webp", "WEBP")]
)
def test_the_suffix_chooses_the_type(tmp_path: Path, name: str, kind: str) -> None:
    segmentation(_found("a", (5, 5, 15, 15)), size=SIZE).save(tmp_path / name)
    with Image.open(tmp_path / name) as image:
        assert image.format == kind
        assert image.size == (600, 400)


def test_png_holds_what_was_drawn(tmp_path: Path) -> None:
    result = segmentation(_found("a", (5, 5, 15, 15)), size=SIZE)
    result.save(str(tmp_path / "a.png"))
    with Image.open(tmp_path / "a.png") as image:
        np.testing.assert_array_equal(np.asarray(image), np.asarray(result.overlay()))


def test_another_image_can_be_drawn_on() -> None:
    result = segmentation(_found("a", (5, 5, 15, 15)), size=SIZE)
    without = Segmentation(result.size, result.founds, None, "fake")
    grey = np.full((*SIZE, 3), 120, dtype=np.uint8)
    np.testing.assert_array_equal(np.asarray(without.overlay(grey)), np.asarray(result.overlay()))
    with pytest.raises(ImageError, match=r"did not keep its image.*pass it"):
        without.save("a.png")
    with pytest.raises(ImageError, match=r"size \(10, 10\).*\(400, 600\)"):
        without.save("a.png", grey[:10, :10])


@pytest.mark.parametrize("name", ["a.gif", "a.txt", "a.png.bak"])
def test_unknown_suffix(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match=r"ends in \.png, \.jpg"):
        segmentation(_found("a"), size=SIZE).save(tmp_path / name)


@pytest.mark.parametrize("name", ["new", "v1.5", "old"])
def test_a_folder_gets_everything(tmp_path: Path, name: str) -> None:
    """A path without suffix, or a folder that exists, whatever it is called."""
    if name != "new":
        (tmp_path / name).mkdir()
    result = segmentation(_found("left eye", (5, 5, 15, 15)), _found("elephant", presence=0.1), size=SIZE)
    files = result.save(tmp_path / name)
    names = ["photo.overlay.png", "photo.mask-left-eye.png", "photo.mask-elephant.png", "coco.json"]
    assert [path.name for path in files] == names
    assert sorted(names) == sorted(path.name for path in (tmp_path / name).iterdir())
    with Image.open(files[0]) as image:
        np.testing.assert_array_equal(np.asarray(image), np.asarray(result.overlay()))
    with Image.open(files[1]) as image:
        np.testing.assert_array_equal(np.asarray(image) > 0, result[0].mask)
    coco = json.loads(files[-1].read_text(encoding="utf-8"))
    assert coco["images"][0].pop("overlay") == names[0]
    assert coco["images"][0].pop("masks") == {"left eye": names[1], "elephant": names[2]}
    assert coco == result.to_coco()


def test_annotations_alone(tmp_path: Path) -> None:
    result = segmentation(_found("a", (5, 5, 15, 15)), size=SIZE)
    assert result.save(tmp_path / "a.json") == (tmp_path / "a.json",)
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == result.to_coco()


def test_too_large_for_the_type(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"70000 x 1.*\.png"):
        segmentation(found("a", logits(), size=(1, 70_000)), size=(1, 70_000)).save(tmp_path / "a.jpg")


# --- colours and letters ---


def test_colours_are_told_apart() -> None:
    for count, least in ((5, 0.2), (10, 0.13), (20, 0.085), (50, 0.04)):
        lab = to_oklab(np.array(palette(count), dtype=float))
        gaps = np.linalg.norm(lab[:, None] - lab[None], axis=2) + np.eye(count)
        print(count, gaps.min())
        assert gaps.min() > least


def test_a_longer_palette_begins_with_the_shorter() -> None:
    assert palette(20)[:5] == palette(5)
    assert palette(0) == ()
    assert len(set(palette(150))) == 150


def test_oklab_of_known_colours() -> None:
    lab = to_oklab(np.array([[255, 255, 255], [0, 0, 0], [255, 0, 0]], dtype=float))
    np.testing.assert_allclose(lab, [[1, 0, 0], [0, 0, 0], [0.62796, 0.22486, 0.12585]], atol=1e-4)


def test_every_colour_carries_ink() -> None:
    def luminance(colour: tuple[int, ...]) -> float:
        unit = np.array(colour) / 255
        return float(
            np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]
        )

    contrast = [(luminance(colour) + 0.05) / (luminance(INK) + 0.05) for colour in palette(60)]
    assert min(contrast) >= 4.5  # WCAG 2 AA


def test_lettering() -> None:
    assert lettered("left eye", 14)[0] == "left eye"
    assert lettered("a\n b\x00", 14)[0] == "a b"
    text, font = lettered("left eye", 14)
    assert shortened(text, font, 1000) == "left eye"
    assert shortened(text, font, 0) == ""
    short = shortened("a long phrase", font, 60)
    assert short.startswith("a l")
    assert short.endswith("...")
    assert width_of(short, font) <= 60 < width_of("a long phrase", font)


def test_what_no_font_can_draw_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wordmask.formats.lettering._SYSTEM", ())
    assert lettered("Käse 猫 🙂", 14)[0] == "Kase"
    assert lettered("猫", 14)[0] == ""


def test_pillow_without_freetype(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: int) -> None:
        raise ImportError("The _imagingft C module is not installed")

    monkeypatch.setattr("PIL.ImageFont.load_default", missing)
    with pytest.raises(MissingExtraError, match=r"without FreeType"):
        lettered("left eye", 4321)  # a size that is not cached


def test_a_very_large_image_is_drawn_smaller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = segmentation(_found("box", (10, 10, 40, 30)), _found("none"), size=SIZE)
    full = np.asarray(result.overlay())
    monkeypatch.setattr("wordmask.formats.overlay.LARGEST_OVERLAY", SIZE[0] * SIZE[1] // 3)
    result.save(tmp_path / "small.png", style=OverlayStyle(legend=False))
    with Image.open(tmp_path / "small.png") as image:
        small = np.asarray(image)
    assert small.shape == (SIZE[0] // 2, SIZE[1] // 2, 3)
    inside, outside = (150, 200), (380, 580)
    for y, x in (inside, outside):
        np.testing.assert_allclose(small[y // 2, x // 2], full[y, x], atol=2)
