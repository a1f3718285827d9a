"""TAS's region scores for several sentences: as the released script computes them, and as wordmask does.

    python benchmarks/tas_speed.py                        # 60 proposals, 5 sentences, CLIP ViT-B/32, random weights
    python benchmarks/tas_speed.py --proposals 8 --sentences 2 --repeats 1

Both sides score the same proposals of one image with the same weights. `released`: for every sentence, every proposal
is cropped, prepared and encoded by itself, and so is the whole image with its tokens outside the mask set to zero (the
released script computes this global feature and does not use it); the sentence, the noun phrases and the captions
are padded to 77 tokens. transformers' CLIP in float32, as there. `wordmask`: crops once for all sentences, in batches,
phrases unpadded, through `TasSegmenter`. `tokens` replaces crops by one pass for all regions. Captions and proposals
are given to every side. Runs alternate; ratios are taken within a run.
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
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from many_prompts import load_average, machine, write_tokenizer

from wordmask.backbones.clip.pretrained import load_clip
from wordmask.images import RgbImage, load_image
from wordmask.methods.tas.crop_regions import ClipRegions
from wordmask.methods.tas.crops import clip_crop, clip_pixels
from wordmask.methods.tas.filtering import MaskFilter
from wordmask.methods.tas.language import noun_phrases
from wordmask.methods.tas.segmenter import TasSegmenter
from wordmask.methods.tas.settings import TasSettings
from wordmask.ops.masks import PackedMask, pack
from wordmask.results import Region

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wordmask.backbones.clip.pretrained import Clip

SENTENCES = (
    "the red car", "a small wooden chair", "the large green tree", "a black shoe", "the white cup", "a blue bottle",
    "the left eye", "the dog",
)  # fmt: skip
CAPTION = "a red car and a black dog"
LENGTH = 77
FIRST_DAMPED = 9
EVERYTHING = MaskFilter(min_area=0, max_overlap=1.0)


class Given:
    """Proposals and captions that are known before."""

    def __init__(self, masks: Sequence[PackedMask]) -> None:
        self.masks = masks

    def propose(self, image: object) -> tuple[Region, ...]:
        """Return the proposals."""
        return tuple(Region(mask, 1.0, 1.0, mask.box) for mask in self.masks)

    def caption(self, images: Sequence[object], *, batch_size: int = 8) -> list[str]:
        """Return a caption for each region, and that of the image."""
        return [*(SENTENCES[index % len(SENTENCES)] for index in range(len(images) - 1)), CAPTION]


def proposals(size: tuple[int, int], count: int) -> list[PackedMask]:
    """Return ellipses of many sizes."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[: size[0], : size[1]]
    masks = []
    for _ in range(count):
        y, x = random.uniform(0.15, 0.85, 2) * size
        down, across = random.uniform(0.05, 0.3, 2) * size
        masks.append(pack(((rows - y) / down) ** 2 + ((columns - x) / across) ** 2 < 1))
    return masks


def write_clip(folder: Path, *, large: bool) -> None:
    """Write random weights in the sizes of openai/clip-vit-base-patch32, or small ones."""
    write_tokenizer(folder)
    sizes = {} if large else {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4}
    ends = {"eos_token_id": 49407, "bos_token_id": 49406}
    config = transformers.CLIPConfig(vision_config=sizes, text_config={**sizes, **ends})
    torch.manual_seed(0)
    model = transformers.CLIPModel(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and "embedding" not in name:
                parameter.normal_(std=parameter[0].numel() ** -0.5)
    model.save_pretrained(folder)


def released(folder: Path, clip: Clip, image: RgbImage, masks: Sequence[PackedMask]) -> Callable[[list[str]], Any]:
    """Return the side that computes features mask by mask and sentence by sentence."""
    model: Any = transformers.CLIPModel.from_pretrained(folder).eval()
    tokenizer = transformers.CLIPTokenizer.from_pretrained(folder)

    def text(phrases: list[str]) -> torch.Tensor:
        rows = tokenizer(phrases, padding="max_length", max_length=LENGTH, return_tensors="pt")
        hidden = model.text_model(**rows).pooler_output
        return F.normalize(model.text_projection(hidden), dim=-1)

    def whole(mask: PackedMask) -> torch.Tensor:
        pixels = clip.normalised(torch.from_numpy(clip_pixels([image.pixels], clip.side))).float()
        small = F.interpolate(torch.from_numpy(mask.full()).float()[None, None], size=(7, 7), mode="nearest")
        keep = torch.cat([torch.ones(1), small.flatten()])[None, :, None]
        tokens = model.vision_model.pre_layrnorm(model.vision_model.embeddings(pixels))
        for index, block in enumerate(model.vision_model.encoder.layers):
            tokens = block(tokens, attention_mask=None)
            tokens = tokens[0] if isinstance(tokens, tuple) else tokens
            tokens = tokens * keep if index >= FIRST_DAMPED else tokens
        out: torch.Tensor = model.visual_projection(model.vision_model.post_layernorm(tokens[:, 0]))
        return out

    def crop(mask: PackedMask) -> torch.Tensor:
        pixels = clip_pixels([clip_crop(image.pixels, mask)], clip.side)
        values = clip.normalised(torch.from_numpy(pixels)).float()
        return F.normalize(model.visual_projection(model.vision_model(pixel_values=values).pooler_output), dim=-1)

    @torch.inference_mode()
    def run(sentences: list[str]) -> list[int]:
        chosen = []
        captions = Given(masks).caption([None] * (len(masks) + 1))[:-1]
        for one in sentences:
            asked = text([one])
            others = text([f"a photo of {phrase}" for phrase in noun_phrases(CAPTION) if phrase not in one])
            seen = torch.cat([(whole(mask), crop(mask))[1] for mask in masks])
            described = torch.cat([text([caption]) for caption in captions])
            scores = (seen @ asked.T)[:, 0] + 0.1 * (described @ asked.T)[:, 0] - 0.7 * (seen @ others.T).mean(1)
            chosen.append(int(scores.argmax()))
        return chosen

    return run


def ours(clip: Clip, image: RgbImage, masks: Sequence[PackedMask], way: Any) -> Callable[[list[str]], Any]:
    """Return wordmask's side; nothing is kept between runs."""
    settings = TasSettings(rectifier="none")

    def run(sentences: list[str]) -> list[int]:
        given: Any = Given(masks)
        model = ClipRegions("tas", given, clip, given, keep=EVERYTHING, regions_from=way)
        founds = TasSegmenter(model, settings).segment(image, sentences)
        return [next(i for i, one in enumerate(found.candidates) if one.chosen) for found in founds]

    return run


def parse() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--proposals", type=int, default=60)
    parser.add_argument("--sentences", type=int, default=5, choices=range(1, len(SENTENCES) + 1))
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--small", action="store_true", help="a small CLIP, to try the program")
    parser.add_argument("--image", default="sample:astronaut")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "tas_speed.json")
    return parser.parse_args()


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run the sides alternately; return times, ratios to `released` and the chosen proposals."""
    write_clip(folder, large=not arguments.small)
    image = load_image(arguments.image)
    masks = proposals(image.size, arguments.proposals)
    exact = load_clip(folder, device=torch.device("cpu"), dtype=torch.float32)
    half = load_clip(folder, device=torch.device("cpu"), dtype=torch.bfloat16)
    sides = {
        "released": released(folder, exact, image, masks),
        "wordmask float32": ours(exact, image, masks, "crops"),
        "wordmask bfloat16": ours(half, image, masks, "crops"),
        "tokens float32": ours(exact, image, masks, "tokens"),
        "tokens bfloat16": ours(half, image, masks, "tokens"),
    }
    sentences = list(SENTENCES[: arguments.sentences])
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    chosen: dict[str, list[int]] = {}
    for _ in range(arguments.repeats):
        for name, side in sides.items():
            start = time.process_time()
            chosen[name] = side(sentences)
            seconds[name].append(time.process_time() - start)
    times = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "benchmark": "tas_speed",
        "machine": machine(),
        "load": load_average(),
        "proposals": len(masks),
        "sentences": sentences,
        "cpu_s": times,
        "ratio": {name: times["released"] / value for name, value in times.items()},
        "chosen": chosen,
        "same_as_released": {name: sum(map(int.__eq__, rows, chosen["released"])) for name, rows in chosen.items()},
    }


def main() -> None:
    """Measure, print, and write JSON."""
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as scratch:
        record = measure(arguments, Path(scratch))
    for name, value in record["cpu_s"].items():
        same = f"{record['same_as_released'][name]} of {len(record['sentences'])} masks the same"
        print(f"{name:<18} {value:8.2f} s CPU  {record['ratio'][name]:6.1f}x  {same}", flush=True)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
