"""Everything that is not an image gets one clear sentence."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.images import as_file, png, scene
from wordmask.errors import ImageError
from wordmask.images import load_image
from wordmask.images.decoding import quiet_libraries


@pytest.mark.parametrize("size", [(30_000, 30_000), (2**31 - 1, 2**31 - 1), (14_143, 14_143)])
def test_bombs_are_refused_before_they_are_decoded(size: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match="at most 200 million"):
        load_image(png(*size))


BAD_ARRAYS: list[tuple[Any, str]] = [
    (np.zeros((3, 20, 30), np.uint8), r"shape \(3, 20, 30\).*transpose\(1, 2, 0\)"),
    (np.zeros((1, 3, 20, 30), np.uint8), r"shape \(1, 3, 20, 30\)"),
    (np.zeros((20, 30, 2), np.uint8), r"shape \(20, 30, 2\)"),
    (np.zeros(20, np.uint8), r"shape \(20,\)"),
    (np.array(5, np.uint8), r"shape \(\)"),
    (np.zeros((0, 5, 3), np.uint8), "at least one pixel"),
    (np.zeros((5, 0), np.uint8), "at least one pixel"),
    (np.zeros((4, 4), np.int64), "int64.*uint8"),
    (np.zeros((4, 4), bool), "bool.*uint8"),
    (np.zeros((4, 4), complex), "complex128.*uint8"),
    (np.full((4, 4), "x"), "<U1.*uint8"),
    (np.full((4, 4), None), "object.*uint8"),
    (np.full((4, 4), np.nan), "NaN or infinite.*finite"),
    (np.array([[0.5, np.inf]]), "NaN or infinite.*finite"),
    (np.array([[0.0, 255.0]]), "floats from 0 to 255.*divide it by 255"),
    (np.array([[-2.1, 2.4]]), "floats from -2.1 to 2.4.*normalisation"),
    (torch.zeros(2, 3, 8, 8), r"tensor of shape .*batch\[0\]"),
    (torch.zeros(3, 8, 8, dtype=torch.int64), "int64.*uint8"),
    (torch.full((3, 8, 8), float("nan")), "NaN or infinite"),
    (torch.zeros(3, 8, 8).to_sparse(), "sparse.*dense tensor.*to_dense"),
    (torch.zeros(3, 8, 8, device="meta"), "on meta.*dense tensor"),
]


@pytest.mark.parametrize(("array", "message"), BAD_ARRAYS)
def test_bad_arrays(array: Any, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        load_image(array)


@pytest.mark.parametrize("value", [None, 5, 2.5, [[1, 2], [3, 4]], {"a": 1}, object()])
def test_other_types(value: Any) -> None:
    with pytest.raises(ImageError, match=f"of type {type(value).__name__}, expected a path, bytes"):
        load_image(value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"nope\.png.*nothing.*check the spelling"):
        load_image(tmp_path / "nope.png")


def test_folder(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"the folder.*expected an image file"):
        load_image(tmp_path)


def test_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty.jpg"
    path.touch()
    with pytest.raises(ImageError, match=r"empty file.*empty\.jpg"):
        load_image(path)
    with pytest.raises(ImageError, match="nothing in bytes"):
        load_image(b"")


@pytest.mark.parametrize(
    "content", [b"hello", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"%!PS-Adobe-3.0 EPSF", b"\0" * 500]
)
def test_files_that_are_no_images(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "not.png"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"not\.png.*not an image or is damaged"):
        load_image(path)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_truncated_files(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    content = as_file(Image.fromarray(noise), kind)
    with pytest.raises(ImageError, match=r"damaged|cut short"):
        load_image(content[: len(content) // 2])


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, about the damage
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "TGA", "ICO", "JPEG2000"])
def test_corrupt_files_are_read_or_refused(kind: str) -> None:
    """Whatever the damage: an image or an ImageError, nothing else."""
    rng = np.random.default_rng(7)
    content = as_file(Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)), kind)
    refused = 0
    for _ in range(60):
        damaged = np.frombuffer(content, dtype=np.uint8).copy()
        damaged[rng.integers(0, len(damaged), 4)] = rng.integers(0, 256, 4)
        try:
            image = load_image(damaged.tobytes(), max_pixels=1_000_000)
        except ImageError:
            refused += 1
        else:
            assert image.pixels.dtype == np.uint8
            assert image.pixels.ndim == 3
    print(f"{kind}: {refused} of 60 refused")


def test_zero_size_image() -> None:
    with pytest.raises(ImageError, match="0 x 5 pixels"):
        load_image(Image.new("RGB", (0, 5)))


def test_text_stream(tmp_path: Path) -> None:
    path = tmp_path / "scene.txt"
    path.write_text("hello")
    with path.open() as stream, pytest.raises(ImageError, match=r"opened as text.*'rb'"):
        load_image(stream)  # type: ignore[arg-type]


def test_closed_stream() -> None:
    stream = io.BytesIO(b"abc")
    stream.close()
    with pytest.raises(ImageError, match="cannot be read"):
        load_image(stream)


def test_addresses_are_not_fetched() -> None:
    with pytest.raises(ImageError, match="download it first"):
        load_image("https://example.org/cat.jpg")


@pytest.mark.parametrize("path", ["a\0b.png", "x" * 5000 + ".png"])
def test_impossible_paths(path: str) -> None:
    with pytest.raises(ImageError, match="cannot open"):
        load_image(path)


def test_unknown_sample() -> None:
    with pytest.raises(ImageError, match=r"sample:dog.*sample:astronaut"):
        load_image("sample:dog")


@pytest.mark.skipif(os.name == "nt", reason="no device files")
def test_device_file() -> None:
    with pytest.raises(ImageError, match="no ordinary file"):
        load_image("/dev/null")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="everything may be read here")
def test_unreadable_file(tmp_path: Path) -> None:
    path = tmp_path / "secret.png"
    Image.fromarray(scene()).save(path)
    path.chmod(0)
    with pytest.raises(ImageError, match="may not be read"):
        load_image(path)


def test_permission_denied_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.png"
    Image.fromarray(scene()).save(path)

    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", denied)
    with pytest.raises(ImageError, match=r"may not be read.*change its permissions"):
        load_image(path)


@pytest.mark.parametrize("value", [np.zeros((9, 12, 3), np.uint8), torch.zeros(3, 9, 12), Image.new("L", (12, 9))])
def test_arrays_have_the_limit_of_files(value: Any) -> None:
    with pytest.raises(ImageError, match=r"of 12 x 9 pixels, expected at most 0.0001 million"):
        load_image(value, max_pixels=100)
    assert load_image(value, max_pixels=108).size == (9, 12)


@pytest.mark.parametrize("kind", ["TIFF", "ICO"])  # in WebP, newer versions of Pillow alone have a limit
def test_pillows_own_limit_is_no_damage(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    content = as_file(Image.fromarray(np.zeros((64, 64, 3), np.uint8)), kind)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ImageError, match=r"too large for the decoder of its format.*(scale it down|save it as)"):
        load_image(content)


class _Endless(io.RawIOBase):
    """A stream that never ends."""

    name = "<stdin>"

    def read(self, size: int = -1) -> bytes:
        assert size > 0, "read to its end"
        return bytes(size)


def test_an_endless_stream_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wordmask.images.files.MAX_BYTES", 10_000_000)
    with pytest.raises(ImageError, match="more than 10 MB from standard input, expected the bytes of one image"):
        load_image(_Endless())  # type: ignore[arg-type]


def test_commands_keep_libtiffs_lines_to_themselves(capfd: pytest.CaptureFixture[str]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    content = as_file(Image.fromarray(noise), "TIFF", compression="tiff_lzw")
    damaged = content[:200] + bytes(range(200)) + content[400:]
    with quiet_libraries(), pytest.raises(ImageError, match="damaged or cut short"):
        load_image(damaged)
    assert capfd.readouterr().err == ""
