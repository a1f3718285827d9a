"""What a network sees of a sample."""

from __future__ import annotations

import numpy as np
import torch

from tests.train.pictures import squares
from wordmask.images import Picture
from wordmask.ops.masks import empty, pack
from wordmask.prompts import TextPrompt
from wordmask.samples import Query, Sample
from wordmask.train.objective import shrunk
from wordmask.train.recipes import Recipe, finetune, with_changes
from wordmask.train.views import Collate, View, Views, cut_window, draw_phrases

MEAN, STD = (0.5, 0.25, 0.75), (0.5, 0.5, 0.5)
CLEAN = {"crop": 1.0, "colour": 0.0, "mirror": 0.0, "negatives": 0.0}


class Data:
    """A few samples in memory."""

    name, split, names, fingerprint = "data", "all", (), "0"

    def __init__(self, *samples: Sample) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]


def sample(
    *, absent: tuple[str, ...] = (), side: int = 48, phrases: tuple[str, str] = ("left square", "dot")
) -> Sample:
    pixels, masks = squares(1, side)[0]
    queries = tuple(
        Query(TextPrompt(phrase), pack(mask), phrase) for phrase, mask in zip(phrases, masks.values(), strict=True)
    )
    return Sample("a", Picture(pixels, "a.png"), (side, side), queries, absent)


def views(recipe: Recipe, *samples: Sample, size: tuple[int, int] = (48, 48), square: bool = False) -> Views:
    return Views(Data(*samples), range(len(samples)), recipe, size=size, square=square, mean=MEAN, std=STD)


def by_phrase(view: View) -> dict[str, np.ndarray]:
    return dict(zip(view.phrases, view.masks, strict=True))


def test_without_changes_a_view_is_the_sample() -> None:
    one = sample()
    view = views(with_changes(finetune(), {**CLEAN, "prompts": 2}), one)[0, 0]
    assert isinstance(one.image, Picture)
    np.testing.assert_array_equal(view.pixels, one.image.pixels)
    for query in one.queries:
        np.testing.assert_array_equal(by_phrase(view)[query.label], query.mask)
    assert view.known.all()


def test_a_mirrored_picture_has_its_sides_swapped_in_words_and_masks() -> None:
    one = sample()
    view = views(with_changes(finetune(), {**CLEAN, "prompts": 2, "mirror": 1.0}), one)[0, 0]
    assert isinstance(one.image, Picture)
    np.testing.assert_array_equal(view.pixels, one.image.pixels[:, ::-1])
    assert set(view.phrases) == {"right square", "dot"}
    np.testing.assert_array_equal(by_phrase(view)["right square"], one.queries[0].mask[:, ::-1])
    np.testing.assert_array_equal(by_phrase(view)["dot"], one.queries[1].mask[:, ::-1])


def test_a_view_depends_on_seed_epoch_and_index_alone() -> None:
    recipe = with_changes(finetune(), {"crop": 0.3})
    made = views(recipe, sample(), sample())
    first, again, later = made[3, 1], views(recipe, sample(), sample())[3, 1], made[4, 1]
    np.testing.assert_array_equal(first.pixels, again.pixels)
    np.testing.assert_array_equal(first.masks, again.masks)
    assert first.phrases == again.phrases
    assert not np.array_equal(first.pixels, later.pixels)


def test_negatives_are_drawn_only_where_absence_is_known() -> None:
    random = np.random.default_rng(0)
    known = [draw_phrases(sample(absent=("tree",)), 4, 0.5, random) for _ in range(50)]
    drawn = [(phrase, mask.any()) for chosen in known for phrase, mask in chosen]
    assert 0.35 < sum(phrase == "tree" for phrase, _ in drawn) / len(drawn) < 0.65
    assert all(there == (phrase != "tree") for phrase, there in drawn)

    unknown = [phrase for _ in range(20) for phrase, _ in draw_phrases(sample(), 4, 1.0, random)]
    assert set(unknown) == {"left square", "dot"}


def test_a_picture_of_absent_things_alone_asks_for_them() -> None:
    nothing = Sample("a", sample().image, (48, 48), (), ("tree", "sky"))
    chosen = draw_phrases(nothing, 3, 0.0, np.random.default_rng(0))
    assert {phrase for phrase, _ in chosen} == {"tree", "sky"}
    assert not any(mask.any() for _, mask in chosen)


def test_a_square_window_beyond_the_picture_is_filled_and_unknown() -> None:
    wide = Sample("a", Picture(np.full((20, 40, 3), 9, np.uint8)), (20, 40), (), ("tree",))
    view = views(with_changes(finetune(), CLEAN), wide, size=(40, 40), square=True)[0, 0]
    assert view.known.sum() == 20 * 40
    rows = np.flatnonzero(view.known.any(axis=1))
    assert len(rows) == 20
    assert (view.pixels[view.known] == 9).all()
    assert (view.pixels[~view.known] == [round(255 * value) for value in MEAN]).all()


def test_what_is_ignored_is_not_known() -> None:
    one = sample()
    ignored = np.zeros((48, 48), bool)
    ignored[:7] = True
    part = Sample(one.key, one.image, one.size, one.queries, (), pack(ignored))
    view = views(with_changes(finetune(), CLEAN), part)[0, 0]
    np.testing.assert_array_equal(view.known, ~ignored)


def test_a_window_is_cut_where_it_says() -> None:
    pixels = np.arange(6 * 5 * 3, dtype=np.uint8).reshape(6, 5, 3)
    np.testing.assert_array_equal(cut_window(pixels, (1, 2, 3, 3), (3, 3)), pixels[1:4, 2:5])
    beyond = cut_window(pixels, (-1, 3, 3, 4), (3, 4), (7, 8, 9))
    np.testing.assert_array_equal(beyond[1:, :2], pixels[:2, 3:])
    assert (beyond[0] == [7, 8, 9]).all()
    assert (beyond[:, 2:] == [7, 8, 9]).all()


def test_a_batch_is_normalised_and_keeps_the_phrases_of_a_picture_together() -> None:
    view = View("a", np.full((2, 2, 3), 255, np.uint8), ("x", "y"), np.ones((2, 2, 2), bool), np.eye(2, dtype=bool))
    batch = Collate(MEAN, STD)([view, view])
    assert batch.pixels.shape == (2, 3, 2, 2)
    torch.testing.assert_close(batch.pixels[0, :, 0, 0], torch.tensor([1.0, 1.5, 0.5]))
    assert batch.phrases == ["x", "y", "x", "y"]
    assert batch.masks.shape == batch.known.shape == (4, 2, 2)
    assert batch.known[3].tolist() == [[1, 0], [0, 1]]
    assert batch.supports is None


def test_truth_at_a_coarser_resolution_counts_known_pixels_only() -> None:
    masks = torch.tensor([[[1.0, 1, 0, 0], [1, 0, 0, 0]]])
    known = torch.tensor([[[1.0, 1, 0, 0], [1, 0, 0, 0]]])
    share, part = shrunk(masks, known, (1, 2))
    assert share.tolist() == [[[1.0, 0.0]]]
    assert part.tolist() == [[[0.75, 0.0]]]
    half, _ = shrunk(masks, torch.ones_like(known), (1, 2))
    assert half.tolist() == [[[0.75, 0.0]]]


def test_an_empty_mask_of_a_query_stays_empty() -> None:
    query = Query(TextPrompt("tree"), empty((48, 48)), "tree")
    view = views(with_changes(finetune(), CLEAN), Sample("a", sample().image, (48, 48), (query,)))[0, 0]
    assert not view.masks.any()
