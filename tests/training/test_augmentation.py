"""Augmentation: what a network sees of a sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tests.training.inputs import ImageModel, Samples, squares
from wordmask.batch import Place
from wordmask.data.sample import Query, Sample
from wordmask.data.sampling.phrase_draws import PhraseDraws, TaskImage
from wordmask.images import RgbImage
from wordmask.losses.masks import shrink_targets
from wordmask.ops.masks import empty, pack
from wordmask.prompts import TextPrompt
from wordmask.training.augmentation import Augmented, AugmentedSet, collate, cut_window, draw_phrases
from wordmask.training.data import Subset
from wordmask.training.phrase_draws import PhraseSet
from wordmask.training.recipe import Recipe, with_changes
from wordmask.training.recipes.finetune import finetune
from wordmask.training.recipes.phrasecut import phrasecut_plus

MEAN, STD = (0.5, 0.25, 0.75), (0.5, 0.5, 0.5)
CLEAN = {"crop": 1.0, "colour": 0.0, "mirror": 0.0, "negatives": 0.0}


def sample(
    *, absent: tuple[str, ...] = (), side: int = 48, phrases: tuple[str, str] = ("left square", "dot")
) -> Sample:
    pixels, masks = squares(1, side)[0]
    queries = tuple(
        Query(TextPrompt(phrase), pack(mask), phrase) for phrase, mask in zip(phrases, masks.values(), strict=True)
    )
    return Sample("a", RgbImage(pixels, "a.png"), (side, side), queries, absent)


class Epochs:
    """A training set, addressed by epoch and index."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __getitem__(self, place: tuple[int, int]) -> Augmented:
        made: Augmented = self.data[Place(*place)]
        return made


def augmented(recipe: Recipe, *samples: Sample, size: int = 48, square: bool = False) -> Epochs:
    model: Any = ImageModel(size, square=square, mean=MEAN, std=STD)
    settings: Any = recipe.data
    subset = Subset(Samples(*samples), tuple(range(len(samples))))
    return Epochs(AugmentedSet(subset, settings, model, recipe.schedule))


def by_phrase(made: Augmented) -> dict[str, np.ndarray]:
    return dict(zip(made.phrases, made.masks, strict=True))


def test_without_augmentation_the_sample_stays() -> None:
    one = sample()
    made = augmented(with_changes(finetune(), {**CLEAN, "prompts": 2}), one)[0, 0]
    assert isinstance(one.image, RgbImage)
    np.testing.assert_array_equal(made.pixels, one.image.pixels)
    for query in one.queries:
        np.testing.assert_array_equal(by_phrase(made)[query.label], query.mask)
    assert made.known.all()


def test_a_mirrored_image_has_its_sides_swapped_in_words_and_masks() -> None:
    one = sample()
    made = augmented(with_changes(finetune(), {**CLEAN, "prompts": 2, "mirror": 1.0}), one)[0, 0]
    assert isinstance(one.image, RgbImage)
    np.testing.assert_array_equal(made.pixels, one.image.pixels[:, ::-1])
    assert set(made.phrases) == {"right square", "dot"}
    np.testing.assert_array_equal(by_phrase(made)["right square"], one.queries[0].mask[:, ::-1])
    np.testing.assert_array_equal(by_phrase(made)["dot"], one.queries[1].mask[:, ::-1])


def test_augmentation_depends_on_seed_epoch_and_index_alone() -> None:
    recipe = with_changes(finetune(), {"crop": 0.3})
    made = augmented(recipe, sample(), sample())
    first, again, later = made[3, 1], augmented(recipe, sample(), sample())[3, 1], made[4, 1]
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


def test_an_image_with_absent_phrases_alone_asks_for_them() -> None:
    nothing = Sample("a", sample().image, (48, 48), (), ("tree", "sky"))
    chosen = draw_phrases(nothing, 3, 0.0, np.random.default_rng(0))
    assert {phrase for phrase, _ in chosen} == {"tree", "sky"}
    assert not any(mask.any() for _, mask in chosen)


def test_a_square_window_beyond_the_image_is_filled_and_unknown() -> None:
    wide = Sample("a", RgbImage(np.full((20, 40, 3), 9, np.uint8)), (20, 40), (), ("tree",))
    made = augmented(with_changes(finetune(), CLEAN), wide, size=40, square=True)[0, 0]
    assert made.known.sum() == 20 * 40
    rows = np.flatnonzero(made.known.any(axis=1))
    assert len(rows) == 20
    assert (made.pixels[made.known] == 9).all()
    assert (made.pixels[~made.known] == [round(255 * value) for value in MEAN]).all()


def test_what_is_ignored_is_not_known() -> None:
    one = sample()
    ignored = np.zeros((48, 48), bool)
    ignored[:7] = True
    part = Sample(one.key, one.image, one.size, one.queries, (), pack(ignored))
    made = augmented(with_changes(finetune(), CLEAN), part)[0, 0]
    np.testing.assert_array_equal(made.known, ~ignored)


def test_a_window_is_cut_where_it_says() -> None:
    pixels = np.arange(6 * 5 * 3, dtype=np.uint8).reshape(6, 5, 3)
    np.testing.assert_array_equal(cut_window(pixels, (1, 2, 3, 3), (3, 3)), pixels[1:4, 2:5])
    beyond = cut_window(pixels, (-1, 3, 3, 4), (3, 4), (7, 8, 9))
    np.testing.assert_array_equal(beyond[1:, :2], pixels[:2, 3:])
    assert (beyond[0] == [7, 8, 9]).all()
    assert (beyond[:, 2:] == [7, 8, 9]).all()


def test_a_batch_is_normalised_and_keeps_the_phrases_of_an_image_together() -> None:
    made = Augmented(
        "a", np.full((2, 2, 3), 255, np.uint8), ("x", "y"), np.ones((2, 2, 2), bool), np.eye(2, dtype=bool)
    )
    batch = collate([made, made], MEAN, STD)
    assert batch.pixels.shape == (2, 3, 2, 2)
    torch.testing.assert_close(batch.pixels[0, :, 0, 0], torch.tensor([1.0, 1.5, 0.5]))
    assert batch.phrases == ["x", "y", "x", "y"]
    assert batch.masks.shape == batch.known.shape == (4, 2, 2)
    assert batch.known[3].tolist() == [[1, 0], [0, 1]]
    assert batch.supports is None


def test_unknown_pixels_never_enter_the_targets() -> None:
    masks = torch.tensor([[[1.0, 1, 0, 0], [1, 0, 0, 0]]])
    known = torch.tensor([[[1.0, 1, 0, 0], [1, 0, 0, 0]]])
    covered, part = shrink_targets(masks, known, (1, 2))
    assert covered.tolist() == [[[1.0, 0.0]]]
    assert part.tolist() == [[[0.75, 0.0]]]
    half, _ = shrink_targets(masks, torch.ones_like(known), (1, 2))
    assert half.tolist() == [[[0.75, 0.0]]]


def test_an_empty_mask_of_a_query_stays_empty() -> None:
    query = Query(TextPrompt("tree"), empty((48, 48)), "tree")
    made = augmented(with_changes(finetune(), CLEAN), Sample("a", sample().image, (48, 48), (query,)))[0, 0]
    assert not made.masks.any()


# --- variants ------------------------------------------------------------------------------------------------------


def many(count: int = 6, side: int = 96) -> Sample:
    """An image with an object in every corner region, each with its own phrase, and two phrases known to be absent."""
    random = np.random.default_rng(5)
    pixels = random.integers(0, 255, (side, side, 3), dtype=np.uint8)
    queries = []
    for number in range(count):
        mask = np.zeros((side, side), bool)
        top, left = (number % 3) * side // 3, (number // 3) * side // 2
        mask[top : top + side // 4, left : left + side // 4] = True
        queries.append(Query(TextPrompt(f"left thing {number}"), pack(mask), f"left thing {number}"))
    return Sample("many", RgbImage(pixels, "many.png"), (side, side), tuple(queries), ("tree", "sky"))


def pixels_of(made: Augmented) -> bytes:
    return made.pixels.tobytes() + made.known.tobytes()


def test_with_variants_the_windows_repeat_and_phrases_vary() -> None:
    recipe = with_changes(finetune(), {"crop": 0.4, "prompts": 1, "variants": 3})
    made = [augmented(recipe, many())[epoch, 0] for epoch in range(30)]
    assert [pixels_of(one) for one in made] == [pixels_of(one) for one in made[:3]] * 10
    assert len({pixels_of(one) for one in made}) == 3
    for variant in range(3):
        assert len({one.phrases for one in made[variant::3]}) > 3
    asked = {phrase for one in made for phrase in one.phrases}
    assert {"tree", "sky"} & asked
    assert len(asked - {"tree", "sky"}) > 4


def test_masks_follow_the_window_of_their_variant() -> None:
    recipe = with_changes(finetune(), {"crop": 0.4, "colour": 0.0, "prompts": 6, "negatives": 0.0, "variants": 2})
    made = [augmented(recipe, many())[epoch, 0] for epoch in range(8)]
    for variant in range(2):
        first, *others = (by_phrase(one) for one in made[variant::2])
        assert len(first) == 6
        for other in others:
            assert other.keys() == first.keys()
            for phrase, mask in first.items():
                np.testing.assert_array_equal(other[phrase], mask)


def test_phrases_of_a_mirrored_variant_have_their_sides_swapped() -> None:
    recipe = with_changes(finetune(), {"crop": 0.4, "prompts": 2, "negatives": 0.0, "variants": 4, "mirror": 1.0})
    made = augmented(recipe, many())
    assert {phrase.split()[0] for epoch in range(8) for phrase in made[epoch, 0].phrases} == {"right"}


def test_variants_differ_between_samples_seeds_and_from_any_epoch_without() -> None:
    changes = {"crop": 0.4, "prompts": 1}
    recipe = with_changes(finetune(), {**changes, "variants": 4})
    made = [pixels_of(augmented(recipe, many(), many())[epoch, index]) for epoch in range(4) for index in range(2)]
    made += [pixels_of(augmented(with_changes(recipe, {"seed": 1}), many())[epoch, 0]) for epoch in range(4)]
    made += [pixels_of(augmented(with_changes(finetune(), changes), many())[epoch, 0]) for epoch in range(4)]
    assert len(set(made)) == len(made) == 16


def test_a_variant_shows_something_that_its_image_has() -> None:
    recipe = with_changes(finetune(), {"crop": 0.3, "prompts": 6, "negatives": 0.0, "variants": 40})
    made = augmented(recipe, many())
    assert all(made[epoch, 0].masks.any() for epoch in range(40))


def test_without_variants_one_stream_draws_phrases_window_and_mirror_in_turn() -> None:
    recipe = with_changes(finetune(), {"crop": 0.4, "colour": 0.0, "prompts": 2, "negatives": 0.3})
    one, made = many(), augmented(recipe, many())
    assert isinstance(one.image, RgbImage)
    for epoch in range(12):
        random = np.random.default_rng([recipe.schedule.seed, epoch, 0])
        chosen = draw_phrases(one, 2, 0.3, random)
        for _ in range(10):
            side = max(1, round(96 * random.uniform(0.4, 1)))
            top, left = (int(random.integers(0, 96 - side + 1)) for _ in range(2))
            shown = chosen[0][1][top : top + side, left : left + side].sum()
            if shown >= 0.1 * chosen[0][1].sum():
                break
        else:
            continue
        pixels = cut_window(one.image.pixels, (top, left, side, side), (48, 48))
        mirrored = random.random() < recipe.data.mirror  # type: ignore[attr-defined]
        np.testing.assert_array_equal(made[epoch, 0].pixels, pixels[:, ::-1] if mirrored else pixels)
        words = [phrase.replace("left", "right") if mirrored else phrase for phrase, _ in chosen]
        assert made[epoch, 0].phrases == tuple(words)


class Tasks:
    """Phrases for images that are drawn, one task for each corner of two images; it counts what is read."""

    name, split, fingerprint = "tasks", "train", "0"

    def __init__(self) -> None:
        self.tasks = [Task(f"{picture}/{number}", TextPrompt(word)) for picture in "ab" for number, word in CORNERS]
        self._pixels = np.random.default_rng(0).integers(0, 255, (40, 80, 3), dtype=np.uint8)

    def read(self, task: Task) -> TaskImage:
        mask, known = np.zeros((40, 80), bool), np.ones((40, 80), bool)
        mask[10:30, 10 + 20 * int(task.key[-1]) :][:, :18] = True
        known[:4] = False
        return TaskImage(self._pixels, mask, known)

    def present(self, task: Task) -> tuple[str, ...]:
        return (task.phrase.text,)

    def absent(self, task: Task) -> tuple[str, ...]:
        return ()


@dataclass(frozen=True)
class Task:
    """One of them."""

    key: str
    phrase: TextPrompt


CORNERS = tuple(enumerate(("cup", "plate", "fork")))


def drawn(**changes: object) -> Epochs:
    recipe = with_changes(phrasecut_plus(), {"size": 32, "workers": 0, **changes})
    settings: Any = recipe.data
    model: Any = ImageModel(32, mean=MEAN, std=STD)
    draws = PhraseDraws(Tasks(), size=32, mode=settings.engineering)
    return Epochs(PhraseSet(draws, settings, model, recipe.schedule))


def test_data_that_draw_themselves_are_told_the_variants() -> None:
    made = [drawn(variants=2)[epoch, 3] for epoch in range(16)]
    assert [pixels_of(one) for one in made] == [pixels_of(one) for one in made[:2]] * 8
    assert len({one.phrases for one in made}) > 4
    assert len({pixels_of(drawn()[epoch, 3]) for epoch in range(16)}) > 8


def test_data_that_draw_themselves_say_what_is_known() -> None:
    made = drawn()[0, 0]
    assert not made.known[:2].any()
    assert made.known[4:].all()


def test_examples_are_shown_as_the_recipe_says() -> None:
    made, shown = drawn(engineering="blur_highlight"), PhraseDraws(Tasks(), size=32).draw(0, epoch=0)
    assert shown.support is not None
    one = made[0, 0]
    assert one.support is not None
    np.testing.assert_array_equal(one.support, shown.support.prompt_image(MEAN, STD, "blur_highlight"))
    assert one.support.shape == (3, 32, 32)
    standard = drawn()[0, 0].support
    assert standard is not None
    assert standard.shape == (3, 352, 352)


def test_presence_is_that_of_known_pixels() -> None:
    """A thing whose pixels are all unknown is neither present nor absent."""
    masks = np.zeros((3, 2, 2), bool)
    masks[0, 0, 0] = masks[1, 1, 1] = True
    known = np.array([[True, True], [True, False]])
    batch = collate([Augmented("a", np.zeros((2, 2, 3), np.uint8), ("x", "y", "z"), masks, known)], MEAN, STD)
    assert batch.presence is not None
    assert batch.presence_weights is not None
    assert batch.presence.tolist() == [1, 0, 0]
    assert batch.presence_weights.tolist() == [1, 0, 1]


def test_the_place_says_the_size() -> None:
    recipe = with_changes(finetune(), {**CLEAN, "prompts": 2})
    small = augmented(recipe, sample()).data[Place(0, 0, 24)]
    assert small.pixels.shape == (24, 24, 3)
    assert small.masks.shape == (2, 24, 24)


def test_every_phrase_that_may_be_asked_is_listed() -> None:
    one, other = sample(absent=("tree",)), sample(phrases=("hat", "shoe"))

    def phrases(**changes: object) -> set[str]:
        return set(augmented(with_changes(finetune(), changes), one, other).data.phrases())

    assert phrases(mirror=0.0, negatives=0.0) == {"left square", "dot", "hat", "shoe"}
    assert phrases(mirror=0.0) == {"left square", "dot", "hat", "shoe", "tree"}
    assert phrases() == {"left square", "right square", "dot", "hat", "shoe", "tree"}
