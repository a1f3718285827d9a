"""Write folders of CLIPSeg and its variants that `load_clipseg` reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from safetensors.torch import save_file

from wordmask.methods.clipseg.checkpoint import TOWERS_PREFIX
from wordmask.methods.clipseg.key_map import decoder_to_transformers

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from wordmask.methods.clipseg.checkpoint import Checkpoint

__all__ = ["save_clipseg"]

_PREPROCESSOR = {
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_processor_type": "ViTImageProcessor",
    "resample": 2,
    "rescale_factor": 1 / 255,
}


def save_clipseg(folder: Path, checkpoint: Checkpoint, tokenizer: Any) -> None:
    """Write config.json, model.safetensors, preprocessor_config.json and the tokenizer.

    A CLIPSeg as published is written in transformers' format. Variants have the model type `config.MODEL_TYPE`, towers
    under `towers.` and the decoder under `decoder.`, in our names.

    Args:
        folder: Made if it does not exist.
        checkpoint: Its `folder` is ignored.
        tokenizer: Of the text tower.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept = {name: tensor.contiguous() for name, tensor in _named(checkpoint).items() if "position_ids" not in name}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save_pretrained(folder)
    _write_json(folder / "config.json", checkpoint.config.to_json())
    mean, std, (height, width) = checkpoint.statistics
    size = {"height": height, "width": width}
    _write_json(
        folder / "preprocessor_config.json", {**_PREPROCESSOR, "image_mean": mean, "image_std": std, "size": size}
    )


def _named(checkpoint: Checkpoint) -> dict[str, Tensor]:
    if checkpoint.config.is_published:
        towers = {f"clip.{name}": tensor for name, tensor in checkpoint.clip.items()}
        return towers | decoder_to_transformers(checkpoint.decoder)
    towers = {f"{TOWERS_PREFIX}{name}": tensor for name, tensor in checkpoint.clip.items()}
    return towers | {f"decoder.{name}": tensor for name, tensor in checkpoint.decoder.items()}


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
