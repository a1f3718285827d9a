"""A CLIPSeg decoder of random weights on the frozen towers of a CLIP or a ViT."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

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
from wordmask.methods.clipseg.training import ClipSegTraining
from wordmask.methods.trainable import TrainedParts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wordmask.settings import Choices, Ranges

__all__ = ["FRESH_KINDS", "FreshDecoder", "read_towers"]


@dataclass(frozen=True, kw_only=True)
class FreshDecoder(TrainedParts):
    """Settings of training a CLIPSeg decoder from random weights on frozen towers.

    Attributes:
        decoder: CLIPSeg's with attention (`"attention"`) or CLIP-Deconv's without (`"deconv"`), which reads the last of
            `extract_layers`.
        channels: Width D of the decoder.
        feedforward: Hidden width of its blocks.
        refined: Whether its head is the refined one.
        extract_layers: Blocks of the vision tower whose outputs it reads.
        towers: The vision tower as it is `"given"`, or of `"random"` weights that depend on the seed alone ("no CLIP
            pre-training").
        text_towers: On a ViT that knows no phrases (ViTSeg): the folder or hub id of the CLIP whose text tower embeds
            them; "" for a CLIP.
    """

    decoder: str = "attention"
    channels: int = 64
    feedforward: int = 2048
    refined: bool = False
    extract_layers: tuple[int, ...] = (3, 7, 9)
    towers: str = "given"
    text_towers: str = ""

    pretrained: ClassVar[bool] = False
    ranges: ClassVar[Ranges] = {**TrainedParts.ranges, "channels": (1, 10**6), "feedforward": (1, 10**6)}
    choices: ClassVar[Choices] = {
        **TrainedParts.choices,
        "decoder": ("attention", "deconv"),
        "towers": ("given", "random"),
    }

    def open(self, model: Path | None, schedule: Any) -> ClipSegTraining:
        """Open the towers in a folder, with a decoder whose weights depend on the schedule's seed alone.

        Raises:
            CheckpointError: If the files are damaged or do not fit together.
            TrainingError: If the model is none of `FRESH_KINDS`, or the settings do not fit it.
        """
        kind = read_json(model / "config.json").get("model_type") if model is not None and model.is_dir() else None
        if model is None or kind not in _READERS:
            got = f"the model {quote(model)} ({kind}) for a fresh decoder"
            expected = "the folder of a CLIP, a CLIPSeg or a ViT"
            raise TrainingError(sentence(got, expected, "give another folder or hub id with --model"))

        def start() -> Checkpoint:
            return read_towers(model, self, int(schedule.seed))

        return ClipSegTraining(loader.assemble(start(), size=self.size or None, fit="squash"), start, self)


def read_towers(source: Path, settings: FreshDecoder, seed: int) -> Checkpoint:
    """Read the towers and draw a decoder. Doing it again gives the same bits.

    Args:
        source: The folder that the towers come from.
        settings: Which decoder, and which towers are drawn, too.
        seed: Of what is drawn.

    Raises:
        CheckpointError: If files are damaged or do not fit together; ModelNotFoundError if some are missing.
        TrainingError: If the settings do not fit the folder.
    """
    return _with_fresh_decoder(_towers(source, settings, seed), settings, seed)


def _with_fresh_decoder(start: Checkpoint, settings: FreshDecoder, seed: int) -> Checkpoint:
    """The towers with a decoder whose weights depend on the seed alone."""
    layers = settings.extract_layers if settings.decoder == "attention" else settings.extract_layers[-1:]
    config = replace(
        start.config, reduce_dim=settings.channels, extract_layers=layers, refined=settings.refined,
        decoder=settings.decoder, heads=4, feedforward=settings.feedforward, conditional_layer=0,
    )  # fmt: skip
    if settings.channels % config.heads:
        got = f"channels={settings.channels}"
        raise CheckpointError(sentence(got, f"a multiple of the decoder's {config.heads} heads", "change channels"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        decoder = build_decoder(config).state_dict()
    return start._replace(config=config, decoder=decoder)


def _towers(source: Path, settings: FreshDecoder, seed: int) -> Checkpoint:
    """The towers alone, with nothing in place of a decoder."""
    kind = str(read_json(source / "config.json").get("model_type"))
    if settings.text_towers and kind != "vit":
        got = f"text_towers={quote(settings.text_towers)} for a model of type {quote(kind)}, which has a text tower"
        raise TrainingError(sentence(got, "a ViT as --model", "leave text_towers out, or give a ViT"))
    start = _READERS[kind](source, settings, seed)
    if settings.towers == "given":
        return start
    if start.config.encoder != "clip":
        got = f"towers=random for a model of type {quote(kind)}"
        raise TrainingError(sentence(got, "a CLIP, whose vision tower is drawn", "leave towers out, or give a CLIP"))
    drawn = random_vision(start.config.vision, projection_dim=start.config.projection_dim, seed=seed)
    return start._replace(clip=start.clip | drawn)


def _clip(source: Path, settings: FreshDecoder, seed: int) -> Checkpoint:
    """A CLIP, or a CLIPSeg whose decoder is left behind; pixels as all CLIPSegs were trained, not as CLIP was."""
    values = read_json(source / "config.json")
    towers: dict[str, Any] = {key: values.get(key) or {} for key in ("vision_config", "text_config")}
    config = ClipSegConfig(
        vision=towers["vision_config"], text=towers["text_config"],
        projection_dim=int(values.get("projection_dim", 512)), extract_layers=settings.extract_layers,
    )  # fmt: skip
    clip = clip_weights(read_weights(find_weights(source)))
    return Checkpoint(source, config, clip, {}, TRAINED_WITH)


def _vit(source: Path, settings: FreshDecoder, seed: int) -> Checkpoint:
    """A ViT for the images and a CLIP's text tower for the phrases (ViTSeg); pixels as the ViT was trained."""
    if not settings.text_towers:
        remedy = "name a CLIP with --change text_towers=openai/clip-vit-base-patch16"
        raise TrainingError(sentence("a ViT, which knows no words", "a CLIP for the words", remedy))
    vision = vit_settings(read_json(source / "config.json"))
    folder = loader.local_folder(settings.text_towers, None)
    words = read_json(folder / "config.json")
    config = ClipSegConfig(
        vision=vision, text=words.get("text_config") or {}, projection_dim=int(words.get("projection_dim", 512)),
        extract_layers=settings.extract_layers, encoder="vit",
    )  # fmt: skip
    tensors = vit_weights(read_weights(find_weights(source)))
    projection = random_projection(config.width, config.projection_dim, seed)
    weights = text_weights(clip_weights(read_weights(find_weights(folder))))
    weights |= {f"vision_model.{name}": tensor for name, tensor in tensors.items()}
    weights |= {f"visual_projection.{name}": tensor for name, tensor in projection.items()}
    mean, std, size = read_statistics(source)
    if not (source / "preprocessor_config.json").is_file():
        size = (vision["image_size"],) * 2
    return Checkpoint(folder, config, weights, {}, (mean, std, size))


def _variant(source: Path, settings: FreshDecoder, seed: int) -> Checkpoint:
    """The towers of a variant that was trained here."""
    return loader.read_folder(source)


_READERS: dict[str, Callable[[Path, FreshDecoder, int], Checkpoint]] = {
    "clip": _clip, "clipseg": _clip, "vit": _vit, MODEL_TYPE: _variant,
}  # fmt: skip
FRESH_KINDS = tuple(_READERS)
"""Values of `model_type` in the folders that towers can be taken from."""
