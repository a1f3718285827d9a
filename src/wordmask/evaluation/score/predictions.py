"""The mask that counts as a model's prediction under a protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wordmask.evaluation.prompting import PromptedModel
    from wordmask.evaluation.resizing import Resized
    from wordmask.results import Found

__all__ = ["predicted_mask", "wants_probability"]


def wants_probability(model: PromptedModel) -> bool:
    """Return whether the protocol is computed from probabilities instead of the model's own masks."""
    return model.protocol.sweep or model.protocol.threshold is not None


def predicted_mask(
    model: PromptedModel, found: Found, resized: Resized, probability: NDArray[np.float32] | None = None
) -> NDArray[np.bool_]:
    """Return bool `(H, W)` at the size of comparison.

    Under a protocol that fixes a threshold that threshold alone decides, else the model's own mask is taken.

    Args:
        model: The model under its protocol.
        found: Its result for a prompt.
        resized: The image.
        probability: float32 `(H, W)` at the size of comparison, where it has been computed already.
    """
    if model.protocol.threshold is None:
        return resized.mask(found)
    threshold = model.threshold_in_force
    assert threshold is not None
    values = resized.probability(found) if probability is None else probability
    return values > np.float32(threshold)
