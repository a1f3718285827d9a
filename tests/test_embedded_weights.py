"""The weights that ship with the package: their size, their card, what they find and what they say is not there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import wordmask
from wordmask.api import METHODS
from wordmask.contracts import Segmenter
from wordmask.data.registry import open_data
from wordmask.data.sampling.left_right import swap_left_right
from wordmask.images import load_image

FOLDER = METHODS["compact"].embedded
DATA = Path(__file__).parents[2] / "shared" / "data"
SETS = ("coco", "pascal", "people", "celebamask", "clothing", "carparts", "camvid", "facade", "windows", "objects")
needs_images = pytest.mark.skipif(not (DATA / "celebamask").is_dir(), reason="the training data are not here")


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return wordmask.load()


def test_they_are_small() -> None:
    assert FOLDER is not None
    assert 1e6 < sum(path.stat().st_size for path in FOLDER.iterdir()) < 25e6
    assert not list(FOLDER.glob("*.pt"))
    assert not list(FOLDER.glob("*.pth"))
    assert not list(FOLDER.glob("*.bin"))


def test_the_card_names_every_set_and_its_terms() -> None:
    assert FOLDER is not None
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    for source in SETS:
        assert f"| {source} |" in card
    settings = json.loads((FOLDER / "config.json").read_text())["settings"]
    assert f"threshold {settings['presence_threshold']}" in card
    assert "non-commercial" in card


def test_a_synonym_is_read_like_its_noun(segmenter: Segmenter) -> None:
    words = ["car", "automobile", "sofa", "couch", "dog", "puppy", "elephant"]
    vectors = segmenter.model.embed_texts(words).detach().float().numpy()  # type: ignore[attr-defined]
    near = dict(zip(words, vectors @ vectors.T, strict=True))
    assert near["car"][1] > 0.9
    assert near["sofa"][3] > 0.9
    assert near["dog"][5] > 0.5
    assert near["car"][6] < 0.4


def test_left_is_not_right(segmenter: Segmenter) -> None:
    vectors = segmenter.model.embed_texts(["left eye", "right eye"]).detach().float().numpy()  # type: ignore[attr-defined]
    assert vectors[0] @ vectors[1] < 0.8


def images(source: str, count: int) -> list[tuple[np.ndarray, np.ndarray, dict[str, int]]]:
    """Pixels, label map and name -> value of the first validation images of a set of label maps."""
    folder = DATA / source
    keys = json.loads((folder / "splits.json").read_text())["val"][:count]
    values = {name: int(value) for value, name in json.loads((folder / "classes.json").read_text()).items()}
    read = [
        tuple(np.asarray(Image.open(folder / part)) for part in (f"images/{k}.jpg", f"labels/{k}.png")) for k in keys
    ]
    return [(pixels, labels, values) for pixels, labels in read]


def overlap(found: np.ndarray, truth: np.ndarray) -> tuple[int, int]:
    return int((found & truth).sum()), int((found | truth).sum())


def mean_iou(rows: dict[str, list[tuple[int, int]]]) -> float:
    """Mean over names of summed intersection over summed union."""
    return float(np.mean([np.divide(*np.sum(pairs, axis=0)) for pairs in rows.values()]))


def asked(segmenter: Segmenter, source: str, count: int, words: dict[str, str]) -> float:
    """Mean IoU over names, each asked for by its word, in the images that hold it."""
    rows: dict[str, list[tuple[int, int]]] = {}
    for pixels, labels, values in images(source, count):
        there = [name for name in words if (labels == values[name]).any()]
        for name, found in zip(there, segmenter.segment(pixels, [words[n] for n in there]), strict=True):
            rows.setdefault(name, []).append(overlap(found.mask, labels == values[name]))
    assert rows
    return mean_iou(rows)


@needs_images
def test_hair_is_found_on_faces_it_never_saw(segmenter: Segmenter) -> None:
    assert asked(segmenter, "celebamask", 8, {"hair": "hair"}) > 0.7


@needs_images
def test_an_elephant_on_a_face_comes_back_empty(segmenter: Segmenter) -> None:
    absent = ["an elephant", "a giraffe", "an airplane", "a bus"]
    found = [f for pixels, *_ in images("celebamask", 8) for f in segmenter.segment(pixels, absent)]
    assert sum(f.mask.any() for f in found) <= len(found) // 20


@needs_images
@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("celebamask", {"hair": "hairdo", "left eyebrow": "left brow", "upper lip": "top lip", "eyeglasses": "specs"}),
        ("camvid", {"pavement": "sidewalk", "road": "roadway", "tree": "trees", "car": "automobile"}),
    ],
)
def test_other_words_find_the_same(segmenter: Segmenter, source: str, words: dict[str, str]) -> None:
    named, otherwise = asked(segmenter, source, 12, {n: n for n in words}), asked(segmenter, source, 12, words)
    assert named > 0.4
    assert otherwise >= 0.8 * named


def mirrored_mean_iou(
    segmenter: Segmenter, seen: list[tuple[np.ndarray, dict[str, np.ndarray]]]
) -> tuple[float, float]:
    """Mean IoU of names with a side: of the image, and of its mirror image with left and right swapped."""
    plain: dict[str, list[tuple[int, int]]] = {}
    mirrored: dict[str, list[tuple[int, int]]] = {}
    for pixels, truths in seen:
        swapped = segmenter.segment(np.ascontiguousarray(pixels[:, ::-1]), [swap_left_right(name) for name in truths])
        for (name, truth), one, other in zip(
            truths.items(), segmenter.segment(pixels, list(truths)), swapped, strict=True
        ):
            plain.setdefault(name, []).append(overlap(one.mask, truth))
            mirrored.setdefault(name, []).append(overlap(other.mask[:, ::-1], truth))
    return mean_iou(plain), mean_iou(mirrored)


@needs_images
def test_left_and_right_change_places_in_the_mirror_on_faces(segmenter: Segmenter) -> None:
    seen = []
    for pixels, labels, values in images("celebamask", 16):
        names = [n for n, v in values.items() if n.startswith(("left ", "right ")) and (labels == v).any()]
        seen.append((pixels, {n: labels == values[n] for n in names}))
    plain, mirrored = mirrored_mean_iou(segmenter, [row for row in seen if row[1]])
    assert plain > 0.4
    assert mirrored >= 0.8 * plain


@needs_images
def test_left_and_right_change_places_in_the_mirror_on_cars(segmenter: Segmenter) -> None:
    data = open_data(DATA / "carparts", split="val")
    seen = []
    for index in range(16):
        sample = data[index]
        sided = {q.label: q.mask for q in sample.queries if {"left", "right"} & set(q.label.split())}
        if sided:
            seen.append((np.asarray(load_image(sample.image).pixels), sided))
    plain, mirrored = mirrored_mean_iou(segmenter, seen)
    assert plain > 0.35
    assert mirrored >= 0.8 * plain
