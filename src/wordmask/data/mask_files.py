"""Read masks and label maps from image files; an error names the file that is missing or malformed.

Both are turned upright as their EXIF orientation says, as images are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageOps

from wordmask.data.reading import DAMAGE, REMEDY, malformed, orientation_of, require_file
from wordmask.errors import quote

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

__all__ = ["read_labels", "read_mask"]

# Pillow spreads grey values of 2 and 4 bits over 0 to 255; in a label map they are indices and go back.
_SPREAD = {"L;2": 85, "L;4": 17}
_INDEX_MODES = ("1", "L", "P", "I", "I;16", "I;16L", "I;16B", "I;16N")
_COLOURS = ("RGB", "RGBA", "LA", "PA")
_RANGES = (1, 255, 65535)  # largest values of masks of one bit, 8 bits and 16 bits
_TWO = 2
_OPAQUE = 255
_SLACK = 8  # what compression takes from white
_FIX = "export it in black and white, white where the object is"


# --- label maps ----------------------------------------------------------------------------------------------------


def read_labels(
    path: str | os.PathLike[str], what: str, size: tuple[int, int] | None = None, remedy: str = REMEDY
) -> NDArray[np.int32]:
    """Return the values of a label map, int32 `(H, W)`: a PNG or TIFF with one channel of 1 to 16 bits, or a palette.

    Of a palette the indices are returned, not the colours; of colours that are all grey, the grey values.

    Args:
        path: The file.
        what: What it should hold.
        size: `(H, W)` that it must have.
        remedy: What to do.

    Raises:
        DataError: If the file is missing, damaged, in colours or of another size.
    """
    file = require_file(path, what, remedy)
    try:
        with Image.open(file) as image:
            mode, spread = image.mode, _spread(image)
            values = _label_values(_upright(image))
    except DAMAGE as error:
        raise malformed(file, what, f"damage ({quote(error, limit=60)})", remedy) from error
    if values is None:
        raise malformed(file, f"{what} as one channel of label values", f"colours ({mode})", remedy)
    if size is not None and values.shape != size:
        problem = f"{values.shape[0]} x {values.shape[1]} pixels (height x width)"
        raise malformed(file, f"{what} of {size[0]} x {size[1]}", problem, remedy)
    return values // spread


def _label_values(image: Image.Image) -> NDArray[np.int32] | None:
    """Return the values of a decoded label map; None for one in colours."""
    if image.mode in _INDEX_MODES:
        return np.asarray(image).astype(np.int32)
    if image.mode not in _COLOURS:
        return None
    pixels = np.asarray(image.convert("RGBA"))
    grey = (pixels[..., :3] == pixels[..., :1]).all() and (pixels[..., 3] == _OPAQUE).all()
    return pixels[..., 0].astype(np.int32) if grey else None


def _spread(image: Image.Image) -> int:
    tiles = getattr(image, "tile", None)
    raw = tiles[0][3] if tiles else None
    return _SPREAD.get(raw, 1) if isinstance(raw, str) else 1


def _upright(image: Image.Image) -> Image.Image:
    return image if orientation_of(image) == 1 else ImageOps.exif_transpose(image)


# --- masks ---------------------------------------------------------------------------------------------------------


def read_mask(path: str | os.PathLike[str], what: str, remedy: str = REMEDY) -> NDArray[np.bool_]:
    """Return a mask, bool `(H, W)`, from an image of any kind.

    | file | True |
    |---|---|
    | two values, of any bits, such as 0 and 1 | the larger |
    | more values, such as black and white with soft edges | nearer to white |
    | one value | 1 or white; none where it is black |
    | a palette of two colours that are not black and white | the index that is not 0 |
    | alpha that varies, over a single colour | opaque |
    | alpha that varies, over several colours | as above, and opaque |

    Raises:
        DataError: If the file is missing or damaged, or its values mean neither of these.
    """
    file = require_file(path, what, remedy)
    try:
        with Image.open(file) as image:
            values = _mask_values(_upright(image))
    except DAMAGE as error:
        raise malformed(file, what, f"damage ({quote(error, limit=60)})", remedy) from error
    if values is None:
        raise malformed(file, what, "no pixel that is opaque", _FIX)
    if values.dtype == np.bool_:
        return values
    mask = _binary(values)
    if mask is None:
        problem = f"values from {values.min():g} to {values.max():g}, neither two values nor black and white"
        raise malformed(file, what, problem, _FIX)
    return mask


def _mask_values(image: Image.Image) -> NDArray[Any] | None:
    """Return the brightness `(H, W)` of a decoded mask, or the mask itself where colours tell it; None: no pixel."""
    if image.mode in _INDEX_MODES[3:] or image.mode == "F":
        return np.nan_to_num(np.asarray(image), nan=0.0, posinf=0.0, neginf=0.0) if image.mode == "F" else _int(image)
    if image.has_transparency_data:
        layers = np.asarray(image.convert("RGBA").convert("LA"))
        alpha = layers[..., 1]
        if alpha.min() < alpha.max():
            opaque = alpha > _OPAQUE // 2
            shown = layers[..., 0][opaque]
            if not shown.size:
                return None
            return opaque if shown.min() == shown.max() else np.where(opaque, layers[..., 0], 0)
        if not alpha.any():
            return None
    values = np.asarray(image.convert("L"))
    if image.mode == "P" and set(np.unique(values).tolist()) != {0, _OPAQUE}:
        indices = np.asarray(image)
        if len(used := np.unique(indices)) == _TWO and used[0] == 0:
            return indices > 0
    return values


def _int(image: Image.Image) -> NDArray[np.int64]:
    return np.asarray(image).astype(np.int64)


def _binary(values: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Return the mask of brightness values of any range; None where they are no mask."""
    low, high = values.min(), values.max()
    if low == high:
        full = high in _RANGES or (values.dtype == np.uint8 and high > _OPAQUE // 2)
        return np.full(values.shape, full) if full or high == 0 else None
    if high == _OPAQUE and low > _OPAQUE - _SLACK:  # white that was compressed
        return np.ones(values.shape, np.bool_)
    larger = values == high
    if (larger | (values == low)).all():
        return np.asarray(larger)
    largest = next((largest for largest in _RANGES if high <= largest), None)
    if largest is None or low < 0 or high <= largest // 2 or (largest == 1 and values.dtype.kind != "f"):
        return None
    mask: NDArray[np.bool_] = values > (0.5 if largest == 1 else largest // 2)
    return mask
