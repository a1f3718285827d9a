"""Images of rare depths, with transparency, and very large ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.images import as_file, scene
from wordmask.errors import WordmaskWarning
from wordmask.images import load_image


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_grey_of_16_bits_is_scaled_by_the_bits_it_uses(bits: int) -> None:
    full = 2**bits - 1
    values = np.array([[0, full // 2, full]], np.uint16)
    expected = np.repeat(np.array([[0, 127, 255]], np.uint8)[..., None], 3, axis=2)
    for image in (values, np.repeat(values[..., None], 3, axis=2), values.astype(">u2"), Image.fromarray(values)):
        np.testing.assert_array_equal(load_image(image).pixels, expected)
    np.testing.assert_array_equal(load_image(as_file(Image.fromarray(values), "TIFF")).pixels, expected)
    np.testing.assert_array_equal(load_image(Image.fromarray(values.astype(np.int32))).pixels, expected)


@pytest.mark.parametrize("bits", [8, 12])
def test_dark_colours_of_16_bits_are_told(bits: int) -> None:
    import cv2

    values = np.random.default_rng(0).integers(0, 2**bits, (6, 8, 3), dtype=np.uint16)
    for suffix in (".png", ".tif"):
        content = cv2.imencode(suffix, values)[1].tobytes()
        with pytest.warns(WordmaskWarning, match="colours of 16 bits use 14 or fewer"):
            load_image(content)
        load_image(cv2.imencode(suffix, values << (16 - bits))[1].tobytes())


@pytest.mark.parametrize("kind", ["TIFF", "PNG", "array", "WEBP"])
def test_alpha_of_zero_everywhere_is_ignored_where_colours_vary(kind: str) -> None:
    values = np.dstack([scene(), np.zeros((6, 8), np.uint8)])
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    shown = values if kind == "array" else as_file(Image.fromarray(values), kind, **options)
    np.testing.assert_array_equal(load_image(shown).pixels, scene())
    values[..., :3] = 0
    shown = values if kind == "array" else as_file(Image.fromarray(values), kind, **options)
    assert (load_image(shown).pixels == 255).all()


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_a_matrix_is_an_array() -> None:
    matrix = np.matrix(np.arange(6, dtype=np.uint8).reshape(2, 3))
    np.testing.assert_array_equal(load_image(matrix).pixels[..., 1], [[0, 1, 2], [3, 4, 5]])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["RGB", "RGBA", "P", "L", "I;16", "F"])
def test_strips_equal_the_whole(monkeypatch: pytest.MonkeyPatch, kind: str, orientation: int) -> None:
    """Every mode and orientation gives the same, converted row by row or at once."""
    values = np.random.default_rng(1).integers(0, 256, (9, 7, 4), dtype=np.uint8)
    made = {"RGBA": lambda: Image.fromarray(values), "I;16": lambda: Image.fromarray(values[..., 0].astype(np.uint16)),
            "F": lambda: Image.fromarray(values[..., 0].astype(np.float32) / 255)}  # fmt: skip
    image = made[kind]() if kind in made else Image.fromarray(values[..., :3]).convert(kind)
    image.getexif()[0x0112] = orientation
    whole = load_image(image).pixels
    monkeypatch.setattr("wordmask.images.pixels.STRIP", 7)
    np.testing.assert_array_equal(load_image(image).pixels, whole)
    np.testing.assert_array_equal(load_image(ImageOps.exif_transpose(image)).pixels, whole)
    assert whole.shape == ((7, 9, 3) if orientation >= 5 else (9, 7, 3))


def test_large_images_take_three_bytes_a_pixel_beside_the_decoders() -> None:
    """Measured in a process of its own, on 24 megapixels: Pillow's own copy has 4 bytes a pixel, a palette 1."""
    program = """
import resource, sys, io
from PIL import Image, ImageOps
from wordmask.images import load_image
from wordmask.ops.geometry import squash
from wordmask.ops.resize import place
contents = []
for mode in ("P", "RGB"):
    file = io.BytesIO()
    Image.new(mode, (6000, 4000)).save(file, "PNG", compress_level=1)
    contents.append(file.getvalue())
    del file
def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) * 1024
for content in contents:
    open("/proc/self/clear_refs", "w").write("5")
    before = peak()
    image = load_image(content)
    place(image.pixels, squash(image.size, (352, 352)))
    print((peak() - before) / 24e6)
    del image
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    if "clear_refs" in done.stderr or not Path("/proc/self/clear_refs").exists():
        pytest.skip("no peak memory to read here")
    palette, colours = map(float, done.stdout.split())
    assert palette < 4.6
    assert colours < 7.6
