"""What every method promises, as tests that each method's own test class inherits.

A method's test defines a class that inherits `MethodContract` and gives it a `segmenter` fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from wordmask.contracts import Encoded, Segmenter
from wordmask.errors import ImageError, PromptError, UnsupportedPromptError
from wordmask.ops.geometry import restore
from wordmask.prompts import MixedPrompt, TextPrompt, VisualPrompt
from wordmask.results import Found, MaskLogits, Segmentation

SIZES = [(48, 64), (33, 17), (1, 1), (1, 5000), (700, 3), (301, 407)]
"""(height, width): ordinary, odd, a single pixel, a line, a thin strip, and larger than a small canvas."""


def random_image(height: int = 48, width: int = 64, *, seed: int = 0) -> np.ndarray:
    """An image with areas and texture: uint8 (H, W, 3)."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    waves = [np.sin(columns / (3 + k + seed) + seed) + np.cos(rows / (5 + 2 * k + seed)) for k in range(3)]
    values = 60 * np.stack(waves, axis=-1) + 128 + random.normal(0, 12, (height, width, 3))
    return values.clip(0, 255).astype(np.uint8)


def example(*, seed: int = 5) -> VisualPrompt:
    """A visual prompt with a mask."""
    mask = np.zeros((40, 50), dtype=bool)
    mask[8:30, 12:40] = True
    return VisualPrompt(random_image(40, 50, seed=seed), mask)


PROMPTS = {
    TextPrompt: lambda: TextPrompt("hair"),
    VisualPrompt: example,
    MixedPrompt: lambda: MixedPrompt("hair", example(), weight=0.3),
}


def logits(result: Segmentation) -> np.ndarray:
    """Return `(P, h, w)`: the dense logits or, where the method makes none, the heatmaps of all candidates."""
    return np.stack([found.heatmap_logits.values if found.heatmap_logits else _scored(found) for found in result])


def _scored(found: Found) -> np.ndarray:
    return replace(found, regions=tuple(candidate.region for candidate in found.candidates)).heatmap


class MethodContract:
    """Tests of one loaded method through its public interface only."""

    phrases = ("a cat", "hair", "left eye")
    tolerance = 1e-5
    """Largest difference between logits that ought to be equal but were computed in another grouping."""

    @pytest.fixture
    def segmenter(self) -> Segmenter:
        raise NotImplementedError("give the test class a segmenter")

    def test_it_states_its_capabilities(self, segmenter: Segmenter) -> None:
        assert isinstance(segmenter, Segmenter)
        assert segmenter.name
        assert TextPrompt in segmenter.accepts
        assert segmenter.accepts <= PROMPTS.keys()
        assert isinstance(segmenter.joint_vocabulary, bool)
        assert isinstance(segmenter.trainable, bool)
        assert isinstance(segmenter.exportable, bool)

    def test_it_answers_every_prompt_in_order(self, segmenter: Segmenter) -> None:
        result = segmenter.segment(random_image(), list(self.phrases))
        assert result.names == self.phrases
        assert result.size == (48, 64)
        assert result.model == segmenter.name
        assert result.image is not None
        np.testing.assert_array_equal(result.image.pixels, random_image())
        for found in result:
            assert found.mask.shape == (48, 64)
            assert found.mask.dtype == np.bool_
            assert found.heatmap.shape == (48, 64)
            assert found.heatmap.dtype == np.float32
            assert np.isfinite(found.heatmap).all()
            assert 0 <= found.presence <= 1
        assert np.isfinite(logits(result)).all()

    def test_prompts_and_images_make_a_difference(self, segmenter: Segmenter) -> None:
        first = logits(segmenter.segment(random_image(), list(self.phrases)))
        other = logits(segmenter.segment(random_image(seed=9), list(self.phrases)))
        assert np.abs(first[0] - first[1]).max() > 1e-3
        assert np.abs(first[1] - first[2]).max() > 1e-3
        assert np.abs(first[0] - other[0]).max() > 1e-3

    def test_a_single_prompt_needs_no_list(self, segmenter: Segmenter) -> None:
        one = segmenter.segment(random_image(), self.phrases[0])
        np.testing.assert_array_equal(logits(one), logits(segmenter.segment(random_image(), [self.phrases[0]])))

    def test_an_encoded_image_answers_as_the_image_does(self, segmenter: Segmenter) -> None:
        encoded = segmenter.encode(random_image())
        assert isinstance(encoded, Encoded)
        assert (encoded.size, encoded.model) == ((48, 64), segmenter.name)
        direct = segmenter.segment(random_image(), list(self.phrases))
        np.testing.assert_array_equal(logits(segmenter.segment(encoded, list(self.phrases))), logits(direct))

    def test_calls_leave_nothing_behind(self, segmenter: Segmenter) -> None:
        encoded = segmenter.encode(random_image())
        before = logits(segmenter.segment(encoded, self.phrases[0]))
        segmenter.segment(random_image(seed=3), list(self.phrases))
        segmenter.encode(random_image(30, 20, seed=4))
        after = logits(segmenter.segment(encoded, self.phrases[0]))
        np.testing.assert_array_equal(after, before)

    def test_batches_equal_one_by_one(self, segmenter: Segmenter) -> None:
        images = [
            random_image(seed=1),
            random_image(64, 48, seed=2),
            random_image(seed=3),
            random_image(20, 90, seed=4),
            random_image(seed=5),
        ]
        together = list(segmenter.segment_many(images, list(self.phrases), batch_size=3))
        assert [result.size for result in together] == [image.shape[:2] for image in images]
        for image, result in zip(images, together, strict=True):
            alone = segmenter.segment(image, list(self.phrases))
            assert result.names == alone.names
            np.testing.assert_allclose(logits(result), logits(alone), atol=self.tolerance)

    def test_many_images_are_read_as_results_are_taken(self, segmenter: Segmenter) -> None:
        read: list[int] = []

        def images() -> Iterator[np.ndarray]:
            for seed in range(6):
                read.append(seed)
                yield random_image(seed=seed)

        results = segmenter.segment_many(images(), self.phrases[0], batch_size=2)
        assert read == []
        next(results)
        assert read == [0, 1]
        assert len(list(results)) == 5

    def test_a_bad_image_among_many_fails_when_its_turn_comes(self, segmenter: Segmenter) -> None:
        results = segmenter.segment_many([random_image(), "no/such/image.png"], self.phrases[0], batch_size=1)
        assert next(results).size == (48, 64)
        with pytest.raises(ImageError, match="no/such/image"):
            next(results)

    @pytest.mark.parametrize("bad", ["no/such/image.png", np.zeros((0, 5, 3), np.uint8)], ids=["path", "array"])
    def test_good_images_before_a_bad_one_are_answered(self, segmenter: Segmenter, bad: Any) -> None:
        images = [random_image(seed=1), random_image(seed=2), random_image(20, 30), bad, random_image()]
        results = segmenter.segment_many(images, self.phrases[0], batch_size=8)
        assert [next(results).size for _ in range(3)] == [(48, 64), (48, 64), (20, 30)]
        with pytest.raises(ImageError):
            next(results)
        assert list(results) == []

    @pytest.mark.parametrize(
        "one", ["photo.jpg", random_image(), Image.fromarray(random_image()), 3], ids=lambda x: type(x).__name__
    )
    def test_one_image_is_not_many(self, segmenter: Segmenter, one: Any) -> None:
        with pytest.raises(ImageError, match="single image"):
            segmenter.segment_many(one, self.phrases[0])

    @pytest.mark.parametrize("size", [0, -1, 1.5, "8", None, 100_000, 2**63], ids=repr)
    def test_a_batch_size_is_a_whole_number(self, segmenter: Segmenter, size: Any) -> None:
        with pytest.raises(PromptError, match="a whole number from 1 to 4096"):
            segmenter.segment_many([random_image()], self.phrases[0], batch_size=size)

    def test_a_batch_size_of_numpy_is_one(self, segmenter: Segmenter) -> None:
        size: Any = np.int64(2)
        assert len(list(segmenter.segment_many([random_image()] * 3, self.phrases[0], batch_size=size))) == 3

    @pytest.mark.filterwarnings("error")
    @pytest.mark.parametrize("size", [(1, 1), (30, 40)], ids=lambda size: f"{size[0]}x{size[1]}")
    @pytest.mark.parametrize("value", [0, 255])
    def test_images_of_one_colour_are_answered_quietly(
        self, segmenter: Segmenter, size: tuple[int, int], value: int
    ) -> None:
        found = segmenter.segment(np.full((*size, 3), value, np.uint8), self.phrases[0])[0]
        assert found.mask.shape == size
        assert np.isfinite(found.heatmap).all()
        assert 0 <= found.presence <= 1

    def test_prompts_together_equal_prompts_alone(self, segmenter: Segmenter) -> None:
        if segmenter.joint_vocabulary:
            pytest.skip("its answer to a prompt depends on the others")
        together = logits(segmenter.segment(random_image(), list(self.phrases)))
        for index, phrase in enumerate(self.phrases):
            alone = logits(segmenter.segment(random_image(), phrase))[0]
            np.testing.assert_allclose(together[index], alone, atol=self.tolerance)

    def test_many_prompts_equal_few(self, segmenter: Segmenter) -> None:
        if segmenter.joint_vocabulary:
            pytest.skip("its answer to a prompt depends on the others")
        many = [f"thing {index}" for index in range(23)]
        together = logits(segmenter.segment(random_image(), many))
        few = logits(segmenter.segment(random_image(), [many[22], many[11]]))
        np.testing.assert_allclose(together[[22, 11]], few, atol=self.tolerance)

    def test_the_order_of_prompts_does_not_matter(self, segmenter: Segmenter) -> None:
        forward = logits(segmenter.segment(random_image(), list(self.phrases)))
        backward = logits(segmenter.segment(random_image(), list(self.phrases[::-1])))
        np.testing.assert_allclose(backward[::-1], forward, atol=self.tolerance)

    def test_duplicate_prompts_get_the_same_answer_twice(self, segmenter: Segmenter) -> None:
        a, b = self.phrases[:2]
        result = segmenter.segment(random_image(), [a, b, a])
        assert result.names == (a, b, a)
        np.testing.assert_array_equal(result[0].heatmap, result[2].heatmap)
        assert result[a] is result[0]

    def test_case_blanks_and_marks_make_no_difference(self, segmenter: Segmenter) -> None:
        typed = (" hair", "Hair?", '"hair"', "HAIR 🙂", "\u200bhair!")
        result = segmenter.segment(random_image(), [*typed, "a cat", "hair"])
        assert result.names == ("hair", "Hair?", '"hair"', "HAIR 🙂", "hair!", "a cat", "hair")
        alone = segmenter.segment(random_image(), ["hair", "a cat"])
        for found in result[: len(typed)]:
            np.testing.assert_allclose(found.heatmap, alone[0].heatmap, atol=self.tolerance)
        assert result["A  cat"].name == "a cat"
        assert [mask.name for mask in result.annotated().masks] == ["hair", "a cat"]

    @pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
    def test_any_size(self, segmenter: Segmenter, size: tuple[int, int]) -> None:
        found = segmenter.segment(random_image(*size), self.phrases[0])[0]
        heat = found.heatmap
        assert found.mask.shape == heat.shape == size
        assert np.isfinite(heat).all()
        assert 0 <= heat.min() <= heat.max() <= 1

    def test_thresholds_nest(self, segmenter: Segmenter) -> None:
        encoded = segmenter.encode(random_image())
        found = segmenter.segment(encoded, self.phrases[0])[0]
        heat = found.heatmap if found.regions is None else _mask_probabilities(found)
        low, high = (float(value) for value in np.quantile(heat, [0.3, 0.7]))
        wide, narrow = (segmenter.segment(encoded, self.phrases[0], threshold=t)[0] for t in (low, high))
        wide, narrow = (replace(found, presence_threshold=0.0) for found in (wide, narrow))
        if found.regions == ():
            pytest.skip("no region for this phrase")
        if found.regions and not any(isinstance(region.mask, MaskLogits) for region in found.regions):
            pytest.skip("its regions are bits, which no threshold changes")
        assert not (narrow.mask & ~wide.mask).any()
        assert narrow.area < wide.area
        assert segmenter.segment(encoded, self.phrases[0], threshold=1.0)[0].area == 0

    @pytest.mark.parametrize("threshold", [-0.1, 1.5, float("nan"), "high", 10**400], ids=lambda t: str(t)[:4])
    def test_a_threshold_is_a_probability(self, segmenter: Segmenter, threshold: Any) -> None:
        with pytest.raises(PromptError, match="0 to 1"):
            segmenter.segment(random_image(), self.phrases[0], threshold=threshold)

    @pytest.mark.parametrize("kind", PROMPTS, ids=lambda kind: kind.__name__)
    def test_it_follows_the_prompts_it_accepts_and_no_others(self, segmenter: Segmenter, kind: Any) -> None:
        prompt = PROMPTS[kind]()
        if kind in segmenter.accepts:
            result = segmenter.segment(random_image(), [prompt, self.phrases[0]])
            assert result[0].prompt is prompt
            first, second = logits(result)
            assert np.abs(first - second).max() > 1e-4
        else:
            with pytest.raises(UnsupportedPromptError, match=kind.__name__):
                segmenter.segment(random_image(), [prompt])

    @pytest.mark.parametrize("prompts", [[], "  ", ["hair", ""], [3], None], ids=repr)
    def test_bad_prompts_are_refused(self, segmenter: Segmenter, prompts: Any) -> None:
        with pytest.raises(PromptError):
            segmenter.segment(random_image(), prompts)
        with pytest.raises(PromptError):
            segmenter.segment_many([random_image()], prompts)

    @pytest.mark.filterwarnings("ignore:.*tokens, expected at most:wordmask.errors.WordmaskWarning")
    @pytest.mark.parametrize("phrase", ["🐈", "x " * 999, "Ünïcödé 猫", "<|endoftext|>", "\u0301"], ids=range(5))
    def test_odd_phrases_are_answered(self, segmenter: Segmenter, phrase: str) -> None:
        found = segmenter.segment(random_image(), phrase)[0]
        assert found.name == phrase.strip()
        assert np.isfinite(found.heatmap).all()

    def test_an_image_encoded_by_another_model_is_refused(self, segmenter: Segmenter) -> None:
        foreign = replace(segmenter.encode(random_image()), model="another")
        with pytest.raises(ImageError, match="another"):
            segmenter.segment(foreign, self.phrases[0])

    @pytest.mark.parametrize("threshold", [-0.1, 1.5, float("nan"), "high"], ids=lambda t: str(t)[:4])
    def test_a_presence_threshold_is_a_probability(self, segmenter: Segmenter, threshold: Any) -> None:
        with pytest.raises(PromptError, match=r"the presence threshold.*0 to 1"):
            segmenter.segment(random_image(), self.phrases[0], presence_threshold=threshold)

    def test_a_presence_threshold_replaces_the_models(self, segmenter: Segmenter) -> None:
        encoded = segmenter.encode(random_image())
        presence = segmenter.segment(encoded, self.phrases[0])[0].presence
        for limit in (0.0, presence, min(1.0, presence + 1e-6), 1.0):
            found = segmenter.segment(encoded, self.phrases[0], presence_threshold=limit)[0]
            assert found.presence_threshold == limit
            assert found.present == (presence >= limit)
            assert found.present or not found.area
        (many,) = segmenter.segment_many([random_image()], self.phrases[0], presence_threshold=0.125)
        assert many[0].presence_threshold == 0.125


def _mask_probabilities(found: Found) -> np.ndarray:
    """The highest mask probability of a result's regions, 0 to 1 at input size."""
    dense = [region.mask.probabilities() for region in found.regions or () if isinstance(region.mask, MaskLogits)]
    return np.maximum.reduce([np.zeros(found.size, np.float32), *dense])


class DenseMethodContract(MethodContract):
    """What methods with a dense map promise beyond that."""

    def test_the_threshold_cuts_the_heatmap(self, segmenter: Segmenter) -> None:
        encoded = segmenter.encode(random_image())
        middle = float(np.median(segmenter.segment(encoded, self.phrases[0])[0].heatmap))
        found = segmenter.segment(encoded, self.phrases[0], threshold=middle)[0]
        found = replace(found, presence_threshold=0.0)
        clear = np.abs(found.heatmap - middle) > 1e-5
        np.testing.assert_array_equal(found.mask[clear], (found.heatmap > middle)[clear])
        assert 0 < found.mask.mean() < 1

    def test_negatives_only_take_away(self, segmenter: Segmenter) -> None:
        encoded, (a, b) = segmenter.encode(random_image()), self.phrases[:2]
        level = float(np.median(segmenter.segment(encoded, a)[0].heatmap))
        asked = [TextPrompt(a), TextPrompt(a, negatives=(b,)), TextPrompt(b), TextPrompt(a, negatives=(a,))]
        plain, without, rival, itself = (
            replace(found, presence_threshold=0.0) for found in segmenter.segment(encoded, asked, threshold=level)
        )
        lost = plain.heatmap_logits.values <= rival.heatmap_logits.values
        kept = (plain.heatmap_logits.values > rival.heatmap_logits.values) & (
            plain.heatmap_logits.values > np.log(level / (1 - level))
        )
        assert without.name == a
        np.testing.assert_array_equal(without.heatmap_logits.values > np.log(level / (1 - level)), kept)
        assert not (kept & lost).any()
        assert itself.area == 0

    def test_negatives_take_away_at_threshold_0(self, segmenter: Segmenter) -> None:
        encoded, (a, b) = segmenter.encode(random_image()), self.phrases[:2]
        asked = [a, b, TextPrompt(a, negatives=(b,)), TextPrompt(b, negatives=(a,)), TextPrompt(a, negatives=(a,))]
        founds = segmenter.segment(encoded, asked, threshold=0)
        own, rival, first, second, itself = (replace(found, presence_threshold=0.0) for found in founds)
        assert own.mask.all()
        assert own.threshold == 0
        margin = restore(own.heatmap_logits.values - rival.heatmap_logits.values, own.heatmap_logits.placement)
        assert margin.min() < 0 < margin.max()
        assert not first.mask[margin < -1e-3].any()
        assert not second.mask[margin > 1e-3].any()
        assert first.mask.any() or second.mask.any()
        assert itself.area == 0
