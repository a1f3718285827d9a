"""The query decoder on the compact trunk: guidance, division of masks, files, and the contract of every method."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import wordmask
from tests.methods.contract import DenseMethodContract, random_image
from tests.methods.test_compact import SETTINGS, TINY, tiny_network, tiny_tokenizer
from wordmask.contracts import ProposalSource, Segmenter
from wordmask.errors import CheckpointError, ImageError
from wordmask.images import load_image
from wordmask.methods.compact import save_compact
from wordmask.methods.pmp.embedded.config import DecoderConfig
from wordmask.methods.pmp.embedded.features import TrunkMaps
from wordmask.methods.pmp.embedded.instances import divide, kept_proposals
from wordmask.methods.pmp.embedded.network import ProposalNetwork
from wordmask.methods.pmp.embedded.segmenter import ProposalSegmenter
from wordmask.methods.pmp.embedded.settings import ProposalSettings
from wordmask.methods.pmp.embedded.weights import save_proposals

SMALL = DecoderConfig(
    queries=5, channels=16, layers=2, heads=2, feedforward=16, embedding=8, mixed=16, text=32, fine=8, coarse=16,
    deep=24, deepest=32,
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pmp")
    save_compact(root / "compact", "tiny", tiny_network(), TINY, SETTINGS, tiny_tokenizer())
    torch.manual_seed(0)
    settings = ProposalSettings(least_quality=0.0)
    save_proposals(root / "pmp", "tiny-pmp", ProposalNetwork(SMALL), settings, trunk=root / "compact")
    return root


@pytest.fixture(scope="module")
def loaded(folder: Path) -> Segmenter:
    return wordmask.load(folder / "pmp", dtype="float32", device="cpu")


class TestEmbeddedPmp(DenseMethodContract):
    tolerance = 2e-4

    @pytest.fixture
    def segmenter(self, loaded: Segmenter) -> Segmenter:
        return loaded


def _maps(size: int = 64, seed: int = 0) -> TrunkMaps:
    generator = torch.Generator().manual_seed(seed)
    shapes = ((8, 4), (16, 8), (24, 16), (32, 32))
    return TrunkMaps(*(torch.randn(1, c, size // s, size // s, generator=generator) for c, s in shapes))


def test_the_prompt_changes_proposals_and_prompts_do_not_disturb_each_other() -> None:
    torch.manual_seed(0)
    network = ProposalNetwork(SMALL).eval()
    features = network.encode(_maps())
    phrases = torch.nn.functional.normalize(torch.randn(1, 3, 32), dim=-1)
    together = network(features, phrases).heads[-1].embeddings
    alone = network(features, phrases[:, 1:2]).heads[-1].embeddings
    torch.testing.assert_close(together[:, 1:2], alone, rtol=1e-4, atol=1e-5)
    assert (together[0, 0, :5] - together[0, 1, :5]).abs().max() > 1e-3  # the learned queries alone
    assert network(features, None).heads[-1].embeddings.shape == (1, 1, 5, 8)  # no prompt, no query of its own


def test_mask_features_at_cell_centres_are_those_of_the_grid() -> None:
    network = ProposalNetwork(SMALL).eval()
    features = network.encode(_maps())
    axis = (torch.arange(16) + 0.5) / 16
    points = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).view(1, -1, 2)
    at = network.mask_features.at(features, points).transpose(1, 2)
    torch.testing.assert_close(at, network.mask_features.grid(features).flatten(2), rtol=1e-4, atol=1e-5)


def test_dense_logits_are_the_start_of_every_mask() -> None:
    network = ProposalNetwork(SMALL).eval()
    torch.nn.init.zeros_(network.embed[-1].weight)
    torch.nn.init.zeros_(network.embed[-1].bias)
    features, dense = network.encode(_maps()), torch.randn(1, 1, 16, 16)
    heads = network(features, torch.randn(1, 1, 32), dense).heads[-1]
    masks = heads.logits(network.mask_features.grid(features).flatten(2), dense.flatten(2))
    torch.testing.assert_close(masks, dense.flatten(2).unsqueeze(2).expand(-1, -1, 6, -1))


def test_a_mask_is_divided_where_two_proposals_meet() -> None:
    mask = np.full((8, 12), -4.0, np.float32)
    mask[2:6, 1:9] = 3.0  # two things that touch
    mask[2:6, 10:] = 3.0  # and one that no proposal covers
    column = np.arange(12, dtype=np.float32)
    left, right = np.broadcast_to(4.5 - column, (8, 12)), np.broadcast_to(column - 4.5, (8, 12))
    right = np.where(column > 8, np.float32(-5), right)
    parts = divide(mask, np.stack([left, right, left]), np.array([0.9, 0.8, 0.7], np.float32), ProposalSettings())
    bits = np.stack([part.logits > 0 for part in parts])
    assert [part.proposal for part in parts] == [0, 1, -1]  # the third is a duplicate of the first
    assert (bits.sum(0) == (mask > 0)).all()  # nothing is lost, nothing counted twice
    assert bits[0][:, :5].sum() == 16
    assert bits[1][:, 5:9].sum() == 16


def test_proposals_of_low_quality_and_duplicates_are_dropped() -> None:
    masks = np.zeros((4, 6, 6), bool)
    masks[0, :3], masks[1, :3], masks[2, 3:], masks[3, 1, 1] = True, True, True, True
    quality = np.array([0.5, 0.9, 0.05, 0.6], np.float32)
    assert kept_proposals(masks, quality, ProposalSettings(least_quality=0.1), area=36) == [1]
    assert kept_proposals(masks, quality, ProposalSettings(least_quality=0.0), area=36) == [1, 2]


def test_the_mask_is_that_of_compact_and_candidates_are_all_proposals(folder: Path, loaded: Segmenter) -> None:
    compact = wordmask.load(folder / "compact", dtype="float32", device="cpu")
    image = random_image(60, 90)
    one, other = (s.segment(image, ["hair"], presence_threshold=0)[0] for s in (loaded, compact))
    assert one.presence == other.presence
    assert len(one.candidates) == 8  # five queries, the prompt's own, the dense mask, and what is made of these two
    assert [next(iter(reversed(c.scores))) for c in one.candidates[:2]] == ["dense", "blend"]
    dense = one.candidates[0].region.packed(one.threshold).full()
    assert (dense != other.mask).mean() < 0.02  # one of the two has lost its weak parts
    union = np.logical_or.reduce([instance.mask for instance in one.instances])
    assert (union == one.mask).all()
    blended = one.candidates[1].region.packed(one.threshold).full()
    assert (one.mask != blended).mean() < 0.05  # borders between instances


def test_what_is_absent_has_no_instances(loaded: Segmenter) -> None:
    found = loaded.segment(random_image(), ["hair"], presence_threshold=1.0)[0]
    assert not found.present
    assert found.instances == ()
    assert not found.mask.any()


def test_it_proposes_without_a_prompt_from_the_features_of_either_model(folder: Path, loaded: Segmenter) -> None:
    assert isinstance(loaded, ProposalSource)
    compact = wordmask.load(folder / "compact", dtype="float32", device="cpu")
    image = load_image(random_image(60, 90))
    own, shared = loaded.propose(image), loaded.propose(compact.encode(image))
    assert own
    assert [r.score for r in own] == sorted((r.score for r in own), reverse=True)
    assert [r.score for r in own] == pytest.approx([r.score for r in shared], abs=1e-4)
    with pytest.raises(ImageError, match="encoded by"):
        loaded.propose(wordmask.contracts.Encoded(image.size, None, None, image, "other"))  # type: ignore[arg-type]


def test_a_trunk_of_other_channels_is_refused(folder: Path, tmp_path: Path) -> None:
    network = ProposalNetwork(DecoderConfig(**{**SMALL.to_json(), "fine": 9}))
    save_proposals(tmp_path / "pmp", "other", network, ProposalSettings(), trunk=folder / "compact")
    with pytest.raises(CheckpointError, match="trunk with"):
        wordmask.load(tmp_path / "pmp")


def test_the_segmenter_is_what_the_table_names(loaded: Segmenter) -> None:
    assert isinstance(loaded, ProposalSegmenter)
