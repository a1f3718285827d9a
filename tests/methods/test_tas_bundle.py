"""TAS on SAM, CLIP and captioners: adapters, mask generation and whole bundles, on small random checkpoints."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import wordmask
from tests.methods.contract import random_image
from tests.methods.tas_checkpoints import write_captioner, write_clip, write_sam
from wordmask.backbones.captioner import load_captioner
from wordmask.backbones.clip.masked import damped_embeddings, masked_embeddings
from wordmask.backbones.clip.pretrained import Clip, load_clip
from wordmask.backbones.sam_points import load_sam_points
from wordmask.errors import CheckpointError
from wordmask.images import RgbImage
from wordmask.methods.table import known_presets
from wordmask.methods.tas.automatic_masks import AutomaticMasks, GridSettings, point_grid, without_small_parts
from wordmask.methods.tas.crop_regions import ClipRegions
from wordmask.methods.tas.global_local import global_feature, global_local_features, mixed
from wordmask.methods.tas.segmenter import TasSegmenter
from wordmask.ops.geometry import Placement, Size, letterbox
from wordmask.ops.masks import pack

CPU = {"device": torch.device("cpu"), "dtype": torch.float32}


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("parts")
    captioners = {kind: write_captioner(root / kind, kind) for kind in ("blip", "blip-2", "florence2")}
    return {"sam": write_sam(root / "sam"), "clip": write_clip(root / "clip"), **captioners}


@pytest.fixture(scope="module")
def clip(parts: dict[str, Path]) -> Clip:
    return load_clip(parts["clip"], **CPU)


def write_bundle(folder: Path, parts: dict[str, Path], **more: object) -> Path:
    named = {"proposals": parts["sam"], "clip": parts["clip"], "captioner": parts["blip"]}
    config = {
        "model_type": "wordmask-tas",
        "name": "tiny-tas",
        "parts": {role: {"path": str(path)} for role, path in named.items()},
        "settings": {"min_area": 4, "max_overlap": 1.0},
        "grid": {"points_per_side": 4, "min_quality": -100.0, "min_stability": 0.0, "min_part": 4, "max_box_iou": 1.0},
    }
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config | more))
    return folder


@pytest.fixture(scope="module")
def tas(parts: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> TasSegmenter:
    folder = write_bundle(tmp_path_factory.mktemp("bundle") / "tiny", parts)
    loaded = wordmask.load(folder, device="cpu", dtype="float32")
    assert isinstance(loaded, TasSegmenter)
    return loaded


def test_a_bundle_of_published_systems_answers(tas: TasSegmenter) -> None:
    encoded = tas.encode(random_image())
    captions, _ = encoded.features.texts()
    assert len(captions) == len(encoded.features.masks((48, 64))) > 1
    assert [row.any().item() for row in encoded.features.captions] == [bool(caption) for caption in captions]
    found = tas.segment(encoded, "the cat on the left")[0]
    assert found.area
    assert found.presence == 1
    assert sum(candidate.chosen for candidate in found.candidates) == 1


def test_an_image_is_encoded_once_for_all_expressions(tas: TasSegmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    model, calls = tas.model, list[str]()
    assert isinstance(model, ClipRegions)
    assert model.captioner is not None
    real = model.clip.vision.pooled
    monkeypatch.setattr(model.clip.vision, "pooled", lambda pixels: calls.append("crop") or real(pixels))
    encoded = tas.encode(random_image())
    once = len(calls)
    for phrase in ("a cat", "the red car", "hair"):
        tas.segment(encoded, phrase)
    assert len(calls) == once > 0


def test_tokens_in_one_pass_replace_crops(parts: dict[str, Path], tmp_path: Path) -> None:
    fast = wordmask.load(write_bundle(tmp_path / "fast", parts, regions_from="tokens"), device="cpu", dtype="float32")
    encoded = fast.encode(random_image())
    vectors = encoded.features.vectors
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(len(vectors)))
    assert fast.segment(encoded, "a cat")[0].area


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"regions_from": "both"}, "regions_from 'both'"),
        ({"grid": {"points": 3}}, "points"),
        ({"settings": {"scale": 0}}, "scale"),
    ],
)
def test_a_damaged_bundle_is_told(
    parts: dict[str, Path], tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(CheckpointError, match=said):
        wordmask.load(write_bundle(tmp_path / "bad", parts, **changes), device="cpu")


@pytest.mark.parametrize("name", ["tas-paper", "tas-released", "tas-light"])
def test_presets_name_every_part(name: str) -> None:
    preset = known_presets()[name]
    assert [part.role for part in preset.parts] == ["proposals", "clip", "captioner"]
    assert all(part.hub and len(part.revision or "") == 40 and part.bytes and part.licence for part in preset.parts)


@pytest.mark.parametrize("kind", ["blip", "blip-2", "florence2"])
def test_captions_of_a_batch_equal_those_one_by_one(parts: dict[str, Path], kind: str) -> None:
    captioner = load_captioner(parts[kind], **CPU)
    images = [RgbImage(random_image(seed=seed)) for seed in range(3)]
    together = captioner.caption(images, batch_size=2)
    assert together == [captioner.caption([image])[0] for image in images]
    assert any(together)


def test_another_model_is_no_captioner(parts: dict[str, Path]) -> None:
    with pytest.raises(CheckpointError, match=r"'clip'.*blip"):
        load_captioner(parts["clip"], **CPU)


# --- mask generation ---


def test_points_are_the_centres_of_cells_row_by_row() -> None:
    np.testing.assert_allclose(point_grid(2), [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]])


class Discs:
    """A point model whose masks are discs round each point: small, medium and large, of falling quality."""

    def canvas(self, size: Size) -> Placement:
        return letterbox(size, (64, 64))

    def encode(self, image: RgbImage, placement: Placement) -> Tensor:
        return torch.zeros(1, 1, 1, 1)

    def decode(self, embedding: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        y, x = torch.meshgrid(torch.arange(64) + 0.5, torch.arange(64) + 0.5, indexing="ij")
        distance = ((x - points[:, :1, None]) ** 2 + (y - points[:, 1:, None]) ** 2).sqrt()  # (P, 64, 64)
        logits = torch.stack([4.0 * (radius - distance) for radius in (3, 6, 12)], dim=1)
        return logits, torch.tensor([[0.9, 0.8, 0.6]]).expand(len(points), -1)


def image(height: int = 64, width: int = 64) -> RgbImage:
    return RgbImage(np.zeros((height, width, 3), np.uint8))


def test_masks_of_low_quality_or_stability_are_left_out() -> None:
    every = GridSettings(points_per_side=2, min_quality=0.0, min_stability=0.0, max_box_iou=1.0, min_part=0)
    assert len(AutomaticMasks(Discs(), every).propose(image())) == 12
    good = GridSettings(points_per_side=2, min_quality=0.7, min_stability=0.0, max_box_iou=1.0, min_part=0)
    assert sorted(region.score for region in AutomaticMasks(Discs(), good).propose(image())) == pytest.approx(
        [0.8] * 4 + [0.9] * 4
    )
    # stability of a disc: about ((r - 1/4) / (r + 1/4))^2, 0.72 and 0.85
    stable = GridSettings(points_per_side=2, min_quality=0.7, min_stability=0.8, max_box_iou=1.0, min_part=0)
    assert len(AutomaticMasks(Discs(), stable).propose(image())) == 4


def test_repetitions_are_suppressed_and_masks_lie_in_the_image() -> None:
    settings = GridSettings(points_per_side=16, min_quality=0.85, min_stability=0.0, max_box_iou=0.2, min_part=0)
    regions = AutomaticMasks(Discs(), settings).propose(image(64, 32))
    assert 16 <= len(regions) < 256
    assert all(region.packed().size == (64, 32) for region in regions)


def test_small_parts_and_holes_are_removed() -> None:
    mask = np.zeros((40, 40), bool)
    mask[5:25, 5:25] = True
    mask[10:12, 10:12] = False  # a hole of 4 pixels
    mask[30:33, 30:33] = True  # a part of 9 pixels
    clean = np.zeros((40, 40), bool)
    clean[5:25, 5:25] = True
    np.testing.assert_array_equal(without_small_parts(pack(mask), 10).full(), clean)
    packed = pack(mask)
    assert without_small_parts(packed, 3) is packed
    small = pack(mask[28:, 28:])
    assert without_small_parts(small, 100).area == 9  # the largest part stays


def test_a_hole_that_is_open_to_the_outside_stays() -> None:
    mask = np.ones((10, 30), bool)
    mask[4:6, 10:] = False
    framed = np.zeros((20, 40), bool)
    framed[5:15, 5:35] = mask
    packed = pack(framed)
    assert without_small_parts(packed, 45) is packed  # 40 pixels, but connected to what lies around


def test_sam_answers_points_as_transformers_does(parts: dict[str, Path]) -> None:
    import transformers

    sam = load_sam_points(parts["sam"], **CPU)
    given = RgbImage(random_image(64, 64))
    placement = sam.canvas(given.size)
    points = torch.tensor([[10.0, 20.0], [50.0, 40.0]])
    with torch.inference_mode():
        logits, quality = sam.decode(sam.encode(given, placement), points)
        theirs = transformers.SamModel.from_pretrained(parts["sam"]).eval()
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        pixels = ((torch.from_numpy(given.pixels.copy()).float() / 255 - mean) / std).permute(2, 0, 1)[None]
        expected = theirs(pixel_values=pixels, input_points=points[None, :, None])
    torch.testing.assert_close(logits, expected.pred_masks[0], atol=2e-3, rtol=1e-3)
    torch.testing.assert_close(quality, expected.iou_scores[0], atol=1e-5, rtol=1e-4)
    assert logits.shape[:2] == (2, 3)


# --- CLIP on regions ---


def pixels(clip: Clip, side: int = 64) -> Tensor:
    return clip.normalised(torch.from_numpy(random_image(side, side))[None])


def test_clip_agrees_with_transformers(parts: dict[str, Path], clip: Clip) -> None:
    import transformers

    theirs = transformers.CLIPModel.from_pretrained(parts["clip"]).eval()
    with torch.inference_mode():
        expected = theirs.visual_projection(theirs.vision_model(pixel_values=pixels(clip)).pooler_output)
        torch.testing.assert_close(clip.vision.pooled(pixels(clip)), expected, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_a_mask_of_everything_changes_nothing(clip: Clip) -> None:
    plain = clip.vision.pooled(pixels(clip))
    everything = torch.ones(2, 4, 4)
    for embed in (masked_embeddings, damped_embeddings):
        torch.testing.assert_close(
            embed(clip.vision, pixels(clip), everything), plain.expand(2, -1), atol=1e-5, rtol=1e-4
        )
    part = everything.clone()
    part[:, :2] = 0
    assert (masked_embeddings(clip.vision, pixels(clip), part) - plain).abs().max() > 1e-2


@torch.inference_mode()
def test_masks_do_not_disturb_one_another(clip: Clip) -> None:
    masks = torch.zeros(3, 4, 4)
    masks[0, :2], masks[1, 2:], masks[2, 1, 1] = 1, 1, 0.2  # the third covers no half of a patch
    together = masked_embeddings(clip.vision, pixels(clip), masks)
    alone = torch.cat([masked_embeddings(clip.vision, pixels(clip), mask[None]) for mask in masks])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


@torch.inference_mode()
def test_global_and_local_features_are_mixed(clip: Clip) -> None:
    given = random_image(64, 64)
    mask = np.zeros((64, 64), bool)
    mask[10:40, 20:60] = True
    whole = [pack(np.ones((64, 64), bool)), pack(mask)]
    everything = global_feature(clip, given, whole)[0]
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    plain = ((torch.from_numpy(given).float() / 255 - mean) / std).permute(2, 0, 1)[None]
    torch.testing.assert_close(everything, clip.vision.pooled(plain)[0], atol=1e-5, rtol=1e-4)
    crops_alone = global_local_features(clip, given, whole, 0.0)
    torch.testing.assert_close(crops_alone[0], mixed(everything[None], everything[None], 0.0)[0], atol=1e-5, rtol=1e-4)
    assert (crops_alone[1] - global_local_features(clip, given, whole, 1.0)[1]).abs().max() > 1e-2
