"""What each part of TAS contributes on referring expressions made from real instances.

    python benchmarks/tas_experiment.py --data sets --out results.jsonl            # val splits, every configuration
    python benchmarks/tas_experiment.py --data sets --split train --limit 60 --out tuning.jsonl

`--data` is a folder with `coco`, `carparts`, `windows` and `celebamask`; `shapes` is generated. Each line of the result
is one expression under one configuration: intersection and union with the mask meant. Tables are printed at the end,
and again by `--show results.jsonl`. Intervals are percentiles of bootstraps over images.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from referring import Referring, Thing, expressions_of, things_of
from tas_regions import KeptRegions, OracleRegions
from tas_tables import print_tables

import wordmask
from wordmask.components.place.settings import PlaceSettings
from wordmask.data.registry import open_data
from wordmask.data.sets.shapes import Shapes
from wordmask.images import load_image
from wordmask.methods.tas.embedded import CompactRegions
from wordmask.methods.tas.segmenter import TasSegmenter
from wordmask.methods.tas.settings import TasSettings
from wordmask.ops.masks import intersection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wordmask.contracts import Encoded

SETS = ("coco", "carparts", "windows", "celebamask")
MIRROR = "mirrored image against image"
LAMBDAS = {"code": 0.7, "between": 0.45, "paper-refcocog": 0.2}


def configurations(own: TasSettings) -> dict[str, TasSettings]:
    """Return the settings that are compared, by name; `own` are those of the model."""
    made = {"V": (0.0, 0.0, "none"), "V+P": (0.1, 0.0, "none")}
    made |= {f"V+N {name}": (0.0, value, "none") for name, value in LAMBDAS.items()}
    made |= {"V+released": (0.0, 0.0, "released"), "V+intended": (0.0, 0.0, "intended")}
    for rule in ("none", "released", "intended"):
        made |= {f"all {rule} {name}": (0.1, value, rule) for name, value in LAMBDAS.items()}
    plain = own.to_json()
    return {
        name: TasSettings(**plain | {"caption_weight": caption, "negative_weight": negative, "rectifier": rule})
        for name, (caption, negative, rule) in made.items()
    }


def samples(root: Path | None, name: str, split: str, limit: int | None) -> Iterator[tuple[str, Any, list[Thing], Any]]:
    """Yield key, image, instances and expressions of each image that has any."""
    if name == "shapes":
        yield from shapes(limit or 60, seed=1 if split == "val" else 2)
        return
    assert root is not None
    data = open_data(root / name, split=split)
    step = max(1, len(data) // limit) if limit else 1
    for index in range(0, len(data), step):
        image, things = things_of(data, index)
        made = expressions_of(things, f"{name}/{index}")
        if made:
            yield f"{name}/{index}", image, things, made


def shapes(count: int, *, seed: int) -> Iterator[tuple[str, Any, list[Thing], Any]]:
    """Yield generated images with the data set's own expressions; all shapes are the instances."""
    data = Shapes(count, seed=seed, ask=("kinds", "expressions"))
    for index in range(len(data)):
        sample = data[index]
        kinds = [query for query in sample.queries if query.label in data.names]
        things = [Thing(q.label, one.mask) for q in kinds for one in q.instances if one.mask is not None]
        asked = [query for query in sample.queries if query not in kinds]
        made = [Referring(q.prompt.name, "shapes", q.packed, "", q.prompt.name, 1) for q in asked[:6]]
        if made:
            yield f"shapes/{index}", sample.image, things, made


def run(arguments: argparse.Namespace) -> None:
    """Ask every expression under every configuration and write one line for each."""
    own: Any = wordmask.load(arguments.model, device="cpu", dtype="float32")
    assert isinstance(own, TasSegmenter)
    assert isinstance(own.model, CompactRegions)
    settings = configurations(own.settings)
    if arguments.only:
        settings = {name: settings[name] for name in arguments.only}
    oracle, real = OracleRegions(own.model), KeptRegions(own.model)
    sides = {"oracle": KeptRegions(oracle), "real": real}
    askers = {
        (proposals, name): TasSegmenter(model, one)
        for proposals, model in sides.items()
        if proposals in arguments.proposals
        for name, one in settings.items()
    }
    for (proposals, _), asker in askers.items():
        asker.place_settings = PlaceSettings(mirror=proposals == "real")  # annotated masks are the same in a mirror
    others: dict[str, Any] = {name: wordmask.load(name, device="cpu", dtype="float32") for name in arguments.models}
    started = time.time()
    with arguments.out.open("w") as out:
        for source in arguments.sets:
            for key, image, things, made in samples(arguments.data, source, arguments.split, arguments.limit):
                pixels = load_image(image)
                oracle.oracle.masks = [thing.mask for thing in things]
                both = own.with_mirror(own.encode(pixels))
                encoded = {name: both if name == "real" else _encoded(oracle, pixels) for name in arguments.proposals}
                for (proposals, name), asker in askers.items():
                    for line in asked(asker, encoded[proposals], made):
                        out.write(json.dumps({"key": key, "set": source, "proposals": proposals, "way": name, **line}))
                        out.write("\n")
                about = {"key": key, "set": source}
                for line in mirrored(own, both, made) if arguments.mirror else ():
                    out.write(json.dumps(about | {"proposals": "real", "way": MIRROR, **line}) + "\n")
                for model, other in others.items():
                    both = other.with_mirror(other.encode(pixels))
                    for line in asked(other, both, made):
                        out.write(json.dumps(about | {"proposals": model, "way": "words of place", **line}) + "\n")
                    for line in mirrored(other, both, made) if arguments.mirror else ():
                        out.write(json.dumps(about | {"proposals": model, "way": MIRROR, **line}) + "\n")
                out.flush()
            print(f"{source}: {time.time() - started:.0f} s", flush=True)


@torch.inference_mode()
def _encoded(model: OracleRegions, image: Any) -> Encoded:
    return model.encode(image)


def asked(asker: Any, encoded: Any, made: list[Referring]) -> Iterator[dict[str, Any]]:
    """Yield kind, text, intersection and union of each expression."""
    for one, found in zip(made, asker.segment(encoded, [one.text for one in made]), strict=True):
        joint = intersection(found.packed, one.target)
        union = found.packed.area + one.target.area - joint
        yield {"kind": one.kind, "text": one.text, "i": joint, "u": union, "others": one.others}


def mirrored(asker: Any, here: Any, made: list[Referring]) -> Iterator[dict[str, Any]]:
    """Yield, as `asked` does, how the answers about the mirrored image agree with those about the image."""
    there = replace(here.mirror, mirror=replace(here, mirror=None))  # the mirror image of the mirror image is the image
    founds = asker.segment(here, [one.text for one in made])
    others = asker.segment(there, [one.mirrored for one in made])
    for one, found, other in zip(made, founds, others, strict=True):
        mask, mirror = found.mask, other.mask[:, ::-1]
        joint, union = int((mask & mirror).sum()), int((mask | mirror).sum())
        yield {"kind": one.kind, "text": one.text, "i": joint, "u": max(1, union), "others": one.others}


def parse() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the data sets")
    parser.add_argument("--sets", nargs="+", default=[*SETS, "shapes"])
    parser.add_argument("--split", default="val")
    parser.add_argument("--limit", type=int, help="images of a set, evenly spaced")
    parser.add_argument("--proposals", nargs="+", default=["oracle", "real"], choices=["oracle", "real"])
    parser.add_argument(
        "--mirror", action="store_true", help="ask the mirrored image, too, with left and right swapped"
    )
    parser.add_argument("--models", nargs="*", default=[], help="other methods that are asked the same expressions")
    parser.add_argument("--only", nargs="+", help="names of configurations")
    parser.add_argument("--model", default="tas")
    parser.add_argument("--out", type=Path, default=Path("tas_experiment.jsonl"))
    parser.add_argument("--show", type=Path, help="print the tables of an earlier result")
    return parser.parse_args()


def main() -> None:
    """Run or show."""
    arguments = parse()
    if arguments.show is None:
        run(arguments)
    path = arguments.show or arguments.out
    print_tables([json.loads(line) for line in path.read_text().splitlines()])


if __name__ == "__main__":
    main()
