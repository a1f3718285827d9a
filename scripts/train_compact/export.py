"""Training checkpoint, or the mean of several, + phrase encoder -> a folder that `wordmask.load` reads.

python scripts/train_compact/export.py --run runs/compact --text runs/text --out src/wordmask/weights/compact
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

from wordmask.methods.compact.method import CompactSettings
from wordmask.methods.compact.network import CompactConfig, build_compact
from wordmask.methods.compact.weights import fill, save_compact

PRESENCE = ("decoder.presence.", "decoder.scene.", "decoder.words.")
"""Weights that no mask depends on."""


def mean(states: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Each tensor's mean over networks of one shape (Wortsman et al., arXiv 2203.05482); whole numbers from the first.

    Raises:
        ValueError: The networks do not have the same tensors.
    """
    first = {k: v.shape for k, v in states[0].items()}
    if any({k: v.shape for k, v in state.items()} != first for state in states):
        raise ValueError("the runs hold networks of different shape: only weights of one network can be averaged")
    return {
        k: sum(state[k] / len(states) for state in states) if v.is_floating_point() else v  # type: ignore[misc]
        for k, v in states[0].items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--run",
        type=Path,
        nargs="+",
        required=True,
        help="of several, each begun from another, the mean",
    )
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--name", default="wordmask-compact")
    parser.add_argument("--presence", type=Path, metavar="RUN", help="take what only presence depends on from this run")
    parser.add_argument("--raw", action="store_true", help="the last weights in place of their average")
    parser.add_argument("--settings", type=json.loads, default={}, help="JSON of settings that differ from the default")
    args = parser.parse_args()
    kind = "network" if args.raw else "average"
    stored = [torch.load(run / "last.pt", weights_only=True) for run in args.run]
    config = CompactConfig()
    network = build_compact(config)
    text = {f"text.{k}": v for k, v in load_file(args.text / "text.safetensors").items()}
    state = {k: v for k, v in mean([s[kind] for s in stored]).items() if "num_batches" not in k}
    if args.presence:
        other = torch.load(args.presence / "last.pt", weights_only=True)["average"]
        state |= {k: v for k, v in other.items() if k.startswith(PRESENCE)}
    fill(network, state | text)
    settings = dataclasses.replace(CompactSettings(), **args.settings)
    save_compact(args.out, args.name, network, config, settings, Tokenizer.from_file(str(args.text / "tokenizer.json")))
    steps = " and ".join(str(s["step"]) for s in stored)
    print(f"step {steps} -> {args.out}, {(args.out / 'model.safetensors').stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
