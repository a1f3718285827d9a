"""Two-stage models on random checkpoints: what every method promises, modes, and scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import wordmask
from tests.methods.contract import MethodContract, example, random_image
from tests.methods.pmp.folders import write_bundle
from wordmask.checkpoints.bundles import read_parts
from wordmask.contracts import ProposalSource, Segmenter
from wordmask.errors import CheckpointError, OfflineError, PromptError, WordmaskWarning
from wordmask.methods.pmp.two_stage import TwoStageSegmenter
from wordmask.methods.table import known_presets
from wordmask.ops.geometry import restore
from wordmask.prompts import TextPrompt

NAMES = ("cat", "hair", "left eye", "the red car", "dog", "sky", "grass", "a lamp", "tree")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("two-stage") / "bundle", scorer="both", dense_size=64)


@pytest.fixture(scope="module")
def two_stage(folder: Path) -> TwoStageSegmenter:
    return load(folder)


@pytest.fixture(scope="module")
def guided(folder: Path) -> TwoStageSegmenter:
    """The same, with text attention that is open."""
    segmenter = load(folder)
    generator = torch.Generator().manual_seed(0)
    for layer in segmenter.model.guided.guidance.attentions:
        torch.nn.init.normal_(layer.gate, std=0.5, generator=generator)
    segmenter.model.is_guided = True
    return segmenter


def load(folder: Path) -> TwoStageSegmenter:
    segmenter = wordmask.load(folder, dtype="float32", device="cpu")
    assert isinstance(segmenter, TwoStageSegmenter)
    return segmenter


def changed(segmenter: TwoStageSegmenter, **settings: Any) -> TwoStageSegmenter:
    """The same weights with other settings."""
    from copy import copy
    from dataclasses import replace

    model = copy(segmenter.model)
    model.settings = replace(model.settings, **settings)
    return TwoStageSegmenter(model, device="cpu")


class TestTwoStage(MethodContract):
    """What every method promises."""

    tolerance = 2e-3  # logits up to 9, from weights so large that rounding grows

    @pytest.fixture
    def segmenter(self, two_stage: TwoStageSegmenter) -> Segmenter:
        return two_stage


@pytest.mark.slow
class TestGuided(MethodContract):
    """The same with a decoder that reads the prompts one by one."""

    tolerance = 2e-3

    @pytest.fixture
    def segmenter(self, guided: TwoStageSegmenter) -> Segmenter:
        return guided


def scores(segmenter: TwoStageSegmenter, names: Any, *, seed: int = 0) -> np.ndarray:
    """The maps of all names `(K, h, w)`."""
    result = segmenter.segment(random_image(seed=seed), names)
    return np.stack([found.heatmap_logits.values for found in result if found.heatmap_logits])


def test_prompts_in_chunks_equal_prompts_one_by_one(guided: TwoStageSegmenter) -> None:
    names = list(NAMES[:5])
    maps = [scores(changed(guided, chunk=chunk, mode="single"), names) for chunk in (1, 2, 8)]
    np.testing.assert_allclose(maps[0], maps[1], atol=1e-4)
    np.testing.assert_allclose(maps[0], maps[2], atol=1e-4)
    assert np.abs(maps[0] - scores(guided.in_mode("vocab"), names)).max() > 1e-2


def test_one_prompt_alone_is_a_vocabulary_of_one(guided: TwoStageSegmenter) -> None:
    same = changed(guided, text_tokens="sentence")
    maps = [scores(same.in_mode(mode), "hair") for mode in ("single", "vocab")]
    np.testing.assert_allclose(maps[0], maps[1], atol=1e-5)


def test_auto_asks_a_few_prompts_one_by_one(guided: TwoStageSegmenter, two_stage: TwoStageSegmenter) -> None:
    assert [guided.chosen_mode(number) for number in (1, 8, 9, 847)] == ["single", "single", "vocab", "vocab"]
    assert two_stage.chosen_mode(1) == "unguided"
    np.testing.assert_allclose(scores(guided, list(NAMES)), scores(guided.in_mode("vocab"), list(NAMES)), atol=2e-3)


def test_unguided_is_the_host_whatever_the_gates(guided: TwoStageSegmenter, two_stage: TwoStageSegmenter) -> None:
    names = list(NAMES[:3])
    np.testing.assert_allclose(scores(guided.in_mode("unguided"), names), scores(two_stage, names), atol=2e-3)
    assert np.abs(scores(guided, names) - scores(two_stage, names)).max() > 1e-2


def test_a_shortlist_asks_the_most_probable_prompts_again(guided: TwoStageSegmenter) -> None:
    names = list(NAMES)
    together = scores(guided.in_mode("vocab"), names)
    short = changed(guided, shortlist=3, text_tokens="sentence", mode="shortlist")
    result = short.segment(random_image(), names)
    maps = [found.heatmap_logits.values for found in result if found.heatmap_logits]
    again = [bool(np.abs(one - other).max() > 1e-2) for one, other in zip(maps, together, strict=True)]
    best = np.argsort([-found.presence for found in guided.in_mode("vocab").segment(random_image(), names)])[:3]
    assert [index for index, one in enumerate(again) if one] == sorted(best.tolist())


def test_many_passes_are_warned_of_and_auto_never_makes_them(guided: TwoStageSegmenter) -> None:
    with pytest.warns(WordmaskWarning, match="65 prompts asked one by one"):
        assert guided.in_mode("single").chosen_mode(65) == "single"
    with pytest.raises(PromptError, match="the mode 'fast'"):
        guided.in_mode("fast")


def test_features_of_the_image_are_computed_once(guided: TwoStageSegmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    encode = guided.model.guided.encode

    def counted(pixels: torch.Tensor) -> Any:
        calls.append(pixels)
        return encode(pixels)

    monkeypatch.setattr(guided.model.guided, "encode", counted)
    guided.in_mode("single").segment(random_image(), list(NAMES))
    assert len(calls) == 1


def test_a_single_prompt_competes_with_others_that_are_not_returned(two_stage: TwoStageSegmenter) -> None:
    (found,) = two_stage.segment(random_image(), "hair")
    assert found.name == "hair"
    vocabulary = two_stage.encoder((TextPrompt("hair"),), one_by_one=True)
    assert vocabulary.others == ("others", "cat", "dog", "sky")  # with the host's own names
    assert two_stage.encoder((TextPrompt("sky"), TextPrompt("Others")), one_by_one=True).others == ("cat", "dog")
    plain = changed(two_stage, distract_below=0)
    assert plain.encoder((TextPrompt("hair", negatives=("hat",)),), one_by_one=True).others == ("hat",)
    assert plain.segment(random_image(), "hair")[0].presence >= found.presence


def test_names_are_found_in_sentences_and_labels(two_stage: TwoStageSegmenter) -> None:
    names = two_stage.encoder((TextPrompt("a photo of a dog."), TextPrompt("hair")), one_by_one=False).names
    assert names == ("dog", "hair")


def test_an_absent_prompt_comes_back_empty_with_its_presence(two_stage: TwoStageSegmenter) -> None:
    (found,) = two_stage.segment(random_image(), "hair", presence_threshold=1.0)
    assert 0 < found.presence < 1
    assert found.area == 0


@pytest.mark.parametrize("policy", ["instances", "panoptic", "semantic"])
def test_policies(two_stage: TwoStageSegmenter, policy: str) -> None:
    segmenter = changed(two_stage, policy=policy, region_threshold=0.02, presence=0.0, overlap=0.2)
    result = segmenter.segment(random_image(), list(NAMES[:3]), presence_threshold=0.0)
    regions = [found.regions for found in result]
    assert (regions == [None] * 3) == (policy == "semantic")
    if policy == "panoptic":
        assert sum(len(one or ()) for one in regions) >= 1
        queries = [id(region.mask) for one in regions for region in one or ()]
        assert len(set(queries)) == len(queries)
    if policy == "instances":
        assert all(one for one in regions)
        assert [r.score for r in regions[0] or ()] == sorted((r.score for r in regions[0] or ()), reverse=True)


@pytest.mark.parametrize("scorer", ["crops", "dense", "none"])
def test_scorers_differ_and_say_what_they_are_made_of(two_stage: TwoStageSegmenter, scorer: str) -> None:
    (found,) = changed(two_stage, scorer=scorer).segment(random_image(), "cat")
    assert np.abs(scores(two_stage, "cat") - scores(changed(two_stage, scorer=scorer), "cat")).max() > 1e-4
    parts = found.candidates[0].scores
    assert set(parts) == {"score", "objectness", "host"} | ({"clip"} if scorer != "none" else set())
    expected = parts["host"] if scorer == "none" else parts["host"] ** 0.4 * parts["clip"] ** 0.6
    assert parts["score"] == pytest.approx(expected * parts["objectness"], abs=1e-6)
    assert "score" in found.explain()


def test_an_empty_mask_does_not_make_a_prompt_present(
    two_stage: TwoStageSegmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter = changed(two_stage, scorer="crops")
    decode = segmenter.model.decode

    def emptied(*args: Any) -> Any:
        masks, states = decode(*args)
        masks[-1][0, 1:] = -20.0
        return masks, states

    monkeypatch.setattr(segmenter.model, "decode", emptied)
    (found,) = segmenter.segment(random_image(), "cat", presence_threshold=0.0)
    best, *others = found.candidates
    assert np.asarray(best.region.mask.values).max() > 0
    assert found.presence == best.scores["score"] > 0
    assert {one.scores["score"] for one in others} == {0.0}
    assert max(one.scores["objectness"] * one.scores["host"] ** 0.4 for one in others) > found.presence
    assert [region.score for region in found.regions or ()] == [found.presence]


def test_examples_are_scored_by_themselves(two_stage: TwoStageSegmenter) -> None:
    one, other = (two_stage.segment(random_image(), ["hair", example(seed=seed)]) for seed in (1, 2))
    first, second = (found.heatmap_logits for found in (one[0], other[0]))
    assert first is not None
    assert second is not None
    np.testing.assert_allclose(first.values, second.values, atol=2e-3)
    assert one[1].presence != other[1].presence


def test_bfloat16_is_near_float32(folder: Path, two_stage: TwoStageSegmenter) -> None:
    half = wordmask.load(folder, dtype="bfloat16", device="cpu")
    assert isinstance(half, TwoStageSegmenter)
    assert {w.dtype for w in half.model.guided.parameters()} == {torch.float32}
    assert {w.dtype for w in half.model.clip.parameters()} == {torch.bfloat16}
    one, other = (s.segment(random_image(), list(NAMES[:3])) for s in (half, two_stage))
    assert [f.presence for f in one] == pytest.approx([f.presence for f in other], abs=0.2)


def test_it_proposes_without_a_prompt(two_stage: TwoStageSegmenter) -> None:
    assert isinstance(two_stage, ProposalSource)
    regions = two_stage.propose(two_stage.encode(random_image()))
    assert len(regions) == 7
    assert [region.score for region in regions] == sorted((region.score for region in regions), reverse=True)
    full = restore(regions[0].mask.values, regions[0].mask.placement)  # type: ignore[union-attr]
    assert full.shape == (48, 64)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["maskformer", "eomt"])
def test_other_hosts(tmp_path: Path, kind: str) -> None:
    segmenter = load(write_bundle(tmp_path / kind, kind, scorer="dense", dense_size=64))
    result = segmenter.segment(random_image(301, 40), list(NAMES))
    assert result.names == NAMES
    assert all(found.heatmap.shape == (301, 40) for found in result)
    assert segmenter.model.canvas((40, 301)).canvas == ((64, 64) if kind == "eomt" else (32, 128))


@pytest.mark.parametrize("name", ["two-stage", "two-stage-maskformer", "two-stage-eomt"])
def test_presets_name_the_parts_of_their_folders_with_licences(name: str) -> None:
    preset = known_presets()[name]
    assert preset.folder is not None
    assert read_parts(preset.folder) == preset.parts
    assert all(part.licence and part.bytes for part in preset.parts)
    assert [part.role for part in preset.parts] == ["host", "clip"]
    with pytest.raises(OfflineError, match=r"'host' \(.*could not be fetched"):
        wordmask.load(name)


def test_wrong_folders_are_refused(folder: Path, tmp_path: Path) -> None:
    content = json.loads((folder / "config.json").read_text())
    parts = {role: {"path": str(folder / role)} for role in ("host", "clip")}
    cases: dict[str, dict[str, Any]] = {
        "mode='fast'": {"settings": {"mode": "fast"}},
        "the value 'speed'": {"settings": {"speed": 1}},
        "'mask2former', expected a CLIP": {"parts": {**parts, "clip": parts["host"]}},
        "model_type 'clip', expected one of mask2former": {"parts": {**parts, "host": parts["clip"]}},
        "without the part 'clip'": {"parts": {"host": parts["host"]}},
    }
    for index, (message, change) in enumerate(cases.items()):
        broken = tmp_path / str(index)
        broken.mkdir()
        (broken / "config.json").write_text(json.dumps({**content, "parts": parts, **change}))
        with pytest.raises(CheckpointError, match=message):
            wordmask.load(broken)
