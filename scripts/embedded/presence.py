"""Stage `presence`: presence heads on whole images asked for whole vocabularies (`training.compact.presence_stage`)."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from sets import SETS, EmbeddedData

from wordmask.training.compact.label_space import UNKNOWN
from wordmask.training.compact.presence_rows import AskedImage, asked_image
from wordmask.training.compact.presence_stage import PresenceLimits, PresenceStage, lower_gate, presence_stage

CHOICES = json.loads(Path(__file__).with_name("presence.json").read_text())
"""Part of a set's images that is read (all, where it is missing), loss weights of groups, limits of the gate."""


class AskedImages(list[AskedImage]):
    """Takes the place of a `LabelledImageWriter`: what is known of a set's images becomes names that are asked."""

    def __init__(self, data: EmbeddedData, source: str) -> None:
        self.spaces, self.source, self.rng = {s.name: s for s in data.spaces}, source, np.random.default_rng(0)
        coco, voc = data.coco80, data.voc20
        self.own = {"coco": data.coco, "boxvoc": voc, "pascal": voc, "unboxed": (), "boxcoco": coco, "people": coco}

    def add(self, space: str, image: Any, labels: Any, *, absent: Any, boxes: Any = (), tags: Any = (), **_: Any) -> None:  # noqa: E501  # fmt: skip
        group, names = self.source, self.spaces[space].names
        if group == "weak":
            group = "unboxed" if not boxes else "boxcoco" if absent.get("giraffe", 1) == 1 else "boxvoc"
        values = [v for v in np.unique(labels) if 0 < v < UNKNOWN]
        there = {n for n, r in zip(names, self.spaces[space].relations(), strict=True) if (r[values] == 1).any()}
        if self.source in ("weak", "people"):  # label maps are a teacher's, boxes are exhaustive
            there = {b[0] for b in boxes} | ({"person"} if group == "people" else set())
        one, other = ("sofa", "couch") if group in ("boxvoc", "pascal") else ("couch", "sofa")
        there = {one if n == other else n for n in there}
        sure = {n: w for n, w in absent.items() if n not in {*there, *tags, other}}
        if (group != "coco" or max(sure.values()) == 1) and self.rng.random() < CHOICES["kept"].get(self.source, 1):
            self.append(asked_image(image, group, there, sure, own=self.own.get(group, names), tags=tags, rng=self.rng))


def add_presence(args: Any) -> None:
    """Add presence heads to the weights; scale, shift and gate come from training images."""
    folder, data, images = args.model or args.out / "run/last", EmbeddedData(args.data), list[AskedImage]()
    for source in (*SETS, "coco", "people", "pascal", "weak"):
        asked: Any = AskedImages(data, source)
        data.add_set(asked, source, 0) if source in SETS else getattr(data, f"add_{source}")(asked, 0)
        images += [image for image in asked if image.there]
    limits = {group: PresenceLimits(*pair) for group, pair in CHOICES["limits"].items()}
    print(presence_stage(folder, images, folder, stage=PresenceStage(weights=CHOICES["weights"]), limits=limits))
    print(lower_gate(folder, images, **CHOICES["gate"]))
