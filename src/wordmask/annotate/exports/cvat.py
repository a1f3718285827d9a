"""CVAT for images 1.1: masks as run lengths inside their boxes, in one XML file."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import numpy as np

from wordmask.ops.masks import pack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wordmask.annotate.exports.base import ExportOptions, ReadBack
    from wordmask.annotate.labelled import LabelledImage, LabelledSet
    from wordmask.annotate.objects import LabelledObject
    from wordmask.ops.masks import PackedMask

__all__ = ["CvatImages", "box_runs"]


class CvatImages:
    """`annotations.xml`; CVAT finds images by their names, so upload them with the same folders.

    For labelling inside CVAT there is `wordmask.annotate.cvat_function`.
    """

    name = "cvat"
    summary = "CVAT for images 1.1: XML with masks"
    by_class = False

    def write(self, labelled: LabelledSet, folder: Path, options: ExportOptions) -> None:
        """Write the XML file, image by image."""
        with (folder / "annotations.xml").open("wb") as file:
            file.write(b"<?xml version='1.0' encoding='utf-8'?>\n<annotations>\n<version>1.1</version>\n")
            file.write(ET.tostring(_meta(labelled.names), encoding="utf-8") + b"\n")
            for number, image in enumerate(labelled):
                file.write(ET.tostring(_image(number, image), encoding="utf-8") + b"\n")
            file.write(b"</annotations>\n")

    def read(self, labelled: LabelledSet, folder: Path) -> Iterator[ReadBack]:
        """Read the XML file back."""
        source = io.BytesIO((folder / "annotations.xml").read_bytes())
        for _, node in ET.iterparse(source):
            if node.tag == "image":
                size = (int(node.attrib["height"]), int(node.attrib["width"]))
                yield node.attrib["name"], [(one.attrib["label"], _mask(one, size)) for one in node.iter("mask")]
                node.clear()


def box_runs(mask: PackedMask) -> list[int]:
    """Return the lengths of a mask's runs inside its box, row by row, background first."""
    flat = mask.crop().ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    lengths = np.diff(edges, prepend=0, append=len(flat))
    return [*([0] if flat[0] else []), *(int(length) for length in lengths)]


def _meta(names: tuple[str, ...]) -> ET.Element:
    meta = ET.Element("meta")
    labels = ET.SubElement(ET.SubElement(meta, "task"), "labels")
    for name in names:
        label = ET.SubElement(labels, "label")
        ET.SubElement(label, "name").text = name
        ET.SubElement(label, "type").text = "mask"
        attribute = ET.SubElement(ET.SubElement(label, "attributes"), "attribute")
        for tag, text in (("name", "score"), ("mutable", "False"), ("input_type", "text"), ("default_value", "")):
            ET.SubElement(attribute, tag).text = text
    return meta


def _image(number: int, image: LabelledImage) -> ET.Element:
    height, width = image.size
    about = {"id": str(number), "name": image.name, "width": str(width), "height": str(height)}
    node = ET.Element("image", about)
    for one in image.objects:
        node.append(_node(one))
    return node


def _node(one: LabelledObject) -> ET.Element:
    packed = one.packed
    left, top, right, bottom = packed.window
    about = {"label": one.name, "source": "auto" if one.origin == "model" else "manual", "occluded": "0"}
    about |= {"rle": ", ".join(map(str, box_runs(packed))), "left": str(left), "top": str(top)}
    node = ET.Element("mask", about | {"width": str(right - left), "height": str(bottom - top), "z_order": "0"})
    if one.score is not None:
        ET.SubElement(node, "attribute", {"name": "score"}).text = f"{one.score:g}"
    return node


def _mask(node: ET.Element, size: tuple[int, int]) -> PackedMask:
    lengths = np.array([int(value) for value in node.attrib["rle"].split(",")], dtype=np.int64)
    values = np.arange(len(lengths)) % 2 == 1
    shape = (int(node.attrib["height"]), int(node.attrib["width"]))
    crop = np.repeat(values, lengths).reshape(shape)
    return pack(crop, size=size, offset=(int(node.attrib["left"]), int(node.attrib["top"])))
