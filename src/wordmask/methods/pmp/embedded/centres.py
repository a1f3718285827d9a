"""Where the thing that a cell belongs to has its centre, and how large it is: maps that divide a mask into instances.

As in Panoptic-DeepLab (Cheng et al., arXiv 1911.10194) every cell points to the centre of its instance, and a heat map
marks centres; here the prompt modulates the features and the dense mask is an input, so that a window and the facade
that it is part of have centres of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wordmask.methods.pmp.embedded.grouping import SCORE_INPUTS
from wordmask.ops.probability import sigmoid

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wordmask.methods.pmp.embedded.config import DecoderConfig
    from wordmask.methods.pmp.embedded.features import TrunkMaps

__all__ = ["CentreHead", "CentreMaps"]

LIMIT = 8.0
"""Dense logits are kept in -LIMIT to LIMIT."""
REACH = 16.0
"""Cells of an offset for an output of 1."""
FOLD = 2
"""Outputs are computed at stride 8 and unfolded to stride 4."""
OUTPUTS = 6


class CentreMaps(NamedTuple):
    """Maps of B images with K prompts, at stride 4.

    Attributes:
        offsets: float `(B, K, 2, h, w)`, x and y from the cell to the centre of its instance, in cells.
        sizes: float `(B, K, 2, h, w)`, logarithms of width and height of the instance's box, in cells.
        heat: float `(B, K, h, w)`, logits that the cell is the centre of an instance.
        mask: float `(B, K, h, w)`, logits of the whole mask of the prompt.
    """

    offsets: Tensor
    sizes: Tensor
    heat: Tensor
    mask: Tensor


class CentreHead(nn.Module):
    """Centres, sizes and a mask for prompts.

    Args:
        config: Sizes.
    """

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        width, inner = config.mixed, config.centres
        self.fine = nn.Conv2d(FOLD * FOLD * config.fine, width, 1)
        self.coarse = nn.Conv2d(config.coarse, width, 1, bias=False)
        self.mixed = nn.Conv2d(width, width, 1, bias=False)
        self.norms = nn.ModuleList(nn.GroupNorm(8, width) for _ in range(2))
        self.blocks = nn.ModuleList(
            nn.ModuleList([nn.Conv2d(width, width, 3, padding=d, dilation=d), nn.Conv2d(width, width, 1)])
            for d in (1, 3)
        )
        self.prompt = nn.Linear(config.text, 2 * width)
        self.dense = nn.Conv2d(FOLD * FOLD, width, 3, padding=1)
        self.pool = nn.Linear(2 * width, width)
        self.embed = nn.Linear(width, config.embedding + 2)
        self.narrow = nn.Conv2d(width, inner, 1)
        self.mix = nn.Conv2d(inner, inner, 3, padding=1)
        self.out = nn.Conv2d(inner, OUTPUTS * FOLD * FOLD, 1)
        self.score = nn.Linear(SCORE_INPUTS, 1)
        start = torch.tensor([0.0, 0.0, 2.0, 2.0, -4.0, 0.0]).repeat_interleave(FOLD * FOLD)
        with torch.no_grad():
            self.score.weight.copy_((torch.arange(SCORE_INPUTS) < 2).float())  # presence and mean logit
            self.score.bias.zero_()
            self.embed.weight.mul_(0.1)
            self.embed.bias.zero_()
            self.out.weight.mul_(0.1)
            assert self.out.bias is not None
            self.out.bias.copy_(start)

    def encode(self, maps: TrunkMaps, mixed: Tensor) -> Tensor:
        """Return features float `(B, mixed, H / 8, W / 8)`, whatever the prompts.

        Args:
            maps: Of the trunk.
            mixed: Trained features `(B, mixed, H / 8, W / 8)`.
        """
        x: Tensor = self.fine(F.pixel_unshuffle(maps.fine, FOLD)) + self.coarse(maps.coarse) + self.mixed(mixed)
        for norm, block in zip(self.norms, self.blocks, strict=True):
            assert isinstance(block, nn.ModuleList)
            x = x + block[1](F.relu(block[0](F.relu(norm(x)))))
        return x

    def forward(self, features: Tensor, grid: Tensor, phrases: Tensor, dense: Tensor) -> CentreMaps:
        """Return the maps of K prompts for each of B images.

        Args:
            features: Of `encode`, `(B, mixed, h / 2, w / 2)`.
            grid: Mask features `(B, D, h, w)`.
            phrases: Unit vectors `(B, K, text)`.
            dense: Dense logits `(B, K, h, w)`.
        """
        b, k, h, w = dense.shape
        start = dense.to(features.dtype).clamp(-LIMIT, LIMIT).flatten(0, 1).unsqueeze(1)  # (B * K, 1, h, w)
        told = self.prompt(phrases * phrases.shape[-1] ** 0.5)
        scale, shift = told.unsqueeze(-1).unsqueeze(-1).chunk(2, 2)
        x = torch.addcmul(shift, features.unsqueeze(1), 1 + scale).flatten(0, 1)
        folded = (F.pixel_unshuffle(start, FOLD) / 4).contiguous(memory_format=torch.channels_last)  # as features are
        x = F.relu(x.add_(self.dense(folded)), inplace=True)
        x = F.relu(self.mix(F.relu(self.narrow(x), inplace=True)), inplace=True)
        maps = F.pixel_shuffle(self.out(x), FOLD).view(b, k, OUTPUTS, h, w)
        offsets, sizes, heat, mask = torch.split(maps, [2, 2, 1, 1], 2)
        mask = mask.squeeze(2) + self._matched(features, grid, told, start.view(b, k, h, w))
        return CentreMaps(REACH * offsets, sizes, heat.squeeze(2), mask)

    def _matched(self, features: Tensor, grid: Tensor, told: Tensor, dense: Tensor) -> Tensor:
        """Mask logits `(B, K, h, w)`: the dense ones, and what resembles the cells that they mark.

        Args:
            features: `(B, mixed, h / 2, w / 2)`.
            grid: Mask features `(B, D, h, w)`.
            told: What the prompts say, `(B, K, 2 * mixed)`.
            dense: Dense logits `(B, K, h, w)`.
        """
        marked = F.avg_pool2d(dense, FOLD).sigmoid().flatten(2)  # (B, K, cells)
        marked = marked / (marked.sum(2, keepdim=True) + 1)
        inside = marked @ features.flatten(2).transpose(1, 2)  # (B, K, mixed)
        vectors = self.embed(F.relu(self.pool(torch.cat([inside, told.chunk(2, 2)[1]], 2))))
        embedding, gain, bias = vectors.split([grid.shape[1], 1, 1], 2)
        alike = (grid.shape[1] ** -0.5 * embedding @ grid.flatten(2)).view(dense.shape)
        result: Tensor = alike + dense * (1 + gain).unsqueeze(3) + bias.unsqueeze(3)
        return result

    @torch.no_grad()
    def expected(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the expected IoU `(N,)` of groups, from their `score_inputs` `(N, SCORE_INPUTS)`."""
        weight, bias = (part.detach().to("cpu", torch.float32).numpy() for part in (self.score.weight, self.score.bias))
        result: NDArray[np.float32] = sigmoid(inputs @ weight[0] + bias[0])
        return result
