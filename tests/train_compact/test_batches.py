"""What pictures are asked for while the embedded weights are trained."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.train_compact.shots import square


@pytest.fixture
def maker(script: Any) -> Any:
    """A street (exhaustive) and a PASCAL cow, with vectors of 64 for every name that can be asked for."""
    batches, pictures = script("batches"), script("pictures")
    rng = np.random.default_rng(0)

    def shot(source: str, atoms: dict[int, str], *, exhaustive: bool) -> Any:
        labels = rng.choice([0, *atoms], (96, 96)).astype(np.uint8)
        pixels = rng.integers(0, 256, (96, 96, 3), np.uint8)
        return pictures.Shot(source, "a", pixels, labels, atoms, exhaustive)

    shots = {
        "camvid": [shot("camvid", {1: "road", 2: "sky", 3: "car"}, exhaustive=True)],
        "pascal": [shot("pascal", {1: "cow"}, exhaustive=False)],
    }
    nouns = ["anvil", "harp", "kettle"]
    known = sorted({"road", "sky", "car", "cow", *frozenset().union(*batches.LACKS.values()), *nouns})
    vectors = rng.standard_normal((len(known), 64)).astype(np.float32)
    words = dict(zip(known, vectors / np.linalg.norm(vectors, axis=1, keepdims=True), strict=True))
    lvis = np.stack([words[n] for n in nouns])
    names = {"camvid": ["road", "sky", "car"], "pascal": ["cow"]}
    targets = SimpleNamespace(words=words, lvis=lvis, lvis_names=nouns, names=names)
    return batches.BatchMaker(shots, targets, prompts=4)


def test_each_prompt_says_which_name_it_asks_for(maker: Any) -> None:
    """What is there is a name that the picture holds; on streets, where all is labelled, what is absent is none."""
    batch = maker.make(24, 64, random.Random(0))
    assert batch.names.shape == batch.presence.shape == (24, 4)
    for source, names, answers in zip(batch.sources, batch.names, batch.presence, strict=True):
        held = {"camvid": {"road", "sky", "car"}, "pascal": {"cow"}}[source]
        for name, answer in zip(names, answers, strict=True):
            if answer or source == "camvid":  # the cow may have been pasted where the crop does not reach
                assert bool(answer) == (maker.names[name] in held)


def test_streets_are_asked_for_what_they_never_hold(maker: Any, script: Any) -> None:
    lacking = script("batches").LACKS["camvid"]
    batch = maker.make(200, 32, random.Random(1))
    names, sure = batch.names.numpy(), batch.presence_weights.numpy()
    absent = [
        (maker.names[n], float(w))
        for row, source in enumerate(batch.sources)
        for n, w, there in zip(names[row], sure[row], batch.presence[row], strict=True)
        if source == "camvid" and not there
    ]
    shared = [w for n, w in absent if n in lacking]
    assert 0.3 < len(shared) / len(absent) < 0.5
    assert set(shared) == {1.0}


def test_what_no_picture_of_a_set_holds_is_none_of_its_names(script: Any) -> None:
    """The lists are written by hand. Streets and cars are full of what their own names do not say."""
    batches, vocabulary = script("batches"), script("vocabulary")
    assert not batches.LACKS["camvid"] & {"car", "truck", "bus", "person", "bicycle", "building"}
    assert not batches.LACKS["carparts"] & {"car", "truck", "wheel"}
    for source, lacking in batches.LACKS.items():
        assert not lacking & set(vocabulary.MERGED.get(source, {}))
        assert "person" not in lacking


def test_things_are_put_on_pictures_that_hold_none(maker: Any, script: Any) -> None:
    """A cow on a street, a car on none: there are cars already."""
    pictures = script("pictures")

    def grounds(value: int, name: str) -> set[str]:
        shot = square(pictures, "pascal", value, name)
        return {maker._elsewhere(shot, random.Random(seed)).ground for seed in range(20)}

    assert grounds(1, "cow") == {"", "camvid"}
    assert grounds(7, "car") == {""}


@pytest.mark.parametrize(
    ("ground", "apart"),
    [("bus", True), ("sofa", True), ("horse", False), ("person", False), ("car", False), ("cow", False)],
)
def test_a_cow_is_put_where_none_can_be(script: Any, ground: str, apart: bool) -> None:
    """Other names of a PASCAL picture are not labelled: only the scene tells that none is there."""
    batches, pictures = script("batches"), script("pictures")
    assert batches._apart(square(pictures, "pascal", 2, ground), {"cow"}) is apart


def test_where_all_is_labelled_the_labels_tell(script: Any) -> None:
    batches, pictures = script("batches"), script("pictures")
    meadow = square(pictures, "coco", 2, "horse", exhaustive=True)
    assert batches._apart(meadow, {"cow"})
    assert not batches._apart(meadow, {"horse"})
    assert not batches._apart(square(pictures, "coco", 2, "horse"), {"cow"})


def test_the_same_seed_draws_the_same_batch(maker: Any) -> None:
    first, second = (maker.make(3, 48, random.Random(5)) for _ in range(2))
    assert (first.pixels == second.pixels).all()
    assert (first.names == second.names).all()
