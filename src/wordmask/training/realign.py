"""Heads on a frozen encoder follow it when it is trained further: linear maps from its new features to the old ones.

Every layer of PMP's decoder and of the crop network (IMSS, `refine`) that reads the encoder is linear, so that such a
map can be folded into it. What the maps do not explain is left to further training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from wordmask.methods.compact.weights import load_compact

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from torch import Tensor

    from wordmask.images import ImageInput

__all__ = ["LinearMap", "fit_linear", "linear_maps", "realign_crop_network", "realign_pmp"]

PYRAMID = ("stride4", "stride8", "stride16", "stride32")
RIDGE = 1e-5


class LinearMap(NamedTuple):
    """What predicts old features from new ones.

    Attributes:
        weight: float (D, C): old features (D) of new ones (C).
        bias: float (D,).
        explained: Share of the old features' variance that it explains on the cells it was fitted on.
    """

    weight: Tensor
    bias: Tensor
    explained: float


def fit_linear(new: Tensor, old: Tensor) -> LinearMap:
    """Fit a map by ridge regression.

    Args:
        new: float (N, C), features of N cells.
        old: float (N, D), those of the same cells.
    """
    x = torch.cat([new, torch.ones(len(new), 1)], 1).double()
    y = old.double()
    solved = torch.linalg.solve(x.T @ x + RIDGE * len(x) * torch.eye(x.shape[1], dtype=x.dtype), x.T @ y)
    rest = (y - x @ solved).square().sum() / (y - y.mean(0)).square().sum()
    return LinearMap(solved[:-1].T.float(), solved[-1].float(), 1 - float(rest))


@torch.inference_mode()
def linear_maps(
    before: Path, after: Path, images: Iterable[ImageInput], *, cells: int = 250, seed: int = 0
) -> dict[str, LinearMap]:  # fmt: skip
    """Fit maps between the encoders of two folders of compact weights on cells of images.

    Args:
        before: Folder whose features the heads know.
        after: Folder with the encoder that takes its place.
        images: Which show what users will ask about.
        cells: Of each image and map, drawn at random.
        seed: Of the draws.

    Returns:
        Maps of the encoder (`stride4` to `stride32`) and of the neck (`fine`, `coarse`).
    """
    generator = torch.Generator().manual_seed(seed)
    segmenters: list[Any] = [load_compact(folder, dtype=torch.float32) for folder in (after, before)]
    rows: dict[str, list[tuple[Tensor, Tensor]]] = {}
    for image in images:
        new, old = (_features(segmenter.encode(image).features) for segmenter in segmenters)
        for name, values in new.items():
            chosen = torch.randperm(len(values), generator=generator)[:cells]
            rows.setdefault(name, []).append((values[chosen], old[name][chosen]))
    return {name: fit_linear(*(torch.cat(side) for side in zip(*pairs, strict=True))) for name, pairs in rows.items()}


def _features(features: Any) -> dict[str, Tensor]:
    """Cells (N, C) of each map of one image."""
    maps = dict(zip(PYRAMID, features.pyramid, strict=True))
    maps |= {"fine": features.maps.fine, "coarse": features.maps.coarse}
    return {name: value[0].float().flatten(1).T for name, value in maps.items()}


def realign_crop_network(weights: Mapping[str, Tensor], maps: Mapping[str, LinearMap]) -> dict[str, Tensor]:
    """Return weights of a crop network that reads the new encoder; biases move into its batch norms."""
    result = dict(weights)
    for level, name in enumerate(PYRAMID):
        weight, mean = f"read.{level}.0.weight", f"read.{level}.1.running_mean"
        features, coarse = result[weight][:, :-1], result[weight][:, -1:]  # the last input is the coarse mask
        folded, bias = _folded(features, maps[name])
        result[weight] = torch.cat([folded, coarse.to(folded.dtype)], 1)
        result[mean] = result[mean] - bias
    return result


def realign_pmp(weights: Mapping[str, Tensor], maps: Mapping[str, LinearMap]) -> dict[str, Tensor]:
    """Return weights of PMP's decoder, with or without a centre head, that read the new encoder."""
    result = dict(weights)
    for level, name in enumerate(("stride32", "stride16", "coarse")):
        _fold(result, f"memory.lateral.{level}", maps[name])
    for level, name in enumerate(("stride32", "stride16")):
        _fold(result, f"memory.project.{level}", maps[name])
    _fold(result, "mask_features.fine", maps["fine"])
    if "centres.fine.weight" in result:
        weight = result["centres.fine.weight"]  # of squares of two by two cells, whose four values follow each other
        corners = weight.flatten(1).view(len(weight), -1, 4)
        parts = [_folded(corners[..., i], maps["fine"]) for i in range(4)]
        result["centres.fine.weight"] = torch.stack([part for part, _ in parts], 2).view_as(weight)
        coarse, bias = _folded(result["centres.coarse.weight"], maps["coarse"])
        result["centres.coarse.weight"] = coarse
        total = result["centres.fine.bias"].float() + bias + torch.stack([part for _, part in parts]).sum(0)
        result["centres.fine.bias"] = total.to(weight.dtype)
    return result


def _fold(weights: dict[str, Tensor], layer: str, change: LinearMap) -> None:
    """Fold a map into a layer with a bias, in place."""
    folded, bias = _folded(weights[f"{layer}.weight"], change)
    total = weights[f"{layer}.bias"].float() + bias
    weights |= {f"{layer}.weight": folded, f"{layer}.bias": total.to(folded.dtype)}


def _folded(weight: Tensor, change: LinearMap) -> tuple[Tensor, Tensor]:
    """Return weights (O, C, ...) of new features for those (O, D, ...) of old ones, and what the bias adds (O,)."""
    flat = weight.float().flatten(1)
    shape = (len(weight), change.weight.shape[1], *weight.shape[2:])
    return (flat @ change.weight).view(shape).to(weight.dtype), flat @ change.bias
