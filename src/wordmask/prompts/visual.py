"""An example image as a prompt."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np

from wordmask.errors import ImageError, PromptError, sentence
from wordmask.images import ImageInput, RgbImage, load_image
from wordmask.prompts.text import checked_phrase

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from PIL import Image

MaskInput: TypeAlias = "NDArray[Any] | Image.Image | torch.Tensor"


@dataclass(frozen=True, eq=False)
class VisualPrompt:
    """An example image of what to find, with a mask of the object meant when there is more than one in it.

    The image is read when the prompt is made, so that a bad one fails there; afterwards `image` holds an `RgbImage`
    and `mask` a boolean array. Two visual prompts are equal only if they are the same object.

    Attributes:
        image: Any image that `wordmask` reads. `example` is the same, typed as `RgbImage`.
        mask: `(H, W)` of the example image as it is displayed: True (or nonzero) on the object; None means all of it.
        name: Name of the result.
        mode: Name of the preparation for the encoder, such as those of `ops.highlight`; each model accepts its own.

    Raises:
        ImageError: If the image cannot be read.
        PromptError: If the mask is empty, not two-dimensional or of another size than the image.
    """

    image: ImageInput
    mask: MaskInput | None = None
    name: str = field(default="visual prompt", kw_only=True)
    mode: str = field(default="crop_blur_highlight352", kw_only=True)

    def __post_init__(self) -> None:
        image = load_image(self.image)
        object.__setattr__(self, "image", image)
        object.__setattr__(self, "mask", None if self.mask is None else _checked_mask(self.mask, image.size))
        object.__setattr__(self, "name", checked_phrase(self.name))
        object.__setattr__(self, "mode", checked_phrase(self.mode))

    @property
    def example(self) -> RgbImage:
        """The example, read: RGB uint8."""
        return cast("RgbImage", self.image)

    @property
    def region(self) -> NDArray[np.bool_]:
        """Bool `(H, W)`: where the object is in the example; all True without a mask."""
        if self.mask is None:
            return np.ones(self.example.size, dtype=np.bool_)
        return cast("NDArray[np.bool_]", self.mask)


def _checked_mask(mask: Any, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return `mask` as a read-only bool array of the image's size, or raise PromptError."""
    try:
        values = np.asarray(mask.detach().cpu() if hasattr(mask, "detach") else mask)
    except (TypeError, ValueError, ImageError) as error:
        got = f"a mask of type {type(mask).__name__}"
        raise PromptError(sentence(got, "a boolean array (height, width)", "convert it with numpy.asarray")) from error
    if values.ndim == 3 and 1 in (values.shape[0], values.shape[2]):
        values = values[0] if values.shape[0] == 1 else values[:, :, 0]
    if values.dtype.kind not in "buif":
        got = f"a mask of type {type(mask).__name__}"
        raise PromptError(sentence(got, "a boolean array (height, width)", "convert it with numpy.asarray"))
    if values.shape != size:
        expected = f"the example's size {size} (height, width)"
        raise PromptError(sentence(f"a mask of shape {values.shape}", expected, "pass the mask of this image"))
    chosen = np.nan_to_num(values) != 0 if values.dtype.kind == "f" else values != 0
    if not chosen.any():
        raise PromptError(sentence("an empty mask", "a mask that marks something", "mark the object, or omit mask"))
    chosen.flags.writeable = False
    return cast("NDArray[np.bool_]", chosen)
