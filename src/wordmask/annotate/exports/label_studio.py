"""Label Studio: tasks with brush labels as predictions, and the labelling configuration that fits them."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import quoteattr

from wordmask.annotate.exports.brush import decode_brush, encode_brush
from wordmask.formats.colours import palette
from wordmask.ops.masks import pack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from wordmask.annotate.exports.base import ExportOptions, ReadBack
    from wordmask.annotate.labelled import LabelledImage, LabelledSet

__all__ = ["LabelStudio", "labelling_config", "task_of", "write_tasks"]

FROM_NAME, TO_NAME = "brush", "image"


class LabelStudio:
    """`tasks.json` and `config.xml`; a task's image is `/data/local-files/?d=PATH`, from the root `/`, or its address.

    Masks belong to the upright image, as a browser shows it. Images without objects have a prediction without results.
    """

    name = "label-studio"
    summary = "Label Studio: brush labels as predictions, labelling configuration"
    by_class = False

    def write(self, labelled: LabelledSet, folder: Path, options: ExportOptions) -> None:
        """Write the tasks and the configuration."""
        write_tasks(labelled, labelled.names, folder)

    def read(self, labelled: LabelledSet, folder: Path) -> Iterator[ReadBack]:
        """Read the tasks back."""
        for task in json.loads((folder / "tasks.json").read_bytes()):
            found = []
            for one in task["predictions"][0]["result"]:
                size = (one["original_height"], one["original_width"])
                found.append((one["value"]["brushlabels"][0], pack(decode_brush(one["value"]["rle"], size))))
            yield task["data"]["name"], found


def write_tasks(
    images: Iterable[LabelledImage],
    names: tuple[str, ...],
    folder: Path,
    *,
    more: Callable[[LabelledImage], dict[str, Any]] | None = None,
) -> None:
    """Write `tasks.json`, image by image, and `config.xml`.

    Args:
        images: With their labels.
        names: Classes.
        folder: Where to.
        more: Returns further data of a task.
    """
    with (folder / "tasks.json").open("w", encoding="utf-8") as file:
        mark = "[\n"
        for image in images:
            task = task_of(image)
            task["data"] |= {} if more is None else more(image)
            file.write(mark + json.dumps(task, ensure_ascii=False))
            mark = ",\n"
        file.write("\n]\n" if mark == ",\n" else "[]\n")
    (folder / "config.xml").write_text(labelling_config(names), encoding="utf-8")


def labelling_config(names: tuple[str, ...]) -> str:
    """Return the labelling configuration with a brush for every class."""
    colours = [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in palette(max(1, len(names)))]
    pairs = zip(names, colours, strict=False)
    labels = [f"    <Label value={quoteattr(name)} background={quoteattr(colour)}/>" for name, colour in pairs]
    return "\n".join(
        [
            "<View>",
            f'  <Image name="{TO_NAME}" value="$image" zoom="true" zoomControl="true"/>',
            f'  <BrushLabels name="{FROM_NAME}" toName="{TO_NAME}">',
            *labels,
            "  </BrushLabels>",
            "</View>",
            "",
        ]
    )


def task_of(image: LabelledImage) -> dict[str, Any]:
    """Return a task with the labels of an image as its prediction; ids depend on the content alone."""
    height, width = image.size
    result = []
    for place, one in enumerate(image.objects):
        mark = hashlib.sha256(f"{image.uri} {image.content} {place}".encode()).hexdigest()[:10]
        about = {"id": mark, "from_name": FROM_NAME, "to_name": TO_NAME, "type": "brushlabels", "image_rotation": 0}
        about |= {"original_width": width, "original_height": height}
        about |= {"value": {"format": "rle", "rle": encode_brush(one.packed), "brushlabels": [one.name]}}
        result.append(about if one.score is None else about | {"score": one.score})
    scores = [one.score for one in image.objects if one.score is not None]
    prediction = {"model_version": "wordmask", "score": min(scores) if scores else 1.0, "result": result}
    is_remote = "://" in image.uri or image.uri.startswith("hf:")
    address = image.uri if is_remote else f"/data/local-files/?d={image.uri.lstrip('/')}"
    data = {"image": address, "name": image.name, "sha256": image.content}
    return {"data": data, "predictions": [prediction]}
