"""Regions are drawn with what is in them, and the towers learn from them."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from scripts.experiments.clipseg.album import Album, Draws, Shot, boxes, read_album, seen, widened
from scripts.experiments.clipseg.towers import LENGTH, TABLE, NameTower, Sizes, WordTower, byte_letters, write_tokenizer
from scripts.experiments.clipseg.train_towers import Plan, contrastive, pace, read_nouns, run, side_at
from tests.experiments.toy import SETS, write_data
from wordmask.backbones.clip import load_tokenizer
from wordmask.ops.masks import pack

TINY = Sizes(side=32, width=16, depth=2, heads=2, text_width=16, text_depth=1, text_heads=2, channels=24)


def shot() -> Shot:
    """A house of 80 x 80 pixels with a door of 20 x 40, and a tree beside it."""
    return Shot(
        "maps", np.zeros((100, 200, 3), np.uint8), (0, 1, 2), ((0, 20, 80, 100), (30, 60, 50, 100), (100, 0, 180, 100))
    )


def test_a_whole_view_shares_its_target_by_the_root_of_the_area() -> None:
    target = seen(shot(), (0, 0, 200, 100), 4, None)
    weights = np.sqrt([6400, 800, 8000])
    assert target[:3] == pytest.approx(weights / weights.sum(), rel=1e-6)
    assert target[3] == 0


def test_a_box_is_about_its_own_thing_first() -> None:
    window = (0, 20, 80, 100)  # the house: the door is in it, the tree is not
    assert seen(shot(), window, 3, 0) == pytest.approx([0.7, 0.3, 0.0])
    assert seen(shot(), (100, 0, 180, 100), 3, 2) == pytest.approx([0, 0, 1])  # nothing else in it
    assert seen(shot(), (0, 20, 40, 100), 3, 0) == pytest.approx([0.7, 0.3, 0])  # half of house and door suffice


def test_boxes_go_around_connected_parts() -> None:
    mask = np.zeros((100, 100), bool)
    mask[10:30, 20:60], mask[50:90, 5:10], mask[99, 99] = True, True, True
    assert boxes(pack(mask), (100, 100)) == [(20, 10, 60, 30), (5, 50, 10, 90)]
    assert widened((10, 10, 30, 20), 0.5, square=False) == (0, 5, 40, 25)
    assert widened((10, 10, 30, 20), 0.0, square=True) == (10, 5, 30, 25)


def test_mirrored_views_swap_sides() -> None:
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:, :20] = 255
    album = Album(("left half", "right half"), (Shot("maps", pixels, (0, 1), ((0, 0, 20, 20), (20, 0, 40, 20))),))
    draws, found = Draws(album, seed=0), set()
    for number in range(40):
        view, target = draws.view(np.random.default_rng(number), 16)
        if target.max() == 1:  # a view of one half alone: white is what once was on the left
            found.add((int(target.argmax()), bool(view.mean() > 128)))
    assert found <= {(0, True), (1, False), (1, True), (0, False)}
    assert {(1, True), (0, False)} <= found  # mirrored ones


def test_an_album_is_read_once_and_kept(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    album = read_album(data, "train", tmp_path / "album", sets=SETS)
    assert album.names == ("red square", "green square", "left square")
    assert album.counts().tolist() == [8, 8, 8]
    assert [shot.source for shot in album.shots] == ["maps"] * 4 + ["things"] * 4
    again = read_album(tmp_path / "gone", "train", tmp_path / "album", sets=SETS)
    assert again.shots[5].boxes == album.shots[5].boxes
    assert np.array_equal(again.shots[7].pixels, album.shots[7].pixels)
    one, two = (Draws(each, seed=3).batch(4, 2, 16) for each in (album, again))
    assert np.array_equal(one[0], two[0])
    assert one[1].sum(axis=1) == pytest.approx([1, 1])


def test_the_tokenizer_reads_clips_table(tmp_path: Path) -> None:
    (tmp_path / "names").mkdir()
    lines = ["#version: 0.2", "c a", "ca t</w>", ""]
    (tmp_path / "names" / TABLE).write_bytes(gzip.compress("\n".join(lines).encode()))
    count = write_tokenizer(tmp_path / "tower", tmp_path / "names")
    assert count == 512 + 2 + 2
    assert len(set(byte_letters())) == 256
    tokenizer = load_tokenizer(tmp_path / "tower")
    ids = tokenizer(["cat"])["input_ids"][0]
    assert ids == [514, 513, 515]  # start, "cat</w>", end
    assert write_tokenizer(tmp_path / "bytes", None) == 514


def test_the_contrastive_loss_of_a_known_case() -> None:
    cosines, targets = torch.eye(2), torch.eye(2)
    expected = math.log(1 + math.exp(-3))  # both directions alike
    assert float(contrastive(cosines, torch.tensor(3.0), targets)) == pytest.approx(expected, rel=1e-6)
    three = torch.tensor(
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    )  # a third name that is nowhere: rows see it, columns do not
    rows = math.log(1 + 2 * math.exp(-3))
    assert float(contrastive(three, torch.tensor(3.0), three)) == pytest.approx((rows + expected) / 2, rel=1e-6)


def test_the_schedule_follows_time_or_steps() -> None:
    assert Plan(minutes=2).share(10**6, 60) == 0.5
    assert Plan(steps=8).share(2, 10**6) == 0.25
    assert [side_at(share, Sizes()) for share in (0.0, 0.55, 0.56, 0.8, 0.81, 1.0)] == [96, 96, 128, 128, 176, 176]
    assert pace(0.03) == pytest.approx(1.0)
    assert pace(0.515) == pytest.approx(0.505)
    assert pace(1.0) == pytest.approx(0.01)


def test_nouns_are_centred(tmp_path: Path) -> None:
    (tmp_path / "lvis_names.json").write_text(json.dumps([{"name": "wine_glass"}, {"name": "cup"}]))
    np.save(tmp_path / "lvis_clip_vitb32.npy", np.array([[3.0, 1.0], [1.0, 1.0]], np.float16))
    nouns = read_nouns(tmp_path)
    assert nouns.words == ["wine glass", "cup"]
    assert nouns.vectors.tolist() == [[1, 0], [-1, 0]]
    assert read_nouns(tmp_path / "none").words == []


def test_a_killed_training_goes_on_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_data(tmp_path / "data")
    plan = Plan(steps=4, batch=2, seed=0, save_every=0.0)
    straight = run(data, tmp_path / "one" / "vit", TINY, plan, vit=True, sets=SETS, views=4)
    assert straight["steps"] == 4

    real = Draws.batch

    def killed(self: Draws, number: int, count: int, side: int) -> object:
        if number == 2:
            raise KeyboardInterrupt
        return real(self, number, count, side)

    monkeypatch.setattr(Draws, "batch", killed)
    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path / "two" / "vit", TINY, plan, vit=True, sets=SETS, views=4)
    assert not (tmp_path / "two" / "vit" / "tower.json").exists()
    monkeypatch.undo()
    assert run(data, tmp_path / "two" / "vit", TINY, plan, vit=True, sets=SETS, views=4) == straight
    first, second = ((tmp_path / name / "vit" / "model.safetensors").read_bytes() for name in ("one", "two"))
    assert first == second


def test_settled_vectors_have_the_length_that_decoders_take(tmp_path: Path) -> None:
    torch.manual_seed(0)
    tower = WordTower(TINY, tmp_path, write_tokenizer(tmp_path, None)).eval()
    pixels, names = torch.randn(3, 3, 32, 32), ["a cat", "a left eye"]
    before = tower.pictures(pixels), tower.phrases(names)
    tower.settle(pixels, names)
    model = tower.model
    with torch.no_grad():
        seen = model.visual_projection(model.vision_model(pixels, interpolate_pos_encoding=True).pooler_output)
    assert seen.norm(dim=-1).mean() == pytest.approx(LENGTH, rel=1e-4)
    for first, second in zip(before, (tower.pictures(pixels), tower.phrases(names)), strict=True):
        torch.testing.assert_close(first, second)  # directions are what was learned

    plain = NameTower(TINY, 4).eval()
    plain.settle(pixels)
    tokens = plain.model(pixels, interpolate_pos_encoding=True).last_hidden_state[:, 0]
    assert tokens.norm(dim=-1).mean().item() == pytest.approx(LENGTH, rel=1e-4)
