"""Augmentation of whole batches as tensor code, on any device: warps, pasted objects, hidden rectangles, colour."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

UNKNOWN = 255
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


@dataclass
class Warp:
    """Affine maps from the pixels of a square canvas to those of the images it shows.

    Attributes:
        matrix: float (B, 2, 2): image pixels moved for each canvas pixel moved, (x, y).
        source: float (B, 2): the image point shown at `target`.
        target: float (B, 2): canvas point.
    """

    matrix: Tensor
    source: Tensor
    target: Tensor

    def points(self, size: int, stride: int) -> Tensor:
        """Image points float (B, n, n, 2) under the middles of canvas cells of `stride` pixels; n = size / stride."""
        line = torch.arange(size // stride, device=self.source.device) * stride + (stride - 1) / 2
        y, x = torch.meshgrid(line, line, indexing="ij")
        offset = torch.stack([x, y], -1) - self.target[:, None, None]
        return torch.einsum("bij,bhwj->bhwi", self.matrix, offset) + self.source[:, None, None]


def uniform(low: float, high: float, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Random numbers from `low` to `high` on the generator's device."""
    return torch.rand(shape, generator=generator, device=generator.device) * (high - low) + low


@lru_cache(maxsize=64)
def constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    """A float vector that is copied to the device once."""
    return torch.tensor(values, device=device)


def colour_statistics(device: torch.device) -> tuple[Tensor, Tensor]:
    """ImageNet's mean and deviation, (1, 3, 1, 1) each."""
    return constant(MEAN, device).view(1, 3, 1, 1), constant(STD, device).view(1, 3, 1, 1)


def random_windows(
    sizes: Tensor, middle: Tensor, scales: Tensor, size: int, flip: Tensor, turn: Tensor, generator: torch.Generator
) -> Warp:
    """Random scale, aspect, turn and place around given points.

    Args:
        sizes: (B, 2) height and width of the images.
        middle: float (B, 2) points (x, y) that windows are to show.
        scales: float (B, 2) least and greatest extent of the window, as a fraction of the longer side.
        size: side of the canvas.
        flip: bool (B,), mirrored ones.
        turn: float (B,) standard deviation of the turn in radians.
        generator: of random numbers.
    """
    count = len(sizes)
    height, width = sizes[:, 0].float(), sizes[:, 1].float()
    longer = torch.maximum(height, width)
    spread = uniform(0, 1, (count,), generator)
    extent = longer * torch.exp(scales[:, 0].log() + spread * (scales[:, 1] / scales[:, 0]).log())
    half = extent / 2
    place = middle + uniform(-0.3, 0.3, (count, 2), generator) * extent[:, None]
    jitter = uniform(-0.1, 0.1, (count, 2), generator) * extent[:, None]
    sides = torch.stack([width, height], 1)
    kept = torch.minimum(torch.maximum(place, half[:, None]), sides - half[:, None])
    source = torch.where(sides > extent[:, None], kept, sides / 2 + jitter) - 0.5
    angle = torch.randn(count, generator=generator, device=generator.device) * turn
    aspect = torch.exp(uniform(-0.15, 0.15, (count,), generator))
    scale = extent / size
    sign = torch.where(flip, -1.0, 1.0)
    cos, sin = angle.cos() * scale, angle.sin() * scale
    rows = [torch.stack([sign * cos * aspect, -sin], 1), torch.stack([sign * sin, cos / aspect], 1)]
    target = torch.full((count, 2), (size - 1) / 2, device=source.device)
    return Warp(torch.stack(rows, 1), source, target)


def sample_pixels(images: Tensor, sizes: Tensor, warp: Warp, size: int) -> tuple[Tensor, Tensor]:
    """Warp images bilinearly.

    Args:
        images: uint8 (B, 3, side, side), each image in the upper left corner.
        sizes: (B, 2) height and width.
        warp: of the canvas.
        size: side of the canvas.

    Returns:
        Float (B, 3, size, size) in [0, 1], the mean colour outside the image, and bool (B, size, size) inside.
    """
    points = warp.points(size, 1)
    limit = torch.stack([sizes[:, 1], sizes[:, 0]], 1).float()[:, None, None] - 1
    inside = ((points > -0.5) & (points < limit + 0.5)).all(-1)
    side = images.shape[-1]
    grid = (torch.minimum(points.clamp(min=0), limit) + 0.5) * (2 / side) - 1
    pixels = F.grid_sample(images.float() / 255, grid, align_corners=False)
    grey = colour_statistics(pixels.device)[0]
    return torch.where(inside[:, None], pixels, grey), inside


def sample_maps(maps: Tensor, index: Tensor, sizes: Tensor, warp: Warp, size: int, stride: int, fill: int) -> Tensor:
    """Warp maps of half the images' resolution by the nearest value.

    Args:
        maps: uint8 (N, side / 2, side / 2).
        index: (B,) which of them.
        sizes: (B, 2) height and width of the images in pixels.
        warp: of the canvas.
        size: side of the canvas.
        stride: canvas pixels for each value.
        fill: value outside the image.

    Returns:
        uint8 (B, size / stride, size / stride).
    """
    points = warp.points(size, stride)
    limit = torch.stack([sizes[:, 1], sizes[:, 0]], 1).float()[:, None, None] - 1
    inside = ((points > -0.5) & (points < limit + 0.5)).all(-1)
    cells = ((torch.minimum(points.clamp(min=0), limit) + 0.5) / 2).floor().long().clamp(max=maps.shape[-1] - 1)
    values = maps[index[:, None, None], cells[..., 1], cells[..., 0]]
    return torch.where(inside, values, torch.full_like(values, fill))


def random_rectangles(
    count: int, size: int, chance: float, generator: torch.Generator, *, extent: tuple[float, float] = (0.15, 0.45)
) -> Tensor:
    """Bool (B, size, size): a rectangle of so much of the side in some of the images."""
    sides = uniform(*extent, (count, 2), generator) * size
    start = torch.rand((count, 2), generator=generator, device=generator.device) * (size - sides)
    line = torch.arange(size, device=generator.device)
    spans = [(line >= start[:, i, None]) & (line < (start + sides)[:, i, None]) for i in (0, 1)]
    chosen = torch.rand(count, generator=generator, device=generator.device) < chance
    return spans[0][:, :, None] & spans[1][:, None, :] & chosen[:, None, None]


def change_colours(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Gamma, saturation, contrast, tint, grey, blur and noise at random, then normalisation.

    Args:
        pixels: float (B, 3, S, S) in [0, 1].
        generator: of random numbers.

    Returns:
        Float (B, 3, S, S), normalised by ImageNet's mean and deviation.
    """
    count, device = len(pixels), pixels.device

    def draw(low: float, high: float, chance: float, still: float) -> Tensor:
        values = uniform(low, high, (count, 1, 1, 1), generator)
        return torch.where(uniform(0, 1, (count, 1, 1, 1), generator) < chance, values, still)

    x = pixels.clamp(1e-4, 1) ** torch.exp(draw(-0.3, 0.3, 0.6, 0.0))
    grey = x.mean(1, keepdim=True)
    saturation = draw(0.6, 1.4, 0.6, 1.0)
    saturation = torch.where(uniform(0, 1, (count, 1, 1, 1), generator) < 0.05, 0.0, saturation)
    x = grey + saturation * (x - grey)
    middle = grey.mean((2, 3), keepdim=True)
    x = middle + draw(0.7, 1.3, 0.6, 1.0) * (x - middle) + draw(-0.1, 0.1, 0.6, 0.0)
    tint = uniform(0.9, 1.1, (count, 3, 1, 1), generator)
    x = x * torch.where(uniform(0, 1, (count, 1, 1, 1), generator) < 0.6, tint, 1.0)
    soft = F.avg_pool2d(F.avg_pool2d(x, 3, 1, 1, count_include_pad=False), 3, 1, 1, count_include_pad=False)
    x = x + draw(0.3, 1.0, 0.1, 0.0) * (soft - x)
    noise = torch.randn(x.shape, generator=generator, device=device)
    x = x + draw(0.01, 0.04, 0.1, 0.0) * noise
    mean, std = colour_statistics(device)
    return (x - mean) / std


def bounding_boxes(masks: Tensor) -> Tensor:
    """Float (B, 4): left, top, right, bottom of bool masks (B, h, w), in cells; zeros for an empty mask."""
    sides = []
    for axis in (1, 2):
        line = masks.any(axis)  # axis 1: columns, axis 2: rows
        length = line.shape[1]
        number = torch.arange(length, device=masks.device)
        first = torch.where(line, number, length).amin(1)
        last = torch.where(line, number + 1, 0).amax(1)
        sides.append((torch.minimum(first, last).float(), last.float()))
    (left, right), (top, bottom) = sides
    return torch.stack([left, top, right, bottom], 1)
