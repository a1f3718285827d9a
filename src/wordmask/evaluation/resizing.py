"""The size at which an image is shown to a model and its prediction is compared with the ground truth.

"original": the image as it is; the model resizes it to its canvas and back. What a user of the model sees.

"squash352": image (bilinear), ground truth (nearest) and examples become 352 x 352, whatever their proportions, and
are compared there: CLIPSeg on PhraseCut, PASCAL VOC and COCO-20i. The reference interpolates with aligned corners and
in floating point; the image handed over here is rounded to whole values of 8 bits.

"letterbox352": an image whose longer side exceeds 352 is scaled to that, both sides cut to multiples of 8, and lies at
the top left of a black square; the prediction is enlarged to the square of the original's longer side and compared
there: PFENet's `test_Resize` (https://github.com/dvlab-research/PFENet, `util/transform.py`), CLIPSeg on PASCAL-5i.
Since the sides are cut, predictions come back by up to 7 of 352 pixels off, as in the reference. An image of at most
352 pixels is compared where it lies; the reference enlarges the prediction there, too, which moves it away from its
ground truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from wordmask.images import RgbImage, load_image
from wordmask.prompts import MixedPrompt, TextPrompt, VisualPrompt

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wordmask.evaluation.protocols import Resize
    from wordmask.images import ImageInput
    from wordmask.prompts import Prompt
    from wordmask.results import Found

__all__ = ["SIDE", "Resized", "letterbox_mask", "resize_image", "resize_prompt", "stretch"]

SIDE = 352
_STEP = 8


@dataclass(frozen=True, eq=False)
class Resized:
    """An image as the model sees it, with the mapping of ground truth and prediction to one size.

    Attributes:
        image: The input of the model.
        size: `(H, W)` of the original and its ground truth.
        resize: Which rule.
    """

    image: RgbImage
    size: tuple[int, int]
    resize: Resize

    def ground_truth(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return ground truth `(H, W)` of any type at the size of comparison."""
        return _nearest(values, (SIDE, SIDE)) if self.resize == "squash352" else values

    def mask(self, found: Found) -> NDArray[np.bool_]:
        """Return the predicted mask at the size of comparison, bool."""
        if self.resize != "letterbox352":
            return found.mask
        return self._back(found.mask.astype(np.float32)) > 0.5

    def probability(self, found: Found) -> NDArray[np.float32]:
        """Return the predicted probabilities at the size of comparison, float32."""
        return self._back(found.heatmap) if self.resize == "letterbox352" else found.heatmap

    def _back(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        longer = max(self.size)
        square = values if longer <= SIDE else stretch(values, (longer, longer))
        return np.ascontiguousarray(square[: self.size[0], : self.size[1]])


def resize_image(image: ImageInput, size: tuple[int, int], resize: Resize) -> Resized:
    """Resize an image as the rule says.

    Args:
        image: Any image.
        size: `(H, W)` of its ground truth, which is that of the image.
        resize: The rule.

    Raises:
        ImageError: If the image cannot be read.
    """
    source = load_image(image)
    if resize == "original":
        return Resized(source, size, resize)
    shown = _squashed(source.pixels) if resize == "squash352" else _letterboxed(source.pixels)
    return Resized(RgbImage(shown, source.name), size, resize)


def resize_prompt(prompt: Prompt, resize: Resize) -> Prompt:
    """Resize the example of a prompt, if it has one, by the same rule."""
    if resize == "original" or isinstance(prompt, TextPrompt):
        return prompt
    if isinstance(prompt, MixedPrompt):
        return MixedPrompt(prompt.phrase, _resize_example(prompt.visual, resize), weight=prompt.weight)
    return _resize_example(prompt, resize)


def _resize_example(prompt: VisualPrompt, resize: Resize) -> VisualPrompt:
    pixels = load_image(prompt.image).pixels
    mask = np.ones(pixels.shape[:2], np.bool_) if prompt.mask is None else np.asarray(prompt.mask, dtype=np.bool_)
    if resize == "squash352":
        shown, small = _squashed(pixels), _nearest(mask, (SIDE, SIDE))
    else:
        shown, small = _letterboxed(pixels), letterbox_mask(mask)
    if not small.any():  # too thin to survive: the example stays as it was
        return prompt
    return VisualPrompt(shown, small, name=prompt.name, mode=prompt.mode)


def letterbox_mask(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a mask on the canvas of "letterbox352", bool `(352, 352)`."""
    height, width = _content(mask.shape)
    canvas = np.zeros((SIDE, SIDE), np.bool_)
    canvas[:height, :width] = _nearest(mask, (height, width))
    return canvas


def stretch(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Scale float32 `(H, W)` or `(H, W, C)` bilinearly with aligned corners: torch's `align_corners=True`."""
    for axis, wanted in enumerate(size):
        length = values.shape[axis]
        places = np.linspace(0, length - 1, wanted) if wanted > 1 else np.zeros(1)
        first = np.minimum(places.astype(np.intp), length - 1)
        second = np.minimum(first + 1, length - 1)
        fraction = (places - first).astype(np.float32)
        fraction = fraction.reshape([-1 if place == axis else 1 for place in range(values.ndim)])
        below, above = values.take(first, axis), values.take(second, axis)
        values = below + (above - below) * fraction
    return values


def _nearest(values: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Scale with torch's "nearest": pixel `i` of `n` takes `floor(i * length / n)`."""
    rows, columns = (np.arange(wanted) * length // wanted for wanted, length in zip(size, values.shape, strict=True))
    return np.ascontiguousarray(values[rows[:, None], columns])


def _squashed(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    values = stretch(pixels.astype(np.float32), (SIDE, SIDE))
    return values.round().clip(0, 255).astype(np.uint8)


def _letterboxed(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = _content(pixels.shape[:2])
    canvas = np.zeros((SIDE, SIDE, 3), np.uint8)
    canvas[:height, :width] = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)
    return canvas


def _content(size: tuple[int, ...]) -> tuple[int, int]:
    """Return height and width of an image on the canvas of "letterbox352"; in floating point, as the reference."""
    height, width = size[0], size[1]
    longer = max(height, width)
    if longer <= SIDE:
        return height, width
    ratio = SIDE / longer
    sides = [SIDE if length == longer else int(length * ratio) for length in (height, width)]
    return max(_STEP, sides[0] // _STEP * _STEP), max(_STEP, sides[1] // _STEP * _STEP)
