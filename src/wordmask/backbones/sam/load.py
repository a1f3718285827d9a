"""Read SAM from a local folder as the hub has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from wordmask.backbones.pretrained import read_pretrained
from wordmask.backbones.sam.decoder import SamDecoder
from wordmask.backbones.sam.vision import SamVision

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MEAN", "STD", "SamParts", "load_sam"]

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""RGB normalisation of pixels in [0, 1]."""


@dataclass(frozen=True, eq=False)
class SamParts:
    """The networks of a SAM.

    Attributes:
        vision: Image encoder.
        decoder: Prompt encoder and mask decoder.
    """

    vision: SamVision
    decoder: SamDecoder


def load_sam(
    folder: Path, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32, with_levels: bool = False
) -> SamParts:
    """Read `facebook/sam-vit-base`, `-large`, `-huge` or a checkpoint of the same layout.

    Args:
        folder: config.json and weights.
        device: Where the networks run.
        dtype: Their precision; prompts are embedded in float32.
        with_levels: Whether the encoder returns its intermediate embeddings too.

    Raises:
        ModelNotFoundError: If files are missing.
        CheckpointError: If they are damaged or of another kind.
    """
    model: Any = read_pretrained(folder, kind="SamModel")
    return split_sam(model, device=device, dtype=dtype, with_levels=with_levels)


def split_sam(
    model: Any, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32, with_levels: bool = False
) -> SamParts:
    """Return the fast encoder and decoder that share the weights of transformers' `SamModel`; see `load_sam`."""
    decoder = SamDecoder(model).to(device=device, dtype=dtype)
    vision = SamVision(model.vision_encoder, with_levels=with_levels).to(device=device, dtype=dtype)
    return SamParts(vision.eval(), decoder.eval())
