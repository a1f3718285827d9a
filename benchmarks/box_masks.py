"""Masks for 16 boxes of one image: SAM of wordmask and of transformers, used as its documentation shows.

    python benchmarks/box_masks.py --threads 1             # ViT-B, 16 boxes, three pairs: about four minutes on a core
    python benchmarks/box_masks.py --size tiny --pairs 1   # does it run?

Both sides load the same random weights from disk and go from a decoded image and boxes to boolean masks of the image's
size: transformers' processor, model and post-processing in float32, and wordmask's `encode` and `segment_boxes`, in
float32 and in bfloat16. Runs alternate; the ratio is taken within each pair and its median reported. Also recorded: the
mean IoU of the masks with transformers', the fraction of equal pixels, and how the time divides.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, when torch loads
os.environ.setdefault("HF_HUB_OFFLINE", "1")

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

from wordmask.images import load_image
from wordmask.methods.imss.detectors import OracleDetector
from wordmask.methods.imss.loader import open_host
from wordmask.methods.imss.segmenter import RegionSegmenter

if TYPE_CHECKING:
    from collections.abc import Callable

    from wordmask.contracts import Encoded

RESULTS = Path(__file__).parent / "results"
SIZES: dict[str, dict[str, Any]] = {
    "vit-b": {},
    "vit-l": {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "mlp_dim": 4096,
              "global_attn_indexes": [5, 11, 17, 23], "num_pos_feats": 128},
    "tiny": {"hidden_size": 96, "num_hidden_layers": 4, "num_attention_heads": 2, "mlp_dim": 192,
             "global_attn_indexes": [0, 1, 2, 3], "num_pos_feats": 128},
}  # fmt: skip


def write_sam(folder: Path, size: str) -> None:
    """Write a SAM of a published size with random weights whose activations stay of order one."""
    from transformers import SamConfig, SamModel, SamVisionConfig

    torch.manual_seed(0)
    model = SamModel(SamConfig(vision_config=SamVisionConfig(**SIZES[size])))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1:
                weight.normal_(std=max(1, weight[0].numel()) ** -0.5)
            elif "norm" not in name:
                weight.normal_(std=0.1)
    model.save_pretrained(folder)


def timed(run: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return what a run returns, its wall time and its CPU time in seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = run()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def documented(folder: Path) -> Callable[[np.ndarray, list[list[float]]], np.ndarray]:
    """Return transformers' way from pixels and boxes to masks bool `(N, H, W)`."""
    from transformers import SamModel, SamProcessor
    from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil

    model, processor = SamModel.from_pretrained(folder).eval(), SamProcessor(SamImageProcessorPil())

    def run(pixels: np.ndarray, boxes: list[list[float]]) -> np.ndarray:
        with torch.no_grad():
            inputs = processor(pixels, input_boxes=[boxes], return_tensors="pt")
            output = model(**{name: v.float() if v.dtype == torch.float64 else v for name, v in inputs.items()
                              if name in ("pixel_values", "input_boxes")}, multimask_output=False)  # fmt: skip
            masks = processor.image_processor.post_process_masks(
                output.pred_masks, inputs["original_sizes"], inputs["reshaped_input_sizes"]
            )
        return np.asarray(masks[0][:, 0])

    return run


def ours(folder: Path, dtype: torch.dtype) -> RegionSegmenter:
    """Return wordmask's segmenter of boxes."""
    return RegionSegmenter(OracleDetector({}), open_host(folder, device="cpu", dtype=dtype, name="sam"), dtype=dtype)


def draw(segmenter: RegionSegmenter, image: Encoded, boxes: list[list[float]]) -> np.ndarray:
    """Return masks bool `(N, H, W)` of the boxes of an encoded image."""
    parts = segmenter.segment_boxes(image, [(box[0], box[1], box[2], box[3]) for box in boxes])
    return np.stack([part.logits.packed(0.5).full() for part in parts])


def split(segmenter: RegionSegmenter, pixels: np.ndarray, boxes: list[list[float]]) -> dict[str, float]:
    """Return the CPU seconds of encoding, and of decoding one, five and all boxes."""
    image, _, seconds = timed(partial(segmenter.encode, pixels))
    counts = dict.fromkeys((1, 5, len(boxes)))
    return {"encode": seconds} | {
        f"decode {count}": timed(partial(draw, segmenter, image, boxes[:count]))[2] for count in counts
    }


def overlap(masks: np.ndarray, others: np.ndarray) -> dict[str, float]:
    """Return the mean IoU of pairs of masks, and the fraction of equal pixels."""
    both, either = (masks & others).sum(axis=(1, 2)), (masks | others).sum(axis=(1, 2))
    iou = np.where(either > 0, both / np.maximum(either, 1), 1.0)
    return {"iou": float(iou.mean()), "equal_pixels": float((masks == others).mean())}


def boxes_of(count: int, height: int, width: int) -> list[list[float]]:
    """Return boxes `(x0, y0, x1, y1)` all over an image."""
    random = np.random.default_rng(0)
    start = random.random((count, 2)) * [0.6 * width, 0.6 * height]
    boxes: list[list[float]] = np.concatenate(
        [start, start + random.uniform(0.1, 0.4, (count, 2)) * [width, height]], axis=1
    ).tolist()
    return boxes


def main() -> None:
    """Measure, print and write `results/box_masks.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="vit-b")
    parser.add_argument("--boxes", type=int, default=16)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=RESULTS / "box_masks.json")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    pixels = load_image("sample:astronaut").pixels
    boxes = boxes_of(args.boxes, *pixels.shape[:2])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_sam(folder, args.size)
        own = {str(dtype)[6:]: ours(folder, dtype) for dtype in (torch.float32, torch.bfloat16)}
        sides: dict[str, Callable[..., np.ndarray]] = {"transformers": documented(folder)}
    for kind, segmenter in own.items():
        sides[kind] = lambda pixels, boxes, one=segmenter: draw(one, one.encode(pixels), boxes)
    rounds = [{side: timed(partial(run, pixels, boxes)) for side, run in sides.items()} for _ in range(args.pairs)]
    record: dict[str, Any] = {"size": args.size, "boxes": args.boxes, "pairs": args.pairs, "threads": args.threads}
    for side in sides:
        masks = [one[side][0] for one in rounds]
        record[side] = {
            "wall_s": statistics.median(one[side][1] for one in rounds),
            "cpu_s": statistics.median(one[side][2] for one in rounds),
            "times_faster_wall": statistics.median(one["transformers"][1] / one[side][1] for one in rounds),
            "times_faster_cpu": statistics.median(one["transformers"][2] / one[side][2] for one in rounds),
            **overlap(masks[0], rounds[0]["transformers"][0]),
            "mask_area": float(masks[0].mean()),
        }
    for kind, segmenter in own.items():
        record[kind]["cpu_s_of"] = split(segmenter, pixels, boxes)
    print(json.dumps(record, indent=2))
    args.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
