"""Segment Anything asked by points (Kirillov et al., arXiv 2304.02643)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from wordmask.backbones.sam.load import MEAN, STD, load_sam
from wordmask.ops.geometry import letterbox
from wordmask.ops.resize import place

if TYPE_CHECKING:
    from pathlib import Path

    from wordmask.backbones.sam.load import SamParts
    from wordmask.images import RgbImage
    from wordmask.ops.geometry import Placement, Size

__all__ = ["SamPoints", "load_sam_points"]


class SamPoints:
    """Three masks for each single point of an image.

    Args:
        parts: The networks.
        device: Where they run.
    """

    def __init__(self, parts: SamParts, device: torch.device | str = "cpu") -> None:
        self.parts, self.device = parts, torch.device(device)

    def canvas(self, size: Size) -> Placement:
        """Return the square canvas, the image at its top left."""
        return letterbox(size, (self.parts.vision.size, self.parts.vision.size))

    def encode(self, image: RgbImage, placement: Placement) -> Tensor:
        """Return the embedding (1, C, h, w) of an image on its canvas; the padding is zero after normalising."""
        top, left, height, width = placement.content
        canvas = place(image.pixels, placement).astype(np.float32) / 255
        pixels = torch.zeros(*placement.canvas, 3)
        inside = torch.from_numpy(canvas[top : top + height, left : left + width])
        pixels[top : top + height, left : left + width] = (inside - torch.tensor(MEAN)) / torch.tensor(STD)
        embedding: Tensor = self.parts.vision(pixels.permute(2, 0, 1)[None].to(self.device)).embedding
        return embedding

    def decode(self, embedding: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return three masks for each point.

        Args:
            embedding: Of one image.
            points: float (P, 2), x and y on the canvas.

        Returns:
            float32 logits (P, 3, h, w) over the canvas and predicted IoUs (P, 3).
        """
        labels = torch.ones(len(points), 1, dtype=torch.long)
        tokens = self.parts.decoder.embed_points(points[:, None].to(self.device), labels.to(self.device))
        masks = self.parts.decoder(embedding, tokens, several=True)
        return masks.logits.float(), masks.quality.float()


def load_sam_points(folder: Path, *, device: torch.device, dtype: torch.dtype) -> SamPoints:
    """Load a SAM from a folder as transformers saves it.

    Raises:
        ModelNotFoundError: If files are missing.
        CheckpointError: If they are damaged.
    """
    return SamPoints(load_sam(folder, device=device, dtype=dtype), device)
