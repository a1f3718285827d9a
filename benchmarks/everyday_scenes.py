"""Draw ten everyday scenes, eight phrases each, with two models: one row a scene, to be looked at.

    python benchmarks/everyday_scenes.py --before FOLDER --out docs/assets/scenes --json benchmarks/results/everyday_scenes.json

The images come with scikit-image, scikit-learn and matplotlib (extra dev): nothing is loaded from elsewhere. FOLDER
holds other weights to compare with, such as an earlier edition. The phrases were chosen before any answer was seen;
which of them are in the image is written here as well.
"""  # noqa: E501

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, when torch loads
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import argparse
import json
import textwrap
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from PIL import Image, ImageDraw, ImageFont

import wordmask
from wordmask.formats.style import OverlayStyle

if TYPE_CHECKING:
    from wordmask.contracts import Segmenter

HEIGHT = 300
"""Of each image of a row, in pixels."""
STRIP = 62
"""Height of the lines below a row: what is drawn, what is not."""
STYLE = OverlayStyle(hide_missing=True, legend=False, label_size=1.3)
PACKAGES = {"skimage": "skimage/data", "sklearn": "sklearn/datasets/images", "matplotlib": "matplotlib/mpl-data/sample_data"}  # noqa: E501  # fmt: skip


class Scene(NamedTuple):
    """An image and what it is asked for.

    Attributes:
        file: package and file name.
        there: phrases for what the image shows.
        absent: phrases for what it does not show.
    """

    file: tuple[str, str]
    there: tuple[str, ...]
    absent: tuple[str, ...]


TABLE = """
astronaut | skimage astronaut.png | person, face, hair, flag | dog, chair, car, cup
coffee | skimage coffee.png | cup, spoon, plate, table | cat, person, book, car
chelsea | skimage chelsea.png | cat, eye, nose, ear | dog, sofa, person, bird
rocket | skimage rocket.jpg | rocket, sky, tower | airplane, boat, person, bus, cow
motorcycle | skimage motorcycle_left.png | motorcycle, wheel, bench, box | horse, person, sofa, sheep
camera | skimage camera.png | person, camera, grass, building | dog, car, umbrella, chair
clock | skimage clock_motion.png | clock, wall | person, cat, tv, bottle, pizza, bicycle
china | sklearn china.jpg | building, tree, sky, water | person, car, train, elephant
flower | sklearn flower.jpg | flower, leaf | bird, orange, person, car, cat, dining table
hopper | matplotlib grace_hopper.jpg | person, face, hat, flag | dog, car, bottle, horse
"""
"""A line a scene: name, package and file, phrases that are there, phrases that are not."""


def scenes() -> dict[str, Scene]:
    """Read the table of scenes."""
    rows = [[cell.strip() for cell in line.split("|")] for line in TABLE.strip().splitlines()]
    return {
        key: Scene((package, name), tuple(there.split(", ")), tuple(absent.split(", ")))
        for key, where, there, absent in rows
        for package, name in [where.split(" ")]
    }


def read(scene: Scene) -> Image.Image:
    """Open a scene's image where its package lies."""
    from importlib.util import find_spec

    package, name = scene.file
    spec = find_spec(package)
    assert spec is not None, f"{package} is not installed"
    assert spec.origin is not None
    return Image.open(Path(spec.origin).parent.parent / PACKAGES[package] / name).convert("RGB")


def draw_row(image: Image.Image, models: dict[str, Segmenter], scene: Scene) -> tuple[Image.Image, dict[str, Any]]:
    """Return the image beside its overlays, and what each model answers."""
    phrases = [*scene.there, *scene.absent]
    width = round(image.width * HEIGHT / image.height)
    row = Image.new("RGB", (width * (1 + len(models)), HEIGHT + STRIP), "white")
    row.paste(image.resize((width, HEIGHT), Image.Resampling.LANCZOS), (0, 0))
    pen, font = ImageDraw.Draw(row), ImageFont.load_default(11)
    write = partial(write_below, pen, font, width)
    write(0, f"there: {', '.join(scene.there)}", f"absent: {', '.join(scene.absent)}")
    answers: dict[str, Any] = {}
    for place, (name, model) in enumerate(models.items(), 1):
        result = model.segment(image, phrases)
        row.paste(
            result.overlay(image, style=STYLE).resize((width, HEIGHT), Image.Resampling.LANCZOS), (place * width, 0)
        )
        drawn = [found.name for found in result.founds if found.area]
        missed = [phrase for phrase in phrases if phrase not in drawn]
        write(place, f"{name}, mask: {', '.join(drawn)}", f"no mask: {', '.join(missed)}")
        answers[name] = {
            f.name: {"presence": round(f.presence, 3), "area": round(f.area / (image.width * image.height), 4)}
            for f in result.founds
        }
    return row, answers


def write_below(pen: ImageDraw.ImageDraw, font: Any, width: int, place: int, *lines: str) -> None:
    """Write lines below an image of the row, broken where they are too long."""
    letters = int(width / 5.6)
    broken = [part for line in lines for part in textwrap.wrap(line, letters, subsequent_indent="  ")]
    pen.text((place * width + 4, HEIGHT + 2), "\n".join(broken), "black", font)


def counts(answers: dict[str, Any]) -> dict[str, dict[str, int]]:
    """Count, for each model, phrases of what is absent that get a mask, and of what is there that get none."""
    totals: dict[str, dict[str, int]] = {}
    for key, scene in scenes().items():
        for name, found in answers[key].items():
            total = totals.setdefault(name, {"absent": 0, "absent with a mask": 0, "there": 0, "there without": 0})
            total["absent"] += len(scene.absent)
            total["there"] += len(scene.there)
            total["absent with a mask"] += sum(found[phrase]["area"] > 0 for phrase in scene.absent)
            total["there without"] += sum(found[phrase]["area"] == 0 for phrase in scene.there)
    return totals


def main() -> None:
    """Draw every scene, count, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", required=True, help="folder of the weights to compare with")
    parser.add_argument("--after", help="default: the embedded weights")
    parser.add_argument("--out", type=Path, required=True, help="folder of the drawings (WebP)")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    models = {"before": wordmask.load(options.before), "after": wordmask.load(options.after)}
    options.out.mkdir(parents=True, exist_ok=True)
    answers = {}
    for key, scene in scenes().items():
        row, answers[key] = draw_row(read(scene), models, scene)
        row.save(options.out / f"{key}.webp", quality=82, method=6)
    totals = counts(answers)
    print(json.dumps(totals, indent=1))
    if options.json:
        options.json.write_text(json.dumps({"counts": totals, "scenes": answers}, indent=1) + "\n")


if __name__ == "__main__":
    main()
