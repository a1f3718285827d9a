"""PASCAL-5i: which images take part in a fold, what they are asked for, and by which example."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from tests.data.contract import FolderContract, samples
from tests.data.sets.voc_folder import write_voc
from wordmask.data.sets.pascal5i import LEAST_AREA, Pascal5i
from wordmask.errors import DataError
from wordmask.prompts import MixedPrompt, TextPrompt, VisualPrompt

BUS, CAR, CAT = 6, 7, 8  # of fold 1
BOAT = 4  # of fold 0


def block(*parts: tuple[int, int], height: int = 64) -> np.ndarray:
    """A label map, 64 wide: rows filled with a value, from the top: `(value, rows)`; the last row is unknown."""
    values = np.zeros((height, 64), dtype=int)
    top = 0
    for value, rows in parts:
        values[top : top + rows] = value
        top += rows
    values[-1] = 255
    return values


def labels() -> dict[str, np.ndarray]:
    return {
        "bus_a": block((BUS, 32)),  # 2,048 pixels: just enough
        "bus_b": block((BUS, 40)),
        "bus_small": block((BUS, 31)),  # 1,984: too few
        "boat_a": block((BOAT, 40)),
        "bus_c_car_small": block((BUS, 33), (CAR, 2)),
        "car_a": block((CAR, 35)),
        "car_b": block((CAR, 36)),
        "boat_b": block((BOAT, 33), height=70),
    }


class TestPascal5i(FolderContract):
    annotations = ("SegmentationClass/bus_small.png", "ImageSets/Segmentation/val.txt")
    images = "JPEGImages/*.jpg"
    options: ClassVar[dict[str, Any]] = {
        "fold": 0, "seed": 3, "prompts": "text", "weight": 0.1, "template": "{}", "mode": "crop"
    }  # fmt: skip
    malformed: ClassVar[dict[str, bytes | None]] = {
        "ImageSets/Segmentation/val.txt": None,
        "SegmentationClass/boat_a.png": b"no image",
        "JPEGImages/bus_a.jpg": None,
        "JPEGImages/bus_b.jpg": b"no image",
    }

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return write_voc(tmp_path, labels())

    def build(self, folder: Path, **options: Any) -> Pascal5i:
        return Pascal5i(folder, **{"fold": 1, **options})

    def test_images_with_enough_of_a_class_take_part_once(self, dataset: Pascal5i) -> None:
        assert dataset.names == ("bus", "car", "cat", "chair", "cow")
        assert (dataset.name, dataset.split) == ("pascal5i", "fold1")
        assert LEAST_AREA == 2048
        assert [sample.key for sample in samples(dataset)] == ["bus_a", "bus_b", "bus_c_car_small", "car_a", "car_b"]

    def test_a_sample_asks_for_one_class_by_another_image(self, folder: Path) -> None:
        sample = Pascal5i(folder, fold=1)[0]
        (query,) = sample.queries
        assert (query.label, query.packed.window) == ("bus", (0, 0, 64, 32))
        assert sample.ignored is not None
        assert sample.ignored.window == (0, 63, 64, 64)
        assert isinstance(query.prompt, MixedPrompt)
        assert query.prompt.phrase.text == "a photo of a bus."
        assert query.prompt.visual.region.sum() in (40 * 64, 33 * 64)
        assert query.prompt.visual.mode == "crop_blur_highlight352"

    def test_examples_are_never_the_image_itself_nor_too_small(self, folder: Path) -> None:
        areas: dict[str, set[int]] = {"bus_a": set(), "bus_b": set(), "bus_c_car_small": set()}
        for seed in range(30):
            dataset = Pascal5i(folder, fold=1, seed=seed, prompts="visual")
            for index, key in enumerate(areas):
                prompt = dataset[index].queries[0].prompt
                assert isinstance(prompt, VisualPrompt)
                if prompt.name == "bus":
                    areas[key].add(int(prompt.region.sum()) // 64)
        assert areas == {"bus_a": {33, 40}, "bus_b": {32, 33}, "bus_c_car_small": {32, 40}}

    def test_any_class_of_the_fold_in_the_image_may_be_drawn(self, folder: Path) -> None:
        drawn = {Pascal5i(folder, fold=1, seed=seed)[2].queries[0].label for seed in range(30)}
        assert drawn == {"bus", "car"}

    def test_words_alone_need_no_example(self, folder: Path) -> None:
        prompt = Pascal5i(folder, fold=0, prompts="text")[0].queries[0].prompt
        assert prompt == TextPrompt("a photo of a boat.")

    def test_a_class_in_a_single_image_has_no_example(self, tmp_path: Path) -> None:
        root = write_voc(tmp_path / "single", {"cat": block((CAT, 50)), "boat": block((BOAT, 50))})
        with pytest.raises(DataError, match=r"val\.txt.*no example of cat for cat"):
            Pascal5i(root, fold=1)[0]

    def test_arguments_are_checked(self, folder: Path) -> None:
        for options, message in (
            ({"fold": 4}, "0, 1, 2, 3"),
            ({"fold": True}, "fold"),
            ({"fold": 0, "prompts": "audio"}, "text, visual, mixed"),
            ({"fold": 0, "template": "a photo"}, "{}"),
        ):
            with pytest.raises(DataError, match=message):
                Pascal5i(folder, **options)
