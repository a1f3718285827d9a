"""Where a CLIPSeg to be trained comes from: a folder as it is, or frozen towers and a decoder of random weights."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from wordmask.backbones.clip.build import random_vision
from wordmask.backbones.clip.weights import clip_weights, text_weights
from wordmask.backbones.vit import random_projection, vit_settings, vit_weights
from wordmask.checkpoints import read_json
from wordmask.checkpoints.reading import find_weights, read_weights
from wordmask.errors import CheckpointError, TrainingError, quote, sentence
from wordmask.methods.clipseg import loader
from wordmask.methods.clipseg.checkpoint import TRAINED_WITH, Checkpoint, read_statistics
from wordmask.methods.clipseg.config import MODEL_TYPE, ClipSegConfig
from wordmask.methods.clipseg.model import build_decoder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wordmask.train.recipes import Recipe

__all__ = ["FRESH_KINDS", "read_start"]


def read_start(source: Path, recipe: Recipe) -> Checkpoint:
    """Read what a training starts from. Doing it again gives the same bits.

    Args:
        source: A CLIPSeg's folder or original file; with a fresh decoder the folder that its towers come from.
        recipe: Whether the decoder is fresh, and of what kind; which towers are drawn.

    Raises:
        CheckpointError: If files are damaged or do not fit together; ModelNotFoundError if some are missing.
        TrainingError: If the recipe does not fit the folder.
    """
    if recipe.fresh:
        return _with_fresh_decoder(_towers(source, recipe), recipe)
    return loader.read_original(source, None) if source.is_file() else loader.read_folder(source)


def _with_fresh_decoder(start: Checkpoint, recipe: Recipe) -> Checkpoint:
    """The towers with a decoder whose weights depend on the recipe's seed alone."""
    layers = recipe.extract_layers if recipe.decoder == "attention" else recipe.extract_layers[-1:]
    config = replace(
        start.config, reduce_dim=recipe.channels, extract_layers=layers, refined=recipe.refined,
        decoder=recipe.decoder, heads=4, feedforward=recipe.feedforward, conditional_layer=0,
    )  # fmt: skip
    if recipe.channels % config.heads:
        got = f"channels={recipe.channels}"
        raise CheckpointError(sentence(got, f"a multiple of the decoder's {config.heads} heads", "change channels"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        decoder = build_decoder(config).state_dict()
    return start._replace(config=config, decoder=decoder)


def _towers(source: Path, recipe: Recipe) -> Checkpoint:
    """The towers alone, with nothing in place of a decoder."""
    kind = str(read_json(source / "config.json").get("model_type"))
    if recipe.text_towers and kind != "vit":
        got = f"text_towers={quote(recipe.text_towers)} for a model of type {quote(kind)}, which has a text tower"
        raise TrainingError(sentence(got, "a ViT as --model", "leave text_towers out, or give a ViT"))
    start = _READERS[kind](source, recipe)
    if recipe.towers == "given":
        return start
    if start.config.encoder != "clip":
        got = f"towers=random for a model of type {quote(kind)}"
        raise TrainingError(sentence(got, "a CLIP, whose vision tower is drawn", "leave towers out, or give a CLIP"))
    drawn = random_vision(start.config.vision, projection_dim=start.config.projection_dim, seed=recipe.seed)
    return start._replace(clip=start.clip | drawn)


def _clip(source: Path, recipe: Recipe) -> Checkpoint:
    """A CLIP, or a CLIPSeg whose decoder is left behind; pixels as all CLIPSegs were trained, not as CLIP was."""
    values = read_json(source / "config.json")
    towers: dict[str, Any] = {key: values.get(key) or {} for key in ("vision_config", "text_config")}
    config = ClipSegConfig(
        vision=towers["vision_config"], text=towers["text_config"],
        projection_dim=int(values.get("projection_dim", 512)), extract_layers=recipe.extract_layers,
    )  # fmt: skip
    clip = clip_weights(read_weights(find_weights(source)))
    return Checkpoint(source, config, clip, {}, TRAINED_WITH)


def _vit(source: Path, recipe: Recipe) -> Checkpoint:
    """A ViT for the pictures and a CLIP's text tower for the words (ViTSeg); pixels as the ViT was trained."""
    if not recipe.text_towers:
        remedy = "name a CLIP with --change text_towers=openai/clip-vit-base-patch16"
        raise TrainingError(sentence("a ViT, which knows no words", "a CLIP for the words", remedy))
    settings = vit_settings(read_json(source / "config.json"))
    folder = loader.local_folder(recipe.text_towers, None)
    words = read_json(folder / "config.json")
    config = ClipSegConfig(
        vision=settings, text=words.get("text_config") or {}, projection_dim=int(words.get("projection_dim", 512)),
        extract_layers=recipe.extract_layers, encoder="vit",
    )  # fmt: skip
    vision = vit_weights(read_weights(find_weights(source)))
    projection = random_projection(config.width, config.projection_dim, recipe.seed)
    weights = text_weights(clip_weights(read_weights(find_weights(folder))))
    weights |= {f"vision_model.{name}": tensor for name, tensor in vision.items()}
    weights |= {f"visual_projection.{name}": tensor for name, tensor in projection.items()}
    mean, std, size = read_statistics(source)
    if not (source / "preprocessor_config.json").is_file():
        size = (settings["image_size"],) * 2
    return Checkpoint(folder, config, weights, {}, (mean, std, size))


def _variant(source: Path, recipe: Recipe) -> Checkpoint:
    """The towers of a variant that was trained here."""
    return loader.read_folder(source)


_READERS: dict[str, Callable[[Path, Recipe], Checkpoint]] = {
    "clip": _clip, "clipseg": _clip, "vit": _vit, MODEL_TYPE: _variant,
}  # fmt: skip
FRESH_KINDS = tuple(_READERS)
"""Values of `model_type` in the folders that towers can be taken from."""
