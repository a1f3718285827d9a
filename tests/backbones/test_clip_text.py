"""CLIP's text tower over a tree of phrases: as transformers' own, phrase by phrase."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.methods.checkpoints import write_clipseg
from wordmask.backbones.clip import text as clip_text
from wordmask.backbones.clip.text import ClipTextEncoder, build_tree
from wordmask.errors import CheckpointError
from wordmask.methods.clipseg import load_clipseg

pytestmark = pytest.mark.filterwarnings("ignore::wordmask.errors.WordmaskWarning")  # long phrases are truncated

PHRASES = ["hair", "a photo of hair", "a photo of a left eye", "a photo of hair", "h", "a photo", "hair " * 60]
TOLERANCE = 1e-5
pytestmark = pytest.mark.filterwarnings("ignore:.*tokens, expected at most 77:wordmask.errors.WordmaskWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clipseg")
    write_clipseg(folder)
    return folder


@pytest.fixture(scope="module")
def encoder(folder: Path) -> ClipTextEncoder:
    encoder = load_clipseg(folder, device="cpu", dtype="float32").model.text  # type: ignore[attr-defined]
    assert isinstance(encoder, ClipTextEncoder)
    return encoder


def theirs(folder: Path, texts: list[str]) -> Tensor:
    """Transformers' own text tower, each phrase alone."""
    from transformers import CLIPSegForImageSegmentation, CLIPTokenizer

    model = CLIPSegForImageSegmentation.from_pretrained(folder).eval()
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    rows = []
    for text in texts:
        tokens = tokenizer([text], truncation=True, max_length=77, return_tensors="pt")
        with torch.inference_mode():
            rows.append(model.clip.get_text_features(input_ids=tokens["input_ids"]).pooler_output)
    return torch.cat(rows)


def test_a_tree_has_one_node_for_what_phrases_have_in_common() -> None:
    tree = build_tree([(9, 1, 2), (9, 1), (9, 3, 2), (9, 1, 2)])
    assert tree.tokens.tolist() == [9, 1, 2, 3, 2]
    assert tree.positions.tolist() == [0, 1, 2, 1, 2]
    assert tree.ends.tolist() == [2, 1, 4, 2]
    assert [row.nonzero().flatten().tolist() for row in tree.visible] == [[0], [0, 1], [0, 1, 2], [0, 3], [0, 3, 4]]


def test_vectors_are_those_of_transformers(folder: Path, encoder: ClipTextEncoder) -> None:
    with torch.inference_mode():
        got = encoder.embed_texts(PHRASES)
    expected = theirs(folder, PHRASES)
    assert (expected[0] - expected[1]).abs().max() > 1e-3  # else equality would say little
    torch.testing.assert_close(got, expected, atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(got[1], got[3], atol=0, rtol=0)


@pytest.mark.parametrize("limit", [1, 7, 20])
def test_parts_of_any_size_give_the_same(encoder: ClipTextEncoder, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    with torch.inference_mode():
        together = encoder.embed_texts(PHRASES)
        monkeypatch.setattr(clip_text, "NODES_AT_ONCE", limit)
        sizes: list[int] = []
        hook = encoder.blocks[0].register_forward_hook(lambda _block, inputs, _out: sizes.append(inputs[0].shape[1]))
        torch.testing.assert_close(encoder.embed_texts(PHRASES), together, atol=TOLERANCE, rtol=0)
    hook.remove()
    assert len(sizes) > 1
    assert all(size <= max(limit, 77) for size in sizes)


def test_what_phrases_share_is_read_once(encoder: ClipTextEncoder) -> None:
    sizes: list[int] = []
    hook = encoder.blocks[0].register_forward_hook(lambda _block, inputs, _out: sizes.append(inputs[0].shape[1]))
    with torch.inference_mode():
        encoder.embed_texts(["a photo of hair"])
        encoder.embed_texts(["a photo of hair"] * 5)
    hook.remove()
    assert sizes[0] == sizes[1]


def test_only_the_context_is_read(encoder: ClipTextEncoder) -> None:
    long = "hair " * 76
    with torch.inference_mode():
        cut, longer = encoder.embed_texts([long, long + "eye " * 9])
    assert torch.equal(cut, longer)


def test_a_written_end_of_text_ends_the_text(folder: Path, encoder: ClipTextEncoder) -> None:
    texts = ["hair <|endoftext|> eye", "hair"]
    with torch.inference_mode():
        got = encoder.embed_texts(texts)
    torch.testing.assert_close(got, theirs(folder, texts), atol=TOLERANCE, rtol=0)
    assert torch.equal(got[0], got[1])


def test_a_tokenizer_that_ends_texts_otherwise_is_refused(tmp_path: Path) -> None:
    write_clipseg(tmp_path)
    path = tmp_path / "config.json"
    config: dict[str, Any] = json.loads(path.read_text())
    config["text_config"]["eos_token_id"] = 3
    path.write_text(json.dumps(config))
    segmenter = load_clipseg(tmp_path, device="cpu", dtype="float32")
    with pytest.raises(CheckpointError, match="ends no text with 3"):
        segmenter.model.embed_texts(["hair"])  # type: ignore[attr-defined]


def test_words_end_with_the_embedding_of_the_phrase(folder: Path, encoder: ClipTextEncoder) -> None:
    from transformers import CLIPSegForImageSegmentation

    phrases = ["hair", "a photo of hair"]
    clip = CLIPSegForImageSegmentation.from_pretrained(folder).eval().clip
    with torch.inference_mode():
        words, whole = encoder.embed_words(phrases), encoder.embed_texts(phrases)
        for phrase, found, end in zip(phrases, words, whole, strict=True):
            tokens = encoder.tokenizer([phrase], return_tensors="pt")["input_ids"]
            expected = clip.text_projection(clip.text_model(input_ids=tokens).last_hidden_state)[0, 1:]
            torch.testing.assert_close(found, expected, atol=TOLERANCE, rtol=0)
            torch.testing.assert_close(found[-1], end, atol=TOLERANCE, rtol=0)
