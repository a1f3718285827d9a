"""Trained compact networks whose answers another learns from, beside the labels (Hinton et al., arXiv 1503.02531).

A teacher answers where labels are silent: what is not labelled on a picture, and how sure one can be of it. Several
agree on more than each of them knows. A batch is answered by one of them, drawn at random: a cross-entropy is linear in
its targets, so that over many batches the network is drawn towards their mean, at the price of one.
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

    from batches import Batch
    from torch import Tensor

    from wordmask.methods.compact.method import CompactModel


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

    Their conditions have to be those of the network that learns: all with one text encoder.

    Raises:
        CheckpointError: A folder does not hold a compact network.
    """

    def __init__(self, folders: list[Path], seed: int) -> None:
        self.models: list[CompactModel] = [load_compact(folder).model for folder in folders]  # type: ignore[misc]
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
