"""COCO AP against pycocotools' own file-based route and cases worked out by hand."""

from __future__ import annotations

import contextlib
import io
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from wordmask.errors import DataError, MissingExtraError
from wordmask.metrics.detection import Detection

Instance = tuple[str, np.ndarray]
Answer = tuple[str, float, np.ndarray]


def _block(y0: int, y1: int, x0: int, x1: int, size: tuple[int, int] = (120, 160)) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def _pictures(seed: int) -> list[tuple[str, list[Instance], list[Answer], list[Instance]]]:
    rng = np.random.default_rng(seed)
    pictures = []
    for index in range(6):
        truths, found = [], []
        for _ in range(int(rng.integers(0, 5))):
            y, x, side = (int(value) for value in rng.integers(0, 100, 3))
            label = "cat" if rng.random() < 0.5 else "dog"
            truths.append((label, _block(y, y + side + 4, x, x + side + 4)))
            jitter = int(rng.integers(0, 1 + side // 3))
            found.append((label, float(rng.random()), _block(y + jitter, y + side + 4, x, x + side + 4)))
        found.append(("cow", 0.5, _block(0, 9, 0, 9)))
        crowds = [("cat", _block(0, 60, 0, 60))] if index % 3 == 0 else []
        pictures.append((f"{index}.jpg", truths, found, crowds))
    return pictures


def _encoded(mask: np.ndarray) -> dict[str, object]:
    encoded = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return encoded | {"counts": encoded["counts"].decode()}


def _coco_stats(pictures: list[tuple[str, list[Instance], list[Answer], list[Instance]]], folder: Path) -> np.ndarray:
    """Score through files, as users of pycocotools do."""
    labels = {"cat": 1, "cow": 2, "dog": 3}
    truths, answers = [], []
    for image, (_, own, found, crowds) in enumerate(pictures, 1):
        for crowd, (label, mask) in [*((0, item) for item in own), *((1, item) for item in crowds)]:
            box = {"image_id": image, "category_id": labels[label], "iscrowd": crowd, "area": int(mask.sum())}
            truths.append(box | {"id": len(truths) + 1, "segmentation": _encoded(mask)})
        for label, score, mask in found:
            answer = {"image_id": image, "category_id": labels[label], "score": score}
            answers.append(answer | {"segmentation": _encoded(mask)})
    images = [{"id": image, "height": 120, "width": 160} for image in range(1, len(pictures) + 1)]
    categories = [{"id": number, "name": label} for label, number in labels.items()]
    data = {"info": {}, "images": images, "annotations": truths, "categories": categories}
    for name, content in (("truth", data), ("answers", answers)):
        (folder / f"{name}.json").write_text(json.dumps(content))
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(folder / "truth.json"))
        run = COCOeval(truth, truth.loadRes(str(folder / "answers.json")), "segm")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run.stats


@pytest.mark.parametrize("seed", range(4))
def test_scores_are_pycocotools(seed: int, tmp_path: Path) -> None:
    pictures = _pictures(seed)
    scored = Detection()
    for key, truths, found, crowds in pictures:
        scored.update(key, truths, found, crowds=crowds)
    scores = scored.compute()
    names = ["ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large"]
    names += ["ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large"]
    expected = [value if value > -1 else math.nan for value in _coco_stats(pictures, tmp_path)]
    assert [scores[name] for name in names] == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_by_hand() -> None:
    """One of two cats found with IoU 0.8: AP is 0.5 x 101-point share up to IoU 0.8, nothing above."""
    scored = Detection()
    cats = [("cat", _block(0, 10, 0, 10)), ("cat", _block(50, 60, 50, 60))]
    scored.update("a", cats, [("cat", 0.9, _block(0, 8, 0, 10))])
    scores = scored.compute()
    assert scores["ap50"] == scores["ap75"] == pytest.approx(51 / 101)
    assert scores["ap"] == pytest.approx(7 / 10 * 51 / 101)
    assert (scores["ar1"], scores["ar100"]) == pytest.approx((0.35, 0.35))


def test_sizes_as_shares_of_the_picture() -> None:
    """In 100x100 pixels: 24 are tiny, 25 small, 100 and 400 medium, 441 large; only the first and last are found."""
    scored = Detection(areas="share")
    spots = [(4, 6, 0, 0), (5, 5, 0, 30), (10, 10, 30, 0), (20, 20, 30, 30), (21, 21, 70, 70)]
    masks = [_block(y, y + high, x, x + wide, (100, 100)) for high, wide, y, x in spots]
    found = [("a", 0.9, masks[0]), ("a", 0.8, masks[4])]
    scored.update("a", [("a", mask) for mask in masks], found)
    scores = scored.compute()
    assert [scores[f"ar_{size}"] for size in ("tiny", "small", "medium", "large")] == [1.0, 0.0, 0.0, 1.0]
    assert scores["ar100"] == pytest.approx(0.4)


def test_degenerate_pictures() -> None:
    scored = Detection()
    scored.update("nothing", [], [])
    assert all(math.isnan(value) for value in scored.compute().values())
    scored.update("only an answer", [], [("cat", 0.5, _block(0, 5, 0, 5))])
    assert math.isnan(scored.compute()["ap"])
    scored.update("only a truth", [("cat", _block(0, 5, 0, 5))], [])
    assert (scored.compute()["ap"], scored.compute()["ar100"]) == (0.0, 0.0)


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    scored = Detection()
    scored.update("a", [("cat", _block(0, 5, 0, 5))], [("cat", 1.0, _block(0, 5, 0, 5))])
    assert scored.compute()["ap"] == pytest.approx(1.0)
    assert capfd.readouterr() == ("", "")


def test_what_does_not_fit_is_one_sentence() -> None:
    scored = Detection()
    mask = _block(0, 5, 0, 5)
    with pytest.raises(DataError, match="masks of one shape"):
        scored.update("a", [("cat", mask)], [("cat", 0.5, mask[:50])])
    with pytest.raises(DataError, match="no number"):
        scored.update("a", [], [("cat", math.nan, mask)])
    scored.update("a", [("cat", mask)], [])
    with pytest.raises(DataError, match="the picture 'a' twice"):
        scored.update("a", [], [])
    with pytest.raises(DataError, match="the picture 'a' twice"):
        scored.merge(Detection.from_state(scored.state()))
    with pytest.raises(DataError, match="areas 'boxes'"):
        Detection(areas="boxes")  # type: ignore[arg-type]


def test_damaged_states_are_one_sentence() -> None:
    scored = Detection()
    scored.update("a", [], [("cat", 0.5, _block(0, 5, 0, 5))])
    for missing in ("score", "counts"):
        state = json.loads(json.dumps(scored.state()))
        del state["content"]["a"]["masks"][0][missing]
        with pytest.raises(DataError, match="a damaged state of Detection"):
            Detection.from_state(state)


def test_without_pycocotools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(MissingExtraError, match=r"pip install wordmask\[evaluate\]"):
        Detection().update("a", [("cat", np.ones((2, 2), bool))], [])
