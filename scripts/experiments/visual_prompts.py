"""Measure which change of an image tells CLIP best which object in it is meant: CLIPSeg's table 2, for any CLIP.

    python -m scripts.experiments.visual_prompts --clip openai/clip-vit-base-patch16 --data lvis_v1_val.json \
        --images coco --most 1600 --out runs/prompts.json
    python -m scripts.experiments.visual_prompts --clip CLIP --data DATA/coco DATA/celebamask --out runs/prompts.json

Protocol (arXiv 2112.10003, section 3.2, and the authors' notebook): of an image with at least three names, one object
is the target, which covers at least a tenth of the image. The image, resized to 352 x 352, is changed in one way and
resized to the tower's input. Of the sentences "a photo of a {name}", one for every name in the image, each gets a
probability (softmax over CLIP's scaled cosines); the score of a change is the mean by which it raises the target's
probability, times 100.

It differs from the authors' in four points. They list 1,600 pairs of LVIS; here, one target is sampled for each image,
so that samples are independent and can be bootstrapped. Images are squashed to the square. Attention is masked for each
image by its own mask (their code mixes up masks within a batch). "Crop & intensity 10 %" is cropped (in their
notebook it is not, so the paper prints the value of "blur + 10 %" for it), and "crop & background blur" has the narrow
margin of the other crops (theirs had the wide one).
"""

from __future__ import annotations

import argparse
import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F

from scripts.experiments.image_changes import CHANGES, PAIRS, ImageChange, normalise
from wordmask.backbones.clip.build import build_clip
from wordmask.backbones.clip.text import ClipTextEncoder
from wordmask.backbones.clip.tokenizer import load_tokenizer
from wordmask.backbones.clip.vision import clip_vision_tower
from wordmask.backbones.clip.weights import UNUSED, clip_weights
from wordmask.backbones.token_mask import TokenMask
from wordmask.checkpoints import read_json
from wordmask.checkpoints.reading import find_weights, read_weights
from wordmask.checkpoints.strict import load_exactly
from wordmask.data.registry import open_data
from wordmask.errors import DataError, sentence
from wordmask.formats.files import write
from wordmask.images import load_image
from wordmask.methods.clipseg.loader import local_folder
from wordmask.metrics.bootstrap import mean_interval
from wordmask.ops.resize import resize

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from wordmask.contracts import Dataset

SIDE = 352
"""Side of the images while they are changed, in pixels."""
FEWEST = 3
"""Names in an image."""
LEAST = 0.1
"""Fraction of the image that the target must cover."""
BATCH = 16


@dataclass(frozen=True, eq=False)
class Case:
    """One image with one target.

    Attributes:
        key: Of the image.
        image: float32 `(3, SIDE, SIDE)`, normalised.
        mask: Of the target, bool `(SIDE, SIDE)`.
        names: In the image; the first is the target's.
    """

    key: str
    image: NDArray[np.float32]
    mask: NDArray[np.bool_]
    names: tuple[str, ...]


class Clip:
    """Both towers of a CLIP.

    Args:
        folder: As transformers saves it.
    """

    def __init__(self, folder: Path) -> None:
        values = read_json(folder / "config.json")
        vision, text = values.get("vision_config") or {}, values.get("text_config") or {}
        clip: Any = build_clip(vision, text, projection_dim=int(values.get("projection_dim", 512)))
        weights = clip_weights(read_weights(find_weights(folder)))
        load_exactly(clip, weights, source=folder.name, unused=UNUSED)
        self.scale = float(clip.logit_scale.exp())
        self.side = int(clip.vision_model.config.image_size)
        self.text = ClipTextEncoder(clip, load_tokenizer(folder))
        self.vision = clip_vision_tower(clip, extract_layers=(0,))

    @torch.inference_mode()
    def embed_images(self, cases: Sequence[Case], change: ImageChange) -> Tensor:
        """Return vectors (B, C) of length 1 of images changed in one way."""
        changed = torch.from_numpy(np.stack([change.apply(case.image, case.mask) for case in cases]))
        pixels = F.interpolate(changed, size=(self.side, self.side), mode="bilinear", align_corners=False)
        return F.normalize(self.vision.pooled(pixels, self._token_mask(cases, change)), dim=-1)

    @torch.inference_mode()
    def embed_names(self, names: Sequence[str]) -> Tensor:
        """Return vectors (P, C) of length 1."""
        return F.normalize(self.text.embed_texts([f"a photo of a {name}" for name in names]), dim=-1)

    def _token_mask(self, cases: Sequence[Case], change: ImageChange) -> TokenMask | None:
        if change.attention is None:
            return None
        kind, where = change.attention
        layers = (len(self.vision.blocks) - 1,) if where == "last" else None
        masks = torch.from_numpy(np.stack([case.mask for case in cases]))
        return TokenMask(masks, kind, layers)


def cases_of(dataset: Dataset, random: np.random.Generator, *, least: float = LEAST) -> Iterator[Case]:
    """Yield a case for every image with enough names, one of which is large enough, in random order."""
    for index in random.permutation(len(dataset)).tolist():
        sample = dataset[index]
        size = sample.size[0] * sample.size[1]
        large = [place for place, query in enumerate(sample.queries) if query.packed.area >= least * size]
        if len(sample.queries) < FEWEST or not large:
            continue
        target = large[int(random.integers(len(large)))]
        names = [query.label.replace("_", " ").replace("-", " ") for query in sample.queries]
        mask = sample.queries[target].mask.astype(np.uint8)
        resized = resize(mask, (SIDE, SIDE), resample="nearest") > 0
        image = normalise(resize(load_image(sample.image).pixels, (SIDE, SIDE)))
        yield Case(sample.key, image, resized, (names[target], *names[:target], *names[target + 1 :]))


def probabilities(clip: Clip, cases: Sequence[Case], changes: Iterable[str] = CHANGES) -> dict[str, list[float]]:
    """Return the target's probability, for each change a list over the cases."""
    vectors = {name: clip.embed_names([name])[0] for name in dict.fromkeys(n for case in cases for n in case.names)}
    found: dict[str, list[float]] = {name: [] for name in changes}
    for batch in (cases[start : start + BATCH] for start in range(0, len(cases), BATCH)):
        for name, values in found.items():
            for case, vector in zip(batch, clip.embed_images(batch, CHANGES[name]), strict=True):
                texts = torch.stack([vectors[other] for other in case.names])
                values.append(float((clip.scale * (texts @ vector)).softmax(dim=0)[0]))
    return found


def summarise(found: dict[str, list[float]]) -> dict[str, Any]:
    """Return the mean effect of each change, times 100 with a 95 % interval, and the differences of the pairs."""
    values = {name: 100 * (np.array(row) - np.array(found["original"])) for name, row in found.items()}
    rows = {name: {**_interval(row), "paper": CHANGES[name].paper} for name, row in values.items()}
    pairs = {f"{first} > {second}": _interval(values[first] - values[second]) for first, second in PAIRS}
    start = 100 * float(np.mean(found["original"]))
    return {"cases": len(found["original"]), "start": start, "rows": rows, "pairs": pairs}


def _interval(values: NDArray[np.float64]) -> dict[str, float]:
    found = mean_interval(values)
    return {"value": found.value, "low": found.low, "high": found.high}


def study(clip: Clip, datasets: Sequence[Dataset], *, most: int, least: float = LEAST, seed: int = 0) -> dict[str, Any]:
    """Run the study on at most `most` images of each data set.

    Raises:
        DataError: If no image is fit for it.
    """
    random = np.random.default_rng(seed)
    by_set = {data.name: list(itertools.islice(cases_of(data, random, least=least), most)) for data in datasets}
    if not any(by_set.values()):
        got = f"no image with {FEWEST} names and an object of {least:.0%}"
        raise DataError(sentence(got, "at least one", "give other data, or a smaller --least"))
    found = {name: probabilities(clip, cases) for name, cases in by_set.items() if cases}
    merged = {change: [value for part in found.values() for value in part[change]] for change in CHANGES}
    summaries = {name: summarise(part) for name, part in found.items()}
    return {**summarise(merged), "seed": seed, "least": least, "by_set": summaries}


def with_file_names(path: Path, out: Path) -> Path:
    """Return COCO annotations whose images have file names; LVIS has addresses, ".../val2017/000000000139.jpg"."""
    if path.suffix != ".json":
        return path
    content = json.loads(path.read_bytes())
    if all("file_name" in record for record in content["images"]):
        return path
    for record in content["images"]:
        record.setdefault("file_name", "/".join(str(record.get("coco_url", "")).split("/")[-2:]))
    return write(out / f"named-{path.name}", json.dumps(content).encode())


def main() -> None:
    """Read the command line and run the study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", required=True, help="folder or hub id of a CLIP")
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, help="data in any shape that wordmask train reads"
    )
    parser.add_argument("--split", help="part of them; default: val where there is one")
    parser.add_argument("--images", type=Path, help="folder that COCO's file names start from")
    parser.add_argument("--most", type=int, default=80, help="images of each set; LVIS: 1600")
    parser.add_argument("--least", type=float, default=LEAST, help="fraction of the image that the target covers")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    paths = [with_file_names(path, arguments.out.parent) for path in arguments.data]
    datasets = [open_data(path, split=arguments.split, images=arguments.images) for path in paths]
    clip = Clip(local_folder(arguments.clip, None))
    record = {"clip": arguments.clip, **study(clip, datasets, most=arguments.most, least=arguments.least)}
    write(arguments.out, (json.dumps(record, indent=2) + "\n").encode())
    for name, row in record["rows"].items():
        print(f"{CHANGES[name].title:28} {row['value']:7.2f} [{row['low']:.2f}, {row['high']:.2f}]")


if __name__ == "__main__":
    main()
