"""Scores of masks and their assembly, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from wordmask.images import RgbImage
from wordmask.methods.pmp.assembly import distinct, panoptic_segments, semantic_maps
from wordmask.methods.pmp.clip_crops import FILL, masked_crop
from wordmask.methods.pmp.scoring import (
    clip_posterior,
    closed_posterior,
    ensemble,
    open_posterior,
    pooled_embeddings,
)
from wordmask.methods.pmp.stage_two_settings import StageTwoSettings
from wordmask.methods.pmp.text_classifier import TextClassifier
from wordmask.methods.pmp.vocabulary import bare_name, class_name


@pytest.mark.parametrize("weight", [0.0, 0.45, 0.6, 0.7, 1.0])
def test_the_ensemble_of_host_and_clip(weight: float) -> None:
    host, clip = torch.tensor([[0.9, 0.0, 0.1]] * 2), torch.tensor([[0.2, 0.5, 0.3]] * 2)
    known, skipped = torch.tensor([True, False, True]), torch.tensor([False, True])
    result = ensemble(host, clip, weight, known, skipped)
    expected = [
        [0.9 ** (1 - weight) * 0.2**weight, 0.5, 0.1 ** (1 - weight) * 0.3**weight],
        [0.9 ** (1 - weight), 0.0, 0.1 ** (1 - weight)],  # CLIP has not seen the second mask
    ]
    torch.testing.assert_close(result, torch.tensor(expected), rtol=0, atol=1e-6)


def test_a_closed_classifier_says_nothing_of_names_it_does_not_know() -> None:
    logits = torch.tensor([[0.5, 0.2, 0.1, 0.2]]).log()
    found = closed_posterior(logits, ("wall-other-merged", "cat", "wall-brick"), ("Wall", "dog", "cat"))
    assert found.known.tolist() == [True, False, True]
    assert float(found.objectness[0]) == pytest.approx(0.8)
    torch.testing.assert_close(found.names, torch.tensor([[0.5 / 0.8, 0.0, 0.2 / 0.8]]))


def test_a_classifier_by_text() -> None:
    classifier, names = TextClassifier(6, 4), torch.nn.functional.normalize(torch.randn(3, 4), dim=-1)
    logits = classifier(torch.randn(2, 5, 6), names, torch.tensor([[False] * 3, [False, True, False]]))
    assert logits.shape == (2, 5, 4)
    assert logits[0].abs().max() <= 1 / 0.07 + 1e-4
    found = open_posterior(logits[1])
    torch.testing.assert_close(found.names.sum(dim=1), torch.ones(5))
    assert found.names[:, 1].abs().max() == 0
    order = torch.tensor([2, 0, 1])
    turned = classifier(torch.ones(1, 1, 6), names[order])
    torch.testing.assert_close(turned[..., :3], classifier(torch.ones(1, 1, 6), names)[..., order])


def test_clips_posterior_is_a_softmax_over_phrases_and_logistic_for_examples() -> None:
    settings = StageTwoSettings(image_scale=10.0, image_offset=0.5)
    classifier = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    found = clip_posterior(
        torch.tensor([[3.0, 4.0]]), classifier, torch.tensor([False, False, True]), settings, scale=5.0
    )
    text = torch.tensor([3.0, 4.0]).softmax(0)
    torch.testing.assert_close(found[0], torch.tensor([text[0], text[1], torch.tensor(5.0).sigmoid()]))


def test_features_are_pooled_over_masks() -> None:
    features = torch.arange(8.0).view(2, 2, 2)  # (D, h, w)
    masks = torch.full((3, 4, 4), -9.0)
    masks[0, :2, :2] = 9.0
    masks[1, :, 2:] = 9.0
    masks[2, 3, 3] = -0.1  # covers no cell
    found = pooled_embeddings(features, masks)
    torch.testing.assert_close(found[:2], torch.tensor([[0.0, 4.0], [2.0, 6.0]]))
    assert found[2, 0] > 2.9


def test_a_semantic_map_is_a_sum_over_masks() -> None:
    scores, masks = torch.rand(3, 70), torch.randn(3, 2, 2)
    expected = torch.einsum("qk,qhw->khw", scores, masks.sigmoid()).clamp(max=1)
    torch.testing.assert_close(semantic_maps(scores, masks), expected)


def test_duplicates_are_removed() -> None:
    masks = torch.full((4, 4, 4), -1.0)
    masks[0, :2], masks[1, :2, :3], masks[2, 2:] = 1.0, 1.0, 1.0
    assert distinct(masks, torch.tensor([0.5, 0.9, 0.7, 0.1]), 0.7) == [1, 2, 3]
    assert distinct(masks, torch.tensor([0.5, 0.9, 0.7, 0.1]), 0.8) == [1, 2, 0, 3]


def test_panoptic_segments_do_not_overlap() -> None:
    masks = torch.full((3, 4, 4), -9.0)
    masks[0, :2], masks[1, 1:], masks[2, 1] = 9.0, 9.0, 9.0
    scores = torch.tensor([[0.9, 0.0], [0.0, 0.8], [0.7, 0.0]])
    segments = panoptic_segments(scores, masks, threshold=0.5, overlap=0.6)
    assert [(one.query, one.name) for one in segments] == [(0, 0), (1, 1)]
    assert not (segments[0].cells & segments[1].cells).any()
    assert int(segments[1].cells.sum()) == 8
    assert [one.query for one in panoptic_segments(scores, masks, threshold=0.5, overlap=0.7)] == [0]
    assert [one.name for one in panoptic_segments(scores, masks, threshold=0.5, overlap=0.6, allowed=1)] == [0]


def test_crops_have_the_mean_colour_around_the_mask() -> None:
    pixels = np.full((10, 12, 3), 200, np.uint8)
    mask = np.zeros((4, 6), np.bool_)
    mask[1:3, 1:5], mask[1, 1] = True, False
    crop = masked_crop(RgbImage(pixels), mask, size=2, corner=(3, 2))
    assert crop.shape == (2, 2, 3)
    assert (crop[1, 1] == 200).all()
    whole = masked_crop(RgbImage(pixels), np.array([[True, False], [True, True]]), size=2)
    assert (whole[0, 1] == FILL).all()
    assert (whole[1] == 200).all()


def test_names_inside_sentences_and_labels() -> None:
    phrases = ("a photo of a cat.", "A photo of the red car", "photo of an eye.", "a photo album")
    assert [bare_name(phrase) for phrase in phrases] == ["cat", "red car", "eye", "a photo album"]
    labels = ("wall-other-merged", "sky-other-merged", "floor-wood", "dining table", "grass-merged", "door-stuff")
    assert [class_name(label) for label in labels] == ["wall", "sky", "floor wood", "dining table", "grass", "door"]
