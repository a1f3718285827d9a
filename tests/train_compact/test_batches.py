"""What pictures are asked for while the embedded weights are trained."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest


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
    safe = {n for sets in batches.SAFE.values() for names in sets.values() for n in names or ()}
    known = sorted({"road", "sky", "car", "cow", *safe, *batches.ELSEWHERE, *nouns, *batches.BatchMaker.far_coco})
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
    batches = script("batches")
    elsewhere = batches.ELSEWHERE | batches.SAFE["camvid"]["pascal"]
    batch = maker.make(200, 32, random.Random(1))
    names, sure = batch.names.numpy(), batch.presence_weights.numpy()
    absent = [
        (maker.names[n], float(w))
        for row, source in enumerate(batch.sources)
        for n, w, there in zip(names[row], sure[row], batch.presence[row], strict=True)
        if source == "camvid" and not there
    ]
    shared = [w for n, w in absent if n in elsewhere]
    assert 0.3 < len(shared) / len(absent) < 0.5
    assert set(shared) == {1.0}


def test_the_same_seed_draws_the_same_batch(maker: Any) -> None:
    first, second = (maker.make(3, 48, random.Random(5)) for _ in range(2))
    assert (first.pixels == second.pixels).all()
    assert (first.names == second.names).all()
