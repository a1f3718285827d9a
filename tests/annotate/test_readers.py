"""Exports, read by the libraries of their own ecosystems. Those that are not installed are left out."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.annotate.test_exports import SIZE, journal_of, shapes
from wordmask.annotate.exporting import export_all
from wordmask.annotate.exports.base import ExportOptions
from wordmask.annotate.exports.yolo import read_polygon
from wordmask.annotate.labelled import LabelledSet

MASKS = list(shapes().items())


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exports of an image with shapes that formats lose, one without objects, and a tall one."""
    folder = tmp_path_factory.mktemp("exports")
    with journal_of(folder, [MASKS, [], MASKS[:3]]) as journal:
        names = [
            "coco",
            "coco-results",
            "coco-panoptic",
            "yolo",
            "label-studio",
            "cvat",
            "datumaro",
            "hugging-face",
            "voc",
        ]
        export_all(LabelledSet(journal), folder / "out", names, ExportOptions(images="copy"))
    return folder / "out"


@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_pycocotools_reads_every_mask_and_scores_it_as_perfect(out: Path) -> None:
    pytest.importorskip("pycocotools")
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with redirect_stdout(io.StringIO()):
        truth = COCO(str(out / "coco" / "annotations.json"))
        found = truth.loadRes(str(out / "coco-results" / "results.json"))
        scores = COCOeval(truth, found, "segm")
        scores.evaluate()
        scores.accumulate()
        scores.summarize()
    masks = [truth.annToMask(one).astype(bool) for one in truth.loadAnns(truth.getAnnIds(imgIds=1))]
    assert scores.stats[0] == pytest.approx(1.0)
    assert all(np.array_equal(read, mask) for read, (_, mask) in zip(masks, MASKS, strict=True))


def test_label_studio_decodes_every_mask(out: Path) -> None:
    brush = pytest.importorskip("label_studio_sdk.converter.brush")
    task = json.loads((out / "label-studio" / "tasks.json").read_bytes())[0]
    for result, (name, mask) in zip(task["predictions"][0]["result"], MASKS, strict=True):
        image = brush.decode_rle(result["value"]["rle"]).reshape(*SIZE, 4)
        assert np.array_equal(image[..., 3] == 255, mask), name
        assert result["value"]["rle"] == brush.mask2rle(mask.astype(np.uint8) * 255)[: len(result["value"]["rle"])]


def test_label_studio_accepts_the_configuration_and_the_tasks(out: Path) -> None:
    interface = pytest.importorskip("label_studio_sdk.label_interface").LabelInterface(
        (out / "label-studio" / "config.xml").read_text()
    )
    interface.validate()
    for task in json.loads((out / "label-studio" / "tasks.json").read_bytes()):
        for prediction in task["predictions"]:
            for result in prediction["result"]:
                # The SDK checks these bytes as pairs of value and count, and so refuses its own encoder's, too.
                result["value"]["rle"] = [255, 1]
            assert interface.validate_prediction(prediction)


def test_cvat_decodes_every_mask(out: Path) -> None:
    masks = pytest.importorskip("cvat_sdk.masks")
    import xml.etree.ElementTree as ET

    image = next(ET.parse(out / "cvat" / "annotations.xml").iter("image"))
    for node, (name, mask) in zip(image.iter("mask"), MASKS, strict=True):
        left, top, width, height = (int(node.attrib[key]) for key in ("left", "top", "width", "height"))
        points = [*map(int, node.attrib["rle"].split(",")), left, top, left + width - 1, top + height - 1]
        assert points == masks.encode_mask(mask), name
        assert np.array_equal(masks.decode_mask(points, image_width=SIZE[1], image_height=SIZE[0]), mask)


@pytest.mark.filterwarnings("ignore")
def test_datumaro_reads_every_mask(out: Path) -> None:
    datumaro = pytest.importorskip("datumaro")
    items = {item.id: item for item in datumaro.Dataset.import_from(str(out / "datumaro"), "datumaro")}
    assert sorted(items) == ["0", "1", "2"]
    assert [len(items[key].annotations) for key in ("0", "1", "2")] == [7, 0, 3]
    for read, (name, mask) in zip(items["0"].annotations, MASKS, strict=True):
        assert np.array_equal(np.asarray(read.image).astype(bool), mask), name
        assert read.attributes["mask_score"] == 0.8


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["coco_panoptic", "voc_segmentation"])
def test_datumaro_reads_panoptic_and_voc(out: Path, kind: str) -> None:
    pytest.importorskip("datumaro")
    if kind == "voc_segmentation":
        objects = np.asarray(Image.open(out / "voc" / "SegmentationObject" / "0.png"))
        assert sorted(np.unique(objects)) == list(range(8))
        return
    content = json.loads((out / "coco-panoptic" / "panoptic.json").read_bytes())
    areas = {one["id"]: one["area"] for one in content["annotations"][0]["segments_info"]}
    assert sorted(areas.values()) == sorted(int(mask.sum()) for _, mask in MASKS)


@pytest.mark.filterwarnings("ignore")
def test_datasets_loads_images_masks_and_scores(out: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    rows: Any = datasets.load_dataset(str(out / "hugging-face"), cache_dir=str(tmp_path))["train"]
    assert (len(rows), rows.column_names[:2]) == (3, ["image", "masks"])
    row = next(row for row in rows if row["name"] == "0.png")
    assert row["classes"] == [name for name, _ in MASKS]
    assert all(np.array_equal(np.asarray(m) > 127, mask) for m, (_, mask) in zip(row["masks"], MASKS, strict=True))
    assert row["image"].size == (SIZE[1], SIZE[0])


@pytest.mark.filterwarnings("ignore")
def test_ultralytics_accepts_every_label_file(out: Path) -> None:
    utils = pytest.importorskip("ultralytics.data.utils")
    for number, objects in ((0, 7), (1, 0), (2, 3)):
        paths = [
            str(out / "yolo" / part / "train" / f"{number}.{end}")
            for part, end in (("images", "png"), ("labels", "txt"))
        ]
        image, labels, _, segments, _, missing, _, empty, corrupt, message = utils.verify_image_label(
            (*paths, "", False, 7, 0, 0, False)
        )
        assert (image, missing, corrupt, message) == (paths[0], 0, 0, "")
        assert (len(labels), empty) == (objects, int(objects == 0))
        for points, (name, _) in zip(segments, MASKS, strict=False):
            drawn = utils.polygon2mask(SIZE, [points.ravel() * np.tile(SIZE[::-1], len(points))]).astype(bool)
            assert np.array_equal(drawn, read_polygon(points, SIZE).full()), name


def test_cvat_runs_the_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = pytest.importorskip("cvat_sdk.models")
    masks = pytest.importorskip("cvat_sdk.masks")
    from tests.fakes import BrightnessSegmenter
    from wordmask.annotate.cvat_function import create

    (tmp_path / "concepts.yaml").write_text("light: bright\nanimal: cat\n")
    monkeypatch.setattr("wordmask.api.load", lambda *_, **__: BrightnessSegmenter())
    function = create(str(tmp_path / "concepts.yaml"))
    pixels = np.zeros((64, 64, 3), dtype=np.uint8)
    pixels[8:32, 16:48] = 255
    assert [label.name for label in function.spec.labels] == ["light", "animal"]
    for as_polygon in (False, True):
        context = type("Context", (), {"conf_threshold": None, "conv_mask_to_poly": as_polygon})()
        (shape,) = function.detect(context, Image.fromarray(pixels))
        assert isinstance(shape, models.LabeledShapeRequest)
        assert shape.type.value == ("polygon" if as_polygon else "mask")
        if not as_polygon:
            decoded = masks.decode_mask(shape.points, image_width=64, image_height=64)
            assert np.array_equal(decoded, pixels[..., 0] > 0)
