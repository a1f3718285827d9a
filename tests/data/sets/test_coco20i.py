"""COCO-20i: HSNet's lists and label maps, and its episodes, number for number."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image

from tests.data.contract import FolderContract
from tests.images import scene
from wordmask.data.sets.coco20i import CLASSES, DERIVED, LEAST_AREA, Coco20i, draw_episodes
from wordmask.data.sets.pascal_splits import COCO_20I
from wordmask.errors import DataError
from wordmask.prompts import MixedPrompt


def image_name(number: int) -> str:
    return f"val2014/COCO_val2014_{number:012d}.jpg"


ROWS = (10, 11)
IMAGES = {label: [image_name(100 * label + rows) for rows in ROWS] for label in COCO_20I[0]}
EPISODE = draw_episodes(IMAGES, COCO_20I[0], count=20, seed=5)[3]


def write_coco(folder: Path) -> Path:
    """Write two images for each class of fold 0, each with the class in its upper rows: 10 and 11 of 16."""
    root = folder / "COCO2014"
    for name in ("val2014", "annotations/val2014", "splits/val"):
        (root / name).mkdir(parents=True)
    lists = {label: IMAGES.get(label, []) for label in range(80)}
    for label in COCO_20I[0]:
        for rows, name in zip(ROWS, IMAGES[label], strict=True):
            values = np.zeros((16, 20), dtype=np.uint8)
            values[:rows] = label + 1
            values[-1] = (label + 2) % 80 + 1  # another class
            Image.fromarray(scene(16, 20)).save(root / name)
            Image.fromarray(values).save((root / "annotations" / name).with_suffix(".png"))
    (root / "splits/val/fold0.pkl").write_bytes(pickle.dumps(lists, protocol=3))
    return root


class TestCoco20i(FolderContract):
    annotations = (f"annotations/{EPISODE.query[:-4]}.png", f"annotations/{EPISODE.support[:-4]}.png")
    images = "val2014/*.jpg"
    options: ClassVar[dict[str, Any]] = {"seed": 1, "count": 19, "prompts": "text", "weight": 0.2, "template": "a {}"}
    malformed = (
        ("splits/val/fold0.pkl", None),
        ("splits/val/fold0.pkl", b"no pickle"),
        ("splits/val/fold0.pkl", pickle.dumps({0: [image_name(10)]})),
        ("splits/val/fold0.pkl", pickle.dumps({label: ["../../etc/a.jpg", "b.jpg"] for label in range(80)})),
        ("splits/val/fold0.pkl", pickle.dumps({label: [image_name(10)] for label in range(80)})),
        ("splits/val/fold0.pkl", pickle.dumps([1, 2])),
        (f"annotations/{EPISODE.query[:-4]}.png", None),
        (f"annotations/{EPISODE.query[:-4]}.png", b"no image"),
        (EPISODE.support, None),
    )

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return write_coco(tmp_path)

    def build(self, folder: Path, **options: Any) -> Coco20i:
        return Coco20i(folder, **{"fold": 0, "count": 20, "seed": 5, **options})

    def test_an_episode_asks_for_one_class_by_another_image(self, dataset: Coco20i) -> None:
        assert (len(dataset), dataset.name, dataset.split) == (20, "coco20i", "fold0")
        assert (len(dataset.names), dataset.names[0], dataset.names[1]) == (20, "person", "airplane")
        for index, episode in enumerate(dataset.episodes):
            (query,) = dataset[index].queries
            assert query.label == CLASSES[episode.label]
            assert query.packed.area == 20 * (int(episode.query[-6:-4]))
            assert isinstance(query.prompt, MixedPrompt)
            assert query.prompt.phrase.text == query.label
            assert query.prompt.visual.region.sum() == 20 * int(episode.support[-6:-4])
            assert episode.query != episode.support

    def test_lists_may_lie_elsewhere(self, folder: Path, tmp_path: Path) -> None:
        before = self.build(folder)
        (folder / "splits/val").rename(tmp_path / "lists")
        assert self.build(folder, lists=tmp_path / "lists").episodes == before.episodes

    def test_without_a_list_the_error_says_what_to_do(self, folder: Path) -> None:
        with pytest.raises(DataError, match=r"fold1\.pkl.*HSNet.*lists='derived'"):
            Coco20i(folder, fold=1)

    def test_lists_are_derived_from_label_maps(self, folder: Path) -> None:
        with pytest.raises(DataError, match="at least two images of class 0"):
            self.build(folder, lists=DERIVED)  # 240 pixels are fewer than 2,048
        large = {label: [image_name(1000 * label + side) for side in (44, 45, 46, 47)] for label in COCO_20I[0]}
        for label, names in large.items():
            for name, side in zip(names, (44, 45, 46, 47), strict=True):
                values = np.zeros((50, 50), dtype=np.uint8)
                values[:side, :side] = label + 1
                Image.fromarray(values).save((folder / "annotations" / name).with_suffix(".png"))
        kept = {label: names[2:] for label, names in large.items()}  # 45 * 45 = 2,025; 46 * 46 = 2,116
        assert LEAST_AREA == 2048
        expected = draw_episodes(kept, COCO_20I[0], count=20, seed=5)
        assert self.build(folder, lists=DERIVED).episodes == expected

    def test_an_example_without_its_class_is_refused(self, folder: Path) -> None:
        for file in (folder / "annotations/val2014").glob("*.png"):
            Image.fromarray(np.zeros((16, 20), dtype=np.uint8)).save(file)
        with pytest.raises(DataError, match=r"\.png.*label values with \d+"):
            self.build(folder)[0]

    def test_a_malicious_list_is_refused(self, folder: Path) -> None:
        (folder / "splits/val/fold0.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
        with pytest.raises(DataError, match=r"os\.system"):
            self.build(folder)


def test_there_are_80_classes() -> None:
    assert (len(CLASSES), len(set(CLASSES))) == (80, 80)
    assert (CLASSES[0], CLASSES[4], CLASSES[62], CLASSES[79]) == ("person", "airplane", "tv", "toothbrush")


def test_episodes_are_those_of_the_global_generator() -> None:
    """The rule of HSNet's test, written out with the functions that it calls."""
    labels = COCO_20I[2]
    images = {label: [f"{label}-{number}" for number in range(2 + label % 7)] for label in labels}
    random = np.random.mtrand._rand  # what `numpy.random.choice` draws from
    state = random.get_state()
    try:
        random.seed(0)
        expected = []
        for _ in range(200):
            label = int(random.choice(labels, 1, replace=False)[0])
            query = str(random.choice(images[label], 1, replace=False)[0])
            support = query
            while support == query:
                support = str(random.choice(images[label], 1, replace=False)[0])
            expected.append((label, query, support))
    finally:
        random.set_state(state)
    drawn = draw_episodes(images, labels, count=200, seed=0)
    assert [(episode.label, episode.query, episode.support) for episode in drawn] == expected
    assert {episode.label for episode in drawn} == set(labels)
