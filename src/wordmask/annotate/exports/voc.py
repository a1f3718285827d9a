"""Pascal VOC: boxes in XML, classes and objects as palette PNG, lists of images."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from wordmask.annotate.exports.base import ExportOptions, ReadBack, place_image
from wordmask.annotate.exports.label_maps import label_map
from wordmask.annotate.exports.names import file_stems, file_suffix, painted
from wordmask.annotate.splits import split_of_images
from wordmask.ops.masks import pack

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from wordmask.annotate.labelled import LabelledImage, LabelledSet

__all__ = ["PascalVoc", "voc_palette"]

_MOST = 254  # objects an image, and classes; 255 is the void of VOC


def voc_palette() -> list[int]:
    """Return VOC's 256 colours as 768 numbers: the bits of an index, spread over red, green and blue."""
    colours = []
    for index in range(256):
        for channel in range(3):
            bits = [(index >> (3 * place + channel)) & 1 for place in range(3)]
            colours.append(sum(bit << (7 - place) for place, bit in enumerate(bits)))
    return colours


class PascalVoc:
    """`Annotations/`, `JPEGImages/`, `SegmentationClass/`, `SegmentationObject/`, `ImageSets/`, `labelmap.txt`.

    A pixel belongs to one object; at most 254 classes, and 254 objects an image, the best ones.
    """

    name = "voc"
    summary = "Pascal VOC: boxes in XML, segmentation as palette PNG"
    by_class = False

    def write(self, labelled: LabelledSet, folder: Path, options: ExportOptions) -> None:
        """Write all files, and put the images beside them."""
        stems = file_stems(labelled)
        for part in ("Annotations", "SegmentationClass", "SegmentationObject", "ImageSets/Segmentation"):
            (folder / part).mkdir(parents=True)
        for image in labelled:
            stem, objects = stems[image.name], painted(image)
            objects[objects > _MOST] = 0
            classes = np.where(objects > 0, label_map(image, labelled.names), 0)
            _save(objects, folder / "SegmentationObject" / f"{stem}.png")
            _save(classes, folder / "SegmentationClass" / f"{stem}.png")
            suffix = file_suffix(image)
            path = folder / "Annotations" / f"{stem}.xml"
            path.write_bytes(_xml(image, f"{stem}{suffix}", labelled.names))
            place_image(image, folder / "JPEGImages" / f"{stem}{suffix}", options.images)
        splits = split_of_images(labelled, options.splits, options.seed)
        for split in options.splits or ("train",):
            chosen = sorted(stems[name] for name, other in splits.items() if other == split)
            _write_lines(folder / "ImageSets" / "Segmentation" / f"{split}.txt", chosen)
        palette = voc_palette()
        colours = [",".join(map(str, palette[3 * n : 3 * n + 3])) for n in range(min(255, len(labelled.names) + 1))]
        rows = [f"{name}:{colour}::" for name, colour in zip(("background", *labelled.names), colours, strict=False)]
        _write_lines(folder / "labelmap.txt", ["# label:color_rgb:parts:actions", *rows])

    def read(self, labelled: LabelledSet, folder: Path) -> Iterator[ReadBack]:
        """Read the palette PNG back: every object with the class of its pixels."""
        lines = (folder / "labelmap.txt").read_text(encoding="utf-8").splitlines()[1:]
        names = [line.rsplit(":", 3)[0] for line in lines]
        for image, stem in file_stems(labelled).items():
            with Image.open(folder / "SegmentationObject" / f"{stem}.png") as file:
                objects = np.asarray(file)
            with Image.open(folder / "SegmentationClass" / f"{stem}.png") as file:
                classes = np.asarray(file)
            numbers = [int(number) for number in np.unique(objects) if number not in (0, 255)]
            yield image, [(names[int(classes[objects == n][0])], pack(objects == n)) for n in numbers]


def _save(values: NDArray[np.generic], path: Path) -> None:
    image = Image.fromarray(values.astype(np.uint8))
    image.putpalette(voc_palette())
    image.save(path)


def _xml(image: LabelledImage, file_name: str, names: Sequence[str]) -> bytes:
    root = ET.Element("annotation")
    for tag, text in (("folder", "JPEGImages"), ("filename", file_name), ("segmented", "1" if image.objects else "0")):
        ET.SubElement(root, tag).text = text
    size = ET.SubElement(root, "size")
    for tag, value in (("width", image.size[1]), ("height", image.size[0]), ("depth", 3)):
        ET.SubElement(size, tag).text = str(value)
    for one in image.objects:
        node = ET.SubElement(root, "object")
        for tag, text in (("name", one.name), ("pose", "Unspecified"), ("truncated", "0"), ("difficult", "0")):
            ET.SubElement(node, tag).text = text
        box = ET.SubElement(node, "bndbox")
        x, y, width, height = one.box  # VOC counts pixels from 1, both ends included
        for tag, value in (("xmin", x + 1), ("ymin", y + 1), ("xmax", x + width), ("ymax", y + height)):
            ET.SubElement(box, tag).text = str(value)
        if one.score is not None:
            ET.SubElement(node, "score").text = str(one.score)
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
