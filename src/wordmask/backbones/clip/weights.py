"""Find the weights of CLIP in checkpoints; the names are those of transformers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

__all__ = ["UNUSED", "clip_weights", "text_weights"]

UNUSED = re.compile(r".*position_ids$")
"""Names in older files that are no weights: the numbers of the positions."""
_TEXT = ("text_model.", "text_projection.")


def clip_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of CLIP in a CLIPSeg checkpoint (names `clip.*`) or in one of CLIP alone (no prefix)."""
    inside = {name.removeprefix("clip."): tensor for name, tensor in weights.items() if name.startswith("clip.")}
    return inside or {name: tensor for name, tensor in weights.items() if not name.startswith("decoder.")}


def text_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return those weights of a CLIP that belong to its text tower."""
    return {name: tensor for name, tensor in weights.items() if name.startswith(_TEXT)}
