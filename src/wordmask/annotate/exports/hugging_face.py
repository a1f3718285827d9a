"""Hugging Face data set: a folder of images with metadata and masks, and a data set card."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from wordmask.annotate.exports.base import ExportOptions, ReadBack, place_image
from wordmask.annotate.exports.names import file_stems, file_suffix
from wordmask.annotate.splits import split_of_images
from wordmask.formats.png import encode_png
from wordmask.ops.masks import pack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wordmask.annotate.labelled import LabelledImage, LabelledSet

__all__ = ["HuggingFaceFolder"]


class HuggingFaceFolder:
    """`data/SPLIT/metadata.jsonl` with images, masks (one PNG an object) and their scores, and `README.md`.

    `datasets.load_dataset(FOLDER)` gives the columns `image`, `masks` (a list of images), `classes`, `scores`,
    `mask_scores`, `boxes` (XYWH), `presence` and `name`.
    """

    name = "hugging-face"
    summary = "Hugging Face data set: images, masks, metadata, data set card"
    by_class = False

    def write(self, labelled: LabelledSet, folder: Path, options: ExportOptions) -> None:
        """Write metadata and masks, put the images beside them, and write the card."""
        splits, stems = split_of_images(labelled, options.splits, options.seed), file_stems(labelled)
        for split in options.splits or ("train",):
            place = folder / "data" / split
            if split not in splits.values():
                continue
            place.mkdir(parents=True)
            with (place / "metadata.jsonl").open("w", encoding="utf-8") as file:
                for image in labelled:
                    if splits[image.name] == split:
                        row = _row(image, stems[image.name], place, labelled.names)
                        place_image(image, place / row["file_name"], options.images)
                        file.write(json.dumps(row, ensure_ascii=False) + "\n")
        (folder / "README.md").write_text(_card(labelled, splits, options), encoding="utf-8")

    def read(self, labelled: LabelledSet, folder: Path) -> Iterator[ReadBack]:
        """Read metadata and masks back."""
        for path in sorted((folder / "data").glob("*/metadata.jsonl")):
            for line in path.read_text(encoding="utf-8").splitlines():
                row = json.loads(line)
                found = []
                for name, mask in zip(row["classes"], row["masks_file_names"], strict=True):
                    with Image.open(path.parent / mask) as file:
                        found.append((name, pack(np.asarray(file) > 127)))
                yield row["name"], found


def _row(image: LabelledImage, stem: str, place: Path, names: tuple[str, ...]) -> dict[str, Any]:
    """Write the masks of an image and return its line of metadata."""
    files = []
    for number, one in enumerate(image.objects):
        files.append(f"masks/{stem}/{number}.png")
        (place / "masks" / stem).mkdir(parents=True, exist_ok=True)
        (place / files[-1]).write_bytes(encode_png(one.packed.full()))
    return {
        "file_name": f"images/{stem}{file_suffix(image)}",
        "masks_file_names": files,
        "classes": [one.name for one in image.objects],
        "scores": [one.score for one in image.objects],
        "mask_scores": [one.mask_score for one in image.objects],
        "boxes": [list(one.box) for one in image.objects],
        "presence": [image.presence.get(name) for name in names],
        "name": image.name,
        "sha256": image.content,
    }


def _card(labelled: LabelledSet, splits: dict[str, str], options: ExportOptions) -> str:
    """Return the data set card: counts, licences, and the command that makes it again."""
    about = labelled.statistics()
    counts = {split: sum(other == split for other in splits.values()) for split in dict.fromkeys(splits.values())}
    licences = [str(one.get("name") or one.get("url") or one) for one in labelled.licences]
    total = about["images"]
    size = next((text for most, text in ((1_000, "n<1K"), (10_000, "1K<n<10K")) if total < most), "10K<n<100K")
    lines = [
        "---",
        "task_categories: [image-segmentation]",
        f"size_categories: [{size if total < 100_000 else '100K<n<1M'}]",
        "tags: [wordmask, pre-annotated]",
        "configs:",
        "- config_name: default",
        "  data_files:",
        *(f"  - split: {split}\n    path: data/{split}/**" for split in sorted(counts)),
        "---",
        "",
        "# Masks of phrases",
        "",
        "Labels were made by a model from phrases and, unless `origin` says so, not checked by people. Every mask has",
        "a detection score and, where the method estimates it, a mask quality; every image the presence of each class.",
        "",
        f"{total} images ({about['negatives']} without objects, {about['copies']} copies of others): "
        + ", ".join(f"{split} {count}" for split, count in sorted(counts.items()))
        + ".",
        "",
        "| class | objects |",
        "|---|---|",
        *(f"| {name} | {count} |" for name, count in about["objects"].items()),
        "",
        f"`presence` is in the order of the classes: {', '.join(labelled.names)}.",
        "",
        "Licences of the images: " + ("; ".join(licences) if licences else "not stated by their source") + ".",
        "",
        "Made by:",
        "",
        "```bash",
        options.command or "wordmask export JOB --format hugging-face",
        "```",
        "",
    ]
    return "\n".join(lines)
