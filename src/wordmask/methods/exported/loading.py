"""Read a folder that `wordmask export-model` wrote: config.json, graphs and tokenizer.json."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import torch

from wordmask.backbones.graphs import RUNTIMES, SUFFIXES, open_graph
from wordmask.checkpoints import read_json
from wordmask.errors import CheckpointError, DeviceError, quote, sentence
from wordmask.methods.compact.settings import CompactSettings
from wordmask.methods.compact.weights import read_tokenizer
from wordmask.methods.dense import DenseSegmenter
from wordmask.methods.exported.model import GRAPHS, ExportedModel

__all__ = ["MODEL_TYPE", "load_exported"]

MODEL_TYPE = "wordmask-exported"


def load_exported(
    folder: str | Path, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> DenseSegmenter:
    """Load an exported network.

    Args:
        folder: What `wordmask export-model` wrote.
        device: The CPU.
        dtype: What OpenVINO encodes images in; ONNX Runtime computes in float32, or in int8 where the graph says so.

    Raises:
        CheckpointError: A file is missing or damaged, or a value is impossible.
        DeviceError: Another device than the CPU.
        MissingExtraError: The runtime is not installed.
    """
    folder = Path(folder)
    if torch.device(device).type != "cpu":
        got = f"the device {device} for an exported network"
        raise DeviceError(sentence(got, "'cpu'", "load the model itself for other devices"))
    config = read_json(folder / "config.json")
    try:
        runtime, files = config["runtime"], config["graphs"]
        settings = CompactSettings.from_json(config["settings"])
        length, channels, tokens = (int(config["text"][name]) for name in ("length", "channels", "tokens"))
        paths = {name: _file(folder, files[name], runtime) for name in GRAPHS}
        name = f"{config['name']}-{runtime}"
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        got = f"no usable config.json in {quote(folder)} ({error})"
        raise CheckpointError(sentence(got, "that of an exported network", "export the model again")) from error
    low = {"image": dtype}  # the decoder's logarithms need float32, and the others are small
    graphs = {part: open_graph(path, runtime, dtype=low.get(part, torch.float32)) for part, path in paths.items()}
    tokenizer = read_tokenizer(folder, tokens)
    model = ExportedModel(
        f"{name}-{_checksum(paths['image'], runtime):08x}", graphs, tokenizer, settings, length=length,
        channels=channels,
    )  # fmt: skip
    segmenter = DenseSegmenter(model, device="cpu", dtype=torch.float32)
    segmenter.trainable = False
    return segmenter


def _file(folder: Path, name: Any, runtime: Any) -> Path:
    """Return a graph's file, which lies in the folder itself."""
    if runtime not in RUNTIMES:
        raise ValueError(f"runtime is {quote(runtime)}, not {' or '.join(RUNTIMES)}")
    if not isinstance(name, str) or Path(name).name != name or not name.endswith(SUFFIXES[runtime]):
        raise ValueError(f"a graph is {quote(name)}, not the name of a {SUFFIXES[runtime]} file")
    return folder / name


def _checksum(path: Path, runtime: str) -> int:
    """CRC-32 of the weights of the image graph."""
    weights = path if runtime == "onnx" else path.with_suffix(".bin")
    value = 0
    with open(weights, "rb") as file:
        while part := file.read(1 << 20):
            value = zlib.crc32(part, value)
    return value
