"""COCO as its own library reads it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from tests.segmentations import SIZE, found, logits, segmentation
from wordmask.errors import OutputError
from wordmask.formats.coco import CocoAnnotations

# pycocotools has yet to follow NumPy 2 in a signature.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def _annotations(results: list) -> CocoAnnotations:
    return CocoAnnotations(result.annotated() for result in results)


def _two() -> list:
    first = segmentation(
        found("eye", logits((2, 2, 6, 6), (10, 2, 20, 10)), presence=0.8),
        found("elephant", logits((0, 0, 30, 20)), presence=0.1),
        found("hair", logits((0, 10, 9, 20))),
    )
    second = segmentation(found("hair", logits((1, 1, 2, 2))), found("hair", logits((4, 4, 9, 9))), name=None)
    return [first, second]


def test_fields() -> None:
    data = _annotations(_two()).content()
    assert data["images"] == [
        {
            "id": 1,
            "file_name": "photo.jpg",
            "height": 40,
            "width": 60,
            "presence": {"eye": 0.8, "elephant": 0.1, "hair": 0.9},
        },
        {"id": 2, "file_name": "image-2", "height": 40, "width": 60, "presence": {"hair": 0.9}},
    ]
    assert data["categories"] == [{"id": 1, "name": "eye"}, {"id": 2, "name": "elephant"}, {"id": 3, "name": "hair"}]
    rows = [(a["id"], a["image_id"], a["category_id"], a["iscrowd"]) for a in data["annotations"]]
    assert rows == [(1, 1, 1, 0), (2, 1, 1, 0), (3, 1, 3, 0), (4, 2, 3, 0), (5, 2, 3, 0)]
    assert data["annotations"][0]["bbox"] == [20, 4, 20, 16]
    assert data["annotations"][0]["area"] == 320
    assert data["annotations"][0]["presence"] == 0.8
    assert data["annotations"][0]["score"] == pytest.approx(_two()[0]["eye"].instances[0].score)


def test_masks_are_lossless() -> None:
    results = _two()
    instances = [instance for result in results for answer in result for instance in answer.instances]
    for annotation, instance in zip(_annotations(results).content()["annotations"], instances, strict=True):
        np.testing.assert_array_equal(coco_mask.decode(annotation["segmentation"]), instance.mask)
        assert coco_mask.area(annotation["segmentation"]) == annotation["area"]
        np.testing.assert_array_equal(coco_mask.toBbox(annotation["segmentation"]), annotation["bbox"])


def test_pycocotools_loads_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = _annotations(_two()).save(tmp_path / "out" / "coco.json")
    library = COCO(str(path))
    assert library.getImgIds() == [1, 2]
    mask = library.annToMask(library.loadAnns(library.getAnnIds(imgIds=1, catIds=3))[0])
    np.testing.assert_array_equal(mask, _two()[0]["hair"].mask)
    assert "index created" in capsys.readouterr().out


def test_a_result_of_its_own() -> None:
    result = _two()[0]
    assert result.to_coco() == _annotations([result]).content()
    assert json.loads(json.dumps(result.to_coco())) == result.to_coco()


def test_nothing_found() -> None:
    data = segmentation(found("elephant", logits())).to_coco()
    assert data["annotations"] == []
    assert data["categories"] == [{"id": 1, "name": "elephant"}]
    assert (data["images"][0]["height"], data["images"][0]["width"]) == SIZE


def test_names_of_any_script(tmp_path: Path) -> None:
    path = _annotations([segmentation(found("猫 🐈", logits()))]).save(tmp_path / "a.json")
    assert "猫 🐈" in path.read_text(encoding="utf-8")


def test_unwritable(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"the folder"):
        _annotations(_two()).save(tmp_path)
