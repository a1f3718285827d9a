"""Read the files of a data set; an error names the file that is missing or malformed.

Every function takes the path, what should be there (a noun phrase for the message, such as "the instances of COCO")
and, where a better one than the default is known, a remedy (what a user can do about it).
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
from PIL import Image

from wordmask.errors import DataError, quote, sentence
from wordmask.images import RgbImage

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence


__all__ = [
    "DAMAGE",
    "fingerprint",
    "first_folder",
    "is_file",
    "is_folder",
    "malformed",
    "orientation_of",
    "read_bytes",
    "read_image",
    "read_json",
    "read_lines",
    "read_size",
    "require_choice",
    "require_field",
    "require_file",
    "require_folder",
    "require_index",
    "show",
]

REMEDY = "give the folder as its authors lay it out, or download the file again"

_Value = TypeVar("_Value")
_BLOCK = 1 << 20  # bytes hashed at once
_ORIENTATION = 0x0112  # EXIF
_ON_ITS_SIDE = 5  # orientations from here on swap height and width
# What decoders raise on damaged data; also read by `mask_files`.
DAMAGE = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, AttributeError, OverflowError,
    MemoryError, NotImplementedError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip


# --- messages ------------------------------------------------------------------------------------------------------


def show(path: str | os.PathLike[str]) -> str:
    """Return a path in quotes, long enough that the file's own name is never cut."""
    return quote(path, limit=1000)


def malformed(path: str | os.PathLike[str], what: str, problem: object, remedy: str = REMEDY) -> DataError:
    """Return the error for a file that is there but not as its authors lay it out.

    Args:
        path: The file.
        what: What it should hold.
        problem: What is wrong with it, such as "no field 'id' in image 3".
        remedy: What to do.
    """
    return DataError(sentence(f"the file {show(path)} with {problem}", what, remedy))


# --- files ---------------------------------------------------------------------------------------------------------


def is_file(path: str | os.PathLike[str]) -> bool:
    """Whether there is an ordinary file; False for a path that the system cannot have, such as a name too long."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Whether there is a folder; False for a path that the system cannot have."""
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):
        return False


def require_folder(path: str | os.PathLike[str], what: str, remedy: str = REMEDY) -> Path:
    """Return the path of a folder.

    Raises:
        DataError: If it is not there or is a file.
    """
    folder = Path(path)
    if not is_folder(folder):
        got = f"the file {show(folder)}" if is_file(folder) else f"no folder {show(folder)}"
        raise DataError(sentence(got, f"a folder with {what}", remedy))
    return folder


def require_file(path: str | os.PathLike[str], what: str, remedy: str = REMEDY) -> Path:
    """Return the path of a file.

    Raises:
        DataError: If it is not there or is a folder.
    """
    file = Path(path)
    if not is_file(file):
        got = f"the folder {show(file)}" if is_folder(file) else f"no file {show(file)}"
        raise DataError(sentence(got, f"a file with {what}", remedy))
    return file


def first_folder(root: str | os.PathLike[str], candidates: Sequence[str], what: str, remedy: str = REMEDY) -> Path:
    """Return the first of some folders under `root` that is there.

    Raises:
        DataError: If none is.
    """
    for candidate in candidates:
        if is_folder(Path(root) / candidate):
            return Path(root) / candidate
    others = "".join(f" or {quote(candidate)}" for candidate in candidates[1:])
    raise DataError(
        sentence(f"no folder {show(Path(root) / candidates[0])}{others} beside it", f"a folder with {what}", remedy)
    )


def read_bytes(path: str | os.PathLike[str], what: str, remedy: str = REMEDY) -> bytes:
    """Return a file's contents.

    Raises:
        DataError: If it is missing or may not be read.
    """
    file = require_file(path, what, remedy)
    try:
        return file.read_bytes()
    except OSError as error:
        got = f"the file {show(file)}, which cannot be read ({quote(error.strerror)})"
        raise DataError(sentence(got, what, "check its permissions and the disk")) from error


def read_lines(path: str | os.PathLike[str], what: str, remedy: str = REMEDY) -> tuple[str, ...]:
    """Return the lines of a text file (UTF-8), without blanks around them and without blank lines.

    Raises:
        DataError: If it is missing or is no text.
    """
    content = read_bytes(path, what, remedy)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise malformed(path, what, "bytes that are no text", remedy) from error
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def read_json(
    path: str | os.PathLike[str], what: str, kind: type[_Value], remedy: str = REMEDY, *, unique: bool = False
) -> _Value:
    """Return what a JSON file holds.

    Args:
        path: The file.
        what: What it should hold.
        kind: `dict` or `list`: what the outermost value must be.
        remedy: What to do when it is missing or malformed.
        unique: Whether a key that an object has twice is an error; otherwise its last value counts.

    Raises:
        DataError: If it is missing, is not JSON or holds another kind of value.
    """
    try:
        value = json.loads(read_bytes(path, what, remedy), object_pairs_hook=_unique if unique else None)
    except (ValueError, RecursionError) as error:
        raise malformed(path, what, f"damaged JSON ({quote(error, limit=100)})", remedy) from error
    if not isinstance(value, kind):
        raise malformed(path, what, f"{_kind(type(value))} outermost instead of {_kind(kind)}", remedy)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} twice")
    return values


def require_field(
    record: Any, field: str, kind: type[_Value], path: str | os.PathLike[str], what: str, *, of: str = "it"
) -> _Value:
    """Return a field of something read from a JSON file.

    Args:
        record: What should be a JSON object.
        field: Its key.
        kind: `int`, `float` (any number), `str`, `bool`, `list` or `dict`.
        path: The file, for the message.
        what: What the file should hold.
        of: What `record` is called in the message, such as "image 3".

    Raises:
        DataError: If `record` is no object, or the field is missing or of another type.
    """
    if not isinstance(record, dict) or field not in record:
        raise malformed(path, what, f"no field {field!r} in {of}")
    value = record[field]
    number = kind is float and isinstance(value, int)
    if not (isinstance(value, kind) or number) or (isinstance(value, bool) and kind is not bool):
        raise malformed(path, what, f"{_kind(type(value))} as field {field!r} of {of} instead of {_kind(kind)}")
    return cast("_Value", value)


def _kind(kind: type) -> str:
    words = {dict: "an object", list: "a list", str: "a text", int: "a whole number", float: "a number"}
    return words.get(kind, "nothing" if kind is type(None) else "true or false" if kind is bool else kind.__name__)


# --- images ------------------------------------------------------------------------------------------------------


def read_size(path: str | os.PathLike[str], what: str = "an image", remedy: str = REMEDY) -> tuple[int, int]:
    """Return `(H, W)` of an image, upright as `load_image` reads it, from its header alone.

    Raises:
        DataError: If the file is missing or is no image.
    """
    (height, width), orientation = _header(path, what, remedy)
    return (width, height) if orientation >= _ON_ITS_SIDE else (height, width)


def read_image(
    path: str | os.PathLike[str],
    size: tuple[int, int],
    what: str = "an image",
    remedy: str = REMEDY,
    *,
    as_stored: bool = False,
) -> Path | RgbImage:
    """Return an image whose ground truth has the given `(H, W)`: nearly always the path itself, only its header read.

    Args:
        path: The image.
        size: `(H, W)` of its ground truth.
        what: What it is, for messages.
        remedy: What to do.
        as_stored: Whether the ground truth is drawn on the pixels as they are stored, as in published sets, and not on
            the upright image (EXIF orientation applied), as users' data and the masks that wordmask writes are. The
            few images that would turn are then decoded here, unturned, unless the ground truth has the turned size.

    Raises:
        DataError: If the file is missing, is no image, or is of another size than its ground truth.
    """
    stored, orientation = _header(path, what, remedy)
    upright = (stored[1], stored[0]) if orientation >= _ON_ITS_SIDE else stored
    if size == upright and (size != stored or orientation == 1 or not as_stored):
        return Path(path)
    if size == stored and not as_stored:
        problem = f"{upright[0]} x {upright[1]} pixels when upright (height x width), as its EXIF orientation says"
        expected = f"{what} of the size of its ground truth, {size[0]} x {size[1]}"
        raise malformed(path, expected, problem, "turn its masks as viewers turn the image, or remove the orientation")
    if size != stored:
        problem = f"{upright[0]} x {upright[1]} pixels (height x width)"
        raise malformed(path, f"{what} of the size of its ground truth, {size[0]} x {size[1]}", problem, remedy)
    try:
        with Image.open(path) as image:
            pixels = np.array(image.convert("RGB"))
    except DAMAGE as error:
        raise malformed(path, what, f"damage ({quote(error, limit=60)})", remedy) from error
    pixels.flags.writeable = False
    return RgbImage(pixels, Path(path).name)


def _header(path: str | os.PathLike[str], what: str, remedy: str) -> tuple[tuple[int, int], int]:
    """Return `(H, W)` as stored and the EXIF orientation, 1 to 8 (from 5 on the image lies on its side)."""
    file = require_file(path, what, remedy)
    try:
        with Image.open(file) as image:
            width, height = image.size
            orientation = orientation_of(image)
    except DAMAGE as error:
        raise malformed(file, what, "contents that are no image", remedy) from error
    return (height, width), orientation


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation of an open image, 1 to 8; 1 where it has none, or a damaged one."""
    if image.format == "PNG" and "exif" not in image.info:
        return 1  # Pillow would decode the whole image to look for one behind the pixels
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except DAMAGE:  # a damaged EXIF block turns nothing
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


# --- samples -------------------------------------------------------------------------------------------------------


def require_index(index: int, length: int) -> int:
    """Return an index of a sample.

    Raises:
        IndexError: If it is negative or too large.
    """
    if not 0 <= index < length:
        raise IndexError(f"sample {index} of {length}")
    return index


def require_choice(value: object, choices: Sequence[str], what: str) -> str:
    """Return one of a few words that a user may choose between.

    Args:
        value: What the user chose.
        choices: What there is.
        what: What is chosen, such as "split of COCO-Stuff".

    Raises:
        DataError: If there is no such choice.
    """
    if value not in choices:
        raise DataError(sentence(f"the {what} {quote(value)}", f"one of {', '.join(choices)}", "choose one of these"))
    return str(value)


def fingerprint(files: Iterable[str | os.PathLike[str]], **options: Any) -> str:
    """Return 16 hexadecimal digits that change with the contents and names of annotation files and with options.

    Folders above the files do not matter, so that two copies of a data set agree.

    Args:
        files: The files, in a fixed order.
        options: Whatever else the samples depend on: the split, a seed; anything that JSON can hold, and tuples.

    Raises:
        DataError: If a file is missing.
    """
    digest = hashlib.sha256(json.dumps(options, sort_keys=True).encode())
    for path in files:
        file = require_file(path, "annotations")
        digest.update(f"\n{file.name}\n{file.stat().st_size}\n".encode())
        with file.open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()[:16]
