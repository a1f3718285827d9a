"""Names of weights: from transformers' layout to ours, which is that of the original decoder files, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from wordmask.errors import CheckpointError, quote, sentence

Weights = Mapping[str, Tensor]

_INSIDE_BLOCK = (
    ("mlp.fc1", "linear1"),
    ("mlp.fc2", "linear2"),
    ("layer_norm1", "norm1"),
    ("layer_norm2", "norm2"),
    ("self_attn.out_proj", "self_attn.out_proj"),
)
_DEAD = re.compile(r"^(reduce\.|.*position_ids$)")
"""Weights that files carry and no network reads: the unused `reduce` layer and the positions' numbers."""
_NAMED = 3
"""How many offending names an error message lists."""


def decoder_from_transformers(weights: Weights) -> dict[str, Tensor]:
    """Rename transformers' `decoder.*` weights; the separate query, key and value products become one.

    Names that the map does not know are kept, so that `load_exactly` can name them.
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
    """The way back: our decoder's weights in transformers' names."""
    renamed = {}
    for name, tensor in weights.items():
        found = re.fullmatch(r"blocks\.(\d+)\.self_attn\.in_proj_(weight|bias)", name)
        if found is None:
            renamed[f"decoder.{_theirs(name)}"] = tensor
            continue
        for part, third in zip("qkv", tensor.chunk(3), strict=True):
            renamed[f"decoder.layers.{found[1]}.self_attn.{part}_proj.{found[2]}"] = third.clone()
    return renamed


def clip_from_transformers(weights: Weights) -> dict[str, Tensor]:
    """The weights of CLIP in a CLIPSeg checkpoint (`clip.*`) or in one of CLIP alone (no prefix)."""
    inside = {name.removeprefix("clip."): tensor for name, tensor in weights.items() if name.startswith("clip.")}
    return inside or {name: tensor for name, tensor in weights.items() if not name.startswith("decoder.")}


def load_exactly(module: nn.Module, weights: Weights, *, source: str) -> None:
    """Put weights into a module (float32, not copied where they are float32 already).

    Raises:
        CheckpointError: If names are missing, left over or of the wrong shape, or weights are not finite; the message
            names a few.
    """
    own = module.state_dict()
    given = {name: tensor for name, tensor in weights.items() if name in own or not _DEAD.match(name)}
    uneven = [name for name in given if name in own and given[name].shape != own[name].shape]
    problems = [
        *_listed("missing", [name for name in own if name not in given]),
        *_listed("unknown", [name for name in given if name not in own]),
        *_listed("misshapen", [f"{n} {tuple(given[n].shape)} for {tuple(own[n].shape)}" for n in uneven]),
    ]
    if problems:
        remedy = "use the config.json that belongs to these weights, or fetch or convert the checkpoint again"
        raise CheckpointError(sentence(f"{quote(source)} with {'; '.join(problems)}", "exactly the network's", remedy))
    single = {name: tensor.float() for name, tensor in given.items()}
    if broken := _listed("non-finite", [name for name, tensor in single.items() if not tensor.isfinite().all()]):
        got = f"{quote(source)} with {broken[0]}"
        raise CheckpointError(sentence(got, "numbers alone, no nan or inf", "fetch or convert the checkpoint again"))
    module.load_state_dict(single, assign=True)


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


def _listed(what: str, names: list[str]) -> list[str]:
    """One phrase such as "2 missing weights (a, b)", or nothing."""
    if not names:
        return []
    shown = ", ".join(sorted(names)[:_NAMED]) + (", …" if len(names) > _NAMED else "")
    return [f"{len(names)} {what} weight{'s' if len(names) > 1 else ''} ({shown})"]
