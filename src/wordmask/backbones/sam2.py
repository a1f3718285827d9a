"""SAM 2 on single images, through transformers (arXiv 2408.00714): an encoder several times as fast as SAM's ViT-B."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from wordmask.backbones.low_precision import CastModule
from wordmask.backbones.pretrained import read_pretrained

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Sam2", "load_sam2"]

BOXES_AT_ONCE = 16


class Sam2:
    """The image half of SAM 2: encoder, prompt encoder and mask decoder.

    Args:
        model: transformers' `Sam2Model`.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.size = int(model.config.prompt_encoder_config.image_size)

    def encode(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return three maps float32 with a leading B for normalised pixels float32 `(B, 3, S, S)`."""
        return tuple(self.model.get_image_embeddings(pixels))

    def decode(self, features: tuple[Tensor, ...], boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits float32 `(N, h, w)` and predicted IoU `(N,)` of boxes `(N, 4)` in pixels of the canvas."""
        parts = [
            self.model(
                image_embeddings=list(features), input_boxes=boxes[None, start : start + BOXES_AT_ONCE],
                multimask_output=False,
            )
            for start in range(0, len(boxes), BOXES_AT_ONCE)
        ]  # fmt: skip
        if not parts:
            side = int(features[0].shape[-1])
            return features[0].new_zeros(0, side, side), features[0].new_zeros(0)
        masks = torch.cat([part.pred_masks[0, :, 0] for part in parts])
        return masks.float(), torch.cat([part.iou_scores[0, :, 0] for part in parts]).float()


def load_sam2(folder: Path, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Sam2:
    """Read SAM 2 or 2.1 from a local folder as the hub has it, such as `facebook/sam2.1-hiera-tiny`.

    Args:
        folder: config.json and weights.
        device: Where it runs.
        dtype: Precision of the image encoder; the rest is float32.

    Raises:
        ModelNotFoundError: If files are missing.
        CheckpointError: If they are damaged or of another kind.
    """
    model: Any = read_pretrained(folder, kind="Sam2Model")
    if dtype != torch.float32:
        model.vision_encoder = CastModule(model.vision_encoder, dtype)
    return Sam2(model.to(device))
