"""What a CLIPSeg checkpoint consists of."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from wordmask.checkpoints import brief, named, read_json
from wordmask.errors import CheckpointError, sentence

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from wordmask.methods.clipseg.config import ClipSegConfig

__all__ = ["TOWERS_PREFIX", "TRAINED_WITH", "Checkpoint", "Statistics", "read_statistics"]

Triple = tuple[float, float, float]
Statistics = tuple[Triple, Triple, tuple[int, int]]
"""RGB mean and standard deviation of pixels in [0, 1], and (height, width) of the canvas."""

TRAINED_WITH: Statistics = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), (352, 352))
"""What the published CLIPSeg weights were trained with: ImageNet's statistics (not CLIP's own) at 352 px."""
LARGEST_CANVAS = 8192
"""Longest side of a canvas, in pixels."""
TOWERS_PREFIX = "towers."
"""Beginning of the towers' names in a folder that transformers cannot read."""


class Checkpoint(NamedTuple):
    """Configuration and weights, as read from files.

    Attributes:
        folder: Where the tokenizer is.
        config: The sizes.
        clip: Weights of the towers, in the names of transformers' CLIP; those of a ViT have its own names behind
            `vision_model.`.
        decoder: Weights of the decoder, in our names.
        statistics: Mean, standard deviation and (height, width) of the pixels.
    """

    folder: Path
    config: ClipSegConfig
    clip: dict[str, Tensor]
    decoder: dict[str, Tensor]
    statistics: Statistics


def read_statistics(folder: Path) -> Statistics:
    """Read a folder's `preprocessor_config.json`; `TRAINED_WITH` stands in for what it leaves out.

    Raises:
        CheckpointError: If the file gives impossible values.
    """
    path = folder / "preprocessor_config.json"
    content = read_json(path) if path.exists() else {}
    try:
        mean = _triple(content.get("image_mean", TRAINED_WITH[0]))
        std = _triple(content.get("image_std", TRAINED_WITH[1]))
        size = content.get("size", TRAINED_WITH[2][0])
        height, width = (size, size) if isinstance(size, int) else (int(size["height"]), int(size["width"]))
    except (KeyError, TypeError, ValueError) as error:
        expected = "size, image_mean and image_std as transformers writes them"
        remedy = "fetch or save the checkpoint again"
        raise CheckpointError(sentence(f"a damaged {named(path)} ({brief(error)})", expected, remedy)) from error
    if min(*std, height, width) <= 0 or max(height, width) > LARGEST_CANVAS:
        expected = f"positive deviations and a size from 1 to {LARGEST_CANVAS}"
        raise CheckpointError(sentence(f"a damaged {named(path)}", expected, "fetch or save the checkpoint again"))
    return mean, std, (height, width)


def _triple(values: Any) -> Triple:
    red, green, blue = (float(value) for value in values)
    if not all(map(math.isfinite, (red, green, blue))):
        raise ValueError(f"{red}, {green}, {blue} are not all finite")
    return red, green, blue
