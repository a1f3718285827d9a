"""Read and write compact networks: config.json, model.safetensors (fp16) and tokenizer.json in one folder."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from wordmask.checkpoints import brief, read_file, read_json
from wordmask.checkpoints.building import no_weights
from wordmask.checkpoints.files import LARGEST_JSON
from wordmask.checkpoints.strict import not_finite, not_floating
from wordmask.errors import CheckpointError, quote, sentence
from wordmask.methods.compact.fold import fold_norms
from wordmask.methods.compact.in_float32 import InFloat32
from wordmask.methods.compact.method import CompactModel
from wordmask.methods.compact.network import CompactConfig, CompactNetwork, build_compact
from wordmask.methods.compact.settings import CompactSettings
from wordmask.methods.dense import DenseSegmenter

MODEL_TYPE = "wordmask-compact"


def load_compact(
    folder: str | Path, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> DenseSegmenter:
    """Load a compact network from a folder that `save_compact` wrote.

    The model's name is that of the config with a checksum of the weights, such as wordmask-compact-1a2b3c4d.

    Args:
        folder: With config.json, model.safetensors and tokenizer.json.
        device: Where to run.
        dtype: In which precision.

    Raises:
        ModelNotFoundError: A file is missing.
        CheckpointError: A file is damaged, no ordinary file or too large, a value is impossible, or the weights do not
            fit the config.
    """
    folder = Path(folder)
    name, config, settings = _read_config(folder)
    with no_weights():
        network = build_compact(config)
    state, checksum = _read_weights(folder / "model.safetensors", network)
    _require_fit(network, state)  # before a wrong size takes any memory
    fill(network, state, assign=True)
    fold_norms(network.eval())
    _move(network, torch.device(device), dtype)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model = CompactModel(f"{name}-{checksum:08x}", network, read_tokenizer(folder, config.tokens), settings)
    return DenseSegmenter(model, device=torch.device(device), dtype=dtype)


def _move(network: CompactNetwork, device: torch.device, dtype: torch.dtype) -> None:
    """Move a float32 network to a device and precision.

    Its first two convolutions stay in float32: of all parts, their rounding changes masks most
    (docs/experiments/embedded.md).
    """
    stem = network.encoder.stem.to(device)
    network.encoder.stem = nn.Identity()
    network.to(device, dtype)
    network.encoder.stem = InFloat32(stem, dtype)


def save_compact(
    folder: Path,
    name: str,
    network: CompactNetwork,
    config: CompactConfig,
    settings: CompactSettings,
    tokenizer: Tokenizer,
) -> None:
    """Write config.json, model.safetensors (fp16, batch-norm statistics fp32) and tokenizer.json.

    Args:
        folder: Made if it does not exist.
        name: What messages and results call the model.
        network: The network, its batch norms not folded.
        config: Its sizes.
        settings: Inference settings.
        tokenizer: Of the text encoder.

    Raises:
        CheckpointError: A weight is too large for fp16 or not a number.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = {k: _halved(k, v).contiguous() for k, v in network.state_dict().items() if "num_batches" not in k}
    if broken := [k for k, v in state.items() if not v.isfinite().all()]:
        got = f"weights that fp16 cannot hold ({quote(broken[0])})"
        raise CheckpointError(sentence(got, "finite values below 65504", "train with a norm there"))
    save_file(state, folder / "model.safetensors")
    tokenizer.save(str(folder / "tokenizer.json"))
    content = {"model_type": MODEL_TYPE, "name": name, "network": config.to_json(), "settings": settings.to_json()}
    (folder / "config.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _halved(key: str, value: Tensor) -> Tensor:
    """fp16, except the running statistics of batch norms: variances may exceed what fp16 can hold."""
    return value if "running" in key or not value.is_floating_point() else value.half()


def fill(network: CompactNetwork, state: dict[str, Tensor], *, assign: bool = False) -> None:
    """Load weights into a network; the counters of the batch norms, which files leave out, start at 0.

    Args:
        network: The network to be filled.
        state: Weights by name, of any precision; the network's become float32.
        assign: Make the tensors the network's own parameters, as a network without weights (`no_weights`) needs it;
            otherwise they are copied.

    Raises:
        CheckpointError: Keys are missing, unknown or of another shape, or values are not finite.
    """
    _require_fit(network, state)
    state = {k: v.float() for k, v in state.items()}
    if broken := not_finite(state.items()) + [k for k, v in state.items() if "running_var" in k and v.min() < 0]:
        got = f"weights that are no usable numbers ({len(broken)} keys, first {quote(broken[0])})"
        raise CheckpointError(sentence(got, "finite ones, and no negative variances", "fetch or save the model again"))
    counters = {k: torch.tensor(0) for k in network.state_dict() if "num_batches" in k}
    network.load_state_dict(counters | state, assign=assign)


def _require_fit(network: CompactNetwork, state: dict[str, Tensor]) -> None:
    own = network.state_dict()
    wanted = {k: v.shape for k, v in own.items() if "num_batches" not in k}
    wrong = sorted(set(wanted) ^ set(state)) or [k for k, shape in wanted.items() if state[k].shape != shape]
    wrong = wrong or [f"{k} {v.dtype}" for k, v in state.items() if not_floating(v, own[k])]
    if wrong:
        got = f"weights that do not fit their config ({len(wrong)} keys, first {quote(wrong[0])})"
        raise CheckpointError(sentence(got, f"the {len(wanted)} keys of a compact network", "save the model again"))


class _Config(NamedTuple):
    """Content of config.json."""

    name: str
    network: CompactConfig
    settings: CompactSettings


def _read_config(folder: Path) -> _Config:
    config = read_json(folder / "config.json")
    try:
        name = config.get("name", folder.name)
        if not isinstance(name, str):
            raise TypeError(f"name is {quote(name)}, not a string")
        return _Config(name, CompactConfig.from_json(config["network"]), CompactSettings.from_json(config["settings"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        got = f"no usable config.json in {quote(folder)} ({error})"
        raise CheckpointError(sentence(got, "the config of a compact network", "save the model again")) from error


def _read_weights(path: Path, network: CompactNetwork) -> tuple[dict[str, Tensor], int]:
    """The tensors of a file that belongs to a network, and the CRC-32 of its bytes."""
    most = 8 * sum(tensor.numel() for tensor in network.state_dict().values()) + 2**24  # float64, and the names
    content = read_file(path, limit=most)
    try:
        return load(content), zlib.crc32(content)
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        got = f"no readable weights at {quote(path)} ({error})"
        raise CheckpointError(sentence(got, "a safetensors file", "fetch or save the model again")) from error


def read_tokenizer(folder: Path, tokens: int) -> Tokenizer:
    """Read `tokenizer.json` of a folder.

    Raises:
        CheckpointError: If it is damaged, or has more than `tokens` tokens.
    """
    content = read_file(folder / "tokenizer.json", limit=LARGEST_JSON)
    try:
        tokenizer = Tokenizer.from_str(content.decode("utf-8"))
    except Exception as error:  # tokenizers raises bare Exception
        got = f"no readable tokenizer.json in {quote(folder)} ({brief(error)})"
        raise CheckpointError(sentence(got, "the tokenizer saved with the weights", "save the model again")) from error
    highest = max(tokenizer.get_vocab().values(), default=-1)
    if highest >= tokens:
        got = f"a tokenizer.json in {quote(folder)} with token ids up to {highest}"
        raise CheckpointError(sentence(got, f"ids below {tokens}, the network's tokens", "save the model again"))
    return tokenizer
