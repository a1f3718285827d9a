"""The region segmenter: the contract of every method, on random checkpoints saved to disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import wordmask
from tests.methods.contract import MethodContract, random_image
from tests.methods.region_checkpoints import write_bundle
from wordmask.checkpoints.bundles import read_parts
from wordmask.contracts import Encoded, Segmenter
from wordmask.errors import CheckpointError
from wordmask.methods.imss.detectors import OracleDetector
from wordmask.methods.imss.losi import Isolation
from wordmask.methods.imss.segmenter import RegionSegmenter
from wordmask.methods.table import METHODS, known_presets
from wordmask.results import MaskLogits


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def loaded(bundle: Path) -> RegionSegmenter:
    segmenter = wordmask.load(bundle, dtype="float32")
    assert isinstance(segmenter, RegionSegmenter)
    return segmenter


class TestRegionSegmenter(MethodContract):
    @pytest.fixture
    def segmenter(self, loaded: RegionSegmenter) -> Segmenter:
        return loaded


def test_regions_have_two_scores_and_dropped_boxes_are_candidates(loaded: RegionSegmenter) -> None:
    encoded = loaded.encode(random_image())
    every = loaded.segment(encoded, ["hair", "a cat", "left eye"])[0].candidates
    limit = float(np.median([candidate.region.score for candidate in every]))
    found = loaded.segment(encoded, ["hair", "a cat", "left eye"], presence_threshold=limit)[0]
    assert found.regions is not None
    chosen = [candidate for candidate in found.candidates if candidate.chosen]
    assert len(chosen) == len(found.regions) > 0
    assert len(found.candidates) > len(chosen)
    for region in found.regions:
        assert region.score >= limit
        assert region.mask_score is not None
        assert 0 <= region.mask_score <= 1
        assert isinstance(region.mask, MaskLogits)
    dropped = [candidate for candidate in found.candidates if not candidate.chosen]
    assert all(c.scores["detection"] < limit or len(c.scores) > 1 for c in dropped)
    assert "candidates:" in found.explain()


def _with_boxes(loaded: RegionSegmenter, count: int, **rules: object) -> RegionSegmenter:
    boxes = [(4.0 + 9 * k, 5.0 + 4 * k, 20.0 + 9 * k, 24.0 + 4 * k) for k in range(count)]
    return RegionSegmenter(OracleDetector({"eye": boxes}), loaded.host, isolation=Isolation(**rules))  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [0, 1, 5])
def test_any_number_of_regions(loaded: RegionSegmenter, count: int) -> None:
    found = _with_boxes(loaded, count).segment(random_image(), "eye")[0]
    assert found.regions is not None
    assert len(found.regions) == count
    assert found.present == (count > 0)
    assert found.presence == (1.0 if count else 0.0)
    assert found.mask.shape == (48, 64)
    assert found.packed.area > 0 or not count


def test_one_region_alone_equals_it_among_five(loaded: RegionSegmenter) -> None:
    many, one = (_with_boxes(loaded, count).segment(random_image(), "eye")[0].regions for count in (5, 1))
    assert many
    assert one
    np.testing.assert_allclose(many[0].mask.values, one[0].mask.values, atol=1e-5)  # type: ignore[union-attr]


def test_all_prompts_and_boxes_share_one_encoding(loaded: RegionSegmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    encode = loaded.host.encode_pixels
    segmenter = _with_boxes(loaded, 5, zoom="auto", zoom_below=0.0)

    def counted(pixels: torch.Tensor) -> object:
        calls.append(len(pixels))
        return encode(pixels)

    monkeypatch.setattr(segmenter._image_model, "encode_pixels", counted)
    segmenter.segment(random_image(), ["eye", "hair"])
    assert calls == [1]


@torch.inference_mode()
def test_masks_equal_transformers(bundle: Path, loaded: RegionSegmenter) -> None:
    from transformers import SamModel

    model = SamModel.from_pretrained(bundle / "segmenter").eval()
    encoded = loaded.encode(random_image(48, 64))
    box = (4.0, 5.0, 20.0, 24.0)
    (drawn,) = loaded.segment_boxes(encoded, [box])
    assert encoded.image is not None
    pixels = loaded._pixels(encoded.image, encoded.placement)[None]
    assert pixels.shape == (1, 3, 128, 128)
    assert not pixels[:, :, 96:].any()  # the image fills 96 x 128 of the canvas
    expected = model(
        pixel_values=pixels, input_boxes=torch.tensor([[[side * 2 for side in box]]]), multimask_output=False
    )
    np.testing.assert_allclose(drawn.logits.values, expected.pred_masks[0, 0, 0].numpy(), atol=2e-5)
    assert drawn.quality == pytest.approx(float(expected.iou_scores[0, 0, 0].clamp(0, 1)), abs=1e-5)


def test_policies(loaded: RegionSegmenter) -> None:
    image = random_image()
    instances, semantic, top = (
        _with_boxes(loaded, 3, policy=policy).segment(image, "eye")[0] for policy in ("instances", "semantic", "top1")
    )
    assert [len(found.regions or ()) for found in (instances, semantic, top)] == [3, 1, 1]
    np.testing.assert_array_equal(instances.mask, semantic.mask)
    assert not (top.mask & ~instances.mask).any()


def test_hard_isolation_keeps_the_mask_in_the_enlarged_box(loaded: RegionSegmenter) -> None:
    found = _with_boxes(loaded, 1, isolation="hard").segment(random_image(), "eye")[0]
    assert found.area > 0
    mask = found.mask
    mask[2:28, 1:24] = False  # the box 4, 5, 20, 24, by 1.2, and a cell
    assert not mask.any()


def test_zoomed_regions_cost_one_encoding_for_each_window(
    loaded: RegionSegmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = random_image(200, 300)
    boxes = [(20.0, 20.0, 40.0, 30.0), (24.0, 22.0, 44.0, 34.0), (250.0, 150.0, 290.0, 190.0)]
    segmenter = RegionSegmenter(
        OracleDetector({"eye": boxes}), loaded.host, isolation=Isolation(zoom="always", zoom_side=32, nms=1.0)
    )
    encoded = segmenter.encode(image)
    calls: list[tuple[int, int]] = []
    encode = segmenter.encode

    def counted(part: Any) -> Encoded:
        calls.append(part.size)
        return encode(part)

    monkeypatch.setattr(segmenter, "encode", counted)
    regions = segmenter.segment(encoded, "eye")[0].regions
    assert regions
    assert len(calls) == 2
    assert max(max(size) for size in calls) <= 80
    assert all(region.size == (200, 300) for region in regions)
    mask = regions[2].packed().full()
    assert not mask[:, :220].any()


def test_an_encoded_image_without_pixels_is_refused(loaded: RegionSegmenter) -> None:
    encoded = loaded.encode(random_image())
    bare = Encoded(encoded.size, encoded.placement, encoded.features, None, encoded.model)
    with pytest.raises(wordmask.ImageError, match="without its pixels"):
        loaded.segment(bare, "hair")


def test_presets_name_the_parts_of_their_folders() -> None:
    presets = [preset for preset in METHODS["imss"].presets if preset.folder]
    assert "grounded-sam" in known_presets()
    for preset in presets:
        assert read_parts(preset.folder) == preset.parts  # type: ignore[arg-type]
        assert preset.bytes


def test_bad_bundles_are_refused(tmp_path: Path) -> None:
    config = '{{"model_type": "wordmask-regions", "parts": {{"detector": {{"path": "x"}}}}{}}}'
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "config.json").write_text(config.format(""))
    with pytest.raises(CheckpointError, match="a detector and a segmenter"):
        wordmask.load(tmp_path)
    (tmp_path / "config.json").write_text(
        '{"model_type": "wordmask-regions", "isolation": {"policy": "all"}, '
        '"parts": {"detector": {"path": "x"}, "segmenter": {"path": "x"}}}'
    )
    with pytest.raises(CheckpointError, match=r"isolation settings.*instances, semantic, top1"):
        wordmask.load(tmp_path)
