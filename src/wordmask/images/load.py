"""Read images from paths, bytes, PIL images, arrays and tensors as RGB uint8."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Any, TypeAlias

import numpy as np
from PIL import Image

from wordmask.errors import ImageError, quote, sentence
from wordmask.images.decoding import decode
from wordmask.images.files import from_bytes, from_path, from_stream, sample_path
from wordmask.images.pixels import from_array
from wordmask.images.rgb import MAX_PIXELS, RgbImage, check_pixels

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

__all__ = ["ImageInput", "load_image"]

ImageInput: TypeAlias = (
    "RgbImage | str | os.PathLike[str] | bytes | IO[bytes] | Image.Image | NDArray[Any] | torch.Tensor"
)


def load_image(image: ImageInput, *, max_pixels: int = MAX_PIXELS) -> RgbImage:
    """Read an image.

    Args:
        image: A path, `sample:astronaut` (or chelsea, coffee), the bytes of a file, an open binary file, a PIL image,
            an array `(H, W)` or `(H, W, 1 | 3 | 4)` of uint8, uint16 or float in [0, 1], or a torch tensor of the
            same types, `(3, H, W)` or `(H, W, 3)` (read as channels first where both fit). Of an animation or a
            stack the first image is read. Values of 16 bits are scaled by the smallest of 8, 10, 12, 14 and 16 bits
            that holds the highest of them. Alpha is laid over white, unless all of it is 0 over colours that vary.
        max_pixels: Images of more pixels than this are refused, files before they are decoded.

    Raises:
        ImageError: If it is missing, unreadable, damaged, empty, too large or of a type that is not listed above.
        MissingExtraError: If a sample is asked for and scikit-image is not installed.
    """
    if isinstance(image, RgbImage):
        return image
    if isinstance(image, Image.Image):
        return _from_pil(image, max_pixels)
    if isinstance(image, np.ndarray):
        return RgbImage(from_array(image, "an array", _ARRAY_REMEDY, max_pixels=max_pixels))
    if isinstance(image, bytes | bytearray | memoryview):
        return from_bytes(image, max_pixels)
    if isinstance(image, str) and image.startswith("sample:"):
        return replace(from_path(sample_path(image), MAX_PIXELS), path=image)
    if isinstance(image, str | os.PathLike):
        return from_path(image, max_pixels)
    if _is_tensor(image):
        return _from_tensor(image, max_pixels)
    if callable(getattr(image, "read", None)):
        return from_stream(image, max_pixels)
    expected = "a path, bytes, a PIL image, a NumPy array or a torch tensor"
    raise ImageError(sentence(f"an image of type {type(image).__name__}", expected, "convert it to one of these"))


def _from_pil(image: Image.Image, max_pixels: int) -> RgbImage:
    path = getattr(image, "filename", "")
    name = os.path.basename(path) if isinstance(path, str) else ""
    shown = quote(name) if name else "a PIL image"
    check_pixels(image.height, image.width, shown, max_pixels)
    return RgbImage(decode(image, shown), name or None, path if name else None)


_ARRAY_REMEDY = "reshape it; channels first becomes channels last with array.transpose(1, 2, 0)"
_TENSOR_REMEDY = "pass one image at a time, for example batch[0]"


def _is_tensor(value: object) -> bool:
    """Whether `value` is a torch tensor; torch is not imported for the question."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _from_tensor(tensor: Any, max_pixels: int) -> RgbImage:
    try:
        values = tensor.detach().cpu()
        if values.is_floating_point():
            values = values.float()  # NumPy knows no bfloat16
        array: NDArray[Any] = np.asarray(values)
    except (TypeError, RuntimeError) as error:  # sparse, quantised, on the meta device
        got = f"a tensor of layout {tensor.layout} on {tensor.device} that holds no plain values"
        raise ImageError(sentence(got, "a dense tensor", "convert it with tensor.to_dense()")) from error
    if array.ndim == 3 and array.shape[0] in (1, 3, 4):
        array = array.transpose(1, 2, 0)
    return RgbImage(from_array(array, "a tensor", _TENSOR_REMEDY, max_pixels=max_pixels))
