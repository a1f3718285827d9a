"""CLIPSeg in training: its decoder on frozen CLIP towers (arXiv 2112.10003, sections 3 and 4)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file

from wordmask.errors import CheckpointError, quote, sentence
from wordmask.methods.clipseg import key_map, loader
from wordmask.methods.clipseg.checkpoint import TRAINED_WITH, find_weights, read_weights
from wordmask.methods.clipseg.config import ClipSegConfig
from wordmask.methods.clipseg.decoder import MaskDecoder, Readouts
from wordmask.methods.clipseg.model import mix_condition
from wordmask.methods.dense import DenseSegmenter
from wordmask.train.students.student import Answer, Student

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from wordmask.contracts import Segmenter
    from wordmask.methods.clipseg.model import ClipSeg
    from wordmask.train.recipes import Recipe
    from wordmask.train.views import Batch


class ClipSegStudent(Student):
    """See `Student`; its one trained part is the decoder.

    Args:
        model: The whole.
        config: Its sizes.
        source: The folder or file that its towers are read from.
        recipe: What is trained, and how.
    """

    def __init__(self, model: ClipSeg, config: ClipSegConfig, source: Path, recipe: Recipe) -> None:
        _require_decoder(recipe.parts)
        whole = {"vision": model.vision, "text": model.text, "decoder": model.decoder}
        super().__init__(
            whole, ("decoder",), recipe, size=model.size, square=recipe.fit == "square", mean=model.mean, std=model.std
        )
        self._model, self._config, self._source = (model,), config, source

    def forward(self, batch: Batch) -> Answer:
        model = self._model[0]
        with torch.no_grad():
            readouts = model.vision(batch.pixels)
            conditions = self._conditions(batch)
        reduced = model.decoder.reduce(readouts, model.vision.grid(batch.pixels))
        each = len(conditions) // len(batch.pixels)
        if each > 1:
            reduced = Readouts(*(part.repeat_interleave(each, dim=0) for part in reduced))
        return Answer(model.decoder(reduced, conditions), None)

    def segmenter(self) -> Segmenter:
        return DenseSegmenter(self._model[0], device=self._model[0].vision.class_token.device)

    def export(self, folder: Path) -> None:
        model = self._model[0]
        towers = read_weights(find_weights(_towers_of(self._source)))
        weights = {f"clip.{name}": tensor for name, tensor in key_map.clip_from_transformers(towers).items()}
        own = {name: tensor.detach().cpu().float() for name, tensor in model.decoder.state_dict().items()}
        weights |= key_map.decoder_to_transformers(own)
        folder.mkdir(parents=True, exist_ok=True)
        kept = {name: tensor.contiguous() for name, tensor in weights.items() if "position_ids" not in name}
        save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
        model.text.tokenizer.save_pretrained(folder)
        _write_json(folder / "config.json", _config_json(self._config))
        statistics = {"image_mean": model.mean, "image_std": model.std}
        size = {"height": model.size[0], "width": model.size[1]}
        _write_json(folder / "preprocessor_config.json", {**_PREPROCESSOR, **statistics, "size": size})

    def _conditions(self, batch: Batch) -> Tensor:
        model = self._model[0]
        texts = self.embedded(batch.phrases, model.embed_texts).to(batch.pixels.device)
        if batch.supports is None:
            return texts
        visual = model.vision.pooled(batch.supports).float()
        return mix_condition(texts, visual, batch.shares.to(texts))


def open_clipseg(source: Path, recipe: Recipe) -> ClipSegStudent:
    """Open a CLIPSeg, or, for a fresh decoder, any CLIP that its towers come from.

    Raises:
        CheckpointError: If the files are damaged or do not fit together.
    """
    if recipe.fresh:
        checkpoint = _fresh(source, recipe)
    else:
        checkpoint = loader.read_original(source, None) if source.is_file() else loader.read_folder(source)
    side = recipe.size or None
    model = loader.assemble(checkpoint, size=side, fit="squash")
    return ClipSegStudent(model, checkpoint.config, checkpoint.folder if source.is_file() else source, recipe)


def _fresh(folder: Path, recipe: Recipe) -> loader.Checkpoint:
    """Towers of a folder, and a decoder of random weights that depend on the seed alone."""
    from wordmask.checkpoints import read_json

    values = read_json(folder / "config.json")
    towers: dict[str, Any] = {key: values.get(key) or {} for key in ("vision_config", "text_config")}
    config = ClipSegConfig(
        vision=towers["vision_config"],
        text=towers["text_config"],
        projection_dim=int(values.get("projection_dim", 512)),
        reduce_dim=recipe.channels,
        extract_layers=recipe.extract_layers,
        refined=recipe.refined,
    )
    if recipe.channels % config.heads:
        got = f"channels={recipe.channels}"
        raise CheckpointError(sentence(got, f"a multiple of the decoder's {config.heads} heads", "change channels"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        decoder = MaskDecoder(config).state_dict()
    clip = key_map.clip_from_transformers(read_weights(find_weights(folder)))
    return loader.Checkpoint(folder, config, clip, decoder, TRAINED_WITH)


def _require_decoder(parts: tuple[str, ...]) -> None:
    if parts and parts != ("decoder",):
        got = f"the parts {quote(', '.join(parts))} of a CLIPSeg"
        raise CheckpointError(sentence(got, "'decoder', the one that is trained", "leave parts out"))


def _towers_of(source: Path) -> Path:
    """The folder with the towers' weights: `source`, or what its config.json names."""
    from wordmask.checkpoints import read_json

    values = read_json(source / "config.json")
    if "towers" in values and "weights" in values:
        return loader.local_folder(loader.towers_beside(source / str(values["weights"])), None)
    return source


_PREPROCESSOR = {
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_processor_type": "ViTImageProcessor",
    "resample": 2,
    "rescale_factor": 1 / 255,
}


def _config_json(config: ClipSegConfig) -> dict[str, Any]:
    """The sizes in transformers' names, as `ClipSegConfig.from_json` reads them."""
    return {
        "architectures": ["CLIPSegForImageSegmentation"],
        "model_type": "clipseg",
        "vision_config": dict(config.vision),
        "text_config": dict(config.text),
        "projection_dim": config.projection_dim,
        "reduce_dim": config.reduce_dim,
        "extract_layers": list(config.extract_layers),
        "decoder_num_attention_heads": config.heads,
        "decoder_intermediate_size": config.feedforward,
        "conditional_layer": config.conditional_layer,
        "use_complex_transposed_convolution": config.refined,
    }


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


__all__ = ["ClipSegStudent", "open_clipseg"]
