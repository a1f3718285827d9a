"""One mask file per prompt."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from wordmask.formats.files import as_path, file_names, write

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from wordmask.formats.named_mask import NamedMask


def save_masks(masks: Sequence[NamedMask], folder: str | os.PathLike[str], *, prefix: str = "") -> tuple[Path, ...]:
    """Write the mask of every prompt, empty ones too, as an 8-bit greyscale PNG: 255 on the object, 0 elsewhere.

    Args:
        masks: One per prompt.
        folder: Where to; made when it is missing.
        prefix: Put before each name, for example `photo-` when several images share a folder.

    Returns:
        The files, one per prompt in order; names as in `files.file_names`.

    Raises:
        OutputError: If a file cannot be written.
    """
    target = as_path(folder)
    names = file_names([mask.name for mask in masks], suffix=".png")
    pairs = zip(names, masks, strict=True)
    return tuple(write(target / (prefix + name), encode_png(mask.mask.full())) for name, mask in pairs)


def encode_png(mask: NDArray[np.bool_]) -> bytes:
    """Return a mask `(H, W)` as the bytes of an 8-bit greyscale PNG."""
    buffer = io.BytesIO()
    # Masks are long runs: the fastest compression already makes them a few kilobytes.
    Image.fromarray(np.negative(mask.view(np.uint8))).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
