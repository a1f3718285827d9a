"""Read and write crop networks: config.json with their sizes, and model.safetensors in fp16, in one folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file

from wordmask.backbones.crop.network import CropConfig, CropNetwork
from wordmask.checkpoints import read_json
from wordmask.checkpoints.building import no_weights
from wordmask.checkpoints.reading import read_weights
from wordmask.checkpoints.strict import load_exactly
from wordmask.errors import CheckpointError, quote, sentence

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["load_crop_network", "read_crop_config", "save_crop_weights"]

_COUNTER = "num_batches_tracked"


def read_crop_config(folder: Path) -> CropConfig:
    """Return the sizes in a folder's config.json.

    Raises:
        ModelNotFoundError: There is none.
        CheckpointError: It is damaged.
    """
    values: Any = read_json(folder / "config.json").get("network")
    try:
        return CropConfig.from_json(values)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        got = f"no usable config.json in {quote(folder)} ({error})"
        raise CheckpointError(sentence(got, "the sizes of a crop network", "save the model again")) from error


def load_crop_network(folder: Path, *, device: torch.device | str = "cpu") -> CropNetwork:
    """Load a crop network in evaluation mode, in float32.

    Raises:
        ModelNotFoundError: A file is missing.
        CheckpointError: A file is damaged, or the weights do not fit the config.
    """
    config = read_crop_config(folder)
    path = folder / "model.safetensors"
    weights = read_weights(path)
    with no_weights():
        network = CropNetwork(config)
    counters = {k: torch.tensor(0.0) for k in network.state_dict() if _COUNTER in k}
    load_exactly(network, counters | weights, source=str(path))
    moved: Any = network.eval().to(device)
    moved = moved.to(memory_format=torch.channels_last)
    result: CropNetwork = moved
    return result


def save_crop_weights(folder: Path, network: CropNetwork) -> None:
    """Write model.safetensors: fp16, statistics of batch norms fp32.

    Raises:
        CheckpointError: A weight is too large for fp16 or not a number.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = {k: v.detach().cpu() for k, v in network.state_dict().items() if _COUNTER not in k}
    state = {k: (v if "running" in k else v.half()).contiguous() for k, v in state.items()}
    if broken := [k for k, v in state.items() if not v.isfinite().all()]:
        got = f"weights that fp16 cannot hold ({quote(broken[0])})"
        raise CheckpointError(sentence(got, "finite values below 65504", "train at a lower learning rate"))
    save_file(state, folder / "model.safetensors")
