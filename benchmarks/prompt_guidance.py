"""Cost of prompts in a Mask2Former with text attention: 1, 20, 150 and 847 names, beside the host without them.

    python benchmarks/prompt_guidance.py --threads 1       # Swin-T, 512 px: five minutes on a core

The sizes are those of the published Mask2Former Swin-T (9 decoder layers that are guided, 256 channels, 100 queries);
the weights are random, which costs the same. Pixel features are computed once per image in every mode. Measured apart:
the features (by transformers' sampling and by sums of rows), one pass of the decoder without prompts, one with all
names (keys and values of the names cached, as for the second image of a vocabulary, and not), and one pass per name.
Rounds alternate between what is measured; times are CPU seconds of this process, medians over the rounds.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, when torch loads
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import argparse
import json
import statistics
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from wordmask.backbones.query_hosts.base import repeated
from wordmask.backbones.query_hosts.pixel_decoder import use_fast_sampling
from wordmask.backbones.query_hosts.reading import build_host
from wordmask.methods.pmp.assembly import semantic_maps
from wordmask.methods.pmp.guided_host import GuidanceSettings, GuidedHost
from wordmask.methods.pmp.text_query_attention import PromptTokens

if TYPE_CHECKING:
    from collections.abc import Callable

    from wordmask.methods.pmp.text_query_attention import Memories

RESULTS = Path(__file__).parent / "results"
NAMES = (1, 20, 150, 847)
ONE_BY_ONE = (1, 20)
"""Numbers of names that are also asked one by one."""
CHUNK = 1
"""Names that are decoded at once where each has a pass of its own: on a CPU more of them cost more a name."""
CHANNELS = 512
SIDE = 512
HOST = {
    "model_type": "mask2former",
    "num_labels": 133,
    "backbone_config": {
        "model_type": "swin", "embed_dim": 96, "depths": [2, 2, 6, 2], "num_heads": [3, 6, 12, 24], "window_size": 7,
        "out_features": ["stage1", "stage2", "stage3", "stage4"],
    },
}  # fmt: skip


def build(*, fast: bool) -> GuidedHost:
    """Return a host with random weights and open gates."""
    torch.manual_seed(0)
    host = build_host(HOST)
    if fast:
        use_fast_sampling(host.model)
    return GuidedHost(host, GuidanceSettings(text_channels=CHANNELS, gate=1.0)).eval().requires_grad_(False)


def tokens(number: int) -> PromptTokens:
    """Return one token for each of some names."""
    generator = torch.Generator().manual_seed(number)
    return PromptTokens(torch.nn.functional.normalize(torch.randn(1, number, CHANNELS, generator=generator), dim=-1))


def one_by_one(model: GuidedHost, features: tuple[torch.Tensor, ...], number: int) -> None:
    """Ask a decoder about every name in a pass of its own."""
    rows = tokens(number).tokens[0][:, None]  # (P, 1, D)
    for start in range(0, number, CHUNK):
        part = rows[start : start + CHUNK]
        model.decode(repeated(features, len(part)), PromptTokens(part))


def maps_of(masks: torch.Tensor, number: int) -> torch.Tensor:
    """Return the maps of all names at the resolution of the masks, from random scores."""
    return semantic_maps(torch.rand(masks.shape[0], number), masks)


def jobs(pixels: torch.Tensor) -> tuple[dict[str, Callable[[], Any]], GuidedHost]:
    """Return what is measured, by name, and the model."""
    plain, model = build(fast=False), build(fast=True)
    features = model.encode(pixels)
    masks = model.decode(features).masks[-1][0]
    measured: dict[str, Callable[[], Any]] = {
        "features, sampling of transformers": partial(plain.encode, pixels),
        "features": partial(model.encode, pixels),
        "decoder, unguided": partial(model.decode, features),
    }
    for number in NAMES:
        prompts = tokens(number)
        kept: Memories | None = model.memories(prompts)
        measured[f"decoder, {number} names in one pass"] = partial(model.decode, features, prompts, memories=kept)
        measured[f"keys and values of {number} names"] = partial(model.memories, prompts)
        measured[f"maps of {number} names"] = partial(maps_of, masks, number)
        if number in ONE_BY_ONE:
            measured[f"decoder, {number} names one by one"] = partial(one_by_one, model, features, number)
    return measured, model


def timed(run: Callable[[], Any]) -> float:
    """Return the CPU time of a run in seconds."""
    start = time.process_time()
    run()
    return time.process_time() - start


def summary(rounds: list[dict[str, float]], model: GuidedHost) -> dict[str, Any]:
    """Return medians, ratios to the unguided host (each taken within a round), and parameters."""

    def ratio(number: int, *, cached: bool) -> float:
        values = []
        for one in rounds:
            host = one["features"] + one["decoder, unguided"]
            own = one["features"] + one[f"decoder, {number} names in one pass"]
            values.append((own + (0.0 if cached else one[f"keys and values of {number} names"])) / host)
        return statistics.median(values)

    layers = model.guidance.attentions
    return {
        "cpu_s": {name: statistics.median(one[name] for one in rounds) for name in rounds[0]},
        "times_the_unguided_host": {str(number): ratio(number, cached=True) for number in NAMES},
        "times_the_unguided_host_first_image": {str(number): ratio(number, cached=False) for number in NAMES},
        "parameters": {
            "host": sum(w.numel() for n, w in model.host.model.named_parameters() if not n.startswith("pmp.")),
            "layers": len(layers),
            "attention": sum(w.numel() for layer in layers for w in layer.parameters()),
            "projection": sum(w.numel() for n, w in model.guidance.named_parameters() if not n.startswith("layers.")),
        },
    }


def main() -> None:
    """Measure, print and write `results/prompt_guidance.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=RESULTS / "prompt_guidance.json")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    pixels = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        measured, model = jobs(pixels)
        rounds = [{name: timed(run) for name, run in measured.items()} for _ in range(args.rounds + 1)][1:]
    record = {"side": SIDE, "rounds": args.rounds, "threads": args.threads, **summary(rounds, model)}
    print(json.dumps(record, indent=2))
    args.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
