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

FOLDER = METHODS["clipseg"].weights
DATA = Path(__file__).parents[2] / "shared" / "data"
SETS = ("coco", "pascal", "people", "celebamask", "clothing", "carparts", "camvid", "facade", "windows", "objects")
needs_pictures = pytest.mark.skipif(not (DATA / "celebamask").is_dir(), reason="the training data are not here")


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


def face_pictures(count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    keys = json.loads((DATA / "celebamask" / "splits.json").read_text())["val"][:count]
    folder = DATA / "celebamask"
    return [
        (
            np.asarray(Image.open(folder / "images" / f"{key}.jpg")),
            np.asarray(Image.open(folder / "labels" / f"{key}.png")),
        )
        for key in keys
    ]


@needs_pictures
def test_hair_is_found_on_faces_it_never_saw(segmenter: Segmenter) -> None:
    inter = union = 0
    for pixels, labels in face_pictures(8):
        mask, truth = segmenter.segment(pixels, "hair")["hair"].mask, labels == 13
        inter, union = inter + (mask & truth).sum(), union + (mask | truth).sum()
    assert inter / union > 0.6


@needs_pictures
def test_an_elephant_on_a_face_comes_back_empty(segmenter: Segmenter) -> None:
    absent = ["an elephant", "a giraffe", "an airplane", "a bus"]
    found = [f for pixels, _ in face_pictures(8) for f in segmenter.segment(pixels, absent)]
    assert sum(f.mask.any() for f in found) <= len(found) // 20


@needs_pictures
def test_the_eyes_change_places_in_the_mirror(segmenter: Segmenter) -> None:
    inter = union = 0
    for pixels, _ in face_pictures(8):
        plain = segmenter.segment(pixels, "left eye")[0].mask
        mirrored = segmenter.segment(np.ascontiguousarray(pixels[:, ::-1]), "right eye")[0].mask[:, ::-1]
        inter, union = inter + (plain & mirrored).sum(), union + (plain | mirrored).sum()
    assert inter / union > 0.6
