"""Prompts: what is accepted, what it becomes, what is refused and how."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.images import scene
from wordmask.errors import ImageError, PromptError
from wordmask.prompts import MixedPrompt, TextPrompt, VisualPrompt, as_prompts, distinct_prompts, fold_phrase

# --- text ---


def test_text_is_stripped_and_is_the_name() -> None:
    prompt = TextPrompt("  left eye\n", negatives=(" eyebrow ",))
    assert prompt.text == prompt.name == "left eye"
    assert prompt.negatives == ("eyebrow",)


def test_text_prompts_are_values() -> None:
    assert TextPrompt("hair") == TextPrompt(" hair ")
    assert hash(TextPrompt("hair", negatives=("fur",))) == hash(TextPrompt("hair", negatives=("fur",)))
    assert TextPrompt("hair") != TextPrompt("hair", negatives=("fur",))


CLEANED = [
    ("hair", "hair"),
    ("hair?", "hair"),
    ("hair!", "hair"),
    ("hair:", "hair"),
    ("hair;", "hair"),
    ("hair,", "hair"),
    ("hair…", "hair"),
    ('"hair"', "hair"),
    ("“hair”", "hair"),
    ("'hair'", "hair"),
    ("(hair)", "hair"),
    ("[hair]", "hair"),
    ("*hair*", "hair"),
    ("#hair", "hair"),
    ("- hair -", "hair"),
    ("hair 🙂", "hair"),
    ("👩🏽‍🚀 hair", "hair"),
    ("\u200bhair", "hair"),
    ("\ufeffhair", "hair"),
    ("ha\u00adir", "hair"),
    ("hair\x00", "hair"),
    ("ｈａｉｒ", "hair"),
    ("left  eye", "left eye"),
    ("left\teye", "left eye"),
    ("left\u00a0eye", "left eye"),
    ("left_eye", "left eye"),
    ("left-eye", "left-eye"),
    ("man (left)", "man left"),
    ("l’œil gauche", "l'œil gauche"),
    ("red/green, striped", "red/green, striped"),
    ("a photo of a cat.", "a photo of a cat."),
    ("<|endoftext|>", "endoftext"),
    ("猫？", "猫"),
    ("Hair", "Hair"),
    ("?!", "?!"),
    ("🙂", "🙂"),
]


@pytest.mark.parametrize(("typed", "read"), CLEANED)
def test_the_model_reads_a_clean_phrase(typed: str, read: str) -> None:
    prompt = TextPrompt(typed, negatives=(typed,))
    assert prompt.text == read
    assert prompt.negatives == (read,)
    assert TextPrompt(read).text == read
    assert prompt == TextPrompt(read, negatives=(read,))


def test_the_name_is_what_was_typed() -> None:
    assert TextPrompt(' "left  eye"? ').name == '"left  eye"?'
    assert TextPrompt("\ufeffhair\u200b").name == "hair"
    assert TextPrompt("hair", name="Haar").name == "Haar"
    with pytest.raises(PromptError, match="blank prompt"):
        TextPrompt("hair", name=" ")


@pytest.mark.parametrize("same", ["Hair", "HAIR", " hair ", "hair?", "hair.", "(Hair)", "hair 🙂"])
def test_a_repeated_phrase_is_one_question(same: str) -> None:
    visual = VisualPrompt(scene())
    prompts = as_prompts(["eye", "hair", visual, same, visual, TextPrompt("hair", negatives=("fur",))])
    different, places = distinct_prompts(prompts)
    assert [prompt.name for prompt in different] == ["eye", "hair", "visual prompt", "hair"]
    assert different[1] is prompts[1]
    assert places == (0, 1, 2, 1, 2, 3)
    assert fold_phrase(same) == "hair"


def test_marks_alone_differ() -> None:
    assert len({fold_phrase(text) for text in ("🙂", "🐈", "?", "!", "hair")}) == 5


@pytest.mark.parametrize("text", ["🙂", "👩‍🚀", "猫", "l'œil gauche", "a", "?!", "x" * 2000, " " * 9000 + "x"])
def test_unusual_but_good_phrases(text: str) -> None:
    assert TextPrompt(text).text == text.strip()


BAD_PHRASES: list[tuple[Any, str]] = [
    ("", "blank prompt.*name what to segment"),
    (" \t\n", "blank prompt"),
    ("\u200b\u2060", "blank prompt"),  # zero-width characters only
    ("\x00\x07", "blank prompt"),
    ("x" * 2001, "2001 characters.*at most 2000.*shorten"),
    ("word " * 2000, r"9999 characters"),
    ("\ud83d", "valid Unicode"),
    (5, "type int.*a phrase"),
    (None, "type NoneType"),
    (b"hair", "type bytes"),
    (["hair"], "type list"),
]


@pytest.mark.parametrize(("text", "message"), BAD_PHRASES)
def test_bad_phrases(text: Any, message: str) -> None:
    with pytest.raises(PromptError, match=message) as caught:
        TextPrompt(text)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("text", [text for text, _ in BAD_PHRASES])
def test_bad_negatives(text: Any) -> None:
    with pytest.raises(PromptError):
        TextPrompt("eye", negatives=("eyebrow", text))


@pytest.mark.parametrize("negatives", ["eyebrow", 5, None])
def test_negatives_must_be_a_collection(negatives: Any) -> None:
    with pytest.raises(PromptError, match="tuple of phrases"):
        TextPrompt("eye", negatives=negatives)


# --- visual ---


def test_visual_prompt_reads_its_image_and_mask() -> None:
    mask = np.zeros((6, 8), dtype=np.uint8)
    mask[2:4, 3:5] = 200
    prompt = VisualPrompt(scene(), mask)
    np.testing.assert_array_equal(prompt.example.pixels, scene())
    np.testing.assert_array_equal(prompt.region, mask > 0)
    assert prompt.region.dtype == np.bool_
    assert prompt.name == "visual prompt"
    assert prompt.mode == "crop_blur_highlight352"


def test_visual_prompt_without_a_mask_means_all_of_it() -> None:
    prompt = VisualPrompt(scene(), name="this cat")
    assert prompt.mask is None
    assert prompt.region.shape == (6, 8)
    assert prompt.region.all()
    assert prompt.name == "this cat"


def test_masks_of_any_kind() -> None:
    expected = np.arange(48).reshape(6, 8) % 5 == 0
    kinds: list[Any] = [
        expected,
        expected.astype(np.uint8) * 255,
        expected.astype(np.float32),
        expected[..., None],
        expected[None],
        torch.from_numpy(expected),
        torch.from_numpy(expected)[None],
        Image.fromarray(expected),
        Image.fromarray(expected.astype(np.uint8) * 255),
    ]
    for kind in kinds:
        np.testing.assert_array_equal(VisualPrompt(scene(), kind).region, expected)


def test_the_mask_is_a_copy() -> None:
    mask = np.ones((6, 8), dtype=bool)
    prompt = VisualPrompt(scene(), mask)
    mask[:] = False
    assert prompt.region.all()


BAD_MASKS: list[tuple[Any, str]] = [
    (np.zeros((6, 8), bool), "empty mask"),
    (np.full((6, 8), np.nan), "empty mask"),
    (np.ones((8, 6), bool), r"shape \(8, 6\).*\(6, 8\)"),
    (np.ones((6, 8, 3), bool), r"shape \(6, 8, 3\)"),
    (np.full((6, 8), "x"), "mask of type ndarray"),
    ("mask.png", "mask of type str"),
    ([[1, 2], [3]], "mask of type list"),
]


@pytest.mark.parametrize(("mask", "message"), BAD_MASKS)
def test_bad_masks(mask: Any, message: str) -> None:
    with pytest.raises(PromptError, match=message):
        VisualPrompt(scene(), mask)


def test_a_bad_example_fails_when_the_prompt_is_made() -> None:
    with pytest.raises(ImageError, match="nothing"):
        VisualPrompt("nope.png")


# --- mixed ---


def test_mixed_prompt_wraps_a_string() -> None:
    visual = VisualPrompt(scene())
    prompt = MixedPrompt(" cat ", visual)
    assert prompt.phrase == TextPrompt("cat")
    assert prompt.name == "cat"
    assert prompt.visual is visual
    assert prompt.weight == 0.5


@pytest.mark.parametrize("weight", [0, 1, 0.25, np.float32(0.5)])
def test_weights(weight: float) -> None:
    prompt = MixedPrompt(TextPrompt("cat"), VisualPrompt(scene()), weight=weight)
    assert prompt.weight == float(weight)
    assert type(prompt.weight) is float


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan"), float("inf"), "much", None])
def test_bad_weights(weight: Any) -> None:
    with pytest.raises(PromptError, match="from 0 to 1"):
        MixedPrompt("cat", VisualPrompt(scene()), weight=weight)


def test_the_visual_part_must_be_one() -> None:
    with pytest.raises(PromptError, match=r"type ndarray.*VisualPrompt"):
        MixedPrompt("cat", scene())  # type: ignore[arg-type]


# --- lists ---


def test_one_prompt_or_many() -> None:
    visual = VisualPrompt(scene())
    assert as_prompts("hair") == (TextPrompt("hair"),)
    assert as_prompts(visual) == (visual,)
    assert as_prompts(["hair", visual]) == (TextPrompt("hair"), visual)
    assert as_prompts(("hair",)) == (TextPrompt("hair"),)
    assert as_prompts(np.array(["hair", "eye"])) == (TextPrompt("hair"), TextPrompt("eye"))  # type: ignore[arg-type]
    assert as_prompts(name for name in "ab") == (TextPrompt("a"), TextPrompt("b"))  # type: ignore[arg-type]


def test_duplicates_keep_their_places() -> None:
    assert [prompt.name for prompt in as_prompts(["eye", "hair", "eye", " eye"])] == ["eye", "hair", "eye", "eye"]


@pytest.mark.parametrize("prompts", [[], (), iter([])])
def test_no_prompt(prompts: Any) -> None:
    with pytest.raises(PromptError, match="no prompt, expected at least one phrase"):
        as_prompts(prompts)


@pytest.mark.parametrize("prompts", [None, 5, {"hair"}, {"hair": 1}, b"hair"])
def test_what_is_no_list(prompts: Any) -> None:
    with pytest.raises(PromptError, match=f"type {type(prompts).__name__}.*list of phrases"):
        as_prompts(prompts)


@pytest.mark.parametrize("text", [text for text, _ in BAD_PHRASES])
def test_one_bad_prompt_among_good_ones(text: Any) -> None:
    with pytest.raises(PromptError):
        as_prompts(["hair", text])
