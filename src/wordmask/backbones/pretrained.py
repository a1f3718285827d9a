"""Read a transformers model from a local folder: every weight must be there, no download, no progress bar."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from wordmask.checkpoints import brief, read_json
from wordmask.checkpoints.reading import find_weights
from wordmask.errors import CheckpointError, ModelNotFoundError, quote, sentence

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import nn

__all__ = ["read_pretrained", "read_processor_values", "read_tokenizer"]


def read_pretrained(folder: Path, *, kind: str) -> nn.Module:
    """Return a model in evaluation mode, without gradients, float32, on the CPU.

    Args:
        folder: As `save_pretrained` writes it, or as the hub has it: config.json and weights.
        kind: Name of a class of transformers, such as "SamModel".

    Raises:
        ModelNotFoundError: If files are missing.
        CheckpointError: If weights are missing or misshapen, or the files are damaged.
    """
    import torch
    import transformers
    from safetensors import SafetensorError

    damage = (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError, SafetensorError)
    if not (folder / "model.safetensors.index.json").is_file():
        find_weights(folder)  # its message names what is missing
    with _quietly():
        try:
            model, report = getattr(transformers, kind).from_pretrained(
                folder, local_files_only=True, dtype=torch.float32, output_loading_info=True
            )
        except damage as error:
            got = f"a folder {quote(folder)} that is no {kind} ({brief(error)})"
            raise CheckpointError(sentence(got, f"a {kind} of transformers", "fetch the checkpoint again")) from error
    missing = sorted(report["missing_keys"])
    if missing:
        shown = ", ".join(missing[:3])
        got = f"{len(missing)} missing weights in {quote(folder)} ({shown})"
        raise CheckpointError(sentence(got, f"all of a {kind}", "fetch the checkpoint again"))
    network: nn.Module = model.eval().requires_grad_(False)
    return network


def read_tokenizer(folder: Path) -> Any:
    """Return the tokenizer of a folder as transformers reads it.

    Raises:
        ModelNotFoundError: If there is none.
        CheckpointError: If it is damaged.
    """
    from transformers import AutoTokenizer

    names = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer_config.json")
    if not any((folder / name).is_file() for name in names):
        got = f"no tokenizer in {quote(folder)}"
        raise ModelNotFoundError(sentence(got, "tokenizer.json or vocab.txt", "fetch the checkpoint again"))
    with _quietly():
        try:
            return AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            got = f"a damaged tokenizer in {quote(folder)} ({brief(error)})"
            raise CheckpointError(sentence(got, "one that transformers reads", "fetch it again")) from error


def read_processor_values(folder: Path) -> dict[str, Any]:
    """Return the values of preprocessor_config.json or of the image part of processor_config.json; {} without one."""
    if (folder / "preprocessor_config.json").is_file():
        return read_json(folder / "preprocessor_config.json")
    if (folder / "processor_config.json").is_file():
        values = read_json(folder / "processor_config.json").get("image_processor", {})
        return values if isinstance(values, dict) else {}
    return {}


@contextmanager
def _quietly() -> Iterator[None]:
    """Neither progress bars nor advice while a folder is read; what was switched off is switched on again."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
