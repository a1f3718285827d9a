"""The two heads that turn a grid of tokens into one logit per pixel.

A transposed convolution whose kernel is as large as its stride maps every cell to its own square of pixels without
overlap. Both heads compute it as a matrix product and a rearrangement.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wordmask.backbones.packed_linear import Activation, PackedConvolution, PackedLinear


class PlainHead(nn.ConvTranspose2d):
    """Linear map from a token to its square of logits.

    Args:
        channels: Channels D of a token.
        patch: Side of the square in pixels.
    """

    def __init__(self, channels: int, patch: int) -> None:
        super().__init__(channels, 1, patch, stride=patch)

    def forward(self, cells: Tensor) -> Tensor:  # type: ignore[override]
        """Cells (P, h, w, D) -> logits (P, h * patch, w * patch)."""
        return join_squares(transposed_convolution(cells, self)[..., 0])


class RefinedHead(nn.Sequential):
    """A 3x3 convolution, then two transposed convolutions with ReLU.

    Args:
        channels: Channels D of a token.
        patch: Side of a cell in pixels; must be the square of `patch // 4`.
    """

    def __init__(self, channels: int, patch: int) -> None:
        side = patch // 4
        super().__init__(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(channels, channels // 2, side, stride=side),
            nn.ReLU(),
            nn.ConvTranspose2d(channels // 2, 1, side, stride=side),
        )
        self._packed: tuple[PackedConvolution, PackedLinear, PackedLinear] | None = None

    def forward(self, cells: Tensor) -> Tensor:
        """Cells (P, h, w, D) -> logits (P, h * patch, w * patch)."""
        if self._packed is not None:
            return self._from_packed(cells, *self._packed)
        mixed = F.relu(self[0](cells.permute(0, 3, 1, 2))).permute(0, 2, 3, 1)
        coarse = F.relu(transposed_convolution(mixed, self[2]))  # (P, h, w, side, side, D / 2)
        fine = transposed_convolution(coarse, self[4])[..., 0]  # (P, h, w, side, side, side, side)
        return join_twice(fine)

    def pack_linears(self) -> None:
        """Use packed weights from now on (see `packed_linear`)."""
        mixing = self[0]
        assert isinstance(mixing, nn.Conv2d)
        self._packed = (PackedConvolution(mixing), _packed(self[2], "relu"), _packed(self[4], "none"))

    def _from_packed(
        self, cells: Tensor, mixing: PackedConvolution, coarsely: PackedLinear, finely: PackedLinear
    ) -> Tensor:
        mixed = mixing(cells.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        coarse = _in_squares(coarsely(mixed), self[2])  # (P, h, w, side, side, D / 2)
        return join_twice(_in_squares(finely(coarse), self[4])[..., 0])


def _packed(convolution: nn.Module, activation: Activation) -> PackedLinear:
    """A transposed convolution with kernel = stride as a packed linear layer to kernel * kernel * outputs."""
    weight, bias = _as_linear(convolution)
    linear = nn.Linear(weight.shape[1], len(weight), device="meta", dtype=weight.dtype)
    linear.weight, linear.bias = nn.Parameter(weight.contiguous()), nn.Parameter(bias)
    return PackedLinear(linear, activation)


def build_head(channels: int, patch: int, *, refined: bool) -> nn.Module:
    """Return the refined head or the plain one."""
    return RefinedHead(channels, patch) if refined else PlainHead(channels, patch)


def transposed_convolution(cells: Tensor, convolution: nn.Module) -> Tensor:
    """Apply a transposed convolution with kernel = stride to cells (..., D) -> (..., kernel, kernel, outputs)."""
    return _in_squares(F.linear(cells, *_as_linear(convolution)), convolution)


def _in_squares(flat: Tensor, convolution: nn.Module) -> Tensor:
    """Values (..., kernel * kernel * outputs) as (..., kernel, kernel, outputs)."""
    weight = convolution.weight
    assert isinstance(weight, Tensor)
    return flat.view(*flat.shape[:-1], *weight.shape[2:], weight.shape[1])


def _as_linear(convolution: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight (kernel * kernel * outputs, D) and bias of the linear map that a transposed convolution does."""
    weight, bias = convolution.weight, convolution.bias
    assert isinstance(weight, Tensor)
    assert isinstance(bias, Tensor)
    return weight.permute(2, 3, 1, 0).flatten(0, 2), bias.repeat(weight.shape[2] * weight.shape[3])


def join_twice(squares: Tensor) -> Tensor:
    """Join squares of squares (P, h, w, a, b, c, d) to one map (P, h * a * c, w * b * d).

    Without a gradient, rows of `d` logits move as one number where they are as long as one: a tenth of the time.
    """
    rows, kind = squares, _OF_BYTES.get(squares.shape[6] * squares.element_size())
    if kind and squares.device.type == "cpu" and squares.is_contiguous() and not squares.requires_grad:
        rows = squares.view(kind)
    joined = rows.permute(0, 1, 3, 5, 2, 4, 6).flatten(4, 6).flatten(1, 3)
    return joined if rows is squares else joined.view(squares.dtype)


_OF_BYTES = {4: torch.int32, 8: torch.int64, 16: torch.complex128}
"""A number type of so many bytes, which copies keep bit by bit."""


def join_squares(squares: Tensor) -> Tensor:
    """Join squares (P, h, w, a, b) to one map (P, h * a, w * b)."""
    return squares.transpose(2, 3).flatten(3, 4).flatten(1, 2)
