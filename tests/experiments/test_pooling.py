"""Several sets become one of square pictures, in the plain layout."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from scripts.experiments.clipseg.pooling import evenly, phrase, pool, set_of, square
from tests.experiments.toy import write_data
from wordmask.data.plain import plain
from wordmask.data.sample import Query, Sample
from wordmask.errors import DataError
from wordmask.images import RgbImage
from wordmask.ops.masks import pack
from wordmask.prompts import TextPrompt

MOST = {"train": 3, "val": 2}


def test_pictures_masks_and_names_of_both_sets_are_there(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    facts = pool(data, tmp_path / "pooled", sets=("maps", "things"), side=32, most=MOST)
    assert facts["pictures_and_pairs"] == {
        "maps/train": [3, 9], "maps/val": [2, 6], "things/train": [3, 9], "things/val": [2, 6],
    }  # fmt: skip
    train, valid = (plain(tmp_path / "pooled", split) for split in ("train", "val"))
    assert (len(train), len(valid)) == (6, 4)
    assert train.names == ("red square", "green square", "left square")
    assert [set_of(train[index].key) for index in range(6)] == ["maps"] * 3 + ["things"] * 3
    for index in range(4):
        assert valid[index].size == (32, 32)
        assert [query.label for query in valid[index].queries] == list(valid.names)


def test_masks_are_those_of_the_squashed_picture(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    pool(data, tmp_path / "pooled", sets=("things",), side=24, most=MOST)
    whole, small = plain(data / "things", "val")[0], plain(tmp_path / "pooled", "val")[0]
    for before, after in zip(whole.queries, small.queries, strict=True):
        share = before.packed.area / (48 * 60)
        assert after.packed.area / 24**2 == pytest.approx(share, abs=0.03)


def test_a_window_is_cut_for_training_and_tiny_things_are_left_out(tmp_path: Path) -> None:
    pixels = np.zeros((4, 8, 3), np.uint8)
    pixels[:, 4:] = 200
    left, right = np.zeros((2, 4, 8), bool)
    left[:, :4], right[:, 4:] = True, True
    queries = tuple(Query(TextPrompt(name), pack(mask), name) for name, mask in (("dark", left), ("light", right)))
    sample = Sample("a", RgbImage(pixels), (4, 8), queries)
    whole, masks = square(sample, 4, cut=False, seed=0)
    assert masks["dark"].tolist() == [[True, True, False, False]] * 4
    assert whole[0, 0, 0] < 30
    assert whole[0, 3, 0] > 170
    for seed in range(8):  # a window of 4 pixels at one of 5 places
        cut, masks = square(sample, 4, cut=True, seed=seed)
        light = int(masks["light"][0].sum())
        assert (cut[0, :, 0] == 200).sum() == light
        assert masks["dark"][0].sum() == 4 - light
    data = write_data(tmp_path / "data")
    with pytest.raises(DataError, match="nothing of split train"):
        pool(data, tmp_path / "none", sets=("things",), side=16, most=MOST, least=0.9)


def test_a_second_call_keeps_the_first_and_refuses_another(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    facts = pool(data, tmp_path / "pooled", sets=("maps",), side=16, most=MOST)
    before = (tmp_path / "pooled" / "instances.json").stat().st_mtime_ns
    assert json.loads(json.dumps(pool(data, tmp_path / "pooled", sets=("maps",), side=16, most=MOST))) == facts
    assert (tmp_path / "pooled" / "instances.json").stat().st_mtime_ns == before
    with pytest.raises(DataError, match="another folder"):
        pool(data, tmp_path / "pooled", sets=("maps",), side=24, most=MOST)


def test_indices_are_taken_evenly_and_labels_read_as_words() -> None:
    assert evenly(3, 5) == [0, 1, 2]
    assert evenly(10, 4) == [0, 2, 5, 7]
    assert phrase("Wall-brick_old") == "wall brick old"
