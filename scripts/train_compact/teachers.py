"""Trained compact networks whose answers another learns from, beside the labels (Hinton et al., arXiv 1503.02531).

A teacher's mask has an answer where labels have none, behind what is hidden as well, and says how sure one can be of
what is there. A batch is answered by one of the teachers, drawn at random, at the price of one: over many batches the
network is drawn towards what they have in common. Every other batch they see in the mirror: a network knows more from
both sides than from one. Presence is left to the labels.
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
        sided: bool (N,), which of the names that `Batch.names` tells apart another name has in the mirror.
        spoken: Name -> vectors (V, C), the plain name first, as the text encoder makes them of which the network that
            learns gets its conditions: the teachers' has to be the same.

    Raises:
        ModelNotFoundError: A folder does not hold a compact network; CheckpointError if a damaged one.
        ValueError: A teacher's text encoder is another.
    """

    def __init__(self, folders: list[Path], seed: int, sided: Tensor, spoken: dict[str, np.ndarray]) -> None:
        self.models: list[CompactModel] = [load_compact(folder).model for folder in folders]  # type: ignore[misc]
        for folder, model in zip(folders, self.models, strict=True):
            name = min(spoken, default="")
            with torch.no_grad():
                likeness = float(model.embed_texts([name])[0] @ torch.from_numpy(spoken[name][0])) if name else 0.0
            if likeness < SAME:
                raise ValueError(
                    f"{folder} reads phrases with another text encoder than --text (cosine {likeness:.2f})"
                )
        self.seed, self.sided = seed, sided

    def __bool__(self) -> bool:
        return bool(self.models)

    def answer(self, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        """What the teacher whose turn it is at a step makes of a batch; the same one after a resume.

        Returns:
            Calibrated probabilities of masks, float (B, K, s, s), and float (B, K), 1 where they answer what was asked:
            not the left eye in the mirror.
        """
        turn = random.Random(f"{self.seed} {step}")  # not the numbers that drew the batch
        model, mirrored = turn.choice(self.models), turn.random() < 0.5
        pixels = batch.pixels.flip(3) if mirrored else batch.pixels
        with torch.no_grad():
            logits, _ = model.answer(model.encode_pixels(pixels), batch.vectors)
            answer = model.calibrate_masks(logits.float()).sigmoid()
        if not mirrored:
            return answer, torch.ones(batch.names.shape)
        return answer.flip(3), (~self.sided[batch.names]).float()


def teacher_loss(logits: Tensor, answer: Tensor, known: Tensor) -> Tensor:
    """How far masks are from a teacher's: cross-entropy and Dice, over every cell.

    Args:
        logits: float (B, K, s, s).
        answer: float (B, K, s, s), what the teacher makes of the same batch.
        known: float (B, K), 1 where the answer counts.
    """
    rows, targets = logits.flatten(0, 1), answer.flatten(0, 1)
    cells = known.flatten()[:, None, None].expand_as(rows)
    return (bce(rows, targets, cells) + dice(rows, targets, cells)).mean()
