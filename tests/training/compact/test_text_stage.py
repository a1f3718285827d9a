"""The text encoder learns the vectors it is given, and other words of the same meaning with them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from wordmask.training.compact.text_stage import encode_phrases, train_text_encoder
from wordmask.training.compact.vocabulary import PhraseTargets


def write_names(folder: Path) -> Path:
    entries = [
        {"name": "dog", "synonyms": ["hound"], "def": "an animal that barks"},
        {"name": "car_(automobile)", "synonyms": ["auto"], "def": ""},
        {"name": "tree", "synonyms": [], "def": ""},
    ]
    (folder / "lvis_names.json").write_text(json.dumps(entries))
    np.save(folder / "lvis_clip_vitb32.npy", np.random.default_rng(0).standard_normal((3, 16)))
    return folder


def test_vectors_of_names(tmp_path: Path) -> None:
    facts = {"synonyms": {"dog": ["mutt"]}, "preferred_noun": {"car": "car_(automobile)"}, "side_words": ["left"]}
    targets = PhraseTargets(write_names(tmp_path), facts, ["left door", "dogs"])
    assert np.array_equal(targets.of("mutt"), targets.of("hound"))
    assert np.array_equal(targets.of("dogs"), targets.of("dog"))
    assert np.array_equal(targets.of("car"), targets.vectors[1])
    assert targets.nouns == ["dog", "car", "tree"]
    np.testing.assert_allclose(np.linalg.norm(targets.of("left door")), 1, rtol=1e-5)


def test_the_encoder_learns_its_targets(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    targets = PhraseTargets(write_names(tmp_path), {"synonyms": {"dog": ["mutt"]}}, ["dog"])
    losses: list[float] = []
    model, tokenizer = train_text_encoder(
        targets, steps=60, batch=24, tokens=300, watch=lambda step, loss: losses.append(loss)
    )
    assert losses[-1] < losses[0] / 2
    with torch.no_grad():
        vectors = model(*encode_phrases(tokenizer, ["mutt", "auto", "tree"], model.length))
    nearest = (vectors @ torch.from_numpy(targets.vectors).T).argmax(1)
    assert nearest.tolist() == [0, 1, 2]
