"""Boxes for 20 phrases in one image: Grounding DINO of wordmask and of transformers, used as its documentation shows.

    python benchmarks/detector.py --threads 1              # Swin-T, three pairs: two minutes on a core

Both sides load the same random weights from disk and go from a decoded image and phrases to boxes with scores and
phrases: transformers' processor, model and post-processing in float32, and wordmask's detector, in float32 and with
matrix products in bfloat16. Runs alternate; the ratio is taken within each pair and its median reported. The
difference of boxes and logits is measured on the network's own output: float32 against transformers on all queries,
bfloat16 on the encoder's features, since with random weights the queries that are chosen change with the last bits.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, when torch loads
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import argparse
import json
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from wordmask.backbones.grounding_dino import GroundingDino, load_grounding_dino
from wordmask.images import RgbImage, load_image

if TYPE_CHECKING:
    from collections.abc import Callable

RESULTS = Path(__file__).parent / "results"
COLOURS = ("red", "green", "blue", "white", "black")
OBJECTS = ("car", "dog", "chair", "eye")
PHRASES = [f"a {colour} {noun}" for colour in COLOURS for noun in OBJECTS]
SPECIAL = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]", 1012: ".", 1029: "?", 1037: "a"}


def write_detector(folder: Path) -> None:
    """Write Grounding DINO tiny with random weights, a tokenizer of the phrases' words, and the preprocessing."""
    from transformers import (
        BertConfig,
        BertTokenizerFast,
        GroundingDinoConfig,
        GroundingDinoForObjectDetection,
        SwinConfig,
    )

    vocabulary = [f"[unused{number}]" for number in range(30522)]
    for number, token in SPECIAL.items():
        vocabulary[number] = token
    for place, word in enumerate((*COLOURS, *OBJECTS)):
        vocabulary[2000 + place] = word
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    backbone = SwinConfig(out_features=["stage2", "stage3", "stage4"], window_size=7, depths=[2, 2, 6, 2])
    config = GroundingDinoConfig(backbone_config=backbone, text_config=BertConfig())
    model = GroundingDinoForObjectDetection(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1:
                weight.normal_(std=max(1, weight[0].numel()) ** -0.5)
            elif "norm" not in name:
                weight.normal_(std=0.1)
    model.save_pretrained(folder)


def timed(run: Callable[[], Any]) -> tuple[float, float]:
    """Return the wall time and the CPU time of a run in seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - cpu


def documented(folder: Path) -> tuple[Any, Callable[[RgbImage], Any]]:
    """Return transformers' model and its way from pixels and phrases to boxes."""
    from transformers import AutoTokenizer, GroundingDinoForObjectDetection, GroundingDinoProcessor
    from transformers.models.grounding_dino.image_processing_pil_grounding_dino import GroundingDinoImageProcessorPil

    model = GroundingDinoForObjectDetection.from_pretrained(folder).eval()
    processor = GroundingDinoProcessor(GroundingDinoImageProcessorPil(), AutoTokenizer.from_pretrained(folder))

    def run(image: RgbImage) -> Any:
        with torch.no_grad():
            inputs = processor(images=image.pixels, text=". ".join(PHRASES) + ".", return_tensors="pt")
            output = model(**inputs)
        return processor.post_process_grounded_object_detection(output, inputs["input_ids"], target_sizes=[image.size])

    return model, run


def raw(detector: GroundingDino, image: RgbImage, network: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return token logits (Q, L), boxes (Q, 4) and the encoder's image features (S, C) of a network."""
    placement = detector.canvas(image.size)
    ((_, ids, _),) = detector.passes(PHRASES)
    mask = torch.ones(1, *placement.canvas, dtype=torch.long)
    with torch.inference_mode():
        output = network(pixel_values=detector.pixels(image, placement), pixel_mask=mask, input_ids=torch.tensor([ids]))
    return output.logits[0, :, : len(ids)], output.pred_boxes[0], output.encoder_last_hidden_state_vision[0]


def main() -> None:
    """Measure, print and write `results/detector.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=RESULTS / "detector.json")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    image = RgbImage(np.ascontiguousarray(load_image("sample:astronaut").pixels[:384]))  # 384 x 512 -> 800 x 1066
    with tempfile.TemporaryDirectory() as name:
        write_detector(Path(name))
        model, published = documented(Path(name))
        own = {
            str(dtype)[6:]: load_grounding_dino(Path(name), dtype=dtype) for dtype in (torch.float32, torch.bfloat16)
        }
    sides: dict[str, Callable[[], Any]] = {"transformers": lambda: published(image)}
    sides |= {kind: partial(detector.detect, image, PHRASES) for kind, detector in own.items()}
    rounds = [{side: timed(run) for side, run in sides.items()} for _ in range(args.pairs)]
    record: dict[str, Any] = {"phrases": len(PHRASES), "pairs": args.pairs, "threads": args.threads}
    expected = raw(own["float32"], image, model)
    for side in sides:
        record[side] = {
            "wall_s": statistics.median(one[side][0] for one in rounds),
            "cpu_s": statistics.median(one[side][1] for one in rounds),
            "times_faster_wall": statistics.median(one["transformers"][0] / one[side][0] for one in rounds),
            "times_faster_cpu": statistics.median(one["transformers"][1] / one[side][1] for one in rounds),
        }
        if side in own:
            got = raw(own[side], image, own[side].network)
            record[side] |= {
                f"{what}_difference": float((a - b).abs().mean() / b.std())
                for what, a, b in zip(("logits", "boxes", "features"), got, expected, strict=True)
            }
    print(json.dumps(record, indent=2))
    args.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
