"""What TAS answers where there is little to choose from, or little to understand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.methods.contract import random_image
from tests.methods.grid_regions import GridRegions
from wordmask.contracts import Encoded
from wordmask.images import RgbImage
from wordmask.methods.tas.regions import TasFeatures, pack_masks, pack_text
from wordmask.methods.tas.segmenter import TasSegmenter
from wordmask.methods.tas.settings import TasSettings
from wordmask.ops.geometry import squash

RULES = ("intended", "released", "none")


@pytest.fixture(scope="module", params=RULES)
def tas(request: pytest.FixtureRequest) -> TasSegmenter:
    return TasSegmenter(GridRegions(), TasSettings(rectifier=request.param))


class NoRegions(GridRegions):
    """A model that proposes nothing."""

    def encode(self, image: RgbImage) -> Encoded:
        nothing = torch.zeros(0, 8)
        features = TasFeatures(*pack_masks([]), torch.zeros(0), nothing, nothing, nothing, pack_text([]))
        return Encoded(image.size, squash(image.size, image.size), features, image, self.name)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("phrase", ["a cat", "the cat on the left", "left"])
def test_without_proposals_the_mask_is_empty_and_a_note_says_so(rule: str, phrase: str) -> None:
    found = TasSegmenter(NoRegions(), TasSettings(rectifier=rule)).segment(random_image(), phrase)[0]
    assert not found.area
    assert found.presence == 0
    assert found.candidates == ()
    assert "no proposals" in found.explain()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("phrase", ["a cat", "the cat on the left", "second cat from the right", "right"])
def test_a_single_proposal_is_the_answer(rule: str, phrase: str) -> None:
    found = TasSegmenter(GridRegions(1, 1), TasSettings(rectifier=rule)).segment(random_image(), phrase)[0]
    assert found.mask.all()
    assert np.isfinite(list(found.candidates[0].scores.values())).all()


@pytest.mark.filterwarnings("ignore:.*tokens, expected at most:wordmask.errors.WordmaskWarning")
@pytest.mark.parametrize(
    "phrase",
    [
        "left", "the one", "der Hund links", "走る人", "the man who left", "top hat", "the right eye", "of the on",
        "the man without a hat", "and " * 200, "the cup next to the laptop on the left of the third chair",
        "two dogs", "not the left one",
    ],
)  # fmt: skip
def test_odd_sentences_have_one_answer(tas: TasSegmenter, phrase: str) -> None:
    found = tas.segment(random_image(), phrase)[0]
    assert found.area
    assert sum(candidate.chosen for candidate in found.candidates) >= 1
    assert np.isfinite([value for one in found.candidates for value in one.scores.values()]).all()


def test_left_alone_is_the_leftmost_region() -> None:
    found = TasSegmenter(GridRegions()).segment(random_image(), "left")[0]
    assert (found.box or (9, 9, 9, 9))[0] == 0


def test_what_a_sentence_excludes_counts_as_a_negative() -> None:
    segmenter = TasSegmenter(GridRegions())
    plain, without = segmenter.segment(random_image(), ["the man", "the man without a hat"])
    assert [one.scores["negative"] for one in plain.candidates] != [
        one.scores["negative"] for one in without.candidates
    ]
    assert segmenter.segment(random_image(), "the man who left", place="off")[0].area


def test_negatives_that_are_all_synonyms_leave_no_penalty() -> None:
    found = TasSegmenter(GridRegions()).segment(random_image(), "cat sky")[0]  # head noun: sky; "a cat" stays
    assert any(one.scores["negative"] for one in found.candidates)
    model = GridRegions()
    encoded = model.encode(RgbImage(random_image()))
    features = encoded.features._replace(phrases=torch.zeros(0, 8))
    bare = Encoded(encoded.size, encoded.placement, features, encoded.image, model.name)
    assert {one.scores["negative"] for one in TasSegmenter(model).segment(bare, "cat")[0].candidates} == {0.0}
