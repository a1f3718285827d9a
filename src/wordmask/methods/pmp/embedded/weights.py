"""Read and write the query decoder: config.json, which names the trunk, and model.safetensors (fp16) in one folder."""

from __future__ import annotations

import json
import os
import zlib
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file

from wordmask.checkpoints import read_file, read_json
from wordmask.checkpoints.building import no_weights
from wordmask.checkpoints.strict import load_exactly
from wordmask.errors import CheckpointError, WordmaskError, quote, sentence
from wordmask.methods.compact import load_compact
from wordmask.methods.compact.method import CompactModel
from wordmask.methods.pmp.embedded.config import DecoderConfig
from wordmask.methods.pmp.embedded.model import ProposalModel
from wordmask.methods.pmp.embedded.network import ProposalNetwork
from wordmask.methods.pmp.embedded.segmenter import ProposalSegmenter
from wordmask.methods.pmp.embedded.settings import ProposalSettings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["MODEL_TYPE", "load_proposals", "read_decoder", "save_proposals"]

MODEL_TYPE = "wordmask-pmp"
WEIGHTS = "model.safetensors"


def load_proposals(
    folder: Path,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    parts: Mapping[str, Path],
) -> ProposalSegmenter:
    """Load a query decoder with its trunk.

    Args:
        folder: With config.json and model.safetensors.
        device: Where to run.
        dtype: In which precision.
        parts: The folder of the part `trunk`, a compact network.

    Raises:
        CheckpointError: A file is damaged, a value is impossible, or the weights fit neither the config nor the trunk.
    """
    name, network, settings, checksum = read_decoder(folder)
    compact = load_compact(_trunk(folder, parts), device=device, dtype=dtype).model
    assert isinstance(compact, CompactModel)
    _require_trunk(network.config, compact, folder)
    network.to(torch.device(device), dtype)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # as the maps of the trunk are
    model = ProposalModel(f"{name}-{checksum:08x}", compact, network.eval(), settings)
    return ProposalSegmenter(model, device=torch.device(device), dtype=dtype)


def read_decoder(folder: Path) -> tuple[str, ProposalNetwork, ProposalSettings, int]:
    """Return the name, the float32 network, the settings and the CRC-32 of the weights of a folder.

    Raises:
        CheckpointError: If a file is damaged, a value is impossible, or the weights do not fit the config.
    """
    config = read_json(folder / "config.json")
    try:
        name = config.get("name", folder.name)
        with no_weights():
            network = ProposalNetwork(DecoderConfig(**config["network"]))
        settings = ProposalSettings(**config.get("settings", {}))
    except (WordmaskError, KeyError, TypeError, ValueError, RuntimeError) as error:
        got = f"no usable config.json in {quote(folder)} ({error})"
        raise CheckpointError(sentence(got, "the config of a query decoder", "save the model again")) from error
    path = folder / WEIGHTS
    content = read_file(path, limit=8 * sum(p.numel() for p in network.parameters()) + 2**24)
    try:
        state = load(content)
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        got = f"no readable weights at {quote(path)} ({error})"
        raise CheckpointError(sentence(got, "a safetensors file", "fetch or save the model again")) from error
    load_exactly(network, state, source=str(path))
    return name, network, settings, zlib.crc32(content)


def save_proposals(
    folder: Path, name: str, network: ProposalNetwork, settings: ProposalSettings, *, trunk: Path
) -> None:
    """Write config.json and model.safetensors (fp16).

    Args:
        folder: Made if it does not exist.
        name: What messages and results call the model.
        network: The query decoder.
        settings: Inference settings.
        trunk: Folder of the compact network, named in config.json by its relative path.

    Raises:
        CheckpointError: A weight is too large for fp16 or not a number.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = {key: value.detach().half().contiguous() for key, value in network.state_dict().items()}
    if broken := [key for key, value in state.items() if not value.isfinite().all()]:
        got = f"weights that fp16 cannot hold ({quote(broken[0])})"
        raise CheckpointError(sentence(got, "finite values below 65504", "train with a lower learning rate"))
    save_file(state, folder / WEIGHTS)
    content: dict[str, Any] = {
        "model_type": MODEL_TYPE,
        "name": name,
        "parts": {"trunk": {"path": os.path.relpath(trunk, folder)}},
        "network": network.config.to_json(),
        "settings": settings.to_json(),
    }
    (folder / "config.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _trunk(folder: Path, parts: Mapping[str, Path]) -> Path:
    if "trunk" not in parts:
        got = f"no part 'trunk' in {quote(folder / 'config.json')}"
        raise CheckpointError(sentence(got, "the folder of a compact network", "correct config.json"))
    return parts["trunk"]


def _require_trunk(config: DecoderConfig, compact: CompactModel, folder: Path) -> None:
    """Check that a trunk has the channels that a decoder reads.

    Raises:
        CheckpointError: If it does not.
    """
    network = compact.network
    has = (network.neck.shallow.out_channels, network.neck.down.in_channels, *network.encoder.channels[2:])
    wanted = (config.fine, config.coarse, config.deep, config.deepest)
    if has != wanted:
        got = f"a trunk with {has} channels for {quote(folder)}"
        raise CheckpointError(sentence(got, str(wanted), "name the compact network it was trained on"))
