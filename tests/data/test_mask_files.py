"""Masks and label maps as tools write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from wordmask.data.mask_files import read_labels, read_mask
from wordmask.errors import DataError

OBJECT = np.array([[0, 1, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]], dtype=bool)


def saved(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)
    return path


def coloured(colours: dict[bool, tuple[int, ...]]) -> Image.Image:
    pixels = np.array([colours[bool(value)] for value in OBJECT.ravel()], dtype=np.uint8)
    return Image.fromarray(pixels.reshape(*OBJECT.shape, -1))


def palette(background: int, thing: int, colours: dict[int, tuple[int, int, int]]) -> Image.Image:
    image = Image.fromarray(np.where(OBJECT, thing, background).astype(np.uint8)).convert("P")
    image.putdata(np.where(OBJECT, thing, background).ravel().tolist())
    table = np.zeros((256, 3), dtype=np.uint8)
    for index, colour in colours.items():
        table[index] = colour
    image.putpalette(table.ravel().tolist())
    return image


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (np.uint8, (0, 1)), (np.uint8, (0, 255)), (np.uint8, (0, 38)), (np.uint8, (1, 2)), (np.uint8, (128, 255)),
        (np.uint16, (0, 1)), (np.uint16, (0, 255)), (np.uint16, (0, 65535)), (np.float32, (0, 1)),
    ],
)  # fmt: skip
def test_of_two_values_the_larger_is_the_object(tmp_path: Path, kind: type, values: tuple[int, int]) -> None:
    image = Image.fromarray(np.where(OBJECT, values[1], values[0]).astype(kind))
    np.testing.assert_array_equal(read_mask(saved(image, tmp_path / "m.tif"), "a mask"), OBJECT)


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(OBJECT),
        coloured({False: (0, 0, 0), True: (0, 0, 255)}),
        coloured({False: (0, 0, 0, 255), True: (255, 255, 255, 255)}),
        coloured({False: (255, 255, 255, 0), True: (255, 255, 255, 255)}),  # white everywhere: the alpha tells
        coloured({False: (0, 0, 0, 0), True: (0, 0, 0, 255)}),
        coloured({False: (255, 255, 255, 0), True: (200, 0, 0, 255)}),
        palette(0, 1, {1: (128, 0, 0)}),
        palette(0, 1, {0: (250, 250, 250), 1: (128, 0, 0)}),
        palette(0, 1, {}),  # two indices of one colour
        palette(1, 0, {0: (255, 255, 255)}),  # black and white: the colours tell
    ],
    ids=["1 bit", "blue", "opaque", "alpha", "black on nothing", "red on nothing", "VOC", "light", "no colours", "b/w"],
)
def test_colours_alpha_and_palettes(tmp_path: Path, image: Image.Image) -> None:
    np.testing.assert_array_equal(read_mask(saved(image, tmp_path / "m.png"), "a mask"), OBJECT)


def test_opaque_black_is_not_the_object_beside_opaque_white(tmp_path: Path) -> None:
    pixels = np.zeros((1, 3, 4), dtype=np.uint8)
    pixels[0] = (255, 255, 255, 255), (0, 0, 0, 255), (255, 255, 255, 0)
    path = saved(Image.fromarray(pixels), tmp_path / "m.png")
    assert read_mask(path, "a mask").tolist() == [[True, False, False]]


def test_soft_edges_are_cut_in_the_middle(tmp_path: Path) -> None:
    for kind, scale in ((np.uint8, 1), (np.uint16, 257)):
        values = (np.array([[0, 90, 127, 128, 255]]) * scale).astype(kind)
        mask = read_mask(saved(Image.fromarray(values), tmp_path / "m.png"), "a mask")
        assert mask.tolist() == [[False, False, False, True, True]]


@pytest.mark.parametrize(("value", "full"), [(0, False), (1, True), (255, True)])
def test_a_mask_of_one_value(tmp_path: Path, value: int, full: bool) -> None:
    path = saved(Image.fromarray(np.full((2, 3), value, np.uint8)), tmp_path / "m.png")
    assert read_mask(path, "a mask").tolist() == [[full] * 3] * 2


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        (Image.fromarray(np.array([[0, 1, 2, 3]], np.uint8)), "values from 0 to 3, neither two values nor"),
        (Image.fromarray(np.full((2, 2), 30, np.uint8)), "values from 30 to 30"),
        (Image.new("RGBA", (3, 2), (255, 255, 255, 0)), "no pixel that is opaque"),
    ],
)
def test_what_is_no_mask_is_refused(tmp_path: Path, image: Image.Image, problem: str) -> None:
    path = saved(image, tmp_path / "m.png")
    with pytest.raises(DataError, match=rf"m\.png' with {problem}.* white where the object is"):
        read_mask(path, "a mask")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_grey_label_maps_in_colour_modes(tmp_path: Path, mode: str) -> None:
    values = np.array([[0, 7, 255]], dtype=np.uint8)
    path = saved(Image.fromarray(values).convert(mode), tmp_path / "l.png")
    np.testing.assert_array_equal(read_labels(path, "labels"), values)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_masks_and_label_maps_are_turned_upright(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(Image.fromarray(OBJECT.astype(np.uint8)), tmp_path / "m.png", exif=exif)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(read_mask(path, "a mask"), expected > 0)
    np.testing.assert_array_equal(read_labels(path, "labels"), expected)
