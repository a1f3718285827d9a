"""Prompts of a request as the library's: example images are decoded and their masks read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.errors import ImageError, PromptError, sentence
from wordmask.images import load_image
from wordmask.ops.bounded_cache import BoundedCache
from wordmask.ops.rle import decode
from wordmask.prompts import MixedPrompt, Prompt, TextPrompt, VisualPrompt
from wordmask.serve.request import decoded_base64

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wordmask.ops.geometry import Size
    from wordmask.serve.request import Example, PromptSpec
    from wordmask.serve.schema import MaskBody

__all__ = ["PromptMaker"]

EXAMPLES_KEPT = 32
"""Example images that are kept, so that their embedding is computed once."""


class PromptMaker:
    """Makes prompts; example images that come again stay the same objects, by which models know their embeddings.

    Args:
        max_pixels: Most pixels of an example image.
    """

    def __init__(self, *, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        self._examples: BoundedCache[tuple[str, str, str], VisualPrompt] = BoundedCache(EXAMPLES_KEPT)

    def make(self, spec: PromptSpec) -> Prompt:
        """Return the prompt.

        Raises:
            PromptError: If a phrase is blank or too long, or a mask does not fit.
            ImageError: If an example cannot be read.
            ServiceError: If a mask is no base64.
        """
        body, name = spec.body, spec.body.name
        if spec.example is None:
            return TextPrompt(body.text or "", negatives=tuple(body.negatives), name=name or "")
        visual = self._visual(spec.example, name or "example")
        if body.text is None:
            return visual
        text = TextPrompt(body.text, negatives=tuple(body.negatives), name=name or "")
        return MixedPrompt(text, visual, weight=body.weight)

    def _visual(self, example: Example, name: str) -> VisualPrompt:
        key = (example.key, repr(example.mask), name)
        return self._examples.get_or_compute(key, lambda: self._read(example, name))

    def _read(self, example: Example, name: str) -> VisualPrompt:
        image = load_image(example.content, max_pixels=self._max_pixels)
        mask = None if example.mask is None else _mask(example.mask, image.size)
        return VisualPrompt(image, mask, name=name)


def _mask(body: MaskBody, size: Size) -> NDArray[Any]:
    """Return bool `(H, W)` over an example of `size`."""
    if body.box is not None:
        return _box(body.box, size)
    if body.png is not None:
        pixels = load_image(decoded_base64(body.png, "a mask"), max_pixels=size[0] * size[1]).pixels
        return np.asarray(pixels[..., 0] > 127)
    return _run_lengths(body.rle or {}, size)


def _run_lengths(rle: dict[str, Any], size: Size) -> NDArray[np.bool_]:
    counts = rle.get("counts")
    if rle.get("size") != list(size) or not isinstance(counts, str):
        got = f"run lengths of size {rle.get('size')!r:.60}"
        raise PromptError(sentence(got, f"those of the example, {list(size)}, with counts as text", "send its mask"))
    try:
        return decode({"size": list(size), "counts": counts})
    except (ImageError, ValueError, OverflowError) as error:
        raise PromptError(sentence("damaged run lengths", "COCO's compressed RLE", "write the mask again")) from error


def _box(box: tuple[float, float, float, float], size: Size) -> NDArray[np.bool_]:
    height, width = size
    if not np.isfinite(box).all():
        raise PromptError(sentence("a box that is not finite", "four numbers", "give pixels of the example"))
    x0, y0, x1, y1 = (float(np.clip(v, 0, limit)) for v, limit in zip(box, (width, height) * 2, strict=True))
    mask = np.zeros(size, dtype=np.bool_)
    mask[int(y0) : int(np.ceil(y1)), int(x0) : int(np.ceil(x1))] = True
    return mask
