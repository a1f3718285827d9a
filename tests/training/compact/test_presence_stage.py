"""The presence stage against values that follow by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from tests.methods.test_compact import SETTINGS, TINY, tiny_network, tiny_tokenizer
from wordmask.methods.compact import load_compact, save_compact
from wordmask.methods.compact.method import CompactModel
from wordmask.methods.compact.pooled_presence import STATISTICS
from wordmask.training.compact.presence_rows import AskedImage, PresenceRows, asked_image, collect_rows
from wordmask.training.compact.presence_stage import (
    PresenceLimits,
    PresenceStage,
    add_pooled_presence,
    added_logits,
    choose_gate,
    fit_scale,
    held_rows,
    lower_gate,
    presence_stage,
    row_weights,
)
from wordmask.training.compact.presence_views import another_view

WIDTH = STATISTICS + TINY.decoder + TINY.pixel


def rows_of(there: list[float], names: list[int], *, images: list[int] | None = None) -> PresenceRows:
    count = len(there)
    image = torch.tensor(images or [0] * count)
    generator = torch.Generator().manual_seed(0)
    return PresenceRows(
        pooled=torch.randn(count, WIDTH, generator=generator),
        scene=torch.randn(int(image.max()) + 1, TINY.widths[-1], generator=generator),
        conditions=torch.nn.functional.normalize(torch.randn(max(names) + 1, 32, generator=generator), dim=1),
        image=image,
        name=torch.tensor(names),
        group=torch.zeros(count, dtype=torch.int64),
        there=torch.tensor(there),
        sure=torch.ones(count),
        own=torch.zeros(count),
        groups=("a",),
    )


def test_present_and_absent_weigh_the_same_and_frequent_names_less() -> None:
    rows = rows_of([1, 0, 0, 0], [0, 1, 1, 2])
    weights = row_weights(rows, torch.ones(4, dtype=torch.bool), {})
    assert weights[0] == 2  # all of one side; the mean is 1
    torch.testing.assert_close(weights[1:].sum(), torch.tensor(2.0))
    torch.testing.assert_close(weights[1] / weights[3], torch.tensor(2.0**-0.3))


def test_rows_that_are_not_chosen_have_no_weight() -> None:
    weights = row_weights(rows_of([1, 0, 0], [0, 1, 2]), torch.tensor([True, True, False]), {"a": 3.0})
    torch.testing.assert_close(weights, torch.tensor([1.0, 1.0, 0.0]))


def test_heads_learn_what_their_inputs_tell_and_the_rest_of_the_network_stays() -> None:
    count = 2000
    rows = rows_of([0.0] * count, [i % 5 for i in range(count)], images=[i // 10 for i in range(count)])
    rows = replace(rows, there=(rows.pooled[:, 0] > 0).float())
    network, stage = tiny_network(), PresenceStage(members=2, epochs=15, batch=128, lr=5e-3)
    larger, config = add_pooled_presence(network, TINY, rows, stage)
    heads = larger.decoder.pooled
    assert heads is not None
    assert config.pooled_presence == 2
    held = held_rows(rows, stage)
    right = ((added_logits(heads, rows) > 0) == (rows.there > 0))[held].float().mean()
    assert 200 < held.sum() < 400
    assert right > 0.8
    after = larger.state_dict()
    assert all(torch.equal(v, after[k]) for k, v in network.state_dict().items())
    again = add_pooled_presence(network, TINY, rows, stage)[0].state_dict()
    assert all(torch.equal(v, again[k]) for k, v in after.items())  # the seed decides all


def test_scale_and_shift_of_two_answers() -> None:
    logits = torch.tensor([1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0, -1.0])
    there = torch.tensor([1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0])  # odds 3 and 1/3
    scale, shift = fit_scale(logits, there, torch.ones(8))
    np.testing.assert_allclose((scale, shift), (np.log(3), 0), atol=1e-4)


def test_the_gate_with_the_largest_margin_to_both_limits() -> None:
    rows = rows_of([1, 1, 0, 0, 0, 0], [0] * 6)
    probabilities = torch.tensor([0.9, 0.7, 0.6, 0.5, 0.2, 0.1])
    everything = torch.ones(6, dtype=torch.bool)
    assert choose_gate(probabilities, rows, everything, {"a": PresenceLimits(0.5, 1.0)}) == 0.21
    assert choose_gate(probabilities, rows, everything, {"a": PresenceLimits(0.5, 0.5)}) == 0.61
    assert choose_gate(probabilities, rows, everything, {"other": PresenceLimits(0.0, 1.0)}) == 0.05


def test_rows_of_images_are_what_the_decoder_reads() -> None:
    model = CompactModel("tiny", tiny_network(), tiny_tokenizer(), SETTINGS)
    pixels = np.random.default_rng(0).integers(0, 256, (50, 80, 3), dtype=np.uint8)
    asked = [
        AskedImage(pixels, "a", {"a cat": 1.0, "hair": 0.0}, {}),
        AskedImage(pixels[:, ::-1].copy(), "b", {"hair": 1.0}, {"hair": 0.5}),
    ]
    rows = collect_rows(model, asked)
    assert rows.pooled.shape == (3, WIDTH)
    assert rows.scene.shape == rows.conditions.shape == (2, 32)
    assert rows.name.tolist() == [0, 1, 1]
    assert rows.image.tolist() == rows.group.tolist() == [0, 0, 1]
    assert rows.sure.tolist() == [1.0, 1.0, 0.5]
    assert not torch.equal(rows.own[1], rows.own[2])


def test_of_many_absent_names_the_hardest_and_a_few_that_stand_for_the_others_are_read() -> None:
    model = CompactModel("tiny", tiny_network(), tiny_tokenizer(), SETTINGS)
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    there = {"a cat": 1.0} | {f"thing {i}": 0.0 for i in range(10)}
    asked = [AskedImage(pixels, "a", there, {"a cat": 0.5})]
    every = collect_rows(model, asked, hard=10, others=0)
    rows = collect_rows(model, asked, hard=2, others=4)
    assert (len(every), len(rows)) == (11, 7)
    assert sorted(rows.sure.tolist()) == [0.5, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0]  # 8 others, 4 of them drawn
    peaks = every.pooled[1:, 9]  # of the dot path
    hardest = rows.pooled[rows.sure == 1.0][:, 9]
    assert hardest.min() >= peaks.sort(descending=True)[0][4]  # peaks of every second cell: nearly the order of all


def test_the_stage_writes_a_folder_with_heads_scale_shift_and_gate(tmp_path: Path) -> None:
    save_compact(tmp_path / "before", "tiny", tiny_network(), TINY, SETTINGS, tiny_tokenizer())
    generator = np.random.default_rng(0)
    asked = []
    for i in range(12):
        pixels = np.full((64, 64, 3), 40 + 170 * (i % 2), np.uint8) + generator.integers(0, 20, (64, 64, 3), np.uint8)
        asked.append(AskedImage(pixels, "a", {"a cat": float(i % 2), "hair": float(1 - i % 2)}, {}))
    stage = PresenceStage(members=2, epochs=60, batch=16, held=0.3, lr=5e-3)
    limits = {"a": PresenceLimits(0.2, 0.8)}
    found = presence_stage(tmp_path / "before", asked, tmp_path / "after", stage=stage, limits=limits)
    before, after = load_compact(tmp_path / "before").model, load_compact(tmp_path / "after").model
    assert after.settings == replace(before.settings, **found)
    logits = [
        m.answer(m.encode_pixels(torch.ones(1, 3, 64, 64)), m.embed_texts(["hair"])[None]) for m in (before, after)
    ]
    assert torch.equal(logits[0][0], logits[1][0])
    assert not torch.equal(logits[0][1], logits[1][1])


def test_names_that_are_asked_of_an_image() -> None:
    pixels = np.zeros((4, 4, 3), np.uint8)
    sure = {"dog": 1.0, "cow": 0.95, "horse": 0.5, **{f"far {i}": 0.3 for i in range(9)}}
    generator = np.random.default_rng(0)
    asked = asked_image(pixels, "a", {"cat"}, sure, own={"cat", "dog", "cow", "horse"}, tags="wxyz", rng=generator)
    present = {n for n, there in asked.there.items() if there}
    assert len(present) == 1 + 3
    assert present - {*"wxyz"} == {"cat"}
    assert {"dog", "cow"} < asked.there.keys()
    assert len(asked.there) == 4 + 2 + 5
    assert all(asked.sure[n] == 0.7 for n in present & {*"wxyz"})
    alone = asked_image(pixels, "b", set(), sure, own=(), tags="wxyz", rng=generator)
    assert (sum(alone.there.values()), len(alone.there)) == (4, 4 + 9)


def test_the_gate_falls_until_enough_present_names_of_a_group_are_found(tmp_path: Path) -> None:
    settings = replace(SETTINGS, presence_scale=1e-6, presence_shift=0.0, presence_threshold=0.6)  # always 0.5
    save_compact(tmp_path, "tiny", tiny_network(), TINY, settings, tiny_tokenizer())
    pixels = np.random.default_rng(0).integers(0, 256, (48, 96, 3), dtype=np.uint8)
    asked = [AskedImage(pixels, group, {"a cat": 1.0, "hair": 0.0}, {}) for group in "ab"]
    assert lower_gate(tmp_path, asked, group="b", found=1.0) in (0.49, 0.5)
    assert load_compact(tmp_path).model.presence_threshold in (0.49, 0.5)
    assert lower_gate(tmp_path, asked, group="b", found=1.1) == 0.05  # more than all
    assert lower_gate(tmp_path, asked, group="b", found=0.0) == 0.05  # never higher than before


def test_canvases_of_other_sides() -> None:
    model = CompactModel("tiny", tiny_network(), tiny_tokenizer(), SETTINGS)  # long_side 96
    pixels = np.random.default_rng(0).integers(0, 256, (48, 96, 3), dtype=np.uint8)
    asked = [AskedImage(pixels, "a", {"a cat": 1.0}, {})]
    plain, same, larger = (collect_rows(model, asked, sides=sides) for sides in ((), (96,), (128,)))
    assert torch.equal(plain.pooled, same.pooled)
    assert not torch.allclose(plain.pooled, larger.pooled)


def test_another_view_shows_the_same_in_other_colours_and_places() -> None:
    pixels = np.zeros((60, 90, 3), np.uint8)
    pixels[15:45, 30:60] = (200, 60, 60)
    asked = AskedImage(pixels, "a", {"a cat": 1.0}, {})
    views = [another_view(asked, mirror=False, rng=np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert np.array_equal(views[0].pixels, views[1].pixels)
    assert not np.array_equal(views[0].pixels, views[2].pixels)
    for view in views:
        assert (view.pixels.shape, view.pixels.dtype, view.there) == (pixels.shape, np.uint8, asked.there)
        centre, corners = view.pixels[27:33, 42:48].mean(), view.pixels[:4, :4].mean()
        assert centre > corners + 20


def test_half_of_the_views_are_mirrored_where_they_may_be() -> None:
    pixels = np.zeros((60, 90, 3), np.uint8)
    pixels[:, :30] = 220
    asked = AskedImage(pixels, "a", {}, {})

    def on_the_left(mirror: bool) -> int:
        rng = np.random.default_rng(0)
        views = (another_view(asked, mirror=mirror, rng=rng).pixels for _ in range(20))
        return sum(view[:, :20].mean() > view[:, -20:].mean() for view in views)

    assert on_the_left(mirror=False) == 20
    assert 4 <= on_the_left(mirror=True) <= 16
