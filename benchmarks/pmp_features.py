"""Features of the trained pixel encoder of `pmp` for images of labelled sets, with the masks of their names.

    python benchmarks/pmp_features.py --data ../shared/data --model pmp --split train --limit 220 --out train.pt

The experiment of docs/experiments/pmp.md trains decoders on them (`benchmarks/pmp_experiment.py`).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import wordmask
from wordmask.data.registry import open_data
from wordmask.images import load_image
from wordmask.ops.resize import resize

if TYPE_CHECKING:
    from wordmask.data.sample import Sample
    from wordmask.methods.pmp.embedded.model import ProposalModel

SETS = ("coco", "pascal", "celebamask", "clothing", "carparts", "camvid", "facade", "windows", "objects")
SIDE = 256
"""Sides of the squashed images, in pixels."""
LEAST = 3
"""Cells of two pixels that a mask must cover."""


def main() -> None:
    """Encode images and write their features and masks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="pmp")
    parser.add_argument("--split", default="train")
    parser.add_argument("--limit", type=int, default=220, help="images of a set")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    segmenter: Any = wordmask.load(asked.model, device="cpu")
    rows: list[dict[str, Any]] = []
    for name in SETS:
        samples = open_data(asked.data / name, split=asked.split)
        step = max(1, len(samples) // asked.limit)
        for index in list(range(0, len(samples), step))[: asked.limit]:
            rows.append(encoded(samples[index], name, segmenter.model))
    names = sorted({name for row in rows for name in row["names"]})
    with torch.inference_mode():
        vectors = segmenter.model.embed_texts(names).float()
    torch.save({"rows": rows, "names": names, "vectors": vectors}, asked.out)


@torch.inference_mode()
def encoded(sample: Sample, name: str, model: ProposalModel) -> dict[str, Any]:
    """Return the features of one image in float16, packed masks of 128 x 128 cells, and dense logits by name."""
    pixels = resize(load_image(sample.image).pixels, (SIDE, SIDE)).astype(np.float32) / 255
    values = (pixels - np.asarray(model.mean, np.float32)) / np.asarray(model.std, np.float32)
    trunk = model.encode_pixels(torch.from_numpy(values).permute(2, 0, 1)[None])
    features = trunk.proposals
    masks = {query.label: small(query.mask) for query in sample.queries if query.packed.area}
    masks = {label: mask for label, mask in masks.items() if mask.sum() >= LEAST}
    dense = model.decode(trunk, model.embed_texts(list(masks))).logits.half() if masks else torch.zeros(0)
    return {
        "set": name,
        "key": sample.key,
        "names": list(masks),
        "masks": np.packbits(np.array(list(masks.values()), np.bool_)),
        **marked(sample, list(masks)),
        "dense": dense,
        "memories": [memory[0].half() for memory in features.memories],
        "fine": features.fine[0].half(),
        "mixed": features.mixed[0].half(),
    }


def marked(sample: Sample, names: list[str]) -> dict[str, Any]:
    """Return the number of marked instances of each name, 0 where they are not told apart, and their packed masks."""
    found: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for query in sample.queries:
        if query.label in found and not any(one.crowd or one.mask is None for one in query.instances):
            parts = [small(one.mask.full()) for one in query.instances if one.mask is not None and one.mask.area]
            found[query.label] = [part for part in parts if part.sum() >= LEAST]
    every = [part for name in names for part in found[name]]
    return {"counts": [len(found[name]) for name in names], "instances": np.packbits(np.array(every, np.bool_))}


def small(mask: np.ndarray) -> np.ndarray:
    """Return a mask at half the side of the squashed image."""
    size = (SIDE // 2, SIDE // 2)
    return np.asarray(resize(np.repeat(mask[..., None].astype(np.uint8) * 255, 3, axis=2), size)[..., 0] > 127)


if __name__ == "__main__":
    main()
