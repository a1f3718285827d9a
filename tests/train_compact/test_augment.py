"""What becomes of a picture and its labels before a network learns from them."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from tests.train_compact.shots import square


def test_what_is_pasted_on_a_picture_of_its_set_stands_beside_what_was_labelled(script: Any) -> None:
    augment, pictures = script("augment"), script("pictures")
    cow, bus = square(pictures, "pascal", 1, "cow"), square(pictures, "pascal", 2, "bus")
    for seed in range(8):
        pasted = augment.paste(cow, bus, random.Random(seed))
        assert pasted.atoms[1] == "cow"
        assert (pasted.ground, pasted.source) == ("", "pascal")
        assert set(np.unique(pasted.labels)) <= {0, 1, 2}
        kept = pasted.labels == 2
        assert kept.sum() <= (bus.labels == 2).sum()
        assert not kept.any() or pasted.atoms[2] == "bus"
        np.testing.assert_array_equal(kept & (bus.labels != 2), False)


def test_what_is_pasted_on_another_set_is_alone_labelled(script: Any) -> None:
    augment, pictures = script("augment"), script("pictures")
    street = square(pictures, "camvid", 2, "road", exhaustive=True)
    pasted = augment.paste(square(pictures, "pascal", 1, "cow"), street, random.Random(0))
    assert (pasted.ground, pasted.exhaustive, pasted.atoms) == ("camvid", False, {1: "cow"})
    assert set(np.unique(pasted.labels)) == {0, 1}


def test_one_thing_is_cut_from_a_picture_of_many(script: Any) -> None:
    augment, pictures = script("augment"), script("pictures")
    shot = square(pictures, "coco", 2, "dog")
    shot.labels[:10] = 3
    shot.labels[63, :5] = 4  # less than a hundredth
    shot.atoms |= {3: "sky", 4: "cat"}
    found = augment.one_thing(shot, {"dog", "cat"}, random.Random(0))
    assert found.atoms == {2: "dog"}
    np.testing.assert_array_equal(found.labels, np.where(shot.labels == 2, 2, 0))
    assert augment.one_thing(shot, {"cat"}, random.Random(0)) is None


def test_what_is_hidden_is_unknown_and_of_one_colour(script: Any) -> None:
    augment, pictures = script("augment"), script("pictures")
    shot = square(pictures, "pascal", 1, "cow")
    hidden = augment.hide(shot, random.Random(0))
    behind = hidden.labels == pictures.IGNORE
    assert (0.15 * 64 - 1) ** 2 < behind.sum() < (0.45 * 64 + 1) ** 2
    assert len(np.unique(hidden.pixels[behind], axis=0)) == 1
    np.testing.assert_array_equal(hidden.pixels[~behind], shot.pixels[~behind])
    np.testing.assert_array_equal(hidden.labels[~behind], shot.labels[~behind])
    assert pictures.IGNORE not in shot.labels
