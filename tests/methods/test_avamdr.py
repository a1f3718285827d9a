"""The resolver: the untrained whole is SAM, its size, its gradients, what stays frozen."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import wordmask
from tests.methods.contract import random_image
from tests.methods.region_checkpoints import write_bundle, write_sam
from wordmask.backbones.sam import SamParts, load_sam
from wordmask.backbones.sam.vision import SamFeatures
from wordmask.checkpoints.building import no_weights
from wordmask.errors import CheckpointError
from wordmask.methods.imss.avamdr import Resolver, ResolverSettings
from wordmask.methods.imss.avamdr.evit import Evit
from wordmask.methods.imss.resolved import ResolvedSamHost, fresh_resolver, read_resolver, save_resolver

BOXES = torch.tensor([[10.0, 20, 60, 90], [70, 30, 90, 60]])


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> SamParts:
    folder = tmp_path_factory.mktemp("sam")
    write_sam(folder)
    return load_sam(folder, with_levels=True)


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    return torch.randn(2, 3, 128, 128, generator=torch.Generator().manual_seed(1))


def _fresh(parts: SamParts, **values: object) -> Resolver:
    torch.manual_seed(0)
    return fresh_resolver(parts, **values)


@pytest.mark.parametrize("values", [{}, {"token": True}, {"cram": False}, {"evit": False}], ids=str)
def test_untrained_it_answers_as_sam_bit_for_bit(
    parts: SamParts, pixels: torch.Tensor, values: dict[str, bool]
) -> None:
    host = ResolvedSamHost(parts, _fresh(parts, **values), name="x")
    with torch.inference_mode():
        features = parts.vision(pixels[:1])
        plain = parts.decoder(features.embedding, parts.decoder.embed_boxes(BOXES))
        resolved = host.decode_boxes(host.encode_pixels(pixels[:1]), BOXES)
    assert torch.equal(resolved.logits, plain.logits[:, 0])
    assert torch.equal(resolved.quality, plain.quality[:, 0].clamp(0, 1))
    assert plain.logits.std() > 0.05


def test_untrained_it_answers_as_transformers(tmp_path: Path, pixels: torch.Tensor) -> None:
    model = write_sam(tmp_path, seed=5)
    own = load_sam(tmp_path, with_levels=True)
    host = ResolvedSamHost(own, _fresh(own), name="x")
    with torch.inference_mode():
        expected = model(pixel_values=pixels[:1], input_boxes=BOXES[None], multimask_output=False)
        resolved = host.decode_boxes(host.encode_pixels(pixels[:1]), BOXES)
    torch.testing.assert_close(resolved.logits, expected.pred_masks[0, :, 0], atol=2e-5, rtol=0)


def test_sam_fills_all_weights_but_those_of_the_resolver(tmp_path: Path) -> None:
    """Each trained tensor of vision and decoder is in the checkpoint; what is missing there is the resolver's."""
    model = write_sam(tmp_path, seed=2)
    stored = {tensor.numpy().tobytes() for tensor in model.state_dict().values()}
    own = load_sam(tmp_path, with_levels=True)
    whole = torch.nn.ModuleDict({"vision": own.vision, "decoder": own.decoder, "resolver": _fresh(own)})
    weights = dict(whole.named_parameters())
    missing = {name for name, tensor in weights.items() if tensor.detach().numpy().tobytes() not in stored}
    constant = {name for name in weights if name.startswith("resolver.")} - missing  # zeros and ones, alike in both
    assert missing | constant == {name for name in weights if name.startswith("resolver.")}
    assert {name.split(".")[1] for name in missing | constant} == {"gate", "evit", "fusion", "cram", "safu"}


@pytest.mark.parametrize(
    ("channels", "millions"), [(768, 3.675), (1024, 3.906), (1280, 4.137)], ids=["vit_b", "vit_l", "vit_h"]
)
def test_its_size(channels: int, millions: float) -> None:
    with no_weights():
        resolver = Resolver(ResolverSettings(channels=channels))
    assert round(sum(weight.numel() for weight in resolver.parameters()) / 1e6, 3) == millions


def test_its_shapes_at_the_size_of_sam() -> None:
    with no_weights():
        resolver = Resolver(ResolverSettings())
    with torch.device("meta"):
        levels = tuple(torch.zeros(1, 64, 64, 768) for _ in range(4))
        features = SamFeatures(torch.zeros(1, 256, 64, 64), levels)
        assert resolver.evit(levels[:3]).shape == (1, 256, 64, 64)
        resolved = resolver(torch.zeros(1, 3, 1024, 1024), features)
        scales = resolver.cram(torch.zeros(1, 3, 1024, 1024), levels)
    assert [tuple(scale.shape[1:]) for scale in scales] == [
        (32, 256, 256), (64, 128, 128), (128, 64, 64), (256, 32, 32)
    ]  # fmt: skip
    assert resolved.embedding.shape == (1, 256, 64, 64)
    assert resolved.extra.shape == (1, 32, 256, 256)


def _loss(parts: SamParts, resolver: Resolver, pixels: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        features = parts.vision(pixels[:1])
        tokens = parts.decoder.embed_boxes(BOXES)
    resolved = resolver(pixels[:1], features)
    masks = parts.decoder(resolved.embedding, tokens, extra=resolved.extra, head=resolver.head)
    target = torch.zeros_like(masks.logits)
    target[:, :, 8:20, 4:18] = 1
    return torch.nn.functional.binary_cross_entropy_with_logits(masks.logits, target)


def test_gradients_start_at_the_gates(parts: SamParts, pixels: torch.Tensor) -> None:
    resolver = _fresh(parts)
    torch.autograd.backward(_loss(parts, resolver, pixels))
    named = dict(resolver.named_parameters())
    last, gates = named["safu.last.weight"], named["cram.gates"]
    evit, stem = named["evit.projections.0.weight"], named["cram.stem.0.weight"]
    assert resolver.gate.grad is not None
    assert last.grad is not None
    assert resolver.gate.grad.abs().max() > 0
    assert last.grad.abs().max() > 0
    assert all(weight.grad is None or not weight.grad.any() for weight in (evit, stem, gates))
    optimiser = torch.optim.Adam(resolver.parameters(), lr=1e-3)
    optimiser.step()
    optimiser.zero_grad()
    torch.autograd.backward(_loss(parts, resolver, pixels))
    for weight in (evit, stem, gates):
        assert weight.grad is not None
        assert weight.grad.abs().max() > 0


def test_the_frozen_model_stays_as_it_is(parts: SamParts, pixels: torch.Tensor) -> None:
    def frozen() -> list[torch.Tensor]:
        return [*parts.vision.state_dict().values(), *parts.decoder.state_dict().values()]

    before = [tensor.clone() for tensor in frozen()]
    resolver = _fresh(parts, token=True)
    optimiser = torch.optim.Adam(resolver.parameters(), lr=1e-2)
    losses = []
    for _ in range(10):
        loss = _loss(parts, resolver, pixels)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]
    assert all(torch.equal(a, b) for a, b in zip(before, frozen(), strict=True))
    assert not any(
        w.requires_grad or w.grad is not None for w in (*parts.vision.parameters(), *parts.decoder.parameters())
    )


def test_depth_attention_mixes_levels_at_each_cell_alone() -> None:
    torch.manual_seed(0)
    evit = Evit(12, 16, heads=4)
    levels = tuple(torch.randn(1, 5, 6, 12) for _ in range(3))
    with torch.no_grad():
        before = evit(levels)
        shifted = evit(tuple(level.roll((1, 2), dims=(1, 2)) for level in levels))
        torch.testing.assert_close(shifted, before.roll((1, 2), dims=(2, 3)), atol=1e-5, rtol=0)
        assert (evit((levels[1], levels[0], levels[2])) - before).abs().max() > 1e-2
        evit.places.copy_(evit.places[[1, 0, 2]])
        for modules in (evit.norms, evit.projections):
            modules[0], modules[1] = modules[1], modules[0]
        torch.testing.assert_close(evit((levels[1], levels[0], levels[2])), before, atol=1e-5, rtol=0)


def test_a_further_token_would_change_sam(parts: SamParts, pixels: torch.Tensor) -> None:
    """Why no token is appended, as HQ-SAM does: attention among tokens changes SAM's own mask."""
    embedding = parts.vision(pixels[:1]).embedding
    tokens = parts.decoder.embed_boxes(BOXES)
    further = torch.cat([tokens, torch.randn(2, 1, 32, generator=torch.Generator().manual_seed(0))], dim=1)
    assert (parts.decoder(embedding, further).logits - parts.decoder(embedding, tokens).logits).abs().max() > 1e-3


def test_it_is_saved_and_read_beside_its_sam(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "bundle")
    own = load_sam(folder / "segmenter", with_levels=True)
    resolver = _fresh(own, token=True, zoom=True)
    with torch.no_grad():
        resolver.gate.fill_(0.5)
        resolver.safu.last.weight.normal_(std=0.3, generator=torch.Generator().manual_seed(0))
    save_resolver(folder / "resolver", resolver)
    config = json.loads((folder / "config.json").read_text())
    config["parts"]["resolver"] = {"path": "resolver"}
    config["isolation"]["zoom"] = "auto"
    plain = wordmask.load(folder, dtype="float32")
    (folder / "config.json").write_text(json.dumps(config))
    trained = wordmask.load(folder, dtype="float32")
    assert trained.isolation.zoom == "auto"  # type: ignore[attr-defined]
    assert plain.isolation.zoom == "off"  # type: ignore[attr-defined]
    assert trained.name != plain.name
    image, box = random_image(), (4.0, 5.0, 40.0, 44.0)
    (one,), (other,) = (s.segment_boxes(s.encode(image), [box]) for s in (trained, plain))  # type: ignore[attr-defined]
    assert np.abs(one.logits.values - other.logits.values).max() > 1e-2
    again = read_resolver(folder / "resolver", own).state_dict()
    assert all(torch.equal(again[name], tensor) for name, tensor in resolver.state_dict().items())


def test_a_resolver_of_another_sam_is_refused(parts: SamParts, tmp_path: Path) -> None:
    save_resolver(tmp_path, Resolver(ResolverSettings(channels=16, width=32)))
    with pytest.raises(CheckpointError, match=r"for widths 16 and 32.*for 32 and 32"):
        read_resolver(tmp_path, parts)
    (tmp_path / "sam").mkdir()
    write_sam(tmp_path / "sam", global_attn_indexes=[1, 3])
    with pytest.raises(CheckpointError, match="2 global-attention blocks, expected 4"):
        fresh_resolver(load_sam(tmp_path / "sam"))
