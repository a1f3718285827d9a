"""Training checkpoint, or the mean of several, + phrase encoder -> a folder that `wordmask.load` reads.

python scripts/train_compact/export.py --run runs/compact --text runs/text --out src/wordmask/weights/compact
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

from stored import TEXT, read_run, read_text
from tokenizers import Tokenizer

from wordmask.methods.compact.network import CompactConfig, build_compact
from wordmask.methods.compact.settings import CompactSettings
from wordmask.methods.compact.weights import fill, save_compact

if TYPE_CHECKING:
    from torch import Tensor

PRESENCE = ("decoder.presence.", "decoder.scene.", "decoder.words.")
"""Weights that no mask depends on."""


def seen(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """What a picture passes through: neither the phrase encoder nor the counters of batch norms."""
    return {k: v for k, v in state.items() if not k.startswith(TEXT) and "num_batches" not in k}


def mean(states: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Each tensor's mean over networks of one shape (Wortsman et al., arXiv 2203.05482).

    Raises:
        ValueError: The networks do not have the same tensors.
    """
    first = {k: v.shape for k, v in states[0].items()}
    if any({k: v.shape for k, v in state.items()} != first for state in states):
        raise ValueError("the runs hold networks of different shape: only weights of one network can be averaged")
    return {k: sum(state[k] / len(states) for state in states) for k in first}  # type: ignore[misc]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--run",
        type=Path,
        nargs="+",
        required=True,
        help="run, or folder of weights that ship; of several, each begun from another, the mean",
    )
    parser.add_argument("--text", type=Path, required=True, help="folder of train_text.py, or of weights that ship")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--name", default="wordmask-compact")
    parser.add_argument("--presence", type=Path, metavar="RUN", help="take what only presence depends on from this run")
    parser.add_argument("--raw", action="store_true", help="the last weights in place of their average")
    parser.add_argument("--settings", type=json.loads, default={}, help="JSON of settings that differ from the default")
    args = parser.parse_args()
    kind = "network" if args.raw else "average"
    stored = [read_run(run) for run in args.run]
    config = CompactConfig()
    network = build_compact(config)
    text = {TEXT + k: v for k, v in read_text(args.text).items()}
    state = mean([seen(s[kind]) for s in stored])
    if args.presence:
        other = read_run(args.presence)["average"]
        state |= {k: v for k, v in other.items() if k.startswith(PRESENCE)}
    fill(network, state | text)
    settings = dataclasses.replace(CompactSettings(), **args.settings)
    save_compact(args.out, args.name, network, config, settings, Tokenizer.from_file(str(args.text / "tokenizer.json")))
    steps = " and ".join(f"step {s['step']}" if "step" in s else "weights that ship" for s in stored)
    print(f"{steps} -> {args.out}, {(args.out / 'model.safetensors').stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
