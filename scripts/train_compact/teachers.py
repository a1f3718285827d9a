"""Trained compact networks whose answers another learns from, beside the labels (Hinton et al., arXiv 1503.02531).

A teacher has an answer where labels have none: for what is not labelled on a picture, and how sure one can be of what
is. Its masks count beside the labels everywhere, its presences where labels are not sure. A batch is answered by one of
the teachers, drawn at random, at the price of one: over many batches the network is drawn towards what they have in
common, cross-entropies (linear in their targets) towards the very mean.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F

from wordmask.losses import bce, dice
from wordmask.methods.compact import load_compact

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from batches import Batch
    from torch import Tensor

    from wordmask.methods.compact.method import CompactModel


SAME = 0.99
"""Vectors of one phrase from one text encoder, stored in fp16 and fp32, are at least as near (cosine)."""


class Answer(NamedTuple):
    """What a teacher says of a batch, as calibrated probabilities.

    Attributes:
        masks: float (B, K, s, s).
        presence: float (B, K).
    """

    masks: Tensor
    presence: Tensor


class Teachers:
    """Folders of weights that take turns.

    Args:
        folders: Of compact networks.
        seed: Of the turns.
        spoken: Name -> vectors (V, C), the plain name first, as the text encoder makes them of which the network that
            learns gets its conditions: the teachers' has to be the same.

    Raises:
        ModelNotFoundError: A folder does not hold a compact network; CheckpointError if a damaged one.
        ValueError: A teacher's text encoder is another.
    """

    def __init__(self, folders: list[Path], seed: int, spoken: dict[str, np.ndarray]) -> None:
        self.models: list[CompactModel] = [load_compact(folder).model for folder in folders]  # type: ignore[misc]
        for folder, model in zip(folders, self.models, strict=True):
            name = min(spoken, default="")
            with torch.no_grad():
                likeness = float(model.embed_texts([name])[0] @ torch.from_numpy(spoken[name][0])) if name else 0.0
            if likeness < SAME:
                raise ValueError(
                    f"{folder} reads phrases with another text encoder than --text (cosine {likeness:.2f})"
                )
        self.seed = seed

    def __bool__(self) -> bool:
        return bool(self.models)

    def answer(self, batch: Batch, step: int) -> Answer:
        """The answer of the teacher whose turn it is at a step; the same one after a resume."""
        model = random.Random(f"{self.seed} {step}").choice(self.models)  # not the numbers that drew the batch
        with torch.no_grad():
            features = model.encode_pixels(batch.pixels)
            logits, presence = model.network.decoder(features, batch.vectors)
            return Answer(model.calibrate_masks(logits.float()).sigmoid(), model.calibrate_presence(presence.float()))


def teacher_loss(logits: Tensor, presence: Tensor, answer: Answer, sure: Tensor) -> tuple[Tensor, Tensor]:
    """How far masks (cross-entropy and Dice, every cell) and presences (cross-entropy) are from a teacher's.

    Args:
        logits: float (B, K, s, s).
        presence: float (B, K) logits.
        answer: what the teacher says of the same batch.
        sure: float (B, K) in [0, 1], how sure the labels are of what is there: the teacher is heard on the rest.
    """
    rows, targets = logits.flatten(0, 1), answer.masks.flatten(0, 1)
    known = torch.ones_like(rows)
    masks = (bce(rows, targets, known) + dice(rows, targets, known)).mean()
    return masks, F.binary_cross_entropy_with_logits(presence, answer.presence, weight=1 - sure)
