"""COCO's average precision and recall of scored instance masks, through pycocotools; boundary AP the same way.

Sources: the COCO detection evaluation (Lin et al., ECCV 2014; `pycocotools.cocoeval`): AP averaged over IoU 0.5, 0.55,
..., 0.95 and over classes, at most 100 masks per image and class. Boundary AP (Cheng et al., CVPR 2021; their
`boundary_iou` API): the same with the lesser of mask IoU and boundary IoU.

IoUs are computed image by image and handed to pycocotools, so that masks need not be kept.
"""

from __future__ import annotations

import contextlib
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from wordmask.errors import DataError, MissingExtraError, installing, quote, sentence
from wordmask.metrics.boundary import band, width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]

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
"""Closed ranges of area: COCO's own in pixels, and this package's as a share of the image (see `sizes`)."""

_MOST = (1, 10, 100)


@dataclass(frozen=True, eq=False)
class ClassInstances:
    """Predicted and true instances of one class in one image.

    Attributes:
        image: Name of the image.
        label: Name of the class.
        pixels: Number of pixels of the image.
        scores: D confidences.
        areas: Areas of the D predictions in pixels.
        ground_truth_areas: Areas of the G true instances in pixels.
        crowds: G flags: predictions inside count neither for nor against.
        ious: float64 `(D, G)`, see `mask_ious` and `boundary_ious`.

    Raises:
        DataError: If a score is not finite or the numbers do not fit together.
    """

    image: str
    label: str
    pixels: int
    scores: Sequence[float]
    areas: Sequence[int]
    ground_truth_areas: Sequence[int]
    crowds: Sequence[bool]
    ious: NDArray[np.float64]

    def __post_init__(self) -> None:
        if not all(math.isfinite(score) for score in self.scores):
            got = f"a score that is not finite for {quote(self.image)}"
            raise DataError(sentence(got, "finite scores", "check the model"))
        shape = len(self.scores), len(self.ground_truth_areas)
        if self.ious.shape != shape or len(self.areas) != shape[0] or len(self.crowds) != shape[1]:
            got = f"IoUs {self.ious.shape} for {quote(self.image)}"
            raise DataError(sentence(got, f"{shape}", "pass one area a mask and one IoU a pair"))


def mask_ious(masks: Sequence[Mask], ground_truths: Sequence[Mask], crowds: Sequence[bool]) -> NDArray[np.float64]:
    """Compute the IoU of every prediction with every ground truth, float64 `(D, G)`.

    With a crowd it is the share of the prediction inside the crowd, as COCO defines it.

    Args:
        masks: D predictions, bool `(H, W)` each.
        ground_truths: G masks, bool `(H, W)`.
        crowds: G flags.

    Raises:
        DataError: If masks differ in shape or are not bool.
        MissingExtraError: If pycocotools is not installed.
    """
    shapes = {np.shape(mask) for mask in (*masks, *ground_truths)}
    if len(shapes) > 1 or any(np.asarray(mask).dtype != np.bool_ for mask in (*masks, *ground_truths)):
        got = f"masks {sorted(shapes)}"
        raise DataError(sentence(got, "bool masks of one shape (H, W)", "resize and threshold them to the image"))
    tools = _cocotools()
    if not (len(masks) and len(ground_truths)):
        return np.zeros((len(masks), len(ground_truths)))
    first, second = ([tools.encode(np.asfortranarray(mask, dtype=np.uint8)) for mask in group]
                     for group in (masks, ground_truths))  # fmt: skip
    return np.asarray(tools.iou(first, second, [int(crowd) for crowd in crowds]), dtype=np.float64)


def boundary_ious(masks: Sequence[Mask], ground_truths: Sequence[Mask], crowds: Sequence[bool]) -> NDArray[np.float64]:
    """Compute the IoU of the outlines (bands of 2 % of the diagonal), float64 `(D, G)`; see `mask_ious`."""
    bands = [[band(mask, width(mask.shape)) for mask in group] for group in (masks, ground_truths)]
    return mask_ious(bands[0], bands[1], crowds)


def average_precision(
    instances: Sequence[ClassInstances], *, areas: Literal["pixels", "share"] = "pixels"
) -> dict[str, float]:
    """Compute `ap`, `ap50`, `ap75`, `ar1`, `ar10`, `ar100`, and `ap_SIZE` and `ar_SIZE`; `nan` where undefined.

    Args:
        instances: Every pair of image and class that was asked for or is there.
        areas: How sizes are told apart: "pixels" as COCO does, or "share" of the image.

    Raises:
        DataError: If a pair comes twice, or `areas` is another word.
        MissingExtraError: If pycocotools is not installed.
    """
    precision, recall = _tables(instances, areas)
    names = ["all", *AREAS[areas]]
    scores = {"ap": _mean(precision[:, :, :, 0, 2])}
    scores |= {"ap50": _mean(precision[0, :, :, 0, 2]), "ap75": _mean(precision[5, :, :, 0, 2])}
    scores |= {f"ar{most}": _mean(recall[:, :, 0, place]) for place, most in enumerate(_MOST)}
    scores |= {f"ap_{name}": _mean(precision[:, :, :, place, 2]) for place, name in enumerate(names) if place}
    return scores | {f"ar_{name}": _mean(recall[:, :, place, 2]) for place, name in enumerate(names) if place}


def average_precision_by_class(instances: Sequence[ClassInstances]) -> dict[str, float]:
    """Compute AP of every class by name, `nan` for a class without a true instance."""
    precision, _ = _tables(instances, "pixels")
    labels = sorted({one.label for one in instances})
    return {label: _mean(precision[:, :, place, 0, 2]) for place, label in enumerate(labels)}


def _tables(instances: Sequence[ClassInstances], areas: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return precision `(10, 101, C, sizes, 3)` and recall `(10, C, sizes, 3)`; -1 where undefined."""
    if areas not in AREAS:
        raise DataError(sentence(f"areas {areas!r}", "'pixels' or 'share'", "choose one of these"))
    ranges = [_EVERY_SIZE, *AREAS[areas].values()]
    if not instances:
        return np.full((10, 101, 0, len(ranges), 3), -1.0), np.full((10, 0, len(ranges), 3), -1.0)
    _cocotools()
    from pycocotools.cocoeval import COCOeval

    # Sorted: pycocotools breaks ties of scores by the order of the images.
    images = {name: place for place, name in enumerate(sorted({one.image for one in instances}), 1)}
    labels = {name: place for place, name in enumerate(sorted({one.label for one in instances}), 1)}
    pairs = {(images[one.image], labels[one.label]): one for one in instances}
    if len(pairs) < len(instances):
        got = f"{len(instances)} entries for {len(pairs)} pairs of image and class"
        raise DataError(sentence(got, "every pair once", "give each image a name of its own"))
    with contextlib.redirect_stdout(io.StringIO()):
        sides = [_coco(pairs, areas, predicted=predicted) for predicted in (False, True)]
        run = COCOeval(*sides, "bbox")  # the type says how IoUs are computed, and they are already
        run.params.areaRng, run.params.areaRngLbl = ranges, ["all", *AREAS[areas]]
        run.params.maxDets = list(_MOST)
        run.computeIoU = lambda image, label: _sorted_ious(pairs.get((image, label)))
        run.evaluate()
        run.accumulate()
    return run.eval["precision"], run.eval["recall"]


def _sorted_ious(one: ClassInstances | None) -> Any:
    """Return IoUs in the order in which COCOeval takes predictions: highest score first, at most 100."""
    if one is None:
        return []
    order = np.argsort([-score for score in one.scores], kind="mergesort")[: _MOST[-1]]
    return one.ious[order]


def _coco(pairs: dict[tuple[int, int], ClassInstances], areas: str, *, predicted: bool) -> Any:
    """Return images and either ground truth or predictions as pycocotools holds them, without masks."""
    from pycocotools.coco import COCO

    annotations = [
        {"image_id": image, "category_id": label} | content
        for (image, label), one in pairs.items()
        for content in _annotations(one, areas, predicted=predicted)
    ]
    for number, annotation in enumerate(annotations, 1):
        annotation["id"] = number  # from 1: pycocotools reads 0 as "no match"
    coco = COCO()
    coco.dataset = {
        "images": [{"id": image} for image in dict.fromkeys(image for image, _ in pairs)],
        "categories": [{"id": label} for label in sorted({label for _, label in pairs})],
        "annotations": annotations,
    }
    coco.createIndex()
    return coco


def _annotations(one: ClassInstances, areas: str, *, predicted: bool) -> list[dict[str, Any]]:
    unit = 1 if areas == "pixels" else one.pixels
    if predicted:
        return [{"area": area / unit, "score": score} for area, score in zip(one.areas, one.scores, strict=True)]
    pairs = zip(one.ground_truth_areas, one.crowds, strict=True)
    return [{"area": area / unit, "iscrowd": int(crowd)} for area, crowd in pairs]


def _cocotools() -> Any:
    try:
        from pycocotools import mask
    except ImportError as error:
        remedy = installing("evaluate")
        raise MissingExtraError(sentence("COCO average precision to compute", "pycocotools", remedy)) from error
    return mask


def _mean(values: NDArray[np.float64]) -> float:
    known = values[values > -1]
    return float(known.mean()) if known.size else math.nan
