"""Trained compact networks whose answers another learns from, beside the labels (Hinton et al., arXiv 1503.02531).

A teacher's mask has an answer where labels have none, and says how sure one can be of what is there. A batch is
answered by one of the teachers, drawn at random, at the price of one: over many batches the network is drawn towards
what they have in common. Presence is left to the labels.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import torch

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

    def answer(self, batch: Batch, step: int) -> Tensor:
        """What the teacher whose turn it is at a step makes of a batch; the same one after a resume.

        Returns:
            Calibrated probabilities of masks, float (B, K, s, s).
        """
        model = random.Random(f"{self.seed} {step}").choice(self.models)  # not the numbers that drew the batch
        with torch.no_grad():
            logits, _ = model.network.decoder(model.encode_pixels(batch.pixels), batch.vectors)
            return model.calibrate_masks(logits.float()).sigmoid()


def teacher_loss(logits: Tensor, answer: Tensor) -> Tensor:
    """How far masks are from a teacher's: cross-entropy and Dice, over every cell.

    Args:
        logits: float (B, K, s, s).
        answer: float (B, K, s, s), what the teacher makes of the same batch.
    """
    rows, targets = logits.flatten(0, 1), answer.flatten(0, 1)
    known = torch.ones_like(rows)
    return (bce(rows, targets, known) + dice(rows, targets, known)).mean()
