"""Convert the names of a decoder's weights between transformers and ours, which are those of the original files."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

Weights = Mapping[str, Tensor]

_INSIDE_BLOCK = (
    ("mlp.fc1", "linear1"),
    ("mlp.fc2", "linear2"),
    ("layer_norm1", "norm1"),
    ("layer_norm2", "norm2"),
    ("self_attn.out_proj", "self_attn.out_proj"),
)
UNUSED = re.compile(r"^reduce\.")
"""Weights of a layer that the original files hold and the network does not use."""


def decoder_from_transformers(weights: Weights) -> dict[str, Tensor]:
    """Rename transformers' `decoder.*` weights and join the query, key and value projections.

    Unknown names are kept, so that strict loading reports them.
    """
    renamed = {}
    for name, tensor in weights.items():
        if name.startswith("decoder.") and not re.search(r"self_attn\.[qkv]_proj", name):
            renamed[_ours(name.removeprefix("decoder."))] = tensor
    for block, kind in sorted(_projections(weights)):
        parts = [weights.get(f"decoder.layers.{block}.self_attn.{part}_proj.{kind}") for part in "qkv"]
        if all(part is not None for part in parts):
            joined = torch.cat([part for part in parts if part is not None])
            renamed[f"blocks.{block}.self_attn.in_proj_{kind}"] = joined
    return renamed


def decoder_to_transformers(weights: Weights) -> dict[str, Tensor]:
    """Rename our decoder's weights to transformers' names; the inverse of `decoder_from_transformers`."""
    renamed = {}
    for name, tensor in weights.items():
        found = re.fullmatch(r"blocks\.(\d+)\.self_attn\.in_proj_(weight|bias)", name)
        if found is None:
            renamed[f"decoder.{_theirs(name)}"] = tensor
            continue
        for part, part_weight in zip("qkv", tensor.chunk(3), strict=True):
            renamed[f"decoder.layers.{found[1]}.self_attn.{part}_proj.{found[2]}"] = part_weight.clone()
    return renamed


def _projections(weights: Weights) -> set[tuple[int, str]]:
    pattern = re.compile(r"decoder\.layers\.(\d+)\.self_attn\.[qkv]_proj\.(weight|bias)")
    found = (pattern.fullmatch(name) for name in weights)
    return {(int(match[1]), match[2]) for match in found if match}


def _ours(name: str) -> str:
    name = re.sub(r"^layers\.", "blocks.", name.replace("transposed_convolution", "trans_conv"))
    for theirs, ours in _INSIDE_BLOCK:
        name = name.replace(theirs, ours) if name.startswith("blocks.") else name
    return name


def _theirs(name: str) -> str:
    if name.startswith("blocks."):
        for theirs, ours in _INSIDE_BLOCK:
            name = name.replace(f".{ours}.", f".{theirs}.")
    return re.sub(r"^blocks\.", "layers.", name.replace("trans_conv", "transposed_convolution"))
