"""The data sets behind the embedded weights -> one set of labelled images (`wordmask.training.compact`).

Label maps, boxes, captions and a teacher's label maps (where boxes agree with it) become label maps, box maps, tags and
names known to be absent. What is safe to conclude from each set is written here and in `sets.json`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from pycocotools import mask as rle

from wordmask.data.sampling.left_right import swap_left_right
from wordmask.training.compact.label_space import UNKNOWN, LabelSpace
from wordmask.training.compact.labelled_images import LabelledImageWriter
from wordmask.training.compact.vocabulary import PhraseTargets

if TYPE_CHECKING:
    from collections.abc import Iterator

SETS = ("celebamask", "clothing", "carparts", "camvid", "facade", "windows", "objects")
"""Sets with a label space of their own; the others share the space of everyday names."""
FACTS = json.loads(Path(__file__).with_name("sets.json").read_text())
SURE = {
    "celebamask": 1.0,
    "camvid": 1.0,
    "objects": 1.0,
    "carparts": 0.5,
    "facade": 0.5,
    "clothing": 0.5,
    "windows": 0.15,
}
"""Probability, by set, that a name is absent from an image that has no label of it."""
RELIABLE = frozenset("person horse sheep cow motorcycle airplane car bicycle boat dog cat bus train".split())
"""Names for which the teacher has few false positives and false negatives, as far as boxes can tell."""
EXPLAINED = 0.25
"""Least fraction of a box that the teacher must label with the box's name for its other pixels to be background."""
ELSEWHERE = ("elephant", "bear", "zebra", "giraffe")
"""Animals that PASCAL VOC's images do not show (weight 0.7: not checked one by one)."""
AMBIGUOUS = frozenset("top front back light right left watch ring group fan drop hat plate crop".split()) - {
    "hat",
    "plate",
}


def read_rgb(path: Path) -> np.ndarray:
    return cv2.cvtColor(np.asarray(cv2.imread(str(path))), cv2.COLOR_BGR2RGB)


class EmbeddedData:
    """Reads the folders and adds images of a split to a `LabelledImageWriter`."""

    def __init__(self, data: Path, split: str = "train") -> None:
        self.data, self.split = data, split
        self.targets = PhraseTargets(data / "names", FACTS, self._set_names())
        self.weak = json.loads((data / "everyday/weak.json").read_text())
        self.coco80 = sorted(
            {b[0] for w in self.weak.values() if w["exhaustive_boxes_for"] == "coco80" for b in w.get("boxes", [])}
        )
        self.voc20 = [n for n in self._classes("pascal").values() if n not in ("background", "ignore")]
        self.coco = [n for n in self._classes("coco").values() if n not in ("background", "ignore", "other")]
        self.coco += [n for n in self.coco80 if n not in self.coco]
        self.canonical = {"sofa": "couch"}
        self.words = self._word_table()
        self.tags = {k: self._tags(w) for k, w in self.weak.items()}
        often = Counter(t for k in self._chosen("everyday") for t in self.tags[k])
        nouns = sorted(t for t, n in often.items() if n >= 4 and t not in self.coco)
        everyday = LabelSpace(
            "everyday",
            tuple(self.coco),
            {"sofa": ["couch"], **FACTS["unions"]["coco"]},
            [*FACTS["near_synonyms"]["coco"]],
            tuple(nouns),
        )
        self.spaces = [everyday, *(self._space(s) for s in SETS)]

    def _classes(self, source: str) -> dict[int, str]:
        return {int(k): v for k, v in json.loads((self.data / source / "classes.json").read_text()).items()}

    def _set_names(self) -> list[str]:
        plain = [n for s in (*SETS, "coco", "pascal") for n in self._classes(s).values()]
        return sorted({*plain, *(n for u in FACTS["unions"].values() for n in u)} - {"background", "ignore", "other"})

    def _chosen(self, source: str) -> list[str]:
        return sorted(json.loads((self.data / source / "splits.json").read_text())[self.split])

    def _space(self, source: str) -> LabelSpace:
        names = [n for n in self._classes(source).values() if n not in ("background", "ignore", "other")]
        labels = sorted({*names, *(swap_left_right(n) for n in names)}) if source != "windows" else sorted(names)
        extra = [*FACTS["absent_by_scene"].get(source, [])]
        if source in FACTS["faceless"]:
            extra += FACTS["facial"]
        return LabelSpace(
            source,
            tuple(labels),
            FACTS["unions"].get(source, {}),
            FACTS["near_synonyms"].get(source, []),
            tuple(n for n in extra if n not in labels),
            paste_all=source == "celebamask",
        )

    # ---------------------------------------------------------------- sets with label spaces of their own
    def add_set(self, writer: LabelledImageWriter, source: str, group: int) -> int:
        """Add a set's images; an absent name is as sure as `SURE` says."""
        space = next(s for s in self.spaces if s.name == source)
        relations = space.relations()
        count = 0
        for _, pixels, labels in self._label_maps(source, space):
            values = [v for v in np.unique(labels) if 0 < v < UNKNOWN]
            absent = dict.fromkeys(FACTS["absent_by_scene"].get(source, []), 1.0)
            if source in FACTS["faceless"]:
                absent |= dict.fromkeys(FACTS["facial"], 1.0)
            for row, name in enumerate(space.names[: len(space.labels) + len(space.unions)]):
                if values and (relations[row, values] == 1).any():
                    absent.pop(name, None)
                elif SURE[source] == 1 or not (relations[row, values] == 2).any():
                    absent[name] = SURE[source]
            writer.add(source, pixels, labels, group=group, absent=absent)
            count += 1
        return count

    def _label_maps(self, source: str, space: LabelSpace) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        folder, chosen = self.data / source, self._chosen(source)
        classes = self._classes(source)
        table = np.zeros(256, np.uint8)
        table[255] = UNKNOWN
        for value, name in classes.items():
            if name in space.labels:
                table[value] = space.labels.index(name) + 1
        if (folder / "instances.json").exists():
            for key, pixels, labels, _ in self._instances(source, list(space.labels), chosen):
                yield key, pixels, labels
            return
        for key in chosen:
            raw = cv2.imread(str(folder / "labels" / f"{key}.png"), cv2.IMREAD_UNCHANGED)
            pixels = read_rgb(folder / "images" / f"{key}.jpg")
            labels = table[raw]
            if labels.shape != pixels.shape[:2]:
                labels = cv2.resize(labels, pixels.shape[1::-1], interpolation=cv2.INTER_NEAREST)
            yield key, pixels, labels

    def _instances(
        self, source: str, names: list[str], chosen: list[str]
    ) -> Iterator[tuple[str, np.ndarray, np.ndarray, dict[str, Any]]]:
        folder = self.data / source
        table = json.loads((folder / "instances.json").read_text())
        categories = {c["id"]: c["name"] for c in table["categories"]}
        by_image: dict[int, list[dict[str, Any]]] = {}
        for annotation in table["annotations"]:
            by_image.setdefault(annotation["image_id"], []).append(annotation)
        for image in table["images"]:
            if Path(image["file_name"]).stem not in chosen:
                continue
            pixels = read_rgb(folder / "images" / image["file_name"])
            height, width = pixels.shape[:2]
            labels = np.zeros((height, width), np.uint8)
            for a in sorted(by_image.get(image["id"], []), key=lambda a: -a["area"]):  # small ones on top
                code = a["segmentation"]
                if isinstance(code, list):
                    code = rle.merge(rle.frPyObjects(code, image["height"], image["width"]))
                elif isinstance(code["counts"], list):
                    code = rle.frPyObjects(code, *code["size"])
                mask = rle.decode(code)
                if mask.shape != labels.shape:
                    mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST)
                name = categories[a["category_id"]]
                value = names.index(name) + 1 if name in names else UNKNOWN
                labels[mask > 0] = UNKNOWN if a.get("iscrowd") and source != "coco" else value
            yield Path(image["file_name"]).stem, pixels, labels, image

    # ---------------------------------------------------------------- everyday images
    def value(self, name: str) -> int:
        return self.coco.index(self.canonical.get(name, name)) + 1

    def add_everyday(self, writer: LabelledImageWriter, group: int) -> int:
        """Add `coco`, `pascal`, `people` and `everyday`, each a group of its own from `group` on."""
        count = 0
        for number, add in enumerate((self.add_coco, self.add_pascal, self.add_people, self.add_weak)):
            count += add(writer, group + number)
        return count

    def _teacher(self, folder: Path, key: str, size: tuple[int, int]) -> np.ndarray:
        """Label map of the teacher in everyday values, (H, W)."""
        raw = np.asarray(cv2.imread(str(folder / f"{key}.png"), cv2.IMREAD_UNCHANGED))
        if raw.ndim == 3:  # a palette was applied
            from PIL import Image

            raw = np.asarray(Image.open(folder / f"{key}.png"))
        table = np.zeros(256, np.uint8)
        for value, name in enumerate(self.voc20, 1):
            table[value] = self.value(name)
        return np.asarray(cv2.resize(table[raw], size[::-1], interpolation=cv2.INTER_NEAREST))

    def add_coco(self, writer: LabelledImageWriter, group: int) -> int:
        count = 0
        for key, pixels, labels, image in self._instances("coco", self.coco, self._chosen("coco")):
            teacher = self._teacher(self.data / "teacher_pack/coco", key, labels.shape)
            if image.get("exhaustive"):
                absent = dict.fromkeys(self.coco, 1.0)
            else:
                absent = dict.fromkeys(self.coco, 0.15)
                for name in self.voc20:
                    if (teacher == self.value(name)).mean() < 0.002:
                        absent[name] = 0.6
            absent["sofa"] = absent["couch"]
            writer.add("everyday", pixels, labels, group=group, absent=self._apart(absent, labels))
            count += 1
        return count

    def _apart(self, absent: dict[str, float], labels: np.ndarray) -> dict[str, float]:
        """Leave out near synonyms of what is there."""
        there = {self.coco[v - 1] for v in np.unique(labels) if 0 < v < UNKNOWN}
        near = {n for g in FACTS["near_synonyms"]["coco"] if there & set(g) for n in g}
        return {n: w for n, w in absent.items() if n not in near or w == 1}

    def add_pascal(self, writer: LabelledImageWriter, group: int) -> int:
        table = np.zeros(256, np.uint8)
        table[255] = UNKNOWN
        for value, name in self._classes("pascal").items():
            if 0 < value < 255:
                table[value] = self.value(name)
        for key in self._chosen("pascal"):
            labels = table[cv2.imread(str(self.data / f"pascal/labels/{key}.png"), cv2.IMREAD_UNCHANGED)]
            pixels = read_rgb(self.data / f"pascal/images/{key}.jpg")
            absent = dict.fromkeys(self.voc20, 1.0) | dict.fromkeys(ELSEWHERE, 0.7) | {"couch": 1.0}
            writer.add("everyday", pixels, labels, group=group, absent=absent)
        return len(self._chosen("pascal"))

    def add_people(self, writer: LabelledImageWriter, group: int) -> int:
        boxes = json.loads((self.data / "pack_boxes.json").read_text())["people"]
        count = 0
        for key, pixels, polygon, _ in self._instances("people", ["person"], self._chosen("people")):
            known = boxes.get(key)
            teacher = self._teacher(self.data / "teacher_pack/people", key, polygon.shape)
            rows = self._scaled(known, polygon.shape) if known else []
            labels = (
                self._agreed(teacher, rows, polygon.shape)
                if known
                else np.where(teacher > 0, UNKNOWN, 0).astype(np.uint8)
            )
            labels[polygon > 0] = self.value("person")
            absent = dict.fromkeys(self.coco80, 1.0) | {"sofa": 1.0} if known else {}
            absent = {
                n: w
                for n, w in absent.items()
                if n not in {self.canonical.get(b[0], b[0]) for b in rows}
                and not (n == "sofa" and any(b[0] == "couch" for b in rows))
            }
            tags = self._caption_nouns(known) if known else []
            writer.add(
                "everyday", pixels, labels, group=group, boxes=rows, tags=tags, absent=self._apart(absent, labels)
            )
            count += 1
        return count

    def _scaled(self, known: dict[str, Any], shape: tuple[int, ...]) -> list[tuple[str, float, float, float, float]]:
        sx, sy = shape[1] / known["size"][0], shape[0] / known["size"][1]
        rows = known.get("boxes", [])
        return [(self.canonical.get(n, n), x0 * sx, y0 * sy, x1 * sx, y1 * sy) for n, x0, y0, x1, y1 in rows]

    def _agreed(
        self, teacher: np.ndarray, boxes: list[tuple[str, float, float, float, float]], shape: tuple[int, ...]
    ) -> np.ndarray:
        """The teacher's labels where a box of the name covers them, 0 outside every box, else unknown."""
        labels = np.zeros(shape, np.uint8)
        unexplained = np.zeros(shape, bool)
        same = np.zeros(shape, bool)
        for name, x0, y0, x1, y1 in boxes:
            place = slice(max(int(y0), 0), int(np.ceil(y1)) + 1), slice(max(int(x0), 0), int(np.ceil(x1)) + 1)
            inside = teacher[place] == self.value(name)
            same[place] |= inside
            if inside.size and (inside.mean() < EXPLAINED or name not in RELIABLE):
                unexplained[place] = True
        labels[unexplained | (teacher > 0)] = UNKNOWN
        labels[same] = teacher[same]
        return labels

    def add_weak(self, writer: LabelledImageWriter, group: int) -> int:
        for key in self._chosen("everyday"):
            fact = self.weak[key]
            pixels = read_rgb(self.data / f"everyday/images/{key}.jpg")
            shape = pixels.shape[:2]
            teacher = self._teacher(self.data / "everyday/teacher", key, shape)
            rows = self._scaled(fact, shape)
            boxed = {n for n, *_ in rows}
            if fact["exhaustive_boxes_for"]:
                labels = self._agreed(teacher, rows, shape)
                whole = self.coco80 if fact["exhaustive_boxes_for"] == "coco80" else self.voc20
                sure = 1.0 if fact["exhaustive_boxes_for"] == "coco80" else 0.9
                absent = {n: sure for n in (*whole, "sofa", "couch") if self.canonical.get(n, n) not in boxed}
                if fact["exhaustive_boxes_for"] == "voc20":
                    absent |= dict.fromkeys(ELSEWHERE, 0.7)
            else:
                labels, absent = self._unboxed(fact, teacher)
            tags = [t for t in self.tags[key] if t not in absent and t not in boxed]
            absent = {n: w for n, w in absent.items() if n not in tags}
            if fact.get("captions"):
                absent = self._far_nouns([*boxed, *tags]) | absent
            number = group + (fact["exhaustive_boxes_for"] is None)
            writer.add("everyday", pixels, labels, group=number, boxes=rows, tags=tags, absent=absent)
        return len(self._chosen("everyday"))

    def _unboxed(self, fact: dict[str, Any], teacher: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
        """Labels and absent names of an image without boxes."""
        away = dict.fromkeys((*FACTS["animals"], *FACTS["vehicles"]), 0.9)
        if fact["source"] in ("food", "rooms"):
            return np.full(teacher.shape, UNKNOWN, np.uint8), away
        if fact["source"] == "imagenet":
            return np.full(teacher.shape, UNKNOWN, np.uint8), {}
        trusted = [self.value(n) for n in RELIABLE]
        labels = np.where(np.isin(teacher, [0, *trusted]), teacher, UNKNOWN).astype(np.uint8)
        return labels, {n: 0.5 for n in self.voc20 if not (teacher == self.value(n)).any()}

    # ---------------------------------------------------------------- words
    def _word_table(self) -> dict[str, str]:
        """Word or phrase of a caption -> the name it stands for."""
        by_vector = {self.targets.words[n].tobytes(): n for n in reversed(self.coco)}
        table = {}
        for word, vector in self.targets.words.items():
            if len(word) > 2 and word not in AMBIGUOUS:
                table[word] = by_vector.get(vector.tobytes(), self.targets.main_name.get(vector.tobytes(), word))
        return table

    def _caption_nouns(self, fact: dict[str, Any]) -> list[str]:
        counts: Counter[str] = Counter()
        for caption in fact.get("captions", []):
            words = re.findall(r"[a-z]+", caption.lower())
            names = set()
            for length in (3, 2, 1):
                for i in range(len(words) - length + 1):
                    phrase = " ".join(words[i : i + length])
                    for form in (phrase, phrase.removesuffix("s"), phrase.removesuffix("es")):
                        if form in self.words:
                            names.add(self.words[form])
                            break
            counts.update(names)
        least = 2 if len(fact.get("captions", [])) >= 4 else 1
        return sorted(n for n, c in counts.items() if c >= least)

    def _tags(self, fact: dict[str, Any]) -> list[str]:
        names = set(self._caption_nouns(fact))
        if not fact.get("boxes"):
            labels = (n.lower().replace("_", " ") for n in fact.get("labels", []))
            names |= {self.words[n] for n in labels if n in self.words}
        return sorted(names)

    def _far_nouns(self, there: list[str]) -> dict[str, float]:
        """Nouns of captions that are far in meaning from all that is known to be there."""
        nouns = self.spaces[0].extra
        known = [n for n in there if n in self.targets.words]
        if not known or not nouns:
            return {}
        near = np.stack([self.targets.words[n] for n in nouns]) @ np.stack([self.targets.words[n] for n in known]).T
        return {n: 0.3 for n, c in zip(nouns, near.max(1), strict=True) if c < 0.3 and n not in there}


def write_images(
    data: Path, folder: Path, *, split: str = "train", side: int = 384, quality: int = 90, parts: int = 1
) -> None:
    """Read all sets and keep them as compact files."""
    embedded = EmbeddedData(data, split)
    writer = LabelledImageWriter(embedded.spaces, side=side, quality=quality)
    for group, source in enumerate(SETS):
        print(source, embedded.add_set(writer, source, group), flush=True)
    print("everyday", embedded.add_everyday(writer, len(SETS)), flush=True)
    writer.save(folder, parts=parts)
