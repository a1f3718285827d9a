"""Phrases drawn over any data set: which tasks there are, what a negative is, what comes again and what does not."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from tests.data.contract import assert_same_sample
from wordmask.data.sample import Query, Sample
from wordmask.data.sampling.held_out import GROUPS, WithoutClasses, expand
from wordmask.data.sampling.phrase_draws import PhraseDraws
from wordmask.data.sampling.phrase_samples import PhraseList, SamplePhrases
from wordmask.data.sampling.phrases import ClassFilter, Lexicon
from wordmask.errors import DataError
from wordmask.images import RgbImage, load_image
from wordmask.ops.masks import pack
from wordmask.prompts import TextPrompt

SIZE = (20, 40)
LEXICON = Lexicon({"dog.n.01": ("dog", "poodle"), "cat.n.01": ("cat",)}.__getitem__, lambda word: word.rstrip("s"))


def box(top: int, left: int, height: int, width: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[top : top + height, left : left + width] = True
    return mask


class Pets:
    """Four images: two say what is absent (one by a query without a mask), two do not."""

    name, split, names, fingerprint, exhaustive = "pets", "all", (), "abc", False
    content: tuple[tuple[dict[str, np.ndarray], tuple[str, ...]], ...] = (
        ({"dog": box(2, 2, 10, 10), "cat": box(4, 25, 10, 10)}, ("bird", "poodle")),
        ({"dog": box(0, 10, 12, 12), "fish": box(0, 0, 0, 0)}, ()),
        ({"cat": box(5, 5, 9, 30), "sofa": box(0, 0, 6, 40)}, ()),
        ({"dog": box(1, 20, 15, 15), "cat": box(1, 1, 15, 15), "sofa": box(16, 0, 4, 40)}, ()),
    )

    def __init__(self) -> None:
        self.read: list[int] = []

    def __len__(self) -> int:
        return len(self.content)

    def __getitem__(self, index: int) -> Sample:
        self.read.append(index)
        things, absent = self.content[index]
        queries = tuple(Query(TextPrompt(word), pack(mask), word) for word, mask in things.items())
        pixels = np.random.default_rng(index).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
        ignored = pack(box(0, 0, 20, 3)) if index == 3 else None
        return Sample(f"p{index}", RgbImage(pixels), SIZE, queries, absent, ignored)


def draws(**options: Any) -> PhraseDraws:
    return PhraseDraws(SamplePhrases(Pets()), **{"size": 16, **options})


def test_every_query_with_a_mask_is_a_task() -> None:
    dataset = draws()
    keys = ["p0/0", "p0/1", "p1/0", "p2/0", "p2/1", "p3/0", "p3/1", "p3/2"]
    assert [task.key for task in dataset.tasks] == keys
    assert [task.phrase.text for task in dataset.tasks[:3]] == ["dog", "cat", "dog"]
    assert (dataset.name, dataset.split, len(dataset)) == ("pets", "all", 8)


def test_images_are_read_when_they_are_drawn_and_only_then() -> None:
    pets = Pets()
    dataset = PhraseDraws(SamplePhrases(pets), size=16)
    assert pets.read == [0, 1, 2, 3]  # their words
    dataset.draw(2, epoch=0)
    assert pets.read[4] == 1
    assert len(pets.read) <= 6  # the image, and that of the example


def test_listed_phrases_are_not_read_again() -> None:
    pets = Pets()
    listed = {index: PhraseList.of(pets[index]) for index in (0, 3)}
    source = SamplePhrases(pets, (0, 3), listed=listed)
    assert pets.read == [0, 3]
    assert [task.key for task in source.tasks] == ["p0/0", "p0/1", "p3/0", "p3/1", "p3/2"]
    assert source.fingerprint != SamplePhrases(pets, (0, 1)).fingerprint


def test_a_positive_is_the_querys_mask() -> None:
    dataset = draws(crop=False, negatives=0.0, size=40)
    draw = dataset.draw(3, epoch=0)  # the cat of image 2
    expected = Pets.content[2][0]["cat"][np.arange(40) * 20 // 40]
    np.testing.assert_array_equal(draw.mask, expected)
    assert draw.known.all()
    assert (draw.phrase, draw.negative) == ("cat", False)


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (0, {"bird", "poodle"}),  # stated by name
        (2, {"fish"}),  # stated by a query without a mask
        (3, {"dog"}),  # nothing is stated: what other images show and this one does not
        (5, set()),  # it shows everything there is
    ],
)
def test_negatives_are_phrases_that_the_image_does_not_show(index: int, expected: set[str]) -> None:
    dataset = draws(negatives=1.0)
    drawn = [dataset.draw(index, epoch=epoch) for epoch in range(30)]
    assert {draw.phrase for draw in drawn if draw.negative} == expected
    assert all(draw.negative == bool(expected) for draw in drawn)
    assert all(draw.mask.any() != draw.negative for draw in drawn)


def test_the_example_of_a_negative_is_one_of_its_phrase_if_there_is_any() -> None:
    dataset = draws(negatives=1.0, crop=False)
    supports = [dataset.draw(3, epoch=epoch).support for epoch in range(12)]  # "dog", which three images show
    dogs = {pack(draws(negatives=0.0, crop=False).draw(index, epoch=0).mask).area for index in (0, 2, 5)}
    assert {pack(support.mask).area for support in supports if support is not None} == dogs
    bird = dataset.draw(0, epoch=0)
    assert bird.support is not None
    assert (bird.support.valid, bird.text_weight) == (False, 1.0)


def test_pixels_that_count_for_nothing_are_said() -> None:
    dataset = draws(crop=False, negatives=0.0)
    known = dataset.draw(5, epoch=0).known
    assert not known[:, :2].any()  # 3 of 40 columns, at 16 columns in all
    assert known[:, 2:].all()
    sample = dataset[5]
    assert sample.ignored is not None
    assert sample.ignored.area == 2 * 16
    assert dataset[0].ignored is None


def test_a_single_phrase_will_do_where_absence_is_stated() -> None:
    class One(Pets):
        content = (({"dog": box(2, 2, 10, 10)}, ("cat",)),)

    assert PhraseDraws(SamplePhrases(One()), size=16, negatives=1.0).draw(0, epoch=0).phrase == "cat"
    One.content = (({"dog": box(2, 2, 10, 10)}, ()),)
    with pytest.raises(DataError, match="two different ones for negatives"):
        PhraseDraws(SamplePhrases(One()), size=16)


# --- fixed views ---------------------------------------------------------------------------------------------------


def crops(dataset: PhraseDraws, index: int, variants: int, epochs: range) -> list[bytes]:
    return [dataset.draw(index, epoch=epoch, variants=variants).image.tobytes() for epoch in epochs]


def test_n_views_come_again_and_phrases_do_not() -> None:
    dataset = draws(negatives=0.5)
    views = crops(dataset, 0, 3, range(12))
    assert views == views[:3] * 4
    assert views[:3] == crops(dataset, 0, 0, range(3))  # those of the first epochs
    assert len(set(crops(dataset, 0, 0, range(12)))) > 3
    texts = [dataset.draw(0, epoch=epoch, variants=3).text for epoch in range(0, 60, 3)]
    assert len(set(texts)) > 5
    again = dataset.draw(0, epoch=4, variants=3)
    assert_same_draw(again, dataset.draw(0, epoch=4, variants=3))


def assert_same_draw(one: Any, other: Any) -> None:
    np.testing.assert_array_equal(one.image, other.image)
    np.testing.assert_array_equal(one.mask, other.mask)
    np.testing.assert_array_equal(one.support.image, other.support.image)
    assert (one.text, one.text_weight, one.negative) == (other.text, other.text_weight, other.negative)


def test_examples_come_again_with_fixed_views() -> None:
    """Three dogs of two views each: six examples at most, and each looks as its own image does."""
    dataset = draws(negatives=0.0)
    supports = [dataset.draw(0, epoch=epoch, variants=2).support for epoch in range(60)]
    seen = {support.image.tobytes() for support in supports if support is not None and support.valid}
    assert seen == {view for index in (0, 2, 5) for view in crops(dataset, index, 2, range(2))}
    assert len({support.seed for support in supports if support is not None}) <= 6


def test_a_random_preparation_depends_on_the_draw_alone() -> None:
    statistics: tuple[Any, Any] = ((0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
    one, other = (draws(negatives=0.0).draw(0, epoch=3).support for _ in range(2))
    assert one is not None
    assert other is not None
    images = [part.prompt_image(*statistics, "blur_highlight_random") for part in (one, one, other)]
    np.testing.assert_array_equal(images[0], images[1])
    np.testing.assert_array_equal(images[0], images[2])


def test_a_mode_without_a_size_keeps_that_of_the_sample() -> None:
    support = draws(negatives=0.0).draw(0, epoch=0).support
    assert support is not None
    for mode, side in (("crop", 16), ("crop_blur_highlight", 16), ("crop_blur_highlight352", 352)):
        assert support.prompt_image((0.5, 0.5, 0.5), (0.2, 0.2, 0.2), mode).shape == (3, side, side)


def test_draws_go_to_other_processes() -> None:
    dataset = draws(avoid=["cat.n.01"], lexicon=LEXICON)
    copy = pickle.loads(pickle.dumps(dataset))
    assert copy.fingerprint == dataset.fingerprint
    assert_same_sample(copy[0], dataset[0])
    assert load_image(copy[0].image).size == (16, 16)


# --- held-out classes ----------------------------------------------------------------------------------------------


def test_a_held_out_class_is_neither_asked_for_nor_negative_nor_example() -> None:
    dataset = draws(avoid=["dog.n.01"], lexicon=LEXICON, negatives=0.7)
    drawn = [dataset.draw(index, epoch=epoch) for index in range(len(dataset)) for epoch in range(20)]
    assert {draw.phrase for draw in drawn} == {"cat", "sofa", "bird"}  # no dog, and no poodle though it is absent
    assert [task.key for task in dataset.tasks] == ["p0/1", "p2/0", "p2/1", "p3/1", "p3/2"]


def test_validation_does_not_see_a_held_out_class_either() -> None:
    pets = Pets()
    without = WithoutClasses(pets, ["dog.n.01"], ClassFilter(["dog.n.01"], LEXICON))
    assert [[query.label for query in without[index].queries] for index in range(3)] == [
        ["cat"], ["fish"], ["cat", "sofa"]
    ]  # fmt: skip
    assert without[0].absent == ("bird",)
    assert (len(without), without.name, without.split) == (4, "pets", "all")
    assert without.fingerprint not in ("abc", WithoutClasses(pets, ["cat.n.01"], ClassFilter([], LEXICON)).fingerprint)


def test_groups_of_classes() -> None:
    assert sorted(GROUPS) == sorted([f"pascal5i-{fold}" for fold in range(4)] + ["zs2", "zs4", "zs6", "zs8", "zs10"])
    assert expand(["zs4"]) == ("cattle.n.01", "motorcycle.n.01", "aeroplane.n.01", "sofa.n.01")
    assert expand(["sofa.n.01", "zs4", "dog.n.01"]) == (
        "sofa.n.01", "cattle.n.01", "motorcycle.n.01", "aeroplane.n.01", "dog.n.01"
    )  # fmt: skip
    assert len(expand(["pascal5i-2"])) == 5
    assert expand([]) == ()
    for wrong in ("dog", "zs3", "pascal5i-4"):
        with pytest.raises(DataError, match=f"the class to avoid '{wrong}', expected a synset"):
            expand([wrong])
