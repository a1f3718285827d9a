"""COCO AP against pycocotools' own file-based route and cases worked out by hand."""

from __future__ import annotations

import contextlib
import io
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from scipy import ndimage

from wordmask.errors import DataError, MissingExtraError
from wordmask.metrics.boundary import width
from wordmask.metrics.detection import (
    ClassInstances,
    average_precision,
    average_precision_by_class,
    boundary_ious,
    mask_ious,
)

Instance = tuple[str, np.ndarray]
Prediction = tuple[str, float, np.ndarray]


def _block(y0: int, y1: int, x0: int, x1: int, size: tuple[int, int] = (120, 160)) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def _images(seed: int) -> list[tuple[str, list[Instance], list[Prediction], list[Instance]]]:
    rng = np.random.default_rng(seed)
    images = []
    for index in range(6):
        true, found = [], []
        for _ in range(int(rng.integers(0, 5))):
            y, x, side = (int(value) for value in rng.integers(0, 100, 3))
            label = "cat" if rng.random() < 0.5 else "dog"
            true.append((label, _block(y, y + side + 4, x, x + side + 4)))
            jitter = int(rng.integers(0, 1 + side // 3))
            found.append((label, float(rng.random()), _block(y + jitter, y + side + 4, x, x + side + 4)))
        found.append(("cow", 0.5, _block(0, 9, 0, 9)))
        crowds = [("cat", _block(0, 60, 0, 60))] if index % 3 == 0 else []
        images.append((f"{index}.jpg", true, found, crowds))
    return images


def _encoded(mask: np.ndarray) -> dict[str, object]:
    encoded = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return encoded | {"counts": encoded["counts"].decode()}


def _coco_stats(images: list[tuple[str, list[Instance], list[Prediction], list[Instance]]], folder: Path) -> np.ndarray:
    """Score through files, as users of pycocotools do."""
    labels = {"cat": 1, "cow": 2, "dog": 3}
    true, predictions = [], []
    for image, (_, own, found, crowds) in enumerate(images, 1):
        for crowd, (label, mask) in [*((0, item) for item in own), *((1, item) for item in crowds)]:
            box = {"image_id": image, "category_id": labels[label], "iscrowd": crowd, "area": int(mask.sum())}
            true.append(box | {"id": len(true) + 1, "segmentation": _encoded(mask)})
        for label, score, mask in found:
            prediction = {"image_id": image, "category_id": labels[label], "score": score}
            predictions.append(prediction | {"segmentation": _encoded(mask)})
    images = [{"id": image, "height": 120, "width": 160} for image in range(1, len(images) + 1)]
    categories = [{"id": number, "name": label} for label, number in labels.items()]
    data = {"info": {}, "images": images, "annotations": true, "categories": categories}
    for name, content in (("ground_truth", data), ("predictions", predictions)):
        (folder / f"{name}.json").write_text(json.dumps(content))
    with contextlib.redirect_stdout(io.StringIO()):
        ground_truth = COCO(str(folder / "ground_truth.json"))
        run = COCOeval(ground_truth, ground_truth.loadRes(str(folder / "predictions.json")), "segm")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run.stats


def _instances(
    images: list[tuple[str, list[Instance], list[Prediction], list[Instance]]],
    ious: Callable[..., np.ndarray] = mask_ious,
) -> list[ClassInstances]:
    """Group the masks of every image by class."""
    made = []
    for key, true, found, crowds in images:
        for label in sorted({label for label, *_ in [*true, *found, *crowds]}):
            masks = [mask for own, _, mask in found if own == label]
            pairs = [(mask, crowd) for crowd, group in enumerate((true, crowds)) for own, mask in group if own == label]
            ground_truths, flags = [mask for mask, _ in pairs], [bool(crowd) for _, crowd in pairs]
            made.append(
                ClassInstances(
                    key,
                    label,
                    next(mask.size for mask in [*masks, *ground_truths]),
                    [score for own, score, _ in found if own == label],
                    [int(mask.sum()) for mask in masks],
                    [int(mask.sum()) for mask in ground_truths],
                    flags,
                    ious(masks, ground_truths, flags),
                )
            )
    return made


@pytest.mark.parametrize("seed", range(4))
def test_scores_are_pycocotools(seed: int, tmp_path: Path) -> None:
    images = _images(seed)
    scores = average_precision(_instances(images))
    names = ["ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large"]
    names += ["ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large"]
    expected = [value if value > -1 else math.nan for value in _coco_stats(images, tmp_path)]
    assert [scores[name] for name in names] == pytest.approx(expected, abs=1e-12, nan_ok=True)
    by_class = average_precision_by_class(_instances(images))
    assert set(by_class) == {"cat", "dog", "cow"}
    known = [value for value in by_class.values() if not math.isnan(value)]
    assert scores["ap"] == pytest.approx(sum(known) / len(known), abs=1e-12)


def test_by_hand() -> None:
    """One of two cats found with IoU 0.8: AP is 0.5 x 101-point share up to IoU 0.8, nothing above."""
    cats = [("cat", _block(0, 10, 0, 10)), ("cat", _block(50, 60, 50, 60))]
    scores = average_precision(_instances([("a", cats, [("cat", 0.9, _block(0, 8, 0, 10))], [])]))
    assert scores["ap50"] == scores["ap75"] == pytest.approx(51 / 101)
    assert scores["ap"] == pytest.approx(7 / 10 * 51 / 101)
    assert (scores["ar1"], scores["ar100"]) == pytest.approx((0.35, 0.35))


def test_boundary_ious_are_those_of_scipys_erosions() -> None:
    true, predicted = _block(10, 60, 10, 90), _block(14, 60, 10, 80)
    pixels = width(true.shape)
    one, two = (mask & ~ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=pixels) for mask in (predicted, true))
    found = boundary_ious([predicted, true], [true], [False])
    assert found[:, 0].tolist() == pytest.approx([(one & two).sum() / (one | two).sum(), 1.0])
    assert found[0, 0] < mask_ious([predicted], [true], [False])[0, 0]


def test_sizes_as_shares_of_the_image() -> None:
    """In 100x100 pixels: 24 are tiny, 25 small, 100 and 400 medium, 441 large; only the first and last are found."""
    spots = [(4, 6, 0, 0), (5, 5, 0, 30), (10, 10, 30, 0), (20, 20, 30, 30), (21, 21, 70, 70)]
    masks = [_block(y, y + high, x, x + wide, (100, 100)) for high, wide, y, x in spots]
    found = [("a", 0.9, masks[0]), ("a", 0.8, masks[4])]
    scores = average_precision(_instances([("a", [("a", mask) for mask in masks], found, [])]), areas="share")
    assert [scores[f"ar_{size}"] for size in ("tiny", "small", "medium", "large")] == [1.0, 0.0, 0.0, 1.0]
    assert scores["ar100"] == pytest.approx(0.4)


def test_degenerate_images() -> None:
    assert all(math.isnan(value) for value in average_precision([]).values())
    images = [("only a prediction", [], [("cat", 0.5, _block(0, 5, 0, 5))], [])]
    assert math.isnan(average_precision(_instances(images))["ap"])
    images.append(("only a ground truth", [("cat", _block(0, 5, 0, 5))], [], []))
    scores = average_precision(_instances(images))
    assert (scores["ap"], scores["ar100"]) == (0.0, 0.0)


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    cat = _block(0, 5, 0, 5)
    assert average_precision(_instances([("a", [("cat", cat)], [("cat", 1.0, cat)], [])]))["ap"] == pytest.approx(1.0)
    assert capfd.readouterr() == ("", "")


def test_what_does_not_fit_is_one_sentence() -> None:
    mask = _block(0, 5, 0, 5)
    with pytest.raises(DataError, match="masks of one shape"):
        mask_ious([mask[:50]], [mask], [False])
    with pytest.raises(DataError, match="not finite"):
        ClassInstances("a", "cat", 100, [math.nan], [25], [], [], np.zeros((1, 0)))
    with pytest.raises(DataError, match=r"IoUs \(2, 1\)"):
        ClassInstances("a", "cat", 100, [0.5], [25], [25], [False], np.zeros((2, 1)))
    one = ClassInstances("a", "cat", 100, [0.5], [25], [25], [False], np.ones((1, 1)))
    with pytest.raises(DataError, match="2 entries for 1 pairs"):
        average_precision([one, one])
    with pytest.raises(DataError, match="areas 'boxes'"):
        average_precision([one], areas="boxes")  # type: ignore[arg-type]


def test_without_pycocotools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(MissingExtraError, match=r"pip install -e '\.\[evaluate\]'"):
        mask_ious([np.ones((2, 2), bool)], [], [])
