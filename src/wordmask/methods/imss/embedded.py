"""IMSS on the embedded weights: the compact network isolates regions, the crop network draws them.

The compact network (frozen) takes the part of text, detector and large vision model; the crop network, which sees the
image at its own resolution and reads the phrase, that of the image-driven high-resolution branch.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from wordmask.checkpoints import read_json
from wordmask.components.place.mirror import flipped_found, merged, swapped_prompt
from wordmask.contracts import Encoded
from wordmask.errors import CheckpointError, ImageError, PromptError, quote, sentence
from wordmask.methods.compact import load_compact
from wordmask.methods.dense import DenseSegmenter
from wordmask.methods.imss.isolator import isolated_candidates, with_other_side
from wordmask.methods.imss.refinement import refiner_of
from wordmask.ops.geometry import squash
from wordmask.prompts import TextPrompt
from wordmask.results import Found, MaskLogits, Segmentation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from wordmask.components.refiner import CropRefiner
    from wordmask.components.thresholds import Thresholds
    from wordmask.contracts import DenseModel
    from wordmask.images import ImageInput
    from wordmask.methods.dense import DensePlan
    from wordmask.prompts import Prompt
    from wordmask.results.region import Box

__all__ = ["MODEL_TYPE", "EmbeddedImss", "load_embedded_imss"]

MODEL_TYPE = "wordmask-imss"
_BOX_LOGIT = 2.0
_BOX_LONG_SIDE = 512


class EmbeddedImss(DenseSegmenter):
    """A `Segmenter` whose masks are drawn by a crop network in the regions of a dense model's map.

    A phrase with a side is told from the same thing on the other side, and asked about the mirror image too, which
    costs one more encoding; the two maps are averaged. `found.candidates` are the isolated regions.

    Args:
        model: The dense model that isolates.
        refiner: The crop network.
        name: Name of the whole.
        device: Device of both.
        dtype: Precision of the dense model.
    """

    trainable = False

    def __init__(
        self, model: DenseModel, refiner: CropRefiner, *, name: str, device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:  # fmt: skip
        super().__init__(model, device=device, dtype=dtype)
        self.refiner = refiner
        self._name = name
        self.refines = True

    @property
    def name(self) -> str:
        """The model's name."""
        return self._name

    def prepare(self, prompts: tuple[Prompt, ...]) -> DensePlan:
        """Embed the prompts, their negatives, and the other sides of what has sides."""
        return super().prepare(tuple(with_other_side(prompt) for prompt in prompts))

    def answer(self, encoded: Encoded, plan: DensePlan, thresholds: Thresholds) -> Segmentation:
        """Isolate the regions of every prompt; those of prompts with a side in the mirror image, too."""
        result = super().answer(encoded, plan, thresholds)
        founds = list(result.founds)
        for row, other in self._mirrored(encoded, plan, thresholds).items():
            founds[row] = merged(founds[row], other)
        return replace(result, founds=tuple(replace(f, candidates=isolated_candidates(f)) for f in founds))

    def _mirrored(self, encoded: Encoded, plan: DensePlan, thresholds: Thresholds) -> dict[int, Found]:
        """What the mirror image has for the prompts with a side, left and right exchanged, flipped back; by row."""
        rows = [row for row, prompt in enumerate(plan.prompts) if swapped_prompt(prompt) is not prompt]
        mirror = self.with_mirror(encoded).mirror if rows and self.place_settings.mirror else None
        if mirror is None:
            return {}
        swapped = super().prepare(tuple(swapped_prompt(plan.prompts[row]) for row in rows))
        founds = super().answer(mirror, swapped, thresholds).founds
        return {row: flipped_found(found) for row, found in zip(rows, founds, strict=True)}

    def refined(self, result: Segmentation, encoded: Encoded) -> Segmentation:
        """Draw every mask in its regions at the image's own resolution; it needs the image."""
        image = encoded.image
        if image is None:
            return result
        return replace(result, founds=tuple(self.refiner.refine(found, image) for found in result.founds))

    @torch.inference_mode()
    def draw_boxes(
        self, image: ImageInput | Encoded, phrase: str, boxes: Sequence[Box], *, threshold: float = 0.5
    ) -> Found:
        """Return what a phrase names inside boxes that a detector or a person gave; the map is not asked.

        Args:
            image: An image, or what `encode` made of one.
            phrase: What to draw: nothing is drawn where the box shows something else.
            boxes: XYXY in input pixels; none is a normal case.
            threshold: Probability above which a pixel belongs to the mask.

        Raises:
            PromptError: A box has no area inside the image.
            ImageError: The image cannot be read, or was encoded by another model or without its pixels.
        """
        encoded = image if isinstance(image, Encoded) else self.encode(image)
        encoded.require(self.name)
        if encoded.image is None:
            got = "an encoded image without its pixels"
            raise ImageError(sentence(got, "the image", "encode the image again, or pass it"))
        prompt = TextPrompt(phrase)
        dense = boxes_map(boxes, encoded.size)
        options: dict[str, Any] = {"threshold": threshold, "presence_threshold": 0.5, "size": encoded.size}
        found = Found(prompt, 1.0 if len(boxes) else 0.0, heatmap_logits=dense, **options)
        return self.refiner.ungated().refine(found, encoded.image)


def boxes_map(boxes: Sequence[Box], size: tuple[int, int]) -> MaskLogits:
    """Return logits that are positive inside boxes, on a grid of bounded size.

    Raises:
        PromptError: A box has no area inside the image.
    """
    scale = min(1.0, _BOX_LONG_SIDE / max(size))
    height, width = (max(1, round(side * scale)) for side in size)
    values = np.full((height, width), -_BOX_LOGIT, np.float32)
    for box in boxes:
        x0, x1 = (min(max(round(x * width / size[1]), 0), width) for x in (box[0], box[2]))
        y0, y1 = (min(max(round(y * height / size[0]), 0), height) for y in (box[1], box[3]))
        if x0 >= x1 or y0 >= y1:
            got = f"the box {tuple(box)} in an image of {size[1]} x {size[0]} pixels"
            raise PromptError(sentence(got, "x0 < x1 and y0 < y1 inside the image", "give XYXY in input pixels"))
        values[y0:y1, x0:x1] = _BOX_LOGIT
    return MaskLogits(values, squash(size, (height, width)))


def load_embedded_imss(
    folder: Path, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32, parts: Mapping[str, Path]
) -> EmbeddedImss:
    """Load a bundle of a compact network (the part "trunk") and a crop network (in the folder itself).

    Raises:
        ModelNotFoundError: A file is missing.
        CheckpointError: A file is damaged, or the two do not fit together.
    """
    if "trunk" not in parts:
        got = f"the parts {', '.join(sorted(parts)) or 'none'} in {quote(folder / 'config.json')}"
        raise CheckpointError(sentence(got, 'the part "trunk", a compact network', "correct config.json"))
    trunk = load_compact(parts["trunk"], device=device, dtype=dtype)
    name = read_json(folder / "config.json").get("name", folder.name)
    exact = trunk if dtype == torch.float32 else load_compact(parts["trunk"], device=device)
    refiner = refiner_of(folder, exact, "draw", device=device)
    return EmbeddedImss(trunk.model, refiner, name=f"{name}-{trunk.name}", device=device, dtype=dtype)
