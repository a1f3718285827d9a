"""COCO's average precision and recall of scored masks, through pycocotools.

Source: the COCO detection evaluation (Lin et al., ECCV 2014; `pycocotools.cocoeval`): AP averaged over IoU 0.5, 0.55,
..., 0.95 and over classes, at most 100 masks per picture and class.
"""

from __future__ import annotations

import contextlib
import io
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from wordmask.errors import DataError, MissingExtraError, quote, sentence
from wordmask.metrics.accumulator import Accumulator

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

    from numpy.typing import NDArray

_EVERY_SIZE = (0.0, 1e10)

AREAS = {
    "pixels": {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)},
    "share": {
        "tiny": (0.0, float(np.nextafter(0.0025, 0))),
        "small": (0.0025, float(np.nextafter(0.01, 0))),
        "medium": (0.01, 0.04),
        "large": (float(np.nextafter(0.04, 1)), 1.0),
    },
}
"""Closed ranges of area: COCO's own in pixels, and this package's as a share of the picture (see `sizes`)."""

_MOST = (1, 10, 100)


@dataclass(frozen=True, eq=False)
class Detection(Accumulator):
    """COCO AP and AR of instance masks. It keeps every mask, run-length encoded.

    Attributes:
        areas: How sizes are told apart: "pixels" as COCO does, or "share" of the picture.
        pictures: What was counted, by key.
    """

    areas: Literal["pixels", "share"] = "pixels"
    pictures: dict[str, dict[str, Any]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.areas not in AREAS:
            raise DataError(sentence(f"areas {self.areas!r}", "'pixels' or 'share'", "choose one of these"))

    def update(
        self,
        key: str,
        truths: Iterable[tuple[str, NDArray[np.bool_]]],
        found: Iterable[tuple[str, float, NDArray[np.bool_]]],
        *,
        crowds: Iterable[tuple[str, NDArray[np.bool_]]] = (),
    ) -> None:
        """Count one picture.

        Args:
            key: Its name, different for every picture.
            truths: Label and mask, bool `(H, W)`, of every true instance.
            found: Label, score and mask of every answer.
            crowds: Label and mask of regions in which answers count neither for nor against.

        Raises:
            DataError: If the picture was counted before, masks differ in shape, or a score is no number.
            MissingExtraError: If pycocotools is not installed.
        """
        masks = [("truth", label, math.nan, mask) for label, mask in truths]
        masks += [("crowd", label, math.nan, mask) for label, mask in crowds]
        masks += [("found", label, float(score), mask) for label, score, mask in found]
        sizes = {np.shape(mask) for *_, mask in masks}
        if len(sizes) > 1 or any(np.asarray(mask).dtype != np.bool_ for *_, mask in masks):
            got = f"masks {sorted(sizes)} for {quote(key)}"
            raise DataError(sentence(got, "bool masks of one shape (H, W)", "resize and threshold them to the picture"))
        if any(kind == "found" and not math.isfinite(score) for kind, _, score, _ in masks):
            raise DataError(sentence(f"a score that is no number for {quote(key)}", "finite scores", "check the model"))
        self._require_new(key)
        entries = [_entry(*mask) for mask in masks]
        self.pictures[key] = {"size": [int(side) for side in next(iter(sizes), (1, 1))], "masks": entries}

    def compute(self) -> dict[str, float]:
        """Return `ap`, `ap50`, `ap75`, `ar1`, `ar10`, `ar100`, and `ap_SIZE` and `ar_SIZE`; `nan` where undefined.

        Raises:
            MissingExtraError: If pycocotools is not installed.
        """
        names = ["all", *AREAS[self.areas]]
        precision, recall = self._tables()
        scores = {"ap": _mean(precision[:, :, :, 0, 2])}
        scores |= {"ap50": _mean(precision[0, :, :, 0, 2]), "ap75": _mean(precision[5, :, :, 0, 2])}
        scores |= {f"ar{most}": _mean(recall[:, :, 0, place]) for place, most in enumerate(_MOST)}
        scores |= {f"ap_{name}": _mean(precision[:, :, :, place, 2]) for place, name in enumerate(names) if place}
        return scores | {f"ar_{name}": _mean(recall[:, :, place, 2]) for place, name in enumerate(names) if place}

    def _tables(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return precision `(10, 101, C, sizes, 3)` and recall `(10, C, sizes, 3)`; -1 where undefined."""
        ranges = [_EVERY_SIZE, *AREAS[self.areas].values()]
        labels = sorted({entry["label"] for picture in self.pictures.values() for entry in picture["masks"]})
        if not labels:
            return np.full((10, 101, 0, len(ranges), 3), -1.0), np.full((10, 0, len(ranges), 3), -1.0)
        _cocotools()
        from pycocotools.cocoeval import COCOeval

        with contextlib.redirect_stdout(io.StringIO()):
            run = COCOeval(self._coco(labels, answers=False), self._coco(labels, answers=True), "segm")
            run.params.areaRng, run.params.areaRngLbl = ranges, ["all", *AREAS[self.areas]]
            run.params.maxDets = list(_MOST)
            run.evaluate()
            run.accumulate()
        return run.eval["precision"], run.eval["recall"]

    def _coco(self, labels: list[str], *, answers: bool) -> Any:
        """Return pictures and either truths or answers as pycocotools holds them."""
        from pycocotools.coco import COCO

        places = {label: place for place, label in enumerate(labels, 1)}
        # Sorted: pycocotools breaks ties of scores by the order of the pictures.
        keys = sorted(self.pictures)
        annotations = [
            self._annotation(entry, self.pictures[key]["size"], image, places)
            for image, key in enumerate(keys, 1)
            for entry in self.pictures[key]["masks"]
            if (entry["kind"] == "found") == answers
        ]
        for number, annotation in enumerate(annotations, 1):
            annotation["id"] = number  # from 1: pycocotools reads 0 as "no match"
        coco = COCO()
        coco.dataset = {
            "images": [
                {"id": image, "height": self.pictures[key]["size"][0], "width": self.pictures[key]["size"][1]}
                for image, key in enumerate(keys, 1)
            ],
            "categories": [{"id": place, "name": label} for label, place in places.items()],
            "annotations": annotations,
        }
        coco.createIndex()
        return coco

    def _annotation(self, entry: dict[str, Any], size: list[int], image: int, places: dict[str, int]) -> dict[str, Any]:
        area = entry["area"] if self.areas == "pixels" else entry["area"] / (size[0] * size[1])
        shared = {"image_id": image, "category_id": places[entry["label"]], "area": area}
        shared["segmentation"] = {"size": list(size), "counts": entry["counts"]}
        if entry["kind"] == "found":
            return shared | {"score": entry["score"]}
        return shared | {"iscrowd": int(entry["kind"] == "crowd")}

    def _require_new(self, key: str) -> None:
        if key in self.pictures:
            got = f"the picture {quote(key)} twice"
            raise DataError(sentence(got, "every picture once", "give each picture a key of its own"))

    def _content(self) -> dict[str, Any]:
        return dict(self.pictures)

    def _restore(self, content: dict[str, Any]) -> None:
        for key, picture in content.items():
            if len(picture["size"]) != 2 or not all(_sound(entry) for entry in picture["masks"]):
                raise ValueError("a picture with parts missing")
            self.pictures[key] = picture

    def _absorb(self, other: Self) -> None:
        for key in other.pictures:
            self._require_new(key)
        self.pictures.update(other.pictures)


def _entry(kind: str, label: str, score: float, mask: NDArray[np.bool_]) -> dict[str, Any]:
    encoded = _cocotools().encode(np.asfortranarray(mask, dtype=np.uint8))
    entry = {"kind": kind, "label": label, "area": int(np.count_nonzero(mask)), "counts": encoded["counts"].decode()}
    return entry | ({"score": score} if kind == "found" else {})


def _sound(entry: dict[str, Any]) -> bool:
    return {"kind", "label", "area", "counts"} <= entry.keys() and (entry["kind"] != "found" or "score" in entry)


def _cocotools() -> Any:
    try:
        from pycocotools import mask
    except ImportError as error:
        remedy = "run `pip install wordmask[evaluate]`"
        raise MissingExtraError(sentence("COCO average precision to compute", "pycocotools", remedy)) from error
    return mask


def _mean(values: NDArray[np.float64]) -> float:
    known = values[values > -1]
    return float(known.mean()) if known.size else math.nan
