"""Files of data sets: what is read, and the sentence for each way in which a file can be wrong."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.data.contract import write_image, write_labels
from wordmask.data import mask_files, reading
from wordmask.errors import DataError
from wordmask.images import load_image

TURNED = 6  # EXIF: the image lies on its right side


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def grey_png(rows: list[bytes], width: int, bits: int) -> bytes:
    """A PNG of one grey channel, written by hand: Pillow writes 8 and 16 bits only."""
    header = struct.pack(">IIBBBBB", width, len(rows), bits, 0, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def turned_image(path: Path) -> Path:
    """An image stored 4 high and 6 wide, that viewers show 6 high and 4 wide."""
    exif = Image.Exif()
    exif[0x0112] = TURNED
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    Image.fromarray(pixels).save(path, exif=exif)
    return path


# --- text and JSON -------------------------------------------------------------------------------------------------


def test_lines_lose_their_blanks(tmp_path: Path) -> None:
    path = tmp_path / "ids.txt"
    path.write_bytes(b"\xef\xbb\xbf  a \r\n\r\nb c\n")
    assert reading.read_lines(path, "ids") == ("a", "b c")


def test_json_is_checked_for_its_outermost_kind(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_text('[1, {"a": "ä"}]', encoding="utf-8")
    assert reading.read_json(path, "a list", list) == [1, {"a": "ä"}]
    with pytest.raises(DataError, match=r"list\.json' with a list outermost instead of an object, expected a table: "):
        reading.read_json(path, "a table", dict)


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": }', b"\xff\xfe{}", b"[" * 100_000])
def test_damaged_json_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "damaged.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"damaged\.json' with damaged JSON .*, expected a table: give the folder"):
        reading.read_json(path, "a table", dict)


def test_text_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "ids.txt"
    path.write_bytes(b"\xff\xff\xfe")
    with pytest.raises(DataError, match=r"ids\.txt' with bytes that are no text"):
        reading.read_lines(path, "ids")


@pytest.mark.parametrize(
    ("record", "field", "kind", "problem"),
    [
        ({}, "id", int, "no field 'id' in image 3"),
        ([], "id", int, "no field 'id' in image 3"),
        ({"id": "7"}, "id", int, "a text as field 'id' of image 3 instead of a whole number"),
        ({"id": True}, "id", int, "true or false as field 'id' of image 3 instead of a whole number"),
        ({"id": 7.0}, "id", int, "a number as field 'id'"),
        ({"box": None}, "box", list, "nothing as field 'box' of image 3 instead of a list"),
    ],
)
def test_wrong_fields_are_named(record: Any, field: str, kind: type, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        reading.require_field(record, field, kind, "x.json", "images", of="image 3")


def test_sound_fields_are_returned() -> None:
    assert reading.require_field({"id": 7}, "id", int, "x.json", "images") == 7
    assert reading.require_field({"area": 7}, "area", float, "x.json", "images") == 7
    assert reading.require_field({"crowd": True}, "crowd", bool, "x.json", "images") is True


@pytest.mark.parametrize(
    "read",
    [
        lambda path: reading.read_json(path, "what is in it", dict),
        lambda path: reading.read_lines(path, "what is in it"),
        lambda path: reading.read_bytes(path, "what is in it"),
        lambda path: mask_files.read_labels(path, "what is in it"),
        lambda path: mask_files.read_mask(path, "what is in it"),
        lambda path: reading.read_size(path, "what is in it"),
        lambda path: reading.read_image(path, (4, 6), "what is in it"),
        lambda path: reading.fingerprint([path]),
    ],
)
def test_missing_files_and_folders_in_their_place_are_named(tmp_path: Path, read: Callable[[Path], Any]) -> None:
    with pytest.raises(DataError, match=r"^Got no file '.*gone\.bin', expected a file with .*: .*\.$"):
        read(tmp_path / "deep" / "gone.bin")
    (tmp_path / "gone.bin").mkdir()
    with pytest.raises(DataError, match=r"^Got the folder '.*gone\.bin', expected a file with "):
        read(tmp_path / "gone.bin")


def test_folders(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "file").write_bytes(b"")
    assert reading.require_folder(tmp_path / "b", "images") == tmp_path / "b"
    assert reading.first_folder(tmp_path, ("a", "b"), "images") == tmp_path / "b"
    with pytest.raises(DataError, match=r"no folder '.*x', expected a folder with images"):
        reading.require_folder(tmp_path / "x", "images")
    with pytest.raises(DataError, match=r"the file '.*file', expected a folder with images"):
        reading.require_folder(tmp_path / "file", "images")
    with pytest.raises(DataError, match=r"no folder '.*x' or 'y' beside it, expected a folder with images"):
        reading.first_folder(tmp_path, ("x", "y"), "images")


def test_choices_and_indices() -> None:
    assert reading.require_choice("val", ("train", "val"), "split") == "val"
    with pytest.raises(DataError, match="the split 'test', expected one of train, val: choose one"):
        reading.require_choice("test", ("train", "val"), "split")
    assert reading.require_index(2, 3) == 2
    for outside in (-1, 3):
        with pytest.raises(IndexError, match=f"sample {outside} of 3"):
            reading.require_index(outside, 3)


# --- images ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
def test_size_and_image_without_decoding(tmp_path: Path, ending: str) -> None:
    path = write_image(tmp_path / f"a.{ending}", (40, 60))
    assert reading.read_size(path) == (40, 60)
    assert reading.read_image(path, (40, 60)) == path
    if ending == "jpg":
        path.write_bytes(path.read_bytes()[:700])  # the header is there, pixels are missing
        assert reading.read_size(path) == (40, 60)


def test_an_image_of_another_size_than_its_ground_truth(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.png", (4, 6))
    with pytest.raises(DataError, match=r"a\.png' with 4 x 6 pixels .* of the size of its ground truth, 6 x 4"):
        reading.read_image(path, (6, 4))


def test_a_rotated_image_follows_its_ground_truth(tmp_path: Path) -> None:
    path = turned_image(tmp_path / "turned.png")
    assert reading.read_size(path) == load_image(path).size == (6, 4)
    assert reading.read_image(path, (6, 4)) == path  # drawn on what viewers show
    with pytest.raises(DataError, match=r"turned\.png' with 6 x 4 pixels when upright .* as its EXIF .* truth, 4 x 6"):
        reading.read_image(path, (4, 6))
    stored = load_image(reading.read_image(path, (4, 6), as_stored=True))  # drawn on the pixels as they are stored
    assert stored.size == (4, 6)
    np.testing.assert_array_equal(stored.pixels, np.arange(72, dtype=np.uint8).reshape(4, 6, 3))


@pytest.mark.parametrize("content", [b"", b"text", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"])
def test_what_is_no_image(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.jpg"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"bad\.jpg' with contents that are no image, expected an image: "):
        reading.read_size(path)


# --- label maps ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ending", "bits"), [("png", 8), ("png", 16), ("tif", 8), ("tif", 16)])
def test_label_maps_of_8_and_16_bits(tmp_path: Path, ending: str, bits: int) -> None:
    values = np.array([[0, 1, 2], [128, 254, 255 if bits == 8 else 65535]])
    labels = mask_files.read_labels(write_labels(tmp_path / f"a.{ending}", values, bits=bits), "labels")
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, values)


@pytest.mark.parametrize(("bits", "row", "expected"), [(1, 0b10100000, [1, 0, 1]), (2, 0b11100100, [3, 2, 1])])
def test_label_maps_of_few_bits_keep_their_values(tmp_path: Path, bits: int, row: int, expected: list[int]) -> None:
    path = tmp_path / "few.png"
    path.write_bytes(grey_png([bytes([row])], 3, bits))
    np.testing.assert_array_equal(mask_files.read_labels(path, "labels"), [expected])


def test_label_maps_of_four_bits(tmp_path: Path) -> None:
    path = tmp_path / "four.png"
    path.write_bytes(grey_png([bytes([0x0F, 0x71]), bytes([0x23, 0x45])], 4, 4))
    np.testing.assert_array_equal(mask_files.read_labels(path, "labels"), [[0, 15, 7, 1], [2, 3, 4, 5]])


def test_a_palette_gives_its_indices(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 15, 255]], dtype=np.uint8)).convert("P")
    image.putpalette([value for index in range(256) for value in (255 - index, index // 2, 7)])
    image.putdata([0, 15, 255])
    image.save(tmp_path / "palette.png")
    np.testing.assert_array_equal(mask_files.read_labels(tmp_path / "palette.png", "labels"), [[0, 15, 255]])


def test_colours_and_other_sizes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.png' with colours \(RGB\), expected labels as one channel"):
        mask_files.read_labels(write_image(tmp_path / "a.png"), "labels")
    path = write_labels(tmp_path / "b.png", np.zeros((2, 3)))
    with pytest.raises(DataError, match=r"b\.png' with 2 x 3 pixels .* expected labels of 3 x 2"):
        mask_files.read_labels(path, "labels", (3, 2))
    write_labels(path, np.random.default_rng(0).integers(0, 9, (40, 40)))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"b\.png' with damage"):
        mask_files.read_labels(path, "labels")


@pytest.mark.parametrize("mode", ["L", "RGB", "1", "P"])
def test_masks_in_black_and_white(tmp_path: Path, mode: str) -> None:
    values = np.array([[0, 255, 255], [0, 0, 255]], dtype=np.uint8)
    Image.fromarray(values).convert(mode).save(tmp_path / "mask.png")
    mask = mask_files.read_mask(tmp_path / "mask.png", "a mask")
    assert mask.dtype == np.bool_
    np.testing.assert_array_equal(mask, values > 0)


# --- fingerprint ---------------------------------------------------------------------------------------------------


def test_fingerprint_depends_on_contents_names_order_and_options(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"1")
    second.write_bytes(b"2")
    base = reading.fingerprint([first, second], seed=1, split="val")
    assert reading.fingerprint([first, second], split="val", seed=1) == base
    others = {
        reading.fingerprint([second, first], seed=1, split="val"),
        reading.fingerprint([first], seed=1, split="val"),
        reading.fingerprint([first, second], seed=2, split="val"),
        reading.fingerprint([first, second], seed=1),
    }
    second.write_bytes(b"3")
    others.add(reading.fingerprint([first, second], seed=1, split="val"))
    assert len(others | {base}) == 6
    assert {len(value) for value in others} == {16}
