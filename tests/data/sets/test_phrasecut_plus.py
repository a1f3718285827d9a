"""PhraseCut+: crops, negatives, examples and words as CLIPSeg's training draws them (golden check 15)."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from tests.data.contract import FolderContract, assert_same_sample, samples
from tests.data.sets.test_phrasecut import task, write_phrasecut
from tests.images import scene
from wordmask.data.sampling.phrase_crops import MIN_COVERAGE, TRIES, find_crop, resize_mask, resize_pixels
from wordmask.data.sampling.phrases import PREFIXES, Lexicon
from wordmask.data.sets.phrasecut_plus import PhraseCutPlus
from wordmask.errors import DataError
from wordmask.images import load_image
from wordmask.prompts import MixedPrompt, TextPrompt

WIDE = {"image_id": 1, "width": 40, "height": 20, "split": "train"}
TALL = {"image_id": 2, "width": 24, "height": 30, "split": "train"}


def box(x0: int, y0: int, x1: int, y1: int) -> list[list[int]]:
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]


TASKS = [
    task("1__a", 1, "red car", [box(2, 2, 12, 12)]),
    task("1__b", 1, "sky", [box(0, 0, 39, 4)]),
    task("2__a", 2, "red car", [box(4, 4, 20, 20)]),
    task("2__b", 2, "two dogs", [box(3, 3, 18, 18)]),
    task("2__c", 2, "red car", [box(8, 20, 22, 28)]),
]

LEXICON = Lexicon({"dog.n.01": ("dog", "hot_dog", "Poodle"), "cat.n.01": ("cat",)}.__getitem__, lambda word: word[:3])


class TestPhraseCutPlus(FolderContract):
    annotations = ("refer_train.json", "image_data_split.json")
    images = "images/*.jpg"
    options: ClassVar[dict[str, Any]] = {
        "seed": 1, "size": 24, "crop": False, "negatives": 0.5, "visual": False, "only_visual": True,
        "text_weight": (0.1, 0.2), "prefixes": "fixed", "mode": "crop", "rasteriser": "official",
    }  # fmt: skip
    malformed: ClassVar[dict[str, bytes | None]] = {
        "refer_train.json": b"{",
        "image_data_split.json": None,
        "images/1.jpg": None,
        "images/2.jpg": b"no image",
    }

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return write_phrasecut(tmp_path, {"train": TASKS}, [WIDE, TALL])

    def build(self, folder: Path, **options: Any) -> PhraseCutPlus:
        return PhraseCutPlus(folder, **{"size": 16, **options})

    def test_negatives_replace_the_phrase_and_empty_the_mask(self, folder: Path) -> None:
        never, always = (self.build(folder, negatives=probability) for probability in (0, 1))
        seen = set()
        for epoch in range(8):
            for index, one in enumerate(TASKS):
                positive, negative = never.draw(index, epoch=epoch), always.draw(index, epoch=epoch)
                assert (positive.phrase, positive.negative) == (one["phrase"], False)
                assert negative.negative
                assert negative.phrase != one["phrase"]
                assert negative.mask.sum() == 0
                assert always.sample(index, epoch=epoch).queries[0].packed.area == 0
                np.testing.assert_array_equal(negative.image, positive.image)
                seen.add(negative.phrase)
        assert seen == {"red car", "sky", "two dogs"}

    def test_a_fifth_is_negative(self, folder: Path) -> None:
        dataset = self.build(folder)
        draws = [dataset.draw(index, epoch=epoch) for epoch in range(60) for index in range(5)]
        share = np.mean([draw.negative for draw in draws])
        assert abs(float(share) - 0.2) < 4 * np.sqrt(0.2 * 0.8 / 300)

    def test_the_example_belongs_to_the_phrase(self, folder: Path) -> None:
        """Also in a negative: the phrase is replaced before the example is chosen."""
        dataset = self.build(folder, negatives=1)
        for epoch in range(6):
            for index in range(5):
                draw = dataset.draw(index, epoch=epoch)
                assert draw.support is not None
                assert draw.support.valid == (draw.phrase == "red car")
                assert draw.support.mask.any() == draw.support.valid

    def test_a_unique_phrase_has_no_example(self, folder: Path) -> None:
        draw = self.build(folder, negatives=0).draw(1, epoch=0)
        assert draw.phrase == "sky"
        assert draw.support is not None
        assert not draw.support.valid
        assert draw.text_weight == 1
        assert not draw.support.image.any()
        for mode, side in (("crop_blur_highlight352", 352), ("blur3_highlight01", 16)):
            image = draw.support.prompt_image((0.5, 0.5, 0.5), (0.2, 0.2, 0.2), mode)
            assert image.shape == (3, side, side)
            assert not image.any()
        assert isinstance(self.build(folder, negatives=0)[1].queries[0].prompt, TextPrompt)

    def test_examples_are_drawn_from_all_of_a_phrase_itself_included(self, folder: Path) -> None:
        dataset = self.build(folder, negatives=0, crop=False)
        masks = {dataset.draw(index, epoch=0).mask.tobytes(): index for index in (0, 2, 4)}
        drawn = [dataset.draw(0, epoch=epoch).support for epoch in range(40)]
        found = [masks[support.mask.tobytes()] for support in drawn if support is not None]
        assert {index: found.count(index) > 4 for index in (0, 2, 4)} == {0: True, 2: True, 4: True}

    def test_an_example_is_shown_as_the_encoder_wants_it(self, folder: Path) -> None:
        draw = self.build(folder, negatives=0).draw(0, epoch=0)
        assert draw.support is not None
        image = draw.support.prompt_image((0.5, 0.4, 0.3), (0.2, 0.25, 0.5), "image_only")
        expected = (draw.support.image[3, 5] / 255 - [0.5, 0.4, 0.3]) / [0.2, 0.25, 0.5]
        np.testing.assert_allclose(image[:, 3, 5], expected, rtol=1e-5)

    def test_words_and_example_are_mixed(self, folder: Path) -> None:
        dataset = self.build(folder, negatives=0)
        weights = []
        for epoch in range(60):
            prompt = dataset.sample(0, epoch=epoch).queries[0].prompt
            assert isinstance(prompt, MixedPrompt)
            assert prompt.visual.name == "red car"
            assert prompt.visual.mode == "crop_blur_highlight352"
            weights.append(prompt.weight)
        assert 0 <= min(weights) < 0.1
        assert 0.4 < max(weights) <= 0.5

    def test_phrases_stand_in_one_of_nine_sentences(self, folder: Path) -> None:
        dataset = self.build(folder, negatives=0)
        texts = {dataset.draw(0, epoch=epoch).text for epoch in range(120)}
        assert texts == {prefix.format("red car") for prefix in PREFIXES["shuffle+"]}
        assert len(texts) == 9
        fixed = self.build(folder, negatives=0, prefixes="fixed")
        assert {fixed.draw(0, epoch=epoch).text for epoch in range(9)} == {"a photo of a red car."}

    def test_without_examples_the_bare_phrase_is_asked_for(self, folder: Path) -> None:
        dataset = self.build(folder, negatives=0, visual=False)
        assert [sample.queries[0].prompt for sample in samples(dataset)] == [TextPrompt(one["phrase"]) for one in TASKS]
        assert dataset.draw(0, epoch=0).support is None

    def test_only_phrases_with_examples_can_be_kept(self, folder: Path) -> None:
        dataset = self.build(folder, negatives=0, only_visual=True)
        assert [one.key for one in dataset.tasks] == ["1__a", "2__a", "2__c"]

    def test_a_draw_depends_on_seed_epoch_and_index_alone(self, folder: Path) -> None:
        first, second = self.build(folder), self.build(folder)
        expected = [first.sample(index, epoch=3) for index in range(5)]
        for index in (4, 0, 2, 1, 3):
            assert_same_sample(second.sample(index, epoch=3), expected[index])
        assert_same_sample(first[2], second.sample(2, epoch=0))
        crops = {load_image(first.sample(0, epoch=epoch).image).pixels.tobytes() for epoch in range(12)}
        assert len(crops) > 3
        other = self.build(folder, seed=9)
        assert any(other.draw(index, epoch=0).text != first.draw(index, epoch=0).text for index in range(5))

    def test_samples_have_the_size_asked_for(self, folder: Path) -> None:
        for crop in (True, False):
            sample = self.build(folder, size=33, crop=crop)[2]
            assert sample.size == load_image(sample.image).size == (33, 33)

    def test_held_out_classes_are_left_out(self, folder: Path) -> None:
        dataset = self.build(folder, avoid=["dog.n.01"], lexicon=LEXICON)
        assert [one.key for one in dataset.tasks] == ["1__a", "1__b", "2__a", "2__c"]
        assert dataset.fingerprint != self.build(folder).fingerprint
        drawn = {dataset.draw(index, epoch=epoch).phrase for index in range(4) for epoch in range(20)}
        assert drawn == {"red car", "sky"}

    @pytest.mark.parametrize(
        ("options", "checksum"),
        [
            ({}, 1_650_170_660),
            ({"negatives": 0.5}, 3_427_202_582),
            ({"visual": False}, 991_374_408),
            ({"only_visual": True, "negatives": 0.0}, 1_779_835_759),
            ({"avoid": ["dog.n.01"], "lexicon": LEXICON}, 1_996_903_066),
            ({"seed": 4, "prefixes": "fixed", "text_weight": (0.2, 1.0)}, 1_686_855_202),
        ],
    )
    def test_draws_are_those_of_every_earlier_version(
        self, folder: Path, options: dict[str, Any], checksum: int
    ) -> None:
        """Runs that were started before are still the same runs: sums made when the recipe was first written."""
        dataset, value = self.build(folder, rasteriser="official", **options), 0
        for epoch in range(6):
            for index in range(len(dataset)):
                draw = dataset.draw(index, epoch=epoch)
                for mask in (draw.mask, *((draw.support.mask,) if draw.support else ())):
                    value = zlib.crc32(np.packbits(mask).tobytes(), value)
                words = f"{draw.task.key} {draw.phrase} {draw.text} {draw.negative} {draw.text_weight:.12f}"
                value = zlib.crc32(words.encode(), value)
        assert value == checksum

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"avoid": ["dog.n.01"]}, "without a lexicon"),
            ({"negatives": 1.5}, "negatives='1.5'"),
            ({"text_weight": (0.5, 0.2)}, "text_weight"),
            ({"prefixes": "some"}, "plain, fixed, shuffle, shuffle+"),
            ({"size": 0}, "size=0"),
            ({"avoid": ["cat.n.01"], "lexicon": Lexicon(lambda name: ("red", "sky", "two"), str)}, "no phrase"),
        ],
    )
    def test_arguments_are_checked(self, folder: Path, options: dict[str, Any], message: str) -> None:
        with pytest.raises(DataError) as caught:
            self.build(folder, **options)
        assert message in str(caught.value)

    def test_negatives_need_two_phrases(self, tmp_path: Path) -> None:
        root = write_phrasecut(tmp_path / "one", {"train": TASKS[:1]}, [WIDE])
        with pytest.raises(DataError, match="two different ones for negatives"):
            PhraseCutPlus(root)
        assert len(PhraseCutPlus(root, negatives=0)) == 1


# --- crops ---------------------------------------------------------------------------------------------------------


class Counting:
    """A generator that counts what is asked of it and answers from a list, over and over."""

    def __init__(self, *answers: int) -> None:
        self.answers = answers
        self.bounds: list[int] = []

    def integers(self, bound: int) -> int:
        self.bounds.append(bound)
        return self.answers[(len(self.bounds) - 1) % len(self.answers)]


def crop(mask: np.ndarray, *answers: int) -> tuple[tuple[int, int, int], list[int]]:
    random: Any = Counting(*answers)
    return find_crop(mask, random), random.bounds


def test_the_side_is_the_shorter_one() -> None:
    random = np.random.default_rng(0)
    assert find_crop(np.ones((20, 50), dtype=bool), random)[2] == 20
    assert find_crop(np.ones((50, 20), dtype=bool), random)[2] == 20
    assert find_crop(np.ones((20, 20), dtype=bool), random) == (0, 0, 20)


def test_the_first_place_with_more_than_5_percent_of_the_whole_image_is_taken() -> None:
    """5 % of 10 x 20 pixels are 10: at place 0 the crop shows exactly 10 and at place 1 eleven."""
    mask = np.zeros((10, 20), dtype=bool)
    mask[:, 4] = True
    mask[0, 10] = True
    assert MIN_COVERAGE == 0.05
    assert crop(mask, 0, 1, 7) == ((0, 1, 10), [11, 11])
    assert crop(mask.T, 0, 1, 7) == ((1, 0, 10), [11, 11])
    mask[0, 10] = False
    found, bounds = crop(mask, 6, 2, 0)
    assert found == (0, 2, 10)  # never enough: the first of the best
    assert len(bounds) == TRIES == 50


def test_an_absent_thing_is_cropped_anyhow() -> None:
    found, bounds = crop(np.zeros((6, 9), dtype=bool), 2, 3)
    assert found == (0, 2, 6)
    assert len(bounds) == 50


def test_places_are_drawn_uniformly() -> None:
    random = np.random.default_rng(5)
    places = [find_crop(np.ones((10, 14), dtype=bool), random)[1] for _ in range(1000)]
    counts = np.bincount(places, minlength=5)
    assert len(counts) == 5
    assert counts.min() > 150


def test_images_and_masks_are_resized_as_torch_does() -> None:
    pixels = scene(9, 13)
    tensor = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float()
    for size in (5, 21):
        expected = torch.nn.functional.interpolate(tensor, (size, size), mode="bilinear", align_corners=True)[0]
        found = resize_pixels(pixels, size)
        assert np.abs(found - expected.permute(1, 2, 0).numpy()).max() <= 0.51
        mask = np.random.default_rng(size).random((9, 13)) > 0.5
        nearest = torch.nn.functional.interpolate(torch.from_numpy(mask)[None, None].float(), (size, size))[0, 0]
        np.testing.assert_array_equal(resize_mask(mask, size), nearest.numpy() > 0.5)
