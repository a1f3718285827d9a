"""Presence from activations pooled under the soft mask: an ensemble of small heads beside the decoder's own.

The decoder's presence head is trained with the masks, on crops. These heads are trained afterwards, on whole images
asked for whole vocabularies (`training.compact.presence_stage`), and their mean is added to its logit.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["STATISTICS", "PooledPresence", "pool_cells", "pool_inputs"]

STATISTICS = 15
"""Numbers that describe the map of one phrase."""
PERCENT = (1, 5, 20)
"""The strongest cells whose mean is taken, in percent of all cells: whole numbers, which exporters follow."""


class PooledPresence(nn.Module):
    """Presence logits from pooled inputs, the scene vector and the condition.

    Args:
        condition: Channels of a condition.
        scene: Channels of the scene vector.
        pixel: Channels of a pixel embedding.
        width: Channels of the FiLM path at stride 8.
        members: Heads whose logits are averaged.
        hidden: Hidden units of a head.
        match: Channels in which images and phrases are multiplied.
        dropout: Of a head's inputs and hidden units, in training.
    """

    def __init__(
        self, *, condition: int, scene: int, pixel: int, width: int, members: int, hidden: int = 96, match: int = 64,
        dropout: float = 0.4,
    ) -> None:  # fmt: skip
        super().__init__()
        self.width = width
        self.gain = condition**0.5
        self.norm = _FixedNorm(STATISTICS + width + pixel)
        self.scene_norm = _FixedNorm(scene)
        sizes = (condition, scene, pixel, STATISTICS + width, hidden, match)
        self.members = nn.ModuleList(_Member(*sizes, dropout) for _ in range(members))

    def forward(self, pooled: Tensor, scene: Tensor, conditions: Tensor) -> Tensor:
        """Return presence logits (R,), the mean of the members.

        Args:
            pooled: (R, P) of `pool_inputs`.
            scene: Scene vectors (R, S).
            conditions: (R, condition).
        """
        return self.logits(pooled, scene, conditions).mean(0)

    def logits(self, pooled: Tensor, scene: Tensor, conditions: Tensor) -> Tensor:
        """Return presence logits (members, R).

        Args:
            pooled: (R, P) of `pool_inputs`.
            scene: Scene vectors (R, S).
            conditions: (R, condition).
        """
        pooled, scene, conditions = self.norm(pooled), self.scene_norm(scene), self.gain * conditions
        own, pixel = pooled[:, : STATISTICS + self.width], pooled[:, STATISTICS + self.width :]
        return torch.stack([member(own, pixel, scene, conditions) for member in self.members])


def pool_cells(pixel: Tensor) -> Tensor:
    """Return means (B, D, N) of pixel embeddings (B, D, h, w) over squares of two by two."""
    return F.avg_pool2d(pixel, 2).flatten(2)


def pool_inputs(cells: Tensor, activations: Tensor, dot: Tensor, logits: Tensor) -> Tensor:
    """Return the pooled inputs (B, K, STATISTICS + width + D) of K phrases.

    Args:
        cells: Pixel embeddings (B, D, N), means over squares of two by two.
        activations: FiLM path (B, K, width, h / 2, w / 2).
        dot: Logits of the dot path (B, K, h, w).
        logits: Mask logits (B, K, h, w).
    """
    pooled = F.avg_pool2d(logits, 2).flatten(2)  # (B, K, N)
    probability = pooled.sigmoid()
    weights = probability / probability.sum(2, keepdim=True).clamp(min=1e-6)  # the soft mask, of sum 1
    strongest = pooled.sort(dim=2, descending=True)[0]
    dots = F.avg_pool2d(dot, 2).flatten(2).sort(dim=2, descending=True)[0]
    statistics = [
        logits.amax((2, 3)), logits.sigmoid().mean((2, 3)) * 5, *_top(strongest.sigmoid()), *_top(strongest),
        pooled.mean(2), dot.amax((2, 3)), *_top(dots), (logits - dot).amax((2, 3)), (weights * probability).sum(2),
    ]  # fmt: skip
    return torch.cat(
        [
            torch.stack(statistics, 2),
            (activations.flatten(3) @ weights.unsqueeze(3)).squeeze(3),  # (B, K, width)
            weights @ cells.transpose(1, 2),  # (B, K, D)
        ],
        2,
    )


class _FixedNorm(nn.Module):
    """Subtract a mean and divide by a standard deviation, those of the training images; neither changes in training."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("running_mean", torch.zeros(channels))  # names of batch norms: files keep them in float32
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.running_mean) * (self.running_var + 1e-6).rsqrt()

    def fit(self, rows: Tensor) -> None:
        """Take mean and variance from rows (R, channels)."""
        self.running_mean.copy_(rows.mean(0))
        self.running_var.copy_(rows.var(0))


class _Member(nn.Module):
    """One head: a multilayer perceptron over pooled inputs and products of image and phrase."""

    def __init__(
        self, condition: int, scene: int, pixel: int, own: int, hidden: int, match: int, dropout: float
    ) -> None:
        super().__init__()
        self.words = nn.Linear(condition, match)
        self.scene = nn.Linear(scene, match)
        self.pixel = nn.Linear(pixel, match)
        self.head = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(own + 5 * match, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, 1),
        )

    def forward(self, own: Tensor, pixel: Tensor, scene: Tensor, conditions: Tensor) -> Tensor:
        words, seen, under = self.words(conditions), self.scene(scene), self.pixel(pixel)  # (R, match)
        logits: Tensor = self.head(torch.cat([own, words, seen, seen * words, under, under * words], 1))
        return logits.squeeze(1)


def _top(falling: Tensor) -> list[Tensor]:
    """Means (B, K) of the strongest cells of (B, K, N), sorted falling."""
    count = falling.shape[2]
    return [falling[..., : max(1, count * part // 100)].mean(2) for part in PERCENT]
