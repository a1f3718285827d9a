"""Every kind of image comes through the door right."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.images import as_file, png, scene
from wordmask.errors import ImageError
from wordmask.images import SAMPLES, RgbImage, load_image

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


# --- where images come from ---


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "WEBP", "TGA"])
def test_lossless_files_keep_every_pixel(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"scene.{kind.lower()}"
    Image.fromarray(scene()).save(path, kind, **({"lossless": True} if kind == "WEBP" else {}))
    image = load_image(path)
    np.testing.assert_array_equal(image.pixels, scene())
    assert image.name == path.name


def test_jpeg_is_read_as_pillow_reads_it() -> None:
    content = as_file(Image.fromarray(scene(64, 64)), "JPEG", quality=95)
    np.testing.assert_array_equal(load_image(content).pixels, np.asarray(Image.open(io.BytesIO(content))))


def test_path_string_bytes_stream_and_pil_agree(tmp_path: Path) -> None:
    path = tmp_path / "scene.png"
    content = as_file(Image.fromarray(scene()))
    path.write_bytes(content)
    with path.open("rb") as stream:
        sources = [
            path,
            str(path),
            content,
            bytearray(content),
            stream,
            io.BytesIO(content),
            Image.open(path),
            scene(),
        ]
        for source in sources:
            np.testing.assert_array_equal(load_image(source).pixels, scene())


def test_names() -> None:
    assert load_image(scene()).name is None
    assert load_image("sample:coffee").name == "coffee.png"
    stream = io.BytesIO(as_file(Image.fromarray(scene())))
    stream.name = "/somewhere/scene.png"
    assert load_image(stream).name == "scene.png"


def test_an_image_comes_back_as_it_is() -> None:
    image = load_image(scene())
    assert load_image(image) is image
    assert image.size == (6, 8)


@pytest.mark.parametrize(("name", "size"), [("astronaut", (512, 512)), ("chelsea", (300, 451)), ("coffee", (400, 600))])
def test_samples(name: str, size: tuple[int, int]) -> None:
    assert name in SAMPLES
    image = load_image(f"sample:{name}")
    assert image.size == size
    assert image.pixels.std() > 30


def test_pixels_are_a_read_only_copy() -> None:
    source = scene()
    image = load_image(source)
    source[:] = 0
    np.testing.assert_array_equal(image.pixels, scene())
    with pytest.raises(ValueError, match="read-only"):
        image.pixels[0, 0] = 1


def test_torch_is_not_imported_for_a_file(tmp_path: Path) -> None:
    path = tmp_path / "scene.png"
    Image.fromarray(scene()).save(path)
    code = (
        f"import sys; from wordmask.images import load_image; load_image({str(path)!r}); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# --- modes ---


def test_greyscale_is_repeated() -> None:
    grey = np.arange(48, dtype=np.uint8).reshape(6, 8)
    for source in (grey, grey[..., None], Image.fromarray(grey), as_file(Image.fromarray(grey))):
        pixels = load_image(source).pixels
        assert pixels.shape == (6, 8, 3)
        np.testing.assert_array_equal(pixels, np.stack([grey] * 3, axis=-1))


def test_black_and_white() -> None:
    bits = np.eye(8, dtype=bool)
    pixels = load_image(as_file(Image.fromarray(bits))).pixels
    np.testing.assert_array_equal(pixels[..., 0], bits * 255)


SIXTEEN = np.array([[0, 128, 129, 257], [32896, 65407, 65408, 65535]], dtype=np.uint16)
EIGHT = np.array([[0, 0, 1, 1], [128, 255, 255, 255]], dtype=np.uint8)  # round(v / 257)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled(kind: str) -> None:
    pixels = load_image(as_file(Image.fromarray(SIXTEEN), kind)).pixels
    assert np.abs(pixels[..., 1].astype(int) - EIGHT).max() == 0


def test_sixteen_bit_arrays_of_either_byte_order_are_scaled() -> None:
    for array in (SIXTEEN, SIXTEEN.astype(">u2")):
        np.testing.assert_array_equal(load_image(array).pixels[..., 2], EIGHT)


def test_sixteen_bit_colour_file_is_scaled() -> None:
    rows = b"\0" + np.array([[65535, 0, 32896], [0, 65535, 257]], dtype=">u2").tobytes()
    np.testing.assert_array_equal(load_image(png(2, 1, bits=16, data=rows)).pixels, [[[255, 0, 128], [0, 255, 1]]])


def test_wide_integers_that_fit_sixteen_bits_are_scaled() -> None:
    np.testing.assert_array_equal(load_image(Image.fromarray(SIXTEEN.astype(np.int32))).pixels[..., 0], EIGHT)


def test_wide_integers_beyond_sixteen_bits_are_refused() -> None:
    with pytest.raises(ImageError, match="values from 0 to 70000"):
        load_image(Image.fromarray(np.array([[0, 70000]], dtype=np.int32)))


def test_float_files_within_the_unit_range() -> None:
    values = np.array([[0.0, 0.5, 1.0]], dtype=np.float32)
    content = as_file(Image.fromarray(values), "TIFF")
    np.testing.assert_array_equal(load_image(content).pixels[0, :, 0], [0, 128, 255])
    with pytest.raises(ImageError, match="floats from 0 to 300"):
        load_image(as_file(Image.fromarray(values * 300), "TIFF"))


def test_palette_is_looked_up() -> None:
    palette = Image.new("P", (2, 2))
    palette.putdata([0, 1, 2, 1])
    palette.putpalette([*RED, *GREEN, *BLUE])
    for kind in ("PNG", "GIF", "BMP"):
        np.testing.assert_array_equal(load_image(as_file(palette, kind)).pixels, [[RED, GREEN], [BLUE, GREEN]])


def test_transparent_palette_lies_over_white() -> None:
    palette = Image.new("P", (2, 1))
    palette.putdata([0, 1])
    palette.putpalette([*RED, *GREEN])
    for kind in ("PNG", "GIF"):
        content = as_file(palette, kind, transparency=0)
        np.testing.assert_array_equal(load_image(content).pixels, [[(255, 255, 255), GREEN]])


def test_alpha_lies_over_white() -> None:
    rgba = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 100, 200, 128]]], dtype=np.uint8)
    expected = np.rint((rgba[..., :3] * (rgba[..., 3:] / 255)) + 255 * (1 - rgba[..., 3:] / 255))
    for source in (rgba, Image.fromarray(rgba), as_file(Image.fromarray(rgba))):
        np.testing.assert_array_equal(load_image(source).pixels, expected)


def test_grey_with_alpha() -> None:
    image = Image.merge("LA", [Image.new("L", (1, 1), 100), Image.new("L", (1, 1), 0)])
    np.testing.assert_array_equal(load_image(as_file(image)).pixels, [[(255, 255, 255)]])


@pytest.mark.parametrize("kind", ["TIFF", "JPEG"])
def test_cmyk(kind: str) -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # no cyan: red
    pixels = load_image(as_file(image, kind)).pixels.astype(int)
    assert np.abs(pixels - RED).max() <= 3


@pytest.mark.parametrize("mode", ["YCbCr", "HSV", "LAB", "RGBX", "RGBa", "La"])
def test_rarer_modes_become_rgb(mode: str) -> None:
    source = Image.new("RGBA" if mode == "RGBa" else "LA" if mode == "La" else "RGB", (3, 2), "white")
    image = Image.new("LAB", (3, 2), (255, 128, 128)) if mode == "LAB" else source.convert(mode)
    pixels = load_image(image).pixels
    assert pixels.shape == (2, 3, 3)
    assert pixels.min() >= 250


def test_the_first_image_of_an_animation_is_read() -> None:
    frames = [Image.new("RGB", (5, 4), colour) for colour in (RED, GREEN, BLUE)]
    for kind in ("GIF", "PNG", "WEBP", "TIFF"):
        content = as_file(
            frames[0], kind, save_all=True, append_images=frames[1:], **({"lossless": True} if kind == "WEBP" else {})
        )
        np.testing.assert_array_equal(load_image(content).pixels, np.full((4, 5, 3), RED))


def test_a_pil_animation_is_read_where_it_stands() -> None:
    frames = [Image.new("RGB", (5, 4), colour) for colour in (RED, GREEN)]
    image = Image.open(io.BytesIO(as_file(frames[0], "GIF", save_all=True, append_images=frames[1:])))
    image.seek(1)
    np.testing.assert_array_equal(load_image(image).pixels[0, 0], GREEN)


UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a.transpose(1, 0, 2)[:, ::-1],
    7: lambda a: a.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda a: a.transpose(1, 0, 2)[::-1],
}


@pytest.mark.parametrize("orientation", sorted(UPRIGHT))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_exif_orientation_is_applied(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    content = as_file(Image.fromarray(scene()), kind, exif=exif, **options)
    np.testing.assert_array_equal(load_image(content).pixels, UPRIGHT[orientation](scene()))


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, about the damage
def test_damaged_exif_does_not_lose_the_image() -> None:
    content = as_file(Image.fromarray(scene(32, 32)), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff garbage")
    assert load_image(content).size == (32, 32)


# --- shapes and sizes ---


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (2, 3)])
def test_extreme_sizes_are_read(tmp_path: Path, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    path = tmp_path / "thin.png"
    Image.fromarray(pixels).save(path)
    np.testing.assert_array_equal(load_image(path).pixels, pixels)


def test_pillows_own_limit_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # Pillow would warn from here on, and fail from twice that
    np.testing.assert_array_equal(load_image(as_file(Image.fromarray(scene()))).pixels, scene())


def test_the_limit_can_be_moved() -> None:
    content = as_file(Image.fromarray(scene()))
    assert load_image(content, max_pixels=48).size == (6, 8)
    with pytest.raises(ImageError, match="8 x 6 pixels"):
        load_image(content, max_pixels=47)
    with pytest.raises(ImageError, match="8 x 6 pixels"):
        load_image(Image.fromarray(scene()), max_pixels=47)


# --- arrays and tensors ---


def test_floats_are_scaled_and_rounded() -> None:
    for dtype in (np.float16, np.float32, np.float64):
        values = np.array([[0, 0.25, 0.5, 1]], dtype=dtype)
        np.testing.assert_array_equal(load_image(values).pixels[0, :, 0], [0, 64, 128, 255])


def test_floats_a_hair_outside_are_clipped() -> None:
    np.testing.assert_array_equal(load_image(np.array([[-5e-5, 1.00005]])).pixels[0, :, 0], [0, 255])


def test_tensors_channels_first_and_last() -> None:
    hwc = torch.from_numpy(scene())
    for tensor in (hwc, hwc.permute(2, 0, 1), hwc.permute(2, 0, 1).contiguous()):
        np.testing.assert_array_equal(load_image(tensor).pixels, scene())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_float_tensors(dtype: torch.dtype) -> None:
    tensor = torch.tensor([0.0, 0.5, 1.0]).to(dtype).reshape(1, 1, 3).requires_grad_()
    np.testing.assert_array_equal(load_image(tensor).pixels[0, :, 0], [0, 128, 255])


def test_an_ambiguous_tensor_is_read_channels_first() -> None:
    tensor = torch.arange(27, dtype=torch.uint8).reshape(3, 3, 3)
    np.testing.assert_array_equal(load_image(tensor).pixels, tensor.permute(1, 2, 0).numpy())


def test_views_with_any_strides_are_read() -> None:
    whole = scene()
    for view in (whole[::-1], whole[:, ::-2], np.asfortranarray(whole), whole.transpose(1, 0, 2)):
        np.testing.assert_array_equal(load_image(view).pixels, view)


def test_an_image_is_a_value() -> None:
    image = RgbImage(scene(), "scene.png")
    with pytest.raises(AttributeError):
        image.name = "other"  # type: ignore[misc]


def test_whole_numbers_of_32_bits_are_read_by_their_range() -> None:
    """Pillow's mode I holds 8 bits after `convert("I")`, and 16 from files."""
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(load_image(Image.fromarray(ramp).convert("I")).pixels[..., 0], ramp)
    assert np.array_equal(load_image(Image.fromarray(ramp.astype(np.int32) * 257)).pixels[..., 0], ramp)


def test_an_empty_path_is_called_empty() -> None:
    with pytest.raises(ImageError, match=r"Got an empty path, expected the path of an image"):
        load_image("")


@pytest.mark.parametrize("brand", [b"heic", b"mif1"])
def test_heic_is_named_with_its_remedy(brand: bytes) -> None:
    with pytest.raises(ImageError, match=r"bytes, which is a HEIC image.*convert it to JPEG.*pillow-heif"):
        load_image(b"\0\0\0\x18ftyp" + brand + bytes(100))


def test_a_stream_of_standard_input_is_called_so() -> None:
    stream = io.BytesIO(b"hello")
    stream.name = "<stdin>"  # type: ignore[attr-defined]
    with pytest.raises(ImageError, match=r"Got standard input, which is not an image"):
        load_image(stream)
