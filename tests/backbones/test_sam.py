"""SAM's fast encoder and decoder give what transformers gives."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.methods.region_checkpoints import write_sam
from wordmask.backbones.sam import SamParts, load_sam
from wordmask.errors import CheckpointError, ModelNotFoundError


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("sam")
    return folder, write_sam(folder, global_attn_indexes=[1, 3])


@pytest.fixture(scope="module")
def parts(saved: tuple[Path, Any]) -> SamParts:
    return load_sam(saved[0], with_levels=True)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn(2, 3, 128, 128, generator=torch.Generator().manual_seed(1))


BOXES = torch.tensor([[10.0, 20, 60, 90], [0, 0, 128, 128], [70.5, 30, 80, 33], [5, 5, 9, 120], [40, 40, 90, 100]])


@torch.inference_mode()
def test_encoder_equals_transformers(saved: tuple[Path, Any], parts: SamParts, images: torch.Tensor) -> None:
    output = saved[1].vision_encoder(images, output_hidden_states=True)
    features = parts.vision(images)
    torch.testing.assert_close(features.embedding, output.last_hidden_state, atol=2e-5, rtol=0)
    assert [tuple(level.shape) for level in features.levels] == [(2, 8, 8, 32)] * 2
    torch.testing.assert_close(features.levels[1], output.hidden_states[-1], atol=2e-5, rtol=0)
    assert features.embedding.std() > 0.1


@pytest.mark.parametrize("several", [False, True])
@torch.inference_mode()
def test_decoder_equals_transformers(
    saved: tuple[Path, Any], parts: SamParts, images: torch.Tensor, several: bool
) -> None:
    embedding = parts.vision(images).embedding
    expected = saved[1](image_embeddings=embedding, input_boxes=BOXES.expand(2, -1, -1), multimask_output=several)
    for image in range(2):
        masks = parts.decoder(embedding[image : image + 1], parts.decoder.embed_boxes(BOXES), several=several)
        torch.testing.assert_close(masks.logits, expected.pred_masks[image], atol=2e-5, rtol=0)
        torch.testing.assert_close(masks.quality, expected.iou_scores[image], atol=2e-5, rtol=0)
    assert expected.pred_masks.std() > 0.05


@torch.inference_mode()
def test_points_equal_transformers(saved: tuple[Path, Any], parts: SamParts, images: torch.Tensor) -> None:
    points, labels = torch.tensor([[[30.0, 40], [50, 60]], [[100, 20], [3, 3]]]), torch.tensor([[1, 0], [1, 1]])
    embedding = parts.vision(images[:1]).embedding
    expected = saved[1](image_embeddings=embedding, input_points=points[None], input_labels=labels[None])
    masks = parts.decoder(embedding, parts.decoder.embed_points(points, labels), several=True)
    torch.testing.assert_close(masks.logits, expected.pred_masks[0], atol=2e-5, rtol=0)


@torch.inference_mode()
def test_any_number_of_boxes_gives_the_same_masks(parts: SamParts, images: torch.Tensor) -> None:
    embedding = parts.vision(images[:1]).embedding
    together = parts.decoder(embedding, parts.decoder.embed_boxes(BOXES))
    assert together.logits.shape == (5, 1, 32, 32)
    for row in range(5):
        alone = parts.decoder(embedding, parts.decoder.embed_boxes(BOXES[row : row + 1]))
        torch.testing.assert_close(alone.logits, together.logits[row : row + 1], atol=1e-5, rtol=0)
    none = parts.decoder(embedding, parts.decoder.embed_boxes(BOXES[:0]))
    assert none.logits.shape == (0, 1, 32, 32)
    assert none.quality.shape == (0, 1)


@torch.inference_mode()
def test_extra_features_are_added_before_the_mask_token(parts: SamParts, images: torch.Tensor) -> None:
    embedding, tokens = parts.vision(images[:1]).embedding, parts.decoder.embed_boxes(BOXES)
    plain = parts.decoder(embedding, tokens)
    assert torch.equal(parts.decoder(embedding, tokens, extra=torch.zeros(1, 4, 32, 32)).logits, plain.logits)
    extra = torch.zeros(1, 4, 32, 32)
    extra[0, :, 5, 9] = 1
    changed = (parts.decoder(embedding, tokens, extra=extra).logits != plain.logits).nonzero()
    assert {(int(y), int(x)) for _, _, y, x in changed} == {(5, 9)}


def test_half_precision_keeps_coordinates(saved: tuple[Path, Any], images: torch.Tensor) -> None:
    half = load_sam(saved[0], dtype=torch.bfloat16)
    assert half.decoder.embed_boxes(BOXES).dtype == torch.float32
    masks = half.decoder(half.vision(images[:1]).embedding, half.decoder.embed_boxes(BOXES))
    assert masks.logits.dtype == torch.bfloat16


def test_a_folder_without_weights_is_refused(saved: tuple[Path, Any], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((saved[0] / "config.json").read_text())
    with pytest.raises(ModelNotFoundError, match=r"model\.safetensors"):
        load_sam(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(CheckpointError, match="SamModel"):
        load_sam(tmp_path)


@pytest.mark.parametrize(
    "lost", ["vision_encoder.layers.1.attn.qkv.weight", "mask_decoder.mask_tokens.weight", "shared_image_embedding"]
)
def test_a_missing_key_is_named(saved: tuple[Path, Any], tmp_path: Path, lost: str) -> None:
    for file in saved[0].iterdir():
        if file.suffix == ".json":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(saved[0] / "model.safetensors")
    kept = {name: value for name, value in weights.items() if not name.startswith(lost)}
    assert len(kept) < len(weights)
    save_file(kept, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match=rf"Got .*{re.escape(lost)}.*, expected .*: ") as caught:
        load_sam(tmp_path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
